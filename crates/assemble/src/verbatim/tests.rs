//! Whatever the packages are: their layers, stacked, are the tree that one layer makes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use assemble_apk::Trust;
use assemble_fetch::{FetchOptions, Fetcher, Http, HttpOptions};
use assemble_layer::{EntryKind, read_layer};
use assemble_rootfs::{Body, NodeId, Tree};
use assemble_testkit::{ApkBuilder, RepositoryBuilder};
use assemble_types::{Blob, ImagePath, MemorySpool, Observer};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::build::{Built, Env, build};
use crate::merged::Merged;
use crate::plan::{BuildOptions, StartCheck};
use crate::spec_file::SpecFile;

#[derive(Debug)]
struct Nobody;

impl Observer for Nobody {
    fn event(&self, _: assemble_types::Event) {}
}

fn env(threads: usize) -> Env {
    let observer = Arc::new(Nobody);
    let http = Arc::new(Http::new(HttpOptions::default()).unwrap());
    let options = FetchOptions {
        cache_dir: None,
        offline: true,
        http,
        observer: Arc::clone(&observer) as Arc<dyn Observer>,
    };
    let fetcher = Arc::new(Fetcher::new(options).unwrap());
    Env { fetcher, observer, threads: NonZeroUsize::new(threads).unwrap(), cache_plain: false, program: None }
}

/// One entry of a package, in a world of few names, so that packages meet.
#[derive(Debug, Clone)]
enum Item {
    Folder {
        path: usize,
        mode: u32,
        time: i64,
    },
    File {
        path: usize,
        name: u8,
        content: u8,
        time: i64,
        owner: u64,
        xattr: bool,
    },
    Link {
        path: usize,
        name: u8,
        to: usize,
        time: i64,
    },
    /// Another name of the file before it.
    Hard {
        name: u8,
    },
}

/// `linked` is a folder in some packages and a link in others.
const FOLDERS: [&str; 6] = ["usr/a", "usr/a/b", "usr/c", "etc", "linked", "usr/linked/d"];

fn item() -> impl Strategy<Value = Item> {
    let path = 0..FOLDERS.len();
    let mode = prop_oneof![8 => Just(0o755u32), 2 => Just(0o700), 1 => Just(0o2755)];
    let owner = prop_oneof![15 => Just(0u64), 1 => Just(5)];
    prop_oneof![
        3 => (path.clone(), mode, 1i64..3).prop_map(|(path, mode, time)| Item::Folder { path, mode, time }),
        8 => (path.clone(), 0u8..4, 0u8..4, 1i64..3, owner, prop::bool::weighted(0.1)).prop_map(
            |(path, name, content, time, owner, xattr)| Item::File { path, name, content, time, owner, xattr }
        ),
        2 => (path.clone(), 0u8..4, path, 1i64..3)
            .prop_map(|(path, name, to, time)| Item::Link { path, name, to, time }),
        2 => (0u8..6).prop_map(|name| Item::Hard { name }),
    ]
}

#[derive(Debug, Clone)]
struct Made {
    items: Vec<Item>,
    replaces: Vec<u8>,
    origin: u8,
    list_folders: bool,
    link: bool,
}

fn made() -> impl Strategy<Value = Made> {
    (
        prop::collection::vec(item(), 0..6),
        prop::collection::vec(0u8..5, 0..2),
        0u8..2,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(items, replaces, origin, list_folders, link)| Made {
            items,
            replaces,
            origin,
            list_folders,
            link,
        })
}

/// Bytes of a file: few, or so many that the top layer does not take them.
fn size(content: u8) -> usize {
    if content < 2 { usize::from(content) } else { 20_000 + usize::from(content) }
}

