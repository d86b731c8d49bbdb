//! Small ELF files that a reader of program headers takes for real ones. They cannot run.

use assemble_types::Arch;

/// Describes an ELF file, then [`build`](Self::build)s it. Has `PT_LOAD` over the whole file, `PT_INTERP`,
/// `PT_DYNAMIC` and `PT_NOTE` where asked for, and no section headers, like a stripped file.
#[derive(Debug, Clone)]
pub struct FakeElf {
    arch: Arch,
    interpreter: Option<String>,
    needed: Vec<String>,
    rpath: Option<String>,
    runpath: Option<String>,
    soname: Option<String>,
    build_id: Option<Vec<u8>>,
    dynamic: bool,
    payload: Vec<u8>,
}

/// A dynamic (or, with nothing given, static) ELF file for `arch`, with `DT_RUNPATH`.
pub fn fake_elf(
    arch: Arch,
    interpreter: Option<&str>,
    needed: &[&str],
    runpath: Option<&str>,
    soname: Option<&str>,
) -> Vec<u8> {
    let mut elf = FakeElf::new(arch);
    elf.interpreter = interpreter.map(str::to_owned);
    elf.needed = needed.iter().map(|&name| name.to_owned()).collect();
    elf.runpath = runpath.map(str::to_owned);
    elf.soname = soname.map(str::to_owned);
    elf.build()
}

impl FakeElf {
    /// A static executable.
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            interpreter: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            soname: None,
            build_id: None,
            dynamic: false,
            payload: Vec::new(),
        }
    }

    /// `PT_INTERP`.
    #[must_use]
    pub fn interpreter(mut self, path: &str) -> Self {
        self.interpreter = Some(path.to_owned());
        self
    }

    /// One more `DT_NEEDED`.
    #[must_use]
    pub fn needed(mut self, name: &str) -> Self {
        self.needed.push(name.to_owned());
        self
    }

    /// `DT_RPATH`.
    #[must_use]
    pub fn rpath(mut self, path: &str) -> Self {
        self.rpath = Some(path.to_owned());
        self
    }

    /// `DT_RUNPATH`.
    #[must_use]
    pub fn runpath(mut self, path: &str) -> Self {
        self.runpath = Some(path.to_owned());
        self
    }

    /// `DT_SONAME`.
    #[must_use]
    pub fn soname(mut self, name: &str) -> Self {
        self.soname = Some(name.to_owned());
        self
    }

    /// A GNU build ID note.
    #[must_use]
    pub fn build_id(mut self, id: &[u8]) -> Self {
        self.build_id = Some(id.to_vec());
        self
    }

    /// A dynamic section even if it is empty: what a static position-independent executable has.
    #[must_use]
    pub fn static_pie(mut self) -> Self {
        self.dynamic = true;
        self
    }

    /// Bytes at the end of the file.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.payload = bytes.to_vec();
        self
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        let out = Writer::new(self.arch);
        let (mut strings, dynamic) = self.dynamic_entries();
        strings.extend_from_slice(b"\0");
        let interpreter = self.interpreter.as_ref().map(|path| [path.as_bytes(), b"\0"].concat());
        let is_dynamic = self.dynamic || !dynamic.is_empty() || interpreter.is_some();
        let note = self.build_id.as_ref().map(|id| out.note(id));

        let count = 1 + [interpreter.is_some(), is_dynamic, note.is_some()].iter().filter(|on| **on).count();
        let header_len = out.header_size() + count * out.segment_size();
        let interpreter_at = header_len;
        let interpreter_len = interpreter.as_ref().map_or(0, Vec::len);
        let note_at = (interpreter_at + interpreter_len).next_multiple_of(8);
        let note_len = note.as_ref().map_or(0, Vec::len);
        let strings_at = note_at + note_len;
        let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
        let dynamic_len = if is_dynamic { (dynamic.len() + 3) * 2 * out.word() } else { 0 };
        let total = dynamic_at + dynamic_len + self.payload.len();

        let executable = !is_dynamic;
        let mut file = out.file_header(executable, count, self.arch);
        file.extend(out.segment(1, 5, 0, total, 0x1000));
        if interpreter.is_some() {
            file.extend(out.segment(3, 4, interpreter_at, interpreter_len, 1));
        }
        if is_dynamic {
            file.extend(out.segment(2, 6, dynamic_at, dynamic_len, 8));
        }
        if note.is_some() {
            file.extend(out.segment(4, 4, note_at, note_len, 4));
        }
        file.extend(interpreter.unwrap_or_default());
        file.resize(note_at, 0);
        file.extend(note.unwrap_or_default());
        file.extend(&strings);
        file.resize(dynamic_at, 0);
        if is_dynamic {
            let mut all = dynamic;
            all.push((5, (BASE + strings_at) as u64)); // DT_STRTAB
            all.push((10, strings.len() as u64)); // DT_STRSZ
            all.push((0, 0)); // DT_NULL
            for (tag, value) in all {
                file.extend(out.number(tag));
                file.extend(out.number(value));
            }
        }
        file.extend(&self.payload);
        file
    }

    /// The string table and the entries that refer to it.
    fn dynamic_entries(&self) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut strings = vec![0];
        let mut entries = Vec::new();
        let mut add = |tag: u64, text: &str| {
            entries.push((tag, strings.len() as u64));
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
        };
        self.needed.iter().for_each(|name| add(1, name));
        for (tag, text) in [(14, &self.soname), (15, &self.rpath), (29, &self.runpath)] {
            if let Some(text) = text {
                add(tag, text);
            }
        }
        (strings, entries)
    }
}

