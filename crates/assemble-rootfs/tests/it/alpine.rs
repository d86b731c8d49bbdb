//! A real root file system of Alpine: whatever it can start must pass.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use assemble_rootfs::{Body, Meta, Node, StartRequest, Tree, check_start};
use assemble_types::{Arch, Blob, Mode, Owner, Platform};

use crate::trees::{path, put};

fn minirootfs() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let kit = std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(|| default.into(), PathBuf::from);
    let file = kit.join("real/minirootfs/alpine-minirootfs-3.19.4-x86_64.tar.gz");
    file.exists().then_some(file)
}

fn unpack(file: &PathBuf) -> Tree {
    let mut tree = Tree::new();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(File::open(file).unwrap()));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let owner = Owner { uid: uid.try_into().unwrap(), gid: gid.try_into().unwrap() };
        let meta = Meta { mode: Mode::from_bits(header.mode().unwrap()), owner, mtime: 0 };
        let at = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if path(&at).is_root() {
            continue;
        }
        let body = match header.entry_type() {
            tar::EntryType::Directory => Node::directory(meta).body,
            tar::EntryType::Symlink => Body::Symlink(entry.link_name_bytes().unwrap().into_owned().into()),
            tar::EntryType::Regular => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                Body::File(Blob::from_bytes(bytes))
            }
            other => panic!("{at}: {other:?}"),
        };
        put(&mut tree, &at, meta, body);
    }
    tree
}

#[test]
fn all_programs_of_alpine_pass_and_none_without_its_library() {
    let Some(file) = minirootfs() else {
        eprintln!("SKIPPED: there is no Alpine root file system (ASSEMBLE_TESTKIT, or ../shared/testkit)");
        return;
    };
    let mut tree = unpack(&file);
    let entries = tree.entries();
    let programs: Vec<String> = entries
        .iter()
        .filter(|e| matches!(e.node.body, Body::File(_) | Body::Symlink(_)))
        .map(|e| e.path.to_string())
        .filter(|at| {
            ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"].iter().any(|folder| at.starts_with(folder))
        })
        .collect();
    assert!(programs.len() > 300, "{}", programs.len());
    let request = |program: &str| StartRequest {
        platform: Platform::from(Arch::X86_64),
        entrypoint: vec![program.to_owned()],
        cmd: Vec::new(),
        env_path: None,
        env_library_path: None,
        work_dir: None,
        user: (0, 0),
    };
    for program in &programs {
        let problems = check_start(&tree, &request(program));
        assert!(problems.is_empty(), "{program}: {problems:?}");
    }
    assert!(tree.remove(&path("lib/libcrypto.so.3")));
    assert_eq!(
        check_start(&tree, &request("/sbin/apk"))[0].to_string(),
        "/sbin/apk needs the library libcrypto.so.3, which its loader will not find"
    );
    let id = tree.get(&path("lib/ld-musl-x86_64.so.1")).unwrap();
    tree.node_mut(id).body = Body::Symlink(b"nowhere".as_slice().into());
    for program in &programs {
        assert!(!check_start(&tree, &request(program)).is_empty(), "{program}");
    }
}
