//! Layers of contents that lie in compressed streams.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assemble_deflate::Inflater;
use assemble_layer::{AccountNames, Compression, Layer, LayerError, Packing, diff_id, pack};
use assemble_rootfs::{Body, Node, Part, Tree};
use assemble_types::{Blob, Digest, Explain, Kind, MemorySpool, ReadAt, StreamMark, StreamMarks};
use flate2::{Compress, Compression as Level, FlushCompress};
use proptest::prelude::*;

use crate::{META, noise, pack_as, pack_part, pack_with, prose, put, threads};

/// Plain bytes that lie in a deflate stream.
#[derive(Debug)]
struct Packed {
    plain: Vec<u8>,
    stream: Blob,
    /// All of `plain`, if it is kept.
    unpacked: Option<Blob>,
    marks: Option<Arc<StreamMarks>>,
    /// Checks that say that nothing has changed.
    honest: AtomicU64,
}

impl ReadAt for Packed {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.plain.read_at(buf, offset)
    }

    fn check(&self) -> io::Result<()> {
        let left = self.honest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        left.map(|_| ()).map_err(|_| io::Error::other("changed"))
    }

    fn deflated(&self) -> Option<&Blob> {
        Some(&self.stream)
    }

    fn unpacked(&self) -> Option<&Blob> {
        self.unpacked.as_ref()
    }

    fn deflated_marks(&self) -> Option<&Arc<StreamMarks>> {
        self.marks.as_ref()
    }

    fn deflated_digest(&self) -> Option<Digest> {
        self.stream.content_digest().ok()
    }

    fn deflated_sum(&self) -> Option<u32> {
        let mut sum = flate2::Crc::new();
        sum.update(&self.plain);
        (!self.plain.len().is_multiple_of(3)).then(|| sum.sum())
    }
}

/// Gives its bytes in small, uneven pieces.
#[derive(Debug)]
struct Stingy(Vec<u8>);
impl ReadAt for Stingy {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = buf.len().min(1 + usize::try_from(offset % 997).unwrap());
        self.0.read_at(&mut buf[..n], offset)
    }
}

fn deflate(plain: &[u8], level: u32, every: usize) -> Vec<u8> {
    let mut compress = Compress::new(Level::new(level), false);
    let mut out = vec![0; plain.len() * 2 + 4096 + 64 * (plain.len() / every + 1)];
    for part in plain.chunks(every) {
        let at = usize::try_from(compress.total_out()).unwrap();
        compress.compress(part, &mut out[at..], FlushCompress::Sync).unwrap();
    }
    let at = usize::try_from(compress.total_out()).unwrap();
    compress.compress(&[], &mut out[at..], FlushCompress::Finish).unwrap();
    out.truncate(usize::try_from(compress.total_out()).unwrap());
    out
}

/// Contents with something before, between and behind them, as in a package.
pub(crate) struct Package {
    blobs: Vec<Blob>,
    contents: Vec<Vec<u8>>,
}

impl Package {
    pub(crate) fn new(contents: Vec<Vec<u8>>, level: u32, every: usize) -> Self {
        let source = |stream: Vec<u8>| Blob::from_bytes(stream);
        Self::with(contents, level, every, &source, u64::MAX)
    }

    fn with(
        contents: Vec<Vec<u8>>,
        level: u32,
        every: usize,
        stream: &dyn Fn(Vec<u8>) -> Blob,
        honest: u64,
    ) -> Self {
        Self::made(contents, level, every, stream, honest, false)
    }

