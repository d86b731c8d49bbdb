//! The database of installed packages, `usr/lib/apk/db/installed`, as apko writes it and `apk` and scanners read it.

use std::io::Write as _;
use std::str::FromStr;

use assemble_types::{Explain, Kind, Mode, Owner};
use foldhash::HashSet;

use crate::text::shown;
use crate::{Checksum, Entry, EntryKind, Package, PackageId, PackageName, Version};

/// A package and those of its entries that it owns in the image.
#[derive(Debug, Clone)]
pub struct InstalledPackage<'a> {
    /// The package.
    pub package: &'a Package,
    /// Its entries in archive order, without the files that another package has replaced.
    pub entries: Vec<&'a Entry>,
}

/// What the database says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledRecord {
    /// `P:`
    pub name: PackageName,
    /// `V:`
    pub version: Version,
    /// `A:`
    pub arch: String,
    /// `L:`
    pub license: String,
    /// `o:`
    pub origin: String,
    /// `t:` Seconds since 1970.
    pub build_time: i64,
    /// `I:` Bytes, as the package claims.
    pub installed_size: u64,
    /// `C:`
    pub checksum: Option<Checksum>,
    /// `p:` as written.
    pub provides: Vec<String>,
}

/// Why a database cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstalledDbError {
    /// The format has no place for the mode of the root folder.
    #[error(
        "{package}: it sets mode {mode} and owner {owner} for the root folder, which the database cannot record"
    )]
    RootMode {
        /// The package.
        package: PackageId,
        /// The mode.
        mode: Mode,
        /// The owner.
        owner: Owner,
    },
    /// A line that is none.
    #[error("line {line} of the installed database, `{}`: {problem}", shown(text))]
    Line {
        /// Counts from 1.
        line: usize,
        /// The line, or its beginning.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Explain for InstalledDbError {
    fn code(&self) -> &'static str {
        match self {
            Self::RootMode { .. } => "apk/root-mode",
            Self::Line { .. } => "apk/installed-db",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Integrity
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::RootMode { package, .. } => {
                vec![format!("leave {} out of contents.packages, or tell its maintainer", package.name)]
            }
            Self::Line { .. } => Vec::new(),
        }
    }
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Directory)
}

/// Appends what orders an entry in the database: a folder before what lies in it; in a folder first all else, then the
/// folders, each in byte order.
fn order(entry: &Entry, out: &mut Vec<u8>) {
    let mut components = entry.path.components().peekable();
    while let Some(name) = components.next() {
        let is_folder = components.peek().is_some() || is_directory(entry);
        out.push(u8::from(is_folder));
        out.extend_from_slice(name);
        // No name has this byte, so a name comes before those that begin with it.
        out.push(0);
    }
}

/// Those entries all of whose folders are in the package too, in the order of the database.
fn listed<'a>(entries: &[&'a Entry]) -> Vec<&'a Entry> {
    let folders: HashSet<&[u8]> =
        entries.iter().filter(|e| is_directory(e)).map(|e| e.path.as_bytes()).collect();
    let has_folders = |path: &[u8]| {
        let mut slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        slashes.all(|(at, _)| folders.contains(&path[..at]))
    };
    let (mut keys, mut kept) = (Vec::new(), Vec::new());
    // Of entries that lie in one folder, which mostly come together, one is looked at.
    let mut last: Option<(&[u8], bool)> = None;
    for entry in entries {
        let path = entry.path.as_bytes();
        let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |at| &path[..=at]);
        let listed = match last {
            Some((same, listed)) if same == folder => listed,
            _ => has_folders(folder),
        };
        last = Some((folder, listed));
        if listed {
            let start = keys.len();
            order(entry, &mut keys);
            kept.push((start..keys.len(), *entry));
        }
    }
    kept.sort_by(|(a, _), (b, _)| keys[a.clone()].cmp(&keys[b.clone()]));
    kept.into_iter().map(|(_, entry)| entry).collect()
}

