//! Images that lie on this machine: layout folders, and archives of every kind we write.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble_fetch::open_file;
use assemble_image::{Descriptor, parse_index};
use assemble_types::{Blob, Digest};

use crate::error::{OwnError, Result};
use crate::image_set::{BlobSource, MAX_MANIFEST, checked, not_an_image, sized};
use crate::spec_file::is_named_yaml;

/// Most members of an archive that are looked at.
const MAX_MEMBERS: usize = 100_000;

/// An image that was found, not yet read.
#[derive(Debug)]
pub(crate) struct StoredImage {
    pub(crate) top: Descriptor,
    pub(crate) source: Arc<dyn BlobSource>,
}

/// Blobs of a layout folder.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn open(&self, digest: &Digest) -> Result<Blob> {
        let path = self.0.join("blobs/sha256").join(digest.hex());
        if !path.is_file() {
            if path.symlink_metadata().is_ok() {
                let why = format!("blob {digest} is no file");
                return Err(OwnError::Damaged { place: self.0.display().to_string(), why }.into());
            }
            return Err(missing(&self.0, digest));
        }
        Ok(open_file(&path)?)
    }
}

impl BlobSource for Folder {
    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob> {
        checked(self.open(digest)?, digest, size, &self.0.display().to_string())
    }

    fn unchecked(&self, digest: &Digest, size: u64) -> Result<Blob> {
        sized(self.open(digest)?, digest, size, &self.0.display().to_string())
    }
}

/// Blobs of an archive, by digest.
#[derive(Debug)]
struct Archive {
    place: String,
    members: BTreeMap<String, Blob>,
}

impl Archive {
    fn open(&self, digest: &Digest) -> Result<Blob> {
        let hex = digest.hex();
        // As in a layout; else as apko names documents and layers in its archives.
        let names = [format!("blobs/sha256/{hex}"), format!("sha256:{hex}"), format!("{hex}.tar.gz")];
        let member = names.iter().find_map(|name| self.members.get(name));
        member.cloned().ok_or_else(|| missing(Path::new(&self.place), digest))
    }
}

impl BlobSource for Archive {
    fn blob(&self, digest: &Digest, size: u64) -> Result<Blob> {
        checked(self.open(digest)?, digest, size, &self.place)
    }

    fn unchecked(&self, digest: &Digest, size: u64) -> Result<Blob> {
        sized(self.open(digest)?, digest, size, &self.place)
    }
}

fn missing(place: &Path, digest: &Digest) -> crate::error::Error {
    OwnError::Damaged { place: place.display().to_string(), why: format!("blob {digest} is missing") }.into()
}

/// Finds an image in a layout folder.
pub(crate) fn open_layout(path: &Path, name: Option<&str>) -> Result<StoredImage> {
    let place = path.display().to_string();
    let (bytes, source) = layout_index(path)?;
    Ok(StoredImage { top: pick(&bytes, name, &place)?, source })
}

/// Everything that a layout folder lists; of several names, what has the one that is asked for.
pub(crate) fn layout_entries(
    path: &Path,
    name: Option<&str>,
) -> Result<(Vec<Descriptor>, Arc<dyn BlobSource>)> {
    let (bytes, source) = layout_index(path)?;
    let entries = match name {
        Some(name) => vec![pick(&bytes, Some(name), &path.display().to_string())?],
        None => parse_index(&bytes)?.manifests,
    };
    Ok((entries, source))
}

/// The text of `index.json`, and where the blobs come from.
fn layout_index(path: &Path) -> Result<(Vec<u8>, Arc<dyn BlobSource>)> {
    let place = path.display().to_string();
    if !path.join("oci-layout").is_file() {
        return Err(not_an_image(&place, "the folder has no file `oci-layout`"));
    }
    let index = path.join("index.json");
    let bytes = match open_file(&index)?.read_to_vec(MAX_MANIFEST) {
        Ok(bytes) => bytes,
        Err(error) => return Err(OwnError::io(index, "cannot be read")(error)),
    };
    Ok((bytes, Arc::new(Folder(path.to_owned()))))
}

/// Finds an image in an archive.
pub(crate) fn open_archive(path: &Path, blob: &Blob, name: Option<&str>) -> Result<StoredImage> {
    let place = path.display().to_string();
    let mut start = vec![0; 512];
    let read = blob.read_at(&mut start, 0).unwrap_or(0);
    start.truncate(read);
    if start.get(257..262) != Some(b"ustar") && is_named_yaml(path) {
        return Err(OwnError::ImageIsSpec(place).into());
    }
    if start.get(257..262) != Some(b"ustar") {
        return Err(not_an_image(&place, "the file is no tar archive"));
    }
    let members = members(blob).map_err(|error| not_an_image(&place, &error.to_string()))?;
    let manifest = members.get("manifest.json");
    if let Some(index) = members.get("index.json").filter(|_| manifest.is_some() && is_apkos(&members)) {
        return apko_archive(path, place, index.clone(), members, name);
    }
    if let Some(index) = members.get("index.json") {
        let bytes = index.read_to_vec(MAX_MANIFEST).map_err(OwnError::io(path, "cannot be read"))?;
        let top = pick(&bytes, name, &place)?;
        return Ok(StoredImage { top, source: Arc::new(Archive { place, members }) });
    }
    if let Some(manifest) = manifest {
        let bytes = manifest.read_to_vec(MAX_MANIFEST).map_err(OwnError::io(path, "cannot be read"))?;
        return crate::docker_archive::open(&place, &bytes, &members, name);
    }
    Err(not_an_image(&place, "the archive has neither `index.json` nor `manifest.json`"))
}

