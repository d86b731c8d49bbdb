//! What was typed.

use std::path::PathBuf;
use std::process::ExitCode;

use assemble_types::{Kind, Platform};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::apko::ApkoArgs;
use crate::cache_args::CacheArgs;
use crate::commands;
use crate::network_args::{NetworkArgs, RegistryArgs};
use crate::values;

/// Assembles container images from signed packages and static binaries: reproducible, without a daemon, without root.
#[derive(Debug, Parser)]
#[command(
    name = "assemble",
    version,
    about = "Assembles container images from signed packages and static binaries",
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        assemble build ./hello                       pack a static binary: ./hello.oci\n  \
        assemble build hello.yaml -o hello.tar       one file for docker load, podman, skopeo, crane\n  \
        assemble build hello.yaml --push -t registry.example.org/team/hello:1.0\n  \
        assemble verify hello.yaml                   build twice, differently, and compare\n  \
        assemble init ./hello                        write ./assemble.yaml with comments\n\n\
        Exit codes: 0 done, 2 usage, 3 spec, 4 no package set, 5 trust, 6 not available, 7 denied,\n\
        8 verify found a difference, 9 host, 10 would not start, 70 a bug, 130 interrupted"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a spec or a static binary
    Build(BuildArgs),
    /// Check a spec, and whether its image could start, without building
    Check(CheckArgs),
    /// Print the digest that a build would give, from what the cache has
    Digest(DigestArgs),
    /// Prove that an image is what its spec builds, anywhere
    Verify(VerifyArgs),
    /// Write down which packages a spec gets, so that they stay
    Lock(LockArgs),
    /// Take newer packages into a lock: those that are named, or all
    Update(UpdateArgs),
    /// Copy what a lock names into a folder, so that a build outlives its mirror
    Vendor(VendorArgs),
    /// Upload an image to a registry
    Push(PushArgs),
    /// Show what is in an image
    Inspect(InspectArgs),
    /// List the packages that an image would have
    Packages(PackagesArgs),
    /// Show which package needs which
    Tree(TreeArgs),
    /// Tell because of what a package would be in an image
    Why(WhyArgs),
    /// Write the root file system of an image as a tar or into a folder
    Export(ExportArgs),
    /// Write a commented spec for a binary
    Init(InitArgs),
    /// Store a registry's password where docker and podman look for it
    Login(LoginArgs),
    /// Show what the cache holds, make it smaller, check it
    Cache(CacheArgs),
    /// Do what apko does, to the byte, with apko's commands and flags
    Apko(ApkoArgs),
    /// Print the effective spec: what it includes merged in, what it leaves open filled in
    Show(ShowArgs),
    /// Print the JSON Schema of specs, for editors
    #[command(after_help = "Example:\n  assemble schema > assemble.schema.json")]
    Schema,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  assemble completions bash > ~/.local/share/bash-completion/completions/assemble"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a build is made from, and for whom.
#[derive(Debug, Args, Clone)]
pub(crate) struct InputArgs {
    /// Platforms instead of the spec's: linux/amd64, arm64, x86_64, …
    #[arg(
        long,
        visible_alias = "arch",
        value_name = "PLATFORM",
        value_delimiter = ',',
        value_parser = values::platform,
        help_heading = "Input"
    )]
    pub(crate) platform: Vec<Platform>,
    /// Where the image's time comes from; the clock is never asked
    #[arg(long, value_enum, value_name = "FROM", default_value_t = CreatedArg::Inputs, help_heading = "Input")]
    pub(crate) created: CreatedArg,
    /// What to do about an image that cannot start
    #[arg(long, value_enum, value_name = "HOW", default_value_t = StartCheckArg::Refuse, help_heading = "Input")]
    pub(crate) start_check: StartCheckArg,
    /// Take repository indexes without a valid signature
    #[arg(long, help_heading = "Input")]
    pub(crate) allow_untrusted: bool,
    /// A lock file of apko that says which packages to take
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(crate) lockfile: Option<PathBuf>,
}

