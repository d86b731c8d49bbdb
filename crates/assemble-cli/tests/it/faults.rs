//! What may happen to a cache while it is used: kills, a full disk, folders that go away, clocks that jump.
//!
//! No run may hang, panic or make another image than it should; and what a fault left behind is never in the way of the
//! next build.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use assemble_testkit::{
    Action, ApkBuilder, FakeElf, Fault, HttpServer, RepositoryBuilder, TEST_KEY, TEST_KEY_NAME,
};
use assemble_types::{Arch, Digest};

use crate::sandbox::{Ran, Sandbox};

/// No run takes longer, on however slow a machine.
const LONGEST: Duration = Duration::from_mins(1);
const YEAR: i64 = 366 * 24 * 3600;

/// A spec of two small packages and a binary. The second package is larger than what stays in memory.
pub(crate) fn project() -> (Sandbox, HttpServer) {
    let s = Sandbox::new();
    let one = ApkBuilder::new("one", "1.0-r0").dir("usr").file("usr/one", noise(1, 3_000));
    let two = ApkBuilder::new("two", "1.0-r0").dir("etc").file("etc/two", noise(2, 400_000));
    RepositoryBuilder::new().package(one.build()).package(two.build()).write(&s.path("repo"), "x86_64");
    let server = HttpServer::folder(s.path("repo"));
    s.write(TEST_KEY_NAME, TEST_KEY);
    s.write("hello", FakeElf::new(Arch::X86_64).payload(b"hello").build());
    fs::set_permissions(s.path("hello"), fs::Permissions::from_mode(0o755)).unwrap();
    s.write("site/index.html", "<p>hello");
    s.write(
        "spec.yaml",
        format!(
            "contents:\n  repositories: ['{}']\n  keyring: [{TEST_KEY_NAME}]\n  packages: [one, two]\n  binary: hello\n  \
             files: [{{source: site, path: /srv}}]\narchs: [x86_64]\n",
            server.url()
        ),
    );
    (s, server)
}

/// Bytes that do not become fewer when they are packed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A run that has begun. It is killed when it takes too long.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    root: PathBuf,
}

pub(crate) fn begin(command: &mut Command, s: &Sandbox) -> Running {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Running { child, began: Instant::now(), root: s.root().to_owned() }
}

impl Running {
    /// What it said; what it says fits into a pipe.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.began.elapsed() > LONGEST {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("a run hangs");
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let text = |pipe: &mut dyn std::io::Read| {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).replace(&self.root.display().to_string(), "[ROOT]")
        };
        let ran = Ran {
            code: status.code().unwrap_or(-1),
            stdout: text(self.child.stdout.as_mut().unwrap()),
            stderr: text(self.child.stderr.as_mut().unwrap()),
        };
        assert!(ran.code != 70 && !ran.stderr.contains("panicked"), "{}", ran.shown());
        ran
    }
}

pub(crate) fn run(s: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    begin(s.command(args).envs(variables.iter().copied()), s).end()
}

fn build(s: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    run(s, &[&["build", "spec.yaml"], args].concat(), variables)
}

#[track_caller]
pub(crate) fn gives(ran: &Ran, digest: &str) {
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, digest), "{}", ran.stderr);
}

/// Another build is right, its layout is, and nothing in the cache is damaged.
#[track_caller]
fn all_is_well(s: &Sandbox, output: &str, digest: &str) {
    gives(&build(s, &["-o", output], &[]), digest);
    is_whole(&s.path(output), digest);
    let verified = run(s, &["verify", output, "--spec", "spec.yaml"], &[]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let checked = run(s, &["cache", "verify"], &[]);
    assert!(checked.code == 0 && checked.stderr.contains(", 0 damaged"), "{}", checked.shown());
}

/// Every blob of a layout is what its name says, and its index names the image.
#[track_caller]
pub(crate) fn is_whole(layout: &Path, digest: &str) {
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    assert!(index.contains(digest), "{index}");
    for blob in files(&layout.join("blobs")) {
        let name = blob.file_name().unwrap().to_string_lossy();
        let whole = Digest::of(&fs::read(&blob).unwrap()).hex() == name;
        assert!(whole || name.starts_with(".assemble-"), "{name} is damaged");
    }
}

/// The digest that every build of the project has to give, made with a cache of its own.
fn right_digest(s: &Sandbox) -> String {
    let ran = build(s, &["-o", "none"], &[("ASSEMBLE_CACHE", "another-cache")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.trim_end().to_owned()
}

fn count(s: &Sandbox, folder: &str) -> usize {
    files(&s.path(folder)).len()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.append(&mut files(&path)) } else { out.push(path) }
    }
    out
}

/// The shim, or nothing where there is no C compiler.
fn shim() -> Option<&'static str> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, String)>> = OnceLock::new();
    let made = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (source, shim) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
        fs::write(&source, include_str!("faults/shim.c")).unwrap();
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl").output();
        match made {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some((folder, shim.display().to_string()))
            }
            Err(error) => {
                eprintln!("SKIPPED: no cc: {error}");
                None
            }
        }
    });
    made.as_ref().map(|(_, path)| path.as_str())
}

