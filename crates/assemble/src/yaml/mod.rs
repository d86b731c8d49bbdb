//! Writing YAML documents, in the style of Go's most used encoder: what `show` prints, and what apko prints.

mod scalar;

use std::fmt::Write as _;

use scalar::{Place, double_quoted, scalar};

/// Columns that a level is indented by.
const INDENT: usize = 4;

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A text, in the style that suits it.
    Text(String),
    /// A text in double quotes.
    Quoted(String),
    /// A number or truth value, written as it is.
    Plain(String),
    /// The items, in this order.
    List(Vec<Node>),
    /// The members, in this order.
    Map(Vec<(String, Node)>),
}

/// The document, with a line break at its end.
pub(crate) fn document(root: &Node) -> String {
    let mut out = String::new();
    match root {
        Node::Map(members) if members.is_empty() => out.push_str("{}\n"),
        root => emit(root, 0, &mut out),
    }
    out
}

/// The members of a map, those that say nothing left out.
#[derive(Debug, Default)]
pub(crate) struct Members(pub(crate) Vec<(String, Node)>);

impl Members {
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.0.push((key.to_owned(), Node::Text(value.to_owned())));
        }
    }

    pub(crate) fn texts(&mut self, key: &str, values: &[String]) {
        self.list(key, values, |value| Node::Text(value.clone()));
    }

    pub(crate) fn list<T>(&mut self, key: &str, values: &[T], node: impl Fn(&T) -> Node) {
        if !values.is_empty() {
            self.0.push((key.to_owned(), Node::List(values.iter().map(node).collect())));
        }
    }

    /// Also if it is empty.
    pub(crate) fn always(&mut self, key: &str, node: Node) {
        self.0.push((key.to_owned(), node));
    }

    pub(crate) fn unless_empty(&mut self, key: &str, members: Self) {
        if !members.0.is_empty() {
            self.0.push((key.to_owned(), members.map()));
        }
    }

    pub(crate) fn map(self) -> Node {
        Node::Map(self.0)
    }
}

/// Writes a map or list at this column; its first line is not indented.
fn emit(node: &Node, column: usize, out: &mut String) {
    match node {
        Node::Map(members) => {
            for (number, (key, value)) in members.iter().enumerate() {
                if number > 0 {
                    pad(column, out);
                }
                scalar(key, Place::Key, column, out);
                out.push(':');
                emit_value(value, column, out);
            }
        }
        Node::List(items) => {
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    pad(column, out);
                }
                out.push('-');
                match item {
                    Node::Map(members) if !members.is_empty() => {
                        out.push(' ');
                        emit(item, column + 2, out);
                    }
                    _ => emit_value(item, column, out),
                }
            }
        }
        Node::Text(_) | Node::Quoted(_) | Node::Plain(_) => emit_value(node, column, out),
    }
}

/// Writes what stands behind a key or dash, and ends the line.
fn emit_value(value: &Node, column: usize, out: &mut String) {
    match value {
        Node::Text(text) => {
            out.push(' ');
            scalar(text, Place::Value, column, out);
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
        Node::Quoted(text) => {
            out.push(' ');
            double_quoted(text, out);
            out.push('\n');
        }
        Node::Plain(text) => {
            let _ = writeln!(out, " {text}");
        }
        Node::List(items) if items.is_empty() => out.push_str(" []\n"),
        Node::Map(members) if members.is_empty() => out.push_str(" {}\n"),
        _ => {
            out.push('\n');
            pad(deeper(column), out);
            emit(value, deeper(column), out);
        }
    }
}

fn deeper(column: usize) -> usize {
    INDENT * ((column + INDENT) / INDENT)
}

fn pad(column: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', column));
}
