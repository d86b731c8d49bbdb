//! One case of the kit, and a copy of it to work in.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::{Ran, Sandbox};

/// What apko was asked, and what it answered.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) expected: Value,
}

impl Case {
    /// All cases of the kit, by name.
    pub(super) fn all(kit: &Path) -> Vec<Self> {
        let mut cases: Vec<Self> = fs::read_dir(kit.join("apko-oracle"))
            .unwrap()
            .filter_map(|entry| {
                let folder = entry.unwrap().path();
                let answer = fs::read(folder.join("expected.json")).ok()?;
                let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
                Some(Self { name, folder, expected: serde_json::from_slice(&answer).unwrap() })
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    /// `accepted`, `refused` or `crashed`.
    pub(super) fn exit(&self) -> &str {
        self.expected["exit"].as_str().unwrap()
    }

    /// Whether apko said the same each time.
    pub(super) fn deterministic(&self) -> bool {
        self.expected["deterministic"].as_bool().unwrap()
    }

    /// Only what would be installed was asked for.
    pub(super) fn resolves_only(&self) -> bool {
        self.expected["mode"] == "resolve"
    }

    /// The command, `apko` left out.
    pub(super) fn command(&self) -> Vec<String> {
        let words = self.expected["command"].as_array().unwrap();
        words[1..].iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    /// The command's flags of these names, with their values.
    pub(super) fn flags(&self, names: &[&str]) -> Vec<String> {
        let command = self.command();
        let pairs = command.windows(2).filter(|pair| names.contains(&pair[0].as_str()));
        pairs.flat_map(<[String]>::to_vec).collect()
    }

    /// The values of a flag that takes a list.
    pub(super) fn values(&self, flag: &str) -> Vec<String> {
        let given = self.flags(&[flag]);
        let lists = given.iter().skip(1).step_by(2);
        lists.flat_map(|list| list.split(',').map(str::to_owned)).collect()
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.command().iter().any(|word| word == flag)
    }

    /// The architectures that apko made images for, in APK's names.
    pub(super) fn archs(&self) -> Vec<&String> {
        self.expected["archs"].as_object().map(|archs| archs.keys().collect()).unwrap_or_default()
    }

    /// The diff_ids of one architecture.
    pub(super) fn diff_ids(&self, arch: &str) -> Vec<String> {
        let layers = self.expected["archs"][arch]["layers"].as_array().cloned().unwrap_or_default();
        layers.iter().map(|layer| layer["diff_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// A copy of a case's folder, with nothing in the environment but what the case says.
pub(super) struct Copy {
    sandbox: Sandbox,
}

impl Copy {
    pub(super) fn of(case: &Case) -> Self {
        let sandbox = Sandbox::new();
        copy(&case.folder, &sandbox.path("case"));
        fs::create_dir(sandbox.path("case/out")).unwrap();
        let variables = case.expected["environment"].as_object().unwrap();
        let sandbox = variables
            .iter()
            .fold(sandbox, |sandbox, (name, value)| sandbox.variable(name, value.as_str().unwrap()));
        Self { sandbox }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("case").join(name)
    }

    /// Runs `assemble` in the copy; `CACHE` is a folder that only this copy uses.
    pub(super) fn run(&self, words: &[String]) -> Ran {
        let cache = self.sandbox.path("cache").display().to_string();
        let words = words.iter().map(|word| if word == "CACHE" { cache.clone() } else { word.clone() });
        let mut command = self.sandbox.command(words);
        crate::sandbox::finish(command.current_dir(self.sandbox.path("case")), self.sandbox.root())
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        self.sandbox.write(&format!("case/{name}"), text);
    }

    /// A fresh folder that lasts as long as it is kept.
    pub(super) fn scratch() -> TempDir {
        tempfile::tempdir().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Words of a command line.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
