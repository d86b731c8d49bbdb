//! What the crate does as a whole, on packages made for the purpose, on real ones, and on hostile ones.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests; the lints exempt test functions only"
)]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "clearer, and tests need not be fast")]
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]
#![allow(clippy::case_sensitive_file_extension_comparisons, reason = "the names are our own")]

mod chain;
mod database;
mod hostile;
mod kit;
mod odd;
mod real;
mod signatures;
mod version3;
mod version3_hostile;
mod version3_index;
