//! The JSON Schema: it is the committed one, takes what the parser takes, and sees misspelt keys.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap()
}

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&assemble_spec::json_schema()).unwrap();
    jsonschema::draft7::new(&schema).unwrap()
}

/// A text as an editor sees it; of several documents the first.
fn document(yaml: &str) -> Value {
    let first = yaml.trim_start_matches('\u{feff}').trim_start_matches("---\n");
    let first = first.split("\n---").next().unwrap();
    serde_yaml::from_str(first).unwrap_or_else(|e| panic!("{e}\n{first}"))
}

fn problems(validator: &jsonschema::Validator, yaml: &str) -> Vec<String> {
    validator.iter_errors(&document(yaml)).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_committed_schema_is_current() {
    expect_file![root().join("docs/schema/assemble.schema.json")].assert_eq(&assemble_spec::json_schema());
}

#[test]
fn what_the_parser_takes_is_valid() {
    let validator = validator();
    let files: Vec<PathBuf> =
        ["configs", "testdata/specs/accepted"].iter().flat_map(|f| yaml_files(&root().join(f))).collect();
    assert!(files.len() > 10);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(problems(&validator, &text), [""; 0], "{}", path.display());
    }
}

#[test]
fn what_is_misspelt_is_not() {
    let validator = validator();
    for yaml in [
        "content: {binary: ./x}",
        "contents: {binaries: ./x}",
        "contents: {binary: {sorce: ./x}}",
        "contents: {files: [{source: a, path: /a, mode: 0644}]}",
        "contents: {base-files: {certificate: true}}",
        "contents: {base-files: sometimes}",
        "contents: {baseimage: {image: x, index: y}}",
        "contents: {runtime_keyring: [{name: a, contents: b}]}",
        "entrypoint: {comand: /x}",
        "accounts: {user: [{}]}",
        "accounts: {users: [{name: a, uid: 1}]}",
        "accounts: {groups: [{groupname: a, gid: one}]}",
        "paths: [{path: /a, type: dir}]",
        "paths: [{path: /a, kind: directory}]",
        "layering: {strategy: size, budget: 1}",
        "certificates: {extra: []}",
        "archs: [amd46]",
        "archs: amd64",
        "format: zip",
        "environment: [A=1]",
    ] {
        assert!(!problems(&validator, yaml).is_empty(), "{yaml}");
    }
}

/// Every key of the table is in the schema with a description, so an editor can show it.
#[test]
fn every_key_is_described() {
    fn walk(schema: &Value, path: &str, count: &mut usize) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (key, value) in properties {
                let about = value.get("description").and_then(Value::as_str).unwrap_or_default();
                assert!(about.len() > 10 && about.ends_with('.'), "{path}.{key}: {about}");
                *count += 1;
                walk(value, &format!("{path}.{key}"), count);
            }
        }
        for inner in
            schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().chain(schema.get("items"))
        {
            walk(inner, path, count);
        }
    }
    let mut count = 0;
    walk(&serde_json::from_str(&assemble_spec::json_schema()).unwrap(), "", &mut count);
    assert!(count > 60, "{count}");
}
