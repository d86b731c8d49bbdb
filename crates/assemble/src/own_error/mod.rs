//! Failures that only the whole knows: outputs, engines, options, images that lie here.

mod hints;

use std::io;
use std::path::{Path, PathBuf};

use assemble_types::{Explain, Kind, counted};

use crate::error::Error;

/// Failures that belong to no single stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnError {
    /// A file of the host cannot be used.
    #[error("{path}: {action}")]
    Io {
        /// The file.
        path: String,
        /// What could not be done, such as `cannot be written`.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The output folder holds something else.
    #[error("{0} is a folder, but no image layout; it is left untouched")]
    NotALayout(String),
    /// The output's place is taken by the wrong kind of thing.
    #[error("{0} is no folder, so no image layout can be written there")]
    NotAFolder(String),
    /// The output would be packed into the next image.
    #[error("the output {output} lies in {source_folder}, which goes into the image")]
    OutputInSource {
        /// The output.
        output: String,
        /// The folder of `contents.files`.
        source_folder: String,
        /// What to exclude.
        pattern: String,
    },
    /// An image where a spec is meant.
    #[error("{0} is an image already, not a spec")]
    SpecIsImage(String),
    /// A spec where an image is meant.
    #[error("{0} is a spec, not an image")]
    ImageIsSpec(String),
    /// A lock where a spec is meant.
    #[error("{0} is a lock, not a spec")]
    SpecIsLock(String),
    /// A file that is neither a program nor anything else that can be packed alone.
    #[error("{0} is no program")]
    NotAProgram(String),
    /// A file that must not be overwritten.
    #[error("{0} exists already; it is left as it is")]
    SpecExists(String),
    /// `verify` of an image without its spec.
    #[error("{0} is an image; what it should be compared with is missing")]
    VerifyWithoutSpec(String),
    /// A text that is no file here, and names no registry either.
    #[error("{} {}", .text, if is_image_path(.text) { "does not exist" } else { "is no file or folder here" })]
    NoImageHere {
        /// The text.
        text: String,
        /// Whether an image of a registry would do, too.
        pulls: bool,
    },
    /// A registry is needed, and no connection may be opened.
    #[error("{0} lies in a registry, and --offline opens no connection")]
    OfflineRegistry(String),
    /// The output is not written in a way we know.
    #[error("`{0}` is no output we know")]
    UnknownOutput(String),
    /// Nothing that a root file system is written as.
    #[error("`{0}` is nothing that export writes")]
    UnknownExport(String),
    /// Something of apko that this program does not do.
    #[error("{what} is not supported: {why}")]
    NotSupported {
        /// The command, option or value.
        what: String,
        /// The reason.
        why: &'static str,
    },
    /// A repository is a place on this host, and nothing is there.
    #[error("the repository {0} does not exist")]
    NothingHere(String),
    /// A repository has nothing for an architecture, or is none.
    #[error("{repository} has no index for {arch}")]
    NoIndex {
        /// The repository, as the spec names it.
        repository: String,
        /// The architecture.
        arch: &'static str,
        /// Where the index was looked for.
        source: Box<assemble_fetch::FetchError>,
    },
    /// A package that the user's limit keeps out.
    #[error("{package} has {size} bytes, and no answer of a server may have more than {limit}")]
    PackageTooLarge {
        /// The package.
        package: String,
        /// Its size, as the index says.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A budget of layers, and nothing says how they are cut.
    #[error("layering has a budget and no strategy")]
    LayersWithoutStrategy,
    /// A lock file of apko for another configuration.
    #[error("{lock} was made for another state of {config}")]
    OtherConfig {
        /// The lock.
        lock: String,
        /// The configuration.
        config: String,
    },
    /// A lock file of apko that lacks what is needed.
    #[error("{lock} {what}")]
    UnfitLock {
        /// The lock.
        lock: String,
        /// What is wrong with it.
        what: String,
    },
    /// An architecture that nothing can be built for.
    #[error("`{0}` is no architecture that is known")]
    UnknownArch(String),
    /// User information in a URL that would be written into the image.
    #[error("the URL of {0} holds a user name or password, and URLs are written into the image")]
    CredentialsInUrl(String),
    /// No such file to build from.
    #[error("{0} does not exist")]
    NoSpec(String),
    /// A folder where a file is meant.
    #[error("{path} is a folder, and a spec is a file")]
    SpecIsFolder {
        /// The folder.
        path: String,
        /// Files in it that could be meant.
        specs: Vec<String>,
    },
    /// A dash where a file is meant.
    #[error("a spec is not read from standard input")]
    SpecIsStdin,
    /// A spec of unreasonable size.
    #[error("{path} is {size} bytes long; a spec has at most {limit}")]
    SpecTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The spec's user is not in the image's accounts.
    #[error("user `{user}` is not in the image's /etc/passwd")]
    UnknownUser {
        /// As written.
        user: String,
        /// Names that are there.
        known: Vec<String>,
    },
    /// The map of binaries has none for a platform.
    #[error("contents.binary names no file for {platform}")]
    NoBinaryFor {
        /// The platform.
        platform: String,
    },
    /// `SOURCE_DATE_EPOCH` or `--created` cannot be used.
    #[error("{what} cannot be used as a time")]
    Time {
        /// Variable or option.
        what: String,
        /// Why.
        #[source]
        source: assemble_types::TimestampError,
    },
    /// git was asked and did not answer.
    #[error("the time of the last commit is not known: {why}")]
    Commit {
        /// git's own words.
        why: String,
    },
    /// No docker and no podman.
    #[error("--load needs a running docker or podman, and neither answers")]
    NoRuntime {
        /// What each said.
        tried: Vec<String>,
    },
    /// A folder where a file is meant.
    #[error("{path} is a folder of the image")]
    IsFolder {
        /// The path in the image.
        path: String,
    },
    /// The image is not for that platform.
    #[error("{place} is not for {platform}")]
    NoSuchPlatform {
        /// The image.
        place: String,
        /// What was asked for.
        platform: String,
        /// What is there.
        known: Vec<String>,
    },
    /// Another digest than the user expected.
    #[error("{target} has {found}, and {expected} was expected")]
    OtherDigest {
        /// What was verified.
        target: String,
        /// Its digest.
        found: String,
        /// The user's.
        expected: String,
    },
    /// A folder to export into has something in it.
    #[error("{folder} is not empty")]
    NotEmpty {
        /// The folder.
        folder: String,
    },
    /// The index of one architecture lists a package of another.
    #[error("{package}: {who} says it is for {found}, and {wanted} is wanted")]
    OtherArch {
        /// The package.
        package: String,
        /// `the index` or `its .PKGINFO`.
        who: &'static str,
        /// As listed.
        found: String,
        /// The platform's.
        wanted: String,
    },
    /// A document that says where keys are names a place that it may not.
    #[error("`{text}` is no place to take keys from: {why}")]
    KeyPlace {
        /// The place, as the document has it.
        text: String,
        /// Why not.
        why: &'static str,
    },
    /// The index lists no checksum, so nothing can be checked against it.
    #[error("{package}: the index of {repository} lists no checksum for it")]
    NoChecksum {
        /// The package.
        package: String,
        /// The repository.
        repository: String,
    },
    /// docker or podman refused the archive.
    #[error("{program} load did not take the image")]
    Load {
        /// The program.
        program: String,
        /// Its own words.
        said: String,
    },
    /// The engine is too old for layers in zstd.
    #[error("{program} {version} does not read layers in zstd")]
    EngineWithoutZstd {
        /// The program.
        program: String,
        /// Its version.
        version: String,
    },
    /// Pushing needs a name.
    #[error("--push needs a name with a registry")]
    NothingToPush,
    /// An image was named that is not in the layout.
    #[error("{}", no_such_image(place, name.as_deref(), known))]
    NoSuchImage {
        /// Layout or archive.
        place: String,
        /// What was asked for, if anything was.
        name: Option<String>,
        /// What is there.
        known: Vec<String>,
    },
    /// What was given as an image is none.
    #[error("{place} is no image: {why}")]
    NotAnImage {
        /// Layout, archive or file.
        place: String,
        /// What is missing.
        why: String,
    },
    /// Bytes of a stored image are not what its descriptors say.
    #[error("{place} is damaged: {why}")]
    Damaged {
        /// Layout or archive.
        place: String,
        /// What does not fit.
        why: String,
    },
    /// No such file in the image.
    #[error("{path} is not in the image")]
    NoSuchFile {
        /// The path in the image.
        path: String,
    },
    /// Something in the cache was not what it should be.
    #[error("{}", damaged(*.gone, *.stuck))]
    CacheDamaged {
        /// Files that are gone.
        gone: usize,
        /// Files that could not be removed.
        stuck: usize,
    },
    /// Something in the cache cannot be read.
    #[error("{} of the cache cannot be read", counted(*.0, "file", "files"))]
    CacheUnread(usize),
    /// A layer is another than the package that it is said to be.
    #[error(
        "{image}: the layer that is said to be {package} is {found}, and its signed data section is {expected}"
    )]
    BrokenChain {
        /// What was looked at.
        image: String,
        /// Name and version.
        package: String,
        /// Digest of the package's data section.
        expected: String,
        /// Digest of the layer.
        found: String,
    },
    /// `verify` found something.
    #[error("{target} is not what {spec} builds")]
    Different {
        /// What was compared.
        target: String,
        /// With what.
        spec: String,
    },
    /// `verify` could not run the second build.
    #[error("the second build of `verify` failed")]
    SecondBuild {
        /// Its own words.
        said: String,
        /// The kind it failed with.
        kind: Kind,
    },
    /// Options that exclude each other.
    #[error("{0}")]
    Usage(String),
    /// A broken invariant.
    #[error("{0}; this is a bug in assemble")]
    Bug(String),
}

