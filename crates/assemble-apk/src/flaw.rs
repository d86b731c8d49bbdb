//! Why bytes do not have the hash that was promised for them, as far as their outer form tells.

use std::io::{self, BufRead, Read as _};

use flate2::bufread::GzDecoder;

use crate::sections::GZIP_MAGIC;

/// What is visibly wrong with bytes that should be one gzip member. It is only looked for once a hash or a signature
/// has failed, to tell a broken download from an altered file; nothing is decided by it, and nothing inside is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The bytes end before the member does.
    CutShort,
    /// They cannot be unpacked, or not to what gzip's own checksum says.
    Damaged,
    /// Another gzip member follows.
    FurtherMember,
    /// Bytes of no kind follow.
    Trailing,
}

impl Flaw {
    /// A clause to follow a message about a hash.
    pub(crate) fn clause(flaw: Option<Self>) -> &'static str {
        match flaw {
            None => "",
            Some(Self::CutShort) => "; it is cut short",
            Some(Self::Damaged) => "; it is damaged",
            Some(Self::FurtherMember) => "; a further gzip member follows it, which nothing vouches for",
            Some(Self::Trailing) => "; bytes follow behind its end, which nothing vouches for",
        }
    }

    /// Unpacks one member into nothing, and looks at what follows. No more than `limit` bytes are unpacked.
    pub(crate) fn find(input: &mut dyn BufRead, limit: u64) -> Option<Self> {
        let mut decoder = GzDecoder::new(&mut *input);
        let mut buffer = vec![0; 64 << 10];
        let mut total = 0;
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => total += n as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Some(Self::CutShort),
                Err(_) => return Some(Self::Damaged),
            }
            if total > limit {
                return None;
            }
        }
        let rest = input.fill_buf().ok()?;
        match rest {
            [] => None,
            rest if rest.starts_with(&GZIP_MAGIC) => Some(Self::FurtherMember),
            _ => Some(Self::Trailing),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_flaw_is_told_from_the_others() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[b'x'; 1000]).unwrap();
        let member = encoder.finish().unwrap();
        let find = |bytes: &[u8]| Flaw::find(&mut &*bytes, 10_000);
        assert_eq!(find(&member), None);
        for cut in [3, 12, member.len() - 1] {
            assert_eq!(find(&member[..cut]), Some(Flaw::CutShort), "{cut}");
        }
        let mut damaged = member.clone();
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        assert_eq!(find(&damaged), Some(Flaw::Damaged));
        assert_eq!(find(&[&member[..], &member].concat()), Some(Flaw::FurtherMember));
        assert_eq!(find(&[&member[..], b"more"].concat()), Some(Flaw::Trailing));
        assert_eq!(Flaw::find(&mut &member[..], 10), None, "the limit ends the search");
    }
}
