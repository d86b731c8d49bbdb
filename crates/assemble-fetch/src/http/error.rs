use std::io;
use std::path::PathBuf;

use assemble_types::{Explain, Kind};

use crate::escape::shown_path;

/// Why the clients cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A CA file cannot be read.
    #[error("{}: cannot read the CA file", shown_path(.path))]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: io::Error,
    },
    /// A CA file holds no certificate, or one that is damaged.
    #[error("{}: no usable certificate in it: expected PEM blocks `-----BEGIN CERTIFICATE-----`", shown_path(.path))]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A proxy variable's value is no URL. It is not shown, since it may hold a password.
    #[error("{variable}: its value is no URL")]
    Proxy {
        /// The name of the variable.
        variable: &'static str,
    },
    /// The user agent has characters that a header cannot have.
    #[error("user agent: not a header value")]
    UserAgent,
}

impl Explain for HttpError {
    fn code(&self) -> &'static str {
        match self {
            Self::CaFile { .. } => "http/ca-file",
            Self::NoCertificate { .. } => "http/ca-certificate",
            Self::Proxy { .. } => "http/proxy",
            Self::UserAgent => "http/user-agent",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::CaFile { .. } => vec!["check the path given with --ca-file".into()],
            Self::NoCertificate { .. } => {
                vec!["convert a DER file with `openssl x509 -inform der -in FILE -out FILE.pem`".into()]
            }
            Self::Proxy { variable } => {
                vec![format!("write it as http://HOST:PORT, or remove it: `unset {variable}`")]
            }
            Self::UserAgent => Vec::new(),
        }
    }
}
