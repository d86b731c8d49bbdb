//! Installs the packages of the kit's cases and compares every entry with what apko made of them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use assemble_apk::{Checksum, Expected, Limits, Package, PackageId, PackageName, Version, open_package};
use assemble_rootfs::{
    ApkoCertificates, ApkoConfig, ApkoContents, ApkoLayering, ApkoNamed, ApkoPath, ApkoUser, BaseDb,
    InstallInput, Installed, Mutations, install, layering,
};
use assemble_types::{Arch, Blob, Explain, MemorySpool, Timestamp};
use serde_json::Value;

use crate::listing::{comparable, listing, listing_of, text_of};

/// How many (case, architecture) pairs are compared. It may only grow.
const COMPARED: usize = 93;

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

    /// `run-as` as the spec or a file that it includes has it; the configuration has what became of it.
    fn run_as(&self) -> Option<String> {
        let mut file = "apko.yaml".to_owned();
        loop {
            let text = fs::read_to_string(self.folder.join(&file)).unwrap();
            let value = |key: &str| {
                let value = text.lines().find_map(|line| line.trim().strip_prefix(key))?;
                Some(value.trim().trim_matches(['"', '\'']).to_owned())
            };
            if let Some(run_as) = value("run-as:") {
                return Some(run_as);
            }
            file = value("include:")?;
        }
    }

    /// The time that everything gets, and the earliest that it gets.
    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let args = texts(&self.meta["args"]);
        let date = args.iter().position(|arg| arg == "--build-date").map(|at| args[at + 1].parse().unwrap());
        let fixed = match self.meta["env"]["SOURCE_DATE_EPOCH"].as_str() {
            Some("") => Some(date.unwrap_or_default()),
            other => other.map(|seconds| seconds.parse().unwrap()),
        };
        (fixed, date)
    }

    /// The database of the base image, if there is one.
    fn base(&self, config: &ApkoConfig, arch: &str) -> Option<BaseDb> {
        let base = config.contents.baseimage.as_ref()?;
        let text = fs::read(self.folder.join(&base.apkindex).join(arch).join("APKINDEX")).unwrap();
        Some(BaseDb::parse(&text).unwrap())
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
) -> Result<Installed, Box<dyn Explain>> {
    let contents = &config.contents;
    let joined = |a: &[String], b: &[String]| a.iter().chain(b).rev().cloned().collect::<Vec<_>>();
    let key = |place: &String| {
        let name = place.rsplit('/').next().unwrap().to_owned();
        let path = case.local(place);
        (name, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    let (source_date_epoch, build_date) = case.times();
    let base = case.base(&config, arch);
    let mutations = Mutations::of(&config).map_err(|error| Box::new(error) as Box<dyn Explain>)?;
    install(&InstallInput {
        arch: arch_of(arch),
        packages,
        world: world.lines().rev().map(str::to_owned).collect(),
        build_repositories: joined(&contents.build_repositories, &contents.repositories),
        repositories: joined(&contents.runtime_repositories, &contents.repositories),
        keys: contents.keyring.iter().map(key).collect(),
        source_date_epoch,
        build_date,
        base: base.as_ref(),
        mutations,
        config,
    })
    .map_err(|error| Box::new(error) as Box<dyn Explain>)
}

/// The entries of each layer that this build adds, as the configuration wants them cut.
fn layers(installed: &Installed, packages: &[Package], config: &ApkoConfig) -> Vec<Vec<String>> {
    match &config.layering {
        Some(layering) if *layering != ApkoLayering::default() => {
            let groups = layering::group(packages, layering.budget);
            let split = layering::Split::of(&installed.tree, &groups, &installed.records);
            (0..split.len()).map(|i| listing_of(&installed.tree, &split.layer(i))).collect()
        }
        _ => vec![listing(&installed.tree)],
    }
}

/// Compares one architecture of one case; nothing if apko's own answer varies.
fn compare(case: &Case, expected: &Value, arch: &str) -> Option<Vec<String>> {
    let answer = &expected["archs"][arch];
    let want = answer["layers"].as_array()?;
    if want.iter().any(|layer| layer["listing_partial"] == true) || expected["deterministic"] != true {
        return None;
    }
    let mut config: ApkoConfig = serde_json::from_str(answer["files"]["etc/apko.json"].as_str()?).unwrap();
    let run_as = config.accounts.run_as.clone();
    config.accounts.run_as = case.run_as().unwrap_or_default();
    let base = case.base(&config, arch);
    let repositories: Vec<&String> =
        config.contents.build_repositories.iter().chain(&config.contents.repositories).collect();
    let package =
        |p: &Value| case.package(arch, p[0].as_str().unwrap(), p[1].as_str().unwrap(), &repositories);
    let in_base = |p: &&Value| {
        let name = PackageName::parse(p[0].as_str().unwrap()).unwrap();
        base.as_ref().is_some_and(|base| base.contains(&name))
    };
    let packages: Vec<Package> =
        answer["installed"].as_array()?.iter().filter(|p| !in_base(p)).map(package).collect();
    let world = answer["files"]["etc/apk/world"].as_str()?;
    let installed = match build(case, arch, config.clone(), world, &packages) {
        Ok(installed) => installed,
        Err(error) => return Some(vec![format!("refused: {error}")]),
    };
    let got = layers(&installed, &packages, &config);
    let want = &want[usize::from(base.is_some())..];
    let mut differences = Vec::new();
    if got.len() != want.len() {
        differences.push(format!("{} layers, not {}", got.len(), want.len()));
    }
    for (number, (want, got)) in want.iter().zip(&got).enumerate() {
        let want = expected_listing(&case.folder, want["listing"].as_str()?)?;
        differences.extend(
            listing_differences(&want, got).into_iter().map(|line| format!("layer {number}: {line}")),
        );
    }
    differences.extend(other_differences(case, answer, &installed, &run_as));
    Some(differences)
}

fn other_differences(case: &Case, answer: &Value, installed: &Installed, run_as: &str) -> Vec<String> {
    let mut differences = Vec::new();
    if installed.run_as.as_deref().unwrap_or_default() != run_as {
        differences.push(format!("run-as is not {run_as}"));
    }
    // Of a base image some files are in its own layers only, and each layer of several has its own database.
    let several = answer["layers"].as_array().is_some_and(|layers| layers.len() > 1);
    let texts = answer["files"].as_object().into_iter().flatten();
    for (path, text) in texts.filter_map(|(path, text)| Some((path, text.as_str()?))) {
        if several && path == "usr/lib/apk/db/installed" {
            continue;
        }
        let got = text_of(&installed.tree, path);
        if got.as_deref() != Some(text.as_bytes()) && (got.is_some() || case.meta["make"].is_null()) {
            let got = got.unwrap_or_default();
            differences
                .push(format!("{path}\n-- expected\n{text}\n-- got\n{}", String::from_utf8_lossy(&got)));
        }
    }
    if config_time(answer) != installed.build_date_epoch {
        differences.push(format!("built at {}", installed.build_date_epoch));
    }
    differences
}

fn config_time(answer: &Value) -> Timestamp {
    answer["config"]["created"].as_str().unwrap().parse().unwrap()
}

fn listing_differences(want: &[String], got: &[String]) -> Vec<String> {
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
    ("075-linked-refused-over-dir", &["linkdir-a=1-r0", "linkdir-over-dir=1-r0"], "rootfs/is-a-folder"),
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
        let Err(error) = build(&case, "x86_64", config, "", &packages) else { panic!("{name}") };
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(!error.to_string().is_empty() && error.kind().exit_code() > 2);
    }
}

/// Configurations that apko refuses, or breaks down over, once base-layout is installed, and our code for each.
fn wrong_configurations() -> Vec<(&'static str, &'static str, ApkoConfig)> {
    let path = |kind: &str, path: &str, source: &str| ApkoConfig {
        paths: vec![ApkoPath {
            path: path.into(),
            kind: kind.into(),
            source: source.into(),
            permissions: 0o755,
            ..ApkoPath::default()
        }],
        ..ApkoConfig::default()
    };
    let user = |name: &str, uid, home: &str| {
        let mut config = ApkoConfig::default();
        config.accounts.users =
            vec![ApkoUser { username: name.into(), uid, homedir: home.into(), ..ApkoUser::default() }];
        config
    };
    let named = ApkoNamed { name: "bad".into(), content: "no certificate".into() };
    let certificates = Some(ApkoCertificates { additional: vec![named], ..ApkoCertificates::default() });
    vec![
        ("015-paths-crash-parent", "rootfs/paths", path("directory", "/srv/x/../y", "")),
        ("016-paths-crash-single", "rootfs/paths", path("empty-file", "app", "")),
        ("017-paths-refused-dot", "rootfs/paths", path("empty-file", "./app", "")),
        ("019-paths-refused-missing", "rootfs/paths", path("permissions", "/not/there", "")),
        ("020-paths-refused-dangling", "rootfs/paths", path("symlink", "/opt/l", "/nowhere")),
        ("021-paths-refused-exists", "rootfs/exists", path("symlink", "/etc/motd", "/etc/passwd")),
        ("022-paths-refused-type", "rootfs/paths", path("socket", "/etc/motd", "")),
        ("028-accounts-refused-uid0", "rootfs/accounts", user("toor", 0, "")),
        ("029-accounts-refused-homefile", "rootfs/home", user("u", 9, "/etc/motd")),
        (
            "052-certificates-refused",
            "rootfs/certificate",
            ApkoConfig { certificates, ..ApkoConfig::default() },
        ),
    ]
}

#[test]
fn wrong_configurations_are_refused() {
    let Some(kit) = kit() else { return };
    let repository = kit.join("apko-oracle/repo/os/x86_64");
    let checksum = checksums(&repository)["base-layout=1.0-r0"].clone();
    let packages = [open(&repository.join("base-layout-1.0-r0.apk"), "base-layout", "1.0-r0", &checksum)];
    for (name, code, config) in wrong_configurations() {
        let folder = kit.join("apko-oracle").join(name);
        let expected = json(&folder.join("expected.json")).unwrap();
        assert!(expected["exit"] == "refused" || expected["exit"] == "crashed", "{name}");
        let case = Case { kit: kit.clone(), meta: json(&folder.join("case.json")).unwrap(), folder };
        let Err(error) = build(&case, "x86_64", config, "", &packages) else { panic!("{name}") };
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.kind().exit_code() > 0, "{name}");
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
