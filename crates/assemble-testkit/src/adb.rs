//! Writes packages and indexes of format version 3.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest as _, Sha256, Sha512};
use std::io::Write as _;

use crate::keys::SigningKey;

/// A value of a database. Trees of these become databases, sound ones and others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdbValue {
    /// Nothing.
    Null,
    /// A number.
    Int(u64),
    /// Bytes.
    Blob(Vec<u8>),
    /// An object: its slots from the first.
    Object(Vec<AdbValue>),
    /// A list.
    Array(Vec<AdbValue>),
    /// A word as it stands: any kind, any offset.
    Raw(u32),
}

impl AdbValue {
    /// Bytes; nothing for an empty text, as the real tool has it.
    pub fn text(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { Self::Blob(text.as_bytes().to_vec()) }
    }

    /// A list; nothing for an empty one.
    pub fn list(items: Vec<Self>) -> Self {
        if items.is_empty() { Self::Null } else { Self::Array(items) }
    }
}

/// The bytes of a database with this root.
pub fn adb_database(root: &AdbValue) -> Vec<u8> {
    let mut out = vec![0; 8];
    let root = put(&mut out, root);
    out[4..8].copy_from_slice(&root.to_le_bytes());
    out
}

fn put(out: &mut Vec<u8>, value: &AdbValue) -> u32 {
    let at = |out: &Vec<u8>| u32::try_from(out.len()).expect("databases of tests are small");
    match value {
        AdbValue::Null => 0,
        AdbValue::Raw(word) => *word,
        AdbValue::Int(number) => match u32::try_from(*number) {
            Ok(small) if small < 1 << 28 => 0x1000_0000 | small,
            Ok(word) => {
                align(out);
                let place = at(out);
                out.extend_from_slice(&word.to_le_bytes());
                0x2000_0000 | place
            }
            Err(_) => {
                align(out);
                let place = at(out);
                out.extend_from_slice(&number.to_le_bytes());
                0x3000_0000 | place
            }
        },
        AdbValue::Blob(bytes) => {
            let length = u32::try_from(bytes.len()).expect("blobs of tests are small");
            let (kind, width) = match length {
                0..=0xff => (0x8000_0000, 1),
                0x100..=0xffff => (0x9000_0000, 2),
                _ => (0xa000_0000, 4),
            };
            align(out);
            let place = at(out);
            out.extend_from_slice(&length.to_le_bytes()[..width]);
            out.extend_from_slice(bytes);
            kind | place
        }
        AdbValue::Object(items) | AdbValue::Array(items) => {
            let words: Vec<u32> = items.iter().map(|item| put(out, item)).collect();
            align(out);
            let place = at(out);
            let count = u32::try_from(words.len() + 1).expect("lists of tests are small");
            out.extend_from_slice(&count.to_le_bytes());
            for word in words {
                out.extend_from_slice(&word.to_le_bytes());
            }
            if matches!(value, AdbValue::Object(_)) { 0xe000_0000 | place } else { 0xd000_0000 | place }
        }
    }
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdbCompression {
    /// `ADB.`
    None,
    /// `ADBd`
    Deflate,
    /// `ADBc`, zstd.
    Zstd,
}

/// The bytes of a whole file: header, database, signatures, then blocks of data as folder, file and content.
pub fn adb_file(
    schema: [u8; 4],
    database: &[u8],
    keys: &[SigningKey],
    data: &[(u32, u32, Vec<u8>)],
    compression: AdbCompression,
) -> Vec<u8> {
    let mut plain = [b"ADB.".as_slice(), &schema].concat();
    block(&mut plain, 0, database);
    for key in keys {
        block(&mut plain, 1, &signature(schema, database, *key));
    }
    for (folder, file, content) in data {
        block(&mut plain, 2, &[&folder.to_le_bytes(), &file.to_le_bytes(), content.as_slice()].concat());
    }
    match compression {
        AdbCompression::None => plain,
        AdbCompression::Deflate => {
            let mut encoder = DeflateEncoder::new(b"ADBd".to_vec(), Compression::default());
            encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("memory does not fail")
        }
        AdbCompression::Zstd => {
            let packed = zstd::encode_all(plain.as_slice(), 3).expect("memory does not fail");
            [b"ADBc\x02\x03".as_slice(), &packed].concat()
        }
    }
}

/// Appends a block of this kind.
fn block(out: &mut Vec<u8>, kind: u32, content: &[u8]) {
    let size = u32::try_from(content.len() + 4).expect("blocks of tests are small");
    out.extend_from_slice(&(kind << 30 | size).to_le_bytes());
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(8), 0);
}

