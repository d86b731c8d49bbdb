//! `assemble export`

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use assemble::{ExportReport, ExportTarget, OpenedImage, Result, SpecFile};

use super::Session;
use crate::args::ExportArgs;
use crate::render::printable_line;
use crate::summary::size;
use crate::{json, settings};

pub(crate) fn run(args: &ExportArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = export(args, &session);
    session.end(result)
}

fn export(args: &ExportArgs, session: &Session) -> Result<String> {
    let target = args.target.as_deref().unwrap_or(assemble::DEFAULT_SPEC);
    let place = ExportTarget::parse(&args.output)?;
    place.check()?;
    let http = settings::http(&args.network.registry)?;
    let observer = session.observer();
    let env = settings::env(&args.network, None, &http, &observer)?;
    let platform = args.input.platform.first().copied();
    let image = if assemble::is_image(target) {
        let registry = settings::registry_unless_offline(&args.network, &http, &observer);
        OpenedImage::open(target, platform, registry.as_ref())?
    } else {
        let file = SpecFile::load(Some(Path::new(target)))?;
        let options = settings::build_options(&args.input, &[])?;
        OpenedImage::of(assemble::build(&file, &options, &env)?.set, target, platform)?
    };
    let report = image.export(&place, &env)?;
    session.tell(&text(&report, &place));
    Ok(if args.report.json { json::export(&report, &place.shown()) } else { String::new() })
}

fn text(report: &ExportReport, place: &ExportTarget) -> String {
    let mut out = String::new();
    let shown = printable_line(&place.shown());
    let _ = writeln!(out, "exported {} names, {} to {shown}", report.entries, size(report.bytes));
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(out, "  note: {what}: {count}");
        }
    };
    note(report.left_out, "devices and pipes that were left out");
    note(report.without_set_id, "files without their set-id bits, since they belong to you");
    note(report.without_attributes, "names without their extended attributes");
    if report.owners_ignored {
        let _ = writeln!(out, "  note: everything belongs to you; a tar keeps the owners");
    }
    out
}
