//! Input that means harm, or no sense at all.

use std::time::{Duration, Instant};

use assemble_spec::{Diagnostics, parse_spec};
use expect_test::{Expect, expect};

/// Refused, and soon: the bound is generous for a busy machine, and far from what unfolding would take.
#[track_caller]
fn soon_refused(yaml: &str, expected: Expect) {
    let start = Instant::now();
    let diagnostics = parse_spec("a.yaml", yaml.as_bytes()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let lines: Vec<String> =
        diagnostics.iter().map(|d| format!("{} {}: {}", d.spans[0], d.code, d.message)).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn alias_bomb() {
    let mut yaml = String::from("a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (name, of) in
        ["b", "c", "d", "e", "f", "g", "h", "i"].into_iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        yaml += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(", "));
    }
    soon_refused(
        &yaml,
        expect![
            "a.yaml:6:8 spec/too-large: the spec has more than 200000 values once its aliases are unfolded"
        ],
    );
}

#[test]
fn merge_bomb() {
    let mut yaml = String::from("a: &a {x0: 1, x1: 1}\n");
    for n in 1..40 {
        let of = if n == 1 { "a".to_owned() } else { format!("m{}", n - 1) };
        yaml += &format!("m{n}: &m{n} {{<<: *{of}, n: [*{of}, *{of}]}}\n");
    }
    soon_refused(
        &yaml,
        expect![
            "a.yaml:14:26 spec/too-large: the spec has more than 200000 values once its aliases are unfolded"
        ],
    );
}

#[test]
fn nesting() {
    soon_refused(
        &"[".repeat(20_000),
        expect!["a.yaml:1:65 spec/too-large: lists and maps are nested more than 64 deep"],
    );
    soon_refused(
        &"{a: ".repeat(20_000),
        expect!["a.yaml:1:257 spec/too-large: lists and maps are nested more than 64 deep"],
    );
    soon_refused(
        &"- ".repeat(20_000),
        expect!["a.yaml:1:129 spec/too-large: lists and maps are nested more than 64 deep"],
    );
    let deep: String = (0..20_000).map(|n| " ".repeat(n % 900) + "a:\n").collect();
    assert!(parse_spec("a.yaml", deep.as_bytes()).is_err());
    soon_refused(
        &"? ".repeat(20_000),
        expect!["a.yaml:1:129 spec/too-large: lists and maps are nested more than 64 deep"],
    );
    let mut chain = String::from("a0: &a0 [x]\n");
    for n in 1..100 {
        chain += &format!("a{n}: &a{n} [*a{}]\n", n - 1);
    }
    soon_refused(&chain, expect!["a.yaml:64:12 spec/too-large: lists and maps are nested more than 64 deep"]);
}

#[test]
fn an_alias_of_itself() {
    soon_refused(
        "contents: &a\n  binary: *a\n",
        expect!["a.yaml:2:11 spec/yaml: an alias cannot stand inside what it refers to"],
    );
}

#[test]
fn a_thousand_mistakes_are_not_all_listed() {
    let yaml: String = (0..5_000).map(|n| format!("key{n}: [1\n , 2]\n")).collect();
    assert_eq!(parse_spec("a.yaml", yaml.as_bytes()).unwrap_err().len(), 50);
    let yaml: String = (0..5_000).map(|_| "a: 1\n").collect();
    assert_eq!(parse_spec("a.yaml", yaml.as_bytes()).unwrap_err().len(), 50);
}

#[test]
fn a_large_spec_is_read() {
    let mut yaml = String::from("contents:\n  repositories: [./r]\n  packages:\n");
    for n in 0..60_000 {
        yaml += &format!("    - package-{n}>=1.{n}-r0\n");
    }
    assert_eq!(parse_spec("a.yaml", yaml.as_bytes()).unwrap().packages.len(), 60_000);
}

#[test]
fn a_large_spec_in_one_line() {
    let packages: Vec<String> = (0..60_000).map(|n| format!("\"package-{n}\"")).collect();
    let yaml =
        format!("{{\"contents\": {{\"repositories\": [\"./r\"], \"packages\": [{}]}}}}", packages.join(","));
    // What its places cost is counted where they are.
    let spec = parse_spec("a.yaml", yaml.as_bytes()).unwrap();
    assert_eq!(spec.packages.len(), 60_000);
    assert_eq!(spec.packages[1].span.to_string(), "a.yaml:1:65");
}

#[test]
fn long_words() {
    let long = "x".repeat(1 << 20);
    for yaml in [
        format!("{long}: 1"),
        long.clone(),
        format!("contents: {{binary: ./x}}\nwork-dir: {long}"),
        format!("contents: {{repositories: [./r], packages: ['{long} >1']}}"),
        format!("contents: {{binary: ./x}}\n'{long}': 1"),
        format!("contents: {{binary: ./x}}\nstop-signal: {long}\narchs: [{long}]\nports: [{long}]"),
    ] {
        let diagnostics = parse_spec("a.yaml", yaml.as_bytes()).unwrap_err();
        assert!(diagnostics.plain().len() < 20_000, "{}", &diagnostics.plain()[..1000]);
    }
}

/// Deterministic numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

const GOOD: [&str; 4] = [
    "contents:\n  repositories: ['@x https://h/p', ./r]\n  keyring: [k.pub]\n  packages: [a>=1, b@x]\n  files:\n    - source: ./a\n      path: /b\n      permissions: 0644\n      uid: 1\nentrypoint:\n  command: /bin/a 'b c'\n",
    "contents: &c\n  binary: {amd64: ./x, arm64: ./y}\n  base-files: {certificates: true}\nenvironment: {A: \"\\x41\", B: ~}\nannotations: {<<: {a: b}, c: *d}\narchs: [amd64]\n",
    "contents:\n  binary: ./é\ncertificates:\n  additional:\n    - name: a\n      content: |\n        -----BEGIN CERTIFICATE-----\n        x\nports: [80, 53/udp]\nvolumes: [/a]\nstop-signal: TERM\naccounts: {run-as: 1:2}\nwork-dir: /\n",
    "FROM a:1 AS b\nARG X=1\nENV A=${X} B='c'\nRUN apk add c && d\nFROM b\nCOPY --from=b --chown=1:1 [\"x\", \"/y/\"]\nCMD a $B\nENTRYPOINT [\"/y/x\"]\n",
];
const PIECES: [&str; 32] = [
    "\n", " ", "  ", "\t", ":", ": ", "- ", "[", "]", "{", "}", "'", "\"", "*a", "&a ", "<<: ", "!x ", "|\n",
    ">\n", "#", "\r", "\0", "\u{feff}", "\u{85}", "\u{2028}", "@", "%", "---\n", "...\n", "? ", "\\", "é",
];

/// Whatever is done to a spec, the answer is a spec or diagnostics whose places lie in the text.
#[test]
fn mutations_never_panic() {
    let mut random = Random(3);
    for round in 0..3_000 {
        let mut bytes = GOOD[round % GOOD.len()].as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() + 1);
            match random.below(5) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                2 => {
                    let end = (at + random.below(12)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let end = (at + random.below(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = random.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let piece = PIECES[random.below(PIECES.len())].bytes();
                    bytes.splice(at..at, piece);
                }
            }
        }
        if let Err(diagnostics) = parse_spec("a.yaml", &bytes) {
            places_are_sound(&diagnostics, &bytes);
            crate::foreign::shown_spec_parses(&diagnostics);
        }
    }
}

#[track_caller]
fn places_are_sound(diagnostics: &Diagnostics, bytes: &[u8]) {
    assert!(diagnostics.len() > 0);
    for diagnostic in diagnostics {
        let shown = diagnostic.plain();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(!diagnostic.message.contains('\n') && !diagnostic.message.is_empty(), "{shown}");
        for span in &diagnostic.spans {
            let width = span.text.chars().count();
            assert!(span.line >= 1 && span.column >= 1 && span.length >= 1, "{shown}");
            assert!(span.column as usize <= width + 1, "{shown}\n{:?}", String::from_utf8_lossy(bytes));
            assert!(
                (span.column + span.length) as usize <= width + 2,
                "{shown}\n{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
