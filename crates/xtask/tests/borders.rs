//! The borders between crates: who may depend on whom, and what the pure half may never reach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

/// Each crate and the crates of the workspace that it may name. An arrow that is not here is a decision to discuss.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("assemble-types", &[]),
    ("assemble-deflate", &[]),
    ("assemble-apk", &["assemble-types", "assemble-deflate"]),
    ("assemble-fetch", &["assemble-types"]),
    ("assemble-image", &["assemble-types"]),
    ("assemble-spec", &["assemble-types", "assemble-apk"]),
    ("assemble-resolve", &["assemble-types", "assemble-apk"]),
    ("assemble-rootfs", &["assemble-types", "assemble-apk"]),
    ("assemble-layer", &["assemble-types", "assemble-deflate", "assemble-rootfs"]),
    ("assemble-registry", &["assemble-types", "assemble-fetch", "assemble-image"]),
    (
        "assemble",
        &[
            "assemble-types",
            "assemble-apk",
            "assemble-spec",
            "assemble-resolve",
            "assemble-fetch",
            "assemble-rootfs",
            "assemble-layer",
            "assemble-image",
            "assemble-registry",
        ],
    ),
    ("assemble-cli", &["assemble", "assemble-types"]),
    ("assemble-testkit", &["assemble-types"]),
    (
        "assemble-fuzz",
        &[
            "assemble-types",
            "assemble-deflate",
            "assemble-apk",
            "assemble-spec",
            "assemble-rootfs",
            "assemble-layer",
        ],
    ),
    (
        "assemble-cost",
        // Of fetching only the spool, which a build's layers go to.
        &[
            "assemble-types",
            "assemble-apk",
            "assemble-fetch",
            "assemble-resolve",
            "assemble-rootfs",
            "assemble-layer",
        ],
    ),
    ("hello", &[]),
    ("xtask", &[]),
];

/// The stages: pure functions of their input.
const PURE: [&str; 8] = [
    "assemble-types",
    "assemble-deflate",
    "assemble-apk",
    "assemble-spec",
    "assemble-resolve",
    "assemble-rootfs",
    "assemble-layer",
    "assemble-image",
];

/// What opens sockets, starts runtimes or makes files.
const IMPURE: [&str; 6] = ["reqwest", "hyper", "tokio", "tempfile", "rustix", "signal-hook"];

/// Never anywhere: a second crypto library, C compilers' work that the host would have to match.
const NOWHERE: [&str; 5] = ["aws-lc-sys", "openssl-sys", "native-tls", "libz-sys", "cmake"];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Normal (not dev, not build) dependencies by crate name.
fn graph() -> (Graph, BTreeSet<String>) {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let names: BTreeMap<String, String> =
        list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
    let members = list(&metadata["workspace_members"]).iter().map(|id| names[&text(id)].clone()).collect();
    let mut graph = Graph::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = list(&node["deps"])
            .into_iter()
            .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
            .map(|dep| names[&text(&dep["pkg"])].clone());
        graph.entry(names[&text(&node["id"])].clone()).or_default().extend(normal);
    }
    (graph, members)
}

/// The shortest chain from one crate to another.
fn chain(graph: &Graph, from: &str, to: &str) -> Option<String> {
    let mut came_from = BTreeMap::from([(from.to_owned(), String::new())]);
    let mut queue = VecDeque::from([from.to_owned()]);
    while let Some(at) = queue.pop_front() {
        if at == to {
            let mut names = vec![at.clone()];
            let mut step = &came_from[&at];
            while !step.is_empty() {
                names.push(step.clone());
                step = &came_from[step];
            }
            names.reverse();
            return Some(names.join(" -> "));
        }
        for next in graph.get(&at).into_iter().flatten() {
            if !came_from.contains_key(next) {
                came_from.insert(next.clone(), at.clone());
                queue.push_back(next.clone());
            }
        }
    }
    None
}

#[test]
fn crates_depend_in_one_direction_only() {
    let (graph, members) = graph();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for member in &members {
        let Some(allowed) = allowed.get(member.as_str()) else {
            wrong.push(format!("{member} is not on the map of this test"));
            continue;
        };
        for dependency in graph[member].iter().filter(|d| members.contains(*d)) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{member} -> {dependency} is not an allowed arrow"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_half_cannot_reach_the_network_or_the_disk() {
    let (graph, _) = graph();
    let reached: Vec<String> =
        PURE.iter().flat_map(|from| IMPURE.iter().filter_map(|to| chain(&graph, from, to))).collect();
    assert!(reached.is_empty(), "{}", reached.join("\n"));
}

#[test]
fn nothing_drags_in_foreign_crypto_or_compressors() {
    let (graph, _) = graph();
    let reached: Vec<String> = NOWHERE.iter().filter_map(|to| chain(&graph, "assemble-cli", to)).collect();
    assert!(reached.is_empty(), "{}", reached.join("\n"));
}

#[test]
fn a_wrong_arrow_would_be_found() {
    let graph = Graph::from([
        ("a".to_owned(), BTreeSet::from(["b".to_owned()])),
        ("b".to_owned(), BTreeSet::from(["reqwest".to_owned()])),
    ]);
    assert_eq!(chain(&graph, "a", "reqwest").as_deref(), Some("a -> b -> reqwest"));
    assert_eq!(chain(&graph, "b", "a"), None);
}

/// What the stages may not name: clocks, the environment, files, sockets, the number of cores. Hash maps are for looking
/// up; that nobody walks through one is a lint.
const IMPURE_NAMES: [&str; 8] = [
    "std::fs",
    "std::env",
    "TcpStream",
    "UdpSocket",
    "std::process",
    "SystemTime",
    "Instant::now",
    "available_parallelism",
];

#[test]
fn the_stages_name_nothing_that_varies() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    let mut read = 0;
    for stage in PURE {
        let mut folders = vec![crates.join(stage).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a crate has sources") {
                let path = entry.expect("a folder can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                read += 1;
                let text = std::fs::read_to_string(&path).expect("sources are text");
                // Tests may look at what they like.
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
                for (number, line) in lines {
                    if let Some(name) = IMPURE_NAMES.iter().find(|name| line.contains(**name)) {
                        wrong.push(format!("{}:{}: {name}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(read > 50, "only {read} files were read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
