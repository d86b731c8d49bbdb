//! Getting an image into a registry: what is there stays, blobs before manifests, tags last.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use assemble_types::{Blob, Digest};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::conn::{Backoff, Client, Conn, Trouble};
use crate::error::RegistryError;
use crate::exchange::Request;
use crate::gate::each;
use crate::manifest::Parts;
use crate::payload::Payload;
use crate::scope::Access;
use crate::server_error::ServerError;
use crate::upload::{SharedUploads, Uploads};

/// Children of a replaced index that are read.
const MAX_CHILDREN: usize = 32;
/// How often a registry that does not know what it was just given is asked again.
const MAX_LAGS: u32 = 2;

/// One blob to push.
#[derive(Debug, Clone)]
pub struct PushBlob {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// The bytes; read again for every try.
    pub content: Blob,
}

/// One manifest or index to push.
#[derive(Debug, Clone)]
pub struct PushManifest {
    /// Digest of the bytes.
    pub digest: Digest,
    /// The `mediaType` that stands in them.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// An image to push.
#[derive(Debug, Clone, Default)]
pub struct PushImage {
    /// Layers and configs of all platforms, in any order; one may be listed more than once.
    pub blobs: Vec<PushBlob>,
    /// The platforms' manifests, then the one that the tag shall name.
    pub manifests: Vec<PushManifest>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushReport {
    /// `name@sha256:…` at the first target.
    pub reference: String,
    /// Digest of the top manifest.
    pub digest: Digest,
    /// Blobs that were sent.
    pub blobs_sent: usize,
    /// Blobs that were there.
    pub blobs_present: usize,
    /// Bytes of blobs that were sent.
    pub bytes_sent: u64,
    /// Requests of all sorts, those for tokens included.
    pub requests: u64,
    /// `name:tag` of all that now name the image.
    pub tags: Vec<String>,
}

/// Where to push to: one repository and what is to name the image there.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// None means by digest only.
    pub(crate) tags: Vec<String>,
}

/// A push to one repository.
struct Push {
    conn: Arc<Conn>,
    blobs: BTreeMap<Digest, PushBlob>,
    manifests: Vec<Arc<PushManifest>>,
    top: Arc<PushManifest>,
    uploads: SharedUploads,
}

/// What one repository's push did.
struct Done {
    sent: usize,
    present: usize,
    bytes: u64,
    requests: u64,
}

/// What stands behind a tag before the push.
enum Before {
    /// The image itself.
    Same,
    /// Nothing, or nobody tells.
    Nothing,
    Other,
}

pub(crate) async fn push(
    client: &Arc<Client>,
    targets: &[Target],
    image: &PushImage,
) -> Result<PushReport, RegistryError> {
    let (top, first) = check(image, targets)?;
    let mut report = PushReport {
        reference: format!("{}/{}@{}", first.registry, first.repository, top.digest),
        digest: top.digest,
        blobs_sent: 0,
        blobs_present: 0,
        bytes_sent: 0,
        requests: 0,
        tags: Vec::new(),
    };
    for target in targets {
        let conn = Arc::new(client.connect(&target.registry, &target.repository, Access::Push)?);
        let push = Arc::new(Push::new(conn, image, top));
        let done = push.run(&target.tags).await?;
        report.blobs_sent += done.sent;
        report.blobs_present += done.present;
        report.bytes_sent += done.bytes;
        report.requests += done.requests;
        let name = |tag| format!("{}/{}:{tag}", target.registry, target.repository);
        report.tags.extend(target.tags.iter().map(name));
    }
    Ok(report)
}

/// Finds the caller's mistakes before anything is sent.
fn check<'a>(
    image: &'a PushImage,
    targets: &'a [Target],
) -> Result<(&'a PushManifest, &'a Target), RegistryError> {
    let not_whole = |what: String| RegistryError::NotWhole { what };
    let top = image.manifests.last().ok_or_else(|| not_whole("it has no manifest".into()))?;
    for blob in &image.blobs {
        if blob.size != blob.content.len() {
            let (digest, size, found) = (blob.digest, blob.size, blob.content.len());
            return Err(not_whole(format!("blob {digest} is said to have {size} bytes and has {found}")));
        }
    }
    for manifest in &image.manifests {
        let found = Digest::of(&manifest.bytes);
        if found != manifest.digest {
            return Err(not_whole(format!("manifest {} has the digest {found}", manifest.digest)));
        }
    }
    let first = targets.first().ok_or_else(|| not_whole("it has nowhere to go".into()))?;
    Ok((top, first))
}

