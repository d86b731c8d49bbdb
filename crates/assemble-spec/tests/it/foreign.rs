//! Files that are no specs.

use assemble_spec::parse_spec;
use expect_test::expect;

use crate::refused;

#[test]
fn a_go_service() {
    refused(
        r#"# syntax=docker/dockerfile:1
ARG GO=1.23
FROM golang:${GO} AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -o /out/server ./cmd/server

FROM gcr.io/distroless/static:nonroot
LABEL org.opencontainers.image.title="My server" \
      org.opencontainers.image.version=1
ENV PORT=8080 MODE="production mode"
WORKDIR /srv
COPY --from=build /out/server /usr/local/bin/
COPY --chmod=0644 --chown=65532:65532 ./static ./static
EXPOSE 8080 53/udp
VOLUME ["/data"]
STOPSIGNAL SIGQUIT
USER nonroot:nonroot
ENTRYPOINT ["/usr/local/bin/server"]
CMD ["--port", "8080"]
"#,
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:3:1
            3 | FROM golang:${GO} AS build
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    contents:
                      binary: # stage build made it as /out/server
                        source: ./server
                        path: /usr/local/bin/server
                      files:
                        - source: ./static
                          path: /srv/static
                          permissions: 0644
                          uid: 65532
                          gid: 65532
                    entrypoint: [/usr/local/bin/server]
                    cmd: ["--port", "8080"]
                    environment:
                      PORT: 8080
                      MODE: "production mode"
                    work-dir: /srv
                    ports: [8080, 53/udp]
                    volumes: [/data]
                    stop-signal: SIGQUIT
                    accounts:
                      run-as: 65532
                    annotations:
                      org.opencontainers.image.title: "My server"
                      org.opencontainers.image.version: 1
        "#]],
    );
}

