//! Where the greedy choice breaks a rule, another way is found, or the reason is told.

use crate::support::{once, repository, solved};

#[test]
fn a_late_conflict_is_avoided() {
    // `b` excludes what was chosen for `a` before; the greedy choice has both.
    let late = "
        a 1 d:virtual
        x 2 p:virtual k:1
        y 1 p:virtual k:1
        b 1 d:!x
    ";
    let repositories = [repository("r", late)];
    assert_eq!(once("a b", &repositories).unwrap(), "x=2 a=1 b=1");
    assert_eq!(solved("a b", &repositories).unwrap(), "y=1 a=1 b=1");
}

#[test]
fn a_lower_version_is_taken_if_the_best_conflicts() {
    let versions = "
        a 1 d:lib
        lib 2
        lib 1
        b 1 d:!lib>1
    ";
    let repositories = [repository("r", versions)];
    assert_eq!(solved("a b", &repositories).unwrap(), "lib=1 a=1 b=1");
}

#[test]
fn exclusions_of_the_world_hold() {
    let choice = "
        a 1 d:virtual
        x 2 p:virtual k:1
        y 1 p:virtual k:1
        extra 1 i:y
    ";
    let repositories = [repository("r", choice)];
    assert_eq!(solved("a !x", &repositories).unwrap(), "y=1 extra=1 a=1");
    assert_eq!(solved("a !x !extra", &repositories).unwrap(), "y=1 a=1");
    assert!(solved("a !virtual", &repositories).unwrap_err().contains("the list of packages says !virtual"));
}

#[test]
fn what_cannot_be_avoided_is_named() {
    let error = solved("a b", &[repository("r", "a 1\nb 1 d:!a")]).unwrap_err();
    assert!(error.contains("a-1 cannot be installed beside b-1"), "{error}");
    assert!(error.contains("take one of"), "{error}");
}

#[test]
fn the_search_is_bounded() {
    // Twenty pairs of which each second excludes each first: 2^20 ways, none of which holds.
    let mut text = String::new();
    let mut wanted = String::from("last ");
    for i in 0..20 {
        text += &format!("user{i} 1 d:v{i}\nx{i} 2 p:v{i} p:any{i}\ny{i} 1 p:v{i} p:any{i}\nmust{i} 1\n");
        text += &format!("zz{i} 1 d:!any{i}\n");
        wanted += &format!("user{i} zz{i} ");
    }
    text += "last 1\n";
    assert!(solved(&wanted, &[repository("r", &text)]).is_err());
}

#[test]
fn an_earlier_choice_gives_way_to_a_later_bound() {
    let soft = "
        soft 1 d:left d:right
        left 1 d:base
        right 1 d:base<2
        base 2
        base 1
    ";
    let repositories = [repository("r", soft)];
    assert_eq!(once("soft", &repositories).unwrap(), "base=2 left=1 right=1 soft=1");
    assert_eq!(solved("soft", &repositories).unwrap(), "base=1 left=1 right=1 soft=1");
}
