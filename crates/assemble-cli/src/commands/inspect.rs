//! `assemble inspect`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{Inspection, OpenedImage, Result};

use super::Session;
use crate::args::InspectArgs;
use crate::render::printable_line;
use crate::summary::size;
use crate::{json, settings};

pub(crate) fn run(args: &InspectArgs) -> ExitCode {
    let session = Session::new(&args.report);
    if args.chain {
        return super::chain::run(args, &session);
    }
    let result = inspect(args, &session);
    session.end(result)
}

fn inspect(args: &InspectArgs, session: &Session) -> Result<String> {
    let http = settings::http(&args.network.registry)?;
    let registry = settings::registry_unless_offline(&args.network, &http, &session.observer());
    let image = OpenedImage::open(&args.image, args.platform, registry.as_ref())?;
    if args.cat.is_some() && args.report.json {
        return Err(assemble::usage_error("--cat prints a file as it is, and --json a document"));
    }
    if let Some(path) = &args.cat {
        image.cat(path, &mut std::io::stdout().lock())?;
        return Ok(String::new());
    }
    let inspection = image.inspect(args.files)?;
    if args.report.json {
        return Ok(json::inspect(&inspection, args.files));
    }
    Ok(if args.files { files(&inspection) } else { overview(&inspection) })
}

fn row(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "{name:<12} {}", printable_line(value));
    }
}

fn overview(image: &Inspection) -> String {
    let mut out = String::new();
    row(&mut out, "image", &image.shown);
    if image.platforms.len() > 1 {
        row(&mut out, "index", &image.digest.to_string());
        row(&mut out, "platforms", &image.platforms.join(", "));
    }
    row(&mut out, "platform", &image.platform);
    row(&mut out, "manifest", &image.manifest_digest.to_string());
    row(&mut out, "image ID", &image.config_digest.to_string());
    row(&mut out, "created", image.created.as_deref().unwrap_or_default());
    row(&mut out, "user", image.user.as_deref().unwrap_or("root (none is set)"));
    row(&mut out, "entrypoint", &image.entrypoint.join(" "));
    row(&mut out, "cmd", &image.cmd.join(" "));
    row(&mut out, "work dir", image.work_dir.as_deref().unwrap_or_default());
    row(&mut out, "ports", &image.ports.join(", "));
    row(&mut out, "volumes", &image.volumes.join(", "));
    row(&mut out, "stop signal", image.stop_signal.as_deref().unwrap_or_default());
    for (name, value) in &image.annotations {
        row(&mut out, "annotation", &format!("{name}={value}"));
    }
    for entry in &image.environment {
        row(&mut out, "env", entry);
    }
    for layer in &image.layers {
        let unpacked =
            layer.uncompressed_size.map(|bytes| format!(", {} unpacked", size(bytes))).unwrap_or_default();
        row(
            &mut out,
            "layer",
            &format!("{} {}{unpacked}  {}", layer.digest, size(layer.size), layer.created_by),
        );
    }
    for package in &image.packages {
        row(&mut out, "package", &format!("{} {} {}", package.name, package.version, package.license));
    }
    out
}

fn files(image: &Inspection) -> String {
    let mut out = String::new();
    let mut layer = 0;
    for file in &image.files {
        if file.layer != layer {
            layer = file.layer;
            let by = image.layers.get(layer - 1).map(|l| l.created_by.as_str()).unwrap_or_default();
            let _ = writeln!(out, "# layer {layer}: {}", printable_line(by));
        }
        let link = file.link.as_ref().map(|to| format!(" -> {to}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {} {:>11} {:>10} {}{}",
            file.mode,
            file.kind_letter(),
            file.owner,
            file.size,
            printable_line(&file.path),
            printable_line(&link)
        );
    }
    out
}
