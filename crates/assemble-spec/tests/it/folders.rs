//! Specs in `testdata/specs`, named for the reason why they pass or not, and real specs of others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assemble_spec::{Dialect, Spec, SpecText, User, parse_spec, read_spec};
use expect_test::expect_file;
use serde_json::{Value, json};

fn specs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e != "txt"))
        .collect();
    files.sort();
    files
}

fn testdata(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/specs")).join(name)
}

#[test]
fn accepted() {
    let files = specs(&testdata("accepted"));
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Err(diagnostics) = parse_spec(name, &std::fs::read(&path).unwrap()) {
            panic!("{name}:\n{}", diagnostics.plain());
        }
    }
}

#[test]
fn refused() {
    let files = specs(&testdata("refused"));
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Err(diagnostics) = parse_spec(name, &std::fs::read(&path).unwrap()) else {
            panic!("{name} is accepted")
        };
        expect_file![
            path.with_extension("txt").canonicalize().unwrap_or_else(|_| path.with_extension("txt"))
        ]
        .assert_eq(&diagnostics.plain());
    }
}

/// Real specs, each of which both dialects take; and what apko reads in them.
#[test]
fn specs_of_others_mean_what_they_mean_to_apko() {
    let kit = std::env::var("ASSEMBLE_TESTKIT")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit").to_owned());
    let folder = Path::new(&kit).join("apko-specs");
    let files = specs(&folder.join("specs"));
    if files.is_empty() {
        eprintln!("SKIPPED: specs_of_others_mean_what_they_mean_to_apko: no specs below {kit}");
        return;
    }
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let mut expected: BTreeMap<String, Value> = serde_json::from_str(&expected).unwrap();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let mut wanted = expected.remove(&name).unwrap_or_else(|| panic!("{name}: nothing is expected"));
        tidy(&mut wanted);
        for dialect in [Dialect::Apko, Dialect::Assemble] {
            // They get their repositories, and some their packages, from the command line: here from a spec on top.
            let top = b"include: it\ncontents: {repositories: [https://example.org/os], packages: [last]}\n";
            let top = SpecText { shown: "top".into(), identity: "top".into(), bytes: top.to_vec() };
            let mut it =
                |_: &str| Ok(SpecText { shown: name.clone(), identity: name.clone(), bytes: bytes.clone() });
            let read = read_spec(top, dialect, &mut it).unwrap_or_else(|e| panic!("{}", e.plain()));
            let mut found = in_apkos_words(&read.spec);
            tidy(&mut found);
            assert_eq!(found, wanted, "{name} as {dialect:?}");
        }
    }
    assert!(expected.is_empty(), "{expected:?}");
}

/// The spec with the names of its file's keys, without what the spec on top adds.
fn in_apkos_words(spec: &Spec) -> Value {
    let packages: Vec<&String> = spec.apko.packages.iter().filter(|name| *name != "last").collect();
    let user = |user: &User| {
        let home = if user.home.is_empty() { format!("/home/{}", user.name) } else { user.home.clone() };
        json!({"username": user.name, "uid": user.uid, "gid": user.gid, "shell": user.shell, "homedir": home})
    };
    json!({
        "contents": {"packages": packages},
        "entrypoint": {
            "type": spec.apko.entrypoint_type,
            "command": spec.apko.entrypoint_command,
            "shell-fragment": spec.apko.entrypoint_shell_fragment,
            "services": spec.services,
        },
        "cmd": spec.apko.cmd,
        "stop-signal": spec.stop_signal,
        "work-dir": spec.work_dir,
        "accounts": {
            "run-as": spec.run_as.as_ref().map(|user| &user.value),
            "users": spec.users.iter().map(user).collect::<Vec<_>>(),
            "groups": spec.groups.iter().map(|group| json!({
                "groupname": group.name, "gid": group.gid, "members": group.members,
            })).collect::<Vec<_>>(),
        },
        "archs": spec.apko.archs,
        "environment": spec.environment,
        "annotations": spec.annotations,
        "paths": spec.paths.iter().map(|path| json!({
            "path": path.path.value, "type": path.kind.name(), "uid": path.uid, "gid": path.gid,
            "permissions": path.permissions, "source": path.source, "recursive": path.recursive,
        })).collect::<Vec<_>>(),
        "vcs-url": spec.vcs_url.as_ref().map(|url| &url.value),
        "volumes": spec.volumes,
    })
}

/// Leaves out what says nothing.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(tidy);
            members.retain(|key, value| {
                let kept = key == "gid" || key == "uid";
                !(value.is_null()
                    || *value == json!("")
                    || *value == json!(false)
                    || *value == json!([])
                    || *value == json!({}))
                    || (kept && value.is_number())
            });
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
