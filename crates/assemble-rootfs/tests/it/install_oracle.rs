//! Installs the packages of the kit's cases and compares every entry with what apko made of them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use assemble_apk::{Checksum, Expected, Limits, Package, PackageId, PackageName, Version, open_package};
use assemble_rootfs::{ApkoConfig, ApkoContents, InstallError, InstallInput, Installed, install};
use assemble_types::{Arch, Blob, Explain as _, MemorySpool};
use serde_json::Value;

use crate::listing::{comparable, listing, text_of};

/// How many (case, architecture) pairs are compared. It may only grow.
const COMPARED: usize = 65;

fn kit() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testkit");
    let kit = std::env::var_os("ASSEMBLE_TESTKIT").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if kit.join("apko-oracle").is_dir() {
        return Some(kit);
    }
    eprintln!("SKIPPED: no test kit at {}; set ASSEMBLE_TESTKIT", kit.display());
    None
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The configuration of an `apko.json`, if it only holds what can be installed today. Its bytes are compared too, so
/// reading it from there proves the order of keys, the escapes and what is left out.
fn config(text: &str) -> Option<ApkoConfig> {
    let config: ApkoConfig = serde_json::from_str(text).unwrap();
    let sound = config.paths.is_empty()
        && config.accounts.users.is_empty()
        && config.accounts.groups.is_empty()
        && config.certificates.is_none()
        && config.layering.is_none()
        && config.entrypoint.services.is_empty()
        && config.contents.runtime_keyring.is_empty()
        && config.contents.baseimage.is_none();
    sound.then_some(config)
}

struct Case {
    kit: PathBuf,
    folder: PathBuf,
    meta: Value,
}

impl Case {
    fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The file behind a repository's address or a path in the case.
    fn local(&self, place: &str) -> PathBuf {
        let place = place.split_once(' ').map_or(place, |(_, url)| url);
        match place.split_once("/kit/") {
            Some((_, path)) => self.kit.join(path),
            None => self.folder.join(place),
        }
    }

    fn lock(&self) -> Option<Value> {
        json(&self.folder.join(self.meta["lockfile"].as_str().unwrap_or("apko.lock.json")))
    }

    /// A package by the lock, which says where it is and what its checksum is; else by the repositories' indexes,
    /// since the lock is made for each architecture on its own and may hold another version.
    fn package(&self, arch: &str, name: &str, version: &str, repositories: &[&String]) -> Package {
        let lock = self.lock().unwrap_or_default();
        let wanted = |p: &&Value| p["name"] == name && p["version"] == version && p["architecture"] == arch;
        if let Some(p) = lock["contents"]["packages"].as_array().into_iter().flatten().find(wanted) {
            return open(
                &self.local(p["url"].as_str().unwrap()),
                name,
                version,
                p["checksum"].as_str().unwrap(),
            );
        }
        for repository in repositories {
            let folder = self.local(repository).join(arch);
            let file = folder.join(format!("{name}-{version}.apk"));
            if let Some(checksum) = checksums(&folder).get(&format!("{name}={version}"))
                && file.is_file()
            {
                return open(&file, name, version, checksum);
            }
        }
        panic!("{}: {name}-{version} is nowhere", self.name())
    }

    /// `run-as` as the spec has it; the configuration has what became of it.
    fn run_as(&self) -> Option<String> {
        let spec = fs::read_to_string(self.folder.join("apko.yaml")).unwrap();
        let line = spec.lines().find_map(|line| line.trim().strip_prefix("run-as:"))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    }

    /// The time that was asked for. `--build-date` is treated as one, which is the same for all but the side-cars.
    fn time(&self) -> Option<assemble_types::Timestamp> {
        let args = texts(&self.meta["args"]);
        let date = args.iter().position(|arg| arg == "--build-date").map(|at| args[at + 1].parse().unwrap());
        match self.meta["env"]["SOURCE_DATE_EPOCH"].as_str() {
            Some("") => Some(date.unwrap_or_default()),
            Some(seconds) => Some(seconds.parse().unwrap()),
            None => date,
        }
    }
}

