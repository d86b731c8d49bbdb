//! The clients that every transfer of the workspace goes through.

mod error;
mod retry;
mod tls;
mod zone;

use std::fmt;
use std::future::Future;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::{Builder, Runtime};

pub use error::HttpError;
pub(crate) use retry::http_date;
pub use retry::{
    GiveUp, REFUSED_TRIES, RetryDecision, RetryPolicy, is_refused, is_transient_status, jitter_seed,
    retry_delay,
};
pub use tls::TlsTrouble;
pub(crate) use tls::tls_error;
pub use zone::{is_this_machine, may_lead_to};

/// A CA file larger than this is not one; Mozilla's whole list has a quarter of a megabyte.
const CA_FILE_LIMIT: u64 = 16 << 20;

/// Hosts that never go through a proxy, whatever `NO_PROXY` says: a proxy elsewhere would reach another machine.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// How to speak HTTP. The default suits everything but tests.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// PEM files whose certificates are trusted besides the host's own.
    pub ca_files: Vec<PathBuf>,
    /// Takes any certificate. For the user to ask for, never for us to choose.
    pub insecure_skip_tls_verify: bool,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long a connection may take, name look-up and TLS included.
    pub connect_timeout: Duration,
    /// How long a transfer may pass no byte. There is no limit on the whole.
    pub stall_timeout: Duration,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// Which proxies to use.
    pub proxies: ProxySettings,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            insecure_skip_tls_verify: false,
            user_agent: concat!("assemble/", env!("CARGO_PKG_VERSION")).into(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_mins(1),
            retry: RetryPolicy::default(),
            proxies: ProxySettings::default(),
        }
    }
}

/// Proxies, in curl's meaning of the variables of the same names. Its `Debug` form shows no value.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// `HTTP_PROXY`: for `http:` URLs.
    pub http: Option<String>,
    /// `HTTPS_PROXY`: for `https:` URLs.
    pub https: Option<String>,
    /// `ALL_PROXY`: for those the other two do not cover.
    pub all: Option<String>,
    /// `NO_PROXY`: hosts, domains and networks, with commas. Loopback never goes through a proxy.
    pub no_proxy: Option<String>,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy URL may hold a password.
        let set = |value: &Option<String>| value.is_some();
        f.debug_struct("ProxySettings")
            .field("http", &set(&self.http))
            .field("https", &set(&self.https))
            .field("all", &set(&self.all))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl ProxySettings {
    /// What the variables of an environment say, in upper or lower case. The HTTP client would read them itself, but
    /// cannot be told to leave loopback alone.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        // Under CGI a request's `Proxy:` header arrives as HTTP_PROXY.
        if variable("REQUEST_METHOD").is_some() {
            return Self::default();
        }
        let get = |upper: &str| {
            let set = variable(upper).or_else(|| variable(&upper.to_ascii_lowercase()));
            set.filter(|value| !value.is_empty())
        };
        Self {
            http: get("HTTP_PROXY"),
            https: get("HTTPS_PROXY"),
            all: get("ALL_PROXY"),
            no_proxy: get("NO_PROXY"),
        }
    }

    fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, HttpError> {
        let except = match &self.no_proxy {
            Some(own) => format!("{NEVER_PROXIED},{own}"),
            None => NEVER_PROXIED.to_owned(),
        };
        let mut builder = builder.no_proxy();
        for (variable, value, make) in [
            ("HTTP_PROXY", &self.http, Proxy::http as fn(String) -> reqwest::Result<Proxy>),
            ("HTTPS_PROXY", &self.https, Proxy::https as fn(String) -> reqwest::Result<Proxy>),
            ("ALL_PROXY", &self.all, Proxy::all as fn(String) -> reqwest::Result<Proxy>),
        ] {
            if let Some(value) = value {
                let proxy = make(value.clone()).map_err(|_| HttpError::Proxy { variable })?;
                builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&except)));
            }
        }
        Ok(builder)
    }
}

