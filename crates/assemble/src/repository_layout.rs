//! How a repository is laid out: where its indexes are, and where an index's packages are.

use assemble_apk::{PackageSpec, Record};
use assemble_fetch::Location;
use assemble_spec::RepositoryKind;
use assemble_types::Arch;

/// The name of an index of format version 2 in the folder of an architecture.
const VERSION_2: &str = "APKINDEX.tar.gz";
/// The name of one of format version 3.
const VERSION_3: &str = "Packages.adb";

/// What the address of a repository stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A folder with one folder for each architecture, and an index in each, of one of these names.
    Folders(&'static [&'static str]),
    /// An index of format version 3, with its packages beside it: how OpenWrt publishes them, whose names of
    /// architectures are longer than those of others.
    Index,
}

impl Layout {
    /// What a line says of it, and where it says nothing: an address that ends in `.adb` is that of an index, as it is
    /// to the package manager.
    pub(crate) fn of(kind: RepositoryKind, address: &str) -> Self {
        match kind {
            RepositoryKind::Unsaid if is_index(address) => Self::Index,
            RepositoryKind::Unsaid => Self::Folders(&[VERSION_2, VERSION_3]),
            RepositoryKind::V2 => Self::Folders(&[VERSION_2]),
            RepositoryKind::V3 => Self::Folders(&[VERSION_3]),
            RepositoryKind::Ndx => Self::Index,
        }
    }

    /// What the names of files start from.
    pub(crate) fn base(self, address: &Location) -> Location {
        match self {
            Self::Folders(_) => address.clone(),
            Self::Index => address.parent(),
        }
    }

    /// [`Layout::base`] of an address that is a path of this host, as it is written.
    pub(crate) fn base_text(self, address: &str) -> &str {
        match self {
            Self::Folders(_) => address.trim_end_matches('/'),
            Self::Index => address.rsplit_once('/').map_or(".", |(folder, _)| folder),
        }
    }

    /// Where to look for the index below the base, in this order.
    pub(crate) fn indexes(self, address: &str, arch: Arch) -> Vec<String> {
        match self {
            Self::Folders(names) => names.iter().map(|name| format!("{}/{name}", arch.apk())).collect(),
            Self::Index => vec![file_name(address).to_owned()],
        }
    }

    /// Where a package of the index lies below the base.
    pub(crate) fn file(self, files: &PackageSpec, record: &Record, arch: Arch) -> String {
        match self {
            Self::Folders(_) => files.below_repository(record, arch.apk()),
            Self::Index => files.beside_index(record),
        }
    }

    /// Whether packages of an architecture of this name run on `arch`. A folder is for one architecture, under its
    /// plain name. Whoever names an index chose it for a processor; its packages have OpenWrt's name of that.
    pub(crate) fn fits(self, name: &str, arch: Arch) -> bool {
        match self {
            Self::Folders(_) => [arch.apk(), "noarch", "all", ""].contains(&name),
            Self::Index => arch.runs_packages_for(name),
        }
    }
}

/// Whether an address is that of an index by its ending.
#[allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the package manager tells by these letters"
)]
pub(crate) fn is_index(address: &str) -> bool {
    address.ends_with(".adb")
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
            let layout = Layout::of(RepositoryKind::Unsaid, address);
            let base = layout.base(&Location::from_path(address));
            let files = layout.indexes(address, Arch::Aarch64);
            files.iter().map(|file| base.join(file).to_string()).collect()
        };
        assert_eq!(show("/repo"), ["/repo/aarch64/APKINDEX.tar.gz", "/repo/aarch64/Packages.adb"]);
        assert_eq!(show("/feed/packages.adb"), ["/feed/packages.adb"]);
        for (kind, address, expected) in [
            (RepositoryKind::V2, "/repo", "aarch64/APKINDEX.tar.gz"),
            (RepositoryKind::V3, "/repo", "aarch64/Packages.adb"),
            (RepositoryKind::Ndx, "/feed/APKINDEX.tar.gz", "APKINDEX.tar.gz"),
        ] {
            assert_eq!(Layout::of(kind, address).indexes(address, Arch::Aarch64), [expected]);
        }
        for (address, base) in [("./repo/", "./repo"), ("feed/packages.adb", "feed"), ("packages.adb", ".")] {
            assert_eq!(Layout::of(RepositoryKind::Unsaid, address).base_text(address), base);
        }
    }

    #[test]
    fn architectures() {
        use Layout::Index;
        let folders = Layout::of(RepositoryKind::V2, "repo");
        for (layout, name, arch, fits) in [
            (folders, "x86_64", Arch::X86_64, true),
            (folders, "noarch", Arch::X86_64, true),
            (folders, "all", Arch::Armv7, true),
            (folders, "", Arch::Armv7, true),
            (folders, "aarch64_generic", Arch::Aarch64, false),
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