    pub(crate) fn made(
        contents: Vec<Vec<u8>>,
        level: u32,
        every: usize,
        stream: &dyn Fn(Vec<u8>) -> Blob,
        honest: u64,
        kept: bool,
    ) -> Self {
        let mut plain = Vec::new();
        let mut ranges = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            plain.extend(prose(700, index as u64));
            plain.resize(plain.len().next_multiple_of(512), 0);
            ranges.push(plain.len() as u64..(plain.len() + content.len()) as u64);
            plain.extend(content);
            plain.resize(plain.len().next_multiple_of(512), 0);
        }
        plain.extend([0; 1024]);
        let len = plain.len() as u64;
        let stream = stream(deflate(&plain, level, every));
        let unpacked = kept.then(|| Blob::from_bytes(plain.clone()));
        let marks = kept.then(|| Arc::new(marks_of(&stream)));
        let packed = Packed { plain, stream, unpacked, marks, honest: AtomicU64::new(honest) };
        let whole = Blob::new(Arc::new(packed), len);
        Self { blobs: ranges.into_iter().map(|range| whole.slice(range).unwrap()).collect(), contents }
    }

    /// The same contents in the same stream, with these marks of it.
    fn marked(&self, change: impl FnOnce(&mut StreamMarks)) -> Self {
        let all = self.blobs[0].deflated().unwrap();
        let mut marks = marks_of(&all.stream);
        change(&mut marks);
        let mut plain = Vec::new();
        let mut inflater = Inflater::new(all.stream.reader());
        while let bytes @ [_, ..] = inflater.fill().unwrap() {
            let count = bytes.len();
            plain.extend_from_slice(bytes);
            inflater.consume(count);
        }
        let len = plain.len() as u64;
        let honest = AtomicU64::new(u64::MAX);
        let marks = Some(Arc::new(marks));
        let whole =
            Blob::new(Arc::new(Packed { plain, stream: all.stream, unpacked: None, marks, honest }), len);
        let range = |blob: &Blob| blob.deflated().unwrap().plain;
        let blobs = self.blobs.iter().map(|blob| whole.slice(range(blob)).unwrap()).collect();
        Self { blobs, contents: self.contents.clone() }
    }
}

/// As they are noted when a stream is read for the first time.
fn marks_of(stream: &Blob) -> StreamMarks {
    let (mut inflater, mut windows) = (Inflater::new(stream.reader()), Vec::new());
    loop {
        if let Some(window) = inflater.window_of_mark() {
            windows.extend_from_slice(window);
        }
        let count = inflater.fill().unwrap().len();
        if count == 0 {
            break;
        }
        inflater.consume(count);
    }
    let all = inflater.marks().iter();
    let all = all.map(|mark| StreamMark { bit: mark.bit, plain: mark.plain, sum: mark.sum }).collect();
    StreamMarks { all, windows: Blob::from_bytes(windows) }
}

pub(crate) fn varied(seed: u64) -> Vec<Vec<u8>> {
    let sizes = [0, 1, 511, 3000, 40_000, 130_000, 131_072, 500, 700_000, 3, 1_500_000, 20, 90_000];
    let content = |(index, size): (usize, usize)| match index % 4 {
        0 => noise(size, seed + index as u64),
        1 => vec![0; size],
        _ => prose(size, seed + index as u64),
    };
    sizes.into_iter().enumerate().map(content).collect()
}

/// A tree in which the files of several packages stand side by side.
pub(crate) fn tree_of(packages: &[Package]) -> (Tree, Tree) {
    let (mut spliced, mut plain) = (Tree::new(), Tree::new());
    for (number, package) in packages.iter().enumerate() {
        for (index, (blob, content)) in package.blobs.iter().zip(&package.contents).enumerate() {
            let name = format!("d{}/f{index:04}-{number}", index / 5);
            let node = Node::new(META, Body::File(blob.clone()));
            put(&mut spliced, Part::Files, &name, node);
            put(&mut plain, Part::Files, &name, crate::file(content.clone()));
        }
    }
    (spliced, plain)
}

/// The layer has the tar of the same tree with plain contents, and says the truth about itself. In gzip.
fn check(spliced: &Tree, plain: &Tree) -> Layer {
    let [gzip, _] = Compression::ALL.map(|compression| check_as(compression, spliced, plain));
    gzip
}

fn check_as(compression: Compression, spliced: &Tree, plain: &Tree) -> Layer {
    let entries = spliced.layer(Part::Files);
    let layer = pack_as(compression, &entries, 1);
    let expected = pack_part(plain, Part::Files);
    assert_eq!((layer.diff_id, layer.uncompressed_size), (expected.diff_id, expected.uncompressed_size));
    assert_eq!(diff_id(&layer.blob).unwrap(), (layer.diff_id, layer.uncompressed_size));
    for n in [2, 3, 8] {
        let other = pack_as(compression, &entries, n);
        assert_eq!((other.digest, other.copied), (layer.digest, layer.copied), "{n} threads");
    }
    layer
}

