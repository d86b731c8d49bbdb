//! One binary for all tests of what the crate offers.

#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::unwrap_used, reason = "a test is where a panic is the clearest answer")]
#![allow(clippy::print_stderr, reason = "a test that was skipped says so")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "tables of texts are short")]
#![allow(clippy::too_many_lines, reason = "a table is as long as it is")]

mod alpine;
mod base;
mod install;
mod install_oracle;
mod layers;
mod listing;
mod overlay;
mod start;
mod trees;
