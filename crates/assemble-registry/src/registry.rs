//! The face of the crate: plain functions over what happens on the runtime.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use assemble_fetch::Http;
use assemble_image::Reference;
use assemble_types::{Digest, Observer};
use reqwest::Method;

use crate::conn::Client;
use crate::credentials::{self, CredentialSources};
use crate::endpoint::PlainHttp;
use crate::error::{LOGGING_IN, RegistryError};
use crate::exchange::Request;
use crate::memory::PushMemory;
use crate::pull::ManifestInfo;
use crate::push::{self, PushImage, PushReport, Target};
use crate::scope::Access;
use crate::secret::Secret;

/// Blobs and manifests that are moved at once where nothing is said: enough that a registry far away is never idle.
pub const DEFAULT_PARALLELISM: usize = 16;

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// The clients, their time-outs and their patience.
    pub http: Arc<Http>,
    /// Where credentials come from.
    pub credentials: CredentialSources,
    /// Who is spoken to without TLS.
    pub plain_http: PlainHttp,
    /// Is told of transfers and of warnings, those of servers included.
    pub observer: Arc<dyn Observer>,
    /// Transfers at once, from 1 to 64; 0 means [`DEFAULT_PARALLELISM`]. A server that answers 429 or 503 gets fewer.
    pub parallelism: usize,
    /// What is known of earlier pushes.
    pub memory: Arc<dyn PushMemory>,
}

/// Talks to registries. Tokens are kept for its lifetime, so share one. Its functions block; none may be called from
/// inside a future. A clone talks over the same connections.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Arc<Client>,
}

impl Registry {
    /// Does nothing yet: the first call connects.
    pub fn new(options: RegistryOptions) -> Self {
        let RegistryOptions { http, credentials, plain_http, observer, parallelism, memory } = options;
        let parallelism = if parallelism == 0 { DEFAULT_PARALLELISM } else { parallelism };
        Self { client: Arc::new(Client::new(http, credentials, plain_http, observer, parallelism, memory)) }
    }

    /// Puts an image at `target` and under `tags`, which may lie in other repositories and registries.
    ///
    /// A tag that names the image already costs one request. Otherwise blobs that the manifest behind the tag lists are
    /// taken to be there; each of the others costs one request if it is there after all, and two if it is not. The bytes
    /// are sent as they are: whether they have their digest is left to the registry, and found out here where it does
    /// not say. Tags move last, so nobody ever sees half an image.
    ///
    /// # Errors
    /// A target with tag and digest, or with a digest that is not the image's; anything the registry or the way to it
    /// does. What has been sent by then stays, and is not sent again by the next push if the registry knows mounts.
    pub fn push(
        &self,
        target: &Reference,
        image: &PushImage,
        tags: &[Reference],
    ) -> Result<PushReport, RegistryError> {
        let targets = group(target, tags, image)?;
        self.client.http.block_on(push::push(&self.client, &targets, image))
    }

    /// What is at a reference; nothing if nothing is.
    ///
    /// # Errors
    /// Anything the registry or the way to it does.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<ManifestInfo>, RegistryError> {
        let conn = self.client.connect(reference.domain(), reference.repository(), Access::Pull)?;
        let digest = reference.digest();
        self.client.http.block_on(conn.resolve(&name_of(reference), digest.as_ref()))
    }

    /// The exact bytes of a manifest or index, its media type, and the digest of the bytes, which is the one asked for
    /// if the reference has one. At most 4 MiB are taken.
    ///
    /// # Errors
    /// Not there, too large, another digest or media type; anything the registry or the way to it does.
    pub fn manifest(&self, reference: &Reference) -> Result<(Vec<u8>, String, Digest), RegistryError> {
        let conn = self.client.connect(reference.domain(), reference.repository(), Access::Pull)?;
        let digest = reference.digest();
        let found = self.client.http.block_on(conn.manifest(&name_of(reference), digest.as_ref()))?;
        Ok((found.bytes, found.media_type, found.digest))
    }

    /// Writes a blob of the reference's repository to `out`. Size and digest are known to be right only at the end:
    /// after an error, throw away what was written. A download that breaks off goes on where it was.
    ///
    /// # Errors
    /// Not there, another size or digest, `out` cannot be written; anything the registry or the way to it does.
    pub fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        size: u64,
        out: &mut dyn Write,
    ) -> Result<(), RegistryError> {
        let conn = self.client.connect(reference.domain(), reference.repository(), Access::Pull)?;
        self.client.http.block_on(conn.blob(digest, size, out))
    }

    /// Checks user and password with a registry and keeps them where docker does: with the credential helper that
    /// docker's configuration names, else in its `config.json`. Returns where that is, for people.
    ///
    /// `host` is a registry's name as in a reference; `docker.io` is Docker Hub.
    ///
    /// # Errors
    /// The registry refuses them or cannot be reached, nothing is kept then; they cannot be kept.
    pub fn login(&self, host: &str, user: &str, password: &str) -> Result<String, RegistryError> {
        if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
            return Err(RegistryError::UserName);
        }
        let explicit = Some((user.to_owned(), password.to_owned()));
        let sources = Arc::new(CredentialSources { explicit, ..CredentialSources::default() });
        let conn = self.client.connect_as(host, "", Access::Login, sources)?;
        self.client.http.block_on(async {
            let action = LOGGING_IN;
            let answer = conn.call(&Request::new(Method::GET, conn.endpoint().root(), action)).await?;
            match answer.status {
                200..=299 => Ok(()),
                _ => Err(conn.refuse(action, answer, 1, None).await),
            }
        })?;
        let endpoint = conn.endpoint();
        credentials::store(&self.client.sources, endpoint, user, &Secret::new(password))
            .map_err(|source| RegistryError::Store { registry: endpoint.name.clone(), source })
    }
}

/// What a manifest is asked for by: the digest is surer than the tag.
fn name_of(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    }
}

/// Sorts targets by repository, the first one's first, each tag once.
fn group(target: &Reference, tags: &[Reference], image: &PushImage) -> Result<Vec<Target>, RegistryError> {
    let mut order: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut targets: Vec<Target> = Vec::new();
    for reference in std::iter::once(target).chain(tags) {
        if let Some(digest) = reference.digest() {
            let shown = || reference.to_string();
            if reference.tag().is_some() {
                return Err(RegistryError::TagAndDigest { reference: shown() });
            }
            match image.manifests.last() {
                Some(top) if top.digest != digest => {
                    return Err(RegistryError::OtherImage { reference: shown(), found: top.digest });
                }
                _ => {}
            }
        }
        let (registry, repository) = (reference.domain().to_owned(), reference.repository().to_owned());
        let at = *order.entry((registry.clone(), repository.clone())).or_insert_with(|| {
            targets.push(Target { registry, repository, tags: Vec::new() });
            targets.len() - 1
        });
        if let Some(tag) = reference.tag()
            && reference.digest().is_none()
            && !targets[at].tags.iter().any(|known| known == tag)
        {
            targets[at].tags.push(tag.to_owned());
        }
    }
    Ok(targets)
}
