//! Keeps credentials where docker finds them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::config::{AuthFile, FILE_LIMIT};
use super::{CredentialSources, HelperError, helper};
use crate::endpoint::Endpoint;
use crate::secret::Secret;
use crate::text::clean;

/// Why credentials could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither a folder for docker's configuration nor a home is known.
    #[error("no folder for docker's config.json: neither DOCKER_CONFIG nor HOME is set")]
    NoPlace,
    /// The file there is not what docker writes; it is left as it is.
    #[error("{file} is no docker configuration: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Reading or writing failed.
    #[error("{file} could not be {action}")]
    File {
        /// The file.
        file: String,
        /// `read` or `written`.
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The helper that docker's configuration names refused.
    #[error(transparent)]
    Helper(#[from] HelperError),
}

/// Keeps user and password for `endpoint`: with the helper that docker's configuration names for it, else in that
/// file, which is replaced at once, readable by its owner only, with all else in it kept. Returns where they went.
pub(crate) fn store(
    sources: &CredentialSources,
    endpoint: &Endpoint,
    user: &str,
    password: &Secret,
) -> Result<String, StoreError> {
    let folder = sources.docker_dir().ok_or(StoreError::NoPlace)?;
    let named = folder.join("config.json");
    // A link stays a link: people keep this file among their dotfiles.
    let file = fs::canonicalize(&named).unwrap_or(named);
    let shown = clean(&file.display().to_string(), 200);
    let bytes =
        read(&file).map_err(|source| StoreError::File { file: shown.clone(), action: "read", source })?;
    let unreadable = |why: &str| StoreError::Unreadable { file: shown.clone(), why: why.into() };
    let parsed = AuthFile::parse(&bytes).map_err(|why| unreadable(&why))?;
    let mut root = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(root)) => root,
        Ok(_) => return Err(unreadable("not an object")),
        Err(_) => Map::new(),
    };
    let key = endpoint.credential_key();
    let helper = parsed.helper_for(endpoint);
    let (entry, place) = if let Some(suffix) = helper {
        helper::put(suffix, key, user, password.expose(), sources.helper_path.as_deref())?;
        // Docker marks so that the helper has something for this registry.
        (json!({}), format!("docker-credential-{}", clean(suffix, 60)))
    } else {
        let auth = BASE64.encode(format!("{user}:{}", password.expose()).as_bytes());
        (json!({ "auth": auth }), shown.clone())
    };
    let auths = root.entry("auths").or_insert_with(|| json!({}));
    if auths.is_null() {
        *auths = json!({});
    }
    auths
        .as_object_mut()
        .ok_or_else(|| unreadable("`auths` is not an object"))?
        .insert(key.to_owned(), entry);
    let mut text = serde_json::to_string_pretty(&root).map_err(|_| unreadable("cannot be written again"))?;
    text.push('\n');
    replace(&file, text.as_bytes()).map_err(|source| StoreError::File {
        file: shown,
        action: "written",
        source,
    })?;
    Ok(place)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    opened.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Writes beside the file and renames, so that no reader ever sees half of it and no secret is readable in between.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (beside, mut new) = create_beside(file)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all()).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn create_beside(file: &Path) -> io::Result<(PathBuf, File)> {
    for n in 0..100u32 {
        let beside = file.with_file_name(format!(".config.json.{}.{n}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside) {
            Ok(new) => return Ok((beside, new)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}
