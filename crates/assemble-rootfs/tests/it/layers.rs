//! Layers by origin: stacked, they are the tree.

use std::collections::{BTreeMap, BTreeSet};

use assemble_apk::{ContentSum, Entry, EntryKind, Package};
use assemble_rootfs::layering::{Split, group};
use assemble_rootfs::{InstallInput, Installed, TreeEntry, install};
use assemble_types::{Blob, ImagePath, Mode, Owner};
use proptest::prelude::*;

use crate::install::{input, package};
use crate::listing::{listing, listing_of};

/// One package of a case: origin, what it replaces, its size, its files below `a` to `d`.
#[derive(Debug, Clone)]
struct Made {
    origin: u8,
    replaces: Vec<u8>,
    size: u64,
    files: BTreeSet<Vec<u8>>,
    hard_link: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let path = proptest::collection::vec(0u8..4, 1..4);
    (
        0u8..4,
        proptest::collection::vec(0u8..8, 0..2),
        0u64..4,
        proptest::collection::btree_set(path, 0..6),
        any::<bool>(),
    )
        .prop_map(|(origin, replaces, size, files, hard_link)| Made {
            origin,
            replaces,
            size,
            files,
            hard_link,
        })
}

fn entry(path: &str, kind: EntryKind, mtime: i64, checksum: Option<ContentSum>) -> Entry {
    let mode = if matches!(kind, EntryKind::Directory) { Mode::DIRECTORY } else { Mode::FILE };
    Entry {
        path: ImagePath::parse(path).unwrap(),
        kind,
        mode,
        owner: Owner::ROOT,
        mtime,
        checksum,
        xattrs: None,
    }
}

/// Folders `usr/f0/f1`, in each a file of the package's own name.
fn packages(made: &[Made]) -> Vec<Package> {
    let one = |(index, made): (usize, &Made)| {
        let name = format!("p{index}");
        let mtime = 10 + i64::try_from(index).unwrap();
        let mut entries = Vec::new();
        let mut folders = BTreeSet::new();
        for file in &made.files {
            let mut folder = "usr".to_owned();
            for part in file {
                folder = format!("{folder}/f{part}");
                if folders.insert(folder.clone()) {
                    entries.push(entry(&folder, EntryKind::Directory, mtime, None));
                }
            }
            let path = format!("{folder}/{name}");
            let content = Blob::from_bytes(path.as_bytes());
            entries.push(entry(
                &path,
                EntryKind::File(content),
                mtime,
                Some(ContentSum::of(path.as_bytes())),
            ));
            if made.hard_link {
                let kind = EntryKind::HardLink {
                    target: ImagePath::parse(&path).unwrap(),
                    text: path.as_bytes().into(),
                };
                entries.push(entry(&format!("{path}-link"), kind, mtime, None));
            }
        }
        let mut package = package(&name, "1-r0", entries);
        package.info.origin = format!("o{}", made.origin);
        package.info.replaces = made.replaces.iter().map(|other| format!("p{other}")).collect();
        package.info.installed_size = made.size;
        package
    };
    made.iter().enumerate().map(one).collect()
}

/// What a runtime gets that unpacks the layers one after the other.
fn stacked(installed: &Installed, split: &Split<'_>) -> Result<Vec<String>, TestCaseError> {
    let mut root: BTreeMap<Vec<Vec<u8>>, String> = BTreeMap::new();
    for index in 0..split.len() {
        let entries = split.layer(index);
        let mut known: BTreeSet<ImagePath> = BTreeSet::from([ImagePath::root()]);
        for (entry, line) in entries.iter().zip(listing_of(&installed.tree, &entries)) {
            let path = &entry.path;
            prop_assert!(known.contains(&path.parent().unwrap()), "layer {index}: {path} has no folder");
            prop_assert!(known.insert(path.clone()), "layer {index}: {path} comes twice");
            if let Some(target) = entry.hard_link {
                prop_assert!(
                    known.contains(&ImagePath::parse(target).unwrap()),
                    "{path} links out of its layer"
                );
            }
            root.insert(path.components().map(<[u8]>::to_vec).collect(), line);
        }
    }
    Ok(root.into_values().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_stack_up_to_the_tree(made in proptest::collection::vec(made(), 1..8), budget in -1i64..8) {
        let packages = packages(&made);
        let installed = install(&InstallInput { ..input(&packages) }).unwrap();
        let groups = group(&packages, budget);
        let most = usize::try_from(budget).unwrap_or(0).max(1);
        prop_assert!((1..=most).contains(&groups.len()));
        let mut members: Vec<u32> = groups.iter().flatten().map(|index| index.0).collect();
        members.sort_unstable();
        prop_assert_eq!(members, (0..u32::try_from(packages.len()).unwrap()).collect::<Vec<_>>());
        let split = Split::of(&installed.tree, &groups, &installed.records);
        prop_assert_eq!(split.len(), groups.len() + 1);
        // Folders come before what follows them in the order of paths, so both orders are that of components.
        prop_assert_eq!(stacked(&installed, &split)?, listing(&installed.tree));
        // Every layer has the records of its own packages and no others.
        for (index, members) in groups.iter().enumerate() {
            let layer = split.layer(index);
            let is_database = |entry: &&TreeEntry<'_>| entry.path.as_bytes() == b"usr/lib/apk/db/installed";
            let database = layer.iter().find(is_database).unwrap();
            let assemble_rootfs::Body::File(blob) = &database.node.body else { panic!() };
            let want: Vec<u8> = members.iter().flat_map(|i| installed.records.get(*i).to_vec()).collect();
            prop_assert_eq!(blob.read_to_vec(1 << 20).unwrap(), want);
        }
    }
}

/// The members of groups, by name.
fn named(packages: &[Package], budget: i64) -> Vec<String> {
    let name = |index: &assemble_rootfs::PackageIndex| packages[index.0 as usize].info.name.to_string();
    group(packages, budget)
        .iter()
        .map(|members| members.iter().map(name).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn groups_go_by_origin_replacement_and_size() {
    let package = |name: &str, origin: &str, size: u64, replaces: &[&str]| {
        let mut package = package(name, "1.5-r0", Vec::new());
        package.info.origin = origin.into();
        package.info.installed_size = size;
        package.info.replaces = replaces.iter().map(|r| (*r).to_owned()).collect();
        package
    };
    let packages = [
        package("z", "zlib", 1, &[]),
        package("b", "app", 5, &[]),
        package("a", "app", 5, &["old>2", "none"]),
        package("old", "old", 10, &[]),
        package("new", "new", 3, &["older<2"]),
        package("older", "older", 1, &[]),
        package("e1", "", 1, &[]),
        package("e2", "", 0, &[]),
    ];
    // Of two groups of one size the one whose greatest name is less comes first.
    let all = ["a b", "old", "new older", "e1 e2", "z"];
    assert_eq!(named(&packages, 5), all);
    assert_eq!(named(&packages, 99), all);
    assert_eq!(named(&packages, 4), ["a b", "old", "new older", "e1 e2 z"]);
    assert_eq!(named(&packages, 2), ["a b", "e1 e2 new old older z"]);
    for budget in [1, 0, -7] {
        assert_eq!(named(&packages, budget), ["a b e1 e2 new old older z"]);
    }
    assert!(named(&[], 5).is_empty());
}
