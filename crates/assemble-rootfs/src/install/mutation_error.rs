//! Why what a configuration wants changed cannot be done.

use assemble_types::{Explain, Kind};

use crate::shown::shown;

/// Names with this beginning mean "removed" to a runtime that unpacks layers (OCI image spec, layer, whiteouts).
const WHITEOUT: &str = ".wh.";
/// The longest name in bytes that a file system takes.
const LONGEST_NAME: usize = 255;
/// The longest path, and the longest text of a link, that Linux takes: `PATH_MAX` without the final NUL.
const LONGEST_PATH: usize = 4095;

/// Why a member of the configuration is refused before anything is laid down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutationError {
    /// An account without a name.
    #[error("{at}: expected a name")]
    NoName {
        /// The member.
        at: String,
    },
    /// A user with the number of root.
    #[error("accounts.users: `{}` has the uid 0, which is root's", shown(.user))]
    SecondRoot {
        /// The user.
        user: String,
    },
    /// An unknown type of change.
    #[error(
        "paths[{number}]: `{}` is no type of change; there are directory, empty-file, hardlink, symlink and permissions",
        shown(.found)
    )]
    PathKind {
        /// Counts from 0.
        number: usize,
        /// The type.
        found: String,
    },
    /// A path that no runtime can unpack.
    #[error("paths[{number}]: {}: {why}", shown(.path))]
    Path {
        /// Counts from 0.
        number: usize,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: Unfit,
    },
    /// A certificate that is none.
    #[error("certificates.additional: `{}`: {why}", shown(.name))]
    Certificate {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: PemProblem,
    },
    /// A key that is none.
    #[error("contents.runtime_keyring: `{}`: {why}", shown(.name))]
    Key {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: PemProblem,
    },
    /// Two keys with one name.
    #[error("contents.runtime_keyring: there are two keys named `{}`", shown(.name))]
    SameName {
        /// The name.
        name: String,
    },
}

impl Explain for MutationError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoName { .. } | Self::SecondRoot { .. } => "rootfs/accounts",
            Self::PathKind { .. } | Self::Path { .. } => "rootfs/paths",
            Self::Certificate { .. } => "rootfs/certificate",
            Self::Key { .. } | Self::SameName { .. } => "rootfs/runtime-key",
        }
    }

    fn kind(&self) -> Kind {
        Kind::Spec
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoName { .. } => "give `username` or `groupname`, or remove the entry",
            Self::SecondRoot { .. } => {
                "give another uid; an image that is to run as root says `accounts.run-as: 0` and adds no user"
            }
            Self::PathKind { .. } => "write one of these as `type`",
            Self::Path { .. } => "give another `path` or `source`",
            Self::Certificate { why: PemProblem::Several, .. } => {
                "write each certificate as an entry of its own"
            }
            Self::Certificate { .. } => "show what it is: openssl x509 -in FILE -noout -subject",
            Self::Key { .. } => "show what it is: openssl pkey -pubin -in FILE -noout -text",
            Self::SameName { .. } => "give one of them another name",
        };
        vec![hint.to_owned()]
    }
}

/// Why no runtime could unpack a path or link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A NUL byte.
    #[error("it holds a NUL byte")]
    Nul,
    /// A mark of a removed file.
    #[error("a container runtime takes names with `.wh.` in front for removed files")]
    Whiteout,
    /// Too long.
    #[error("{what} of {found} bytes; a container runtime can unpack at most {limit}")]
    TooLong {
        /// `a name`, `a path` or `a link's text`.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
    /// A link to nothing.
    #[error("a link needs a `source`")]
    EmptyLink,
}

impl Unfit {
    /// Whether a name at this path could be unpacked.
    pub(super) fn path(path: &str) -> Result<(), Self> {
        Self::within("a path", path, LONGEST_PATH)?;
        for name in path.split('/') {
            if name.starts_with(WHITEOUT) {
                return Err(Self::Whiteout);
            }
            Self::within("a name", name, LONGEST_NAME)?;
        }
        Ok(())
    }

    /// Whether a link with this text could be unpacked.
    pub(super) fn link(text: &str) -> Result<(), Self> {
        if text.is_empty() {
            return Err(Self::EmptyLink);
        }
        Self::within("a link's text", text, LONGEST_PATH)
    }

    fn within(what: &'static str, text: &str, limit: usize) -> Result<(), Self> {
        if text.contains('\0') {
            return Err(Self::Nul);
        }
        if text.len() > limit {
            return Err(Self::TooLong { what, found: text.len(), limit });
        }
        Ok(())
    }
}

/// Why a text is not the one certificate or key that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemProblem {
    /// The name cannot be that of a file.
    #[error("a name is made of letters, digits, `_`, `-` and, not in front, `.`")]
    Name,
    /// No block at all.
    #[error("expected a block `-----BEGIN {wanted}-----`, found none that is whole")]
    None {
        /// The label.
        wanted: &'static str,
    },
    /// A block of another kind.
    #[error("expected a block `-----BEGIN {wanted}-----`, found `{}`", shown(.found))]
    Label {
        /// The label.
        wanted: &'static str,
        /// What was found.
        found: String,
    },
    /// More than one block.
    #[error("expected one block, found several")]
    Several,
    /// Not a certificate.
    #[error("the block is no X.509 certificate")]
    NotX509,
    /// Not an RSA key.
    #[error("the block is no RSA public key")]
    NotRsa,
}
