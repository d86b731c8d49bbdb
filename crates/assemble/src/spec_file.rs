//! From an argument of the command line to a spec: a YAML file, a bare binary, or `./assemble.yaml`.

use std::io::Read;
use std::path::{Path, PathBuf};

use assemble_spec::{BinarySources, Dialect, IncludeProblem, Spec, SpecText};
use assemble_types::{Digest, Explain as _};
use data_encoding::BASE64;

use crate::error::{Cause, OwnError, Result};

/// Longest spec that is read, in bytes.
const MAX_SPEC: u64 = 4 * 1024 * 1024;

/// Most names of a folder that are looked at for specs.
const MAX_NAMES: usize = 1000;

/// The file that is taken when none is named.
pub const DEFAULT_SPEC: &str = "assemble.yaml";

/// A spec and where it was found.
#[derive(Debug, Clone)]
pub struct SpecFile {
    /// The checked spec, with what it includes.
    pub spec: Spec,
    /// What the user named, for messages.
    pub shown: String,
    /// The folder that the spec's relative paths start from; empty for the working directory.
    pub directory: PathBuf,
    /// Further folders in which a base image is looked for.
    pub(crate) include: Vec<PathBuf>,
    /// File name without extension, made fit for an image's name; of a spec by the usual name, its program's instead.
    pub name: String,
    /// The files that the spec was read from, in that order: the named one, then each that the one before includes. None
    /// for a binary.
    pub files: Vec<SpecText>,
}

/// Where apko's dialect looks for what a spec names.
#[derive(Debug, Clone, Default)]
pub struct ApkoPaths {
    /// The working directory, which relative paths start from; empty for that of the process.
    pub directory: PathBuf,
    /// Folders in which `include` and `contents.baseimage` are looked for when they are not there.
    pub include: Vec<PathBuf>,
}

impl SpecFile {
    /// Reads a spec of our dialect, or takes a binary as what is to be packed. What a spec names lies relative to its
    /// folder.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let path = path.unwrap_or_else(|| Path::new(DEFAULT_SPEC));
        let shown = path.display().to_string();
        let bytes = read_start(path, &shown)?;
        if !is_named_yaml(path) && looks_like_a_program(&bytes) {
            // The path is taken as typed, from the working directory.
            let spec = assemble_spec::spec_for_binary(&shown);
            let (directory, name) = (PathBuf::new(), image_name(path));
            return Ok(Self { spec, shown, directory, include: Vec::new(), name, files: Vec::new() });
        }
        if is_lock(&bytes) {
            return Err(OwnError::SpecIsLock(shown).into());
        }
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Self::read(path, bytes, Dialect::Assemble, directory, &[])
    }

    /// Reads a spec of apko's dialect. What a spec names lies relative to the working directory.
    pub fn load_apko(path: &Path, paths: &ApkoPaths) -> Result<Self> {
        let path = if path.is_relative() { &paths.directory.join(path) } else { path };
        let bytes = read_start(path, &path.display().to_string())?;
        Self::read(path, bytes, Dialect::Apko, paths.directory.clone(), &paths.include)
    }

    fn read(
        path: &Path,
        bytes: Vec<u8>,
        dialect: Dialect,
        directory: PathBuf,
        more_folders: &[PathBuf],
    ) -> Result<Self> {
        let shown = path.display().to_string();
        let main = SpecText { identity: identity(path), shown: shown.clone(), bytes };
        let mut includes = |path: &str| include(path, &directory, more_folders);
        let read = assemble_spec::read_spec(main, dialect, &mut includes)?;
        let include = more_folders.to_vec();
        let name = name_of(path, &read.spec);
        Ok(Self { spec: read.spec, shown, directory, include, name, files: read.files })
    }

    /// Where the spec's lock is: beside it, with another ending.
    pub fn lock_path(&self) -> PathBuf {
        Path::new(&self.shown).with_extension("lock")
    }

    /// The checksum that apko's lock files know a configuration by: over the bytes of all files that were read.
    pub(crate) fn apko_checksum(&self) -> String {
        let all: Vec<u8> = self.files.iter().flat_map(|file| file.bytes.iter().copied()).collect();
        let digest = Digest::of(&all);
        format!("sha256-{}", BASE64.encode(digest.as_bytes()))
    }

    /// A path of the spec, seen from the working directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.join(relative)
    }
}

