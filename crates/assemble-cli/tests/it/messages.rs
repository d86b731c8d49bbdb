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
    check(
        "contents:\n  binary: hello\nenv:\n  A: b\nexpose: [80]\n",
        expect![[r#"
        exit: 3
        error[spec/unknown-key]: there is no key `env`
         --> spec.yaml:3:1
          |
        3 | env:
          | ^^^ unknown key
          |
          = help: write `environment`, a map of names to values
        error[spec/unknown-key]: there is no key `expose`
         --> spec.yaml:5:1
          |
        5 | expose: [80]
          | ^^^^^^ unknown key
          |
          = help: write `ports: [8080]`
        2 mistakes
    "#]],
    );
}

#[test]
fn a_missing_binary() {
    check(
        "contents:\n  binary: bin/hello\n",
        expect![[r#"
            exit: 3
            error[fetch/missing]: bin/hello: no such file or folder
             --> spec.yaml:2:11
              |
            2 |   binary: bin/hello
              |           ^^^^^^^^^
              |
              = note: while reading contents.binary
              = help: paths in a spec are relative to the spec file
        "#]],
    );
}

#[test]
fn an_entrypoint_that_is_not_there() {
    check(
        "contents: {binary: hello}\nentrypoint: [/usr/bin/helo]\n",
        expect![[r#"
        exit: 10
        error[start/not-found]: /usr/bin/helo is not in the image
         --> spec.yaml:2:1
          |
        2 | entrypoint: [/usr/bin/helo]
          | ^^^^^^^^^^
          |
          = note: while checking that the image for linux/amd64 can start
          = help: /usr/bin/hello is there: `entrypoint: /usr/bin/hello`
    "#]],
    );
}

#[test]
fn a_repository_that_is_not_there() {
    check(
        "contents:\n  repositories: [./packages]\n  packages: [musl]\n",
        expect![[r#"
            exit: 3
            error[repository/missing]: the repository ./packages does not exist
             --> spec.yaml:2:18
              |
            2 |   repositories: [./packages]
              |                  ^^^^^^^^^^
              |
              = note: while reading the index for x86_64
              = help: check the path; the address of a repository of another host begins with https://
        "#]],
    );
}

#[test]
fn an_unknown_user() {
    check(
        "contents: {binary: hello}\naccounts: {run-as: www-data}\n",
        expect![[r#"
        exit: 3
        error[spec/unknown-user]: user `www-data` is not in the image's /etc/passwd
         --> spec.yaml:2:20
          |
        2 | accounts: {run-as: www-data}
          |                    ^^^^^^^^
          |
          = note: while building for linux/amd64
          = help: use a number: any uid works without an account, such as run-as: 65532
          = help: accounts that are there: root, nobody, nonroot
    "#]],
    );
}

#[test]
fn a_dockerfile_given_as_a_spec() {
    let s = Sandbox::new();
    s.write(
        "Dockerfile",
        "FROM golang:1 AS build\nRUN go build -o /app .\nFROM gcr.io/distroless/static\nCOPY --from=build /app /app\n\
         EXPOSE 8080\nUSER 65532\nENTRYPOINT [\"/app\"]\n",
    );
    expect![[r#"
        exit: 3
        error[spec/foreign]: `Dockerfile` is a Dockerfile, not a spec
         --> Dockerfile:1:1
          |
        1 | FROM golang:1 AS build
          | ^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: the same as a spec:
                  contents:
                    binary: # stage build made it as /app
                      source: ./app
                      path: /app
                  ports: [8080]
                  accounts:
                    run-as: 65532
    "#]]
    .assert_eq(&s.run(["build", "Dockerfile"]).shown());
}
