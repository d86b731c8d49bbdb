//! Reads what the kernel and the dynamic loader read of an ELF file (System V ABI, chapters 4 and 5), and no more.
//!
//! # Why it is the way it is
//! Program headers count, sections may be stripped; they are only asked for what helps a hint. The file is read in
//! small pieces through a cache with a budget, so a file of gigabytes costs kilobytes and a hostile one cannot ask
//! for more.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use assemble_types::{Arch, Blob, Platform};
use object::elf::{self, FileHeader32, FileHeader64};
use object::endian::Endianness;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _};
use object::read::{ReadCache, ReadRef, StringTable};

/// The most that one read may ask for: above every table of a real file.
const MAX_READ: u64 = 1 << 20;
/// The most that is read of one file in all.
const BUDGET: u64 = 16 << 20;
/// How many `DT_NEEDED` entries are looked at.
const MAX_NEEDED: usize = 4096;

/// Which language a program is written in, as far as hints depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// Another one, or the file does not tell.
    Unknown,
}

/// What kind of ELF file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElfType {
    Executable,
    /// A position-independent program or a library.
    Shared,
    /// An object file, a core dump, or something unknown.
    Other,
}

/// What is of interest.
#[derive(Debug, Clone)]
pub(super) struct Elf {
    /// The platform, if it is one that images are built for.
    pub(super) platform: Option<Platform>,
    /// The machine for people, also where `platform` is unknown.
    pub(super) machine: String,
    pub(super) kind: ElfType,
    pub(super) interpreter: Option<Vec<u8>>,
    pub(super) needed: Vec<Vec<u8>>,
    pub(super) rpath: Option<Vec<u8>>,
    pub(super) runpath: Option<Vec<u8>>,
    pub(super) soname: Option<Vec<u8>>,
    pub(super) language: Language,
}

/// Why a file that begins like an ELF file is none that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Headers contradict each other or lie outside of the file.
    #[error("its headers are damaged: {0}")]
    Damaged(String),
    /// The file ends before what its headers promise.
    #[error("it is cut short: its headers want {wanted} bytes, it has {found}")]
    CutShort {
        /// The end of the last segment.
        wanted: u64,
        /// The length of the file.
        found: u64,
    },
}

impl From<object::read::Error> for ElfError {
    fn from(error: object::read::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

fn damaged(what: &str) -> ElfError {
    ElfError::Damaged(what.to_owned())
}

/// Reads a file that begins with the ELF magic.
pub(super) fn read(blob: &Blob) -> Result<Elf, ElfError> {
    let cache = ReadCache::new(BlobSeek { blob: blob.clone(), at: 0, budget: BUDGET });
    let data = Bounded(&cache);
    let ident = data.read_bytes_at(0, 16).map_err(|()| damaged("the file header is incomplete"))?;
    match ident[4] {
        1 => read_class::<FileHeader32<Endianness>>(data, blob.len()),
        2 => read_class::<FileHeader64<Endianness>>(data, blob.len()),
        class => Err(damaged(&format!("unknown class {class}"))),
    }
}

fn read_class<H: FileHeader<Endian = Endianness>>(data: Bounded<'_>, len: u64) -> Result<Elf, ElfError> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut interpreter = None;
    let mut dynamic: &[H::Dyn] = &[];
    let mut wanted = 0;
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter.get_or_insert(path.to_vec());
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            dynamic = entries;
        }
        if segment.p_type(endian) == elf::PT_LOAD {
            let (start, size) = segment.file_range(endian);
            wanted = wanted.max(start.saturating_add(size));
        }
    }
    if wanted > len {
        return Err(ElfError::CutShort { wanted, found: len });
    }
    let links = Links::read::<H>(endian, data, segments, dynamic)?;
    let sections = Sections::read(header, endian, data);
    let (platform, machine) = platform(header, endian, sections.arm_before_v7);
    Ok(Elf {
        platform,
        machine,
        kind: match header.e_type(endian) {
            elf::ET_EXEC => ElfType::Executable,
            elf::ET_DYN => ElfType::Shared,
            _ => ElfType::Other,
        },
        interpreter,
        needed: links.needed,
        rpath: links.rpath,
        runpath: links.runpath,
        soname: links.soname,
        language: sections.language,
    })
}

