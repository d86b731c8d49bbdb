//! `assemble apko`: apko's command line in front of the library. Every error exits with 1, as apko's do.

mod args;

use std::path::Path;
use std::process::ExitCode;

use assemble::apko::{self, ApkoRequest, PackageFormat};
use assemble::{Env, Result, SizeLimits};
use assemble_types::Event;

pub(crate) use args::ApkoArgs;

use args::{
    ApkoCommand, BuildArgs, CacheArgs, DotArgs, ImageArgs, LimitArgs, LockArgs, LookArgs, MinirootfsArgs,
    PublishArgs, ShowConfigArgs, ShowPackagesArgs, SourceArgs, values,
};

use crate::args::ReportArgs;
use crate::commands::Session;
use crate::network_args::{NetworkArgs, RegistryArgs};
use crate::{settings, summary};

/// The release of apko that this follows.
const FOLLOWED: &str = "1.2.9";
/// The commit of apko that this follows.
const FOLLOWED_COMMIT: &str = "d1b5d5ec7633ad7288e5841b38fc8103a9773436";

const NO_EROFS: &str = "layers are tars, which every runtime reads; EROFS layers are an experiment of apko's";
const NO_WEB: &str = "no server is started and no browser opened: pipe the output to `dot -Tsvg`";
const NO_LOCAL: &str = "use `assemble apko build` and `docker load`, or `assemble build --load`";
const NO_CPIO: &str = "initramfs archives are not made; `build-minirootfs` writes the same tree as a tar";
const NO_LOGIN: &str = "use `assemble login`, which stores passwords at the same place";
const NO_CLEAN: &str = "the cache is a folder of its own that other commands use, too: remove it by hand";
const NO_KEYS: &str = "keys of the host are left alone: `apk` manages them";

/// Runs a command of apko to its exit code.
pub(crate) fn run(args: &ApkoArgs) -> ExitCode {
    let quiet = !matches!(args.log_level.to_ascii_lowercase().as_str(), "debug" | "info");
    let session = Session::speaking(&ReportArgs { json: false, quiet }, in_apkos_words);
    let moved = match &args.workdir {
        Some(folder) => std::env::set_current_dir(folder)
            .map_err(|source| assemble::io_error(folder, "cannot be entered", source)),
        None => Ok(()),
    };
    let code = session.end(moved.and_then(|()| command(&args.command, &session)));
    if code == ExitCode::SUCCESS { code } else { ExitCode::FAILURE }
}

/// Flags as apko calls them: the library's hints name ours.
fn in_apkos_words(text: &str) -> String {
    const FLAGS: [(&str, &str); 5] = [
        (
            "`--ca-file FILE` names who signed its certificate, `--insecure-skip-tls-verify` takes any",
            "`assemble push`, which can be told of certificates, sends what `build` writes",
        ),
        ("--allow-untrusted", "--ignore-signatures"),
        ("name that with --ca-file FILE", "name that in SSL_CERT_FILE"),
        ("--platform", "--arch"),
        ("--ca-file", "SSL_CERT_FILE"),
    ];
    FLAGS.iter().fold(text.to_owned(), |text, (ours, apkos)| text.replace(ours, apkos))
}

/// What goes to standard output.
fn command(command: &ApkoCommand, session: &Session) -> Result<String> {
    match command {
        ApkoCommand::Build(args) => build(args, session),
        ApkoCommand::Publish(args) => publish(args, session),
        ApkoCommand::Lock(args) => lock(args, "lock.json", session),
        ApkoCommand::Resolve(args) => {
            session.observer().event(Event::Warning("`resolve` is the old name of `lock`".into()));
            lock(args, "resolved.json", session)
        }
        ApkoCommand::ShowConfig(args) => show_config(args),
        ApkoCommand::ShowPackages(args) => show_packages(args, session),
        ApkoCommand::Dot(args) => dot(args, session),
        ApkoCommand::BuildMinirootfs(args) => minirootfs(args, session),
        ApkoCommand::Version(args) => Ok(version(args.json)),
        ApkoCommand::BuildCpio(_) => Err(apko::refused("`build-cpio`", NO_CPIO)),
        ApkoCommand::Login(_) => Err(apko::refused("`apko login`", NO_LOGIN)),
        ApkoCommand::Clean(_) => Err(apko::refused("`clean`", NO_CLEAN)),
        ApkoCommand::InstallKeys(_) => Err(apko::refused("`install-keys`", NO_KEYS)),
        ApkoCommand::Erofs(_) => Err(apko::refused("`erofs`", NO_EROFS)),
    }
}

