//! Programs whose loader or libraries are missing.

use expect_test::expect;

use super::{GLIBC_TREE, MUSL_TREE, check, with};

#[test]
fn dynamic_programs_that_do_not_start() {
    let glibc = |more: &str| with(GLIBC_TREE, more);
    let musl = |more: &str| with(MUSL_TREE, more);
    check(
        "f 0755 0:0 /usr/bin/hello {glibc}",
        "hello",
        &expect![[r#"
            start/no-interpreter: /usr/bin/hello needs the loader /lib64/ld-linux-x86-64.so.2, which is not in the image
              build it static, in Go: `CGO_ENABLED=0 go build`
              build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
              build it static, in C: `gcc -static -o app app.c`
              or give the image the loader, from Wolfi:
            contents:
              repositories: [https://packages.wolfi.dev/os]
              packages: [glibc]
        "#]],
    );
    check(
        "f 0755 0:0 /usr/bin/hello {glibc-ssl}",
        "hello",
        &expect![[r#"
            start/no-interpreter: /usr/bin/hello needs the loader /lib64/ld-linux-x86-64.so.2, which is not in the image
              build it static, in Go: `CGO_ENABLED=0 go build`
              build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
              build it static, in C: `gcc -static -o app app.c`
              or give the image the loader, from Wolfi:
            contents:
              repositories: [https://packages.wolfi.dev/os]
              packages: [glibc, so:libssl.so.3]
            start/missing-library: /usr/bin/hello needs the library libssl.so.3, which its loader will not find
              add the package that has it: `so:libssl.so.3` in `contents.packages`
        "#]],
    );
    check(
        "f 0755 0:0 /usr/bin/hello {musl-ssl}",
        "hello",
        &expect![[r#"
        start/no-interpreter: /usr/bin/hello needs the loader /lib/ld-musl-x86_64.so.1, which is not in the image
          build it static, in Go: `CGO_ENABLED=0 go build`
          build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          build it static, in C: `gcc -static -o app app.c`
          or give the image the loader, from Alpine:
        contents:
          repositories: [https://dl-cdn.alpinelinux.org/alpine/latest-stable/main]
          packages: [musl, so:libssl.so.3]
        start/missing-library: /usr/bin/hello needs the library libssl.so.3, which its loader will not find
          add the package that has it: `so:libssl.so.3` in `contents.packages`
    "#]],
    );
    check(
        "f 0755 0:0 /usr/bin/hello {musl}",
        "hello",
        &expect![[r#"
            start/no-interpreter: /usr/bin/hello needs the loader /lib/ld-musl-x86_64.so.1, which is not in the image
              build it static, in Go: `CGO_ENABLED=0 go build`
              build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
              build it static, in C: `gcc -static -o app app.c`
              or give the image the loader, from Alpine:
            contents:
              repositories: [https://dl-cdn.alpinelinux.org/alpine/latest-stable/main]
              packages: [musl]
        "#]],
    );
    check(
        &musl("f 0755 0:0 /usr/bin/hello {glibc}"),
        "hello",
        &expect![[r#"
        start/no-interpreter: /usr/bin/hello needs the loader /lib64/ld-linux-x86-64.so.2, which is not in the image
          build it static, in Go: `CGO_ENABLED=0 go build`
          build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          build it static, in C: `gcc -static -o app app.c`
          or build it where the image's packages come from: it asks for glibc, the image has musl (/lib/ld-musl-x86_64.so.1)
    "#]],
    );
    check(
        &glibc("f 0755 0:0 /usr/bin/hello {musl}"),
        "hello",
        &expect![[r#"
        start/no-interpreter: /usr/bin/hello needs the loader /lib/ld-musl-x86_64.so.1, which is not in the image
          build it static, in Go: `CGO_ENABLED=0 go build`
          build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          build it static, in C: `gcc -static -o app app.c`
          or build it where the image's packages come from: it asks for musl, the image has glibc (/lib64/ld-linux-x86-64.so.2)
    "#]],
    );
    check(
        &glibc("f 0755 0:0 /app {glibc-ssl}"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, which its loader will not find
          add the package that has it: `so:libssl.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    check(
        &musl("f 0755 0:0 /app {musl-ssl}"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, which its loader will not find
          add the package that has it: `so:libssl.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    // Not behind the closed folder either.
    check(
        &musl("f 0755 0:0 /app {musl-ssl}\nd 0700 0:0 /usr/lib"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, which its loader will not find
          add the package that has it: `so:libssl.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    check(
        &musl("f 0755 0:0 /app {musl-ssl}\nf 0644 0:0 /lib/libssl.so.3 {libssl-crypto}"),
        "/app",
        &expect![[r#"
        start/missing-library: /lib/libssl.so.3 needs the library libcrypto.so.3, which its loader will not find
          add the package that has it: `so:libcrypto.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-musl`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    check(
        &glibc("f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /srv/libssl.so.3 {libssl}"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, which its loader will not find
          it is at /srv/libssl.so.3: `environment: {LD_LIBRARY_PATH: /srv}`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    check(
        &glibc(
            "f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /opt/lib/libssl.so.3 {libssl}\nf 0644 0:0 /etc/ld.so.conf include ld.so.conf.d/*.conf\nf 0644 0:0 /etc/ld.so.conf.d/app.conf /opt/lib\n",
        ),
        "/app",
        &expect![[r#"
            start/missing-library: /app needs the library libssl.so.3, which its loader will not find
              it is at /opt/lib/libssl.so.3 (/etc/ld.so.conf names that folder, but the loader only reads /etc/ld.so.cache): `environment: {LD_LIBRARY_PATH: /opt/lib}`
              or build it static, in Go: `CGO_ENABLED=0 go build`
              or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
              or build it static, in C: `gcc -static -o app app.c`
        "#]],
    );
    check(
        &glibc("f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /usr/lib/libssl.so.3 {lib-arm64}"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, but /usr/lib/libssl.so.3 is built for linux/arm64
          add the package that has it: `so:libssl.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    check(
        &glibc("f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /usr/lib/libssl.so.3 INPUT(x)"),
        "/app",
        &expect![[r#"
        start/missing-library: /app needs the library libssl.so.3, but /usr/lib/libssl.so.3 is no library
          add the package that has it: `so:libssl.so.3` in `contents.packages`
          or build it static, in Go: `CGO_ENABLED=0 go build`
          or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
          or build it static, in C: `gcc -static -o app app.c`
    "#]],
    );
    // A RUNPATH is not for the libraries of libraries.
    check(
        "f 0755 0:0 /lib64/ld-linux-x86-64.so.2 {ld}\nf 0755 0:0 /lib/libc.so.6 {libc}\nf 0755 0:0 /b/app {runpath}\nf 0644 0:0 /lib/app/libssl.so.3 {libssl-crypto}\nf 0644 0:0 /lib/app/libcrypto.so.3 {libcrypto}",
        "/b/app",
        &expect![[r#"
            start/missing-library: /lib/app/libssl.so.3 needs the library libcrypto.so.3, which its loader will not find
              it is at /lib/app/libcrypto.so.3: `environment: {LD_LIBRARY_PATH: /lib/app}`
              or build it static, in Go: `CGO_ENABLED=0 go build`
              or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
              or build it static, in C: `gcc -static -o app app.c`
        "#]],
    );
    // A library's own RUNPATH switches off the program's RPATH.
    check(
        "f 0755 0:0 /lib64/ld-linux-x86-64.so.2 {ld}\nf 0755 0:0 /lib/libc.so.6 {libc}\nf 0755 0:0 /app {rpath}\nf 0644 0:0 /opt/lib/libssl.so.3 {libssl-runpath}\nf 0644 0:0 /opt/lib/libcrypto.so.3 {libcrypto}",
        "/app",
        &expect![[r#"
            start/missing-library: /opt/lib/libssl.so.3 needs the library libcrypto.so.3, which its loader will not find
              it is at /opt/lib/libcrypto.so.3: `environment: {LD_LIBRARY_PATH: /opt/lib}`
              or build it static, in Go: `CGO_ENABLED=0 go build`
              or build it static, in Rust: `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu`
              or build it static, in C: `gcc -static -o app app.c`
        "#]],
    );
}
