//! Turns the YAML documents people commit into checked values, or into diagnostics that point at the line.
//!
//! **In:** the bytes of a spec and the name the user gave the file. **Out:** a [`Spec`] in which every value is checked
//! and knows its place, or [`Diagnostics`]: all mistakes that could be found in one go.
//! **Never:** opens a file, asks the host or the network, fills in what depends on them, or prints.
//!
//! # Why it is the way it is
//! The document is read into a tree of texts with places first, and checked second. So `0755` and `"0755"` stay
//! different, a misspelt key can be explained, and one mistake does not hide the next. A word that is no key is always
//! a mistake: a spec that means less than it says makes an image that is wrong without anyone noticing.
//!
//! One parser reads two [`Dialect`]s, for one engine builds both. apko's takes what apko takes and knows its keys only;
//! ours knows more keys and refuses what no runtime could start. Files that are included are checked one by one, merged
//! as values, and then seen together: so each mistake points into the file it is in.
//!
//! # Example
//! ```
//! let spec = assemble_spec::parse_spec("hello.yaml", b"contents:\n  binary: ./hello\n").unwrap();
//! assert!(spec.binary.is_some());
//!
//! let wrong = assemble_spec::parse_spec("hello.yaml", b"contents:\n  binary: ./hello\nuser: 1000\n").unwrap_err();
//! assert_eq!(wrong.to_string(), "there is no key `user`");
//! assert_eq!(wrong.iter().next().unwrap().spans[0].to_string(), "hello.yaml:3:1");
//! ```

mod check;
mod diagnostic;
mod foreign;
mod init;
pub mod lock;
mod model;
mod node;
mod parse;
mod schema;
mod source;
mod whole;
mod words;
mod yaml;

pub use check::platform_hint;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use foreign::Foreign;
pub use init::{init_text, spec_for_binary};
pub use model::{
    AdditionalCertificate, ApkoView, BaseFiles, BaseImage, BaseImageSource, Binary, BinarySources,
    CertificateSource, Certificates, Dialect, FileMapping, Group, LayerStrategy, Layering, Located, PathKind,
    PathMutation, Port, Protocol, RepositoryKind, RepositorySource, RuntimeKey, Spec, User,
};
pub use parse::{IncludeProblem, Includes, ReadSpec, SpecText, parse_spec, read_spec};
pub use schema::json_schema;
