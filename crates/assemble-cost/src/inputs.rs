//! What the work is done on: always the same bytes, made without the code that is measured.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::Result;

/// A package.
pub(crate) const PACKAGE: &str = "app.apk";
/// How many packages of small files there are, where few and where many are looked at.
pub(crate) const FEW: usize = 10;
pub(crate) const MANY: usize = 60;
/// How many files each of them has, in folders of twenty.
const SMALL_FILES: usize = 200;
/// How many entries each of them has: its files, their folders, and three folders above these.
pub(crate) const ENTRIES: usize = SMALL_FILES + SMALL_FILES / 20 + 3;

/// The name of a package of small files.
pub(crate) fn small(number: usize) -> String {
    format!("small{number:02}.apk")
}

/// What the SHA-1 of a package's control section is called, behind the package's name.
pub(crate) const CHECKSUM: &str = ".sha1";
/// Contents of files, behind each other.
pub(crate) const FILES: &str = "files";
/// A layer in gzip.
pub(crate) const LAYER: &str = "layer.tar.gz";
/// An index without signature.
pub(crate) const INDEX: &str = "APKINDEX.tar.gz";

/// An index, also without signature, of a package that provides very much.
pub(crate) const PROVIDES: &str = "provides.tar.gz";

/// Packages in the index.
const PACKAGES: usize = 4000;
/// Names that one package provides, and another needs, each. For each of them one more package waits.
pub(crate) const PROVIDED: usize = 1000;

/// Writes everything.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let files = text(6 << 20);
    let tar = tar(cut(&files).enumerate().map(|(number, bytes)| (format!("usr/f{number:04}"), bytes)), true)?;
    let data = package(folder, PACKAGE, &tar)?;
    std::fs::write(folder.join(LAYER), data)?;
    for number in 0..MANY {
        let mut contents = vec![("usr/".to_owned(), String::new()), ("usr/share/".to_owned(), String::new())];
        contents.push((format!("usr/share/app{number:02}/"), String::new()));
        for file in 0..SMALL_FILES {
            let part = format!("usr/share/app{number:02}/part{:02}/", file / 20);
            if file % 20 == 0 {
                contents.push((part.clone(), String::new()));
            }
            contents.push((format!("{part}component-{file:06}.conf"), format!("number = {number}.{file}\n")));
        }
        let files = contents.iter().map(|(path, content)| (path.clone(), content.as_bytes()));
        package(folder, &small(number), &self::tar(files, true)?)?;
    }
    std::fs::write(folder.join(FILES), &files)?;
    for (name, index) in [(INDEX, index()), (PROVIDES, provides())] {
        let tar = self::tar([("APKINDEX".to_owned(), index.as_bytes())].into_iter(), true)?;
        std::fs::write(folder.join(name), gzip(&tar)?)?;
    }
    Ok(())
}

/// Writes a package with these files, and what vouches for it. Gives its data section.
fn package(folder: &Path, name: &str, tar: &[u8]) -> Result<Vec<u8>> {
    let data = gzip(tar)?;
    let mut info = "pkgname = app\npkgver = 1-r0\narch = x86_64\n".to_owned();
    writeln!(info, "datahash = {}", hex(&Sha256::digest(&data)))?;
    let control = gzip(&self::tar([(".PKGINFO".to_owned(), info.as_bytes())].into_iter(), false)?)?;
    std::fs::write(folder.join(format!("{name}{CHECKSUM}")), Sha1::digest(&control))?;
    std::fs::write(folder.join(name), [control, data.clone()].concat())?;
    Ok(data)
}

