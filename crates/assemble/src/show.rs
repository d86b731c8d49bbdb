//! The effective spec as a document: what is included is merged in, and what holds where the spec is silent is written
//! down. Reading the document gives the same spec again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use assemble_spec::{
    AdditionalCertificate, BaseFiles, Binary, BinarySources, CertificateSource, Certificates, FileMapping,
    Group, Layering, Located, PathMutation, RepositorySource, RuntimeKey, Spec, User,
};
use serde_json::Value;

use crate::plan::{BuildOptions, DEFAULT_USER, binary_path, platforms};
use crate::spec_file::SpecFile;
use crate::start::{CERTIFICATE_FILE, DEFAULT_PATH};
use crate::yaml::{self, Members, Node};

/// A spec with nothing left to fill in, but for what depends on files that are not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSpec {
    spec: Node,
    /// What else holds, but must not be written: what a spec with packages says is repeated in the image.
    unwritten: Vec<String>,
}

impl EffectiveSpec {
    /// The effective spec of a file. Opens a program that it names, if its platform is not written down.
    pub fn of(file: &SpecFile) -> Self {
        let spec = &file.spec;
        let mut root = Members::default();
        root.unless_empty("contents", contents(spec));
        let (environment, mut unwritten) = environment(spec);
        entrypoint(&mut root, spec, &mut unwritten);
        match spec.apko.cmd.as_ref().filter(|_| repeats(spec)) {
            Some(written) => root.text("cmd", written),
            None => words(&mut root, "cmd", spec.cmd.as_deref().unwrap_or_default()),
        }
        if !environment.is_empty() {
            root.always("environment", texts(&environment));
        }
        root.text("work-dir", spec.work_dir.as_deref().unwrap_or_default());
        root.list("ports", &spec.ports, |port| text(&port.to_string()));
        root.list("volumes", &spec.volumes, |volume| text(volume));
        root.text("stop-signal", spec.stop_signal.as_deref().unwrap_or_default());
        if !spec.annotations.is_empty() {
            root.always("annotations", texts(&spec.annotations));
        }
        let accounts = accounts(spec, &mut unwritten);
        root.unless_empty("accounts", accounts);
        let options = BuildOptions::default();
        let platforms = platforms(file, &options).unwrap_or_default();
        root.list("archs", &platforms, |platform| text(&platform.arch.oci_with_variant()));
        if let Some(certificates) = &spec.certificates {
            root.always("certificates", self::certificates(certificates));
        }
        root.list("paths", &spec.paths, path);
        if let Some(layering) = &spec.layering {
            root.always("layering", self::layering(layering));
        }
        root.text("vcs-url", spec.vcs_url.as_ref().map_or("", |url| &url.value));
        root.text("format", spec.apko.format.as_deref().unwrap_or_default());
        Self { spec: root.map(), unwritten }
    }

    /// As YAML. What holds without being written is told in comments.
    pub fn yaml(&self) -> String {
        let mut out = yaml::document(&self.spec);
        if !self.unwritten.is_empty() {
            out.push_str(
                "# Left out, because the image repeats what a spec with packages says, are these defaults:\n",
            );
        }
        for line in &self.unwritten {
            let _ = writeln!(out, "#   {line}");
        }
        out
    }

