//! Specs in `testdata/specs`, named for the reason why they pass or not, and real specs of others.

use std::path::{Path, PathBuf};

use assemble_spec::parse_spec;
use expect_test::expect_file;

fn specs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e != "txt"))
        .collect();
    files.sort();
    files
}

fn testdata(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/specs")).join(name)
}

#[test]
fn accepted() {
    let files = specs(&testdata("accepted"));
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Err(diagnostics) = parse_spec(name, &std::fs::read(&path).unwrap()) {
            panic!("{name}:\n{}", diagnostics.plain());
        }
    }
}

#[test]
fn refused() {
    let files = specs(&testdata("refused"));
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Err(diagnostics) = parse_spec(name, &std::fs::read(&path).unwrap()) else {
            panic!("{name} is accepted")
        };
        expect_file![
            path.with_extension("txt").canonicalize().unwrap_or_else(|_| path.with_extension("txt"))
        ]
        .assert_eq(&diagnostics.plain());
    }
}

/// Real specs: what is wrong with one may only be that we cannot build it yet.
#[test]
fn specs_of_others_are_understood() {
    let kit = std::env::var("ASSEMBLE_TESTKIT")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit").to_owned());
    let files = specs(&Path::new(&kit).join("apko-specs/specs"));
    if files.is_empty() {
        eprintln!("SKIPPED: specs_of_others_are_understood: no specs below {kit}");
        return;
    }
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        match parse_spec(name, &std::fs::read(&path).unwrap()) {
            Ok(_) => {}
            Err(diagnostics) => {
                // Some get their repositories from apko's command line.
                let other: Vec<_> = diagnostics
                    .iter()
                    .filter(|d| d.code != "spec/not-supported" && !d.message.contains("but no repository"))
                    .collect();
                assert!(other.is_empty(), "{}", diagnostics.plain());
            }
        }
    }
}
