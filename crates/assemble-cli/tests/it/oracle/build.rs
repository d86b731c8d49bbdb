//! `assemble build` on apko's configurations: the same layers, but where ours are better.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::case::{Case, Copy, words};
use super::{explain, none, walk};
use crate::sandbox::workspace;

const TEST: &str = "assemble_build_makes_apkos_layers_but_where_it_says_so";

/// Where the differences are listed.
const PAGE: &str = "docs/compatibility.md";

#[test]
fn assemble_build_makes_apkos_layers_but_where_it_says_so() {
    let listed = listed();
    let Some(mut answers) = walk(TEST, judge) else { return };
    for (name, said) in &mut answers {
        match (listed.contains_key(name), said.is_empty()) {
            (true, false) => said.clear(),
            (true, true) => said.push(format!("{PAGE} says that it differs, and it does not")),
            (false, _) => {}
        }
    }
    if std::env::var_os("ASSEMBLE_ORACLE").is_none() {
        let known: Vec<&String> = answers.iter().map(|(name, _)| name).collect();
        let unknown: Vec<&String> = listed.keys().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{PAGE} names cases that are not in the kit: {unknown:?}");
    }
    none(&answers, &format!("`assemble build` makes other layers than apko, and {PAGE} does not say so"));
}

/// The cases in the page's table of differences, with the reasons: rows that begin with a case's name.
fn listed() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(workspace().join(PAGE)).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_end_matches('`').to_owned();
        let numbered =
            name.get(..3)?.bytes().all(|b| b.is_ascii_digit()) && name.as_bytes().get(3) == Some(&b'-');
        let reason = cells.map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned();
        numbered.then_some((name, reason))
    });
    let listed: BTreeMap<String, String> = rows.collect();
    for (name, reason) in &listed {
        assert!(reason.len() > 20, "{PAGE} gives no reason for {name}");
    }
    listed
}

/// What is different in a case.
fn judge(case: &Case) -> Vec<String> {
    if case.resolves_only() {
        return Vec::new();
    }
    let copy = Copy::of(case);
    // A lock of apko belongs to a configuration as it is.
    let file = if case.has("--lockfile") { "apko.yaml" } else { "ours.yaml" };
    copy.write("ours.yaml", &spec(case));
    let mut command = words(&["build", file, "-o", "oci:ours", "--start-check", "off", "--json"]);
    for arch in case.values("--arch") {
        command.extend(words(&["--platform", &arch]));
    }
    command.extend(case.has("--ignore-signatures").then(|| "--allow-untrusted".to_owned()));
    command.extend(case.flags(&["--lockfile"]));
    let ran = copy.run(&command);
    let failed = || {
        let last = ran.stderr.lines().find(|line| line.contains("error")).unwrap_or_default();
        format!("exit code {}: {last}", ran.code)
    };
    match (case.exit(), ran.code) {
        ("refused", 0) => vec![format!("built, and apko refuses it: {}", case.expected["error"])],
        // What apko breaks down over may be refused or built.
        ("refused" | "crashed", _) => Vec::new(),
        (_, 0) => layers(case, &copy, &serde_json::from_str(&ran.stdout).unwrap()),
        _ => vec![format!("apko accepts it; {}", failed())],
    }
}

/// The configuration with what apko was told by flags.
fn spec(case: &Case) -> String {
    let mut text = "include: apko.yaml\n".to_owned();
    let list = |values: Vec<String>| values.iter().map(|v| format!("'{v}'")).collect::<Vec<_>>().join(", ");
    let keys = [
        ("repositories", case.values("-r")),
        ("build_repositories", case.values("-b")),
        ("packages", case.values("-p")),
        ("keyring", case.values("-k")),
    ];
    if keys.iter().any(|(_, values)| !values.is_empty()) {
        text += "contents:\n";
    }
    for (key, values) in keys.into_iter().filter(|(_, values)| !values.is_empty()) {
        let _ = writeln!(text, "  {key}: [{}]", list(values));
    }
    let annotations = case.values("--annotations");
    if !annotations.is_empty() {
        text += "annotations:\n";
    }
    for annotation in annotations {
        let (key, value) = annotation.split_once(':').unwrap();
        let _ = writeln!(text, "  {key}: '{value}'");
    }
    text
}

fn layers(case: &Case, copy: &Copy, built: &Value) -> Vec<String> {
    let mut said = Vec::new();
    for arch in case.archs() {
        let platform = &case.expected["archs"][arch]["platform"];
        let word = |key: &str| platform[key].as_str().map(|word| format!("/{word}")).unwrap_or_default();
        let platform = format!("linux{}{}", word("architecture"), word("variant"));
        let images = built["images"].as_array().unwrap();
        let Some(image) = images.iter().find(|image| image["platform"] == platform.as_str()) else {
            said.push(format!("{arch}: there is no image for {platform}"));
            continue;
        };
        let layers = image["layers"].as_array().unwrap();
        let theirs = case.diff_ids(arch);
        if layers.len() != theirs.len() {
            said.push(format!("{arch}: {} layers, and apko has {}", layers.len(), theirs.len()));
        }
        for (number, (layer, theirs)) in layers.iter().zip(&theirs).enumerate() {
            if layer["diff_id"] != theirs.as_str() {
                let hex = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
                let blob = copy.path("ours/blobs/sha256").join(hex);
                said.push(explain::layer(case, &blob, arch, number));
            }
        }
    }
    said
}
