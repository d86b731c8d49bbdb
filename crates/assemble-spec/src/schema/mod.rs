//! Which keys there are, what each takes, and the words people bring from elsewhere.
//!
//! One table serves the parser, its advice and the JSON Schema.

mod json;
mod table;

use crate::model::Dialect;
use crate::node::Entry;
use crate::source::plain;
use crate::yaml;

pub use json::json_schema;
pub(crate) use table::{
    ACCOUNTS, BASE_FILES, BASE_IMAGE, BINARY, CERTIFICATE, CERTIFICATES, CONTENTS, ENTRYPOINT, FILE, GROUP,
    LAYERING, PATH, RUNTIME_KEY, TOP, USER,
};

/// A map of the spec, and what may stand in it.
#[derive(Debug)]
pub(crate) struct Place {
    /// Dotted path; empty for the top; ends in `[]` for the entries of a list.
    pub(crate) path: &'static str,
    pub(crate) keys: &'static [Key],
    /// Words from Dockerfiles, compose files, Kubernetes and older tools, and what to write.
    pub(crate) words: &'static [(&'static [&'static str], &'static str)],
}

/// A key of a map.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What it is, for editors: one sentence, or a few.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    pub(crate) whose: Whose,
}

/// Who knows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// apko and we.
    Apkos,
    /// We alone.
    Ours,
}

/// What a key takes. Null is taken everywhere and says nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// One value, read as it is spelt.
    Text,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A platform in any spelling.
    Platform,
    /// A whole number that is not negative.
    Number,
    /// Permissions in octal.
    Permissions,
    /// `true` or `false`.
    Truth,
    /// Texts of any name.
    TextMap,
    /// Texts by platform.
    PlatformMap,
    /// A list.
    List(&'static Shape),
    /// A map with keys of its own.
    Map(&'static Place),
    /// Any of these.
    Either(&'static [Shape]),
}

impl Place {
    /// Whether a key may stand here.
    pub(crate) fn knows(&self, key: &str, dialect: Dialect) -> bool {
        self.key(key).is_some_and(|key| key.is_of(dialect))
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn names(&self, dialect: Dialect) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(move |key| key.is_of(dialect)).map(|key| key.name)
    }
}

impl Key {
    fn is_of(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Assemble || self.whose == Whose::Apkos
    }
}

/// Keys that change nothing, or next to it. Nobody is to be led to them.
const IDLE: [&str; 2] = ["format", "type"];

/// Without what people vary: case, and how words are joined.
fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// What to do about a key that does not exist at this place; nothing if there is no good guess.
pub(crate) fn advice(place: &Place, entry: &Entry, dialect: Dialect) -> Option<String> {
    let key = entry.key.as_str();
    if place.key(key).is_some() {
        return Some("apko has no such key; `assemble build` knows it".to_owned());
    }
    let bare_key = bare(key);
    let meant = |name: &str| format!("did you mean `{name}`?");
    if let Some(same) = place.names(dialect).find(|name| bare(name) == bare_key) {
        return Some(meant(same));
    }
    // What these lead to may be a key of ours.
    if dialect == Dialect::Assemble
        && let Some((_, advice)) =
            place.words.iter().find(|(words, _)| words.iter().any(|w| bare(w) == bare_key))
    {
        return Some(filled(advice, entry));
    }
    // Only the places whose keys are unmistakable; `path` or `source` say little.
    for other in [&TOP, &CONTENTS, &ACCOUNTS].into_iter().filter(|other| other.path != place.path) {
        if let Some(name) = other.names(dialect).find(|name| bare(name) == bare_key) {
            let path = other.path;
            return Some(if path.is_empty() {
                format!("`{name}` belongs at the top level")
            } else {
                filled(&format!("`{name}` belongs below `{path}`:\n{path}:\n  {name}: {{value|…}}"), entry)
            });
        }
    }
    nearest(key, place.names(dialect)).map(meant)
}

/// Puts the entry's own value for `{value|example}`, if it is one text.
fn filled(advice: &str, entry: &Entry) -> String {
    let Some((head, rest)) = advice.split_once("{value|") else { return advice.to_owned() };
    let Some((example, tail)) = rest.split_once('}') else { return advice.to_owned() };
    let own = entry.value.scalar().filter(|scalar| !scalar.text.is_empty() && scalar.text.len() < 60);
    let value = own.map_or_else(|| example.to_owned(), |scalar| yaml::number_or_text(&plain(&scalar.text)));
    format!("{head}{value}{tail}")
}

/// The candidate that a few slips of the finger away could have been meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A text longer than this is no slip of a short word, and comparing it would take time.
    if word.chars().count() > 40 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The keys that may stand here, for the help of a key that resembles none.
pub(crate) fn listing(place: &Place, dialect: Dialect) -> String {
    let keys: Vec<String> =
        place.names(dialect).filter(|key| !IDLE.contains(key)).map(|key| format!("`{key}`")).collect();
    format!("known here: {}", keys.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Place; 15] = [
        &TOP,
        &CONTENTS,
        &RUNTIME_KEY,
        &BASE_IMAGE,
        &BINARY,
        &FILE,
        &BASE_FILES,
        &ENTRYPOINT,
        &ACCOUNTS,
        &USER,
        &GROUP,
        &PATH,
        &LAYERING,
        &CERTIFICATES,
        &CERTIFICATE,
    ];

    #[test]
    fn words_are_not_keys_of_their_own_place_and_stand_once() {
        for place in ALL {
            let mut seen = std::collections::BTreeSet::new();
            for word in place.words.iter().flat_map(|(words, _)| words.iter()) {
                assert!(seen.insert(bare(word)), "{}: {word} twice", place.path);
                assert!(place.key(word).is_none(), "{}: {word}", place.path);
            }
        }
    }

    #[test]
    fn slips_are_told_from_other_words() {
        let near = |word| nearest(word, TOP.names(Dialect::Assemble));
        assert_eq!(near("content"), Some("contents"));
        assert_eq!(near("enviroment"), Some("environment"));
        assert_eq!(near("entypoint"), Some("entrypoint"));
        assert_eq!(near("banana"), None);
        assert_eq!(near(&"x".repeat(100_000)), None);
    }
}
