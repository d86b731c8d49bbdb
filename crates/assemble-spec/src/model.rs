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

/// A checked spec. Paths in it are relative to the spec's folder; nothing here was looked up on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// `contents.repositories`: used for building and written into the image. In the order written.
    pub repositories: Vec<Located<RepositorySource>>,
    /// `contents.build_repositories`: used for building only.
    pub build_repositories: Vec<Located<RepositorySource>>,
    /// `contents.runtime_repositories`: written into the image only.
    pub runtime_repositories: Vec<Located<RepositorySource>>,
    /// `contents.keyring`: paths or URLs of public keys, without credentials.
    pub keyring: Vec<Located<String>>,
    /// `contents.packages`, in the order written.
    pub packages: Vec<Located<Constraint>>,
    /// `contents.binary`.
    pub binary: Option<Binary>,
    /// `contents.files`, in the order written; later ones lie over earlier ones.
    pub files: Vec<FileMapping>,
    /// `contents.base-files` and `certificates.additional`.
    pub base_files: BaseFiles,
    /// The words of the entrypoint; nothing if there is none. Never an empty list.
    pub entrypoint: Option<Vec<String>>,
    /// The words of `cmd`; nothing if there is none. Never an empty list.
    pub cmd: Option<Vec<String>>,
    /// `environment`, as written: the defaults that apko adds are not in it.
    pub environment: BTreeMap<String, String>,
    /// `work-dir`: absolute, as written.
    pub work_dir: Option<String>,
    /// `ports`, in the order written, each once.
    pub ports: Vec<Port>,
    /// `volumes`: absolute paths, as written.
    pub volumes: Vec<String>,
    /// `stop-signal`, as written: a name or a number that Linux knows.
    pub stop_signal: Option<String>,
    /// `annotations`: of the manifest, and labels of the image.
    pub annotations: BTreeMap<String, String>,
    /// `archs`, in the order written, each once. Empty means that the spec leaves it open.
    pub platforms: Vec<Located<Platform>>,
    /// `accounts.run-as`: `user`, `uid`, `user:group` or `uid:gid`, as written.
    pub run_as: Option<Located<String>>,
    /// What `/etc/apko.json` repeats in apko's own words.
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

/// Where packages come from: a folder, or a `file:`, `http:` or `https:` URL, without trailing slashes and without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositorySource {
    /// The tag of `@tag URL`: only packages asked for as `name@tag` come from it.
    pub pin: Option<String>,
    /// The path or URL.
    pub location: String,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFiles {
    /// Whether any are. Where the spec is silent: unless the image consists of packages alone.
    pub enabled: bool,
    /// Whether the CA bundle is one of them.
    pub certificates: bool,
    /// Whether the time zones are.
    pub time_zones: bool,
    /// CA certificates on top, in the order written.
    pub additional_certificates: Vec<AdditionalCertificate>,
}

impl Default for BaseFiles {
    fn default() -> Self {
        Self { enabled: true, certificates: true, time_zones: true, additional_certificates: Vec::new() }
    }
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
    /// `entrypoint.type`.
    pub entrypoint_type: Option<String>,
    /// `entrypoint.command`.
    pub entrypoint_command: Option<String>,
    /// `entrypoint.shell-fragment`.
    pub entrypoint_shell_fragment: Option<String>,
    /// `cmd`.
    pub cmd: Option<String>,
}
