//! What a spec means, once it is checked.

use std::collections::BTreeMap;

use assemble_apk::Constraint;
use assemble_types::{ImagePath, Mode, Platform, SourceSpan};

/// A value and where it stands in the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place, for messages of later stages.
    pub span: SourceSpan,
}

impl<T> Located<T> {
    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: f(self.value), span: self.span }
    }
}

/// By whose rules a spec is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Ours: apko's keys and more, and what no runtime could start is refused.
    #[default]
    Assemble,
    /// apko's own: its keys, and every value that apko takes.
    Apko,
}

/// A checked spec, with what it includes. Paths in it are relative to the folder of the spec that was named, also those
/// of included files; nothing here was looked up on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// By whose rules it was read.
    pub dialect: Dialect,
    /// `contents.repositories`: used for building and written into the image. In the order written.
    pub repositories: Vec<Located<RepositorySource>>,
    /// `contents.build_repositories`: used for building only.
    pub build_repositories: Vec<Located<RepositorySource>>,
    /// `contents.runtime_repositories`: written into the image only.
    pub runtime_repositories: Vec<Located<RepositorySource>>,
    /// `contents.keyring`: paths or URLs of public keys, without credentials.
    pub keyring: Vec<Located<String>>,
    /// `contents.runtime_keyring`: keys that are put into the image and prove nothing while it is built.
    pub runtime_keyring: Vec<RuntimeKey>,
    /// `contents.packages`, in the order written; with `s6` at the end for a service bundle.
    pub packages: Vec<Located<Constraint>>,
    /// `contents.baseimage`.
    pub base_image: Option<BaseImage>,
    /// `contents.binary`.
    pub binary: Option<Binary>,
    /// `contents.files`, in the order written; later ones lie over earlier ones.
    pub files: Vec<FileMapping>,
    /// `contents.base-files`.
    pub base_files: BaseFiles,
    /// `certificates`; nothing if it is not written, which is not the same as empty to apko.
    pub certificates: Option<Certificates>,
    /// The words of the entrypoint; nothing if there is none. Never an empty list.
    pub entrypoint: Option<Vec<String>>,
    /// `entrypoint.services`: names of s6 services and the command of each.
    pub services: BTreeMap<String, String>,
    /// The words of `cmd`; nothing if there is none. Never an empty list.
    pub cmd: Option<Vec<String>>,
    /// `environment`, as written: the defaults that apko adds are not in it.
    pub environment: BTreeMap<String, String>,
    /// `work-dir`, as written. Absolute but in apko's dialect.
    pub work_dir: Option<String>,
    /// `ports`, in the order written, each once.
    pub ports: Vec<Port>,
    /// `volumes`, as written. Absolute paths but in apko's dialect.
    pub volumes: Vec<String>,
    /// `stop-signal`, as written: a name or a number that Linux knows, but in apko's dialect.
    pub stop_signal: Option<String>,
    /// `annotations`: of the manifest, and labels of the image.
    pub annotations: BTreeMap<String, String>,
    /// `vcs-url`: where the spec's own source is, as `URL@REVISION`.
    pub vcs_url: Option<Located<String>>,
    /// `archs`, in the order written, each once. Empty means that the spec leaves it open.
    pub platforms: Vec<Located<Platform>>,
    /// Names in `archs` that no platform has. Only apko's dialect lets them pass: there, an option can stand in for them.
    pub unknown_platforms: Vec<Located<String>>,
    /// `accounts.run-as`: `user`, `uid`, `user:group` or `uid:gid`, as written; any text in apko's dialect.
    pub run_as: Option<Located<String>>,
    /// `accounts.users`, in the order written.
    pub users: Vec<User>,
    /// `accounts.groups`, in the order written.
    pub groups: Vec<Group>,
    /// `paths`: what is done to the tree once the packages are in it, in the order written.
    pub paths: Vec<PathMutation>,
    /// `layering`; nothing means one layer for all packages.
    pub layering: Option<Layering>,
    /// `include` of the file that was named; what it names is merged into this already.
    pub include: Option<Located<String>>,
    /// What apko repeats in its own words, in `/etc/apko.json` and elsewhere.
    pub apko: ApkoView,
    /// Where each key stands, by dotted path; see [`Spec::span_of`].
    pub places: BTreeMap<String, SourceSpan>,
}

impl Spec {
    /// Where a key of the spec stands, by its dotted path: `entrypoint`, `accounts.run-as`, `environment.PATH`,
    /// `contents.binary`. The place is the value's if it is one text, else the key's. Nothing if it is not written.
    pub fn span_of(&self, path: &str) -> Option<&SourceSpan> {
        self.places.get(path)
    }
}

