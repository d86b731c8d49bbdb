//! Keys: those the spec names, and those that a distribution or a repository publishes.
//!
//! All of them end up in the image, as with apko. What they may vouch for differs: a key of the spec's keyring counts
//! for every repository. Under our rules a key that was found counts for the repository it was found for, and one that
//! came over plain http from another machine counts for nothing, since whoever can change the packages on the way
//! could change it, too. Under apko's rules one folder of keys serves all repositories.

mod discover;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use assemble_apk::{KeyError, Keyring, PublicKey};
use assemble_fetch::{FetchError, Location, open_file};
use assemble_types::{Event, SourceSpan};

use crate::error::{Error, OwnError, Result};
use crate::misfits;
use crate::plan::Mode;
use crate::sources::Sources;

pub use discover::AlpineReleasesList;
pub(crate) use discover::Discovery;

/// Largest key file.
const MAX_KEY: u64 = 64 * 1024;

/// A key of the spec.
#[derive(Debug, Clone)]
pub(crate) struct KeyInput {
    pub(crate) location: Location,
    /// As the spec has it.
    pub(crate) text: String,
    /// Last component of the location: the name that signatures refer to.
    pub(crate) name: String,
    pub(crate) span: SourceSpan,
}

/// A key as the image keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageKey {
    /// The file name in `/etc/apk/keys`, which signatures refer to.
    pub(crate) name: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// Where it is, without user information; empty for a built-in one. A key out of a key set has no place of its own
    /// and gets one below the repository, as in apko's lock files.
    pub(crate) url: String,
    /// Who named it.
    pub(crate) origin: KeyOrigin,
}

/// Who named a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyOrigin {
    /// The spec, in `contents.keyring`.
    Keyring,
    /// Alpine's list of the keys of its branches.
    Alpine,
    /// The repository, in the key set of its `apk-configuration`.
    Repository,
    /// This program.
    BuiltIn,
}

/// Keys as files and as what checks signatures. They are the same, but for files that are no keys, which apko keeps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    pub(crate) files: Vec<ImageKey>,
    pub(crate) ring: Keyring,
}

impl Keys {
    /// Adds a file. One that is no key is an error, or, as with apko, just a file.
    fn add(&mut self, key: ImageKey, mode: Mode) -> std::result::Result<Option<KeyError>, KeyError> {
        let complaint = match PublicKey::parse(&key.name, &key.bytes) {
            Ok(parsed) => {
                self.ring.insert(parsed);
                None
            }
            Err(error @ KeyError::Name { .. }) => return Err(error),
            Err(error) if mode == Mode::Apko => Some(error),
            Err(error) => return Err(error),
        };
        self.files.push(key);
        Ok(complaint)
    }

    /// One that came with this program.
    pub(crate) fn builtin(key: PublicKey) -> Self {
        let file = ImageKey {
            name: key.name().to_owned(),
            bytes: key.pem().to_vec(),
            url: String::new(),
            origin: KeyOrigin::BuiltIn,
        };
        Self { files: vec![file], ring: [key].into_iter().collect() }
    }

    /// Drops all keys of this name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.files.retain(|file| file.name != name);
        self.ring = self.ring.iter().filter(|key| key.name() != name).cloned().collect();
    }
}

/// The files of `/etc/apk/keys`, by name. A later one takes the place of an earlier one of its name.
pub(crate) fn merge(keys: impl IntoIterator<Item = ImageKey>) -> Vec<ImageKey> {
    let by_name: BTreeMap<String, ImageKey> = keys.into_iter().map(|key| (key.name.clone(), key)).collect();
    by_name.into_values().collect()
}

impl Sources<'_> {
    /// Reads the spec's keyring.
    pub(crate) fn keyring(&self, inputs: &[KeyInput]) -> Result<Keys> {
        let mut keys = Keys::default();
        for input in inputs {
            let fetched = self
                .fetcher
                .document(&input.location, MAX_KEY)
                .map_err(|error| misfits::of_key(error, input))?;
            let known = keys.files.iter().find(|key| key.name == input.name);
            if known.is_some_and(|other| other.bytes != fetched.bytes) {
                self.observer.event(Event::Warning(format!(
                    "two different keys are named {}; signatures go by that name, and only the last one counts",
                    input.name
                )));
            }
            let key = ImageKey {
                name: input.name.clone(),
                bytes: fetched.bytes,
                url: address(&input.location),
                origin: KeyOrigin::Keyring,
            };
            let complaint = keys.add(key, self.mode).map_err(|e| Error::from(e).at(&input.span))?;
            if let Some(complaint) = complaint {
                self.observer.event(Event::Warning(format!("{}: {complaint}", input.location)));
            }
        }
        Ok(keys)
    }
}

/// Whether a key of the spec that lies on this host is there, and is one. Those of other hosts are not asked for.
pub(crate) fn check_here(input: &KeyInput) -> Result<()> {
    let Some(path) = input.location.local_path() else { return Ok(()) };
    let blob = open_file(path).map_err(|error| match error {
        FetchError::Missing { .. } => FetchError::NotFound { location: input.location.clone() },
        other => other,
    });
    let blob = blob.map_err(|error| misfits::of_key(error, input))?;
    if blob.len() > MAX_KEY {
        let error = FetchError::TooLarge { location: input.location.clone(), limit: MAX_KEY };
        return Err(misfits::of_key(error, input));
    }
    let bytes = blob.read_to_vec(MAX_KEY).map_err(OwnError::io(path, "cannot be read"))?;
    PublicKey::parse(&input.name, &bytes).map_err(|error| Error::from(error).at(&input.span))?;
    Ok(())
}

/// A location's text without user information, with its query.
pub(crate) fn address(location: &Location) -> String {
    let Some(url) = location.url() else { return location.to_string() };
    let mut url = url.expose().clone();
    // A URL that has no place for them has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}