fn signature(schema: [u8; 4], database: &[u8], key: SigningKey) -> Vec<u8> {
    let id = Sha512::digest(key.public_der());
    let header = [&[0, 4], &id[..16]].concat();
    let message = [&schema[..], &header, &Sha512::digest(database)].concat();
    [header, key.sign_sha512(&message)].concat()
}

/// Describes a package, then [`build`](Self::build)s its bytes.
#[derive(Debug, Clone)]
pub struct AdbPackageBuilder {
    name: String,
    version: String,
    arch: String,
    depends: Vec<String>,
    provides: Vec<String>,
    build_time: u64,
    folders: Vec<(String, u64, Vec<AdbFile>)>,
    scripts: Vec<(usize, Vec<u8>)>,
    triggers: Vec<String>,
    keys: Vec<SigningKey>,
    compression: AdbCompression,
}

#[derive(Debug, Clone)]
struct AdbFile {
    name: String,
    mode: u64,
    content: Vec<u8>,
    target: Option<Vec<u8>>,
    xattrs: Vec<Vec<u8>>,
}

/// The bytes of a package and what an index says about it.
#[derive(Debug, Clone)]
pub struct BuiltAdb {
    /// Name and version as in the file name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The database in it.
    pub database: Vec<u8>,
    /// SHA-256 of the database.
    pub hash: [u8; 32],
    /// The slots of its info object, for an index.
    info: Vec<AdbValue>,
}

impl AdbPackageBuilder {
    /// A package for `x86_64` without files, signed by the test key, not compressed.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "x86_64".to_owned(),
            depends: Vec::new(),
            provides: Vec::new(),
            build_time: 0,
            folders: Vec::new(),
            scripts: Vec::new(),
            triggers: Vec::new(),
            keys: vec![SigningKey::Test],
            compression: AdbCompression::None,
        }
    }

    /// The architecture.
    #[must_use]
    pub fn arch(mut self, arch: &str) -> Self {
        arch.clone_into(&mut self.arch);
        self
    }

    /// One more dependency, without a version.
    #[must_use]
    pub fn depend(mut self, name: &str) -> Self {
        self.depends.push(name.to_owned());
        self
    }

    /// One more provided name.
    #[must_use]
    pub fn provides(mut self, name: &str) -> Self {
        self.provides.push(name.to_owned());
        self
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn build_time(mut self, seconds: u64) -> Self {
        self.build_time = seconds;
        self
    }

    /// Begins a folder, to which later files belong. The root has an empty name.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u64) -> Self {
        self.folders.push((path.to_owned(), mode, Vec::new()));
        self
    }

    fn push(mut self, file: AdbFile) -> Self {
        if self.folders.is_empty() {
            self.folders.push((String::new(), 0o755, Vec::new()));
        }
        if let Some((_, _, files)) = self.folders.last_mut() {
            files.push(file);
        }
        self
    }

    /// A regular file in the folder begun last.
    #[must_use]
    pub fn file(self, name: &str, mode: u64, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.push(AdbFile { name: name.to_owned(), mode, content, target: None, xattrs: Vec::new() })
    }

    /// One more extended attribute of the file added last: name, zero byte, value.
    #[must_use]
    pub fn xattr(mut self, whole: &[u8]) -> Self {
        let file = self.folders.last_mut().and_then(|(_, _, files)| files.last_mut());
        if let Some(file) = file {
            file.xattrs.push(whole.to_vec());
        }
        self
    }

    /// Something with a target: kind as in `st_mode`, and what follows it. The content gives size and hash.
    #[must_use]
    pub fn target(self, name: &str, kind: u16, target: &[u8], content: &[u8]) -> Self {
        let target = Some([&kind.to_le_bytes(), target].concat());
        self.push(AdbFile {
            name: name.to_owned(),
            mode: 0o755,
            content: content.to_vec(),
            target,
            xattrs: Vec::new(),
        })
    }

    /// The script of a slot, such as 3 for post-install.
    #[must_use]
    pub fn script(mut self, slot: usize, text: &str) -> Self {
        self.scripts.push((slot, text.as_bytes().to_vec()));
        self
    }

    /// One more path that triggers.
    #[must_use]
    pub fn trigger(mut self, path: &str) -> Self {
        self.triggers.push(path.to_owned());
        self
    }

    /// Who signs.
    #[must_use]
    pub fn signed_by(mut self, keys: &[SigningKey]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    /// How it is compressed.
    #[must_use]
    pub fn compression(mut self, compression: AdbCompression) -> Self {
        self.compression = compression;
        self
    }

    fn info(&self) -> Vec<AdbValue> {
        let names = |names: &[String]| {
            AdbValue::list(names.iter().map(|name| AdbValue::Object(vec![AdbValue::text(name)])).collect())
        };
        let installed: usize = self.folders.iter().flat_map(|f| &f.2).map(|f| f.content.len()).sum();
        let mut slots = vec![AdbValue::Null; 18];
        slots[0] = AdbValue::text(&self.name);
        slots[1] = AdbValue::text(&self.version);
        slots[4] = AdbValue::text(&self.arch);
        slots[10] = if self.build_time == 0 { AdbValue::Null } else { AdbValue::Int(self.build_time) };
        slots[11] = AdbValue::Int(installed as u64);
        slots[14] = names(&self.depends);
        slots[15] = names(&self.provides);
        slots
    }

    /// The root object.
    pub fn root(&self) -> AdbValue {
        let mut scripts = vec![AdbValue::Null; 7];
        for (slot, text) in &self.scripts {
            scripts[slot - 1] = AdbValue::Blob(text.clone());
        }
        let scripts = if self.scripts.is_empty() { AdbValue::Null } else { AdbValue::Object(scripts) };
        let folders = self.folders.iter().map(|(name, mode, files)| {
            let files = files.iter().map(AdbFile::value).collect();
            AdbValue::Object(vec![AdbValue::text(name), access(*mode, &[]), AdbValue::list(files)])
        });
        let triggers = self.triggers.iter().map(|path| AdbValue::text(path)).collect();
        AdbValue::Object(vec![
            AdbValue::Object(self.info()),
            AdbValue::list(folders.collect()),
            scripts,
            AdbValue::list(triggers),
        ])
    }

    /// The blocks of data.
    pub fn data(&self) -> Vec<(u32, u32, Vec<u8>)> {
        let mut out = Vec::new();
        for (folder, (_, _, files)) in (1..).zip(&self.folders) {
            for (number, file) in (1..).zip(files) {
                if file.target.is_none() && !file.content.is_empty() {
                    out.push((folder, number, file.content.clone()));
                }
            }
        }
        out
    }

    /// The package.
    pub fn build(&self) -> BuiltAdb {
        let database = adb_database(&self.root());
        let bytes = adb_file(*b"pckg", &database, &self.keys, &self.data(), self.compression);
        let (name, version) = (self.name.clone(), self.version.clone());
        let hash = Sha256::digest(&database).into();
        BuiltAdb { name, version, bytes, database, hash, info: self.info() }
    }
}

