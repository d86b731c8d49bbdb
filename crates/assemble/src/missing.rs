//! Entries of the list of packages that nobody has: all are told at once, not one in each run.

use assemble_apk::PackageName;
use assemble_resolve::{Repository, Unsolvable};
use assemble_types::{Platform, SourceSpan};

use crate::error::Error;
use crate::plan::Plan;

/// So many are named; the others are counted.
const MOST_NAMED: usize = 10;

/// The further entries of the list that fail as the one of the error did, and where they stand.
#[derive(Debug, Default)]
pub(crate) struct AlsoMissing {
    names: Vec<String>,
    spans: Vec<SourceSpan>,
}

impl AlsoMissing {
    /// Those whose name is in none of the repositories of a platform that the error is about. Nothing where the error is
    /// another one: then the list is not at fault.
    pub(crate) fn of(
        plan: &Plan<'_>,
        platforms: &[Platform],
        repositories: &[Vec<Repository>],
        error: &Unsolvable,
    ) -> Self {
        let (first, arch) = match error {
            Unsolvable::For { arch, reason } => (&**reason, Some(*arch)),
            other => (other, None),
        };
        let Unsolvable::NoProvider(first) = first else { return Self::default() };
        if !first.required_by.packages.is_empty() {
            return Self::default();
        }
        let concerned = platforms.iter().zip(repositories);
        let concerned: Vec<&[Repository]> = concerned
            .filter(|(platform, _)| arch.is_none_or(|arch| platform.arch == arch))
            .map(|(_, repositories)| repositories.as_slice())
            .collect();
        let mut found = Self::default();
        for package in &plan.spec().packages {
            let name = &package.value.name;
            let known = *name == first.wanted.name || found.names.iter().any(|other| other == name.as_str());
            if !package.value.conflict && !known && concerned.iter().any(|all| !has(all, name)) {
                found.names.push(name.as_str().to_owned());
                found.spans.push(package.span.clone());
            }
        }
        found
    }

    /// Adds them to the error.
    pub(crate) fn tell(self, error: Error) -> Error {
        if self.names.is_empty() {
            return error;
        }
        let named: Vec<String> = self.names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
        let more = self.names.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let error = error.hint(format!("no package provides these, either: {}{more}", named.join(", ")));
        self.spans.iter().take(MOST_NAMED).fold(error, Error::at)
    }
}

/// Whether a package of these repositories has or provides the name, whatever its version.
fn has(repositories: &[Repository], name: &PackageName) -> bool {
    repositories.iter().any(|repository| {
        let names = repository.index.records.names();
        names.find(name.as_str()).is_some_and(|number| !names.holders(number).is_empty())
    })
}
