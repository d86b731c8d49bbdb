//! apko's commands and flags, as apko has them.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

/// The commands of apko: one word in front, and a pipeline goes on working.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        assemble apko build apko.yaml team/app:1.0 app.tar\n  \
        assemble apko publish apko.yaml registry.example.org/team/app:1.0\n\n\
        Every error exits with 1. What differs from apko: docs/compatibility.md"
)]
pub(crate) struct ApkoArgs {
    #[command(subcommand)]
    pub(crate) command: ApkoCommand,
    /// Change to this folder first
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// How much is said: debug, info, warn, error
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", ignore_case = true,
          value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: String,
}

/// apko's verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum ApkoCommand {
    /// Build an image from a YAML configuration file
    Build(Box<BuildArgs>),
    /// Build and publish an image
    Publish(Box<PublishArgs>),
    /// Write a lock file
    #[command(hide = true)]
    Lock(LockArgs),
    /// The old name of lock
    #[command(hide = true)]
    Resolve(LockArgs),
    /// Show the configuration derived from loading a YAML file
    ShowConfig(ShowConfigArgs),
    /// Show the packages and versions that would be installed by a configuration
    ShowPackages(ShowPackagesArgs),
    /// Output a digraph showing dependencies among packages
    Dot(DotArgs),
    /// Build a minirootfs image from a YAML configuration file
    BuildMinirootfs(MinirootfsArgs),
    /// Print the version
    Version(VersionArgs),
    /// Not here: images are tars of layers
    #[command(hide = true)]
    BuildCpio(RefusedArgs),
    /// Not here: assemble login
    #[command(hide = true)]
    Login(RefusedArgs),
    /// Not here: the cache is another one
    #[command(hide = true)]
    Clean(RefusedArgs),
    /// Not here: keys of the host are left alone
    #[command(hide = true)]
    InstallKeys(RefusedArgs),
    /// Not here: layers are tars
    #[command(hide = true)]
    Erofs(RefusedArgs),
}

/// A list that can be given several times, each time with several values: one line of CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List(pub(crate) Vec<String>);

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut values = Vec::new();
        if text.is_empty() {
            return Ok(Self(values));
        }
        let mut rest = text;
        loop {
            let (value, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_value(quoted)?,
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    let (value, after) = rest.split_at(end);
                    if value.contains('"') {
                        return Err("a quote stands within a value: put the whole value in quotes".into());
                    }
                    (value.to_owned(), after)
                }
            };
            values.push(value);
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => return Ok(Self(values)),
            }
        }
    }
}

/// A value behind its opening quote, and what follows the closing one.
fn quoted_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None if after.is_empty() || after.starts_with(',') => return Ok((value, after)),
            None => return Err("something follows a closing quote".into()),
        }
    }
}

/// All values of a list flag, in order.
pub(crate) fn values(lists: &[List]) -> Vec<String> {
    lists.iter().flat_map(|list| list.0.iter().cloned()).collect()
}

/// A truth value in the spellings that Go takes.
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// Flags of every command that chooses packages.
#[allow(clippy::struct_field_names, reason = "the options are called so")]
#[derive(Debug, Args, Default)]
pub(crate) struct SourceArgs {
    /// Extra keys to include in the keyring: paths or URLs
    #[arg(short = 'k', long, value_name = "KEYS")]
    pub(crate) keyring_append: Vec<List>,
    /// Extra repositories, for building only
    #[arg(short = 'b', long, value_name = "REPOSITORIES")]
    pub(crate) build_repository_append: Vec<List>,
    /// Extra repositories
    #[arg(short = 'r', long, value_name = "REPOSITORIES")]
    pub(crate) repository_append: Vec<List>,
}

/// Where downloads are kept, and whether there are any.
#[derive(Debug, Args, Default)]
pub(crate) struct CacheArgs {
    /// Folder for downloads; empty means the usual one
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(crate) cache_dir: String,
}

/// Whether connections may be opened.
#[derive(Debug, Args, Default)]
pub(crate) struct OfflineArgs {
    /// Do not use the network; the cache must have everything
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) offline: bool,
}

/// Whether an index needs a signature.
#[derive(Debug, Args, Default)]
pub(crate) struct SignatureArgs {
    /// Do not check signatures of repositories
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) ignore_signatures: bool,
}

/// Whom to build for.
#[derive(Debug, Args, Default)]
pub(crate) struct ArchArgs {
    /// Architectures: x86_64, arm64, …; `all` or `host` alone. Default: the configuration's, else all
    #[arg(long, value_name = "ARCHS")]
    pub(crate) arch: Vec<List>,
}

/// Where files that the configuration names are looked for.
#[derive(Debug, Args, Default)]
pub(crate) struct IncludeArgs {
    /// Further folders for what the configuration names
    #[arg(long, value_name = "DIRS")]
    pub(crate) include_paths: Vec<List>,
}

