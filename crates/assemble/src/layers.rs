//! From a tree to layers, and from layers to an image.

use assemble_image::{History, Image, ImageOptions, LayerDescriptor, media_type};
use assemble_layer::{AccountNames, CODEC, Layer, pack as pack_layer};
use assemble_rootfs::{Body, Part, Tree, TreeEntry};
use assemble_types::{Event, Platform, Timestamp};

use crate::build::Env;
use crate::contents::InstalledFacts;
use crate::error::{Doing, Result};
use crate::faults;
use crate::plan::Plan;
use crate::start::StartReport;

/// Bytes of content from which packing takes long enough to be announced.
const WORTH_SAYING: u64 = 64 * 1024 * 1024;

fn content_size(entry: &TreeEntry<'_>) -> u64 {
    match &entry.node.body {
        Body::File(blob) => blob.len(),
        _ => 0,
    }
}

/// What a part is called in the image's history and in reports.
pub fn part_name(part: Part) -> &'static str {
    match part {
        Part::Packages => "packages",
        Part::Base => "base files",
        Part::Files => "files",
        Part::Binary => "binary",
    }
}

/// One layer for each part that is not empty, lowest first.
pub(crate) fn pack(tree: &Tree, env: &Env) -> Result<Vec<(Part, Layer)>> {
    let spool = env.fetcher.spool();
    let mut layers = Vec::new();
    for part in Part::ALL {
        let mut entries = tree.layer(part);
        if entries.is_empty() {
            continue;
        }
        let content: u64 = entries.iter().map(content_size).sum();
        if content >= WORTH_SAYING {
            env.observer.event(Event::Stage(format!(
                "packing the {} ({} MB)",
                part_name(part),
                content / 1_000_000
            )));
        }
        faults::reorder(&mut entries, env.threads.get());
        // Names in headers are apko's way; our own layers must not change with the packages' accounts.
        let names =
            if part == Part::Packages { AccountNames::from_tree(tree)? } else { AccountNames::none() };
        let layer = pack_layer(&entries, &names, env.threads, spool.as_ref())
            .doing(|| format!("writing the layer with the {}", part_name(part)))?;
        layers.push((part, layer));
    }
    Ok(layers)
}

/// The image over finished layers.
pub(crate) fn image(
    plan: &Plan<'_>,
    platform: Platform,
    layers: &[(Part, Layer)],
    start: &StartReport,
    installed: Option<&InstalledFacts>,
) -> Image {
    let spec = plan.spec();
    let created = installed.map_or_else(|| own_created(plan), |facts| facts.created);
    let descriptors = layers
        .iter()
        .map(|(_, layer)| LayerDescriptor {
            digest: layer.digest,
            diff_id: layer.diff_id,
            size: layer.size,
            uncompressed_size: layer.uncompressed_size,
            media_type: media_type::LAYER_GZIP.to_owned(),
        })
        .collect();
    let history = layers
        .iter()
        .map(|(part, _)| History {
            created_by: format!("assemble: {} ({CODEC})", part_name(*part)),
            comment: None,
        })
        .collect();
    let options = ImageOptions {
        platform,
        created,
        user: Some(start.user.clone()),
        exposed_ports: spec.ports.iter().map(ToString::to_string).collect(),
        env: start.environment.clone(),
        entrypoint: start.entrypoint.clone(),
        cmd: start.cmd.clone(),
        volumes: spec.volumes.iter().cloned().collect(),
        labels: spec.annotations.clone(),
        annotations: spec.annotations.clone(),
        working_dir: spec.work_dir.clone(),
        stop_signal: spec.stop_signal.clone(),
        history,
    };
    Image::new(descriptors, options)
}

fn own_created(plan: &Plan<'_>) -> Timestamp {
    Timestamp::from_seconds(plan.own_time()).unwrap_or_default()
}
