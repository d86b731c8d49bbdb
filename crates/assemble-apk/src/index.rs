//! Repository indexes: `APKINDEX.tar.gz`, and those of format version 3.

use std::io::{self, Read as _};

use assemble_types::{Explain, Kind, MemorySpool, Spool};
use flate2::bufread::GzDecoder;

use crate::adb::{self, AdbError, SignatureError};
use crate::flaw::Flaw;
use crate::index_text::{RecordReader, Room};
use crate::keyring::SignatureHash;
use crate::members::unpacked;
use crate::records::Records;
use crate::sections::GZIP_MAGIC;
use crate::tarball::{ArchiveError, ItemKind, WalkLimits, Walker, first_name, read_limited};
use crate::text::shown;
use crate::{Checksum, Constraint, Keyring, PackageName, PackageSpec, Provide, Version};

/// One package as the index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `P:` Fit to be part of a file name.
    pub name: PackageName,
    /// `V:` Perhaps outside the grammar; fit to be part of a file name.
    pub version: Version,
    /// `A:`
    pub arch: String,
    /// `L:`
    pub license: String,
    /// `T:`
    pub description: String,
    /// `o:` The source package; perhaps empty.
    pub origin: String,
    /// `m:`
    pub maintainer: String,
    /// `U:`
    pub url: String,
    /// `D:` A dependency outside the grammar becomes one that nothing meets.
    pub depends: Vec<Constraint>,
    /// `p:` One outside the grammar is left out, since it provides nothing.
    pub provides: Vec<Provide>,
    /// `i:`
    pub install_if: Vec<Constraint>,
    /// `c:`
    pub commit: String,
    /// `t:` Seconds since 1970; 0 if missing.
    pub build_time: i64,
    /// `S:` Bytes of the package file.
    pub size: u64,
    /// `I:` Bytes when installed; a claim only.
    pub installed_size: u64,
    /// `k:`
    pub provider_priority: u64,
    /// `C:`, in version 3 the hash. Nothing if it is missing or of another form; such a package cannot be installed.
    pub checksum: Option<Checksum>,
    /// A field in upper case that nobody knows: who does not know it must not install the package.
    pub unknown_field: Option<char>,
}

/// A repository index whose signature was checked (or was allowed to be missing).
#[derive(Debug, Clone)]
pub struct Index {
    /// In the order of the index.
    pub records: Records,
    /// What the index says about itself; often a version of the repository.
    pub description: String,
    /// The file name of the key whose signature was verified. Nothing if there was none, which only
    /// [`Trust::AllowUntrusted`] lets pass.
    pub signed_by: Option<String>,
    /// Where the packages' files lie.
    pub files: PackageSpec,
}

impl Index {
    /// One that lists nothing, for a place where there is none.
    pub fn empty() -> Self {
        let (records, description) = (Records::default(), String::new());
        Self { records, description, signed_by: None, files: PackageSpec::version_2() }
    }

    /// The database of installed packages of an image, read as an index: the same letters, and more, which are passed
    /// over.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn of_installed(text: &[u8]) -> Result<Self, IndexError> {
        let mut reader = RecordReader::new(Room::beside(text.len()), &MemorySpool);
        reader.feed(text);
        Ok(Self { records: reader.finish()?, ..Self::empty() })
    }
}

/// Whether an unsigned or foreign-signed index is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// A signature by a key of the keyring is needed.
    #[default]
    Required,
    /// The signature may be missing, unknown or wrong. [`Index::signed_by`] tells what came of it.
    AllowUntrusted,
}