fn apk(number: usize, made: &Made) -> ApkBuilder {
    let mut apk =
        ApkBuilder::new(&format!("p{number}"), "1-r0").signed_by(None).origin(&format!("o{}", made.origin));
    for other in &made.replaces {
        apk = apk.replaces(&format!("p{other}"));
    }
    if made.link {
        apk = apk.symlink("linked", "usr/c");
    }
    let mut listed = BTreeSet::new();
    let mut last = None;
    for item in &made.items {
        if let Item::Folder { path, .. } | Item::File { path, .. } | Item::Link { path, .. } = item
            && made.list_folders
        {
            let text = FOLDERS[*path];
            for (end, _) in text.match_indices('/').chain([(text.len(), "")]) {
                if listed.insert(&text[..end]) && !matches!(item, Item::Folder { .. } if end == text.len()) {
                    apk = apk.dir(&text[..end]).mtime(3);
                }
            }
        }
        apk = match *item {
            Item::Folder { path, mode, time } => apk.dir(FOLDERS[path]).mode(mode).mtime(time),
            Item::File { path, name, content, time, owner, xattr } => {
                let at = format!("{}/f{name}", FOLDERS[path]);
                let apk = apk.file(&at, vec![b'x'; size(content)]).mtime(time).owner(owner, owner);
                last = Some((at, time));
                if xattr { apk.xattr("user.x", b"1") } else { apk }
            }
            Item::Link { path, name, to, time } => {
                apk.symlink(&format!("{}/f{name}", FOLDERS[path]), &format!("/{}", FOLDERS[to])).mtime(time)
            }
            Item::Hard { name } => match &last {
                Some((at, time)) => {
                    let folder = at.rsplit_once('/').unwrap().0;
                    // Of more than five names, the others do not look like the file.
                    let time = if name < 5 { *time } else { time + 1 };
                    apk.hardlink(&format!("{folder}/f{name}"), at).mode(0o644).mtime(time)
                }
                None => apk,
            },
        };
    }
    apk
}

/// Builds the spec in a folder, with these lines at its end.
fn built(folder: &Path, packages: usize, more: &str, threads: usize) -> Result<Built, String> {
    let names: Vec<String> = (0..packages).map(|number| format!("p{number}")).collect();
    let text = format!(
        "contents:\n  repositories: [./r]\n  packages: [{}]\narchs: [x86_64]\n{more}",
        names.join(", ")
    );
    let path = folder.join("spec.yaml");
    std::fs::write(&path, text).unwrap();
    let file = SpecFile::load(Some(&path)).unwrap();
    let options = BuildOptions {
        start_check: StartCheck::Off,
        trust: Trust::AllowUntrusted,
        ..BuildOptions::default()
    };
    build(&file, &options, &env(threads)).map_err(|error| error.to_string())
}

fn blobs(built: &Built) -> Vec<Blob> {
    built.images[0].layers.iter().map(|built| built.layer.blob.clone()).collect()
}

/// One line a name, and which names are one file.
fn listing(tree: &Tree) -> (Vec<String>, BTreeSet<Vec<String>>) {
    let mut files: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in tree.entries() {
        let path = entry.path.to_string();
        let body = match &entry.node.body {
            Body::Directory(_) => "folder".to_owned(),
            Body::File(blob) => {
                files.entry(entry.id).or_default().push(path.clone());
                format!("file {:?}", assemble_types::Digest::of(&blob.read_to_vec(1 << 24).unwrap()))
            }
            Body::Symlink(text) => format!("link {}", String::from_utf8_lossy(text)),
            Body::CharDevice { major, minor } => format!("device {major},{minor}"),
        };
        let xattrs = entry.node.xattrs.as_deref().filter(|all| !all.is_empty());
        lines.push(format!("{path} {:?} {body} {xattrs:?}", entry.node.meta));
    }
    (lines, files.into_values().filter(|names| names.len() > 1).collect())
}

/// Some runtimes unpack each layer into a folder of its own: links must lead to what is there, and of our own layers
/// each folder must be listed, and nothing twice.
fn stands_alone(layer: &Blob, own: bool) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::from([ImagePath::root()]);
    let mut reader = read_layer(layer).unwrap();
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.kind == EntryKind::HardLink {
            prop_assert!(seen.contains(&ImagePath::parse(&entry.link).unwrap()), "{} leads out", entry.path);
        }
        prop_assert!(!own || seen.contains(&entry.path.parent().unwrap()), "{} has no folder", entry.path);
        prop_assert!(seen.insert(entry.path.clone()), "{} comes twice", entry.path);
    }
    Ok(())
}