/// Cuts bytes into files of very different sizes.
pub(crate) fn cut(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let sizes =
        [300, 9_000, 70_000, 1_200, 400_000, 20, 25_000, 150_000, 3_000, 1_500_000].into_iter().cycle();
    let mut rest = bytes;
    sizes.map_while(move |size| {
        let (file, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        (!file.is_empty()).then_some(file)
    })
}

/// The packages that are asked for.
pub(crate) fn world() -> Vec<String> {
    (0..40).map(|number| format!("p{}", number * 97 % PACKAGES)).collect()
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        // Fits: it is less than a `usize`.
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// Half words of a vocabulary, half bytes like those of programs: it packs to about 40 %.
fn text(len: usize) -> Vec<u8> {
    let mut numbers = Numbers(0x2545_F491_4F6C_DD1D);
    let word = |numbers: &mut Numbers| -> Vec<u8> {
        let len = 2 + numbers.below(9);
        (0..len).map(|_| b"etaoinshrdlucmfwypvbgk_.:/"[numbers.below(26)]).collect()
    };
    let words: Vec<Vec<u8>> = (0..3000).map(|_| word(&mut numbers)).collect();
    let mut out = Vec::with_capacity(len + 4096);
    while out.len() < len {
        if numbers.below(2) == 0 {
            for _ in 0..200 {
                let rank = numbers.below(3000);
                out.extend_from_slice(&words[numbers.below(rank + 1)]);
                out.push(b' ');
            }
        } else {
            for _ in 0..160 {
                let record = numbers.next().to_le_bytes();
                out.extend_from_slice(&[0x48, 0x8b, record[0] & 0x3f, record[1] & 7, 0, 0, record[2], 0xe8]);
            }
        }
    }
    out.truncate(len);
    out
}

/// Each package needs some with lower numbers, and one of several that provide a name.
fn index() -> String {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut out = String::new();
    for number in 0..PACKAGES {
        let depends: Vec<String> = (0..numbers.below(5))
            .filter(|_| number > 0)
            .map(|_| format!("p{}", numbers.below(number)))
            .chain((number > 10).then(|| format!("so:lib{}.so.1", number % 10)))
            .collect();
        let _ = writeln!(out, "C:Q1{number:0>26}A=\nP:p{number}\nV:1.{}-r{}", number % 7, number % 3);
        let _ =
            writeln!(out, "A:x86_64\nS:1000\nI:4096\nT:package\nU:https://example.org\nL:MIT\no:p{number}");
        if number < 10 {
            let _ = writeln!(out, "p:so:lib{number}.so.1=1 cmd:p{number}=1");
        }
        if !depends.is_empty() {
            let _ = writeln!(out, "D:{}", depends.join(" "));
        }
        out.push('\n');
    }
    out
}

/// One package that needs much, one that provides all of it, and those that come if both are there.
fn provides() -> String {
    let names = (0..PROVIDED).map(|number| format!("n{number}=1")).collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut record = |number: usize, name: &str, what: &str| {
        let _ = writeln!(
            out,
            "C:Q1{number:0>26}A=\nP:{name}\nV:1-r0\nA:x86_64\nS:1000\nI:4096\nT:package\n{what}\n"
        );
    };
    record(0, "needs", &format!("D:{names}"));
    record(1, "provides", &format!("p:{names}"));
    for number in 0..PROVIDED {
        record(number + 2, &format!("waits{number}"), &format!("i:needs n{number}"));
    }
    out
}

/// A tar whose files have the checksums that packages have; without the closing blocks unless `closed`. Names that end with
/// a slash are folders.
fn tar<'a>(files: impl Iterator<Item = (String, &'a [u8])>, closed: bool) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (name, content) in files {
        let record = format!("APK-TOOLS.checksum.SHA1={}\n", hex(&Sha1::digest(content)));
        // The length counts its own two digits and the blank.
        let record = format!("{} {record}", record.len() + 3);
        let (kind, mode) = if name.ends_with('/') {
            (tar::EntryType::Directory, 0o755)
        } else {
            (tar::EntryType::Regular, 0o644)
        };
        let sum = (tar::EntryType::XHeader, "pax", record.as_bytes());
        let skipped = usize::from(kind == tar::EntryType::Directory);
        for (kind, name, content) in [sum, (kind, &name, content)].into_iter().skip(skipped) {
            let mut header = tar::Header::new_ustar();
            header.set_path(name)?;
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(content);
            out.resize(out.len().next_multiple_of(512), 0);
        }
    }
    if closed {
        out.resize(out.len() + 1024, 0);
    }
    Ok(out)
}

fn gzip(plain: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(plain)?;
    Ok(encoder.finish()?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