fn build(args: &BuildArgs, session: &Session) -> Result<String> {
    let mut request = image_request(&args.config, &args.image, session)?;
    request.include_paths = paths(&args.include.include_paths);
    request.limits = limits(&args.limits);
    let env = env(&args.image.look.cache, args.image.look.offline.offline, session)?;
    let start = std::time::Instant::now();
    let built = apko::build(&request, &args.tag, &args.out, &env)?;
    session.tell(&summary::build(&built, &assemble::Published::default(), start.elapsed()));
    Ok(String::new())
}

fn publish(args: &PublishArgs, session: &Session) -> Result<String> {
    if args.local {
        return Err(apko::refused("`publish --local`", NO_LOCAL));
    }
    let request = image_request(&args.config, &args.image, session)?;
    let (http, observer) = (settings::http(&registry_args())?, session.observer());
    let env = env(&args.image.look.cache, args.image.look.offline.offline, session)?;
    let cache = Some(env.fetcher.store());
    let registry = settings::pushing_registry(&registry_args(), &http, &observer, cache);
    let start = std::time::Instant::now();
    let (built, published) = apko::publish(&request, &args.tags, registry, &env)?;
    session.tell(&summary::build(&built, &published, start.elapsed()));
    let references = apko::published_references(&built);
    if !args.image_refs.is_empty() {
        let text = format!("{}\n", references.join("\n"));
        assemble::write_file(Path::new(&args.image_refs), text.as_bytes())?;
    }
    Ok(references.last().cloned().unwrap_or_default())
}

fn lock(args: &LockArgs, ending: &str, session: &Session) -> Result<String> {
    let request = ApkoRequest {
        archs: values(&args.archs.arch),
        include_paths: paths(&args.include.include_paths),
        ignore_signatures: args.signatures.ignore_signatures,
        ..request(&args.config, &args.sources)
    };
    let bytes = apko::lock(&request, &env(&args.cache, false, session)?)?;
    let path = match args.output.as_str() {
        "" => apko::default_lock_path(&args.config, ending),
        given => given.into(),
    };
    assemble::write_file(&path, &bytes)?;
    Ok(String::new())
}

fn show_config(args: &ShowConfigArgs) -> Result<String> {
    apko::show_config(&request(&args.config, &args.sources))
}

fn show_packages(args: &ShowPackagesArgs, session: &Session) -> Result<String> {
    let format = PackageFormat::parse(&args.format)?;
    let (request, env) = looking(&args.config, &args.look, session)?;
    apko::show_packages(&request, &format, &env)
}

fn dot(args: &DotArgs, session: &Session) -> Result<String> {
    if args.web {
        return Err(apko::refused("`dot --web`", NO_WEB));
    }
    let (request, env) = looking(&args.config, &args.look, session)?;
    // apko prints an empty line behind the graph.
    apko::dot(&request, args.spanning_tree, &env).map(|graph| graph + "\n")
}

fn minirootfs(args: &MinirootfsArgs, session: &Session) -> Result<String> {
    let archs = if args.build_arch.is_empty() { Vec::new() } else { vec![args.build_arch.clone()] };
    let request = ApkoRequest {
        archs,
        packages: values(&args.package_append),
        build_date: args.build_date.clone(),
        ignore_signatures: args.signatures.ignore_signatures,
        limits: limits(&args.limits),
        ..request(&args.config, &args.sources)
    };
    let env = env(&CacheArgs::default(), false, session)?;
    apko::build_minirootfs(&request, &args.out, &env)?;
    Ok(String::new())
}

