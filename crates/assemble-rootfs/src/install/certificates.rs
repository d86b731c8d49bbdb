//! Certificates of the configuration and of packages, in all bundles that are there.

use assemble_apk::PackageId;
use assemble_types::{ImagePath, Timestamp};

use super::error::InstallError;
use super::jks::KeyStore;
use super::mutations::{Certificate, Mutations};
use super::recorded::Recorded;
use super::root::Root;

const FOR: &str = "the certificates";
/// Where `update-ca-certificates` looks for them.
const FOLDER: &str = "usr/local/share/ca-certificates";

/// Bundles in PEM.
pub(super) const BUNDLES: [&str; 3] = [
    "etc/ssl/certs/ca-certificates.crt",
    "var/lib/ecs/deps/execute-command/certs/tls-ca-bundle.pem",
    "kaniko/ssl/certs/ca-certificates.crt",
];
/// Java's bundle.
pub(super) const JAVA: &str = "etc/ssl/certs/java/cacerts";

/// A bundle has a few hundred kilobytes.
const BUNDLE_LIMIT: u64 = 64 << 20;
/// Such files have one certificate.
const FILE_LIMIT: u64 = 1 << 20;

/// Writes the configuration's certificates to files of their own, and adds them and those of the packages to the
/// bundles.
pub(super) fn install(
    root: &mut Root,
    mutations: &Mutations,
    installed: &[Recorded],
    epoch: Timestamp,
) -> Result<(), InstallError> {
    let mut added: Vec<(String, Certificate)> = Vec::new();
    if !mutations.certificates.is_empty() {
        root.make_folders(FOLDER.as_bytes(), 0o755, FOR)?;
    }
    for named in &mutations.certificates {
        let alias = format!("{}-{}", named.name, named.certificate.fingerprint());
        let path = format!("{FOLDER}/{alias}.crt");
        let id = root.write(path.as_bytes(), named.certificate.pem.clone(), 0o644, FOR)?;
        root.tree.node_mut(id).meta.mtime = epoch.seconds();
        added.push((alias, named.certificate.clone()));
    }
    if !mutations.certificate_providers.is_empty() {
        of_packages(root, &mutations.certificate_providers, installed, &mut added)?;
    }
    if added.is_empty() {
        return Ok(());
    }
    let store = match root.read(JAVA.as_bytes(), BUNDLE_LIMIT, FOR)? {
        None => None,
        Some(raw) => Some(KeyStore::parse(&raw).map_err(|source| InstallError::KeyStore {
            path: ImagePath::parse(JAVA).unwrap_or_default(),
            source,
        })?),
    };
    let text: Vec<u8> =
        added.iter().flat_map(|(_, certificate)| [certificate.pem.as_slice(), b"\n"].concat()).collect();
    for bundle in BUNDLES {
        let Some(mut content) = root.read(bundle.as_bytes(), BUNDLE_LIMIT, FOR)? else { continue };
        content.extend_from_slice(&text);
        let id = root.write(bundle.as_bytes(), content, 0o644, FOR)?;
        root.tree.node_mut(id).meta.mtime = epoch.seconds();
    }
    if let Some(mut store) = store {
        for (alias, certificate) in &added {
            store.trust(alias, &certificate.der, epoch);
        }
        let id = root.write(JAVA.as_bytes(), store.encode(), 0o644, FOR)?;
        root.tree.node_mut(id).meta.mtime = epoch.seconds();
    }
    Ok(())
}

/// The certificates that packages with one of these provides have in the folder. What is no certificate is left out.
fn of_packages(
    root: &Root,
    providers: &[String],
    installed: &[Recorded],
    added: &mut Vec<(String, Certificate)>,
) -> Result<(), InstallError> {
    let mut files: Vec<(&[u8], &PackageId)> = Vec::new();
    for package in installed.iter().filter(|p| p.provides.iter().any(|name| providers.contains(name))) {
        for file in &package.certificates {
            let inside = file.strip_prefix(FOLDER.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
            if inside && (file.ends_with(b".crt") || file.ends_with(b".pem")) {
                files.push((file, &package.id));
            }
        }
    }
    files.sort_by_key(|(file, _)| *file);
    for (file, package) in files {
        let Some(text) = root.read(file, FILE_LIMIT, FOR)? else {
            let path = ImagePath::parse(file).unwrap_or_default();
            return Err(InstallError::CertificateFile { path, package: package.clone() });
        };
        if let Ok(certificate) = Certificate::parse(&text) {
            added.push((format!("pkg-{}", certificate.fingerprint()), certificate));
        }
    }
    Ok(())
}