/// Why an index is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Neither gzip nor anything else that is known.
    #[error("the file is no index: it begins with neither a gzip header nor `ADB`")]
    NotAnIndex,
    /// An index of format version 3 that cannot be used.
    #[error("the index of format version 3 cannot be used")]
    Adb(#[source] AdbError),
    /// A package of an index of format version 3.
    #[error("package {number} of the index cannot be used")]
    Record {
        /// Counts from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: AdbError,
    },
    /// How the index says that its packages' files are named.
    #[error("the index names its files as `{}`: {problem}", shown(text))]
    PackageSpec {
        /// The `pkgname-spec`.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Cannot be unpacked.
    #[error("the index is damaged or cut short")]
    Damaged(#[source] io::Error),
    /// Bytes behind the last gzip member.
    #[error("the index goes on behind its end, at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
    /// Unpacks to more than the limit.
    #[error("the index unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Lists so much that it is not kept.
    #[error("what the index lists takes more than {limit} bytes of memory")]
    TooMuch {
        /// The limit.
        limit: u64,
    },
    /// No signature in front.
    #[error("the index is not signed")]
    Unsigned,
    /// There is no key at all.
    #[error("the index is signed by {}, but there are no keys to check it with", list(signed_by))]
    NoKeys {
        /// Key names of its signatures.
        signed_by: Vec<String>,
    },
    /// There are keys, but none for a signature of this index.
    #[error(
        "the index is signed by {}, and none of these keys is trusted; trusted are {}",
        list(signed_by),
        list(keys)
    )]
    UnknownKey {
        /// Key names of its signatures.
        signed_by: Vec<String>,
        /// The keys there are.
        keys: Vec<String>,
    },
    /// There is a key of that name, and the signature is not its.
    #[error("the signature of the index does not verify with key {}{}", list(keys), Flaw::clause(*.flaw))]
    BadSignature {
        /// The keys that were tried.
        keys: Vec<String>,
        /// What is visibly wrong with the index.
        flaw: Option<Flaw>,
    },
    /// Signed by trusted keys, but with algorithms that are not supported.
    #[error(
        "the index has no signature that can be checked, only {}; RSA and RSA256 are supported",
        list(signatures)
    )]
    Algorithm {
        /// Names of its signatures.
        signatures: Vec<String>,
    },
    /// An entry of the signature part is named otherwise than signatures are.
    #[error("`{}` is no signature: expected .SIGN.RSA256.NAME.rsa.pub", shown(name))]
    SignatureName {
        /// The entry.
        name: String,
    },
    /// The signature part is too large to be one.
    #[error("the index has more than {MAX_SIGNATURES} signatures, or one of more than {limit} bytes")]
    SignatureSize {
        /// The limit.
        limit: u64,
    },
    /// No sound tar archive.
    #[error("the index is no sound archive")]
    Archive(#[source] ArchiveError),
    /// Something that an index does not hold.
    #[error("the index archive holds `{}`; only one APKINDEX and one DESCRIPTION belong there", shown(name))]
    Entry {
        /// The entry.
        name: String,
    },
    /// There is no list of packages in it.
    #[error("the index archive holds no APKINDEX")]
    NoList,
    /// A line that cannot be read.
    #[error("line {line} of the index, `{}`: {problem}", shown(text))]
    Line {
        /// Counts from 1.
        line: usize,
        /// The line, or its beginning.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The host does not take the records' lines, or does not give them back.
    #[error("the records of the index cannot be kept on this host until they are needed")]
    Keep(#[source] io::Error),
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(shown).collect();
    names.join(", ")
}

impl Explain for IndexError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAnIndex | Self::NoList | Self::Entry { .. } | Self::Adb(AdbError::Schema { .. }) => {
                "apk/not-an-index"
            }
            Self::TooLarge { .. }
            | Self::TooMuch { .. }
            | Self::SignatureSize { .. }
            | Self::Adb(AdbError::TooLarge { .. } | AdbError::Growth { .. })
            | Self::Record { source: AdbError::Growth { .. }, .. } => "apk/index-too-large",
            Self::Damaged(_)
            | Self::Trailing { .. }
            | Self::Archive(_)
            | Self::Adb(_)
            | Self::Record { .. } => "apk/index-damaged",
            Self::PackageSpec { .. } => "apk/package-spec",
            Self::Unsigned => "apk/index-unsigned",
            Self::NoKeys { .. } | Self::UnknownKey { .. } => "apk/index-unknown-key",
            Self::BadSignature { .. } => "apk/index-signature",
            Self::Algorithm { .. } | Self::SignatureName { .. } => "apk/index-signature-form",
            Self::Line { .. } => "apk/index-line",
            Self::Keep(_) => "apk/spool",
        }
    }

    fn kind(&self) -> Kind {
        if matches!(self, Self::Keep(_)) { Kind::Host } else { Kind::Integrity }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unsigned => vec![
                "sign it: melange sign-index --signing-key KEY.rsa APKINDEX.tar.gz (or abuild-sign)".into(),
                "or accept it as it is: --allow-untrusted".into(),
            ],
            Self::NoKeys { signed_by } | Self::UnknownKey { signed_by, .. } => vec![
                format!("add the key file to contents.keyring: {}", list(signed_by)),
                "or accept the index unchecked: --allow-untrusted".into(),
            ],
            Self::BadSignature { keys, .. } => vec![
                format!(
                    "make sure that contents.keyring has this repository's own key under the name {}",
                    list(keys)
                ),
                "if it has, the index was altered on its way: do not use it".into(),
            ],
            Self::Algorithm { .. } | Self::SignatureName { .. } => {
                vec!["sign it anew: melange sign-index --signing-key KEY.rsa APKINDEX.tar.gz".into()]
            }
            Self::PackageSpec { .. } => {
                vec![
                    "make the index anew, with a --pkgname-spec such as ${arch}/${name}-${version}.apk"
                        .into(),
                ]
            }
            Self::NotAnIndex | Self::NoList | Self::Entry { .. } => {
                vec![
                    "look at the repository's address: it ends before the architecture, as in …/v3.22/main"
                        .into(),
                ]
            }
            Self::Keep(_) => vec!["look at free space and permissions of the cache".into()],
            _ => vec!["build again; if it happens again, tell the repository's owner".into()],
        }
    }
}