/// Where the file is loaded. Not 0, so that readers must translate addresses to offsets.
const BASE: usize = 0x1_0000;

struct Writer {
    wide: bool,
    little: bool,
}

impl Writer {
    fn new(arch: Arch) -> Self {
        let wide = !matches!(arch, Arch::X86 | Arch::Armhf | Arch::Armv7);
        Self { wide, little: arch != Arch::S390x }
    }

    fn word(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn header_size(&self) -> usize {
        if self.wide { 64 } else { 52 }
    }

    fn segment_size(&self) -> usize {
        if self.wide { 56 } else { 32 }
    }

    fn int(&self, value: u64, width: usize) -> Vec<u8> {
        let bytes = value.to_le_bytes();
        if self.little { bytes[..width].to_vec() } else { bytes[..width].iter().rev().copied().collect() }
    }

    fn number(&self, value: u64) -> Vec<u8> {
        self.int(value, self.word())
    }

    fn file_header(&self, executable: bool, segments: usize, arch: Arch) -> Vec<u8> {
        let (machine, flags) = match arch {
            Arch::X86 => (3, 0),
            Arch::X86_64 => (62, 0),
            Arch::Aarch64 => (183, 0),
            Arch::Armhf | Arch::Armv7 => (40, 0x0500_0400),
            Arch::Loongarch64 => (258, 0x43),
            Arch::Ppc64le => (21, 2),
            Arch::Riscv64 => (243, 5),
            Arch::S390x => (22, 0),
        };
        let mut out = b"\x7fELF".to_vec();
        out.extend([1 + u8::from(self.wide), if self.little { 1 } else { 2 }, 1, 0]);
        out.extend([0; 8]);
        out.extend(self.int(if executable { 2 } else { 3 }, 2));
        out.extend(self.int(machine, 2));
        out.extend(self.int(1, 4));
        out.extend(self.number(BASE as u64)); // entry
        out.extend(self.number(self.header_size() as u64)); // program headers
        out.extend(self.number(0)); // section headers
        out.extend(self.int(flags, 4));
        for half in [self.header_size(), self.segment_size(), segments, 0, 0, 0] {
            out.extend(self.int(half as u64, 2));
        }
        out
    }

    fn segment(&self, kind: u64, flags: u64, at: usize, len: usize, align: u64) -> Vec<u8> {
        let (at, address, len) = (at as u64, (BASE + at) as u64, len as u64);
        let mut out = self.int(kind, 4);
        if self.wide {
            out.extend(self.int(flags, 4));
        }
        for value in [at, address, address, len, len] {
            out.extend(self.number(value));
        }
        if !self.wide {
            out.extend(self.int(flags, 4));
        }
        out.extend(self.number(align));
        out
    }

    fn note(&self, id: &[u8]) -> Vec<u8> {
        let mut out = self.int(4, 4);
        out.extend(self.int(id.len() as u64, 4));
        out.extend(self.int(3, 4));
        out.extend(b"GNU\0");
        out.extend(id);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_point_where_they_should() {
        let file = fake_elf(Arch::X86_64, Some("/lib/ld.so"), &["libc.so.6"], Some("$ORIGIN"), None);
        assert_eq!(&file[..6], b"\x7fELF\x02\x01");
        let number =
            |at: usize| usize::try_from(u64::from_le_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
        let second = 64 + 56;
        assert_eq!(file[second], 3);
        let (at, len) = (number(second + 8), number(second + 32));
        assert_eq!(&file[at..at + len], b"/lib/ld.so\0");
        assert_eq!(number(64 + 32), file.len());
        assert_eq!(&fake_elf(Arch::S390x, None, &[], None, None)[16..20], [0, 2, 0, 22]);
        assert_eq!(fake_elf(Arch::Armv7, None, &[], None, None)[4], 1);
    }
}
