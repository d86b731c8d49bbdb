//! The user's own files over a tree.

use assemble_rootfs::{Body, Part, Placement, PlacementKind, Replaced, Tree, place};
use assemble_types::{Blob, Explain, Mode, Owner};
use expect_test::expect;

use crate::trees::{path, tree};

const TIME: i64 = 42;

fn placement(at: &str, kind: PlacementKind) -> Placement {
    Placement { path: path(at), kind, mode: Mode::from_bits(0o750), owner: Owner { uid: 5, gid: 6 } }
}

fn file(at: &str, text: &str) -> Placement {
    placement(at, PlacementKind::File(Blob::from_bytes(text)))
}

fn folder(at: &str) -> Placement {
    placement(at, PlacementKind::Directory)
}

fn link(at: &str, target: &str) -> Placement {
    placement(at, PlacementKind::Symlink(target.into()))
}

fn listing(tree: &Tree, part: Part) -> String {
    let show = |body: &Body| match body {
        Body::Directory(_) => "/".to_owned(),
        Body::File(blob) => String::from_utf8(blob.read_to_vec(100).unwrap()).unwrap(),
        Body::Symlink(text) => format!("-> {}", String::from_utf8_lossy(text)),
        Body::CharDevice { .. } => "device".to_owned(),
    };
    tree.layer(part)
        .iter()
        .map(|e| {
            let meta = e.node.meta;
            format!("{} {} {} {} {}\n", meta.mode, meta.owner, meta.mtime, e.path, show(&e.node.body))
        })
        .collect()
}

const BELOW: &str = "
    d 0755 0:0 /usr/bin
    l /bin -> usr/bin
    f 0755 0:0 /usr/bin/app old
    l /usr/bin/sh -> /usr/bin/app
    d 0700 9:9 /srv/data
    l /data -> /srv/data
    c /dev/null
";

