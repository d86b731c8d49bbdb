//! Rules of the choice, one case each. Expected values come from apko's own behaviour.

use crate::support::{as_apko, once, repository, solved, tagged};

const UNIVERSE: &str = "
    package1 1.0.0 d:dep1 d:dep2 d:dep3
    package2 1.0.0 d:dep2 d:dep7
    package3 1.0.0 d:dep8
    dep1 1.0.0 d:dep4 d:dep5
    dep2 1.0.0 d:dep3 d:/bin/sh
    dep3 1.0.0 d:dep6 d:cmd:/bin/foo d:so:libq.so.1
    dep4 1.0.0
    dep5 1.0.0
    dep6 1.0.0
    dep7 1.0.0
    dep8 1.0.0 d:dep8
    libq 1.0.0 p:so:libq.so.1
    foo 1.0.0 p:cmd:/bin/foo
    busybox 1.0.0 p:/bin/sh
    unused 1.0.0
    package5 1.0.0
    package5 1.5.0
    package5 1.5.1
    package5 2.0.0
    package5-special 1.2.0 p:package5
    package5-conflict 1.2.0 p:package5=1.2.0
    package5-noconflict 1.2.0 p:package5
    package6 1.5.1
    package6 2.0.0 d:package6 d:package5
    package7 1
    package8 2 p:package7=0.9
    package9 2.0.0 d:package5
    abc9 2.0.0 d:package5
    locked-dep 2.0.0 d:package5=1.5.1
";

fn check(universe: &str, wanted: &str, expected: &str) {
    let found = once(wanted, &[repository("r", universe)]);
    assert_eq!(found.as_deref(), Ok(expected), "{wanted}");
}

fn refused(universe: &str, wanted: &str, message: &str) {
    let error = once(wanted, &[repository("r", universe)]).unwrap_err();
    assert!(error.contains(message), "{wanted}: {error}");
}

#[test]
fn dependencies_come_first_and_in_this_order() {
    let order = "dep4 dep5 dep1 busybox foo dep6 libq dep3 dep2 package1 dep7 package2";
    let expected: Vec<_> = order.split(' ').map(|name| format!("{name}=1.0.0")).collect();
    check(UNIVERSE, "package1 package2", &expected.join(" "));
    check(UNIVERSE, "package2 package1", &expected.join(" "));
    check(UNIVERSE, "package3", "dep8=1.0.0 package3=1.0.0");
}

#[test]
fn what_was_asked_for_by_name_serves_others() {
    check(UNIVERSE, "abc9 package5", "package5=2.0.0 abc9=2.0.0");
    check(UNIVERSE, "abc9 package5=1.5.1", "package5=1.5.1 abc9=2.0.0");
    check(UNIVERSE, "abc9 package5-special", "package5-special=1.2.0 abc9=2.0.0");
    let both = once("package5-noconflict package5-special abc9", &[repository("r", UNIVERSE)]).unwrap();
    assert!(both.contains("package5-noconflict=1.2.0") && both.contains("package5-special=1.2.0"), "{both}");
    refused(UNIVERSE, "package5-conflict package5-special abc9", "both provide package5");
}

#[test]
fn bounds_hold_for_everybody() {
    check(UNIVERSE, "locked-dep package5", "package5=1.5.1 locked-dep=2.0.0");
    check(UNIVERSE, "package5=1.5.1 package5>1.0.0", "package5=1.5.1");
    refused(UNIVERSE, "package5=1.0.0 package5=1.5.1", "package5");
    check(UNIVERSE, "package5>1.0.0", "package5=2.0.0");
    check(UNIVERSE, "package7", "package7=1");
}

#[test]
fn a_conflict_decides_between_providers() {
    let libc = "
        musl 1.23-r4 p:so:ld-linux.so.2=1
        ld-linux 2.38-r10 p:so:ld-linux.so.2=2
        glibc 2.38-r10 d:!musl d:so:ld-linux.so.2
    ";
    check(libc, "glibc", "ld-linux=2.38-r10 glibc=2.38-r10");
}

#[test]
fn the_version_of_what_is_provided_counts_before_that_of_the_package() {
    let same = "
        ld-linux 2.38-r10 p:so:x=1.0
        ld-linux 2.38-r11 p:so:x=1.0
    ";
    check(same, "so:x", "ld-linux=2.38-r11");
    let lower = "
        ld-linux 2.38-r10 p:so:x=1.1
        ld-linux 2.38-r11 p:so:x=1.0
    ";
    check(lower, "so:x", "ld-linux=2.38-r10");
    let bound = "
        ld-linux 2.38-r10 p:so:x=1.0
        ld-linux 2.38-r11 p:so:x=1.1
        glibc 2.38-r10 d:so:x=1.0
        glibc 2.39-r0 d:so:x=1.1
        foo 1 d:glibc
    ";
    check(bound, "foo glibc~2.38", "ld-linux=2.38-r10 glibc=2.38-r10 foo=1");
    let priority = "
        a 1 p:virtual=1.0 k:100
        b 1 p:virtual=2.0 k:1
    ";
    check(priority, "virtual", "b=1");
    let unversioned = "
        a 2 p:virtual k:1
        b 1 p:virtual k:100
    ";
    check(unversioned, "virtual", "b=1");
    let direct = "
        a 2
        a 1 k:100
    ";
    check(direct, "a", "a=2");
}

