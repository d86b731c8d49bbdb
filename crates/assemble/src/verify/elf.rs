//! Why two builds of one program differ: paths and identities that compilers put in.

use std::collections::BTreeSet;

/// A GNU build ID note of 20 bytes: sizes, type 3, name.
const BUILD_ID_NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
/// Shortest text that counts as a path.
const MIN_PATH: usize = 8;
/// Most paths that are collected from one program.
const MAX_PATHS: usize = 100_000;

/// What is known about a difference between two ELF files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ElfDifference {
    /// In words, for the report.
    pub(super) facts: Vec<String>,
    /// The flags that cure it.
    pub(super) hints: Vec<String>,
}

/// Looks for the usual suspects in two different ELF files; nothing if either is none.
pub(super) fn explain(a: &[u8], b: &[u8]) -> Option<ElfDifference> {
    if !(a.starts_with(b"\x7fELF") && b.starts_with(b"\x7fELF")) {
        return None;
    }
    let mut facts = Vec::new();
    let (paths_a, paths_b) = (build_paths(a), build_paths(b));
    let only = |x: &BTreeSet<String>, y: &BTreeSet<String>| x.difference(y).next().cloned();
    match (only(&paths_a, &paths_b), only(&paths_b, &paths_a)) {
        (Some(a), Some(b)) => {
            facts.push(format!("embedded build path: {a} in the target, {b} from the spec"));
        }
        (Some(a), None) | (None, Some(a)) => {
            facts.push(format!("embedded build path: {a} in only one of them"));
        }
        (None, None) => {}
    }
    if let (Some(a), Some(b)) = (build_id(a), build_id(b))
        && a != b
    {
        facts.push(format!("build ID: {a} in the target, {b} from the spec"));
    }
    if facts.is_empty() {
        // No compiler did that: somebody changed the file.
        facts.push("both are programs with the same build paths and build ID: changed after linking".into());
        return Some(ElfDifference { facts, hints: Vec::new() });
    }
    facts.insert(0, "the programs were compiled differently".into());
    let mut found = ElfDifference { facts, hints: Vec::new() };
    if is_go(a) || is_go(b) {
        found.hints.push(
            "Go: build with `go build -trimpath -buildvcs=false -ldflags=-buildid=`, and the same toolchain"
                .into(),
        );
    } else if is_rust(a) || is_rust(b) {
        found
            .hints
            .push("Rust: RUSTFLAGS=\"--remap-path-prefix=$PWD=.\", the same toolchain, and --locked".into());
    } else {
        found.hints.push("C: -ffile-prefix-map=$PWD=. and no __DATE__ or __TIME__; Go: -trimpath; Rust: --remap-path-prefix".into());
    }
    Some(found)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn is_go(bytes: &[u8]) -> bool {
    contains(bytes, b"Go build ID: \"") || contains(bytes, b"\xff Go buildinf:")
}

fn is_rust(bytes: &[u8]) -> bool {
    contains(bytes, b"/rustc/") || contains(bytes, b"library/std/src/")
}

fn build_id(bytes: &[u8]) -> Option<String> {
    let at =
        bytes.windows(BUILD_ID_NOTE.len()).position(|window| window == BUILD_ID_NOTE)? + BUILD_ID_NOTE.len();
    let id = bytes.get(at..at + 20)?;
    Some(data_encoding::HEXLOWER.encode(id))
}

/// Texts that look like absolute paths of a build machine: source files and folders.
fn build_paths(bytes: &[u8]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let printable = |byte: &u8| byte.is_ascii_graphic();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|byte| *byte == b'/') {
        let run = rest[start..].iter().take_while(|byte| printable(byte)).count();
        let text = &rest[start..start + run];
        let sourceish = [".rs", ".go", ".c", ".cc", ".cpp", ".h", ".s"];
        if run >= MIN_PATH
            && let Ok(text) = std::str::from_utf8(text)
            && let Some(end) =
                sourceish.iter().filter_map(|ext| text.find(ext).map(|at| at + ext.len())).min()
        {
            paths.insert(text[..end].to_owned());
        }
        if paths.len() >= MAX_PATHS {
            break;
        }
        rest = &rest[start + run.max(1)..];
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(path: &str, id: u8, extra: &str) -> Vec<u8> {
        let mut bytes = b"\x7fELF....".to_vec();
        bytes.extend_from_slice(BUILD_ID_NOTE);
        bytes.extend_from_slice(&[id; 20]);
        bytes.extend_from_slice(path.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(extra.as_bytes());
        bytes
    }

    #[test]
    fn paths_and_build_ids_are_named() {
        let a = elf("/home/ann/app/main.rs", 1, "/rustc/abc");
        let b = elf("/builds/42/app/main.rs", 2, "/rustc/abc");
        let found = explain(&a, &b).unwrap();
        assert_eq!(
            found.facts,
            [
                "the programs were compiled differently".to_owned(),
                "embedded build path: /home/ann/app/main.rs in the target, /builds/42/app/main.rs from the spec".to_owned(),
                format!("build ID: {} in the target, {} from the spec", "01".repeat(20), "02".repeat(20)),
            ]
        );
        assert!(found.hints[0].contains("--remap-path-prefix"));
        let go =
            explain(&elf("/home/x/main.go", 1, "Go build ID: \"a\""), &elf("/y/z/main.go", 1, "")).unwrap();
        assert!(go.hints[0].contains("-trimpath"));
        assert_eq!(explain(b"text", &a), None);
        let mut patched = a.clone();
        patched.push(b'x');
        let found = explain(&a, &patched).unwrap();
        assert!(found.facts[0].contains("changed after linking") && found.hints.is_empty(), "{found:?}");
    }
}
