//! Mistakes, and how they are shown: the spec and the answer side by side.

use expect_test::expect;

use crate::refused;

#[test]
fn nothing_at_all() {
    refused(
        "",
        expect![[r#"
        error[spec/empty]: the spec is empty
         --> a.yaml:1:1
          help: the smallest spec names a program:
                contents:
                  binary: ./my-program
    "#]],
    );
}

#[test]
fn only_comments() {
    refused(
        "\
# hello
",
        expect![[r#"
            error[spec/empty]: the spec is empty
             --> a.yaml:1:1
            1 | # hello
              | ^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn only_null() {
    refused(
        "\
~
",
        expect![[r#"
            error[spec/empty]: the spec is empty
             --> a.yaml:1:1
            1 | ~
              | ^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn a_second_document() {
    refused(
        "\
contents:
  binary: ./hello
---
# the second
entrypoint: [/usr/bin/other]
",
        expect![[r#"
            error[spec/yaml]: a second YAML document begins here, and a spec is one
             --> a.yaml:3:1
            3 | ---
              | ^^^
              help: join the two, or put the second into a file of its own: one may `include` another
        "#]],
    );
}

#[test]
fn a_second_document_that_is_no_yaml() {
    refused(
        "\
---
contents: {binary: ./hello}
--- {{ more
",
        expect![[r#"
            error[spec/yaml]: a second YAML document begins here, and a spec is one
             --> a.yaml:3:1
            3 | --- {{ more
              | ^^^
              help: join the two, or put the second into a file of its own: one may `include` another
        "#]],
    );
}

#[test]
fn a_second_document_behind_an_empty_one() {
    refused(
        "\
---
# nothing yet
---
contents: {binary: ./hello}
",
        expect![[r#"
            error[spec/yaml]: a second YAML document begins here, and a spec is one
             --> a.yaml:3:1
            3 | ---
              | ^^^
              help: join the two, or put the second into a file of its own: one may `include` another
        "#]],
    );
}

#[test]
fn contents_without_anything() {
    refused(
        "\
contents:
entrypoint: /bin/sh
",
        expect![[r#"
            error[spec/empty]: the spec puts nothing into the image
             --> a.yaml:1:1
            1 | contents:
              | ^^^^^^^^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn only_repositories() {
    refused(
        "\
contents:
  repositories: [https://packages.wolfi.dev/os]
",
        expect![[r#"
            error[spec/empty]: the spec puts nothing into the image
             --> a.yaml:1:1
            1 | contents:
              | ^^^^^^^^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn a_list_instead_of_a_spec() {
    refused(
        "\
- contents
- packages
",
        expect![[r#"
            error[spec/type]: a spec has to be a map, not a list
             --> a.yaml:1:1
            1 | - contents
              | ^^^^^^^^^^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn prose_instead_of_a_spec() {
    refused(
        "\
hello there
",
        expect![[r#"
            error[spec/type]: a spec has to be a map, not one value
             --> a.yaml:1:1
            1 | hello there
              | ^^^^^^^^^^^
              help: the smallest spec names a program:
                    contents:
                      binary: ./my-program
        "#]],
    );
}

#[test]
fn contents_is_a_list() {
    refused(
        "\
contents:
  - busybox
",
        expect![[r#"
            error[spec/type]: `contents` has to be a map, not a list
             --> a.yaml:1:1
            1 | contents:
              | ^^^^^^^^
              help: known here: `repositories`, `build_repositories`, `runtime_repositories`, `keyring`, `packages`, `binary`, `files`, `base-files`, `runtime_keyring`, `baseimage`
        "#]],
    );
}

#[test]
fn slip_in_a_top_level_key() {
    refused(
        "\
content:
  binary: ./x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `content`
             --> a.yaml:1:1
            1 | content:
              | ^^^^^^^ unknown key
              help: did you mean `contents`?
        "#]],
    );
}

#[test]
fn slip_in_a_nested_key() {
    refused(
        "\
contents:
  pakages: [a]
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `pakages` in `contents`
             --> a.yaml:2:3
            2 |   pakages: [a]
              |   ^^^^^^^ unknown key
              help: did you mean `packages`?
        "#]],
    );
}

#[test]
fn underscore_for_dash() {
    refused(
        "\
contents:
  binary: ./x
work_dir: /srv
stopSignal: TERM
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `work_dir`
             --> a.yaml:3:1
            3 | work_dir: /srv
              | ^^^^^^^^ unknown key
              help: did you mean `work-dir`?

            error[spec/unknown-key]: there is no key `stopSignal`
             --> a.yaml:4:1
            4 | stopSignal: TERM
              | ^^^^^^^^^^ unknown key
              help: did you mean `stop-signal`?
        "#]],
    );
}

#[test]
fn dash_for_underscore() {
    refused(
        "\
contents:
  binary: ./x
  build-repositories: [./p]
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `build-repositories` in `contents`
             --> a.yaml:3:3
            3 |   build-repositories: [./p]
              |   ^^^^^^^^^^^^^^^^^^ unknown key
              help: did you mean `build_repositories`?
        "#]],
    );
}

#[test]
fn word_env() {
    refused(
        "\
contents:
  binary: ./x
env:
  A: b
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `env`
             --> a.yaml:3:1
            3 | env:
              | ^^^ unknown key
              help: write `environment`, a map of names to values
        "#]],
    );
}

#[test]
fn word_user() {
    refused(
        "\
contents:
  binary: ./x
user: 1000
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `user`
             --> a.yaml:3:1
            3 | user: 1000
              | ^^^^ unknown key
              help: write it below `accounts`:
                    accounts:
                      run-as: 1000
        "#]],
    );
}

#[test]
fn word_workdir() {
    refused(
        "\
contents:
  binary: ./x
workdir: /srv
working-dir: /srv
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `workdir`
             --> a.yaml:3:1
            3 | workdir: /srv
              | ^^^^^^^ unknown key
              help: did you mean `work-dir`?

            error[spec/unknown-key]: there is no key `working-dir`
             --> a.yaml:4:1
            4 | working-dir: /srv
              | ^^^^^^^^^^^ unknown key
              help: write `work-dir: /srv`
        "#]],
    );
}

#[test]
fn word_expose() {
    refused(
        "\
contents:
  binary: ./x
expose: 8080
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `expose`
             --> a.yaml:3:1
            3 | expose: 8080
              | ^^^^^^ unknown key
              help: write `ports: [8080]`
        "#]],
    );
}

#[test]
fn word_copy() {
    refused(
        "\
contents:
  binary: ./x
copy: ./a /b
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `copy`
             --> a.yaml:3:1
            3 | copy: ./a /b
              | ^^^^ unknown key
              help: name what is copied:
                    contents:
                      files:
                        - source: ./static
                          path: /srv/static
        "#]],
    );
}

#[test]
fn word_from() {
    refused(
        "\
from: alpine
contents:
  binary: ./x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `from`
             --> a.yaml:1:1
            1 | from: alpine
              | ^^^^ unknown key
              help: there is no base image: the contents are listed. `contents.packages` with `contents.repositories` brings what a distribution has; without packages, users, CA certificates and time zones are there anyway
        "#]],
    );
}

#[test]
fn word_platforms() {
    refused(
        "\
contents:
  binary: ./x
platforms: [linux/amd64]
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `platforms`
             --> a.yaml:3:1
            3 | platforms: [linux/amd64]
              | ^^^^^^^^^ unknown key
              help: write `archs`, such as `archs: [amd64, arm64]`
        "#]],
    );
}

#[test]
fn word_labels() {
    refused(
        "\
contents:
  binary: ./x
labels: {a: b}
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `labels`
             --> a.yaml:3:1
            3 | labels: {a: b}
              | ^^^^^^ unknown key
              help: write `annotations`: they become the manifest's annotations and the image's labels
        "#]],
    );
}

#[test]
fn words_command_and_args() {
    refused(
        "\
contents:
  binary: ./x
command: [/x]
args: [-v]
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `command`
             --> a.yaml:3:1
            3 | command: [/x]
              | ^^^^^^^ unknown key
              help: write `entrypoint` for the program, `cmd` for its default arguments

            error[spec/unknown-key]: there is no key `args`
             --> a.yaml:4:1
            4 | args: [-v]
              | ^^^^ unknown key
              help: write `cmd` for the program's default arguments
        "#]],
    );
}

#[test]
fn words_image_and_name() {
    refused(
        "\
image: example.com/x
name: x
contents:
  binary: ./x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `image`
             --> a.yaml:1:1
            1 | image: example.com/x
              | ^^^^^ unknown key
              help: the name is not part of the content: give it with `--tag` when building

            error[spec/unknown-key]: there is no key `name`
             --> a.yaml:2:1
            2 | name: x
              | ^^^^ unknown key
              help: the name is not part of the content: give it with `--tag` when building
        "#]],
    );
}

#[test]
fn packages_at_top_level() {
    refused(
        "\
packages:
  - busybox
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `packages`
             --> a.yaml:1:1
            1 | packages:
              | ^^^^^^^^ unknown key
              help: write them below `contents`:
                    contents:
                      packages:
                        - busybox
        "#]],
    );
}

#[test]
fn binary_at_top_level() {
    refused(
        "\
binary: ./x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `binary`
             --> a.yaml:1:1
            1 | binary: ./x
              | ^^^^^^ unknown key
              help: `binary` belongs below `contents`:
                    contents:
                      binary: ./x
        "#]],
    );
}

#[test]
fn run_as_at_top_level() {
    refused(
        "\
contents:
  binary: ./x
run-as: 1000
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `run-as`
             --> a.yaml:3:1
            3 | run-as: 1000
              | ^^^^^^ unknown key
              help: write it below `accounts`:
                    accounts:
                      run-as: 1000
        "#]],
    );
}

#[test]
fn a_top_level_key_in_contents() {
    refused(
        "\
contents:
  binary: ./x
  entrypoint: /x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `entrypoint` in `contents`
             --> a.yaml:3:3
            3 |   entrypoint: /x
              |   ^^^^^^^^^^ unknown key
              help: `entrypoint` belongs at the top level
        "#]],
    );
}

#[test]
fn a_word_like_no_other() {
    refused(
        "\
contents:
  binary: ./x
banana: 1
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `banana`
             --> a.yaml:3:1
            3 | banana: 1
              | ^^^^^^ unknown key
              help: known here: `contents`, `entrypoint`, `cmd`, `environment`, `work-dir`, `ports`, `volumes`, `stop-signal`, `annotations`, `accounts`, `archs`, `certificates`, `include`, `paths`, `layering`, `vcs-url`
        "#]],
    );
}

#[test]
fn words_of_other_tools_for_files() {
    refused(
        "\
contents:
  files:
    - src: ./a
      dest: /b
      mode: 0644
      owner: 1
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `src` in an entry of `contents.files`
             --> a.yaml:3:7
            3 |     - src: ./a
              |       ^^^ unknown key
              help: write `source`

            error[spec/unknown-key]: there is no key `dest` in an entry of `contents.files`
             --> a.yaml:4:7
            4 |       dest: /b
              |       ^^^^ unknown key
              help: write `path`

            error[spec/unknown-key]: there is no key `mode` in an entry of `contents.files`
             --> a.yaml:5:7
            5 |       mode: 0644
              |       ^^^^ unknown key
              help: write `permissions`

            error[spec/unknown-key]: there is no key `owner` in an entry of `contents.files`
             --> a.yaml:6:7
            6 |       owner: 1
              |       ^^^^^ unknown key
              help: write `uid` and `gid`, as numbers
        "#]],
    );
}

#[test]
fn mistakes_in_apkos_keys() {
    refused(
        "\
include: other.yaml
contents:
  packages: [a]
  repositories: [./r]
paths:
  - path: /x
    type: directory
layering:
  strategy: origin
accounts:
  users:
    - username: a
format: erofs
vcs-url: https://example.com/x@1
",
        expect![[r#"
            error[spec/include]: there is nothing to include from here
             --> a.yaml:1:10
            1 | include: other.yaml
              |          ^^^^^^^^^^

            error[spec/missing]: `layering` names no `budget`
             --> a.yaml:8:1
            8 | layering:
              | ^^^^^^^^
              help: write how many layers there may be: `budget: 10`

            error[spec/missing]: an entry of `accounts.users` names no `uid`
              --> a.yaml:12:7
            12 |     - username: a
               |       ^^^^^^^^^^^
              help: write `uid: 1000`; to run as root, no user is needed: `run-as: 0`

            error[spec/not-supported]: `format: erofs` is not supported yet
              --> a.yaml:13:9
            13 | format: erofs
               |         ^^^^^
              help: remove the line: layers are tar archives
        "#]],
    );
}

#[test]
fn a_service_bundle_needs_s6() {
    refused(
        "\
contents:
  binary: ./x
entrypoint:
  type: service-bundle
  services:
    a: /bin/a
",
        expect![[r#"
            error[spec/missing]: a service bundle needs the package `s6`, but there is no repository it could come from
             --> a.yaml:4:9
            4 |   type: service-bundle
              |         ^^^^^^^^^^^^^^
              help: name one:
                    contents:
                      repositories:
                        - https://packages.wolfi.dev/os
        "#]],
    );
}

#[test]
fn several_mistakes_at_once() {
    refused(
        "\
contents:
  binary: ''
  fils: []
env: {}
ports: [80a]
work-dir: srv
",
        expect![[r#"
            error[spec/value]: `contents.binary` is empty
             --> a.yaml:2:11
            2 |   binary: ''
              |           ^^
              help: name a file, relative to the spec's folder

            error[spec/unknown-key]: there is no key `fils` in `contents`
             --> a.yaml:3:3
            3 |   fils: []
              |   ^^^^ unknown key
              help: did you mean `files`?

            error[spec/unknown-key]: there is no key `env`
             --> a.yaml:4:1
            4 | env: {}
              | ^^^ unknown key
              help: write `environment`, a map of names to values

            error[spec/value]: `80a` is no port
             --> a.yaml:5:9
            5 | ports: [80a]
              |         ^^^
              help: write a number from 1 to 65535, such as `8080` or `53/udp`

            error[spec/value]: `work-dir` has to begin with `/`, not `srv`
             --> a.yaml:6:11
            6 | work-dir: srv
              |           ^^^
              help: write `/srv`
        "#]],
    );
}

#[test]
fn duplicate_key() {
    refused(
        "\
contents:
  binary: ./x
environment:
  A: 1
  B: 2
  A: 3
",
        expect![[r#"
            error[spec/duplicate-key]: `A` is given twice
             --> a.yaml:6:3
            6 |   A: 3
              |   ^ again here
             ::: a.yaml:4:3
            4 |   A: 1
              |   - first here
              help: join the two, or remove one of them
        "#]],
    );
}

#[test]
fn duplicate_top_level_key() {
    refused(
        "\
contents:
  binary: ./x
contents:
  packages: [a]
",
        expect![[r#"
            error[spec/duplicate-key]: `contents` is given twice
             --> a.yaml:3:1
            3 | contents:
              | ^^^^^^^^ again here
             ::: a.yaml:1:1
            1 | contents:
              | -------- first here
              help: join the two, or remove one of them
        "#]],
    );
}

#[test]
fn tab_indentation() {
    refused(
        "\
contents:
	binary: ./x
",
        expect![[r#"
            error[spec/yaml]: a tab is used for indentation
             --> a.yaml:2:1
            2 |  binary: ./x
              | ^
              help: use spaces: YAML forbids tabs there
        "#]],
    );
}

#[test]
fn colon_in_a_text() {
    refused(
        "\
contents:
  binary: ./x
annotations:
  note: this: that
",
        expect![[r#"
            error[spec/yaml]: a `:` cannot stand here
             --> a.yaml:4:13
            4 |   note: this: that
              |             ^
              help: quote a text that holds `: `; otherwise look at the indentation of this line and the one above
        "#]],
    );
}

#[test]
fn unclosed_bracket() {
    refused(
        "\
contents:
  packages: [a, b
",
        expect![[r#"
            error[spec/yaml]: a `[` is opened and not closed
             --> a.yaml:2:13
            2 |   packages: [a, b
              |             ^
        "#]],
    );
}

#[test]
fn unclosed_quote() {
    refused(
        &r#"
contents:
  binary: "./x
"#[1..],
        expect![[r#"
            error[spec/yaml]: a quote is opened and not closed
             --> a.yaml:2:11
            2 |   binary: "./x
              |           ^
              help: close it, on the line where it is opened
        "#]],
    );
}

#[test]
fn unquoted_at_sign() {
    refused(
        "\
contents:
  binary: ./x
  repositories:
    - @edge https://example.com/os
",
        expect![[r#"
            error[spec/yaml]: a text cannot begin with `@` without quotes
             --> a.yaml:4:7
            4 |     - @edge https://example.com/os
              |       ^
              help: put the whole text in quotes: '…'
        "#]],
    );
}

#[test]
fn unquoted_star() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: /a
      exclude:
        - *.log
",
        expect![[r#"
            error[spec/yaml]: there is no anchor `&.log`
             --> a.yaml:6:11
            6 |         - *.log
              |           ^^^^^ an unquoted `*` refers to an anchor
              help: if the text itself is meant, quote it: '*.log'
        "#]],
    );
}

#[test]
fn unquoted_exclamation_mark() {
    refused(
        "\
contents:
  binary: ./x
  packages:
    - !foo
",
        expect![[r#"
            error[spec/yaml]: the YAML tag `!foo` means nothing here
             --> a.yaml:4:7
            4 |     - !foo
              |       ^^^^
              help: if the text itself is meant, quote it: an unquoted `!` begins a tag
        "#]],
    );
}

#[test]
fn a_template_that_was_not_filled_in() {
    refused(
        "\
contents:
  binary: {{ .Binary }}
",
        expect![[r#"
            error[spec/yaml]: a key has to be one word, not a list or map
             --> a.yaml:2:12
            2 |   binary: {{ .Binary }}
              |            ^^^^^^^^^^^
              help: a `{{ template }}` has to be filled in before; to keep it as a text, quote it
        "#]],
    );
}

#[test]
fn bad_indentation() {
    refused(
        "\
contents:
  binary: ./x
 ports: [80]
",
        expect![[r#"
            error[spec/yaml]: this line is indented unlike the ones around it
             --> a.yaml:3:2
            3 |  ports: [80]
              |  ^
              help: begin it in the column of the key that it belongs beside; `- ` begins an entry of a list
        "#]],
    );
}

#[test]
fn alias_without_anchor() {
    refused(
        "\
contents:
  binary: *bin
",
        expect![[r#"
            error[spec/yaml]: there is no anchor `&bin`
             --> a.yaml:2:11
            2 |   binary: *bin
              |           ^^^^ an unquoted `*` refers to an anchor
              help: if the text itself is meant, quote it: '*bin'
        "#]],
    );
}

#[test]
fn mistake_through_an_alias() {
    refused(
        "\
contents:
  binary: ./x
annotations:
  a: &where srv
work-dir: *where
",
        expect![[r#"
            error[spec/value]: `work-dir` has to begin with `/`, not `srv`
             --> a.yaml:4:13
            4 |   a: &where srv
              |             ^^^
             ::: a.yaml:5:11
            5 | work-dir: *where
              |           ------ used here
              help: write `/srv`
        "#]],
    );
}

#[test]
fn merge_of_a_text() {
    refused(
        "\
contents:
  <<: hello
  binary: ./x
",
        expect![[r#"
            error[spec/yaml]: `<<` takes a map or a list of maps
             --> a.yaml:2:7
            2 |   <<: hello
              |       ^^^^^
        "#]],
    );
}

#[test]
fn binary_is_a_list() {
    refused(
        "\
contents:
  binary:
    - ./a
    - ./b
",
        expect![[r#"
            error[spec/type]: `contents.binary` is one program, not a list
             --> a.yaml:2:3
            2 |   binary:
              |   ^^^^^^
              help: name the one that the image is for; others go into `contents.files`
        "#]],
    );
}

#[test]
fn binary_is_a_folder() {
    refused(
        "\
contents:
  binary: ./bin/
",
        expect![[r#"
            error[spec/value]: `contents.binary` names a folder, not a program
             --> a.yaml:2:11
            2 |   binary: ./bin/
              |           ^^^^^^
              help: name the program's file; whole folders go into `contents.files`
        "#]],
    );
}

#[test]
fn binary_is_a_url() {
    refused(
        "\
contents:
  binary: https://example.com/hello
",
        expect![[r#"
            error[spec/value]: `contents.binary` has to be a file of this machine, not a URL
             --> a.yaml:2:11
            2 |   binary: https://example.com/hello
              |           ^^^^^^^^^^^^^^^^^^^^^^^^^
              help: download it first, and name the file
        "#]],
    );
}

#[test]
fn binary_without_source() {
    refused(
        "\
contents:
  binary:
    path: /app
",
        expect![[r#"
            error[spec/missing]: `contents.binary` names no `source`
             --> a.yaml:2:3
            2 |   binary:
              |   ^^^^^^
              help: write `source: PATH`, relative to the spec's folder
        "#]],
    );
}

#[test]
fn binary_with_a_slip() {
    refused(
        "\
contents:
  binary:
    sorce: ./x
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `sorce` in `contents.binary`
             --> a.yaml:3:5
            3 |     sorce: ./x
              |     ^^^^^ unknown key
              help: did you mean `source`?
        "#]],
    );
}

#[test]
fn binary_goes_to_a_folder() {
    refused(
        "\
contents:
  binary:
    source: ./x
    path: /app/
",
        expect![[r#"
            error[spec/value]: `contents.binary.path` names a folder
             --> a.yaml:4:11
            4 |     path: /app/
              |           ^^^^^
              help: write the whole path of the program: `/app/x`
        "#]],
    );
}

#[test]
fn binary_for_unknown_platforms() {
    refused(
        "\
contents:
  binary:
    linux/amd46: ./x
    arm64: ./y
    windows/amd64: ./z.exe
",
        expect![[r#"
            error[spec/platform]: `linux/amd46` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:3:5
            3 |     linux/amd46: ./x
              |     ^^^^^^^^^^^
              help: did you mean `linux/amd64`?

            error[spec/platform]: `windows/amd64` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:5:5
            5 |     windows/amd64: ./z.exe
              |     ^^^^^^^^^^^^^
              help: only Linux images can be built
        "#]],
    );
}

#[test]
fn binary_with_platforms_beside_path() {
    refused(
        "\
contents:
  binary:
    amd64: ./x
    path: /app
",
        expect![[r#"
            error[spec/platform]: `path` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:4:5
            4 |     path: /app
              |     ^^^^
              help: put the platforms below `source`:
                    binary:
                      source:
                        amd64: ./app-amd64
                        arm64: ./app-arm64
                      path: /usr/bin/app
        "#]],
    );
}

#[test]
fn binary_twice_for_a_platform() {
    refused(
        "\
contents:
  binary:
    amd64: ./x
    x86_64: ./y
",
        expect![[r#"
            error[spec/conflict]: `contents.binary` has two programs for linux/amd64
             --> a.yaml:4:5
            4 |     x86_64: ./y
              |     ^^^^^^ again here
             ::: a.yaml:3:5
            3 |     amd64: ./x
              |     ----- first here
        "#]],
    );
}

#[test]
fn binary_without_a_listed_platform() {
    refused(
        "\
contents:
  binary:
    amd64: ./x
archs: [amd64, arm64]
",
        expect![[r#"
            error[spec/missing]: `contents.binary` has no program for linux/arm64
             --> a.yaml:4:16
            4 | archs: [amd64, arm64]
              |                ^^^^^
             ::: a.yaml:2:3
            2 |   binary:
              |   ------ the programs are named here
              help: add `linux/arm64: PATH` to `contents.binary`, or remove the platform
        "#]],
    );
}

#[test]
fn home_and_variables_in_paths() {
    refused(
        "\
contents:
  binary: ~/x
  files:
    - source: ${DIR}/a
      path: /a
",
        expect![[r#"
            error[spec/value]: `~` is not expanded in a spec
             --> a.yaml:2:11
            2 |   binary: ~/x
              |           ^^^
              help: write a path relative to the spec's folder, or an absolute one

            error[spec/value]: variables are not expanded in a spec
             --> a.yaml:4:15
            4 |     - source: ${DIR}/a
              |               ^^^^^^^^
              help: write the path itself: the same spec means the same image everywhere
        "#]],
    );
}

#[test]
fn permissions_without_leading_zero() {
    refused(
        "\
contents:
  binary:
    source: ./x
    permissions: 755
",
        expect![[r#"
            error[spec/value]: `contents.binary.permissions` has to be octal with a leading zero, not `755`
             --> a.yaml:4:18
            4 |     permissions: 755
              |                  ^^^
              help: write `0755`
        "#]],
    );
}

#[test]
fn permissions_with_a_digit_that_is_not_octal() {
    refused(
        "\
contents:
  files:
    - {source: ./a, path: /a, permissions: 0799}
paths:
  - {path: /b, type: directory, permissions: 0o985}
  - {path: /c, type: directory, permissions: 0985}
",
        expect![[r#"
            error[spec/value]: `permissions` is octal, and `9` in `0799` is no octal digit: they go from 0 to 7
             --> a.yaml:3:44
            3 |     - {source: ./a, path: /a, permissions: 0799}
              |                                            ^^^^
              help: write `0644` for a file, `0755` for a program

            error[spec/value]: `permissions` is octal, and `9` in `0o985` is no octal digit: they go from 0 to 7
             --> a.yaml:5:46
            5 |   - {path: /b, type: directory, permissions: 0o985}
              |                                              ^^^^^
              help: write `0644` for a file, `0755` for a program

            error[spec/value]: `permissions` is octal, and `9` in `0985` is no octal digit: they go from 0 to 7
             --> a.yaml:6:46
            6 |   - {path: /c, type: directory, permissions: 0985}
              |                                              ^^^^
              help: write `0644` for a file, `0755` for a program
        "#]],
    );
}

#[test]
fn permissions_in_letters() {
    refused(
        "\
contents:
  files:
    - {source: ./a, path: /a, permissions: rw-r--r--}
",
        expect![[r#"
            error[spec/value]: `permissions` has to be octal with a leading zero, not `rw-r--r--`
             --> a.yaml:3:44
            3 |     - {source: ./a, path: /a, permissions: rw-r--r--}
              |                                            ^^^^^^^^^
              help: write `0644`
        "#]],
    );
}

#[test]
fn file_as_text() {
    refused(
        "\
contents:
  files:
    - ./static:/srv/static
",
        expect![[r#"
            error[spec/type]: an entry of `contents.files` has to be a map
             --> a.yaml:3:7
            3 |     - ./static:/srv/static
              |       ^^^^^^^^^^^^^^^^^^^^
              help: write
                    - source: ./static
                      path: /srv/static
        "#]],
    );
}

#[test]
fn files_as_a_map() {
    refused(
        "\
contents:
  files:
    source: ./a
    path: /a
",
        expect![[r#"
            error[spec/type]: `contents.files` has to be a list, not a map
             --> a.yaml:2:3
            2 |   files:
              |   ^^^^^
              help: begin each entry with `- `
        "#]],
    );
}

#[test]
fn file_without_path() {
    refused(
        "\
contents:
  files:
    - source: ./a
",
        expect![[r#"
            error[spec/missing]: an entry of `contents.files` names no `path`
             --> a.yaml:3:7
            3 |     - source: ./a
              |       ^^^^^^^^^^^
              help: `path` is where it goes in the image, from the root: `/srv/static`
        "#]],
    );
}

#[test]
fn file_with_relative_path() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: srv/a
",
        expect![[r#"
            error[spec/value]: `path` has to begin with `/`, not `srv/a`
             --> a.yaml:4:13
            4 |       path: srv/a
              |             ^^^^^
              help: write `/srv/a`
        "#]],
    );
}

#[test]
fn file_path_climbs() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: /srv/../../etc/passwd
",
        expect![[r#"
            error[spec/value]: `/srv/../../etc/passwd` climbs with `..`; a path in an image cannot leave its root
             --> a.yaml:4:13
            4 |       path: /srv/../../etc/passwd
              |             ^^^^^^^^^^^^^^^^^^^^^
              help: write where it really goes
        "#]],
    );
}

#[test]
fn file_path_with_a_slash_at_its_end() {
    refused(
        "\
contents:
  files:
    - source: ./app.conf
      path: /etc/app/
",
        expect![[r#"
            error[spec/value]: `path` is the whole path in the image, not the folder it goes into
             --> a.yaml:4:13
            4 |       path: /etc/app/
              |             ^^^^^^^^^
              help: for a file, write `path: /etc/app/app.conf`
              help: for a folder, write `path: /etc/app`
        "#]],
    );
}

#[test]
fn file_owner_by_name() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: /a
      uid: nobody
      gid: -1
",
        expect![[r#"
            error[spec/value]: `uid` has to be a number from 0 to 4294967294, not `nobody`
             --> a.yaml:5:12
            5 |       uid: nobody
              |            ^^^^^^
              help: names are not looked up: write the number of the user or group

            error[spec/value]: `gid` has to be a number from 0 to 4294967294, not `-1`
             --> a.yaml:6:12
            6 |       gid: -1
              |            ^^
        "#]],
    );
}

#[test]
fn file_excludes_outside() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: /a
      exclude: ['/etc', '../x']
",
        expect![[r#"
            error[spec/value]: `/etc` cannot match anything below the source
             --> a.yaml:5:17
            5 |       exclude: ['/etc', '../x']
              |                 ^^^^^^
              help: patterns are relative to `source`: `*.log`, `cache/**`

            error[spec/value]: `../x` cannot match anything below the source
             --> a.yaml:5:25
            5 |       exclude: ['/etc', '../x']
              |                         ^^^^^^
              help: patterns are relative to `source`: `*.log`, `cache/**`
        "#]],
    );
}

#[test]
fn two_things_at_one_path() {
    refused(
        "\
contents:
  binary: ./x
  files:
    - source: ./a
      path: /usr/bin/x
    - source: ./b
      path: /usr//bin/x
",
        expect![[r#"
            error[spec/conflict]: two things go to /usr/bin/x
             --> a.yaml:5:13
            5 |       path: /usr/bin/x
              |             ^^^^^^^^^^ again here
             ::: a.yaml:2:11
            2 |   binary: ./x
              |           --- first here
              help: give one of them another `path`

            error[spec/conflict]: two things go to /usr/bin/x
             --> a.yaml:7:13
            7 |       path: /usr//bin/x
              |             ^^^^^^^^^^^ again here
             ::: a.yaml:5:13
            5 |       path: /usr/bin/x
              |             ---------- first here
              help: give one of them another `path`
        "#]],
    );
}

#[test]
fn base_files_quoted() {
    refused(
        &r#"
contents:
  binary: ./x
  base-files: "false"
"#[1..],
        expect![[r#"
            error[spec/value]: `contents.base-files` has to be true or false, not a text
             --> a.yaml:3:15
            3 |   base-files: "false"
              |               ^^^^^^^
              help: write `false` without quotes
        "#]],
    );
}

#[test]
fn base_files_odd() {
    refused(
        "\
contents:
  binary: ./x
  base-files: minimal
",
        expect![[r#"
            error[spec/value]: `contents.base-files` has to be true or false, not `minimal`
             --> a.yaml:3:15
            3 |   base-files: minimal
              |               ^^^^^^^
        "#]],
    );
}

#[test]
fn base_files_with_unknown_part() {
    refused(
        "\
contents:
  binary: ./x
  base-files:
    tzdata: false
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `tzdata` in `contents.base-files`
             --> a.yaml:4:5
            4 |     tzdata: false
              |     ^^^^^^ unknown key
              help: write `time-zones`
        "#]],
    );
}

#[test]
fn certificates_without_base_files() {
    refused(
        "\
contents:
  binary: ./x
  base-files: none
certificates:
  additional:
    - source: ./ca.pem
",
        expect![[r#"
            error[spec/conflict]: without base files there is no CA bundle to add to
             --> a.yaml:4:1
            4 | certificates:
              | ^^^^^^^^^^^^
             ::: a.yaml:3:15
            3 |   base-files: none
              |               ---- turned off here
              help: write `base-files: {time-zones: false}` to keep the certificates
        "#]],
    );
}

#[test]
fn certificate_as_text() {
    refused(
        "\
contents:
  binary: ./x
certificates:
  additional:
    - ./ca.pem
",
        expect![[r#"
            error[spec/type]: an entry of `certificates.additional` has to be a map
             --> a.yaml:5:7
            5 |     - ./ca.pem
              |       ^^^^^^^^
              help: write `- source: ./ca.pem`
        "#]],
    );
}

#[test]
fn certificate_with_nothing_or_both() {
    refused(
        "\
contents:
  binary: ./x
certificates:
  additional:
    - name: a
    - source: ./a
      content: x
",
        expect![[r#"
            error[spec/missing]: a certificate has neither `source` nor `content`
             --> a.yaml:5:7
            5 |     - name: a
              |       ^^^^^^^
              help: write `source: FILE.pem`

            error[spec/conflict]: a certificate has both `source` and `content`
             --> a.yaml:6:7
            6 |     - source: ./a
              |       ^^^^^^^^^^^
              help: keep one of them
        "#]],
    );
}

#[test]
fn certificate_is_a_private_key() {
    refused(
        "\
contents:
  binary: ./x
certificates:
  additional:
    - name: .a
      content: |
        -----BEGIN PRIVATE KEY-----
",
        expect![[r#"
            error[spec/value]: `.a` is no name of a certificate
             --> a.yaml:5:13
            5 |     - name: .a
              |             ^^
              help: letters, digits, `_`, `-` and, but for the first, `.` may be used

            error[spec/value]: this is a private key, not a certificate
             --> a.yaml:6:7
            6 |       content: |
              |       ^^^^^^^
              help: take it out and make a new one: the spec is no place for secrets
        "#]],
    );
}

#[test]
fn package_with_spaces() {
    refused(
        "\
contents:
  repositories: [./r]
  packages:
    - busybox > 1.36
    - curl jq
    - a,
    - ''
",
        expect![[r#"
            error[spec/package]: `busybox > 1.36` holds a space
             --> a.yaml:4:7
            4 |     - busybox > 1.36
              |       ^^^^^^^^^^^^^^
              help: write it in one word: `busybox>1.36`

            error[spec/package]: `curl jq` holds a space
             --> a.yaml:5:7
            5 |     - curl jq
              |       ^^^^^^^
              help: each package has its own line

            error[spec/package]: `a,` ends in a comma
             --> a.yaml:6:7
            6 |     - a,
              |       ^^
              help: write `a`

            error[spec/value]: an entry of `contents.packages` is empty
             --> a.yaml:7:7
            7 |     - ''
              |       ^^
              help: remove the line, or quote what begins with `#`
        "#]],
    );
}

#[test]
fn package_with_odd_operators() {
    refused(
        "\
contents:
  repositories: [./r]
  packages:
    - a==1
    - b~=1
    - c!=1
    - d=
    - ./e-1.apk
",
        expect![[r#"
            error[spec/package]: `==` in `a==1` is no operator
             --> a.yaml:4:7
            4 |     - a==1
              |       ^^^^
              help: write `a=1`

            error[spec/package]: `~=` in `b~=1` is no operator
             --> a.yaml:5:7
            5 |     - b~=1
              |       ^^^^
              help: write `b~1`

            error[spec/package]: `!=` in `c!=1` is no operator
             --> a.yaml:6:7
            6 |     - c!=1
              |       ^^^^
              help: a version cannot be excluded; name the ones that are wanted, as in `name<2`

            error[spec/package]: `d=` is no package constraint
             --> a.yaml:7:7
            7 |     - d=
              |       ^^
              help: write a name, and behind it what version may be: `name`, `name=1.2.3-r0`, `name>=1.2`, `name~1.2`

            error[spec/package]: `./e-1.apk` is a file: a package is named without its version and ending
             --> a.yaml:8:7
            8 |     - ./e-1.apk
              |       ^^^^^^^^^
              help: put the file into a repository folder with an index, and list that in `repositories`
        "#]],
    );
}

#[test]
fn package_in_a_map() {
    refused(
        "\
contents:
  repositories: [./r]
  packages:
    - name: busybox
",
        expect![[r#"
            error[spec/type]: an entry of `contents.packages` has to be one text, not a map
             --> a.yaml:4:7
            4 |     - name: busybox
              |       ^^^^^^^^^^^^^
              help: write `- busybox`
        "#]],
    );
}

#[test]
fn packages_as_one_text() {
    refused(
        "\
contents:
  repositories: [./r]
  packages: busybox
",
        expect![[r#"
            error[spec/type]: `contents.packages` has to be a list
             --> a.yaml:3:13
            3 |   packages: busybox
              |             ^^^^^^^
              help: write `packages: [busybox]`
        "#]],
    );
}

#[test]
fn packages_without_repositories() {
    refused(
        "\
contents:
  packages:
    - busybox
",
        expect![[r#"
            error[spec/missing]: there are packages, but no repository they could come from
             --> a.yaml:2:3
            2 |   packages:
              |   ^^^^^^^^
              help: name one:
                    contents:
                      repositories:
                        - https://packages.wolfi.dev/os
        "#]],
    );
}

#[test]
fn repository_with_credentials() {
    refused(
        "\
contents:
  packages: [a]
  repositories:
    - https://me:hunter2@example.com/os
  keyring:
    - https://hunter2@example.com/k.rsa.pub
",
        expect![[r#"
            error[spec/secret]: the URL of a repository holds credentials
             --> a.yaml:4:7
            4 |     - https://xxxxxxxxxx@example.com/os
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: remove them and make a new password: whoever reads the spec or its history has this one
              help: credentials are taken from `.netrc`, or from HTTP_AUTH=basic:HOST:USER:PASSWORD

            error[spec/secret]: the URL of a key holds credentials
             --> a.yaml:6:7
            6 |     - https://xxxxxxx@example.com/k.rsa.pub
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: remove them and make a new password: whoever reads the spec or its history has this one
              help: credentials are taken from `.netrc`, or from HTTP_AUTH=basic:HOST:USER:PASSWORD
        "#]],
    );
}

#[test]
fn repository_with_a_bad_tag() {
    refused(
        "\
contents:
  packages: [a]
  repositories:
    - '@my-tag https://example.com'
    - '@edge'
    - main https://example.com/x
    - ftp://example.com
    - https:/example.com
    - https://example.com/os/x86_64/APKINDEX.tar.gz
",
        expect![[r#"
            error[spec/value]: `@my-tag` is no tag of a repository
             --> a.yaml:4:7
            4 |     - '@my-tag https://example.com'
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: a tag has only letters and digits: '@edge https://…'

            error[spec/value]: the tag `@edge` has no repository behind it
             --> a.yaml:5:7
            5 |     - '@edge'
              |       ^^^^^^^
              help: write the tag, a space and the URL or folder: '@edge https://…'

            error[spec/value]: `main https://example.com/x` holds a space
             --> a.yaml:6:7
            6 |     - main https://example.com/x
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: a repository is one URL or path; before it may stand `v2`, `v3` or `ndx`, and a tag: '@edge https://…'; each component has its own line

            error[spec/value]: `ftp:` is no way to reach a repository
             --> a.yaml:7:7
            7 |     - ftp://example.com
              |       ^^^^^^^^^^^^^^^^^
              help: a folder, `file:`, `http:` and `https:` are known

            error[spec/value]: `https:/example.com` is no URL
             --> a.yaml:8:7
            8 |     - https:/example.com
              |       ^^^^^^^^^^^^^^^^^^
              help: write `https://` and the host

            error[spec/value]: a repository is named by its folder, not by its index
             --> a.yaml:9:7
            9 |     - https://example.com/os/x86_64/APKINDEX.tar.gz
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: write `https://example.com/os`: the architecture and the index are found below it
        "#]],
    );
}

#[test]
fn key_written_into_the_spec() {
    refused(
        "\
contents:
  packages: [a]
  repositories: [./r]
  keyring:
    - |
      -----BEGIN PUBLIC KEY-----
",
        expect![[r#"
            error[spec/value]: a key is named by its file or URL, not written into the spec
             --> a.yaml:6:7
            6 |       -----BEGIN PUBLIC KEY-----
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
              help: save it beside the spec, under the name that the index is signed with, and name that file
        "#]],
    );
}

#[test]
fn entrypoint_with_an_open_quote() {
    refused(
        &r"
contents:
  binary: ./x
entrypoint:
  command: /x 'it
cmd: a\
"[1..],
        expect![[r#"
            error[spec/value]: `entrypoint.command` opens a `'` and does not close it
             --> a.yaml:4:12
            4 |   command: /x 'it
              |            ^^^^^^
              help: write the words as a list, where nothing needs quoting twice: `entrypoint: [/usr/bin/app, "it's"]`

            error[spec/value]: `cmd` ends in a backslash
             --> a.yaml:5:6
            5 | cmd: a\
              |      ^^
              help: write the words as a list, where nothing needs quoting twice: `cmd: [/usr/bin/app, "it's"]`
        "#]],
    );
}

#[test]
fn entrypoint_command_as_a_list() {
    refused(
        "\
contents:
  binary: ./x
entrypoint:
  command: [/x, -v]
",
        expect![[r#"
            error[spec/type]: `entrypoint.command` has to be one text, not a list
             --> a.yaml:4:3
            4 |   command: [/x, -v]
              |   ^^^^^^^
              help: a list stands directly below `entrypoint`:
                    entrypoint: [/usr/bin/app, --flag]
        "#]],
    );
}

#[test]
fn entrypoint_with_a_map_in_the_list() {
    refused(
        "\
contents:
  binary: ./x
entrypoint: [/x, {a: b}, ~]
",
        expect![[r#"
            error[spec/type]: a word of `entrypoint` has to be one text, not a map
             --> a.yaml:3:18
            3 | entrypoint: [/x, {a: b}, ~]
              |                  ^^^^^^
              help: quote it: '…'

            error[spec/type]: a word of `entrypoint` has to be one text, not nothing
             --> a.yaml:3:26
            3 | entrypoint: [/x, {a: b}, ~]
              |                          ^
              help: quote it: '…'
        "#]],
    );
}

#[test]
fn environment_as_a_list() {
    refused(
        "\
contents:
  binary: ./x
environment:
  - PATH=/usr/bin
",
        expect![[r#"
            error[spec/type]: `environment` has to be a map of names to texts, not a list
             --> a.yaml:3:1
            3 | environment:
              | ^^^^^^^^^^^
              help: write each as `NAME: value`:
                    environment:
                      PATH: /usr/bin
        "#]],
    );
}

#[test]
fn environment_with_odd_names() {
    refused(
        "\
contents:
  binary: ./x
environment:
  A=B: c
  'A B': c
  '': d
  L: [1]
",
        expect![[r#"
            error[spec/value]: `A=B` holds a `=`, which a variable's name cannot
             --> a.yaml:4:3
            4 |   A=B: c
              |   ^^^
              help: write `NAME: value`

            error[spec/value]: `A B` holds a space, which a variable's name cannot
             --> a.yaml:5:3
            5 |   'A B': c
              |   ^^^^^
              help: write `NAME: value`

            error[spec/value]: a variable needs a name
             --> a.yaml:6:3
            6 |   '': d
              |   ^^
              help: write `NAME: value`

            error[spec/type]: `L` of `environment` has to be one text, not a list
             --> a.yaml:7:3
            7 |   L: [1]
              |   ^
        "#]],
    );
}

#[test]
fn ports_of_other_tools() {
    refused(
        &r#"
contents:
  binary: ./x
ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
"#[1..],
        expect![[r#"
            error[spec/value]: `8080:80` is no port
             --> a.yaml:3:9
            3 | ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
              |         ^^^^^^^^^
              help: only the container's side belongs into the image: write `80`

            error[spec/value]: `8000-8010` is no port
             --> a.yaml:3:20
            3 | ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
              |                    ^^^^^^^^^
              help: a range has to be listed port by port

            error[spec/value]: `70000` is no port
             --> a.yaml:3:31
            3 | ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
              |                               ^^^^^
              help: write a number from 1 to 65535, such as `8080` or `53/udp`

            error[spec/value]: `icmp` is no protocol of a port
             --> a.yaml:3:38
            3 | ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
              |                                      ^^^^^^^
              help: tcp, udp and sctp are known: `53/udp`

            error[spec/value]: `0` is no port
             --> a.yaml:3:47
            3 | ports: ["8080:80", 8000-8010, 70000, 53/icmp, 0]
              |                                               ^
              help: write a number from 1 to 65535, such as `8080` or `53/udp`
        "#]],
    );
}

#[test]
fn ports_as_one_number() {
    refused(
        "\
contents:
  binary: ./x
ports: 8080
",
        expect![[r#"
            error[spec/type]: `ports` has to be a list
             --> a.yaml:3:8
            3 | ports: 8080
              |        ^^^^
              help: write `ports: [8080]`
        "#]],
    );
}

#[test]
fn volumes_of_other_tools() {
    refused(
        &r#"
contents:
  binary: ./x
volumes: ["./data:/data", data]
"#[1..],
        expect![[r#"
            error[spec/value]: `./data:/data` is no absolute path in the image
             --> a.yaml:3:11
            3 | volumes: ["./data:/data", data]
              |           ^^^^^^^^^^^^^^
              help: only the container's side belongs into the image: write `/data`

            error[spec/value]: `data` is no absolute path in the image
             --> a.yaml:3:27
            3 | volumes: ["./data:/data", data]
              |                           ^^^^
              help: write `/data`
        "#]],
    );
}

#[test]
fn unknown_signal() {
    refused(
        "\
contents:
  binary: ./x
stop-signal: SIGTREM
",
        expect![[r#"
            error[spec/value]: `SIGTREM` is no signal
             --> a.yaml:3:14
            3 | stop-signal: SIGTREM
              |              ^^^^^^^
              help: did you mean `SIGTERM`?
        "#]],
    );
}

#[test]
fn relative_work_dir() {
    refused(
        "\
contents:
  binary: ./x
work-dir: ./srv
",
        expect![[r#"
            error[spec/value]: `work-dir` has to begin with `/`, not `./srv`
             --> a.yaml:3:11
            3 | work-dir: ./srv
              |           ^^^^^
              help: write `/srv`
        "#]],
    );
}

#[test]
fn odd_users() {
    refused(
        "\
contents:
  binary: ./x
accounts:
  run-as: a:b:c
",
        expect![[r#"
            error[spec/value]: `a:b:c` is no user
             --> a.yaml:4:11
            4 |   run-as: a:b:c
              |           ^^^^^
              help: write a number such as `65532`, a name, or `65532:65532` with a group; `root` has to be asked for by name
        "#]],
    );
}

#[test]
fn unknown_platforms() {
    refused(
        "\
contents:
  binary: ./x
archs:
  - amd46
  - all
  - host
  - darwin/arm64
",
        expect![[r#"
            error[spec/platform]: `amd46` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:4:5
            4 |   - amd46
              |     ^^^^^
              help: did you mean `amd64`?

            error[spec/platform]: `all` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:5:5
            5 |   - all
              |     ^^^
              help: list the platforms

            error[spec/platform]: `host` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:6:5
            6 |   - host
              |     ^^^^
              help: name it: what an image is for never depends on the machine that builds it

            error[spec/platform]: `darwin/arm64` is no platform: expected one of linux/amd64, linux/arm64, linux/arm/v7, linux/arm/v6, linux/386, linux/riscv64, linux/ppc64le, linux/s390x, linux/loong64
             --> a.yaml:7:5
            7 |   - darwin/arm64
              |     ^^^^^^^^^^^^
              help: only Linux images can be built
        "#]],
    );
}

#[test]
fn one_platform_twice() {
    refused(
        "\
contents:
  binary: ./x
archs: [amd64, arm64, x86_64]
",
        expect![[r#"
            error[spec/conflict]: linux/amd64 is listed twice
             --> a.yaml:3:23
            3 | archs: [amd64, arm64, x86_64]
              |                       ^^^^^^ again here
             ::: a.yaml:3:9
            3 | archs: [amd64, arm64, x86_64]
              |         ----- first here
              help: remove one of them
        "#]],
    );
}

#[test]
fn archs_as_one_text() {
    refused(
        "\
contents:
  binary: ./x
archs: amd64
",
        expect![[r#"
            error[spec/type]: `archs` has to be a list
             --> a.yaml:3:8
            3 | archs: amd64
              |        ^^^^^
              help: write `archs: [amd64]`
        "#]],
    );
}

#[test]
fn unknown_format() {
    refused(
        "\
contents:
  binary: ./x
format: zip
",
        expect![[r#"
            error[spec/value]: `zip` is no format of layers
             --> a.yaml:3:9
            3 | format: zip
              |         ^^^
              help: remove the line: layers are tar archives
        "#]],
    );
}

#[test]
fn a_list_where_a_text_belongs() {
    refused(
        "\
contents:
  binary: ./x
work-dir: [/srv]
stop-signal: {a: b}
",
        expect![[r#"
            error[spec/type]: `work-dir` has to be one text, not a list
             --> a.yaml:3:1
            3 | work-dir: [/srv]
              | ^^^^^^^^

            error[spec/type]: `stop-signal` has to be one text, not a map
             --> a.yaml:4:1
            4 | stop-signal: {a: b}
              | ^^^^^^^^^^^
        "#]],
    );
}

#[test]
fn nul_in_a_text() {
    refused(
        &r#"
contents:
  binary: "./x\0y"
"#[1..],
        expect![[r#"
            error[spec/value]: a text cannot hold a NUL character
             --> a.yaml:2:11
            2 |   binary: "./x\0y"
              |           ^^^^^^^^
        "#]],
    );
}

#[test]
fn control_characters_are_shown_escaped() {
    refused(
        &r#"
contents:
  binary: ./x
"wo\e[31mrk": /a
work-dir: "\e[2Jx"
"#[1..],
        expect![[r#"
            error[spec/unknown-key]: there is no key `wo\u{1b}[31mrk`
             --> a.yaml:3:1
            3 | "wo\e[31mrk": /a
              | ^^^^^^^^^^^^ unknown key
              help: known here: `contents`, `entrypoint`, `cmd`, `environment`, `work-dir`, `ports`, `volumes`, `stop-signal`, `annotations`, `accounts`, `archs`, `certificates`, `include`, `paths`, `layering`, `vcs-url`

            error[spec/value]: `work-dir` has to begin with `/`, not `\u{1b}[2Jx`
             --> a.yaml:4:11
            4 | work-dir: "\e[2Jx"
              |           ^^^^^^^^
              help: write `"/\\u{1b}[2Jx"`
        "#]],
    );
}

#[test]
fn entrypoint_that_only_a_shell_understands() {
    refused(
        "\
contents:
  binary: ./x
entrypoint: cd /srv && ./run.sh | cat
",
        expect![[r#"
            error[spec/value]: `entrypoint` holds a `&&`, and no shell runs it
             --> a.yaml:3:13
            3 | entrypoint: cd /srv && ./run.sh | cat
              |             ^^^^^^^^^^^^^^^^^^^^^^^^^
              help: if a shell is to run it, one has to be in the image, such as `busybox`; write
                    entrypoint:
                      shell-fragment: "cd /srv && ./run.sh | cat"
              help: if the program itself wants the word, quote it: `'&&'`
        "#]],
    );
    refused(
        "\
contents:
  binary: ./x
entrypoint:
  command: /usr/bin/x > /dev/null
cmd: a ; b
",
        expect![[r#"
            error[spec/value]: `entrypoint.command` holds a `>`, and no shell runs it
             --> a.yaml:4:12
            4 |   command: /usr/bin/x > /dev/null
              |            ^^^^^^^^^^^^^^^^^^^^^^
              help: if a shell is to run it, one has to be in the image, such as `busybox`; write
                    entrypoint:
                      shell-fragment: "/usr/bin/x > /dev/null"
              help: if the program itself wants the word, quote it: `'>'`

            error[spec/value]: `cmd` holds a `;`, and no shell runs it
             --> a.yaml:5:6
            5 | cmd: a ; b
              |      ^^^^^
              help: if a shell is to run it, one has to be in the image, such as `busybox`; write
                    entrypoint:
                      shell-fragment: "a ; b"
              help: if the program itself wants the word, quote it: `';'`
        "#]],
    );
}

#[test]
fn binary_with_a_map_for_each_platform() {
    refused(
        "\
contents:
  binary:
    amd64: {source: ./a, path: /usr/bin/tool}
    arm64:
      source: ./b
      path: /usr/bin/tool
archs: [amd64, arm64]
",
        expect![[r#"
            error[spec/type]: `contents.binary` has a map for linux/amd64, where a path belongs
             --> a.yaml:3:5
            3 |     amd64: {source: ./a, path: /usr/bin/tool}
              |     ^^^^^
              help: name the path in the image once, for all platforms:
                    contents:
                      binary:
                        source:
                          amd64: ./a
                          arm64: ./b
                        path: /usr/bin/tool
        "#]],
    );
    refused(
        "\
contents:
  binary:
    source:
      amd64: ./a
      arm64: {}
",
        expect![[r#"
            error[spec/type]: `contents.binary.source` has a map for linux/arm64, where a path belongs
             --> a.yaml:5:7
            5 |       arm64: {}
              |       ^^^^^
              help: name the path in the image once, for all platforms:
                    contents:
                      binary:
                        source:
                          amd64: ./a
                          arm64: ./app-arm64
                        path: /usr/bin/app
        "#]],
    );
}

#[test]
fn file_excludes_taken_back() {
    refused(
        "\
contents:
  files:
    - source: ./a
      path: /a
      exclude: ['*.log', '!keep.log']
",
        expect![[r#"
            error[spec/value]: `!keep.log`: a pattern cannot take back what another excludes
             --> a.yaml:5:26
            5 |       exclude: ['*.log', '!keep.log']
              |                          ^^^^^^^^^^^
              help: remove it, and list `keep.log` as an entry of its own behind this one
              help: for a name that begins with `!`, write `?` in its place
        "#]],
    );
}

#[test]
fn slips_in_keys_of_apko() {
    refused(
        "\
contents: {binary: ./x}
includes: other.yaml
entrypoint: {banana: x}
",
        expect![[r#"
            error[spec/unknown-key]: there is no key `includes`
             --> a.yaml:2:1
            2 | includes: other.yaml
              | ^^^^^^^^ unknown key
              help: did you mean `include`?

            error[spec/unknown-key]: there is no key `banana` in `entrypoint`
             --> a.yaml:3:14
            3 | entrypoint: {banana: x}
              |              ^^^^^^ unknown key
              help: known here: `command`, `shell-fragment`, `services`
        "#]],
    );
}
