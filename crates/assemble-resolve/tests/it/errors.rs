//! The messages, whole.

use expect_test::{Expect, expect};

use crate::support::{repository, solved, tagged};

const INDEX: &str = "
    app 1.0-r0 d:lib>=2 d:!other
    lib 1.0-r0
    lib 1.5-r0
    other 1.0-r0
    wants-other 1.0-r0 d:other
    wants-none 1.0-r0 d:middle
    middle 1.0-r0 d:so:nowhere.so.1
    curl 8.0-r0 p:cmd:curlie=8.0-r0
    openssl 3.0-r0
    openssh 9.0-r0
    git-version 1.0~git2-r0
    fine 1.0-r0 d:!other
";

fn check(wanted: &str, expected: &Expect) {
    let repositories = [repository("main", INDEX), tagged("edge", "edge", "fresh 1-r0\nlib 3.0-r0")];
    expected.assert_eq(&solved(wanted, &repositories).unwrap_err());
}

#[test]
fn messages() {
    check("opensssl", &expect![[r#"
        resolve/no-provider: no package provides `opensssl`, required by the list of packages
          write `openssl` instead of `opensssl` in contents.packages (or openssh)"#]]);
    check("curlie2", &expect![[r#"
        resolve/no-provider: no package provides `curlie2`, required by the list of packages
          add the repository that has `curlie2` to contents.repositories"#]]);
    check("nothing-like-it", &expect![[r#"
        resolve/no-provider: no package provides `nothing-like-it`, required by the list of packages
          add the repository that has `nothing-like-it` to contents.repositories"#]]);
    check("fresh", &expect![[r#"
        resolve/no-provider: no package provides `fresh`, required by the list of packages
          write `fresh@edge` in contents.packages: the repository tagged @edge has it"#]]);
    check("fresh=1-r0", &expect![[r#"
        resolve/no-provider: no package provides `fresh=1-r0`, required by the list of packages
          write `fresh=1-r0@edge` in contents.packages: the repository tagged @edge has it"#]]);
    check("lib=1.6", &expect![[r#"
        resolve/version: `lib=1.6`, required by the list of packages: lib-1.5-r0, lib-1.0-r0 is there, 1.6 was asked for
          write `lib=1.5-r0` in contents.packages, or `lib` for the newest
          add the repository that has the version asked for of `lib` to contents.repositories"#]]);
    check("lib>2", &expect![[r#"
        resolve/no-provider: no package provides `lib>2`, required by the list of packages
          write `lib>2@edge` in contents.packages: the repository tagged @edge has it"#]]);
    check("app", &expect![[r#"
        resolve/no-provider: no package provides `lib>=2`, required by app-1.0-r0
          add `lib>=2@edge` in contents.packages: the repository tagged @edge has it"#]]);
    check("wants-none", &expect![[r#"
        resolve/no-provider: no package provides `so:nowhere.so.1`, required by wants-none-1.0-r0 -> middle-1.0-r0
          add the repository that has `so:nowhere.so.1` to contents.repositories"#]]);
    check("fine other", &expect![[r#"
        resolve/conflict: other-1.0-r0 cannot be installed beside fine-1.0-r0: the latter says !other
          take one of other-1.0-r0 and fine-1.0-r0 out of contents.packages"#]]);
    check("fine wants-other", &expect![[r#"
        resolve/conflict: other-1.0-r0 (through wants-other-1.0-r0 -> other-1.0-r0) cannot be installed beside fine-1.0-r0: the latter says !other
          take one of wants-other-1.0-r0 and fine-1.0-r0 out of contents.packages"#]]);
    check("git-version", &expect![[r#"
        resolve/not-a-version: `git-version=1.0~git2-r0`, required by the list of packages, has a version that cannot be compared
          write versions as 1.2.3, 1.2.3_rc1 or 1.2.3-r4, the way the repository lists them"#]]);
    check("lib=1.0-r0 lib=1.5-r0", &expect![[r#"
        resolve/conflict: lib-1.0-r0 cannot be installed: the list of packages wants lib=1.5-r0
          take lib-1.0-r0 out of contents.packages, or ask for another version of it"#]]);
}