fn check(packages: &[Made], budget: usize, more: &str, seen: &Seen) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let repository = packages
        .iter()
        .enumerate()
        .fold(RepositoryBuilder::new().signed_by(None), |r, (number, made)| r.package(apk(number, made)));
    repository.write(&folder.path().join("r"), "x86_64");
    let one = built(folder.path(), packages.len(), more, 1);
    let layering = format!("{more}layering: {{strategy: package, budget: {budget}}}\n");
    let many = built(folder.path(), packages.len(), &layering, 1);
    let (Ok(one), many) = (one, many) else { return Ok(()) };
    let many = many.map_err(TestCaseError::fail)?;
    let layers = blobs(&many);
    let tree = |layers: &[Blob]| Merged::tree(layers, &MemorySpool).map(|(tree, _)| listing(&tree)).unwrap();
    let (want, found) = (tree(&blobs(&one)), tree(&layers));
    prop_assert_eq!(want, found);
    let built = &many.images[0];
    let report = built.contents.verbatim.as_ref().unwrap();
    let of_packages = built.layers.iter().filter(|layer| layer.verbatim).count();
    prop_assert_eq!(report.verbatim, of_packages);
    seen.built.set(seen.built.get() + 1);
    seen.verbatim.set(seen.verbatim.get() + report.verbatim);
    seen.rewritten.set(seen.rewritten.get() + report.rewritten.len());
    prop_assert_eq!(report.packages, report.verbatim + report.rewritten.len());
    prop_assert!(of_packages + usize::from(!report.rewritten.is_empty()) <= budget.max(1));
    for layer in &built.layers {
        stands_alone(&layer.layer.blob, !layer.verbatim)?;
        let bytes = layer.layer.blob.read_to_vec(1 << 24).unwrap();
        prop_assert_eq!(assemble_types::Digest::of(&bytes), layer.layer.digest);
        let (diff_id, size) = assemble_layer::diff_id(&layer.layer.blob).unwrap();
        prop_assert_eq!((diff_id, size), (layer.layer.diff_id, layer.layer.uncompressed_size));
    }
    Ok(())
}

/// How many cases could be built, and how many of their packages are layers as they are, are not, in all.
#[derive(Debug, Default)]
struct Seen {
    built: Cell<usize>,
    verbatim: Cell<usize>,
    rewritten: Cell<usize>,
}

#[test]
fn layers_of_packages_stack_up_to_the_tree() {
    let seen = Seen::default();
    let cases = (prop::collection::vec(made(), 1..5), 1usize..6, 0..4);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(192));
    let run = |(packages, budget, change): (Vec<Made>, usize, i32)| {
        let more = match change {
            0 => "accounts: {users: [{username: u, uid: 1000}]}\n",
            1 => {
                "paths: [{path: /usr/a, type: permissions, permissions: 0o711, uid: 3, recursive: true}, \
                  {path: /etc/new, type: directory, permissions: 0o755}]\n"
            }
            _ => "",
        };
        check(&packages, budget, more, &seen)
    };
    runner.run(&cases, run).unwrap_or_else(|error| panic!("{error}"));
    // What says nothing is not what was meant.
    assert!(seen.built.get() >= 60 && seen.verbatim.get() >= 40 && seen.rewritten.get() >= 40, "{seen:?}");
}

fn plain(items: Vec<Item>) -> Made {
    Made { items, replaces: Vec::new(), origin: 0, list_folders: true, link: false }
}

fn file(path: usize, name: u8, content: u8) -> Item {
    Item::File { path, name, content, time: 1, owner: 0, xattr: false }
}

/// Packages, and why each is packed anew; an empty text where it is not.
fn reasons(packages: &[Made], more: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let repository = packages
        .iter()
        .enumerate()
        .fold(RepositoryBuilder::new().signed_by(None), |r, (number, made)| r.package(apk(number, made)));
    repository.write(&folder.path().join("r"), "x86_64");
    let more = format!("{more}layering: {{strategy: package}}\n");
    let built = built(folder.path(), packages.len(), &more, 1).unwrap();
    let rewritten = built.images[0].contents.verbatim.clone().unwrap().rewritten;
    let of = |number| {
        let id = format!("p{number}-1-r0");
        rewritten.iter().find(|one| one.package == id).map_or_else(String::new, |one| one.reason.clone())
    };
    (0..packages.len()).map(of).collect()
}

