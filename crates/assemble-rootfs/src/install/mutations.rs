//! What a configuration wants changed once the packages are laid down, as checked values.
//!
//! # Why it is the way it is
//! The configuration in apko's words is kept as it is for `/etc/apko.json`; the steps take values that can only be
//! right: a known kind of change, a certificate that is one, a key that is one.

use assemble_types::{Mode, Owner};
use sha2::{Digest as _, Sha256};

use super::mutation_error::{MutationError, PemProblem, Unfit};
use crate::apko_config::{ApkoConfig, ApkoNamed, ApkoPath};
use crate::{der, pem};

/// All changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutations {
    /// Users, groups, and whom the image runs as.
    pub accounts: Accounts,
    /// Changes to paths, in order.
    pub paths: Vec<PathMutation>,
    /// Certificates to add.
    pub certificates: Vec<NamedCertificate>,
    /// What packages provide whose certificates are added, too.
    pub certificate_providers: Vec<String>,
    /// Keys that are put into the image, by name.
    pub runtime_keys: Vec<RuntimeKey>,
    /// Services for s6, by name.
    pub services: Vec<Service>,
}

/// Users and groups to add, and whom the image runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Users, in order.
    pub users: Vec<NewUser>,
    /// Groups, in order.
    pub groups: Vec<NewGroup>,
}

/// A user to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The name; not empty.
    pub name: String,
    /// The number; never 0.
    pub uid: u32,
    /// The main group.
    pub gid: u32,
    /// The shell.
    pub shell: String,
    /// The home; made unless it is there or is `/dev/null`.
    pub home: String,
}

/// A group to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// The name; not empty.
    pub name: String,
    /// The number.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// A change to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMutation {
    /// The path as it was written: slashes at its end and at its beginning count.
    pub path: String,
    /// What is done to it.
    pub kind: PathKind,
    /// The mode it gets.
    pub mode: Mode,
    /// The owner it gets; without one, owners stay.
    pub owner: Option<Owner>,
    /// Whether mode and owner are for all below, too.
    pub recursive: bool,
}

/// What is done to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// A folder is made, with all that are missing above it.
    Directory,
    /// A file is made, or emptied.
    EmptyFile,
    /// One more name for what is at this path.
    HardLink(String),
    /// A symbolic link with this text.
    Symlink(String),
    /// Mode and owner only.
    Permissions,
}

/// A certificate of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCertificate {
    /// Its name, a plain file name.
    pub name: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// One X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) pem: Vec<u8>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeKey {
    pub(super) name: String,
    pub(super) pem: Vec<u8>,
}

/// A service for s6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name of its folder below `/sv`.
    pub name: String,
    /// Its command, in execline's language.
    pub command: String,
}

impl Mutations {
    /// Checks what a configuration asks for. An error names the member, such as `paths[2]`.
    pub fn of(config: &ApkoConfig) -> Result<Self, MutationError> {
        let certificates = config.certificates.clone().unwrap_or_default();
        let mut runtime_keys =
            config.contents.runtime_keyring.iter().map(RuntimeKey::of).collect::<Result<Vec<_>, _>>()?;
        runtime_keys.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = runtime_keys.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(MutationError::SameName { name: twice[0].name.clone() });
        }
        Ok(Self {
            accounts: Accounts::of(config)?,
            paths: config
                .paths
                .iter()
                .enumerate()
                .map(|(number, path)| PathMutation::of(number, path))
                .collect::<Result<_, _>>()?,
            certificates: certificates
                .additional
                .iter()
                .map(NamedCertificate::of)
                .collect::<Result<_, _>>()?,
            certificate_providers: certificates.providers,
            runtime_keys,
            services: config
                .entrypoint
                .services
                .iter()
                .map(|(name, command)| Service { name: name.clone(), command: command.clone() })
                .collect(),
        })
    }
}

