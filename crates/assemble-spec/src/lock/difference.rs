//! What changed from one lock to the next, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use assemble_apk::{Checksum, PackageName, Version};
use assemble_types::{Arch, Digest};

use super::model::{Lock, MadeWith};

/// What counts of a lock when it is compared: also what a lock would say whose packages were chosen, but not fetched.
/// Indexes and learnt layers are information and not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Digest of the effective spec.
    pub spec: Digest,
    /// Versions of what comes from the program.
    pub made_with: MadeWith,
    /// Names and bytes of the keys.
    pub keys: BTreeSet<(String, Vec<u8>)>,
    /// The packages of each architecture in order of installation.
    pub images: BTreeMap<Arch, Vec<OutlinePackage>>,
}

/// A package as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlinePackage {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// The index's checksum.
    pub checksum: Checksum,
}

impl Lock {
    /// What counts when this lock is compared with another.
    pub fn outline(&self) -> Outline {
        let image = |packages: &[super::LockedPackage]| -> Vec<OutlinePackage> {
            let one = |package: &super::LockedPackage| OutlinePackage {
                name: package.name.clone(),
                version: package.version.clone(),
                checksum: package.hashes.checksum(),
            };
            packages.iter().map(one).collect()
        };
        Outline {
            spec: self.spec.digest,
            made_with: self.made_with.clone(),
            keys: self.keys.iter().map(|key| (key.key.name().to_owned(), key.key.pem().to_vec())).collect(),
            images: self.images.iter().map(|locked| (locked.arch, image(&locked.packages))).collect(),
        }
    }
}

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
    /// What changed from `old` to `new`.
    pub fn between(old: &Outline, new: &Outline) -> Self {
        let mut changes = Vec::new();
        if old.spec != new.spec {
            changes.push(Change::Spec);
        }
        if old.made_with != new.made_with {
            changes.push(Change::MadeWith { from: told(&old.made_with), to: told(&new.made_with) });
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

    /// What is to be said of packages that are older than before, if there are any.
    pub fn warning(&self) -> Option<String> {
        let is_older = |change: &&Change| {
            matches!(change, Change::Package { from: Some(from), to: Some(to), .. }
                if to.compare_as_apk(from).is_lt())
        };
        let older: Vec<_> = self.changes.iter().filter(is_older).map(ToString::to_string).collect();
        let first = older.first()?;
        let more = if older.len() > 1 { format!(", and {} more", older.len() - 1) } else { String::new() };
        Some(format!(
            "packages become older: {first}{more}; the indexes have nothing newer that fits, so they may be old ones"
        ))
    }
}

/// On one line.
fn told(made: &MadeWith) -> String {
    let parts = [
        Some(made.codec.clone()),
        made.certificates.as_ref().map(|version| format!("certificates {version}")),
        made.time_zones.as_ref().map(|version| format!("time zones {version}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn keys(old: &Outline, new: &Outline, changes: &mut Vec<Change>) {
    let named = |keys: &BTreeSet<(String, Vec<u8>)>, name: &str| keys.iter().any(|(other, _)| other == name);
    for (name, _) in old.keys.iter().filter(|(name, _)| !named(&new.keys, name)) {
        changes.push(Change::Key { name: name.clone(), there: false });
    }
    for (name, _) in new.keys.difference(&old.keys) {
        changes.push(Change::Key { name: name.clone(), there: true });
    }
}

/// Name and both versions as text, for sorting.
type Move = (PackageName, Option<String>, Option<String>);
/// Changes of packages and the architectures that have them.
type Moves = BTreeMap<Move, (Vec<Arch>, [Option<Version>; 2])>;

fn packages(old: &Outline, new: &Outline, changes: &mut Vec<Change>) {
    let mut moves = Moves::new();
    let mut archs: Vec<Arch> = old.images.keys().chain(new.images.keys()).copied().collect();
    archs.sort_by_key(|arch| arch.apk());
    archs.dedup();
    for arch in archs {
        let (Some(before), Some(after)) = (old.images.get(&arch), new.images.get(&arch)) else {
            changes.push(Change::Arch { arch, there: new.images.contains_key(&arch) });
            continue;
        };
        let order = |packages: &'_ [OutlinePackage]| -> Vec<PackageName> {
            packages.iter().map(|package| package.name.clone()).collect()
        };
        if !moves_of(arch, before, after, &mut moves) && order(before) != order(after) {
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
fn moves_of(arch: Arch, before: &[OutlinePackage], after: &[OutlinePackage], moves: &mut Moves) -> bool {
    let by_name = |packages: &'_ [OutlinePackage]| -> BTreeMap<PackageName, OutlinePackage> {
        packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (from, to) = (by_name(before), by_name(after));
    let names: BTreeSet<&PackageName> = from.keys().chain(to.keys()).collect();
    let mut moved = false;
    for name in names {
        let (from, to) = (from.get(name), to.get(name));
        if from == to {
            continue;
        }
        let version = |package: Option<&OutlinePackage>| package.map(|package| package.version.clone());
        let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
        let (from, to) = (version(from), version(to));
        let key = (name.clone(), text(&from), text(&to));
        moves.entry(key).or_insert_with(|| (Vec::new(), [from, to])).0.push(arch);
        moved = true;
    }
    moved
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec => f.write_str("the spec has changed"),
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
