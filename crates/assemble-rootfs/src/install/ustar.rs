//! Tar headers for the archive of scripts: USTAR, with an extended header before it for what does not fit.

use assemble_apk::ControlEntry;

const BLOCK: usize = 512;
/// The largest number in seven octal digits.
const MAX_ID: u32 = 0o777_7777;
/// The largest number in eleven octal digits.
const MAX_TIME: i64 = 0o777_7777_7777;

struct Header<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    mode: u32,
    uid: u32,
    gid: u32,
    size: usize,
    mtime: i64,
    kind: u8,
    user: &'a [u8],
    group: &'a [u8],
}

/// Appends one regular file.
pub(super) fn append(out: &mut Vec<u8>, name: &[u8], entry: &ControlEntry, mtime: i64) {
    let mut records: Vec<(&str, Vec<u8>)> = Vec::new();
    let split =
        (name.len() <= 100 && name.is_ascii()).then_some((&b""[..], name)).or_else(|| split_name(name));
    if split.is_none() {
        records.push(("path", name.to_vec()));
    }
    for (key, text) in [("uname", &entry.user), ("gname", &entry.group)] {
        if text.len() > 32 || !text.is_ascii() {
            records.push((key, text.clone()));
        }
    }
    for (key, id) in [("uid", entry.owner.uid), ("gid", entry.owner.gid)] {
        if id > MAX_ID {
            records.push((key, id.to_string().into_bytes()));
        }
    }
    if !(0..=MAX_TIME).contains(&mtime) {
        records.push(("mtime", mtime.to_string().into_bytes()));
    }
    if !records.is_empty() {
        extended(out, name, records);
    }
    let cut_name = ascii(name);
    let (prefix, short) = split.unwrap_or((b"", cut_name.get(..100).unwrap_or(&cut_name)));
    let (user, group) = (ascii(&entry.user), ascii(&entry.group));
    header(
        out,
        &Header {
            name: short,
            prefix,
            mode: entry.mode.bits(),
            uid: if entry.owner.uid > MAX_ID { 0 } else { entry.owner.uid },
            gid: if entry.owner.gid > MAX_ID { 0 } else { entry.owner.gid },
            size: entry.content.len(),
            mtime: if (0..=MAX_TIME).contains(&mtime) { mtime } else { 0 },
            kind: b'0',
            user: user.get(..32).unwrap_or(&user),
            group: group.get(..32).unwrap_or(&group),
        },
    );
    padded(out, &entry.content);
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii).collect()
}

/// Prefix and name at the last slash that lets both fit.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name[..name.len().min(156)].iter().rposition(|b| *b == b'/')?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (name.is_ascii() && at > 0 && (1..=100).contains(&rest.len())).then_some((prefix, rest))
}

/// The block of records that takes precedence over the header that follows.
fn extended(out: &mut Vec<u8>, name: &[u8], mut records: Vec<(&str, Vec<u8>)>) {
    records.sort_unstable();
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + rest.to_string().len();
        if rest + length.to_string().len() != length {
            length = rest + length.to_string().len();
        }
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(&value);
        body.push(b'\n');
    }
    let (folder, base) = super::root::split(name);
    let place = [folder, b"PaxHeaders.0", base].into_iter().filter(|part| !part.is_empty());
    let place = ascii(&place.collect::<Vec<_>>().join(&b'/'));
    let short = place.get(..100).unwrap_or(&place);
    header(
        out,
        &Header {
            name: short,
            prefix: b"",
            mode: 0,
            uid: 0,
            gid: 0,
            size: body.len(),
            mtime: 0,
            kind: b'x',
            user: b"",
            group: b"",
        },
    );
    padded(out, &body);
}

fn padded(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

fn header(out: &mut Vec<u8>, header: &Header<'_>) {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, header.name);
    put(100, format!("{:07o}", header.mode).as_bytes());
    put(108, format!("{:07o}", header.uid).as_bytes());
    put(116, format!("{:07o}", header.gid).as_bytes());
    put(124, format!("{:011o}", header.size).as_bytes());
    put(136, format!("{:011o}", header.mtime).as_bytes());
    put(148, b"        ");
    put(156, &[header.kind]);
    put(257, b"ustar\x0000");
    put(265, header.user);
    put(297, header.group);
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, header.prefix);
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
}
