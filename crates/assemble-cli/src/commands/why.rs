//! `assemble why`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{ChoicePath, ChosenPackages, Result};

use super::{Session, chosen};
use crate::args::WhyArgs;
use crate::json;
use crate::render::printable_line;

pub(crate) fn run(args: &WhyArgs) -> ExitCode {
    let session = Session::new(&args.look.report);
    let result = why(args, &session);
    session.end(result)
}

fn why(args: &WhyArgs, session: &Session) -> Result<String> {
    let all = chosen(Some(&args.spec), &args.look, session)?;
    let found: Vec<(&ChosenPackages, usize)> = all
        .iter()
        .flat_map(|one| one.find(&args.package).into_iter().map(move |place| (one, place)))
        .collect();
    if found.is_empty() {
        let count = all.iter().map(|one| one.packages.len()).max().unwrap_or(0);
        return Err(assemble::usage_error(&format!(
            "{} is not among the {count} packages of {}, and none of them provides it; \
             `assemble packages` lists them",
            printable_line(&args.package),
            args.spec.display()
        )));
    }
    if args.look.report.json {
        return Ok(json::why(&found));
    }
    let mut out = String::new();
    for (one, place) in found {
        let package = &one.packages[place];
        let _ = writeln!(
            out,
            "{}: {}",
            one.platform,
            printable_line(&format!("{}-{}", package.name, package.version))
        );
        for path in one.why(place) {
            let _ = writeln!(out, "  {}", chain(one, &path));
        }
    }
    Ok(out)
}

/// `entry: package -> package (for what) -> …`
fn chain(one: &ChosenPackages, path: &ChoicePath) -> String {
    let mut out = format!("{}: ", path.entry);
    for (number, step) in path.steps.iter().enumerate() {
        let package = &one.packages[step.to];
        let shown = format!("{}-{}", package.name, package.version);
        if number == 0 {
            out += &shown;
        } else {
            let _ = write!(out, " -> {shown} ({})", step.constraint);
        }
    }
    printable_line(&out)
}
