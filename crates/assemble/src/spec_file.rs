//! From an argument of the command line to a spec: a YAML file, a bare binary, or `./assemble.yaml`.

use std::io::Read;
use std::path::{Path, PathBuf};

use assemble_spec::Spec;

use crate::error::{OwnError, Result};

/// Longest spec that is read, in bytes.
const MAX_SPEC: u64 = 4 * 1024 * 1024;

/// The file that is taken when none is named.
pub const DEFAULT_SPEC: &str = "assemble.yaml";

/// A spec and where it was found.
#[derive(Debug, Clone)]
pub struct SpecFile {
    /// The checked spec.
    pub spec: Spec,
    /// What the user named, for messages.
    pub shown: String,
    /// The folder that the spec's relative paths start from; empty for the working directory.
    pub directory: PathBuf,
    /// File name without extension, made fit for an image's name.
    pub name: String,
}

impl SpecFile {
    /// Reads a spec, or takes a binary as what is to be packed.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let path = path.unwrap_or_else(|| Path::new(DEFAULT_SPEC));
        let shown = path.display().to_string();
        let bytes = read_start(path, &shown)?;
        let named_yaml =
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
        if !named_yaml && looks_like_a_program(&bytes) {
            // The path is taken as typed, from the working directory.
            let spec = assemble_spec::spec_for_binary(&shown);
            return Ok(Self { spec, shown, directory: PathBuf::new(), name: image_name(path) });
        }
        let spec = assemble_spec::parse_spec(&shown, &bytes)?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { spec, shown, directory, name: image_name(path) })
    }

    /// A path of the spec, seen from the working directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.join(relative)
    }
}

fn read_start(path: &Path, shown: &str) -> Result<Vec<u8>> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(OwnError::NoSpec(shown.to_owned()).into());
        }
        Err(e) => return Err(OwnError::io(path, "cannot be read")(e)),
    };
    if metadata.is_dir() && path.join("oci-layout").is_file() {
        return Err(OwnError::SpecIsImage(shown.to_owned()).into());
    }
    if metadata.is_dir() {
        return Err(OwnError::SpecIsFolder(shown.to_owned()).into());
    }
    let file = std::fs::File::open(path).map_err(OwnError::io(path, "cannot be read"))?;
    let mut bytes = Vec::new();
    file.take(MAX_SPEC + 1).read_to_end(&mut bytes).map_err(OwnError::io(path, "cannot be read"))?;
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(OwnError::SpecIsImage(shown.to_owned()).into());
    }
    if bytes.len() as u64 > MAX_SPEC && !looks_like_a_program(&bytes) {
        return Err(
            OwnError::SpecTooLarge { path: shown.to_owned(), size: metadata.len(), limit: MAX_SPEC }.into()
        );
    }
    Ok(bytes)
}

/// ELF, Mach-O (thin and fat) and PE, by their first bytes.
pub(crate) fn looks_like_a_program(bytes: &[u8]) -> bool {
    const MAGICS: [&[u8]; 8] = [
        b"\x7fELF",
        b"MZ",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"#!",
    ];
    MAGICS.iter().any(|magic| bytes.starts_with(magic))
}

/// The file's stem as a name that registries take: lower case, other characters become `-`.
fn image_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut name = String::new();
    for c in stem.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "image".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_registries() {
        let name = |path: &str| image_name(Path::new(path));
        assert_eq!(name("configs/hello.yaml"), "hello");
        assert_eq!(name("My App v2.yaml"), "my-app-v2");
        assert_eq!(name("/usr/bin/hello"), "hello");
        assert_eq!(name("___.yaml"), "image");
        assert_eq!(name("é.yaml"), "image");
    }
}
