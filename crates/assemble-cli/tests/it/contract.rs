//! Standard output, files of results, JSON, exit codes.

use crate::sandbox::Sandbox;

#[test]
fn standard_output_is_one_line() {
    let s = Sandbox::new().with_hello();
    let ran = s.run(["build", "./hello", "--digest-file", "digest.txt"]);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert_eq!(s.read("digest.txt"), ran.stdout.as_bytes());
    let quiet = s.run(["build", "./hello", "--quiet"]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (ran.stdout, ""));
}

#[test]
fn json_has_the_promised_members() {
    let s = Sandbox::new().with_hello();
    let document = s.json(["build", "./hello", "--json"]);
    for member in ["schema", "digest", "media_type", "reference", "images", "codec", "timings", "cache"] {
        assert!(!document[member].is_null(), "{member}");
    }
    assert_eq!(document["schema"], 1);
    let image = &document["images"][0];
    for member in ["platform", "digest", "size", "config", "user", "layers", "packages"] {
        assert!(!image[member].is_null(), "{member}");
    }
    for member in ["digest", "diff_id", "size", "uncompressed_size", "media_type"] {
        assert!(!image["layers"][0][member].is_null(), "{member}");
    }
    assert_eq!(image["user"], "65532:65532");
}

#[test]
fn json_of_a_failure_names_code_kind_and_place() {
    let s = Sandbox::new();
    s.write("spec.yaml", "contents:\n  binary: nowhere\nuser: x\n");
    let ran = s.run(["build", "spec.yaml", "--json"]);
    assert_eq!(ran.code, 3);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["error"]["code"], "spec/unknown-key");
    assert_eq!(document["error"]["kind"], "spec");
    assert_eq!(document["error"]["spans"][0]["line"], 3);
    assert_eq!(document["error"]["spans"][0]["column"], 1);
}

#[test]
fn help_and_version_are_answers() {
    let s = Sandbox::new();
    for args in [vec!["--help"], vec!["--version"], vec!["build", "--help"], vec!["completions", "bash"]] {
        let ran = s.run(&args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        assert!(!ran.stdout.is_empty());
    }
    assert_eq!(s.run(["build", "--nonsense"]).code, 2);
    assert_eq!(s.run(["frobnicate"]).code, 2);
    let ran = s.run(["build", "--json", "--nonsense"]);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, document["error"]["kind"].as_str()), (2, Some("usage")));
}

#[test]
fn check_builds_nothing() {
    let s = Sandbox::new().with_hello();
    s.write("spec.yaml", "contents:\n  binary: hello\n");
    let ran = s.run(["check", "spec.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let document = s.json(["check", "spec.yaml", "--json"]);
    assert_eq!((document["ok"].clone(), document["start_checked"].clone()), (true.into(), true.into()));
    let mut names: Vec<_> =
        std::fs::read_dir(s.root()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["hello", "spec.yaml"]);
}
