//! `assemble lock`, `assemble update`, and what `assemble build` does about a lock.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use assemble::{LockReport, Moves, PackageName, PendingLock, Relock, Result, SpecFile};
use assemble_types::{Event, Observer, counted};

use super::Session;
use crate::args::{InputArgs, LockArgs, UpdateArgs};
use crate::network_args::NetworkArgs;
use crate::{json, settings};

pub(crate) fn run(args: &LockArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let how = Relock { moves: Moves::Nothing, deep: args.deep };
    let result = relock(args.spec.as_deref(), &args.input, &args.network, &how, &session);
    session.end(result.map(|report| if args.report.json { json::lock(&report) } else { String::new() }))
}

pub(crate) fn update(args: &UpdateArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = no_spec_among(args).and_then(|()| moves(&args.packages)).and_then(|moves| {
        let how = Relock { moves, deep: false };
        relock(args.spec.as_deref(), &args.input, &args.network, &how, &session)
    });
    session.end(result.map(|report| if args.report.json { json::lock(&report) } else { moved(&report) }))
}

/// A spec in the place of a package, and a default spec that is not there: the command with `--spec` was meant.
fn no_spec_among(args: &UpdateArgs) -> Result<()> {
    if args.spec.is_some() {
        return Ok(());
    }
    let is_spec = |name: &&String| {
        let end = Path::new(name.as_str()).extension().unwrap_or_default();
        ["yaml", "yml", "lock"].iter().any(|one| end.eq_ignore_ascii_case(one))
    };
    let packages: Vec<&str> =
        args.packages.iter().filter(|name| !is_spec(name)).map(String::as_str).collect();
    let command = ["assemble update"].iter().chain(&packages).copied().collect::<Vec<_>>().join(" ");
    if let Some(spec) = args.packages.iter().find(is_spec) {
        let error =
            assemble::usage_error(&format!("`{spec}` is no package: the arguments of `update` are packages"));
        let spec = Path::new(spec).with_extension("yaml");
        return Err(error.hint(format!("name the spec by an option: {command} --spec {}", spec.display())));
    }
    if !Path::new(assemble::DEFAULT_SPEC).exists() {
        let error =
            assemble::usage_error(&format!("there is no {} here, and no --spec", assemble::DEFAULT_SPEC));
        return Err(error.hint(format!("name the spec: {command} --spec SPEC")));
    }
    Ok(())
}

fn moves(packages: &[String]) -> Result<Moves> {
    if packages.is_empty() {
        return Ok(Moves::Everything);
    }
    let parse = |name: &String| PackageName::parse(name).map_err(|e| assemble::usage_error(&e.to_string()));
    Ok(Moves::Named(packages.iter().map(parse).collect::<Result<_>>()?))
}

fn relock(
    spec: Option<&Path>,
    input: &InputArgs,
    network: &NetworkArgs,
    how: &Relock,
    session: &Session,
) -> Result<LockReport> {
    let file = SpecFile::load(spec)?;
    let options = settings::build_options(input, &[])?;
    let http = settings::http(&network.registry)?;
    let observer = session.observer();
    let mut env = settings::env(network, None, &http, &observer)?;
    env.program = settings::program();
    let report = assemble::lock(&file, &options, &env, how)?;
    session.tell(&summary(&report, &file));
    Ok(report)
}

/// The packages that moved, a line each.
fn moved(report: &LockReport) -> String {
    report.difference.packages().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn summary(report: &LockReport, file: &SpecFile) -> String {
    let packages = |count| counted(count, "package", "packages");
    let images: Vec<String> = report
        .images
        .iter()
        .map(|(platform, count)| format!("{} for {platform}", packages(*count)))
        .collect();
    let state = if report.written { "written" } else { "fits" };
    let mut text = format!("{}: {state}, {}\n", report.path.display(), images.join(", "));
    for change in report.difference.changes.iter().take(200) {
        let _ = writeln!(text, "  {change}");
    }
    for name in &report.released {
        let _ = writeln!(text, "  {name} could not stay as it was");
    }
    for held in &report.held {
        let with: Vec<String> = held.with.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "  {} stays at {}: {} needs others to move as well: assemble update {} {} --spec {}",
            held.name,
            held.at,
            held.newest,
            held.name,
            with.join(" "),
            file.shown
        );
    }
    text
}

/// Writes the lock that a build found to be another. A build is no failure because that cannot be written.
pub(super) fn after_build(lock: &PendingLock, observer: &dyn Observer) {
    let path = lock.path.display();
    if let Err(error) = lock.write() {
        observer.event(Event::Warning(format!("{path} should be another, and was not written: {error}")));
        return;
    }
    if let Some(warning) = lock.difference.warning() {
        observer.event(Event::Warning(warning));
    }
    let changes: Vec<String> = lock.difference.changes.iter().map(ToString::to_string).collect();
    observer.event(Event::Note(match changes.len() {
        0 => format!("{path}: the digests of the layers were written down"),
        1..=8 => format!("{path} was written anew: {}", changes.join("; ")),
        many => {
            let more = counted(many - 8, "more change", "more changes");
            format!("{path} was written anew: {}; and {more}", changes[..8].join("; "))
        }
    }));
}
