//! `assemble export`

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use assemble::{Env, ExportReport, ExportTarget, OpenedImage, Result, SpecFile};
use assemble_types::counted;

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
    if args.output == "-" {
        check_stdout(args)?;
        let (image, env) = open(args, session)?;
        let mut out = Stdout { out: std::io::stdout().lock(), gone: false };
        let report = image.export_to(&mut out, "standard output", &env)?;
        session.tell(&text(&report, "standard output"));
        return Ok(String::new());
    }
    let place = ExportTarget::parse(&args.output)?;
    place.check()?;
    let (image, env) = open(args, session)?;
    let report = image.export(&place, &env)?;
    session.tell(&text(&report, &place.shown()));
    Ok(if args.report.json { json::export(&report, &place.shown()) } else { String::new() })
}

/// Refuses what would end in a heap of bytes on the screen, or in a tar with a JSON document behind it.
fn check_stdout(args: &ExportArgs) -> Result<()> {
    if args.report.json {
        return Err(assemble::usage_error("--json and `-o -` both write to standard output")
            .hint("write the tar to a file: -o root.tar"));
    }
    if std::io::stdout().is_terminal() {
        return Err(assemble::usage_error("a tar is not written to a terminal")
            .hint("send it on, as in `-o - | tar -t`, or name a file: -o root.tar"));
    }
    Ok(())
}

/// Standard output. A reader that has seen enough is no failure: what comes after that goes nowhere.
struct Stdout {
    out: std::io::StdoutLock<'static>,
    gone: bool,
}

impl Stdout {
    fn unless_gone<T>(&mut self, result: std::io::Result<T>, without: T) -> std::io::Result<T> {
        match result {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(without)
            }
            result => result,
        }
    }
}

impl std::io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let result = self.out.write(bytes);
        self.unless_gone(result, bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let result = if self.gone { Ok(()) } else { self.out.flush() };
        self.unless_gone(result, ())
    }
}

/// The image that is meant, built if it is a spec's.
fn open(args: &ExportArgs, session: &Session) -> Result<(OpenedImage, Env)> {
    let target = args.target.as_deref().unwrap_or(assemble::DEFAULT_SPEC);
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
    Ok((image, env))
}

fn text(report: &ExportReport, place: &str) -> String {
    let mut out = String::new();
    let names = counted(report.entries, "name", "names");
    let _ = writeln!(out, "exported {names}, {} to {}", size(report.bytes), printable_line(place));
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
