//! Every hostile, broken or merely odd package and index of the test kit, in both modes, against a committed table.
//!
//! `testdata/hostile/cases.tsv` says of each case what we do: `ok`, or the code of the error, and a text that the
//! error has to hold. The kit's manifest says what is allowed. Neither may have a case that the other does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::hostile_checks::{Image, check, sound};
use crate::sandbox::workspace;
use crate::tools::{have, skipped};

/// Where some cases try to write.
const ESCAPE: &str = "/tmp/apk-escape";
/// No case may need more, whatever the manifest allows: kilobytes of private memory.
const MEMORY: u64 = 256 << 10;

/// The two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Build,
    Apko,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    /// `ok`, or the error's code.
    build: String,
    /// The same for `assemble apko`.
    apko: String,
    /// Texts that the error holds.
    says: Vec<String>,
    /// The same for `assemble apko`.
    apko_says: Vec<String>,
    /// Why, where the manifest leaves it open.
    why: String,
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(workspace().join("testdata/hostile/cases.tsv")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [case, build, apko, says, apko_says, why] = cells[..] else { panic!("six columns: {line}") };
        let apko = if apko == "=" { build } else { apko };
        let apko_says = if apko_says == "=" { says } else { apko_says };
        let texts = |cell: &str| cell.split(" & ").filter(|text| *text != "-").map(str::to_owned).collect();
        let (says, apko_says) = (texts(says), texts(apko_says));
        let row = Row { build: build.into(), apko: apko.into(), says, apko_says, why: why.into() };
        assert!(rows.insert(case.to_owned(), row).is_none(), "{case} is there twice");
    }
    rows
}

/// The kit's maker of cases, run once.
fn cases(test: &str) -> Option<(tempfile::TempDir, Vec<Value>)> {
    let kit = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    let maker = kit.join("make-bad-apks.py");
    if !maker.is_file() {
        skipped(test, "the test kit is not here (ASSEMBLE_TESTKIT)");
        return None;
    }
    if !have("python3", test) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3").arg(&maker).arg(folder.path()).stdout(Stdio::null()).status().unwrap();
    assert!(made.success());
    let manifest: Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let cases = manifest["cases"].as_array().unwrap().clone();
    Some((folder, cases))
}