impl SpecFile {
    /// Where a part of a base image can lie: seen from the working directory, then from each folder of includes.
    pub(crate) fn candidates(&self, relative: &str) -> Vec<PathBuf> {
        std::iter::once(&self.directory).chain(&self.include).map(|folder| folder.join(relative)).collect()
    }
}

/// One file, whatever way leads to it.
fn identity(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The file of `include: path`: below `directory`, else below the first of `more` that has it.
fn include(path: &str, directory: &Path, more: &[PathBuf]) -> std::result::Result<SpecText, IncludeProblem> {
    let folders = std::iter::once(directory).chain(more.iter().map(PathBuf::as_path));
    let candidates: Vec<PathBuf> = folders.map(|folder| folder.join(path)).collect();
    let found = candidates.iter().find(|candidate| candidate.exists()).unwrap_or(&candidates[0]);
    let shown = found.display().to_string();
    // Whoever names a pipe on the command line waits for it knowingly; a line of a file must not make anybody wait.
    if std::fs::metadata(found).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Err(IncludeProblem {
            message: "the included file is a pipe, a socket or a device".to_owned(),
            hints: vec!["put what comes out of it into a file, and include that".to_owned()],
        });
    }
    let bytes = read_start(found, &shown).map_err(|error| match error.cause() {
        Cause::Own(OwnError::NoSpec(_)) => IncludeProblem {
            message: "the included file does not exist".to_owned(),
            hints: vec![format!("it was looked for at {}", list(&candidates))],
        },
        _ => IncludeProblem { message: error.to_string(), hints: error.hints() },
    })?;
    Ok(SpecText { identity: identity(found), shown, bytes })
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether its name is that of a spec.
pub(crate) fn is_named_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// Files of a folder that are named like specs: the one that is taken by itself, else the first few.
fn specs_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_NAMES);
    let files = entries.map(|entry| entry.path()).filter(|path| is_named_yaml(path) && path.is_file());
    let mut names: Vec<String> =
        files.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned())).collect();
    names.sort();
    if names.iter().any(|name| name == DEFAULT_SPEC) {
        return vec![DEFAULT_SPEC.to_owned()];
    }
    names
}

fn read_start(path: &Path, shown: &str) -> Result<Vec<u8>> {
    let metadata = match std::fs::metadata(path) {
        Err(_) if shown == "-" => return Err(OwnError::SpecIsStdin.into()),
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
        return Err(OwnError::SpecIsFolder { path: shown.to_owned(), specs: specs_in(path) }.into());
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

/// Whether it begins as our locks do.
fn is_lock(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start().strip_prefix(b"{").unwrap_or_default();
    start.trim_ascii_start().starts_with(b"\"assemble-lock\"")
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

/// What the image is called: as its spec, unless that has the name that all have. Then it is called as the program in it.
fn name_of(path: &Path, spec: &Spec) -> String {
    let usual = path.file_name().is_some_and(|name| name == DEFAULT_SPEC);
    let program = spec.binary.as_ref().filter(|_| usual && spec.dialect == Dialect::Assemble);
    let program = program.and_then(|binary| match (&binary.path, &binary.sources) {
        (Some(path), _) => Some(PathBuf::from(path.to_string())),
        (None, BinarySources::One(source)) => Some(PathBuf::from(&source.value)),
        (None, BinarySources::PerPlatform(_)) => None,
    });
    image_name(program.as_deref().unwrap_or(path))
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

    #[test]
    fn a_spec_that_is_named_like_all_is_called_as_its_program() {
        let name = |path: &str, text: &str| {
            let spec = assemble_spec::parse_spec(path, text.as_bytes()).unwrap();
            name_of(Path::new(path), &spec)
        };
        assert_eq!(name("deploy/assemble.yaml", "contents: {binary: ../bin/hello}"), "hello");
        let both = "{amd64: ./app-amd64, arm64: ./app-arm64}";
        let with_path = format!("contents: {{binary: {{source: {both}, path: /usr/bin/app}}}}");
        assert_eq!(name("assemble.yaml", &with_path), "app");
        assert_eq!(name("assemble.yaml", &format!("contents: {{binary: {both}}}")), "assemble");
        assert_eq!(name("assemble.yaml", "contents: {files: [{source: ./a, path: /a}]}"), "assemble");
        assert_eq!(name("web.yaml", "contents: {binary: ../bin/hello}"), "web");
    }
}
