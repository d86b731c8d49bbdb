//! Files that are something other than a spec, and what to do with them.

mod docker_run;
mod docker_syntax;
mod dockerfile;
mod melange;
mod translate;

use crate::diagnostic::Diagnostic;
use crate::node::Node;
use crate::source::{Source, plain};

/// A file that describes something else, and that people hand over as a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Instructions for building an image from the inside.
    Dockerfile,
    /// A recipe for one APK package.
    Melange,
    /// Services for docker compose.
    Compose,
    /// An object for Kubernetes.
    Kubernetes,
    /// apko's lock file.
    Lock,
}

impl Foreign {
    /// How it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dockerfile => "a Dockerfile",
            Self::Melange => "a melange file",
            Self::Compose => "a compose file",
            Self::Kubernetes => "a Kubernetes object",
            Self::Lock => "a lock file",
        }
    }

    fn diagnostic(self, source: &Source<'_>, range: &std::ops::Range<usize>) -> Diagnostic {
        Diagnostic::new("spec/foreign", format!("`{}` is {}, not a spec", source.file(), self.name()))
            .at(source.span(range, ""))
    }
}

/// What is recognised by its first bytes.
pub(crate) fn in_bytes(file: &str, bytes: &[u8]) -> Option<Diagnostic> {
    const PROGRAM: &str = "a program for Linux (ELF)";
    let magic: [(&[u8], &str); 12] = [
        (b"\x7fELF", PROGRAM),
        (b"\xcf\xfa\xed\xfe", "a program for macOS (Mach-O)"),
        (b"\xce\xfa\xed\xfe", "a program for macOS (Mach-O)"),
        (b"\xca\xfe\xba\xbe", "a program for macOS (Mach-O)"),
        (b"MZ\x90", "a program for Windows (PE)"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"\xfd7zXZ", "an xz archive"),
        (b"\xff\xfe", "text in UTF-16"),
        (b"\xfe\xff", "text in UTF-16"),
        (b"-----BEGIN ", "a PEM file"),
    ];
    let (_, what) = magic.into_iter().find(|(magic, _)| bytes.starts_with(magic))?;
    let diagnostic = Diagnostic::new("spec/not-text", format!("`{}` is {what}, not a spec", plain(file)));
    Some(match what {
        // By this name it is a spec wherever it is handed over.
        PROGRAM if is_named_yaml(file) => {
            let other = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            diagnostic
                .help("a file that is named like a spec is read as one; another name makes it a program")
                .help(format!("`mv {0} {1} && assemble build {1}`", plain(file), plain(other)))
        }
        PROGRAM => diagnostic
            .help(format!("`assemble build {}` makes an image of it, without any spec", plain(file)))
            .help(format!("`assemble init {}` writes a spec for it", plain(file))),
        "text in UTF-16" => diagnostic.help("save it as UTF-8"),
        _ => diagnostic.help("a spec is a YAML file; `assemble init PROGRAM` writes one"),
    })
}

fn is_named_yaml(file: &str) -> bool {
    file.rsplit_once('.')
        .is_some_and(|(_, end)| ["yaml", "yml"].iter().any(|yaml| end.eq_ignore_ascii_case(yaml)))
}

/// What is recognised by its first lines.
pub(crate) fn in_text(source: &Source<'_>) -> Option<Diagnostic> {
    let range = docker_syntax::recognise(source.text())?;
    let shown = dockerfile::equivalent(source.text());
    let help = format!("the same as a spec:\n{}", shown.trim_end());
    Some(Foreign::Dockerfile.diagnostic(source, &range).help(help))
}

/// What is recognised by its keys.
pub(crate) fn in_tree(source: &Source<'_>, root: &Node) -> Option<Diagnostic> {
    let entries = root.map()?;
    let range = |key: &str| {
        entries.iter().find(|entry| entry.key == key).map_or(0..0, |entry| entry.key_range.clone())
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let package = root.get("package");
    if package.is_some_and(|node| node.get("name").is_some())
        && (has("pipeline")
            || has("subpackages")
            || package.is_some_and(|node| node.get("version").is_some()))
    {
        let shown = melange::equivalent(root);
        return Some(Foreign::Melange.diagnostic(source, &range("package")).help(format!(
            "it makes a package: run `melange build`, then install it with a spec:\n{}",
            shown.trim_end()
        )));
    }
    if has("apiVersion") && has("kind") {
        let help =
            "it runs an image; the image itself is described by a spec: `assemble init PROGRAM` writes one";
        return Some(Foreign::Kubernetes.diagnostic(source, &range("apiVersion")).help(help));
    }
    if root.get("services").is_some_and(|node| node.map().is_some()) && !has("contents") {
        let help = "it runs images; each image has a spec of its own: `assemble init PROGRAM` writes one";
        return Some(Foreign::Compose.diagnostic(source, &range("services")).help(help));
    }
    if has("version")
        && root.get("contents").is_some_and(|node| {
            node.get("packages")
                .and_then(|list| match &list.content {
                    crate::node::Content::List(items) => items.first(),
                    _ => None,
                })
                .is_some_and(|item| item.get("checksum").is_some())
        })
    {
        let help = "name the spec that it was made for";
        return Some(Foreign::Lock.diagnostic(source, &range("version")).help(help));
    }
    None
}
