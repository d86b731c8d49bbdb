//! `assemble push`

use std::process::ExitCode;
use std::sync::Arc;

use assemble::{ImageSet, Reference, Result};
use assemble_types::{Observer, Silent, counted};

use super::{Session, write_file};
use crate::args::PushArgs;
use crate::{json, settings};

pub(crate) fn run(args: &PushArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = push(args, &session);
    session.end(result)
}

fn push(args: &PushArgs, session: &Session) -> Result<String> {
    let reference = Reference::parse(&args.reference)?;
    let set = ImageSet::open(&args.image)?;
    let http = settings::http(&args.registry)?;
    // What is wrong with the cache does not matter here.
    let quiet: Arc<dyn Observer> = Arc::new(Silent);
    let cache = settings::store(None, &quiet).ok();
    let registry = settings::pushing_registry(&args.registry, &http, &session.observer(), cache);
    let report = assemble::push(&registry, &set, &[reference])?;
    if let Some(path) = &args.digest_file {
        write_file(path, &format!("{}\n", report.digest))?;
    }
    session.tell(&format!(
        "pushed {} ({} sent, {} there already)",
        report.reference,
        counted(report.blobs_sent, "blob", "blobs"),
        report.blobs_present
    ));
    Ok(if args.report.json { json::push(&report) } else { report.reference.clone() })
}
