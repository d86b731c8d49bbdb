//! `assemble cache`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{CachePart, Prune, Result};
use assemble_types::counted;

use super::Session;
use crate::args::ReportArgs;
use crate::cache_args::{CacheArgs, CacheCommand};
use crate::summary::size;
use crate::{json, settings};

pub(crate) fn run(args: &CacheArgs) -> ExitCode {
    let session = Session::new(&ReportArgs { json: args.json, quiet: args.quiet });
    if let Some(CacheCommand::Verify) = args.command {
        return verify(args, &session);
    }
    let result = cache(args, &session);
    session.end(result)
}

fn cache(args: &CacheArgs, session: &Session) -> Result<String> {
    let store = settings::store(args.cache_dir.clone(), &session.observer())?;
    match &args.command {
        None => {
            let sizes = store.sizes()?;
            if args.json {
                return Ok(json::cache_sizes(store.folder().as_deref(), &sizes));
            }
            let mut text = String::new();
            if let Some(folder) = store.folder() {
                let _ = writeln!(text, "{}", folder.display());
            }
            for part in &sizes {
                let _ = writeln!(
                    text,
                    "{:<11} {:>8}  {:>6} files",
                    name(part.part),
                    size(part.bytes),
                    part.files
                );
            }
            let all = sizes.iter().map(|part| part.bytes).sum();
            let _ = write!(text, "{:<11} {:>8}", "all", size(all));
            Ok(text)
        }
        Some(CacheCommand::Prune { unused_for, max_size }) => {
            if unused_for.is_none() && max_size.is_none() {
                return Err(assemble::usage_error(
                    "nothing says what to remove: --unused-for 30d, --max-size 5G",
                ));
            }
            let (files, bytes) = store.prune(&Prune { unused_for: *unused_for, max_size: *max_size })?;
            if args.json {
                return Ok(json::cache_pruned(files, bytes));
            }
            session.tell(&format!("removed {}, {}", counted(files, "file", "files"), size(bytes)));
            Ok(String::new())
        }
        // It fails with what it found, see `verify`.
        Some(CacheCommand::Verify) => Ok(String::new()),
    }
}

/// Damage is a failure, though it is gone: who runs this wants to know.
fn verify(args: &CacheArgs, session: &Session) -> ExitCode {
    let store = settings::store(args.cache_dir.clone(), &session.observer());
    let checked = match store.and_then(|store| assemble::check_cache(&store)) {
        Ok(checked) => checked,
        Err(error) => return session.fail(&error, None),
    };
    for (what, paths) in [
        ("damaged, removed", &checked.damaged),
        ("damaged, cannot be removed", &checked.stuck),
        ("cannot be read", &checked.unread),
    ] {
        for path in paths {
            session.tell(&format!("{what}: {}", path.display()));
        }
    }
    let read = counted(checked.files, "file", "files");
    let mut summary = format!("{read} read, {} damaged", checked.damaged.len() + checked.stuck.len());
    if checked.halves > 0 {
        let halves = counted(checked.halves, "package", "packages");
        let _ = write!(summary, "; {halves} removed, whose second half was pruned");
    }
    session.tell(&summary);
    let document = json::cache_checked(&checked);
    match assemble::damaged_cache(&checked) {
        Some(error) => session.fail(&error, Some(&document)),
        None => session.end(Ok(if args.json { json::finish(document) } else { String::new() })),
    }
}

/// What a part is called.
pub(crate) fn name(part: CachePart) -> &'static str {
    match part {
        CachePart::Packages => "packages",
        CachePart::Documents => "documents",
        CachePart::Layers => "layers",
        CachePart::Sections => "sections",
        CachePart::Lines => "lines",
        CachePart::Records => "records",
        CachePart::Unfinished => "unfinished",
    }
}
