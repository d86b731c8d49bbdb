//! What to do about a key or a package that is missing or is not what it should be. That depends on who named it and on
//! where it lies, which the stages do not know.

use std::path::{Component, Path, PathBuf};

use assemble_apk::IndexError;
use assemble_fetch::FetchError;
use assemble_types::{Arch, Explain as _, SourceSpan};

use crate::apko::COMMAND_LINE;
use crate::choose::{Pinned, Wanted};
use crate::error::{Cause, Error};
use crate::keys::KeyInput;
use crate::lock::{LockError, spec_beside};
use crate::near::nearest;
use crate::repository_layout::{file_name, is_index};
use crate::sources::RepositoryInput;

/// Most names of a folder that are looked at for one that is alike.
const MAX_NAMES: usize = 1000;

/// The folder that many put their keys into.
const KEYS: &str = "keys";

/// The error of a key of the spec that could not be had.
pub(crate) fn of_key(error: FetchError, key: &KeyInput) -> Error {
    let missing = matches!(error, FetchError::NotFound { .. });
    let error = match key.location.local_path() {
        // A file that the spec names is wrong with the spec, and not with a place that might have it later. As the location
        // shows it: what is taken for a path may be an address with a password.
        Some(_) if missing => FetchError::Missing { path: key.location.to_string().into() },
        _ => error,
    };
    let error = Error::from(error).doing("reading the keyring").at(&key.span);
    if !missing {
        return error;
    }
    let hints = match key.location.local_path() {
        Some(path) => missing_key(path, key),
        None => vec![format!("no key is at this address{}: check it", named_at(&key.span))],
    };
    error.hints_instead(hints)
}

fn missing_key(path: &Path, key: &KeyInput) -> Vec<String> {
    let first = format!("there is no key file `{}`{}", key.location, named_at(&key.span));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let first =
        if folder.is_dir() { first } else { format!("{first}, nor a folder `{}`", key.location.parent()) };
    // An address with a slip in it is taken for a path; what may be a password there is not shown.
    let hides = key.location.to_string() != path.display().to_string();
    let written = if hides { Path::new("") } else { Path::new(&key.text) };
    let in_keys = || folder.join(KEYS).join(&key.name).is_file().then(|| Path::new(KEYS).join(&key.name));
    let alike = alike(folder, &key.name).map(Into::into).or_else(in_keys);
    let alike = alike.map(|name| format!("did you mean `{}`?", written.with_file_name(name).display()));
    vec![first, alike.unwrap_or_else(|| "a path of a spec is relative to the spec's file".to_owned())]
}

/// The error of an index that is no good. Where the key that it is signed with lies beside the repository, the hint names
/// the path that the spec has to name, not only the file.
pub(crate) fn of_index(error: IndexError, repository: &RepositoryInput, arch: Arch) -> Error {
    let found = match &error {
        IndexError::NoKeys { signed_by } | IndexError::UnknownKey { signed_by, .. } => {
            signed_by.iter().find_map(|name| key_beside(repository, name, arch))
        }
        _ => None,
    };
    let mut hints = error.hints();
    let error = Error::from(error);
    match (found, hints.first_mut()) {
        (Some(path), Some(first)) => {
            *first = format!("if you trust it, add the key file to contents.keyring: {}", path.display());
            error.hints_instead(hints)
        }
        _ => error,
    }
}

/// Where a key of that name lies in or beside a repository of this host, or in a folder `keys` there; as the spec would
/// write it.
fn key_beside(repository: &RepositoryInput, name: &str, arch: Arch) -> Option<PathBuf> {
    let base = repository.base();
    let here = base.local_path()?;
    if name.contains('/') {
        return None;
    }
    let written = Path::new(repository.layout().base_text(&repository.text));
    let up = |path: &Path| match path.components().next_back() {
        Some(Component::Normal(_)) => path.parent().unwrap_or(path).to_owned(),
        _ => path.join(".."),
    };
    let places = [
        (here.to_owned(), written.to_owned()),
        (here.join(arch.apk()), written.join(arch.apk())),
        (up(here), up(written)),
    ];
    let mut files = places.iter().flat_map(|(here, written)| {
        [(here.join(name), written.join(name)), (here.join(KEYS).join(name), written.join(KEYS).join(name))]
    });
    files.find(|(here, _)| here.is_file()).map(|(_, written)| written)
}

