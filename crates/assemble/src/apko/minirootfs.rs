//! `build-minirootfs`: one architecture's tree as a plain tar.

use std::io::{self, Write as _};
use std::path::Path;

use super::request::{ApkoRequest, host};
use crate::apko_config;
use crate::build::{Env, Stopwatch};
use crate::choose;
use crate::contents;
use crate::error::{Doing, Error, OwnError, Result};
use crate::kept::KeptLayers;
use crate::layers;
use crate::plan::Plan;
use crate::sources::Sources;
use crate::temporary::Unfinished;

const NO_BASE: &str = "the tar would hold only what comes on top of the base image; `assemble export` writes the whole tree \
                       of an image";

/// Resolves once, where images resolve twice: the world is what the configuration says, and so is `/etc/apko.json`.
pub(super) fn build(request: &ApkoRequest, out: &Path, env: &Env) -> Result<()> {
    env.again_after_losses(|| build_once(request, out, env))
}

fn build_once(request: &ApkoRequest, out: &Path, env: &Env) -> Result<()> {
    let arch = match request.archs.first() {
        Some(text) => super::request::arch(text)?,
        None => host()?,
    };
    let written = request.read()?;
    let request = ApkoRequest { archs: vec![arch.apk().to_owned()], vcs: false, ..request.clone() };
    let (file, options) = (request.load()?, request.options(&[])?);
    if let Some(base) = &file.spec.base_image {
        let what = "`build-minirootfs` with contents.baseimage".to_owned();
        return Err(Error::from(OwnError::NotSupported { what, why: NO_BASE }).at(&base.source.span));
    }
    let plan = Plan::lower(&file, &options)?;
    let platform = plan.platforms[0];
    let sources = Sources::of(&plan, env);
    let indexes = choose::indexes(&plan, &plan.platforms, &sources, &mut Stopwatch::default())?;
    let mut solutions = choose::first_pass(&plan, &plan.platforms, &indexes)?;
    let (Some(indexes), Some(mut solution)) = (indexes.first(), solutions.pop()) else {
        return Err(OwnError::Bug("one architecture has no choice of packages".into()).into());
    };
    solution.locked.clone_from(&plan.world);
    let selection = choose::selection(&plan, platform, indexes, &indexes.repositories, &solution)?;
    let opened = sources.packages(&selection.packages, arch)?;
    let packages: Vec<_> = opened.into_iter().map(|(package, _)| package).collect();
    let config = apko_config::of(&written.spec);
    let tree = contents::install_packages(&plan, platform, &selection, &packages, config)?.tree;
    let layers = layers::pack(
        &tree,
        None,
        &KeptLayers::of(env, format!("minirootfs {platform}"), plan.compression),
        env,
    )?;
    let [only] = layers.as_slice() else {
        return Err(OwnError::Bug("packages made several layers where one was asked for".into()).into());
    };
    let put = || -> io::Result<()> {
        let mut file = Unfinished::beside(out)?;
        only.layer.write_unpacked(&mut file).map_err(io::Error::other)?;
        file.flush()?;
        file.finish()
    };
    put().map_err(OwnError::io(out, "cannot be written")).doing(|| format!("writing the tree for {platform}"))
}
