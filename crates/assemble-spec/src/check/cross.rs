//! What only shows when several parts of a spec are seen together.

use std::collections::BTreeMap;

use assemble_types::{ImagePath, SourceSpan};

use super::contents::file_name;
use super::{Cx, Fields};
use crate::diagnostic::Diagnostic;
use crate::model::{BinarySources, Spec};

/// The smallest spec there is.
pub(crate) const SMALLEST: &str = "contents:\n  binary: ./my-program";

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    // With mistakes in the parts, these would be about what is missing only because of them.
    if !cx.mistakes.is_empty() {
        return;
    }
    let contents = top.get("contents");
    let asks_for_base = contents
        .and_then(|entry| entry.value.get("base-files"))
        .is_some_and(|node| !node.is_null() && spec.base_files.enabled);
    if spec.packages.is_empty() && spec.binary.is_none() && spec.files.is_empty() && !asks_for_base {
        let range = contents.or(top.0.first()).map_or(0..0, |entry| entry.key_range.clone());
        let diagnostic = cx
            .wrong_at("spec/empty", "the spec puts nothing into the image", &range, "")
            .help(format!("the smallest spec names a program:\n{SMALLEST}"));
        cx.report(diagnostic);
        return;
    }
    repositories(cx, contents, spec);
    platforms(cx, spec);
    targets(cx, spec);
    certificates(cx, top, spec);
}

fn repositories(cx: &mut Cx<'_, '_>, contents: Option<&crate::node::Entry>, spec: &Spec) {
    if spec.packages.is_empty() || !spec.repositories.is_empty() || !spec.build_repositories.is_empty() {
        return;
    }
    let entry = contents.and_then(|entry| entry.value.map()?.iter().find(|entry| entry.key == "packages"));
    let range = entry.map_or(0..0, |entry| entry.key_range.clone());
    let diagnostic = cx
        .wrong_at("spec/missing", "there are packages, but no repository they could come from", &range, "")
        .help("name one:\ncontents:\n  repositories:\n    - https://packages.wolfi.dev/os");
    cx.report(diagnostic);
}

/// Programs for single platforms have to be there for all that are asked for.
fn platforms(cx: &mut Cx<'_, '_>, spec: &Spec) {
    let Some(binary) = &spec.binary else { return };
    let BinarySources::PerPlatform(sources) = &binary.sources else { return };
    if sources.is_empty() {
        let diagnostic =
            Diagnostic::new("spec/missing", "`contents.binary` names no program").at(binary.span.clone());
        cx.report(diagnostic);
    }
    for platform in spec.platforms.iter().filter(|platform| !sources.contains_key(&platform.value)) {
        let mut here = binary.span.clone();
        here.label = "the programs are named here".into();
        let diagnostic = Diagnostic::new(
            "spec/missing",
            format!("`contents.binary` has no program for {}", platform.value),
        )
        .at(platform.span.clone())
        .at(here)
        .help(format!("add `{}: PATH` to `contents.binary`, or remove the platform", platform.value));
        cx.report(diagnostic);
    }
}

/// Two sources for one path.
fn targets(cx: &mut Cx<'_, '_>, spec: &Spec) {
    let mut taken: BTreeMap<ImagePath, SourceSpan> = BTreeMap::new();
    let mut wanted: Vec<(ImagePath, SourceSpan)> = Vec::new();
    for file in &spec.files {
        // Folders may lie over each other; whether a source is one is seen here only by a slash at its end.
        if !file.path.value.is_root() && file_name(&file.source.value).is_some() {
            wanted.push((file.path.value.clone(), file.path.span.clone()));
        }
    }
    if let Some(binary) = &spec.binary {
        let default = |source: &str| ImagePath::parse(format!("/usr/bin/{}", file_name(source)?)).ok();
        let paths: Vec<ImagePath> = match (&binary.path, &binary.sources) {
            (Some(path), _) => vec![path.clone()],
            (None, BinarySources::One(source)) => default(&source.value).into_iter().collect(),
            (None, BinarySources::PerPlatform(map)) => {
                let mut paths: Vec<_> = map.values().filter_map(|source| default(&source.value)).collect();
                paths.dedup();
                paths
            }
        };
        wanted.extend(paths.into_iter().map(|path| (path, binary.span.clone())));
    }
    for (path, mut span) in wanted {
        if let Some(first) = taken.get(&path).filter(|first| **first != span) {
            let mut first = first.clone();
            if (first.line, first.column) > (span.line, span.column) {
                std::mem::swap(&mut first, &mut span);
            }
            first.label = "first here".into();
            span.label = "again here".into();
            let diagnostic = Diagnostic::new("spec/conflict", format!("two things go to {path}"))
                .at(span)
                .at(first)
                .help("give one of them another `path`");
            cx.report(diagnostic);
        } else {
            taken.insert(path, span);
        }
    }
}

fn certificates(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &Spec) {
    if spec.base_files.additional_certificates.is_empty()
        || spec.base_files.enabled
        || !spec.packages.is_empty()
    {
        return;
    }
    let range = top.get("certificates").map_or(0..0, |entry| entry.key_range.clone());
    let mut diagnostic =
        cx.wrong_at("spec/conflict", "without base files there is no CA bundle to add to", &range, "");
    let off = top
        .get("contents")
        .and_then(|entry| entry.value.map()?.iter().find(|entry| entry.key == "base-files"))
        .map(|entry| cx.span(&entry.key_range, "turned off here"));
    diagnostic.spans.extend(off);
    cx.report(diagnostic.help("write `base-files: {time-zones: false}` to keep the certificates"));
}
