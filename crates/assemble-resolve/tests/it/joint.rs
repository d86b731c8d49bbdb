//! Several architectures at once.

use assemble_resolve::{Policy, Repository, Target, resolve_once, solve};
use assemble_types::Arch;

use crate::support::{names, repository, show, world};

const BOTH: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

/// What each architecture gets, or the error.
fn together(wanted: &str, x86: &str, arm: &str, policy: Policy) -> Result<[String; 2], String> {
    let all: Vec<Vec<Repository>> = [x86, arm].map(|text| vec![repository("r", text)]).into();
    let targets: Vec<_> =
        BOTH.iter().zip(&all).map(|(arch, repositories)| Target { arch: *arch, repositories }).collect();
    let world = world(wanted);
    let solutions = solve(&world, &targets, policy).map_err(|error| show(&error))?;
    let text = |i: usize| names(&solutions[i].packages, &all[i]).join(" ");
    Ok([text(0), text(1)])
}

const NEW: &str = "
    app 2 d:lib
    app 1 d:lib
    lib 2
    lib 1
";
const OLD: &str = "
    app 1 d:lib
    lib 1
";

fn noarch(text: &str) -> String {
    text.lines().filter(|l| !l.trim().is_empty()).map(|line| format!("{line} a:noarch\n")).collect()
}

#[test]
fn versions_agree() {
    for policy in [Policy::Apk, Policy::Apko] {
        let both = together("app", &noarch(NEW), &noarch(OLD), policy).unwrap();
        assert_eq!(both, ["lib=1 app=1", "lib=1 app=1"], "{policy:?}");
    }
}

#[test]
fn what_only_one_has_is_refused_by_its_name() {
    let x86 = noarch("app 1\nonly 1");
    let error = together("app only", &x86, &noarch("app 1"), Policy::Apko).unwrap_err();
    assert_eq!(
        error,
        "resolve/not-everywhere: for x86_64: only-1 is not there for every architecture\n  \
         build the architectures that have it alone, with `--arch`"
    );
    let error = together("app only", &x86, &noarch("app 1"), Policy::Apk).unwrap_err();
    assert_eq!(
        error,
        "resolve/no-provider: for aarch64: no package provides `only`, required by the list of packages\n  \
         add the repository that has `only` to contents.repositories"
    );
}

#[test]
fn what_others_need_may_differ() {
    // apko has only what all have, and so nothing for `lib`.
    let (x86, arm) = (noarch("app 1 d:lib\nlib 2"), noarch("app 1 d:lib\nlib 1"));
    assert_eq!(together("app", &x86, &arm, Policy::Apk).unwrap(), ["lib=2 app=1", "lib=1 app=1"]);
    assert!(together("app", &x86, &arm, Policy::Apko).unwrap_err().contains("for x86_64: lib-2 "));
}

#[test]
fn a_version_is_given_up_so_that_all_agree() {
    // Only what all have is not enough for `top`; alone, x86_64 would take app 2.
    let x86 = noarch("app 2\napp 1\ntop 1 d:x86-only\nx86-only 1");
    let arm = noarch("app 2 d:nowhere\napp 1\ntop 1");
    assert_eq!(
        together("app top", &x86, &arm, Policy::Apk).unwrap(),
        ["app=1 x86-only=1 top=1", "app=1 top=1"]
    );
}

#[test]
fn no_agreement_is_told_with_versions() {
    let (x86, arm) = (noarch("app 2\nz 1 d:y\ny 1"), noarch("app 1\nz 1"));
    assert_eq!(
        together("app z", &x86, &arm, Policy::Apk).unwrap_err(),
        "resolve/disagree: the architectures do not agree: app is app-1 for aarch64, app-2 for x86_64\n  \
         ask for a version that all have, such as app-1, in contents.packages"
    );
}

#[test]
fn shown_lists_agree_as_well() {
    let (x86, arm) = (vec![repository("r", &noarch(NEW))], vec![repository("r", &noarch(OLD))]);
    let targets = [
        Target { arch: Arch::X86_64, repositories: &x86 },
        Target { arch: Arch::Aarch64, repositories: &arm },
    ];
    let both = resolve_once(&world("app"), &targets).unwrap();
    assert_eq!(names(&both[0], &x86), ["lib=1", "app=1"]);
    assert_eq!(names(&both[1], &arm), ["lib=1", "app=1"]);
}
