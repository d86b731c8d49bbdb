//! Certificates as text: PEM (RFC 7468) in and out, and a look at the outline of what is inside (RFC 5280, 4.1).

use data_encoding::BASE64;

use super::BaseError;
use crate::shown::shown;

/// One certificate in DER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Certificate(pub(super) Vec<u8>);

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

impl Certificate {
    /// The certificate as a PEM block with lines of 64 characters.
    pub(super) fn write_pem(&self, out: &mut String) {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64.encode(&self.0);
        for line in text.as_bytes().chunks(64) {
            out.extend(line.iter().map(|b| char::from(*b)));
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
}

/// All certificates of a PEM file, at least one; text around the blocks is ignored. `name` is for messages.
pub(super) fn parse_pem(name: &str, raw: &[u8]) -> Result<Vec<Certificate>, BaseError> {
    let name = || shown(name);
    if der::is_certificate(raw) {
        return Err(BaseError::Der { name: name() });
    }
    let text = String::from_utf8_lossy(raw);
    let mut found = Vec::new();
    let mut number = 0;
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        number += 1;
        if label != "CERTIFICATE" {
            return Err(BaseError::WrongLabel { name: name(), number, label: shown(label) });
        }
        let mut body = String::new();
        let closed = loop {
            match lines.next() {
                Some(line) if line.starts_with(END) => break true,
                Some(line) if line.starts_with("-----") => break false,
                Some(line) => body.extend(line.chars().filter(|c| !c.is_ascii_whitespace())),
                None => break false,
            }
        };
        if !closed {
            return Err(BaseError::Unfinished { name: name(), number });
        }
        let der = BASE64.decode(body.as_bytes()).map_err(|source| BaseError::BadBase64 {
            name: name(),
            number,
            source,
        })?;
        if !der::is_certificate(&der) {
            return Err(BaseError::NotX509 { name: name(), number });
        }
        found.push(Certificate(der));
    }
    if found.is_empty() { Err(BaseError::NoCertificate { name: name() }) } else { Ok(found) }
}

/// Just enough DER (X.690) to tell a certificate from anything else.
mod der {
    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;

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

    fn outline(raw: &[u8]) -> Option<()> {
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

    /// Whether these bytes have the outline of an X.509 certificate and nothing behind it.
    pub(super) fn is_certificate(raw: &[u8]) -> bool {
        outline(raw).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_of_mozilla_has_the_outline_and_no_truncation_of_one_does() {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            assert!(der::is_certificate(root));
        }
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        for end in 0..one.len() {
            assert!(!der::is_certificate(&one[..end]), "{end}");
        }
        assert!(!der::is_certificate(&[one, b"x"].concat()));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let roots: Vec<_> =
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|r| Certificate(r.to_vec())).collect();
        let mut text = String::new();
        for root in &roots {
            root.write_pem(&mut text);
        }
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(parse_pem("all", text.as_bytes()).unwrap(), roots);
        assert_eq!(parse_pem("all", text.replace('\n', "\r\n").as_bytes()).unwrap(), roots);
    }
}
