//! From the tree of texts of one file to a [`Draft`]. Goes on after a mistake, so that one run shows them all.

mod accounts;
mod certificates;
mod contents;
pub(crate) mod fits;
mod number;
mod package;
mod paths;
mod runtime;
mod sources;
mod values;

pub(crate) use contents::file_name;

use std::collections::BTreeMap;
use std::ops::Range;

use assemble_types::SourceSpan;

use crate::diagnostic::Diagnostic;
use crate::model::{BaseFiles, Dialect, Located, Spec};
use crate::node::{Content, Entry, Node};
use crate::schema::{self, Place};
use crate::source::{Source, plain};
use crate::whole::SMALLEST;

pub use values::platform_hint;

/// More mistakes than this are not listed: whoever has that many mends the first ones and runs again.
pub(crate) const MOST_MISTAKES: usize = 50;

/// What one file says, before others that it includes are merged in and before anything follows from the whole.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) spec: Spec,
    /// `contents.base-files`, if the file decides about them.
    pub(crate) base_files: Option<BaseFiles>,
    /// Whether `entrypoint` says anything: then it stands for itself and nothing of an included one counts.
    pub(crate) has_entrypoint: bool,
}

/// What the tree says. It is only to be used if `mistakes` stays as long as it was.
pub(crate) fn check(
    source: &Source<'_>,
    root: &Node,
    dialect: Dialect,
    mistakes: &mut Vec<Diagnostic>,
) -> Draft {
    let mut cx = Cx { source, dialect, mistakes, places: BTreeMap::new() };
    let mut draft = Draft { spec: Spec { dialect, ..Spec::default() }, ..Draft::default() };
    if let Some(top) = cx.fields(&schema::TOP, root, &root.range) {
        contents::check(&mut cx, &top, &mut draft);
        certificates::check(&mut cx, &top, &mut draft.spec);
        runtime::check(&mut cx, &top, &mut draft);
        accounts::check(&mut cx, &top, &mut draft.spec);
        paths::check(&mut cx, &top, &mut draft.spec);
    }
    draft.spec.places = cx.places;
    draft
}

/// What every check needs.
struct Cx<'a, 's> {
    source: &'a Source<'s>,
    dialect: Dialect,
    mistakes: &'a mut Vec<Diagnostic>,
    places: BTreeMap<String, SourceSpan>,
}

/// The entries of a map whose keys were checked.
#[derive(Debug, Clone, Copy)]
struct Fields<'n>(&'n [Entry]);

impl<'n> Fields<'n> {
    /// The entry of a key, unless its value is null, which says as much as leaving it out.
    fn get(&self, key: &str) -> Option<&'n Entry> {
        self.0.iter().find(|entry| entry.key == key).filter(|entry| !entry.value.is_null())
    }
}

impl Cx<'_, '_> {
    /// Whether every value passes that passes apko, however little sense it makes.
    fn lenient(&self) -> bool {
        self.dialect == Dialect::Apko
    }

    fn span(&self, range: &Range<usize>, label: &str) -> SourceSpan {
        self.source.span(range, label)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.mistakes.len() < MOST_MISTAKES {
            self.mistakes.push(diagnostic);
        }
    }

    /// A mistake at a range.
    fn wrong_at(
        &self,
        code: &'static str,
        message: impl Into<String>,
        range: &Range<usize>,
        label: &str,
    ) -> Diagnostic {
        Diagnostic::new(code, message).at(self.span(range, label))
    }

    /// A mistake in a value. If that came through an alias, both places are shown.
    fn wrong(&self, code: &'static str, message: impl Into<String>, node: &Node, label: &str) -> Diagnostic {
        let diagnostic = self.wrong_at(code, message, &node.range, label);
        match &node.used_at {
            Some(used) => diagnostic.at(self.span(used, "used here")),
            None => diagnostic,
        }
    }

