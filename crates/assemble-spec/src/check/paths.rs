//! `paths` and `layering`: what is done with the tree.

use super::values::{self, Wrong};
use super::{Cx, Fields, number};
use crate::diagnostic::Diagnostic;
use crate::model::{LayerStrategy, Layering, Located, PathKind, PathMutation, Spec};
use crate::node::{Entry, Node, Scalar};
use crate::schema::{self, nearest};
use crate::source::plain;

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    let paths = cx.entries("paths", *top, "paths");
    spec.paths = paths.into_iter().filter_map(|node| mutation(cx, node)).collect();
    if let Some(entry) = top.get("layering")
        && let Some(fields) = cx.fields(&schema::LAYERING, &entry.value, &entry.key_range)
    {
        spec.layering = layering(cx, entry, fields);
    }
}

fn mutation(cx: &mut Cx<'_, '_>, node: &Node) -> Option<PathMutation> {
    if let Some(scalar) = node.scalar().filter(|_| !node.is_null()) {
        let path = crate::yaml::scalar(&plain(&scalar.text));
        let diagnostic = cx
            .wrong("spec/type", "an entry of `paths` has to be a map", node, "")
            .help(format!("write\n- path: {path}\n  type: directory\n  permissions: 0o755"));
        cx.report(diagnostic);
        return None;
    }
    let fields = cx.fields(&schema::PATH, node, &node.range)?;
    let kind = kind(cx, node, fields);
    let path = match fields.get("path") {
        Some(entry) => cx.text("path", &entry.value, &entry.key_range),
        None if cx.lenient() => Some(Located { value: String::new(), span: cx.span(&node.range, "") }),
        None => cx.required(&schema::PATH, node, fields, "path", "write where in the image: `path: /srv`"),
    };
    let uid = fields.get("uid").and_then(|entry| cx.id("uid", entry));
    let gid = fields.get("gid").and_then(|entry| cx.id("gid", entry));
    let permissions = match fields.get("permissions") {
        Some(entry) if cx.lenient() => cx.id("permissions", entry),
        Some(entry) => cx.value("permissions", entry, permissions),
        None => Some(0),
    };
    let source = cx.text_of("source", fields, "source").map(|text| text.value).unwrap_or_default();
    let recursive = match fields.get("recursive") {
        Some(entry) => cx.truth("recursive", entry)?,
        None => false,
    };
    let (path, kind, permissions) = (path?, kind?, permissions?);
    let mutation =
        PathMutation { path, kind, uid, gid, permissions, source, recursive, span: cx.span(&node.range, "") };
    if !cx.lenient() {
        sensible(cx, node, fields, &mutation);
    }
    Some(mutation)
}

fn kind(cx: &mut Cx<'_, '_>, node: &Node, fields: Fields<'_>) -> Option<PathKind> {
    let names = || PathKind::ALL.into_iter().map(PathKind::name);
    let listing =
        || format!("there are {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "));
    let Some(text) = cx.text_of("type", fields, "type") else {
        // One that is a list or map was complained about.
        if fields.get("type").is_none_or(|entry| entry.value.is_empty()) {
            let diagnostic =
                cx.wrong("spec/missing", "an entry of `paths` names no `type`", node, "").help(listing());
            cx.report(diagnostic);
        }
        return None;
    };
    let kind = PathKind::ALL.into_iter().find(|kind| kind.name() == text.value);
    if kind.is_none() {
        let help = match text.value.to_ascii_lowercase().as_str() {
            "dir" | "folder" | "mkdir" => "write `directory`".to_owned(),
            "file" | "touch" => {
                "write `empty-file`; a file with something in it is brought by `contents.files`".to_owned()
            }
            "link" | "ln" => "write `symlink` or `hardlink`".to_owned(),
            "chmod" | "chown" | "mode" => "write `permissions`".to_owned(),
            other => nearest(other, names()).map_or_else(listing, |near| format!("did you mean `{near}`?")),
        };
        let message = format!("`{}` is no type of a path", plain(&text.value));
        cx.report(Diagnostic::new("spec/value", message).at(text.span).help(help));
    }
    kind
}

