//! What changed from one lock to the next, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use assemble_apk::{PackageName, Version};
use assemble_types::Arch;

use super::model::{Lock, LockedImage, LockedKey, LockedPackage};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another effective spec.
    Spec,
    /// Another codec, or other certificates or time zones, with both versions.
    MadeWith {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// The image gets or loses a key, by its name.
    Key {
        /// The key's name.
        name: String,
        /// Whether it is new or has other bytes now; otherwise it is gone.
        there: bool,
    },
    /// A package comes, goes, or has another version or other bytes.
    Package {
        /// Architectures with this very change.
        archs: Vec<Arch>,
        /// Its name.
        name: PackageName,
        /// The version before, if it was there.
        from: Option<Version>,
        /// The version after, if it is there.
        to: Option<Version>,
    },
    /// The same packages are installed in another order.
    Order {
        /// The architecture.
        arch: Arch,
    },
    /// An architecture is new or gone.
    Arch {
        /// The architecture.
        arch: Arch,
        /// Whether it is new.
        there: bool,
    },
}

/// All changes, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// The changes.
    pub changes: Vec<Change>,
}

impl Difference {
    /// What changed from `old` to `new`. Indexes and learnt layers are information and do not count.
    pub fn between(old: &Lock, new: &Lock) -> Self {
        let mut changes = Vec::new();
        if old.spec.digest != new.spec.digest {
            changes.push(Change::Spec);
        }
        let made = |lock: &Lock| {
            let made = &lock.made_with;
            let parts = [
                Some(made.codec.clone()),
                made.certificates.as_ref().map(|v| format!("certificates {v}")),
                made.time_zones.as_ref().map(|v| format!("time zones {v}")),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        if old.made_with != new.made_with {
            changes.push(Change::MadeWith { from: made(old), to: made(new) });
        }
        keys(old, new, &mut changes);
        packages(old, new, &mut changes);
        Self { changes }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes of packages.
    pub fn packages(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| matches!(change, Change::Package { .. }))
    }
}

fn keys(old: &Lock, new: &Lock, changes: &mut Vec<Change>) {
    let set = |lock: &Lock| -> BTreeSet<(String, Vec<u8>)> {
        let entry = |key: &LockedKey| (key.key.name().to_owned(), key.key.pem().to_vec());
        lock.keys.iter().map(entry).collect()
    };
    let (before, after) = (set(old), set(new));
    for key in &before {
        if !after.contains(key) && !after.iter().any(|(name, _)| *name == key.0) {
            changes.push(Change::Key { name: key.0.clone(), there: false });
        }
    }
    for key in &after {
        if !before.contains(key) {
            changes.push(Change::Key { name: key.0.clone(), there: true });
        }
    }
}

/// Name and both versions as text, for sorting.
type Move = (PackageName, Option<String>, Option<String>);
/// Changes of packages and the architectures that have them.
type Moves = BTreeMap<Move, (Vec<Arch>, [Option<Version>; 2])>;

fn packages(old: &Lock, new: &Lock, changes: &mut Vec<Change>) {
    let mut moves = Moves::new();
    let mut archs: Vec<Arch> = old.images.iter().chain(&new.images).map(|image| image.arch).collect();
    archs.sort_by_key(|arch| arch.apk());
    archs.dedup();
    for arch in archs {
        let (Some(before), Some(after)) = (old.image(arch), new.image(arch)) else {
            changes.push(Change::Arch { arch, there: new.image(arch).is_some() });
            continue;
        };
        let order = |image: &'_ LockedImage| -> Vec<PackageName> {
            image.packages.iter().map(|package| package.name.clone()).collect()
        };
        if !moves_of(before, after, &mut moves) && order(before) != order(after) {
            changes.push(Change::Order { arch });
        }
    }
    changes.extend(moves.into_iter().map(|((name, ..), (archs, [from, to]))| Change::Package {
        archs,
        name,
        from,
        to,
    }));
}

/// Adds what changed for one architecture; whether anything did.
fn moves_of(before: &LockedImage, after: &LockedImage, moves: &mut Moves) -> bool {
    let by_name = |image: &'_ LockedImage| -> BTreeMap<PackageName, LockedPackage> {
        image.packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (from, to) = (by_name(before), by_name(after));
    let names: BTreeSet<&PackageName> = from.keys().chain(to.keys()).collect();
    let mut moved = false;
    for name in names {
        let (from, to) = (from.get(name), to.get(name));
        let same = |a: &LockedPackage, b: &LockedPackage| a.version == b.version && a.hashes == b.hashes;
        if from.zip(to).is_some_and(|(a, b)| same(a, b)) {
            continue;
        }
        let version = |package: Option<&LockedPackage>| package.map(|package| package.version.clone());
        let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
        let (from, to) = (version(from), version(to));
        let key = (name.clone(), text(&from), text(&to));
        moves.entry(key).or_insert_with(|| (Vec::new(), [from, to])).0.push(before.arch);
        moved = true;
    }
    moved
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("the spec is another one"),
            Self::MadeWith { from, to } => write!(f, "made with: {from} -> {to}"),
            Self::Key { name, there: true } => write!(f, "key {name}: new"),
            Self::Key { name, there: false } => write!(f, "key {name}: gone"),
            Self::Order { arch } => write!(f, "{}: another order of installation", arch.apk()),
            Self::Arch { arch, there: true } => write!(f, "{}: new", arch.apk()),
            Self::Arch { arch, there: false } => write!(f, "{}: gone", arch.apk()),
            Self::Package { archs, name, from, to } => {
                let archs: Vec<&str> = archs.iter().map(|arch| arch.apk()).collect();
                let archs = archs.join(", ");
                match (from, to) {
                    (Some(from), Some(to)) if from == to => write!(f, "{name} {to}: other bytes ({archs})"),
                    (Some(from), Some(to)) => write!(f, "{name} {from} -> {to} ({archs})"),
                    (None, Some(to)) => write!(f, "{name} {to}: new ({archs})"),
                    (Some(from), None) => write!(f, "{name} {from}: gone ({archs})"),
                    (None, None) => write!(f, "{name} ({archs})"),
                }
            }
        }
    }
}
