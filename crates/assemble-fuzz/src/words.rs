//! Versions, constraints, `.PKGINFO`, keys.

use std::cmp::Ordering;

use assemble_apk::{
    Checksum, Constraint, Format, InstalledPackage, Operator, Package, PackageInfo, Provide, PublicKey,
    Version, installed_db,
};
use assemble_types::Blob;

/// Three versions, a line each: the order is an order.
pub(crate) fn version(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let versions: Vec<Version> =
        text.split('\n').take(3).filter_map(|line| Version::parse(line).ok()).collect();
    for a in &versions {
        assert_eq!(Version::parse(a.as_str()).as_ref(), Ok(a), "read, printed, read");
        assert_eq!(a.compare(a), a.is_valid().then_some(Ordering::Equal), "{a} is itself");
        assert_eq!(a.matches_fuzzy(a), a.is_valid(), "{a} falls under itself");
        for b in &versions {
            let order = a.compare(b);
            assert_eq!(order.is_some(), a.is_valid() && b.is_valid(), "{a}, {b}: total on what is valid");
            assert_eq!(order, b.compare(a).map(Ordering::reverse), "{a}, {b}: antisymmetric");
            bounds_agree_with_the_order(a, b, order);
            for c in &versions {
                if order == Some(Ordering::Less) && b.compare(c).is_some_and(Ordering::is_le) {
                    assert_eq!(a.compare(c), Some(Ordering::Less), "{a} < {b} <= {c}: transitive");
                }
                if order == Some(Ordering::Equal) {
                    assert_eq!(a.compare(c), b.compare(c), "{a} = {b}: equal ones lie alike to {c}");
                }
            }
        }
    }
}

fn bounds_agree_with_the_order(a: &Version, b: &Version, order: Option<Ordering>) {
    for (operator, holds) in [
        (Operator::Equal, order == Some(Ordering::Equal)),
        (Operator::Less, order == Some(Ordering::Less)),
        (Operator::LessEqual, order.is_some_and(Ordering::is_le)),
        (Operator::Greater, order == Some(Ordering::Greater)),
        (Operator::GreaterEqual, order.is_some_and(Ordering::is_ge)),
        (Operator::Fuzzy, a.matches_fuzzy(b)),
    ] {
        let mut constraint = Constraint::parse("name").expect("a name is a constraint");
        constraint.operator = operator;
        constraint.version = Some(b.clone());
        assert_eq!(constraint.satisfied_by(a), holds, "{a} {} {b}", operator.as_str());
    }
}

/// One token: what is read is printed and read again; garbage is never met.
pub(crate) fn constraint(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lenient = Constraint::parse_or_unmeetable(text);
    match Constraint::parse(text) {
        Ok(constraint) => {
            assert_eq!(constraint, lenient);
            assert_eq!(
                Constraint::parse(&constraint.to_string()).as_ref(),
                Ok(&constraint),
                "read, printed, read"
            );
            assert_eq!(constraint.version.is_some(), constraint.operator != Operator::Any);
            let _ = constraint.with_soname_rule();
        }
        Err(error) => {
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            let provided = Provide::parse(lenient.name.as_str());
            assert!(
                !provided.is_ok_and(|provide| provide.name == lenient.name),
                "garbage can be met: {text:?}"
            );
        }
    }
    if let Ok(provide) = Provide::parse(text) {
        assert_eq!(Provide::parse(&provide.to_string()).as_ref(), Ok(&provide), "read, printed, read");
        let _ = provide.with_soname_rule();
    }
}

/// A package that is nothing but its words.
fn bare(info: PackageInfo) -> Package {
    Package {
        info,
        checksum: Checksum::from_bytes([7; 20]),
        size: 1,
        packed: Blob::from_bytes(*b"x"),
        format: Format::V3,
        entries: Vec::new(),
        control_entries: Vec::new(),
    }
}

/// `.PKGINFO`: nothing in it can add a line to the database.
pub(crate) fn pkginfo(input: &[u8]) {
    let Ok((info, _)) = PackageInfo::parse(input) else { return };
    let package = bare(info);
    let written = installed_db::write(&[InstalledPackage { package: &package, entries: Vec::new() }])
        .expect("a package without entries has nothing that cannot be written");
    assert!(!written.contains(&b'\r'), "no carriage return reaches the database");
    let text = std::str::from_utf8(&written).expect("the database is text");
    assert!((18..=19).contains(&text.lines().count()), "one line a field, an empty one at the end: {text:?}");
    let records = installed_db::parse(&written).expect("what was written is read");
    let [record] = records.as_slice() else { panic!("one package, {} records", records.len()) };
    let info = &package.info;
    assert_eq!((&record.name, &record.version), (&info.name, &info.version));
    assert_eq!((&record.arch, &record.license, &record.origin), (&info.arch, &info.license, &info.origin));
    assert_eq!((record.build_time, record.installed_size), (info.build_time, info.installed_size));
    assert_eq!(record.checksum, Some(package.checksum));
}

/// A first line with a name, and a key file.
pub(crate) fn keyring(input: &[u8]) {
    let at = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let name = String::from_utf8_lossy(&input[..at]).into_owned();
    let pem = input.get(at + 1..).unwrap_or_default();
    match PublicKey::parse(&name, pem) {
        Ok(key) => {
            assert_eq!((key.name(), key.pem()), (name.as_str(), pem));
            assert!(!name.contains('/') && !name.starts_with('.'), "{name} is a path");
            let again = PublicKey::parse(key.name(), key.pem()).expect("what was read is read again");
            assert_eq!(again.fingerprint(), key.fingerprint());
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
}
