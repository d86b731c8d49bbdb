//! Architectures and platforms, in the names of the APK world and of OCI.

use std::fmt;
use std::str::FromStr;

/// A CPU architecture that Linux distributions with APK packages build for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// ARMv6 with hardware floating point.
    Armhf,
    /// ARMv7 with hardware floating point.
    Armv7,
    /// 64-bit LoongArch.
    Loongarch64,
    /// 64-bit little-endian POWER.
    Ppc64le,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit IBM Z.
    S390x,
}

impl Arch {
    /// All of them, in the order of their OCI names.
    pub const ALL: [Self; 9] = [
        Self::X86,
        Self::X86_64,
        Self::Aarch64,
        Self::Armhf,
        Self::Armv7,
        Self::Loongarch64,
        Self::Ppc64le,
        Self::Riscv64,
        Self::S390x,
    ];

    /// The name in APK repositories.
    pub fn apk(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Armhf => "armhf",
            Self::Armv7 => "armv7",
            Self::Loongarch64 => "loongarch64",
            Self::Ppc64le => "ppc64le",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// Whether packages of an architecture of this name run on it: its name, those of packages for all, and OpenWrt's
    /// longer names for processors of its family.
    pub fn runs_packages_for(self, name: &str) -> bool {
        if [self.apk(), "noarch", "all", ""].contains(&name) {
            return true;
        }
        let family = match self {
            Self::X86 => "i386_",
            Self::Aarch64 => "aarch64_",
            Self::Armhf | Self::Armv7 => "arm_",
            Self::Loongarch64 => "loongarch64_",
            Self::Riscv64 => "riscv64_",
            // OpenWrt's other builds for POWER are big-endian.
            Self::Ppc64le => "powerpc64le_",
            Self::X86_64 | Self::S390x => return false,
        };
        name.starts_with(family)
    }

    /// The `architecture` of an OCI platform (Go's `GOARCH`).
    pub fn oci(self) -> &'static str {
        match self {
            Self::X86 => "386",
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
            Self::Armhf | Self::Armv7 => "arm",
            Self::Loongarch64 => "loong64",
            Self::Ppc64le => "ppc64le",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// The `variant` of an OCI platform.
    pub fn variant(self) -> Option<&'static str> {
        match self {
            Self::Armhf => Some("v6"),
            Self::Armv7 => Some("v7"),
            _ => None,
        }
    }

    /// OCI architecture and variant with a slash: `arm/v7`, `amd64`. This is what apko writes into its files.
    pub fn oci_with_variant(self) -> String {
        match self.variant() {
            Some(variant) => format!("{}/{variant}", self.oci()),
            None => self.oci().to_owned(),
        }
    }
}

/// A platform an image is for. The operating system is always Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
}

/// Text that names no platform we can build for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, \
         linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64"
)]
pub struct PlatformError(pub String);

impl From<Arch> for Platform {
    fn from(arch: Arch) -> Self {
        Self { arch }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.arch.oci_with_variant())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Takes OCI, Docker, APK, Go, Rust and uname spellings, with or without `linux/`.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("linux/").unwrap_or(&lower);
        let arch = match name {
            "386" | "x86" | "i386" | "i486" | "i586" | "i686" => Arch::X86,
            "amd64" | "x86_64" | "x86-64" | "amd64/v1" => Arch::X86_64,
            "arm64" | "aarch64" | "arm64/v8" => Arch::Aarch64,
            "arm/v6" | "armhf" | "armv6" => Arch::Armhf,
            "arm/v7" | "armv7" | "arm" | "armv7l" => Arch::Armv7,
            "loong64" | "loongarch64" => Arch::Loongarch64,
            "ppc64le" | "powerpc64le" => Arch::Ppc64le,
            "riscv64" | "riscv64gc" => Arch::Riscv64,
            "s390x" => Arch::S390x,
            _ => return Err(PlatformError(text.to_owned())),
        };
        Ok(Self { arch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_platform_is_one_value() {
        for text in ["linux/amd64", "amd64", "x86_64", "linux/x86_64", "AMD64", "x86-64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), "linux/amd64", "{text}");
        }
        for arch in Arch::ALL {
            let platform = Platform::from(arch);
            assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
            assert_eq!(arch.apk().parse::<Platform>().unwrap(), platform);
        }
        assert_eq!("armhf".parse::<Platform>().unwrap().to_string(), "linux/arm/v6");
        assert!("windows/amd64".parse::<Platform>().is_err());
        assert!("".parse::<Platform>().is_err());
    }
}
