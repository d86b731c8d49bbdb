//! The whole way, from the bytes of a package to a layer, and back.

use std::num::NonZeroUsize;

use assemble_apk::{Package, PackageInfo, installed_db, open_package};
use assemble_layer::{AccountNames, Compression, EntryKind, Layer, pack, read_file, read_layer};
use assemble_rootfs::{ApkoConfig, Body, InstallInput, Mutations, Part, Tree, TreeEntry, install};
use assemble_types::{Arch, Blob, ImagePath, MemorySpool, Mode, Timestamp};

use crate::package::{LIMITS, expected, sound};
use crate::wrap;

/// The text of `.PKGINFO`, a line of three dashes, and the plain tar of the data section.
pub(crate) fn to_layer(input: &[u8]) {
    const LINE: &[u8] = b"\n---\n";
    let at = input.windows(LINE.len()).position(|window| window == LINE);
    let (text, tar) = at.map_or((input, &[][..]), |at| (&input[..at], &input[at + LINE.len()..]));
    let wrapped = wrap::package(text, tar);
    let Ok((info, _)) = PackageInfo::parse(&wrapped.info) else { return };
    let promised = expected(&info, wrapped.checksum);
    let opened = open_package(&Blob::from_bytes(wrapped.bytes), &promised, &LIMITS, &MemorySpool);
    let Some(package) = sound(opened) else { return };
    let packages = [package];
    let installed = match install(&input_of(&packages)) {
        Ok(installed) => installed,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    };
    let Ok(names) = AccountNames::from_tree(&installed.tree) else { return };
    let entries = installed.tree.layer(Part::Packages);
    let one = NonZeroUsize::MIN;
    let layer = match pack(&entries, &names, Compression::Gzip, one, &MemorySpool) {
        Ok(layer) => layer,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    };
    reads_back(&layer, &entries);
    lists_the_package(&layer, &installed.tree, &packages[0]);
}

fn input_of(packages: &[Package]) -> InstallInput<'_> {
    InstallInput {
        arch: Arch::X86_64,
        packages,
        world: vec!["a=1".into()],
        build_repositories: Vec::new(),
        repositories: Vec::new(),
        keys: Vec::new(),
        config: ApkoConfig::default(),
        mutations: Mutations::default(),
        base: None,
        source_date_epoch: Some(Timestamp::default()),
        build_date: None,
    }
}

/// The layer is the tree.
fn reads_back(layer: &Layer, entries: &[TreeEntry<'_>]) {
    let mut reader = read_layer(&layer.blob).expect("our own layer");
    for entry in entries {
        let found = reader.next_entry().expect("our own layer").expect("no fewer entries than the tree has");
        let path = &entry.path;
        assert_eq!(&found.path, path);
        for part in path.components() {
            assert!(part != b".." && !part.starts_with(b".wh.") && part.len() <= 255, "{path}");
        }
        if entry.hard_link.is_some() {
            assert_eq!(found.kind, EntryKind::HardLink, "{path}");
            continue;
        }
        let meta = &entry.node.meta;
        let mode = if matches!(entry.node.body, Body::Symlink(_)) { Mode::SYMLINK } else { meta.mode };
        assert_eq!((found.mode, found.mtime), (mode, meta.mtime), "{path}");
        assert_eq!((found.uid, found.gid), (u64::from(meta.owner.uid), u64::from(meta.owner.gid)), "{path}");
        assert_eq!(found.xattrs, entry.node.xattrs.as_deref().cloned().unwrap_or_default(), "{path}");
        match &entry.node.body {
            Body::Directory(_) => assert_eq!(found.kind, EntryKind::Directory, "{path}"),
            Body::Symlink(text) => assert_eq!(found.link.as_slice(), &**text, "{path}"),
            Body::CharDevice { major, minor } => assert_eq!(found.device, Some((*major, *minor)), "{path}"),
            Body::File(blob) => {
                let content = reader.content(1 << 24).expect("our own layer");
                assert_eq!(content, blob.read_to_vec(1 << 24).expect("in memory"), "{path}");
            }
        }
    }
    assert!(reader.next_entry().expect("our own layer").is_none(), "more entries than the tree has");
}

/// The database has one record, and that is the package's.
fn lists_the_package(layer: &Layer, tree: &Tree, package: &Package) {
    let path = ImagePath::parse("usr/lib/apk/db/installed").expect("a plain path");
    assert!(tree.get(&path).is_some(), "no database");
    let bytes =
        read_file(&layer.blob, &path, 1 << 24).expect("our own layer").expect("the database is a file");
    let records = installed_db::parse(&bytes).expect("our own database");
    let [record] = records.as_slice() else { panic!("one package, {} records", records.len()) };
    assert_eq!((&record.name, &record.version), (&package.info.name, &package.info.version));
}
