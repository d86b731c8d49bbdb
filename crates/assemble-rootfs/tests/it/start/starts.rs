//! What starts.

use super::{GLIBC_TREE, HELLO, MUSL_TREE, chain, starts, with};

#[test]
fn what_starts() {
    starts("", "");
    starts(HELLO, "/usr/bin/hello");
    starts(HELLO, "CMD=/usr/bin/hello");
    starts(HELLO, "hello --port 80");
    starts("f 0755 0:0 /usr/bin/hello {static-pie}", "hello");
    starts(HELLO, "./hello DIR=/usr/bin");
    starts(HELLO, "../bin/hello DIR=/usr/lib");
    starts("f 0711 0:0 /app/x {static}\nd 0711 0:0 /app", "/app/x");
    starts("f 0700 65532:0 /app {static}", "/app");
    starts("f 0070 0:65532 /app {static}", "/app");
    starts("f 0001 0:0 /x/app {static}\nd 0700 7:7 /x", "/x/app USER=0");
    // Only the working folder itself has to be open, not what is above it.
    starts("f 0755 0:0 /closed/in/app {static}\nd 0700 0:0 /closed", "./app DIR=/closed/in");
    starts("f 0755 0:0 /opt/x {static}\nl /bin -> /opt\nl /opt/app -> ../opt/./x", "/bin/app");
    starts("f 0755 0:0 /a/app {static}\nf 0644 0:0 /b/app no", "app PATH=/b:/a");
    starts("f 0755 0:0 /app {armv7}", "/app FOR=linux/arm/v6");
    starts("f 0755 0:0 /app {odd-loader}\nf 0755 0:0 /system/bin/linker64 {ld}", "/app");
}

#[test]
fn libraries_that_are_found() {
    let glibc = |more: &str| with(GLIBC_TREE, more);
    let musl = |more: &str| with(MUSL_TREE, more);
    starts(&glibc("f 0755 0:0 /app {glibc}"), "/app");
    // Its loader reads libraries, it does not run them; and the kernel runs a program that nobody may read.
    starts(&glibc("f 0111 0:0 /app {glibc-ssl}\nf 0644 0:0 /usr/lib64/libssl.so.3 {libssl}"), "/app");
    starts(
        &glibc("f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /lib/x86_64-linux-gnu/libssl.so.3 {libssl}"),
        "/app",
    );
    starts(&glibc("f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /x/libssl.so.3 {libssl}"), "/app LIBS=/y:/x");
    starts(
        &glibc(
            "f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /opt/lib/libssl.so.3 {libssl}\nf 0644 0:0 /etc/ld.so.cache {cache}",
        ),
        "/app",
    );
    starts(
        &glibc(
            "f 0755 0:0 /opt/bin/app {runpath}\nf 0644 0:0 /opt/lib/app/libssl.so.3 {libssl}\nl /app -> /opt/bin/app",
        ),
        "/app",
    );
    starts(&glibc("f 0755 0:0 /app {rpath}\nf 0644 0:0 /lib/libssl.so.3 {libssl-crypto}"), "/app");
    // An RPATH holds for the libraries of libraries as well.
    starts(
        "f 0755 0:0 /lib64/ld-linux-x86-64.so.2 {ld}\nf 0755 0:0 /app {rpath}\nf 0644 0:0 /opt/lib/libssl.so.3 {libssl-crypto}\nf 0644 0:0 /opt/lib/libcrypto.so.3 {libcrypto}\nf 0644 0:0 /opt/lib/libc.so.6 {libc}",
        "/app",
    );
    starts(&glibc("f 0755 0:0 /app {lib-dollar}\nf 0644 0:0 /opt/lib64/libssl.so.3 {libssl}"), "/app");
    starts(&glibc("f 0755 0:0 /app {slash}\nf 0644 0:0 /opt/x/libssl.so.3 {libssl}"), "/app");
    // glibc passes over what is for another CPU.
    starts(
        &glibc(
            "f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /lib/libssl.so.3 {lib-arm64}\nf 0644 0:0 /usr/lib/libssl.so.3 {libssl}",
        ),
        "/app",
    );
    starts(&musl("f 0755 0:0 /app {musl}"), "/app");
    starts(&musl("f 0755 0:0 /app {musl-ssl}\nf 0644 0:0 /usr/local/lib/libssl.so.3 {ld}"), "/app");
    starts(
        &musl(
            "f 0755 0:0 /app {musl-rpath}\nf 0644 0:0 /opt/lib/libssl.so.3 {libssl-crypto}\nf 0644 0:0 /opt/lib/libcrypto.so.3 {ld}",
        ),
        "/app",
    );
    starts(
        &musl(
            "f 0755 0:0 /app {musl-ssl}\nf 0644 0:0 /x/libssl.so.3 {ld}\nf 0644 0:0 /etc/ld-musl-x86_64.path /lib\\n/x\\n",
        ),
        "/app",
    );
}

#[test]
fn scripts_that_start() {
    let sh = |more: &str| with("f 0755 0:0 /bin/sh {static}\nf 0755 0:0 /usr/bin/env {static}", more);
    starts(&sh("f 0755 0:0 /app #!/bin/sh -e\\necho"), "/app");
    starts(&sh("f 0755 0:0 /app #! /usr/bin/env sh\\n"), "/app");
    starts(&sh("f 0755 0:0 /app #!/usr/bin/env -S A=1 sh -e\\n"), "/app");
    starts(&sh("f 0755 0:0 /app #!/usr/bin/env -S PATH=/x y\\n"), "/app");
    starts(&sh("f 0755 0:0 /app #!/x\\n\nf 0755 0:0 /x #!/bin/sh\\n"), "/app");
    starts(&sh("f 0755 0:0 /app #!bin/sh\\n"), "/app DIR=/");
    // As many scripts in a row as the kernel follows, and more where env begins anew.
    starts(&sh(&chain("/bin/sh", 5)), "/s0");
    starts(&sh(&(chain("/usr/bin/env app", 5) + "f 0755 0:0 /bin/app #!/bin/sh\\n")), "/s0");
}
