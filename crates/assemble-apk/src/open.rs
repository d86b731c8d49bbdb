//! Opens a package, checking each link of the chain before the next is looked at.

use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::sync::Arc;

use assemble_types::{Blob, Digest, Mode, Owner, ReadAt, Spool};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::adb;
use crate::data::{Extras, Finished, Unpacked};
use crate::entries::read_entries;
use crate::error::Section;
use crate::flaw::Flaw;
use crate::sections::{BUFFER, SMALL_BUFFER, Sections, buffered, data_limit, each_chunk};
use crate::tarball::{ItemKind, WalkLimits, Walker, first_name};
use crate::{
    Checksum, ControlEntry, Expected, Format, Limits, Package, PackageError, PackageId, PackageInfo,
    PackageProblem, SectionMarks, SectionRanges,
};

/// Opens a package file and checks the whole chain. Of format version 2, in this order:
///
/// 1. the SHA-1 of the packed control section is the one that the index promises, before its tar is looked at;
/// 2. `.PKGINFO` has the name and the version that were asked for;
/// 3. the SHA-256 of the packed data section is the `datahash` of `.PKGINFO`, before it is unpacked;
/// 4. every regular file has the SHA-1 that its header gives.
///
/// Of format version 3: the SHA-256 of its database is the one that the index promises, before that is looked at; it
/// has the name and the version that were asked for; every regular file has the hash that the database gives.
///
/// The package's own signature is not checked, as with apko: the signed index vouches for it. The contents of the entries
/// are unpacked anew whenever they are read; those of version 3 go into `spool`. Memory does not depend on any size that
/// the file claims.
///
/// Of a path that is listed twice the last entry counts. Hidden files at the top before any other entry are not
/// installed, as in every APK tool.
pub fn open_package(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    spool: &dyn Spool,
) -> Result<Package, PackageError> {
    open_package_with(packed, expected, limits, spool, Extras::default())
}

/// As [`open_package`]; of packages of format version 2 also with what `extras` asks for: the digest of the unpacked data
/// section, which [`Format::V2`] then has, and its bytes, of which the contents of the entries then are ranges.
///
/// # Errors
/// See there.
pub fn open_package_with(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    spool: &dyn Spool,
    extras: Extras<'_>,
) -> Result<Package, PackageError> {
    open_any(packed, expected, limits, spool, extras)
        .map_err(|problem| PackageError { package: expected.id.clone(), problem: Box::new(problem) })
}

fn open_any(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    spool: &dyn Spool,
    extras: Extras<'_>,
) -> Result<Package, PackageProblem> {
    if is_version_3(packed) {
        adb::open(packed, expected, limits, spool)
    } else {
        open(packed, expected, limits, extras)
    }
}

/// The front of a version 2 package, checked as in [`open_package`].
#[derive(Debug, Clone)]
pub struct PackageFront {
    /// What the package says about itself.
    pub info: PackageInfo,
    /// Where its sections lie, and what the control section promises of the data section.
    pub sections: SectionRanges,
}

/// Reads the front of a version 2 package, of which the first bytes suffice: steps 1 and 2 of [`open_package`], and the
/// data hash that the control section promises. Nothing if these are too few bytes to tell. `size` is the whole file's.
///
/// # Errors
/// As [`open_package`]; what is wrong with the data does not show.
pub fn open_front(
    front: &Blob,
    size: u64,
    expected: &Expected,
    limits: &Limits,
) -> Result<Option<PackageFront>, PackageError> {
    match front_of(front, size, expected, limits) {
        Ok(found) => Ok(Some(found)),
        Err(PackageProblem::NoSection { .. }) if front.len() < size => Ok(None),
        Err(PackageProblem::Damaged { source, .. })
            if front.len() < size && source.kind() == ErrorKind::UnexpectedEof =>
        {
            Ok(None)
        }
        Err(problem) => Err(PackageError { package: expected.id.clone(), problem: Box::new(problem) }),
    }
}

fn front_of(
    front: &Blob,
    size: u64,
    expected: &Expected,
    limits: &Limits,
) -> Result<PackageFront, PackageProblem> {
    let Start { signature, control, info, data_hash, .. } = read_start(front, expected, limits)?;
    let data = control.end..size;
    if data.is_empty() {
        return Err(PackageProblem::NoSection { section: Section::Data });
    }
    Ok(PackageFront { info, sections: SectionRanges { signature, control, data, data_hash } })
}

