//! Says in words how a layer differs from apko's.

use std::path::Path;
use std::process::Command;

use super::case::{Case, Copy};

/// Unpacks a compressed layer and compares it with the kit's listing of it.
pub(super) fn layer(case: &Case, blob: &Path, arch: &str, number: usize) -> String {
    let scratch = Copy::scratch();
    let tar = scratch.path().join("layer.tar");
    let unpack =
        "import gzip,shutil,sys; shutil.copyfileobj(gzip.open(sys.argv[1]), open(sys.argv[2], 'wb'))";
    let unpacked = Command::new("python3").args(["-c", unpack]).arg(blob).arg(&tar).output().unwrap();
    if !unpacked.status.success() {
        return format!("the layer cannot be unpacked: {}", String::from_utf8_lossy(&unpacked.stderr));
    }
    compare(case, &tar, arch, number)
}

fn compare(case: &Case, tar: &Path, arch: &str, number: usize) -> String {
    let checker = case.folder.with_file_name("check-tar.py");
    let output = Command::new("python3")
        .arg(checker)
        .arg(&case.folder)
        .arg(tar)
        .args(["--arch", arch, "--layer", &number.to_string(), "--max", "6"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).replace('\n', "\n    ");
    format!("{arch} layer {number}: {}", said.trim_end())
}

/// The content of the package database of a compressed layer, if it has one.
pub(super) fn database(blob: &Path) -> Option<String> {
    let read = "import sys,tarfile\n\
                t=tarfile.open(sys.argv[1])\n\
                sys.stdout.buffer.write(t.extractfile('usr/lib/apk/db/installed').read())";
    let output = Command::new("python3").args(["-c", read]).arg(blob).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names and versions of a package database, in its order.
pub(super) fn installed(database: &str) -> Vec<(String, String)> {
    let field = |record: &str, key: &str| {
        record.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
    };
    let records = database.split("\n\n").filter(|record| !record.is_empty());
    records.map(|record| (field(record, "P:"), field(record, "V:"))).collect()
}

/// The first line in which two texts differ.
pub(super) fn text(what: &str, ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let (mut a, mut b) = (ours.lines(), theirs.lines());
    for line in 1.. {
        match (a.next(), b.next()) {
            (None, None) => return Some(format!("{what}: only line ends differ")),
            (ours, theirs) if ours != theirs => {
                let shown = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
                return Some(format!(
                    "{what}, line {line}: `{}`, and apko has `{}`",
                    shown(ours),
                    shown(theirs)
                ));
            }
            _ => {}
        }
    }
    None
}