/// Whether an archive is like those of apko: docker's, with an index and manifests beside that docker passes over.
fn is_apkos(members: &BTreeMap<String, Blob>) -> bool {
    !members.contains_key("oci-layout") && !members.keys().any(|name| name.starts_with("blobs/"))
}

/// apko's archive: `index.json` is the image's index itself, byte for byte as it would be pushed. A tag of
/// `manifest.json` picks the image of one platform.
fn apko_archive(
    path: &Path,
    place: String,
    index: Blob,
    mut members: BTreeMap<String, Blob>,
    name: Option<&str>,
) -> Result<StoredImage> {
    let bytes = index.read_to_vec(MAX_MANIFEST).map_err(OwnError::io(path, "cannot be read"))?;
    let parsed = parse_index(&bytes)?;
    let whole = Descriptor::of(parsed.media_type, &bytes);
    let Some(name) = name.filter(|name| *name != whole.digest.to_string()) else {
        // The index is looked up like any other document.
        members.insert(whole.digest.to_string(), index);
        return Ok(StoredImage { top: whole, source: Arc::new(Archive { place, members }) });
    };
    if let Some(top) = parsed.manifests.into_iter().find(|entry| entry.digest.to_string() == name) {
        return Ok(StoredImage { top, source: Arc::new(Archive { place, members }) });
    }
    let manifest = members.get("manifest.json").map(|blob| blob.read_to_vec(MAX_MANIFEST));
    let manifest = manifest.transpose().map_err(OwnError::io(path, "cannot be read"))?.unwrap_or_default();
    crate::docker_archive::open(&place, &manifest, &members, Some(name))
}

/// The image of that name in an `index.json`, or the only one there.
fn pick(index: &[u8], name: Option<&str>, place: &str) -> Result<Descriptor> {
    const REF_NAME: &str = "org.opencontainers.image.ref.name";
    const IMAGE_NAME: &str = "io.containerd.image.name";
    let entries = parse_index(index)?.manifests;
    let names = |entry: &Descriptor| -> Vec<String> {
        [IMAGE_NAME, REF_NAME].iter().filter_map(|key| entry.annotations.get(*key).cloned()).collect()
    };
    let found = match name {
        Some(name) => entries.iter().find(|entry| {
            entry.digest.to_string() == name
                || names(entry).iter().any(|n| n == name || n.ends_with(&format!("/{name}")))
        }),
        // Several names of one and the same image need no choice.
        None => entries.first().filter(|first| entries.iter().all(|entry| entry.digest == first.digest)),
    };
    found.cloned().ok_or_else(|| {
        let known = entries
            .iter()
            .map(|e| names(e).into_iter().next().unwrap_or_else(|| e.digest.to_string()))
            .collect();
        OwnError::NoSuchImage { place: place.to_owned(), name: name.map(str::to_owned), known }.into()
    })
}

/// The regular members of a tar as ranges of it. Later ones of the same name win, as in every tar reader.
fn members(blob: &Blob) -> io::Result<BTreeMap<String, Blob>> {
    check_headers(blob)?;
    let mut archive = tar::Archive::new(BufReader::new(Cursor { blob: blob.clone(), at: 0 }));
    let mut members = BTreeMap::new();
    for (number, entry) in archive.entries_with_seek()?.enumerate() {
        if number >= MAX_MEMBERS {
            return Err(io::Error::other("the archive has too many members"));
        }
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let start = entry.raw_file_position();
        let range = start..start.saturating_add(entry.size());
        let content = blob.slice(range).ok_or_else(|| io::Error::other("the archive is cut short"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        members.insert(name, content);
    }
    Ok(members)
}

/// Refuses extended headers of unreasonable size before a reader takes them into memory.
fn check_headers(blob: &Blob) -> io::Result<()> {
    const BLOCK: u64 = 512;
    const MAX_EXTENSION: u64 = 1024 * 1024;
    let (mut at, mut count) = (0, 0);
    let mut header = tar::Header::new_old();
    while at + BLOCK <= blob.len() && count < 4 * MAX_MEMBERS {
        let mut filled = 0;
        while filled < header.as_bytes().len() {
            let n = blob.read_at(&mut header.as_mut_bytes()[filled..], at + filled as u64)?;
            filled += n;
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let size = header.entry_size()?;
        let kind = header.entry_type();
        let extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if extension && size > MAX_EXTENSION {
            return Err(io::Error::other(format!("an extended header has {size} bytes")));
        }
        at = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
        count += 1;
    }
    Ok(())
}

/// A seekable view of a blob.
#[derive(Debug)]
struct Cursor {
    blob: Blob,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.blob.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.len().checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("seek before the start"))?;
        Ok(self.at)
    }
}