/// The release of apko that is followed, and our own behind it: scripts compare the first.
fn version(json: bool) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let fields = [
        ("gitVersion", "GitVersion", format!("v{FOLLOWED}+assemble.{own}")),
        ("gitCommit", "GitCommit", FOLLOWED_COMMIT.to_owned()),
        ("gitTreeState", "GitTreeState", "clean".to_owned()),
        ("buildDate", "BuildDate", "unknown".to_owned()),
        ("goVersion", "GoVersion", "none".to_owned()),
        ("compiler", "Compiler", "rustc".to_owned()),
        ("platform", "Platform", platform),
    ];
    if json {
        let members: Vec<String> = fields
            .iter()
            .map(|(key, _, value)| format!("  {}: {}", serde_json::json!(key), serde_json::json!(value)))
            .collect();
        return format!("{{\n{}\n}}\n", members.join(",\n"));
    }
    let lines = fields.iter().map(|(_, name, value)| format!("{:<15}{value}\n", format!("{name}:")));
    format!("assemble, in place of apko\n\n{}", lines.collect::<String>())
}

fn request(config: &Path, sources: &SourceArgs) -> ApkoRequest {
    ApkoRequest {
        config: config.to_owned(),
        keyring: values(&sources.keyring_append),
        repositories: values(&sources.repository_append),
        build_repositories: values(&sources.build_repository_append),
        source_date_epoch: std::env::var("SOURCE_DATE_EPOCH").ok(),
        alpine_releases: settings::alpine_releases(),
        ..ApkoRequest::default()
    }
}

fn looking(config: &Path, args: &LookArgs, session: &Session) -> Result<(ApkoRequest, Env)> {
    let request = ApkoRequest { archs: values(&args.archs.arch), ..request(config, &args.sources) };
    Ok((request, env(&args.cache, args.offline.offline, session)?))
}

fn image_request(config: &Path, args: &ImageArgs, session: &Session) -> Result<ApkoRequest> {
    match args.format.as_str() {
        "" | "tar" => {}
        "erofs" => return Err(apko::refused("`--format erofs`", NO_EROFS)),
        other => return Err(assemble::usage_error(&format!("--format `{other}`: only tar is known"))),
    }
    if args.sbom || !args.sbom_path.is_empty() || !args.sbom_formats.is_empty() {
        session
            .observer()
            .event(Event::Warning("SBOMs are not written yet (--sbom=false says nothing)".into()));
    }
    Ok(ApkoRequest {
        packages: values(&args.package_append),
        archs: values(&args.look.archs.arch),
        annotations: values(&args.annotations),
        lockfile: Some(args.lockfile.as_str()).filter(|path| !path.is_empty()).map(Into::into),
        vcs: args.vcs,
        build_date: args.build_date.clone(),
        ignore_signatures: args.signatures.ignore_signatures,
        ..request(config, &args.look.sources)
    })
}

fn paths(lists: &[args::List]) -> Vec<std::path::PathBuf> {
    values(lists).into_iter().map(Into::into).collect()
}

/// 0 is the default, and whatever is negative no limit.
fn limits(args: &LimitArgs) -> SizeLimits {
    let limit = |value: i64| match value {
        0 => None,
        value => Some(u64::try_from(value).unwrap_or(u64::MAX)),
    };
    SizeLimits {
        index: limit(args.max_apkindex_decompressed_size),
        control: limit(args.max_apk_control_size),
        data: limit(args.max_apk_data_size),
        response: limit(args.max_http_response_size),
    }
}

fn registry_args() -> RegistryArgs {
    RegistryArgs { ca_file: Vec::new(), plain_http: Vec::new(), insecure_skip_tls_verify: false }
}

fn env(cache: &CacheArgs, offline: bool, session: &Session) -> Result<Env> {
    let cache_dir = Some(cache.cache_dir.as_str()).filter(|dir| !dir.is_empty()).map(Into::into);
    let network = NetworkArgs { offline, cache_dir, cache_plain: false, registry: registry_args() };
    let http = settings::http(&network.registry)?;
    let env = settings::env(&network, None, &http, &session.observer())?;
    Ok(Env { program: settings::program(), ..env })
}