/// What a repository's line says before the address of how it is laid out, in the words of apk 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepositoryKind {
    /// Nothing: a folder with an index in the folder of each architecture, or the index itself, which then ends in `.adb`.
    #[default]
    Unsaid,
    /// `v2`: folders with indexes of format version 2.
    V2,
    /// `v3`: folders with indexes of format version 3.
    V3,
    /// `ndx`: the index itself, with its packages beside it.
    Ndx,
}

impl RepositoryKind {
    /// The word, if there is one.
    pub fn keyword(self) -> Option<&'static str> {
        match self {
            Self::Unsaid => None,
            Self::V2 => Some("v2"),
            Self::V3 => Some("v3"),
            Self::Ndx => Some("ndx"),
        }
    }
}

/// Where packages come from: a folder, or a `file:`, `http:` or `https:` URL, without trailing slashes and without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositorySource {
    /// How it is laid out, where the line says so.
    pub kind: RepositoryKind,
    /// The tag of `@tag URL`: only packages asked for as `name@tag` come from it.
    pub pin: Option<String>,
    /// The path or URL. `${APK_ARCH}` in it stands for APK's name of the architecture.
    pub location: String,
}

impl RepositorySource {
    /// What stands for the architecture in a location.
    pub const ARCH: &str = "${APK_ARCH}";

    /// The line of `/etc/apk/repositories`.
    pub fn line(&self) -> String {
        let keyword = self.kind.keyword().map(|word| format!("{word} ")).unwrap_or_default();
        let pin = self.pin.as_ref().map(|pin| format!("@{pin} ")).unwrap_or_default();
        format!("{keyword}{pin}{}", self.location)
    }
}

/// One entry of `contents.runtime_keyring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeKey {
    /// File name below `/etc/apk/keys`; no slash in it, and each name stands once.
    pub name: String,
    /// The key as PEM. That it is one is not checked here.
    pub content: String,
    /// The entry's place.
    pub span: SourceSpan,
}

/// `contents.baseimage`: an image that this one is stacked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Where it is.
    pub source: Located<BaseImageSource>,
    /// A folder with `<apk arch>/APKINDEX`: the installed database of the base, as text.
    pub apkindex: Located<String>,
}

/// Where a base image is. Only folders can be used so far; what a registry has will be another case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseImageSource {
    /// A folder in the OCI layout.
    Layout(String),
}

impl BaseImageSource {
    /// As the spec has it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Layout(path) => path,
        }
    }
}

/// One entry of `accounts.users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name; not empty.
    pub name: String,
    /// Its number; never 0.
    pub uid: u32,
    /// The number of its group; nothing means that of the user.
    pub gid: Option<u32>,
    /// Its shell; empty means `/bin/sh`.
    pub shell: String,
    /// Its home as written; empty means `/home/<name>`.
    pub home: String,
    /// The entry's place.
    pub span: SourceSpan,
}

/// One entry of `accounts.groups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name; not empty.
    pub name: String,
    /// Its number.
    pub gid: u32,
    /// Names of users that are in it.
    pub members: Vec<String>,
    /// The entry's place.
    pub span: SourceSpan,
}

/// One entry of `paths`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMutation {
    /// Where in the image, as written: relative ones start at the root as well.
    pub path: Located<String>,
    /// What is made or changed there.
    pub kind: PathKind,
    /// The owner; nothing leaves it as it is, or 0 if `gid` is given.
    pub uid: Option<u32>,
    /// The group; nothing leaves it as it is, or 0 if `uid` is given.
    pub gid: Option<u32>,
    /// As written; only the low 12 bits count. See [`PathMutation::mode`].
    pub permissions: u32,
    /// What a link leads to; empty for the other kinds.
    pub source: String,
    /// Whether owner and permissions are those of everything below as well.
    pub recursive: bool,
    /// The entry's place.
    pub span: SourceSpan,
}

impl PathMutation {
    /// The permissions that count.
    pub fn mode(&self) -> Mode {
        Mode::from_bits(self.permissions & 0o7777)
    }
}

/// What an entry of `paths` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// Makes a folder and those above it.
    Directory,
    /// Makes an empty file, or empties one.
    EmptyFile,
    /// Another name for `source`.
    HardLink,
    /// A symbolic link to `source`.
    SymLink,
    /// Only sets owner and permissions.
    Permissions,
}

impl PathKind {
    /// All kinds, in the order in which help lists them.
    pub const ALL: [Self; 5] =
        [Self::Directory, Self::EmptyFile, Self::HardLink, Self::SymLink, Self::Permissions];

