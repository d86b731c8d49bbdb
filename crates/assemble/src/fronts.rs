//! What stands before the data of packages: enough to lock a package, or to ask it what it needs, and a few kilobytes where
//! a server sends parts.

use assemble_apk::{PackageInfo, SectionRanges, is_version_3, open_front, open_package};
use assemble_fetch::Front;
use assemble_types::{Arch, Blob, Event, counted};

use crate::choose::Wanted;
use crate::error::{OwnError, Result};
use crate::lock;
use crate::sources::{Sources, check_arch};

/// How many fronts of packages are asked for at once: each is a round trip and next to no bytes.
const FRONTS_AT_ONCE: usize = 16;
/// How much of a package is asked for to see what stands before its data; all of it where that is too little. The first
/// fits what a server sends before it waits for an answer, and nearly all packages.
const FRONT_STEPS: [u64; 2] = [12 << 10, 256 << 10];

/// What stands before the data of a package, checked.
#[derive(Debug)]
pub(crate) struct OpenedFront {
    /// The file from its start, at least as far as the data section.
    pub(crate) packed: Blob,
    /// What the package says about itself.
    pub(crate) info: PackageInfo,
    /// Where sections lie; nothing for version 3, which has none.
    pub(crate) sections: Option<SectionRanges>,
}

impl Sources<'_> {
    /// Fetches and checks what stands before the data of packages, in the order given, and no more where servers allow
    /// that.
    pub(crate) fn fronts(&self, wanted: &[Wanted], arch: Arch) -> Result<Vec<OpenedFront>> {
        self.observer.event(Event::Stage(format!(
            "reading the fronts of {} for linux/{}",
            counted(wanted.len(), "package", "packages"),
            arch.oci_with_variant()
        )));
        self.each(wanted, arch, FRONTS_AT_ONCE, &|wanted| self.front(wanted, arch))
    }

    fn front(&self, wanted: &Wanted, arch: Arch) -> Result<OpenedFront> {
        self.check_response(wanted)?;
        // A version 3 package has one hash for all, so there is no front that would say enough.
        let steps = if wanted.checksum.is_short() { &FRONT_STEPS[..] } else { &[] };
        for len in steps.iter().copied().chain([u64::MAX]) {
            let label = wanted.id.to_string();
            let (packed, all) = match self.fetcher.front(&wanted.location, &wanted.key(), &label, len)? {
                Front::Part(packed) => (packed, false),
                Front::Whole(packed) => (packed, true),
            };
            if is_version_3(&packed) {
                if !all {
                    continue;
                }
                let package = open_package(
                    &packed,
                    &wanted.expected(),
                    &self.section_limits(),
                    &*self.fetcher.spool(),
                )?;
                check_arch(&package.info.arch, wanted, arch)?;
                let sections = package.format.sections();
                return Ok(OpenedFront { packed, info: package.info, sections });
            }
            let opened = open_front(&packed, wanted.size, &wanted.expected(), &self.section_limits())?;
            if let Some(front) = opened {
                check_arch(&front.info.arch, wanted, arch)?;
                if let Some(pinned) = &wanted.pinned {
                    lock::check_start(&packed, &wanted.id, pinned)?;
                }
                return Ok(OpenedFront { packed, info: front.info, sections: Some(front.sections) });
            }
        }
        Err(OwnError::Bug(format!("{}: a whole package has no front", wanted.id)).into())
    }

    /// What a package says about itself.
    pub(crate) fn info(&self, wanted: &Wanted, arch: Arch) -> Result<PackageInfo> {
        self.twice(wanted, &|wanted| self.front(wanted, arch)).map(|front| front.info)
    }
}
