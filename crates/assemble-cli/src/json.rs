//! The JSON documents of `--json`. Described in `docs/json.md`; members are only ever added.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use assemble::{
    Built, BuiltImage, BuiltLayer, Cause, Change, Checked, ChosenPackages, Edge, Error, Inspection,
    LockReport, PartSize, Published, VendorReport, VerbatimReport, VerifyReport,
};
use assemble_types::{Explain as _, SourceSpan};
use serde_json::{Map, Value, json};

/// Version of the documents.
const SCHEMA: u32 = 1;

/// A document as text on one line.
fn text(mut document: Value) -> String {
    if let Some(map) = document.as_object_mut() {
        map.insert("schema".into(), SCHEMA.into());
    }
    document.to_string()
}

fn spans_value(spans: &[SourceSpan]) -> Value {
    spans
        .iter()
        .map(|span| {
            json!({
                "file": span.file, "line": span.line, "column": span.column, "length": span.length,
                "text": span.text, "label": span.label,
            })
        })
        .collect()
}

/// The chain of causes below an error's own message.
pub(crate) fn causes(error: &Error) -> Vec<String> {
    let mut out = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        out.push(cause.to_string());
        source = cause.source();
    }
    out
}

/// Hints, and what was being done and why as the last ones.
pub(crate) fn hints(error: &Error, causes: &[String]) -> Vec<String> {
    let mut hints = error.hints();
    hints.extend(error.while_doing().map(|what| format!("while {what}")));
    hints.extend(causes.iter().map(|cause| format!("because {cause}")));
    hints
}

/// Places of the spec. A wrong spec may have several mistakes; all their places are there.
pub(crate) fn spans(error: &Error) -> Vec<SourceSpan> {
    match error.cause() {
        Cause::Spec(diagnostics) => diagnostics
            .iter()
            .flat_map(|d| {
                d.spans.iter().enumerate().map(|(number, span)| {
                    let mut span = span.clone();
                    if number == 0 {
                        span.label.clone_from(&d.message);
                    }
                    span
                })
            })
            .collect(),
        _ => error.spans(),
    }
}

/// The document of a failure. `details` are the members that the command adds.
pub(crate) fn failure_document(
    code: &str,
    kind: &str,
    message: &str,
    hints: &[String],
    spans: &[SourceSpan],
    details: Option<&Value>,
) -> String {
    let mut document = details.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    document["error"] = json!({ "code": code, "kind": kind, "message": message, "hints": hints, "spans": spans_value(spans) });
    text(document)
}

fn image(built: &BuiltImage) -> Value {
    let layers: Vec<Value> = built
        .layers
        .iter()
        .map(|BuiltLayer { name, layer, media_type, verbatim, .. }| {
            json!({
                "digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size,
                "uncompressed_size": layer.uncompressed_size, "media_type": media_type,
                "part": name, "verbatim": verbatim,
            })
        })
        .collect();
    let packages: Vec<Value> = built
        .contents
        .packages
        .iter()
        .map(|p| {
            json!({
                "name": p.name, "version": p.version, "arch": p.arch, "origin": p.origin, "license": p.license,
                "installed_size": p.installed_size, "checksum": p.checksum,
            })
        })
        .collect();
    json!({
        "platform": built.platform.to_string(),
        "digest": built.image.manifest_digest(),
        "size": built.image.manifest().len(),
        "config": built.image.config_digest(),
        "user": built.start.user,
        "entrypoint": built.start.entrypoint,
        "cmd": built.start.cmd,
        "layers": layers,
        "packages": packages,
        "certificates": built.contents.certificates,
        "time_zones": built.contents.time_zones,
        "verbatim": built.contents.verbatim.as_ref().map(verbatim),
        "replaced": built.contents.replaced,
        "scripts_not_run": built.contents.scripts_not_run,
        "foreign_keys": built.contents.foreign_keys,
        "untrusted": built.contents.untrusted,
        "start_problems": built.start.problems,
    })
}

fn verbatim(report: &VerbatimReport) -> Value {
    let rewritten: Vec<Value> =
        report.rewritten.iter().map(|one| json!({ "package": one.package, "reason": one.reason })).collect();
    json!({
        "packages": report.packages, "verbatim": report.verbatim, "empty": report.empty,
        "bytes": report.bytes, "verbatim_bytes": report.verbatim_bytes, "rewritten": rewritten,
    })
}

