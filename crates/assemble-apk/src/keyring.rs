//! Public keys and what they are called.
//!
//! Signatures of version 2 refer to a key by its file's name, those of version 3 by an identifier made of the key
//! itself.

use std::collections::BTreeMap;

use assemble_types::{Digest, Explain, Kind};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey,
};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha512};

use crate::text::shown;

/// A public key (PEM SubjectPublicKeyInfo; RSA, or EC on P-256) under its file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    pem: Vec<u8>,
    material: Material,
    /// What signatures of version 3 refer to.
    id: KeyId,
    fingerprint: Digest,
}

/// The first 16 bytes of the SHA-512 of the bare key.
pub(crate) type KeyId = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// The inner `RSAPublicKey`, which is what the verifier takes.
    Rsa(Vec<u8>),
    P256(VerifyingKey),
}

/// A file that is no usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file name is no single, plain path component.
    #[error("`{}` cannot be the name of a key: it has to be a plain file name", shown(name))]
    Name {
        /// The name.
        name: String,
    },
    /// There is no `PUBLIC KEY` block, or it is damaged.
    #[error("key `{name}` has no block `-----BEGIN PUBLIC KEY-----`, or a damaged one")]
    Pem {
        /// The key's file name.
        name: String,
    },
    /// The block is no key.
    #[error("key `{name}` is no SubjectPublicKeyInfo")]
    Malformed {
        /// The key's file name.
        name: String,
    },
    /// A key of another algorithm.
    #[error(
        "key `{name}` is neither an RSA key nor an EC key on P-256; those are what indexes are signed with"
    )]
    Algorithm {
        /// The key's file name.
        name: String,
    },
    /// Too short to be safe or too long to be checked.
    #[error("key `{name}` has {bits} bits; 2048 to 8192 are accepted")]
    Size {
        /// The key's file name.
        name: String,
        /// Bits of the modulus.
        bits: usize,
    },
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "apk/key-name",
            Self::Pem { .. } | Self::Malformed { .. } => "apk/key",
            Self::Algorithm { .. } => "apk/key-algorithm",
            Self::Size { .. } => "apk/key-size",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Spec
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Pem { name } | Self::Malformed { name } => {
                vec![format!("show what the file is: openssl pkey -pubin -in {name} -noout -text")]
            }
            Self::Algorithm { .. } | Self::Size { .. } => {
                vec![
                    "sign the index with an RSA key of 4096 bits (melange keygen makes one); a version 3 index may be signed with an EC key on P-256 too"
                        .into(),
                ]
            }
            Self::Name { .. } => Vec::new(),
        }
    }
}

/// What is signed is hashed with one of these; DSA and RSA512, which also have names, are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureHash {
    Sha1,
    Sha256,
}

/// Larger files are no key.
const MAX_PEM: usize = 64 << 10;
const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const CURVE_P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

impl PublicKey {
    /// Parses a PEM file. `name` is the file's name, which signatures refer to, such as `melange.rsa.pub`.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let plain = !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && !name.contains(['/', '\\'])
            && !name.chars().any(char::is_control);
        if !plain {
            return Err(KeyError::Name { name: name.to_owned() });
        }
        let owned = || name.to_owned();
        if pem.len() > MAX_PEM {
            return Err(KeyError::Pem { name: owned() });
        }
        let spki =
            SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::Pem { name: owned() })?;
        let info = split_key_info(spki.as_ref()).ok_or_else(|| KeyError::Malformed { name: owned() })?;
        let material = if info.algorithm == RSA_ENCRYPTION {
            let bits = modulus_bits(info.key).ok_or_else(|| KeyError::Malformed { name: owned() })?;
            if !(2048..=8192).contains(&bits) {
                return Err(KeyError::Size { name: owned(), bits });
            }
            Material::Rsa(info.key.to_vec())
        } else if info.algorithm == EC_PUBLIC_KEY && info.parameter == Some(&CURVE_P256) {
            let key = VerifyingKey::from_sec1_bytes(info.key);
            Material::P256(key.map_err(|_| KeyError::Malformed { name: owned() })?)
        } else {
            return Err(KeyError::Algorithm { name: owned() });
        };
        let mut id = KeyId::default();
        id.copy_from_slice(&Sha512::digest(info.key)[..16]);
        Ok(Self { name: owned(), pem: pem.to_vec(), material, id, fingerprint: Digest::of(&spki) })
    }

    /// The file name that signatures refer to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's bytes as given.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo: two files with one fingerprint are one key.
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Whether `signature` (RSA, PKCS#1 v1.5) is this key's over `message`, as in version 2.
    pub(crate) fn verifies(&self, hash: SignatureHash, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = match hash {
            SignatureHash::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            SignatureHash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        match &self.material {
            Material::Rsa(key) => UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok(),
            Material::P256(_) => false,
        }
    }

    /// Whether `signature` is this key's over the SHA-512 of `message`, as in version 3: PKCS#1 v1.5, or ECDSA in DER.
    pub(crate) fn verifies_sha512(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(key) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, key).verify(message, signature).is_ok()
            }
            Material::P256(key) => DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify_prehash(&Sha512::digest(message), &signature).is_ok()),
        }
    }
}

/// Takes one DER value with this tag off the front of `input`.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        // The long form; a key's length fits two bytes.
        let (bytes, tail) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 2 {
            return None;
        }
        length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = tail;
    }
    let (value, rest) = rest.split_at_checked(length)?;
    *input = rest;
    (found == tag).then_some(value)
}

/// The parts of a SubjectPublicKeyInfo (RFC 5280 section 4.1).
struct KeyInfo<'a> {
    algorithm: &'a [u8],
    /// The algorithm's parameter, where it is an object identifier: the curve of an EC key (RFC 5480 section 2.1.1).
    parameter: Option<&'a [u8]>,
    key: &'a [u8],
}

