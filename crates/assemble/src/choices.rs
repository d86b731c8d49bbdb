//! What was chosen before: the same list of packages over the same indexes is not solved twice.
//!
//! A choice is a pure function of the list, of whose choice it is, and of the indexes' records, and those of the bytes of
//! their files. The cache so keeps which records were chosen, by the digest of all that; what they say is read again.

use std::fmt::Write as _;

use assemble_apk::Constraint;
use assemble_fetch::{RecordKind, Store};
use assemble_resolve::{Choice, Policy, Repository, Solution};
use assemble_types::{Digest, Platform};

use crate::sources::{Indexes, Sources};

/// Counts up with each change of what a record holds, and of what its key is made of.
const FORMAT: u32 = 1;

/// Where one choice is kept, if it can be.
#[derive(Debug)]
pub(crate) struct KeptChoice {
    store: Store,
    key: Option<Digest>,
}

impl KeptChoice {
    /// That of this list over these indexes, if all of them have a digest and the program is known.
    pub(crate) fn of(
        world: &[Constraint],
        policy: Policy,
        platforms: &[Platform],
        indexes: &[Indexes],
        sources: &Sources<'_>,
    ) -> Self {
        let key = sources.program.and_then(|program| key(program, world, policy, platforms, indexes));
        Self { store: sources.fetcher.store(), key }
    }

    /// The solutions, one for each platform, if they were kept and fit.
    pub(crate) fn find(&self, repositories: &[Vec<Repository>]) -> Option<Vec<Solution>> {
        let text = String::from_utf8(self.store.record(RecordKind::Choice, self.key.as_ref()?)?).ok()?;
        let solutions = read(&text)?;
        let is_there = |(solution, repositories): (&Solution, &Vec<Repository>)| {
            let has = |choice: &Choice| {
                repositories.get(choice.repository).is_some_and(|of| choice.record < of.index.records.len())
            };
            solution.packages.iter().all(has)
        };
        let fit = solutions.len() == repositories.len() && solutions.iter().zip(repositories).all(is_there);
        fit.then_some(solutions)
    }

    /// Keeps solutions. It saves solving the next time, and nothing else, so that it may fail.
    pub(crate) fn keep(&self, solutions: &[Solution]) {
        let text = write(solutions);
        if let Some(key) = &self.key
            && read(&text).as_deref() == Some(solutions)
        {
            let _ = self.store.keep_record(RecordKind::Choice, key, text.as_bytes());
        }
    }
}

/// Stands for everything that the choice depends on. Nothing if that cannot be said: of a folder of this host without an
/// index, and of what is in a base image.
fn key(
    program: &str,
    world: &[Constraint],
    policy: Policy,
    platforms: &[Platform],
    indexes: &[Indexes],
) -> Option<Digest> {
    let mut world: Vec<String> = world.iter().map(ToString::to_string).collect();
    world.sort();
    let mut text = format!("choice {FORMAT}\n{program}\n{policy:?}\n{world:?}\n");
    for (platform, indexes) in platforms.iter().zip(indexes) {
        if indexes.locked.len() != indexes.repositories.len() {
            return None;
        }
        let _ = writeln!(text, "for {:?}", platform.arch);
        for (repository, locked) in indexes.repositories.iter().zip(&indexes.locked) {
            let Repository { name, pin, installed, index: _ } = repository;
            let _ = writeln!(text, "{name:?} {pin:?} {installed} {} {:?}", locked.index, locked.signed_by);
        }
    }
    Some(Digest::of(text.as_bytes()))
}

/// For each platform a line `for`, then its world and its packages, in their order.
fn write(solutions: &[Solution]) -> String {
    let mut text = String::new();
    for solution in solutions {
        text += "for\n";
        for constraint in &solution.locked {
            let _ = writeln!(text, "world {constraint}");
        }
        for Choice { repository, record } in &solution.packages {
            let _ = writeln!(text, "package {repository} {record}");
        }
    }
    text
}

fn read(text: &str) -> Option<Vec<Solution>> {
    let mut solutions = Vec::new();
    for line in text.lines() {
        if line == "for" {
            solutions.push(Solution { locked: Vec::new(), packages: Vec::new() });
            continue;
        }
        let solution = solutions.last_mut()?;
        match line.split_once(' ')? {
            ("world", constraint) => solution.locked.push(Constraint::parse(constraint).ok()?),
            ("package", place) => {
                let (repository, record) = place.split_once(' ')?;
                let (repository, record) = (repository.parse().ok()?, record.parse().ok()?);
                solution.packages.push(Choice { repository, record });
            }
            _ => return None,
        }
    }
    Some(solutions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let locked = ["a=1.2-r3", "b=1@edge", "c=x~y"].map(|text| Constraint::parse(text).unwrap()).to_vec();
        let packages = vec![Choice { repository: 1, record: 20 }, Choice { repository: 0, record: 3 }];
        let empty = Solution { locked: Vec::new(), packages: Vec::new() };
        let solutions = vec![Solution { locked, packages }, empty];
        let text = write(&solutions);
        assert_eq!(read(&text), Some(solutions));
        for bad in ["package 0 0\n", "for\npackage 0\n", "for\nworld a b\n", "for\nx y\n", "for\n\n"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