#[test]
fn library_numbers_lose_against_package_versions() {
    let shared = "
        old 1.0-r0 p:so:libx.so.1=9
        new 1.0-r0 p:so:libx.so.1=1.0-r0
    ";
    check(shared, "so:libx.so.1", "new=1.0-r0");
    check(shared, "so:libx.so.1<1", "old=1.0-r0");
}

#[test]
fn kin_of_what_is_there_wins() {
    let origin = "
        consumer 1 d:so:libcrypt.so.1
        glibc 2 o:glibc
        libcrypt1 1 o:glibc p:so:libcrypt.so.1
        libxcrypt 2 o:libxcrypt p:so:libcrypt.so.1
    ";
    check(origin, "consumer glibc=2", "libxcrypt=2 consumer=1 glibc=2");
    let same_version = "
        consumer 1 d:so:libcrypt.so.1
        glibc 2 o:glibc
        libcrypt1 2 o:glibc p:so:libcrypt.so.1
        libxcrypt 4 o:libxcrypt p:so:libcrypt.so.1 k:100
    ";
    check(same_version, "consumer glibc=2", "libcrypt1=2 consumer=1 glibc=2");
}

#[test]
fn virtual_without_version_excludes_the_real_one() {
    let compat = "
        unbound-config 1.25.1-r2 o:unbound
        unbound-compat 1.25.1-r2 o:unbound p:unbound-config
    ";
    check(compat, "unbound-config=1.25.1-r2 unbound-compat=1.25.1-r2", "unbound-compat=1.25.1-r2");
    refused(
        "unbound-compat 1.0-r0 p:unbound-config",
        "unbound-config=1.25.1-r2 unbound-compat",
        "there is unbound-compat-1.0-r0 (provides unbound-config without a version), but 1.25.1-r2 was asked for",
    );
}

#[test]
fn the_abi_of_a_library_follows_its_program() {
    let curl = "
        curl-dev 8.12.1-r1 d:curl d:libcurl-abi=8.12.1
        curl 8.12.1-r1 d:libcurl-abi=8.12.1
        libcurl-openssl4 8.12.1-r1 d:foo p:libcurl-abi=8.12.1
        foo 1
    ";
    check(curl, "curl-dev", "foo=1 libcurl-openssl4=8.12.1-r1 curl=8.12.1-r1 curl-dev=8.12.1-r1");
}

#[test]
fn repositories_count_by_name_and_the_higher_build_wins() {
    let one = repository("b-one", "a 1-r0\nsame 1 o:b");
    let two = repository("a-two", "a 1-r1\nsame 1 o:a");
    for both in [[one.clone(), two.clone()], [two, one]] {
        assert_eq!(once("a", &both).unwrap(), "a=1-r1");
        let world = crate::support::world("same");
        let choice = crate::support::first(&world, &both).unwrap()[0];
        assert_eq!(both[choice.repository].name, "a-two");
    }
}

#[test]
fn tagged_repositories_serve_only_who_asks() {
    let both =
        [repository("one", "a 1\nplain 1"), tagged("two", "edge", "a 2\nonly 1 d:deep\ndeep 1\nboth 1 d:a")];
    assert_eq!(solved("a", &both).unwrap(), "a=1");
    assert_eq!(solved("a@edge", &both).unwrap(), "a=2");
    assert!(solved("only", &both).unwrap_err().contains("`only@edge`"));
    assert_eq!(once("only@edge", &both).unwrap(), "deep=1 only=1");
    // apko's locked list has the tag only where it was typed, so the second pass does not find `deep`.
    let error = as_apko("only@edge", &both).unwrap_err();
    assert_eq!(
        error,
        "resolve/untagged: deep-1 (needed by only-1) is in a repository tagged @edge only; what comes from there \
         has to be asked for by name\n  add `deep@edge` to contents.packages"
    );
    assert_eq!(as_apko("only@edge deep@edge", &both).unwrap(), "deep=1 only=1");
    // For apk, what comes from there may bring more from there.
    assert_eq!(solved("only@edge", &both).unwrap(), "deep=1 only=1");
    assert_eq!(solved("both@edge", &both).unwrap(), "a=1 both=1");
}

#[test]
fn install_if_looks_at_one_entry_and_its_dependencies() {
    let automatic = "
        top 1 d:one d:two
        one 1
        two 2
        one-two 1 i:one i:two=2 d:three
        three 1
        never 1 i:one i:absent
        top-doc 1 i:top
    ";
    check(automatic, "top", "one=1 two=2 one-two=1 top=1");
    check(automatic, "one two", "one=1 two=2");
    // The second pass meets the needs of what came in by itself.
    let found = as_apko("top", &[repository("r", automatic)]).unwrap();
    assert_eq!(found, "three=1 one-two=1 one=1 two=2 top=1");
    // apk looks at everything.
    let found = solved("top", &[repository("r", automatic)]).unwrap();
    assert_eq!(found, "three=1 one-two=1 one=1 top-doc=1 two=2 top=1");
    let found = solved("one two", &[repository("r", automatic)]).unwrap();
    assert_eq!(found, "three=1 one-two=1 one=1 two=2");
}

#[test]
fn the_locked_list_is_sorted_as_text() {
    let repositories =
        [repository("r", "foo 1 d:foo-bar\nfoo-bar 1"), tagged("t", "edge", "foo 2 d:foo-bar")];
    let world = crate::support::world("foo@edge");
    let solution = crate::support::solve(&world, &repositories, assemble_resolve::Policy::Apk).unwrap();
    let locked: Vec<_> = solution.locked.iter().map(ToString::to_string).collect();
    assert_eq!(locked, ["foo-bar=1", "foo=2@edge"]);
}
