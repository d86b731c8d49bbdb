//! Every example builds, and starts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::runtimes::{Container, free_port, get};
use crate::sandbox::{Sandbox, hello, workspace};
use crate::tools::{have, root, run, unpack, wait_for};

fn examples() -> Vec<PathBuf> {
    let mut specs: Vec<PathBuf> = fs::read_dir(workspace().join("configs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    specs.sort();
    specs
}

#[test]
fn every_example_builds_and_starts() {
    let test = "every_example_builds_and_starts";
    hello();
    let runnable = have("umoci", test) && have("runc", test) && root(test);
    let specs = examples();
    assert!(specs.len() >= 5, "{specs:?}");
    for spec in specs {
        let s = Sandbox::new();
        let name = spec.file_stem().unwrap().to_str().unwrap().to_owned();
        s.ok(["build", spec.to_str().unwrap(), "-o", "oci:image", "-t", "image:1"]);
        if !runnable {
            continue;
        }
        let bundle = s.path(&name);
        unpack(&s.path("image"), "1", &bundle);
        let file = bundle.join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        if config["process"]["args"][0] == "/bin/sh" {
            config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "echo started"]);
            fs::write(&file, config.to_string()).unwrap();
            let id = format!("assemble-test-{name}-{}", std::process::id());
            let said = run(Command::new("runc")
                .arg("--root")
                .arg(s.path("state"))
                .args(["run", "--bundle"])
                .arg(&bundle)
                .arg(id));
            assert_eq!(said, "started", "{name}");
            continue;
        }
        let port = free_port();
        let environment = config["process"]["env"].as_array_mut().unwrap();
        environment.retain(|entry| !entry.as_str().unwrap().starts_with("PORT="));
        environment.push(format!("PORT={port}").into());
        fs::write(&file, config.to_string()).unwrap();
        let container = Container::start(&bundle, &s.path("state"));
        wait_for(&name, || get(port, "/health").as_deref() == Some("ok\n"));
        assert_eq!(container.user().as_deref(), Some("65532:65532"), "{name}");
    }
}

#[test]
fn every_broken_example_is_refused_with_its_reason() {
    hello();
    let expected =
        [("typo.yaml", 3, "did you mean `environment`?"), ("entrypoint.yaml", 10, "/usr/bin/hello")];
    for (name, code, words) in expected {
        let s = Sandbox::new();
        let spec = workspace().join("configs/broken").join(name);
        let ran = s.run(["build", spec.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{name}: {}", ran.stderr);
    }
    // The dynamic one: this very binary, at the place that the example names.
    let s = Sandbox::new();
    fs::create_dir_all(s.path("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_assemble"), s.path("bin/assemble")).unwrap();
    let spec = fs::read_to_string(workspace().join("configs/broken/dynamic.yaml")).unwrap();
    s.write("configs/broken/dynamic.yaml", spec);
    let ran = s.run(["build", "configs/broken/dynamic.yaml"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    for words in ["/lib64/ld-linux-x86-64.so.2", "crt-static", "glibc"] {
        assert!(ran.stderr.contains(words), "`{words}` is missing in {}", ran.stderr);
    }
    let check = s.run(["check", "configs/broken/dynamic.yaml"]);
    assert_eq!(check.code, 10);
    let warned = s.run(["build", "configs/broken/dynamic.yaml", "--start-check", "warn"]);
    assert_eq!(warned.code, 0, "{}", warned.stderr);
    assert!(warned.stderr.contains("WILL NOT RUN"), "{}", warned.stderr);
    assert_eq!(s.run(["build", "configs/broken/dynamic.yaml", "--start-check", "off", "--quiet"]).code, 0);
}
