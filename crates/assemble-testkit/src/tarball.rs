//! A tar writer of its own: `ustar` headers, with a PAX header where something does not fit or is asked for.

use std::collections::BTreeMap;
use std::io::Write as _;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file with its bytes.
    File(Vec<u8>),
    /// A folder.
    Directory,
    /// A symbolic link with its text.
    Symlink(String),
    /// A hard link to another entry.
    HardLink(String),
    /// Any other type, by its type flag, with size 0.
    Other(u8),
}

/// One entry of a tar archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// The name exactly as it goes into the archive.
    pub name: String,
    /// What it is.
    pub kind: TarKind,
    /// The mode field.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Owner's name.
    pub user: String,
    /// Group's name.
    pub group: String,
    /// Seconds since 1970.
    pub mtime: i64,
    /// PAX records of this entry.
    pub pax: BTreeMap<String, Vec<u8>>,
}

impl TarEntry {
    /// An entry owned by root at time 0, with the usual mode of its kind.
    pub fn new(name: impl Into<String>, kind: TarKind) -> Self {
        let mode = match kind {
            TarKind::Directory => 0o755,
            TarKind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        let root = || "root".to_owned();
        let (user, group) = (root(), root());
        Self { name: name.into(), kind, mode, uid: 0, gid: 0, user, group, mtime: 0, pax: BTreeMap::new() }
    }

    /// A regular file.
    pub fn file(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self::new(name, TarKind::File(content.into()))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut pax = self.pax.clone();
        let (flag, link, content): (u8, &str, &[u8]) = match &self.kind {
            TarKind::File(content) => (b'0', "", content),
            TarKind::Directory => (b'5', "", b""),
            TarKind::Symlink(target) => (b'2', target, b""),
            TarKind::HardLink(target) => (b'1', target, b""),
            TarKind::Other(flag) => (*flag, "", b""),
        };
        let mut need = |key: &str, value: &str, fits: bool| {
            if !fits {
                pax.entry(key.to_owned()).or_insert_with(|| value.as_bytes().to_vec());
            }
        };
        need("path", &self.name, self.name.len() <= 100);
        need("linkpath", link, link.len() <= 100);
        need("mtime", &self.mtime.to_string(), (0..1 << 33).contains(&self.mtime));
        need("uid", &self.uid.to_string(), self.uid < 1 << 21);
        need("gid", &self.gid.to_string(), self.gid < 1 << 21);
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            let header = Self::new("./PaxHeaders/entry", TarKind::File(Vec::new()));
            out.extend(header.header(b'x', "", records.len()));
            append_padded(out, &records);
        }
        out.extend(self.header(flag, link, content.len()));
        append_padded(out, content);
    }

    fn header(&self, flag: u8, link: &str, size: usize) -> [u8; 512] {
        let mut block = [0; 512];
        put(&mut block[0..100], self.name.as_bytes());
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], size as u64);
        octal(&mut block[136..148], u64::try_from(self.mtime).unwrap_or(0));
        block[156] = flag;
        put(&mut block[157..257], link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        put(&mut block[265..297], self.user.as_bytes());
        put(&mut block[297..329], self.group.as_bytes());
        octal(&mut block[329..337], 0);
        octal(&mut block[337..345], 0);
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
        let digits = format!("{sum:06o}");
        block[148..154].copy_from_slice(digits.as_bytes());
        block[154] = 0;
        block
    }
}

fn put(field: &mut [u8], value: &[u8]) {
    let n = value.len().min(field.len());
    field[..n].copy_from_slice(&value[..n]);
}

/// Octal with a closing NUL; a number that does not fit is written as 0, its PAX record says the rest.
fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let text = format!("{value:0width$o}");
    let text = if text.len() > width { format!("{:0width$}", 0) } else { text };
    field[..width].copy_from_slice(text.as_bytes());
}

fn append_padded(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// The archive; with `end` it has its two closing zero blocks.
pub fn tar_bytes(entries: &[TarEntry], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        entry.write(&mut out);
    }
    if end {
        out.resize(out.len() + 1024, 0);
    }
    out
}

/// One gzip member without name and time.
pub fn gzip_member(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(plain).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pax_records_count_themselves() {
        assert_eq!(pax_record("path", b"x"), b"9 path=x\n");
        for n in 80..120 {
            let record = pax_record("k", &vec![b'v'; n]);
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn headers_add_up() {
        let tar = tar_bytes(&[TarEntry::file("a", *b"hello")], true);
        assert_eq!(tar.len(), 512 + 512 + 1024);
        let sum: u64 = tar[..512]
            .iter()
            .enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) })
            .sum();
        assert_eq!(&tar[148..154], format!("{sum:06o}").as_bytes());
        assert_eq!(&tar[512..517], b"hello");
    }
}
