//! Writes images: into layout folders and as archives, whole or not at all.

use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use assemble_fetch::file_look;
use assemble_image::{
    APKO_OCI_LAYOUT, ArchiveFormat, Built as Archived, Descriptor, LayerDescriptor, Member, OCI_LAYOUT,
    RefName, Reference, apko_archive_members, archive_members, empty_layout_index, layout_index,
    write_archive,
};
use assemble_types::{Blob, Digest};

use crate::base_image::BaseImageError;
use crate::build::Built;
use crate::error::{Error, OwnError, Result};
use crate::image_set::{ImageSet, MAX_MANIFEST, StoredManifest, checked, split_name};
use crate::spec_file::SpecFile;
use crate::temporary::{Unfinished, write_whole};

/// Where an image is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A folder with an OCI image layout.
    Layout(PathBuf),
    /// One archive that every consumer reads: an OCI layout with docker's `manifest.json`.
    Hybrid(PathBuf),
    /// An OCI layout in a tar.
    OciArchive(PathBuf),
    /// docker's own flat archive.
    DockerArchive(PathBuf),
    /// A folder with a layout as apko writes it: its `index.json` is the image's index itself.
    ApkoLayout(PathBuf),
    /// apko's archive for `docker load`.
    ApkoArchive(PathBuf),
}

impl Output {
    /// Understands `DIR`, `NAME.tar`, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`.
    pub fn parse(text: &str) -> Result<Self> {
        let unknown = || Error::from(OwnError::UnknownOutput(text.to_owned()));
        let (make, path): (fn(PathBuf) -> Self, &str) = if let Some(path) = text.strip_prefix("oci:") {
            (Self::Layout, path)
        } else if let Some(path) = text.strip_prefix("oci-archive:") {
            (Self::OciArchive, path)
        } else if let Some(path) = text.strip_prefix("docker-archive:") {
            (Self::DockerArchive, path)
        } else if Path::new(text).extension().is_some_and(|e| e.eq_ignore_ascii_case("tar")) {
            (Self::Hybrid, text)
        } else if [".tar.gz", ".tgz"].iter().any(|end| text.ends_with(end)) {
            return Err(unknown().hint("layers are compressed already: name it .tar"));
        } else if text == "-" {
            return Err(unknown().hint("standard output takes only the digest; to write no image: -o none"));
        } else if is_no_output(text) {
            return Err(
                unknown().hint("to push: --push -t NAME; to hand it to docker or podman: --load -t NAME")
            );
        } else {
            (Self::Layout, text)
        };
        if path.is_empty() { Err(unknown()) } else { Ok(make(path.into())) }
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Layout(path)
            | Self::Hybrid(path)
            | Self::OciArchive(path)
            | Self::DockerArchive(path)
            | Self::ApkoLayout(path)
            | Self::ApkoArchive(path) => path,
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        self.path().display().to_string()
    }

    /// Refuses a place that cannot be written, before anything is built.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.path();
        match (self, fs::metadata(path)) {
            (Self::Layout(_), Ok(found)) if !found.is_dir() => Err(OwnError::NotAFolder(self.shown()).into()),
            (Self::Layout(_), Ok(_)) => check_layout(path),
            (Self::ApkoLayout(_), _) => Ok(()),
            (_, Ok(found)) if found.is_dir() => {
                let source = io::Error::from(io::ErrorKind::IsADirectory);
                Err(OwnError::io(path, "cannot be replaced by an archive")(source))
            }
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => check_parent(path),
            (_, Err(error)) => Err(OwnError::io(path, "cannot be written")(error)),
            _ => Ok(()),
        }
    }
}

/// Archives that nobody writes, and `docker-daemon:x`, `localhost:5000/x:1`: what other tools take, or what belongs to
/// `-t`. A real path with a colon can be written with `./` in front.
pub(crate) fn is_no_output(text: &str) -> bool {
    [".zip", ".rar", ".7z"].iter().any(|end| text.ends_with(end))
        || (text.contains(':') && !text.starts_with(['/', '.']) && !Path::new(text).exists())
}

/// A folder may be written to if it is a layout already, or holds nothing but what an interrupted build left.
fn check_layout(path: &Path) -> Result<()> {
    if path.join("oci-layout").is_file() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(OwnError::io(path, "cannot be read"))? {
        let name = entry.map_err(OwnError::io(path, "cannot be read"))?.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(".assemble-") && name.ends_with(".tmp")) {
            return Err(OwnError::NotALayout(path.display().to_string()).into());
        }
    }
    Ok(())
}