impl AdbFile {
    fn value(&self) -> AdbValue {
        let hash = Sha256::digest(&self.content).to_vec();
        AdbValue::Object(vec![
            AdbValue::text(&self.name),
            access(self.mode, &self.xattrs),
            AdbValue::Int(self.content.len() as u64),
            AdbValue::Int(1_700_000_000),
            AdbValue::Blob(hash),
            self.target.clone().map_or(AdbValue::Null, AdbValue::Blob),
        ])
    }
}

fn access(mode: u64, xattrs: &[Vec<u8>]) -> AdbValue {
    let root = || AdbValue::text("root");
    let xattrs = xattrs.iter().map(|whole| AdbValue::Blob(whole.clone())).collect();
    AdbValue::Object(vec![AdbValue::Int(mode), root(), root(), AdbValue::list(xattrs)])
}

/// An index of these packages, signed by these keys. An empty `spec` leaves the place of files to the reader.
pub fn adb_index(
    packages: &[&BuiltAdb],
    spec: &str,
    keys: &[SigningKey],
    compression: AdbCompression,
) -> Vec<u8> {
    let list = packages.iter().map(|package| {
        let mut info = package.info.clone();
        info[2] = AdbValue::Blob(package.hash.to_vec());
        info[12] = AdbValue::Int(package.bytes.len() as u64);
        AdbValue::Object(info)
    });
    let root = AdbValue::Object(vec![
        AdbValue::text("a test index"),
        AdbValue::list(list.collect()),
        AdbValue::text(spec),
    ]);
    adb_file(*b"indx", &adb_database(&root), keys, &[], compression)
}