    /// As JSON that is YAML as well, indented, with a line break at the end. Permissions are texts in octal.
    pub fn json(&self) -> String {
        let mut out = String::new();
        for c in format!("{:#}\n", json(&self.spec)).chars() {
            match c {
                // JSON lets these stand in a text, and YAML does not, or takes them for the end of a line.
                '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out
    }
}

fn json(node: &Node) -> Value {
    match node {
        Node::Text(text) | Node::Quoted(text) => text.as_str().into(),
        Node::Plain(text) => match (text.parse::<bool>(), text.parse::<i64>()) {
            (Ok(truth), _) => truth.into(),
            (_, Ok(number)) => number.into(),
            _ => text.as_str().into(),
        },
        Node::List(items) => items.iter().map(json).collect(),
        Node::Map(members) => members.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

/// A text that is read back as it is: a block cannot begin with a blank, nor hold every character.
fn text(value: &str) -> Node {
    if value.contains('\n') && value.starts_with([' ', '\n', '\t']) {
        Node::Quoted(value.to_owned())
    } else {
        Node::Text(value.to_owned())
    }
}

fn texts(values: &BTreeMap<String, String>) -> Node {
    Node::Map(values.iter().map(|(key, value)| (key.clone(), text(value))).collect())
}

fn number(value: impl std::fmt::Display) -> Node {
    Node::Plain(value.to_string())
}

fn octal(bits: u32) -> Node {
    Node::Plain(format!("0o{bits:03o}"))
}

fn words(root: &mut Members, key: &str, words: &[String]) {
    root.list(key, words, |word| text(word));
}

fn contents(spec: &Spec) -> Members {
    let line = |source: &Located<RepositorySource>| text(&source.value.line());
    let mut out = Members::default();
    out.list("repositories", &spec.repositories, line);
    out.list("build_repositories", &spec.build_repositories, line);
    out.list("runtime_repositories", &spec.runtime_repositories, line);
    out.list("keyring", &spec.keyring, |key| text(&key.value));
    out.list("runtime_keyring", &spec.runtime_keyring, |RuntimeKey { name, content, .. }| {
        named(name, "content", content)
    });
    out.list("packages", &spec.apko.packages, |package| text(package));
    if let Some(base) = &spec.base_image {
        let mut image = Members::default();
        image.text("image", base.source.value.as_str());
        image.text("apkindex", &base.apkindex.value);
        out.always("baseimage", image.map());
    }
    if let Some(binary) = &spec.binary {
        out.always("binary", self::binary(binary));
    }
    out.list("files", &spec.files, file);
    out.always("base-files", base_files(spec.base_files));
    out
}

fn binary(binary: &Binary) -> Node {
    let mut out = Members::default();
    match &binary.sources {
        BinarySources::One(source) => {
            out.always("source", text(&source.value));
            if let Ok(path) = binary_path(binary, &source.value) {
                out.always("path", text(&path.to_string()));
            }
        }
        BinarySources::PerPlatform(sources) => {
            let sources =
                sources.iter().map(|(platform, source)| (platform.to_string(), text(&source.value)));
            out.always("source", Node::Map(sources.collect()));
            if let Some(path) = &binary.path {
                out.always("path", text(&path.to_string()));
            }
        }
    }
    out.always("permissions", octal(binary.permissions.map_or(0o755, assemble_types::Mode::bits)));
    out.map()
}

fn file(file: &FileMapping) -> Node {
    let mut out = Members::default();
    out.always("source", text(&file.source.value));
    out.always("path", text(&file.path.value.to_string()));
    if let Some(mode) = file.permissions {
        out.always("permissions", octal(mode.bits()));
    }
    out.always("uid", number(file.uid.unwrap_or(0)));
    out.always("gid", number(file.gid.unwrap_or(0)));
    out.list("exclude", &file.exclude, |pattern| text(pattern));
    out.map()
}

fn base_files(base: BaseFiles) -> Node {
    if !base.enabled {
        return Node::Plain("false".to_owned());
    }
    let mut out = Members::default();
    out.always("certificates", number(base.certificates));
    out.always("time-zones", number(base.time_zones));
    out.map()
}

/// A list of words; a map where apko's schema says more than words. A program is its own entrypoint.
fn entrypoint(root: &mut Members, spec: &Spec, unwritten: &mut Vec<String>) {
    let apko = &spec.apko;
    let as_map = apko.entrypoint_type.is_some()
        || apko.entrypoint_shell_fragment.is_some()
        || !spec.services.is_empty()
        || (repeats(spec) && apko.entrypoint_command.is_some());
    if !as_map {
        let own = spec.binary.as_ref().and_then(|binary| match &binary.sources {
            BinarySources::One(source) => binary_path(binary, &source.value).ok(),
            BinarySources::PerPlatform(_) => binary.path.clone(),
        });
        match (&spec.entrypoint, own) {
            (Some(given), _) => words(root, "entrypoint", given),
            (None, Some(path)) if repeats(spec) => unwritten.push(format!("entrypoint: {path}")),
            (None, Some(path)) => words(root, "entrypoint", &[path.to_string()]),
            (None, None) => {}
        }
        return;
    }
    let mut out = Members::default();
    out.text("type", apko.entrypoint_type.as_deref().unwrap_or_default());
    if let Some(command) = apko.entrypoint_command.as_deref().filter(|command| !command.is_empty()) {
        out.always("command", text(command));
    }
    if let Some(fragment) = &apko.entrypoint_shell_fragment {
        out.always("shell-fragment", text(fragment));
    }
    if !spec.services.is_empty() {
        out.always("services", texts(&spec.services));
    }
    root.always("entrypoint", out.map());
}

/// The environment, and what of it holds without being written. `/etc/apko.json` of an image with packages repeats the
/// spec, so that a default that is written there would make another image.
fn environment(spec: &Spec) -> (BTreeMap<String, String>, Vec<String>) {
    let mut environment = spec.environment.clone();
    let mut defaults = vec![("PATH", DEFAULT_PATH)];
    let packages_only = !spec.packages.is_empty() && spec.binary.is_none() && spec.files.is_empty();
    if packages_only || (spec.base_files.enabled && spec.base_files.certificates) {
        defaults.push(("SSL_CERT_FILE", CERTIFICATE_FILE));
    }
    defaults.retain(|(name, _)| !environment.contains_key(*name));
    if repeats(spec) {
        let unwritten = defaults.iter().map(|(name, value)| format!("environment: {name}: {value}"));
        return (environment, unwritten.collect());
    }
    environment.extend(defaults.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    (environment, Vec::new())
}

/// Whether the image holds what the spec says, word for word.
fn repeats(spec: &Spec) -> bool {
    !spec.packages.is_empty()
}

fn accounts(spec: &Spec, unwritten: &mut Vec<String>) -> Members {
    let repeats = repeats(spec);
    let mut out = Members::default();
    let nobody = || format!("{}:{}", DEFAULT_USER.uid, DEFAULT_USER.gid);
    match &spec.run_as {
        Some(user) => out.always("run-as", text(&user.value)),
        None if repeats => unwritten.push(format!("accounts: run-as: {}", nobody())),
        None => out.always("run-as", text(&nobody())),
    }
    out.list("users", &spec.users, |User { name, uid, gid, shell, home, .. }| {
        let mut user = Members::default();
        user.always("username", text(name));
        user.always("uid", number(uid));
        if repeats {
            if let Some(gid) = gid {
                user.always("gid", number(gid));
            }
            user.text("shell", shell);
            user.text("homedir", home);
        } else {
            let or = |text: &str, other: String| if text.is_empty() { other } else { text.to_owned() };
            user.always("gid", number(gid.unwrap_or(*uid)));
            user.always("shell", text(&or(shell, "/bin/sh".to_owned())));
            user.always("homedir", text(&or(home, format!("/home/{name}"))));
        }
        user.map()
    });
    out.list("groups", &spec.groups, |Group { name, gid, members, .. }| {
        let mut group = Members::default();
        group.always("groupname", text(name));
        group.always("gid", number(gid));
        group.list("members", members, |member| text(member));
        group.map()
    });
    out
}

fn named(name: &str, key: &str, value: &str) -> Node {
    let mut out = Members::default();
    out.text("name", name);
    out.always(key, text(value));
    out.map()
}

fn certificates(certificates: &Certificates) -> Node {
    let mut out = Members::default();
    out.list("additional", &certificates.additional, |AdditionalCertificate { name, source, .. }| {
        let name = name.as_deref().unwrap_or_default();
        match source {
            CertificateSource::Inline(pem) => named(name, "content", pem),
            CertificateSource::File(file) => named(name, "source", &file.value),
        }
    });
    out.list("providers", &certificates.providers, |provider| text(&provider.value));
    out.map()
}

fn path(path: &PathMutation) -> Node {
    let mut out = Members::default();
    out.always("path", text(&path.path.value));
    out.always("type", text(path.kind.name()));
    for (key, id) in [("uid", path.uid), ("gid", path.gid)] {
        if let Some(id) = id {
            out.always(key, number(id));
        }
    }
    out.always("permissions", octal(path.permissions));
    out.text("source", &path.source);
    if path.recursive {
        out.always("recursive", number(true));
    }
    out.map()
}

fn layering(layering: &Layering) -> Node {
    let mut out = Members::default();
    if let Some(strategy) = layering.strategy {
        out.always("strategy", text(strategy.name()));
        out.always("budget", number(layering.budget));
    }
    out.map()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use assemble_spec::{Dialect, SpecText, parse_spec, read_spec};
    use proptest::prelude::*;

    use super::*;

    fn file(spec: Spec) -> SpecFile {
        SpecFile {
            spec,
            shown: "a.yaml".into(),
            directory: PathBuf::new(),
            include: Vec::new(),
            name: "a".into(),
            files: Vec::new(),
        }
    }

    fn read(text: &str) -> Spec {
        parse_spec("shown.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{}\n{text}", e.plain()))
    }

    /// Reading what is shown gives what is shown, in both forms.
    #[track_caller]
    fn settles(shown: &EffectiveSpec) {
        for text in [shown.yaml(), shown.json()] {
            assert_eq!(EffectiveSpec::of(&file(read(&text))).yaml(), shown.yaml(), "{text}");
        }
    }

    #[test]
    fn everything_is_shown_and_read_again() {
        let yaml = r#"
contents:
  repositories: [https://example.org/os, '@edge ./more/']
  build_repositories: [./b]
  runtime_repositories: [https://example.org/r]
  keyring: [./k.rsa.pub]
  runtime_keyring: [{name: r.pub, content: "-----BEGIN PUBLIC KEY-----\nAAAA\n"}]
  packages: [a>=1, b@edge]
  binary: {source: {amd64: ./x, arm64: ./y}, path: /app, permissions: 0555}
  files: [{source: ./s, path: /srv, uid: 5, exclude: ['*.map']}]
  base-files: {time-zones: false}
entrypoint: {type: service-bundle, services: {web: "/bin/web -p 80", "0": "x"}}
cmd: "a 'b c'"
environment: {A: "yes", B: "", C: "0755", D: "a\n  b\n", E: "\n x", F: "- x: # y", NO: ~}
ports: [80, 53/udp]
volumes: [/data]
stop-signal: INT
work-dir: /srv
annotations: {k: "1.10"}
accounts:
  run-as: u
  users: [{username: u, uid: 7}, {username: v, uid: 8, gid: 0, shell: /bin/x, homedir: /h}]
  groups: [{groupname: g, gid: 9, members: [u, v]}]
archs: [amd64, arm64]
certificates: {additional: [{source: ./ca.pem}], providers: [ca]}
paths:
  - {path: /d, type: directory, permissions: 0o1777, uid: 7, recursive: true}
  - {path: /l, type: symlink, source: ../d, permissions: 0o777}
layering: {strategy: origin, budget: 4}
vcs-url: https://example.org/x@1
format: tar
"#;
        let shown = EffectiveSpec::of(&file(read(yaml)));
        settles(&shown);
        expect_test::expect_file!["../../../testdata/show/everything.yaml"].assert_eq(&shown.yaml());
    }

    #[test]
    fn every_spec_at_hand_settles() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let kit =
            std::env::var("ASSEMBLE_TESTKIT").map_or_else(|_| root.join("../shared/testkit"), PathBuf::from);
        let specs = kit.join("apko-specs/specs");
        if !specs.is_dir() {
            eprintln!("SKIPPED in part: every_spec_at_hand_settles: no specs below {}", kit.display());
        }
        let mut count = 0;
        for folder in [root.join("testdata/specs/accepted"), root.join("configs"), specs] {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|e| e != "yaml") {
                    continue;
                }
                let text = std::fs::read(&path).unwrap();
                // The specs of others get their repository on the command line: here from a spec on top.
                let spec = if path.starts_with(&kit) {
                    below_a_repository(&text)
                } else {
                    parse_spec("a.yaml", &text)
                };
                let spec = spec.unwrap_or_else(|e| panic!("{}\n{}", path.display(), e.plain()));
                settles(&EffectiveSpec::of(&file(spec)));
                count += 1;
            }
        }
        assert!(count > 10);
    }

    fn below_a_repository(spec: &[u8]) -> Result<Spec, assemble_spec::Diagnostics> {
        let text = |name: &str, bytes: &[u8]| SpecText {
            shown: name.to_owned(),
            identity: name.to_owned(),
            bytes: bytes.to_vec(),
        };
        let top = b"include: it\ncontents: {repositories: [https://example.org/os], packages: [last]}\n";
        let mut it = |path: &str| Ok(text(path, spec));
        Ok(read_spec(text("top", top), Dialect::Assemble, &mut it)?.spec)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\n\t]{0,12}",
            "[0-9eE:._x+-]{1,8}",
            "(true|yes|no|null|~|<<|---|0o7|1_0|2020-01-02)[ :#]?",
            proptest::collection::vec(any::<char>().prop_filter("YAML has no NUL", |c| *c != '\0'), 0..8)
                .prop_map(|chars| chars.into_iter().collect::<String>()),
        ]
    }

    proptest! {
        #[test]
        fn texts_are_read_as_they_were(
            values in proptest::collection::btree_map("[A-Z_]{1,6}", any_text(), 0..6),
            notes in proptest::collection::btree_map(any_text().prop_filter("named", |k| !k.is_empty()), any_text(), 0..6),
            command in proptest::collection::vec(any_text(), 0..4),
        ) {
            let mut spec = read("contents: {binary: ./x}\narchs: [amd64]\n");
            spec.environment = values;
            spec.annotations = notes;
            spec.cmd = (!command.is_empty()).then_some(command);
            let shown = EffectiveSpec::of(&file(spec.clone()));
            for text in [shown.yaml(), shown.json()] {
                let again = read(&text);
                let mut environment = again.environment;
                for key in ["PATH", "SSL_CERT_FILE"].into_iter().filter(|key| !spec.environment.contains_key(*key)) {
                    environment.remove(key);
                }
                prop_assert_eq!(&environment, &spec.environment, "{}", text);
                prop_assert_eq!(&again.annotations, &spec.annotations, "{}", text);
                prop_assert_eq!(&again.cmd, &spec.cmd, "{}", text);
            }
        }
    }
}
