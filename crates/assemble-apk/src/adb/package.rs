//! Packages of format version 3.

use std::io::{self, BufReader};

use assemble_types::{Blob, Mode, Owner, Spool};
use sha2::{Digest as _, Sha256};

use super::entries::{Plan, files};
use super::info::{package_info, words};
use super::signature::Signatures;
use super::stream::{Block, BlockKind, Stream};
use super::value::{Database, Slots};
use super::{AdbError, Schema};
use crate::sections::Source;
use crate::{
    Checksum, ControlEntry, Expected, Format, Keyring, Limits, Package, PackageId, PackageInfo,
    PackageProblem,
};

const INFO: usize = 1;
const PATHS: usize = 2;
const SCRIPTS: usize = 3;
const TRIGGERS: usize = 4;

/// Scripts by their slots, named as version 2 names them.
const SCRIPT_NAMES: [(usize, &str); 7] = [
    (1, ".trigger"),
    (2, ".pre-install"),
    (3, ".post-install"),
    (4, ".pre-deinstall"),
    (5, ".post-deinstall"),
    (6, ".pre-upgrade"),
    (7, ".post-upgrade"),
];

/// How much content is moved at once.
const CHUNK: usize = 64 << 10;

/// What vouches for a package.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Authority<'a> {
    /// A signed index.
    Index(&'a Expected),
    /// The package's own signature.
    Keys(&'a Keyring),
}

/// A package that is vouched for by its own signature.
#[derive(Debug, Clone)]
pub struct SignedPackage {
    /// The package.
    pub package: Package,
    /// The file name of the key.
    pub signed_by: String,
}

/// Opens a package of format version 3 that no index vouches for: one of its own signatures has to be by a key of the
/// keyring. All else is as in [`open_package`](crate::open_package).
pub fn open_signed_package(
    packed: &Blob,
    keyring: &Keyring,
    limits: &Limits,
    spool: &dyn Spool,
) -> Result<SignedPackage, PackageProblem> {
    let (package, signed_by) = open_by(packed, Authority::Keys(keyring), limits, spool)?;
    // Without a key there was an error.
    Ok(SignedPackage { package, signed_by: signed_by.unwrap_or_default() })
}

/// Opens a package that an index vouches for, in this order: the hash of its database is the promised one, before
/// anything of it is looked at; it has the name and version asked for; each file has the hash that the database gives.
pub(crate) fn open(
    packed: &Blob,
    expected: &Expected,
    limits: &Limits,
    spool: &dyn Spool,
) -> Result<Package, PackageProblem> {
    Ok(open_by(packed, Authority::Index(expected), limits, spool)?.0)
}

fn open_by(
    packed: &Blob,
    authority: Authority<'_>,
    limits: &Limits,
    spool: &dyn Spool,
) -> Result<(Package, Option<String>), PackageProblem> {
    let input = BufReader::with_capacity(CHUNK, Source::new(packed));
    let mut stream = Stream::open(input, Schema::Package).map_err(PackageProblem::Adb)?;
    let opened = read(&mut stream, packed, authority, limits, spool);
    opened.map_err(|problem| match problem {
        // A medium that fails looks like damage to what unpacks.
        PackageProblem::Adb(AdbError::Damaged(source)) if stream.source().get_ref().failed() => {
            PackageProblem::Read(source)
        }
        problem => problem,
    })
}

type Input = Stream<BufReader<Source>>;

fn read(
    stream: &mut Input,
    packed: &Blob,
    authority: Authority<'_>,
    limits: &Limits,
    spool: &dyn Spool,
) -> Result<(Package, Option<String>), PackageProblem> {
    let database = stream.database(limits.database).map_err(PackageProblem::Adb)?;
    let checksum = Checksum::from_sha256(Sha256::digest(&database).into());
    if let Authority::Index(expected) = authority {
        check(checksum, expected.checksum)?;
    }
    let mut signatures = Signatures::default();
    let mut block = stream.next().map_err(PackageProblem::Adb)?;
    while let Some(found) = block.filter(|block| block.kind == BlockKind::Signature) {
        signatures.read(&found, stream).map_err(PackageProblem::Adb)?;
        block = stream.next().map_err(PackageProblem::Adb)?;
    }
    let signed_by = match authority {
        Authority::Index(_) => None,
        Authority::Keys(keyring) => {
            let key = signatures.verify(Schema::Package, &database, keyring);
            Some(key.map_err(PackageProblem::Signature)?)
        }
    };
    let contents = interpret(&database, limits)?;
    drop(database);
    if let Authority::Index(expected) = authority {
        let found = PackageId { name: contents.info.name.clone(), version: contents.info.version.clone() };
        if found != expected.id {
            return Err(PackageProblem::Identity { found });
        }
    }
    let (info, control_entries) = (contents.info, contents.scripts);
    let entries = contents.plan.fill(|wanted, sink| data(stream, &mut block, wanted, sink), spool)?;
    match block {
        Some(block) => Err(PackageProblem::Adb(block.error("belongs to no file"))),
        None => {
            let (size, packed) = (packed.len(), packed.clone());
            let format = Format::V3;
            Ok((Package { info, checksum, size, packed, format, entries, control_entries }, signed_by))
        }
    }
}

/// An index may have the first 20 bytes only.
fn check(found: Checksum, expected: Checksum) -> Result<(), PackageProblem> {
    let found = if expected.is_short() { found.short() } else { found };
    if found == expected {
        Ok(())
    } else {
        Err(PackageProblem::Checksum { expected, found, misplaced: false })
    }
}

/// Where the content of a file has to stand: its folder and file count from 1, as in the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) folder: u32,
    pub(super) file: u32,
    pub(super) size: u64,
}