    /// The entries of a map, after its keys were checked. Null is an empty map; anything else is a mistake.
    fn fields<'n>(&mut self, place: &Place, node: &'n Node, range: &Range<usize>) -> Option<Fields<'n>> {
        if node.is_null() {
            return Some(Fields(&[]));
        }
        let Some(entries) = node.map() else {
            let name = if place.path.is_empty() {
                "a spec".to_owned()
            } else {
                format!("`{}`", place.path.trim_end_matches("[]"))
            };
            let what = if place.path.ends_with("[]") { "an entry of " } else { "" };
            let at = if range.is_empty() { &node.range } else { range };
            let help = match place.path {
                "" => format!("the smallest spec names a program:\n{SMALLEST}"),
                _ => schema::listing(place, self.dialect),
            };
            let diagnostic = self
                .wrong_at("spec/type", format!("{what}{name} has to be a map, not {}", node.kind()), at, "")
                .help(help);
            self.report(diagnostic);
            return None;
        };
        for entry in entries {
            self.known(place, entry);
            if !place.path.ends_with("[]") {
                let dot = if place.path.is_empty() { "" } else { "." };
                self.place(format!("{}{dot}{}", place.path, entry.key), entry);
            }
        }
        Some(Fields(entries))
    }

    fn place(&mut self, path: String, entry: &Entry) {
        let span = self.span(entry.place(), "");
        self.places.insert(path, span);
    }

    fn known(&mut self, place: &Place, entry: &Entry) {
        let key = entry.key.as_str();
        // Advice takes time, and no more of it will be shown.
        if place.knows(key, self.dialect) || self.mistakes.len() >= MOST_MISTAKES {
            return;
        }
        let place_name = match place.path {
            "" => String::new(),
            path => match path.strip_suffix("[]") {
                Some(list) => format!(" in an entry of `{list}`"),
                None => format!(" in `{path}`"),
            },
        };
        let message = format!("there is no key `{}`{place_name}", plain(key));
        let help = schema::advice(place, entry, self.dialect)
            .unwrap_or_else(|| schema::listing(place, self.dialect));
        let diagnostic =
            self.wrong_at("spec/unknown-key", message, &entry.key_range, "unknown key").help(help);
        self.report(diagnostic);
    }

    /// One text, taken as written. Null is nothing; a list or map is a mistake.
    fn text(&mut self, name: &str, node: &Node, range: &Range<usize>) -> Option<Located<String>> {
        if node.is_null() {
            return None;
        }
        if let Some(scalar) = node.scalar() {
            return Some(Located { value: scalar.text.clone(), span: self.span(&node.range, "") });
        }
        let at = if range.is_empty() { &node.range } else { range };
        let message = format!("`{name}` has to be one text, not {}", node.kind());
        let diagnostic = self.wrong_at("spec/type", message, at, "");
        self.report(diagnostic);
        None
    }

    /// The text of a key, nothing if it is absent or empty.
    fn text_of(&mut self, name: &str, fields: Fields<'_>, key: &str) -> Option<Located<String>> {
        let entry = fields.get(key)?;
        self.text(name, &entry.value, &entry.key_range).filter(|text| !text.value.is_empty())
    }

    /// The items of a list; one value alone is a mistake with an obvious cure.
    fn items<'n>(&mut self, name: &str, entry: &'n Entry) -> &'n [Node] {
        match &entry.value.content {
            Content::List(items) => return items,
            _ if entry.value.is_null() => {}
            Content::Scalar(scalar) => {
                let diagnostic = self
                    .wrong("spec/type", format!("`{name}` has to be a list"), &entry.value, "")
                    .help(format!(
                        "write `{}: [{}]`",
                        entry.key,
                        crate::yaml::number_or_text(&plain(&scalar.text))
                    ));
                self.report(diagnostic);
            }
            Content::Map(_) => {
                let diagnostic = self
                    .wrong_at(
                        "spec/type",
                        format!("`{name}` has to be a list, not a map"),
                        &entry.key_range,
                        "",
                    )
                    .help("begin each entry with `- `");
                self.report(diagnostic);
            }
        }
        &[]
    }

    /// The texts of a list, with their nodes. Empty ones are mistakes, but for apko, which leaves out what is null.
    fn texts<'n>(&mut self, name: &str, fields: Fields<'n>, key: &str) -> Vec<(&'n Node, String)> {
        let Some(entry) = fields.get(key) else { return Vec::new() };
        let mut out = Vec::new();
        for node in self.items(name, entry) {
            if self.lenient() && node.is_null() {
                continue;
            }
            match node.scalar() {
                Some(scalar) if !node.is_empty() || self.lenient() => out.push((node, scalar.text.clone())),
                Some(_) => {
                    let at = if node.range.is_empty() { &entry.key_range } else { &node.range };
                    let diagnostic = self
                        .wrong_at("spec/value", format!("an entry of `{name}` is empty"), at, "")
                        .help("remove the line, or quote what begins with `#`");
                    self.report(diagnostic);
                }
                None => {
                    let message = format!("an entry of `{name}` has to be one text, not {}", node.kind());
                    let diagnostic = self.wrong("spec/type", message, node, "");
                    let diagnostic = match node.map() {
                        Some([Entry { key, value, .. }]) => match value.scalar() {
                            Some(scalar)
                                if matches!(key.as_str(), "name" | "package" | "url" | "path" | "port") =>
                            {
                                diagnostic.help(format!(
                                    "write `- {}`",
                                    crate::yaml::number_or_text(&plain(&scalar.text))
                                ))
                            }
                            _ => diagnostic.help("if the text holds `: `, quote it: '…'"),
                        },
                        _ => diagnostic,
                    };
                    self.report(diagnostic);
                }
            }
        }
        out
    }

    /// The entries of a list of maps. apko leaves out what is null.
    fn entries<'n>(&mut self, name: &str, fields: Fields<'n>, key: &str) -> Vec<&'n Node> {
        let Some(entry) = fields.get(key) else { return Vec::new() };
        let lenient = self.lenient();
        self.items(name, entry).iter().filter(|node| !(lenient && node.is_null())).collect()
    }

    /// The text of a key that an entry of a list cannot do without. Nothing is said where a key is unknown: that is most
    /// likely the misspelt one.
    fn required(
        &mut self,
        place: &Place,
        node: &Node,
        fields: Fields<'_>,
        key: &str,
        help: &str,
    ) -> Option<Located<String>> {
        if fields.get(key).is_some_and(|entry| !entry.value.is_empty()) {
            return self.text_of(key, fields, key);
        }
        if fields.0.iter().all(|entry| place.knows(&entry.key, self.dialect)) {
            let message = format!("an entry of `{}` names no `{key}`", place.path.trim_end_matches("[]"));
            let diagnostic = self.wrong("spec/missing", message, node, "").help(help);
            self.report(diagnostic);
        }
        None
    }

    /// A map of names to texts; null is the empty text.
    fn text_map(&mut self, name: &str, entry: &Entry) -> BTreeMap<String, String> {
        let Some(entries) = entry.value.map() else {
            if !entry.value.is_null() {
                let message =
                    format!("`{name}` has to be a map of names to texts, not {}", entry.value.kind());
                let diagnostic = self
                    .wrong_at("spec/type", message, &entry.key_range, "")
                    .help(format!("write each as `NAME: value`:\n{name}:\n  NAME: value"));
                self.report(diagnostic);
            }
            return BTreeMap::new();
        };
        let mut out = BTreeMap::new();
        for item in entries {
            self.place(format!("{name}.{}", item.key), item);
            if item.value.scalar().is_some() {
                let value = self.text(name, &item.value, &item.key_range).map(|text| text.value);
                out.insert(item.key.clone(), value.unwrap_or_default());
            } else {
                let message = format!(
                    "`{}` of `{name}` has to be one text, not {}",
                    plain(&item.key),
                    item.value.kind()
                );
                let diagnostic = self.wrong_at("spec/type", message, &item.key_range, "");
                self.report(diagnostic);
            }
        }
        out
    }
}
