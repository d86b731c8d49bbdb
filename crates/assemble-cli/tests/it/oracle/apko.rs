//! `assemble apko` in place of `apko`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::case::{Case, Copy, words};
use super::{explain, none, walk};

const TEST: &str = "assemble_apko_answers_as_apko_does";

/// Cases that are known to differ still, with the reason. One that no longer differs has to go.
const PENDING: [(&str, &str); 0] = [];

#[test]
fn assemble_apko_answers_as_apko_does() {
    let Some(mut answers) = walk(TEST, judge) else { return };
    for (name, said) in &mut answers {
        if PENDING.iter().any(|(pending, _)| pending == name) {
            if said.is_empty() {
                said.push("it is listed as one that differs, and it does not".to_owned());
            } else {
                said.clear();
            }
        }
    }
    none(&answers, "`assemble apko` answers otherwise than apko");
}

/// What is different in a case.
fn judge(case: &Case) -> Vec<String> {
    let copy = Copy::of(case);
    let mut said = Vec::new();
    let command: Vec<String> = words(&["apko"]).into_iter().chain(case.command()).collect();
    let ran = copy.run(&command);
    match (case.exit(), ran.code) {
        ("accepted", 0) => {}
        ("accepted", code) => {
            return vec![format!("exit code {code}, and apko accepts it: {}", ran.stderr.trim())];
        }
        // apko itself breaks down; to do better is allowed.
        ("crashed", 0 | 1) => return said,
        ("refused", 1) => {
            if copy.path("out/index.json").exists() || copy.path("out.tar").exists() {
                said.push("refused, but there is an image".to_owned());
            }
            return said;
        }
        (exit, code) => {
            let why = case.expected["error"].as_str().unwrap_or_default();
            return vec![format!("exit code {code}, and apko has {exit} it: {why}")];
        }
    }
    if case.resolves_only() {
        said.extend(list("packages", &ran.stdout, &case.expected["show_packages"], 1));
        return said;
    }
    said.extend(image(case, &copy));
    said.extend(tarball(case, &copy));
    said.extend(others(case, &copy));
    said
}

fn blob(copy: &Copy, digest: &Value) -> PathBuf {
    let hex = digest.as_str().unwrap_or_default().trim_start_matches("sha256:");
    copy.path("out/blobs/sha256").join(hex)
}

