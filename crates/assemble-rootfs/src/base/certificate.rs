//! Certificates as text: PEM (RFC 7468) in and out, for files that hold several.

use data_encoding::BASE64;

use super::BaseError;
use crate::shown::shown;
use crate::{der, pem};

/// One certificate in DER.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Certificate(pub(super) Vec<u8>);

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

impl Certificate {
    /// The certificate as a PEM block with lines of 64 characters.
    pub(super) fn write_pem(&self, out: &mut String) {
        out.push_str(&pem::encode("CERTIFICATE", &[], &self.0));
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

#[cfg(test)]
mod tests {
    use super::*;

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