fn platform<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    arm_before_v7: bool,
) -> (Option<Platform>, String) {
    let wide = header.is_class_64();
    let little = header.is_little_endian();
    let machine = header.e_machine(endian);
    let arch = match (machine, wide, little) {
        (elf::EM_386, false, true) => Some(Arch::X86),
        (elf::EM_X86_64, true, true) => Some(Arch::X86_64),
        (elf::EM_AARCH64, true, true) => Some(Arch::Aarch64),
        (elf::EM_ARM, false, true) if arm_before_v7 => Some(Arch::Armhf),
        (elf::EM_ARM, false, true) => Some(Arch::Armv7),
        (elf::EM_LOONGARCH, true, true) => Some(Arch::Loongarch64),
        (elf::EM_PPC64, true, true) => Some(Arch::Ppc64le),
        (elf::EM_RISCV, true, true) => Some(Arch::Riscv64),
        (elf::EM_S390, true, false) => Some(Arch::S390x),
        _ => None,
    };
    let name = match machine {
        elf::EM_386 => "x86".to_owned(),
        elf::EM_X86_64 => "x86-64".to_owned(),
        elf::EM_AARCH64 => "64-bit ARM".to_owned(),
        elf::EM_ARM => "ARM".to_owned(),
        elf::EM_LOONGARCH => "LoongArch".to_owned(),
        elf::EM_PPC => "POWER".to_owned(),
        elf::EM_PPC64 => "64-bit POWER".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        elf::EM_S390 => "IBM Z".to_owned(),
        elf::EM_MIPS => "MIPS".to_owned(),
        other => format!("ELF machine {}", other.0),
    };
    if let Some(platform) = arch.map(Platform::from) {
        return (Some(platform), platform.to_string());
    }
    let bits = if wide { "64-bit" } else { "32-bit" };
    let order = if little { "little-endian" } else { "big-endian" };
    (None, format!("{name} ({bits} {order})"))
}

/// What the dynamic section says.
#[derive(Default)]
struct Links {
    needed: Vec<Vec<u8>>,
    rpath: Option<Vec<u8>>,
    runpath: Option<Vec<u8>>,
    soname: Option<Vec<u8>>,
}

impl Links {
    fn read<H: FileHeader<Endian = Endianness>>(
        endian: Endianness,
        data: Bounded<'_>,
        segments: &[H::ProgramHeader],
        dynamic: &[H::Dyn],
    ) -> Result<Self, ElfError> {
        let entries = || {
            dynamic
                .iter()
                .map(|entry| (entry.tag(endian), entry.val(endian)))
                .take_while(|(tag, _)| *tag != elf::DT_NULL)
        };
        let value = |tag| entries().find(|(found, _)| *found == tag).map(|(_, value)| value);
        let wanted = [elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH, elf::DT_SONAME];
        if !entries().any(|(tag, _)| wanted.contains(&tag)) {
            return Ok(Self::default());
        }
        let address =
            value(elf::DT_STRTAB).ok_or_else(|| damaged("no string table for the dynamic section"))?;
        let size = value(elf::DT_STRSZ).unwrap_or(0);
        let start = segments
            .iter()
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .find_map(|segment| {
                let (offset, size) = segment.file_range(endian);
                let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
                (inside < size).then(|| offset.saturating_add(inside))
            })
            .ok_or_else(|| damaged("the string table of the dynamic section is in no segment"))?;
        let strings = StringTable::new(data, start, start.saturating_add(size));
        let text = |value: u64| -> Result<Vec<u8>, ElfError> {
            let offset = u32::try_from(value).map_err(|_| damaged("a string lies outside of its table"))?;
            let text = strings.get(offset).map_err(|()| damaged("a string lies outside of its table"))?;
            Ok(text.to_vec())
        };
        let mut links = Self::default();
        for (tag, value) in entries() {
            match tag {
                elf::DT_NEEDED if links.needed.len() < MAX_NEEDED => links.needed.push(text(value)?),
                elf::DT_RPATH => links.rpath = Some(text(value)?),
                elf::DT_RUNPATH => links.runpath = Some(text(value)?),
                elf::DT_SONAME => links.soname = Some(text(value)?),
                _ => {}
            }
        }
        Ok(links)
    }
}

