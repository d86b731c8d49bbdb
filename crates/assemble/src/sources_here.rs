//! What a spec names of this host beside its files: keys, and folders that are repositories. Looked at without asking
//! anybody else.

use assemble_fetch::{FetchError, open_file};
use assemble_types::{Arch, Explain as _};

use crate::error::{Error, Result};
use crate::index_sources::no_index;
use crate::keys;
use crate::plan::Plan;
use crate::sources::RepositoryInput;

/// So many mistakes are told beside the first; the others are counted.
const MOST_TOLD: usize = 10;

/// Every mistake in what the plan takes from this host for its packages. None where a lock lies beside the spec: with one
/// that fits, nobody asks for keys and indexes.
pub(crate) fn mistakes(plan: &Plan<'_>) -> Result<Vec<Error>> {
    let mut found = Vec::new();
    if !plan.installs() || plan.file.lock_path().is_file() {
        return Ok(found);
    }
    found.extend(plan.keyring.iter().filter_map(|key| keys::check_here(key).err()));
    for platform in &plan.platforms {
        for repository in plan.repositories(platform.arch)? {
            found.extend(check_repository(&repository, platform.arch).err());
        }
    }
    Ok(found)
}

/// A folder that is a repository has an index for the architecture.
fn check_repository(repository: &RepositoryInput, arch: Arch) -> Result<()> {
    if repository.location.local_path().is_none() {
        return Ok(());
    }
    let mut first = None;
    for file in repository.layout().indexes(&repository.text, arch) {
        let location = repository.base().join(&file);
        match open_file(location.local_path().unwrap_or_else(|| file.as_ref())) {
            Ok(_) => return Ok(()),
            Err(FetchError::Missing { .. }) => {
                first.get_or_insert(FetchError::NotFound { location });
            }
            Err(other) => {
                first = Some(other);
                break;
            }
        }
    }
    first.map_or(Ok(()), |error| Err(no_index(repository, arch, error)))
}

/// The first mistake of the spec, with the others told beside it.
pub(crate) fn told(mut mistakes: Vec<Error>) -> Result<()> {
    // As they stand in the spec.
    mistakes.sort_by_key(|error| error.spans().first().map(|span| (span.line, span.column)));
    let mut mistakes = mistakes.into_iter();
    let Some(first) = mistakes.next() else { return Ok(()) };
    let mut told = vec![whole(&first)];
    let mut more = 0;
    let mut error = first;
    for other in mistakes {
        let line = whole(&other);
        // Platforms share keys and repositories.
        if told.contains(&line) {
            continue;
        }
        if told.len() > MOST_TOLD {
            more += 1;
        } else {
            error = error.hint(format!("this, too: {line}"));
            told.push(line);
        }
    }
    Err(if more > 0 { error.hint(format!("and {more} more of this sort")) } else { error })
}

/// An error and its place in one line.
fn whole(error: &Error) -> String {
    match error.spans().first() {
        Some(span) if span.line > 0 => format!("{}:{}:{}: {error}", span.file, span.line, span.column),
        _ => error.to_string(),
    }
}
