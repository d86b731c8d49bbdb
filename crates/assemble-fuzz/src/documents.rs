//! What people and tools write: specs and locks.

use assemble_spec::lock::{Difference, apko, parse_lock};
use assemble_spec::{Diagnostics, parse_spec};

/// A spec: either a value or mistakes that point into the text, and never a text that steers terminals.
pub(crate) fn spec(input: &[u8]) {
    if let Err(diagnostics) = parse_spec("spec.yaml", input) {
        readable(&diagnostics);
    }
}

/// Our lock: read, written, read.
pub(crate) fn lock(input: &[u8]) {
    let lock = match parse_lock("hello.lock", input) {
        Ok(lock) => lock,
        Err(diagnostics) => return readable(&diagnostics),
    };
    let text = lock.to_text();
    let again = parse_lock("hello.lock", text.as_bytes())
        .unwrap_or_else(|wrong| panic!("what was written is read: {}\n{text}", wrong.plain()));
    assert_eq!(again.to_text(), text, "read, written, read");
    assert!(Difference::between(&lock.outline(), &again.outline()).is_empty(), "writing changes nothing");
    for package in lock.images.iter().flat_map(|image| &image.packages) {
        assert!(
            !package.name.as_str().contains('/') && !package.version.as_str().contains('/'),
            "{}",
            package.name
        );
    }
}

/// apko's lock: read, written, read.
pub(crate) fn apko_lock(input: &[u8]) {
    let read = match apko::parse("apko.lock.json", input) {
        Ok(read) => read,
        Err(diagnostics) => return readable(&diagnostics),
    };
    assert_eq!(read.places.len(), read.lock.contents.packages.len());
    let text = read.lock.to_json();
    let again = apko::parse("apko.lock.json", &text)
        .unwrap_or_else(|wrong| panic!("what was written is read: {}", wrong.plain()));
    assert!(again.lock.to_json() == text, "read, written, read");
}

/// Mistakes can be shown as they are.
fn readable(diagnostics: &Diagnostics) {
    assert!((1..=60).contains(&diagnostics.len()), "{} mistakes", diagnostics.len());
    for diagnostic in diagnostics {
        let plain = diagnostic.plain();
        assert!(!plain.is_empty());
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
    }
}