/// How much is read before it is refused; 0 is the default, -1 no limit.
#[allow(clippy::struct_field_names, reason = "the options are called so")]
#[derive(Debug, Args, Default)]
pub(crate) struct LimitArgs {
    /// Largest index, unpacked, in bytes
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) max_apkindex_decompressed_size: i64,
    /// Largest control section, unpacked, in bytes
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) max_apk_control_size: i64,
    /// Largest data section, unpacked, in bytes
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) max_apk_data_size: i64,
    /// Largest answer of a server, in bytes
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) max_http_response_size: i64,
}

/// What makes an image.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) signatures: SignatureArgs,
    /// Extra packages
    #[arg(short = 'p', long, value_name = "PACKAGES")]
    pub(crate) package_append: Vec<List>,
    /// No image is older than this (RFC 3339)
    #[arg(long, value_name = "DATE", default_value = "")]
    pub(crate) build_date: String,
    /// Annotations to add, KEY:VALUE
    #[arg(long, value_name = "ANNOTATIONS")]
    pub(crate) annotations: Vec<List>,
    /// A lock file of apko that says which packages to take
    #[arg(long, value_name = "FILE", default_value = "")]
    pub(crate) lockfile: String,
    /// Find out where the configuration's source is
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) vcs: bool,
    /// No effect yet: SBOMs are not written
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) sbom: bool,
    /// No effect yet: SBOMs are not written
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(crate) sbom_path: String,
    /// No effect yet: SBOMs are not written
    #[arg(long, value_name = "FORMATS")]
    pub(crate) sbom_formats: Vec<List>,
    /// Only `tar`
    #[arg(long, value_name = "FORMAT", default_value = "")]
    pub(crate) format: String,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    #[arg(value_name = "TAG")]
    pub(crate) tag: String,
    /// A folder for an OCI layout, or a file for an archive
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    #[command(flatten)]
    pub(crate) include: IncludeArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    #[arg(value_name = "TAG", required = true)]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    /// Not here: assemble build --load
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) local: bool,
    /// Write the published references to a file, a line each
    #[arg(long, value_name = "FILE", default_value = "")]
    pub(crate) image_refs: String,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// What follows is not looked at
    #[arg(value_name = "MORE", hide = true)]
    pub(crate) more: Vec<String>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) archs: ArchArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) signatures: SignatureArgs,
    #[command(flatten)]
    pub(crate) include: IncludeArgs,
    /// Where to write the lock file
    #[arg(long, value_name = "FILE", default_value = "")]
    pub(crate) output: String,
}

#[derive(Debug, Args)]
pub(crate) struct ShowConfigArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}

/// What commands have in common that look at packages and build nothing.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) archs: ArchArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowPackagesArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// A format's name, or a template over {{.Name}}, {{.Version}} and {{.Source}}
    #[arg(long, value_name = "FORMAT", default_value = "name-version")]
    pub(crate) format: String,
}

#[derive(Debug, Args)]
pub(crate) struct DotArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Fewer edges: one to each dependency
    #[arg(short = 'S', long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) spanning_tree: bool,
    /// Not here: pipe the output to `dot -Tsvg`
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) web: bool,
    /// Only of use with --web
    #[arg(short = 'e', long, value_name = "HOST", default_value = "apk.dag.dev")]
    pub(crate) registry_explorer: String,
}

#[derive(Debug, Args)]
pub(crate) struct MinirootfsArgs {
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// The file to write: an uncompressed tar, whatever its name
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) signatures: SignatureArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Extra packages
    #[arg(short = 'p', long, value_name = "PACKAGES")]
    pub(crate) package_append: Vec<List>,
    /// No earlier than this (RFC 3339)
    #[arg(long, value_name = "DATE", default_value = "")]
    pub(crate) build_date: String,
    /// The architecture [default: the host's]
    #[arg(long, value_name = "ARCH", default_value = "")]
    pub(crate) build_arch: String,
    /// No effect
    #[arg(long, value_name = "DIR", default_value = "")]
    pub(crate) sbom_path: String,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// As JSON
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_parser = truth, action = clap::ArgAction::Set)]
    pub(crate) json: bool,
}

/// Whatever follows a command that is not here.
#[derive(Debug, Args)]
pub(crate) struct RefusedArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) rest: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn lists_are_lines_of_csv() {
        let read = |text: &str| text.parse::<List>().map(|list| list.0);
        assert_eq!(read("a,b"), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("a,"), Ok(vec!["a".into(), String::new()]));
        assert_eq!(read("\"a,\"\"b\"\"\",c"), Ok(vec!["a,\"b\"".into(), "c".into()]));
        for wrong in ["a\"b", "\"a", "\"a\"b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
