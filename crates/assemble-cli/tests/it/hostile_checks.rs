//! What must be so in an image that was made of a hostile repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

/// One entry of the image's layer, read by a library that is not ours.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    link: Option<Vec<u8>>,
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

/// The only layer of an image.
#[derive(Debug)]
pub(crate) struct Image {
    entries: Vec<(Vec<u8>, Found)>,
}

type Wrong = Result<(), String>;

/// Contents that are larger are only counted.
const KEPT: u64 = 4 << 20;

impl Image {
    /// Reads a layout folder, or an archive with `manifest.json`. Nothing for an image without layers.
    pub(crate) fn read(place: &Path) -> Option<Self> {
        let blobs: BTreeMap<String, Vec<u8>> = if place.is_dir() { folder(place) } else { archive(place) };
        let layer = if let Some(manifest) = blobs.get("manifest.json") {
            let manifest: Value = serde_json::from_slice(manifest).unwrap();
            manifest[0]["Layers"][0].as_str()?.to_owned()
        } else {
            let of = |name: &str| serde_json::from_slice::<Value>(&blobs[name]).unwrap();
            let path =
                |value: &Value| format!("blobs/{}", value["digest"].as_str().unwrap().replace(':', "/"));
            let manifest = of(&path(&of("index.json")["manifests"][0]));
            assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
            path(&manifest["layers"][0])
        };
        Some(Self { entries: entries(&blobs[&layer]) })
    }

    fn get(&self, path: &str) -> Result<&Found, String> {
        self.at(path.as_bytes()).ok_or_else(|| format!("there is no {path}"))
    }

    fn at(&self, path: &[u8]) -> Option<&Found> {
        self.entries.iter().find(|(name, _)| name == path).map(|(_, found)| found)
    }

    fn below(&self, folder: &str) -> usize {
        self.entries.iter().filter(|(name, _)| name.starts_with(folder.as_bytes())).count()
    }

    fn database(&self) -> Result<String, String> {
        let found = self.get("usr/lib/apk/db/installed").or_else(|_| self.get("lib/apk/db/installed"))?;
        // Names of files are bytes; what is looked for here is text.
        Ok(String::from_utf8_lossy(&found.content).into_owned())
    }

    /// Names in the database.
    fn installed(&self) -> Result<Vec<String>, String> {
        Ok(self.database()?.lines().filter_map(|line| line.strip_prefix("P:")).map(str::to_owned).collect())
    }
}

fn folder(place: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut blobs = BTreeMap::new();
    blobs.insert("index.json".to_owned(), fs::read(place.join("index.json")).unwrap());
    for entry in fs::read_dir(place.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("blobs/sha256/{}", path.file_name().unwrap().to_string_lossy());
        blobs.insert(name, fs::read(path).unwrap());
    }
    blobs
}

fn archive(place: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(fs::File::open(place).unwrap());
    let mut blobs = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        blobs.insert(String::from_utf8_lossy(&entry.path_bytes()).into_owned(), bytes);
    }
    blobs
}

