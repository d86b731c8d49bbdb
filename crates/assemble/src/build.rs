//! The pipeline, written once: spec -> resolve -> fetch -> rootfs -> layers -> image.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assemble_fetch::{Counters, Fetcher};
use assemble_image::{Image, ImageIndex};
use assemble_layer::Compression;
use assemble_spec::lock::LockedHashes;
use assemble_types::{Event, Observer, Platform, Timestamp};
use serde::{Deserialize, Serialize};

use crate::choose::{self, Chosen, Selection};
use crate::contents::{self, Contents};
use crate::documents;
use crate::error::{Doing, Result};
use crate::image_set::ImageSet;
use crate::kept::KeptLayers;
use crate::layers::{self, BuiltLayer};
use crate::lock::PendingLock;
use crate::plan::{BuildOptions, Plan};
use crate::results;
use crate::sources::Sources;
use crate::spec_file::SpecFile;
use crate::start::{self, StartReport};
use crate::verbatim::VerbatimReport;

/// How often a build is begun while others take its files of the cache away.
const MOST_TRIES: u32 = 3;

/// What a build needs of the outside world.
#[derive(Debug, Clone)]
pub struct Env {
    /// Gets bytes by location and keeps them.
    pub fetcher: Arc<Fetcher>,
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// How many threads compress and check. Never changes a byte.
    pub threads: NonZeroUsize,
    /// Whether packages are kept unpacked, too, so that a layer of which a part has changed is made sooner.
    pub cache_plain: bool,
    /// Which program this is, to the build: what one made is not taken for what another would make. Nothing if builds
    /// that were made before are not to be looked up.
    pub program: Option<String>,
}

/// An image for one platform, with all that the summary tells of it.
#[derive(Debug)]
pub struct BuiltImage {
    /// The platform.
    pub platform: Platform,
    /// Manifest and configuration.
    pub image: Image,
    /// Layers, lowest first; those of a base image, too.
    pub layers: Vec<BuiltLayer>,
    /// What the image holds, where it came from, and what is worth saying of it.
    pub contents: ContentsReport,
    /// How it starts.
    pub start: StartReport,
    /// What a lock says of the packages, in the order of installation.
    pub(crate) hashes: Vec<LockedHashes>,
    /// Packages that were read where they lie, and what their files looked like; nothing if that is not certain.
    pub(crate) read_in_place: Option<Vec<(String, String)>>,
}

/// What went into an image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContentsReport {
    /// Packages in the order of installation.
    pub packages: Vec<PackageSummary>,
    /// Version of Mozilla's roots, if they are in.
    pub certificates: Option<String>,
    /// Version of the time zone data, if it is in.
    pub time_zones: Option<String>,
    /// Which packages are layers as they are, where the spec asks for that.
    pub verbatim: Option<VerbatimReport>,
    /// Packaged files that the spec's own took the place of.
    pub replaced: Vec<String>,
    /// Package scripts that were not run and whose effect is not reproduced.
    pub scripts_not_run: Vec<String>,
    /// Keys that were relied on and that the spec does not name: built-in ones, and those that were found.
    pub foreign_keys: Vec<String>,
    /// Repositories whose index was not checked.
    pub untrusted: Vec<String>,
}

/// A package of the image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageSummary {
    /// Name.
    pub name: String,
    /// Version with release.
    pub version: String,
    /// Architecture, as the package says.
    pub arch: String,
    /// The source package.
    pub origin: String,
    /// Licence expression, as the package says.
    pub license: String,
    /// Bytes it takes when installed, as the package says.
    pub installed_size: u64,
    /// APK's checksum of the control section.
    pub checksum: String,
}

