//! From options and a configuration to what the stages take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use assemble_apk::{Constraint, Trust};
use assemble_fetch::FetchError;
use assemble_image::Reference;
use assemble_spec::{Located, RepositoryKind, RepositorySource, Spec};
use assemble_types::{Arch, Platform, SafeUrl, SourceSpan, Timestamp};

use super::vcs;
use crate::error::{Error, OwnError, Result};
use crate::keys::AlpineReleasesList;
use crate::plan::{BuildOptions, Mode, SizeLimits, StartCheck};
use crate::spec_file::{ApkoPaths, SpecFile};
use crate::time::Created;

/// What the options of apko's commands say. A command that does not have an option leaves it empty.
#[derive(Debug, Clone, Default)]
pub struct ApkoRequest {
    /// The configuration's path, as typed.
    pub config: PathBuf,
    /// `--include-paths`
    pub include_paths: Vec<PathBuf>,
    /// `--keyring-append`
    pub keyring: Vec<String>,
    /// `--repository-append`
    pub repositories: Vec<String>,
    /// `--build-repository-append`
    pub build_repositories: Vec<String>,
    /// `--package-append`
    pub packages: Vec<String>,
    /// `--arch`
    pub archs: Vec<String>,
    /// `--annotations`
    pub annotations: Vec<String>,
    /// `--lockfile`
    pub lockfile: Option<PathBuf>,
    /// `--vcs`
    pub vcs: bool,
    /// `--build-date`; empty counts as not given.
    pub build_date: String,
    /// The value of `SOURCE_DATE_EPOCH`; an empty one is not the same as none.
    pub source_date_epoch: Option<String>,
    /// `--ignore-signatures`
    pub ignore_signatures: bool,
    /// `--max-…-size`
    pub limits: SizeLimits,
    /// Which list of Alpine's keys counts.
    pub alpine_releases: AlpineReleasesList,
}

impl ApkoRequest {
    /// The configuration as it is written, with what it includes.
    pub(super) fn read(&self) -> Result<SpecFile> {
        let paths = ApkoPaths { directory: PathBuf::new(), include: self.include_paths.clone() };
        SpecFile::load_apko(&self.config, &paths)
    }

    /// The configuration with all that the options add.
    pub(super) fn load(&self) -> Result<SpecFile> {
        let mut file = self.read()?;
        let spec = &mut file.spec;
        for text in &self.keyring {
            without_credentials(text)?;
            spec.keyring.push(typed("-k", text, text.clone()));
        }
        for text in &self.repositories {
            spec.repositories.push(typed("-r", text, repository(text)?));
        }
        for text in &self.build_repositories {
            spec.build_repositories.push(typed("-b", text, repository(text)?));
        }
        for text in &self.packages {
            spec.packages.push(typed("-p", text, Constraint::parse_or_unmeetable(text)));
        }
        spec.annotations.extend(annotations(&self.annotations)?);
        match archs(&self.archs)? {
            Some(archs) => {
                spec.platforms =
                    archs.into_iter().map(|arch| typed("--arch", arch.apk(), Platform::from(arch))).collect();
                spec.unknown_platforms.clear();
            }
            None if spec.platforms.is_empty() && spec.unknown_platforms.is_empty() => {
                let all = Arch::ALL.into_iter();
                spec.platforms = all.map(|arch| typed("--arch", "all", Platform::from(arch))).collect();
            }
            None => {}
        }
        if let Some(unknown) = spec.unknown_platforms.first() {
            return Err(Error::from(OwnError::UnknownArch(unknown.value.clone())).at(&unknown.span));
        }
        if self.vcs && spec.vcs_url.is_none() {
            spec.vcs_url = vcs::probe(&self.config).map(|url| typed("--vcs", "", url));
        }
        Ok(file)
    }

    /// What the options say about the build itself.
    pub(super) fn options(&self, tags: &[String]) -> Result<BuildOptions> {
        let build_date = match self.build_date.as_str() {
            "" => None,
            text => Some(
                text.parse::<Timestamp>()
                    .map_err(|source| OwnError::Time { what: format!("--build-date={text}"), source })?,
            ),
        };
        let tags = tags.iter().map(|tag| Reference::parse(tag).map_err(Error::from));
        Ok(BuildOptions {
            mode: Mode::Apko,
            tags: tags.collect::<Result<_>>()?,
            created: Created::Inputs,
            source_date_epoch: self.source_date_epoch.clone(),
            build_date,
            build_date_text: build_date.map(|_| self.build_date.clone()),
            start_check: StartCheck::Off,
            trust: if self.ignore_signatures { Trust::AllowUntrusted } else { Trust::Required },
            limits: self.limits,
            alpine_releases: self.alpine_releases.clone(),
            apko_lock: self.lockfile.clone(),
            ..BuildOptions::default()
        })
    }
}

