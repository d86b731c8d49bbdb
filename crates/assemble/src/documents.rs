//! From layers to the documents of an image and of the whole.

use assemble_image::{BaseImage, History, Image, ImageIndex, ImageOptions, LayerDescriptor};
use assemble_types::{Platform, Timestamp};

use crate::base_image::Ground;
use crate::build::BuiltImage;
use crate::contents::InstalledFacts;
use crate::error::Result;
use crate::layers::BuiltLayer;
use crate::plan::{Mode, Plan};
use crate::start::StartReport;

const CREATED: &str = "org.opencontainers.image.created";
const SOURCE: &str = "org.opencontainers.image.source";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const REVISION: &str = "org.opencontainers.image.revision";

/// The time of the whole: that of the youngest image. To apko it is no earlier than the build date, either.
pub(crate) fn created(plan: &Plan<'_>, images: &[BuiltImage]) -> Timestamp {
    let youngest = images.iter().map(|built| built.image.created()).max().unwrap_or_default();
    match plan.mode {
        Mode::Assemble => youngest,
        Mode::Apko => youngest.max(plan.times.no_earlier.unwrap_or_default()),
    }
}

/// What lists the images. Ours has one if there are several, apko's always.
pub(crate) fn index(plan: &Plan<'_>, images: &[BuiltImage], created: Timestamp) -> Option<ImageIndex> {
    let spec = plan.spec();
    let listed = || images.iter().map(|built| built.image.clone()).collect();
    match plan.mode {
        Mode::Assemble => (images.len() > 1).then(|| ImageIndex::new(listed(), &spec.annotations)),
        Mode::Apko => {
            let mut annotations = spec.annotations.clone();
            let vcs = spec.vcs_url.as_ref().and_then(|url| url.value.split_once('@'));
            if let Some((source, revision)) = vcs {
                annotations.insert(SOURCE.to_owned(), source.to_owned());
                annotations.insert(REVISION.to_owned(), revision.to_owned());
            }
            annotations.insert(CREATED.to_owned(), plan.times.written(created));
            Some(ImageIndex::apko(listed(), &annotations))
        }
    }
}

/// The image over finished layers, which are its own: those of a base image are in `base`.
pub(crate) fn image(
    plan: &Plan<'_>,
    platform: Platform,
    layers: &[BuiltLayer],
    start: &StartReport,
    installed: Option<&InstalledFacts>,
    base: Option<(&Ground<'_>, BaseImage)>,
) -> Result<Image> {
    let spec = plan.spec();
    let created = installed.map_or_else(|| own_created(plan), |facts| facts.created);
    let descriptors = layers.iter().map(BuiltLayer::descriptor).collect();
    let history =
        layers.iter().map(|layer| History { created_by: layer.created_by(), comment: None }).collect();
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
    if let Some((ground, _)) = &base {
        ground.bears(layers.len())?;
    }
    match (plan.mode, base) {
        (Mode::Assemble, None) => Ok(Image::new(descriptors, options)),
        (Mode::Assemble, Some((ground, base))) => stacked(plan, ground, &base, descriptors, options),
        (Mode::Apko, base) => {
            let base = base.as_ref().map(|(_, base)| base);
            Ok(Image::apko(descriptors, options, &plan.times.written(created), base)?)
        }
    }
}

/// The image upon another one: it says which one, and that it is no older.
fn stacked(
    plan: &Plan<'_>,
    ground: &Ground<'_>,
    base: &BaseImage,
    layers: Vec<LayerDescriptor>,
    mut options: ImageOptions,
) -> Result<Image> {
    let before = ground.config().created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    if let Some(before) = before.filter(|_| plan.times.fixed.is_none()) {
        options.created = options.created.max(before);
    }
    options.annotations.insert(BASE_DIGEST.to_owned(), ground.digest().to_string());
    // The base's own, unless there is something to say: `start` tells what that is for people.
    options.user = None;
    options.env.clear();
    if plan.spec().binary.is_none() {
        options.entrypoint.clear();
        options.cmd.clear();
    }
    Ok(Image::stacked(base, layers, options)?)
}

fn own_created(plan: &Plan<'_>) -> Timestamp {
    Timestamp::from_seconds(plan.own_time()).unwrap_or_default()
}
