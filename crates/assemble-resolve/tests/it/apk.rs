//! Rules of apk's choice, one case each, and where the search has to go on.

use assemble_resolve::{Policy, Unsolvable};

use crate::support::{repository, solve, solved, tagged, world};

fn check(universe: &str, wanted: &str, expected: &str) {
    let found = solved(wanted, &[repository("r", universe)]);
    assert_eq!(found.as_deref(), Ok(expected), "{wanted}");
}

fn refused(universe: &str, wanted: &str, message: &str) {
    let error = solved(wanted, &[repository("r", universe)]).unwrap_err();
    assert!(error.contains(message), "{wanted}: {error}");
}

#[test]
fn what_is_provided_without_a_version_is_below_every_version() {
    check("a 1 d:b<2\nc 1 p:b", "a c", "c=1 a=1");
    check("a 1 d:!b>=2\nc 1 p:b", "a c", "a=1 c=1");
    refused(
        "a 1 d:b>=2\nc 1 p:b",
        "a c",
        "there is c-1 (provides b without a version), but >=2 was asked for",
    );
    refused("a 1 d:!b<2\nc 1 p:b", "a c", "c-1 cannot be installed beside a-1");
    // Who provides it in a version comes before a priority.
    check("a 1 d:b\nc 1 p:b k:10\nd 1 p:b=1", "a", "d=1 a=1");
}

#[test]
fn versions_compare_as_apk_has_them() {
    check("a 1.1\na 1.01", "a", "a=1.1");
    check("a 1.1\na 1.09", "a", "a=1.1");
    check("a 1~ab\na 1_rc1", "a", "a=1~ab");
    check("a 2\na 1.5\na 1.4", "a<~1.5", "a=1.5");
    refused("a 1-r0", "a=1", "there is a-1-r0, but 1 was asked for");
}

#[test]
fn nobody_is_chosen_who_was_not_named() {
    let shells = "a 1 d:sh\nbash 1 p:sh\ndash 1 p:sh\nuser 1 d:dash";
    refused(shells, "a", "could be bash or dash, which may be chosen only if asked for by name");
    check(shells, "a dash", "dash=1 a=1");
    check(shells, "a user", "dash=1 a=1 user=1");
    check("a 1 d:sh\nbash 1 p:sh k:1\ndash 1 p:sh k:2", "a", "dash=1 a=1");
}

#[test]
fn what_cannot_be_installed_is_left_out() {
    check("a 2 u:X\na 1", "a", "a=1");
    refused(
        "a 2 u:X",
        "a",
        "its record has a field `X`, and who does not know that must not install the package",
    );
    refused("a 2 a:aarch64", "a", "it is for aarch64");
    refused("a 1 d:b>not", "a", "it needs `b>not`, a version that cannot be compared");
}

#[test]
fn one_checksum_is_one_package() {
    // The second name is the first package, as far as apk is concerned: there is no `b`.
    refused("a 1 c:7\nb 1 c:7", "b", "b-1 cannot be installed: another package has its checksum");
    check("a 1 c:7\nb 1 c:8", "b", "b=1");
    // The same package in two repositories is in both.
    let both = [tagged("edge", "edge", "a 1 c:7"), repository("main", "a 1 c:7")];
    assert_eq!(solved("a", &both).unwrap(), "a=1");
}

#[test]
fn the_first_repository_has_equal_versions() {
    for order in [["one", "two"], ["two", "one"]] {
        let both = order.map(|name| repository(name, "a 1"));
        let solution = solve(&world("a"), &both, Policy::Apk).unwrap();
        assert_eq!(solution.packages[0].repository, 0, "{order:?}");
    }
}

#[test]
fn conditions_may_exclude() {
    let auto = "a 1\nb 1\nwith-a 1 i:a i:!b";
    check(auto, "a", "a=1 with-a=1");
    check(auto, "a b", "a=1 b=1");
    check(auto, "a !with-a", "a=1");
}

#[test]
fn the_search_goes_back_where_apk_does_not() {
    // The best version of `a` leads nowhere, two steps down.
    check("a 2 d:b\na 1\nb 1 d:c>1\nc 1", "a", "a=1");
    // Two needs that only older versions of both can meet.
    let both = "a 2 d:x=2\na 1 d:x=1\nb 2 d:x=3\nb 1 d:x=1\nx 3\nx 2\nx 1";
    check(both, "a b", "x=1 a=1 b=1");
}

#[test]
fn giving_up_is_not_refusing() {
    // Fourteen that each need one of thirteen places: no set, and no short proof.
    let places = 13;
    let mut text = String::new();
    let mut wanted = String::new();
    for guest in 0..=places {
        wanted += &format!("guest{guest} ");
        text += &format!("guest{guest} 1 d:seat{guest}\n");
        for place in 0..places {
            text += &format!("at{guest}-{place} 1 p:seat{guest} p:place{place}=1 k:1\n");
        }
    }
    let error = solve(&world(&wanted), &[repository("r", &text)], Policy::Apk).unwrap_err();
    assert_eq!(error, Unsolvable::GivenUp { steps: 5_000_000 });
    assert!(error.to_string().starts_with("gave up after 5000000 steps"), "{error}");
    // Three of two is proven.
    let error = solve(
        &world("guest0 guest1 guest2"),
        &[repository(
            "r",
            &text.replace(" 1 p:seat", " 1 p:none").replace("at0-0 1 p:none0", "at0-0 1 p:seat0"),
        )],
        Policy::Apk,
    );
    assert!(matches!(error, Err(Unsolvable::NoProvider(_))), "{error:?}");
}
