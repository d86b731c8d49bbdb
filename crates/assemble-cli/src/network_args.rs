//! What is said on the command line about reaching the world.

use std::path::PathBuf;

use clap::Args;

/// How the world is reached.
#[derive(Debug, Args, Clone)]
pub(crate) struct NetworkArgs {
    /// Open no connection; take everything from the cache
    #[arg(long, help_heading = "Network")]
    pub(crate) offline: bool,
    /// Where downloads are kept [default: $ASSEMBLE_CACHE, else the platform's cache folder]
    #[arg(long, value_name = "DIR", help_heading = "Network")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Keep packages unpacked in the cache, too: three times the disk, and layers that change in part are made sooner
    #[arg(long, help_heading = "Network")]
    pub(crate) cache_plain: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// How registries and mirrors are spoken to.
#[derive(Debug, Args, Clone)]
pub(crate) struct RegistryArgs {
    /// Trust these certificate authorities, too (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Speak http to this registry, or to all; loopback needs no flag, unless one of the other two is there
    #[arg(long, value_name = "HOST", num_args = 0..=1, require_equals = true, default_missing_value = "*", help_heading = "Network")]
    pub(crate) plain_http: Vec<String>,
    /// Do not check certificates of servers
    #[arg(long, help_heading = "Network")]
    pub(crate) insecure_skip_tls_verify: bool,
}

impl NetworkArgs {
    /// The arguments again, for a process that is to reach the world the same way.
    pub(crate) fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut out: Vec<std::ffi::OsString> = Vec::new();
        if self.offline {
            out.push("--offline".into());
            if let Some(dir) = crate::settings::cache_dir(self) {
                out.extend(["--cache-dir".into(), absolute(&dir)]);
            }
        }
        for file in &self.registry.ca_file {
            out.extend(["--ca-file".into(), absolute(file)]);
        }
        for host in &self.registry.plain_http {
            out.push(format!("--plain-http={host}").into());
        }
        if self.registry.insecure_skip_tls_verify {
            out.push("--insecure-skip-tls-verify".into());
        }
        out
    }
}

/// The other process runs in another folder.
fn absolute(path: &std::path::Path) -> std::ffi::OsString {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string()
}