/// `build --json`.
pub(crate) fn build(built: &Built, published: &Published, took: Duration) -> String {
    let mut timings = Map::new();
    for (stage, time) in &built.timings {
        timings.insert((*stage).to_owned(), millis(*time));
    }
    timings.insert("total".into(), millis(took));
    let cache = &built.cache;
    text(json!({
        "digest": built.set.digest(),
        "media_type": built.set.media_type(),
        "reference": published.reference(built),
        "images": built.images.iter().map(image).collect::<Vec<_>>(),
        "created": built.created.to_string(),
        "codec": built.compression.codec(),
        "written": published.written,
        "loaded": published.loaded,
        "pushed": published.pushed.iter().map(push_value).collect::<Vec<_>>(),
        "timings": timings,
        "cache": {
            "hits": cache.hits, "misses": cache.misses, "bytes_fetched": cache.bytes_fetched, "requests": cache.requests,
        },
    }))
}

/// Milliseconds with three decimals.
fn millis(time: Duration) -> Value {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    json!(f64::from(micros) / 1000.0)
}

fn push_value(push: &assemble::PushReport) -> Value {
    json!({
        "reference": push.reference, "digest": push.digest, "blobs_sent": push.blobs_sent,
        "blobs_present": push.blobs_present, "bytes_sent": push.bytes_sent, "requests": push.requests, "tags": push.tags,
    })
}

/// `push --json`.
pub(crate) fn push(report: &assemble::PushReport) -> String {
    text(push_value(report))
}

/// `check --json`.
pub(crate) fn check(report: &assemble::CheckReport) -> String {
    text(json!({
        "ok": true,
        "name": report.name,
        "platforms": report.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "start_checked": report.start_checked,
    }))
}

/// `packages --json`.
pub(crate) fn packages(all: &[ChosenPackages]) -> String {
    let packages = all.iter().flat_map(|one| {
        one.packages.iter().map(|package| {
            json!({
                "platform": one.platform.to_string(),
                "name": package.name,
                "version": package.version,
                "arch": package.arch,
                "origin": package.origin,
                "license": package.license,
                "description": package.description,
                "size": package.size,
                "installed_size": package.installed_size,
                "checksum": package.checksum,
                "repository": package.repository,
                "tag": package.tag,
            })
        })
    });
    text(json!({ "packages": packages.collect::<Vec<_>>() }))
}

/// A package as `name-version`.
fn package_id(one: &ChosenPackages, place: usize) -> String {
    let package = &one.packages[place];
    format!("{}-{}", package.name, package.version)
}

fn edges(one: &ChosenPackages, edges: &[Edge]) -> Value {
    let edge = |edge: &Edge| json!({ "constraint": edge.constraint.to_string(), "package": package_id(one, edge.to) });
    edges.iter().map(edge).collect()
}

/// `tree --json`.
pub(crate) fn tree(all: &[ChosenPackages]) -> String {
    let platforms = all.iter().map(|one| {
        let packages = (0..one.packages.len()).map(|place| {
            json!({
                "package": package_id(one, place),
                "needs": edges(one, &one.graph().needs[place]),
                "came_for": edges(one, &one.graph().came_for[place]),
            })
        });
        json!({
            "platform": one.platform.to_string(),
            "world": edges(one, &one.graph().world),
            "packages": packages.collect::<Vec<_>>(),
        })
    });
    text(json!({ "platforms": platforms.collect::<Vec<_>>() }))
}

/// `why --json`.
pub(crate) fn why(all: &[(&ChosenPackages, usize)]) -> String {
    let packages = all.iter().map(|(one, place)| {
        let paths = one
            .why(*place)
            .into_iter()
            .map(|path| json!({ "entry": path.entry.to_string(), "steps": edges(one, &path.steps) }));
        json!({
            "platform": one.platform.to_string(),
            "package": package_id(one, *place),
            "paths": paths.collect::<Vec<_>>(),
        })
    });
    text(json!({ "packages": packages.collect::<Vec<_>>() }))
}

/// `login --json`.
pub(crate) fn login(host: &str) -> String {
    text(json!({ "ok": true, "host": host }))
}

/// `verify --json`.
pub(crate) fn verify(report: &VerifyReport) -> Value {
    json!({
        "result": report.outcome.name(),
        "target": report.target,
        "digest": report.found,
        "expected": report.expected,
        "signatures_checked": false,
        "differences": report.differences,
    })
}

