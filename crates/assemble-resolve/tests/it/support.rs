//! Repositories as text.

use std::sync::Arc;

use assemble_apk::{Checksum, Constraint, Index, PackageName, PackageSpec, Provide, Record, Version};
use assemble_resolve::{Choice, Policy, Repository, Solution, Target, Unsolvable, check, resolve_once};
use assemble_testkit::solution::{Listed, Rules, Shelf, problems};
use assemble_types::{Arch, Explain as _};

/// `name version key:value …`, one package a line; `d:` depends, `p:` provides, `o:` origin, `i:` install_if, `k:` priority,
/// `a:` architecture, `c:` checksum (a small number), `u:` unknown field.
pub(crate) fn repository(name: &str, text: &str) -> Repository {
    let records = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(record).collect();
    let index =
        Index { records, description: String::new(), signed_by: None, files: PackageSpec::version_2() };
    Repository { name: name.to_owned(), pin: None, index: Arc::new(index), installed: false }
}

pub(crate) fn tagged(name: &str, tag: &str, text: &str) -> Repository {
    Repository { pin: Some(tag.into()), ..repository(name, text) }
}

pub(crate) fn record(line: &str) -> Record {
    let mut words = line.split_whitespace();
    let mut record = Record {
        name: PackageName::parse(words.next().expect("a name")).expect("a good name"),
        version: Version::parse(words.next().expect("a version")).expect("a good version"),
        arch: "x86_64".to_owned(),
        license: String::new(),
        description: String::new(),
        origin: String::new(),
        maintainer: String::new(),
        url: String::new(),
        depends: Vec::new(),
        provides: Vec::new(),
        install_if: Vec::new(),
        commit: String::new(),
        build_time: 0,
        size: 0,
        installed_size: 0,
        provider_priority: 0,
        checksum: None,
        unknown_field: None,
    };
    for word in words {
        let (key, value) = word.split_once(':').expect("key:value");
        match key {
            "d" => record.depends.push(constraint(value)),
            "p" => record.provides.push(Provide::parse(value).expect("a good provide")),
            "o" => value.clone_into(&mut record.origin),
            "i" => record.install_if.push(constraint(value)),
            "a" => value.clone_into(&mut record.arch),
            "u" => record.unknown_field = value.chars().next(),
            "c" => {
                let digest = [value.parse().expect("a small number"); 20];
                let text = format!("Q1{}", data_encoding::BASE64.encode(&digest));
                record.checksum = Some(Checksum::parse(&text).expect("a checksum"));
            }
            "k" => record.provider_priority = value.parse().expect("a number"),
            other => panic!("no such key: {other}"),
        }
    }
    record
}

pub(crate) fn constraint(text: &str) -> Constraint {
    Constraint::parse(text).expect("a good constraint")
}

pub(crate) fn world(text: &str) -> Vec<Constraint> {
    text.split_whitespace().map(constraint).collect()
}

pub(crate) fn names(choices: &[Choice], repositories: &[Repository]) -> Vec<String> {
    let solution = Solution { locked: Vec::new(), packages: choices.to_vec() };
    solution.records(repositories).map(|(_, r)| format!("{}={}", r.name, r.version)).collect()
}

pub(crate) fn show(error: &Unsolvable) -> String {
    let mut text = format!("{}: {error}", error.code());
    for hint in error.hints() {
        text += "\n  ";
        text += &hint;
    }
    text
}

/// Order of the first pass, or the error.
pub(crate) fn once(wanted: &str, repositories: &[Repository]) -> Result<String, String> {
    let choices = first(&world(wanted), repositories).map_err(|error| show(&error))?;
    Ok(names(&choices, repositories).join(" "))
}

/// Order of installation, or the error. The solution is checked.
pub(crate) fn solved(wanted: &str, repositories: &[Repository]) -> Result<String, String> {
    let world = world(wanted);
    let solution = solve(&world, repositories, Policy::Apk).map_err(|error| show(&error))?;
    assert_eq!(check(&world, &solution, repositories, Policy::Apk), []);
    Ok(names(&solution.packages, repositories).join(" "))
}

/// The solution for one architecture.
pub(crate) fn solve(
    world: &[Constraint],
    repositories: &[Repository],
    policy: Policy,
) -> Result<Solution, Unsolvable> {
    let target = Target { arch: Arch::X86_64, repositories };
    Ok(assemble_resolve::solve(world, &[target], policy)?.remove(0))
}

/// apko's first resolution for one architecture.
pub(crate) fn first(world: &[Constraint], repositories: &[Repository]) -> Result<Vec<Choice>, Unsolvable> {
    let target = Target { arch: Arch::X86_64, repositories };
    Ok(resolve_once(world, &[target])?.remove(0))
}

/// apko's order of installation, or the error.
pub(crate) fn as_apko(wanted: &str, repositories: &[Repository]) -> Result<String, String> {
    let solution = solve(&world(wanted), repositories, Policy::Apko).map_err(|error| show(&error))?;
    Ok(names(&solution.packages, repositories).join(" "))
}

/// A record for the judge, in the words of an index.
pub(crate) fn listed(record: &Record) -> Listed {
    fn texts<T: ToString>(list: &[T]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }
    Listed {
        name: record.name.to_string(),
        version: record.version.to_string(),
        depends: texts(&record.depends),
        provides: texts(&record.provides),
        install_if: texts(&record.install_if),
    }
}

/// What the independent judge finds wrong with a solution.
pub(crate) fn judged(
    world: &[Constraint],
    repositories: &[Repository],
    solution: &Solution,
    rules: Rules,
) -> Vec<String> {
    let lists: Vec<Vec<Listed>> =
        repositories.iter().map(|r| r.index.records.iter().map(listed).collect()).collect();
    let shelves: Vec<Shelf<'_>> = repositories
        .iter()
        .zip(&lists)
        .map(|(repository, packages)| Shelf { tag: repository.pin.as_deref(), packages })
        .collect();
    let world: Vec<String> = world.iter().map(ToString::to_string).collect();
    let set: Vec<_> = solution.packages.iter().map(|choice| (choice.repository, choice.record)).collect();
    problems(&world, &shelves, &set, rules)
}
