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
                      run-as: 65532 # app: its number is not known here; any number works, without an account
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
        "FROM alpine\nRUN apk add a && adduser -Du 9 b; pip install c | d\nCOPY . .\nCOPY --from=x /etc/passwd /etc/\nENV PATH=$PATH:/x Y=$Z\nUSER b\n",
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

#[test]
fn a_whole_folder_and_modules_of_a_language() {
    refused(
        "\
FROM python:3.12-slim
WORKDIR /app
ENV PATH=/opt/bin:$PATH GREETING=\"hi ${NAME:-you}\" HOME_OF=$NOBODY_KNOWS/x
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt && useradd --uid 1001 web
COPY . .
USER web:web
CMD [\"python\", \"app.py\"]
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM python:3.12-slim
              | ^^^^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # ENV HOME_OF=$NOBODY_KNOWS/x: its value is not known here, set it in `environment`
                    # python:3.12-slim is not built on APK packages: the nearest one of Wolfi stands for it
                    # nothing runs while a spec is built; do before: pip install --target ./site -r requirements.txt
                    contents:
                      repositories:
                        - https://packages.wolfi.dev/os
                      packages:
                        - python-3.12
                      files:
                        - source: ./requirements.txt
                          path: /app/requirements.txt
                        - source: ./site # made by the command above
                          path: /app/site
                        - source: .
                          path: /app
                          exclude: [Dockerfile, assemble.yaml, "*.oci", "*.tar", .git, .dockerignore]
                    entrypoint: [python, app.py]
                    environment:
                      PATH: /opt/bin:/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin
                      GREETING: "hi you"
                      PYTHONPATH: /app/site
                    work-dir: /app
                    accounts:
                      run-as: "1001:1001" # web, as the Dockerfile makes it
        "#]],
    );
}

#[test]
fn node_and_its_user() {
    refused(
        "\
FROM node:20-alpine
WORKDIR /srv
COPY package*.json ./
RUN npm ci --only=production && npm cache clean --force
COPY --chown=node:node . /srv
USER node
CMD [\"node\", \"server.js\"]
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM node:20-alpine
              | ^^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # node:20-alpine is not built on APK packages: the nearest one of Wolfi stands for it
                    # nothing runs while a spec is built; do before: npm ci --omit=dev
                    contents:
                      repositories:
                        - https://packages.wolfi.dev/os
                      packages:
                        - nodejs-20
                      files:
                        - source: ./node_modules # made by the command above
                          path: /srv/node_modules
                        - source: .
                          path: /srv
                          uid: 1000
                          gid: 1000
                          exclude: [Dockerfile, assemble.yaml, "*.oci", "*.tar", .git, .dockerignore]
                    entrypoint: [node, server.js]
                    work-dir: /srv
                    accounts:
                      run-as: 1000 # node, as the image node has it
        "#]],
    );
}

#[test]
fn what_the_base_files_hold_is_not_copied() {
    refused(
        "\
FROM golang:1.23-alpine AS build
RUN apk add --no-cache ca-certificates tzdata && adduser -D -H -u 10001 app
RUN go build -o /out/app
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=alpine /etc/ssl/certs/ca-certificates.crt /ca.pem
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /out/app /app
USER app
ENTRYPOINT [\"/app\"]
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM golang:1.23-alpine AS build
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # /etc/ssl/certs/ca-certificates.crt is not copied: the base files hold it
                    # /etc/ssl/certs/ca-certificates.crt is not copied: the base files hold it at
                    #   /etc/ssl/certs/ca-certificates.crt
                    # /usr/share/zoneinfo is not copied: the base files hold it
                    # /etc/passwd is not copied: the base files hold it
                    # /etc/group is not copied: the base files hold it
                    contents:
                      binary: # stage build made it as /out/app
                        source: ./app
                        path: /app
                    accounts:
                      run-as: 10001 # app, as the Dockerfile makes it
        "#]],
    );
}

#[test]
fn the_rest_of_a_run_is_shown_alone_and_whole() {
    refused(
        "\
FROM alpine:3.20
RUN apk add --no-cache bash ca-certificates curl git jq openssl tini tzdata unzip xz zip zstd \\
    && addgroup -g 3000 www && adduser -D -u 1000 -G www app \\
    && curl -fsSL https://example.com/a/long/path/to/some/archive-1.2.3-linux-amd64.tar.gz | tar -xz -C /usr/local/bin \\
    && ln -s /usr/local/bin/a /usr/local/bin/b
USER app:www
ENTRYPOINT [\"bash\"]
",
        expect![[r#"
            error[spec/foreign]: `a.yaml` is a Dockerfile, not a spec
             --> a.yaml:1:1
            1 | FROM alpine:3.20
              | ^^^^^^^^^^^^^^^^
              help: the same as a spec:
                    # nothing runs while a spec is built; do before: curl -fsSL
                    #   https://example.com/a/long/path/to/some/archive-1.2.3-linux-amd64.tar.gz | tar -xz -C
                    #   /usr/local/bin && ln -s /usr/local/bin/a /usr/local/bin/b
                    contents:
                      repositories:
                        - https://dl-cdn.alpinelinux.org/alpine/v3.20/main
                        - https://dl-cdn.alpinelinux.org/alpine/v3.20/community
                      packages:
                        - alpine-baselayout
                        - busybox
                        - bash
                        - ca-certificates
                        - curl
                        - git
                        - jq
                        - openssl
                        - tini
                        - tzdata
                        - unzip
                        - xz
                        - zip
                        - zstd
                    entrypoint: [bash]
                    accounts:
                      run-as: "1000:3000" # app, as the Dockerfile makes it
        "#]],
    );
}

#[test]
fn users_by_name() {
    let shown = |base: &str, lines: &str| {
        let text = format!("FROM {base}\nCOPY a /a\n{lines}\nENTRYPOINT [\"/a\"]\n");
        let diagnostics = parse_spec("Dockerfile", text.as_bytes()).unwrap_err();
        shown_spec_parses(&diagnostics);
        let help = diagnostics.iter().next().unwrap().help[0].clone();
        help.lines()
            .find_map(|line| line.trim().strip_prefix("run-as: ").map(str::to_owned))
            .unwrap_or_default()
    };
    let table: String = [
        ("scratch", "USER nobody"),
        ("scratch", "USER node"),
        ("node:20", "USER node"),
        ("scratch", "USER root"),
        ("scratch", "USER nonroot:nonroot"),
        ("scratch", "USER 1000:7"),
        ("scratch", "USER root:root"),
        ("scratch", "USER 0:0"),
        ("scratch", "USER $APP_UID"),
        ("alpine", "RUN adduser -S app\nUSER app"),
        ("alpine", "RUN adduser -Du 5 app\nUSER app:app"),
        ("alpine", "RUN adduser -Du 5 app\nUSER app:other"),
        ("alpine", "RUN adduser -Du 5 app && addgroup -g 6 other\nUSER app:other"),
        ("scratch", "USER a:b:c"),
        ("scratch", ""),
    ]
    .iter()
    .map(|(base, lines)| format!("{base} {lines:?} -> {}\n", shown(base, lines)))
    .collect();
    expect![[r#"
        scratch "USER nobody" -> 65534 # nobody
        scratch "USER node" -> 65532 # node: its number is not known here; any number works, without an account
        node:20 "USER node" -> 1000 # node, as the image node has it
        scratch "USER root" -> root
        scratch "USER nonroot:nonroot" -> 65532
        scratch "USER 1000:7" -> "1000:7"
        scratch "USER root:root" -> root
        scratch "USER 0:0" -> "0:0"
        scratch "USER $APP_UID" -> 65532 # $APP_UID: its number is not known here; any number works, without an account
        alpine "RUN adduser -S app\nUSER app" -> 65532 # app: its number is not known here; any number works, without an account
        alpine "RUN adduser -Du 5 app\nUSER app:app" -> "5:5" # app, as the Dockerfile makes it
        alpine "RUN adduser -Du 5 app\nUSER app:other" -> 5 # app, as the Dockerfile makes it
        alpine "RUN adduser -Du 5 app && addgroup -g 6 other\nUSER app:other" -> "5:6" # app, as the Dockerfile makes it
        scratch "USER a:b:c" -> 65532 # a: its number is not known here; any number works, without an account
        scratch "" -> 
    "#]].assert_eq(&table);
}

#[test]
fn what_is_shown_has_no_empty_last_line() {
    for text in ["FROM scratch\n", "package:\n  name: a\n  version: 1\n"] {
        let diagnostics = parse_spec("x", text.as_bytes()).unwrap_err();
        let help = &diagnostics.iter().next().unwrap().help[0];
        assert_eq!(help.trim_end(), help);
    }
}
