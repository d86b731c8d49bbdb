//! `/etc/ld.so.cache`, which `ldconfig` would make if scripts ran.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use assemble_types::ImagePath;

use super::error::InstallError;
use super::root::Root;
use super::text::{MAX_LINE, join_clean, lines, trim};
use super::{glob, pdqsort, soname};
use crate::tree::{Body, NodeId};

const FOR: &str = "the loader's cache";
const CONFIG: &[u8] = b"etc/ld.so.conf";
const CACHE: &[u8] = b"etc/ld.so.cache";
const CONFIG_LIMIT: u64 = 1 << 20;
/// Configuration files and folders in all.
const MAX_PARTS: usize = 4096;
const MAX_NESTING: u32 = 16;

const HEADER: usize = 48;
const ENTRY: usize = 24;

struct Entry {
    /// Absolute path of the library.
    path: Vec<u8>,
    /// Kind of library and processor.
    flags: u32,
}

impl Entry {
    fn name_at(&self) -> usize {
        self.path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1)
    }
}

/// Writes the cache if there is a configuration. Returns whether it did.
pub(super) fn write(root: &mut Root) -> Result<bool, InstallError> {
    if root.look_up(CONFIG)?.is_none() {
        return Ok(false);
    }
    let mut folders = vec![b"/lib".to_vec()];
    folders.extend(Config { root, parts: 0 }.folders(CONFIG, 0)?);
    let mut entries = Vec::new();
    for folder in &folders {
        collect(root, folder, &mut entries)?;
    }
    pdqsort::sort(&mut entries, |a: &Entry, b: &Entry| {
        compare(&a.path[a.name_at()..], &b.path[b.name_at()..]).reverse()
    });
    let id = root.write(CACHE, encode(&entries), 0o644, FOR)?;
    root.tree.node_mut(id).meta.mode = assemble_types::Mode::FILE;
    Ok(true)
}

/// Reads the configuration and what it includes.
struct Config<'a> {
    root: &'a Root,
    parts: usize,
}

impl Config<'_> {
    /// The folders that a file names. An `include` is the last line that counts of its file.
    fn folders(&mut self, path: &[u8], nesting: u32) -> Result<Vec<Vec<u8>>, InstallError> {
        let named = || ImagePath::parse(path).unwrap_or_default();
        self.parts += 1;
        if nesting > MAX_NESTING || self.parts > MAX_PARTS {
            return Err(InstallError::LoaderConfig { path: named() });
        }
        let text = self.root.read(path, CONFIG_LIMIT, FOR)?.unwrap_or_default();
        let mut folders: Vec<Vec<u8>> = Vec::new();
        for (i, line) in lines(&text).enumerate() {
            if line.len() > MAX_LINE {
                return Err(InstallError::LongLine { path: named(), line: i + 1 });
            }
            let line = trim(line.split(|b| *b == b'#').next().unwrap_or_default());
            if let Some(pattern) = line.strip_prefix(b"include ") {
                let pattern = trim(pattern);
                let start = pattern.iter().position(|b| *b != b'/').unwrap_or(pattern.len());
                let Some(files) = glob::paths(self.root, &pattern[start..])? else { continue };
                for file in files {
                    folders.extend(self.included(&file, nesting)?);
                }
                return Ok(folders);
            }
            if !line.is_empty() && !folders.iter().any(|known| known == line) {
                self.parts += 1;
                folders.push(line.to_vec());
            }
        }
        Ok(folders)
    }

    /// What cannot be read is left out; a circle is an error.
    fn included(&mut self, path: &[u8], nesting: u32) -> Result<Vec<Vec<u8>>, InstallError> {
        match self.folders(path, nesting + 1) {
            Err(error @ InstallError::LoaderConfig { .. }) => Err(error),
            other => Ok(other.unwrap_or_default()),
        }
    }
}

/// Adds the libraries of one folder, in byte order of their names. A folder that is missing has none.
fn collect(root: &Root, folder: &[u8], entries: &mut Vec<Entry>) -> Result<(), InstallError> {
    let folder = if folder.starts_with(b"/") { join_clean(b"/", folder) } else { folder.to_vec() };
    let Some(id) = root.look_up(&folder)? else { return Ok(()) };
    if !root.tree.node(id).is_directory() {
        let path = ImagePath::parse(&folder).unwrap_or_default();
        return Err(InstallError::NotAFolder { path, needed_by: FOR.into(), there: "something else".into() });
    }
    let mut found: BTreeMap<&[u8], u32> = BTreeMap::new();
    for (name, child) in root.tree.names(id).filter(|(name, _)| stem(name).is_some()) {
        let path = [folder.as_slice(), b"/", name].concat();
        let Some(library) = library(root, &path, child.node) else { continue };
        let flags = match library.machine {
            62 => 0x0303,
            183 => 0x0A03,
            machine => {
                let path = ImagePath::parse(join_clean(b"/", &path)).unwrap_or_default();
                return Err(InstallError::LibraryMachine { path, machine });
            }
        };
        let mut names = library.names;
        if names.is_empty() && name.ends_with(b".so") {
            names.push(name.to_vec());
        }
        let fits = |own: &Vec<u8>| {
            stem(own).is_some_and(|stem| own == name || name.strip_suffix(b".so") == Some(stem))
        };
        if names.iter().any(fits) {
            found.insert(name, flags);
        }
    }
    let place = join_clean(b"/", &folder);
    entries.extend(found.into_iter().map(|(name, flags)| Entry { path: join_clean(&place, name), flags }));
    Ok(())
}

