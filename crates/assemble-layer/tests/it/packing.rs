//! What `pack` promises about hard links, threads, sizes and failing sources.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assemble_layer::{Compression, EntryKind, LayerError, diff_id, pack, read_layer};
use assemble_rootfs::{Body, Node, Part, Tree};
use assemble_types::{Blob, Digest, Explain, Kind, MemorySpool, ReadAt, Spool, SpoolWriter};

use crate::{META, file, noise, pack_part, pack_with, path, prose, put, threads};

/// Small and large files in an order that makes blocks of every sort.
fn varied() -> Tree {
    let mut tree = Tree::new();
    let sizes =
        [0, 1, 511, 512, 513, 70_000, 130_000, 131_072, 500, 400_000, 3, 1_200_000, 392_192, 0, 900_000, 5];
    for (index, size) in sizes.into_iter().enumerate() {
        let content = if index % 3 == 0 { noise(size, index as u64) } else { prose(size, index as u64) };
        put(&mut tree, Part::Files, &format!("d{}/f{index:02}", index % 4), file(content));
    }
    tree
}

#[test]
fn threads_do_not_show() {
    let tree = varied();
    let entries = tree.layer(Part::Files);
    let one = pack_with(&entries, 1);
    for n in [2, 3, 8, 64] {
        for _ in 0..3 {
            let other = pack_with(&entries, n);
            assert_eq!((other.digest, other.diff_id), (one.digest, one.diff_id), "{n} threads");
        }
    }
    let packed = one.blob.read_to_vec(u64::MAX).unwrap();
    assert_eq!((Digest::of(&packed), packed.len() as u64), (one.digest, one.size));
    assert_eq!(diff_id(&one.blob).unwrap(), (one.diff_id, one.uncompressed_size));
    assert_eq!(&packed[..10], b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
    // One member, so that decoders which stop after the first see everything.
    let mut plain = Vec::new();
    io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut plain).unwrap();
    assert_eq!(Digest::of(&plain), one.diff_id);
}

/// Gives out bytes in small, uneven pieces.
#[derive(Debug)]
struct Stingy(Vec<u8>, usize);
impl ReadAt for Stingy {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = buf.len().min(self.1 + usize::try_from(offset % 7).unwrap());
        self.0.read_at(&mut buf[..n], offset)
    }
}

#[test]
fn read_sizes_do_not_show() {
    let content = prose(1_000_000, 9);
    let layer = |body: Blob| {
        let mut tree = Tree::new();
        put(&mut tree, Part::Binary, "app", Node::new(META, Body::File(body)));
        pack_part(&tree, Part::Binary).digest
    };
    let whole = layer(Blob::from_bytes(content.clone()));
    for step in [1000, 4096, 65_537] {
        assert_eq!(layer(Blob::new(Arc::new(Stingy(content.clone(), step)), 1_000_000)), whole);
    }
}

/// A large file's blocks do not depend on what stands before it, so they can be known by content.
#[test]
fn blocks_of_a_large_file_stand_on_their_own() {
    let big = noise(800_000, 4);
    let packed = |before: usize| {
        let mut tree = Tree::new();
        put(&mut tree, Part::Files, "a", file(prose(before, 1)));
        put(&mut tree, Part::Files, "big", file(big.clone()));
        pack_part(&tree, Part::Files).blob.read_to_vec(u64::MAX).unwrap()
    };
    let (one, two) = (packed(10), packed(100_000));
    // The first two blocks of the large file, behind whatever the small one took.
    let middle = &one[one.len() - 700_000..one.len() - 100_000];
    assert!(two.windows(middle.len()).any(|window| window == middle));
}

#[test]
fn names_of_one_file() {
    let mut tree = Tree::new();
    let packaged = put(&mut tree, Part::Packages, "usr/a", file("copy"));
    tree.insert(&path("usr/b"), packaged, Part::Packages, None).unwrap();
    tree.insert(&path("usr/c"), packaged, Part::Packages, Some(b"./usr/a")).unwrap();
    let id = put(&mut tree, Part::Base, "usr/zone/Z", file("zone"));
    for name in ["usr/zone/A", "usr/zone/B"] {
        tree.insert(&path(name), id, Part::Base, None).unwrap();
    }
    let show = |part| {
        let layer = pack_part(&tree, part);
        let mut reader = read_layer(&layer.blob).unwrap();
        let mut out = Vec::new();
        while let Some(e) = reader.next_entry().unwrap() {
            if e.kind != EntryKind::Directory {
                out.push(format!("{} {} {} {}", e.path, e.kind.name(), e.size, e.link.escape_ascii()));
            }
        }
        out
    };
    let base =
        ["/usr/zone/A file 4 ", "/usr/zone/B hard link 0 usr/zone/A", "/usr/zone/Z hard link 0 usr/zone/A"];
    assert_eq!(show(Part::Base), base);
    assert_eq!(show(Part::Packages), ["/usr/a file 4 ", "/usr/b file 4 ", "/usr/c hard link 0 ./usr/a"]);
}

#[test]
fn a_source_that_changes_is_an_error() {
    let mut tree = Tree::new();
    for index in 0..5 {
        put(&mut tree, Part::Files, &format!("before{index}"), file(noise(300_000, index)));
    }
    let short = Blob::new(Arc::new(vec![1, 2, 3]), 1000);
    put(&mut tree, Part::Files, "changed", Node::new(META, Body::File(short)));
    for n in [1, 2, 8] {
        let error = pack(
            &tree.layer(Part::Files),
            &assemble_layer::AccountNames::none(),
            Compression::Gzip,
            threads(n),
            &MemorySpool,
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "/changed: its content cannot be read");
        assert_eq!((error.code(), error.kind()), ("layer/content", Kind::Host));
    }
}

#[derive(Debug)]
struct Full;
impl Spool for Full {
    fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::new(FullWriter(500_000)))
    }
}
struct FullWriter(usize);
impl io::Write for FullWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(self.0);
        self.0 -= n;
        if n == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(n) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl SpoolWriter for FullWriter {
    fn finish(self: Box<Self>) -> io::Result<Blob> {
        Ok(Blob::from_bytes(Vec::new()))
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let mut tree = varied();
    put(&mut tree, Part::Files, "z", file(noise(2_000_000, 3)));
    for n in [1, 3] {
        let result = pack(
            &tree.layer(Part::Files),
            &assemble_layer::AccountNames::none(),
            Compression::Gzip,
            threads(n),
            &Full,
        );
        assert!(matches!(result, Err(LayerError::Store(_))));
    }
}

/// Zeros without end, and how far was read.
#[derive(Debug)]
struct Zeros(AtomicU64);
impl ReadAt for Zeros {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        buf.fill(0);
        self.0.fetch_max(offset + buf.len() as u64, Ordering::Relaxed);
        Ok(buf.len())
    }
}

/// Contents are streamed: 96 MB go through, and what the process holds does not grow with it.
#[test]
fn a_large_file_is_not_held_in_memory() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let len = 96 << 20;
    let mut tree = Tree::new();
    let zeros = Arc::new(Zeros(AtomicU64::new(0)));
    put(&mut tree, Part::Files, "big", Node::new(META, Body::File(Blob::new(zeros.clone(), len))));
    let before = peak();
    let layer = pack_part(&tree, Part::Files);
    assert_eq!(zeros.0.load(Ordering::Relaxed), len);
    assert_eq!(layer.uncompressed_size, len + 512 + 1024);
    if let (Some(before), Some(after)) = (before, peak()) {
        // Other tests run beside this one, so the bound is generous; holding the file would still break it.
        assert!(after - before < 64 << 10, "{} KiB more", after - before);
    }
}