/// The nearest folder that exists must be one.
fn check_parent(path: &Path) -> Result<()> {
    for parent in path.ancestors().skip(1) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match fs::metadata(parent) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(OwnError::io(parent, "is no folder")(io::Error::from(
                    io::ErrorKind::NotADirectory,
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OwnError::io(parent, "cannot be read")(error)),
        }
    }
    Ok(())
}

/// Writes a set under its names.
pub(crate) fn write(output: &Output, built: &Built) -> Result<()> {
    output.check()?;
    match output {
        Output::Layout(path) => layout(path, &built.set, &built.names),
        Output::Hybrid(path) => archive(path, ArchiveFormat::Hybrid, built),
        Output::OciArchive(path) => archive(path, ArchiveFormat::Oci, built),
        Output::DockerArchive(path) => archive(path, ArchiveFormat::Docker, built),
        Output::ApkoLayout(path) => apko_layout(path, built),
        Output::ApkoArchive(path) => apko_archive(path, built),
    }
}

/// An image written into its own base would make that ambiguous, and the next image another one.
pub(crate) fn not_into_base(output: &Output, file: &SpecFile) -> Result<()> {
    let Some(base) = &file.spec.base_image else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().ok();
    let Some(target) = real(output.path()) else { return Ok(()) };
    let is_base = |path: PathBuf| {
        let (folder, _) = split_name(&path.display().to_string());
        real(&folder).is_some_and(|folder| target == folder)
    };
    if file.candidates(base.source.value.as_str()).into_iter().any(is_base) {
        return Err(Error::from(BaseImageError::OutputIsBase(output.shown())).at(&base.source.span));
    }
    Ok(())
}

/// Blobs and manifests; the index is the file `index.json` and nothing else. What the folder holds stays.
fn apko_layout(path: &Path, built: &Built) -> Result<()> {
    store_all(path, &built.set, &built.set.manifests()[..built.set.manifests().len() - 1])?;
    let _lock = lock(path)?;
    for (name, bytes) in [("oci-layout", APKO_OCI_LAYOUT), ("index.json", &built.set.top().bytes)] {
        let file = path.join(name);
        write_whole(&file, bytes).map_err(OwnError::io(&file, "cannot be written"))?;
    }
    Ok(())
}

fn apko_archive(path: &Path, built: &Built) -> Result<()> {
    let (Some(index), Some(name)) = (&built.index, built.names.first()) else {
        return Err(OwnError::Bug("apko's archive needs an index and a name".into()).into());
    };
    let layer = |layer: &LayerDescriptor| built.set.blob(&layer.digest, layer.size).ok();
    write_members(path, &apko_archive_members(index, name, &layer)?)
}

/// Puts blobs and manifests below `blobs`.
fn store_all(path: &Path, set: &ImageSet, manifests: &[StoredManifest]) -> Result<()> {
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(OwnError::io(&blobs, "cannot be made"))?;
    for listed in set.blobs()? {
        store(&blobs, &listed.digest, listed.size, &|| set.blob(&listed.digest, listed.size))?;
    }
    for manifest in manifests {
        let size = manifest.bytes.len() as u64;
        store(&blobs, &manifest.digest, size, &|| Ok(Blob::from_bytes(manifest.bytes.clone())))?;
    }
    Ok(())
}

fn top_descriptor(set: &ImageSet) -> Descriptor {
    let top = set.top();
    Descriptor::new(top.media_type.clone(), top.digest, top.bytes.len() as u64)
}

/// New blobs first, `index.json` renamed last: whoever reads meanwhile sees the old image or the new one, and in a new
/// layout none, also where this fails.
fn layout(path: &Path, set: &ImageSet, names: &[Reference]) -> Result<()> {
    fs::create_dir_all(path).map_err(OwnError::io(path, "cannot be made"))?;
    {
        // The folder itself is locked, not a file in it: a file could be replaced while somebody waits for it.
        let _lock = lock(path)?;
        // Asked again now that it exists: a path with `..` may have led elsewhere before.
        check_layout(path)?;
        begin_layout(path)?;
    }
    store_all(path, set, set.manifests())?;
    // Two builds into one layout: each reads the index that the other left.
    let _lock = lock(path)?;
    let index = path.join("index.json");
    let existing = match fs::symlink_metadata(&index) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(OwnError::io(&index, "cannot be read")(error)),
        Ok(_) => {
            let blob = assemble_fetch::open_file(&index)?;
            Some(blob.read_to_vec(MAX_MANIFEST).map_err(OwnError::io(&index, "cannot be read"))?)
        }
    };
    let names: Vec<RefName> = names.iter().map(RefName::from).collect();
    let merged = layout_index(existing.as_deref(), &top_descriptor(set), &names)?;
    write_whole(&index, &merged).map_err(OwnError::io(&index, "cannot be written"))
}

