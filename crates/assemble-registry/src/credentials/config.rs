//! Docker's `config.json`, podman's `auth.json` and the old `.dockercfg`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde::Deserialize;

use super::Credential;
use crate::endpoint::{Endpoint, is_hub};
use crate::secret::Secret;

/// A larger file is not read.
pub(super) const FILE_LIMIT: u64 = 1024 * 1024;

/// The parts of such a file that matter here.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

/// One registry's entry.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Reads a file; nothing if it is not there. The error is fit to be shown and quotes nothing of the file.
pub(super) fn read(path: &Path, old: bool) -> Result<Option<AuthFile>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err("larger than 1 MiB".into());
    }
    if old {
        let auths = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
        return Ok(Some(AuthFile { auths, ..AuthFile::default() }));
    }
    AuthFile::parse(&bytes).map(Some)
}

/// Where, not what: serde quotes the text it stumbles over, and that may be a password.
fn unreadable(error: &serde_json::Error) -> String {
    format!("unreadable at line {} column {}", error.line(), error.column())
}

impl AuthFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
    }

    /// The helper to ask about this registry: its own, else the one for all.
    pub(super) fn helper_for(&self, endpoint: &Endpoint) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| matches(key, endpoint, "").is_some());
        own.map(|(_, suffix)| suffix).or(self.store.as_ref()).map(String::as_str).filter(|s| !s.is_empty())
    }

    /// The entry whose key covers most of `host/repository`.
    pub(super) fn entry_for(&self, endpoint: &Endpoint, repository: &str) -> Option<&Entry> {
        self.auths
            .iter()
            .filter(|(_, entry)| !entry.is_empty())
            .filter_map(|(key, entry)| Some((matches(key, endpoint, repository)?, entry)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, entry)| entry)
    }
}

/// How many characters of the path a key covers, or nothing if it is another registry's. Scheme and the API's own
/// path are cosmetic; any other path names repositories (podman).
fn matches(key: &str, endpoint: &Endpoint, repository: &str) -> Option<usize> {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let had_scheme = bare.is_some();
    let bare = bare.unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.trim_end_matches('/');
    let host = host.to_ascii_lowercase();
    let same =
        if is_hub(&host) { endpoint.name == "docker.io" } else { host == endpoint.name.to_ascii_lowercase() };
    if !same {
        return None;
    }
    if had_scheme || matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let rest = repository.strip_prefix(path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

impl Entry {
    fn is_empty(&self) -> bool {
        let parts = [&self.auth, &self.username, &self.password, &self.identitytoken, &self.registrytoken];
        parts.iter().all(|part| part.as_deref().is_none_or(str::is_empty))
    }

    /// Tokens win over passwords, as with docker.
    pub(super) fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let filled = |part: &Option<String>| part.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credential::Registry(Secret::new(token))));
        }
        let pair = match filled(&self.auth) {
            Some(auth) => Some(decode_auth(&auth)?),
            None => filled(&self.username).map(|user| (user, self.password.clone().unwrap_or_default())),
        };
        if let Some(token) = filled(&self.identitytoken) {
            let user = pair.map(|(user, _)| user).filter(|user| !user.is_empty());
            let user = user.unwrap_or_else(|| super::TOKEN_USER.to_owned());
            return Ok(Some(Credential::Identity { user, token: Secret::new(token) }));
        }
        Ok(pair.map(|(user, password)| Credential::from_pair(&user, &password)))
    }
}

/// `base64(user:password)`; old versions of docker padded it with zero bytes.
fn decode_auth(auth: &str) -> Result<(String, String), &'static str> {
    let compact: String = auth.split_whitespace().collect();
    let bytes = BASE64
        .decode(compact.as_bytes())
        .or_else(|_| BASE64_NOPAD.decode(compact.as_bytes()))
        .map_err(|_| "its `auth` is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "its `auth` is no text")?;
    let (user, password) = text.split_once(':').ok_or("its `auth` has no `:`")?;
    Ok((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}