/// HTTP clients and the small runtime they run on.
///
/// Making one does next to nothing: the runtime starts and the host's certificates are read at the first use. Share one
/// in an `Arc`; dropping the last does not wait for connections.
pub struct Http {
    options: HttpOptions,
    ca: Vec<CertificateDer<'static>>,
    runtime: OnceLock<Runtime>,
    client: OnceLock<Client>,
    upload_client: OnceLock<Client>,
    plain_client: OnceLock<Client>,
    near_client: OnceLock<Client>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Http {
    /// Checks the options and reads the CA files.
    ///
    /// # Errors
    /// A CA file that cannot be read or holds no usable certificate, a proxy that is no URL, a user agent that is no
    /// header value.
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race against another thread's installation is fine: one is there.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        HeaderValue::from_str(&options.user_agent).map_err(|_| HttpError::UserAgent)?;
        let mut ca = Vec::new();
        for path in &options.ca_files {
            ca.append(&mut read_ca_file(path)?);
        }
        drop(options.proxies.apply(Client::builder())?);
        Ok(Self {
            options,
            ca,
            runtime: OnceLock::new(),
            client: OnceLock::new(),
            upload_client: OnceLock::new(),
            plain_client: OnceLock::new(),
            near_client: OnceLock::new(),
        })
    }

    /// The client for everything but big request bodies: HTTP/2 where the server has it, no redirects (follow them by
    /// hand, knowing what may be sent where), no answer's encoding changed, the stall timeout on waiting for an answer
    /// and on every read of its body.
    pub fn client(&self) -> &Client {
        self.client
            .get_or_init(|| self.build_client(|builder| builder.read_timeout(self.options.stall_timeout)))
    }

    /// [`Http::client`], or for this machine's own servers that speak plain http one like it that trusts nobody, so that
    /// the host's certificates need not be read.
    pub fn client_for(&self, url: &reqwest::Url) -> &Client {
        if url.scheme() != "http" || !url.host_str().is_some_and(Self::is_loopback) {
            return self.client();
        }
        self.near_client.get_or_init(|| {
            self.build_plain_client(|builder| builder.read_timeout(self.options.stall_timeout))
        })
    }

    /// The client for big request bodies: HTTP/1.1 only, so that each upload has a connection of its own and the
    /// server's HTTP/2 window does not bound all of them together. It has **no** stall timeout, since waiting for the
    /// answer begins with the first byte sent: use [`Http::stall_timeout`] around the body's progress.
    pub fn upload_client(&self) -> &Client {
        self.upload_client.get_or_init(|| self.build_client(ClientBuilder::http1_only))
    }

    /// The client for this machine's own servers that speak plain http, whatever the body: as the one for big bodies,
    /// but it trusts nobody, so that the host's certificates need not be read.
    pub fn plain_client(&self) -> &Client {
        self.plain_client.get_or_init(|| self.build_plain_client(|builder| builder))
    }

    /// Runs a future to its end on this thread, with its tasks on the runtime. May be called from several threads, but
    /// never from inside a future.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    /// The runtime's handle, for spawning tasks.
    pub fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime().handle()
    }

    /// Whether the user named authorities to trust.
    pub fn has_own_ca(&self) -> bool {
        !self.ca.is_empty()
    }

    /// How long a transfer may pass no byte.
    pub fn stall_timeout(&self) -> Duration {
        self.options.stall_timeout
    }

    /// When and how often to try again.
    pub fn retry(&self) -> &RetryPolicy {
        &self.options.retry
    }

    /// Whether a host, with or without port, is this machine: `localhost`, names below it, 127.0.0.0/8 and `::1`.
    pub fn is_loopback(host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or(host),
            None => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => ip.to_canonical().is_loopback(),
            Ok(ip) => ip.is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("assemble-http")
                .enable_all()
                .build()
                // A host that gives no thread may still give what one without threads needs.
                .or_else(|_| Builder::new_current_thread().enable_all().build())
                .expect("a process that may open no epoll descriptor cannot have come this far")
        })
    }

    fn build_plain_client(&self, finish: impl Fn(ClientBuilder) -> ClientBuilder) -> Client {
        finish(self.base().http1_only().tls_certs_only(std::iter::empty())).build().expect(BUILDS)
    }

    fn build_client(&self, finish: impl Fn(ClientBuilder) -> ClientBuilder) -> Client {
        let build = |builder| finish(builder).build();
        let extra = || self.ca.iter().filter_map(|der| Certificate::from_der(der).ok());
        if self.options.insecure_skip_tls_verify {
            return build(self.base().tls_danger_accept_invalid_certs(true)).expect(BUILDS);
        }
        // Without extra roots an empty store of the host is an error, with them it is not: ask without.
        if let Ok(client) = build(self.base()) {
            if self.ca.is_empty() {
                return client;
            }
            if let Ok(client) = build(self.base().tls_certs_merge(extra())) {
                return client;
            }
        }
        // Who names a store in the environment means that one. If it is empty, nothing is trusted, and the first
        // connection says so.
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
        let embedded = if named { &[][..] } else { webpki_root_certs::TLS_SERVER_ROOT_CERTS };
        let embedded = embedded.iter().filter_map(|der| Certificate::from_der(der).ok());
        build(self.base().tls_certs_only(extra().chain(embedded))).expect(BUILDS)
    }

    fn base(&self) -> ClientBuilder {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Whether to try again is decided in one place, ours.
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(&self.options.user_agent)
            .default_headers(headers)
            .connect_timeout(self.options.connect_timeout);
        self.options.proxies.apply(builder).expect(BUILDS)
    }
}