/// The result of a build, not yet written anywhere.
#[derive(Debug)]
pub struct Built {
    /// The spec's name.
    pub name: String,
    /// Names of the image, at least one.
    pub names: Vec<assemble_image::Reference>,
    /// One image a platform.
    pub images: Vec<BuiltImage>,
    /// What lists the images, if there are several.
    pub index: Option<ImageIndex>,
    /// How the layers are compressed that were made here.
    pub compression: Compression,
    /// Everything to store or send, with the digest of the whole.
    pub set: ImageSet,
    /// The time in the configuration.
    pub created: Timestamp,
    /// How long each stage took, over all platforms.
    pub timings: Vec<(&'static str, Duration)>,
    /// What the cache was good for.
    pub cache: Counters,
    /// The lock as it should be after this build, if it is not so already.
    pub lock: Option<PendingLock>,
}

/// Builds the images of a spec, or finds out that it did so before. Nothing is written anywhere but to the cache.
pub fn build(file: &SpecFile, options: &BuildOptions, env: &Env) -> Result<Built> {
    build_and(file, options, env, |_| Ok(())).map(|(built, ())| built)
}

/// [`build`], and what is to be done with what came out.
pub(crate) fn build_and<T>(
    file: &SpecFile,
    options: &BuildOptions,
    env: &Env,
    then: impl Fn(&Built) -> Result<T>,
) -> Result<(Built, T)> {
    env.again_after_losses(|| {
        let built = build_once(file, options, env)?;
        let done = then(&built)?;
        Ok((built, done))
    })
}

impl Env {
    /// Everything in the cache can be got or made again, so a cache that others remove or cut meanwhile fails nothing. Files
    /// of it are held open, which is enough but for those that are cut, and those that are too many to be held: then all is
    /// begun again, with what is left.
    pub(crate) fn again_after_losses<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        let mut more = 1..MOST_TRIES;
        loop {
            let losses = self.fetcher.losses();
            let done = work();
            if done.is_ok() || self.fetcher.losses() == losses || more.next().is_none() {
                return done;
            }
            let text = "files of the cache went, or changed, while they were in use: beginning again";
            self.observer.event(Event::Note(text.into()));
        }
    }
}

fn build_once(file: &SpecFile, options: &BuildOptions, env: &Env) -> Result<Built> {
    let mut watch = Stopwatch::default();
    let plan = watch.time("plan", || Plan::lower(file, options))?;
    let (images, lock) = results::or_made(&plan, env, &mut watch, images)?;
    let created = documents::created(&plan, &images);
    let index = documents::index(&plan, &images, created);
    let set = ImageSet::of(&images, index.as_ref());
    let Plan { names, compression, .. } = plan;
    let cache = env.fetcher.counters();
    Ok(Built {
        name: file.name.clone(),
        names,
        images,
        index,
        compression,
        set,
        created,
        timings: watch.laps,
        cache,
        lock,
    })
}

/// One image a platform. The platforms choose their packages together; from there on each goes its own way.
fn images(
    plan: &Plan<'_>,
    env: &Env,
    watch: &mut Stopwatch,
) -> Result<(Vec<BuiltImage>, Option<PendingLock>)> {
    if plan.makes_nothing() {
        return Ok((Vec::new(), None));
    }
    let sources = Sources::of(plan, env);
    let Chosen { selections, draft } = if plan.installs() {
        choose::packages(plan, &sources, watch)?
    } else {
        Chosen { selections: vec![Selection::default(); plan.platforms.len()], draft: None }
    };
    let mut images = Vec::new();
    for (&platform, selection) in plan.platforms.iter().zip(&selections) {
        images.push(
            image(plan, platform, selection, &sources, env, watch)
                .doing(|| format!("building for {platform}"))?,
        );
    }
    let lock = match draft {
        Some(draft) => draft.after_build(plan, &images, &sources)?,
        None => None,
    };
    Ok((images, lock))
}

/// packages -> tree -> layers -> documents.
fn image(
    plan: &Plan<'_>,
    platform: Platform,
    selection: &Selection,
    sources: &Sources<'_>,
    env: &Env,
    watch: &mut Stopwatch,
) -> Result<BuiltImage> {
    let observer = env.observer.as_ref();
    let fetched = match selection.packages.as_slice() {
        [] => Vec::new(),
        wanted => watch.time("fetch", || sources.packages(wanted, platform.arch))?,
    };
    let (packages, hashes): (Vec<_>, Vec<_>) = fetched.into_iter().unzip();
    let read_in_place = results::read_in_place(&selection.packages, &packages);
    let Contents { tree, report, installed } =
        watch.time("rootfs", || contents::assemble(plan, platform, selection, &packages))?;
    // The tree has their entries, and layers are where memory is needed.
    drop(packages);
    let start =
        watch.time("start check", || start::check(plan, &tree, platform, installed.as_ref(), observer))?;
    let kept = KeptLayers::of(env, format!("{} {platform}", plan.file.name), plan.compression);
    let own = watch.time("layers", || layers::pack(&tree, installed.as_ref(), &kept, env))?;
    let ground = plan.ground(platform)?;
    let mut layers = match &ground {
        Some(ground) => watch.time("base image", || ground.layers())?,
        None => Vec::new(),
    };
    let base = ground.as_ref().map(|ground| (ground, ground.image(&layers)));
    let image = documents::image(plan, platform, &own, &start, installed.as_ref(), base)?;
    layers.extend(own);
    Ok(BuiltImage { platform, image, layers, contents: report, start, hashes, read_in_place })
}

/// Adds up how long each stage took. The result never depends on it.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    laps: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    pub(crate) fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        match self.laps.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += took,
            None => self.laps.push((stage, took)),
        }
        result
    }
}