/// How what is built is written.
#[derive(Debug, Args, Clone)]
pub(crate) struct CompressionArgs {
    /// How layers are compressed; the unpacked image is the same
    #[arg(long, value_enum, value_name = "HOW", default_value_t = CompressionArg::Gzip, help_heading = "Input")]
    pub(crate) compression: CompressionArg,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub(crate) enum CompressionArg {
    /// Every tool reads it
    Gzip,
    /// Unpacks faster; docker before 23 and umoci 0.4 do not read it
    Zstd,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub(crate) enum CreatedArg {
    /// SOURCE_DATE_EPOCH, else the newest package, else 1970
    Inputs,
    /// The time of the git commit that the spec is in
    Commit,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub(crate) enum StartCheckArg {
    /// Refuse it
    Refuse,
    /// Build it and say why it would not start
    Warn,
    /// Do not look
    Off,
}

/// What decides which packages are taken.
#[derive(Debug, Args, Clone)]
pub(crate) struct LockUseArgs {
    /// Fail unless there is a lock beside the spec and it fits; without this it is made to fit
    #[arg(long, conflicts_with = "lockfile", help_heading = "Lock")]
    pub(crate) locked: bool,
    /// Choose packages from the indexes, whatever the lock beside the spec says
    #[arg(long, conflicts_with = "locked", help_heading = "Lock")]
    pub(crate) ignore_lock: bool,
    /// Leave the lock's file as it is, also if it should be another
    #[arg(long, hide = true)]
    pub(crate) keep_lock: bool,
    /// Take files from a folder that `assemble vendor` made [default: the spec's folder, if it is one]
    #[arg(long, value_name = "DIR", help_heading = "Lock")]
    pub(crate) vendor: Option<PathBuf>,
}

/// How much is said, and where to.
#[derive(Debug, Args, Clone)]
pub(crate) struct ReportArgs {
    /// Write one JSON document to standard output, in success and in failure
    #[arg(long, help_heading = "Report")]
    pub(crate) json: bool,
    /// Say nothing but the result, warnings and errors
    #[arg(short, long, help_heading = "Report")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble show hello.yaml\n  \
    assemble show hello.yaml --json | jq .environment")]
pub(crate) struct ShowArgs {
    /// A spec, or a static binary [default: assemble.yaml]
    #[arg(value_name = "SPEC|BINARY")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble build                               takes ./assemble.yaml\n  \
    assemble build hello.yaml                    writes ./hello.oci\n  \
    assemble build ./hello --load                hands the image to docker or podman only\n  \
    assemble build hello.yaml -o hello.tar -t team/hello:1.0\n  \
    assemble build hello.yaml --push -t localhost:5000/team/hello:1.0")]
pub(crate) struct BuildArgs {
    /// A spec, or a static binary [default: assemble.yaml]
    #[arg(value_name = "SPEC|BINARY")]
    pub(crate) spec: Option<PathBuf>,
    /// DIR (an OCI layout), NAME.tar, oci:DIR, oci-archive:FILE, docker-archive:FILE, or `none`
    /// [default: ./NAME.oci after the spec, or none with --push or --load]
    #[arg(short, long, value_name = "OUT", help_heading = "Output")]
    pub(crate) output: Option<String>,
    /// Name of the image; may be given several times [default: the spec's name, latest]
    #[arg(short, long, value_name = "NAME", help_heading = "Output")]
    pub(crate) tag: Vec<String>,
    /// Upload the image under its names
    #[arg(long, help_heading = "Output")]
    pub(crate) push: bool,
    /// Hand the image to the running docker or podman
    #[arg(long, help_heading = "Output")]
    pub(crate) load: bool,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) digest_file: Option<PathBuf>,
    /// Write the references that were pushed to a file, a line each
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) image_refs: Option<PathBuf>,
    /// Threads that compress and check; never changes a byte [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = values::threads, help_heading = "Input")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Build also what the cache knows the result of
    #[arg(long, help_heading = "Input")]
    pub(crate) rebuild: bool,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    #[command(flatten)]
    pub(crate) lock: LockUseArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble digest hello.yaml                   nothing is written but to the cache, nothing but indexes fetched\n  \
    assemble digest hello.yaml --fetch           fetches what the cache does not have")]
pub(crate) struct DigestArgs {
    /// A spec, or a static binary [default: assemble.yaml]
    #[arg(value_name = "SPEC|BINARY")]
    pub(crate) spec: Option<PathBuf>,
    /// Fetch packages that the cache does not have
    #[arg(long, help_heading = "Network")]
    pub(crate) fetch: bool,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    #[command(flatten)]
    pub(crate) lock: LockUseArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble check                               ./assemble.yaml and the files it names\n  \
    assemble check hello.yaml --platform arm64")]
pub(crate) struct CheckArgs {
    /// A spec, or a static binary [default: assemble.yaml]
    #[arg(value_name = "SPEC|BINARY")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// What commands have in common that look at a choice of packages.
#[derive(Debug, Args, Clone)]
pub(crate) struct LookArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble packages hello.yaml                 name, version, sizes, licence, origin\n  \
    assemble packages hello.yaml --json | jq -r '.packages[].license' | sort -u")]
pub(crate) struct PackagesArgs {
    /// A spec [default: assemble.yaml]
    #[arg(value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble tree hello.yaml                     from the list of packages down\n  \
    assemble tree hello.yaml --dot | dot -Tsvg > hello.svg")]
pub(crate) struct TreeArgs {
    /// A spec [default: assemble.yaml]
    #[arg(value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,
    /// Write a graph for Graphviz, one for each platform
    #[arg(long, conflicts_with = "json")]
    pub(crate) dot: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble why hello.yaml zlib                 the shortest way from each entry of the list\n  \
    assemble why hello.yaml so:libz.so.1         whoever provides it")]
pub(crate) struct WhyArgs {
    /// A spec
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,
    /// A package, or something that a package provides
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: String,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble verify hello.yaml                                    builds twice, differently\n  \
    assemble verify hello.oci --spec hello.yaml                   a layout against its spec\n  \
    assemble verify localhost:5000/team/hello:1.0 --spec hello.yaml\n  \
    assemble verify hello.yaml --digest sha256:…")]
pub(crate) struct VerifyArgs {
    /// A spec, or an image: layout folder, archive, registry reference [default: assemble.yaml]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// The spec that the image was built from
    #[arg(long, value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,
    /// The digest that is expected
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    #[command(flatten)]
    pub(crate) lock: LockUseArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble lock hello.yaml                     writes hello.lock, or makes it fit again\n  \
    assemble lock hello.yaml --deep              builds, too, and writes down the layers\n  \
    assemble build hello.yaml --locked           takes what is locked, or fails")]
pub(crate) struct LockArgs {
    /// A spec [default: assemble.yaml]
    #[arg(value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,
    /// Build the image, too, and write down the digests of its layers
    #[arg(long)]
    pub(crate) deep: bool,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble update                              everything, of ./assemble.yaml\n  \
    assemble update busybox --spec hello.yaml    busybox alone, if the others let it")]
pub(crate) struct UpdateArgs {
    /// Packages that may move; all others stay [default: everything may move]
    #[arg(value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
    /// The spec whose lock is updated [default: assemble.yaml]
    #[arg(long, value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble vendor hello.yaml -o vendored\n  \
    assemble build --offline hello.yaml --vendor vendored\n  \
    assemble build --offline vendored/hello.yaml")]
pub(crate) struct VendorArgs {
    /// A spec with a lock, or the lock [default: assemble.yaml]
    #[arg(value_name = "SPEC|LOCK")]
    pub(crate) spec: Option<PathBuf>,
    /// The folder to fill
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble push hello.oci registry.example.org/team/hello:1.0\n  \
    assemble push hello.tar:1.0 localhost:5000/team/hello:1.0 --digest-file digest.txt\n  \
    assemble push hello.oci localhost:5000/team/hello:1.0 --ca-file ca.pem")]
pub(crate) struct PushArgs {
    /// Layout folder or archive, with `:NAME` behind it where it holds several
    #[arg(value_name = "LAYOUT|ARCHIVE")]
    pub(crate) image: String,
    /// Where to: registry.example.org/team/app:1.0
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) digest_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble inspect hello.oci                   configuration, layers, packages\n  \
    assemble inspect hello.oci --files\n  \
    assemble inspect registry.example.org/team/hello:1.0 --cat /etc/passwd\n  \
    assemble inspect hello.oci --chain --spec hello.yaml")]
pub(crate) struct InspectArgs {
    /// Layout folder, archive, or registry reference
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// List every file
    #[arg(long)]
    pub(crate) files: bool,
    /// Print a file's content
    #[arg(long, value_name = "PATH", conflicts_with = "files")]
    pub(crate) cat: Option<String>,
    /// For each layer, what vouches for it: key, index, control section, data section
    #[arg(long, conflicts_with_all = ["files", "cat"])]
    pub(crate) chain: bool,
    /// The spec whose keys and repositories count for --chain
    #[arg(long, value_name = "SPEC", requires = "chain")]
    pub(crate) spec: Option<PathBuf>,
    /// The lock that --chain holds the layers against, where keys and repositories are not at hand: nothing is fetched
    #[arg(long, value_name = "LOCK", requires = "chain", conflicts_with = "spec")]
    pub(crate) lock: Option<PathBuf>,
    /// Of an index, the platform to look at
    #[arg(long, visible_alias = "arch", value_name = "PLATFORM", value_parser = values::platform)]
    pub(crate) platform: Option<Platform>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble export hello.yaml -o root                            builds it first\n  \
    assemble export hello.oci -o root.tar\n  \
    assemble export hello.oci -o - | tar -t\n  \
    assemble export localhost:5000/team/hello:1.0 -o root --platform arm64")]
pub(crate) struct ExportArgs {
    /// A spec, or an image: layout folder, archive, registry reference [default: assemble.yaml]
    #[arg(value_name = "SPEC|IMAGE")]
    pub(crate) target: Option<String>,
    /// A folder that is empty or not there, NAME.tar, or `-` for a tar on standard output
    #[arg(short, long, value_name = "DIR|TAR|-")]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble init ./hello                        writes ./assemble.yaml\n  \
    assemble init ./hello -o hello.yaml")]
pub(crate) struct InitArgs {
    /// The binary to pack
    #[arg(value_name = "BINARY")]
    pub(crate) binary: PathBuf,
    /// Where to write the spec
    #[arg(short, long, value_name = "FILE", default_value = "assemble.yaml")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  echo \"$TOKEN\" | assemble login registry.example.org -u ci --password-stdin"
)]
pub(crate) struct LoginArgs {
    /// The registry's host
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// The user
    #[arg(short, long, value_name = "NAME")]
    pub(crate) username: String,
    /// Read the password from standard input
    #[arg(long, required = true)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Parses and runs.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not mistakes; clap knows which stream each belongs to.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            // Whoever asked for JSON reads JSON, whatever else was wrong with the line.
            if std::env::args_os().any(|argument| argument == "--json") {
                let message = error.render().to_string();
                let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
                let kind = Kind::Usage.name();
                let document = crate::json::failure_document("usage/arguments", kind, first, &[], &[], None);
                let _ = crate::output::answer(&document);
            }
            // Whoever replaced apko by this program knows one code for all that goes wrong.
            let apko = std::env::args_os().nth(1).is_some_and(|word| word == "apko");
            return ExitCode::from(if apko { 1 } else { Kind::Usage.exit_code() });
        }
    };
    commands::run(cli.command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
