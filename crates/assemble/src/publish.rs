//! Where a finished image goes: a layout, an archive, a registry, an engine.

use std::path::{Path, PathBuf};

use assemble_image::Reference;
use assemble_layer::Compression;
use assemble_registry::{PushBlob, PushImage, PushManifest, PushReport, Registry};
use assemble_types::{Event, Observer};

use crate::build::{Built, Env, build_and};
use crate::error::{Doing, Error, OwnError, Result};
use crate::image_set::ImageSet;
use crate::load::Engine;
use crate::output::{self, Output};
use crate::plan::BuildOptions;
use crate::spec_file::SpecFile;

/// What to do with a built image.
#[derive(Debug)]
pub struct PublishOptions {
    /// Where to write it, if anywhere.
    pub output: Option<Output>,
    /// The client to push with, if it is to be pushed.
    pub push: Option<Registry>,
    /// Whether to hand it to docker or podman.
    pub load: Load,
}

/// Whether, and to whom, an image is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Load {
    /// To nobody.
    #[default]
    No,
    /// To docker if it answers, else to podman.
    Any,
    /// To docker only, since its address was given.
    Docker,
}

impl Load {
    /// The engine that answers.
    fn engine(self) -> Result<Engine> {
        Engine::find(self == Self::Docker)
    }
}

/// Where an image went.
#[derive(Debug, Default)]
pub struct Published {
    /// Layouts and archives.
    pub written: Vec<String>,
    /// Registries.
    pub pushed: Vec<PushReport>,
    /// Names that the engine lists it under.
    pub loaded: Vec<String>,
    /// The engine.
    pub runtime: Option<String>,
}

impl PublishOptions {
    /// Refuses what cannot work before anything is built.
    pub fn check(&self, file: &SpecFile, build: &BuildOptions) -> Result<()> {
        if self.push.is_some() && build.tags.is_empty() {
            return Err(OwnError::NothingToPush.into());
        }
        if self.load != Load::No && build.compression != Compression::default() {
            self.load.engine()?.takes(build.compression)?;
        }
        match &self.output {
            Some(output) => {
                output.check()?;
                output::not_into_base(output, file)?;
                not_in_a_source(output, file)
            }
            None => Ok(()),
        }
    }
}

impl Published {
    /// How to refer to the image: as it was pushed, else its digest.
    pub fn reference(&self, built: &Built) -> String {
        self.pushed.first().map_or_else(|| built.set.digest().to_string(), |push| push.reference.clone())
    }

    /// One line for each platform's image, then the whole, as far as it was pushed.
    pub fn references(&self, built: &Built) -> Vec<String> {
        let mut lines = Vec::new();
        for push in &self.pushed {
            let name = push.reference.split('@').next().unwrap_or_default();
            if built.images.len() > 1 {
                lines.extend(
                    built.images.iter().map(|image| format!("{name}@{}", image.image.manifest_digest())),
                );
            }
            lines.push(push.reference.clone());
        }
        lines.push(String::new());
        lines
    }
}

/// Builds a spec, and writes, pushes and loads what came out.
pub fn build_and_publish(
    file: &SpecFile,
    build: &BuildOptions,
    publish: &PublishOptions,
    env: &Env,
) -> Result<(Built, Published)> {
    build_and(file, build, env, |built| self::publish(built, publish, env.observer.as_ref()))
}

/// Writes, pushes and loads a built image, in this order.
fn publish(built: &Built, options: &PublishOptions, observer: &dyn Observer) -> Result<Published> {
    let mut published = Published::default();
    if let Some(output) = &options.output {
        output::write(output, built)?;
        published.written.push(output.shown());
    }
    if let Some(registry) = &options.push {
        published.pushed = push_all(registry, &built.set, &built.names)?;
    }
    if options.load != Load::No {
        let engine = options.load.engine()?;
        // Who has both may look for the image in the other.
        for said in &engine.passed_over {
            let text = format!("{said}; {} takes the image", engine.program);
            observer.event(Event::Warning(text));
        }
        let folder = tempfile::tempdir()
            .map_err(OwnError::io(std::env::temp_dir(), "cannot hold a temporary folder"))?;
        let archive = Output::Hybrid(folder.path().join("image.tar"));
        output::write(&archive, built)?;
        published.loaded = engine.load(&folder.path().join("image.tar"))?;
        published.runtime = Some(engine.program.to_owned());
    }
    Ok(published)
}

