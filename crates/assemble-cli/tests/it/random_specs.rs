//! Whatever a spec says and whatever the cache holds: `digest` prints what `build` makes, or names a package that is missing.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};

use assemble_testkit::{ApkBuilder, FakeElf, HttpServer, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};
use assemble_types::Arch;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::sandbox::{Ran, Sandbox, finish};

const CASES: u32 = 12;

/// What specs ask for: all of the repository, in the order that a mask of bits counts them.
const PACKAGES: [&str; 8] = ["base", "tools", "tools-doc", "config", "same", "data", "new=1.0-r0", "empty"];

/// Packages of many shapes.
fn packages(arch: &str) -> Vec<ApkBuilder> {
    let of = |name: &str, version: &str| ApkBuilder::new(name, version).arch(arch).build_date(1_700_000_000);
    let noise: Vec<u8> = (0..60_000_u32).flat_map(|n| (n.wrapping_mul(n) / 77).to_le_bytes()).collect();
    let new = |version: &str| {
        of("new", version).origin("new").dir("etc").file("etc/new", format!("{version} {arch}"))
    };
    vec![
        of("base", "1.0-r0")
            .dir("etc")
            .file("etc/motd", "from base")
            .dir("usr")
            .dir("usr/lib")
            .symlink("usr/lib64", "lib")
            .dir("var")
            .mode(0o700)
            .dir("srv")
            .mode(0o1777)
            .file("usr/lib/same", "the same"),
        of("tools", "2.0-r1")
            .origin("tools")
            .depend("base")
            .dir("usr")
            .dir("usr/bin")
            .executable("usr/bin/tool", format!("#!/bin/sh\n# {arch}\n"))
            .mode(0o4755)
            .hardlink("usr/bin/tool2", "usr/bin/tool")
            .symlink("usr/bin/tool3", "tool"),
        of("tools-doc", "2.0-r1")
            .origin("tools")
            .dir("usr")
            .dir("usr/share")
            .file("usr/share/tools.txt", "tools")
            .owner(5, 7),
        of("config", "1-r0").replaces("base").dir("etc").file("etc/motd", "from config").mode(0o600),
        of("same", "1-r0").origin("base").dir("usr").dir("usr/lib").file("usr/lib/same", "the same"),
        of("data", "3-r0").depend("base").dir("usr").dir("usr/share").file("usr/share/data", noise),
        new("1.0-r0"),
        new("1.1-r0"),
        of("empty", "1-r0").depend("data"),
        of("late", "1-r0").install_if("tools tools-doc").dir("usr").file("usr/late", "late").mtime(7),
    ]
}

/// How a lock stands to the spec.
#[derive(Debug, Clone, Copy, PartialEq)]
enum LockCase {
    None,
    /// It fits.
    Fits,
    /// It fits, and has to.
    Strict,
    /// It was made for other packages.
    Drifted,
    /// It is there, and nobody is to look.
    Ignored,
}