impl Accounts {
    fn of(config: &ApkoConfig) -> Result<Self, MutationError> {
        let mut accounts = Self::default();
        for (number, user) in config.accounts.users.iter().enumerate() {
            let or = |text: &str, usual: String| if text.is_empty() { usual } else { text.to_owned() };
            if user.username.is_empty() {
                return Err(MutationError::NoName { at: format!("accounts.users[{number}]") });
            }
            if user.uid == 0 {
                return Err(MutationError::SecondRoot { user: user.username.clone() });
            }
            accounts.users.push(NewUser {
                name: user.username.clone(),
                uid: user.uid,
                gid: user.gid.unwrap_or(user.uid),
                shell: or(&user.shell, "/bin/sh".to_owned()),
                home: or(&user.homedir, format!("/home/{}", user.username)),
            });
        }
        for (number, group) in config.accounts.groups.iter().enumerate() {
            if group.groupname.is_empty() {
                return Err(MutationError::NoName { at: format!("accounts.groups[{number}]") });
            }
            accounts.groups.push(NewGroup {
                name: group.groupname.clone(),
                gid: group.gid,
                members: group.members.clone(),
            });
        }
        Ok(accounts)
    }
}

impl PathMutation {
    fn of(number: usize, path: &ApkoPath) -> Result<Self, MutationError> {
        let kind = match path.kind.as_str() {
            "directory" => PathKind::Directory,
            "empty-file" => PathKind::EmptyFile,
            "hardlink" => PathKind::HardLink(path.source.clone()),
            "symlink" => PathKind::Symlink(path.source.clone()),
            "permissions" => PathKind::Permissions,
            _ => return Err(MutationError::PathKind { number, found: path.kind.clone() }),
        };
        let unfit = |why| MutationError::Path { number, path: path.path.clone(), why };
        Unfit::path(&path.path).map_err(unfit)?;
        if let PathKind::Symlink(text) = &kind {
            Unfit::link(text).map_err(unfit)?;
        }
        let owner = (path.uid.is_some() || path.gid.is_some())
            .then(|| Owner { uid: path.uid.unwrap_or(0), gid: path.gid.unwrap_or(0) });
        Ok(Self {
            path: path.path.clone(),
            kind,
            mode: Mode::from_bits(path.permissions),
            owner,
            recursive: path.recursive,
        })
    }
}

impl NamedCertificate {
    fn of(named: &ApkoNamed) -> Result<Self, MutationError> {
        let error = |why| MutationError::Certificate { name: named.name.clone(), why };
        plain_name(&named.name).map_err(error)?;
        let certificate = Certificate::parse(named.content.as_bytes()).map_err(error)?;
        Ok(Self { name: named.name.clone(), certificate })
    }
}

impl Certificate {
    /// The only certificate of a text; what stands around it does not count.
    pub(super) fn parse(text: &[u8]) -> Result<Self, PemProblem> {
        let (block, rest) = pem::next(text).ok_or(PemProblem::None { wanted: "CERTIFICATE" })?;
        if block.label != "CERTIFICATE" {
            return Err(PemProblem::Label { wanted: "CERTIFICATE", found: block.label });
        }
        if !der::is_certificate(&block.content) {
            return Err(PemProblem::NotX509);
        }
        if pem::next(rest).is_some() {
            return Err(PemProblem::Several);
        }
        let pem = pem::encode(&block.label, &block.headers, &block.content).into_bytes();
        Ok(Self { der: block.content, pem })
    }

    /// SHA-256 of the DER, in hexadecimal.
    pub(super) fn fingerprint(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(&self.der))
    }
}

impl RuntimeKey {
    fn of(named: &ApkoNamed) -> Result<Self, MutationError> {
        let error = |why| MutationError::Key { name: named.name.clone(), why };
        plain_name(&named.name).map_err(error)?;
        let wanted = "PUBLIC KEY";
        let (block, rest) =
            pem::next(named.content.as_bytes()).ok_or(PemProblem::None { wanted }).map_err(error)?;
        if block.label != wanted {
            return Err(error(PemProblem::Label { wanted, found: block.label }));
        }
        if pem::next(rest).is_some() {
            return Err(error(PemProblem::Several));
        }
        if !der::is_rsa_public_key(&block.content) {
            return Err(error(PemProblem::NotRsa));
        }
        let pem = pem::encode(wanted, &[], &block.content).into_bytes();
        Ok(Self { name: named.name.clone(), pem })
    }
}