#[test]
fn every_reason_is_found() {
    let owned = Item::File { path: 0, name: 1, content: 1, time: 1, owner: 5, xattr: false };
    let late = Item::File { path: 2, name: 0, content: 2, time: 2, owner: 0, xattr: false };
    let found = reasons(
        &[
            plain(vec![file(2, 0, 2), Item::Hard { name: 1 }]),
            plain(vec![Item::Folder { path: 3, mode: 0o2755, time: 1 }]),
            plain(vec![late]),
            plain(vec![owned]),
            plain(vec![file(1, 0, 1), file(1, 0, 0)]),
            Made { link: true, ..plain(vec![]) },
            plain(vec![file(5, 0, 2), Item::Hard { name: 5 }]),
        ],
        "",
    );
    assert_eq!(
        found,
        [
            "",
            "the folder /etc has the mode 2755, and the image's folders have no set-id or sticky bits",
            "much of it is another package's in the image, which is installed earlier, /usr/c/f0 for one",
            "/usr/a/f1 belongs to 5:5 in it, and to root in the image",
            "it lists a path twice",
            "",
            "the hard link /usr/linked/d/f5 leads to another file in the image, or not to an earlier one of the package with its mode and time",
        ]
    );
    let linked =
        reasons(&[Made { link: true, ..plain(vec![file(2, 3, 0)]) }, plain(vec![file(4, 1, 1)])], "");
    assert_eq!(linked, ["", "/linked is a folder in one and none in the other of package and image"]);
    let unlisted = Made { list_folders: false, ..plain(vec![file(4, 1, 1)]) };
    let through = reasons(&[Made { link: true, ..plain(vec![file(2, 3, 0)]) }, unlisted], "");
    assert_eq!(through, ["", "/linked/f1 leads through a symbolic link of the image"]);
}

#[test]
fn a_file_of_an_earlier_package_is_put_right_above() {
    // Of two files with the same content the earlier one stays, and with it its time.
    let late =
        |content| plain(vec![Item::File { path: 2, name: 0, content, time: 2, owner: 0, xattr: false }]);
    // By the top layer, if it is small.
    assert_eq!(reasons(&[plain(vec![file(2, 0, 1)]), late(1)], ""), ["", ""]);
    // By the layer of what is packed anew, whatever its size.
    let owned = Item::File { path: 2, name: 0, content: 2, time: 1, owner: 5, xattr: false };
    let found = reasons(&[plain(vec![owned]), late(2)], "");
    assert_eq!(found, ["/usr/c/f0 belongs to 5:5 in it, and to root in the image", ""]);
}

#[test]
fn a_layer_never_links_to_what_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| ApkBuilder::new(name, "1-r0").signed_by(None).dir("usr");
    let link = of("p1").hardlink("usr/link", "usr/file");
    let repository = RepositoryBuilder::new().signed_by(None).package(of("p0").file("usr/file", *b"x"));
    let repository = repository.package(link).package(of("p2").replaces("p1").file("usr/link", *b"y"));
    repository.write(&folder.path().join("r"), "x86_64");
    let built = built(folder.path(), 3, "layering: {strategy: package}\n", 1).unwrap();
    for layer in &built.images[0].layers {
        stands_alone(&layer.layer.blob, !layer.verbatim).unwrap();
    }
    assert_eq!(built.images[0].contents.verbatim.as_ref().unwrap().rewritten.len(), 1);
}

#[test]
fn the_largest_packages_stay_within_the_budget_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let random =
        |len: usize| (0..len).map(|i| u8::try_from(i * i * 31 / 7 % 251).unwrap()).collect::<Vec<_>>();
    let mut repository = RepositoryBuilder::new().signed_by(None);
    for (number, size) in [10, 5000, 200, 900_000].into_iter().enumerate() {
        let apk = ApkBuilder::new(&format!("p{number}"), "1-r0").signed_by(None);
        repository = repository.package(apk.dir("usr").file(&format!("usr/f{number}"), random(size)));
    }
    repository.write(&folder.path().join("r"), "x86_64");
    let digest = |threads| {
        let built = built(folder.path(), 4, "layering: {strategy: package, budget: 3}\n", threads).unwrap();
        let names: Vec<String> = built.images[0].layers.iter().map(super::BuiltLayer::created_by).collect();
        assert_eq!(
            names[..2],
            ["assemble: package p1-1-r0 (as packed)", "assemble: package p3-1-r0 (as packed)"]
        );
        assert!(names[2].starts_with("assemble: 2 packages ("), "{names:?}");
        assert!(names[3].starts_with("assemble: system files ("), "{names:?}");
        built.set.digest()
    };
    let first = digest(1);
    for threads in [2, 3, 8] {
        assert_eq!(digest(threads), first);
    }
}