/// Writes the whole database: one record a package, in this order.
pub fn write(packages: &[InstalledPackage<'_>]) -> Result<Vec<u8>, InstalledDbError> {
    let mut out = Vec::new();
    for package in packages {
        record(&mut out, package)?;
    }
    Ok(out)
}

/// Writes the record of one package, with the empty line that ends it, behind what is there.
///
/// # Errors
/// The package has what a database cannot hold; then nothing was written.
pub fn record(out: &mut Vec<u8>, package: &InstalledPackage<'_>) -> Result<(), InstalledDbError> {
    let unusual = |e: &&&Entry| {
        e.path.is_root() && is_directory(e) && (e.mode, e.owner) != (Mode::DIRECTORY, Owner::ROOT)
    };
    if let Some(root) = package.entries.iter().find(unusual) {
        let (mode, owner) = (root.mode, root.owner);
        return Err(InstalledDbError::RootMode { package: package.package.id(), mode, owner });
    }
    write_header(out, package.package);
    write_files(out, &package.entries);
    out.push(b'\n');
    Ok(())
}

fn write_header(out: &mut Vec<u8>, package: &Package) {
    let info = &package.info;
    let mut line = |letter: char, value: &str| {
        // Writing to memory does not fail.
        let _ = writeln!(out, "{letter}:{value}");
    };
    line('P', info.name.as_str());
    line('V', info.version.as_str());
    line('A', &info.arch);
    line('L', &info.license);
    line('T', &info.description);
    line('o', &info.origin);
    line('m', &info.maintainer);
    line('U', &info.url);
    line('D', &info.depends.join(" "));
    line('p', &info.provides.join(" "));
    if !info.replaces.is_empty() {
        line('r', &info.replaces.join(" "));
    }
    line('c', &info.commit);
    // With brackets, even if empty: so apko does it.
    line('i', &format!("[{}]", info.install_if.join(" ")));
    line('t', &info.build_time.to_string());
    line('S', &package.size.to_string());
    line('I', &info.installed_size.to_string());
    line('k', &info.provider_priority.to_string());
    line('C', &package.checksum.short().to_string());
    if !info.tags.is_empty() {
        line('g', &info.tags.join(" "));
    }
}

/// Writes the lines of folders and files. The mode of the root folder, which the format has no place for, is left out.
pub fn write_files(out: &mut Vec<u8>, entries: &[&Entry]) {
    let mut in_folder = false;
    for entry in listed(entries) {
        let Entry { mode, owner, .. } = entry;
        let name = entry.path.file_name().unwrap_or_default();
        if is_directory(entry) {
            in_folder = true;
            out.extend_from_slice(b"F:");
            out.extend_from_slice(entry.path.as_bytes());
            out.push(b'\n');
            if (*mode, *owner) != (Mode::DIRECTORY, Owner::ROOT) && !entry.path.is_root() {
                let _ = writeln!(out, "M:{owner}:{mode}");
            }
            continue;
        }
        if !in_folder {
            in_folder = true;
            out.extend_from_slice(b"F:\n");
        }
        out.extend_from_slice(b"R:");
        out.extend_from_slice(name);
        out.push(b'\n');
        if (*mode, *owner) != (Mode::FILE, Owner::ROOT) {
            let _ = writeln!(out, "a:{owner}:{mode}");
        }
        if let Some(checksum) = &entry.checksum {
            out.extend_from_slice(b"Z:");
            out.extend_from_slice(&checksum.text());
            out.push(b'\n');
        }
    }
}

/// Longest line that is read; the lists of provides of real packages have a few hundred kilobytes at most.
const MAX_LINE: usize = 16 << 20;

/// Reads a database for inspection, by whomever it was written. Letters that are not known are passed over, records
/// without a name or version left out.
pub fn parse(bytes: &[u8]) -> Result<Vec<InstalledRecord>, InstalledDbError> {
    let text = String::from_utf8_lossy(bytes);
    let mut records = Vec::new();
    let mut draft = Draft::default();
    for (number, line) in text.split('\n').enumerate() {
        if line.is_empty() {
            records.extend(std::mem::take(&mut draft).finish());
            continue;
        }
        let error = |problem| InstalledDbError::Line {
            line: number + 1,
            text: line.chars().take(200).collect(),
            problem,
        };
        if line.len() > MAX_LINE {
            return Err(error("the line is too long"));
        }
        match line.as_bytes() {
            [letter, b':', ..] => draft.line(*letter, &line[2..]).map_err(error)?,
            _ => return Err(error("expected a letter, a colon and a value")),
        }
    }
    records.extend(draft.finish());
    Ok(records)
}

#[derive(Default)]
struct Draft {
    name: Option<PackageName>,
    version: Option<Version>,
    arch: String,
    license: String,
    origin: String,
    build_time: i64,
    installed_size: u64,
    checksum: Option<Checksum>,
    provides: Vec<String>,
}

fn number<T: FromStr>(value: &str) -> Result<T, &'static str> {
    value.parse().map_err(|_| "this is no number")
}

impl Draft {
    fn line(&mut self, letter: u8, value: &str) -> Result<(), &'static str> {
        match letter {
            b'P' => self.name = Some(PackageName::parse(value).map_err(|_| "this is no package name")?),
            b'V' => self.version = Some(Version::parse(value).map_err(|_| "this is no version")?),
            b'A' => value.clone_into(&mut self.arch),
            b'L' => value.clone_into(&mut self.license),
            b'o' => value.clone_into(&mut self.origin),
            b't' => self.build_time = number(value)?,
            b'I' => self.installed_size = number(value)?,
            b'C' => self.checksum = Checksum::parse(value).ok(),
            b'p' => self.provides = value.split_ascii_whitespace().map(str::to_owned).collect(),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Option<InstalledRecord> {
        Some(InstalledRecord {
            name: self.name?,
            version: self.version?,
            arch: self.arch,
            license: self.license,
            origin: self.origin,
            build_time: self.build_time,
            installed_size: self.installed_size,
            checksum: self.checksum,
            provides: self.provides,
        })
    }
}
