//! The database of the image that is built upon.
//!
//! # Why it is the way it is
//! apko reads these records and writes them again before its own. On the way modes, owners and checksums of files are
//! lost, and `i:` gets one more pair of brackets. The result is part of the layer, so it is the same here.

use std::collections::HashSet;
use std::str::FromStr;

use assemble_apk::{Checksum, Entry, EntryKind, PackageId, PackageName, Version, installed_db};
use assemble_types::{Blob, Explain, ImagePath, Kind, Mode, Owner};

use super::text::{MAX_LINE, lines};
use crate::shown::shown;

/// What apko writes for a record without a build time: the year 1.
const NO_TIME: i64 = -62_135_596_800;

/// The packages of the image that is built upon.
#[derive(Debug, Clone, Default)]
pub struct BaseDb {
    records: Vec<BaseRecord>,
}

/// Why the database of the base image cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the base image's database of packages, `{}`: {problem}", shown(.text))]
pub struct BaseDbError {
    /// Counts from 1.
    line: usize,
    text: Vec<u8>,
    problem: &'static str,
}

impl Explain for BaseDbError {
    fn code(&self) -> &'static str {
        "rootfs/base-database"
    }

    fn kind(&self) -> Kind {
        Kind::Integrity
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "`contents.baseimage.apkindex` is a folder with ARCH/APKINDEX in it, each a copy of the base image's \
             /usr/lib/apk/db/installed"
                .into(),
        ]
    }
}

#[derive(Debug, Clone)]
struct BaseRecord {
    id: PackageId,
    /// Values of the lines that are copied, by letter.
    texts: [Vec<u8>; 9],
    replaces: Option<Vec<u8>>,
    install_if: Option<Vec<u8>>,
    build_time: i64,
    size: u64,
    installed_size: u64,
    provider_priority: u64,
    checksum: Option<Checksum>,
    entries: Vec<Entry>,
}

/// The letters of [`BaseRecord::texts`].
const COPIED: &[u8; 9] = b"ALTomUDpc";

impl BaseDb {
    /// Reads the text of the database. As apko does, reading ends at the first line of 64 KiB or more.
    pub fn parse(text: &[u8]) -> Result<Self, BaseDbError> {
        let mut records = Vec::new();
        let mut draft = Draft::default();
        for (index, line) in lines(text).take_while(|line| line.len() <= MAX_LINE).enumerate() {
            let error = |problem| BaseDbError { line: index + 1, text: line.to_vec(), problem };
            match line {
                [] => records.extend(std::mem::take(&mut draft).finish().map_err(error)?),
                [letter, b':', value @ ..] => draft.line(*letter, value).map_err(error)?,
                _ => return Err(error("expected a letter, a colon and a value")),
            }
        }
        Ok(Self { records })
    }

    /// Name and version of each package, in the order of the database.
    pub fn packages(&self) -> impl Iterator<Item = &PackageId> {
        self.records.iter().map(|record| &record.id)
    }

    /// Whether a package of this name is in the base image.
    pub fn contains(&self, name: &PackageName) -> bool {
        self.records.iter().any(|record| record.id.name == *name)
    }

    /// The records as they stand at the beginning of the new database.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for record in &self.records {
            record.write(&mut out);
        }
        out
    }
}

impl BaseRecord {
    fn write(&self, out: &mut Vec<u8>) {
        let [arch, license, description, origin, maintainer, url, depends, provides, commit] =
            self.texts.each_ref().map(Vec::as_slice);
        let install_if = self.install_if.as_deref().unwrap_or_default();
        let mut line = |letter: u8, value: &[u8]| {
            out.extend([letter, b':']);
            out.extend_from_slice(value);
            out.push(b'\n');
        };
        line(b'P', self.id.name.as_str().as_bytes());
        line(b'V', self.id.version.as_str().as_bytes());
        for (letter, value) in
            b"ALTomUDp".iter().zip([arch, license, description, origin, maintainer, url, depends, provides])
        {
            line(*letter, value);
        }
        if let Some(replaces) = &self.replaces {
            line(b'r', replaces);
        }
        line(b'c', commit);
        line(b'i', &[b"[", install_if, b"]"].concat());
        line(b't', self.build_time.to_string().as_bytes());
        line(b'S', self.size.to_string().as_bytes());
        line(b'I', self.installed_size.to_string().as_bytes());
        line(b'k', self.provider_priority.to_string().as_bytes());
        if let Some(checksum) = &self.checksum {
            line(b'C', checksum.to_string().as_bytes());
        }
        installed_db::write_files(out, &self.entries.iter().collect::<Vec<_>>());
        out.push(b'\n');
    }
}

#[derive(Default)]
struct Draft {
    name: Vec<u8>,
    version: Vec<u8>,
    texts: [Vec<u8>; 9],
    replaces: Option<Vec<u8>>,
    install_if: Option<Vec<u8>>,
    build_time: Option<i64>,
    size: u64,
    installed_size: u64,
    provider_priority: u64,
    checksum: Option<Checksum>,
    folder: Option<ImagePath>,
    entries: Vec<Entry>,
    /// Paths seen, since a path comes once.
    seen: HashSet<ImagePath>,
}

