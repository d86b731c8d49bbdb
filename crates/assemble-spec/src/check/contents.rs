//! `contents`: what goes into the image.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use assemble_apk::Constraint;
use assemble_types::Platform;

use super::values::{self, Wrong};
use super::{Cx, Draft, Fields, package};
use crate::diagnostic::Diagnostic;
use crate::model::{
    BaseFiles, BaseImage, BaseImageSource, Binary, BinarySources, Dialect, FileMapping, Located,
    RepositorySource, Spec,
};
use crate::node::{Content, Entry, Node};
use crate::schema;
use crate::source::plain;

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, draft: &mut Draft) {
    let Some(entry) = top.get("contents") else { return };
    let Some(fields) = cx.fields(&schema::CONTENTS, &entry.value, &entry.key_range) else { return };
    let spec = &mut draft.spec;
    spec.repositories = repositories(cx, fields, "repositories");
    spec.build_repositories = repositories(cx, fields, "build_repositories");
    spec.runtime_repositories = repositories(cx, fields, "runtime_repositories");
    for (node, text) in cx.texts("contents.keyring", fields, "keyring") {
        spec.keyring.extend(cx.key(node, &text));
    }
    packages(cx, fields, spec);
    spec.base_image = fields.get("baseimage").and_then(|entry| base_image(cx, entry));
    if cx.dialect == Dialect::Apko {
        return;
    }
    spec.binary = fields.get("binary").and_then(|entry| binary(cx, entry));
    if let Some(entry) = fields.get("files") {
        spec.files = cx.items("contents.files", entry).iter().filter_map(|node| file(cx, node)).collect();
    }
    draft.base_files = fields.get("base-files").map(|entry| base_files(cx, entry));
}

fn packages(cx: &mut Cx<'_, '_>, fields: Fields<'_>, spec: &mut Spec) {
    for (node, text) in cx.texts("contents.packages", fields, "packages") {
        let span = cx.span(&node.range, "");
        if cx.lenient() {
            // apko writes the texts into a list and reads that back by its blanks.
            for token in text.split_whitespace() {
                let value = Constraint::parse_or_unmeetable(token);
                spec.packages.push(Located { value, span: span.clone() });
            }
        } else {
            match package::parse(&text) {
                Ok(value) => spec.packages.push(Located { value, span }),
                Err(wrong) => cx.report_wrong("spec/package", wrong, node),
            }
        }
        spec.apko.packages.push(text);
    }
}

