//! The commands of apko: its rules, its outputs, our engine.
//!
//! **In:** what the options of a command say ([`ApkoRequest`]). **Out:** an image, or a document, with apko's bytes.
//!
//! # Why it is the way it is
//! What differs from our own commands is how a configuration is read, what is added where it is silent, and how results
//! are written down. So each command here is a short way through the same stages, and options that add to a
//! configuration are put into the configuration before the first stage sees it.

mod dot;
mod lock;
mod minirootfs;
mod request;
mod show;
mod vcs;
mod yaml;

use std::path::{Path, PathBuf};

use assemble_image::Reference;
use assemble_registry::Registry;

pub use request::ApkoRequest;
pub(crate) use request::COMMAND_LINE;
pub use show::PackageFormat;

use crate::base_image::BaseImageError;
use crate::build::{Built, Env, build_and};
use crate::error::{Error, OwnError, Result};
use crate::output::{self, Output};
use crate::publish::{PublishOptions, Published, build_and_publish};
use crate::spec_file::SpecFile;

/// `dot`: the graph of what is chosen for the first architecture.
pub fn dot(request: &ApkoRequest, spanning_tree: bool, env: &Env) -> Result<String> {
    show::graph(request, spanning_tree, env)
}

/// `show-config`: the configuration after includes, as YAML.
pub fn show_config(request: &ApkoRequest) -> Result<String> {
    show::config(request)
}

/// `show-packages`: one line a package, architecture after architecture.
pub fn show_packages(request: &ApkoRequest, format: &PackageFormat, env: &Env) -> Result<String> {
    show::packages(request, format, env)
}

/// `lock`: the lock file's bytes.
pub fn lock(request: &ApkoRequest, env: &Env) -> Result<Vec<u8>> {
    lock::document(request, env)
}

/// `build-minirootfs`: writes the tree of one architecture as an uncompressed tar.
pub fn build_minirootfs(request: &ApkoRequest, out: &Path, env: &Env) -> Result<()> {
    minirootfs::build(request, out, env)
}

/// `build`: an OCI layout if `out` is a folder, else an archive for `docker load`.
pub fn build(request: &ApkoRequest, tag: &str, out: &Path, env: &Env) -> Result<Built> {
    let output =
        if out.is_dir() { Output::ApkoLayout(out.to_owned()) } else { Output::ApkoArchive(out.to_owned()) };
    let (file, options) = (load(request)?, request.options(&[tag.to_owned()])?);
    output::not_into_base(&output, &file)?;
    build_and(&file, &options, env, |built| output::write(&output, built)).map(|(built, ())| built)
}

/// The configuration of an image. As with apko, one upon another is only built from a lock.
fn load(request: &ApkoRequest) -> Result<SpecFile> {
    let file = request.load()?;
    match &file.spec.base_image {
        Some(base) if request.lockfile.is_none() => {
            Err(Error::from(BaseImageError::NeedsLockfile).at(&base.source.span))
        }
        _ => Ok(file),
    }
}

/// `publish`: builds, and pushes under every tag.
pub fn publish(
    request: &ApkoRequest,
    tags: &[String],
    registry: Registry,
    env: &Env,
) -> Result<(Built, Published)> {
    let (file, options) = (load(request)?, request.options(tags)?);
    let publish = PublishOptions { output: None, push: Some(registry), load: crate::publish::Load::No };
    build_and_publish(&file, &options, &publish, env)
}

/// What `publish` prints and writes down: every image of the index by digest, then the index, in the repository of the
/// first tag.
pub fn published_references(built: &Built) -> Vec<String> {
    let name = built.names.first().map(Reference::name).unwrap_or_default();
    let images = built.index.iter().flat_map(assemble_image::ImageIndex::images);
    images
        .map(|image| format!("{name}@{}", image.manifest_digest()))
        .chain([format!("{name}@{}", built.set.digest())])
        .collect()
}

/// The lock's path where none is given: the configuration's, with another ending.
pub fn default_lock_path(config: &Path, ending: &str) -> PathBuf {
    config.with_extension(ending)
}

/// What apko can do and this program does not, with the reason.
pub fn refused(what: &str, why: &'static str) -> crate::error::Error {
    OwnError::NotSupported { what: what.to_owned(), why }.into()
}
