//! Images as one tar file.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use assemble_types::{Blob, Digest};
use serde_json::json;

use crate::image::{Image, ImageIndex, LayerDescriptor, canonical};
use crate::layout::{OCI_LAYOUT, RefName, blob_path, layout_index};
use crate::{ImageError, Reference, media_type};

/// Which kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// A layout with docker's `manifest.json` beside it, which names the layout's blobs: every tool reads it. Of
    /// several platforms, `manifest.json` lists the first.
    Hybrid,
    /// A layout and nothing else.
    Oci,
    /// docker's `manifest.json` with the files it names beside it. Holds one platform.
    Docker,
}

/// What an archive is made of.
#[derive(Debug, Clone, Copy)]
pub enum Built<'a> {
    /// One platform.
    Image(&'a Image),
    /// Several, under an index.
    Index(&'a ImageIndex),
}

impl<'a> Built<'a> {
    /// The images, in order.
    pub fn images(&self) -> &'a [Image] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Index(index) => index.images(),
        }
    }

    /// The digest that names it all.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Image(image) => image.manifest_digest(),
            Self::Index(index) => index.digest(),
        }
    }

    /// What a layout says of it.
    pub fn descriptor(&self) -> crate::Descriptor {
        match self {
            Self::Image(image) => image.descriptor(),
            Self::Index(index) => index.descriptor(),
        }
    }

    /// All documents by digest: configs, manifests, and the index if there is one.
    pub fn documents(&self) -> BTreeMap<Digest, &'a [u8]> {
        let mut out = BTreeMap::new();
        for image in self.images() {
            out.insert(image.config_digest(), image.config());
            out.insert(image.manifest_digest(), image.manifest());
        }
        if let Self::Index(index) = self {
            out.insert(index.digest(), index.bytes());
        }
        out
    }

    /// All layers by digest; what several images share is there once.
    pub fn layers(&self) -> BTreeMap<Digest, &'a LayerDescriptor> {
        self.images().iter().flat_map(Image::layers).map(|layer| (layer.digest, layer)).collect()
    }
}

/// A file of an archive.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: MemberContent,
}

/// Where a member's bytes are.
#[derive(Debug, Clone)]
pub enum MemberContent {
    /// Here.
    Bytes(Vec<u8>),
    /// Elsewhere, to be streamed.
    Blob(Blob),
}

impl MemberContent {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob) => blob.len(),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The members of an archive, sorted by name. `layer` gives a layer's bytes.
pub fn archive_members(
    format: ArchiveFormat,
    built: Built<'_>,
    names: &[Reference],
    layer: &dyn Fn(&LayerDescriptor) -> Option<Blob>,
) -> Result<Vec<Member>, ImageError> {
    let images = built.images();
    let first = images.first().ok_or(ImageError::NoImages)?;
    if format == ArchiveFormat::Docker && images.len() > 1 {
        return Err(ImageError::OnePlatform { count: images.len() });
    }
    let mut members = BTreeMap::new();
    for (digest, descriptor) in built.layers() {
        let blob = layer(descriptor).ok_or(ImageError::MissingBlob(digest))?;
        members.insert(layer_name(format, descriptor), MemberContent::Blob(blob));
    }
    if format == ArchiveFormat::Docker {
        members.insert(config_name(format, first), MemberContent::Bytes(first.config().to_vec()));
    } else {
        for (digest, bytes) in built.documents() {
            members.insert(blob_path(digest), MemberContent::Bytes(bytes.to_vec()));
        }
        let names: Vec<RefName> = names.iter().map(RefName::from).collect();
        let index = layout_index(None, &built.descriptor(), &names)?;
        members.insert("index.json".into(), MemberContent::Bytes(index));
        members.insert("oci-layout".into(), MemberContent::Bytes(OCI_LAYOUT.to_vec()));
    }
    if format != ArchiveFormat::Oci {
        let manifest = docker_manifest(format, first, names);
        members.insert("manifest.json".into(), MemberContent::Bytes(manifest));
    }
    Ok(members.into_iter().map(|(name, content)| Member { name, content }).collect())
}

fn config_name(format: ArchiveFormat, image: &Image) -> String {
    match format {
        ArchiveFormat::Docker => format!("{}.json", image.config_digest().hex()),
        _ => blob_path(image.config_digest()),
    }
}

fn layer_name(format: ArchiveFormat, layer: &LayerDescriptor) -> String {
    match format {
        ArchiveFormat::Docker => {
            let ending = match layer.media_type.as_str() {
                media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => ".gz",
                media_type::LAYER_ZSTD => ".zst",
                _ => "",
            };
            format!("{}.tar{ending}", layer.digest.hex())
        }
        _ => blob_path(layer.digest),
    }
}

/// `manifest.json`: tags are fully qualified, since podman takes a short one for its own `localhost/`.
fn docker_manifest(format: ArchiveFormat, image: &Image, names: &[Reference]) -> Vec<u8> {
    let layers: Vec<String> = image.layers().iter().map(|layer| layer_name(format, layer)).collect();
    let tags: Vec<String> =
        names.iter().filter_map(|name| name.tag().map(|tag| format!("{}:{tag}", name.name()))).collect();
    canonical(&json!([{"Config": config_name(format, image), "Layers": layers, "RepoTags": tags}]))
}

const BLOCK: usize = 512;

/// Writes members as a tar: ustar headers with mode 0644, owner 0:0, time 0, and two zero blocks at the end.
///
/// # Errors
/// What reading a blob or writing reports.
pub fn write_archive(members: &[Member], out: &mut impl Write) -> io::Result<()> {
    for member in members {
        let size = member.content.len();
        out.write_all(&header(&member.name, size)?)?;
        let copied = match &member.content {
            MemberContent::Bytes(bytes) => out.write_all(bytes).map(|()| size)?,
            MemberContent::Blob(blob) => copy(blob, out)?,
        };
        if copied != size {
            return Err(io::Error::other(format!("{}: {copied} bytes instead of {size}", member.name)));
        }
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        out.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])?;
    }
    out.write_all(&[0; 2 * BLOCK])
}

fn copy(blob: &Blob, out: &mut impl Write) -> io::Result<u64> {
    let mut reader = blob.reader();
    let mut piece = vec![0; 256 << 10];
    let mut copied = 0;
    loop {
        let n = reader.read(&mut piece)?;
        if n == 0 {
            return Ok(copied);
        }
        out.write_all(&piece[..n])?;
        copied += n as u64;
    }
}

fn header(name: &str, size: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    if name.len() > 100 || size >= 1 << 33 {
        return Err(io::Error::other(format!("{name}: {size} bytes do not fit into a ustar header")));
    }
    block[..name.len()].copy_from_slice(name.as_bytes());
    let mut field = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{size:011o}"));
    field(136, "00000000000");
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\x0000");
    field(329, "0000000");
    field(337, "0000000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}
