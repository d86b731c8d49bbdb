//! Trees that do and do not start, and what is said of them.

mod commands;
mod dynamic;
mod hostile;
mod programs;
mod starts;

use std::fmt::Write as _;

use assemble_rootfs::{StartRequest, check_start};
use assemble_testkit::{FakeElf, fake_elf};
use assemble_types::{Arch, Explain, Platform};
use expect_test::Expect;

use crate::trees::tree_with;

pub(super) const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
pub(super) const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// Contents by name.
pub(super) fn content(name: &str) -> Option<Vec<u8>> {
    let amd64 = || FakeElf::new(Arch::X86_64);
    let lib = |soname: &str| fake_elf(Arch::X86_64, None, &["libc.so.6"], None, Some(soname));
    Some(match name {
        "static" => amd64().build(),
        "static-pie" => amd64().static_pie().build(),
        "arm64" => FakeElf::new(Arch::Aarch64).build(),
        "386" => FakeElf::new(Arch::X86).build(),
        "armv7" => FakeElf::new(Arch::Armv7).build(),
        "glibc" => amd64().interpreter(GLIBC).needed("libc.so.6").build(),
        "glibc-ssl" => amd64().interpreter(GLIBC).needed("libssl.so.3").needed("libc.so.6").build(),
        "musl" => amd64().interpreter(MUSL).needed("libc.musl-x86_64.so.1").build(),
        "musl-ssl" => amd64().interpreter(MUSL).needed("libssl.so.3").needed("libc.so").build(),
        "odd-loader" => amd64().interpreter("/system/bin/linker64").needed("libx.so").build(),
        "runpath" => amd64().interpreter(GLIBC).needed("libssl.so.3").runpath("$ORIGIN/../lib/app").build(),
        "rpath" => amd64().interpreter(GLIBC).needed("libssl.so.3").rpath("/opt/lib:${ORIGIN}/lib").build(),
        "lib-dollar" => amd64().interpreter(GLIBC).needed("libssl.so.3").runpath("/opt/$LIB").build(),
        "musl-rpath" => amd64().interpreter(MUSL).needed("libssl.so.3").runpath("/opt/lib").build(),
        "slash" => amd64().interpreter(GLIBC).needed("/opt/x/libssl.so.3").build(),
        "ld" => fake_elf(Arch::X86_64, None, &[], None, Some("ld-linux-x86-64.so.2")),
        "libc" => fake_elf(Arch::X86_64, None, &["ld-linux-x86-64.so.2"], None, Some("libc.so.6")),
        "libssl" => lib("libssl.so.3"),
        "libssl-crypto" => fake_elf(Arch::X86_64, None, &["libcrypto.so.3"], None, Some("libssl.so.3")),
        "libssl-runpath" => {
            fake_elf(Arch::X86_64, None, &["libcrypto.so.3"], Some("/opt/crypto"), Some("libssl.so.3"))
        }
        "libcrypto" => lib("libcrypto.so.3"),
        "ld-arm64" | "lib-arm64" => fake_elf(Arch::Aarch64, None, &[], None, None),
        "cut" => {
            let file = amd64().payload(&[0; 1000]).build();
            file[..200].to_vec()
        }
        "half-header" => b"\x7fELF\x02\x01\x01".to_vec(),
        "object" => {
            let mut file = amd64().build();
            file[16] = 1;
            file
        }
        "macho" => b"\xcf\xfa\xed\xfe\x07\0\0\x01".to_vec(),
        "fat" => b"\xca\xfe\xba\xbe\0\0\0\x02".to_vec(),
        "java" => b"\xca\xfe\xba\xbe\0\0\0\x41".to_vec(),
        "pe" => b"MZ\x90\0\x03".to_vec(),
        "jar" => b"PK\x03\x04....".to_vec(),
        "bom" => b"\xef\xbb\xbf#!/bin/sh\n".to_vec(),
        "noise" => vec![1, 2, 3, 0xff],
        "long-line" => [b"#!/".to_vec(), vec![b'x'; 300]].concat(),
        "cache" => ld_cache("libssl.so.3", "/opt/lib/libssl.so.3"),
        _ => return None,
    })
}

fn ld_cache(name: &str, path: &str) -> Vec<u8> {
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    out.extend(1_u32.to_le_bytes());
    out.resize(48, 0);
    out.extend([3, 3, 0, 0]);
    out.extend(72_u32.to_le_bytes());
    out.extend(u32::try_from(73 + name.len()).unwrap().to_le_bytes());
    out.resize(72, 0);
    out.extend(format!("{name}\0{path}\0").bytes());
    out
}

/// What is asked for, as words: `entrypoint…` or `KEY=value` for the rest.
pub(super) fn request(words: &str) -> StartRequest {
    let mut request = StartRequest {
        platform: Platform::from(Arch::X86_64),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        env_path: None,
        env_library_path: None,
        work_dir: None,
        user: (65532, 65532),
    };
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("PATH", value)) => request.env_path = Some(value.into()),
            Some(("LIBS", value)) => request.env_library_path = Some(value.into()),
            Some(("DIR", value)) => request.work_dir = Some(value.into()),
            Some(("USER", value)) => request.user = (value.parse().unwrap(), value.parse().unwrap()),
            Some(("CMD", value)) => request.cmd = vec![value.replace('_', " ")],
            Some(("FOR", value)) => request.platform = value.parse().unwrap(),
            _ => request.entrypoint.push(word.replace('_', " ")),
        }
    }
    request
}

pub(super) fn render(problem: &dyn Explain) -> String {
    let mut out = format!("{}: {problem}", problem.code());
    let mut source = std::error::Error::source(problem);
    while let Some(error) = source {
        write!(out, ": {error}").unwrap();
        source = error.source();
    }
    out.push('\n');
    for hint in problem.hints() {
        writeln!(out, "  {hint}").unwrap();
    }
    out
}

pub(super) fn check(tree: &str, words: &str, expected: &Expect) {
    let problems = check_start(&tree_with(tree, content), &request(words));
    let text: String = problems
        .iter()
        .map(|problem| {
            assert_eq!(problem.kind().exit_code(), 10);
            render(problem)
        })
        .collect();
    expected.assert_eq(&text);
}

/// Each of these starts.
pub(super) fn starts(tree: &str, words: &str) {
    let problems = check_start(&tree_with(tree, content), &request(words));
    assert!(
        problems.is_empty(),
        "{words} on {tree}\n{}",
        problems.iter().map(|p| render(p)).collect::<String>()
    );
}

pub(super) const HELLO: &str = "f 0755 0:0 /usr/bin/hello {static}\n";
pub(super) const GLIBC_TREE: &str = "
    f 0755 0:0 /lib64/ld-linux-x86-64.so.2 {ld}
    f 0755 0:0 /lib/libc.so.6 {libc}
    f 0755 0:0 /usr/lib/libcrypto.so.3 {libcrypto}
";
pub(super) const MUSL_TREE: &str = "f 0755 0:0 /lib/ld-musl-x86_64.so.1 {ld}\n";

pub(super) fn with(base: &str, more: &str) -> String {
    format!("{base}\n{more}")
}

/// Scripts that are each other's interpreters, `/s0` first; the last one has this line.
pub(super) fn chain(last: &str, count: usize) -> String {
    let line = |n: usize| if n + 1 == count { last.to_owned() } else { format!("/s{}", n + 1) };
    (0..count).map(|n| format!("f 0755 0:0 /s{n} #!{}\\n\n", line(n))).collect()
}
