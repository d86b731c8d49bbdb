//! The document as a tree of texts, lists and maps with their places.
//!
//! It is built from the parser's events and not by typed decoding, for what typed decoding drops is needed: how a scalar
//! was spelt (`0755`, `"0755"` and `493` are three things), where the first of two equal keys stands, and everything
//! after the first mistake.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_yaml::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::diagnostic::Diagnostic;
use crate::source::{Source, plain};

/// Deepest nesting of lists and maps, aliases unfolded. Specs need six.
const DEEPEST: usize = 64;
/// Most nodes, aliases unfolded: what a few megabytes of packages come to, and an alias bomb does not.
const MOST_NODES: usize = 200_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Of an alias: where the aliased value is written.
    pub(crate) range: Range<usize>,
    /// Of an alias: where `*name` stands.
    pub(crate) used_at: Option<Range<usize>>,
    pub(crate) content: Content,
    /// Nodes in it, itself included.
    size: usize,
    /// Levels below it.
    height: usize,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A text as written, before anyone decides whether it is a number.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Without quotes, so that `null` is nothing and `12` may be a number.
    pub(crate) plain: bool,
}

/// A key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_range: Range<usize>,
    pub(crate) value: Node,
}

impl Entry {
    /// Where a message about the value points: at the value if it is one text, else at the key.
    pub(crate) fn place(&self) -> &Range<usize> {
        match &self.value.content {
            Content::Scalar(_) if !self.value.range.is_empty() => &self.value.range,
            _ => &self.key_range,
        }
    }
}

impl Node {
    /// Whether it is nothing: `key:`, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(s) if s.plain && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it says nothing: null, an empty text, list or map.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Scalar(scalar) => scalar.text.is_empty() || self.is_null(),
            Content::List(items) => items.is_empty(),
            Content::Map(entries) => entries.is_empty(),
        }
    }

    /// For messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            _ if self.is_null() => "nothing",
            Content::Scalar(_) => "one value",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn map(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    fn scalar_at(range: Range<usize>, text: String, plain: bool) -> Self {
        Self { range, used_at: None, content: Content::Scalar(Scalar { text, plain }), size: 1, height: 0 }
    }
}

/// Reads the first document. Nothing, if there is none. What is returned beside mistakes can still be checked;
/// without a tree, they made going on senseless. That another document follows is a mistake, too, unless `only_first`:
/// apko does not look at what follows.
pub(crate) fn read(
    source: &Source<'_>,
    only_first: bool,
    mistakes: &mut Vec<Diagnostic>,
) -> Result<Option<Node>, ()> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut reader =
        Reader { source, mistakes, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str_with_options(source.text(), options);
    while let Some(event) = parser.next() {
        match event {
            Err(error) => {
                let mistake = syntax(source, &error);
                reader.mistakes.push(mistake);
                return Err(());
            }
            Ok((Event::DocumentEnd, _)) => {
                if !only_first && let Some(mistake) = another_document(source, &mut parser) {
                    reader.mistakes.push(mistake);
                }
                break;
            }
            Ok((event, span)) => {
                let tag_range = span.tag_span().and_then(|tag| tag.byte_range());
                reader.event(event, span.byte_range().unwrap_or(0..0), tag_range.as_ref())?;
            }
        }
    }
    Ok(reader.root)
}

/// The mistake of another document behind the first. One that has nothing in it is none: a line `---` at the end of a file
/// begins such.
fn another_document<'e>(
    source: &Source<'_>,
    events: impl Iterator<Item = Result<(Event<'e>, Span), ScanError>>,
) -> Option<Diagnostic> {
    let mut begins = None;
    for event in events {
        match event {
            Ok((Event::DocumentStart(..), span)) => begins = Some(span.byte_range().unwrap_or(0..0)),
            Ok((Event::DocumentEnd | Event::StreamEnd, _)) => begins = None,
            // What stands for nothing.
            Ok((Event::Scalar(text, ScalarStyle::Plain, 0, None), _)) if matches!(&*text, "" | "~") => {}
            Err(error) if begins.is_none() => return Some(syntax(source, &error)),
            _ => break,
        }
    }
    let diagnostic = Diagnostic::new("spec/yaml", "a second YAML document begins here, and a spec is one")
        .at(source.span(&begins?, ""));
    Some(diagnostic.help("join the two, or put the second into a file of its own: one may `include` another"))
}

/// A list or map whose end has not come.
struct Open {
    anchor: usize,
    start: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    seen: BTreeMap<String, Range<usize>>,
    merged: Vec<Node>,
    key: Option<Key>,
    /// A key of it was no text.
    bad: bool,
}

enum Key {
    Text(String, Range<usize>),
    Merge,
    /// One that was complained about.
    Bad,
}