fn open(path: &Path, name: &str, version: &str, checksum: &str) -> Package {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let id = PackageId { name: PackageName::parse(name).unwrap(), version: Version::parse(version).unwrap() };
    let expected = Expected { id, checksum: Checksum::parse(checksum).unwrap() };
    open_package(&Blob::from_bytes(bytes), &expected, &Limits::default(), &MemorySpool)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases(kit: &Path) -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(kit.join("apko-oracle")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let case =
        |folder: PathBuf| Some(Case { kit: kit.to_owned(), meta: json(&folder.join("case.json"))?, folder });
    folders.into_iter().filter_map(case).collect()
}

fn expected_listing(folder: &Path, name: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(folder.join(name)).ok().or_else(|| {
        let packed = fs::File::open(folder.join(format!("{name}.gz"))).ok()?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).ok()?;
        Some(text)
    })?;
    Some(text.lines().map(comparable).collect())
}

fn arch_of(name: &str) -> Arch {
    Arch::ALL.into_iter().find(|arch| arch.apk() == name).unwrap()
}

fn build(
    case: &Case,
    arch: &str,
    config: ApkoConfig,
    world: &str,
    packages: &[Package],
) -> Result<Installed, InstallError> {
    let contents = &config.contents;
    let joined = |a: &[String], b: &[String]| a.iter().chain(b).rev().cloned().collect::<Vec<_>>();
    let key = |place: &String| {
        let name = place.rsplit('/').next().unwrap().to_owned();
        let path = case.local(place);
        (name, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    install(&InstallInput {
        arch: arch_of(arch),
        packages,
        world: world.lines().rev().map(str::to_owned).collect(),
        build_repositories: joined(&contents.build_repositories, &contents.repositories),
        repositories: joined(&contents.runtime_repositories, &contents.repositories),
        keys: contents.keyring.iter().map(key).collect(),
        source_date_epoch: case.time(),
        build_date: None,
        config,
    })
}

/// Compares one architecture of one case; nothing if the case needs what is not there yet.
fn compare(case: &Case, expected: &Value, arch: &str) -> Option<Vec<String>> {
    let answer = &expected["archs"][arch];
    let [layer] = answer["layers"].as_array()?.as_slice() else { return None };
    if layer["listing_partial"] == true || expected["deterministic"] != true {
        return None;
    }
    let mut config = config(answer["files"]["etc/apko.json"].as_str()?)?;
    if config.entrypoint.kind == "service-bundle" {
        return None;
    }
    let run_as = config.accounts.run_as.clone();
    config.accounts.run_as = case.run_as().unwrap_or_default();
    let order = answer["installed"].as_array()?;
    let repositories: Vec<&String> =
        config.contents.build_repositories.iter().chain(&config.contents.repositories).collect();
    let package =
        |p: &Value| case.package(arch, p[0].as_str().unwrap(), p[1].as_str().unwrap(), &repositories);
    let packages: Vec<Package> = order.iter().map(package).collect();
    let world = answer["files"]["etc/apk/world"].as_str()?;
    let installed = match build(case, arch, config, world, &packages) {
        Ok(installed) => installed,
        Err(error) => return Some(vec![format!("refused: {error}")]),
    };
    let want = expected_listing(&case.folder, layer["listing"].as_str()?)?;
    let got = listing(&installed.tree);
    let mut differences = differences(&want, &got);
    if installed.run_as.unwrap_or_default() != run_as {
        differences.push(format!("run-as is not {run_as}"));
    }
    for (path, text) in answer["files"].as_object()? {
        if let Some(text) = text.as_str()
            && text_of(&installed.tree, path).as_deref() != Some(text.as_bytes())
        {
            let got = text_of(&installed.tree, path).unwrap_or_default();
            differences
                .push(format!("{path}\n-- expected\n{text}\n-- got\n{}", String::from_utf8_lossy(&got)));
        }
    }
    if config_time(answer) != Some(installed.build_date_epoch.to_string()) && case.time().is_none() {
        differences.push(format!("built at {}", installed.build_date_epoch));
    }
    Some(differences)
}

fn config_time(answer: &Value) -> Option<String> {
    answer["config"]["created"].as_str().map(str::to_owned)
}

fn differences(want: &[String], got: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for line in want {
        if !got.contains(line) {
            out.push(format!("- {line}"));
        }
    }
    for line in got {
        if !want.contains(line) {
            out.push(format!("+ {line}"));
        }
    }
    if out.is_empty() && want != got {
        out.push("another order".into());
    }
    out
}

#[test]
fn accepted_cases_have_apkos_entries() {
    let Some(kit) = kit() else { return };
    let (mut compared, mut wrong) = (Vec::new(), Vec::new());
    for case in cases(&kit) {
        let expected = json(&case.folder.join("expected.json")).unwrap();
        for (arch, _) in expected["archs"].as_object().into_iter().flatten() {
            let Some(differences) = compare(&case, &expected, arch) else { continue };
            compared.push(format!("{}/{arch}", case.name()));
            if !differences.is_empty() {
                wrong.push(format!("{} {arch}\n  {}", case.name(), differences.join("\n  ")));
            }
        }
    }
    eprintln!("compared {}: {}", compared.len(), compared.join(" "));
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), compared.len(), wrong.join("\n"));
    assert!(compared.len() >= COMPARED, "compared only {}", compared.len());
}

