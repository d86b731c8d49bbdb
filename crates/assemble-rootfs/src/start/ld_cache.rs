//! Reads `/etc/ld.so.cache` (glibc, the format that says `glibc-ld.so.cache1.1`), and `ld.so.conf`, which it is made of.

use std::collections::BTreeMap;

use super::walk::Walker;
use crate::tree::Body;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The longest name or path in a cache, in bytes.
const MAX_TEXT: usize = 4096;

/// Paths by the name of the library. Entries that point outside of the cache are left out.
pub(super) fn parse(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut out: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    if !bytes.starts_with(MAGIC) || bytes.len() < HEADER {
        return out;
    }
    // Byte 28 tells the order of bytes: 3 is big-endian, 0 and 2 are what apko and glibc write elsewhere.
    let big = bytes[28] & 3 == 3;
    let number = |at: &[u8]| {
        let four = [at[0], at[1], at[2], at[3]];
        if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    let text = |offset: u32| {
        let rest = bytes.get(usize::try_from(offset).ok()?..)?;
        let rest = &rest[..rest.len().min(MAX_TEXT)];
        Some(rest[..rest.iter().position(|b| *b == 0)?].to_vec())
    };
    let count = usize::try_from(number(&bytes[MAGIC.len()..])).unwrap_or(usize::MAX);
    for entry in bytes[HEADER..].chunks_exact(ENTRY).take(count) {
        if let (Some(name), Some(path)) = (text(number(&entry[4..])), text(number(&entry[8..]))) {
            out.entry(name).or_default().push(path);
        }
    }
    out
}

/// The largest configuration file that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// How many configuration files are read.
const MAX_FILES: usize = 256;

/// The folders that `/etc/ld.so.conf` and the files it includes name.
pub(super) fn configured_folders(walker: &Walker<'_>) -> Vec<Vec<u8>> {
    let mut folders = Vec::new();
    let mut files = vec![b"/etc/ld.so.conf".to_vec()];
    let mut at = 0;
    while at < files.len() && at < MAX_FILES {
        let file = files[at].clone();
        at += 1;
        let Some(text) = walker.file(&file).and_then(|blob| blob.read_to_vec(MAX_CONFIG).ok()) else {
            continue;
        };
        for line in text.split(|b| *b == b'\n') {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default().trim_ascii();
            match line.strip_prefix(b"include") {
                Some(rest) if rest.first().is_some_and(u8::is_ascii_whitespace) => {
                    let folder = &file[..file.iter().rposition(|b| *b == b'/').unwrap_or(0)];
                    files.extend(included(walker, folder, rest.trim_ascii()));
                }
                _ if line.starts_with(b"/") => folders.push(line.to_vec()),
                _ => {}
            }
        }
    }
    folders
}

/// The files that a pattern names. Only the last component may hold `*` and `?`, as it always does.
fn included(walker: &Walker<'_>, folder: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
    let pattern = if pattern.starts_with(b"/") { pattern.to_vec() } else { [folder, b"/", pattern].concat() };
    let Some(slash) = pattern.iter().rposition(|b| *b == b'/') else { return Vec::new() };
    let (folder, name) = (&pattern[..slash], &pattern[slash + 1..]);
    let Ok(found) = walker.find(if folder.is_empty() { b"/" } else { folder }) else { return Vec::new() };
    let Body::Directory(children) = &walker.tree.node(found.node).body else { return Vec::new() };
    children.keys().filter(|child| matches(name, child)).map(|child| [folder, b"/", child].concat()).collect()
}

/// Whether a name fits a pattern of `*` and `?`. Linear in the name for each star, never recursive.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut table = Vec::new();
        let base = HEADER + ENTRY * entries.len();
        for (name, path) in entries {
            let mut add = |text: &str| {
                let at = u32::try_from(base + strings.len()).unwrap();
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
                at.to_le_bytes()
            };
            let (name, path) = (add(name), add(path));
            table.extend_from_slice(&0x0303_u32.to_le_bytes());
            table.extend(name);
            table.extend(path);
            table.extend([0; 12]);
        }
        let mut out = MAGIC.to_vec();
        out.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        out.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
        out.resize(HEADER, 0);
        out.extend(table);
        out.extend(strings);
        out
    }

    #[test]
    fn a_cache_is_a_map_of_names_to_paths() {
        let bytes =
            cache(&[("liba.so.1", "/opt/liba.so.1"), ("libb.so", "/lib/libb.so"), ("liba.so.1", "/x/a")]);
        let parsed = parse(&bytes);
        assert_eq!(parsed[b"liba.so.1".as_slice()], [b"/opt/liba.so.1".to_vec(), b"/x/a".to_vec()]);
        assert_eq!(parsed.len(), 2);
        assert!(parse(b"ld.so-1.7.0").is_empty());
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "a.conf.d", false),
            ("a?c*", "abc", true),
            ("", "", true),
            ("", "x", false),
            ("**x", "yyx", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn damaged_caches_are_survived(at in 0usize..120, byte: u8, end in 0usize..200) {
            let mut bytes = cache(&[("liba.so.1", "/opt/liba.so.1"), ("libb.so", "/lib/libb.so")]);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(end);
            parse(&bytes);
        }
    }
}