#[allow(clippy::struct_excessive_bools, reason = "each is a line of the spec")]
#[derive(Debug, Clone)]
struct Case {
    packages: u8,
    both_archs: bool,
    layering: Option<(&'static str, usize)>,
    site: Vec<u8>,
    owned: bool,
    binary: bool,
    paths: bool,
    accounts: bool,
    environment: u8,
    base_files: bool,
    zstd: bool,
    lock: LockCase,
    epoch: Option<u32>,
    /// Which files of the cache are removed: those whose number, times this, has certain bits.
    removed: u32,
}

fn case() -> impl Strategy<Value = Case> {
    let layering = prop_oneof![
        1 => Just(None),
        1 => (1usize..5).prop_map(|budget| Some(("origin", budget))),
        2 => (1usize..8).prop_map(|budget| Some(("package", budget))),
    ];
    let lock = prop_oneof![
        2 => Just(LockCase::None),
        2 => Just(LockCase::Fits),
        1 => Just(LockCase::Strict),
        2 => Just(LockCase::Drifted),
        1 => Just(LockCase::Ignored),
    ];
    let content = (
        prop_oneof![1 => Just(0u8), 6 => any::<u8>()],
        any::<bool>(),
        layering,
        prop::collection::vec(any::<u8>(), 0..4),
        any::<bool>(),
        any::<bool>(),
    );
    let settings = (any::<bool>(), any::<bool>(), 0u8..3, prop::bool::weighted(0.15), any::<bool>());
    let rest = (lock, prop::option::weighted(0.2, 1_000_000_000u32..1_800_000_000), any::<u32>());
    (content, settings, rest).prop_map(|(content, settings, (lock, epoch, removed))| {
        let (packages, both_archs, layering, site, owned, binary) = content;
        let (paths, accounts, environment, base_files, zstd) = settings;
        // A spec that puts nothing into its image is refused.
        let nothing = site.is_empty() && !binary;
        Case {
            packages: packages | u8::from(nothing),
            both_archs,
            layering,
            site,
            owned,
            binary,
            paths,
            accounts,
            environment,
            base_files,
            zstd,
            lock,
            epoch,
            removed,
        }
    })
}

impl Case {
    fn spec(&self, url: &str, packages: u8) -> String {
        let names: Vec<&str> =
            (0..8).filter(|bit| packages >> bit & 1 == 1).map(|bit| PACKAGES[bit]).collect();
        let mut text = format!(
            "contents:\n  repositories: ['{url}']\n  keyring: [../{TEST_KEY_NAME}]\n  packages: [{}]\n",
            names.join(", ")
        );
        text += if self.base_files { "  base-files: all\n" } else { "  base-files: none\n" };
        if !self.site.is_empty() {
            let owner = if self.owned { ", uid: 5, gid: 6, permissions: 0o640" } else { "" };
            text += &format!("  files: [{{source: site, path: /srv/site{owner}}}]\n");
        }
        match (self.binary, self.both_archs) {
            (true, true) => text += "  binary: {amd64: x86_64, arm64: aarch64}\n",
            (true, false) => text += "  binary: {source: x86_64, path: /app}\n",
            _ => {}
        }
        text += if self.both_archs { "archs: [amd64, arm64]\n" } else { "archs: [amd64]\n" };
        if let Some((strategy, budget)) = self.layering {
            text += &format!("layering: {{strategy: {strategy}, budget: {budget}}}\n");
        }
        if self.paths {
            text += "paths:\n- {path: /made, type: directory, permissions: 0o750, uid: 9, gid: 9}\n\
                     - {path: /made/link, type: symlink, source: /etc/motd}\n\
                     - {path: /made/none, type: empty-file, permissions: 0o600}\n";
        }
        if self.accounts {
            text += "accounts: {run-as: 1000, users: [{username: u, uid: 1000}], groups: [{groupname: g, gid: 1000}]}\n";
        }
        for number in 0..self.environment {
            text += if number == 0 { "environment:\n" } else { "" };
            text += &format!("  NAME{number}: value {}\n", self.removed);
        }
        text
    }

    /// Writes everything beside the spec.
    fn write(&self, s: &Sandbox, url: &str, folder: &str) {
        for (number, byte) in self.site.iter().enumerate() {
            s.write(&format!("{folder}/site/d{number}/f{byte}"), [*byte; 300]);
        }
        for (name, arch) in [("x86_64", Arch::X86_64), ("aarch64", Arch::Aarch64)] {
            s.write(&format!("{folder}/{name}"), FakeElf::new(arch).payload(&[self.packages]).build());
        }
        let packages = if self.lock == LockCase::Drifted { !self.packages } else { self.packages };
        s.write(&format!("{folder}/spec.yaml"), self.spec(url, packages));
        if self.lock != LockCase::None && packages != 0 {
            s.ok(["lock", &format!("{folder}/spec.yaml"), "--quiet"]);
        }
        s.write(&format!("{folder}/spec.yaml"), self.spec(url, self.packages));
    }
}

/// A case that is written, with a cache of its own.
struct Place<'a> {
    s: &'a Sandbox,
    case: &'a Case,
    folder: String,
}

impl Place<'_> {
    fn run(&self, command: &str, more: &[&str]) -> Ran {
        self.run_with("cache", command, more)
    }

    fn run_with(&self, cache: &str, command: &str, more: &[&str]) -> Ran {
        let spec = format!("{}/spec.yaml", self.folder);
        let cache = format!("{}/{cache}", self.folder);
        let mut args = vec![command, &spec, "--cache-dir", &cache, "--start-check", "warn"];
        args.extend(more);
        args.extend(self.case.zstd.then_some("--compression=zstd"));
        args.extend(match self.case.lock {
            LockCase::Strict if self.case.packages != 0 => Some("--locked"),
            LockCase::Ignored => Some("--ignore-lock"),
            _ => None,
        });
        let mut command = self.s.command(args);
        if let Some(epoch) = self.case.epoch {
            command.env("SOURCE_DATE_EPOCH", epoch.to_string());
        }
        finish(&mut command, self.s.root())
    }

    fn digest(&self, more: &[&str]) -> Ran {
        self.run("digest", more)
    }

    /// What a build prints.
    fn build(&self, more: &[&str]) -> String {
        self.build_with("cache", more)
    }

    fn build_with(&self, cache: &str, more: &[&str]) -> String {
        let ran = self.run_with(cache, "build", &[&["--output", "none"], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    /// Files of the cache, in order.
    fn cached(&self) -> Vec<PathBuf> {
        let mut out = Vec::new();
        walk(&self.s.path(&format!("{}/cache/v1", self.folder)), &mut out);
        out.sort();
        out
    }
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, out) } else { out.push(path) }
    }
}

