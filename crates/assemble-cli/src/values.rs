//! Values of options, with messages that say what would be right.

use std::num::NonZeroUsize;

use assemble_types::{Platform, PlatformError};

/// A platform in any of its spellings.
pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    text.parse().map_err(|error: PlatformError| match assemble::platform_hint(text) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

/// How many threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "give a whole number from 1, or leave it out for as many as there are cores".to_owned())
}