/// What stands in front of a data section, checked.
pub(crate) struct Start {
    pub(crate) signature: Option<Range<u64>>,
    pub(crate) control: Range<u64>,
    pub(crate) info: PackageInfo,
    pub(crate) data_hash: Digest,
    pub(crate) control_entries: Vec<ControlEntry>,
}

/// Reads the package up to its data section, and checks that against what was promised.
pub(crate) fn read_start(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
) -> Result<Start, PackageProblem> {
    start(packed, &mut Sections::open(packed, SMALL_BUFFER)?, expected, limits)
}

/// A control section that was unpacked, and nothing more.
struct ControlSection {
    /// Where the signature section in front of it lies, if there is one.
    signature: Option<Range<u64>>,
    plain: Vec<u8>,
    /// Where it lies itself.
    control: Range<u64>,
}

fn control_section(sections: &mut Sections, limits: &Limits) -> Result<ControlSection, PackageProblem> {
    let (first, range) = sections.small(Section::First, limits)?;
    if is_signature(&first, limits) {
        let (plain, control) = sections.small(Section::Control, limits)?;
        return Ok(ControlSection { signature: Some(range), plain, control });
    }
    Ok(ControlSection { signature: None, plain: first, control: range })
}

/// Whether the first section is a signature, by the name of its first entry.
pub(crate) fn is_signature(first: &[u8], limits: &Limits) -> bool {
    first_name(first, walk_limits(limits)).is_some_and(|name| name.starts_with(b".SIGN."))
}

fn start(
    packed: &Blob,
    sections: &mut Sections,
    expected: &Expected,
    limits: &Limits,
) -> Result<Start, PackageProblem> {
    let ControlSection { signature, plain, control } = control_section(sections, limits)?;
    let checksum = Checksum::from_bytes(control_sum(packed, &control)?);
    if checksum != expected.checksum {
        let misplaced = stands_behind(packed, sections, limits, expected.checksum);
        return Err(PackageProblem::Checksum { expected: expected.checksum, found: checksum, misplaced });
    }
    let (info, data_hash, control_entries) = read_control(&plain, limits)?;
    let found = PackageId { name: info.name.clone(), version: info.version.clone() };
    if found != expected.id {
        return Err(PackageProblem::Identity { found });
    }
    Ok(Start { signature, control, info, data_hash, control_entries })
}

fn open(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    extras: Extras<'_>,
) -> Result<Package, PackageProblem> {
    let mut sections = Sections::open(packed, BUFFER)?;
    let Start { signature, control, info, data_hash, control_entries } =
        start(packed, &mut sections, expected, limits)?;
    let data = control.end..packed.len();
    if data.is_empty() {
        return Err(PackageProblem::NoSection { section: Section::Data });
    }
    check_data(packed, data.start, data_hash, limits)?;
    let unpacked =
        Unpacked::new(&part(packed, data.clone()), data_hash).map_err(|error| match error.kind() {
            kind @ ErrorKind::UnexpectedEof => {
                PackageProblem::Damaged { section: Section::Data, source: kind.into() }
            }
            _ => PackageProblem::Read(error),
        })?;
    // How long it is turns out while it is read; the entries are ranges of what was read by then.
    let contents = Blob::new(Arc::clone(&unpacked) as Arc<dyn ReadAt>, u64::MAX);
    let ((entries, oddity), finished) =
        sections.data(limits, extras, |plain| read_entries(plain, &contents, limits))?;
    let Finished { size: plain_size, diff_id, kept, marks, .. } = finished;
    if let Some(kept) = kept {
        unpacked.keep(kept);
    }
    let marks = marks.map(|(marks, windows)| {
        let marks = Arc::new(marks);
        unpacked.mark(Arc::clone(&marks));
        SectionMarks { marks, windows }
    });
    let format = Format::V2 { signature, control, data, data_hash, plain_size, diff_id, marks, oddity };
    let (checksum, size, packed) = (expected.checksum, packed.len(), packed.clone());
    Ok(Package { info, checksum, size, packed, format, entries, control_entries })
}