/// `lock --json` and `update --json`.
pub(crate) fn lock(report: &LockReport) -> String {
    let changes: Vec<Value> = report
        .difference
        .changes
        .iter()
        .map(|change| match change {
            Change::Package { archs, name, from, to } => json!({
                "package": name.as_str(), "from": from.as_ref().map(ToString::to_string),
                "to": to.as_ref().map(ToString::to_string),
                "archs": archs.iter().map(|arch| arch.apk()).collect::<Vec<_>>(), "text": change.to_string(),
            }),
            other => json!({ "text": other.to_string() }),
        })
        .collect();
    let held: Vec<Value> = report
        .held
        .iter()
        .map(|held| {
            json!({
                "package": held.name.as_str(), "at": held.at, "newest": held.newest,
                "with": held.with.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    let images: Vec<Value> = report
        .images
        .iter()
        .map(|(platform, count)| json!({ "platform": platform.to_string(), "packages": count }))
        .collect();
    text(json!({
        "lock": report.path.display().to_string(),
        "written": report.written,
        "images": images,
        "changes": changes,
        "released": report.released.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "held": held,
    }))
}

/// `vendor --json`.
pub(crate) fn vendor(report: &VendorReport) -> String {
    text(json!({
        "folder": report.folder.display().to_string(),
        "packages": report.packages,
        "indexes": report.indexes,
        "size": report.size,
    }))
}

/// A finished document.
pub(crate) fn finish(document: Value) -> String {
    text(document)
}

/// `inspect --json`.
pub(crate) fn export(report: &assemble::ExportReport, place: &str) -> String {
    text(json!({
        "written": place,
        "entries": report.entries,
        "bytes": report.bytes,
        "left_out": report.left_out,
        "without_set_id": report.without_set_id,
        "without_attributes": report.without_attributes,
        "owners_ignored": report.owners_ignored,
    }))
}

pub(crate) fn inspect(inspection: &Inspection, files: bool) -> String {
    let mut document = json!({
        "image": inspection.shown,
        "digest": inspection.digest,
        "media_type": inspection.media_type,
        "platforms": inspection.platforms,
        "images": [ {
            "platform": inspection.platform,
            "digest": inspection.manifest_digest,
            "config": inspection.config_digest,
            "user": inspection.user,
            "entrypoint": inspection.entrypoint,
            "cmd": inspection.cmd,
            "environment": inspection.environment,
            "ports": inspection.ports,
            "work_dir": inspection.work_dir,
            "volumes": inspection.volumes,
            "stop_signal": inspection.stop_signal,
            "created": inspection.created,
            "annotations": inspection.annotations,
            "layers": inspection.layers.iter().map(|layer| json!({
                "digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size,
                "uncompressed_size": layer.uncompressed_size, "media_type": layer.media_type, "created_by": layer.created_by,
            })).collect::<Vec<_>>(),
            "packages": inspection.packages.iter().map(|p| json!({
                "name": p.name, "version": p.version, "arch": p.arch, "origin": p.origin, "license": p.license,
                "installed_size": p.installed_size, "checksum": p.checksum,
            })).collect::<Vec<_>>(),
        } ],
    });
    if files {
        document["images"][0]["files"] = inspection
            .files
            .iter()
            .map(|f| json!({
                "path": f.path, "type": f.kind, "mode": f.mode, "owner": f.owner, "size": f.size, "mtime": f.mtime,
                "link": f.link, "layer": f.layer,
            }))
            .collect();
    }
    text(document)
}
/// `digest --json`.
pub(crate) fn digest(built: &Built) -> String {
    let images: serde_json::Map<String, Value> = built
        .images
        .iter()
        .map(|image| (image.platform.to_string(), json!(image.image.manifest_digest().to_string())))
        .collect();
    text(json!({ "digest": built.set.digest().to_string(), "images": images }))
}

/// What the cache holds.
pub(crate) fn cache_sizes(folder: Option<&std::path::Path>, sizes: &[PartSize]) -> String {
    let parts: serde_json::Map<String, Value> = sizes
        .iter()
        .map(|part| {
            let name = crate::commands::cache::name(part.part).to_owned();
            (name, json!({ "files": part.files, "bytes": part.bytes }))
        })
        .collect();
    text(json!({ "folder": folder.map(|folder| folder.display().to_string()), "parts": parts }))
}

/// What pruning removed.
pub(crate) fn cache_pruned(files: u64, bytes: u64) -> String {
    text(json!({ "removed": { "files": files, "bytes": bytes } }))
}

/// What checking found.
pub(crate) fn cache_checked(checked: &Checked) -> Value {
    let paths = |all: &[PathBuf]| all.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    json!({
        "files": checked.files,
        "damaged": paths(&checked.damaged),
        "stuck": paths(&checked.stuck),
        "unread": paths(&checked.unread),
        "halves": checked.halves,
    })
}