/// What came of one case in one mode.
struct Outcome {
    /// `ok`, or the error's code.
    code: String,
    /// All that was printed.
    said: String,
    image: Option<Image>,
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

/// Runs one case with bounded memory and processor time, in a folder of its own.
fn run(made: &Path, case: &Value, mode: Mode, memory: u64) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let id = case["id"].as_str().unwrap();
    let at = |name: &str| made.join(name).display().to_string();
    let keys: Vec<String> = strings(&case["keys"]).iter().map(|key| at(&format!("keys/{key}"))).collect();
    let spec = json!({
        "contents": {"repositories": [at(id)], "keyring": keys, "packages": case["install"]},
        "archs": ["x86_64"],
    });
    fs::write(folder.path().join("spec.yaml"), spec.to_string()).unwrap();
    let seconds = case["limits"]["seconds"].as_u64().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {memory} && ulimit -t {seconds} && exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_assemble"));
    match mode {
        Mode::Build => command.args(["build", "spec.yaml", "-o", "out", "--start-check", "off", "--json"]),
        Mode::Apko => command.args(["apko", "build", "spec.yaml", "case:1", "out.tar", "--arch", "x86_64"]),
    };
    command.current_dir(folder.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", folder.path().join("home")).env("ASSEMBLE_CACHE", folder.path().join("cache"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.signal(), None, "{id}: killed, so it took too long or too much: {stderr}");
    let raw = |c: char| c.is_control() && c != '\n';
    assert!(!stdout.contains(raw) && !stderr.contains(raw), "{id}: {stdout:?} {stderr:?}");
    let status = output.status.code().unwrap();
    assert!(status != 101 && status != 70, "{id}: {stderr}");
    let said = format!("{}{stderr}", spoken(&stdout));
    if status != 0 {
        assert!(mode == Mode::Build || status == 1, "{id}: apko exits with 1, and this with {status}");
        for out in ["out", "out.tar"] {
            assert!(!folder.path().join(out).exists(), "{id}: a half-made image is left behind");
        }
        let code = code_of(&stdout, &stderr).unwrap_or_else(|| panic!("{id}: no code in {stdout}{stderr}"));
        return Outcome { code, said, image: None };
    }
    let place = folder.path().join(if mode == Mode::Build { "out" } else { "out.tar" });
    Outcome { code: "ok".into(), said, image: Image::read(&place) }
}

/// The words of a document: message and hints, without JSON's escapes.
fn spoken(stdout: &str) -> String {
    let Ok(document) = serde_json::from_str::<Value>(stdout) else { return stdout.to_owned() };
    let error = &document["error"];
    let mut lines = vec![error["message"].as_str().unwrap_or_default()];
    lines.extend(error["hints"].as_array().into_iter().flatten().filter_map(Value::as_str));
    lines.extend(document["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str));
    lines.join("\n")
}

/// From the document, or from `error[CODE]` of the text.
fn code_of(stdout: &str, stderr: &str) -> Option<String> {
    if let Ok(document) = serde_json::from_str::<Value>(stdout) {
        return document["error"]["code"].as_str().map(str::to_owned);
    }
    stderr.split("error[").nth(1)?.split(']').next().map(str::to_owned)
}

fn empty(folder: &str) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Compares one case with its row and with the manifest.
fn judge(case: &Value, row: &Row, mode: Mode, outcome: &Outcome) -> Result<(), String> {
    let id = case["id"].as_str().unwrap();
    let wanted = if mode == Mode::Build { &row.build } else { &row.apko };
    if outcome.code != *wanted {
        return Err(format!("{id} ({mode:?}): {} and not {wanted}: {}", outcome.code, outcome.said));
    }
    let expect = case["expect"].as_str().unwrap();
    let accepted = outcome.code == "ok";
    match expect {
        "accept" if accepted && outcome.image.is_none() => {
            return Err(format!("{id} ({mode:?}): an image without layers"));
        }
        "accept" if !accepted => return Err(format!("{id}: must be accepted")),
        "reject" if accepted => return Err(format!("{id}: must be refused")),
        "either" if row.why == "-" => return Err(format!("{id}: the table has to say why")),
        _ => {}
    }
    let says = if mode == Mode::Build { &row.says } else { &row.apko_says };
    if !accepted && says.is_empty() {
        return Err(format!("{id}: the table has no text that the error holds"));
    }
    for text in says.iter().filter(|_| !accepted) {
        if !outcome.said.contains(text.as_str()) {
            return Err(format!("{id} ({mode:?}): says nothing of {text:?}: {}", outcome.said));
        }
    }
    if let Some(image) = &outcome.image {
        sound(image).map_err(|wrong| format!("{id} ({mode:?}): {wrong}"))?;
        check(id, image).map_err(|wrong| format!("{id} ({mode:?}): {wrong}"))?;
    }
    Ok(())
}

#[test]
fn every_case_of_the_kit_is_handled_as_the_table_says() {
    let Some((made, cases)) = cases("every_case_of_the_kit_is_handled_as_the_table_says") else { return };
    let table = table();
    let known: BTreeSet<&str> = table.keys().map(String::as_str).collect();
    let there: BTreeSet<&str> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    assert_eq!(known, there, "the table and the manifest have the same cases");
    fs::create_dir_all(ESCAPE).unwrap();
    assert!(empty(ESCAPE), "{ESCAPE} must be empty");
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let jobs: Vec<(&Value, Mode)> = [Mode::Build, Mode::Apko]
        .into_iter()
        .flat_map(|mode| cases.iter().map(move |case| (case, mode)))
        .collect();
    let work = || {
        while let Some((case, mode)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = &table[case["id"].as_str().unwrap()];
            let outcome = run(made.path(), case, *mode, MEMORY);
            if let Err(text) = judge(case, row, *mode, &outcome) {
                wrong.lock().unwrap().push(text);
            }
            assert!(empty(ESCAPE), "{} wrote outside", case["id"]);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), jobs.len(), wrong.join("\n"));
}

#[test]
fn the_limit_of_memory_is_one() {
    let Some((made, cases)) = cases("the_limit_of_memory_is_one") else { return };
    let case = cases.iter().find(|case| case["id"] == "index-100k").unwrap();
    let little = std::panic::catch_unwind(|| run(made.path(), case, Mode::Build, 16 << 10));
    assert!(little.is_err(), "100,000 packages do not fit into 16 MB, so the limit is not there");
}
