//! `packages`, `tree`, `why`: what would be in an image, and because of what. Only indexes are there, no packages.

use assemble_testkit::{RepositoryBuilder, TEST_KEY, TEST_KEY_NAME};
use expect_test::expect;
use serde_json::Value;

use crate::sandbox::Sandbox;

const RECORDS: &str = "
C:Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:app\nV:1.0-r0\nS:2000\nI:9000\nL:MIT\no:app\nD:lib>=1 so:z.so.1
C:Q1lqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:lib\nV:1.5-r0\nS:3000\nI:12000\nL:BSD-3-Clause\no:lib\nD:so:z.so.1
C:Q1mqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:zlib\nV:1.3-r2\nS:500\nI:1500\nL:Zlib\no:zlib\np:so:z.so.1=1.3
C:Q1nqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:lib-doc\nV:1.5-r0\nS:100\nI:200\nL:BSD-3-Clause\no:lib\ni:lib docs
C:Q1oqFQHSGzXGq3k7gQTqb+GxbmnOw=\nP:docs\nV:1-r0\nS:10\nI:20\nL:MIT\no:docs
";

/// A spec over a repository that lists packages and has none.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let records =
        RECORDS.trim().split("\nC:").map(|record| format!("A:ARCH\nC:{}", record.trim_start_matches("C:")));
    let records: Vec<String> = records.collect();
    for arch in ["x86_64", "aarch64"] {
        let add = |all: RepositoryBuilder, record: &String| all.record(&record.replace("ARCH", arch));
        records.iter().fold(RepositoryBuilder::new(), add).write(&sandbox.path("repo"), arch);
    }
    sandbox.write(&format!("keys/{TEST_KEY_NAME}"), TEST_KEY);
    let spec = format!(
        "contents:\n  repositories: [./repo]\n  keyring: [./keys/{TEST_KEY_NAME}]\n  packages: [app, docs]\n"
    );
    sandbox.write("app.yaml", spec);
    sandbox
}

#[test]
fn packages_are_listed() {
    let sandbox = sandbox();
    expect![[r#"
        linux/amd64: 5 packages, 5.6 kB to download, 22.7 kB installed
          PACKAGE  VERSION  DOWNLOAD  INSTALLED  ORIGIN  LICENCE
          zlib     1.3-r2      500 B     1.5 kB  zlib    Zlib
          lib      1.5-r0     3.0 kB    12.0 kB  lib     BSD-3-Clause
          app      1.0-r0     2.0 kB     9.0 kB  app     MIT
          docs     1-r0         10 B       20 B  docs    MIT
          lib-doc  1.5-r0      100 B      200 B  lib     BSD-3-Clause"#]]
    .assert_eq(&sandbox.ok(["packages", "app.yaml"]));
    let document = sandbox.json(["packages", "app.yaml", "--platform", "amd64,arm64", "--json"]);
    let packages = document["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 10);
    let zlib = packages.iter().find(|p| p["name"] == "zlib" && p["platform"] == "linux/arm64").unwrap();
    let member = |key: &str| zlib[key].clone();
    assert_eq!(member("version"), "1.3-r2");
    assert_eq!(member("license"), "Zlib");
    assert_eq!(member("installed_size"), 1500);
    assert_eq!(member("arch"), "aarch64");
    assert_eq!(member("tag"), Value::Null);
}

#[test]
fn the_tree_is_shown() {
    let sandbox = sandbox();
    expect![[r#"
        linux/amd64: 5 packages
          app-1.0-r0
            lib-1.5-r0 (lib>=1)
              zlib-1.3-r2 (so:z.so.1)
              lib-doc-1.5-r0 (by itself, for lib)
            zlib-1.3-r2 (so:z.so.1)
          docs-1-r0"#]]
    .assert_eq(&sandbox.ok(["tree", "app.yaml"]));
    expect![[r#"
        digraph "linux/amd64" {
          rankdir=LR;
          node [shape=box];
          "app " [shape=ellipse, label="app"];
          "app " -> "app-1.0-r0";
          "docs " [shape=ellipse, label="docs"];
          "docs " -> "docs-1-r0";
          "zlib-1.3-r2";
          "lib-1.5-r0";
          "lib-1.5-r0" -> "zlib-1.3-r2" [label="so:z.so.1"];
          "app-1.0-r0";
          "app-1.0-r0" -> "lib-1.5-r0" [label="lib>=1"];
          "app-1.0-r0" -> "zlib-1.3-r2" [label="so:z.so.1"];
          "docs-1-r0";
          "lib-doc-1.5-r0";
          "lib-doc-1.5-r0" -> "lib-1.5-r0" [label="lib", style=dashed];
          "lib-doc-1.5-r0" -> "docs-1-r0" [label="docs", style=dashed];
        }"#]]
    .assert_eq(&sandbox.ok(["tree", "app.yaml", "--dot"]));
    let document = sandbox.json(["tree", "app.yaml", "--json"]);
    let packages = document["platforms"][0]["packages"].as_array().unwrap();
    let doc = packages.iter().find(|p| p["package"] == "lib-doc-1.5-r0").unwrap();
    assert_eq!(doc["came_for"][0]["package"], "lib-1.5-r0");
    assert_eq!(doc["needs"].as_array().unwrap().len(), 0);
}

#[test]
fn the_reason_is_told() {
    let sandbox = sandbox();
    expect![[r#"
        linux/amd64: zlib-1.3-r2
          app: app-1.0-r0 -> zlib-1.3-r2 (so:z.so.1)"#]]
    .assert_eq(&sandbox.ok(["why", "app.yaml", "zlib"]));
    expect![[r#"
        linux/amd64: lib-doc-1.5-r0
          app: app-1.0-r0 -> lib-1.5-r0 (lib>=1) -> lib-doc-1.5-r0 (lib)
          docs: docs-1-r0 -> lib-doc-1.5-r0 (docs)"#]]
    .assert_eq(&sandbox.ok(["why", "app.yaml", "lib-doc"]));
    assert_eq!(sandbox.ok(["why", "app.yaml", "so:z.so.1"]), sandbox.ok(["why", "app.yaml", "zlib-1.3-r2"]));
    let document = sandbox.json(["why", "app.yaml", "zlib", "--json"]);
    assert_eq!(document["packages"][0]["paths"][0]["entry"], "app");
    assert_eq!(document["packages"][0]["paths"][0]["steps"][1]["constraint"], "so:z.so.1");
    let ran = sandbox.run(["why", "app.yaml", "nothing"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing is not among the 5 packages of app.yaml"), "{}", ran.stderr);
}
