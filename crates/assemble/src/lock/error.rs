//! What can be wrong with a lock, or with what it is held against.

use assemble_types::{Explain, Kind};

/// A lock, or a folder made from one, cannot be used as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// `--locked` without a lock.
    #[error("{spec} has no lock: {path} does not exist")]
    Missing {
        /// Where it was looked for.
        path: String,
        /// The spec.
        spec: String,
    },
    /// A lock that was named is not there.
    #[error("{0} does not exist")]
    NoLock(String),
    /// `--locked`, and the lock is not the spec's any more.
    #[error("{path} does not fit: {}", differences.join("; "))]
    Drift {
        /// The lock.
        path: String,
        /// What does not fit, and which packages would be others.
        differences: Vec<String>,
        /// Whether the build could make it fit itself, were it not for `--locked`.
        asked: bool,
    },
    /// `--locked`, and the layers are others than those that the lock knows.
    #[error("the layers for {platform} are not those that {path} knows")]
    OtherLayers {
        /// The lock.
        path: String,
        /// The platform.
        platform: String,
    },
    /// A lock was made with `--allow-untrusted`, and this build does not say so.
    #[error("{path}: no signature vouched for the packages of {repository} when they were locked")]
    Untrusted {
        /// The lock.
        path: String,
        /// The repository.
        repository: String,
    },
    /// A package file is not the one that was locked.
    #[error("{package} is not the file that {lock} names: expected {what} {expected}, found {found}")]
    OtherPackage {
        /// The package, as `name-version`.
        package: String,
        /// The package's name alone.
        name: String,
        /// The lock.
        lock: String,
        /// What of it: a section, or its size.
        what: &'static str,
        /// As locked.
        expected: String,
        /// As found.
        found: String,
    },
    /// What a lock says of a package does not fit together.
    #[error("{lock}: what it says of {package} is not true of any file")]
    Contradiction {
        /// The package.
        package: String,
        /// The lock.
        lock: String,
    },
    /// A spec without packages was to be locked.
    #[error("{0} installs no packages, so there is nothing to lock")]
    NoPackages(String),
    /// `update` with names, and there is no lock.
    #[error("{0} does not exist, so nothing in it can be updated")]
    NothingToUpdate(String),
    /// `update` of a package that is not locked.
    #[error("{path} locks no package named `{name}`")]
    NotLocked {
        /// The lock.
        path: String,
        /// As typed.
        name: String,
        /// Locked names that are alike.
        alike: Vec<String>,
    },
    /// A folder was named as a vendored one.
    #[error("{path}: {why}")]
    NotVendored {
        /// Its map.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl Explain for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::NoLock(_) => "lock/missing-file",
            Self::Drift { .. } => "lock/drift",
            Self::OtherLayers { .. } => "lock/layers",
            Self::Untrusted { .. } => "lock/untrusted",
            Self::OtherPackage { .. } => "lock/other-package",
            Self::Contradiction { .. } => "lock/contradiction",
            Self::NoPackages(_) => "lock/no-packages",
            Self::NothingToUpdate(_) => "lock/nothing",
            Self::NotLocked { .. } => "lock/not-locked",
            Self::NotVendored { .. } => "vendor/map",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Drift { .. } | Self::OtherLayers { .. } => Kind::Mismatch,
            Self::Untrusted { .. } | Self::OtherPackage { .. } | Self::Contradiction { .. } => {
                Kind::Integrity
            }
            Self::NotLocked { .. } => Kind::Usage,
            _ => Kind::Spec,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { spec, .. } => vec![format!("make it: assemble lock {spec}")],
            Self::NoLock(_) => vec!["check the spelling of the path".into()],
            Self::Drift { path, asked, .. } => {
                let fit =
                    format!("make it fit, keeping what still does: assemble lock {}", spec_beside(path));
                let without = || "or leave --locked out: the build then does so itself".to_owned();
                std::iter::once(fit).chain(asked.then(without)).collect()
            }
            Self::OtherLayers { path, .. } => vec![
                "a file that the spec names was changed, or assemble has a bug: assemble verify".into(),
                format!("if it is meant: assemble build {}", spec_beside(path)),
            ],
            Self::Untrusted { .. } => vec![
                "take them all the same: --allow-untrusted".into(),
                "or sign the index, and make the lock anew".into(),
            ],
            Self::OtherPackage { name, lock, .. } => vec![
                "the mirror has put another file in its place; nothing of it was used".into(),
                format!(
                    "take what the signed index vouches for now: assemble update {name} --spec {}",
                    spec_beside(lock)
                ),
            ],
            Self::Contradiction { lock, .. } => {
                vec![format!("it was edited; make it anew: rm {lock}; assemble lock {}", spec_beside(lock))]
            }
            Self::NoPackages(_) => vec!["a spec without packages builds the same without a lock".into()],
            Self::NothingToUpdate(path) => vec![format!("make it: assemble lock {}", spec_beside(path))],
            Self::NotLocked { alike, path, .. } if alike.is_empty() => {
                vec![format!("see what is there: assemble packages {}", spec_beside(path))]
            }
            Self::NotLocked { alike, .. } => alike.iter().map(|name| format!("there is {name}")).collect(),
            Self::NotVendored { .. } => vec!["make the folder: assemble vendor SPEC -o DIR".into()],
        }
    }
}

/// The spec that a lock lies beside.
pub(crate) fn spec_beside(lock: &str) -> String {
    format!("{}.yaml", lock.strip_suffix(".lock").unwrap_or(lock))
}