/// What sections tell, where there are any. They never decide whether a file can start.
struct Sections {
    language: Language,
    arm_before_v7: bool,
}

impl Sections {
    fn read<H: FileHeader<Endian = Endianness>>(header: &H, endian: Endianness, data: Bounded<'_>) -> Self {
        let mut found = Self { language: Language::Unknown, arm_before_v7: false };
        let Ok(sections) = header.sections(endian, data) else { return found };
        for section in sections.iter() {
            let name = sections.section_name(endian, section).unwrap_or_default();
            match name {
                b".go.buildinfo" | b".note.go.buildid" => found.language = Language::Go,
                b".comment" if found.language == Language::Unknown => {
                    let text = section.data(endian, data).unwrap_or_default();
                    if text.windows(5).any(|five| five == b"rustc") {
                        found.language = Language::Rust;
                    }
                }
                b".ARM.attributes" => {
                    found.arm_before_v7 =
                        arm_architecture(header, endian, data, section).is_some_and(|v| v < 10);
                }
                _ => {}
            }
        }
        found
    }
}

/// `Tag_CPU_arch` of the ARM attributes (ABI for the Arm Architecture, Addenda, section 3.3.5): 6 is v6, 10 is v7.
fn arm_architecture<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    data: Bounded<'_>,
    section: &H::SectionHeader,
) -> Option<u64> {
    if header.e_machine(endian) != elf::EM_ARM {
        return None;
    }
    let bytes = section.data(endian, data).ok()?;
    let attributes = object::read::elf::AttributesSection::<H>::new(endian, bytes).ok()?;
    let mut subsections = attributes.subsections().ok()?;
    while let Some(subsection) = subsections.next().ok()? {
        if subsection.vendor() != b"aeabi" {
            continue;
        }
        let mut parts = subsection.subsubsections();
        while let Some(part) = parts.next().ok()? {
            let mut reader = part.attributes();
            while let Some(tag) = reader.read_tag().ok()? {
                match tag {
                    6 => return reader.read_integer().ok(),
                    4 | 5 | 67 => drop(reader.read_string().ok()?),
                    32 => drop((reader.read_integer().ok()?, reader.read_string().ok()?)),
                    tag if tag > 32 && tag % 2 == 1 => drop(reader.read_string().ok()?),
                    _ => drop(reader.read_integer().ok()?),
                }
            }
        }
    }
    None
}

/// Makes a blob seekable, and gives out no more than a budget.
#[derive(Debug)]
struct BlobSeek {
    blob: Blob,
    at: u64,
    budget: u64,
}

impl Read for BlobSeek {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.blob.read_at(buf, self.at)?;
        self.at = self.at.saturating_add(n as u64);
        self.budget = self.budget.checked_sub(n as u64).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(n)
    }
}

impl Seek for BlobSeek {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.blob.len().saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

/// Refuses large reads before the cache makes room for them.
#[derive(Debug, Clone, Copy)]
struct Bounded<'a>(&'a ReadCache<BlobSeek>);

impl<'a> ReadRef<'a> for Bounded<'a> {
    fn len(self) -> Result<u64, ()> {
        ReadRef::len(self.0)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > MAX_READ { Err(()) } else { self.0.read_bytes_at(offset, size) }
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at_until(range, delimiter)
    }
}