/// Hands the content of the block, which has to be the wanted file's, to `sink`, and goes to the next one.
fn data(
    stream: &mut Input,
    block: &mut Option<Block>,
    wanted: Wanted,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), PackageProblem> {
    let Some(found) = block.filter(|block| block.kind == BlockKind::Data) else {
        return Err(PackageProblem::Adb(match block {
            Some(block) => block.error("has no place among the files"),
            None => AdbError::Damaged(io::ErrorKind::UnexpectedEof.into()),
        }));
    };
    let mut header = [0; 8];
    stream.content(&mut header).map_err(PackageProblem::Adb)?;
    let place = [wanted.folder.to_le_bytes(), wanted.file.to_le_bytes()].concat();
    if header[..] != place || found.len - header.len() as u64 != wanted.size {
        return Err(PackageProblem::Adb(found.error("is not that of the next file")));
    }
    let mut left = wanted.size;
    let mut buffer = vec![0; CHUNK];
    while left > 0 {
        let part = &mut buffer[..usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        stream.content(part).map_err(PackageProblem::Adb)?;
        sink(part).map_err(PackageProblem::Spool)?;
        left -= part.len() as u64;
    }
    *block = stream.next().map_err(PackageProblem::Adb)?;
    Ok(())
}

/// The database, interpreted.
struct Contents {
    info: PackageInfo,
    scripts: Vec<ControlEntry>,
    plan: Plan,
}

fn interpret(bytes: &[u8], limits: &Limits) -> Result<Contents, PackageProblem> {
    let database = Database::new(bytes, limits.metadata).map_err(PackageProblem::Adb)?;
    let root = database.root().map_err(PackageProblem::Adb)?;
    let (info, scripts) = about(root, limits).map_err(PackageProblem::Adb)?;
    let paths = root.list(PATHS, "paths").map_err(PackageProblem::Adb)?;
    let plan = files(paths, info.build_time, limits)?;
    Ok(Contents { info, scripts, plan })
}

fn about(root: Slots<'_>, limits: &Limits) -> Result<(PackageInfo, Vec<ControlEntry>), AdbError> {
    let info = root.object(INFO, "info")?.ok_or(AdbError::value("info", "is missing"))?;
    let mut info = package_info(info)?;
    let triggers = words(root.list(TRIGGERS, "triggers")?, "triggers")?;
    if !triggers.is_empty() {
        info.triggers = vec![triggers.join(" ")];
    }
    Ok((info, scripts(root, limits)?))
}

fn scripts(root: Slots<'_>, limits: &Limits) -> Result<Vec<ControlEntry>, AdbError> {
    let Some(scripts) = root.object(SCRIPTS, "scripts")? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    let mut left = limits.control;
    for (slot, name) in SCRIPT_NAMES {
        let Some(content) = scripts.blob(slot, "scripts")? else { continue };
        left = left.checked_sub(content.len() as u64).ok_or(AdbError::Growth { limit: limits.control })?;
        out.push(ControlEntry {
            name: name.to_owned(),
            mode: Mode::from_bits(0o755),
            owner: Owner::ROOT,
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            content: content.to_vec(),
        });
    }
    Ok(out)
}
