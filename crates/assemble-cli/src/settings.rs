//! What the arguments and the environment mean together. This is the only place that reads the environment.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use assemble::{
    AlpineReleasesList, BuildOptions, Compression, Created, Credential, CredentialSources, Env, FetchOptions,
    Fetcher, FoundCredentials, Http, HttpOptions, Load, LockUse, Mode, NetrcFile, PlainHttp, ProxySettings,
    PushMemory, Reference, Registry, RegistryOptions, Result, RunMemory, SizeLimits, StartCheck, Store,
    StoreMemory, Trust,
};
use assemble_types::{Event, Observer};

use crate::args::{CompressionArg, CompressionArgs, CreatedArg, InputArgs, LockUseArgs, StartCheckArg};
use crate::network_args::{NetworkArgs, RegistryArgs};

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The number of threads where none is asked for.
pub(crate) fn default_threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What the arguments say about a build.
pub(crate) fn build_options(input: &InputArgs, tags: &[String]) -> Result<BuildOptions> {
    Ok(BuildOptions {
        mode: Mode::Assemble,
        build_date: None,
        build_date_text: None,
        platforms: input.platform.clone(),
        tags: tags.iter().map(|tag| Reference::parse(tag).map_err(Into::into)).collect::<Result<_>>()?,
        compression: Compression::default(),
        created: match input.created {
            CreatedArg::Inputs => Created::Inputs,
            CreatedArg::Commit => Created::Commit,
        },
        source_date_epoch: std::env::var("SOURCE_DATE_EPOCH").ok(),
        start_check: match input.start_check {
            StartCheckArg::Refuse => StartCheck::Refuse,
            StartCheckArg::Warn => StartCheck::Warn,
            StartCheckArg::Off => StartCheck::Off,
        },
        alpine_releases: alpine_releases(),
        trust: if input.allow_untrusted { Trust::AllowUntrusted } else { Trust::Required },
        lock: LockUse::Ignore,
        vendor: None,
        limits: SizeLimits::default(),
        apko_lock: input.lockfile.clone(),
    })
}

/// Which list of Alpine's keys counts: a mirror has a copy, or has keys of its own.
pub(crate) fn alpine_releases() -> AlpineReleasesList {
    match variable("ASSEMBLE_ALPINE_RELEASES") {
        None => AlpineReleasesList::Public,
        Some(text) if text == "off" => AlpineReleasesList::Off,
        Some(text) => AlpineReleasesList::At(text),
    }
}

/// The same with what the arguments say about compression.
pub(crate) fn with_compression(options: BuildOptions, how: &CompressionArgs) -> BuildOptions {
    let compression = match how.compression {
        CompressionArg::Gzip => Compression::Gzip,
        CompressionArg::Zstd => Compression::Zstd,
    };
    BuildOptions { compression, ..options }
}

/// The same with what the arguments say about locks.
pub(crate) fn with_lock(options: BuildOptions, lock: &LockUseArgs) -> BuildOptions {
    let used = match (lock.locked, lock.ignore_lock) {
        (true, _) => LockUse::Locked,
        (_, true) => LockUse::Ignore,
        _ => LockUse::Beside,
    };
    BuildOptions { lock: used, vendor: lock.vendor.clone(), ..options }
}

/// HTTP as the arguments want it; no socket is opened yet.
pub(crate) fn http(network: &RegistryArgs) -> Result<Arc<Http>> {
    let options = HttpOptions {
        ca_files: network.ca_file.clone(),
        insecure_skip_tls_verify: network.insecure_skip_tls_verify,
        proxies: ProxySettings::of_variables(|name| std::env::var(name).ok()),
        user_agent: concat!("assemble/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..HttpOptions::default()
    };
    Ok(Arc::new(Http::new(options)?))
}

/// The cache alone, for looking after it.
pub(crate) fn store(folder: Option<PathBuf>, observer: &Arc<dyn Observer>) -> Result<Store> {
    let args = RegistryArgs { ca_file: Vec::new(), plain_http: Vec::new(), insecure_skip_tls_verify: false };
    let network = NetworkArgs { offline: true, cache_dir: folder, cache_plain: false, registry: args };
    Ok(env(&network, None, &http(&network.registry)?, observer)?.fetcher.store())
}

/// The folder of the cache: the flag, `ASSEMBLE_CACHE`, the platform's convention.
pub(crate) fn cache_dir(network: &NetworkArgs) -> Option<PathBuf> {
    network.cache_dir.clone().or_else(|| path_variable("ASSEMBLE_CACHE")).or_else(|| {
        let variable = |name| std::env::var_os(name);
        assemble::platform_cache_dir(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref())
    })
}

/// What a build needs of the outside world.
pub(crate) fn env(
    network: &NetworkArgs,
    threads: Option<NonZeroUsize>,
    http: &Arc<Http>,
    observer: &Arc<dyn Observer>,
) -> Result<Env> {
    env_fetching(true, network, threads, http, observer)
}

/// The same, where packages come from the cache only unless `fetch`.
pub(crate) fn env_fetching(
    fetch: bool,
    network: &NetworkArgs,
    threads: Option<NonZeroUsize>,
    http: &Arc<Http>,
    observer: &Arc<dyn Observer>,
) -> Result<Env> {
    let fetcher = Fetcher::new(FetchOptions {
        cache_dir: cache_dir(network),
        offline: network.offline,
        http: Arc::clone(http),
        observer: Arc::clone(observer),
    })?
    .with_divider(assemble::package_divider)
    .fetching_contents(fetch)
    .with_credentials(repository_credentials(observer.as_ref()));
    Ok(Env {
        fetcher: Arc::new(fetcher),
        observer: Arc::clone(observer),
        threads: threads.unwrap_or_else(default_threads),
        cache_plain: network.cache_plain,
        program: None,
    })
}

/// Which program this is, to what it keeps: another file is another program, even of the same version.
pub(crate) fn program() -> Option<String> {
    let meta = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    let modified = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("assemble {} {} {}", env!("CARGO_PKG_VERSION"), meta.len(), modified.as_nanos()))
}