impl IndexError {
    /// What came of the signatures of an index of format version 3.
    pub(crate) fn signature(error: SignatureError, keyring: &Keyring) -> Self {
        match error {
            SignatureError::Unsigned => Self::Unsigned,
            SignatureError::UnknownKey { ids } if keyring.is_empty() => Self::NoKeys { signed_by: ids },
            SignatureError::UnknownKey { ids } => {
                let keys = keyring.iter().map(|key| key.name().to_owned()).collect();
                Self::UnknownKey { signed_by: ids, keys }
            }
            SignatureError::Wrong { keys } => Self::BadSignature { keys, flaw: None },
            SignatureError::Form => Self::Algorithm { signatures: vec!["one of an unknown form".into()] },
        }
    }
}

/// Largest signature part, unpacked. A signature has a kilobyte.
const MAX_SIGNATURE: u64 = 1 << 20;
/// Most signature members in front of an index, and signatures in one of them. Each is checked over the whole index.
const MAX_SIGNATURES: usize = 16;
/// Largest index, unpacked, as in apko. The largest public ones have 30 MB.
const MAX_INDEX: u64 = 300 << 20;
/// How many times smaller an index is packed: 4.5 times those of Alpine, hardly any more than this.
const USUAL_RATIO: usize = 8;
/// Most bytes of a list for which there is room at once, whatever an index claims: the largest public ones have 30 MB.
const USUAL_LIST: usize = 32 << 20;
/// How much of a description is kept: it is one line in all public repositories.
const MAX_DESCRIPTION: usize = 64 << 10;
const WALK: WalkLimits = WalkLimits { extension: 1 << 20, headers: 1000 };

/// One signature of an index.
struct Signature<'a> {
    /// The entry's name.
    entry: String,
    /// The key's file name.
    key: String,
    /// Nothing for algorithms that are not supported.
    hash: Option<SignatureHash>,
    bytes: Vec<u8>,
    /// All raw bytes behind the gzip member that holds the signature.
    message: &'a [u8],
}

/// Reads an index and checks its signature over the raw bytes behind it, before those are unpacked.
///
/// One signature by a key of the keyring is enough: RSA over SHA-1 or SHA-256, in format version 3 RSA or ECDSA (P-256)
/// over SHA-512. The text is read as leniently as apko
/// does: unknown letters are passed over, records without a name or version left out.
///
/// The records' lines stay in memory; see [`read_index_into`].
pub fn read_index(packed: &[u8], keyring: &Keyring, trust: Trust) -> Result<Index, IndexError> {
    read_index_into(packed, keyring, trust, None, &MemorySpool)
}