/// Makes a folder a layout, without images, unless it is one.
fn begin_layout(path: &Path) -> Result<()> {
    let (marker, index) = (path.join("oci-layout"), path.join("index.json"));
    let is_new = !marker.is_file();
    if is_new {
        write_whole(&marker, OCI_LAYOUT).map_err(OwnError::io(&marker, "cannot be written"))?;
    }
    if index.symlink_metadata().is_ok() {
        return Ok(());
    }
    write_whole(&index, &empty_layout_index()).map_err(|error| {
        // Without an index it is none. Nobody else has begun: the folder is locked.
        if is_new {
            let _ = fs::remove_file(&marker);
        }
        OwnError::io(&index, "cannot be written")(error)
    })
}

/// Waits until no other process changes the layout; lasts as long as the file is kept.
fn lock(path: &Path) -> Result<fs::File> {
    let folder = fs::File::open(path).map_err(OwnError::io(path, "cannot be opened"))?;
    folder.lock().map_err(OwnError::io(path, "cannot be locked"))?;
    Ok(folder)
}

/// Stores a blob under its digest, unless it is there and whole. What the cache has is linked to, so that it is neither
/// read nor written again; where that is not possible, it is copied.
fn store(folder: &Path, digest: &Digest, size: u64, blob: &dyn Fn() -> Result<Blob>) -> Result<()> {
    let target = folder.join(digest.hex());
    let there = fs::metadata(&target).ok().filter(|there| there.is_file() && there.len() == size);
    // Without a blob of ours to compare it with, what is there has to be read.
    let blob = match &there {
        Some(there) => {
            let blob = blob()?;
            if blob.is_file(&file_look(there)) {
                return Ok(());
            }
            if let Ok(found) = assemble_fetch::open_file(&target)
                && checked(found, digest, size, "the layout").is_ok()
            {
                return Ok(());
            }
            blob
        }
        None => blob()?,
    };
    if link(&blob, &target) {
        return Ok(());
    }
    copy(&blob, &target).map_err(|error| cannot_write(&target, error))
}

/// One more name for the file of the cache that a blob is. What has the name is replaced, at once. Nothing is done if that
/// is not possible: the file systems may be two, and somebody may have removed the file's name, or given it to another.
fn link(blob: &Blob, target: &Path) -> bool {
    let Some(ours) = blob.whole_file() else { return false };
    let linked = match fs::hard_link(ours, target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace_by_link(ours, target),
        other => other,
    };
    if linked.is_err() {
        return false;
    }
    let is_ours = fs::symlink_metadata(target).is_ok_and(|found| blob.is_file(&file_look(&found)));
    if !is_ours {
        let _ = fs::remove_file(target);
    }
    is_ours
}