/// What apko would do, and nobody can mean.
fn sensible(cx: &mut Cx<'_, '_>, node: &Node, fields: Fields<'_>, mutation: &PathMutation) {
    let path = &mutation.path;
    let link = matches!(mutation.kind, PathKind::HardLink | PathKind::SymLink);
    let diagnostic = if link && mutation.source.is_empty() {
        cx.wrong("spec/missing", format!("a {} names no `source`", mutation.kind.name()), node, "")
            .help("`source` is what the link at `path` leads to")
    } else if fields.get("permissions").is_none() && mutation.kind == PathKind::Permissions {
        cx.wrong(
            "spec/missing",
            "`type: permissions` without `permissions` would take them all away",
            node,
            "",
        )
        .help("write `permissions: 0o755`, or `permissions: 0` if that is meant")
    } else if path.value.split('/').any(|part| part == "..") {
        Diagnostic::new("spec/value", format!("`{}` holds `..`", plain(&path.value)))
            .at(path.span.clone())
            .help("write where it really goes")
    } else if path.value.contains(char::is_control) {
        Diagnostic::new("spec/value", "`path` holds a control character").at(path.span.clone())
    } else {
        return;
    };
    cx.report(diagnostic);
}

/// Permissions as apko reads them, octal if they begin with a zero. A decimal number is taken where it cannot be an octal
/// one that lacks its zero.
fn permissions(name: &str, scalar: &Scalar) -> Result<u32, Wrong> {
    let decimal = scalar.plain && !scalar.text.starts_with('0');
    let octal_digits = scalar.text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    if decimal
        && !octal_digits
        && let Some(number) = number::unsigned(scalar)
    {
        return Ok(number);
    }
    // YAML takes 0999 for a decimal number. Nobody means that.
    if scalar.plain
        && !decimal
        && !scalar.text.contains(['8', '9'])
        && let Some(number) = number::unsigned(scalar)
    {
        return Ok(number);
    }
    values::mode(name, scalar).map(assemble_types::Mode::bits)
}

fn layering(cx: &mut Cx<'_, '_>, entry: &Entry, fields: Fields<'_>) -> Option<Layering> {
    let strategy = match cx.text_of("layering.strategy", fields, "strategy") {
        None => None,
        Some(text) => Some(strategy(cx, text)?),
    };
    let usual = strategy.and_then(LayerStrategy::usual_budget).unwrap_or_default();
    let budget = match fields.get("budget") {
        None => usual,
        Some(budget) => {
            let lenient = cx.lenient();
            let check = |name: &str, scalar: &Scalar| {
                if !lenient && number::integer(scalar) == Some(0) {
                    return Err(Wrong {
                        message: "a `layering.budget` of 0 leaves no layer to put packages in".to_owned(),
                        help: Some("write `budget: 10`, or leave `layering` out for one layer".to_owned()),
                    });
                }
                number::integer(scalar).filter(|number| lenient || *number > 0).ok_or_else(|| Wrong {
                    message: format!(
                        "`{name}` has to be a whole number of layers, not `{}`",
                        plain(&scalar.text)
                    ),
                    help: Some("write `budget: 10`, without quotes".to_owned()),
                })
            };
            cx.value("layering.budget", budget, check)?
        }
    };
    let problem = match (strategy, budget) {
        (None, 0) | (Some(_), 1..) => None,
        (None, _) => Some(("`layering` has a budget and no strategy", "write `strategy: origin`")),
        (Some(_), _) if cx.lenient() => None,
        (Some(_), _) => {
            Some(("`layering` names no `budget`", "write how many layers there may be: `budget: 10`"))
        }
    };
    if let Some((message, help)) = problem {
        let diagnostic = cx.wrong_at("spec/missing", message, &entry.key_range, "").help(help);
        cx.report(diagnostic);
        return None;
    }
    Some(Layering { strategy, budget })
}

fn strategy(cx: &mut Cx<'_, '_>, text: Located<String>) -> Option<LayerStrategy> {
    const ORIGIN: &str = "write `strategy: origin`: packages built from the same source share a layer";
    let name = text.value.as_str();
    let (message, help) = if name == LayerStrategy::Origin.name() {
        return Some(LayerStrategy::Origin);
    } else if name != LayerStrategy::Package.name() {
        let or = if cx.lenient() {
            "; there is no other"
        } else {
            "; or `strategy: package`: each is a layer of its own, as it was packed"
        };
        (format!("`{}` is no strategy of layering", plain(name)), format!("{ORIGIN}{or}"))
    } else if cx.lenient() {
        let message = "`package` is no strategy of apko's, whose images have to be the same here";
        (message.to_owned(), format!("{ORIGIN}; `assemble build` knows `package`, too"))
    } else {
        return Some(LayerStrategy::Package);
    };
    cx.report(Diagnostic::new("spec/value", message).at(text.span).help(help));
    None
}
