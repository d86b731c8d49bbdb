//! Runs every target on its corpus and on a fixed number of mutations, with the stable compiler.
//!
//! What libFuzzer found lies in the corpus, so it stays found.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a helper that fails is a failing test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assemble_fuzz::{Mutator, TARGETS};

/// Inputs a target that are made of its corpus.
const MUTATIONS: usize = 2000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz")
}

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs
}

/// Whether the target holds; if not, the input is kept, and its place is said.
fn holds(name: &str, target: fn(&[u8]), input: &[u8]) -> bool {
    let caught = std::panic::catch_unwind(|| target(input));
    if caught.is_err() {
        let place = std::env::temp_dir().join(format!("fuzz-{}", name.replace('/', "-")));
        let _ = fs::write(&place, input);
        eprintln!("{name} fails; its input is kept in {}", place.display());
    }
    caught.is_ok()
}

#[test]
fn every_target_holds_on_its_corpus_and_on_mutations_of_it() {
    let mut failed = BTreeSet::new();
    for target in TARGETS {
        let inputs = inputs(target.name);
        let mut check = |name: &str, input: &[u8]| {
            // The first find of a target is enough to look at.
            if !failed.contains(target.name) && !holds(&format!("{}/{name}", target.name), target.run, input)
            {
                failed.insert(target.name);
            }
        };
        check("nothing", &[]);
        for (name, input) in &inputs {
            check(name, input);
        }
        let mut mutator = Mutator::new(target.name.bytes().map(u64::from).sum());
        for number in 0..MUTATIONS {
            let (name, input) = &inputs[number % inputs.len()];
            let (_, other) = &inputs[number / inputs.len() % inputs.len()];
            let mutated = mutator.mutate(input, other);
            check(&format!("{name}-{number}"), &mutated);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak: u64 = peak.and_then(|kilobytes| kilobytes.trim().parse().ok()).unwrap_or(0);
    assert!(peak < 256 << 10, "{peak} kB were in memory at once");
}

#[test]
fn corpus_targets_and_fuzz_programs_are_the_same_set() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name is there twice");
    let folders: BTreeSet<String> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, folders);
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml")).unwrap();
    let programs: BTreeSet<String> = manifest
        .split("[[bin]]")
        .skip(1)
        .map(|section| section.split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, programs, "fuzz/Cargo.toml");
}

#[test]
fn a_mutator_is_deterministic_and_changes_things() {
    let make = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..200).map(|_| mutator.mutate(b"some input", b"another")).collect::<Vec<_>>()
    };
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
    assert!(make(1).iter().filter(|made| made.as_slice() != b"some input").count() > 180);
}
