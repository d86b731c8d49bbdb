//! Indexes of format version 3.

use assemble_types::Spool;

use super::info::{record, text};
use super::signature::Signatures;
use super::stream::{BlockKind, Stream};
use super::value::Database;
use super::{AdbError, Schema};
use crate::index_text::Room;
use crate::record_lines::RecordKeeper;
use crate::{Index, IndexError, Keyring, PackageSpec, Record, Trust};

const DESCRIPTION: usize = 1;
const PACKAGES: usize = 2;
const PACKAGE_SPEC: usize = 3;

/// Largest database of an index, which is kept in memory while it is read, and what its values may add up to: a package of
/// a real one has a kilobyte.
const MAX_DATABASE: u64 = 128 << 20;
const MAX_VALUES: u64 = 300 << 20;

/// Reads an index and checks its signature before its database is interpreted. The records' lines are kept in the spool.
pub(crate) fn read(
    packed: &[u8],
    keyring: &Keyring,
    trust: Trust,
    limit: u64,
    spool: &dyn Spool,
) -> Result<Index, IndexError> {
    let (database, signatures) = blocks(packed, limit.min(MAX_DATABASE)).map_err(IndexError::Adb)?;
    let signed_by = match signatures.verify(Schema::Index, &database, keyring) {
        Ok(key) => Some(key),
        Err(_) if trust == Trust::AllowUntrusted => None,
        Err(error) => return Err(IndexError::signature(error, keyring)),
    };
    let mut room = Room::beside(packed.len() + database.len());
    let mut kept = RecordKeeper::new(spool);
    let About { description, files } = interpret(&database, |record| {
        room.take(&record)?;
        kept.add(&record);
        Ok(())
    })?;
    // The tables need more room to become what they are, and nothing is read any more.
    drop(database);
    let records = kept.finish().map_err(IndexError::Keep)?;
    Ok(Index { records, description, signed_by, files })
}

fn blocks(packed: &[u8], limit: u64) -> Result<(Vec<u8>, Signatures), AdbError> {
    let mut stream = Stream::open(packed, Schema::Index)?;
    let database = stream.database(limit)?;
    let mut signatures = Signatures::default();
    while let Some(block) = stream.next()? {
        if block.kind != BlockKind::Signature {
            return Err(block.error("has no place in an index"));
        }
        signatures.read(&block, &mut stream)?;
    }
    Ok((database, signatures))
}

/// What an index says beside its records.
struct About {
    description: String,
    files: PackageSpec,
}

/// Hands over the records, one by one, in their order.
fn interpret(
    database: &[u8],
    mut keep: impl FnMut(Record) -> Result<(), IndexError>,
) -> Result<About, IndexError> {
    let database = Database::new(database, MAX_VALUES).map_err(IndexError::Adb)?;
    let root = database.root().map_err(IndexError::Adb)?;
    let packages = root.list(PACKAGES, "packages").map_err(IndexError::Adb)?;
    for number in packages.numbers() {
        let read = || match packages.object(number, "packages")? {
            Some(info) => record(info),
            None => Err(AdbError::value("packages", "has an empty item")),
        };
        keep(read().map_err(|source| IndexError::Record { number, source })?)?;
    }
    let spec = text(root, PACKAGE_SPEC, "pkgname-spec").map_err(IndexError::Adb)?;
    let files = match spec.as_str() {
        "" => PackageSpec::version_3(),
        spec => PackageSpec::parse(spec)?,
    };
    let description = text(root, DESCRIPTION, "description").map_err(IndexError::Adb)?;
    Ok(About { description, files })
}

#[cfg(test)]
mod tests {
    use std::io;

    use assemble_testkit::{AdbCompression, AdbValue, adb_database, adb_file};
    use assemble_types::{Blob, MemorySpool, SpoolWriter};
    use proptest::prelude::*;

    use super::*;
    use crate::index_form::tests::told;