fn document(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Digests and sizes of what holds our own compressed bytes say nothing.
fn without_digests(index: &Value) -> Value {
    let mut index = index.clone();
    for manifest in index["manifests"].as_array_mut().into_iter().flatten() {
        for key in ["digest", "size"] {
            manifest.as_object_mut().unwrap().remove(key);
        }
    }
    index
}

/// The layout: layers, configurations, manifests, index.
fn image(case: &Case, copy: &Copy) -> Vec<String> {
    if case.expected.get("tarball").is_some() {
        return Vec::new();
    }
    let mut said = Vec::new();
    let index = document(&copy.path("out/index.json"));
    let (ours, theirs) = (without_digests(&index), without_digests(&case.expected["index"]));
    if ours != theirs {
        said.push(format!("index: {ours}, and apko has {theirs}"));
    }
    let mut manifests = BTreeMap::new();
    for entry in index["manifests"].as_array().unwrap() {
        manifests.insert(platform(&entry["platform"]), document(&blob(copy, &entry["digest"])));
    }
    for arch in case.archs() {
        let answer = &case.expected["archs"][arch];
        match manifests.get(&platform(&answer["platform"])) {
            None => said.push(format!("{arch}: there is no image")),
            Some(manifest) => said.extend(one_image(case, copy, arch, answer, manifest)),
        }
    }
    said
}

fn platform(platform: &Value) -> String {
    let word = |key: &str| platform[key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", word("architecture"), word("variant"))
}

fn one_image(case: &Case, copy: &Copy, arch: &str, answer: &Value, manifest: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let config_digest = &manifest["config"]["digest"];
    let config = document(&blob(copy, config_digest));
    let blobs: Vec<PathBuf> =
        manifest["layers"].as_array().unwrap().iter().map(|layer| blob(copy, &layer["digest"])).collect();
    if !case.deterministic() {
        let database = blobs.iter().rev().find_map(|blob| explain::database(blob)).unwrap_or_default();
        return undetermined(answer, &explain::installed(&database));
    }
    let ours = config["rootfs"]["diff_ids"].as_array().unwrap();
    let theirs = case.diff_ids(arch);
    if ours.len() != theirs.len() {
        said.push(format!("{arch}: {} layers, and apko has {}", ours.len(), theirs.len()));
    }
    let pairs = ours.iter().zip(&theirs).zip(&blobs).enumerate();
    for (number, ((ours, theirs), blob)) in pairs {
        if ours.as_str() != Some(theirs) {
            said.push(explain::layer(case, blob, arch, number));
        }
    }
    if said.is_empty() && config_digest != &answer["config_digest"] {
        said.push(format!("{arch}: the configuration is {config}, and apko's is {}", answer["config"]));
    }
    if let Some(annotations) = answer.get("manifest_annotations")
        && &manifest["annotations"] != annotations
    {
        said.push(format!("{arch}: annotations {}, and apko has {annotations}", manifest["annotations"]));
    }
    said
}

/// Where apko's answers differ from run to run: what they have in common.
fn undetermined(answer: &Value, installed: &[(String, String)]) -> Vec<String> {
    let ours: BTreeSet<String> =
        installed.iter().map(|(name, version)| json!([name, version]).to_string()).collect();
    let texts = |list: &Value| -> Option<BTreeSet<String>> {
        Some(list.as_array()?.iter().map(Value::to_string).collect())
    };
    let mut said = Vec::new();
    if let Some(theirs) = texts(&answer["installed_set"])
        && ours != theirs
    {
        said.push(format!("installed {ours:?}, and apko always installs {theirs:?}"));
    }
    let always = texts(&answer["packages_in_all"]).unwrap_or_default();
    let missing: Vec<&String> = always.difference(&ours).collect();
    if !missing.is_empty() {
        said.push(format!("{missing:?} is missing, which apko always installs"));
    }
    said
}

/// The archive for `docker load`: apko's names, but for those that are digests of our own compressed layers.
fn tarball(case: &Case, copy: &Copy) -> Vec<String> {
    let Some(theirs) = case.expected.get("tarball") else { return Vec::new() };
    let listing = "import json,sys,tarfile\n\
                   t=tarfile.open(sys.argv[1])\n\
                   print(json.dumps({'names': sorted(t.getnames()), 'manifest.json': json.load(t.extractfile('manifest.json'))}))";
    let output = std::process::Command::new("python3")
        .args(["-c", listing])
        .arg(copy.path("out.tar"))
        .output()
        .unwrap();
    let ours: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = |list: &Value| -> Vec<Value> {
        let entry = |image: &Value| {
            json!([image["Config"], image["RepoTags"], image["Layers"].as_array().map(Vec::len)])
        };
        list.as_array().unwrap().iter().map(entry).collect()
    };
    let kinds = |names: &Value| -> Vec<String> {
        let mut kinds: Vec<String> = names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| {
                let name = name.as_str().unwrap();
                name.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect()
            })
            .collect();
        kinds.sort();
        kinds
    };
    let mut said = Vec::new();
    if images(&ours["manifest.json"]) != images(&theirs["manifest.json"]) {
        said.push(format!(
            "manifest.json: {}, and apko has {}",
            ours["manifest.json"], theirs["manifest.json"]
        ));
    }
    if kinds(&ours["names"]) != kinds(&theirs["names"]) {
        said.push(format!("the archive holds {}, and apko's {}", ours["names"], theirs["names"]));
    }
    said
}

/// What other commands say of the same configuration.
fn others(case: &Case, copy: &Copy) -> Vec<String> {
    let mut said = Vec::new();
    let common = case.flags(&["-r", "-b", "-k", "--arch"]);
    let without_arch = case.flags(&["-r", "-b", "-k"]);
    let run = |start: &[&str], flags: &[String]| {
        let quiet = words(&["--log-level", "error"]);
        copy.run(&words(start).into_iter().chain(quiet).chain(flags.iter().cloned()).collect::<Vec<_>>())
    };
    let expected = |key: &str| case.expected.get(key);
    if let Some(theirs) = expected("lock") {
        let mut flags = common.clone();
        flags.extend(case.has("--ignore-signatures").then(|| "--ignore-signatures".to_owned()));
        let ran = run(&["apko", "lock", "apko.yaml", "--output", "ours.lock.json"], &flags);
        let answer = fs::read_to_string(case.folder.join("apko.lock.json")).ok();
        match (ran.code, answer, theirs.get("error")) {
            (0, Some(theirs), _) => {
                let ours = fs::read_to_string(copy.path("ours.lock.json")).unwrap();
                said.extend(explain::text("lock", &ours, &theirs));
            }
            (1, _, Some(_)) => {}
            (code, ..) => {
                said.push(format!("lock: exit code {code}, and apko says {theirs}: {}", ran.stderr));
            }
        }
    }
    if let Some(theirs) = expected("show_packages") {
        let ran = run(&["apko", "show-packages", "apko.yaml", "--format", "name=version"], &common);
        match theirs.get("error") {
            Some(_) if ran.code == 1 => {}
            Some(error) => said.push(format!("show-packages: exit code {}, and apko says {error}", ran.code)),
            None => said.extend(list("show-packages", &ran.stdout, theirs, case.archs().len())),
        }
    }
    for (key, command, flags) in [("show_config", "show-config", &without_arch), ("dot", "dot", &common)] {
        let Some(theirs) = expected(key) else { continue };
        let ran = run(&["apko", command, "apko.yaml"], flags);
        match theirs.as_str() {
            Some(theirs) => said.extend(explain::text(command, ran.stdout.trim_end(), theirs)),
            None if ran.code == 1 => {}
            None => said.push(format!("{command}: exit code {}, and apko says {theirs}", ran.code)),
        }
    }
    for (arch, theirs) in expected("minirootfs").and_then(Value::as_object).into_iter().flatten() {
        let start = ["apko", "build-minirootfs", "apko.yaml", "mini.tar", "--build-arch", arch.as_str()];
        let ran = run(&start, &without_arch);
        let digest = std::process::Command::new("sha256sum").arg(copy.path("mini.tar")).output().unwrap();
        let ours = String::from_utf8_lossy(&digest.stdout);
        let hex = theirs["sha256"].as_str().unwrap_or_default().trim_start_matches("sha256:");
        if theirs.get("error").is_none() && (hex.is_empty() || !ours.starts_with(hex)) {
            said.push(format!("build-minirootfs for {arch}: another tar than apko's; {}", ran.stderr));
        }
    }
    said
}

/// One package a line. With several architectures apko prints them in no fixed order.
fn list(what: &str, ours: &str, theirs: &Value, archs: usize) -> Option<String> {
    let mut ours: Vec<&str> = ours.lines().collect();
    let mut theirs: Vec<&str> = theirs.as_array()?.iter().filter_map(Value::as_str).collect();
    if archs > 1 {
        ours.sort_unstable();
        theirs.sort_unstable();
    }
    (ours != theirs).then(|| format!("{what}: {}, and apko has {}", ours.join(" "), theirs.join(" ")))
}
