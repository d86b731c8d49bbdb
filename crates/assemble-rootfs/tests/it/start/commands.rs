//! Commands that are not there or closed.

use assemble_rootfs::{Body, Meta, Node, PackageIndex, Part, check_start, start_notes};
use assemble_types::{Blob, Mode, Owner};
use expect_test::expect;

use super::{GLIBC_TREE, HELLO, check, content, render, request, starts, with};
use crate::trees::{path, tree_with};

#[test]
fn commands_that_are_not_there() {
    check(
        HELLO,
        "/hello",
        &expect![[r#"
        start/not-found: /hello is not in the image
          /usr/bin/hello is there: `entrypoint: /usr/bin/hello`
    "#]],
    );
    check(
        HELLO,
        "./hello DIR=/srv/app",
        &expect![[r#"
        start/not-found: `./hello` is not in the image: there is no /srv/app/hello
          /usr/bin/hello is there: `entrypoint: /usr/bin/hello`
    "#]],
    );
    check(
        HELLO,
        "hello PATH=/opt/bin:bin",
        &expect![[r#"
        start/not-found: `hello` is in no folder of PATH (/opt/bin:bin)
          /usr/bin/hello is there: `entrypoint: /usr/bin/hello`
    "#]],
    );
    check(
        HELLO,
        "helo",
        &expect![[r#"
        start/not-found: `helo` is in no folder of PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
          /usr/bin/hello is there: `entrypoint: /usr/bin/hello`
    "#]],
    );
    check(
        HELLO,
        "CMD=nginx",
        &expect![[r#"
        start/not-found: `nginx` is in no folder of PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
          place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:nginx`
    "#]],
    );
    check(
        HELLO,
        "/usr/bin/hello_--port_80",
        &expect![[r#"
        start/not-found: /usr/bin/hello --port 80 is not in the image
          `/usr/bin/hello` and its arguments are items of their own: `entrypoint: [/usr/bin/hello, --port, 80]`
    "#]],
    );
    check(
        "l /usr/bin/app -> /opt/app",
        "/usr/bin/app",
        &expect![[r#"
        start/not-found: `/usr/bin/app` leads to /opt/app, which is not in the image
          place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:app`
    "#]],
    );
    check(
        "l /a -> /b\nl /b -> /a",
        "/a",
        &expect![[r#"
        start/not-found: `/a` leads through links in a circle
          let the links lead to a program
    "#]],
    );
    check(
        HELLO,
        "/usr/bin/hello/x",
        &expect![[r#"
        start/not-found: `/usr/bin/hello/x` is not in the image: /usr/bin/hello is no folder
          place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:x`
    "#]],
    );
    check(
        "d 0755 0:0 /app",
        "/app",
        &expect![[r#"
        start/not-a-program: /app is a folder, not a program
          name the program in it, such as `entrypoint: /app/NAME`
    "#]],
    );
    check(
        "c /dev/null",
        "/dev/null",
        &expect![[r#"
        start/not-a-program: /dev/null is a device, not a program
          name a program
    "#]],
    );
    check(
        "",
        "\x1b[31m",
        &expect![[r#"
        start/not-found: `\u{1b}[31m` is in no folder of PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
          place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:\u{1b}[31m`
    "#]],
    );
    let mut empty = request("");
    empty.entrypoint = vec![String::new()];
    let problems = check_start(&tree_with(HELLO, content), &empty);
    expect![[r#"
        start/not-found: `` is no possible command
          name a program: `entrypoint: /usr/bin/NAME`
    "#]]
    .assert_eq(&render(&problems[0]));
}

#[test]
fn closed_doors() {
    check(
        "f 0644 0:0 /app {static}",
        "/app",
        &expect![[r#"
        start/not-executable: /app is not executable for user 65532:65532 (mode 0644, owner 0:0)
          `permissions: 0755` where the spec places /app
          or `chmod +x` the file it is made of: app
    "#]],
    );
    check(
        "f 0750 0:0 /bin/app {static}",
        "app",
        &expect![[r#"
        start/not-executable: /bin/app is not executable for user 65532:65532 (mode 0750, owner 0:0)
          `permissions: 0755` where the spec places /bin/app
          or `chmod +x` the file it is made of: app
    "#]],
    );
    check(
        "f 0644 0:0 /app {static}",
        "/app USER=0",
        &expect![[r#"
        start/not-executable: /app is not executable for user 0:0 (mode 0644, owner 0:0)
          `permissions: 0755` where the spec places /app
          or `chmod +x` the file it is made of: app
    "#]],
    );
    check(
        "f 0755 0:0 /root/app {static}\nd 0700 0:0 /root",
        "/root/app",
        &expect![[r#"
            start/no-search-permission: /root/app cannot be reached by user 65532:65532: /root is closed to it (mode 0700, owner 0:0)
              no package brings /root, so it is closed as a home is; place the program outside of it
              or run as its owner, `run-as: 0`, instead of as 65532:65532
        "#]],
    );
    check(
        "f 0755 0:0 /app/x {static}\nd 0700 0:0 /app",
        "./x DIR=/app",
        &expect![[r#"
            start/no-search-permission: ./x cannot be reached by user 65532:65532: /app is closed to it (mode 0700, owner 0:0)
              no package brings /app, so it is closed as a home is; place the program outside of it
              or run as its owner, `run-as: 0`, instead of as 65532:65532
        "#]],
    );
    check(
        "f 0077 65532:0 /app {static}",
        "/app",
        &expect![[r#"
        start/not-executable: /app is not executable for user 65532:65532 (mode 0077, owner 65532:0)
          `permissions: 0755` where the spec places /app
          or `chmod +x` the file it is made of: app
    "#]],
    );
    check(
        "f 0711 0:0 /app #!/bin/sh\\n\nf 0755 0:0 /bin/sh {static}",
        "/app",
        &expect![[r#"
        start/not-readable: the script /app cannot be read by user 65532:65532 (mode 0711, owner 0:0)
          `permissions: 0755` where the spec places /app: an interpreter has to read it
    "#]],
    );
    check(
        "f 0755 0:0 /app #!/bin/sh\\n\nf 0750 0:0 /bin/sh {static}",
        "/app",
        &expect![[r#"
        start/not-executable: /bin/sh is not executable for user 65532:65532 (mode 0750, owner 0:0)
          `permissions: 0755` where the spec places /bin/sh
          or `chmod +x` the file it is made of: sh
    "#]],
    );
    check(
        &with(GLIBC_TREE, "f 0755 0:0 /app {glibc}\nf 0644 0:0 /lib64/ld-linux-x86-64.so.2 {ld}"),
        "/app",
        &expect![[r#"
        start/not-executable: /lib64/ld-linux-x86-64.so.2 is not executable for user 65532:65532 (mode 0644, owner 0:0)
          `permissions: 0755` where the spec places /lib64/ld-linux-x86-64.so.2
          or `chmod +x` the file it is made of: ld-linux-x86-64.so.2
    "#]],
    );
    check(
        &with(GLIBC_TREE, "f 0755 0:0 /app {glibc}\nf 0600 0:0 /lib/libc.so.6 {libc}"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libc.so.6, but /lib/libc.so.6 is closed to the image's user
          open it for reading where the spec places /lib/libc.so.6
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
}

/// A folder that is closed to all but user 1, put there by `part`, of a package or not.
fn closed_folder(part: Part, package: Option<PackageIndex>, name: &str) -> Vec<String> {
    let mut tree = tree_with("d 0755 0:0 /usr", content);
    let meta = Meta { mode: Mode::from_bits(0o700), owner: Owner { uid: 1, gid: 1 }, mtime: 0 };
    let (folder, _) = tree.make_directories(&path("bin"), meta, part).unwrap();
    tree.node_mut(folder).package = package;
    let open = Meta { mode: Mode::from_bits(0o755), ..meta };
    let file = tree.add(Node::new(open, Body::File(Blob::from_bytes(content("static").unwrap()))));
    tree.insert(&path("bin").join(name).unwrap(), file, Part::Binary, None).unwrap();
    let file = tree.add(Node::new(open, Body::File(Blob::from_bytes("#!/bin/sh\n"))));
    tree.insert(&path("run.sh"), file, Part::Files, None).unwrap();
    check_start(&tree, &request("/run.sh")).iter().map(|problem| render(problem)).collect()
}

#[test]
fn a_closed_folder_is_told_where_opening_it_helps() {
    let mut text = String::new();
    for (part, package, name) in [
        (Part::Packages, None, "other"),
        (Part::Packages, None, "sh"),
        (Part::Packages, Some(PackageIndex(0)), "sh"),
        (Part::Base, None, "sh"),
        (Part::Files, None, "sh"),
    ] {
        text.extend(closed_folder(part, package, name));
    }
    expect![[r#"
        start/no-interpreter: the script /run.sh needs `/bin/sh`, which is not in the image
          add the package that has it: `busybox` in `contents.packages`, or place it with `contents.files`
        start/no-search-permission: /bin/sh cannot be reached by user 65532:65532: /bin is closed to it (mode 0700, owner 1:1)
          no package brings /bin, so it is closed as a home is; add one that does: `alpine-baselayout` in `contents.packages`
          or run as its owner, `run-as: 1`, instead of as 65532:65532
        start/no-search-permission: /bin/sh cannot be reached by user 65532:65532: /bin is closed to it (mode 0700, owner 1:1)
          run as its owner, `run-as: 1`, instead of as 65532:65532
          or place the program outside of /bin
        start/no-search-permission: /bin/sh cannot be reached by user 65532:65532: /bin is closed to it (mode 0700, owner 1:1)
          run as its owner, `run-as: 1`, instead of as 65532:65532
          or place the program outside of /bin
        start/no-search-permission: /bin/sh cannot be reached by user 65532:65532: /bin is closed to it (mode 0700, owner 1:1)
          open the folder: `permissions: 0755` where the spec places /bin
          or run as its owner, `run-as: 1`, instead of as 65532:65532
    "#]].assert_eq(&text);
}

#[test]
fn the_only_binary_may_be_the_one_meant() {
    let told = |names: &[(&str, u32, Part)]| {
        let mut tree = tree_with("d 0755 0:0 /usr/bin", content);
        for (name, mode, part) in names {
            let meta = Meta { mode: Mode::from_bits(*mode), owner: Owner::ROOT, mtime: 0 };
            let file = tree.add(Node::new(meta, Body::File(Blob::from_bytes("x"))));
            tree.insert(&path("usr/bin").join(name).unwrap(), file, *part, None).unwrap();
        }
        render(&check_start(&tree, &request("server PATH=/usr/bin"))[0])
    };
    let binary = ("server-amd64", 0o755, Part::Binary);
    expect![[r#"
        start/not-found: `server` is in no folder of PATH (/usr/bin)
          /usr/bin/server-amd64 is there: `entrypoint: /usr/bin/server-amd64`
          or place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:server`
    "#]]
    .assert_eq(&told(&[binary, ("tool", 0o755, Part::Packages)]));
    let packages =
        "place it with `contents.binary` or `contents.files`, or add the package that has it: `cmd:server`";
    for not_sole in [
        &[binary, ("other", 0o755, Part::Binary)][..],
        &[("server-amd64", 0o644, Part::Binary)],
        &[("server-amd64", 0o755, Part::Packages)],
    ] {
        let told = told(not_sole);
        assert_eq!(told.lines().skip(1).map(str::trim).collect::<Vec<_>>(), [packages], "{told}");
    }
}

#[test]
fn work_dirs() {
    check(
        HELLO,
        "hello DIR=srv",
        &expect![[r#"
        start/work-dir: the work-dir `srv` is not absolute
          write `work-dir: /srv`
    "#]],
    );
    check(
        HELLO,
        "hello DIR=/usr/bin/hello",
        &expect![[r#"
        start/work-dir: the work-dir `/usr/bin/hello` cannot be entered: /usr/bin/hello is no folder
          give a folder as `work-dir`
    "#]],
    );
    starts(HELLO, "hello DIR=/not/there");
    starts(HELLO, "../../usr/bin/hello DIR=/not/there");
    let notes = |words: &str| start_notes(&tree_with(HELLO, content), &request(words));
    assert_eq!(
        notes("DIR=/srv"),
        [
            "the work-dir /srv is not in the image; the runtime makes it, owned by root, where user 65532:65532 cannot write"
        ]
    );
    assert_eq!(
        notes("DIR=/srv USER=0"),
        ["the work-dir /srv is not in the image; the runtime makes it, owned by root"]
    );
    assert!(notes("DIR=/usr/bin").is_empty() && notes("").is_empty());
}
