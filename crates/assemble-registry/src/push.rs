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
use crate::gate::{Gate, each};
use crate::memory::PushMemory;
use crate::payload::Payload;
use crate::present::{Before, WORTH_ASKING};
use crate::scope::Access;
use crate::server_error::ServerError;
use crate::upload::{SharedUploads, Uploads};

/// How often a registry that does not know what it was just given is asked again.
const MAX_LAGS: u32 = 2;

/// Blobs that are repaired at once. They have a gate of their own: who repairs may hold a place in the other already.
const REPAIRS: usize = 4;

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
pub(crate) struct Push {
    pub(crate) conn: Arc<Conn>,
    pub(crate) blobs: BTreeMap<Digest, PushBlob>,
    /// The platforms' manifests, without the top one.
    pub(crate) manifests: Vec<Arc<PushManifest>>,
    pub(crate) top: Arc<PushManifest>,
    uploads: SharedUploads,
}

/// What one repository's push did.
struct Done {
    sent: usize,
    present: usize,
    bytes: u64,
    requests: u64,
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
        let done = push.run(&target.tags, client.memory.as_ref()).await?;
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
    pub(crate) async fn each<T, R, F>(
        self: &Arc<Self>,
        items: Vec<T>,
        task: impl Fn(Arc<Self>, T) -> F,
    ) -> Result<Vec<R>, RegistryError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, RegistryError>> + Send + 'static,
    {
        self.each_through(self.conn.gate(), items, task).await
    }

    async fn each_through<T, R, F>(
        self: &Arc<Self>,
        gate: &Arc<Gate>,
        items: Vec<T>,
        task: impl Fn(Arc<Self>, T) -> F,
    ) -> Result<Vec<R>, RegistryError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, RegistryError>> + Send + 'static,
    {
        let run = |item| task(Arc::clone(self), item);
        each(gate, items, run).await.map_err(|error| {
            error.unwrap_or_else(|| RegistryError::Task { place: self.conn.place("sending") })
        })
    }

    async fn run(self: &Arc<Self>, tags: &[String], memory: &dyn PushMemory) -> Result<Done, RegistryError> {
        let names: Vec<String> =
            if tags.is_empty() { vec![self.top.digest.to_string()] } else { tags.to_vec() };
        let place = format!("{}/{}@{}", self.conn.endpoint().name, self.conn.repository(), self.top.digest);
        let known = memory.recall(&place);
        let (mut sent, mut present) = (0, self.blobs.len());
        // If the image has been put here, but not under these tags, it is likely that they only have to be set.
        let unheard = |tag: &String| known.as_ref().is_some_and(|known| !known.contains(tag));
        let mut whole = tags.iter().any(unheard) && self.is_whole().await?;
        let asked: Vec<String> = names.iter().filter(|name| !(whole && unheard(name))).cloned().collect();
        let before = self.all_before(&asked).await?;
        let same: BTreeSet<&String> = asked
            .iter()
            .zip(&before)
            .filter(|(_, before)| **before == Before::Same)
            .map(|(n, _)| n)
            .collect();
        let todo = names.iter().filter(|name| !same.contains(name)).cloned().collect();
        whole |= !same.is_empty();
        if !whole {
            let mut replaced = asked.iter().zip(&before).filter(|(_, before)| **before == Before::Other);
            let replaced = replaced.next().map(|(name, _)| name.as_str());
            let there = self.present(replaced, !tags.is_empty()).await?;
            if !there.whole {
                (sent, present) = self.send_blobs(&there.digests, there.more).await?;
                let missing = self.manifests.iter().filter(|m| !there.digests.contains(&m.digest));
                self.send_manifests(missing.cloned().collect()).await?;
            }
        }
        self.name(tags, &names, todo).await?;
        let mut now = known.clone().unwrap_or_default();
        now.extend(tags.iter().cloned());
        if known.as_ref() != Some(&now) {
            memory.keep(&place, &now);
        }
        Ok(Done {
            sent,
            present,
            bytes: self.uploads.bytes.load(Ordering::Relaxed),
            requests: self.conn.requests(),
        })
    }

    /// What stands behind each name. The first question goes alone: what the registry wants to see is then known, and
    /// not refused once for each name.
    async fn all_before(self: &Arc<Self>, names: &[String]) -> Result<Vec<Before>, RegistryError> {
        let Some((first, rest)) = names.split_first() else { return Ok(Vec::new()) };
        let mut out = vec![self.before(first).await?];
        out.extend(self.each(rest.to_vec(), |push, name| async move { push.before(&name).await }).await?);
        Ok(out)
    }

    /// Manifests below the top one, by their digests.
    async fn send_manifests(self: &Arc<Self>, missing: Vec<Arc<PushManifest>>) -> Result<(), RegistryError> {
        let send = |push: Arc<Self>, manifest: Arc<PushManifest>| async move {
            let name = manifest.digest.to_string();
            push.put(&manifest, &name).await
        };
        self.each(missing, send).await.map(drop)
    }

    /// The largest first, so that none is left alone at the end. Returns how many were sent and how many were there.
    async fn send_blobs(
        self: &Arc<Self>,
        there: &BTreeSet<Digest>,
        more: bool,
    ) -> Result<(usize, usize), RegistryError> {
        let missing = self.blobs.values().filter(|blob| !there.contains(&blob.digest)).cloned().collect();
        let sent = self.ensure(self.conn.gate(), missing, |blob| more && blob.size >= WORTH_ASKING).await?;
        Ok((sent, self.blobs.len() - sent))
    }

    /// Makes sure of blobs; returns how many had to be sent. `ask` says for which a question comes first.
    async fn ensure(
        self: &Arc<Self>,
        gate: &Arc<Gate>,
        mut blobs: Vec<PushBlob>,
        ask: impl Fn(&PushBlob) -> bool,
    ) -> Result<usize, RegistryError> {
        blobs.sort_by_key(|blob| (std::cmp::Reverse(blob.size), blob.digest));
        let blobs: Vec<(bool, PushBlob)> = blobs.into_iter().map(|blob| (ask(&blob), blob)).collect();
        let sent = self
            .each_through(gate, blobs, |push, (ask, blob)| async move {
                push.conn.ensure_blob(&blob, &push.uploads, ask).await
            })
            .await?;
        Ok(sent.into_iter().filter(|sent| *sent).count())
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
    async fn put(self: &Arc<Self>, manifest: &PushManifest, name: &str) -> Result<(), RegistryError> {
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
    async fn repair(self: &Arc<Self>, error: &ServerError) -> Result<(), RegistryError> {
        let named: BTreeSet<Digest> = error.digests.iter().copied().collect();
        let ours = |digest: &Digest| {
            self.blobs.contains_key(digest) || self.manifests.iter().any(|m| m.digest == *digest)
        };
        let all = !named.iter().any(ours);
        let blobs = self.blobs.values().filter(|blob| all || named.contains(&blob.digest)).cloned();
        self.ensure(&Arc::new(Gate::new(REPAIRS)), blobs.collect(), |_| true).await?;
        for manifest in self.manifests.iter().filter(|manifest| named.contains(&manifest.digest)) {
            let name = manifest.digest.to_string();
            // What comes of it shows when the manifest above it is sent again.
            let _ = self.put_once(manifest, &name, &format!("sending manifest {name}")).await?;
        }
        Ok(())
    }
}
