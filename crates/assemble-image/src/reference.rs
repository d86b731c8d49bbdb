//! Names of images in registries.

use std::fmt;
use std::str::FromStr;

use assemble_types::{Digest, Explain, Kind};

/// Where Docker Hub's images are said to be.
const HUB: &str = "docker.io";

/// Where Docker Hub's registry answers.
const HUB_REGISTRY: &str = "registry-1.docker.io";

const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;
/// No reference that passes the other limits is longer; what is longer is not even looked at.
const MAX_TEXT: usize = 1024;

/// The name of an image: domain, path, and a tag or a digest or both. What is left out is filled in as everybody's
/// tools do: `docker.io`, `library/`, `latest`.
///
/// Shown in full (`docker.io/library/alpine:3`), which is also its canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no image name: {problem}", .text.escape_debug())]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: ReferenceProblem,
}

/// What is wrong with the text of a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Longer than any name can be.
    #[error("it is longer than {MAX_PATH} characters")]
    TooLong,
    /// Begins like a URL.
    #[error("it begins with `{0}`")]
    Scheme(&'static str),
    /// An upper-case letter in the path.
    #[error("`{}` has upper-case letters, the name of a repository is lower case", .0.escape_debug())]
    UpperCase(String),
    /// Two slashes in a row, or one at an end.
    #[error("a part between two slashes is empty")]
    EmptyComponent,
    /// A component of the path.
    #[error(
        "`{}` may hold only a-z, 0-9 and, between them, single `.` or `_`, `__` or any number of `-`",
        .0.escape_debug()
    )]
    Path(String),
    /// The domain or its port.
    #[error("`{}` is no registry host", .0.escape_debug())]
    Domain(String),
    /// The tag.
    #[error(
        "the tag `{}` may hold only letters, digits, `_`, `.` and `-`, at most {MAX_TAG}, and not begin with `.` or `-`",
        .0.escape_debug()
    )]
    Tag(String),
    /// The digest.
    #[error("`{}` is no digest: expected `sha256:` and 64 lower-case hexadecimal digits", .0.escape_debug())]
    Digest(String),
    /// Looks like an image ID.
    #[error("64 hexadecimal digits are an image ID and name no repository")]
    ImageId,
}

impl Explain for ReferenceError {
    fn code(&self) -> &'static str {
        "image/reference"
    }

    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hints(&self) -> Vec<String> {
        let named = match &self.problem {
            ReferenceProblem::UpperCase(_) | ReferenceProblem::Path(_) => self.in_letters_of_names(),
            ReferenceProblem::Scheme(scheme) => Some(self.text.trim_start_matches(scheme).to_owned()),
            _ => None,
        };
        // What is no name either helps nobody.
        match named.filter(|name| Reference::parse(name).is_ok()) {
            Some(name) => vec![format!("write `{}`", name.escape_debug())],
            None => vec!["names look like `registry.example/team/app:v1`".into()],
        }
    }
}

impl ReferenceError {
    /// The text with small letters, and dashes in place of spaces, in what stands before the tag or the digest.
    fn in_letters_of_names(&self) -> Option<String> {
        let (name, rest) = match self.text.find('@').or_else(|| tag_colon(&self.text)) {
            Some(at) => self.text.split_at(at),
            None => (self.text.as_str(), ""),
        };
        let words: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
        (!words.is_empty()).then(|| format!("{}{rest}", words.join("-")))
    }
}

/// Where the colon in front of the tag is, if there is a tag.
fn tag_colon(text: &str) -> Option<usize> {
    text.rfind(':').filter(|at| !text[*at..].contains('/'))
}