fn replace_by_link(ours: &Path, target: &Path) -> io::Result<()> {
    let beside = Unfinished::name_beside(target)?;
    fs::hard_link(ours, &beside)?;
    fs::rename(&beside, target).inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// Copies a blob; by sharing blocks if it is a file of the cache that still has its name, and the file systems can do that.
fn copy(blob: &Blob, target: &Path) -> io::Result<()> {
    let mut file = Unfinished::beside(target)?;
    if let Some(named) = still_named(blob) {
        file.append_file(named)?;
        blob.check()?;
    } else {
        let mut reader = BufReader::with_capacity(256 * 1024, blob.reader());
        io::copy(&mut reader.by_ref(), &mut file)?;
        file.flush()?;
    }
    file.finish()
}

/// The file that a blob is, opened anew, if it still has its name.
fn still_named(blob: &Blob) -> Option<fs::File> {
    let file = fs::File::open(blob.whole_file()?).ok()?;
    let is_ours = file.metadata().is_ok_and(|found| blob.is_file(&file_look(&found)));
    is_ours.then_some(file)
}

/// What was copied may be what failed, and then says so itself.
fn cannot_write(path: &Path, error: io::Error) -> Error {
    match error.downcast::<assemble_fetch::FetchError>() {
        Ok(of_source) => of_source.into(),
        Err(error) => OwnError::io(path, "cannot be written")(error),
    }
}

fn archive(path: &Path, format: ArchiveFormat, built: &Built) -> Result<()> {
    let what = match (&built.index, built.images.as_slice()) {
        (Some(index), _) => Archived::Index(index),
        (None, [only, ..]) => Archived::Image(&only.image),
        (None, []) => return Err(OwnError::Bug("a build made no image".into()).into()),
    };
    let members =
        archive_members(format, what, &built.names, &|layer| built.set.blob(&layer.digest, layer.size).ok())?;
    write_members(path, &members)
}

fn write_members(path: &Path, members: &[Member]) -> Result<()> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(OwnError::io(parent, "cannot be made"))?;
    }
    let put = || -> io::Result<()> {
        let mut file = Unfinished::beside(path)?;
        write_archive(members, &mut file)?;
        file.flush()?;
        file.finish()
    };
    put().map_err(|error| cannot_write(path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn every_spelling_of_an_output() {
        let parse = |text: &str| Output::parse(text).map_err(|e| e.to_string());
        assert_eq!(parse("x.oci"), Ok(Output::Layout("x.oci".into())));
        assert_eq!(parse("x.tar"), Ok(Output::Hybrid("x.tar".into())));
        assert_eq!(parse("oci:x.tar"), Ok(Output::Layout("x.tar".into())));
        assert_eq!(parse("oci-archive:x"), Ok(Output::OciArchive("x".into())));
        assert_eq!(parse("docker-archive:a/x"), Ok(Output::DockerArchive("a/x".into())));
        assert_eq!(parse("oci:"), Err("`oci:` is no output we know".into()));
        for bad in ["-", "docker-daemon:x", "localhost:5000/x:1", "out.zip"] {
            assert_eq!(parse(bad), Err(format!("`{bad}` is no output we know")));
        }
        assert_eq!(parse("./a:b"), Ok(Output::Layout("./a:b".into())));
        assert_eq!(parse("x.tar.gz"), Err("`x.tar.gz` is no output we know".into()));
    }

    /// A file that can be linked to, and that stays readable without its name.
    #[derive(Debug)]
    struct Held(PathBuf, fs::File, fs::Metadata);

    impl assemble_types::ReadAt for Held {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            std::os::unix::fs::FileExt::read_at(&self.1, buf, offset)
        }

        fn whole_file(&self) -> Option<(&Path, u64)> {
            Some((&self.0, self.2.len()))
        }

        fn is_file(&self, found: &assemble_types::FileLook) -> bool {
            *found == file_look(&self.2)
        }
    }

    #[test]
    fn what_the_cache_has_no_more_is_copied_and_not_taken_for_what_took_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, out) = (folder.path().join("ours"), folder.path().join("out"));
        for (how, links) in [("there", true), ("gone", false), ("another", false)] {
            for before in [None, Some("whatever"), Some("layer")] {
                let _ = (fs::remove_file(&ours), fs::remove_dir_all(&out));
                fs::create_dir(&out).unwrap();
                fs::write(&ours, "bytes").unwrap();
                let file = fs::File::open(&ours).unwrap();
                let meta = file.metadata().unwrap();
                let inode = meta.ino();
                let blob = Blob::new(std::sync::Arc::new(Held(ours.clone(), file, meta)), 5);
                if how != "there" {
                    fs::remove_file(&ours).unwrap();
                }
                if how == "another" {
                    fs::write(&ours, "other").unwrap();
                }
                let digest = Digest::of(b"bytes");
                let target = out.join(digest.hex());
                if let Some(before) = before {
                    fs::write(&target, before).unwrap();
                }
                store(&out, &digest, 5, &|| Ok(blob.clone())).unwrap();
                assert_eq!(fs::read(&target).unwrap(), b"bytes", "{how} {before:?}");
                assert_eq!(fs::metadata(&target).unwrap().ino() == inode, links, "{how} {before:?}");
                assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "{how} {before:?}");
            }
        }
    }

    #[test]
    fn a_folder_that_is_no_layout_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::Layout(folder.path().to_owned());
        assert!(output.check().is_ok());
        fs::write(folder.path().join("thesis.txt"), "x").unwrap();
        assert!(output.check().is_err());
        assert!(Output::Layout(folder.path().join("thesis.txt")).check().is_err());
        assert!(Output::Hybrid(folder.path().join("thesis.txt/image.tar")).check().is_err());
        assert!(Output::Hybrid(folder.path().join("new/image.tar")).check().is_ok());
    }
}
