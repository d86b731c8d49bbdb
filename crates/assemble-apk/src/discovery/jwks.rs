//! `apk-configuration` and the key set it names.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;

use super::{DiscoveryError, MOST_KEYS, parse_json};
use crate::PublicKey;

/// DER tags (X.690).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// The algorithm `rsaEncryption` with its parameter NULL (RFC 3279 section 2.3.1), whole.
const RSA_ENCRYPTION: [u8; 15] =
    [SEQUENCE, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0];
/// Longer numbers are no part of a key that is accepted.
const MAX_NUMBER: usize = 2048;

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    jwks_uri: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    #[serde(default)]
    keys: Option<Vec<Key>>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    kty: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

/// Where the key set is, after a repository's `apk-configuration`, if it names one.
pub fn jwks_uri(document: &[u8]) -> Result<Option<String>, DiscoveryError> {
    let document: Configuration = parse_json(document)?;
    Ok(document.jwks_uri.filter(|uri| !uri.is_empty()))
}

/// The keys of a set, each as the file `<kid>.rsa.pub`.
///
/// # Errors
/// JSON of another shape, a key without `kid`, of another type, or one that cannot be used: then the whole set is
/// refused, since half of it could leave out the key that counts.
pub fn jwks_keys(document: &[u8]) -> Result<Vec<PublicKey>, DiscoveryError> {
    let keys = parse_json::<Set>(document)?.keys.unwrap_or_default();
    if keys.len() > MOST_KEYS {
        return Err(DiscoveryError::TooMany(keys.len()));
    }
    keys.into_iter().enumerate().map(|(at, key)| read_key(key, at + 1)).collect()
}

fn read_key(key: Key, number: usize) -> Result<PublicKey, DiscoveryError> {
    let name = key.kid.filter(|kid| !kid.is_empty()).ok_or(DiscoveryError::NoName(number))?;
    if key.kty != "RSA" {
        return Err(DiscoveryError::NotRsa { name, kind: key.kty });
    }
    let number = |field, text: &str| {
        unsigned(text).ok_or_else(|| DiscoveryError::Number { name: name.clone(), field })
    };
    let pem = key_file(&number("n", &key.n)?, &number("e", &key.e)?);
    Ok(PublicKey::parse(&format!("{name}.rsa.pub"), pem.as_bytes())?)
}

/// A positive number in base64url (RFC 7518 section 2), without zeros in front.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    (bytes.len() <= MAX_NUMBER).then(|| bytes[start..].to_vec())
}

/// The file of an RSA key: SubjectPublicKeyInfo (RFC 5280 section 4.1) in PEM, lines of 64 characters.
fn key_file(modulus: &[u8], exponent: &[u8]) -> String {
    let key = der(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    let bits = der(BIT_STRING, &[&[0][..], &key].concat());
    let text = BASE64.encode(&der(SEQUENCE, &[&RSA_ENCRYPTION[..], &bits].concat()));
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem = pem + line + "\n";
        rest = tail;
    }
    pem + "-----END PUBLIC KEY-----\n"
}

