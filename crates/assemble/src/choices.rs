//! What was chosen before: the same list of packages over the same indexes is not solved twice.
//!
//! A choice is a pure function of the list, of whose choice it is, and of the indexes' records, and those of the bytes of
//! their files and of who may vouch for them. The cache so keeps which records were chosen, by the digest of all that, with
//! the text of these records: of an index that holds tens of thousands, nothing else is needed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use assemble_apk::{Constraint, Index};
use assemble_fetch::{RecordKind, Store};
use assemble_resolve::{Choice, Repository, Solution};
use assemble_types::{Digest, Platform};

use crate::plan::{Mode, Plan};
use crate::sources::{Asked, Sources};

/// Counts up with each change of what a record holds, and of what its key is made of.
const FORMAT: u32 = 3;
/// Stands in place of the key's name for an index that nobody signed.
const NOBODY: &str = "-";

/// Where one choice is kept, if it can be.
#[derive(Debug)]
pub(crate) struct KeptChoice {
    store: Store,
    key: Option<Digest>,
    /// How many repositories there are for each platform.
    repositories: Vec<usize>,
}

/// The solutions, one for each platform; and of each platform's repositories the records that they point at.
type Found = (Vec<Solution>, Vec<Vec<Index>>);

impl KeptChoice {
    /// That of a plan for these platforms over these indexes, if all of them are there and the program is known.
    pub(crate) fn of(
        plan: &Plan<'_>,
        platforms: &[Platform],
        asked: &[Asked],
        sources: &Sources<'_>,
    ) -> Self {
        let key = sources.program.and_then(|program| key(program, plan, platforms, asked));
        let repositories = asked.iter().map(Asked::len).collect();
        Self { store: sources.fetcher.store(), key, repositories }
    }

    /// What was kept, if it fits.
    pub(crate) fn find(&self) -> Option<Found> {
        let text = String::from_utf8(self.store.record(RecordKind::Choice, self.key.as_ref()?)?).ok()?;
        let (solutions, excerpts) = read(&text)?;
        let counts = excerpts.iter().map(Vec::len);
        let is_there = |(solution, excerpts): (&Solution, &Vec<Index>)| {
            let has = |choice: &Choice| {
                excerpts.get(choice.repository).is_some_and(|index| choice.record < index.records.len())
            };
            solution.packages.iter().all(has)
        };
        let fit = counts.eq(self.repositories.iter().copied())
            && solutions.len() == excerpts.len()
            && solutions.iter().zip(&excerpts).all(is_there);
        fit.then_some((solutions, excerpts))
    }

    /// Keeps solutions. It saves solving the next time, and nothing else, so that it may fail.
    pub(crate) fn keep(&self, solutions: &[Solution], repositories: &[Vec<Repository>]) {
        if let Some(key) = &self.key
            && let Some(text) = write(solutions, repositories)
        {
            let _ = self.store.keep_record(RecordKind::Choice, key, text.as_bytes());
        }
    }
}

/// Stands for everything that the choice depends on. Nothing if that cannot be said, as of a folder of this host without an
/// index, and of what is in a base image. apko's choice is compared with whole indexes each time.
fn key(program: &str, plan: &Plan<'_>, platforms: &[Platform], asked: &[Asked]) -> Option<Digest> {
    let present = |platform: &Platform| plan.present(platform.arch).is_ok_and(|present| present.is_none());
    if plan.mode == Mode::Apko || !platforms.iter().all(present) {
        return None;
    }
    let mut world: Vec<String> = plan.world.iter().map(ToString::to_string).collect();
    world.sort();
    let mut text = format!("choice {FORMAT}\n{program}\n{world:?}\n");
    for asked in asked {
        text += &asked.key(plan.trust, plan.limits.index)?;
    }
    Some(Digest::of(text.as_bytes()))
}

