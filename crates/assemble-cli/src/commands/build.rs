//! `assemble build`

use std::process::ExitCode;
use std::time::Instant;

use assemble::{Output, PublishOptions, Result, SpecFile};

use super::{Session, write_file};
use crate::args::BuildArgs;
use crate::{json, settings, summary};

pub(crate) fn run(args: &BuildArgs) -> ExitCode {
    let session = Session::new(&args.report);
    let result = build(args, &session);
    session.end(result)
}

fn build(args: &BuildArgs, session: &Session) -> Result<String> {
    let start = Instant::now();
    let file = SpecFile::load(args.spec.as_deref())?;
    let options = settings::with_lock(settings::build_options(&args.input, &args.tag)?, &args.lock);
    let options = settings::with_compression(options, &args.compression);
    let output = match args.output.as_deref() {
        Some("none") => None,
        Some(text) => Some(Output::parse(text)?),
        None if args.push || args.load => None,
        None => Some(Output::Layout(format!("{}.oci", file.name).into())),
    };
    if args.push && args.network.offline {
        return Err(assemble::usage_error("--push opens connections, and --offline forbids them"));
    }
    let http = settings::http(&args.network.registry)?;
    let observer = session.observer();
    let mut env = settings::env(&args.network, args.threads, &http, &observer)?;
    env.program = settings::program().filter(|_| !args.rebuild);
    let publish = PublishOptions {
        output,
        push: args.push.then(|| {
            let cache = Some(env.fetcher.store());
            settings::pushing_registry(&args.network.registry, &http, &observer, cache)
        }),
        load: settings::load(args.load),
    };
    // What can be refused without building is refused first.
    publish.check(&file, &options)?;
    let (built, published) = assemble::build_and_publish(&file, &options, &publish, &env)?;
    if let Some(lock) = built.lock.as_ref().filter(|_| !args.lock.keep_lock) {
        super::lock::after_build(lock, observer.as_ref());
    }
    if let Some(path) = &args.digest_file {
        write_file(path, &format!("{}\n", built.set.digest()))?;
    }
    if let Some(path) = &args.image_refs {
        write_file(path, &published.references(&built).join("\n"))?;
    }
    let took = start.elapsed();
    session.tell(&summary::build(&built, &published, took));
    if args.report.json {
        return Ok(json::build(&built, &published, took));
    }
    Ok(match published.pushed.first() {
        Some(push) => push.reference.clone(),
        None => built.set.digest().to_string(),
    })
}