/// The checksum that an index would have to promise for this package of version 2, if its control section can be read and
/// its data section is the one that it promises.
pub fn own_checksum(packed: &Blob) -> Option<Checksum> {
    let limits = Limits::default();
    let mut sections = Sections::open(packed, SMALL_BUFFER).ok()?;
    let ControlSection { plain, control, .. } = control_section(&mut sections, &limits).ok()?;
    let (_, data_hash, _) = read_control(&plain, &limits).ok()?;
    check_data(packed, control.end, data_hash, &limits).ok()?;
    Some(Checksum::from_bytes(control_sum(packed, &control).ok()?))
}

/// Whether a file is a package of version 3, by its first bytes.
pub fn is_version_3(packed: &Blob) -> bool {
    let mut head = [0; adb::MAGIC.len()];
    packed.len() >= head.len() as u64 && packed.reader().read_exact(&mut head).is_ok() && head == adb::MAGIC
}

/// What the walk of any section is bounded by. Each entry may have a PAX header and two long names in front.
pub(crate) fn walk_limits(limits: &Limits) -> WalkLimits {
    WalkLimits { extension: limits.pax, headers: limits.entries.saturating_mul(4) }
}

fn part(packed: &Blob, range: std::ops::Range<u64>) -> Blob {
    packed.slice(range).expect("the range was read from this very blob")
}

fn control_sum(packed: &Blob, control: &std::ops::Range<u64>) -> Result<[u8; 20], PackageProblem> {
    let mut hasher = Sha1::new();
    each_chunk(&part(packed, control.clone()), &mut |bytes| hasher.update(bytes))
        .map_err(PackageProblem::Read)?;
    Ok(hasher.finalize().into())
}

/// Whether the promised control section is there, but one further on.
fn stands_behind(packed: &Blob, sections: &mut Sections, limits: &Limits, promised: Checksum) -> bool {
    let Ok((_, range)) = sections.small(Section::Control, limits) else { return false };
    control_sum(packed, &range).is_ok_and(|sum| Checksum::from_bytes(sum) == promised)
}

fn check_data(packed: &Blob, start: u64, expected: Digest, limits: &Limits) -> Result<(), PackageProblem> {
    let data = part(packed, start..packed.len());
    // Who fetched it a moment ago may have hashed it on the way.
    if data.known_digest() == Some(expected) {
        return Ok(());
    }
    let mut hasher = Sha256::new();
    each_chunk(&data, &mut |bytes| hasher.update(bytes)).map_err(PackageProblem::Read)?;
    let found = Digest::from_bytes(hasher.finalize().into());
    if found == expected {
        return Ok(());
    }
    let flaw = Flaw::find(&mut buffered(&data), data_limit(data.len(), limits));
    Err(PackageProblem::DataHash { expected, found, flaw })
}

/// `.PKGINFO`, the data hash in it, and everything else as it is.
fn read_control(
    plain: &[u8],
    limits: &Limits,
) -> Result<(PackageInfo, Digest, Vec<ControlEntry>), PackageProblem> {
    let archive = |source| PackageProblem::Archive { section: Section::Control, source };
    let mut infos = Vec::new();
    let mut others = Vec::new();
    let mut walker = Walker::new(plain, walk_limits(limits));
    while let Some(item) = walker.next().map_err(archive)? {
        let name = String::from_utf8_lossy(&item.name).into_owned();
        let is_plain = item.kind == ItemKind::File
            && std::str::from_utf8(&item.name).is_ok()
            && !name.is_empty()
            && !matches!(name.as_str(), "." | "..")
            && !name.contains('/')
            && !name.chars().any(char::is_control);
        if !is_plain {
            return Err(PackageProblem::ControlEntry { name });
        }
        let content = walker.content_to_vec().map_err(archive)?;
        if name == ".PKGINFO" {
            infos.push(content);
        } else {
            others.push(ControlEntry {
                name,
                mode: Mode::from_bits(item.mode),
                owner: Owner { uid: item.uid, gid: item.gid },
                user: item.user,
                group: item.group,
                content,
            });
        }
    }
    match infos.as_slice() {
        [info] => {
            let (info, data_hash) = PackageInfo::parse(info).map_err(PackageProblem::Info)?;
            Ok((info, data_hash, others))
        }
        _ => Err(PackageProblem::Infos { count: infos.len() }),
    }
}