/// An output inside of a folder that is packed would be in the next image, which would then never be the same.
fn not_in_a_source(output: &Output, file: &SpecFile) -> Result<()> {
    let absolute = |path: &Path| {
        // The output need not exist yet; the folders that lead to it are followed as far as they do.
        let existing = path.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
        match existing {
            Some((prefix, real)) => real.join(path.strip_prefix(prefix).unwrap_or(path)),
            None => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    };
    let cwd_first =
        |path: &Path| if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let target = absolute(&cwd_first(output.path()));
    for mapping in &file.spec.files {
        let source = absolute(&cwd_first(&file.path(&mapping.source.value)));
        let Ok(below) = target.strip_prefix(&source) else { continue };
        if below.as_os_str().is_empty() || assemble_fetch::is_excluded(below, &mapping.exclude)? {
            continue;
        }
        let name = target.extension().map(|ext| format!("*.{}", ext.to_string_lossy()));
        let pattern = name.unwrap_or_else(|| below.display().to_string());
        return Err(Error::from(OwnError::OutputInSource {
            output: output.shown(),
            source_folder: mapping.source.value.clone(),
            pattern,
        })
        .at(&mapping.source.span));
    }
    Ok(())
}

/// Pushes one image under one or more names of the same repository.
pub fn push(registry: &Registry, set: &ImageSet, names: &[Reference]) -> Result<PushReport> {
    push_all(registry, set, names)?.into_iter().next().ok_or_else(|| OwnError::NothingToPush.into())
}

/// One push for each repository that the names lie in; a repository's further names are further tags.
fn push_all(registry: &Registry, set: &ImageSet, names: &[Reference]) -> Result<Vec<PushReport>> {
    let image = push_image(set)?;
    let mut groups: Vec<(&Reference, Vec<Reference>)> = Vec::new();
    for name in names {
        match groups.iter_mut().find(|(first, _)| same_repository(first, name)) {
            Some((_, more)) => more.push(name.clone()),
            None => groups.push((name, Vec::new())),
        }
    }
    groups
        .into_iter()
        .map(|(first, more)| registry.push(first, &image, &more).doing(|| format!("pushing {first}")))
        .collect()
}

fn same_repository(a: &Reference, b: &Reference) -> bool {
    a.registry() == b.registry() && a.repository() == b.repository()
}

fn push_image(set: &ImageSet) -> Result<PushImage> {
    let mut blobs = Vec::new();
    for blob in set.blobs()? {
        blobs.push(PushBlob {
            digest: blob.digest,
            size: blob.size,
            content: set.blob_to_send(&blob.digest, blob.size)?,
        });
    }
    let manifests = set
        .manifests()
        .iter()
        .map(|m| PushManifest { digest: m.digest, media_type: m.media_type.clone(), bytes: m.bytes.clone() })
        .collect();
    Ok(PushImage { blobs, manifests })
}

/// Writes a small file whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    crate::temporary::write_whole(path, bytes).map_err(OwnError::io(PathBuf::from(path), "cannot be written"))
}

/// A usage error in the library's own words.
pub fn usage_error(message: &str) -> Error {
    OwnError::Usage(message.to_owned()).into()
}

/// A file or folder of the host cannot be used.
pub fn io_error(path: &Path, action: &'static str, source: std::io::Error) -> Error {
    OwnError::io(path, action)(source)
}

/// Standard input could not be read.
pub fn stdin_error(source: std::io::Error) -> Error {
    OwnError::io("standard input", "cannot be read")(source)
}

/// The running program cannot be found again.
pub fn own_program_error(source: std::io::Error) -> Error {
    OwnError::io("this program", "cannot be found on disk")(source)
}

/// Standard output could not be written.
pub fn stdout_error(source: std::io::Error) -> Error {
    OwnError::io("standard output", "cannot be written")(source)
}