struct Reader<'a, 's> {
    source: &'a Source<'s>,
    mistakes: &'a mut Vec<Diagnostic>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Reader<'_, '_> {
    fn event(
        &mut self,
        event: Event<'_>,
        range: Range<usize>,
        tag_range: Option<&Range<usize>>,
    ) -> Result<(), ()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let foreign = self.tag(tag.as_deref(), tag_range, &range);
                if text.contains('\0') {
                    self.mistake("spec/value", "a text cannot hold a NUL character", &range, "");
                }
                let quoted =
                    style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                // A text that only lacks quotes is taken as meant, so that there is no second complaint about it.
                let node = match foreign {
                    Some(tag) => Node::scalar_at(range, tag, false),
                    None => Node::scalar_at(range, text.into_owned(), !quoted),
                };
                self.done(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let _ = self.tag(tag.as_deref(), tag_range, &range);
                self.enter(anchor, range.start, Items::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let _ = self.tag(tag.as_deref(), tag_range, &range);
                self.enter(anchor, range.start, Items::Map(OpenMap::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(range.end),
            Event::Alias(id) => self.alias(id, range),
            Event::UnresolvedAlias(name) => {
                let diagnostic =
                    Diagnostic::new("spec/yaml", format!("there is no anchor `&{}`", plain(&name)))
                        .at(self.source.span(&range, "an unquoted `*` refers to an anchor"))
                        .help(format!("if the text itself is meant, quote it: '*{}'", plain(&name)));
                self.mistakes.push(diagnostic);
                self.done(Node::scalar_at(range, format!("*{name}"), false), 0)
            }
            _ => Ok(()),
        }
    }

    fn mistake(&mut self, code: &'static str, message: &str, range: &Range<usize>, label: &str) {
        self.mistakes.push(Diagnostic::new(code, message).at(self.source.span(range, label)));
    }

    /// Complains about a tag of someone's own, and gives its text.
    fn tag(&mut self, tag: Option<&Tag>, at: Option<&Range<usize>>, node: &Range<usize>) -> Option<String> {
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema() && tag.original() != "!")?.original();
        let message = format!("the YAML tag `{}` means nothing here", plain(&tag));
        let diagnostic = Diagnostic::new("spec/yaml", message)
            .at(self.source.span(at.unwrap_or(node), ""))
            .help("if the text itself is meant, quote it: an unquoted `!` begins a tag");
        self.mistakes.push(diagnostic);
        Some(tag)
    }

    fn count(&mut self, nodes: usize, range: &Range<usize>) -> Result<(), ()> {
        self.nodes += nodes;
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        let message = format!("the spec has more than {MOST_NODES} values once its aliases are unfolded");
        self.mistake("spec/too-large", &message, range, "here it is too many");
        Err(())
    }

    fn depth(&mut self, levels: usize, range: &Range<usize>) -> Result<(), ()> {
        if self.open.len() + levels <= DEEPEST {
            return Ok(());
        }
        self.mistakes.push(too_deep(self.source, range));
        Err(())
    }

    fn enter(&mut self, anchor: usize, start: usize, items: Items) -> Result<(), ()> {
        self.depth(1, &(start..start))?;
        self.open.push(Open { anchor, start, items });
        Ok(())
    }

    fn leave(&mut self, end: usize) -> Result<(), ()> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let content = match open.items {
            Items::List(items) => Content::List(items),
            // `{{ x }}`: what was complained about stands for the text that it was to become.
            Items::Map(map) if map.bad && map.entries.is_empty() => {
                let text = self.source.text().get(open.start..end).unwrap_or_default();
                Content::Scalar(Scalar { text: text.to_owned(), plain: false })
            }
            Items::Map(map) => Content::Map(self.merge(map)),
        };
        let (mut size, mut height) = (1, 0);
        let children: Box<dyn Iterator<Item = &Node>> = match &content {
            Content::List(items) => Box::new(items.iter()),
            Content::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
            Content::Scalar(_) => Box::new(std::iter::empty()),
        };
        for child in children {
            size += child.size;
            height = height.max(child.height);
        }
        let range = open.start..end.max(open.start);
        self.done(Node { range, used_at: None, content, size, height: height + 1 }, open.anchor)
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<(), ()> {
        let Some(target) = self.anchors.get(&id) else {
            self.mistake("spec/yaml", "an alias cannot stand inside what it refers to", &range, "");
            return Err(());
        };
        let (size, height) = (target.size, target.height);
        self.count(size, &range)?;
        self.depth(height, &range)?;
        // Counted first: an alias bomb is refused before it is unfolded.
        let mut node = self.anchors[&id].clone();
        node.used_at = Some(range);
        self.nodes = self.nodes.saturating_sub(1);
        self.done(node, 0)
    }

    /// A complete node takes its place in what is open.
    fn done(&mut self, node: Node, anchor: usize) -> Result<(), ()> {
        self.count(1, &node.range)?;
        if anchor != 0 {
            self.count(node.size, &node.range)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let map = match &mut open.items {
            Items::List(items) => {
                items.push(node);
                return Ok(());
            }
            Items::Map(map) => map,
        };
        match map.key.take() {
            None => {
                let key = self.key(node);
                if let Some(Open { items: Items::Map(map), .. }) = self.open.last_mut() {
                    map.bad |= matches!(key, Key::Bad);
                    map.key = Some(key);
                }
            }
            Some(Key::Bad) => {}
            Some(Key::Merge) => map.merged.push(node),
            Some(Key::Text(key, key_range)) => {
                if let Some(first) = map.seen.get(&key) {
                    let diagnostic =
                        Diagnostic::new("spec/duplicate-key", format!("`{}` is given twice", plain(&key)))
                            .at(self.source.span(&key_range, "again here"))
                            .at(self.source.span(first, "first here"))
                            .help("join the two, or remove one of them");
                    self.mistakes.push(diagnostic);
                } else {
                    map.seen.insert(key.clone(), key_range.clone());
                    map.entries.push(Entry { key, key_range, value: node });
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, node: Node) -> Key {
        match node.content {
            Content::Scalar(Scalar { text, plain: true }) if text == "<<" => Key::Merge,
            Content::Scalar(Scalar { text, .. }) => Key::Text(text, node.used_at.unwrap_or(node.range)),
            content => {
                let mut diagnostic =
                    Diagnostic::new("spec/yaml", "a key has to be one word, not a list or map")
                        .at(self.source.span(&node.range, ""));
                if matches!(content, Content::Map(_))
                    && self.source.text()[node.range.start..].starts_with("{{")
                    || self.source.text()[..node.range.start].ends_with('{')
                {
                    diagnostic = diagnostic.help(
                        "a `{{ template }}` has to be filled in before; to keep it as a text, quote it",
                    );
                }
                self.mistakes.push(diagnostic);
                Key::Bad
            }
        }
    }

    /// Unfolds `<<`: what the map says itself wins, then what is merged first.
    fn merge(&mut self, mut map: OpenMap) -> Vec<Entry> {
        for node in std::mem::take(&mut map.merged) {
            let place = node.used_at.clone().unwrap_or_else(|| node.range.clone());
            let parts = match node.content {
                Content::List(items) => items,
                _ => vec![node],
            };
            for part in parts {
                let used_at = part.used_at.clone();
                let Content::Map(entries) = part.content else {
                    self.mistake("spec/yaml", "`<<` takes a map or a list of maps", &place, "");
                    continue;
                };
                for mut entry in entries {
                    if !map.seen.contains_key(&entry.key) {
                        map.seen.insert(entry.key.clone(), entry.key_range.clone());
                        entry.value.used_at = entry.value.used_at.or_else(|| used_at.clone());
                        map.entries.push(entry);
                    }
                }
            }
        }
        map.entries
    }
}

fn too_deep(source: &Source<'_>, range: &Range<usize>) -> Diagnostic {
    Diagnostic::new("spec/too-large", format!("lists and maps are nested more than {DEEPEST} deep"))
        .at(source.span(range, "here it is too deep"))
}

/// Where a tab stands before the first text of a line: of the one that holds this byte, or where a text that began there
/// goes on below, of the first such line.
fn tab_before_text(text: &str, at: usize, or_below: bool) -> Option<usize> {
    let first = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let mut begins = first;
    for line in text.get(first..)?.split_inclusive('\n') {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..blank].find('\t') {
            return Some(begins + tab);
        }
        if !or_below {
            return None;
        }
        begins += line.len();
    }
    None
}

/// Turns the parser's error into ours, with a cure for the ones that people meet.
fn syntax(source: &Source<'_>, error: &ScanError) -> Diagnostic {
    let mut start = error.marker().byte_offset().unwrap_or(0).min(source.text().len());
    let tab = tab_before_text(source.text(), start, *error.kind() == ErrorKind::TabInPlainScalar);
    start = tab.unwrap_or(start);
    let here =
        start..start + source.text().get(start..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8);
    let place = source.span(&here, "");
    let make = |message: &str| Diagnostic::new("spec/yaml", message).at(place.clone());
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(source, &here),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar
        | ErrorKind::UnexpectedCharacter { character: '\t' } => {
            make("a tab is used for indentation").help("use spaces: YAML forbids tabs there")
        }
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
            if tab.is_some() =>
        {
            make("a tab is used for indentation").help("use spaces: YAML forbids tabs there")
        }
        ErrorKind::UnexpectedCharacter { character: character @ ('@' | '`' | '%') } => {
            make(&format!("a text cannot begin with `{character}` without quotes"))
                .help("put the whole text in quotes: '…'")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => make(
            "a `:` cannot stand here",
        )
        .help(
            "quote a text that holds `: `; otherwise look at the indentation of this line and the one above",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            let quote = source.text().get(..start).and_then(|before| before.rfind(['"', '\'']));
            let range = quote.map_or(here, |at| at..at + 1);
            Diagnostic::new("spec/yaml", "a quote is opened and not closed")
                .at(source.span(&range, ""))
                .help("close it, on the line where it is opened")
        }
        ErrorKind::UnclosedFlowCollection { open } => make(&format!("a `{open}` is opened and not closed")),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => make(
            "this line is indented unlike the ones around it",
        )
        .help("begin it in the column of the key that it belongs beside; `- ` begins an entry of a list"),
        kind => make(&format!("this is not YAML: {}", plain(&kind.to_string()))),
    }
}
