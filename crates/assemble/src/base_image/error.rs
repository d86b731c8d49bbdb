//! Why there is nothing to build upon where a spec says so.

use assemble_image::MAX_LAYERS;
use assemble_types::{Digest, Explain, Kind, Platform};

/// Why a base image cannot be used. Damaged blobs and documents have errors of their own, as in every other image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseImageError {
    /// Nothing of that name.
    #[error("the base image {text} is not there")]
    Missing {
        /// As the spec has it.
        text: String,
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// A name of a registry's image.
    #[error("the base image {0} lies in a registry, and base images are only read from folders so far")]
    Registry(String),
    /// A file where a folder is meant.
    #[error("the base image {0} is no folder, and only layouts in folders are built upon")]
    NotAFolder(String),
    /// No image for a platform.
    #[error("the base image {place} has no image for {wanted}")]
    NoPlatform {
        /// The layout.
        place: String,
        /// What is built for.
        wanted: Platform,
        /// What there is.
        found: Vec<String>,
    },
    /// Several images for a platform, and nothing says which.
    #[error("the base image {place} has several images for {wanted}")]
    Several {
        /// The layout.
        place: String,
        /// What is built for.
        wanted: Platform,
    },
    /// Indexes in indexes without end, or too many documents.
    #[error("the base image {place} is not looked through: {why}")]
    TooMuch {
        /// The layout.
        place: String,
        /// What there is too much of.
        why: &'static str,
    },
    /// The manifest and the configuration list other numbers of layers.
    #[error("{place}: the manifest {manifest} lists {layers} layers, and its configuration {diff_ids}")]
    Layers {
        /// The layout.
        place: String,
        /// The image.
        manifest: Digest,
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
    /// A layer is not what the configuration says.
    #[error("{place}: layer {number} unpacks to {found}, and the configuration lists {listed}")]
    DiffId {
        /// The layout.
        place: String,
        /// From 1.
        number: usize,
        /// What it is.
        found: Digest,
        /// What it should be.
        listed: Digest,
    },
    /// More layers than any storage driver mounts.
    #[error("{place} has {below} layers, and with {own} on top no runtime would mount them")]
    TooManyLayers {
        /// The layout.
        place: String,
        /// Its layers.
        below: usize,
        /// Those on top.
        own: usize,
    },
    /// No database for an architecture.
    #[error("there is no database of the base image's packages for {arch}: {path} does not exist")]
    NoDatabase {
        /// The architecture, in APK's words.
        arch: &'static str,
        /// Where it was looked for.
        path: String,
    },
    /// A database of unreasonable size.
    #[error("{path} is larger than {limit} bytes")]
    LargeDatabase {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// apko's way to build upon an image.
    #[error("an image upon a base image is only built with --lockfile")]
    NeedsLockfile,
    /// The image would be written into what it is built upon.
    #[error("the output {0} is the base image itself")]
    OutputIsBase(String),
}

impl Explain for BaseImageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "base-image/missing",
            Self::Registry(_) => "base-image/registry",
            Self::NotAFolder(_) => "base-image/no-folder",
            Self::NoPlatform { .. } => "base-image/no-platform",
            Self::Several { .. } => "base-image/several",
            Self::TooMuch { .. } => "base-image/too-much",
            Self::Layers { .. } => "base-image/layers",
            Self::DiffId { .. } => "base-image/diff-id",
            Self::TooManyLayers { .. } => "base-image/too-many-layers",
            Self::NoDatabase { .. } => "base-image/no-database",
            Self::LargeDatabase { .. } => "base-image/large-database",
            Self::NeedsLockfile => "base-image/needs-lockfile",
            Self::OutputIsBase(_) => "base-image/output",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::TooMuch { .. } | Self::Layers { .. } | Self::DiffId { .. } | Self::LargeDatabase { .. } => {
                Kind::Integrity
            }
            Self::NeedsLockfile | Self::OutputIsBase(_) => Kind::Usage,
            _ => Kind::Spec,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { tried, .. } => vec![format!("it was looked for at {}", tried.join(", "))],
            Self::Registry(text) => {
                vec![format!("copy it into a folder: skopeo copy docker://{text} oci:base, and name ./base")]
            }
            Self::NotAFolder(text) => {
                vec![format!(
                    "copy it into a folder: skopeo copy oci-archive:{text} oci:base, and name ./base"
                )]
            }
            Self::NoPlatform { found, .. } if found.is_empty() => {
                vec!["the layout lists no image at all".into()]
            }
            Self::NoPlatform { found, .. } => vec![
                format!("it has images for {}", found.join(", ")),
                "leave the other platforms out: archs".into(),
            ],
            Self::Several { place, .. } => {
                vec![format!("say which one by its name in the layout: image: {place}:NAME")]
            }
            Self::Layers { .. } | Self::DiffId { .. } => {
                vec!["build or copy the base image anew: its own documents contradict each other".into()]
            }
            Self::TooManyLayers { .. } => {
                vec![format!("at most {MAX_LAYERS} layers can be stacked: take a base image with fewer")]
            }
            Self::NoDatabase { arch, .. } => vec![format!(
                "`contents.baseimage.apkindex` is a folder with {arch}/APKINDEX in it, a copy of the base image's \
                 /usr/lib/apk/db/installed: assemble inspect BASE --cat /usr/lib/apk/db/installed"
            )],
            Self::NeedsLockfile => {
                vec!["assemble apko lock CONFIG, then build with --lockfile CONFIG.lock.json".into()]
            }
            Self::OutputIsBase(_) => vec!["write it elsewhere: -o ./image.oci".into()],
            Self::TooMuch { .. } | Self::LargeDatabase { .. } => Vec::new(),
        }
    }
}