#[test]
fn fifty_builds_on_one_cold_cache_half_of_them_killed() {
    let (s, _server) = project();
    let began = Instant::now();
    let digest = right_digest(&s);
    let one = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = Random(7);
    let plans: Vec<Option<Duration>> = (0..50)
        .map(|n| (n % 2 == 0).then(|| Duration::from_micros(one / 20 + random.below(one * 4))))
        .collect();
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let mut running = begin(&mut s.command(["build", "spec.yaml", "-o", "out"]), &s);
                    if let Some(after) = plan {
                        std::thread::sleep(*after);
                        // SIGKILL to this one child, which may have ended by now.
                        running.child.kill().unwrap();
                    }
                    let ran = running.end();
                    if plan.is_some() && ran.code == -1 {
                        killed.fetch_add(1, Ordering::SeqCst);
                    } else {
                        gives(&ran, &digest);
                    }
                }
            });
        }
    });
    assert!(killed.into_inner() > 0);
    all_is_well(&s, "out", &digest);
    gives(&build(&s, &["-o", "out", "--rebuild"], &[]), &digest);
}

#[test]
fn a_disk_that_is_full_at_every_write() {
    let Some(shim) = shim() else { return };
    let (s, _server) = project();
    let digest = right_digest(&s);
    let next = AtomicUsize::new(1);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if !full_disk(&s, shim, at, &digest, &failed) {
                        // The others find out themselves.
                        return;
                    }
                }
            });
        }
    });
    let (tried, failed) = (next.into_inner(), failed.into_inner());
    assert!(tried > 30 && failed > 10, "{tried} {failed}");
    eprintln!("{tried} writes, {failed} failed builds");
}

/// The build whose nth write fails, and the one after it. Says whether there was such a write.
fn full_disk(s: &Sandbox, shim: &str, at: usize, digest: &str, failed: &AtomicUsize) -> bool {
    // In turn one call that fails and then works again, and a disk that stays full.
    let times = if at % 2 == 1 { "1" } else { "1000000" };
    let name = format!("full-{at}-{times}");
    let (cache, out, calls) = (format!("{name}/cache"), format!("{name}/out"), format!("{name}.count"));
    fs::create_dir(s.path(&name)).unwrap();
    let below = fs::canonicalize(s.path(&name)).unwrap().display().to_string();
    let cache_dir = s.path(&cache).display().to_string();
    let output = ["-o", out.as_str(), "--cache-dir", cache_dir.as_str()];
    let at_text = at.to_string();
    let ran = build(
        s,
        &output,
        &[
            ("LD_PRELOAD", shim),
            ("FAULT_BELOW", &below),
            ("FAULT_COUNT", &calls),
            ("FAULT_AT", &at_text),
            ("FAULT_TIMES", times),
        ],
    );
    let made = fs::metadata(s.path(&calls)).unwrap().len();
    let reached = made >= at as u64;
    let told = format!("write {at}, {times} times: {}", ran.shown());
    if ran.code == 0 {
        assert_eq!(ran.stdout.trim_end(), digest, "{told}");
        is_whole(&s.path(&out), digest);
    } else {
        failed.fetch_add(1, Ordering::SeqCst);
        assert_eq!(ran.code, 9, "{told}");
        assert!(ran.stderr.contains(&name), "{told}");
        assert!(ran.stderr.contains("No space left"), "{told}");
        // What is left of the output is no layout, or one without images.
        let (marker, index) = (s.path(&out).join("oci-layout"), s.path(&out).join("index.json"));
        assert_eq!(marker.is_file(), index.is_file(), "{told}");
        if index.is_file() {
            let inspected = run(s, &["inspect", &out], &[]);
            assert!(inspected.stderr.contains("holds no image"), "{told}\n{}", inspected.shown());
        }
    }
    let after = build(s, &output, &[]);
    assert_eq!((after.code, after.stdout.trim_end()), (0, digest), "{told}\nthen: {}", after.stderr);
    let checked = run(s, &["cache", "verify", "--cache-dir", &cache_dir], &[]);
    assert!(checked.stderr.contains(", 0 damaged"), "{told}\n{}", checked.shown());
    let left: Vec<_> =
        files(&s.path(&cache).join("v1/tmp")).into_iter().chain(files(&s.path(&out))).collect();
    for path in left {
        let file = path.file_name().unwrap().to_string_lossy();
        assert!(!file.starts_with("part-") && !file.starts_with(".assemble-"), "{told}: left {file}");
    }
    reached
}

