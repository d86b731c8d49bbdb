//! Packages alone, laid down byte for byte as apko lays them down.
//!
//! # Why it is the way it is
//! Every step below writes into the tree what one step of apko writes, in apko's order, because later steps see what
//! earlier ones left: a mode, a time, a link. The steps share [`root::Root`], the tree with apko's way of following
//! paths. What a step gets wrong shows up as another diff_id, so the steps are compared with apko's own answers as a
//! whole, entry by entry, and each rule has a small test beside it.

mod accounts;
mod base_db;
mod busybox;
mod busybox_table;
mod certificates;
mod config;
mod database;
mod error;
mod glob;
mod jks;
mod keyring;
mod ldconfig;
mod lib_apk;
mod mutation_error;
mod mutations;
mod paths;
mod pdqsort;
mod recorded;
mod report;
mod root;
mod scripts;
mod services;
mod shell;
mod sidecars;
mod skeleton;
mod soname;
mod text;
mod unpack;
mod ustar;

use assemble_apk::{Format, Package};
use assemble_types::{Arch, Timestamp};

pub use base_db::{BaseDb, BaseDbError};
pub use database::DatabaseRecords;
pub use error::InstallError;
pub use jks::KeyStoreError;
pub use mutation_error::{MutationError, PemProblem, Unfit};
pub use mutations::{
    Accounts, Certificate, Mutations, NamedCertificate, NewGroup, NewUser, PathKind, PathMutation,
    RuntimeKey, Service,
};
pub use report::{InstallReport, ScriptNotRun};

use crate::apko_config::ApkoConfig;
use crate::tree::{PackageIndex, Tree};
use database::Written;
use report::Done;
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
    /// What the configuration wants changed: [`Mutations::of`] the same configuration.
    pub mutations: Mutations,
    /// The packages of the image that is built upon. They are in the database, and accounts are left alone.
    pub base: Option<&'a BaseDb>,
    /// The time for what is made for this build; without one, that of the newest package.
    pub source_date_epoch: Option<Timestamp>,
    /// The earliest time for what is made for this build, and that of the archive of scripts, where no time is fixed.
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
    /// The packages' records in the database.
    pub records: DatabaseRecords,
    /// What is worth telling.
    pub report: InstallReport,
}

/// Lays the packages down, then does what the configuration asks for. The numbers are the steps of apko's own order.
///
/// What is installed is what `world` and `config` say it is: nothing here asks whether they hold what was typed or
/// what was locked. A package whose name the base image has already must not be among `packages`.
pub fn install(input: &InstallInput<'_>) -> Result<Installed, InstallError> {
    let mut root = Root::new();
    let mut config = input.config.clone();
    let mutations = &input.mutations;
    skeleton::lay(&mut root, input)?;
    let placed = unpack::packages(&mut root, input.packages)?;
    let Written { records, installed } = database::write(&mut root, input, &placed)?;
    drop(placed);
    let version3 = input.packages.iter().any(|package| matches!(package.format, Format::V3));
    lib_apk::link(&mut root, &installed, version3)?;
    let epoch = database::build_date_epoch(input.source_date_epoch, input.build_date, &installed)?;
    // 1. Accounts.
    if input.base.is_none() {
        config.accounts.run_as = accounts::apply(&mut root, &mutations.accounts, &config.accounts.run_as)?;
    }
    // 2. The configuration.
    config::write(&mut root, &config)?;
    // 3. Changes to paths.
    paths::apply(&mut root, &mutations.paths)?;
    // 4. Certificates. 5. Checksums of their bundles.
    certificates::install(&mut root, mutations, &installed, epoch)?;
    sidecars::write(&mut root, epoch)?;
    // 6. Keys.
    keyring::install(&mut root, &mutations.runtime_keys, epoch)?;
    // 7. Services.
    services::write(&mut root, &mutations.services)?;
    // 8. Links to busybox.
    let busybox = busybox::link(&mut root, &installed, version3)?;
    // 9. Devices.
    skeleton::missing_devices(&mut root)?;
    // 10. The loader's cache.
    let loader_cache = ldconfig::write(&mut root)?;
    // 11. Where the running image gets packages from.
    skeleton::runtime_repositories(&mut root, &input.repositories)?;
    let done = Done { busybox, loader_cache };
    let report = report::of(&root, input, &done)?;
    let run_as = Some(config.accounts.run_as).filter(|run_as| !run_as.is_empty());
    root.tree.shrink();
    Ok(Installed { tree: root.tree, build_date_epoch: epoch, run_as, records, report })
}

fn index_of(index: usize) -> PackageIndex {
    PackageIndex(u32::try_from(index).unwrap_or(u32::MAX))
}