    fn blob(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = AdbValue> {
        prop_oneof![1 => Just(AdbValue::Null), 4 => bytes.prop_map(AdbValue::Blob)]
    }

    fn text(pattern: &'static str) -> impl Strategy<Value = AdbValue> {
        blob(pattern.prop_map(String::into_bytes))
    }

    /// What no dependency is as often as what is one.
    fn dependency() -> impl Strategy<Value = AdbValue> {
        let name = prop_oneof![
            8 => "([a-d]|so:[ab]|/b)".prop_map(String::into_bytes),
            1 => "[!a-c]?[=<>~@! \r\n\u{a0}\u{1}\u{1b}\u{e9}\\\\a1]{0,4}".prop_map(String::into_bytes),
            1 => "[=x]{158,163}[ <]?1?".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        let version = prop_oneof![
            8 => "[1-3](\\.[0-9])?(-r[0-9])?",
            2 => "[a-c]",
            1 => "[=<>~@! \n\u{1}1]{0,3}"
        ];
        let wanted = prop_oneof![4 => 0_u64..20, 1 => 0_u64..64];
        let version = prop::option::of(version.prop_map(|text| AdbValue::Blob(text.into_bytes())));
        (name, version, wanted).prop_map(|(name, version, wanted)| {
            let version = version.unwrap_or(AdbValue::Null);
            AdbValue::Object(vec![AdbValue::Blob(name), version, AdbValue::Int(wanted)])
        })
    }

    fn list() -> impl Strategy<Value = AdbValue> {
        prop::collection::vec(dependency(), 0..4).prop_map(AdbValue::list)
    }

    fn number() -> impl Strategy<Value = AdbValue> {
        prop_oneof![Just(AdbValue::Null), (0..3_u64).prop_map(AdbValue::Int), Just(AdbValue::Int(1 << 62))]
    }

    fn package() -> impl Strategy<Value = AdbValue> {
        let hash = prop_oneof![
            Just(vec![7; 20]),
            prop::collection::vec(any::<u8>(), 32),
            prop::collection::vec(any::<u8>(), 0..4)
        ];
        let any_text = || text("[a-c :\n\u{e9}]{0,4}");
        let texts = (any_text(), text("(x|y|x:y)?"), any_text(), any_text(), any_text(), any_text());
        let commit = blob(prop::collection::vec(any::<u8>(), 0..3));
        let numbers = (number(), number(), number(), number());
        let names = ("[a-c]|d:e", "[1-3](-r1)?|x|1~y").prop_map(|(name, version)| (name, version));
        (names, blob(hash), texts, commit, numbers, list(), list(), list()).prop_map(
            |((name, version), hash, texts, commit, numbers, depends, provides, install_if)| {
                let name = [AdbValue::text(&name), AdbValue::text(&version), hash];
                let texts: [AdbValue; 6] = texts.into();
                let numbers: [AdbValue; 4] = numbers.into();
                let mut slots: Vec<_> = name.into_iter().chain(texts).collect();
                slots.push(commit);
                slots.extend(numbers);
                slots.extend([depends, provides, AdbValue::Null, install_if]);
                AdbValue::Object(slots)
            },
        )
    }

    /// Takes lines and forgets them.
    #[derive(Debug)]
    struct Nowhere;

    impl io::Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl SpoolWriter for Nowhere {
        fn finish(self: Box<Self>) -> io::Result<Blob> {
            Ok(Blob::from_bytes([]))
        }
    }

    impl Spool for Nowhere {
        fn create(&self) -> io::Result<Box<dyn SpoolWriter>> {
            Ok(Box::new(Self))
        }
    }

    /// A long text that many records have in common stands in the database once, and in what they would take as often as it is
    /// asked for.
    #[test]
    fn what_records_would_take_has_a_bound() {
        let with = |count: usize| {
            let text = AdbValue::Blob(vec![b'x'; 60_000]);
            let same = AdbValue::Raw(0x9000_0008);
            let info = vec![AdbValue::text("a"), AdbValue::text("1"), AdbValue::Null, same];
            let list = AdbValue::Array(vec![AdbValue::Object(info); count]);
            let database = adb_database(&AdbValue::Object(vec![text, list]));
            let packed = adb_file(*b"indx", &database, &[], &[], AdbCompression::None);
            read(&packed, &Keyring::new(), Trust::AllowUntrusted, 1 << 20, &Nowhere)
        };
        assert_eq!(with(100).unwrap().records.len(), 100);
        let error = with(4500).unwrap_err();
        assert!(matches!(error, IndexError::TooMuch { .. }), "{error}");
    }

    /// So is a dependency outside the grammar, which is shown longer than it is.
    #[test]
    fn what_is_shown_longer_is_paid_for_as_it_is_shown() {
        let with = |byte: u8| {
            let text = AdbValue::Blob(vec![byte; 80]);
            let needs = vec![AdbValue::Object(vec![AdbValue::Raw(0x8000_0008)]); 500_000];
            let mut info = vec![AdbValue::text("a"), AdbValue::text("1")];
            info.resize_with(14, || AdbValue::Null);
            info.push(AdbValue::Array(needs));
            let list = AdbValue::Array(vec![AdbValue::Object(info)]);
            let database = adb_database(&AdbValue::Object(vec![text, list]));
            let packed = adb_file(*b"indx", &database, &[], &[], AdbCompression::None);
            read(&packed, &Keyring::new(), Trust::AllowUntrusted, 8 << 20, &Nowhere)
        };
        assert_eq!(with(b'b').unwrap().records.len(), 1);
        let error = with(1).unwrap_err();
        assert!(matches!(error, IndexError::Record { source: AdbError::Growth { .. }, .. }), "{error}");
    }

    proptest! {
        /// What is read from the lines of an index, also from those of its form and of an excerpt, is what its database says.
        #[test]
        fn records_that_are_kept_are_those_of_the_database(
            packages in prop::collection::vec(package(), 0..8),
            description in text("[a-c]{0,3}"),
            spec in prop_oneof![Just(""), Just("${arch}/${name:1}_${hash}.apk"), Just("${name}")],
        ) {
            let root = AdbValue::Object(vec![description, AdbValue::list(packages), AdbValue::text(spec)]);
            let database = adb_database(&root);
            let packed = adb_file(*b"indx", &database, &[], &[], AdbCompression::None);
            let index = read(&packed, &Keyring::new(), Trust::AllowUntrusted, 1 << 20, &MemorySpool).unwrap();
            let mut said = Vec::new();
            let keep = |record| { said.push(record); Ok(()) };
            let about = interpret(&database, keep).unwrap();
            prop_assert_eq!(index.records.clone().into_vec(), said.clone());
            prop_assert_eq!((&index.description, &index.files), (&about.description, &about.files));
            let made = Index { records: said.clone().into(), ..index.clone() };
            prop_assert_eq!(told(&made), told(&index));
            let (form, lines) = index.to_form().unwrap();
            let again = Index::from_form(&form, lines).unwrap();
            prop_assert_eq!(told(&again), told(&index));
            prop_assert_eq!(&again.files, &index.files);
            let all: Vec<usize> = (0..said.len()).collect();
            let again = Index::of_excerpt(&index.excerpt(&all).unwrap(), said.len(), None).unwrap();
            prop_assert_eq!(&again.files, &index.files);
            prop_assert_eq!(again.records.into_vec(), said);
        }
    }
}
