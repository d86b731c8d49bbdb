//! One error for the whole library: a stage's own error, and what was being done when it came up.

use std::fmt;

use assemble_types::{Explain, Kind, SourceSpan};

pub use crate::own_error::OwnError;

/// What a stage said, what was being done, and which places of the spec it concerns.
#[derive(Debug)]
pub struct Error {
    cause: Box<Cause>,
    doing: Option<String>,
    spans: Vec<SourceSpan>,
    hints: Vec<String>,
    /// Whether the hints stand in place of the stage's own.
    instead: bool,
}

/// The result of every operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident($type:ty),)+) => {
        /// The stage that failed, with its own error.
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[$doc])* $name($type),)+
        }

        impl Cause {
            fn explain(&self) -> &dyn Explain {
                match self {
                    $(Self::$name(error) => error,)+
                }
            }

            fn error(&self) -> &(dyn std::error::Error + 'static) {
                match self {
                    $(Self::$name(error) => error,)+
                }
            }
        }

        $(impl From<$type> for Error {
            fn from(error: $type) -> Self {
                let (spans, hints) = (Vec::new(), Vec::new());
                Self { cause: Box::new(Cause::$name(error)), doing: None, spans, hints, instead: false }
            }
        })+
    };
}

causes! {
    /// The spec is wrong.
    Spec(assemble_spec::Diagnostics),
    /// The index cannot be trusted or read.
    Index(assemble_apk::IndexError),
    /// A key cannot be read.
    Key(assemble_apk::KeyError),
    /// What is published about keys cannot be used.
    Discovery(assemble_apk::DiscoveryError),
    /// A package cannot be trusted or read.
    Package(assemble_apk::PackageError),
    /// There is no package set.
    Resolve(assemble_resolve::Unsolvable),
    /// Bytes could not be had.
    Fetch(assemble_fetch::FetchError),
    /// HTTP cannot be set up.
    Http(assemble_fetch::HttpError),
    /// A name of an image cannot be used.
    Reference(assemble_image::ReferenceError),
    /// The configuration wants something that cannot be.
    Mutation(assemble_rootfs::MutationError),
    /// There is nothing to build upon where the spec says so.
    BaseImage(crate::base_image::BaseImageError),
    /// The database of the base image cannot be read.
    BaseDb(assemble_rootfs::BaseDbError),
    /// Packages clash in the tree.
    Install(assemble_rootfs::InstallError),
    /// The base files cannot be placed.
    Base(assemble_rootfs::BaseError),
    /// The spec's files or binary cannot be placed.
    Overlay(assemble_rootfs::OverlayError),
    /// The image would not start.
    Start(assemble_rootfs::StartProblem),
    /// A layer cannot be written or read.
    Layer(assemble_layer::LayerError),
    /// A manifest, configuration, reference or archive is wrong.
    Image(assemble_image::ImageError),
    /// The registry refused or does not answer.
    Registry(assemble_registry::RegistryError),
    /// A lock does not fit, or what it names is not what it was.
    Lock(crate::lock::LockError),
    /// Anything that only the whole knows.
    Own(OwnError),
}

impl Error {
    /// Adds what was being done, such as `installing package 7 of 15 for linux/amd64`.
    #[must_use]
    pub fn doing(mut self, what: impl Into<String>) -> Self {
        self.doing.get_or_insert(what.into());
        self
    }

    /// Adds a place of the spec.
    #[must_use]
    pub fn at(mut self, span: &SourceSpan) -> Self {
        self.spans.push(span.clone());
        self
    }

    /// Adds a hint that only the whole can give; it is shown first.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Gives hints in place of those of the stage, which cannot know what the whole knows.
    #[must_use]
    pub(crate) fn hints_instead(mut self, hints: Vec<String>) -> Self {
        (self.hints, self.instead) = (hints, true);
        self
    }

    /// What was being done.
    pub fn while_doing(&self) -> Option<&str> {
        self.doing.as_deref()
    }

    /// The stage that failed.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause.error(), f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.error().source()
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        self.cause.explain().code()
    }

    fn kind(&self) -> Kind {
        self.cause.explain().kind()
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = self.hints.clone();
        if self.instead {
            return hints;
        }
        // A layer cannot know why a file could not be read; what reads files does.
        let inner = match self.cause.as_ref() {
            Cause::Layer(assemble_layer::LayerError::Content { source, .. }) => {
                assemble_fetch::FetchError::inside(source)
            }
            _ => None,
        };
        hints.extend(inner.map_or_else(|| self.cause.explain().hints(), Explain::hints));
        hints
    }

    fn spans(&self) -> Vec<SourceSpan> {
        let mut spans = self.cause.explain().spans();
        spans.extend(self.spans.iter().cloned());
        spans
    }
}

/// Adds what was being done to any stage's error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().doing(what()))
    }
}
