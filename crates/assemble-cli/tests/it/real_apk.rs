//! Real packages of Alpine, installed without running anything, and judged by Alpine's own `apk`.
//!
//! The judge is in the image itself: apk-tools is among the packages, and its loader starts it from the exported root.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, workspace};
use crate::tools::{have, root, run, skipped, try_run};

/// What `apk audit` finds that no package brought. See docs/export.md for the reasons.
const OURS: [&str; 5] =
    ["A etc/apko.json", "A etc/apk/arch", "A etc/apk/repositories", "A etc/apk/world", "D etc/X11/"];
/// Beginnings of lines of the same kind: keys, and the checksums of bundles of certificates.
const OURS_BEGIN: [&str; 2] = ["A etc/apk/keys/", "A etc/ssl/certs/.ca-certificates.crt."];

fn alpine() -> Option<(PathBuf, Vec<PathBuf>)> {
    let kit = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    let repository = kit.join("real/alpine-3.19-iso");
    let mut keys: Vec<PathBuf> =
        fs::read_dir(kit.join("real/keys/alpine")).ok()?.map(|entry| entry.unwrap().path()).collect();
    keys.sort();
    repository.join("x86_64").is_dir().then_some((repository, keys))
}

/// The exported root, and the packages that were said to be in it.
fn exported(s: &Sandbox, test: &str) -> Option<(PathBuf, BTreeSet<String>)> {
    let Some((repository, keys)) = alpine() else {
        skipped(test, "the test kit is not here (ASSEMBLE_TESTKIT)");
        return None;
    };
    if std::env::consts::ARCH != "x86_64" || !root(test) {
        return None;
    }
    let spec = json!({
        "contents": {
            "repositories": [repository], "keyring": keys,
            "packages": ["alpine-base", "openssl", "wpa_supplicant", "openrc", "apk-tools"],
        },
        "archs": ["x86_64"],
    });
    s.write("spec.yaml", spec.to_string());
    let built = s.json(["build", "spec.yaml", "-o", "image.oci", "--start-check", "off", "--json"]);
    s.ok(["export", "image.oci", "-o", "root"]);
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages = built["images"][0]["packages"].as_array().unwrap();
    let names = packages.iter().map(|p| format!("{}-{}", text(p, "name"), text(p, "version"))).collect();
    Some((s.path("root"), names))
}

fn apk(root: &Path) -> Command {
    let mut command = Command::new(root.join("lib/ld-musl-x86_64.so.1"));
    let libraries = format!("{0}/lib:{0}/usr/lib", root.display());
    command.args(["--library-path", &libraries]).arg(root.join("sbin/apk")).arg("--root").arg(root);
    command
}

#[test]
fn apk_takes_the_image_for_its_own() {
    let test = "apk_takes_the_image_for_its_own";
    let s = Sandbox::new();
    let Some((root, packages)) = exported(&s, test) else { return };
    assert!(packages.len() >= 26, "{packages:?}");

    let listed = run(apk(&root).args(["info", "-vv"]));
    let listed: BTreeSet<String> =
        listed.lines().map(|line| line.split(" - ").next().unwrap().to_owned()).collect();
    assert_eq!(listed, packages);

    // Nothing is missing, too much, or half there.
    let none = s.write("none", "");
    let simulated =
        run(apk(&root).args(["add", "--simulate", "--no-network", "--repositories-file"]).arg(none));
    assert!(simulated.starts_with("OK: ") && simulated.lines().count() == 1, "{simulated}");
    assert!(simulated.ends_with(&format!("in {} packages", packages.len())), "{simulated}");

    // Every file that packages brought is as they brought it.
    assert_eq!(run(apk(&root).args(["audit", "--system"])), "");
    // And these are the files that they did not bring: all there are.
    let audit = run(apk(&root).arg("audit"));
    let found: BTreeSet<&str> =
        audit.lines().filter(|line| !OURS_BEGIN.iter().any(|begin| line.starts_with(begin))).collect();
    assert_eq!(found, BTreeSet::from(OURS));
    // So it would notice.
    fs::write(root.join("usr/bin/openssl"), "not openssl").unwrap();
    assert!(run(apk(&root).args(["audit", "--system"])).contains("U usr/bin/openssl"));
}

#[test]
fn alpine_starts_in_a_container() {
    let test = "alpine_starts_in_a_container";
    if !have("runc", test) {
        return;
    }
    let s = Sandbox::new();
    let Some((root, packages)) = exported(&s, test) else { return };
    fs::create_dir(s.path("bundle")).unwrap();
    fs::rename(root, s.path("bundle/rootfs")).unwrap();
    run(Command::new("runc").arg("spec").current_dir(s.path("bundle")));
    let mut config: Value = serde_json::from_slice(&s.read("bundle/config.json")).unwrap();
    let script =
        "openssl version; wpa_supplicant -v | head -n 1; openrc --version; apk info 2>/dev/null | wc -l";
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    s.write("bundle/config.json", config.to_string());
    let id = format!("assemble-test-apk-{}", std::process::id());
    let output = try_run(
        Command::new("runc")
            .arg("--root")
            .arg(s.path("state"))
            .args(["run", "--bundle"])
            .arg(s.path("bundle"))
            .arg(id),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(lines[0].starts_with("OpenSSL 3.1.4"), "{said}");
    assert!(lines[1].starts_with("wpa_supplicant v2.10"), "{said}");
    assert!(lines[2].contains("0.52.1"), "{said}");
    assert_eq!(lines[3].trim(), packages.len().to_string());
}