/// Letters, digits, `_`, `-` and, not in front, `.`.
fn plain_name(name: &str) -> Result<(), PemProblem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(PemProblem::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use assemble_types::Explain as _;

    use super::*;
    use crate::apko_config::{ApkoCertificates, ApkoUser};

    fn message(config: &ApkoConfig) -> String {
        let error = Mutations::of(config).unwrap_err();
        assert!(!error.hints().is_empty(), "{error}");
        error.to_string()
    }

    fn path(kind: &str, path: &str, source: &str) -> ApkoConfig {
        let path = ApkoPath {
            path: path.into(),
            kind: kind.into(),
            source: source.into(),
            permissions: 0o17_644,
            gid: Some(5),
            ..ApkoPath::default()
        };
        ApkoConfig {
            paths: vec![ApkoPath { kind: "permissions".into(), ..path.clone() }, path],
            ..ApkoConfig::default()
        }
    }

    #[test]
    fn paths_that_cannot_be() {
        let checked = Mutations::of(&path("symlink", "//a/", "../b")).unwrap();
        assert_eq!(
            checked.paths[1],
            PathMutation {
                path: "//a/".into(),
                kind: PathKind::Symlink("../b".into()),
                mode: Mode::from_bits(0o7644),
                owner: Some(Owner { uid: 0, gid: 5 }),
                recursive: false,
            }
        );
        expect_test::expect!["paths[1]: `socket` is no type of change; there are directory, empty-file, hardlink, symlink and permissions"]
            .assert_eq(&message(&path("socket", "/a", "")));
        for (kind, at, source) in [
            ("symlink", "/a", ""),
            ("empty-file", "/a\0b", ""),
            ("empty-file", "/.wh.a", ""),
            ("directory", &format!("/{}", "x".repeat(256)), ""),
            ("directory", &"/x".repeat(2048), ""),
            ("symlink", "/a", &"x".repeat(4096)),
        ] {
            assert!(Mutations::of(&path(kind, at, source)).is_err(), "{kind} {at:?}");
        }
    }

    #[test]
    fn accounts_get_their_defaults_and_root_is_root() {
        let with = |user: ApkoUser| {
            let mut config = ApkoConfig::default();
            config.accounts.users.push(user);
            config
        };
        let user = ApkoUser { username: "app".into(), uid: 7, ..ApkoUser::default() };
        assert_eq!(
            Mutations::of(&with(user.clone())).unwrap().accounts.users,
            [NewUser {
                name: "app".into(),
                uid: 7,
                gid: 7,
                shell: "/bin/sh".into(),
                home: "/home/app".into()
            }]
        );
        assert!(message(&with(ApkoUser { uid: 0, ..user.clone() })).contains("`app`"));
        assert!(message(&with(ApkoUser { username: String::new(), ..user })).contains("accounts.users[0]"));
    }

    #[test]
    fn certificates_and_keys_are_looked_into() {
        let root = pem::encode("CERTIFICATE", &[], &webpki_root_certs::TLS_SERVER_ROOT_CERTS[0]);
        let certificate = |name: &str, content: &str| ApkoConfig {
            certificates: Some(ApkoCertificates {
                additional: vec![ApkoNamed { name: name.into(), content: content.into() }],
                providers: Vec::new(),
            }),
            ..ApkoConfig::default()
        };
        let checked = Mutations::of(&certificate("a.b-c_1", &format!("words\n{root}words"))).unwrap();
        assert_eq!(String::from_utf8(checked.certificates[0].certificate.pem.clone()).unwrap(), root);
        assert_eq!(checked.certificates[0].certificate.fingerprint().len(), 64);
        for (name, content) in [
            (".a", root.as_str()),
            ("", &root),
            ("a/b", &root),
            ("a", ""),
            ("a", &root.repeat(2)),
            ("a", &root.replace("CERTIFICATE", "X509 CRL")),
            ("a", &pem::encode("CERTIFICATE", &[], b"no certificate")),
        ] {
            let text = message(&certificate(name, content));
            assert!(text.contains(&format!("`{name}`")), "{text}");
        }

        let wolfi = include_str!("../../../assemble-apk/keys/wolfi/wolfi-signing.rsa.pub");
        let keys = |keys: &[(&str, &str)]| {
            let mut config = ApkoConfig::default();
            config.contents.runtime_keyring =
                keys.iter().map(|(n, c)| ApkoNamed { name: (*n).into(), content: (*c).into() }).collect();
            config
        };
        let checked = Mutations::of(&keys(&[("b", wolfi), ("a", &format!("# comment\n{wolfi}"))])).unwrap();
        let names: Vec<&str> = checked.runtime_keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(checked.runtime_keys[0].pem, checked.runtime_keys[1].pem);
        for bad in
            [&[("a", wolfi), ("a", wolfi)][..], &[("a", "")], &[("a", &wolfi.repeat(2))], &[("a", &root)]]
        {
            message(&keys(bad));
        }
    }
}
