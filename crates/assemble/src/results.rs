//! Builds that were made before: found again by their inputs, and taken if everything they made is still there.
//!
//! # Why it is the way it is
//! One key stands for all that a build depends on: the program, the spec's meaning, the options, the indexes or the lock,
//! the keys, the local files. Whatever makes it impossible to say one of them makes the build an ordinary one, which then
//! says what is wrong; so nothing here fails. What the build told its user is part of what it made, and told again.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use assemble_apk::Package;
use assemble_fetch::{RecordKind, Store};
use assemble_image::Image;
use assemble_layer::Compression;
use assemble_rootfs::{Placement, PlacementKind, data_versions};
use assemble_spec::CertificateSource;
use assemble_spec::lock::Lock;
use assemble_types::{Arch, Blob, Digest, Event, Observer, Platform, Silent, Timestamp};
use serde::{Deserialize, Serialize};

use crate::build::{BuiltImage, ContentsReport, Env, Stopwatch};
use crate::choose::Wanted;
use crate::error::Result;
use crate::kept::KeptLayer;
use crate::keys::Keys;
use crate::layers::BuiltLayer;
use crate::lock::{self, Basis, PendingLock};
use crate::plan::Plan;
use crate::sources::{RepositoryInput, Sources};
use crate::start::StartReport;

/// Counts up with each change of what a record holds.
const FORMAT: u32 = 3;

type Images = (Vec<BuiltImage>, Option<PendingLock>);

