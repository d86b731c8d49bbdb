//! The test kit's requests, with apko's own answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble_apk::{Constraint, Index, Keyring, Trust, read_index};
use assemble_resolve::{Repository, check, resolve_once, solve};
use serde_json::Value;

use crate::support::names;

fn kit() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let folder = PathBuf::from(std::env::var_os("ASSEMBLE_TESTKIT").unwrap_or_else(|| default.into()));
    if folder.join("resolver-cases.json").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no test kit at {} (set ASSEMBLE_TESTKIT)", folder.display());
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Indexes are read once; the signatures are another crate's concern.
#[derive(Default)]
struct Indexes(BTreeMap<PathBuf, Option<Arc<Index>>>);

impl Indexes {
    fn read(&mut self, path: PathBuf) -> Option<Arc<Index>> {
        let read = |path: &PathBuf| {
            let packed = std::fs::read(path).ok()?;
            read_index(&packed, &Keyring::default(), Trust::AllowUntrusted).ok().map(Arc::new)
        };
        self.0.entry(path.clone()).or_insert_with(|| read(&path)).clone()
    }

    /// The repositories of a case, named as apko was given them.
    fn repositories(&mut self, kit: &Path, case: &Value) -> Option<Vec<Repository>> {
        let list = case["repositories"].as_array()?.iter();
        list.map(|repository| {
            let path = repository["path"].as_str()?;
            let file = kit.join(path).join(case["arch"].as_str()?).join("APKINDEX.tar.gz");
            let pin = repository["tag"].as_str().map(Into::into);
            Some(Repository { name: format!("./{path}"), pin, index: self.read(file)? })
        })
        .collect()
    }
}

/// What of apko's 289 answers the first pass gives, order and all. Not to sink.
const EQUAL: usize = 0;

#[test]
fn apko_answers() {
    let Some(kit) = kit() else { return };
    let answers = &json(&kit.join("apko-oracle/resolver-answers.json"))["answers"];
    let mut indexes = Indexes::default();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut solved: BTreeMap<&str, usize> = BTreeMap::new();
    for case in json(&kit.join("resolver-cases.json"))["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let Some(repositories) = indexes.repositories(&kit, case) else {
            eprintln!("{id}: an index cannot be read");
            *count.entry("index unreadable").or_default() += 1;
            continue;
        };
        let request = case["request"].as_array().unwrap();
        let world: Vec<_> =
            request.iter().map(|c| Constraint::parse_or_unmeetable(c.as_str().unwrap())).collect();
        // Whatever the answer is, it holds.
        let solution = solve(&world, &repositories);
        if let Ok(solution) = &solution {
            assert_eq!(check(&world, solution, &repositories), [], "{id}");
        }
        let Some(answer) = answers.get(id) else { continue };
        let once = resolve_once(&world, &repositories).map(|choices| names(&choices, &repositories));
        let theirs: Option<Vec<String>> = answer["packages"]
            .as_array()
            .map(|list| list.iter().map(|name| name.as_str().unwrap().to_owned()).collect());
        let verdict = match (&once, &theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => "equal",
            (Err(_), None) => "both refuse",
            (Ok(ours), Some(theirs)) => {
                eprintln!("{id} {request:?}\n  ours   {}\n  theirs {}", ours.join(" "), theirs.join(" "));
                let sorted = |list: &[String]| {
                    let mut list = list.to_vec();
                    list.sort();
                    list
                };
                if sorted(ours) == sorted(theirs) { "other order" } else { "other set" }
            }
            (Ok(ours), None) => {
                eprintln!("{id} {request:?}\n  ours   {}\n  theirs {}", ours.join(" "), answer["error"]);
                "only we solve"
            }
            (Err(error), Some(theirs)) => {
                eprintln!("{id} {request:?}\n  ours   {error}\n  theirs {}", theirs.join(" "));
                "only apko solves"
            }
        };
        *count.entry(verdict).or_default() += 1;
        let after = match (&solution, &theirs) {
            (Ok(_), Some(_)) => "both solve",
            (Err(_), None) => "both refuse",
            (Ok(_), None) => "only we solve",
            (Err(error), Some(_)) => {
                eprintln!("{id} {request:?}\n  refused in the end: {error}");
                "only apko solves"
            }
        };
        *solved.entry(after).or_default() += 1;
    }
    eprintln!("first pass: {count:?}\nsolved: {solved:?}");
    let equal = count.get("equal").unwrap_or(&0) + count.get("both refuse").unwrap_or(&0);
    assert!(equal >= EQUAL, "{equal} answers are apko's; they were {EQUAL}");
}