    /// The value of `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::EmptyFile => "empty-file",
            Self::HardLink => "hardlink",
            Self::SymLink => "symlink",
            Self::Permissions => "permissions",
        }
    }
}

/// `layering`: how packages are spread over layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layering {
    /// The rule; nothing means one layer.
    pub strategy: Option<LayerStrategy>,
    /// Most layers of packages; one more holds what belongs to none. apko takes negative ones for 1.
    pub budget: i64,
}

/// Which packages share a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerStrategy {
    /// Those built from the same source.
    Origin,
    /// None: each is a layer of its own, just as its distribution packed it. apko has no such rule.
    Package,
}

impl LayerStrategy {
    /// The value of `strategy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Package => "package",
        }
    }

    /// Most layers of packages where the spec does not say: runtimes take 127 layers in all, and some fewer.
    pub fn usual_budget(self) -> Option<i64> {
        match self {
            Self::Origin => None,
            Self::Package => Some(100),
        }
    }
}

/// The program that the image is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Where it lies on the host.
    pub sources: BinarySources,
    /// Where it goes; nothing means `/usr/bin/` and its own name.
    pub path: Option<ImagePath>,
    /// Its mode; nothing means the rule for files of the host.
    pub permissions: Option<Mode>,
    /// Where `contents.binary` stands.
    pub span: SourceSpan,
}

/// One program for all platforms, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinarySources {
    /// One path; its ELF header says for which platform.
    One(Located<String>),
    /// A path for each platform. Covers the spec's `archs` where these are given.
    PerPlatform(BTreeMap<Platform, Located<String>>),
}

/// A file or folder of the host, and its place in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// A file or a folder, relative to the spec. Not empty.
    pub source: Located<String>,
    /// The whole path of the file or folder in the image, not the folder it goes into.
    pub path: Located<ImagePath>,
    /// Mode of every file; nothing means the rule for files of the host.
    pub permissions: Option<Mode>,
    /// Owner; nothing means 0.
    pub uid: Option<u32>,
    /// Group; nothing means 0.
    pub gid: Option<u32>,
    /// Glob patterns, relative to a source that is a folder.
    pub exclude: Vec<String>,
    /// The entry's place.
    pub span: SourceSpan,
}

/// Which of the files that make an image without packages usable are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseFiles {
    /// Whether any are. Where the spec is silent: unless the image consists of packages alone.
    pub enabled: bool,
    /// Whether the CA bundle is one of them.
    pub certificates: bool,
    /// Whether the time zones are.
    pub time_zones: bool,
}

impl Default for BaseFiles {
    fn default() -> Self {
        Self { enabled: true, certificates: true, time_zones: true }
    }
}

impl BaseFiles {
    /// No base files at all.
    pub const NONE: Self = Self { enabled: false, certificates: false, time_zones: false };
}

/// `certificates`: authorities that the image trusts beside those it has anyway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificates {
    /// Certificates of the spec's own, in the order written.
    pub additional: Vec<AdditionalCertificate>,
    /// Names that packages provide whose certificates are taken up.
    pub providers: Vec<Located<String>>,
}

/// One entry of `certificates.additional`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalCertificate {
    /// apko's name for it; only ASCII letters, digits, `_`, `.` and `-`, not starting with a dot.
    pub name: Option<String>,
    /// Its PEM text or where that lies.
    pub source: CertificateSource,
    /// The entry's place.
    pub span: SourceSpan,
}

/// Where a certificate's PEM text is. That it is one is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// In the spec itself.
    Inline(String),
    /// In a file, relative to the spec.
    File(Located<String>),
}

/// A port that the image says it listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Port {
    /// As OCI's `ExposedPorts` has it: `8080/tcp`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.name())
    }
}

/// Protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Lower-case name, as in OCI's `ExposedPorts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Texts as apko would have them in `/etc/apko.json`. Where ours are lists, which apko does not know, they are words
/// quoted so that splitting gives the list again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApkoView {
    /// `contents.packages`, as spelt; with `s6` at the end for a service bundle.
    pub packages: Vec<String>,
    /// `entrypoint.type`.
    pub entrypoint_type: Option<String>,
    /// `entrypoint.command`; that of s6 for a service bundle.
    pub entrypoint_command: Option<String>,
    /// `entrypoint.shell-fragment`.
    pub entrypoint_shell_fragment: Option<String>,
    /// `cmd`.
    pub cmd: Option<String>,
    /// `archs` in OCI's names, each as often as it is written; names that nobody knows as they are.
    pub archs: Vec<String>,
    /// `format`.
    pub format: Option<String>,
}