/// For each platform a line `for`, then its world, its packages in their order, by their places among the records that are
/// kept of each repository, and what is kept; nothing of indexes that were made of records.
fn write(solutions: &[Solution], repositories: &[Vec<Repository>]) -> Option<String> {
    let mut text = String::new();
    for (solution, repositories) in solutions.iter().zip(repositories) {
        text += "for\n";
        for constraint in &solution.locked {
            let _ = writeln!(text, "world {constraint}");
        }
        let mut places: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for Choice { repository, record } in &solution.packages {
            places.insert((*repository, *record), 0);
        }
        let mut excerpts = String::new();
        for (number, repository) in repositories.iter().enumerate() {
            let mut records = Vec::new();
            for ((_, record), place) in places.range_mut((number, 0)..=(number, usize::MAX)) {
                *place = records.len();
                records.push(*record);
            }
            let lines = repository.index.excerpt(&records)?;
            let signer = repository.index.signed_by.as_deref().unwrap_or(NOBODY);
            let _ = write!(excerpts, "index {} {} {signer}\n{lines}", records.len(), lines.len());
        }
        for choice in &solution.packages {
            let place = places.get(&(choice.repository, choice.record))?;
            let _ = writeln!(text, "package {} {place}", choice.repository);
        }
        text += &excerpts;
    }
    Some(text)
}

fn read(text: &str) -> Option<Found> {
    let (mut solutions, mut excerpts): Found = Default::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, next) = rest.split_once('\n')?;
        rest = next;
        if line == "for" {
            solutions.push(Solution { locked: Vec::new(), packages: Vec::new() });
            excerpts.push(Vec::new());
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
            ("index", about) => {
                let mut about = about.splitn(3, ' ');
                let (count, size) = (about.next()?.parse().ok()?, about.next()?.parse().ok()?);
                let signer = about.next().filter(|name| *name != NOBODY).map(str::to_owned);
                let (lines, next) = rest.split_at_checked(size)?;
                rest = next;
                excerpts.last_mut()?.push(Index::of_excerpt(lines, count, signer)?);
            }
            _ => return None,
        }
    }
    Some((solutions, excerpts))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use assemble_apk::{Keyring, Trust, read_index};

    use super::*;

    fn repository(text: &str, signed_by: Option<&str>) -> Repository {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, "APKINDEX", text.as_bytes()).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&archive.into_inner().unwrap()).unwrap();
        let index = read_index(&packed.finish().unwrap(), &Keyring::new(), Trust::AllowUntrusted).unwrap();
        let index = Index { signed_by: signed_by.map(Into::into), ..index };
        Repository { name: String::new(), pin: None, index: Arc::new(index), installed: false }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let locked = ["a=1.2-r3", "b=1@edge", "c=x~y"].map(|text| Constraint::parse(text).unwrap()).to_vec();
        let first =
            repository("P:a\nV:1\nT:ä\n\nP:b\nV:2\nD:a x>1\np:so:b=1\n\nP:c\nV:3\n\n", Some("a key.rsa.pub"));
        let second = repository("P:d\nV:1\ni:a b\n\n", None);
        let choice = |repository, record| Choice { repository, record };
        let packages = vec![choice(1, 0), choice(0, 2), choice(0, 1)];
        let empty = Solution { locked: Vec::new(), packages: Vec::new() };
        let solutions = vec![Solution { locked: locked.clone(), packages }, empty];
        let repositories = [vec![first, second], Vec::new()];
        let text = write(&solutions, &repositories).unwrap();
        let (found, excerpts) = read(&text).unwrap();
        assert_eq!((&found[0].locked, found[1].packages.len(), found.len()), (&locked, 0, 2));
        assert_eq!(excerpts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0]);
        assert_eq!((excerpts[0][0].records.len(), excerpts[0][1].records.len()), (2, 1));
        assert_eq!(excerpts[0][0].signed_by.as_deref(), Some("a key.rsa.pub"));
        assert_eq!(excerpts[0][1].signed_by, None);
        for (before, now) in solutions[0].packages.iter().zip(&found[0].packages) {
            let before = &repositories[0][before.repository].index.records[before.record];
            let now = &excerpts[0][now.repository].records[now.record];
            assert_eq!(format!("{before:?}"), format!("{now:?}"));
        }
        assert!(read("for\nindex 1 11 -\n2\nP:a\nV:1\n\n").is_some());
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = read(&text[..end]);
        }
        let bad = ["package 0 0\n", "for\npackage 0\n", "for\nworld a b\n", "for\nx y\n", "for\n\n"];
        for bad in
            bad.into_iter().chain(["for\nindex 1 11 -\n2\nP:a\nV:1\n", "for\nindex 2 11 -\n2\nP:a\nV:1\n\n"])
        {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
