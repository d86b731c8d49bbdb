//! A spec that is being made from something else. Only takes what a spec can hold, so that its text always parses.

use std::fmt::Write as _;

use assemble_types::ImagePath;

use crate::check::fits;
use crate::source::plain;
use crate::yaml;

/// Notes beyond these are not shown: the answer has to fit a screen.
const MOST_NOTES: usize = 12;

/// The parts of the spec to show, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    /// What did not fit, as comments at the top.
    pub(super) notes: Vec<String>,
    pub(super) repositories: Vec<String>,
    pub(super) keyring: Vec<String>,
    pub(super) packages: Vec<String>,
    pub(super) binary: Option<DraftFile>,
    pub(super) files: Vec<DraftFile>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) work_dir: Option<String>,
    pub(super) ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) stop_signal: Option<String>,
    pub(super) run_as: Option<String>,
    /// Why it is this user.
    pub(super) run_as_note: Option<String>,
    /// Base files are wanted even if the image consists of packages alone.
    pub(super) base_files: bool,
    pub(super) annotations: Vec<(String, String)>,
}

/// A file of the spec to show.
#[derive(Debug, Clone, Default)]
pub(super) struct DraftFile {
    pub(super) source: String,
    pub(super) path: String,
    pub(super) permissions: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) exclude: &'static [&'static str],
    pub(super) note: Option<String>,
}

impl Draft {
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds a file, or a note where a spec could not hold it. A later file replaces an earlier one at its path.
    pub(super) fn file(&mut self, file: DraftFile) {
        if !fits::host_path(&file.source) || !fits::image_path(&file.path) {
            self.note(format!("not carried over: {} to {}", file.source, file.path));
            return;
        }
        let same = |a: &str, b: &str| ImagePath::parse(a).ok() == ImagePath::parse(b).ok();
        self.files.retain(|other| !same(&other.path, &file.path));
        self.files.push(file);
    }

    pub(super) fn package(&mut self, name: &str) {
        if fits::package(name) && !self.packages.iter().any(|known| known == name) {
            self.packages.push(name.to_owned());
        }
    }

    pub(super) fn variable(&mut self, name: &str, value: &str) {
        if !fits::variable(name) || value.contains('\0') {
            return;
        }
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn annotation(&mut self, name: &str, value: &str) {
        if !name.is_empty() {
            self.annotations.retain(|(other, _)| other != name);
            self.annotations.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The text of the spec.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut notes: Vec<&String> = Vec::new();
        for note in &self.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        for note in notes.iter().take(MOST_NOTES) {
            note_lines(&mut out, note);
        }
        if notes.len() > MOST_NOTES {
            let _ = writeln!(out, "# … and {} more", notes.len() - MOST_NOTES);
        }
        self.contents(&mut out);
        words(&mut out, "entrypoint", self.entrypoint.as_ref());
        words(&mut out, "cmd", self.cmd.as_ref());
        map(&mut out, "environment", &self.environment);
        one(&mut out, "work-dir", self.work_dir.as_ref().filter(|path| fits::image_path(path)));
        let ports: Vec<&String> = self.ports.iter().filter(|port| fits::port(port)).collect();
        if !ports.is_empty() {
            let ports: Vec<&str> = ports.iter().map(|port| port.as_str()).collect();
            let _ = writeln!(out, "ports: [{}]", ports.join(", "));
        }
        let volumes: Vec<&String> = self.volumes.iter().filter(|path| fits::volume(path)).collect();
        if !volumes.is_empty() {
            let _ = writeln!(out, "volumes: {}", yaml::list(&volumes));
        }
        one(&mut out, "stop-signal", self.stop_signal.as_ref().filter(|signal| fits::signal(signal)));
        if let Some(user) = self.run_as.as_ref().filter(|user| fits::user(user)) {
            let note = comment(self.run_as_note.as_ref());
            let _ = writeln!(out, "accounts:\n  run-as: {}{note}", yaml::number_or_text(user));
        }
        map(&mut out, "annotations", &self.annotations);
        out
    }

    fn contents(&self, out: &mut String) {
        out.push_str("contents:\n");
        items(out, "repositories", &self.repositories);
        items(out, "keyring", &self.keyring);
        items(out, "packages", &self.packages);
        match &self.binary {
            Some(binary) => {
                let _ = writeln!(out, "  binary:{}", comment(binary.note.as_ref()));
                let _ = writeln!(out, "    source: {}", yaml::scalar(&binary.source));
                let _ = writeln!(out, "    path: {}", yaml::scalar(&binary.path));
                if let Some(mode) = binary.permissions {
                    let _ = writeln!(out, "    permissions: 0{mode:03o}");
                }
            }
            None if self.packages.is_empty() && self.files.is_empty() => {
                out.push_str("  binary: ./my-program # what the image is for\n");
            }
            None => {}
        }
        if self.files.is_empty() {
            if self.base_files && self.binary.is_none() && !self.packages.is_empty() {
                out.push_str("  base-files: true\n");
            }
            return;
        }
        out.push_str("  files:\n");
        for file in &self.files {
            let _ =
                writeln!(out, "    - source: {}{}", yaml::scalar(&file.source), comment(file.note.as_ref()));
            let _ = writeln!(out, "      path: {}", yaml::scalar(&file.path));
            if let Some(mode) = file.permissions {
                let _ = writeln!(out, "      permissions: 0{mode:03o}");
            }
            if let Some((uid, gid)) = file.owner {
                let _ = writeln!(out, "      uid: {uid}\n      gid: {gid}");
            }
            if !file.exclude.is_empty() {
                let _ = writeln!(out, "      exclude: {}", yaml::list(file.exclude));
            }
        }
    }
}

/// A comment of its own, broken into lines between words; only what is longer than all of them is cut off.
fn note_lines(out: &mut String, note: &str) {
    const WIDTH: usize = 98;
    const MOST_LINES: usize = 8;
    let mut lines: Vec<String> = Vec::new();
    for word in note.split_whitespace() {
        let full = lines.len() == MOST_LINES;
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ if full => {
                lines.push("…".to_owned());
                break;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for (n, line) in lines.iter().enumerate() {
        let _ = writeln!(out, "#{}{}", if n == 0 { " " } else { "   " }, plain(line));
    }
}

fn comment(note: Option<&String>) -> String {
    note.map_or_else(String::new, |note| format!(" # {}", plain(note)))
}

fn items(out: &mut String, key: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {key}:");
    for item in items {
        let _ = writeln!(out, "    - {}", yaml::scalar(item));
    }
}

fn words(out: &mut String, key: &str, words: Option<&Vec<String>>) {
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        let _ = writeln!(out, "{key}: {}", yaml::list(words));
    }
}

fn one(out: &mut String, key: &str, value: Option<&String>) {
    if let Some(value) = value {
        let _ = writeln!(out, "{key}: {}", yaml::scalar(value));
    }
}

fn map(out: &mut String, key: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(out, "{key}:");
    for (name, value) in pairs {
        let _ = writeln!(out, "  {}: {}", yaml::scalar(name), yaml::number_or_text(value));
    }
}