impl Reference {
    /// Reads a reference (the grammar of the distribution project).
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Self::parse_parts(text).map_err(|problem| ReferenceError { text: text.to_owned(), problem })
    }

    fn parse_parts(text: &str) -> Result<Self, ReferenceProblem> {
        if text.is_empty() {
            return Err(ReferenceProblem::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(ReferenceProblem::TooLong);
        }
        for scheme in ["https://", "http://", "docker://", "oci://"] {
            if text.starts_with(scheme) {
                return Err(ReferenceProblem::Scheme(scheme));
            }
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| ReferenceProblem::Digest(digest.to_owned()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match tag_colon(rest) {
            Some(at) => (&rest[..at], Some(check_tag(&rest[at + 1..])?)),
            None => (rest, None),
        };
        let (domain, path) = split_domain(name)?;
        check_path(&path)?;
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { domain, path, tag, digest })
    }

    /// The host to send requests to, with its port as written. Docker Hub's differs from its name.
    pub fn registry(&self) -> &str {
        if self.domain == HUB { HUB_REGISTRY } else { &self.domain }
    }

    /// The name's domain with its port as written; `docker.io` for Docker Hub.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.path
    }

    /// The tag, unless the name has only a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        let tag = check_tag(tag).map_err(|problem| ReferenceError { text: tag.to_owned(), problem })?;
        Ok(Self { tag: Some(tag), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Domain and path without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The short form that docker lists: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            // The path of an official image has no second slash.
            Some(rest) => {
                rest.strip_prefix("library/").filter(|r| !r.contains('/')).unwrap_or(rest).to_owned()
            }
            None => full,
        }
    }
}

fn split_domain(name: &str) -> Result<(String, String), ReferenceProblem> {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (HUB, name),
    };
    if !is_domain(domain) {
        // `Team/app` reads as a host in the grammar; what was meant is a repository.
        return Err(ReferenceProblem::Domain(domain.to_owned()));
    }
    if !domain.contains(['.', ':']) && domain != "localhost" {
        return Err(ReferenceProblem::UpperCase(domain.to_owned()));
    }
    let domain = if domain == "index.docker.io" { HUB } else { domain };
    let path = if domain == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
    Ok((domain.to_owned(), path))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host_is_good = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        host.split('.').all(|label| {
            let plain = |c: char| c.is_ascii_alphanumeric();
            !label.is_empty()
                && label.chars().all(|c| plain(c) || c == '-')
                && label.starts_with(plain)
                && label.ends_with(plain)
        })
    };
    let port_is_good =
        port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|p| p > 0));
    host_is_good && port_is_good
}

fn check_path(path: &str) -> Result<(), ReferenceProblem> {
    if path.len() > MAX_PATH {
        return Err(ReferenceProblem::TooLong);
    }
    let bare = path.strip_prefix("library/").unwrap_or(path);
    if bare.len() == 64 && bare.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(ReferenceProblem::ImageId);
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err(ReferenceProblem::EmptyComponent);
        }
        if component.contains(|c: char| c.is_uppercase()) {
            return Err(ReferenceProblem::UpperCase(component.to_owned()));
        }
        if !is_path_component(component) {
            return Err(ReferenceProblem::Path(component.to_owned()));
        }
    }
    Ok(())
}

/// Runs of letters and digits with one `.`, one or two `_`, or any number of `-` between them.
fn is_path_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(plain) || !text.ends_with(plain) {
        return false;
    }
    text.split(plain)
        .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

