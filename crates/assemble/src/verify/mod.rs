//! Proves that an image is what its spec builds: builds it anew under other circumstances, and compares.
//!
//! The second build is another process with its own cache, folder, umask, time zone, locale, home and thread count,
//! so whatever leaks in from there shows up as a difference.

mod compare;
mod elf;
mod second;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use assemble_registry::Registry;
use assemble_types::Digest;

pub use compare::Outcome;

use crate::build::{Env, build};
use crate::error::{Error, OwnError, Result};
use crate::image_set::{ImageSet, split_name};
use crate::plan::BuildOptions;
use crate::spec_file::SpecFile;

/// What `verify` needs beside the target.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The program to start for the second build: ours.
    pub program: PathBuf,
    /// As for a build.
    pub build: BuildOptions,
    /// The digest that the user expects.
    pub expected: Option<String>,
    /// Arguments that say how the second build reaches the world.
    pub network: Vec<OsString>,
    /// Threads of the first build; the second takes another number.
    pub threads: NonZeroUsize,
}

/// What `verify` found.
#[derive(Debug)]
pub struct VerifyReport {
    /// What was compared, as the user named it.
    pub target: String,
    /// The spec it was compared with.
    pub spec: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Digest of the target.
    pub found: Digest,
    /// Digest of what the spec builds, or what the user expected.
    pub expected: Digest,
    /// Where they differ, first difference first, in words.
    pub differences: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
    /// Whether `expected` is the user's own digest.
    asked: bool,
}

impl VerifyReport {
    /// The failure that this report stands for, if it does.
    pub fn error(&self) -> Option<Error> {
        match self.outcome {
            Outcome::Identical | Outcome::OtherCodec => None,
            Outcome::Different if self.asked && self.differences.len() == 1 => Some(
                OwnError::OtherDigest {
                    target: self.target.clone(),
                    found: self.found.to_string(),
                    expected: self.expected.to_string(),
                }
                .into(),
            ),
            Outcome::Different => {
                Some(OwnError::Different { target: self.target.clone(), spec: self.spec.clone() }.into())
            }
        }
    }

    fn new(
        target: &str,
        file: &SpecFile,
        found: Digest,
        expected: Digest,
        compared: compare::Comparison,
    ) -> Self {
        Self {
            target: target.to_owned(),
            spec: file.shown.clone(),
            outcome: compared.outcome,
            found,
            expected,
            differences: compared.differences,
            hints: compared.hints,
            asked: false,
        }
    }

    /// Holds the digest that the user expects against the one that was found.
    fn expect(mut self, expected: Option<&str>) -> Result<Self> {
        let Some(text) = expected else { return Ok(self) };
        let digest: Digest = text.parse().map_err(|e| OwnError::Usage(format!("--digest: {e}")))?;
        if digest != self.found {
            self.outcome = Outcome::Different;
            self.differences.insert(0, format!("digest: expected {digest}, found {}", self.found));
            self.expected = digest;
            self.asked = true;
        }
        Ok(self)
    }
}

/// Builds a spec here and in another process, and compares.
pub fn verify_spec(file: &SpecFile, options: &VerifyOptions, env: &Env) -> Result<VerifyReport> {
    let first = build(file, &options.build, env)?;
    let second = second::build_anew(file, options)?;
    let compared = compare::sets(&first.set, &second.set)?;
    VerifyReport::new(&file.shown, file, first.set.digest(), second.set.digest(), compared)
        .expect(options.expected.as_deref())
}

/// Compares an image of a layout, archive or registry with what its spec builds in another process.
pub fn verify_image(
    target: &str,
    file: &SpecFile,
    options: &VerifyOptions,
    registry: Option<&Registry>,
) -> Result<VerifyReport> {
    let image = ImageSet::open_or_pull(target, registry)?;
    // A digest is only a name of what lies here. What a registry has is checked by whoever gets it.
    if split_name(target).0.exists() {
        for blob in image.blobs()? {
            image.blob(&blob.digest, blob.size)?;
        }
    }
    let built = second::build_anew(file, options)?;
    let compared = compare::sets(&image, &built.set)?;
    VerifyReport::new(target, file, image.digest(), built.set.digest(), compared)
        .expect(options.expected.as_deref())
}

/// Whether a target of `verify` is an image that lies here, or looks like a registry's.
pub fn is_image(target: &str) -> bool {
    let (path, _) = split_name(target);
    let tar = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"));
    path.join("oci-layout").is_file()
        || (path.is_file() && tar)
        || (!path.exists() && target.contains('/') && target.contains(':') && !target.starts_with(['.', '/']))
}

/// An image was to be verified, and no spec was named.
pub fn verify_without_spec(target: &str) -> Error {
    OwnError::VerifyWithoutSpec(target.to_owned()).into()
}