/// Whether a text is written like a path, and not like a name in a registry.
fn is_image_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || has_image_ending(text)
}

/// Whether a path ends as those of layouts and archives do.
fn has_image_ending(path: &str) -> bool {
    let end = Path::new(path).extension();
    end.is_some_and(|end| ["oci", "tar"].iter().any(|known| end.eq_ignore_ascii_case(known)))
}

fn no_such_image(place: &str, name: Option<&str>, known: &[String]) -> String {
    match (name, known) {
        (Some(name), _) => format!("{place} holds no image named `{name}`"),
        (None, []) => format!("{place} holds no image"),
        (None, known) => format!("{place} holds {} images, and none of them was named", known.len()),
    }
}

impl OwnError {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.into().display().to_string();
        move |source| Self::Io { path, action, source }.into()
    }
}

/// What came of damage in the cache.
fn damaged(gone: usize, stuck: usize) -> String {
    let was = |count: usize| if count == 1 { "was" } else { "were" };
    let files = |count| counted(count, "file", "files");
    match (gone, stuck) {
        (_, 0) => format!("{} of the cache {} damaged, and removed", files(gone), was(gone)),
        (0, _) => format!("{} of the cache {} damaged, and cannot be removed", files(stuck), was(stuck)),
        _ => {
            let all = gone + stuck;
            format!("{} of the cache were damaged, and {stuck} of them cannot be removed", files(all))
        }
    }
}