const BUILDS: &str = "provider, certificates, proxies and headers were checked when the value was made";

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A name look-up that hangs must not hold up the end of the process.
            runtime.shutdown_background();
        }
    }
}

fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let io = |source| HttpError::CaFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(CA_FILE_LIMIT).read_to_end(&mut bytes).map_err(io)?;
    let bad = || HttpError::NoCertificate { path: path.to_owned() };
    let mut store = rustls::RootCertStore::empty();
    let mut out = Vec::new();
    for der in CertificateDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|_| bad())?;
        store.add(der.clone()).map_err(|_| bad())?;
        out.push(der);
    }
    if out.is_empty() { Err(bad()) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts() {
        for host in [
            "localhost",
            "localhost:5000",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.1.2.3:80",
            "::1",
            "[::1]",
            "[::1]:443",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(Http::is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.example",
            "notlocalhost",
            "128.0.0.1",
            "::2",
            "[fe80::1]:5000",
            "127.0.0.1.nip.io",
        ] {
            assert!(!Http::is_loopback(host), "{host}");
        }
    }

    #[test]
    fn both_clients_build_and_run() {
        let http = Http::new(HttpOptions::default()).unwrap();
        assert_eq!(http.block_on(async { 7 }), 7);
        let _ = (http.client(), http.upload_client());
    }

    #[test]
    fn proxies_come_from_variables_in_either_case() {
        let of = |set: &[(&str, &str)]| {
            let get = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            let found = ProxySettings::of_variables(get);
            [found.http, found.https, found.all, found.no_proxy].map(Option::unwrap_or_default).join(" ")
        };
        assert_eq!(of(&[]), "   ");
        assert_eq!(
            of(&[("HTTP_PROXY", "a"), ("https_proxy", "b"), ("ALL_PROXY", "c"), ("no_proxy", "d")]),
            "a b c d"
        );
        assert_eq!(of(&[("http_proxy", "a"), ("HTTP_PROXY", "b")]), "b   ");
        assert_eq!(of(&[("http_proxy", ""), ("HTTPS_PROXY", "")]), "   ");
        assert_eq!(of(&[("HTTP_PROXY", "a"), ("REQUEST_METHOD", "GET")]), "   ");
    }

    #[test]
    fn options_that_cannot_work_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let with = |path: &Path| {
            Http::new(HttpOptions { ca_files: vec![path.to_owned()], ..HttpOptions::default() })
                .unwrap_err()
                .to_string()
        };
        assert!(with(&path).ends_with("ca.pem: cannot read the CA file"), "{}", with(&path));
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(with(&path).contains("ca.pem: no usable certificate"), "{text}: {}", with(&path));
        }
        let proxies =
            ProxySettings { https: Some("http://u:hunter2@:bad:".into()), ..ProxySettings::default() };
        assert!(!format!("{proxies:?}").contains("hunter2"));
        let error = Http::new(HttpOptions { proxies, ..HttpOptions::default() }).unwrap_err();
        assert_eq!(error.to_string(), "HTTPS_PROXY: its value is no URL");
    }
}