/// [`read_index`] of an index whose records' lines are kept in a spool, to be read when somebody asks for a record. It
/// unpacks to at most `limit` bytes in place of the usual 300 MiB; of format version 3, to no more than that has itself.
/// The text is read as it is unpacked, and only what it lists is kept. The database of format version 3 is in memory while
/// it is read; each of its records is then written as such lines.
pub fn read_index_into(
    packed: &[u8],
    keyring: &Keyring,
    trust: Trust,
    limit: Option<u64>,
    spool: &dyn Spool,
) -> Result<Index, IndexError> {
    let limit = limit.unwrap_or(MAX_INDEX);
    if packed.starts_with(&adb::MAGIC) {
        return adb::read(packed, keyring, trust, limit, spool);
    }
    if !packed.starts_with(&GZIP_MAGIC) {
        return Err(IndexError::NotAnIndex);
    }
    let (members, body) = split_signatures(packed)?;
    let checked = check(&members, body, keyring);
    let signed_by = match trust {
        Trust::Required => Some(checked?),
        Trust::AllowUntrusted => checked.ok(),
    };
    let (records, description) = read_archive(body, limit, Room::beside(packed.len()), spool)?;
    Ok(Index { records, description, signed_by, files: PackageSpec::version_2() })
}

/// An unpacked signature part, and the raw bytes behind it.
type SignatureMember<'a> = (Vec<u8>, &'a [u8]);

/// The gzip members in front that hold signatures, and the raw body. Whoever signs an index that is signed already
/// puts one more member in front.
fn split_signatures(packed: &[u8]) -> Result<(Vec<SignatureMember<'_>>, &[u8]), IndexError> {
    let mut members = Vec::new();
    let mut rest = packed;
    while begins_with_signature(rest) {
        let mut decoder = GzDecoder::new(rest);
        let plain = read_limited(&mut decoder, MAX_SIGNATURE).map_err(IndexError::Damaged)?;
        let plain = plain.filter(|_| members.len() < MAX_SIGNATURES);
        let plain = plain.ok_or(IndexError::SignatureSize { limit: MAX_SIGNATURE })?;
        rest = decoder.into_inner();
        members.push((plain, rest));
    }
    Ok((members, rest))
}

/// Unpacks no more than a first entry's headers, and takes what cannot be unpacked for no signature: the body is not
/// to be judged before it is verified.
fn begins_with_signature(packed: &[u8]) -> bool {
    const HEAD: u64 = 4096;
    let mut head = Vec::new();
    let _ = GzDecoder::new(packed).take(HEAD).read_to_end(&mut head);
    first_name(&head, WALK).is_some_and(|name| name.starts_with(b".SIGN."))
}

fn check(members: &[SignatureMember<'_>], body: &[u8], keyring: &Keyring) -> Result<String, IndexError> {
    if members.is_empty() {
        return Err(IndexError::Unsigned);
    }
    let mut signatures = Vec::new();
    for (plain, message) in members {
        signatures.extend(parse_signatures(plain, message)?);
    }
    verify(&signatures, body, keyring)
}

fn parse_signatures<'a>(plain: &[u8], message: &'a [u8]) -> Result<Vec<Signature<'a>>, IndexError> {
    let mut signatures = Vec::new();
    let mut walker = Walker::new(plain, WALK);
    while let Some(item) = walker.next().map_err(IndexError::Archive)? {
        let entry = String::from_utf8_lossy(&item.name).into_owned();
        let parts = entry.strip_prefix(".SIGN.").and_then(|tail| tail.split_once('.'));
        let hash = match parts.map(|(algorithm, _)| algorithm) {
            Some("RSA") => Some(SignatureHash::Sha1),
            Some("RSA256") => Some(SignatureHash::Sha256),
            Some("DSA" | "RSA512") => None,
            _ => return Err(IndexError::SignatureName { name: entry }),
        };
        let key =
            parts.map(|(_, key)| key.to_owned()).filter(|key| key.len() > 8 && key.ends_with(".rsa.pub"));
        let Some(key) = key else { return Err(IndexError::SignatureName { name: entry }) };
        if signatures.len() == MAX_SIGNATURES {
            return Err(IndexError::SignatureSize { limit: MAX_SIGNATURE });
        }
        let bytes = walker.content_to_vec().map_err(IndexError::Archive)?;
        signatures.push(Signature { entry, key, hash, bytes, message });
    }
    Ok(signatures)
}

