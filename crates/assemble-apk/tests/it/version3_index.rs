//! Indexes of format version 3 as large as real ones: what their records say, and what they take.

use assemble_apk::{Constraint, Index, Keyring, Operator, Record, Trust, read_index, read_index_into};
use assemble_testkit::{
    AdbCompression, AdbPackageBuilder, AdbValue, SigningKey, adb_database, adb_file, adb_index,
};
use assemble_types::MemorySpool;

use crate::kit::{index, keyring, kit, test_keyring};

/// A dependency as its object.
fn dependency(one: &Constraint) -> AdbValue {
    const CONFLICT: u64 = 16;
    let operator = match one.operator {
        Operator::Any | Operator::Equal => 1,
        Operator::Less => 2,
        Operator::LessEqual => 3,
        Operator::Greater => 4,
        Operator::GreaterEqual => 5,
        Operator::Fuzzy => 9,
        Operator::LessFuzzy => 11,
        Operator::GreaterFuzzy => 13,
    };
    let version = one.version.as_ref().map_or(AdbValue::Null, |version| AdbValue::text(version.as_str()));
    let wanted = operator | if one.conflict { CONFLICT } else { 0 };
    AdbValue::Object(vec![AdbValue::text(one.name.as_str()), version, AdbValue::Int(wanted)])
}

/// A record as its object, with a checksum of 32 bytes.
fn info(record: &Record) -> AdbValue {
    let list = |items: &[Constraint]| AdbValue::list(items.iter().map(dependency).collect());
    let provides: Vec<Constraint> =
        record.provides.iter().map(|one| Constraint::parse(&one.to_string()).unwrap()).collect();
    let mut hash = record.checksum.unwrap().as_bytes().to_vec();
    hash.resize(32, 7);
    AdbValue::Object(vec![
        AdbValue::text(record.name.as_str()),
        AdbValue::text(record.version.as_str()),
        AdbValue::Blob(hash),
        AdbValue::text(&record.description),
        AdbValue::text(&record.arch),
        AdbValue::text(&record.license),
        AdbValue::text(&record.origin),
        AdbValue::text(&record.maintainer),
        AdbValue::text(&record.url),
        AdbValue::Blob(data_encoding::HEXLOWER.decode(record.commit.as_bytes()).unwrap()),
        AdbValue::Int(record.build_time.try_into().unwrap()),
        AdbValue::Int(record.installed_size),
        AdbValue::Int(record.size),
        AdbValue::Int(record.provider_priority),
        list(&record.depends),
        list(&provides),
        AdbValue::Null,
        list(&record.install_if),
    ])
}

fn sparing(index: &Index) {
    let (bytes, count) = (index.records.weight().unwrap(), index.records.len());
    assert!(bytes <= 150 * count, "{} bytes for each of {count} records", bytes / count);
    for number in (0..count).step_by(10) {
        assert!(index.records.get(number).is_some());
    }
    assert!(index.records.weight().unwrap() <= bytes + 16 * count);
    index.records.check().unwrap();
}

/// A few thousand packages with what most have: a library, a command, and dependencies on others.
#[test]
fn a_record_takes_no_more_memory_than_it_may() {
    let package = |number: usize| {
        let other = |step: usize| format!("so:lib{:04}.so.1", number * step % 3000);
        let mut package = AdbPackageBuilder::new(&format!("package-{number:04}"), "1.2.3-r4")
            .provides(&format!("so:lib{number:04}.so.1"))
            .provides(&format!("cmd:tool{number:04}"))
            .build_time(1_700_000_000 + number as u64)
            .depend("so:libc.musl-x86_64.so.1");
        for step in [7, 11] {
            package = package.depend(&other(step));
        }
        package.signed_by(&[]).build()
    };
    let packages: Vec<_> = (0..3000).map(package).collect();
    let packages: Vec<_> = packages.iter().collect();
    let packed = adb_index(&packages, "", &[SigningKey::Test], AdbCompression::Deflate);
    let index = read_index_into(&packed, &test_keyring(), Trust::Required, None, &MemorySpool).unwrap();
    assert_eq!(index.records.len(), packages.len());
    sparing(&index);
    let found: Vec<&Record> = index.records.named("package-0042").collect();
    assert_eq!(found[0].checksum.unwrap().as_bytes(), packages[42].hash);
    let depends: Vec<String> = found[0].depends.iter().map(ToString::to_string).collect();
    assert_eq!(depends, ["so:libc.musl-x86_64.so.1", "so:lib0294.so.1", "so:lib0462.so.1"]);
}

/// A real index of version 2 says the same in version 3, and takes as much memory.
#[test]
fn large_real_indexes_in_version_3() {
    let Some(real) = kit("real") else { return };
    let keys = keyring(&real.join("keys/alpine"));
    for folder in ["alpine-3.19/main/x86_64", "alpine-3.19/community/x86_64"] {
        let old = index(&real.join(folder), &keys);
        let weight = old.records.weight();
        let list = old.records.iter().map(info).collect();
        let root = AdbValue::Object(vec![AdbValue::text(&old.description), AdbValue::list(list)]);
        let packed = adb_file(*b"indx", &adb_database(&root), &[], &[], AdbCompression::Zstd);
        let new = read_index(&packed, &Keyring::new(), Trust::AllowUntrusted).unwrap();
        assert_eq!(new.records.weight(), weight);
        sparing(&new);
        assert_eq!(new.description, old.description);
        assert_eq!(new.records.len(), old.records.len());
        for (number, (new_record, old_record)) in new.records.iter().zip(&old.records).enumerate() {
            let (sum, old_sum) = (new_record.checksum.unwrap(), old_record.checksum.unwrap());
            assert_eq!((sum.short(), sum.is_short()), (old_sum, false));
            assert_eq!(new.records.checksum(number), Some(sum));
            // Version 3 has no white space behind a text.
            let mut expected = Record { checksum: Some(sum), ..old_record.clone() };
            for text in [&mut expected.description, &mut expected.license, &mut expected.url] {
                text.truncate(text.trim_end().len());
            }
            assert_eq!(new_record, &expected);
            assert_eq!(new.records.is_understood(number), old.records.is_understood(number));
            let readable = |index: &Index| index.records.conditions_are_readable(number);
            assert_eq!(readable(&new), readable(&old));
        }
        let (new_names, old_names) = (new.records.names(), old.records.names());
        assert!(new_names.numbers_in(old_names).into_iter().eq((0..).map(Some).take(old_names.count())));
        assert!(new_names.heads().eq(old_names.heads()));
        assert!(new_names.all_waiting().eq(old_names.all_waiting()));
    }
}

/// The real ones have few records; what they say beside them is kept with them.
#[test]
fn real_indexes_of_version_3_have_a_form() {
    let Some(root) = kit("real-v3") else { return };
    for path in
        ["openwrt/packages.adb", "generated/x86_64/packages.adb", "generated/variants/index-from-v2.adb"]
    {
        let packed = std::fs::read(root.join(path)).unwrap();
        let index = read_index(&packed, &Keyring::new(), Trust::AllowUntrusted).unwrap();
        let count = index.records.len();
        let (form, lines) = index.to_form().unwrap();
        let again = Index::from_form(&form, lines).unwrap();
        assert_eq!(format!("{again:?}"), format!("{index:?}"));
        let all: Vec<usize> = (0..count).rev().collect();
        let some = Index::of_excerpt(&index.excerpt(&all).unwrap(), count, None).unwrap();
        assert!(some.records.iter().eq(index.records.into_vec().iter().rev()));
        assert_eq!(some.files, index.files);
    }
}
