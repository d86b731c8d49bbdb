//! Just enough DER (X.690) to tell a certificate or an RSA key from anything else.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// `rsaEncryption` (RFC 8017, appendix A.1).
const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The tag and content of the first value, and what follows it.
fn value(raw: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = raw.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        let (bytes, rest) = rest.split_at(count);
        (bytes.iter().fold(0, |len, b| len << 8 | usize::from(*b)), rest)
    };
    (rest.len() >= len).then(|| (tag, &rest[..len], &rest[len..]))
}

/// The content of the first value, which must have this tag, and what follows it.
fn expect(raw: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    value(raw).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

fn certificate(raw: &[u8]) -> Option<()> {
    let (whole, after) = expect(raw, SEQUENCE)?;
    let (mut body, signature) = expect(whole, SEQUENCE)?;
    let (_algorithm, signature) = expect(signature, SEQUENCE)?;
    let (_, end) = expect(signature, BIT_STRING)?;
    if body.first() == Some(&VERSION) {
        body = value(body)?.2;
    }
    let (_serial, mut body) = expect(body, INTEGER)?;
    // Signature algorithm, issuer, validity, subject, public key.
    for _ in 0..5 {
        body = expect(body, SEQUENCE)?.1;
    }
    (after.is_empty() && end.is_empty()).then_some(())
}

/// Whether these bytes have the outline of an X.509 certificate (RFC 5280, 4.1) and nothing behind it.
pub(crate) fn is_certificate(raw: &[u8]) -> bool {
    certificate(raw).is_some()
}

/// A whole number above zero.
fn positive(raw: &[u8]) -> Option<&[u8]> {
    let (number, rest) = expect(raw, INTEGER)?;
    (number.first()? & 0x80 == 0 && number.iter().any(|b| *b != 0)).then_some(rest)
}

fn rsa_key(raw: &[u8]) -> Option<()> {
    let (info, after) = expect(raw, SEQUENCE)?;
    let (algorithm, bits) = expect(info, SEQUENCE)?;
    let (identifier, parameters) = expect(algorithm, OBJECT_IDENTIFIER)?;
    let (parameters, after_parameters) = expect(parameters, NULL)?;
    let (bits, after_bits) = expect(bits, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    let (numbers, after_key) = expect(key, SEQUENCE)?;
    let after_numbers = positive(positive(numbers)?)?;
    let ends = [after, parameters, after_parameters, after_bits, after_key, after_numbers];
    (identifier == RSA_ENCRYPTION && *unused == 0 && ends.iter().all(|rest| rest.is_empty())).then_some(())
}

/// Whether these bytes are a SubjectPublicKeyInfo with an RSA key (RFC 8017, appendix A.1) and nothing behind it.
pub(crate) fn is_rsa_public_key(raw: &[u8]) -> bool {
    rsa_key(raw).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pem;

    #[test]
    fn every_root_of_mozilla_has_the_outline_and_no_truncation_of_one_does() {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            assert!(is_certificate(root));
        }
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        for end in 0..one.len() {
            assert!(!is_certificate(&one[..end]), "{end}");
        }
        assert!(!is_certificate(&[one, b"x"].concat()));
    }

    #[test]
    fn rsa_keys_and_nothing_else() {
        let wolfi = include_str!("../../assemble-apk/keys/wolfi/wolfi-signing.rsa.pub");
        let (key, _) = pem::next(wolfi.as_bytes()).unwrap();
        assert!(is_rsa_public_key(&key.content));
        for end in 0..key.content.len() {
            assert!(!is_rsa_public_key(&key.content[..end]), "{end}");
        }
        assert!(!is_rsa_public_key(&[key.content.as_slice(), b"x"].concat()));
        // P-256.
        let ec = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwMpU6R8xeBxF+sb09JLCq68kPUUU\nmfMfXXdJJLlVFrgdmiqhrBef6Q4DZC7vENDSuBTs5cf/o00gPwxcadftLA==\n-----END PUBLIC KEY-----\n";
        assert!(!is_rsa_public_key(&pem::next(ec.as_bytes()).unwrap().0.content));
    }
}