fn number<T: FromStr>(value: &[u8]) -> Result<T, &'static str> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or("this is no number")
}

impl Draft {
    fn line(&mut self, letter: u8, value: &[u8]) -> Result<(), &'static str> {
        if let Some(place) = COPIED.iter().position(|known| *known == letter) {
            self.texts[place] = value.to_vec();
            return Ok(());
        }
        match letter {
            b'P' => self.name = value.to_vec(),
            b'V' => self.version = value.to_vec(),
            b'r' => self.replaces = Some(value.to_vec()),
            b'i' => self.install_if = Some(value.to_vec()),
            b't' => self.build_time = Some(number(value)?),
            b'S' => self.size = number(value)?,
            b'I' => self.installed_size = number(value)?,
            b'k' => self.provider_priority = number(value)?,
            b'C' => self.checksum = std::str::from_utf8(value).ok().and_then(|c| Checksum::parse(c).ok()),
            b'F' => self.folder(value)?,
            b'R' => self.file(value)?,
            _ => {}
        }
        Ok(())
    }

    fn folder(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let path = ImagePath::parse(value).map_err(|_| "this is no path of an image")?;
        if !path.is_root() {
            self.add(path.clone(), EntryKind::Directory);
        }
        self.folder = Some(path);
        Ok(())
    }

    fn file(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let folder = self.folder.clone().unwrap_or_default();
        let path = folder.join(name).map_err(|_| "this is no path of an image")?;
        self.add(path, EntryKind::File(Blob::from_bytes(Vec::new())));
        Ok(())
    }

    fn add(&mut self, path: ImagePath, kind: EntryKind) {
        let mode = if matches!(kind, EntryKind::Directory) { Mode::DIRECTORY } else { Mode::FILE };
        if self.seen.insert(path.clone()) {
            self.entries.push(Entry {
                path,
                kind,
                mode,
                owner: Owner::ROOT,
                mtime: 0,
                checksum: None,
                xattrs: None,
            });
        }
    }

    /// A record without a name is left out.
    fn finish(self) -> Result<Option<BaseRecord>, &'static str> {
        if self.name.is_empty() {
            return Ok(None);
        }
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
        let name =
            PackageName::parse(&text(&self.name)).map_err(|_| "the record's name is no package name")?;
        let version =
            Version::parse(&text(&self.version)).map_err(|_| "the record's version is no version")?;
        Ok(Some(BaseRecord {
            id: PackageId { name, version },
            texts: self.texts,
            replaces: self.replaces,
            install_if: self.install_if,
            build_time: self.build_time.unwrap_or(NO_TIME),
            size: self.size,
            installed_size: self.installed_size,
            provider_priority: self.provider_priority,
            checksum: self.checksum,
            entries: self.entries,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_on_the_way() {
        let text = "P:a\nV:1.0-r0\nA:x86_64\nL:MIT\nT:text: here\no:a\nm:M\nU:u\nD:b c\np:x=1 y\nr:old\nc:12\n\
                    i:[d e]\nt:5\nS:6\nI:7\nk:8\nq:unknown\nC:Q1HoiOtn+jC4j4pv70HhPFiAcwP+g=\nF:\nR:top\nF:usr\nM:0:0:0700\n\
                    F:usr/bin\nR:tool\na:0:0:0755\nZ:Q1HoiOtn+jC4j4pv70HhPFiAcwP+g=\n\nP:b\nV:2\n\n";
        let base = BaseDb::parse(text.as_bytes()).unwrap();
        let names: Vec<String> = base.packages().map(ToString::to_string).collect();
        assert_eq!(names, ["a-1.0-r0", "b-2"]);
        assert!(base.contains(&PackageName::parse("b").unwrap()));
        assert!(!base.contains(&PackageName::parse("c").unwrap()));
        assert_eq!(
            String::from_utf8(base.write()).unwrap(),
            "P:a\nV:1.0-r0\nA:x86_64\nL:MIT\nT:text: here\no:a\nm:M\nU:u\nD:b c\np:x=1 y\nr:old\nc:12\n\
             i:[[d e]]\nt:5\nS:6\nI:7\nk:8\nC:Q1HoiOtn+jC4j4pv70HhPFiAcwP+g=\nF:\nR:top\nF:usr\nF:usr/bin\nR:tool\n\n\
             P:b\nV:2\nA:\nL:\nT:\no:\nm:\nU:\nD:\np:\nc:\ni:[]\nt:-62135596800\nS:0\nI:0\nk:0\n\n"
        );
    }

    #[test]
    fn what_cannot_be_read_is_shown() {
        let error = BaseDb::parse(b"P:a\nnonsense\n").unwrap_err();
        expect_test::expect![
            "line 2 of the base image's database of packages, `nonsense`: expected a letter, a colon and a value"
        ]
        .assert_eq(&error.to_string());
        assert!(BaseDb::parse(b"P:a\nV:1\nF:../x\n\n").is_err());
        assert!(BaseDb::parse(b"P:a\nV:1\nt:x\n\n").is_err());
        assert!(!error.hints().is_empty());
    }
}
