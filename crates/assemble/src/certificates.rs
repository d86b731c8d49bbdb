//! Certificates of the spec as apko knows them: each by itself, with its text and a name.

use assemble_fetch::open_file;
use assemble_rootfs::{AdditionalCertificate, ApkoConfig, ApkoNamed};
use assemble_spec::{CertificateSource, Located};

use crate::error::{Doing, OwnError, Result};
use crate::spec_file::SpecFile;

/// Largest file of additional certificates.
const MAX_CERTIFICATES: u64 = 16 * 1024 * 1024;

const END: &str = "-----END CERTIFICATE-----";

/// All files and texts of `certificates.additional`, for messages under the name that the user knows.
pub(crate) fn read(file: &SpecFile) -> Result<Vec<AdditionalCertificate>> {
    let certificates = file.spec.certificates.iter().flat_map(|certificates| &certificates.additional);
    certificates
        .enumerate()
        .map(|(number, certificate)| match &certificate.source {
            CertificateSource::Inline(text) => {
                let name = certificate.name.clone();
                let name = name.unwrap_or_else(|| format!("certificate-{}", number + 1));
                Ok(AdditionalCertificate { name, pem: text.clone().into_bytes() })
            }
            CertificateSource::File(source) => read_file(file, source),
        })
        .collect()
}

fn read_file(file: &SpecFile, source: &Located<String>) -> Result<AdditionalCertificate> {
    let path = file.path(&source.value);
    let blob = open_file(&path)
        .doing(|| "reading certificates.additional".into())
        .map_err(|e| e.at(&source.span))?;
    let pem = blob
        .read_to_vec(MAX_CERTIFICATES)
        .map_err(OwnError::io(path, "cannot be read"))
        .map_err(|e| e.at(&source.span))?;
    Ok(AdditionalCertificate { name: source.value.clone(), pem })
}

/// Puts what files hold into the configuration, which knows texts only. apko's own dialect has no files.
pub(crate) fn inline(file: &SpecFile, config: &mut ApkoConfig) -> Result<()> {
    let Some(certificates) = &file.spec.certificates else { return Ok(()) };
    let Some(wanted) = &mut config.certificates else { return Ok(()) };
    let mut all = Vec::new();
    for (number, certificate) in certificates.additional.iter().enumerate() {
        match &certificate.source {
            CertificateSource::Inline(text) => {
                let name = certificate.name.clone().unwrap_or_default();
                all.push(ApkoNamed { name, content: text.clone() });
            }
            CertificateSource::File(source) => {
                let read = read_file(file, source)?;
                let name = certificate.name.clone().unwrap_or_else(|| format!("certificate-{}", number + 1));
                all.extend(split(&name, &String::from_utf8_lossy(&read.pem)));
            }
        }
    }
    wanted.additional = all;
    Ok(())
}

/// One entry a certificate; from the second on, names have a number. What is no certificate stays for who checks them.
fn split(name: &str, text: &str) -> Vec<ApkoNamed> {
    let mut pieces: Vec<&str> = text.split_inclusive(END).collect();
    if pieces.len() > 1 && pieces.last().is_some_and(|last| !last.contains(END)) {
        pieces.pop();
    }
    let entry = |(index, piece): (usize, &str)| ApkoNamed {
        name: if index == 0 { name.to_owned() } else { format!("{name}-{}", index + 1) },
        content: format!("{}\n", piece.trim_start()),
    };
    pieces.into_iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_several_becomes_several() {
        let one = format!("-----BEGIN CERTIFICATE-----\nAA==\n{END}");
        let names =
            |text: &str| split("ca", text).into_iter().map(|e| (e.name, e.content)).collect::<Vec<_>>();
        let entry = |name: &str, content: &str| (name.to_owned(), content.to_owned());
        assert_eq!(names(&one), [entry("ca", &format!("{one}\n"))]);
        assert_eq!(
            names(&format!("words\n{one}\n\nmore\n{one}\nrest\n")),
            [entry("ca", &format!("words\n{one}\n")), entry("ca-2", &format!("more\n{one}\n"))]
        );
        assert_eq!(names("no certificate"), [entry("ca", "no certificate\n")]);
    }
}