/// Cases that apko refuses while it installs: packages in the order of installation, and our code for it.
const REFUSED: [(&str, &[&str], &str); 9] = [
    (
        "068-replaces-refused-versioned",
        &["file-owner=1-r0", "file-taker-versioned=1-r0"],
        "rootfs/file-conflict",
    ),
    ("069-conflict-files-refused", &["file-enemy=1-r0", "file-owner=1-r0"], "rootfs/file-conflict"),
    ("075-linked-refused-over-dir", &["linkdir-a=1-r0", "linkdir-over-dir=1-r0"], "rootfs/own-file"),
    ("076-linked-dangling-dir", &["linkdir-a=1-r0", "linkdir-dangling-dir=1-r0"], "rootfs/not-a-folder"),
    ("084-keys-refused", &["kit-keys-other=1-r0"], "rootfs/own-file"),
    ("085-clash-refused-world", &["clash-world=1-r0"], "rootfs/own-file"),
    ("086-clash-refused-libapk", &["clash-libapk=1-r0"], "rootfs/lib-apk"),
    ("089-refused-nochecksum", &["nochecksum=1-r0"], "rootfs/no-checksum"),
    ("090-refused-hardlink", &["hardlink-missing=1-r0"], "rootfs/hard-link"),
];

#[test]
fn refused_cases_are_refused() {
    let Some(kit) = kit() else { return };
    let repository = kit.join("apko-oracle/repo/os/x86_64");
    let checksums = checksums(&repository);
    for (name, packages, code) in REFUSED {
        let folder = kit.join("apko-oracle").join(name);
        let case = Case { kit: kit.clone(), meta: json(&folder.join("case.json")).unwrap(), folder };
        let packages: Vec<Package> = packages
            .iter()
            .map(|p| {
                let (name, version) = p.split_once('=').unwrap();
                let checksum = checksums.get(*p).unwrap_or_else(|| panic!("{p} is not in the index"));
                open(&repository.join(format!("{name}-{version}.apk")), name, version, checksum)
            })
            .collect();
        let contents = ApkoContents {
            repositories: vec!["http://127.0.0.1:18080/kit/apko-oracle/repo/os".into()],
            keyring: vec!["http://127.0.0.1:18080/kit/keys/testkit.rsa.pub".into()],
            ..ApkoContents::default()
        };
        let config = ApkoConfig { contents, ..ApkoConfig::default() };
        let error = build(&case, "x86_64", config, "", &packages).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(!error.to_string().is_empty() && error.kind().exit_code() > 2);
    }
}

/// `name=version` and checksum of all packages of an index.
fn checksums(repository: &Path) -> BTreeMap<String, String> {
    let mut plain = Vec::new();
    let packed = fs::read(repository.join("APKINDEX.tar.gz")).unwrap();
    flate2::bufread::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
    let text = String::from_utf8_lossy(&plain);
    let field = |record: &str, key: &str| record.lines().find_map(|l| l.strip_prefix(key)).map(str::to_owned);
    text.split("\n\n")
        .filter_map(|r| Some((format!("{}={}", field(r, "P:")?, field(r, "V:")?), r)))
        .filter_map(|(id, r)| Some((id, r.lines().find_map(|l| Some(l[l.find("C:Q1")? + 2..].to_owned()))?)))
        .collect()
}
