//! Writes the first spec of a new user.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::{OwnError, Result};
use crate::spec_file::looks_like_a_program;

/// Writes a commented spec for `binary` to `target`, which must not exist yet.
pub fn init(binary: &Path, target: &Path) -> Result<()> {
    if binary.is_dir() {
        return Err(OwnError::NotAProgram(binary.display().to_string()).into());
    }
    if !binary.is_file() {
        return Err(OwnError::NoSpec(binary.display().to_string()).into());
    }
    let mut start = Vec::new();
    std::fs::File::open(binary)
        .and_then(|file| file.take(512).read_to_end(&mut start))
        .map_err(OwnError::io(binary, "cannot be read"))?;
    if !looks_like_a_program(&start) {
        return Err(OwnError::NotAProgram(binary.display().to_string()).into());
    }
    // A spec's paths start from the spec, the argument starts from the working directory.
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty());
    let from_spec = match folder {
        Some(folder) if binary.is_relative() => {
            let depth = folder.components().filter(|c| matches!(c, std::path::Component::Normal(_))).count();
            let up: std::path::PathBuf = std::iter::repeat_n("..", depth).collect();
            up.join(binary.strip_prefix(".").unwrap_or(binary))
        }
        _ => binary.to_owned(),
    };
    let text = assemble_spec::init_text(&from_spec.display().to_string());
    let mut file = std::fs::File::options().write(true).create_new(true).open(target).map_err(|error| {
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => OwnError::SpecExists(target.display().to_string()).into(),
            _ => OwnError::io(target, "cannot be written")(error),
        }
    })?;
    file.write_all(text.as_bytes()).map_err(OwnError::io(target, "cannot be written"))
}
