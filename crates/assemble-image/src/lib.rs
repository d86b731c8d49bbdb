//! OCI manifests, configs, indexes, layouts and archives as immutable values with canonical bytes, names of images,
//! and checked views of documents that others made.
//!
//! **In:** layer descriptors and what the config shall say; or the bytes of documents. **Out:** [`Image`] and
//! [`ImageIndex`], members of layouts and archives; or parsed documents.
//! **Never:** files, registries, the clock; bytes that depend on a hash map's order.
//!
//! # Why it is the way it is
//! A digest is taken over bytes, so the bytes are made once, here, with sorted keys, and then only handed on. What
//! was read keeps its raw bytes for the same reason: a document is never written again from its parsed form.

mod apko;
mod archive;
mod descriptor;
mod error;
mod image;
mod layout;
pub mod media_type;
mod read;
mod reference;
mod stacked;
mod validate;

pub use apko::{APKO_OCI_LAYOUT, BaseImage, apko_archive_members};
pub use archive::{ArchiveFormat, Built, Member, MemberContent, archive_members, write_archive};
pub use descriptor::{Descriptor, PlatformName};
pub use error::ImageError;
pub use image::{History, Image, ImageIndex, ImageOptions, LayerDescriptor};
pub use layout::{IMAGE_NAME, OCI_LAYOUT, REF_NAME, RefName, blob_path, empty_layout_index, layout_index};
pub use read::{
    Config, Index, MAX_CONFIG, MAX_LAYERS, MAX_MANIFEST, Manifest, parse_config, parse_index, parse_manifest,
    select,
};
pub use reference::{Reference, ReferenceError, ReferenceProblem};
pub use validate::{DiffId, ImageSource, Invalid, MAX_DEPTH, validate};
