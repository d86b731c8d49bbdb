//! A folder that keeps what a lock names, so that a build outlives its mirror.
//!
//! ```text
//! vendor.json                                      which address is which file here
//! hello.yaml  hello.lock                           copies
//! keys/wolfi-signing.rsa.pub
//! repositories/packages.wolfi.dev/os/x86_64/       a repository, with the index and its signature as they were
//! ```
//!
//! Addresses in the spec and the lock stay what they are, since they end up in the image; `vendor.json` says where
//! their bytes are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assemble_apk::Keyring;
use assemble_fetch::Location;
use assemble_spec::lock::LockedKey;
use assemble_types::{Arch, Event, Explain as _, Kind};
use serde_json::{Map, Value, json};

use super::LockUse;
use super::basis::{Basis, no_lock};
use super::error::LockError;
use crate::build::{Env, Stopwatch};
use crate::choose::Wanted;
use crate::error::{Error, OwnError, Result};
use crate::plan::{BuildOptions, Plan};
use crate::repository_layout::{Layout, file_name};
use crate::sources::{FoundIndex, RepositoryInput, Sources};
use crate::spec_file::SpecFile;
use crate::temporary::{Unfinished, write_whole};

/// The file that makes a folder a vendored one.
const MAP: &str = "vendor.json";
/// The key that tells it from other files of that name, and its version.
const MARK: &str = "assemble-vendor";
/// Largest map that is read, in bytes.
const MAX_MAP: u64 = 32 << 20;

/// A vendored folder, opened.
#[derive(Debug)]
pub(crate) struct Vendored {
    folder: PathBuf,
    repositories: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
    packages: BTreeMap<String, String>,
}

/// What `vendor` copied.
#[derive(Debug)]
pub struct VendorReport {
    /// The folder.
    pub folder: PathBuf,
    /// How many packages it holds.
    pub packages: usize,
    /// How many repositories it has an index of.
    pub indexes: usize,
    /// Bytes of the packages.
    pub size: u64,
}

impl Vendored {
    /// The folder that was named, else the spec's own if it is one.
    pub(crate) fn of(file: &SpecFile, options: &BuildOptions) -> Result<Option<Self>> {
        match &options.vendor {
            Some(folder) => Self::open(folder, true),
            None => Self::open(&file.directory, false),
        }
    }

    /// The folder's map, if it has one. One that was asked for has to.
    fn open(folder: &Path, asked: bool) -> Result<Option<Self>> {
        let path = folder.join(MAP);
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked => return Ok(None),
            Err(error) => return Err(OwnError::io(&path, "cannot be read")(error)),
            Ok(meta) if meta.len() > MAX_MAP => return Err(broken(&path, "it is too large")),
            Ok(_) => std::fs::read(&path).map_err(OwnError::io(&path, "cannot be read"))?,
        };
        let Ok(Value::Object(map)) = serde_json::from_slice(&bytes) else {
            return if asked { Err(broken(&path, "it is no map in JSON")) } else { Ok(None) };
        };
        match map.get(MARK).and_then(Value::as_u64) {
            Some(1) => {}
            Some(_) => return Err(broken(&path, "it was written by a newer assemble")),
            // A file that happens to have the name.
            None if !asked => return Ok(None),
            None => return Err(broken(&path, "it was not written by `assemble vendor`")),
        }
        let part = |key: &str| part(&map, key).map_err(|why| broken(&path, &why));
        let (repositories, keys, packages) = (part("repositories")?, part("keys")?, part("packages")?);
        Ok(Some(Self { folder: folder.to_owned(), repositories, keys, packages }))
    }

    /// The folder of the copies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a repository of that text lies, if it was vendored.
    pub(crate) fn repository(&self, text: &str) -> Option<Location> {
        self.at(self.repositories.get(text)?)
    }

    /// Where a key of that text lies, if it was vendored.
    pub(crate) fn key(&self, text: &str) -> Option<Location> {
        self.at(self.keys.get(text)?)
    }

    /// Where a package of that URL lies, if it was vendored.
    pub(crate) fn package(&self, url: &str) -> Option<Location> {
        self.at(self.packages.get(url)?)
    }

    #[allow(clippy::unnecessary_wraps, reason = "reads well in the callers")]
    fn at(&self, relative: &str) -> Option<Location> {
        Some(Location::from_path(&self.folder).join(relative))
    }
}

fn broken(path: &Path, why: &str) -> Error {
    LockError::NotVendored { path: path.display().to_string(), why: why.to_owned() }.into()
}

