//! `assemble inspect --chain`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{
    BuildOptions, Chain, ChainReport, Links, LockedLinks, OpenedImage, Result, SpecFile, Witness,
};
use assemble_types::counted;
use serde_json::{Value, json};

use super::Session;
use crate::args::InspectArgs;
use crate::render::printable_line;
use crate::{json, output, settings};

pub(crate) fn run(args: &InspectArgs, session: &Session) -> ExitCode {
    let report = match chain(args, session) {
        Ok(report) => report,
        Err(error) => return session.fail(&error, None),
    };
    let document = document(&report);
    match report.error() {
        None => {
            let answer = if args.report.json { json::finish(document) } else { text(&report) };
            session.end(Ok(answer))
        }
        Some(error) => {
            session.terminal.clear();
            output::tell(&text(&report));
            session.fail(&error, Some(&document))
        }
    }
}

fn chain(args: &InspectArgs, session: &Session) -> Result<ChainReport> {
    let http = settings::http(&args.network.registry)?;
    let observer = session.observer();
    let registry = settings::registry_unless_offline(&args.network, &http, &observer);
    let image = OpenedImage::open(&args.image, args.platform, registry.as_ref())?;
    if let Some(lock) = &args.lock {
        return assemble::chain(&image, Witness::Lock(lock));
    }
    let Some(spec) = &args.spec else { return assemble::chain(&image, Witness::Nobody) };
    let file = SpecFile::load(Some(spec))?;
    let options = BuildOptions { alpine_releases: settings::alpine_releases(), ..BuildOptions::default() };
    let env = settings::env(&args.network, None, &http, &observer)?;
    assemble::chain(&image, Witness::Spec(&file, &options, &env))
}

fn text(report: &ChainReport) -> String {
    let mut out = String::new();
    let (mut whole, mut locked, mut claimed, mut made) = (0, 0, 0, 0);
    for (number, layer) in report.layers.iter().enumerate() {
        let by = printable_line(&layer.created_by);
        let _ = writeln!(out, "layer {:<3} {}  {by}", number + 1, layer.digest);
        match &layer.chain {
            Chain::Made => {
                made += 1;
                row(&mut out, "signed by", "nobody: this layer was made by whoever built the image");
            }
            Chain::Claimed { package, checksum, why } => {
                claimed += 1;
                row(&mut out, "said to be", package);
                row(&mut out, "control", checksum.as_deref().unwrap_or("not known"));
                row(&mut out, "not checked", why);
            }
            Chain::Whole(found) => {
                whole += 1;
                links(&mut out, found);
                row(&mut out, "layer", "the same digest: this layer is what was signed");
            }
            Chain::Locked(found) => {
                locked += 1;
                locked_links(&mut out, found);
                row(&mut out, "layer", "the same digest: this layer is what was locked");
            }
            Chain::NotLocked { links: found } => {
                locked_links(&mut out, found);
                row(&mut out, "BROKEN", &format!("the layer is {}", layer.digest));
            }
            Chain::Broken { links: found } => {
                links(&mut out, found);
                row(&mut out, "BROKEN", &format!("the layer is {}", layer.digest));
            }
        }
    }
    let known = if locked > 0 {
        format!("{locked} are what was locked")
    } else {
        format!("{whole} are what was signed")
    };
    let _ = write!(
        out,
        "{}: {known}, {claimed} are said to be, {made} were made by the build",
        counted(report.layers.len(), "layer", "layers")
    );
    if locked > 0 {
        out.push_str(
            "\nrecorded: the lock's word for what was checked when it was made; --spec fetches and checks it",
        );
    }
    out
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<11} {}", printable_line(value));
}

fn links(out: &mut String, links: &Links) {
    let key = match &links.fingerprint {
        Some(fingerprint) => format!("{} ({fingerprint}), named by the spec", links.key),
        None => format!("{}, built in or published for its repository", links.key),
    };
    row(out, "key", &key);
    row(out, "index", &format!("{} of {}, signed by the key", links.index, links.repository));
    row(out, "control", &format!("{} of {}, listed by the index", links.checksum, links.package));
    row(out, "data", &format!("{}, named by the control section", links.data_hash));
}

fn locked_links(out: &mut String, links: &LockedLinks) {
    let LockedLinks { package, index, checksum, control, data_hash } = links;
    match index {
        None => row(out, "index", "the lock does not tell which one it was"),
        Some(index) => {
            let key = match &index.key {
                None => "none: nobody had signed the index".to_owned(),
                Some(key) => match &key.fingerprint {
                    Some(fingerprint) => format!("{} ({fingerprint}), held by the lock", key.name),
                    None => format!("{}, which the lock does not hold", key.name),
                },
            };
            row(out, "key", &key);
            let signed = if index.key.is_some() { ", signed by the key" } else { "" };
            row(out, "index", &format!("{} of {}{signed} (recorded)", index.digest, index.repository));
        }
    }
    row(out, "control", &format!("{checksum} of {package}, listed by the index (recorded)"));
    row(out, "", &format!("{control}, named by the lock (recorded)"));
    row(out, "data", &format!("{data_hash}, named by the lock"));
}

fn document(report: &ChainReport) -> Value {
    let of_links = |links: &Links| {
        json!({
            "package": links.package, "key": links.key, "fingerprint": links.fingerprint,
            "repository": links.repository, "index": links.index, "control": links.checksum,
            "data": links.data_hash,
        })
    };
    let of_lock = |links: &LockedLinks| {
        let index = links.index.as_ref();
        let key = index.and_then(|index| index.key.as_ref());
        json!({
            "package": links.package, "key": key.map(|key| &key.name),
            "fingerprint": key.and_then(|key| key.fingerprint),
            "repository": index.map(|index| &index.repository), "index": index.map(|index| index.digest),
            "control": links.checksum, "control_sha256": links.control, "data": links.data_hash,
            "recorded": ["key", "index", "control"],
        })
    };
    let layers: Vec<Value> = report
        .layers
        .iter()
        .map(|layer| {
            let (state, links) = match &layer.chain {
                Chain::Made => ("made", Value::Null),
                Chain::Claimed { package, checksum, why } => {
                    ("claimed", json!({ "package": package, "control": checksum, "why": why }))
                }
                Chain::Whole(links) => ("whole", of_links(links)),
                Chain::Broken { links } => ("broken", of_links(links)),
                Chain::Locked(links) => ("locked", of_lock(links)),
                Chain::NotLocked { links } => ("broken", of_lock(links)),
            };
            json!({
                "digest": layer.digest, "created_by": layer.created_by, "state": state, "links": links,
            })
        })
        .collect();
    json!({ "image": report.image, "platform": report.platform, "layers": layers })
}
