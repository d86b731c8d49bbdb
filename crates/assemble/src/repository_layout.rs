//! How a repository is laid out: where its indexes are, and where an index's packages are.

use assemble_apk::{PackageSpec, Record};
use assemble_fetch::Location;
use assemble_types::Arch;

/// What the address of a repository stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A folder with one folder for each architecture, and an index in each.
    Folders,
    /// An index of format version 3, with its packages beside it: how OpenWrt publishes them, whose names of
    /// architectures are longer than those of others.
    Index,
}

impl Layout {
    /// An address that ends in `.adb` is that of an index, as it is to the package manager.
    #[allow(
        clippy::case_sensitive_file_extension_comparisons,
        reason = "the package manager tells by these letters"
    )]
    pub(crate) fn of(address: &str) -> Self {
        if address.ends_with(".adb") { Self::Index } else { Self::Folders }
    }

    /// What the names of files start from.
    pub(crate) fn base(self, address: &Location) -> Location {
        match self {
            Self::Folders => address.clone(),
            Self::Index => address.parent(),
        }
    }

    /// [`Layout::base`] of an address that is a path of this host, as it is written.
    pub(crate) fn base_text(self, address: &str) -> &str {
        match self {
            Self::Folders => address.trim_end_matches('/'),
            Self::Index => address.rsplit_once('/').map_or(".", |(folder, _)| folder),
        }
    }

    /// Where to look for the index below the base, in this order.
    pub(crate) fn indexes(self, address: &str, arch: Arch) -> Vec<String> {
        match self {
            Self::Folders => {
                ["APKINDEX.tar.gz", "Packages.adb"].map(|name| format!("{}/{name}", arch.apk())).to_vec()
            }
            Self::Index => vec![file_name(address).to_owned()],
        }
    }

    /// Where a package of the index lies below the base.
    pub(crate) fn file(self, files: &PackageSpec, record: &Record, arch: Arch) -> String {
        match self {
            Self::Folders => files.below_repository(record, arch.apk()),
            Self::Index => files.beside_index(record),
        }
    }

    /// Whether packages of an architecture of this name run on `arch`. A folder is for one architecture, under its
    /// plain name. Whoever names an index chose it for a processor; its packages have OpenWrt's name of that.
    pub(crate) fn fits(self, name: &str, arch: Arch) -> bool {
        match self {
            Self::Folders => [arch.apk(), "noarch", "all", ""].contains(&name),
            Self::Index => arch.runs_packages_for(name),
        }
    }
}

/// The last part of an address.
pub(crate) fn file_name(address: &str) -> &str {
    address.rsplit('/').next().unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let show = |address: &str| -> Vec<String> {
            let layout = Layout::of(address);
            let base = layout.base(&Location::from_path(address));
            let files = layout.indexes(address, Arch::Aarch64);
            files.iter().map(|file| base.join(file).to_string()).collect()
        };
        assert_eq!(show("/repo"), ["/repo/aarch64/APKINDEX.tar.gz", "/repo/aarch64/Packages.adb"]);
        assert_eq!(show("/feed/packages.adb"), ["/feed/packages.adb"]);
        for (address, base) in [("./repo/", "./repo"), ("feed/packages.adb", "feed"), ("packages.adb", ".")] {
            assert_eq!(Layout::of(address).base_text(address), base);
        }
    }

    #[test]
    fn architectures() {
        use Layout::{Folders, Index};
        for (layout, name, arch, fits) in [
            (Folders, "x86_64", Arch::X86_64, true),
            (Folders, "noarch", Arch::X86_64, true),
            (Folders, "all", Arch::Armv7, true),
            (Folders, "", Arch::Armv7, true),
            (Folders, "aarch64_generic", Arch::Aarch64, false),
            (Index, "aarch64_cortex-a53", Arch::Aarch64, true),
            (Index, "arm_cortex-a7_neon-vfpv4", Arch::Armv7, true),
            (Index, "i386_pentium4", Arch::X86, true),
            (Index, "riscv64_generic", Arch::Riscv64, true),
            (Index, "x86_64", Arch::X86_64, true),
            (Index, "x86_64", Arch::Aarch64, false),
            (Index, "aarch64_generic", Arch::X86_64, false),
            (Index, "mips_24kc", Arch::Armv7, false),
            (Index, "powerpc64_e5500", Arch::Ppc64le, false),
        ] {
            assert_eq!(layout.fits(name, arch), fits, "{layout:?} {name} {arch:?}");
        }
    }
}