/// What to do where a repository of this host has an index, but under a name in other letters than the package manager
/// looks for.
pub(crate) fn other_letters(repository: &RepositoryInput, arch: Arch) -> Option<Vec<String>> {
    let base = repository.base();
    repository.layout().indexes(&repository.text, arch).iter().find_map(|file| {
        let wanted = file_name(file);
        let folder = base.join(file).parent();
        let there = std::fs::read_dir(folder.local_path()?).ok()?.take(MAX_NAMES);
        let mut names = there.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let found = names.find(|name| name.eq_ignore_ascii_case(wanted) && name != wanted)?;
        let written =
            Path::new(repository.layout().base_text(&repository.text)).join(file).with_file_name(&found);
        let written = written.display();
        let line = if is_index(&found) { written.to_string() } else { format!("ndx {written}") };
        Some(vec![
            format!("there is {written}, and upper and lower case count: name it `{wanted}`"),
            format!("or, if its packages lie beside it, name the index itself: `{line}`"),
        ])
    })
}

/// `, which FILE:LINE:COLUMN names`, where that is known.
fn named_at(span: &SourceSpan) -> String {
    match span.line {
        0 => String::new(),
        _ if span.file == COMMAND_LINE => format!(", which {COMMAND_LINE} names"),
        line => format!(", which {}:{line}:{} names", span.file, span.column),
    }
}

/// The file of a folder whose name is nearest, or the only key that there is.
fn alike(folder: &Path, name: &str) -> Option<String> {
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(MAX_NAMES)
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_file())?.file_name().into_string().ok())
        .collect();
    let near = nearest(name, names.iter().map(String::as_str));
    let mut keys = names.iter().filter(|other| Path::new(other).extension().is_some_and(|end| end == "pub"));
    let only = || keys.next().filter(|_| keys.next().is_none()).map(String::as_str);
    near.or_else(only).map(str::to_owned)
}

/// The error of a package that could not be had, or that is another one.
pub(crate) fn of_package(error: Error, wanted: &Wanted) -> Error {
    let hints = match (error.cause(), wanted.location.local_path()) {
        (Cause::Fetch(FetchError::NotFound { .. }), path) => missing_package(wanted, path),
        (
            Cause::Fetch(FetchError::WrongSize { .. }) | Cause::Lock(LockError::OtherPackage { .. }),
            Some(_),
        ) => altered_package(wanted),
        (Cause::Package(_), Some(_)) => match error.code() {
            "apk/damaged" | "apk/not-a-package" | "apk/checksum" | "apk/identity" | "apk/trailing-data" => {
                altered_package(wanted)
            }
            // It may have been made like that; but one that was locked has been read before.
            "apk/data-hash" | "apk/file-checksum" if wanted.pinned.is_some() => altered_package(wanted),
            _ => return error.hint(format!("the file is {}", wanted.location)),
        },
        _ => return error,
    };
    error.hints_instead(hints)
}

fn missing_package(wanted: &Wanted, path: Option<&Path>) -> Vec<String> {
    match (&wanted.pinned, path) {
        (Some(pinned), _) if pinned.vendored.is_some() => vec![copy_again(pinned)],
        (Some(pinned), place) => {
            let spec = spec_beside(&pinned.lock);
            let keep =
                format!("what a lock names stays if it is copied in time: assemble vendor {spec} -o DIR");
            let place = if place.is_some() { "the repository" } else { "the mirror" };
            vec![format!("{place} has it no more; {}", take_newer(wanted, pinned)), keep]
        }
        (None, Some(_)) => vec!["the index lists it: put it there, or make the index anew".into()],
        (None, None) => {
            vec!["the mirror may be halfway through an update: run again, or use another one".into()]
        }
    }
}

fn altered_package(wanted: &Wanted) -> Vec<String> {
    let path = &wanted.location;
    match &wanted.pinned {
        Some(pinned) => {
            let what = format!(
                "the file {path} differs from what {} says of it; nothing of it was used",
                pinned.lock
            );
            let then = match pinned.vendored {
                Some(_) => copy_again(pinned),
                None => format!(
                    "copy it there again; if the index has another by now, {}",
                    take_newer(wanted, pinned)
                ),
            };
            vec![what, then]
        }
        None => vec![
            format!(
                "the file {path} differs from what the index or lock that lists it says; nothing of it was used"
            ),
            "copy it there again, or make the index anew".into(),
        ],
    }
}

fn take_newer(wanted: &Wanted, pinned: &Pinned) -> String {
    format!("take what it has now: assemble update {} --spec {}", wanted.id.name, spec_beside(&pinned.lock))
}

/// How a folder of copies gets a file back.
fn copy_again(pinned: &Pinned) -> String {
    let folder = pinned.vendored.as_deref().unwrap_or(Path::new("DIR"));
    // The spec in the folder takes its packages from there.
    let spec = if Path::new(&pinned.lock).starts_with(folder) {
        "SPEC".to_owned()
    } else {
        spec_beside(&pinned.lock)
    };
    format!("copy it there again: assemble vendor {spec} -o {}", folder.display())
}
