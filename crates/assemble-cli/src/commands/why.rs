//! `assemble why`

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use assemble::{ChoicePath, ChosenPackages, Result};
use assemble_types::counted;

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
    if !args.spec.exists() && Path::new(&args.package).is_file() {
        let (spec, package) = (args.spec.display(), printable_line(&args.package));
        let swapped = assemble::usage_error(&format!("`{spec}` is no file here, and `{package}` is one"));
        return Err(swapped.hint(format!("the spec comes first: assemble why {package} {spec}")));
    }
    let all = chosen(Some(&args.spec), &args.look, session)?;
    let found: Vec<(&ChosenPackages, usize)> = all
        .iter()
        .flat_map(|one| one.find(&args.package).into_iter().map(move |place| (one, place)))
        .collect();
    if found.is_empty() {
        let count = all.iter().map(|one| one.packages.len()).max().unwrap_or(0);
        let (spec, package) = (args.spec.display(), printable_line(&args.package));
        let count = counted(count, "package", "packages");
        let error = assemble::usage_error(&format!(
            "{package} is not among the {count} of {spec}, and none of them provides it"
        ));
        let near = all.iter().find_map(|one| one.nearest(&args.package));
        let error = match near {
            Some(near) => error.hint(format!("did you mean `{}`?", printable_line(near))),
            None => error,
        };
        return Err(error.hint(format!("see what is there: assemble packages {spec}")));
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
