//! Descriptors: a media type, a digest and a size, and what an index says about them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use assemble_types::{Digest, Platform};
use oci_spec::image as oci;

use crate::ImageError;

/// What names a blob in a document (OCI image spec, descriptor). Only SHA-256 is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Required: what the bytes are.
    pub media_type: String,
    /// Required: their digest.
    pub digest: Digest,
    /// Required: their number.
    pub size: u64,
    /// In an index: what the image is for.
    pub platform: Option<PlatformName>,
    /// Optional notes, by key.
    pub annotations: BTreeMap<String, String>,
    /// What the artifact is, if it is no image.
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor without the optional fields.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// The descriptor of these bytes.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    pub(crate) fn to_oci(&self) -> oci::Descriptor {
        let digest = oci::Digest::from_str(&self.digest.to_string()).expect("a digest's text is one");
        let mut out = oci::Descriptor::new(self.media_type.as_str().into(), self.size, digest);
        out.set_platform(self.platform.as_ref().map(PlatformName::to_oci));
        if !self.annotations.is_empty() {
            out.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        out.set_artifact_type(self.artifact_type.as_deref().map(oci::MediaType::from));
        out
    }

    pub(crate) fn from_oci(document: &'static str, found: &oci::Descriptor) -> Result<Self, ImageError> {
        let text = found.digest().to_string();
        let digest = text.parse().map_err(|_| ImageError::Digest { document, found: text })?;
        Ok(Self {
            media_type: found.media_type().to_string(),
            digest,
            size: found.size(),
            platform: found.platform().as_ref().map(PlatformName::from_oci),
            annotations: found.annotations().clone().unwrap_or_default().into_iter().collect(),
            artifact_type: found.artifact_type().as_ref().map(ToString::to_string),
        })
    }
}

/// What an index or config says an image is for; it need not be something that can be built here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformName {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture, such as `arm64`.
    pub architecture: String,
    /// Variant, such as `v7`.
    pub variant: Option<String>,
}

impl PlatformName {
    /// The platform this means, if it is one that can be built for. Spellings that runtimes treat alike are alike:
    /// `arm64/v8` is `arm64`, `amd64/v1` is `amd64`, `arm` is `arm/v7`.
    pub fn known(&self) -> Option<Platform> {
        if !self.os.eq_ignore_ascii_case("linux") {
            return None;
        }
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().unwrap_or("").to_ascii_lowercase();
        let variant = match (architecture.as_str(), variant.as_str()) {
            ("arm64" | "aarch64", "8" | "v8" | "v8.0") => "",
            ("arm", "7") => "v7",
            ("arm", "6") => "v6",
            (_, variant) => variant,
        };
        let text = if variant.is_empty() { architecture } else { format!("{architecture}/{variant}") };
        text.parse().ok()
    }

    fn to_oci(&self) -> oci::Platform {
        let mut out = oci::Platform::default();
        out.set_architecture(self.architecture.as_str().into());
        out.set_os(self.os.as_str().into());
        out.set_variant(self.variant.clone());
        out
    }

    fn from_oci(found: &oci::Platform) -> Self {
        Self {
            os: found.os().to_string(),
            architecture: found.architecture().to_string(),
            variant: found.variant().clone(),
        }
    }
}

impl From<Platform> for PlatformName {
    fn from(platform: Platform) -> Self {
        Self {
            os: "linux".into(),
            architecture: platform.arch.oci().into(),
            variant: platform.arch.variant().map(Into::into),
        }
    }
}

impl fmt::Display for PlatformName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os.escape_debug(), self.architecture.escape_debug())?;
        match &self.variant {
            Some(variant) => write!(f, "/{}", variant.escape_debug()),
            None => Ok(()),
        }
    }
}
