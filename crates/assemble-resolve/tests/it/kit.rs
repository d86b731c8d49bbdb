//! The test kit's requests, with apko's own answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use assemble_apk::{Constraint, Index, Keyring, Trust, read_index};
use assemble_resolve::{Policy, Repository, Solution, Target, check};
use assemble_testkit::solution::{Listed, Rules, Shelf, problems};
use assemble_types::Platform;
use serde_json::Value;

use crate::support::{first, listed, names, solve};

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

/// An index, for us and for the judge.
type Read = (Arc<Index>, Rc<Vec<Listed>>);

/// Indexes are read once; the signatures are another crate's concern.
#[derive(Default)]
struct Indexes(BTreeMap<PathBuf, Option<Read>>);

impl Indexes {
    fn read(&mut self, path: &Path) -> Option<Read> {
        let read = || {
            let packed = std::fs::read(path).ok()?;
            let index = read_index(&packed, &Keyring::default(), Trust::AllowUntrusted).ok()?;
            let list = index.records.iter().map(listed).collect();
            Some((Arc::new(index), Rc::new(list)))
        };
        self.0.entry(path.to_owned()).or_insert_with(read).clone()
    }

    /// What the judge finds wrong with a solution of a case.
    fn judged(&mut self, kit: &Path, case: &Value, solution: &Solution) -> Vec<String> {
        let lists: Vec<(Option<&str>, Rc<Vec<Listed>>)> = case["repositories"]
            .as_array()
            .unwrap()
            .iter()
            .map(|repository| {
                let path = repository["path"].as_str().unwrap();
                let file = kit.join(path).join(case["arch"].as_str().unwrap()).join("APKINDEX.tar.gz");
                (repository["tag"].as_str(), self.read(&file).unwrap().1)
            })
            .collect();
        let shelves: Vec<Shelf<'_>> =
            lists.iter().map(|(tag, list)| Shelf { tag: *tag, packages: list }).collect();
        let world: Vec<String> =
            case["request"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect();
        let set: Vec<_> = solution.packages.iter().map(|c| (c.repository, c.record)).collect();
        problems(&world, &shelves, &set, Rules::Apk)
    }

    /// The repositories of a case, named as apko was given them.
    fn repositories(&mut self, kit: &Path, case: &Value) -> Option<Vec<Repository>> {
        let list = case["repositories"].as_array()?.iter();
        list.map(|repository| {
            let path = repository["path"].as_str()?;
            let file = kit.join(path).join(case["arch"].as_str()?).join("APKINDEX.tar.gz");
            let pin = repository["tag"].as_str().map(Into::into);
            Some(Repository { name: format!("./{path}"), pin, index: self.read(&file)?.0, installed: false })
        })
        .collect()
    }
}

/// The request of a case.
fn request(case: &Value) -> Vec<Constraint> {
    let list = case["request"].as_array().unwrap().iter();
    list.map(|c| Constraint::parse_or_unmeetable(c.as_str().unwrap())).collect()
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list
}

/// Refused by apko since a key is missing: no concern of a resolver.
const NOT_APKOS: [&str; 1] = ["wrong-key-01"];

#[test]
fn apko_answers() {
    let Some(kit) = kit() else { return };
    let answers = &json(&kit.join("apko-oracle/resolver-answers.json"))["answers"];
    let mut indexes = Indexes::default();
    let (mut equal, mut wrong) = (0, Vec::new());
    for case in json(&kit.join("resolver-cases.json"))["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let Some(answer) = answers.get(id) else { continue };
        let Some(repositories) = indexes.repositories(&kit, case) else { continue };
        let once = first(&request(case), &repositories).map(|choices| names(&choices, &repositories));
        let theirs: Option<Vec<String>> = answer["packages"]
            .as_array()
            .map(|list| list.iter().map(|name| name.as_str().unwrap().to_owned()).collect());
        match (once, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => equal += 1,
            (Err(_), None) => equal += 1,
            (ours, theirs) => {
                eprintln!(
                    "{id} {}\n  ours   {ours:?}\n  theirs {theirs:?} {}",
                    case["request"], answer["error"]
                );
                wrong.push(id.to_owned());
            }
        }
    }
    eprintln!("{equal} answers are apko's");
    assert_eq!(wrong, NOT_APKOS);
    assert!(equal >= 288, "only {equal} answers");
}

#[test]
fn apk_answers() {
    let Some(kit) = kit() else { return };
    let mut indexes = Indexes::default();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in json(&kit.join("resolver-cases.json"))["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let Some(repositories) = indexes.repositories(&kit, case) else {
            eprintln!("{id}: an index cannot be read");
            continue;
        };
        let world = request(case);
        let arch = case["arch"].as_str().unwrap().parse::<Platform>().unwrap().arch;
        let target = Target { arch, repositories: &repositories };
        let solution = assemble_resolve::solve(&world, &[target], Policy::Apk).map(|mut all| all.remove(0));
        if let Ok(solution) = &solution {
            assert_eq!(check(&world, solution, &repositories, Policy::Apk), [], "{id}");
            let problems = indexes.judged(&kit, case, solution);
            assert_eq!(problems, Vec::<String>::new(), "{id}");
        }
        let ours = solution.map(|s| sorted(&names(&s.packages, &repositories)));
        let theirs = case["solution"].as_array().map(|list| {
            let one = |v: &Value| format!("{}={}", v[0].as_str().unwrap(), v[1].as_str().unwrap());
            sorted(&list.iter().map(one).collect::<Vec<_>>())
        });
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => *count.entry("equal").or_default() += 1,
            (Ok(ours), None) => {
                eprintln!("{id} {} apk refuses, we take {}", case["request"], ours.join(" "));
                *count.entry("only we solve").or_default() += 1;
            }
            (Err(error), None) => {
                eprintln!("{id} {} {error}", case["request"]);
                *count.entry("both refuse").or_default() += 1;
            }
            (Ok(ours), Some(theirs)) => {
                let only = |a: &[String], b: &[String]| {
                    a.iter().filter(|n| !b.contains(n)).cloned().collect::<Vec<_>>().join(" ")
                };
                eprintln!(
                    "{id} {} only ours {}; only apk's {}",
                    case["request"],
                    only(&ours, &theirs),
                    only(&theirs, &ours)
                );
                wrong.push(id.to_owned());
            }
            (Err(error), Some(_)) => {
                eprintln!("{id} {} only apk solves: {error}", case["request"]);
                wrong.push(id.to_owned());
            }
        }
    }
    eprintln!("{count:?}");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count["equal"] >= 232, "{count:?}");
}

