//! Writes the root file system of an image: as one plain tar, or into a folder.
//!
//! # Why it is the way it is
//! An image comes from anyone, so its names are not trusted: all layers are put together in memory first, where `..`
//! cannot be written and links are followed inside the image, and what comes out is a tree in which no name lies below
//! a link. Only that tree is written, and in a folder each name is made by itself, in a folder that was opened without
//! following any link.

mod folder;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use assemble_layer::{AccountNames, Compression, pack};
use assemble_rootfs::{Body, Part, Tree};
use flate2::read::MultiGzDecoder;

use crate::build::Env;
use crate::error::{Error, OwnError, Result};
use crate::inspect::OpenedImage;
use crate::merged::{LeftOut, Merged};
use crate::output::is_no_output;
use crate::temporary::Unfinished;

/// Where a root file system goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTarget {
    /// A tar file, not compressed, with the entries of a layer: the same tree has the same bytes.
    Tar(PathBuf),
    /// A folder that is empty or not there.
    Folder(PathBuf),
}

/// What was written, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Names that were written.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Devices and pipes that were left out.
    pub left_out: u64,
    /// Files that lost set-id bits, because they do not belong to whom they should.
    pub without_set_id: u64,
    /// Names whose extended attributes could not be written.
    pub without_attributes: u64,
    /// Whether everything belongs to who ran this, instead of to whom the image says.
    pub owners_ignored: bool,
}

impl ExportTarget {
    /// Understands `NAME.tar` and `DIR`.
    pub fn parse(text: &str) -> Result<Self> {
        let unknown = || Error::from(OwnError::UnknownExport(text.to_owned()));
        if ["oci:", "oci-archive:", "docker-archive:"].iter().any(|start| text.starts_with(start)) {
            return Err(
                unknown().hint(format!("an image is written by build: assemble build SPEC -o {text}"))
            );
        }
        if text.is_empty() || is_no_output(text) {
            return Err(unknown());
        }
        if [".tar.gz", ".tgz", ".tar.zst", ".tar.xz"].iter().any(|end| text.ends_with(end)) {
            return Err(
                unknown().hint("the tar is written as it is: name it .tar and compress it afterwards")
            );
        }
        let is_tar = Path::new(text).extension().is_some_and(|end| end.eq_ignore_ascii_case("tar"));
        Ok(if is_tar { Self::Tar(text.into()) } else { Self::Folder(text.into()) })
    }

    /// Refuses a place that cannot be written, before anything is built.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Tar(path) if path.is_dir() => {
                let source = io::Error::from(io::ErrorKind::IsADirectory);
                Err(OwnError::io(path, "cannot be replaced by an archive")(source))
            }
            Self::Tar(_) => Ok(()),
            Self::Folder(path) => empty_or_missing(path).map(drop),
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        let (Self::Tar(path) | Self::Folder(path)) = self;
        path.display().to_string()
    }
}

/// Whether the folder is there; an error if it holds something.
fn empty_or_missing(path: &Path) -> Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(true),
            Some(_) => Err(OwnError::NotEmpty { folder: path.display().to_string() }.into()),
        },
        // A link that leads nowhere is something, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            Ok(false)
        }
        Err(error) => Err(OwnError::io(path, "cannot be read")(error)),
    }
}

impl OpenedImage {
    /// Writes the root file system as a container would see it.
    ///
    /// Into a folder, a plain user writes modes, times and links; owners, devices and set-id bits only root can make,
    /// and the report says what was left out.
    pub fn export(&self, target: &ExportTarget, env: &Env) -> Result<ExportReport> {
        target.check()?;
        let spool = env.fetcher.spool();
        let (tree, left_out) = Merged::tree(&self.layers()?, spool.as_ref())?;
        match target {
            ExportTarget::Tar(path) => {
                let mut write = |plain: &mut dyn io::Read| {
                    let mut out = Unfinished::beside(path)?;
                    io::copy(plain, &mut out)?;
                    out.finish()
                };
                tar(&tree, left_out, path, &mut write, env)
            }
            ExportTarget::Folder(path) => {
                let new = !empty_or_missing(path)?;
                let mut report = folder::write(&tree, path, new)?;
                report.left_out += left_out.specials;
                Ok(report)
            }
        }
    }
}

impl OpenedImage {
    /// Writes the root file system as a tar to whatever takes bytes: the same as [`ExportTarget::Tar`].
    ///
    /// # Errors
    /// The image's, and those of `out` as [`OwnError::Io`] of the place called `shown`.
    pub fn export_to(&self, out: &mut dyn io::Write, shown: &str, env: &Env) -> Result<ExportReport> {
        let (tree, left_out) = Merged::tree(&self.layers()?, env.fetcher.spool().as_ref())?;
        let mut write = |plain: &mut dyn io::Read| io::copy(plain, out).and_then(|_| out.flush());
        tar(&tree, left_out, Path::new(shown), &mut write, env)
    }
}

/// The layer's own writer, without its compression.
fn tar(
    tree: &Tree,
    left_out: LeftOut,
    path: &Path,
    write: &mut dyn FnMut(&mut dyn io::Read) -> io::Result<()>,
    env: &Env,
) -> Result<ExportReport> {
    let entries = tree.layer(Part::Files);
    // Names of accounts are a service; an image whose list of them cannot be read has its numbers.
    let names = AccountNames::from_tree(tree).unwrap_or_else(|_| AccountNames::none());
    let layer = pack(&entries, &names, Compression::Gzip, env.threads, env.fetcher.spool().as_ref())?;
    let mut plain = MultiGzDecoder::new(io::BufReader::new(layer.blob.reader()));
    write(&mut plain).map_err(OwnError::io(path, "cannot be written"))?;
    let bytes = entries.iter().map(|entry| match &entry.node.body {
        Body::File(blob) => blob.len(),
        _ => 0,
    });
    Ok(ExportReport {
        entries: entries.len() as u64,
        bytes: bytes.sum(),
        left_out: left_out.specials,
        ..ExportReport::default()
    })
}
