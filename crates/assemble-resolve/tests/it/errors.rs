//! The messages, whole.

#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use expect_test::expect;

use crate::support::{repository, solved, tagged};

const INDEX: &str = "
    app 1.0-r0 d:lib>=2 d:!other
    lib 1.0-r0
    lib 1.5-r0
    other 1.0-r0
    wants-other 1.0-r0 d:other
    wants-none 1.0-r0 d:middle
    middle 1.0-r0 d:so:nowhere.so.1
    curl 8.0-r0 p:cmd:curlie=8.0-r0 p:cmd:curl=8.0-r0
    openssl 3.0-r0
    openssh 9.0-r0
    git-version 1.0~git2-r0
    fine 1.0-r0 d:!other
    needs-virtual 1 d:virtual
    virtual-a 1 p:virtual
    virtual-b 1 p:virtual
    too-new 1 d:lib>1~none
";

#[test]
fn messages() {
    let repositories = [repository("main", INDEX), tagged("edge", "edge", "fresh 1-r0\nlib 3.0-r0")];
    let mut text = String::new();
    for wanted in [
        "opensssl",
        "curlie",
        "nothing-like-it",
        "fresh",
        "fresh=1-r0",
        "lib=1.6",
        "lib>2",
        "app",
        "wants-none",
        "fine other",
        "fine wants-other",
        "lib=1~none",
        "lib=1.0-r0 lib=1.5-r0",
        "lib !lib",
        "fresh@edgy",
        "needs-virtual",
        "too-new",
    ] {
        text += &format!("{wanted}\n{}\n\n", solved(wanted, &repositories).unwrap_err());
    }
    expect![[r#"
        opensssl
        resolve/no-provider: no package provides `opensssl`, required by the list of packages
          write `openssl` instead of `opensssl` in contents.packages (or openssh)

        curlie
        resolve/no-provider: no package provides `curlie`, required by the list of packages
          write `curl` instead of `curlie` in contents.packages

        nothing-like-it
        resolve/no-provider: no package provides `nothing-like-it`, required by the list of packages
          add the repository that has `nothing-like-it` to contents.repositories

        fresh
        resolve/untagged: fresh-1-r0 (needed by the list of packages) is in a repository tagged @edge only; what comes from there has to be asked for by name
          add `fresh@edge` to contents.packages

        fresh=1-r0
        resolve/untagged: fresh-1-r0 (needed by the list of packages) is in a repository tagged @edge only; what comes from there has to be asked for by name
          add `fresh@edge` to contents.packages

        lib=1.6
        resolve/version: `lib=1.6`, required by the list of packages: there is lib-1.5-r0, lib-1.0-r0, but 1.6 was asked for
          write `lib=1.5-r0` in contents.packages, or `lib` for the newest
          add the repository that has the version asked for of `lib` to contents.repositories

        lib>2
        resolve/untagged: lib-3.0-r0 (needed by the list of packages) is in a repository tagged @edge only; what comes from there has to be asked for by name
          add `lib@edge` to contents.packages

        app
        resolve/untagged: lib-3.0-r0 (needed by app-1.0-r0) is in a repository tagged @edge only; what comes from there has to be asked for by name
          add `lib@edge` to contents.packages

        wants-none
        resolve/no-provider: no package provides `so:nowhere.so.1`, required by wants-none-1.0-r0 -> middle-1.0-r0
          add the repository that has `so:nowhere.so.1` to contents.repositories

        fine other
        resolve/conflict: other-1.0-r0 cannot be installed beside fine-1.0-r0: the latter says !other
          take one of `other` and `fine` out of contents.packages

        fine wants-other
        resolve/conflict: other-1.0-r0 (needed by wants-other-1.0-r0) cannot be installed beside fine-1.0-r0: the latter says !other
          take one of `wants-other` and `fine` out of contents.packages

        lib=1~none
        resolve/not-a-version: `lib=1~none`, required by the list of packages, has a version that cannot be compared
          write versions as 1.2.3, 1.2.3_rc1 or 1.2.3-r4, the way the repository lists them

        lib=1.0-r0 lib=1.5-r0
        resolve/conflict: lib-1.5-r0 cannot be installed beside lib-1.0-r0: both are named lib
          take one of `lib=1.5-r0` and `lib=1.0-r0` out of contents.packages

        lib !lib
        resolve/conflict: lib-1.0-r0 cannot be installed: the list of packages says !lib
          take `lib` out of contents.packages, or ask for another version of it

        fresh@edgy
        resolve/unknown-tag: `fresh@edgy`: no repository is tagged @edgy
          write `@edgy ADDRESS` in contents.repositories
          use a tag that there is: @edge

        needs-virtual
        resolve/ambiguous: `virtual`, required by needs-virtual-1, could be virtual-a or virtual-b, which may be chosen only if asked for by name
          add one of them to contents.packages: virtual-a, virtual-b

        too-new
        resolve/not-installable: too-new-1 cannot be installed: it needs `lib>1~none`, a version that cannot be compared
          take `too-new` out of contents.packages, or add a repository that has another one

    "#]].assert_eq(&text);
}
