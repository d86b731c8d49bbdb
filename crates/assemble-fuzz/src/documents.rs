//! What people and tools write: specs and locks.

use assemble_spec::parse_spec;

/// A spec: either a value or mistakes that point into the text, and never a text that steers terminals.
pub(crate) fn spec(input: &[u8]) {
    let Err(diagnostics) = parse_spec("spec.yaml", input) else { return };
    assert!((1..=60).contains(&diagnostics.len()), "{} mistakes", diagnostics.len());
    for diagnostic in diagnostics.iter() {
        let plain = diagnostic.plain();
        assert!(!plain.is_empty());
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
    }
}