/// What a configuration asks for, as spelt: without what follows from the rest of it.
pub(super) fn written_packages(spec: &Spec) -> &[String] {
    let packages = &spec.apko.packages;
    match spec.apko.entrypoint_type.as_deref() {
        Some("service-bundle") => &packages[..packages.len().saturating_sub(1)],
        _ => packages,
    }
}

/// Where options are, in the place of a file.
pub(crate) const COMMAND_LINE: &str = "the command line";

/// A value of the command line; messages point at the option.
fn typed<T>(option: &str, text: &str, value: T) -> Located<T> {
    let line = format!("{option} {text}");
    let span = SourceSpan {
        file: COMMAND_LINE.into(),
        line: 1,
        column: 1,
        length: u32::try_from(line.chars().count()).unwrap_or(1),
        text: line,
        label: String::new(),
    };
    Located { value, span }
}

/// `[@TAG ]LOCATION`
fn repository(text: &str) -> Result<RepositorySource> {
    let (pin, location) = match text.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((pin, location)) => (Some(pin.to_owned()), location),
        None => (None, text),
    };
    without_credentials(location)?;
    Ok(RepositorySource { kind: RepositoryKind::Unsaid, pin, location: location.to_owned() })
}

/// What is given here is written into the image.
fn without_credentials(location: &str) -> Result<()> {
    if !location.contains("://") {
        return Ok(());
    }
    let url: SafeUrl =
        location.parse().map_err(|e| FetchError::from(assemble_fetch::LocationError::Url(e)))?;
    if url.has_credentials() {
        return Err(OwnError::CredentialsInUrl(url.host()).into());
    }
    Ok(())
}

/// The architectures of `--arch`: nothing if none are given, `all`, `host`, or a list without order.
fn archs(texts: &[String]) -> Result<Option<Vec<Arch>>> {
    match texts {
        [] => return Ok(None),
        [one] if one == "all" => return Ok(Some(Arch::ALL.to_vec())),
        [one] if one == "host" => return host().map(|arch| Some(vec![arch])),
        _ => {}
    }
    let mut archs = BTreeMap::new();
    for text in texts {
        let arch = arch(text)?;
        archs.insert(arch.oci_with_variant(), arch);
    }
    Ok(Some(archs.into_values().collect()))
}

/// One architecture in any of its names.
pub(super) fn arch(text: &str) -> Result<Arch> {
    match text {
        "host" => host(),
        _ => text
            .parse::<Platform>()
            .map(|platform| platform.arch)
            .map_err(|_| OwnError::UnknownArch(text.to_owned()).into()),
    }
}

/// The architecture that this program was built for.
pub(super) fn host() -> Result<Arch> {
    let name = std::env::consts::ARCH;
    name.parse::<Platform>()
        .map(|platform| platform.arch)
        .map_err(|_| OwnError::UnknownArch(name.to_owned()).into())
}

/// `key:value`, each key once.
fn annotations(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let wrong =
        |text: &str, why: &str| Error::from(OwnError::Usage(format!("--annotations `{text}`: {why}")));
    let mut found = BTreeMap::new();
    for text in texts {
        let Some((key, value)) = text.split_once(':') else {
            return Err(wrong(text, "expected KEY:VALUE"));
        };
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if key.is_empty() || !key.bytes().all(fits) {
            return Err(wrong(text, "a key has only lower-case letters, digits, `-` and `.`"));
        }
        if value.is_empty() {
            return Err(wrong(text, "the value is empty"));
        }
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(wrong(text, "this key was given before"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(texts: &[&str]) -> Vec<String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let found = archs(&texts).unwrap().unwrap_or_default();
        found.into_iter().map(Arch::oci_with_variant).collect()
    }

    #[test]
    fn architectures_have_no_order_and_many_names() {
        assert_eq!(shown(&["x86_64", "arm64", "amd64", "armhf"]), ["amd64", "arm/v6", "arm64"]);
        assert_eq!(shown(&["all"]).len(), 9);
        assert!(shown(&[]).is_empty());
        assert!(archs(&["all".into(), "arm64".into()]).is_err());
        assert!(archs(&["sparc".into()]).is_err());
    }

    #[test]
    fn annotations_are_pairs() {
        let read = |text: &str| annotations(&[text.to_owned()]).map_err(|e| e.to_string());
        assert_eq!(read("a.b-1:c:d").unwrap()["a.b-1"], "c:d");
        for wrong in ["a", "A:b", ":b", "a:", "a_b:c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(annotations(&["a:1".into(), "a:1".into()]).is_err());
    }

    #[test]
    fn credentials_do_not_get_into_an_image() {
        assert!(
            repository("https://user:secret@example.org/x").unwrap_err().to_string().contains("example.org")
        );
        assert!(
            !repository("@t https://user:secret@example.org/x").unwrap_err().to_string().contains("secret")
        );
        let plain = repository("@edge https://example.org/x").unwrap();
        assert_eq!((plain.pin.as_deref(), plain.location.as_str()), (Some("edge"), "https://example.org/x"));
        assert!(repository("./packages").is_ok());
    }
}