fn integer(value: &[u8]) -> Vec<u8> {
    // A first bit of one would make it negative.
    let sign: &[u8] = if value.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    der(INTEGER, &[sign, value].concat())
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[start..];
    let mut out = vec![tag];
    if length.len() > 1 || length[0] >= 0x80 {
        out.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
    }
    out.extend_from_slice(length);
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WOLFI: &[u8] = include_bytes!("../../keys/wolfi/wolfi-signing.rsa.pub");

    /// The modulus of a key file, by the shape that all keys of 4096 bits share.
    fn modulus(pem: &[u8]) -> Vec<u8> {
        let text: String =
            std::str::from_utf8(pem).unwrap().lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(text.as_bytes()).unwrap();
        der[der.len() - 5 - 512..der.len() - 5].to_vec()
    }

    fn set(key: &str) -> String {
        format!(r#"{{"keys": [{key}]}}"#)
    }

    fn wolfi(kid: &str) -> String {
        let n = BASE64URL_NOPAD.encode(&modulus(WOLFI));
        format!(r#"{{"kty":"RSA","kid":{kid},"use":"sig","alg":"RS256","n":"{n}","e":"AQAB"}}"#)
    }

    #[test]
    fn a_key_of_a_set_is_the_file_it_was_made_of() {
        let keys = jwks_keys(set(&wolfi("\"wolfi-signing\"")).as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].name(), "wolfi-signing.rsa.pub");
        assert_eq!(
            std::str::from_utf8(keys[0].pem()).unwrap().trim_end(),
            std::str::from_utf8(WOLFI).unwrap().trim_end()
        );
        let padded = wolfi("\"a\"").replace("AQAB", "AAEAAQ==");
        assert_eq!(jwks_keys(set(&padded).as_bytes()).unwrap()[0].fingerprint(), keys[0].fingerprint());
        assert!(jwks_keys(b"{}").unwrap().is_empty());
    }

    #[test]
    fn sets_that_cannot_be_used_are_refused_by_name() {
        let key = wolfi("\"k\"");
        let many = vec![key.as_str(); MOST_KEYS + 1].join(",");
        for (text, want) in [
            ("nonsense".into(), "the document is not as expected"),
            (set("1"), "the document is not as expected"),
            (set(&key.replace("\"kid\":\"k\",", "")), "key 1 of the set has no `kid`"),
            (set(&wolfi("\"\"")), "key 1 of the set has no `kid`"),
            (set(&wolfi("7")), "the document is not as expected"),
            (set(&key.replace("RSA", "EC")), "key `k` is of type `EC`"),
            (set(&key.replace("AQAB", "")), "`e` of key `k` is no number"),
            (set(&key.replace("AQAB", "AA")), "`e` of key `k` is no number"),
            (set(&key.replace("AQAB", "+/+/")), "`e` of key `k` is no number"),
            (set(r#"{"kty":"RSA","kid":"k","e":"AQAB","n":"AQAB"}"#), "key `k.rsa.pub` has 17 bits"),
            (set(&wolfi("\"../../../etc/x\"")), "`../../../etc/x.rsa.pub` cannot be the name of a key"),
            (set(&wolfi("\"a\\nb\"")), "`a\\nb.rsa.pub` cannot be the name of a key"),
            (set(&wolfi("\".hidden\"")), "`.hidden.rsa.pub` cannot be the name of a key"),
            (set(&many), "65 keys are listed"),
        ] {
            let error = jwks_keys(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn a_configuration_names_its_set() {
        let read = |text: &str| jwks_uri(text.as_bytes());
        assert_eq!(read(r#"{"jwks_uri": "https://h/k", "x": 1}"#).unwrap().as_deref(), Some("https://h/k"));
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"jwks_uri": ""}"#).unwrap(), None);
        for bad in ["", "<html>", "[1]", r#"{"jwks_uri": 1}"#] {
            assert!(matches!(read(bad), Err(DiscoveryError::Shape(_))), "{bad}");
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(der(1, &[0; 0]), [1, 0]);
        assert_eq!(der(1, &[0; 127])[..2], [1, 127]);
        assert_eq!(der(1, &[0; 128])[..3], [1, 0x81, 128]);
        assert_eq!(der(1, &[0; 256])[..4], [1, 0x82, 1, 0]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }

    proptest! {
        #[test]
        fn no_document_breaks_it(n in "[A-Za-z0-9_=-]{0,40}", e in "[A-Za-z0-9_=-]{0,8}", text in "\\PC{0,100}") {
            let key = format!(r#"{{"kty":"RSA","kid":"k","n":"{n}","e":"{e}"}}"#);
            let _ = (jwks_keys(set(&key).as_bytes()), jwks_keys(text.as_bytes()), jwks_uri(text.as_bytes()));
        }
    }
}
