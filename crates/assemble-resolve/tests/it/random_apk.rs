//! Random indexes and lists of packages, with what apk-tools 3.0.6 chose (`apk add --simulate` in an empty root). The lists
//! that it could solve are in `testdata/resolver-random.txt`, as they were drawn.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{repository, solved};

#[test]
fn random_lists_get_the_packages_that_apk_chooses() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/resolver-random.txt");
    let text = fs::read_to_string(file).unwrap();
    let mut count = 0;
    for case in text.split("\n\n").filter(|case| !case.trim().is_empty()) {
        let mut lines = case.trim().splitn(4, '\n');
        let mut field = |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).unwrap().trim();
        let (number, world, expected) = (field("case "), field("world "), field("apk"));
        let repositories = [repository("r", field(""))];
        let found = solved(world, &repositories).unwrap_or_else(|error| panic!("case {number}: {error}"));
        let found: BTreeSet<&str> = found.split_whitespace().collect();
        assert_eq!(found, expected.split_whitespace().collect(), "case {number}");
        count += 1;
    }
    assert!(count > 500, "{count}");
}