/// The images of a build that was made before, or those that `make` makes, which are then remembered.
pub(crate) fn or_made(
    plan: &Plan<'_>,
    env: &Env,
    watch: &mut Stopwatch,
    make: impl FnOnce(&Plan<'_>, &Env, &mut Stopwatch) -> Result<Images>,
) -> Result<Images> {
    let Some(program) = &env.program else { return make(plan, env, watch) };
    let store = env.fetcher.store();
    let Some(key) = watch.time("look-up", || key(plan, env, program, &store)) else {
        return make(plan, env, watch);
    };
    if let Some(found) = watch.time("look-up", || find(plan, env, &store, &key)) {
        return Ok(found);
    }
    let recorder = Arc::new(Recorder { inner: Arc::clone(&env.observer), told: Mutex::default() });
    let recorded = Env { observer: Arc::clone(&recorder) as Arc<dyn Observer>, ..env.clone() };
    let made = make(plan, &recorded, watch)?;
    let told = std::mem::take(&mut *recorder.told.lock().unwrap_or_else(PoisonError::into_inner));
    // A cache that takes nothing makes the next build slower, and this one no worse.
    if let Some(record) = Record::of(&made.0, told)
        && let Ok(bytes) = serde_json::to_vec(&record)
    {
        let _ = store.keep_record(RecordKind::Result, &key, &bytes);
    }
    Ok(made)
}

/// Passes everything on, and remembers what a user is told once.
#[derive(Debug)]
struct Recorder {
    inner: Arc<dyn Observer>,
    told: Mutex<Vec<Told>>,
}

impl Observer for Recorder {
    fn event(&self, event: Event) {
        let told = match &event {
            Event::Note(text) => Some(Told::Note(text.clone())),
            Event::Warning(text) => Some(Told::Warning(text.clone())),
            _ => None,
        };
        if let Some(told) = told {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        }
        self.inner.event(event);
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Note(String),
    Warning(String),
}

/// What is kept of a build.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    images: Vec<RecordedImage>,
    told: Vec<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedImage {
    platform: String,
    created: i64,
    layers: Vec<RecordedLayer>,
    contents: ContentsReport,
    start: StartReport,
    config: String,
    manifest: String,
    read_in_place: Vec<(String, String)>,
}

/// Packages of repositories that are folders, with what their files look like. Nothing if that is not certain. No index
/// says when such a file changes, and a build looks at it.
pub(crate) fn read_in_place(wanted: &[Wanted], packages: &[Package]) -> Option<Vec<(String, String)>> {
    let local = wanted.iter().zip(packages).filter_map(|(wanted, package)| {
        let path = wanted.location.local_path()?;
        Some((path, &package.packed))
    });
    local.map(|(path, packed)| Some((path.to_str()?.to_owned(), Store::look(packed)?))).collect()
}

/// Whether files look as they did.
fn still_look_so(files: &[(String, String)]) -> bool {
    files.iter().all(|(path, look)| {
        let now = assemble_fetch::open_file(Path::new(path)).ok();
        now.and_then(|now| Store::look(&now)).as_ref() == Some(look)
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedLayer {
    name: String,
    of_packages: bool,
    verbatim: bool,
    #[serde(flatten)]
    layer: KeptLayer,
}

impl Record {
    /// Nothing if something of it cannot be found again.
    fn of(images: &[BuiltImage], told: Vec<Told>) -> Option<Self> {
        let images = images.iter().map(RecordedImage::of).collect::<Option<_>>()?;
        Some(Self { images, told })
    }
}

impl RecordedImage {
    fn of(built: &BuiltImage) -> Option<Self> {
        let layer = |built: &BuiltLayer| {
            // With which codec, the key says.
            let BuiltLayer { name, layer, of_packages, verbatim, media_type: _, packed: _ } = built;
            Some(RecordedLayer {
                name: name.clone(),
                of_packages: *of_packages,
                verbatim: *verbatim,
                layer: KeptLayer::of(layer)?,
            })
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self {
            platform: built.platform.to_string(),
            created: built.image.created().seconds(),
            layers: built.layers.iter().map(layer).collect::<Option<_>>()?,
            contents: built.contents.clone(),
            start: built.start.clone(),
            config: text(built.image.config())?,
            manifest: text(built.image.manifest())?,
            read_in_place: built.read_in_place.clone()?,
        })
    }

    /// The image, if all its layers are there. Says whether their files look different from before.
    fn restore(&mut self, compression: Compression, store: &Store, renewed: &mut bool) -> Option<BuiltImage> {
        if !still_look_so(&self.read_in_place) {
            return None;
        }
        let platform: Platform = self.platform.parse().ok()?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for recorded in &mut self.layers {
            layers.push(recorded.restore(compression, store, renewed)?);
        }
        let described = layers.iter().map(BuiltLayer::descriptor);
        let created = Timestamp::from_seconds(self.created).ok()?;
        let (config, manifest) = (self.config.clone().into_bytes(), self.manifest.clone().into_bytes());
        let image = Image::restored(platform, created, described.collect(), config, manifest)?;
        let contents = self.contents.clone();
        Some(BuiltImage {
            platform,
            image,
            layers,
            contents,
            start: self.start.clone(),
            hashes: Vec::new(),
            read_in_place: None,
        })
    }
}

impl RecordedLayer {
    fn restore(&mut self, compression: Compression, store: &Store, renewed: &mut bool) -> Option<BuiltLayer> {
        let layer = self.layer.restore(store, renewed)?;
        let name = self.name.clone();
        Some(if self.verbatim {
            BuiltLayer::verbatim(name, layer)
        } else {
            BuiltLayer::packed(name, layer, compression, self.of_packages)
        })
    }
}

/// What was made of these inputs before, if all of it is there.
fn find(plan: &Plan<'_>, env: &Env, store: &Store, key: &Digest) -> Option<Images> {
    let bytes = store.record(RecordKind::Result, key)?;
    let mut record: Record = serde_json::from_slice(&bytes).ok()?;
    let mut renewed = false;
    let images: Option<Vec<BuiltImage>> =
        record.images.iter_mut().map(|image| image.restore(plan.compression, store, &mut renewed)).collect();
    let Some(images) =
        images.filter(|images| images.iter().map(|image| image.platform).eq(plan.platforms.iter().copied()))
    else {
        store.forget_record(RecordKind::Result, key);
        return None;
    };
    let lock = match &plan.basis {
        Basis::Lock(beside) => {
            let quiet = Sources { observer: &Silent, ..Sources::of(plan, env) };
            let draft = lock::recall(plan, beside, &quiet).ok()?.draft?;
            draft.after_build(plan, &images, &quiet).ok()?
        }
        Basis::Indexes | Basis::ApkoLock(_) => None,
    };
    if renewed && let Ok(bytes) = serde_json::to_vec(&record) {
        let _ = store.keep_record(RecordKind::Result, key, &bytes);
    }
    for told in record.told {
        env.observer.event(match told {
            Told::Note(text) => Event::Note(text),
            Told::Warning(text) => Event::Warning(text),
        });
    }
    Some((images, lock))
}

/// Stands for everything that the build depends on; the codec is one of the plan's inputs. Nothing if that cannot be said.
fn key(plan: &Plan<'_>, env: &Env, program: &str, store: &Store) -> Option<Digest> {
    // The layers of a base image are files of the user's, and looking whether they are what they were is most of the work.
    if plan.makes_nothing() || plan.base_image.is_some() || cfg!(feature = "planted-faults") {
        return None;
    }
    let mut text = format!("result {FORMAT}\n{program}\n{:?}\n", data_versions());
    let _ = writeln!(text, "{}", plan.inputs());
    let sources = Sources { observer: &Silent, ..Sources::of(plan, env) };
    match &plan.basis {
        Basis::Lock(beside) if beside.drift.is_empty() => {
            let _ = writeln!(text, "lock {}", Digest::of(deciding(&beside.lock).as_bytes()));
        }
        Basis::Indexes if plan.installs() => of_indexes(plan, &sources, &mut text)?,
        Basis::Indexes => {}
        Basis::ApkoLock(path) => of_apko_lock(plan, path, &sources, &mut text)?,
        // Rare, and short of being made again.
        Basis::Lock(_) => return None,
    }
    let _ = writeln!(text, "local {}", store.digest_of_files(&local_files(plan)?).ok()?);
    Some(Digest::of(text.as_bytes()))
}

/// What a lock decides, as a text. The layers that it has learnt are compared with those that are found, and decide nothing:
/// the build that they were learnt from is to be found again.
fn deciding(lock: &Lock) -> String {
    let mut lock = lock.clone();
    for image in &mut lock.images {
        image.learnt = None;
    }
    lock.to_text()
}

/// A lock of apko: it is only taken for the configuration that it was made for, to the byte, and names no keys that could be
/// used.
fn of_apko_lock(plan: &Plan<'_>, path: &Path, sources: &Sources<'_>, text: &mut String) -> Option<()> {
    let _ = writeln!(text, "lock of apko {} {}", path.display(), lock::apko_lock_digest(path)?);
    let _ = writeln!(text, "for {} {}", plan.file.directory.display(), plan.file.apko_checksum());
    for file in &sources.keyring(&plan.keyring).ok()?.files {
        let _ = writeln!(text, "key {file:?}");
    }
    for platform in &plan.platforms {
        let repositories = plan.repositories(platform.arch).ok()?;
        of_found(platform.arch, &sources.discover(&repositories, platform.arch).ok()?, text);
    }
    Some(())
}

/// Keys that are published for repositories.
fn of_found(arch: Arch, found: &[Keys], text: &mut String) {
    for (number, file) in
        found.iter().enumerate().flat_map(|(n, keys)| keys.files.iter().map(move |f| (n, f)))
    {
        let _ = writeln!(text, "found {arch:?} {number} {file:?}");
    }
}

/// Keys and indexes of all platforms, as they are now.
fn of_indexes(plan: &Plan<'_>, sources: &Sources<'_>, text: &mut String) -> Option<()> {
    let own = sources.keyring(&plan.keyring).ok()?;
    for file in &own.files {
        let _ = writeln!(text, "key {file:?}");
    }
    let wanted: Vec<(Platform, &RepositoryInput)> = plan
        .platforms
        .iter()
        .flat_map(|platform| plan.build_repositories.iter().map(move |repository| (*platform, repository)))
        .collect();
    // None of these waits for what another says.
    let (found, digests) = std::thread::scope(|scope| {
        let index = |(platform, repository): (Platform, &RepositoryInput)| {
            let files = repository.layout().indexes(&repository.text, platform.arch);
            let (file, state) = sources.first(&repository.base(), &files).ok()?;
            Some((file, *state.digest()))
        };
        let running: Vec<_> = wanted.iter().map(|one| scope.spawn(move || index(*one))).collect();
        let found: Option<Vec<(Arch, Vec<Keys>)>> = plan
            .platforms
            .iter()
            .map(|platform| {
                Some((platform.arch, sources.discover(&plan.build_repositories, platform.arch).ok()?))
            })
            .collect();
        let digests: Vec<Option<(String, Digest)>> =
            running.into_iter().map(|thread| thread.join().ok().flatten()).collect();
        (found, digests)
    });
    for (arch, found) in found? {
        of_found(arch, &found, text);
    }
    for ((platform, repository), found) in wanted.iter().zip(digests) {
        let (file, digest) = found?;
        let _ = writeln!(text, "index {platform} {} {file} {digest}", repository.text);
    }
    Some(())
}

/// The files of this host that go into the image, each with what is decided about it.
fn local_files(plan: &Plan<'_>) -> Option<Vec<(Vec<u8>, Option<Blob>)>> {
    let mut out = Vec::new();
    let mut add = |label: String, placement: Placement| {
        let Placement { path, kind, mode, owner } = placement;
        let (what, blob) = match kind {
            PlacementKind::File(blob) => ("file".to_owned(), Some(blob)),
            PlacementKind::Directory => ("folder".to_owned(), None),
            PlacementKind::Symlink(text) => (format!("link {text:?}"), None),
        };
        out.push((format!("{label} {path:?} {what} {mode:?} {owner:?}").into_bytes(), blob));
    };
    for placement in plan.files().ok()? {
        add("files".to_owned(), placement);
    }
    for &platform in &plan.platforms {
        if let Some(binary) = plan.binary(platform).ok()? {
            add(format!("binary {platform}"), binary);
        }
    }
    for certificate in plan.spec().certificates.iter().flat_map(|certificates| &certificates.additional) {
        if let CertificateSource::File(source) = &certificate.source {
            let blob = assemble_fetch::open_file(&plan.file.path(&source.value)).ok()?;
            out.push((format!("certificate {}", source.value).into_bytes(), Some(blob)));
        }
    }
    Some(out)
}
