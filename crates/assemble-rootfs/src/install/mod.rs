//! Packages alone, laid down byte for byte as apko lays them down.
//!
//! # Why it is the way it is
//! Every step below writes into the tree what one step of apko writes, in apko's order, because later steps see what
//! earlier ones left: a mode, a time, a link. The steps share [`root::Root`], the tree with apko's way of following
//! paths. What a step gets wrong shows up as another diff_id, so the steps are compared with apko's own answers as a
//! whole, entry by entry, and each rule has a small test beside it.

mod accounts;
mod busybox;
mod busybox_table;
mod config;
mod database;
mod error;
mod glob;
mod ldconfig;
mod lib_apk;
mod pdqsort;
mod report;
mod root;
mod sidecars;
mod skeleton;
mod soname;
mod text;
mod unpack;
mod ustar;

use assemble_apk::Package;
use assemble_types::{Arch, Timestamp};

pub use error::InstallError;
pub use report::{InstallReport, ScriptNotRun};

use crate::apko_config::ApkoConfig;
use crate::tree::{PackageIndex, Tree};
use root::Root;

/// What is to be installed, and what the image is to know about it.
#[derive(Debug, Clone)]
pub struct InstallInput<'a> {
    /// The architecture; its APK name stands in `/etc/apk/arch`.
    pub arch: Arch,
    /// The packages in the order of installation.
    pub packages: &'a [Package],
    /// The lines of `/etc/apk/world`; sorted and made distinct here.
    pub world: Vec<String>,
    /// The lines of `/etc/apk/repositories` while packages are unpacked: all that the build used.
    pub build_repositories: Vec<String>,
    /// The lines of `/etc/apk/repositories` in the image, as written in the spec; sorted and made distinct here.
    pub repositories: Vec<String>,
    /// Files of `/etc/apk/keys`: name and bytes. Of two with one name the later counts.
    pub keys: Vec<(String, Vec<u8>)>,
    /// What `/etc/apko.json` holds.
    pub config: ApkoConfig,
    /// The time for what is made for this build; without one, that of the newest package.
    pub source_date_epoch: Option<Timestamp>,
    /// What is made for this build is not older than this, and scripts are kept with it; `source_date_epoch` goes first.
    pub build_date: Option<Timestamp>,
}

/// An installed tree.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The tree. Every name in it belongs to [`Part::Packages`](crate::Part::Packages).
    pub tree: Tree,
    /// The time that apko would say the image was made.
    pub build_date_epoch: Timestamp,
    /// Whom the image runs as, if the configuration says so: a known user's number, anything else as it was written.
    pub run_as: Option<String>,
    /// What is worth telling.
    pub report: InstallReport,
}

/// Lays the packages down. The numbers are the steps of apko's own order; those that are missing come between.
pub fn install(input: &InstallInput<'_>) -> Result<Installed, InstallError> {
    let mut root = Root::new();
    let mut config = input.config.clone();
    skeleton::lay(&mut root, input)?;
    let placed = unpack::packages(&mut root, input.packages)?;
    let readable = database::write(&mut root, input, &placed)?;
    let readable = input.packages.get(..readable).unwrap_or(input.packages);
    lib_apk::link(&mut root, readable)?;
    let epoch = database::build_date_epoch(input, readable)?;
    // 1. Accounts (users and groups of the spec are to be added before the homes are made).
    config.accounts.run_as = accounts::apply(&mut root, &config.accounts.run_as)?;
    // 2. The configuration.
    config::write(&mut root, &config)?;
    // 3. `paths`. 4. Certificates.
    // 5. Checksums of the bundles of certificates.
    sidecars::write(&mut root, epoch)?;
    // 6. Runtime keyring. 7. Services.
    // 8. Links to busybox.
    let busybox = busybox::link(&mut root, readable)?;
    // 9. Devices.
    skeleton::missing_devices(&mut root)?;
    // 10. The loader's cache.
    let loader_cache = ldconfig::write(&mut root)?;
    // 11. Where the running image gets packages from.
    skeleton::runtime_repositories(&mut root, &input.repositories)?;
    let report = report::of(&root, input.packages, busybox, loader_cache)?;
    let run_as = Some(config.accounts.run_as).filter(|run_as| !run_as.is_empty());
    Ok(Installed { tree: root.tree, build_date_epoch: epoch, run_as, report })
}

fn index_of(index: usize) -> PackageIndex {
    PackageIndex(u32::try_from(index).unwrap_or(u32::MAX))
}
