//! What is wrong with a TLS connection, and what to do about it.

use std::error::Error;

use rustls::CertificateError;

/// Why there is no secure connection, as far as it makes a difference to who has to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsTrouble {
    /// The other side does not speak TLS.
    NotTls,
    /// The certificate is for other names than the one that was asked for.
    OtherName,
    /// Nobody who is trusted signed the certificate.
    UnknownIssuer,
    /// The certificate has run out, or is not valid yet.
    NotNow,
    /// The certificate is an authority's, which no host may have.
    Authority,
    /// Anything else.
    Other,
}

impl TlsTrouble {
    /// What TLS says somewhere in an error, if it says anything.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        tls_error(error).map(|tls| Self::from(&tls))
    }

    /// What to do about it at a host, which may have a port behind it; `own_ca` tells whether the user named authorities
    /// to trust. What the other side speaks instead of TLS, the caller knows how to ask for.
    pub fn hints(self, host: &str, own_ca: bool) -> Vec<String> {
        match self {
            Self::NotTls | Self::Other => Vec::new(),
            Self::OtherName => {
                vec![format!(
                    "the server's certificate is for other names: write one of them in the place of `{host}`, or have \
                     one made for that"
                )]
            }
            Self::UnknownIssuer if own_ca => {
                let port = if has_port(host) { "" } else { ":443" };
                vec![format!(
                    "who signed the server's certificate is not in the file of --ca-file; see who it is: \
                     `openssl s_client -showcerts -connect {host}{port} </dev/null`"
                )]
            }
            Self::UnknownIssuer => vec![
                "name the file of the authority that signed the server's certificate: `--ca-file FILE`".into(),
                "check SSL_CERT_FILE and SSL_CERT_DIR, if they are set".into(),
            ],
            Self::NotNow => {
                vec![
                    "the server's certificate has run out, or is not valid yet; if not, this machine's clock is wrong: \
                     `date`"
                        .into(),
                ]
            }
            Self::Authority => vec![
                "the server's certificate is an authority's, which no host may have: make it with `CA:FALSE`, in \
                 openssl `-addext basicConstraints=critical,CA:FALSE`"
                    .into(),
            ],
        }
    }
}

impl From<&rustls::Error> for TlsTrouble {
    fn from(error: &rustls::Error) -> Self {
        use CertificateError as Certificate;
        match error {
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::InvalidCertificate(why) => match why {
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::OtherName,
                // An authority of the same name with another key signed nothing of this.
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::UnknownIssuer,
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => Self::NotNow,
                // The only way to tell: its type is of a library below.
                Certificate::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                    Self::Authority
                }
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// What TLS says, wherever in an error it stands.
pub(crate) fn tls_error(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls.clone());
        }
        let inside = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => cause.source(),
        };
    }
    None
}

/// `HOST:PORT`; the colons of a bare IPv6 address are none.
fn has_port(host: &str) -> bool {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.matches(':').count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_named_an_authority_is_not_told_to() {
        let hints =
            |why, own| TlsTrouble::from(&rustls::Error::InvalidCertificate(why)).hints("reg.lan", own);
        assert!(hints(CertificateError::UnknownIssuer, false)[0].contains("`--ca-file FILE`"));
        for why in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
            let hint = hints(why, true).remove(0);
            assert!(hint.contains("not in the file of --ca-file"), "{hint}");
            assert!(hint.contains("-connect reg.lan:443 <"), "{hint}");
        }
        for why in [CertificateError::NotValidForName, CertificateError::Expired] {
            let hint = hints(why, false).remove(0);
            assert!(!hint.contains("--ca-file"), "{hint}");
        }
        assert!(TlsTrouble::UnknownIssuer.hints("reg.lan:5000", true)[0].contains("-connect reg.lan:5000 <"));
        assert!(TlsTrouble::UnknownIssuer.hints("[::1]:5000", true)[0].contains("-connect [::1]:5000 <"));
        assert!(TlsTrouble::UnknownIssuer.hints("[::1]", true)[0].contains("-connect [::1]:443 <"));
    }

    #[test]
    fn what_tls_says_is_found_inside() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
        let inside = std::io::Error::other(std::io::Error::other(tls));
        assert_eq!(TlsTrouble::of(&inside), Some(TlsTrouble::OtherName));
        assert_eq!(TlsTrouble::of(&std::io::Error::other("closed")), None);
    }
}
