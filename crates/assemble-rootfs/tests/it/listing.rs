//! Prints a tree as the listings of the kit print a layer, without what only a tar header has.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use assemble_rootfs::{Body, Tree, TreeEntry};
use assemble_types::{HashingWriter, ImagePath};

/// One line an entry: type mode uid gid uname gname size mtime name linkname device xattrs sha256.
pub(crate) fn listing(tree: &Tree) -> Vec<String> {
    listing_of(tree, &tree.entries())
}

/// The same for some entries, with the names of the tree's accounts.
pub(crate) fn listing_of(tree: &Tree, entries: &[TreeEntry<'_>]) -> Vec<String> {
    let (users, groups) = (names(tree, "etc/passwd"), names(tree, "etc/group"));
    entries.iter().map(|entry| line(entry, &users, &groups)).collect()
}

fn line(entry: &TreeEntry<'_>, users: &BTreeMap<u32, String>, groups: &BTreeMap<u32, String>) -> String {
    let meta = entry.node.meta;
    let (mut kind, mut size, mut link, mut device, mut sha) =
        ('0', 0, String::new(), "-".to_owned(), "-".to_owned());
    match &entry.node.body {
        Body::Directory(_) => kind = '5',
        _ if entry.hard_link.is_some() => {
            kind = '1';
            link = escape(entry.hard_link.unwrap_or_default(), b"");
        }
        Body::File(blob) => {
            size = blob.len();
            let mut hash = HashingWriter::new(io::sink());
            io::copy(&mut blob.reader(), &mut hash).unwrap();
            sha = hash.finish().1.hex();
        }
        Body::Symlink(text) => {
            kind = '2';
            link = escape(text, b"");
        }
        Body::CharDevice { major, minor } => {
            kind = '3';
            device = format!("{major},{minor}");
        }
    }
    let xattrs = match &entry.node.xattrs {
        Some(all) if kind == '0' || kind == '5' => all
            .iter()
            .map(|(name, value)| {
                let name = escape(&[b"SCHILY.xattr.", name.as_slice()].concat(), b";=");
                format!("{name}={}", if value.is_empty() { String::new() } else { escape(value, b";=") })
            })
            .collect::<Vec<_>>()
            .join(";"),
        _ => "-".to_owned(),
    };
    let name = |names: &BTreeMap<u32, String>, id| {
        names.get(&id).map_or("-".to_owned(), |n| escape(n.as_bytes(), b""))
    };
    format!(
        "{kind} {} {} {} {} {} {size} {} {} {} {device} {xattrs} {sha}",
        meta.mode,
        meta.owner.uid,
        meta.owner.gid,
        name(users, meta.owner.uid),
        name(groups, meta.owner.gid),
        meta.mtime,
        escape(entry.path.as_bytes(), b""),
        if link.is_empty() { "-" } else { &link },
    )
}

/// What a listing line says without the header's digest, and of extended headers only the attributes.
pub(crate) fn comparable(line: &str) -> String {
    let mut fields: Vec<&str> = line.split(' ').collect();
    fields.truncate(13);
    let kept: Vec<&str> =
        fields[11].split(';').filter(|record| record.starts_with("SCHILY.xattr.")).collect();
    let kept = if kept.is_empty() { "-".to_owned() } else { kept.join(";") };
    fields[11] = &kept;
    fields.join(" ")
}

fn escape(bytes: &[u8], extra: &[u8]) -> String {
    match bytes {
        b"" => "-".to_owned(),
        b"-" => "%2D".to_owned(),
        _ => bytes.iter().fold(String::new(), |mut out, b| {
            if (33..=126).contains(b) && *b != b'%' && !extra.contains(b) {
                out.push(char::from(*b));
            } else {
                let _ = write!(out, "%{b:02X}");
            }
            out
        }),
    }
}

/// Ids and names of the image's own accounts; the last of an id counts.
fn names(tree: &Tree, path: &str) -> BTreeMap<u32, String> {
    let text = text_of(tree, path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.filter_map(|f| Some((f.get(2)?.parse().ok()?, (*f.first()?).to_owned()))).collect()
}

/// A file's bytes, if there is a file.
pub(crate) fn text_of(tree: &Tree, path: &str) -> Option<Vec<u8>> {
    let id = tree.resolve(&ImagePath::parse(path).unwrap(), true).ok()?.node?;
    match &tree.node(id).body {
        Body::File(blob) => Some(blob.read_to_vec(64 << 20).unwrap()),
        _ => None,
    }
}