impl Push {
    fn new(conn: Arc<Conn>, image: &PushImage, top: &PushManifest) -> Self {
        let mut seen = BTreeSet::from([top.digest]);
        let manifests = image.manifests.iter().filter(|manifest| seen.insert(manifest.digest));
        Self {
            conn,
            blobs: image.blobs.iter().map(|blob| (blob.digest, blob.clone())).collect(),
            manifests: manifests.cloned().map(Arc::new).collect(),
            top: Arc::new(top.clone()),
            uploads: SharedUploads::new(Uploads::default()),
        }
    }

    /// Runs `task` for each item, a bounded number at once.
    async fn each<T, R, F>(
        self: &Arc<Self>,
        items: Vec<T>,
        task: impl Fn(Arc<Self>, T) -> F,
    ) -> Result<Vec<R>, RegistryError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, RegistryError>> + Send + 'static,
    {
        let run = |item| task(Arc::clone(self), item);
        each(self.conn.gate(), items, run).await.map_err(|error| {
            error.unwrap_or_else(|| RegistryError::Task { place: self.conn.place("sending") })
        })
    }

    async fn run(self: &Arc<Self>, tags: &[String]) -> Result<Done, RegistryError> {
        let names: Vec<String> =
            if tags.is_empty() { vec![self.top.digest.to_string()] } else { tags.to_vec() };
        let before = self.each(names.clone(), |push, name| async move { push.before(&name).await }).await?;
        let todo: Vec<String> = names
            .iter()
            .zip(&before)
            .filter(|(_, before)| !matches!(before, Before::Same))
            .map(|(name, _)| name.clone())
            .collect();
        let (mut sent, mut known) = (0, self.blobs.len());
        if todo.len() == names.len() {
            let replaced = names.iter().zip(&before).find(|(_, before)| matches!(before, Before::Other));
            let there = match replaced {
                Some((name, _)) => self.replaced(name).await,
                None => BTreeSet::new(),
            };
            (sent, known) = self.send_blobs(&there).await?;
            let missing = self.manifests.iter().filter(|manifest| !there.contains(&manifest.digest));
            let missing = missing.map(Arc::clone).collect();
            self.each(missing, |push, manifest| async move {
                let name = manifest.digest.to_string();
                push.put(&manifest, &name).await
            })
            .await?;
        }
        self.name(tags, &names, todo).await?;
        Ok(Done {
            sent,
            present: known,
            bytes: self.uploads.bytes.load(Ordering::Relaxed),
            requests: self.conn.requests(),
        })
    }

    /// One HEAD: a build that changed nothing ends here.
    async fn before(&self, name: &str) -> Result<Before, RegistryError> {
        let action = format!("asking for {name}");
        let answer = self.conn.call(&self.conn.head_manifest(name, &action)).await?;
        match answer.status {
            200 => {
                let digest = answer.header("docker-content-digest").unwrap_or_default().trim();
                Ok(if digest == self.top.digest.to_string() { Before::Same } else { Before::Other })
            }
            401 => {
                // HEAD has no room for the reason.
                let mut request = self.conn.head_manifest(name, &action);
                request.method = Method::GET;
                let answer = self.conn.call(&request).await?;
                if answer.status == 401 {
                    Err(self.conn.refuse(&action, answer, 1, None).await)
                } else {
                    Ok(Before::Nothing)
                }
            }
            // Some do not answer HEAD, some answer 403 for what is not there: pushing will tell.
            _ => Ok(Before::Nothing),
        }
    }

    /// Digests that the manifest now behind a tag needs, so the repository has them. Only a hint: whatever goes wrong
    /// here makes it smaller.
    async fn replaced(self: &Arc<Self>, name: &str) -> BTreeSet<Digest> {
        let Ok(manifest) = self.conn.manifest(name, None).await else { return BTreeSet::new() };
        let parts = Parts::of(&manifest.bytes);
        let mut there = BTreeSet::from([manifest.digest]);
        there.extend(parts.blobs);
        let children = parts.children.into_iter().take(MAX_CHILDREN).collect();
        let read = self
            .each(children, |push, child: Digest| async move {
                let Ok(manifest) = push.conn.manifest(&child.to_string(), Some(&child)).await else {
                    return Ok(Vec::new());
                };
                let mut digests = Parts::of(&manifest.bytes).blobs;
                digests.push(child);
                Ok(digests)
            })
            .await;
        there.extend(read.unwrap_or_default().into_iter().flatten());
        there
    }