/// A map of texts to paths below the folder.
fn part(map: &Map<String, Value>, key: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let Some(Value::Object(entries)) = map.get(key) else { return Err(format!("`{key}` is no map")) };
    let mut out = BTreeMap::new();
    for (name, value) in entries {
        let path = value.as_str().unwrap_or_default();
        let below = !path.is_empty()
            && path
                .split('/')
                .all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control));
        if !below {
            return Err(format!("`{key}`: {path:?} is no path below the folder"));
        }
        out.insert(name.clone(), path.to_owned());
    }
    Ok(out)
}

/// Copies what the lock beside a spec names.
pub fn vendor(file: &SpecFile, options: &BuildOptions, env: &Env, folder: &Path) -> Result<VendorReport> {
    env.again_after_losses(|| vendor_once(file, options, env, folder))
}

fn vendor_once(file: &SpecFile, options: &BuildOptions, env: &Env, folder: &Path) -> Result<VendorReport> {
    super::refuse_apko_lock(options, "what is copied is what our own lock names")?;
    let options = BuildOptions { lock: LockUse::Locked, ..options.clone() };
    let plan = Plan::lower(file, &options)?;
    let Basis::Lock(beside) = &plan.basis else {
        return Err(no_lock(file, &file.lock_path()));
    };
    let sources = Sources::of(&plan, env);
    if !beside.drift.is_empty() {
        return Err(super::recall::drift(&plan, beside, &sources, &mut Stopwatch::default(), false));
    }
    let mut copy = Copy { folder, sources: &sources, map: Vendored::empty(folder) };
    let mut report = VendorReport { folder: folder.to_owned(), packages: 0, indexes: 0, size: 0 };
    for image in &beside.lock.images {
        let keys: Keyring = beside.lock.keys_for(image.arch).map(|key| key.key.clone()).collect();
        let repositories = plan.repositories(image.arch)?;
        for repository in &repositories {
            report.indexes += usize::from(copy.index(repository, &keys, image.arch)?);
        }
        let selection = super::recall::selection(&plan, &beside.lock, image, &beside.path, &sources)?;
        // All at once into the cache first; then one after the other out of it.
        sources.packages(&selection.packages, image.arch)?;
        for wanted in &selection.packages {
            report.size += copy.package(&repositories, wanted, image.arch)?;
            report.packages += 1;
        }
    }
    for key in &beside.lock.keys {
        copy.key(key)?;
    }
    copy.finish(file, &beside.path)?;
    Ok(report)
}

/// A folder that is being filled.
struct Copy<'a> {
    folder: &'a Path,
    sources: &'a Sources<'a>,
    map: Vendored,
}

impl Copy<'_> {
    /// The index of a repository with its signature, if it can be had: a build under the lock does without.
    fn index(&mut self, repository: &RepositoryInput, keys: &Keyring, arch: Arch) -> Result<bool> {
        let (file, bytes) = match self.sources.read_index(repository, keys, arch) {
            Ok(Some(FoundIndex { file, bytes: Some(bytes), .. })) => (file, bytes),
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == Kind::Unavailable => {
                let text = format!("{}: its index is not there any more: {error}", repository.text);
                self.sources.observer.event(Event::Warning(text));
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let folder = self.repository(repository);
        self.write(&format!("{folder}/{file}"), &bytes)?;
        Ok(true)
    }

    /// The folder that a repository's files start from; another one for each.
    fn repository(&mut self, repository: &RepositoryInput) -> String {
        let layout = repository.layout();
        if let Some(place) = self.map.repositories.get(&repository.text) {
            return layout.base_text(place).to_owned();
        }
        let wanted = format!("repositories/{}", folder_name(layout.base_text(&repository.text)));
        let taken =
            |folder: &str| self.map.repositories.values().any(|other| Path::new(other).starts_with(folder));
        let mut folder = wanted.clone();
        for number in 2.. {
            if !taken(&folder) {
                break;
            }
            folder = format!("{wanted}-{number}");
        }
        let place = match layout {
            Layout::Folders(_) => folder.clone(),
            Layout::Index => format!("{folder}/{}", file_name(&repository.text)),
        };
        self.map.repositories.insert(repository.text.clone(), place);
        folder
    }

    /// The file of a package, once more checked; its size.
    fn package(&mut self, repositories: &[RepositoryInput], wanted: &Wanted, arch: Arch) -> Result<u64> {
        let packed = self.sources.packed(wanted)?;
        let home = repositories.iter().find_map(|r| Some((r, r.below(&wanted.url)?)));
        let relative = match home {
            Some((repository, below)) => format!("{}/{below}", self.repository(repository)),
            None => format!("repositories/others/{}/{}.apk", arch.apk(), wanted.id),
        };
        let target = self.folder.join(&relative);
        make_parent(&target)?;
        let mut file = Unfinished::beside(&target).map_err(OwnError::io(&target, "cannot be written"))?;
        std::io::copy(&mut packed.reader(), &mut file)
            .and_then(|_| file.finish())
            .map_err(OwnError::io(&target, "cannot be written"))?;
        self.map.packages.insert(wanted.url.clone(), relative);
        Ok(packed.len())
    }

    fn key(&mut self, key: &LockedKey) -> Result<()> {
        let taken = |path: &str| self.map.keys.values().any(|other| other == path);
        let mut path = format!("keys/{}", key.key.name());
        if taken(&path) {
            path = format!("keys/{}/{}", key.key.fingerprint().short(), key.key.name());
        }
        self.write(&path, key.key.pem())?;
        self.map.keys.insert(key.from.clone(), path);
        Ok(())
    }

    /// Spec, what it includes, and lock as they are, and last what makes the folder a vendored one.
    fn finish(self, file: &SpecFile, lock: &Path) -> Result<()> {
        for source in [Path::new(&file.shown), lock] {
            let Some(name) = source.file_name().and_then(|name| name.to_str()) else { continue };
            let bytes = std::fs::read(source).map_err(OwnError::io(source, "cannot be read"))?;
            self.write(name, &bytes)?;
        }
        for included in file.files.iter().skip(1) {
            match below(&included.shown, &file.directory) {
                Some(relative) => self.write(&relative, &included.bytes)?,
                None => self.sources.observer.event(Event::Warning(format!(
                    "{} is included from outside of the spec's folder and was not copied; the copy of the spec looks for \
                     it at the same path",
                    included.shown
                ))),
            }
        }
        let Vendored { repositories, keys, packages, .. } = &self.map;
        let document = json!({ MARK: 1, "repositories": repositories, "keys": keys, "packages": packages });
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| Error::from(OwnError::Bug(format!("{MAP}: {error}"))))?;
        self.write(MAP, format!("{text}\n").as_bytes())
    }

    fn write(&self, relative: &str, bytes: &[u8]) -> Result<()> {
        let target = self.folder.join(relative);
        make_parent(&target)?;
        write_whole(&target, bytes).map_err(OwnError::io(&target, "cannot be written"))
    }
}

