//! Files and scripts that the kernel does not run.

use std::fmt::Write as _;

use assemble_rootfs::{ElfIdentity, check_start, elf_platform};
use assemble_testkit::FakeElf;
use assemble_types::{Arch, Blob};
use expect_test::expect;

use super::{GLIBC, GLIBC_TREE, chain, check, content, render, request, with};
use crate::trees::tree_with;

#[test]
fn programs_for_something_else() {
    check(
        "f 0755 0:0 /app {arm64}",
        "/app",
        &expect![[r#"
        start/wrong-cpu: /app is built for linux/arm64, the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/arm64`
    "#]],
    );
    check(
        "f 0755 0:0 /app {386}",
        "/app",
        &expect![[r#"
        start/wrong-cpu: /app is built for linux/386, the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/386`
    "#]],
    );
    check(
        "f 0755 0:0 /app {armv7}",
        "/app FOR=linux/arm64",
        &expect![[r#"
        start/wrong-cpu: /app is built for linux/arm/v7, the image is for linux/arm64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build`
          Rust: `rustup target add aarch64-unknown-linux-musl`, then `cargo build --release --target aarch64-unknown-linux-musl`
          C: `aarch64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/arm/v7`
    "#]],
    );
    check(
        "f 0755 0:0 /app {static}",
        "/app FOR=linux/s390x",
        &expect![[r#"
        start/wrong-cpu: /app is built for linux/amd64, the image is for linux/s390x
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=s390x go build`
          Rust: `rustup target add s390x-unknown-linux-gnu`, then `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target s390x-unknown-linux-gnu`
          C: `s390x-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/amd64`
    "#]],
    );
    check(
        "f 0755 0:0 /app {macho}",
        "/app",
        &expect![[r#"
        start/not-linux: /app is built for macOS (Mach-O), the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
    "#]],
    );
    check(
        "f 0755 0:0 /app {fat}",
        "/app FOR=linux/arm/v6",
        &expect![[r#"
        start/not-linux: /app is built for macOS (Mach-O), the image is for linux/arm/v6
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=arm GOARM=6 go build`
          Rust: `rustup target add arm-unknown-linux-musleabihf`, then `cargo build --release --target arm-unknown-linux-musleabihf`
          C: `arm-linux-gnueabihf-gcc -static -o app app.c`
    "#]],
    );
    check(
        "f 0755 0:0 /app {pe}",
        "/app",
        &expect![[r#"
        start/not-linux: /app is built for Windows (PE), the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
    "#]],
    );
    check(
        &with(GLIBC_TREE, "f 0755 0:0 /app {glibc}\nf 0755 0:0 /lib64/ld-linux-x86-64.so.2 {ld-arm64}"),
        "/app",
        &expect![[r#"
        start/wrong-cpu: /lib64/ld-linux-x86-64.so.2 is built for linux/arm64, the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/arm64`
    "#]],
    );
}

#[test]
fn files_that_are_no_programs() {
    let mut text = String::new();
    for name in [
        "",
        "echo hello\\n",
        "{bom}",
        "{java}",
        "{jar}",
        "{noise}",
        "{object}",
        "{libssl}",
        "{cut}",
        "{half-header}",
    ] {
        for problem in check_start(&tree_with(&format!("f 0755 0:0 /app {name}"), content), &request("/app"))
        {
            text += &render(&problem);
        }
    }
    expect![[r#"
        start/not-a-program: /app is an empty file, which the kernel cannot run
          build it again: a build or a download has failed
        start/not-a-program: /app is a text without `#!`, which the kernel cannot run
          give it a first line such as `#!/bin/sh`, and the image that interpreter
        start/not-a-program: /app is a script with a byte order mark in front of its `#!`, which the kernel cannot run
          save it without the byte order mark
        start/not-a-program: /app is a Java class, which the kernel cannot run
          start it with Java: `entrypoint: [/usr/bin/java, -jar, …]`
        start/not-a-program: /app is a ZIP or JAR archive, which the kernel cannot run
          start it with Java: `entrypoint: [/usr/bin/java, -jar, …]`
        start/not-a-program: /app is data of no known program format, which the kernel cannot run
          name an executable as entrypoint
        start/not-a-program: /app is an ELF file of another kind (`.o` or a core dump), which the kernel cannot run
          name an executable as entrypoint
        start/not-a-program: /app is a shared library, which the kernel cannot run
          name an executable as entrypoint
        start/damaged: /app is a damaged program: it is cut short: its headers want 1128 bytes, it has 200
          build or copy app again
        start/damaged: /app is a damaged program: its headers are damaged: the file header is incomplete
          build or copy app again
    "#]].assert_eq(&text);
}

#[test]
fn scripts_that_do_not_start() {
    let mut text = String::new();
    for tree in [
        "f 0755 0:0 /app #!/bin/sh\\n",
        "f 0755 0:0 /app #!/bin/sh\\r\\n\nf 0755 0:0 /bin/sh {static}",
        "f 0755 0:0 /app #!\\n",
        "f 0755 0:0 /app {long-line}",
        "f 0755 0:0 /app #!/app\\n",
        "f 0755 0:0 /app #!/usr/bin/env node\\n",
        "f 0755 0:0 /app #!/usr/bin/env node\\n\nf 0755 0:0 /usr/bin/env {static}",
        "f 0755 0:0 /app #!/usr/bin/env node\\r\\n\nf 0755 0:0 /usr/bin/env {static}",
        "f 0755 0:0 /app #!/usr/bin/env node -x\\n\nf 0755 0:0 /usr/bin/env {static}",
        "f 0755 0:0 /app #!/usr/bin/env -S node -x\\n\nf 0755 0:0 /usr/bin/env {static}\nf 0755 0:0 /bin/node {arm64}",
        "f 0755 0:0 /app #!/usr/bin/env app\\n\nl /bin/app -> /app\nf 0755 0:0 /usr/bin/env {static}",
        "f 0755 0:0 /app #!/usr/bin/env sh\\n\nl /bin/sh -> /busybox\nl /usr/bin/env -> /busybox\nf 0755 0:0 /busybox {arm64}",
        "f 0755 0:0 /app #!/bin\\n\nd 0755 0:0 /bin",
        "f 0755 0:0 /app #!/bin/x\\n\nf 0755 0:0 /bin/x words",
        "f 0755 0:0 /app #!/bin/x\\n\nf 0755 0:0 /bin/x {musl}",
    ] {
        writeln!(text, "{}", tree.replace('\n', " | ")).unwrap();
        for problem in check_start(&tree_with(tree, content), &request("/app")) {
            text += &render(&problem);
        }
    }
    let deep = chain("/bin/sh", 6) + "f 0755 0:0 /bin/sh {static}";
    text += &render(&check_start(&tree_with(&deep, content), &request("/s0"))[0]);
    expect![[r#"
        f 0755 0:0 /app #!/bin/sh\n
        start/no-interpreter: the script /app needs `/bin/sh`, which is not in the image
          add the package that has it: `busybox` in `contents.packages`, or place it with `contents.files`
        f 0755 0:0 /app #!/bin/sh\r\n | f 0755 0:0 /bin/sh {static}
        start/bad-shebang: the first line of the script /app ends with a carriage return, which becomes part of the name
          give it Unix line ends in the source of /app: `sed -i 's/\r$//' SOURCE`
        f 0755 0:0 /app #!\n
        start/bad-shebang: the first line of the script /app names no interpreter behind `#!`
          give app a first line such as `#!/bin/sh`
        f 0755 0:0 /app {long-line}
        start/bad-shebang: the first line of the script /app is longer than the 256 bytes that the kernel reads
          shorten the first line of app
        f 0755 0:0 /app #!/app\n
        start/bad-shebang: the first line of the script /app leads through more interpreters than the kernel follows
          let app name a program, not another script
        f 0755 0:0 /app #!/usr/bin/env node\n
        start/no-interpreter: the script /app needs `/usr/bin/env`, which is not in the image
          add the package that has it: `coreutils` in `contents.packages`, or place it with `contents.files`
        f 0755 0:0 /app #!/usr/bin/env node\n | f 0755 0:0 /usr/bin/env {static}
        start/no-interpreter: the script /app needs `node`, which is not in the image (PATH is /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
          add the package that has it: `cmd:node` in `contents.packages`, or place it with `contents.files`
        f 0755 0:0 /app #!/usr/bin/env node\r\n | f 0755 0:0 /usr/bin/env {static}
        start/bad-shebang: the first line of the script /app ends with a carriage return, which becomes part of the name
          give it Unix line ends in the source of /app: `sed -i 's/\r$//' SOURCE`
        f 0755 0:0 /app #!/usr/bin/env node -x\n | f 0755 0:0 /usr/bin/env {static}
        start/bad-shebang: the first line of the script /app makes env look for a program named `node -x`, blanks included
          write `#!/usr/bin/env -S node -x`
        f 0755 0:0 /app #!/usr/bin/env -S node -x\n | f 0755 0:0 /usr/bin/env {static} | f 0755 0:0 /bin/node {arm64}
        start/wrong-cpu: /bin/node is built for linux/arm64, the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/arm64`
        f 0755 0:0 /app #!/usr/bin/env app\n | l /bin/app -> /app | f 0755 0:0 /usr/bin/env {static}
        start/bad-shebang: the first line of the script /app leads through more interpreters than the kernel follows
          let app name a program, not another script
        f 0755 0:0 /app #!/usr/bin/env sh\n | l /bin/sh -> /busybox | l /usr/bin/env -> /busybox | f 0755 0:0 /busybox {arm64}
        start/wrong-cpu: /busybox is built for linux/arm64, the image is for linux/amd64
          Go: `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build`
          Rust: `rustup target add x86_64-unknown-linux-musl`, then `cargo build --release --target x86_64-unknown-linux-musl`
          C: `x86_64-linux-gnu-gcc -static -o app app.c`
          or make the image for it: `--platform linux/arm64`
        f 0755 0:0 /app #!/bin\n | d 0755 0:0 /bin
        start/not-a-program: /bin is a folder, not a program
          name the program in it, such as `entrypoint: /bin/NAME`
        f 0755 0:0 /app #!/bin/x\n | f 0755 0:0 /bin/x words
        start/not-a-program: /bin/x is a text without `#!`, which the kernel cannot run
          give it a first line such as `#!/bin/sh`, and the image that interpreter
        f 0755 0:0 /app #!/bin/x\n | f 0755 0:0 /bin/x {musl}
        start/no-interpreter: /bin/x needs the loader /lib/ld-musl-x86_64.so.1, which is not in the image
          build it static, in Go: `CGO_ENABLED=0 go build`
          build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          build it static, in C: `gcc -static -o app app.c`
          or give the image the loader, from Alpine:
        contents:
          repositories: [https://dl-cdn.alpinelinux.org/alpine/latest-stable/main]
          packages: [musl]
        start/bad-shebang: the first line of the script /s5 leads through more interpreters than the kernel follows
          let s5 name a program, not another script
    "#]].assert_eq(&text);
}

#[test]
fn the_platform_is_read_from_the_header() {
    let identity = |bytes: Vec<u8>| elf_platform(&Blob::from_bytes(bytes));
    for arch in Arch::ALL {
        let told = if arch == Arch::Armhf { Arch::Armv7 } else { arch };
        assert_eq!(
            identity(FakeElf::new(arch).build()),
            ElfIdentity::Elf { platform: Some(told.into()), is_static: true, interpreter: None }
        );
    }
    let dynamic = ElfIdentity::Elf {
        platform: Some(Arch::X86_64.into()),
        is_static: false,
        interpreter: Some(GLIBC.into()),
    };
    assert_eq!(identity(content("glibc").unwrap()), dynamic);
    assert_eq!(identity(content("macho").unwrap()), ElfIdentity::MachO);
    assert_eq!(identity(content("fat").unwrap()), ElfIdentity::MachO);
    assert_eq!(identity(content("pe").unwrap()), ElfIdentity::Pe);
    assert_eq!(identity(b"#!/bin/sh\n".to_vec()), ElfIdentity::Script);
    for other in ["cut", "half-header", "java", "noise"] {
        assert_eq!(identity(content(other).unwrap()), ElfIdentity::Other, "{other}");
    }
    assert_eq!(identity(Vec::new()), ElfIdentity::Other);
    // A machine that no image is for.
    let mut mips = FakeElf::new(Arch::X86_64).build();
    mips[18] = 8;
    assert_eq!(identity(mips), ElfIdentity::Elf { platform: None, is_static: true, interpreter: None });
}
