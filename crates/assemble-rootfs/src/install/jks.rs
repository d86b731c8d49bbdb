//! Java's key store, format JKS: read with the usual password, and written anew.
//!
//! A store is a header (magic number, version, number of entries), the entries, and a keyed SHA-1 over all before it.
//! An entry is a private key with its chain, or a trusted certificate; each has an alias and a time of creation.
//! All numbers are big-endian; texts have two bytes of length before them.

use std::collections::BTreeMap;

use assemble_types::Timestamp;
use sha1::{Digest as _, Sha1};

const MAGIC: u32 = 0xFEED_FEED;
const PASSWORD: &[u8] = b"changeit";
/// What the digest begins with after the password.
const WHITENER: &[u8] = b"Mighty Aphrodite";
const KEY: u32 = 1;
const TRUSTED: u32 = 2;

/// Why a store cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyStoreError {
    /// Another format; PKCS #12 begins with a sequence.
    #[error("it is no key store of format JKS, which begins with FEEDFEED; newer Javas write PKCS #12")]
    Format,
    /// An unknown version.
    #[error("it has the version {0}; expected 1 or 2")]
    Version(u32),
    /// Ends too early, or has an entry of an unknown kind.
    #[error("it is cut short or damaged, in entry {0}")]
    Damaged(u32),
    /// The keyed digest is another.
    #[error("its digest does not match: it is damaged, or its password is not `changeit`")]
    Digest,
}

/// The entries by alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyStore {
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Milliseconds since 1970, as they stand in the file.
    created: u64,
    kind: EntryKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum EntryKind {
    /// The key stays encrypted: nobody looks at it.
    Key {
        encrypted: Vec<u8>,
        chain: Vec<StoredCertificate>,
    },
    Trusted(StoredCertificate),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredCertificate {
    kind: Vec<u8>,
    content: Vec<u8>,
}

impl KeyStore {
    /// Reads a store and checks its digest. Bytes behind it do not count.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, KeyStoreError> {
        let mut reader = Reader { rest: raw, version: 0 };
        if reader.number() != Some(MAGIC) {
            return Err(KeyStoreError::Format);
        }
        reader.version = reader.number().ok_or(KeyStoreError::Damaged(0))?;
        if !(1..=2).contains(&reader.version) {
            return Err(KeyStoreError::Version(reader.version));
        }
        let count = reader.number().ok_or(KeyStoreError::Damaged(0))?;
        let mut entries = BTreeMap::new();
        for number in 0..count {
            let (alias, entry) = reader.entry().ok_or(KeyStoreError::Damaged(number))?;
            entries.insert(alias, entry);
        }
        let (body, found) = (&raw[..raw.len() - reader.rest.len()], reader.take(20));
        if found != Some(digest(body).as_slice()) {
            return Err(KeyStoreError::Digest);
        }
        Ok(Self { entries })
    }

    /// Adds a certificate that is trusted, in place of what has this alias.
    pub(super) fn trust(&mut self, alias: &str, der: &[u8], created: Timestamp) {
        let certificate = StoredCertificate { kind: b"X.509".to_vec(), content: der.to_vec() };
        let created = created.seconds().wrapping_mul(1000).cast_unsigned();
        let entry = Entry { created, kind: EntryKind::Trusted(certificate) };
        self.entries.insert(alias.to_lowercase().into_bytes(), entry);
    }

    /// The store in version 2, with the aliases in byte order.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let text = |out: &mut Vec<u8>, text: &[u8]| {
            out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(text);
        };
        let certificate = |out: &mut Vec<u8>, certificate: &StoredCertificate| {
            text(out, &certificate.kind);
            out.extend(length(&certificate.content));
            out.extend_from_slice(&certificate.content);
        };
        out.extend(MAGIC.to_be_bytes());
        out.extend(2u32.to_be_bytes());
        out.extend(u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (alias, entry) in &self.entries {
            let tag = if matches!(entry.kind, EntryKind::Key { .. }) { KEY } else { TRUSTED };
            out.extend(tag.to_be_bytes());
            text(&mut out, alias);
            out.extend(entry.created.to_be_bytes());
            match &entry.kind {
                EntryKind::Key { encrypted, chain } => {
                    out.extend(length(encrypted));
                    out.extend_from_slice(encrypted);
                    out.extend(u32::try_from(chain.len()).unwrap_or(u32::MAX).to_be_bytes());
                    for one in chain {
                        certificate(&mut out, one);
                    }
                }
                EntryKind::Trusted(one) => certificate(&mut out, one),
            }
        }
        let digest = digest(&out);
        out.extend(digest);
        out
    }
}

