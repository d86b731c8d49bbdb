//! Layers that were packed before: found again by what they depend on, whole or in parts.
//!
//! # Why it is the way it is
//! A build whose binary changed packs its packages to the same layer, and one with a newer package packs the others to the
//! same bytes. So the cache notes what stands for a layer and for each of its parts, and, for each place in an image, the
//! layer that was there last. Nothing that is kept can change a byte of what is made: a layer is taken for its key, and a
//! part only if its plain bytes are the same.

use assemble_fetch::{KeptBlob, RecordKind, Store};
use assemble_layer::{AccountNames, Compression, Earlier, Layer, LayerError, Packing, Segments, pack};
use assemble_rootfs::{Body, TreeEntry};
use assemble_types::{Digest, Event};
use serde::{Deserialize, Serialize};

use crate::build::Env;

/// Counts up with each change of what a record holds.
const FORMAT: u32 = 3;
/// Bytes of content from which packing takes long enough to be announced.
const WORTH_SAYING: u64 = 64 * 1024 * 1024;

/// A layer as the cache remembers it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLayer {
    digest: String,
    diff_id: String,
    size: u64,
    uncompressed_size: u64,
    copied: u64,
    stamp: String,
}

impl KeptLayer {
    /// Nothing if the layer cannot be found again.
    pub(crate) fn of(layer: &Layer) -> Option<Self> {
        let kept = Store::kept(&layer.digest, &layer.blob)?;
        Some(Self {
            digest: layer.digest.hex(),
            diff_id: layer.diff_id.hex(),
            size: layer.size,
            uncompressed_size: layer.uncompressed_size,
            copied: layer.copied,
            stamp: kept.stamp,
        })
    }

    /// The layer, if it is still there. Says whether its file looks different from before.
    pub(crate) fn restore(&mut self, store: &Store, renewed: &mut bool) -> Option<Layer> {
        let digest = Digest::parse_hex(&self.digest).ok()?;
        let wanted = KeptBlob { digest, size: self.size, stamp: self.stamp.clone() };
        let (blob, now) = store.blob(&wanted)?;
        if let Some(now) = now {
            self.stamp = now.stamp;
            *renewed = true;
        }
        Some(Layer {
            digest,
            diff_id: Digest::parse_hex(&self.diff_id).ok()?,
            size: self.size,
            uncompressed_size: self.uncompressed_size,
            copied: self.copied,
            blob,
        })
    }
}

/// The layers that the cache has, seen from one image.
#[derive(Debug)]
pub(crate) struct KeptLayers {
    store: Store,
    /// Which image it is, so that its layers are found when they have changed; nothing if none are to be looked up.
    image: Option<String>,
    /// How its layers are compressed.
    pub(crate) compression: Compression,
}

impl KeptLayers {
    /// For the image that is called so. Looks nothing up for builds that are to be made anew.
    pub(crate) fn of(env: &Env, image: String, compression: Compression) -> Self {
        let looks = env.program.is_some() && !cfg!(feature = "planted-faults");
        Self { store: env.fetcher.store(), image: looks.then_some(image), compression }
    }

    /// Packs entries as the layer of that name, or takes what was packed before.
    pub(crate) fn pack(
        &self,
        name: &str,
        entries: &[TreeEntry<'_>],
        names: &AccountNames,
        env: &Env,
    ) -> Result<Layer, LayerError> {
        let spool = self.store.layers();
        let Some(image) = &self.image else {
            announce(name, entries, env);
            return pack(entries, names, self.compression, env.threads, spool.as_ref());
        };
        let packing = Packing::new(entries, names, self.compression, spool.as_ref())?;
        let pack = |packing: Packing<'_>, earlier: Option<&Earlier>| match packing.pack(
            env.threads,
            spool.as_ref(),
            earlier,
        ) {
            Err(LayerError::Earlier) => {
                let packing = Packing::anew(entries, names, self.compression, spool.as_ref())?;
                packing.pack(env.threads, spool.as_ref(), None).map(|packed| (packed, true))
            }
            other => other.map(|packed| (packed, false)),
        };
        let Some(key) = packing.key() else {
            announce(name, entries, env);
            return pack(packing, None).map(|((layer, _), _)| layer);
        };
        let place = Digest::of(format!("place {FORMAT}\n{image}\n{name}").as_bytes());
        if let Some((layer, _)) = self.layer(&key) {
            let _ = self.keep_place(&place, &key);
            return Ok(layer);
        }
        announce(name, entries, env);
        let earlier = self.last(&place);
        let ((layer, segments), was_wrong) = pack(packing, earlier.as_ref())?;
        if was_wrong {
            self.store.forget_record(RecordKind::Layer, &place);
        }
        // A cache that takes nothing makes the next build slower, and this one no worse.
        let _ = self.keep(&key, &place, &layer, &segments);
        Ok(layer)
    }

    /// The layer of this key, and where its parts stand.
    fn layer(&self, key: &Digest) -> Option<(Layer, Segments)> {
        let record = self.store.record(RecordKind::Layer, &with_format(key))?;
        let end = record.iter().position(|byte| *byte == b'\n')?;
        let mut kept: KeptLayer = serde_json::from_slice(&record[..end]).ok()?;
        let mut renewed = false;
        let Some(layer) = kept.restore(&self.store, &mut renewed) else {
            self.store.forget_record(RecordKind::Layer, &with_format(key));
            return None;
        };
        let segments = Segments::from_bytes(&record[end + 1..])?;
        if renewed {
            let _ = self.keep_layer(key, &kept, &segments);
        }
        Some((layer, segments))
    }

    /// The layer that was at this place last.
    fn last(&self, place: &Digest) -> Option<Earlier> {
        let record = self.store.record(RecordKind::Layer, place)?;
        let key = Digest::parse_hex(std::str::from_utf8(&record).ok()?).ok()?;
        let (Layer { blob, .. }, segments) = self.layer(&key)?;
        Some(Earlier { segments, blob })
    }

    fn keep(&self, key: &Digest, place: &Digest, layer: &Layer, segments: &Segments) -> Option<()> {
        self.keep_layer(key, &KeptLayer::of(layer)?, segments)?;
        self.keep_place(place, key)
    }

    /// Notes which layer is at a place now.
    fn keep_place(&self, place: &Digest, key: &Digest) -> Option<()> {
        let hex = key.hex();
        if self.store.record(RecordKind::Layer, place).is_some_and(|known| known == hex.as_bytes()) {
            return Some(());
        }
        self.store.keep_record(RecordKind::Layer, place, hex.as_bytes()).ok()
    }

    fn keep_layer(&self, key: &Digest, kept: &KeptLayer, segments: &Segments) -> Option<()> {
        let mut record = serde_json::to_vec(kept).ok()?;
        record.push(b'\n');
        record.extend_from_slice(&segments.to_bytes());
        self.store.keep_record(RecordKind::Layer, &with_format(key), &record).ok()
    }
}

/// Says that packing begins, if it will take long.
fn announce(name: &str, entries: &[TreeEntry<'_>], env: &Env) {
    let size = |entry: &TreeEntry<'_>| if let Body::File(blob) = &entry.node.body { blob.len() } else { 0 };
    let content: u64 = entries.iter().map(size).sum();
    if content >= WORTH_SAYING {
        env.observer.event(Event::Stage(format!("packing the {name} ({} MB)", content / 1_000_000)));
    }
}

/// The key of a record of this form.
fn with_format(key: &Digest) -> Digest {
    Digest::of(format!("layer {FORMAT}\n{key}").as_bytes())
}