/// The path of an included file from the spec's folder, if it lies below that.
fn below(shown: &str, folder: &Path) -> Option<String> {
    let relative = Path::new(shown).strip_prefix(folder).ok()?;
    let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    relative.to_str().filter(|text| plain && *text != MAP).map(str::to_owned)
}

fn make_parent(target: &Path) -> Result<()> {
    let Some(parent) = target.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(OwnError::io(parent, "cannot be made"))
}

/// An address as a path of plain names: without scheme, and without anything that a file system could mistake.
fn folder_name(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let plain = |part: &str| -> String {
        let fit = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' };
        part.chars().map(fit).collect()
    };
    let parts: Vec<String> =
        rest.split('/').filter(|part| !matches!(*part, "" | "." | "..")).map(plain).collect();
    if parts.is_empty() { "local".to_owned() } else { parts.join("/") }
}

impl Vendored {
    fn empty(folder: &Path) -> Self {
        let (repositories, keys, packages) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { folder: folder.to_owned(), repositories, keys, packages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_plain_names() {
        for (text, expected) in [
            ("https://packages.wolfi.dev/os", "packages.wolfi.dev/os"),
            ("http://127.0.0.1:8080/a%20b/c?d=e", "127.0.0.1_8080/a_20b/c_d_e"),
            ("./../packages", "packages"),
            ("/", "local"),
        ] {
            assert_eq!(folder_name(text), expected);
        }
    }

    #[test]
    fn a_map_cannot_lead_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            std::fs::write(folder.path().join(MAP), text).unwrap();
            Vendored::open(folder.path(), true).map_err(|error| error.to_string())
        };
        let good = r#"{"assemble-vendor":1,"repositories":{"https://h/os":"repositories/h/os"},"keys":{},"packages":{}}"#;
        let vendored = open(good).unwrap().unwrap();
        let place = vendored.repository("https://h/os").unwrap();
        assert!(place.local_path().unwrap().ends_with("repositories/h/os"));
        assert!(vendored.package("https://h/os").is_none());
        for bad in ["../x", "/etc", "a//b", "a/./b", "", "a\\nb"] {
            let text = good.replace("repositories/h/os", bad);
            assert!(open(&text).unwrap_err().contains("repositories"), "{bad}");
        }
        assert!(open(&good.replace(":1,", ":2,")).unwrap_err().contains("newer"));
        assert!(open("[]").is_err());
        std::fs::write(folder.path().join(MAP), "{\"other\":1}").unwrap();
        assert!(
            Vendored::open(folder.path(), false).unwrap().is_none(),
            "a file that happens to have the name"
        );
    }
}