/// The file behind a name, if it is a shared object; links are followed.
fn library(root: &Root, path: &[u8], id: NodeId) -> Option<soname::Library> {
    let target = match root.tree.node(id).body {
        Body::Symlink(_) => root.look_up(path).unwrap_or_default(),
        _ => Some(id),
    };
    match &root.tree.node(target?).body {
        Body::File(blob) => soname::read(blob),
        _ => None,
    }
}

/// `libx` of `libx.so` and `libx.so.1`; nothing for what is no name of a library.
fn stem(name: &[u8]) -> Option<&[u8]> {
    if !name.starts_with(b"lib") && !name.starts_with(b"ld-") {
        return None;
    }
    name.strip_suffix(b".so").or_else(|| {
        let at = name.windows(4).rposition(|part| part == b".so.")?;
        Some(&name[..at])
    })
}

/// The order in which the loader searches: runs of digits by their number, a digit above anything else.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    fn number(text: &mut &[u8]) -> i64 {
        let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        *text = rest;
        digits.iter().fold(0, |n: i64, d| n.wrapping_mul(10).wrapping_add(i64::from(d - b'0')))
    }
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let order = match (x.is_ascii_digit(), y.is_ascii_digit()) {
            (true, true) => number(&mut a).cmp(&number(&mut b)),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                (a, b) = (&a[1..], &b[1..]);
                x.cmp(y)
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Header, entries, paths, and zero bytes up to the next multiple of 16 (never none). Offsets count from the start.
fn encode(entries: &[Entry]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let texts = HEADER + ENTRY * entries.len();
    let total: usize = entries.iter().map(|entry| entry.path.len() + 1).sum();
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    out.extend(word(entries.len()));
    out.extend(word(total));
    out.resize(HEADER, 0);
    let mut at = texts;
    for entry in entries {
        // Of `/libx.so`, right under the root, apko takes the folder for one byte longer than it is.
        let key = at + entry.name_at().max(2);
        out.extend(entry.flags.to_le_bytes());
        out.extend(word(key));
        out.extend(word(at));
        out.extend([0; 12]);
        at += entry.path.len() + 1;
    }
    for entry in entries {
        out.extend_from_slice(&entry.path);
        out.push(0);
    }
    out.resize((out.len() / 16 + 1) * 16, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_libraries() {
        for (name, expected) in [
            ("libc.so.6", Some("libc")),
            ("libx.so", Some("libx")),
            ("ld-linux-x86-64.so.2", Some("ld-linux-x86-64")),
            ("liba.so.1.so.2", Some("liba.so.1")),
            ("liba.so.1.so", Some("liba.so.1")),
            ("libx.a", None),
            ("x.so", None),
            ("libx-so", None),
        ] {
            assert_eq!(stem(name.as_bytes()), expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn the_loaders_order() {
        for (a, b, expected) in [
            ("liba.so.10", "liba.so.9", Ordering::Greater),
            ("liba.so.1", "libab.so.1", Ordering::Less),
            ("lib1.so", "liba.so", Ordering::Greater),
            ("liba.so.01", "liba.so.1", Ordering::Equal),
            ("liba.so.1", "liba.so", Ordering::Greater),
            ("liba.so", "liba.so", Ordering::Equal),
            ("liba", "libb", Ordering::Less),
        ] {
            assert_eq!(compare(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(compare(b.as_bytes(), a.as_bytes()), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn the_file() {
        let entry = |path: &str| Entry { path: path.into(), flags: 0x0303 };
        let bytes = encode(&[entry("/lib/libx.so.1"), entry("/libr.so")]);
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..24], b"glibc-ld.so.cache1.1\x02\0\0\0");
        assert_eq!(bytes[24..28], 24u32.to_le_bytes());
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(48), word(52), word(56)), (0x0303, 101, 96));
        assert_eq!((word(72), word(76), word(80)), (0x0303, 113, 111));
        assert_eq!(&bytes[96..111], b"/lib/libx.so.1\0");
        assert_eq!(encode(&[]).len(), 64);
    }

    #[test]
    fn an_include_ends_its_file() {
        let mut root = Root::new();
        root.make_folders(b"etc/ld.so.conf.d", 0o755, "test").unwrap();
        for (path, text) in [
            ("etc/ld.so.conf", "/a # x\n\n/a\n  /b\ninclude /etc/ld.so.conf.d/*.conf\n/never\n"),
            ("etc/ld.so.conf.d/2.conf", "/two\n/a\n"),
            ("etc/ld.so.conf.d/1.conf", "/one\n"),
            ("etc/loop", "include /etc/loop\n"),
        ] {
            root.write(path.as_bytes(), text.into(), 0o644, "test").unwrap();
        }
        root.make_folders(b"etc/ld.so.conf.d/3.conf", 0o755, "test").unwrap();
        let folders = |path: &[u8]| Config { root: &root, parts: 0 }.folders(path, 0);
        let text = |folders: Vec<Vec<u8>>| String::from_utf8(folders.join(&b' ')).unwrap();
        assert_eq!(text(folders(CONFIG).unwrap()), "/a /b /one /two /a");
        assert!(matches!(folders(b"etc/loop"), Err(InstallError::LoaderConfig { .. })));
    }
}
