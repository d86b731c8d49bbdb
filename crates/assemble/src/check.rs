//! Checks a spec, the files, keys and repositories of this host that it names, and whether the image could start, as far as
//! that needs no package.

use assemble_rootfs::{Part, Tree, place, place_base};
use assemble_types::{Observer, Platform};

use crate::error::{Doing, Result};
use crate::lock::refuse_apko_lock;
use crate::plan::{BuildOptions, Plan, StartCheck};
use crate::sources_here;
use crate::spec_file::SpecFile;
use crate::start;

/// What `check` found: no mistakes, or it would have been an error.
#[derive(Debug)]
pub struct CheckReport {
    /// The spec's name.
    pub name: String,
    /// Platforms that the spec is for.
    pub platforms: Vec<Platform>,
    /// Whether the start check could be run: not for specs with packages, which may bring what is missing.
    pub start_checked: bool,
}

/// Checks a spec without network and without writing anything.
pub fn check(file: &SpecFile, options: &BuildOptions, observer: &dyn Observer) -> Result<CheckReport> {
    refuse_apko_lock(options, "no packages are looked at here")?;
    let plan = Plan::lower(file, options)?;
    sources_here::told(sources_here::mistakes(&plan)?)?;
    let complete = plan.world.is_empty();
    for &platform in &plan.platforms {
        let mut tree = Tree::new();
        let time = plan.own_time();
        if let Some(base) = &plan.base {
            place_base(&mut tree, base, time)?;
        }
        let binary: Vec<_> = plan.binary(platform)?.into_iter().collect();
        place(&mut tree, Part::Files, &plan.files()?, time).doing(|| "placing contents.files".into())?;
        place(&mut tree, Part::Binary, &binary, time).doing(|| "placing contents.binary".into())?;
        if complete {
            start::check(&plan, &tree, platform, None, observer)?;
        }
    }
    Ok(CheckReport {
        name: file.name.clone(),
        platforms: plan.platforms,
        start_checked: complete && options.start_check != StartCheck::Off,
    })
}
