//! Packages alone: the layers are apko's, byte for byte.
//!
//! The answers of apko are in the test kit, with the address of the server that they were made with; it stands in the
//! image, so the server has to have that address.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::sandbox::{Sandbox, workspace};
use crate::tools::{Running, have, skipped, wait_for};

/// Where the answers expect their server.
const ADDRESS: &str = "127.0.0.1:18080";

fn kit() -> Option<PathBuf> {
    let place = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    place.join("apko-oracle").is_dir().then_some(place)
}

/// apko was given annotations on its command line; here they are part of the spec.
fn annotations(command: &serde_json::Value) -> String {
    let words: Vec<&str> = command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let pairs =
        words.windows(2).filter(|pair| pair[0] == "--annotations").flat_map(|pair| pair[1].split(','));
    let mut text = String::new();
    for (key, value) in pairs.map(|pair| pair.split_once(':').unwrap()) {
        text += if text.is_empty() { "annotations:\n" } else { "" };
        text += &format!("  {key}: {value}\n");
    }
    text
}

#[test]
fn the_first_cases_have_apkos_diff_ids() {
    let test = "the_first_cases_have_apkos_diff_ids";
    let Some(kit) = kit() else { return skipped(test, "the test kit is not here (ASSEMBLE_TESTKIT)") };
    if !have("python3", test) {
        return;
    }
    if std::net::TcpListener::bind(ADDRESS).is_err() {
        return skipped(test, &format!("{ADDRESS} is taken"));
    }
    let mut server = Command::new("python3");
    server.arg(kit.join("apko-oracle/serve.py")).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Running::start(&mut server);
    wait_for("the file server", || std::net::TcpStream::connect(ADDRESS).is_ok());
    let mut compared = 0;
    for case in ["001-minimal", "002-base-layout", "003-golden-apko"] {
        let folder = kit.join("apko-oracle").join(case);
        let expected: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let s = Sandbox::new();
        let spec = fs::read_to_string(folder.join("apko.yaml")).unwrap();
        s.write("apko.yaml", spec + &annotations(&expected["command"]));
        let built = s.json(["build", "apko.yaml", "-o", "none", "--start-check", "off", "--json"]);
        for image in built["images"].as_array().unwrap() {
            let arch = match image["platform"].as_str().unwrap() {
                "linux/amd64" => "x86_64",
                "linux/arm64" => "aarch64",
                other => panic!("{other} is not in these cases"),
            };
            let diff_ids = |layers: &serde_json::Value| -> Vec<String> {
                layers.as_array().unwrap().iter().map(|l| l["diff_id"].as_str().unwrap().to_owned()).collect()
            };
            let answer = &expected["archs"][arch];
            assert_eq!(diff_ids(&image["layers"]), diff_ids(&answer["layers"]), "{case} for {arch}");
            let installed: Vec<_> = image["packages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| serde_json::json!([p["name"], p["version"]]))
                .collect();
            assert_eq!(serde_json::json!(installed), answer["installed"], "{case} for {arch}");
            compared += 1;
        }
    }
    assert_eq!(compared, 5, "one platform in the first case, two in the others");
}
