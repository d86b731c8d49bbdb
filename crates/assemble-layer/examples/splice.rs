//! Measures how much of real packages can be copied block by block, and how fast: `splice FOLDER...` reads all `.apk`
//! files in the folders, and how fast their symbols become frames if `ZSTD` is set. With `THREADS` set it packs them as
//! one layer instead.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measurement"
)]

use std::io::Read;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use assemble_deflate::{Encoder, FrameEncoder, Inflater, Keep, Piece};
use assemble_layer::{AccountNames, Compression, pack};
use assemble_rootfs::{Body, Meta, Node, Part, Tree};
use assemble_types::{Blob, ImagePath, Mode, Owner, ReadAt, Spool, SpoolWriter};

/// The raw deflate stream of the last gzip member, its plain bytes, and the time that flate2 takes for them.
fn data_section(packed: &[u8]) -> Option<(&[u8], Vec<u8>, Duration)> {
    let mut rest = packed;
    loop {
        let begin = rest;
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        let header = gzip_header(begin)?;
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).ok()?;
        rest = decoder.into_inner();
        if rest.is_empty() {
            let stream = &begin[header..];
            let start = Instant::now();
            let mut decoder = flate2::bufread::DeflateDecoder::new(stream);
            let mut buffer = vec![0; 64 << 10];
            while decoder.read(&mut buffer).ok()? > 0 {}
            return Some((stream, plain, start.elapsed()));
        }
    }
}

/// Time that this thread had a processor, so that a busy machine does not show.
#[derive(Clone, Copy)]
struct Instant(Duration);

impl Instant {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self(Duration::from_nanos(nanos))
    }

    fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

fn gzip_header(member: &[u8]) -> Option<usize> {
    (member.get(..4)? == [0x1f, 0x8b, 8, 0]).then_some(10)
}

/// The headers and contents of the files in a tar.
fn files(plain: &[u8]) -> Vec<(Vec<u8>, Range<u64>)> {
    let mut archive = tar::Archive::new(plain);
    let mut out = Vec::new();
    for entry in archive.entries().unwrap() {
        let Ok(entry) = entry else { break };
        let start = entry.raw_file_position();
        let size = if entry.header().entry_type().is_file() { entry.size() } else { 0 };
        out.push((entry.header().as_bytes().to_vec(), start..start + size));
    }
    out
}

#[derive(Default)]
struct Totals {
    plain: u64,
    source: u64,
    source_plain: u64,
    spliced: u64,
    copied: u64,
    decode: Duration,
    encode: Duration,
    zlib: Duration,
    search: Duration,
    searched: u64,
    pieces: u64,
}

fn main() {
    if let Some(threads) = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()) {
        return layer(threads);
    }
    let mut all = Totals::default();
    for folder in std::env::args().skip(1) {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for name in names.iter().filter(|name| name.extension().is_some_and(|e| e == "apk")) {
            package(name, &mut all);
        }
    }
    let speed = |time: Duration| all.plain as f64 / time.as_secs_f64() / 1e6;
    println!("plain {} of {}, packed {}, spliced {}", all.plain, all.source_plain, all.source, all.spliced);
    println!("ratio {:.4} -> {:.4}", ratio(all.source, all.source_plain), ratio(all.spliced, all.plain));
    println!("copied {:.1} %, pieces {}", 100.0 * ratio(all.copied, all.plain), all.pieces);
    println!("flate2 {:.0} MB/s", all.source_plain as f64 / all.zlib.as_secs_f64() / 1e6);
    println!("decode {:.0} MB/s ({:.2} s)", speed(all.decode), all.decode.as_secs_f64());
    if all.searched > 0 {
        println!(
            "zstd -3 {:.0} MB/s ({:.2} s), {}",
            speed(all.search),
            all.search.as_secs_f64(),
            all.searched
        );
    }
    println!("encode {:.0} MB/s ({:.2} s)", speed(all.encode), all.encode.as_secs_f64());
}

fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

fn package(name: &Path, all: &mut Totals) {
    let packed = std::fs::read(name).unwrap();
    let Some((stream, plain, time)) = data_section(&packed) else {
        println!("{}: not read", name.display());
        return;
    };
    all.zlib += time;
    all.source += stream.len() as u64;
    all.source_plain += plain.len() as u64;
    let mut inflater = Inflater::new(stream);
    let mut piece = Piece::default();
    let (mut encoder, enough) = match compression() {
        Compression::Gzip => (Either::Blocks(Encoder::new()), 256 << 10),
        Compression::Zstd => (Either::Frames(FrameEncoder::new()), size("CUT", 1 << 20)),
    };
    let group = enough / 2;
    for (header, file) in files(&plain) {
        if file.end - file.start >= group as u64 {
            flush(&mut piece, &mut encoder, all);
        }
        piece.fresh(&header);
        if file.is_empty() {
            continue;
        }
        let start = Instant::now();
        inflater.skip_to(file.start).unwrap();
        all.decode += start.elapsed();
        while inflater.position() < file.end {
            let start = Instant::now();
            piece.file(&mut inflater, 0, &file, Some(enough), encoder.keep()).unwrap();
            all.decode += start.elapsed();
            if piece.plain.len() >= enough {
                flush(&mut piece, &mut encoder, all);
            }
        }
        piece.fresh(&[0; 512][..usize::try_from((512 - (file.end - file.start) % 512) % 512).unwrap_or(0)]);
        if piece.plain.len() >= group {
            flush(&mut piece, &mut encoder, all);
        }
    }
    flush(&mut piece, &mut encoder, all);
}

/// Whichever codes a piece.
enum Either {
    Blocks(Encoder),
    Frames(FrameEncoder),
}

