//! How to build a program so that it starts.

use assemble_types::{Arch, Platform};

use super::elf::Language;
use super::libraries::triplet;

fn rust_target(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "i686-unknown-linux-musl",
        Arch::X86_64 => "x86_64-unknown-linux-musl",
        Arch::Aarch64 => "aarch64-unknown-linux-musl",
        Arch::Armhf => "arm-unknown-linux-musleabihf",
        Arch::Armv7 => "armv7-unknown-linux-musleabihf",
        Arch::Loongarch64 => "loongarch64-unknown-linux-musl",
        Arch::Ppc64le => "powerpc64le-unknown-linux-musl",
        Arch::Riscv64 => "riscv64gc-unknown-linux-musl",
        // No ready-made standard library for musl there.
        Arch::S390x => "s390x-unknown-linux-gnu",
    }
}

fn rust(arch: Arch) -> String {
    let target = rust_target(arch);
    let flags = if target.ends_with("gnu") { "RUSTFLAGS='-C target-feature=+crt-static' " } else { "" };
    format!("Rust: `rustup target add {target}`, then `{flags}cargo build --release --target {target}`")
}

fn go(arch: Arch) -> String {
    let arm = match arch {
        Arch::Armhf => " GOARM=6",
        Arch::Armv7 => " GOARM=7",
        _ => "",
    };
    format!("Go: `CGO_ENABLED=0 GOOS=linux GOARCH={}{arm} go build`", arch.oci())
}

fn c(arch: Arch) -> String {
    format!("C: `{}-gcc -static -o app app.c`", triplet(arch))
}

fn chosen(language: Language, go: String, rust: String, c: String) -> Vec<String> {
    match language {
        Language::Go => vec![go],
        Language::Rust => vec![rust],
        Language::Unknown => vec![go, rust, c],
    }
}

/// Commands that build for `platform` wherever they run.
pub(super) fn cross_build(language: Language, platform: Platform) -> Vec<String> {
    let arch = platform.arch;
    chosen(language, go(arch), rust(arch), c(arch))
}

/// Commands that build a program that needs no loader and no libraries, with the C library it was built with.
pub(super) fn static_build(language: Language, platform: Platform, musl: bool) -> Vec<String> {
    let target = rust_target(platform.arch);
    let target = if musl { target.to_owned() } else { target.replace("musl", "gnu") };
    chosen(
        language,
        "build it static, in Go: `CGO_ENABLED=0 go build`".to_owned(),
        format!(
            "build it static, in Rust: \
             `RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target {target}`"
        ),
        "build it static, in C: `gcc -static -o app app.c`".to_owned(),
    )
}
