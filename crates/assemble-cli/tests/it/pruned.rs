//! A cache that others take things out of while it is used. No build may fail that could be made again.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assemble_testkit::{Action, Fault, Gate, RegistryStub};

use crate::faults::{begin, gives, is_whole, project, run};
use crate::sandbox::Sandbox;

/// Builds of each kind while one of the takers is at work.
const ROUNDS: usize = 2;

/// Ends the taker, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The project with one layer for all, and with one for each package.
fn specs(s: &Sandbox) -> [(String, String); 2] {
    let text = String::from_utf8(s.read("spec.yaml")).unwrap();
    s.write("layers.yaml", format!("{text}layering: {{strategy: package}}\n"));
    ["spec.yaml", "layers.yaml"].map(|spec| {
        let other = [("ASSEMBLE_CACHE", "another-cache")];
        let ran = run(s, &["build", spec, "-o", "none"], &other);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (spec.to_owned(), ran.stdout.trim_end().to_owned())
    })
}

/// Builds over and over while `take` takes things out of the cache.
fn while_taking(take: impl Fn(&Sandbox) -> usize + Sync) {
    let (s, _server) = project();
    let registry = RegistryStub::start();
    let specs = specs(&s);
    let (done, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                taken.fetch_add(take(&s), Ordering::SeqCst);
            }
        });
        let _stop = Stop(&done);
        for round in 0..ROUNDS {
            for (spec, digest) in &specs {
                let out = format!("{round}-{spec}");
                gives(&run(&s, &["build", spec, "-o", &out], &[]), digest);
                is_whole(&s.path(&out), digest);
                // What is there is kept, and what was made before may be found again.
                gives(&run(&s, &["build", spec, "-o", &out], &[]), digest);
                let archive = format!("{out}.tar");
                gives(&run(&s, &["build", spec, "-o", &archive], &[]), digest);
                let name = format!("{}/{round}/{spec}:1", registry.host());
                let pushed = run(&s, &["build", spec, "--push", "-t", &name], &[]);
                assert_eq!(pushed.code, 0, "{}", pushed.stderr);
                assert!(pushed.stdout.trim_end().ends_with(digest), "{}", pushed.stdout);
            }
        }
    });
    assert!(taken.into_inner() > 0, "nothing was there to take");
    for (spec, digest) in &specs {
        gives(&run(&s, &["build", spec, "-o", "out"], &[]), digest);
        is_whole(&s.path("out"), digest);
    }
    assert_eq!(run(&s, &["cache", "verify"], &[]).code, 0);
}

fn remove(paths: &[PathBuf]) -> usize {
    paths.iter().filter(|path| fs::remove_file(path).is_ok()).count()
}

/// Every file, as far as it can be seen while others make and remove folders.
fn seen(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { seen(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

#[test]
fn builds_while_others_prune() {
    while_taking(|s| {
        let pruned = run(s, &["cache", "prune", "--max-size", "0"], &[]);
        assert_eq!(pruned.code, 0, "{}", pruned.stderr);
        usize::from(!pruned.stderr.contains(" 0 files"))
    });
}

#[test]
fn builds_while_layers_go() {
    while_taking(|s| remove(&seen(&s.path("cache/v1/blobs"))));
}

#[test]
fn builds_while_all_files_go() {
    while_taking(|s| remove(&seen(&s.path("cache"))));
}

#[test]
fn builds_while_the_folder_goes() {
    while_taking(|s| usize::from(fs::remove_dir_all(s.path("cache")).is_ok()));
}

#[test]
fn what_is_cut_between_look_up_and_push_is_made_again() {
    let (s, _server) = project();
    for (spec, digest) in &specs(&s) {
        for len in [0, 100] {
            let registry = RegistryStub::start();
            gives(&run(&s, &["build", spec, "-o", "none"], &[]), digest);
            // No upload begins before the registry says where to.
            let gate = Gate::default();
            registry.fault(Fault::on("POST", "/blobs/uploads/", Action::Hold(gate.clone())));
            let name = format!("{}/cut:1", registry.host());
            let running = begin(&mut s.command(["build", spec, "--push", "-t", &name]), &s);
            let began = Instant::now();
            while gate.came() == 0 {
                assert!(began.elapsed() < Duration::from_mins(1));
                std::thread::sleep(Duration::from_millis(5));
            }
            for blob in seen(&s.path("cache/v1/blobs")) {
                fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
                fs::File::options().write(true).open(&blob).unwrap().set_len(len).unwrap();
            }
            gate.open();
            let pushed = running.end();
            assert_eq!(pushed.code, 0, "{}", pushed.stderr);
            assert!(pushed.stdout.trim_end().ends_with(digest), "{}", pushed.stdout);
            assert!(pushed.stderr.contains("beginning again"), "{}", pushed.stderr);
        }
    }
    // What was cut and not used since is found, and then nothing more.
    let checked = run(&s, &["cache", "verify"], &[]);
    assert!(matches!(checked.code, 0 | 5), "{}", checked.shown());
    assert_eq!(run(&s, &["cache", "verify"], &[]).code, 0);
}