/// The package that a failed `digest` names.
fn named(stderr: &str) -> Option<String> {
    let before = stderr.split(" is not in the cache").next()?;
    (before.len() < stderr.len()).then(|| before.split_whitespace().last().unwrap_or_default().to_owned())
}

/// `digest` without `--fetch`: what is wanted, or a package that `--fetch` then fetches. Says which.
fn looked_up(place: &Place<'_>, server: &HttpServer, wanted: &str) -> Result<bool, TestCaseError> {
    let ran = place.digest(&[]);
    if ran.code == 0 {
        prop_assert_eq!(ran.stdout.trim_end(), wanted);
        return Ok(true);
    }
    prop_assert_eq!(ran.code, 6, "{}", ran.stderr);
    let package = named(&ran.stderr);
    prop_assert!(package.is_some() && ran.stderr.contains("--fetch"), "{}", ran.stderr);
    server.clear_log();
    let fetched = place.digest(&["--fetch"]);
    prop_assert_eq!(fetched.stdout.trim_end(), wanted, "{}", fetched.stderr);
    let file = format!("/{}.apk", package.unwrap_or_default());
    prop_assert!(server.calls().iter().any(|call| call.ends_with(&file)), "{file} was there");
    Ok(false)
}

#[derive(Debug, Default)]
struct Seen {
    cold: Cell<usize>,
    missing: Cell<usize>,
    found: Cell<usize>,
    digests: RefCell<Vec<String>>,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

fn check(place: &Place<'_>, server: &HttpServer, seen: &Seen) -> Result<(), TestCaseError> {
    // Nothing is there: either nothing is needed, or a package is missing.
    let wanted = place.build_with("another-cache", &["--rebuild", "--keep-lock"]);
    if !looked_up(place, server, &wanted)? {
        count(&seen.cold);
    }
    // Everything is there.
    let fetched = place.digest(&["--fetch"]).stdout;
    prop_assert_eq!(fetched.trim_end(), &wanted);
    prop_assert!(looked_up(place, server, &wanted)?, "something that was fetched is missing");
    prop_assert_eq!(&place.build(&["--keep-lock"]), &wanted);
    prop_assert_eq!(&place.build(&["--rebuild", "--keep-lock"]), &wanted);
    // Some of it is there.
    for (number, file) in (1u32..).zip(place.cached()) {
        if (number.wrapping_mul(place.case.removed | 1) >> 13).is_multiple_of(4) {
            fs::remove_file(file).unwrap();
        }
    }
    count(if looked_up(place, server, &wanted)? { &seen.found } else { &seen.missing });
    // The build makes the lock fit, and nothing else comes of it.
    prop_assert_eq!(&place.build(&[]), &wanted);
    let last = place.digest(&[]);
    prop_assert_eq!(last.stdout.trim_end(), &wanted, "{}", last.stderr);
    // Another local file is another image; what was removed may be needed for it.
    if let Some(byte) = place.case.site.first() {
        place.s.write(&format!("{}/site/d0/f{byte}", place.folder), [*byte ^ 1; 300]);
        let changed = place.digest(&["--fetch"]);
        prop_assert_eq!(changed.stdout.trim_end(), place.build(&["--rebuild"]), "{}", changed.stderr);
        prop_assert!(changed.stdout.trim_end() != wanted);
    }
    seen.digests.borrow_mut().push(wanted);
    Ok(())
}

#[test]
fn a_digest_is_that_of_the_build() {
    let s = Sandbox::new();
    for arch in ["x86_64", "aarch64"] {
        let repository = RepositoryBuilder::new();
        packages(arch).into_iter().fold(repository, RepositoryBuilder::package).write(&s.path("repo"), arch);
    }
    s.write(TEST_KEY_NAME, TEST_KEY);
    let server = HttpServer::folder(s.path("repo"));
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 24,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (number, seen) = (Cell::new(0), Seen::default());
    let run = |case: Case| {
        count(&number);
        let place = Place { s: &s, case: &case, folder: format!("case-{}", number.get()) };
        case.write(&s, &server.url(), &place.folder);
        check(&place, &server, &seen)
    };
    TestRunner::new_with_rng(config, rng).run(&case(), run).unwrap_or_else(|error| panic!("{error}"));
    // What says nothing is not what was meant.
    let enough = seen.cold.get() * 2 > CASES as usize && seen.missing.get() > 2 && seen.found.get() > 0;
    assert!(enough, "{seen:?}");
}