/// SHA-1 over the password in UTF-16, the whitener and the store.
fn digest(body: &[u8]) -> [u8; 20] {
    let mut hash = Sha1::new();
    for byte in PASSWORD {
        hash.update([0, *byte]);
    }
    hash.update(WHITENER);
    hash.update(body);
    hash.finalize().into()
}

struct Reader<'a> {
    rest: &'a [u8],
    version: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn sized(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        Some(self.take(length)?.to_vec())
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        Some(self.take(usize::from(length))?.to_vec())
    }

    /// Version 1 does not say of which kind a certificate is.
    fn certificate(&mut self) -> Option<StoredCertificate> {
        let kind = if self.version == 1 { b"X509".to_vec() } else { self.text()? };
        Some(StoredCertificate { kind, content: self.sized()? })
    }

    fn entry(&mut self) -> Option<(Vec<u8>, Entry)> {
        let tag = self.number()?;
        let alias = self.text()?;
        let created = u64::from_be_bytes(self.take(8)?.try_into().ok()?);
        let kind = match tag {
            KEY => {
                let encrypted = self.sized()?;
                let count = self.number()?;
                let chain = (0..count).map(|_| self.certificate()).collect::<Option<_>>()?;
                EntryKind::Key { encrypted, chain }
            }
            TRUSTED => EntryKind::Trusted(self.certificate()?),
            _ => return None,
        };
        Some((alias, Entry { created, kind }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate() -> impl Strategy<Value = StoredCertificate> {
        (proptest::collection::vec(any::<u8>(), 0..8), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, content)| StoredCertificate { kind, content })
    }

    fn store() -> impl Strategy<Value = KeyStore> {
        let kind = prop_oneof![
            certificate().prop_map(EntryKind::Trusted),
            (proptest::collection::vec(any::<u8>(), 0..40), proptest::collection::vec(certificate(), 0..3))
                .prop_map(|(encrypted, chain)| EntryKind::Key { encrypted, chain }),
        ];
        let entry = (any::<u64>(), kind).prop_map(|(created, kind)| Entry { created, kind });
        proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 0..10), entry, 0..5)
            .prop_map(|entries| KeyStore { entries })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(store in store()) {
            prop_assert_eq!(KeyStore::parse(&store.encode()), Ok(store));
        }

        #[test]
        fn every_changed_byte_is_noticed(store in store(), at in any::<proptest::sample::Index>()) {
            let mut raw = store.encode();
            let at = at.index(raw.len());
            raw[at] ^= 1;
            prop_assert!(KeyStore::parse(&raw).is_err());
        }

        #[test]
        fn no_bytes_break_it(tail in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut raw = MAGIC.to_be_bytes().to_vec();
            raw.extend([0, 0, 0, 2]);
            raw.extend(tail);
            let _ = KeyStore::parse(&raw);
        }
    }

    #[test]
    fn version_1_becomes_version_2_and_certificates_are_added() {
        let mut raw = Vec::new();
        raw.extend(MAGIC.to_be_bytes());
        raw.extend([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, b'B', 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 7]);
        raw.extend(digest(&raw));
        let mut store = KeyStore::parse(&raw).unwrap();
        store.trust("A-1", b"der", Timestamp::from_seconds(2).unwrap());
        let again = KeyStore::parse(&store.encode()).unwrap();
        assert_eq!(again, store);
        let aliases: Vec<&[u8]> = again.entries.keys().map(Vec::as_slice).collect();
        assert_eq!(aliases, [b"B".as_slice(), b"a-1"]);
        assert_eq!(again.entries[b"a-1".as_slice()].created, 2000);
        let EntryKind::Trusted(old) = &again.entries[b"B".as_slice()].kind else { panic!() };
        assert_eq!((old.kind.as_slice(), old.content.as_slice()), (b"X509".as_slice(), [7].as_slice()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let empty = KeyStore { entries: BTreeMap::new() }.encode();
        assert_eq!(KeyStore::parse(b"0\x82"), Err(KeyStoreError::Format));
        assert_eq!(KeyStore::parse(&empty[..empty.len() - 1]), Err(KeyStoreError::Digest));
        let mut raw = empty.clone();
        raw[7] = 3;
        assert_eq!(KeyStore::parse(&raw), Err(KeyStoreError::Version(3)));
        raw[7] = 2;
        raw[11] = 1;
        assert_eq!(KeyStore::parse(&raw), Err(KeyStoreError::Damaged(0)));
    }
}