impl Explain for OwnError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "host/io",
            Self::NotALayout(_) | Self::NotAFolder(_) => "output/not-a-layout",
            Self::NotEmpty { .. } => "output/not-empty",
            Self::OutputInSource { .. } => "output/in-source",
            Self::SpecIsImage(_) => "spec/is-image",
            Self::ImageIsSpec(_) => "image/is-spec",
            Self::SpecIsLock(_) => "spec/is-lock",
            Self::NotAProgram(_) => "init/no-program",
            Self::SpecExists(_) => "init/exists",
            Self::VerifyWithoutSpec(_) => "verify/no-spec",
            Self::NoImageHere { .. } => "image/not-here",
            Self::OfflineRegistry(_) => "offline/registry",
            Self::UnknownOutput(_) | Self::UnknownExport(_) => "output/unknown",
            Self::NoSpec(_) => "spec/missing",
            Self::NotSupported { .. } => "usage/not-supported",
            Self::NoIndex { .. } => "repository/no-index",
            Self::NothingHere(_) => "repository/missing",
            Self::PackageTooLarge { .. } => "fetch/package-too-large",
            Self::LayersWithoutStrategy => "spec/layering",
            Self::OtherConfig { .. } => "lock/other-config",
            Self::UnfitLock { .. } => "lock/unfit",
            Self::UnknownArch(_) => "usage/architecture",
            Self::CredentialsInUrl(_) => "usage/credentials",
            Self::SpecIsFolder { .. } => "spec/is-folder",
            Self::SpecIsStdin => "spec/is-stdin",
            Self::SpecTooLarge { .. } => "spec/too-large",
            Self::UnknownUser { .. } => "spec/unknown-user",
            Self::NoBinaryFor { .. } => "spec/no-binary-for-platform",
            Self::Time { .. } => "time/invalid",
            Self::Commit { .. } => "time/commit",
            Self::NoChecksum { .. } => "apk/no-checksum",
            Self::KeyPlace { .. } => "apk/discovery",
            Self::OtherArch { .. } => "apk/other-arch",
            Self::NoRuntime { .. } => "load/no-runtime",
            Self::Load { .. } => "load/refused",
            Self::EngineWithoutZstd { .. } => "load/no-zstd",
            Self::NothingToPush => "push/no-name",
            Self::NoSuchImage { .. } => "image/not-there",
            Self::NotAnImage { .. } => "image/not-an-image",
            Self::Damaged { .. } => "image/damaged",
            Self::CacheDamaged { .. } => "cache/damaged",
            Self::CacheUnread(_) => "cache/unread",
            Self::NoSuchFile { .. } => "inspect/no-such-file",
            Self::IsFolder { .. } => "inspect/is-folder",
            Self::NoSuchPlatform { .. } => "image/no-such-platform",
            Self::OtherDigest { .. } => "verify/other-digest",
            Self::BrokenChain { .. } => "inspect/broken-chain",
            Self::Different { .. } => "verify/different",
            Self::SecondBuild { .. } => "verify/second-build",
            Self::Usage(_) => "usage/options",
            Self::Bug(_) => "bug/invariant",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. }
            | Self::SpecExists(_)
            | Self::NotALayout(_)
            | Self::NotAFolder(_)
            | Self::NotEmpty { .. }
            | Self::NoRuntime { .. }
            | Self::Load { .. }
            | Self::EngineWithoutZstd { .. }
            | Self::CacheUnread(_) => Kind::Host,
            Self::VerifyWithoutSpec(_)
            | Self::IsFolder { .. }
            | Self::NoSuchPlatform { .. }
            | Self::UnknownOutput(_)
            | Self::UnknownExport(_)
            | Self::SpecIsStdin
            | Self::NothingToPush
            | Self::Usage(_)
            | Self::Time { .. }
            | Self::NotSupported { .. }
            | Self::UnknownArch(_)
            | Self::CredentialsInUrl(_)
            | Self::NoSuchFile { .. } => Kind::Usage,
            Self::OfflineRegistry(_) | Self::NoIndex { .. } => Kind::Unavailable,
            Self::NoSpec(_)
            | Self::LayersWithoutStrategy
            | Self::OtherConfig { .. }
            | Self::UnfitLock { .. }
            | Self::OutputInSource { .. }
            | Self::SpecIsImage(_)
            | Self::ImageIsSpec(_)
            | Self::SpecIsLock(_)
            | Self::NotAProgram(_)
            | Self::NoImageHere { .. }
            | Self::SpecIsFolder { .. }
            | Self::NothingHere(_)
            | Self::SpecTooLarge { .. }
            | Self::UnknownUser { .. }
            | Self::NoBinaryFor { .. }
            | Self::Commit { .. }
            | Self::NoSuchImage { .. }
            | Self::NotAnImage { .. } => Kind::Spec,
            Self::PackageTooLarge { .. }
            | Self::Damaged { .. }
            | Self::CacheDamaged { .. }
            | Self::BrokenChain { .. }
            | Self::NoChecksum { .. }
            | Self::OtherArch { .. }
            | Self::KeyPlace { .. } => Kind::Integrity,
            Self::Different { .. } | Self::OtherDigest { .. } => Kind::Mismatch,
            Self::SecondBuild { kind, .. } => *kind,
            Self::Bug(_) => Kind::Bug,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.hints_of_outputs()
    }
}
