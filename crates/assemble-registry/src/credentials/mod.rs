//! Where user names and passwords come from.

mod config;
mod helper;
mod store;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::endpoint::Endpoint;
use crate::secret::Secret;
use crate::text::clean;
use config::{AuthFile, Entry};
pub use helper::HelperError;
pub use store::StoreError;
pub(crate) use store::store;

/// The user name that marks a secret as an identity token.
const TOKEN_USER: &str = "<token>";
/// The same, as Azure's registry writes it.
const AZURE_TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Everything that credentials can come from, as data: this library reads no environment.
///
/// Sources are asked in this order, and the first that knows the registry wins: `explicit`, `docker_auth_config`,
/// docker's `config.json` (its helpers before its `auths`), podman's files, `github_token` for `ghcr.io`.
#[derive(Clone, Default)]
pub struct CredentialSources {
    /// User and password given to us outright. Used for every registry that asks.
    pub explicit: Option<(String, String)>,
    /// The text of `DOCKER_AUTH_CONFIG`.
    pub docker_auth_config: Option<String>,
    /// `DOCKER_CONFIG`: the folder of docker's `config.json`; without it, `.docker` in `home`.
    pub docker_config_dir: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`: replaces podman's other files.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, which holds `containers/auth.json`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, which holds `containers/auth.json`; without it, `.config` in `home`.
    pub xdg_config_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `GITHUB_TOKEN`, used for `ghcr.io` only.
    pub github_token: Option<String>,
    /// `GITHUB_ACTOR`, the user name that goes with it.
    pub github_actor: Option<String>,
    /// `PATH`: where `docker-credential-…` programs are looked for.
    pub helper_path: Option<OsString>,
}

impl fmt::Debug for CredentialSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSources")
            .field("explicit", &self.explicit.is_some())
            .field("docker_auth_config", &self.docker_auth_config.is_some())
            .field("docker_config_dir", &self.docker_config_dir)
            .field("registry_auth_file", &self.registry_auth_file)
            .field("xdg_runtime_dir", &self.xdg_runtime_dir)
            .field("xdg_config_home", &self.xdg_config_home)
            .field("home", &self.home)
            .field("github_token", &self.github_token.is_some())
            .finish_non_exhaustive()
    }
}

/// What to show to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// User and password.
    Basic { user: String, password: Secret },
    /// A refresh token for the token server; as a password it goes with `user`.
    Identity { user: String, token: Secret },
    /// A token for the registry itself.
    Registry(Secret),
}

impl Credential {
    /// Sorts out the user names that mean "this is a token".
    fn from_pair(user: &str, secret: &str) -> Self {
        if user == TOKEN_USER || user == AZURE_TOKEN_USER {
            Self::Identity { user: user.to_owned(), token: Secret::new(secret) }
        } else {
            Self::Basic { user: user.to_owned(), password: Secret::new(secret) }
        }
    }
}

/// The result of asking all sources.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Nothing means anonymous.
    pub(crate) credential: Option<Credential>,
    /// Every source asked, in order, and what came of it. Fit to be shown.
    pub(crate) tried: Vec<String>,
    /// Sources that are broken, for a warning.
    pub(crate) broken: Vec<String>,
}

/// What one source said.
enum Said {
    Credential(Credential),
    Nothing,
    Broken(String),
}

impl CredentialSources {
    /// Asks the sources about a repository of `endpoint`. May run a helper, so it may take seconds.
    pub(crate) fn find(&self, endpoint: &Endpoint, repository: &str) -> Found {
        let mut found = Found::default();
        if let Some((user, password)) = &self.explicit {
            found.hit("the user and password given", Credential::from_pair(user, password));
            return found;
        }
        if let Some(text) = self.docker_auth_config.as_deref().filter(|text| !text.trim().is_empty()) {
            let said = match AuthFile::parse(text.as_bytes()) {
                Ok(file) => entry_of(&file, endpoint, repository),
                Err(why) => Said::Broken(why),
            };
            if found.take("DOCKER_AUTH_CONFIG", said) {
                return found;
            }
        }
        for (path, kind) in self.files() {
            if self.ask_file(&path, kind, endpoint, repository, &mut found) {
                return found;
            }
        }
        if let Some(token) = self.github_token.as_deref().filter(|token| !token.is_empty())
            && endpoint.name == "ghcr.io"
        {
            let user = self.github_actor.as_deref().filter(|user| !user.is_empty()).unwrap_or("github");
            found.hit("GITHUB_TOKEN", Credential::Basic { user: user.into(), password: Secret::new(token) });
        }
        found
    }

    /// The folder of docker's `config.json`.
    pub(crate) fn docker_dir(&self) -> Option<PathBuf> {
        self.docker_config_dir.clone().or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }

    fn files(&self) -> Vec<(PathBuf, FileKind)> {
        let mut out = Vec::new();
        out.extend(self.docker_dir().map(|dir| (dir.join("config.json"), FileKind::Docker)));
        if let Some(file) = &self.registry_auth_file {
            out.push((file.clone(), FileKind::Podman));
        } else {
            let config = self.xdg_config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")));
            for dir in self.xdg_runtime_dir.iter().chain(config.as_ref()) {
                out.push((dir.join("containers/auth.json"), FileKind::Podman));
            }
        }
        out.extend(self.home.as_ref().map(|home| (home.join(".dockercfg"), FileKind::Old)));
        out
    }

    fn ask_file(
        &self,
        path: &Path,
        kind: FileKind,
        endpoint: &Endpoint,
        repository: &str,
        found: &mut Found,
    ) -> bool {
        let shown = clean(&path.display().to_string(), 200);
        let file = match config::read(path, kind == FileKind::Old) {
            Ok(Some(file)) => file,
            // Not worth a word, except for the one that people expect to be asked.
            Ok(None) if kind == FileKind::Docker || self.registry_auth_file.as_deref() == Some(path) => {
                found.tried.push(format!("{shown} (not there)"));
                return false;
            }
            Ok(None) => return false,
            Err(why) => return found.take(&shown, Said::Broken(why)),
        };
        if let Some(suffix) = file.helper_for(endpoint) {
            let name = format!("docker-credential-{} of {shown}", clean(suffix, 60));
            let said = match helper::get(suffix, endpoint.credential_key(), self.helper_path.as_deref()) {
                Ok(Some(credential)) => Said::Credential(credential),
                Ok(None) => Said::Nothing,
                Err(error) => Said::Broken(error.to_string()),
            };
            if found.take(&name, said) {
                return true;
            }
        }
        let said = entry_of(&file, endpoint, repository);
        found.take(&shown, said)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Docker,
    Podman,
    Old,
}

fn entry_of(file: &AuthFile, endpoint: &Endpoint, repository: &str) -> Said {
    match file.entry_for(endpoint, repository).map(Entry::credential) {
        Some(Ok(Some(credential))) => Said::Credential(credential),
        Some(Err(why)) => Said::Broken(why.to_owned()),
        Some(Ok(None)) | None => Said::Nothing,
    }
}

impl Found {
    fn hit(&mut self, source: &str, credential: Credential) {
        let who = match &credential {
            Credential::Basic { user, .. } => format!("user {}", clean(user, 60)),
            Credential::Identity { .. } => "an identity token".into(),
            Credential::Registry(_) => "a registry token".into(),
        };
        self.tried.push(format!("{source} ({who})"));
        self.credential = Some(credential);
    }

    fn take(&mut self, source: &str, said: Said) -> bool {
        match said {
            Said::Credential(credential) => {
                self.hit(source, credential);
                true
            }
            Said::Nothing => {
                self.tried.push(format!("{source} (no entry)"));
                false
            }
            Said::Broken(why) => {
                self.tried.push(format!("{source} ({why})"));
                self.broken.push(format!("{source}: {why}"));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