#[test]
fn contents_of_streams_are_the_same_tar() {
    for (level, every) in [(0, 1 << 20), (1, 50_000), (6, 1 << 20), (9, 10_000)] {
        let packages = [Package::new(varied(1), level, every), Package::new(varied(2), level, 1 << 20)];
        let (spliced, plain) = tree_of(&packages);
        let layer = check(&spliced, &plain);
        assert!(layer.copied > 1_000_000, "level {level}: {}", layer.copied);
        let again = pack_part(&plain, Part::Files);
        assert!(level != 9 || layer.size < again.size * 21 / 20, "{} {}", layer.size, again.size);
    }
}

/// A package with large files and small ones, several megabytes long.
fn long(level: u32, every: usize) -> Package {
    let sizes = [3_000_000, 50_000, 90_000, 400_000, 2_500_000, 10, 1_200_000, 100_000, 130_000, 600_000];
    let content = |(n, size): (usize, usize)| if n % 3 == 1 { noise(size, 9) } else { prose(size, n as u64) };
    Package::new(sizes.into_iter().enumerate().map(content).collect(), level, every)
}

#[test]
fn reading_from_marks_gives_the_same_layers() {
    for (level, every) in [(6, 1 << 20), (9, 30_000), (0, 1 << 20)] {
        let package = long(level, every);
        let marked = package.marked(|marks| assert!(marks.all.len() > 5, "{}", marks.all.len()));
        let (spliced, plain) = tree_of(&[package, Package::new(varied(3), 6, 20_000)]);
        let (with_marks, _) = tree_of(&[marked, Package::new(varied(3), 6, 20_000)]);
        for compression in Compression::ALL {
            let expected = check_as(compression, &spliced, &plain);
            let layer = check_as(compression, &with_marks, &plain);
            assert_eq!((layer.digest, layer.copied), (expected.digest, expected.copied), "level {level}");
        }
    }
}

/// Files of more packages than readers are kept of, in turn: each is read from its beginning again and again.
#[test]
fn readers_that_had_to_be_given_up_begin_again() {
    let contents = |n: u64| (0..3).map(|file| prose(2000, 10 * n + file)).collect();
    let packages: Vec<_> = (0..540).map(|n| Package::new(contents(n), 6, 1 << 20)).collect();
    let (spliced, plain) = tree_of(&packages);
    assert!(check(&spliced, &plain).size > 0);
    // What they read is compared all the same.
    let stream = |mut bytes: Vec<u8>| {
        let len = bytes.len();
        bytes[len - 20] ^= 1;
        Blob::from_bytes(bytes)
    };
    let mut packages = packages;
    packages.push(Package::with(contents(700), 6, 1 << 20, &stream, u64::MAX));
    assert!(
        pack(
            &tree_of(&packages).0.layer(Part::Files),
            &AccountNames::none(),
            Compression::Gzip,
            threads(2),
            &MemorySpool
        )
        .is_err()
    );
}

#[test]
fn marks_that_are_wrong_are_noticed() {
    let changes: [fn(&mut StreamMarks); 7] = [
        |marks| marks.windows = Blob::from_bytes(vec![0; 10]),
        |marks| marks.windows = Blob::from_bytes(vec![7; usize::try_from(marks.windows.len()).unwrap()]),
        |marks| marks.all[2].bit += 17,
        |marks| marks.all[1].plain -= 1,
        |marks| marks.all[3].sum ^= 1,
        |marks| marks.all[0].sum ^= 1,
        |marks| {
            marks.all.remove(1);
        },
    ];
    let package = long(6, 1 << 20);
    let expected = pack_part(&tree_of(&[package.marked(|_| {})]).0, Part::Files);
    for (number, change) in changes.into_iter().enumerate() {
        let (tree, _) = tree_of(&[package.marked(change)]);
        let (entries, names) = (tree.layer(Part::Files), AccountNames::none());
        let packing = Packing::new(&entries, &names, Compression::Gzip, &MemorySpool).unwrap();
        let packed = packing.pack(threads(2), &MemorySpool, None).map(|(layer, _)| layer.digest);
        assert!(matches!(packed, Err(LayerError::Earlier)), "{number}: {packed:?}");
        let anew = Packing::anew(&entries, &names, Compression::Gzip, &MemorySpool).unwrap();
        assert_eq!(anew.pack(threads(2), &MemorySpool, None).unwrap().0.digest, expected.digest);
        assert_eq!(pack_part(&tree, Part::Files).digest, expected.digest, "{number}");
    }
}