/// `{image, apkindex}`.
fn base_image(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<BaseImage> {
    let fields = cx.fields(&schema::BASE_IMAGE, &entry.value, &entry.key_range)?;
    let mut part = |key: &str, help: &str| {
        let found = fields.get(key).filter(|entry| !entry.value.is_empty());
        match found {
            Some(found) => cx.host_path(&format!("contents.baseimage.{key}"), &found.value, &found.key_range),
            None => {
                let message = format!("`contents.baseimage` names no `{key}`");
                let diagnostic = cx.wrong_at("spec/missing", message, &entry.key_range, "").help(help);
                cx.report(diagnostic);
                None
            }
        }
    };
    let image = part("image", "write `image: FOLDER`, an image in the OCI layout");
    let apkindex = part("apkindex", "write `apkindex: FOLDER`, which holds `<arch>/APKINDEX`");
    Some(BaseImage { source: image?.map(BaseImageSource::Layout), apkindex: apkindex? })
}

fn repositories(cx: &mut Cx<'_, '_>, fields: Fields<'_>, key: &str) -> Vec<Located<RepositorySource>> {
    let entries = cx.texts(&format!("contents.{key}"), fields, key);
    entries.into_iter().filter_map(|(node, text)| cx.repository(node, &text)).collect()
}

/// A path, a map of platforms to paths, or `{source, path, permissions}`.
fn binary(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<Binary> {
    let span = cx.span(entry.place(), "");
    let Content::Map(entries) = &entry.value.content else {
        if let Content::List(_) = entry.value.content {
            let diagnostic = cx
                .wrong_at("spec/type", "`contents.binary` is one program, not a list", &entry.key_range, "")
                .help("name the one that the image is for; others go into `contents.files`");
            cx.report(diagnostic);
            return None;
        }
        let source = program(cx, "contents.binary", &entry.value, entry)?;
        return Some(Binary { sources: BinarySources::One(source), path: None, permissions: None, span });
    };
    if entries.iter().any(|entry| looks_like_platform(&entry.key)) {
        let sources = BinarySources::PerPlatform(per_platform(cx, "contents.binary", entries));
        return Some(Binary { sources, path: None, permissions: None, span });
    }
    let fields = cx.fields(&schema::BINARY, &entry.value, &entry.key_range)?;
    let Some(source) = fields.get("source") else {
        // An unknown key is most likely the misspelt `source`, and was complained about.
        if entries.iter().all(|entry| schema::BINARY.knows(&entry.key, Dialect::Assemble)) {
            let diagnostic = cx
                .wrong_at("spec/missing", "`contents.binary` names no `source`", &entry.key_range, "")
                .help("write `source: PATH`, relative to the spec's folder");
            cx.report(diagnostic);
        }
        return None;
    };
    let sources = match &source.value.content {
        Content::Map(entries) => {
            BinarySources::PerPlatform(per_platform(cx, "contents.binary.source", entries))
        }
        _ => BinarySources::One(program(cx, "contents.binary.source", &source.value, source)?),
    };
    let name = match &sources {
        BinarySources::One(source) => file_name(&source.value).map(plain),
        BinarySources::PerPlatform(_) => None,
    };
    let name = name.as_deref().unwrap_or("app");
    let path = fields.get("path").and_then(|entry| {
        let path = cx.image_path("contents.binary.path", entry)?;
        let text = entry.value.scalar().map_or("", |scalar| scalar.text.as_str());
        if path.value.is_root() || text.ends_with('/') {
            let diagnostic = cx
                .wrong("spec/value", "`contents.binary.path` names a folder", &entry.value, "")
                .help(format!(
                    "write the whole path of the program: `{}/{name}`",
                    plain(text.trim_end_matches('/'))
                ));
            cx.report(diagnostic);
            return None;
        }
        Some(path.value)
    });
    let permissions = fields
        .get("permissions")
        .and_then(|entry| cx.value("contents.binary.permissions", entry, values::mode));
    Some(Binary { sources, path, permissions, span })
}

/// The path of a program: it has to have a name.
fn program(cx: &mut Cx<'_, '_>, name: &str, node: &Node, entry: &Entry) -> Option<Located<String>> {
    let source = cx.host_path(name, node, &entry.key_range)?;
    if file_name(&source.value).is_none() {
        let diagnostic = cx
            .wrong("spec/value", format!("`{name}` names a folder, not a program"), node, "")
            .help("name the program's file; whole folders go into `contents.files`");
        cx.report(diagnostic);
        return None;
    }
    Some(source)
}

/// The last component of a host path, if it names a file.
pub(crate) fn file_name(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."))
}

fn looks_like_platform(key: &str) -> bool {
    key.contains('/') || key.parse::<Platform>().is_ok()
}

fn per_platform(cx: &mut Cx<'_, '_>, name: &str, entries: &[Entry]) -> BTreeMap<Platform, Located<String>> {
    let mut out: BTreeMap<Platform, Located<String>> = BTreeMap::new();
    let mut keys: BTreeMap<Platform, std::ops::Range<usize>> = BTreeMap::new();
    // One answer for all of them, at the first.
    let mut as_map = entries.iter().find(|entry| entry.value.map().is_some());
    for entry in entries {
        let platform = match values::platform(&entry.key) {
            Ok(platform) => platform,
            Err(Wrong { message, help }) => {
                let mut diagnostic = cx.wrong_at("spec/platform", message, &entry.key_range, "");
                diagnostic.help.extend(help);
                if schema::BINARY.knows(&entry.key, Dialect::Assemble) {
                    diagnostic.help =
                        vec!["put the platforms below `source`:\nbinary:\n  source:\n    amd64: ./app-amd64\n    arm64: ./app-arm64\n  path: /usr/bin/app".to_owned()];
                }
                cx.report(diagnostic);
                continue;
            }
        };
        if let Some(first) = keys.get(&platform) {
            let diagnostic = cx
                .wrong_at(
                    "spec/conflict",
                    format!("`{name}` has two programs for {platform}"),
                    &entry.key_range,
                    "again here",
                )
                .at(cx.span(first, "first here"));
            cx.report(diagnostic);
            continue;
        }
        keys.insert(platform, entry.key_range.clone());
        if entry.value.is_null() {
            let diagnostic =
                cx.wrong_at("spec/missing", format!("there is no path for {platform}"), &entry.key_range, "");
            cx.report(diagnostic);
        } else if entry.value.map().is_some() {
            if let Some(first) = as_map.take() {
                let message = format!("`{name}` has a map for {platform}, where a path belongs");
                let diagnostic = cx
                    .wrong_at("spec/type", message, &first.key_range, "")
                    .help(format!("name the path in the image once, for all platforms:\n{}", once(entries)));
                cx.report(diagnostic);
            }
            // There is one, after all: the platform is not to be called missing.
            out.insert(platform, Located { value: String::new(), span: cx.span(&entry.key_range, "") });
        } else if let Some(source) = program(cx, name, &entry.value, entry) {
            out.insert(platform, source);
        }
    }
    out
}

/// `{amd64: {source, path}, …}` as it has to be written.
fn once(entries: &[Entry]) -> String {
    const MOST: usize = 12;
    let text = |node: &Node, key: &str| {
        let own = if key == "source" { node.scalar() } else { None };
        let scalar = own.or_else(|| node.get(key).and_then(Node::scalar));
        scalar
            .filter(|scalar| !scalar.text.is_empty())
            .map(|scalar| crate::yaml::scalar(&plain(&scalar.text)))
    };
    let mut out = String::from("contents:\n  binary:\n    source:\n");
    for entry in entries.iter().take(MOST) {
        let key = plain(&entry.key);
        let source = text(&entry.value, "source").unwrap_or_else(|| format!("./app-{key}"));
        let _ = writeln!(out, "      {key}: {source}");
    }
    let path = entries.iter().find_map(|entry| text(&entry.value, "path"));
    out + "    path: " + path.as_deref().unwrap_or("/usr/bin/app")
}

/// One entry of `contents.files`.
fn file(cx: &mut Cx<'_, '_>, node: &Node) -> Option<FileMapping> {
    if let Some(scalar) = node.scalar().filter(|_| !node.is_null()) {
        let (source, path) = scalar.text.split_once(':').unwrap_or((&scalar.text, "/path/in/image"));
        let diagnostic =
            cx.wrong("spec/type", "an entry of `contents.files` has to be a map", node, "").help(format!(
                "write\n- source: {}\n  path: {}",
                crate::yaml::scalar(&plain(source)),
                crate::yaml::scalar(&plain(path))
            ));
        cx.report(diagnostic);
        return None;
    }
    let fields = cx.fields(&schema::FILE, node, &node.range)?;
    let complete = fields.0.iter().all(|entry| schema::FILE.knows(&entry.key, Dialect::Assemble));
    for key in ["source", "path"] {
        if fields.get(key).is_none() && complete {
            let message = format!("an entry of `contents.files` names no `{key}`");
            let help = match key {
                "source" => "`source` is a file or folder, relative to the spec's folder",
                _ => "`path` is where it goes in the image, from the root: `/srv/static`",
            };
            let diagnostic = cx.wrong("spec/missing", message, node, "").help(help);
            cx.report(diagnostic);
        }
    }
    let source = fields.get("source").and_then(|e| cx.host_path("source", &e.value, &e.key_range));
    let path = fields.get("path").and_then(|entry| cx.image_path("path", entry));
    let permissions =
        fields.get("permissions").and_then(|entry| cx.value("permissions", entry, values::mode));
    let uid = fields.get("uid").and_then(|entry| cx.id("uid", entry));
    let gid = fields.get("gid").and_then(|entry| cx.id("gid", entry));
    let exclude = exclude(cx, fields);
    let (source, path) = (source?, path?);
    if let Some(diagnostic) = folder_confusion(cx, &source, fields) {
        cx.report(diagnostic);
        return None;
    }
    Some(FileMapping { source, path, permissions, uid, gid, exclude, span: cx.span(&node.range, "") })
}

fn exclude(cx: &mut Cx<'_, '_>, fields: Fields<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for (node, pattern) in cx.texts("exclude", fields, "exclude") {
        if let Some(kept) = pattern.strip_prefix('!') {
            let diagnostic = cx
                .wrong(
                    "spec/value",
                    format!("`{}`: a pattern cannot take back what another excludes", plain(&pattern)),
                    node,
                    "",
                )
                .help(format!(
                    "remove it, and list `{}` as an entry of its own behind this one",
                    plain(kept.trim_start_matches('/'))
                ))
                .help("for a name that begins with `!`, write `?` in its place");
            cx.report(diagnostic);
        } else if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            let diagnostic = cx
                .wrong(
                    "spec/value",
                    format!("`{}` cannot match anything below the source", plain(&pattern)),
                    node,
                    "",
                )
                .help("patterns are relative to `source`: `*.log`, `cache/**`");
            cx.report(diagnostic);
        } else {
            out.push(pattern);
        }
    }
    out
}

/// A slash at the end of `path` alone: in a Dockerfile it would mean "into that folder", here it would be lost.
fn folder_confusion(cx: &Cx<'_, '_>, source: &Located<String>, fields: Fields<'_>) -> Option<Diagnostic> {
    let name = file_name(&source.value)?;
    let node = &fields.get("path")?.value;
    let path = node.scalar().map(|scalar| scalar.text.as_str())?;
    if path.trim_matches('/').is_empty() || !path.ends_with('/') {
        return None;
    }
    let folder = path.trim_end_matches('/');
    Some(
        cx.wrong(
            "spec/value",
            "`path` is the whole path in the image, not the folder it goes into",
            node,
            "",
        )
        .help(format!(
            "for a file, write `path: {}`",
            crate::yaml::scalar(&plain(&format!("{folder}/{name}")))
        ))
        .help(format!("for a folder, write `path: {}`", crate::yaml::scalar(&plain(folder)))),
    )
}

/// `true`, `false`, `none`, or each part on its own.
fn base_files(cx: &mut Cx<'_, '_>, entry: &Entry) -> BaseFiles {
    if entry.value.map().is_some() {
        let Some(fields) = cx.fields(&schema::BASE_FILES, &entry.value, &entry.key_range) else {
            return BaseFiles::default();
        };
        let mut part = |key: &str| {
            let name = format!("contents.base-files.{key}");
            fields.get(key).and_then(|entry| cx.truth(&name, entry)).unwrap_or(true)
        };
        return BaseFiles {
            certificates: part("certificates"),
            time_zones: part("time-zones"),
            ..BaseFiles::default()
        };
    }
    let on = match entry.value.scalar().map(|scalar| scalar.text.as_str()) {
        Some("none") => Some(false),
        Some("all") => Some(true),
        _ => cx.truth("contents.base-files", entry),
    };
    if on == Some(false) { BaseFiles::NONE } else { BaseFiles::default() }
}
