//! What people and tools write: specs and locks.

use assemble_spec::lock::{Difference, apko, parse_lock};
use assemble_spec::{Diagnostics, Dialect, IncludeProblem, SpecText, parse_spec, read_spec};

/// A spec: either a value or mistakes that point into the text, and never a text that steers terminals.
pub(crate) fn spec(input: &[u8]) {
    if let Err(diagnostics) = parse_spec("spec.yaml", input) {
        readable(&diagnostics);
    }
}

/// A spec in apko's dialect, which includes nothing: as [`spec`]. What apko takes is not what we take, so nothing follows
/// from one for the other.
pub(crate) fn spec_apko(input: &[u8]) {
    let main = SpecText { shown: "apko.yaml".into(), identity: "main".into(), bytes: input.to_owned() };
    let mut nothing = |_: &str| {
        Err(IncludeProblem { message: "there is nothing to include from".to_owned(), hints: Vec::new() })
    };
    match read_spec(main, Dialect::Apko, &mut nothing) {
        Ok(read) => assert_eq!(read.files.len(), 1, "one file was read"),
        Err(diagnostics) => readable(&diagnostics),
    }
}

/// Specs that include one another, in both dialects: the input is cut at lines of `=====`, and the parts behind the first
/// are the files `1`, `2` and so on. However they include one another, it ends; each file is read once.
pub(crate) fn spec_includes(input: &[u8]) {
    const CUT: &[u8] = b"=====\n";
    let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match parts.last_mut() {
            Some(last) if line != CUT => last.extend_from_slice(line),
            _ => parts.push(Vec::new()),
        }
    }
    for dialect in [Dialect::Assemble, Dialect::Apko] {
        let text = |number: usize| SpecText {
            shown: format!("{number}.yaml"),
            identity: number.to_string(),
            bytes: parts[number].clone(),
        };
        let mut asked = 0;
        let mut includes = |path: &str| {
            asked += 1;
            // Several ways lead to one file, as with paths.
            let number = path.trim_start_matches("./").parse::<usize>().ok();
            let number = number.filter(|number| *number < parts.len());
            number.map(text).ok_or_else(|| IncludeProblem {
                message: "the included file does not exist".to_owned(),
                hints: vec![format!("there are {}", parts.len())],
            })
        };
        let read = read_spec(text(0), dialect, &mut includes);
        assert!(asked <= parts.len(), "{asked} questions for {} files", parts.len());
        match read {
            Ok(read) => {
                let names: std::collections::BTreeSet<_> = read.files.iter().map(|f| &f.identity).collect();
                assert_eq!(names.len(), read.files.len(), "each file is read once");
                assert_eq!(read.files[0].bytes, parts[0]);
            }
            Err(diagnostics) => readable_up_to(&diagnostics, 60 * parts.len()),
        }
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
    readable_up_to(diagnostics, 60);
}

fn readable_up_to(diagnostics: &Diagnostics, most: usize) {
    assert!((1..=most).contains(&diagnostics.len()), "{} mistakes", diagnostics.len());
    for diagnostic in diagnostics {
        let plain = diagnostic.plain();
        assert!(!plain.is_empty());
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
    }
}
