//! Specs as people write them, and what they are told.

// `UPDATE_EXPECT=1` writes raw strings with hashes; helpers of tests may unwrap.
#![allow(
    clippy::needless_raw_string_hashes,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::unwrap_used,
    clippy::print_stderr
)]

mod accepted;
mod apko_lock;
mod dialects;
mod folders;
mod foreign;
mod hostile;
mod includes;
mod lock;
mod mistakes;
mod schema;

use expect_test::Expect;

/// Parses, expects mistakes, and compares how they are shown.
#[track_caller]
fn refused(yaml: &str, expected: Expect) {
    match assemble_spec::parse_spec("a.yaml", yaml.as_bytes()) {
        Ok(spec) => panic!("accepted: {spec:#?}"),
        Err(diagnostics) => expected.assert_eq(&diagnostics.plain()),
    }
}

/// Parses, expects no mistakes.
#[track_caller]
fn parsed(yaml: &str) -> assemble_spec::Spec {
    match assemble_spec::parse_spec("a.yaml", yaml.as_bytes()) {
        Ok(spec) => spec,
        Err(diagnostics) => panic!("refused:\n{}", diagnostics.plain()),
    }
}