    /// The largest first, so that none is left alone at the end. Returns how many were sent and how many were there.
    async fn send_blobs(self: &Arc<Self>, there: &BTreeSet<Digest>) -> Result<(usize, usize), RegistryError> {
        let mut missing: Vec<PushBlob> =
            self.blobs.values().filter(|blob| !there.contains(&blob.digest)).cloned().collect();
        missing.sort_by_key(|blob| (std::cmp::Reverse(blob.size), blob.digest));
        let sent = self
            .each(missing, |push, blob| async move { push.conn.ensure_blob(&blob, &push.uploads).await })
            .await?;
        let sent = sent.into_iter().filter(|sent| *sent).count();
        Ok((sent, self.blobs.len() - sent))
    }

    /// The top manifest under its names: the first one shows whether the registry takes it at all.
    async fn name(
        self: &Arc<Self>,
        tags: &[String],
        names: &[String],
        todo: Vec<String>,
    ) -> Result<(), RegistryError> {
        let mut todo = todo.into_iter();
        let Some(first) = todo.next() else { return Ok(()) };
        let mut done: Vec<String> = Vec::new();
        let rest: Vec<String> = todo.collect();
        let later = |name: &String| *name == first || rest.contains(name);
        done.extend(names.iter().filter(|name| !later(name)).cloned());
        let failed = |tag: String, done: Vec<String>, source: RegistryError| {
            if tags.len() < 2 {
                return source;
            }
            let registry = self.conn.endpoint().name.clone();
            let repository = self.conn.repository().to_owned();
            RegistryError::Tag { registry, repository, tag, done, source: Box::new(source) }
        };
        if let Err(error) = self.put(&self.top, &first).await {
            return Err(failed(first, done, error));
        }
        done.push(first);
        let results = self
            .each(rest, |push, tag| async move {
                let result = push.put(&push.top, &tag).await;
                Ok((tag, result))
            })
            .await?;
        let mut trouble = None;
        for (tag, result) in results {
            match result {
                Ok(()) => done.push(tag),
                Err(error) => trouble = trouble.or(Some((tag, error))),
            }
        }
        trouble.map_or(Ok(()), |(tag, error)| Err(failed(tag, done, error)))
    }

    /// Puts a manifest. A registry may be slow to know the blobs it has just taken.
    async fn put(&self, manifest: &PushManifest, name: &str) -> Result<(), RegistryError> {
        let mut backoff = Backoff::new(&self.conn);
        let action = format!("sending manifest {name}");
        let mut lags = 0;
        loop {
            let error = match self.put_once(manifest, name, &action).await? {
                Ok(()) => return Ok(()),
                Err((status, error)) => {
                    let lag = error.has("MANIFEST_BLOB_UNKNOWN") || error.has("BLOB_UNKNOWN");
                    if !lag || lags == MAX_LAGS {
                        let tried = self.conn.tried().await;
                        return Err(self.conn.refusal(&action, status, &error, lags + 1, tried));
                    }
                    lags += 1;
                    error
                }
            };
            self.repair(&error).await?;
            backoff.wait(&action, Trouble::Status(400, Box::default(), error)).await?;
        }
    }

    /// The inner error is a refusal that has been read.
    async fn put_once(
        &self,
        manifest: &PushManifest,
        name: &str,
        action: &str,
    ) -> Result<Result<(), (u16, ServerError)>, RegistryError> {
        let url = self.conn.endpoint().manifest(self.conn.repository(), name);
        let request = Request::new(Method::PUT, url, action)
            .header(CONTENT_TYPE, &manifest.media_type)
            .body(Payload::Bytes(manifest.bytes.as_slice().into()));
        let answer = self.conn.call(&request).await?;
        if matches!(answer.status, 200..=202) {
            self.conn.check_digest(action, &answer, &manifest.digest)?;
            answer.drain(self.conn.http().stall_timeout()).await;
            return Ok(Ok(()));
        }
        let status = answer.status;
        Ok(Err((status, self.conn.server_error(answer).await)))
    }

    /// Makes sure of what the registry says it does not know; of everything, if it does not say what.
    async fn repair(&self, error: &ServerError) -> Result<(), RegistryError> {
        let named: BTreeSet<Digest> = error.digests.iter().copied().collect();
        let ours = |digest: &Digest| {
            self.blobs.contains_key(digest) || self.manifests.iter().any(|m| m.digest == *digest)
        };
        let all = !named.iter().any(ours);
        for blob in self.blobs.values().filter(|blob| all || named.contains(&blob.digest)) {
            self.conn.ensure_blob(blob, &self.uploads).await?;
        }
        for manifest in self.manifests.iter().filter(|manifest| named.contains(&manifest.digest)) {
            let name = manifest.digest.to_string();
            // What comes of it shows when the manifest above it is sent again.
            let _ = self.put_once(manifest, &name, &format!("sending manifest {name}")).await?;
        }
        Ok(())
    }
}