#[test]
fn a_cache_that_cannot_be_written() {
    let (s, _server) = project();
    let digest = right_digest(&s);
    // Files where folders should be.
    let parts = ["tmp", "content", "documents", "blobs", "records", "records/results", "."];
    for part in parts {
        fs::remove_dir_all(s.path("cache")).ok();
        let place = s.path("cache/v1").join(part);
        s.write(if part == "." { "cache/v1" } else { "cache/v1/x" }, "");
        if part != "." {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(&place, "no folder").unwrap();
        }
        let ran = build(&s, &["-o", "out"], &[]);
        if ran.code == 0 {
            gives(&ran, &digest);
        } else {
            assert!(ran.code == 9 && ran.stderr.contains("[ROOT]/cache/v1"), "{part}: {}", ran.shown());
        }
        fs::remove_file(s.path("cache/v1").join(if part == "." { "" } else { part })).ok();
        fs::remove_file(s.path("cache/v1")).ok();
        all_is_well(&s, "out", &digest);
    }
    // Files that may not change, also for root.
    let tmp = s.path("cache/v1/tmp");
    let attribute = |how: &str| {
        let done = Command::new("chattr").arg(how).arg(&tmp).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    if attribute("+i") {
        fs::remove_dir_all(s.path("cache/v1/records")).unwrap();
        let ran = build(&s, &["-o", "out"], &[]);
        assert!(attribute("-i"));
        gives(&ran, &digest);
    } else {
        eprintln!("SKIPPED: no chattr +i here");
    }
}

#[test]
fn a_cache_of_another_user() {
    let (s, _server) = project();
    let digest = right_digest(&s);
    let root = fs::metadata(s.root()).unwrap().uid() == 0;
    let has = Command::new("setpriv").arg("--version").output().is_ok();
    if !root || !has {
        eprintln!("SKIPPED: this takes root and setpriv");
        return;
    }
    // The program has to be where the other user may read it.
    fs::set_permissions(s.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_assemble"), s.path("program")).unwrap();
    fs::set_permissions(s.path("program"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(s.path("theirs")).unwrap();
    chown(s.path("theirs"), Some(65_534), Some(65_534)).unwrap();
    let as_another = |args: &[&str]| {
        let mut command = s.command(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        let mut other = Command::new("setpriv");
        other.args(command.get_args()).arg(s.path("program")).args(args);
        other.current_dir(s.root()).env_clear().stdin(Stdio::null());
        other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = other;
        begin(&mut command, &s).end()
    };
    // A cold cache that they cannot make, a warm one that they can read, and one that they cannot even look into.
    fs::create_dir(s.path("cache")).unwrap();
    for step in ["cold", "warm", "closed"] {
        match step {
            "warm" => gives(&build(&s, &["-o", "none"], &[]), &digest),
            "closed" => {
                fs::set_permissions(s.path("cache/v1"), fs::Permissions::from_mode(0o700)).unwrap();
            }
            _ => {}
        }
        let output = format!("theirs/{step}");
        let ran = as_another(&["build", "spec.yaml", "-o", &output]);
        gives(&ran, &digest);
        if step == "warm" {
            // What they may not read is no damage, and what they could not remove is not said to be gone.
            let kept = files(&s.path("cache/v1"));
            let ran = as_another(&["cache", "verify"]);
            assert!(ran.code == 9 && ran.stderr.contains("cannot be read:"), "{} {}", ran.code, ran.stderr);
            assert!(!ran.stderr.contains("removed"), "{}", ran.stderr);
            assert_eq!(files(&s.path("cache/v1")), kept);
        }
        assert!(
            step == "warm" || ran.stderr.contains("nothing is kept in the cache"),
            "{step} {}",
            ran.stderr
        );
        is_whole(&s.path(&output), &digest);
    }
    all_is_well(&s, "out", &digest);
}

#[test]
fn a_cache_that_is_deleted_or_cut_in_the_middle_of_a_build() {
    let (s, server) = project();
    let digest = right_digest(&s);
    for (round, cold, how) in [
        (0, true, "delete"),
        (1, false, "delete"),
        (2, true, "cut"),
        (3, false, "cut"),
        (4, true, "empty"),
        (5, true, "sweep"),
        (6, true, "unfinished"),
    ] {
        fs::remove_dir_all(s.path("cache")).ok();
        fs::remove_dir_all(s.path("out")).ok();
        if !cold {
            gives(&build(&s, &["-o", "none"], &[]), &digest);
            for content in files(&s.path("cache/v1/content")) {
                if fs::metadata(&content).unwrap().len() > 1 << 10 || how == "delete" {
                    fs::remove_file(content).ok();
                }
            }
            fs::remove_dir_all(s.path("cache/v1/records")).unwrap();
            fs::remove_dir_all(s.path("cache/v1/blobs")).unwrap();
        }
        server.clear_log();
        server.clear_faults();
        let stall = Action::StallInBody(200_000, Duration::from_millis(700));
        server.fault(Fault::on("GET", "two-1.0-r0.apk", stall).nth(1));
        let running = begin(&mut s.command(["build", "spec.yaml", "-o", "out"]), &s);
        let began = Instant::now();
        while !server.calls().iter().any(|call| call.contains("two-1.0-r0.apk")) {
            assert!(began.elapsed() < LONGEST);
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(200));
        match how {
            "delete" => fs::remove_dir_all(s.path("cache")).unwrap(),
            // What another process does that believes it is much later.
            "sweep" => {
                for part in files(&s.path("cache/v1/tmp")) {
                    fs::remove_file(part).unwrap();
                }
            }
            _ => {
                let folder = if how == "unfinished" { "cache/v1/tmp" } else { "cache/v1" };
                for path in files(&s.path(folder)) {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
                    let file = fs::File::options().write(true).open(&path).unwrap();
                    let len = if how == "cut" { file.metadata().unwrap().len() / 2 } else { 0 };
                    file.set_len(len).unwrap();
                }
            }
        }
        let ran = running.end();
        assert_eq!((ran.code, ran.stdout.trim_end()), (0, digest.as_str()), "{round}: {}", ran.stderr);
        is_whole(&s.path("out"), &digest);
        server.clear_faults();
        let after = build(&s, &["-o", "out"], &[]);
        assert_eq!((after.code, after.stdout.trim_end()), (0, digest.as_str()), "{round}: {}", after.stderr);
        is_whole(&s.path("out"), &digest);
        // What was cut and not used since is found, and then nothing more.
        let checked = run(&s, &["cache", "verify"], &[]);
        assert!(matches!(checked.code, 0 | 5), "{}", checked.shown());
        all_is_well(&s, "out", &digest);
    }
}

#[test]
fn a_clock_that_jumps() {
    let Some(shim) = shim() else { return };
    let (s, _server) = project();
    let digest = right_digest(&s);
    let (back, ahead) = ((-YEAR).to_string(), YEAR.to_string());
    let at = |clock: &str, args: &[&str]| build(&s, args, &[("LD_PRELOAD", shim), ("FAULT_CLOCK", clock)]);
    for clock in ["0", back.as_str(), ahead.as_str(), "0", ahead.as_str(), back.as_str()] {
        gives(&at(clock, &["-o", "none"]), &digest);
        gives(&at(clock, &["-o", "none", "--rebuild"]), &digest);
    }
    // A file of the same size and time of modification, also one that was changed while the clock was back.
    let mut seen = vec![digest.clone()];
    for (n, (clock, modified)) in [
        (back.as_str(), None),
        (ahead.as_str(), None),
        ("0", Some(YEAR)),
        (back.as_str(), Some(YEAR)),
        ("0", Some(-YEAR)),
    ]
    .into_iter()
    .enumerate()
    {
        let place = s.path("site/index.html");
        let before = fs::metadata(&place).unwrap().modified().unwrap();
        fs::write(&place, format!("<p>hell{n}")).unwrap();
        let time = match modified {
            Some(YEAR) => SystemTime::now() - Duration::from_secs(YEAR.unsigned_abs()),
            Some(_) => SystemTime::now() + Duration::from_secs(YEAR.unsigned_abs()),
            None => before,
        };
        fs::File::options().write(true).open(&place).unwrap().set_modified(time).unwrap();
        let now = at(clock, &["-o", "none"]);
        assert_eq!(now.code, 0, "{}", now.stderr);
        let now = now.stdout.trim_end().to_owned();
        assert!(!seen.contains(&now), "{clock}");
        gives(&build(&s, &["-o", "none", "--rebuild"], &[]), &now);
        gives(&build(&s, &["-o", "none"], &[]), &now);
        seen.push(now);
    }
    s.write("site/index.html", "<p>hello");
    all_is_well(&s, "out", &digest);
}

#[test]
fn a_clock_ahead_takes_no_file_from_a_running_build() {
    let Some(shim) = shim() else { return };
    let (s, server) = project();
    let digest = right_digest(&s);
    let stall = Action::StallInBody(200_000, Duration::from_millis(700));
    server.fault(Fault::on("GET", "two-1.0-r0.apk", stall).nth(1));
    let running = begin(&mut s.command(["build", "spec.yaml", "-o", "out"]), &s);
    let began = Instant::now();
    while files(&s.path("cache/v1/tmp")).is_empty() {
        assert!(began.elapsed() < LONGEST);
        std::thread::sleep(Duration::from_millis(5));
    }
    let ahead = YEAR.to_string();
    let other = build(&s, &["-o", "none"], &[("LD_PRELOAD", shim), ("FAULT_CLOCK", &ahead)]);
    gives(&other, &digest);
    gives(&running.end(), &digest);
    all_is_well(&s, "out", &digest);
}

#[test]
fn two_versions_of_the_program_on_one_cache() {
    let (s, _server) = project();
    let digest = right_digest(&s);
    fs::copy(env!("CARGO_BIN_EXE_assemble"), s.path("other")).unwrap();
    fs::set_permissions(s.path("other"), fs::Permissions::from_mode(0o755)).unwrap();
    let time = SystemTime::now() - Duration::from_secs(5000);
    fs::File::options().write(true).open(s.path("other")).unwrap().set_modified(time).unwrap();
    let other = |args: &[&str]| {
        let ours = s.command(["build", "spec.yaml"]);
        let mut command = Command::new(s.path("other"));
        command.args(ours.get_args()).args(args).current_dir(s.root()).env_clear().stdin(Stdio::null());
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        begin(&mut command, &s).end()
    };
    for round in 0..3 {
        gives(&build(&s, &["-o", "out"], &[]), &digest);
        if round == 0 {
            assert_eq!(count(&s, "cache/v1/records/results"), 1);
        }
        gives(&other(&["-o", "out"]), &digest);
        // Each finds only what it made itself.
        assert_eq!(count(&s, "cache/v1/records/results"), 2, "{round}");
    }
    let both: Vec<Running> =
        (0..3).map(|_| begin(&mut s.command(["build", "spec.yaml", "-o", "out", "--rebuild"]), &s)).collect();
    gives(&other(&["-o", "out", "--rebuild"]), &digest);
    for running in both {
        gives(&running.end(), &digest);
    }
    all_is_well(&s, "out", &digest);
}
