//! Layers written, read back and compared.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a failing test")]
#![allow(clippy::format_push_string, reason = "tests read better without")]
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod compare;
mod earlier;
mod golden;
mod hostile;
mod listings;
mod packing;
mod processors;
mod roundtrip;
mod splicing;
mod zstd_layers;

use std::num::NonZeroUsize;

use assemble_layer::{AccountNames, Compression, Layer, pack};
use assemble_rootfs::{Body, Meta, Node, NodeId, Part, Tree, TreeEntry};
use assemble_types::{Blob, ImagePath, MemorySpool, Mode, Owner};

const META: Meta = Meta { mode: Mode::FILE, owner: Owner::ROOT, mtime: 0 };

fn threads(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn path(raw: impl AsRef<[u8]>) -> ImagePath {
    ImagePath::parse(raw).unwrap()
}

/// Puts a node at a path, with the folders above it.
fn put(tree: &mut Tree, part: Part, raw: &str, node: Node) -> NodeId {
    let full = path(raw);
    let folder = Meta { mode: Mode::DIRECTORY, ..META };
    tree.make_directories(&full.parent().unwrap(), folder, part).unwrap();
    let id = tree.add(node);
    tree.insert(&full, id, part, None).unwrap();
    id
}

fn file(content: impl Into<Vec<u8>>) -> Node {
    Node::new(META, Body::File(Blob::from_bytes(content)))
}

fn pack_with(entries: &[TreeEntry<'_>], n: usize) -> Layer {
    pack_as(Compression::Gzip, entries, n)
}

fn pack_as(compression: Compression, entries: &[TreeEntry<'_>], n: usize) -> Layer {
    pack(entries, &AccountNames::none(), compression, threads(n), &MemorySpool).unwrap()
}

fn pack_part(tree: &Tree, part: Part) -> Layer {
    pack_with(&tree.layer(part), 2)
}

/// A tar as a layer, for tests that make their own bytes.
fn blob(bytes: impl Into<Vec<u8>>) -> Blob {
    Blob::from_bytes(bytes)
}

/// Bytes that look random and are always the same.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Text with the redundancy of text, always the same.
fn prose(len: usize, seed: u64) -> Vec<u8> {
    let words = ["layer ", "digest ", "of ", "the ", "tar\n", "image ", "block ", "0123456789 "];
    let mut out = Vec::with_capacity(len + 16);
    for pick in noise(len, seed) {
        out.extend_from_slice(words[usize::from(pick & 7)].as_bytes());
        if out.len() >= len {
            break;
        }
    }
    out.truncate(len);
    out
}
