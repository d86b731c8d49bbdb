//! What a repository has already, with as few questions as will do.

use std::collections::BTreeSet;
use std::sync::Arc;

use assemble_types::Digest;
use reqwest::Method;
use serde_json::Value;

use crate::error::RegistryError;
use crate::exchange::Request;
use crate::manifest::Parts;
use crate::push::Push;

/// Children of a replaced index that are read.
const MAX_CHILDREN: usize = 32;
/// Bytes of a list of one tag.
const LIST_LIMIT: usize = 64 * 1024;
/// From here on, sending a blob costs more than asking for it, even close by.
pub(crate) const WORTH_ASKING: u64 = 4 * 1024 * 1024;

/// What stands behind a name before the push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// The image itself.
    Same,
    /// Nothing, or nobody tells.
    Nothing,
    Other,
}

/// What a repository has of an image that none of the names stands for.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// All of it.
    pub(crate) whole: bool,
    /// Blobs and manifests that are there.
    pub(crate) digests: BTreeSet<Digest>,
    /// Whether others may be there, too, of which nothing tells.
    pub(crate) more: bool,
}

impl Push {
    /// One HEAD: a build that changed nothing ends here.
    pub(crate) async fn before(&self, name: &str) -> Result<Before, RegistryError> {
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

    /// Looks around for an image that stands behind none of its names. `replaced` is a name that something else stands
    /// behind; `by_tag` says that the digest was not asked for yet.
    pub(crate) async fn present(
        self: &Arc<Self>,
        replaced: Option<&str>,
        by_tag: bool,
    ) -> Result<Present, RegistryError> {
        if let Some(name) = replaced {
            // At the same time: perhaps the tag moves back to what is there.
            let push = Arc::clone(self);
            let look = tokio::spawn(async move { if by_tag { push.is_whole().await } else { Ok(false) } });
            let digests = self.behind(name).await;
            let whole = look.await.unwrap_or(Ok(false))?;
            return Ok(Present { whole, more: digests.is_empty(), digests });
        }
        let worth = self.blobs.values().any(|blob| blob.size >= WORTH_ASKING);
        if !worth || self.is_new().await? {
            return Ok(Present::default());
        }
        let whole = by_tag && self.is_whole().await?;
        Ok(Present { whole, digests: BTreeSet::new(), more: true })
    }

    /// Whether the image is there under its digest. A registry takes no manifest before its parts.
    pub(crate) async fn is_whole(&self) -> Result<bool, RegistryError> {
        Ok(self.before(&self.top.digest.to_string()).await? == Before::Same)
    }

    /// Whether nothing was ever named in the repository; then nothing is asked for that cannot be there.
    async fn is_new(&self) -> Result<bool, RegistryError> {
        let url = self.conn.endpoint().any_tag(self.conn.repository());
        let answer = self.conn.call(&Request::new(Method::GET, url, "asking for tags")).await?;
        let status = answer.status;
        let read = answer.read(LIST_LIMIT, self.conn.http().stall_timeout()).await;
        Ok(match (status, read) {
            (404, _) => true,
            (200, Ok((bytes, true))) => serde_json::from_slice::<Value>(&bytes).is_ok_and(|list| {
                list.get("tags").is_some_and(|tags| tags.as_array().is_none_or(Vec::is_empty))
            }),
            _ => false,
        })
    }

    /// Digests that the manifest now behind a tag needs, so the repository has them. Only a hint: whatever goes wrong
    /// here makes it smaller.
    async fn behind(self: &Arc<Self>, name: &str) -> BTreeSet<Digest> {
        let Ok(manifest) = self.conn.manifest(name, None).await else { return BTreeSet::new() };
        let parts = Parts::of(&manifest.bytes);
        let mut there = BTreeSet::from([manifest.digest]);
        there.extend(parts.blobs);
        let children = parts.children.into_iter().take(MAX_CHILDREN).collect();
        let read = self
            .each(children, |push, child: Digest| async move {
                // What a platform that did not change needs, we know ourselves.
                let ours = push.manifests.iter().find(|manifest| manifest.digest == child);
                let mut digests = match ours {
                    Some(manifest) => Parts::of(&manifest.bytes).blobs,
                    None => match push.conn.manifest(&child.to_string(), Some(&child)).await {
                        Ok(manifest) => Parts::of(&manifest.bytes).blobs,
                        Err(_) => return Ok(Vec::new()),
                    },
                };
                digests.push(child);
                Ok(digests)
            })
            .await;
        there.extend(read.unwrap_or_default().into_iter().flatten());
        there
    }
}
