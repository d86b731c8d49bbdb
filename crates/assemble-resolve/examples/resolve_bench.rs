//! How long it takes to choose fifty packages of all that Alpine 3.19 has in main and community, and how much memory.
//!
//! `cargo run --release -p assemble-resolve --example resolve_bench`; the indexes are in the test kit
//! (`ASSEMBLE_TESTKIT`).

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a program for developers")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assemble_apk::{Constraint, Keyring, Trust, read_index};
use assemble_resolve::{Policy, Repository, Target, resolve_once, solve};
use assemble_types::Arch;

const WORLD: [&str; 50] = [
    "alpine-base",
    "bash",
    "bind-tools",
    "build-base",
    "ca-certificates",
    "clang",
    "cmake",
    "coreutils",
    "curl",
    "dnsmasq",
    "docker-cli",
    "ffmpeg",
    "file",
    "findutils",
    "git",
    "go",
    "grep",
    "gzip",
    "haproxy",
    "htop",
    "imagemagick",
    "iproute2",
    "iptables",
    "jq",
    "less",
    "linux-lts",
    "lua5.4",
    "mariadb",
    "memcached",
    "nano",
    "nginx",
    "nodejs",
    "npm",
    "openjdk17",
    "openssh",
    "openssl",
    "perl",
    "php82",
    "postgresql16",
    "python3",
    "py3-pip",
    "redis",
    "rsync",
    "ruby",
    "samba",
    "sqlite",
    "strace",
    "tar",
    "tmux",
    "vim",
];

/// A line of `/proc/self/status`, where there is one.
fn memory(key: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// How long this thread was on a processor; where nobody tells, what the clock says.
fn processor_time(start: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The fastest of several runs: what the machine can do when nobody disturbs it. Only time on a processor counts, since
/// others may use it, too.
fn fastest<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let mut best: Option<(T, Duration)> = None;
    let start = Instant::now();
    for _ in 0..9 {
        let before = processor_time(start);
        let result = work();
        let took = processor_time(start).saturating_sub(before);
        if best.as_ref().is_none_or(|(_, known)| took < *known) {
            best = Some((result, took));
        }
    }
    best.expect("it ran")
}

/// Bytes of memory that the records take, but for their lines, which a build keeps in a file.
fn weight(repositories: &[Repository]) -> usize {
    repositories.iter().filter_map(|repository| repository.index.records.weight()).sum()
}

fn main() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let kit = PathBuf::from(std::env::var_os("ASSEMBLE_TESTKIT").unwrap_or_else(|| default.into()));
    let packed: Vec<(&str, Vec<u8>)> = ["main", "community"]
        .into_iter()
        .map(|name| {
            let file = kit.join("real/alpine-3.19").join(name).join("x86_64/APKINDEX.tar.gz");
            let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            (name, bytes)
        })
        .collect();
    println!("memory before       {}", memory("VmRSS"));
    let read = || -> Vec<Repository> {
        packed
            .iter()
            .map(|(name, bytes)| {
                let index = read_index(bytes, &Keyring::default(), Trust::AllowUntrusted);
                let index = Arc::new(index.expect("Alpine's index can be read"));
                Repository { name: (*name).to_owned(), pin: None, index, installed: false }
            })
            .collect()
    };
    let (repositories, took) = fastest(read);
    let count: usize = repositories.iter().map(|r| r.index.records.len()).sum();
    println!("read {count} records   {took:?}, memory {}", memory("VmRSS"));
    println!("tables before choosing, {} bytes a record", weight(&repositories) / count);
    let world: Vec<Constraint> = WORLD.iter().map(|name| Constraint::parse(name).expect("a name")).collect();
    let target = Target { arch: Arch::X86_64, repositories: &repositories };
    for policy in [Policy::Apk, Policy::Apko] {
        let (solved, took) = fastest(|| solve(&world, &[target], policy));
        match solved {
            Ok(all) => println!("{policy:?}: {} packages  {took:?}", all[0].packages.len()),
            Err(error) => println!("{policy:?}: refused      {took:?}: {error}"),
        }
    }
    let (_, took) = fastest(|| {
        let repositories = read();
        let target = Target { arch: Arch::X86_64, repositories: &repositories };
        solve(&world, &[target], Policy::Apk).is_ok()
    });
    println!("read and chosen     {took:?}");
    let (_, took) = fastest(|| resolve_once(&world, &[target]));
    println!("apko's first pass   {took:?}");
    println!("tables afterwards, {} bytes a record", weight(&repositories) / count);
    println!("memory, at most     {}", memory("VmHWM"));
}
