//! Indexes and the database of installed packages.

use assemble_apk::{
    Constraint, Index, IndexError, Keyring, PackageName, PublicKey, Record, Trust, installed_db, read_index,
};

use crate::{kept, wrap};

/// The key that the signed inputs of the corpus are signed with.
const KEY: &[u8] = include_bytes!("../../../testdata/fuzz/testkit.rsa.pub");

fn keys() -> Keyring {
    let key = PublicKey::parse("testkit.rsa.pub", KEY).expect("the committed key is one");
    std::iter::once(key).collect()
}

/// A whole index file, perhaps signed with the key of the tests.
pub(crate) fn packed(input: &[u8]) {
    assert!(
        read_index(input, &Keyring::new(), Trust::Required).is_err(),
        "nobody is trusted, and it was accepted"
    );
    let checked = read_index(input, &keys(), Trust::Required);
    let unchecked = read_index(input, &keys(), Trust::AllowUntrusted);
    match (&checked, &unchecked) {
        (Ok(checked), Ok(unchecked)) => {
            assert_eq!(checked.signed_by.as_deref(), Some("testkit.rsa.pub"));
            assert_eq!(checked.records.len(), unchecked.records.len(), "trust does not change what is read");
        }
        (Ok(_), Err(error)) => panic!("only readable when checked: {error}"),
        (Err(_), Ok(unchecked)) => assert_eq!(unchecked.signed_by, None, "signed, and refused"),
        (Err(_), Err(_)) => {}
    }
    sound(unchecked);
}

/// The list alone, also as if it lay in the cache.
pub(crate) fn text(input: &[u8]) {
    kept::excerpt(&String::from_utf8_lossy(input));
    let packed = wrap::gzip(&wrap::tar(&[("APKINDEX", input)], false));
    sound(read_index(&packed, &Keyring::new(), Trust::AllowUntrusted));
}

fn sound(read: Result<Index, IndexError>) {
    let index = match read {
        Ok(index) => index,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    };
    kept::form_is_the_index(&index);
    for record in &index.records {
        for part in [record.name.as_str(), record.version.as_str()] {
            assert!(
                !part.is_empty() && !part.contains('/') && part != "..",
                "{part:?} is no part of a file name"
            );
            assert!(!part.chars().any(char::is_control), "{part:?}");
        }
        printed_and_read_again(record);
    }
}

/// The lists of a record are read again as they were. Garbage among them is shown with escapes, so it is left out.
fn printed_and_read_again(record: &Record) {
    let proper = |constraint: &&Constraint| PackageName::parse(constraint.name.as_str()).is_ok();
    let list = |constraints: &[Constraint]| {
        constraints.iter().filter(proper).map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let kept = |constraints: &[Constraint]| constraints.iter().filter(proper).cloned().collect::<Vec<_>>();
    let provides = record.provides.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let text = format!(
        "P:{}\nV:{}\nD:{}\ni:{}\np:{provides}\nS:{}\nI:{}\nk:{}\nt:{}\n\n",
        record.name,
        record.version,
        list(&record.depends),
        list(&record.install_if),
        record.size,
        record.installed_size,
        record.provider_priority,
        record.build_time
    );
    if text.lines().any(|line| line.len() > 1 << 20) {
        return;
    }
    let packed = wrap::gzip(&wrap::tar(&[("APKINDEX", text.as_bytes())], false));
    let again =
        read_index(&packed, &Keyring::new(), Trust::AllowUntrusted).expect("what was printed is read");
    assert_eq!(again.records.len(), 1, "records of one:\n{text}");
    let again = &again.records[0];
    assert_eq!((&again.name, &again.version), (&record.name, &record.version));
    assert_eq!(again.depends, kept(&record.depends));
    assert_eq!(again.install_if, kept(&record.install_if));
    assert_eq!(again.provides, record.provides);
    assert_eq!((again.size, again.installed_size), (record.size, record.installed_size));
}

/// A database, by whomever it was written.
pub(crate) fn installed(input: &[u8]) {
    match installed_db::parse(input) {
        Ok(records) => {
            for record in records {
                assert!(!record.name.as_str().contains('\n') && !record.version.as_str().contains('\n'));
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
}