/// Whether, and to whom, an image is handed.
pub(crate) fn load(wanted: bool) -> Load {
    match wanted {
        false => Load::No,
        // Whoever names a daemon means that daemon.
        true if variable("DOCKER_HOST").is_some() => Load::Docker,
        true => Load::Any,
    }
}

/// The registry client, unless no connection may be opened.
pub(crate) fn registry_unless_offline(
    network: &NetworkArgs,
    http: &Arc<Http>,
    observer: &Arc<dyn Observer>,
) -> Option<Registry> {
    (!network.offline).then(|| registry(&network.registry, http, observer))
}

/// The registry client.
pub(crate) fn registry(network: &RegistryArgs, http: &Arc<Http>, observer: &Arc<dyn Observer>) -> Registry {
    registry_with(network, http, observer, Arc::new(RunMemory::default()))
}

/// The registry client of those who push; what was pushed is remembered in the cache, if there is one.
pub(crate) fn pushing_registry(
    network: &RegistryArgs,
    http: &Arc<Http>,
    observer: &Arc<dyn Observer>,
    cache: Option<Store>,
) -> Registry {
    let memory: Arc<dyn PushMemory> = match cache {
        Some(store) => Arc::new(StoreMemory::new(store)),
        None => Arc::new(RunMemory::default()),
    };
    registry_with(network, http, observer, memory)
}

fn registry_with(
    network: &RegistryArgs,
    http: &Arc<Http>,
    observer: &Arc<dyn Observer>,
    memory: Arc<dyn PushMemory>,
) -> Registry {
    let all = network.plain_http.iter().any(|host| host == "*");
    let hosts: BTreeSet<String> = network.plain_http.iter().filter(|host| *host != "*").cloned().collect();
    let tls_here = network.insecure_skip_tls_verify || !network.ca_file.is_empty();
    Registry::new(RegistryOptions {
        http: Arc::clone(http),
        credentials: credentials(),
        plain_http: PlainHttp { all, hosts, tls_here },
        observer: Arc::clone(observer),
        parallelism: 0,
        memory,
    })
}

/// Passwords of package repositories. What is wrong with where they stand is told, not fatal: they may not be needed.
fn repository_credentials(observer: &dyn Observer) -> Vec<Credential> {
    let netrc = path_variable("NETRC")
        .map(NetrcFile::Named)
        .or_else(|| path_variable("HOME").map(|home| NetrcFile::Usual(home.join(".netrc"))));
    let found = FoundCredentials::gather(variable("HTTP_AUTH").as_deref(), netrc.as_ref());
    for warning in found.warnings {
        observer.event(Event::Warning(warning));
    }
    found.credentials
}

fn credentials() -> CredentialSources {
    let home = path_variable("HOME");
    CredentialSources {
        docker_config_dir: path_variable("DOCKER_CONFIG"),
        docker_auth_config: variable("DOCKER_AUTH_CONFIG"),
        registry_auth_file: path_variable("REGISTRY_AUTH_FILE"),
        xdg_runtime_dir: path_variable("XDG_RUNTIME_DIR"),
        xdg_config_home: path_variable("XDG_CONFIG_HOME"),
        home,
        github_token: variable("GITHUB_TOKEN"),
        github_actor: variable("GITHUB_ACTOR"),
        helper_path: std::env::var_os("PATH"),
        ..CredentialSources::default()
    }
}
