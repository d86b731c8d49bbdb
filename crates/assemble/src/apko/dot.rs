//! The graph of a resolution in Graphviz's language, as apko draws it.
//!
//! Nodes and edges stand in the order in which they come up; attributes are sorted. What needs quotes is decided by the
//! rules of the library that apko writes graphs with, for the sake of equal text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use assemble_apk::Record;

/// A node, by its place in [`Graph::nodes`].
type Node = usize;

enum Item {
    Node(Node),
    Edge(Node, Node),
}

#[derive(Default)]
struct Graph {
    /// Name and attributes.
    nodes: Vec<(String, BTreeMap<&'static str, String>)>,
    by_name: BTreeMap<String, Node>,
    items: Vec<Item>,
}

impl Graph {
    /// The node of this name, made if it is not there yet.
    fn node(&mut self, name: &str) -> Node {
        if let Some(node) = self.by_name.get(name) {
            return *node;
        }
        let node = self.add(name);
        self.by_name.insert(name.to_owned(), node);
        node
    }

    /// A node that no other shares, whatever its name.
    fn add(&mut self, name: &str) -> Node {
        let node = self.nodes.len();
        self.nodes.push((name.to_owned(), BTreeMap::new()));
        self.items.push(Item::Node(node));
        node
    }

    fn edge(&mut self, from: Node, to: Node) {
        self.items.push(Item::Edge(from, to));
    }

    fn set(&mut self, node: Node, key: &'static str, value: &str) {
        self.nodes[node].1.insert(key, value.to_owned());
    }

    fn text(&self) -> String {
        let mut out = String::from("digraph images {\ngraph [\n  rankdir=LR;\n];\n");
        let name = |node: &Node| quoted(&self.nodes[*node].0);
        for item in &self.items {
            let _ = match item {
                Item::Edge(from, to) => writeln!(out, "{} -> {}", name(from), name(to)),
                Item::Node(node) => {
                    let attributes = self.nodes[*node].1.iter();
                    let attributes: Vec<String> =
                        attributes.map(|(key, value)| format!("{key}={}", quoted(value))).collect();
                    match attributes.as_slice() {
                        [] => writeln!(out, "{};", name(node)),
                        some => writeln!(out, "{} [{}];", name(node), some.join(", ")),
                    }
                }
            };
        }
        out.push_str("}\n");
        out
    }
}

/// What is drawn.
#[derive(Debug)]
pub(super) struct Drawing<'a> {
    /// The configuration as it was named.
    pub(super) config: &'a str,
    /// What it asks for, as spelt.
    pub(super) wanted: &'a [String],
    /// What was chosen, in order.
    pub(super) chosen: &'a [&'a Record],
    /// Why nothing was.
    pub(super) error: Option<String>,
    /// Of the edges that lead to a dependency only the first is drawn.
    pub(super) spanning_tree: bool,
}

impl Drawing<'_> {
    /// The graph as text.
    pub(super) fn text(&self) -> String {
        let mut graph = Graph::default();
        let mut needed = BTreeSet::new();
        self.wanted(&mut graph, &mut needed);
        let mut reached = BTreeSet::new();
        for record in self.chosen {
            self.dependencies(record, &mut graph, &mut needed, &mut reached);
        }
        for record in self.chosen {
            self.provides(record, &mut graph, &needed, &mut reached);
        }
        if let Some(error) = &self.error {
            let root = graph.add("❌ error");
            let node = graph.add(&format!("❌ {error}"));
            graph.edge(root, node);
        }
        graph.text()
    }

    fn wanted(&self, graph: &mut Graph, needed: &mut BTreeSet<String>) {
        let file = graph.add(self.config);
        for wanted in self.wanted {
            let node = graph.node(wanted);
            graph.edge(file, node);
            let name = match bare(wanted) {
                Some(name) => {
                    let plain = graph.node(name);
                    graph.edge(node, plain);
                    name
                }
                None => wanted,
            };
            needed.insert(name.to_owned());
        }
    }

    fn dependencies(
        &self,
        record: &Record,
        graph: &mut Graph,
        needed: &mut BTreeSet<String>,
        reached: &mut BTreeSet<String>,
    ) {
        let node = graph.node(record.name.as_str());
        label(graph, node, record);
        for dependency in &record.depends {
            let text = dependency.to_string();
            let name = bare(&text).unwrap_or(&text);
            let other = graph.node(name);
            let new = !reached.contains(name);
            if (new || !self.spanning_tree) && record.name.as_str() != name {
                graph.edge(node, other);
                reached.insert(name.to_owned());
            }
            needed.insert(name.to_owned());
        }
    }

    fn provides(
        &self,
        record: &Record,
        graph: &mut Graph,
        needed: &BTreeSet<String>,
        reached: &mut BTreeSet<String>,
    ) {
        let node = graph.node(record.name.as_str());
        for provide in &record.provides {
            let text = provide.to_string();
            if needed.contains(&text) {
                let other = graph.node(&text);
                if !reached.contains(record.name.as_str()) || !self.spanning_tree {
                    graph.edge(other, node);
                    reached.insert(record.name.to_string());
                }
            } else if let Some(name) = bare(&text).filter(|name| needed.contains(*name)) {
                let other = graph.node(name);
                graph.set(other, "shape", "rect");
                graph.edge(other, node);
            }
        }
    }
}

fn label(graph: &mut Graph, node: Node, record: &Record) {
    graph.set(node, "label", &format!("{}-{}", record.name, record.version));
    graph.set(node, "tooltip", &record.description);
}

/// What stands before the first `=`, else before the first `~`. It may end in `<` or `>`.
fn bare(text: &str) -> Option<&str> {
    text.split_once('=').or_else(|| text.split_once('~')).map(|(name, _)| name)
}

/// The text in quotes, unless it is a keyword, an identifier, or in quotes already.
fn quoted(text: &str) -> String {
    const KEYWORDS: [&str; 6] = ["graph", "digraph", "subgraph", "node", "edge", "strict"];
    let in_quotes = text.len() > 2
        && text.starts_with('"')
        && text.ends_with('"')
        && !text[1..text.len() - 1].contains('\n');
    if KEYWORDS.contains(&text) || in_quotes || is_identifier(text) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r"))
}

fn is_identifier(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',');
    let mut chars = text.chars();
    if !chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
        return false;
    }
    let rest = chars.as_str();
    let with_port = rest.chars().all(|c| word(c) || matches!(c, ':' | '"'))
        && rest.chars().next_back().is_some_and(|c| word(c) || c == '"');
    rest.chars().all(word) || with_port
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_where_they_are_needed() {
        for plain in ["hello", "_a1", "a,b", "cmd:sh", "node", "\"as it is\"", "a\""] {
            assert_eq!(quoted(plain), plain);
        }
        for (text, expected) in [
            ("hello-1.0", "\"hello-1.0\""),
            ("", "\"\""),
            ("1a", "\"1a\""),
            ("a:", "\"a:\""),
            ("say \"x\"\n", "\"say \\\"x\\\"\\n\""),
            ("so:libc.so.6", "\"so:libc.so.6\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