impl Either {
    fn keep(&self) -> Keep {
        match self {
            Self::Blocks(_) => Keep::Blocks,
            Self::Frames(_) => Keep::Matches,
        }
    }

    fn encode(&mut self, piece: &Piece) -> &[u8] {
        match self {
            Self::Blocks(encoder) => encoder.encode(piece),
            Self::Frames(encoder) => encoder.encode(piece),
        }
    }
}

/// A size from the environment.
fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// What comes out, and the time of the fastest turn.
fn fastest<T>(turns: usize, mut work: impl FnMut() -> T) -> (T, Duration) {
    let mut turn = || {
        let start = std::time::Instant::now();
        (work(), start.elapsed())
    };
    let first = turn();
    (1..turns).map(|_| turn()).fold(first, |best, next| if next.1 < best.1 { next } else { best })
}

fn flush(piece: &mut Piece, encoder: &mut Either, all: &mut Totals) {
    if piece.plain.is_empty() {
        return;
    }
    all.plain += piece.plain.len() as u64;
    all.copied += piece.copied();
    let turns = size("TURNS", 1);
    let (bytes, time) = fastest(turns, || encoder.encode(piece).to_vec());
    all.encode += time;
    if matches!(encoder, Either::Frames(_)) {
        assert!(zstd::bulk::decompress(&bytes, piece.plain.len()).unwrap() == piece.plain);
        let (searched, time) = fastest(turns, || zstd::bulk::compress(&piece.plain, 3).unwrap());
        all.searched += searched.len() as u64;
        all.search += time;
    }
    all.spliced += bytes.len() as u64;
    all.pieces += 1;
    *piece = Piece::default();
}

/// A file on disk.
#[derive(Debug)]
struct OnDisk(std::fs::File);

impl ReadAt for OnDisk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }
}

/// Plain bytes that nobody reads.
#[derive(Debug)]
struct Unpacked(Blob);

impl ReadAt for Unpacked {
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::Error::other("only the stream is there"))
    }

    fn deflated(&self) -> Option<&Blob> {
        Some(&self.0)
    }
}

/// Takes the layer and counts it.
#[derive(Debug)]
struct Nowhere;

impl Spool for Nowhere {
    fn create(&self) -> std::io::Result<Box<dyn SpoolWriter>> {
        let file = std::fs::File::create(std::env::var_os("OUT").unwrap_or("/dev/null".into()))?;
        Ok(Box::new(Counter(file)))
    }
}

struct Counter(std::fs::File);

impl std::io::Write for Counter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SpoolWriter for Counter {
    fn finish(self: Box<Self>) -> std::io::Result<Blob> {
        Ok(Blob::from_bytes([]))
    }
}

/// Packs all files of all packages, in the order of their names.
fn layer(threads: NonZeroUsize) {
    let mut tree = Tree::new();
    for folder in std::env::args().skip(1) {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for name in names.iter().filter(|name| name.extension().is_some_and(|e| e == "apk")) {
            plant(name, &mut tree);
        }
    }
    let entries = tree.layer(Part::Packages);
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default().to_owned()
    };
    // What was needed for reading the packages does not count.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    println!("{} entries, {}", entries.len(), peak());
    let before = processor();
    let start = std::time::Instant::now();
    let layer = pack(&entries, &AccountNames::none(), compression(), threads, &Nowhere).unwrap();
    let wall = start.elapsed();
    println!("{} {}", layer.digest, layer.diff_id);
    println!("plain {}, packed {}", layer.uncompressed_size, layer.size);
    println!("ratio {:.4}", ratio(layer.size, layer.uncompressed_size));
    println!("copied {:.1} %", 100.0 * ratio(layer.copied, layer.uncompressed_size));
    let (wall, busy) = (wall.as_secs_f64(), processor() - before);
    println!("{wall:.2} s with {threads} threads, {busy:.2} s of processors, {}", peak());
}

fn compression() -> Compression {
    if std::env::var_os("ZSTD").is_some() { Compression::Zstd } else { Compression::Gzip }
}

/// Processor time of all threads, in seconds.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn plant(name: &Path, tree: &mut Tree) {
    let packed = std::fs::read(name).unwrap();
    let Some((stream, plain, _)) = data_section(&packed) else { return };
    let file = OnDisk(std::fs::File::open(name).unwrap());
    let from = (packed.len() - stream.len()) as u64;
    let stream = Blob::new(Arc::new(file), packed.len() as u64).slice(from..packed.len() as u64).unwrap();
    let whole = Blob::new(Arc::new(Unpacked(stream)), plain.len() as u64);
    let mut archive = tar::Archive::new(plain.as_slice());
    for entry in archive.entries().unwrap() {
        let Ok(entry) = entry else { break };
        let Ok(path) = ImagePath::parse(entry.path_bytes().as_ref()) else { continue };
        let meta = Meta { mode: Mode::FILE, owner: Owner::ROOT, mtime: 0 };
        let kind = entry.header().entry_type();
        if tree.get(&path).is_some() {
            continue;
        }
        let start = entry.raw_file_position();
        let body = if kind.is_file() {
            Body::File(whole.slice(start..start + entry.size()).unwrap())
        } else if kind.is_symlink() {
            Body::Symlink(entry.link_name_bytes().unwrap().as_ref().into())
        } else {
            continue;
        };
        let folder = Meta { mode: Mode::DIRECTORY, ..meta };
        if tree.make_directories(&path.parent().unwrap(), folder, Part::Packages).is_ok() {
            let id = tree.add(Node::new(meta, body));
            let _ = tree.insert(&path, id, Part::Packages, None);
        }
    }
}