#[test]
fn links_on_the_way_are_followed_and_the_last_one_is_replaced() {
    let mut tree = tree(BELOW);
    let placements = [
        file("bin/app", "new"),
        file("bin/sh", "shell"),
        file("opt/deep/tool", "t"),
        folder("data"),
        folder("srv/data/sub"),
        folder("opt"),
        link("usr/bin/alias", "app"),
        file("dev/null", "n"),
        file("data/x", "first"),
        file("srv/data/x", "second"),
    ];
    let replaced = place(&mut tree, Part::Files, &placements, TIME).unwrap();
    expect![[r#"
        0755 0:0 0 /dev /
        0750 5:6 42 /dev/null n
        0755 0:0 42 /opt /
        0755 0:0 42 /opt/deep /
        0750 5:6 42 /opt/deep/tool t
        0755 0:0 0 /srv /
        0700 9:9 0 /srv/data /
        0750 5:6 42 /srv/data/sub /
        0750 5:6 42 /srv/data/x second
        0755 0:0 0 /usr /
        0755 0:0 0 /usr/bin /
        0777 5:6 42 /usr/bin/alias -> app
        0750 5:6 42 /usr/bin/app new
        0750 5:6 42 /usr/bin/sh shell
    "#]]
    .assert_eq(&listing(&tree, Part::Files));
    let part_below = Part::Packages;
    let was = |at| Replaced { path: path(at), package: None, part_below };
    assert_eq!(replaced, [was("usr/bin/app"), was("usr/bin/sh"), was("dev/null")]);
    assert!(listing(&tree, Part::Packages).contains("/usr/bin/app old\n"));

    let again = place(&mut tree, Part::Binary, &[file("usr/bin/app", "newest")], TIME).unwrap();
    assert_eq!(again, [Replaced { path: path("usr/bin/app"), package: None, part_below: Part::Files }]);
    assert!(listing(&tree, Part::Files).contains("/usr/bin/app new\n"));
    assert!(listing(&tree, Part::Packages).contains("/usr/bin/app old\n"));
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let mut text = String::new();
    for one in [
        file("bin", "x"),
        file("srv/data", "x"),
        link("srv/data", "x"),
        file("/", "x"),
        folder("bin/app"),
        folder("bin/sh"),
        folder("dev/null"),
        file("usr/bin/app/x", "x"),
        folder("usr/bin/app/x"),
        file("a/.wh.b/c", "x"),
        link(".wh..wh..opq", "x"),
    ] {
        let mut tree = tree(BELOW);
        text += &match place(&mut tree, Part::Files, std::slice::from_ref(&one), TIME) {
            Ok(_) => format!("{}: fine\n", one.path),
            Err(error) => {
                assert_eq!(error.kind().exit_code(), 3);
                let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                format!("{}: {error}{source}\n  {}\n", error.code(), error.hints().join("\n  "))
            }
        };
    }
    expect![[r#"
        /bin: fine
        overlay/file-over-folder: /srv/data cannot be a file: /srv/data is a folder
          to put the file into that folder, give a path below /srv/data
        overlay/file-over-folder: /srv/data cannot be a link: /srv/data is a folder
          to put the link into that folder, give a path below /srv/data
        overlay/file-over-folder: / cannot be a file: / is a folder
          to put the file into that folder, give a path below /
        overlay/folder-over-file: /bin/app cannot be a folder: /usr/bin/app is a file
          give another `path`
        overlay/folder-over-file: /bin/sh cannot be a folder: /usr/bin/app is a file
          give another `path`
        overlay/folder-over-file: /dev/null cannot be a folder: /dev/null is a device
          give another `path`
        overlay/in-the-way: /usr/bin/app/x cannot be placed: /usr/bin/app is not a folder
          give another `path`
        overlay/in-the-way: /usr/bin/app/x cannot be placed: /usr/bin/app is not a folder
          give another `path`
        overlay/whiteout: /a/.wh.b/c has `.wh.b` in it: a container runtime takes names with `.wh.` in front for removed files
          rename the file, or leave it out with `exclude`
        overlay/whiteout: /.wh..wh..opq has `.wh..wh..opq` in it: a container runtime takes names with `.wh.` in front for removed files
          rename the file, or leave it out with `exclude`
    "#]].assert_eq(&text);
}

#[test]
fn what_no_runtime_can_unpack_is_refused_and_shown_short() {
    let folder_of = |len: usize| vec!["d".repeat(9); len / 10].join("/");
    let long = folder_of(2040);
    let below = format!("d 0755 0:0 /{long}\nl /to -> /{long}");
    let told = |one: Placement| place(&mut tree(&below), Part::Files, &[one], TIME).map(drop);
    for fine in [
        file(&"n".repeat(255), "x"),
        file(&format!("{}/{}", folder_of(4080), "n".repeat(15)), "x"),
        link("l", &"t".repeat(4095)),
        folder(&format!("to/{}", folder_of(2000))),
    ] {
        assert_eq!(told(fine), Ok(()));
    }
    for (one, what) in [
        (file(&format!("a/{}/b", "n".repeat(256)), "x"), "a name of 256 bytes"),
        (folder(&"n".repeat(256)), "a name of 256 bytes"),
        (file(&format!("{}/{}", folder_of(4080), "n".repeat(17)), "x"), "a path of 4097 bytes"),
        (link("l", &"t".repeat(4096)), "a link's text of 4096 bytes"),
        (file(&format!("to/{}/n", folder_of(2060)), "x"), "a path of 4101 bytes"),
        (folder(&format!("to/{}", folder_of(2060))), "a path of 4099 bytes"),
    ] {
        let error = told(one).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!(": {what}; a container runtime can unpack at most ")), "{text}");
        assert!(text.chars().count() < 320, "{text}");
        assert_eq!((error.code(), error.kind().exit_code()), ("overlay/too-long", 3));
    }
}