#[test]
fn an_alpine_image_with_packages_and_a_shell() {
    refused(
        "\
FROM alpine:3.19.1
RUN apk add --no-cache -t deps curl 'jq' \\
    # why
    tini && rm -rf /tmp/*
RUN adduser -D app
ADD https://example.com/x.tar.gz /opt/
COPY entrypoint.sh conf.d/*.conf /etc/app/
USER app
HEALTHCHECK CMD curl -f http://localhost/
ENTRYPOINT /etc/app/entrypoint.sh $MODE
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM alpine:3.19.1
              | ^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # ADD https://example.com/x.tar.gz: download it first, and list the file
                    # HEALTHCHECK is no part of OCI images: set it where the image is deployed
                    # nothing runs while a spec is built; do before: adduser -D app
                    contents:
                      repositories:
                        - https://dl-cdn.alpinelinux.org/alpine/v3.19/main
                        - https://dl-cdn.alpinelinux.org/alpine/v3.19/community
                      packages:
                        - alpine-baselayout
                        - busybox
                        - curl
                        - jq
                        - tini
                      files:
                        - source: ./entrypoint.sh
                          path: /etc/app/entrypoint.sh
                        - source: conf.d # of it, only *.conf was copied
                          path: /etc/app
                    entrypoint: [/bin/sh, "-c", "/etc/app/entrypoint.sh $MODE"]
                    accounts:
                      run-as: app
        "#]],
    );
}

#[test]
fn stages_on_stages() {
    refused(
        "\
FROM python:3.12-slim AS base
ENV A=1
WORKDIR /app
FROM base
RUN apt-get update && apt-get install -y --no-install-recommends libpq5
COPY app.py .
CMD python app.py
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM python:3.12-slim AS base
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # python:3.12-slim is not built on APK packages: the nearest one of Wolfi stands for it
                    # look in Wolfi or Alpine for what these packages brought: libpq5
                    # the Dockerfile's image runs as root; a spec's as 65532 unless `accounts.run-as` says otherwise
                    contents:
                      repositories:
                        - https://packages.wolfi.dev/os
                      packages:
                        - python-3.12
                      files:
                        - source: ./app.py
                          path: /app/app.py
                    entrypoint: [python, app.py]
                    environment:
                      A: 1
                    work-dir: /app
        "#]],
    );
}

#[test]
fn a_melange_file() {
    refused(
        "\
package:
  name: hello
  version: 2.12
  epoch: 0
  description: the GNU hello world program
environment:
  contents:
    repositories:
      - https://packages.wolfi.dev/os
    packages: [build-base]
pipeline:
  - uses: autoconf/make
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a melange file, not a spec
             --> a.yaml:1:1
            1 | package:
              | ^^^^^^^
              help: it makes a package: run `melange build`, then install it with a spec:
                    contents:
                      repositories:
                        - ./packages
                        - https://packages.wolfi.dev/os
                      keyring:
                        - ./melange.rsa.pub
                      packages:
                        - hello
                    entrypoint: [/usr/bin/hello]
                    annotations:
                      org.opencontainers.image.description: "the GNU hello world program"
        "#]],
    );
}

#[test]
fn compose_kubernetes_and_lock_files() {
    refused(
        "services:\n  web:\n    image: x\n",
        expect![[r#"
        error[spec/foreign]: `a.yaml` is a compose file, not a spec
         --> a.yaml:1:1
        1 | services:
          | ^^^^^^^^
          help: it runs images; each image has a spec of its own: `assemble init PROGRAM` writes one
    "#]],
    );
    refused(
        "apiVersion: v1\nkind: Pod\n",
        expect![[r#"
        error[spec/foreign]: `a.yaml` is a Kubernetes object, not a spec
         --> a.yaml:1:1
        1 | apiVersion: v1
          | ^^^^^^^^^^
          help: it runs an image; the image itself is described by a spec: `assemble init PROGRAM` writes one
    "#]],
    );
    refused(
        "{\"version\": \"v1\", \"contents\": {\"packages\": [{\"name\": \"a\", \"checksum\": \"Q1\"}]}}",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a lock file, not a spec
             --> a.yaml:1:2
            1 | {"version": "v1", "contents": {"packages": [{"name": "a", "checksum": "Q1"}]}}
              |  ^^^^^^^^^
              help: name the spec that it was made for
        "#]],
    );
}

#[test]
fn no_text_at_all() {
    let show = |bytes: &[u8]| parse_spec("./hello", bytes).unwrap_err().plain();
    expect![[r#"
        error[spec/not-text]: `./hello` is a program for Linux (ELF), not a spec
          help: `assemble build ./hello` makes an image of it, without any spec
          help: `assemble init ./hello` writes a spec for it
    "#]]
    .assert_eq(&show(b"\x7fELF\x02\x01\x01"));
    expect![[r#"
        error[spec/not-text]: `./hello` is no text: the byte 0xff here is no UTF-8
         --> ./hello:2:4
        2 | c:
          |    ^ the byte 0xff here is no UTF-8
          help: a spec is YAML in UTF-8
    "#]]
    .assert_eq(&show(b"a: b\nc: \xff\xfe\n"));
    expect![[r#"
        error[spec/not-text]: `./hello` is no text: there is a NUL byte here
         --> ./hello:2:1
          = there is a NUL byte here
          help: a spec is YAML in UTF-8
    "#]]
    .assert_eq(&show(b"a: b\n\0"));
    expect![[r#"
        error[spec/not-text]: `./hello` is text in UTF-16, not a spec
          help: save it as UTF-8
    "#]]
    .assert_eq(&show(b"\xff\xfea\0"));
    expect![[r#"
        error[spec/not-text]: `./hello` is a gzip archive, not a spec
          help: a spec is a YAML file; `assemble init PROGRAM` writes one
    "#]]
    .assert_eq(&show(b"\x1f\x8b\x08"));
    expect![[r#"
        error[spec/too-large]: `./hello` has 5242880 bytes, and a spec at most 4194304
          help: is this the file you meant?
    "#]]
    .assert_eq(&show(&vec![b' '; 5 << 20]));
}

/// The spec that an answer shows can be saved and used.
#[test]
fn what_is_shown_parses() {
    let dockerfiles = [
        "FROM scratch\nCOPY a /a\nENTRYPOINT [\"/a\"]\n",
        "FROM scratch\n",
        "FROM debian:12\nRUN make\nCMD run | tee x\n",
        "FROM scratch\nCOPY ${X}/a /\nCOPY a ../../../x\nWORKDIR ../x\nEXPOSE $P 99999\nUSER a:b:c\nENV =x\nSTOPSIGNAL X\n",
        "FROM node:20-alpine\nWORKDIR app\nCOPY --from=0 / /\nCOPY [\"a b\", \"c\", \"d/\"]\nENV A 'x y'\nLABEL a=\"b: c # d\"\n",
    ];
    for text in dockerfiles {
        for cut in 0..text.len() {
            let mut mutated = text.as_bytes().to_vec();
            mutated.remove(cut);
            let Err(diagnostics) = parse_spec("Dockerfile", &mutated) else { continue };
            shown_spec_parses(&diagnostics);
        }
    }
}

/// If there is an equivalent spec in the answer, it is one.
#[track_caller]
pub(crate) fn shown_spec_parses(diagnostics: &assemble_spec::Diagnostics) {
    let first = diagnostics.iter().next().unwrap();
    let Some((_, yaml)) = first.help.first().and_then(|help| help.split_once('\n')) else { return };
    if first.code != "spec/foreign" {
        return;
    }
    if let Err(wrong) = parse_spec("shown.yaml", yaml.as_bytes()) {
        panic!("{}\n{yaml}", wrong.plain());
    }
}