fn split_key_info(mut der: &[u8]) -> Option<KeyInfo<'_>> {
    let mut info = take(&mut der, 0x30)?;
    let mut identifier = take(&mut info, 0x30)?;
    let algorithm = take(&mut identifier, 0x06)?;
    let parameter = take(&mut identifier, 0x06);
    let bits = take(&mut info, 0x03)?;
    let (unused, key) = bits.split_first()?;
    (der.is_empty() && info.is_empty() && *unused == 0).then_some(KeyInfo { algorithm, parameter, key })
}

/// The size of an RSAPublicKey (RFC 8017 appendix A.1.1).
fn modulus_bits(mut der: &[u8]) -> Option<usize> {
    let mut key = take(&mut der, 0x30)?;
    let modulus = take(&mut key, 0x02)?;
    take(&mut key, 0x02)?;
    let start = modulus.iter().position(|b| *b != 0)?;
    let significant = &modulus[start..];
    (der.is_empty() && key.is_empty())
        .then_some(significant.len() * 8 - significant.first()?.leading_zeros() as usize)
}

/// The keys an index may be signed with, by name.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<String, PublicKey>,
}

impl Keyring {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key; gives back another one that had its name and is now gone.
    pub fn insert(&mut self, key: PublicKey) -> Option<PublicKey> {
        self.keys.insert(key.name.clone(), key)
    }

    /// The key of that file name.
    pub fn get(&self, name: &str) -> Option<&PublicKey> {
        self.keys.get(name)
    }

    /// The key for a signature that says `<name>.rsa.pub`: the file of that name, else the one without the ending.
    pub(crate) fn for_signature(&self, name: &str) -> Option<&PublicKey> {
        self.get(name).or_else(|| self.get(name.strip_suffix(".rsa.pub")?))
    }

    /// The keys that a version 3 signature may be of.
    pub(crate) fn by_id(&self, id: KeyId) -> impl Iterator<Item = &PublicKey> {
        self.iter().filter(move |key| key.id == id)
    }

    /// In order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl FromIterator<PublicKey> for Keyring {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let mut ring = Self::new();
        for key in keys {
            ring.insert(key);
        }
        ring
    }
}

impl Extend<PublicKey> for Keyring {
    fn extend<I: IntoIterator<Item = PublicKey>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEM: &[u8] = include_bytes!("../keys/wolfi/wolfi-signing.rsa.pub");

    #[test]
    fn names_are_plain_file_names() {
        let key = PublicKey::parse("wolfi-signing.rsa.pub", PEM).unwrap();
        assert_eq!(key.pem(), PEM);
        assert_eq!(key, PublicKey::parse("wolfi-signing.rsa.pub", PEM).unwrap());
        for bad in ["", ".", "..", "a/b", "/etc/x", "..\\x", ".hidden", "a\nb"] {
            assert!(matches!(PublicKey::parse(bad, PEM), Err(KeyError::Name { .. })), "{bad:?}");
        }
        assert!(PublicKey::parse("alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub", PEM).is_ok());
    }

    #[test]
    fn what_is_no_usable_key_is_refused_by_name() {
        // P-256 and P-384, made once for this test.
        let p256 = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwMpU6R8xeBxF+sb09JLCq68kPUUU\nmfMfXXdJJLlVFrgdmiqhrBef6Q4DZC7vENDSuBTs5cf/o00gPwxcadftLA==\n-----END PUBLIC KEY-----\n";
        let key = PublicKey::parse("k.pem", p256).unwrap();
        assert!(!key.verifies(SignatureHash::Sha256, b"", b"") && !key.verifies_sha512(b"", b""));
        let p384 = b"-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEMGU1jO2UPRTCcjwDUUb434BGzIjd+9V0\n6C4GvlkDQPxzRAOZ4w1UeXMSBOtAebKjNHjsbYdFXVPeTQWHBEuepdqw99Pd7mP9\nchR5ptzB9ZxRid7RNkZDF+/+JmXbGXfY\n-----END PUBLIC KEY-----\n";
        let show = |pem: &[u8]| PublicKey::parse("k.rsa.pub", pem).unwrap_err().to_string();
        assert_eq!(
            show(p384),
            "key `k.rsa.pub` is neither an RSA key nor an EC key on P-256; those are what indexes are signed with"
        );
        let mut off_curve = p256.to_vec();
        off_curve[100] = b'A';
        assert_eq!(show(&off_curve), "key `k.rsa.pub` is no SubjectPublicKeyInfo");
        assert!(show(b"").contains("BEGIN PUBLIC KEY"));
        assert!(show(&PEM[..200]).contains("BEGIN PUBLIC KEY"));
        assert!(show(&vec![b'x'; MAX_PEM + 1]).contains("BEGIN PUBLIC KEY"));
        assert!(
            show(b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n")
                .contains("no SubjectPublicKeyInfo")
        );
    }

    #[test]
    fn a_signature_may_leave_the_ending_to_the_file() {
        let ring: Keyring =
            [PublicKey::parse("a", PEM).unwrap(), PublicKey::parse("b.rsa.pub", PEM).unwrap()]
                .into_iter()
                .collect();
        let name = |signature: &str| ring.for_signature(signature).map(PublicKey::name);
        assert_eq!(name("a.rsa.pub"), Some("a"));
        assert_eq!(name("b.rsa.pub"), Some("b.rsa.pub"));
        assert_eq!(name("c.rsa.pub"), None);
        assert_eq!((ring.len(), ring.is_empty(), ring.iter().count()), (2, false, 2));
    }

    proptest! {
        #[test]
        fn no_der_breaks_it(der in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (split_key_info(&der).is_some(), modulus_bits(&der));
        }
    }
}