/// Words by chance are the worst case: what a frame saves on a match it loses where matches go beyond its piece.
#[test]
fn frames_of_streams_are_no_larger_than_blocks() {
    for (level, every) in [(1, 50_000), (6, 1 << 20), (9, 1 << 20)] {
        let contents = || (0..12).map(|n| prose(1000 << n, n)).collect();
        let (spliced, plain) = tree_of(&[Package::new(contents(), level, every)]);
        let [gzip, zstd] = Compression::ALL.map(|compression| check_as(compression, &spliced, &plain));
        assert_eq!((gzip.diff_id, zstd.copied), (zstd.diff_id, 0));
        let most = gzip.size + gzip.size / 50;
        assert!(zstd.size < most, "level {level}: {} in zstd, {} in gzip", zstd.size, gzip.size);
        let frames = zstd.blob.read_to_vec(u64::MAX).unwrap();
        assert_eq!(Digest::of(&zstd::stream::decode_all(frames.as_slice()).unwrap()), zstd.diff_id);
    }
}

#[test]
fn read_sizes_of_streams_do_not_show() {
    let layers = [
        Package::new(varied(1), 6, 1 << 20),
        Package::with(
            varied(1),
            6,
            1 << 20,
            &|stream| {
                let len = stream.len() as u64 + 8;
                Blob::new(Arc::new(Stingy([stream, vec![7; 8]].concat())), len)
            },
            u64::MAX,
        ),
    ]
    .map(|package| {
        let tree = tree_of(&[package]).0;
        Compression::ALL.map(|compression| pack_as(compression, &tree.layer(Part::Files), 2).digest)
    });
    assert_eq!(layers[0], layers[1]);
}

/// The files of a package in another order.
fn reordered(package: &Package, order: impl Iterator<Item = usize>) -> (Tree, Tree) {
    let (mut spliced, mut plain) = (Tree::new(), Tree::new());
    for (place, index) in order.enumerate() {
        let name = format!("f{place:05}");
        put(&mut spliced, Part::Files, &name, Node::new(META, Body::File(package.blobs[index].clone())));
        put(&mut plain, Part::Files, &name, crate::file(package.contents[index].clone()));
    }
    (spliced, plain)
}

#[test]
fn files_in_any_order_are_found() {
    let content = |n: usize| if n % 4 == 3 { noise(90_000 + n, 7) } else { prose(30_000 + n, n as u64) };
    let package = Package::new((0..40).map(content).collect(), 6, 20_000);
    let orders: [Vec<usize>; 3] = [
        (0..40).rev().collect(),
        (0..40).chain(0..40).collect(),
        (0..40).map(|n| (n / 10) * 10 + 9 - n % 10).collect(),
    ];
    for order in orders {
        let (spliced, plain) = reordered(&package, order.into_iter());
        assert!(check(&spliced, &plain).copied > 0);
    }
    // Back and forth over too much: it is unpacked first.
    let (spliced, plain) = reordered(&package, (0..200).map(|n| n * 27 % 40));
    assert_eq!(check(&spliced, &plain).digest, pack_part(&plain, Part::Files).digest);
    let many = Package::new((0..1200).map(|n| prose(200, n)).collect(), 6, 1 << 20);
    let (spliced, plain) = reordered(&many, (0..1200).rev());
    assert_eq!(check(&spliced, &plain).digest, pack_part(&plain, Part::Files).digest);
}

