//! What people read when something is wrong, whole.

use expect_test::{Expect, expect};

use crate::sandbox::Sandbox;

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn check(spec: &str, expected: Expect) {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", spec);
    expected.assert_eq(&s.run(["build", "spec.yaml"]).shown());
}

#[test]
fn several_mistakes_in_one_run() {
    check("contents:\n  binary: hello\nenv:\n  A: b\nexpose: [80]\n", expect![[""]]);
}

#[test]
fn a_missing_binary() {
    check("contents:\n  binary: bin/hello\n", expect![[""]]);
}

#[test]
fn an_entrypoint_that_is_not_there() {
    check("contents: {binary: hello}\nentrypoint: [/usr/bin/helo]\n", expect![[""]]);
}

#[test]
fn a_repository_that_is_not_there() {
    check("contents:\n  repositories: [./packages]\n  packages: [musl]\n", expect![[""]]);
}

#[test]
fn an_unknown_user() {
    check("contents: {binary: hello}\naccounts: {run-as: www-data}\n", expect![[""]]);
}

#[test]
fn a_dockerfile_given_as_a_spec() {
    let s = Sandbox::new();
    s.write(
        "Dockerfile",
        "FROM golang:1 AS build\nRUN go build -o /app .\nFROM gcr.io/distroless/static\nCOPY --from=build /app /app\n\
         EXPOSE 8080\nUSER 65532\nENTRYPOINT [\"/app\"]\n",
    );
    expect![[""]].assert_eq(&s.run(["build", "Dockerfile"]).shown());
}