/// The name of the first key that a signature verifies with: over all bytes behind its own member, or over the body
/// alone, which is what a tool signs that adds a signature to others. Either way the body is covered.
fn verify(signatures: &[Signature<'_>], body: &[u8], keyring: &Keyring) -> Result<String, IndexError> {
    let mut tried = Vec::new();
    let mut unsupported = false;
    for signature in signatures {
        let Some(key) = keyring.for_signature(&signature.key) else { continue };
        let Some(hash) = signature.hash else {
            unsupported = true;
            continue;
        };
        let verifies = |message: &[u8]| key.verifies(hash, message, &signature.bytes);
        if verifies(signature.message) || (signature.message.len() != body.len() && verifies(body)) {
            return Ok(key.name().to_owned());
        }
        tried.push(key.name().to_owned());
    }
    let signed_by = signatures.iter().map(|s| s.key.clone()).collect();
    if !tried.is_empty() {
        let flaw = Flaw::find(&mut &*body, MAX_INDEX);
        Err(IndexError::BadSignature { keys: tried, flaw })
    } else if unsupported {
        Err(IndexError::Algorithm { signatures: signatures.iter().map(|s| s.entry.clone()).collect() })
    } else if keyring.is_empty() {
        Err(IndexError::NoKeys { signed_by })
    } else {
        Err(IndexError::UnknownKey { signed_by, keys: keyring.iter().map(|k| k.name().to_owned()).collect() })
    }
}

/// Reads `APKINDEX` and `DESCRIPTION` of the archive.
fn read_archive(
    body: &[u8],
    limit: u64,
    room: Room,
    spool: &dyn Spool,
) -> Result<(Records, String), IndexError> {
    let usual = body.len().saturating_mul(USUAL_RATIO).min(USUAL_LIST);
    let (read, flaw) = unpacked(body, limit, |archive| walk(archive, room, usual, spool));
    if let Some(flaw) = flaw {
        return Err(flaw);
    }
    let (list, description) = read?;
    Ok((list.ok_or(IndexError::NoList)?.finish()?, description.unwrap_or_default()))
}

/// The list, whose mistakes nobody has looked at yet, and the description. At once there is room for as much of a list as
/// its entry claims, but not for more than is `usual`.
fn walk(
    archive: &mut dyn io::BufRead,
    room: Room,
    usual: usize,
    spool: &dyn Spool,
) -> Result<(Option<RecordReader>, Option<String>), IndexError> {
    let (mut list, mut description) = (None, None);
    let mut walker = Walker::new(archive, WALK);
    while let Some(item) = walker.next().map_err(IndexError::Archive)? {
        let unfit = || IndexError::Entry { name: String::from_utf8_lossy(&item.name).into_owned() };
        let repeated = match item.name.as_slice() {
            b"APKINDEX" => {
                let claimed = usize::try_from(item.content.end - item.content.start).unwrap_or(usize::MAX);
                let mut reader = RecordReader::new(room, spool).expecting(claimed.min(usual));
                walker.content(&mut |bytes| reader.feed(bytes)).map_err(IndexError::Archive)?;
                list.replace(reader).is_some()
            }
            b"DESCRIPTION" => {
                let mut text = Vec::new();
                let keep =
                    |bytes: &[u8]| text.extend(bytes.iter().take(MAX_DESCRIPTION.saturating_sub(text.len())));
                let mut keep = keep;
                walker.content(&mut keep).map_err(IndexError::Archive)?;
                let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                description.replace(text).is_some()
            }
            // A signature here is covered by nothing and counts for nothing.
            name if name.starts_with(b".SIGN.") => continue,
            _ => return Err(unfit()),
        };
        if repeated || item.kind != ItemKind::File {
            return Err(unfit());
        }
    }
    Ok((list, description))
}