#[test]
fn every_reader_takes_it() {
    let packages = [Package::new(varied(3), 6, 1 << 20), Package::new(varied(4), 9, 30_000)];
    let layer = pack_part(&tree_of(&packages).0, Part::Files);
    let packed = layer.blob.read_to_vec(u64::MAX).unwrap();
    let go = "package main\nimport (\"compress/gzip\";\"io\";\"os\")\nfunc main(){r,e:=gzip.NewReader(os.Stdin);\
              if e!=nil{panic(e)};if _,e=io.Copy(io.Discard,r);e!=nil{panic(e)}}";
    let folder = std::env::temp_dir().join(format!("assemble-splice-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("main.go"), go).unwrap();
    let program = folder.join("main.go").into_os_string().into_string().unwrap();
    let python = "import gzip,sys;gzip.decompress(sys.stdin.buffer.read())";
    for command in [vec!["gzip", "-t"], vec!["python3", "-c", python], vec!["go", "run", &program]] {
        let child = Command::new(command[0]).args(&command[1..]).stdin(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: there is no {}", command[0]);
            continue;
        };
        child.stdin.take().unwrap().write_all(&packed).unwrap();
        assert!(child.wait().unwrap().success(), "{}", command[0]);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn fails(package: Package, n: usize) -> LayerError {
    let tree = tree_of(&[package]).0;
    let entries = tree.layer(Part::Files);
    pack(&entries, &AccountNames::none(), Compression::Gzip, threads(n), &MemorySpool).unwrap_err()
}

#[test]
fn damaged_streams_are_errors_that_name_the_file() {
    for n in [1, 2, 8] {
        let cut = |mut stream: Vec<u8>| {
            stream.truncate(stream.len() / 2);
            Blob::from_bytes(stream)
        };
        let error = fails(Package::with(varied(1), 6, 1 << 20, &cut, u64::MAX), n);
        assert!(error.to_string().ends_with("cannot be unpacked"), "{error}");
        assert_eq!((error.code(), error.kind()), ("layer/stream", Kind::Integrity));
        let short = |stream: Vec<u8>| Blob::new(Arc::new(stream[..stream.len() / 2].to_vec()), 1 << 40);
        let error = fails(Package::with(varied(1), 6, 1 << 20, &short, u64::MAX), n);
        assert_eq!(error.code(), "layer/content");
        let damaged = |mut stream: Vec<u8>| {
            let middle = stream.len() / 2;
            stream[middle..middle + 1000].fill(0xff);
            Blob::from_bytes(stream)
        };
        let error = fails(Package::with(vec![prose(900_000, 1)], 6, 1 << 20, &damaged, u64::MAX), n);
        assert_eq!(error.code(), "layer/stream");
    }
}

#[test]
fn a_stream_that_changes_is_noticed() {
    let same = |stream: Vec<u8>| Blob::from_bytes(stream);
    let error = fails(Package::with(varied(1), 6, 1 << 20, &same, 0), 2);
    assert_eq!(error.code(), "layer/content");
    let backwards = Package::with((0..40).map(|n| prose(60_000, n)).collect(), 6, 1 << 20, &same, 0);
    let mut tree = Tree::new();
    for (index, blob) in backwards.blobs.iter().rev().enumerate() {
        put(&mut tree, Part::Files, &format!("{index:02}"), Node::new(META, Body::File(blob.clone())));
    }
    let entries = tree.layer(Part::Files);
    let error =
        pack(&entries, &AccountNames::none(), Compression::Gzip, threads(2), &MemorySpool).unwrap_err();
    assert_eq!(error.code(), "layer/content");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_files_in_any_stream(
        seed: u64,
        sizes in prop::collection::vec(prop_oneof![0_usize..2000, 0_usize..300_000], 1..20),
        level in 0_u32..=9,
        every in prop::sample::select(vec![300_usize, 20_000, 1 << 20]),
    ) {
        let content = |(index, size): (usize, &usize)| match (seed >> (index % 60)) % 3 {
            0 => noise(*size, seed.wrapping_add(index as u64)),
            1 => prose(*size, seed % 5),
            _ => [prose(*size / 2, 1), vec![0; *size - *size / 2]].concat(),
        };
        let contents = sizes.iter().enumerate().map(content).collect();
        let (spliced, plain) = tree_of(&[Package::new(contents, level, every)]);
        let expected = pack_with(&plain.layer(Part::Files), 1);
        for compression in Compression::ALL {
            let layer = pack_as(compression, &spliced.layer(Part::Files), 2);
            prop_assert_eq!(layer.diff_id, expected.diff_id);
            prop_assert_eq!(diff_id(&layer.blob).unwrap().0, layer.diff_id);
        }
    }
}
