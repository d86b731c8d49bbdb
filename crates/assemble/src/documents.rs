//! From layers to the documents of an image and of the whole.

use assemble_image::{History, Image, ImageIndex, ImageOptions, LayerDescriptor, media_type};
use assemble_layer::CODEC;
use assemble_types::{Platform, Timestamp};

use crate::build::BuiltImage;
use crate::contents::InstalledFacts;
use crate::layers::BuiltLayer;
use crate::plan::Plan;
use crate::start::StartReport;

/// What lists the images, if there are several.
pub(crate) fn index(plan: &Plan<'_>, images: &[BuiltImage]) -> Option<ImageIndex> {
    (images.len() > 1).then(|| {
        ImageIndex::new(images.iter().map(|built| built.image.clone()).collect(), &plan.spec().annotations)
    })
}

/// The image over finished layers.
pub(crate) fn image(
    plan: &Plan<'_>,
    platform: Platform,
    layers: &[BuiltLayer],
    start: &StartReport,
    installed: Option<&InstalledFacts>,
) -> Image {
    let spec = plan.spec();
    let created = installed.map_or_else(|| own_created(plan), |facts| facts.created);
    let descriptors = layers
        .iter()
        .map(|BuiltLayer { layer, .. }| LayerDescriptor {
            digest: layer.digest,
            diff_id: layer.diff_id,
            size: layer.size,
            uncompressed_size: layer.uncompressed_size,
            media_type: media_type::LAYER_GZIP.to_owned(),
        })
        .collect();
    let history = layers
        .iter()
        .map(|BuiltLayer { name, .. }| History {
            created_by: format!("assemble: {name} ({CODEC})"),
            comment: None,
        })
        .collect();
    let options = ImageOptions {
        platform,
        created,
        user: start.user.clone(),
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