fn check_tag(tag: &str) -> Result<String, ReferenceProblem> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good =
        tag.len() <= MAX_TAG && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-');
    if good { Ok(tag.to_owned()) } else { Err(ReferenceProblem::Tag(tag.to_owned())) }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parts(text: &str) -> [String; 5] {
        let r = Reference::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let registry = r.registry().to_owned();
        let tag = r.tag().unwrap_or("-").to_owned();
        let digest = if r.digest().is_some() { "digest" } else { "-" };
        assert_eq!(Reference::parse(&r.to_string()).unwrap(), r, "the shown form reads back as the same");
        assert_eq!(Reference::parse(&r.familiar()).unwrap(), r, "so does the familiar one");
        [registry, r.repository().to_owned(), tag, digest.to_owned(), r.familiar()]
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let digest = format!("@sha256:{HEX}");
        for (text, expected) in [
            ("alpine", ["registry-1.docker.io", "library/alpine", "latest", "-", "alpine:latest"]),
            ("alpine:3.19", ["registry-1.docker.io", "library/alpine", "3.19", "-", "alpine:3.19"]),
            ("team/app:v1", ["registry-1.docker.io", "team/app", "v1", "-", "team/app:v1"]),
            (
                "index.docker.io/alpine",
                ["registry-1.docker.io", "library/alpine", "latest", "-", "alpine:latest"],
            ),
            (
                "docker.io/library/alpine",
                ["registry-1.docker.io", "library/alpine", "latest", "-", "alpine:latest"],
            ),
            (
                "docker.io/library/a/b",
                ["registry-1.docker.io", "library/a/b", "latest", "-", "library/a/b:latest"],
            ),
            ("localhost:5000", ["registry-1.docker.io", "library/localhost", "5000", "-", "localhost:5000"]),
            ("localhost/app", ["localhost", "app", "latest", "-", "localhost/app:latest"]),
            ("localhost:5000/app", ["localhost:5000", "app", "latest", "-", "localhost:5000/app:latest"]),
            (
                "ghcr.io/a/b__c-d--e.f_g:1",
                ["ghcr.io", "a/b__c-d--e.f_g", "1", "-", "ghcr.io/a/b__c-d--e.f_g:1"],
            ),
            ("[::1]:5000/app:x", ["[::1]:5000", "app", "x", "-", "[::1]:5000/app:x"]),
            ("127.0.0.1:80/a", ["127.0.0.1:80", "a", "latest", "-", "127.0.0.1:80/a:latest"]),
            ("REG.example/a", ["REG.example", "a", "latest", "-", "REG.example/a:latest"]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
        assert_eq!(parts(&format!("r.io/a{digest}"))[2..4], ["-", "digest"]);
        assert_eq!(parts(&format!("r.io/a:v1{digest}"))[2..4], ["v1", "digest"]);
    }

    #[test]
    fn mistakes_are_named() {
        let say = |text: &str| {
            let error = Reference::parse(text).unwrap_err();
            format!("{error} | {}", error.hints().join("; "))
        };
        let mut out = String::new();
        for text in [
            "",
            "https://ghcr.io/a/b",
            "ghcr.io/Team/App:V1",
            "Team/app",
            "App",
            "a//b",
            "a/",
            "/a",
            "-a/b",
            "a_-b",
            "a...b",
            "a:",
            "a:.x",
            "a@sha256:12",
            "a@",
            "ghcr.io:0/a",
            "ghcr.io:99999/a",
            "ex_ample.com/a",
            "[::1/a",
            "a b",
            "Hello World",
            "reg.example/My App:V1",
            "Gr\u{d6}\u{df}e",
            "https://",
            "a\u{1b}[31m",
            HEX,
            "gr\u{f6}\u{df}e",
        ] {
            out += &say(text);
            out.push('\n');
        }
        expect_test::expect_file!["../testdata/references.txt"].assert_eq(&out);
        assert!(say(&"a".repeat(300)).contains("longer than 255"));
        assert!(say(&"a/".repeat(3000)).contains("longer than 255"));
        assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }

    #[test]
    fn tag_and_digest_replace_each_other() {
        let r = Reference::parse("ghcr.io/a/b:v1").unwrap();
        assert_eq!(r.with_tag("v2").unwrap().to_string(), "ghcr.io/a/b:v2");
        assert_eq!(r.with_digest(Digest::of(b"")).to_string(), format!("ghcr.io/a/b@sha256:{HEX}"));
        assert!(r.with_tag("no good").is_err());
        assert_eq!(r.name(), "ghcr.io/a/b");
    }
}
