//! The solver against tables, against its own check, and against answers of apko.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests fail and speak as tests do")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "clearer, and tests need not be fast")]

mod apk;
mod errors;
mod fallback;
mod invariants;
mod joint;
mod kit;
mod random_apk;
mod support;
mod table;