/// The list of a key in a simple YAML file.
fn yaml_list(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| line.trim() != format!("{key}:"));
    lines.next();
    let items = lines.map_while(|line| line.trim().strip_prefix("- "));
    items.map(|item| item.trim_matches('"').to_owned()).collect()
}

/// The world and the repositories of a case; nothing if it needs more than that to be understood.
fn simple_case(
    kit: &Path,
    folder: &Path,
    arch: &str,
    indexes: &mut Indexes,
) -> Option<(Vec<Constraint>, Vec<Repository>)> {
    let text = std::fs::read_to_string(folder.join("apko.yaml")).ok()?;
    let odd = ["_repositories:", "include:", "baseimage:", "runtime_", "service-bundle", "&", "<<"];
    if odd.iter().any(|word| text.contains(word)) {
        return None;
    }
    let world: Option<Vec<_>> =
        yaml_list(&text, "packages").iter().map(|text| Constraint::parse(text).ok()).collect();
    let repositories: Option<Vec<_>> = yaml_list(&text, "repositories")
        .into_iter()
        .map(|line| {
            let (pin, name) = match line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
                Some((pin, name)) => (Some(pin.into()), name.to_owned()),
                None => (None, line),
            };
            let path = name.strip_prefix("http://127.0.0.1:18080/kit/")?;
            let index = indexes.read(&kit.join(path).join(arch).join("APKINDEX.tar.gz"))?.0;
            Some(Repository { name, pin, index, installed: false })
        })
        .collect();
    Some((world?, repositories?))
        .filter(|(world, repositories)| !world.is_empty() && !repositories.is_empty())
}

/// Whole builds of apko: what is locked and in which order it is installed.
#[test]
fn apko_builds() {
    let Some(kit) = kit() else { return };
    let mut indexes = Indexes::default();
    let mut compared = 0;
    let mut folders: Vec<_> =
        std::fs::read_dir(kit.join("apko-oracle")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.join("expected.json").exists()) {
        let name = folder.file_name().unwrap().to_string_lossy();
        let expected = json(&folder.join("expected.json"));
        let command = expected["command"].to_string();
        let odd = ["\"-r\"", "\"-b\"", "\"-p\"", "--lockfile", "--package"];
        if expected["exit"] != "accepted" || odd.iter().any(|option| command.contains(option)) {
            continue;
        }
        for (arch, locked) in expected["lock"]["packages"].as_object().into_iter().flatten() {
            let Some((world, repositories)) = simple_case(&kit, folder, arch, &mut indexes) else { continue };
            let solution = solve(&world, &repositories, Policy::Apko);
            // Architectures that have to agree: each is solved alone here.
            if name == "039-archs-unify" {
                continue;
            }
            let solution = solution.unwrap_or_else(|error| panic!("{name}: {error}"));
            // The lock file has no tags.
            let ours: Vec<_> =
                solution.locked.iter().map(|c| c.to_string().split('@').next().unwrap().to_owned()).collect();
            let theirs: Vec<_> =
                locked.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
            let (mut sorted, mut expected_sorted) = (ours.clone(), theirs.clone());
            sorted.sort();
            expected_sorted.sort();
            assert_eq!(sorted, expected_sorted, "{name} {arch}");
            let Some(installed) = expected["archs"][arch]["installed"].as_array() else { continue };
            let text = |v: &Value, i: usize| v[i].as_str().unwrap().to_owned();
            let theirs: Vec<_> = installed.iter().map(|v| format!("{}={}", text(v, 0), text(v, 1))).collect();
            assert_eq!(names(&solution.packages, &repositories), theirs, "{name} {arch}");
            compared += 1;
        }
    }
    eprintln!("{compared} orders of installation are apko's");
    assert!(compared >= 77, "{compared}");
}