fn entries(layer: &[u8]) -> Vec<(Vec<u8>, Found)> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer));
    let mut out = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        let header = entry.header().clone();
        let mut xattrs = BTreeMap::new();
        if let Some(records) = entry.pax_extensions().unwrap() {
            for record in records {
                let record = record.unwrap();
                if let Some(name) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                    xattrs.insert(name.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let mut content = Vec::new();
        if entry.size() <= KEPT {
            entry.read_to_end(&mut content).unwrap();
        }
        let found = Found {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            mtime: header.mtime().unwrap(),
            link,
            content,
            xattrs,
        };
        let path = path.strip_suffix(b"/").unwrap_or(&path).to_vec();
        out.push((path, found));
    }
    out
}

fn ensure(holds: bool, what: impl Into<String>) -> Wrong {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// What holds for every image, whatever it was made of.
pub(crate) fn sound(image: &Image) -> Wrong {
    let mut seen = BTreeSet::new();
    let links: BTreeSet<&[u8]> =
        image.entries.iter().filter(|(_, f)| f.kind.is_symlink()).map(|(name, _)| name.as_slice()).collect();
    for (name, _) in &image.entries {
        let shown = String::from_utf8_lossy(name);
        ensure(seen.insert(name.as_slice()), format!("{shown} is in the layer twice"))?;
        ensure(!name.starts_with(b"/"), format!("{shown} is absolute"))?;
        for part in name.split(|b| *b == b'/') {
            ensure(
                part != b".." && !part.is_empty() && part.len() <= 255,
                format!("{shown} cannot be unpacked"),
            )?;
            ensure(!part.starts_with(b".wh."), format!("{shown} deletes"))?;
            ensure(!part.iter().any(u8::is_ascii_control), format!("{shown:?} has control characters"))?;
        }
        let above = name.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &name[..at]);
        for folder in above {
            ensure(!links.contains(folder), format!("{shown} lies below a link"))?;
        }
    }
    database_is_true(image)
}

/// The database has no forged records, and the checksums in it are those of the files.
fn database_is_true(image: &Image) -> Wrong {
    let database = image.database()?;
    ensure(!database.contains(|c: char| c.is_control() && c != '\n'), "control characters in the database")?;
    ensure(!database.contains("P:forged"), "a forged record")?;
    let (mut folder, mut file) = (String::new(), String::new());
    for line in database.lines() {
        if let Some(name) = line.strip_prefix("F:") {
            name.clone_into(&mut folder);
        } else if let Some(name) = line.strip_prefix("R:") {
            file = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        } else if let Some(sum) = line.strip_prefix("Z:Q1") {
            let Some(found) = image.at(file.as_bytes()) else { continue };
            let bytes = if found.kind.is_symlink() { found.link.as_ref() } else { Some(&found.content) };
            let regular = found.kind.is_file() || found.kind.is_symlink();
            let fits = bytes.is_none_or(|bytes| BASE64.encode(&Sha1::digest(bytes)) == sum);
            ensure(
                !regular || fits || found.content.is_empty(),
                format!("{file} has not the checksum {sum}"),
            )?;
        }
    }
    Ok(())
}

/// What the manifest wants of one case, or what the table says of it, in the layer.
pub(crate) fn check(id: &str, image: &Image) -> Wrong {
    let mode = |path: &str, mode: u32| {
        let found = image.get(path)?.mode;
        ensure(found == mode, format!("{path} has mode {found:04o}, not {mode:04o}"))
    };
    let holds = |path: &str, text: &str| {
        let found = image.get(path)?;
        ensure(
            found.content == text.as_bytes(),
            format!("{path} holds {:?}", String::from_utf8_lossy(&found.content)),
        )
    };
    let there = |path: &str| image.get(path).map(|_| ());
    let gone = |path: &str| ensure(image.get(path).is_err(), format!("there is {path}"));
    let installed = |names: &[&str]| {
        let found: BTreeSet<_> = image.installed()?.into_iter().collect();
        ensure(found.iter().map(String::as_str).eq(names.iter().copied()), format!("installed are {found:?}"))
    };
    match id {
        "ok-plain" => mode("usr/bin/tool", 0o755),
        "ok-script" => script_is_kept(image),
        // As apko has it: files keep their bits, folders lose them.
        "ok-setuid" => {
            mode("usr/bin/su", 0o4755)?;
            mode("usr/bin/wall", 0o2755)?;
            mode("var/t", 0o777)
        }
        "ok-hardlink" => {
            let (one, two) = (image.get("usr/bin/tool")?, image.get("usr/bin/tool2")?);
            let linked = two.link.as_deref() == Some(b"usr/bin/tool");
            ensure(linked || one.content == two.content, "the link is another file")
        }
        "ok-name-255" => there(&format!("etc/{}", "n".repeat(255))),
        "ok-path-long" => there(&format!("{}end", format!("{}/", "p".repeat(49)).repeat(19))),
        // As apko has it: packages own nothing but as root.
        "ok-owner" => {
            let owner = image.get("etc/o")?.owner;
            ensure(owner == (0, 0), format!("etc/o belongs to {owner:?}"))
        }
        // As apko has it: files keep the times that the package gives them.
        "mtime-far" => {
            let (old, new) = (image.get("etc/old")?.mtime, image.get("etc/new")?.mtime);
            ensure((old, new) == (0, 8_589_934_591), format!("times {old} and {new}"))
        }
        "ok-utf8-name" => there("etc/na\u{ef}ve-\u{65e5}\u{672c}"),
        "ok-big-xattr" => {
            let xattrs = &image.get("etc/x")?.xattrs;
            ensure(xattrs.get("user.kit").is_some_and(|value| value == b"yes"), format!("{xattrs:?}"))
        }
        "ok-empty" | "path-global-pax" | "tar-no-end" | "index-size" | "installed-size-lie" => {
            installed(&["bad"])
        }
        "link-dangling-out" => {
            let link = image.get("usr/out")?.link.clone().unwrap_or_default();
            ensure(
                link == b"../../../../../../nowhere",
                format!("usr/out leads to {}", String::from_utf8_lossy(&link)),
            )
        }
        "path-absolute" => there("escaped-absolute"),
        "path-double-slash" => there("escaped-slashes"),
        "two-packages-usrmerge" => {
            there("usr/lib/x")?;
            gone("lib/x")
        }
        "dir-mode-000" => mode("etc/closed", 0),
        "same-file-replaces" => {
            holds("etc/owned", "2")?;
            owner_of("owned", "bad2", image)
        }
        "same-file-same" => holds("etc/owned", "1"),
        "twice-same" => holds("etc/t", "a"),
        "twice-other" => holds("etc/t", "b"),
        "many-files" => ensure(image.below("many/") == 60_000, format!("{} files", image.below("many/"))),
        "deep-tree" => ensure(image.below("d") >= 1500, format!("{} folders", image.below("d"))),
        "bomb-data" => there("usr/big"),
        "gnu-longname" => there(&format!("etc/{}", "l".repeat(200))),
        "name-latin1" => ensure(image.at(b"etc/caf\xe9").is_some(), "no etc/caf\\xe9"),
        "name-apk-tmp" => there("etc/.apk.0123456789abcdef"),
        "name-dot-files" => {
            gone(".hidden")?;
            gone(".PKGINFO")?;
            installed(&["bad"])
        }
        "uid-huge" => there("etc/u"),
        "index-noarch" | "index-twice" | "index-ok" => installed(&["good"]),
        "index-no-name-other" | "index-no-version-other" | "index-no-checksum-other" => installed(&["fine"]),
        "dep-cycle" => installed(&["a", "b", "c"]),
        "index-long-line" => installed(&["good", "wide"]),
        _ => Ok(()),
    }
}

/// The script is kept for whoever looks, and did nothing.
fn script_is_kept(image: &Image) -> Wrong {
    let scripts = image.get("usr/lib/apk/db/scripts.tar").or_else(|_| image.get("lib/apk/db/scripts.tar"))?;
    let mut archive = tar::Archive::new(scripts.content.as_slice());
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(|e| e.to_string())?;
        if name.starts_with("bad-1.0-r0.") && name.ends_with(".post-install") {
            return ensure(text == "#!/bin/sh\nexit 1\n", text.clone());
        }
    }
    Err("the script is not in scripts.tar".to_owned())
}

/// In the database, the file stands below that package and no other.
fn owner_of(file: &str, package: &str, image: &Image) -> Wrong {
    let (mut at, mut owners) = (String::new(), Vec::new());
    for line in image.database()?.lines() {
        if let Some(name) = line.strip_prefix("P:") {
            name.clone_into(&mut at);
        }
        if line.strip_prefix("R:") == Some(file) {
            owners.push(at.clone());
        }
    }
    ensure(owners == [package], format!("{file} belongs to {owners:?}"))
}
