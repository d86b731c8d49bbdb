//! What a container of the image starts with.

use super::values::{self, Wrong};
use super::{Cx, Fields};
use crate::diagnostic::Diagnostic;
use crate::model::{Located, Spec};
use crate::node::{Content, Entry, Node};
use crate::schema;
use crate::source::plain;
use crate::words::{self, SplitError};

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    if let Some(entry) = top.get("entrypoint") {
        entrypoint(cx, entry, spec);
    }
    if let Some(entry) = top.get("cmd") {
        let (words, text) = command(cx, "cmd", entry);
        (spec.cmd, spec.apko.cmd) = (words, text);
    }
    if let Some(entry) = top.get("environment") {
        spec.environment = environment(cx, entry);
    }
    if let Some(entry) = top.get("annotations") {
        spec.annotations = cx.text_map("annotations", entry);
        if let Some(bad) = entry.value.map().and_then(|map| map.iter().find(|item| item.key.is_empty())) {
            let diagnostic = cx.wrong_at("spec/value", "an annotation needs a name", &bad.key_range, "");
            cx.report(diagnostic);
        }
    }
    spec.work_dir = top.get("work-dir").and_then(|entry| work_dir(cx, entry));
    let mut seen = std::collections::BTreeSet::new();
    for (node, text) in cx.texts("ports", *top, "ports") {
        match values::port(&text) {
            Ok(port) if seen.insert(port) => spec.ports.push(port),
            Ok(_) => {}
            Err(wrong) => cx.report_wrong("spec/value", wrong, node),
        }
    }
    for (node, text) in cx.texts("volumes", *top, "volumes") {
        match volume(&text) {
            Ok(()) => spec.volumes.push(text),
            Err(wrong) => cx.report_wrong("spec/value", wrong, node),
        }
    }
    if let Some(entry) = top.get("stop-signal")
        && let Some(signal) = cx.text_of("stop-signal", *top, "stop-signal")
    {
        match values::signal(&signal.value) {
            Ok(()) => spec.stop_signal = Some(signal.value),
            Err(wrong) => cx.report_wrong("spec/value", wrong, &entry.value),
        }
    }
    archs(cx, top, spec);
    if let Some(entry) = top.get("accounts")
        && let Some(fields) = cx.fields(&schema::ACCOUNTS, &entry.value, &entry.key_range)
        && let Some(entry) = fields.get("run-as")
    {
        spec.run_as = run_as(cx, entry);
    }
    format(cx, top);
}

/// `{command}`, `{shell-fragment}`, one text, or the words.
fn entrypoint(cx: &mut Cx<'_, '_>, entry: &Entry, spec: &mut Spec) {
    let Content::Map(_) = entry.value.content else {
        let (words, text) = command(cx, "entrypoint", entry);
        (spec.entrypoint, spec.apko.entrypoint_command) = (words, text);
        return;
    };
    let Some(fields) = cx.fields(&schema::ENTRYPOINT, &entry.value, &entry.key_range) else { return };
    if let Some(kind) = cx.text_of("entrypoint.type", fields, "type") {
        if kind.value == "service-bundle" {
            let diagnostic = Diagnostic::new(
                "spec/not-supported",
                "`entrypoint.type: service-bundle` is not supported yet",
            )
            .at(kind.span)
            .help("let the platform start one container for each service");
            cx.report(diagnostic);
        } else {
            spec.apko.entrypoint_type = Some(kind.value);
        }
    }
    if let Some(entry) = fields.get("command") {
        if let Content::List(_) = entry.value.content {
            let diagnostic = cx
                .wrong_at(
                    "spec/type",
                    "`entrypoint.command` has to be one text, not a list",
                    &entry.key_range,
                    "",
                )
                .help("a list stands directly below `entrypoint`:\nentrypoint: [/usr/bin/app, --flag]");
            cx.report(diagnostic);
        } else {
            let (words, text) = command(cx, "entrypoint.command", entry);
            (spec.entrypoint, spec.apko.entrypoint_command) = (words, text);
        }
    }
    if let Some(fragment) = cx.text_of("entrypoint.shell-fragment", fields, "shell-fragment") {
        spec.entrypoint = Some(vec!["/bin/sh".into(), "-c".into(), fragment.value.clone()]);
        spec.apko.entrypoint_shell_fragment = Some(fragment.value);
    }
}

/// One text, split into words, or a list of words; with the text that apko would have for it.
fn command(cx: &mut Cx<'_, '_>, name: &str, entry: &Entry) -> (Option<Vec<String>>, Option<String>) {
    if let Content::List(items) = &entry.value.content {
        let words: Vec<String> = items.iter().filter_map(|node| word(cx, name, node)).collect();
        if words.is_empty() {
            return (None, None);
        }
        let text = words::join(&words);
        return (Some(words), Some(text));
    }
    let Some(text) = cx.text(name, &entry.value, &entry.key_range) else { return (None, None) };
    if let Some(operator) = words::shell_operator(&text.value) {
        let diagnostic = needs_shell(cx, name, &text.value, operator, &entry.value);
        cx.report(diagnostic);
        return (None, None);
    }
    match words::split(&text.value) {
        Ok(words) if words.is_empty() => (None, (!text.value.is_empty()).then_some(text.value)),
        Ok(words) => (Some(words), Some(text.value)),
        Err(error) => {
            let message = match error {
                SplitError::OpenQuote(quote) => format!("`{name}` opens a `{quote}` and does not close it"),
                SplitError::OpenEscape => format!("`{name}` ends in a backslash"),
            };
            let diagnostic = cx
                .wrong("spec/value", message, &entry.value, "")
                .help(format!("write the words as a list, where nothing needs quoting twice: `{}: [/usr/bin/app, \"it's\"]`", name.split('.').next().unwrap_or(name)));
            cx.report(diagnostic);
            (None, None)
        }
    }
}

/// The text would be handed to the program word for word, `&&` and all.
fn needs_shell(cx: &Cx<'_, '_>, name: &str, text: &str, operator: &str, node: &Node) -> Diagnostic {
    let line = if text.chars().count() > 90 { "…".to_owned() } else { plain(text) };
    cx.wrong("spec/value", format!("`{name}` holds a `{operator}`, and no shell runs it"), node, "")
        .help(format!(
            "if a shell is to run it, one has to be in the image, such as `busybox`; write\nentrypoint:\n  shell-fragment: {}",
            crate::yaml::scalar(&line)
        ))
        .help(format!("if the program itself wants the word, quote it: `'{operator}'`"))
}

fn word(cx: &mut Cx<'_, '_>, name: &str, node: &Node) -> Option<String> {
    match node.scalar() {
        Some(scalar) if !node.is_null() => Some(scalar.text.clone()),
        _ => {
            let message = format!("a word of `{name}` has to be one text, not {}", node.kind());
            let diagnostic = cx.wrong("spec/type", message, node, "").help("quote it: '…'");
            cx.report(diagnostic);
            None
        }
    }
}

fn environment(cx: &mut Cx<'_, '_>, entry: &Entry) -> std::collections::BTreeMap<String, String> {
    if let Content::List(items) = &entry.value.content {
        let example = items
            .iter()
            .filter_map(Node::scalar)
            .find_map(|scalar| scalar.text.split_once('='))
            .map_or("NAME: value".to_owned(), |(name, value)| {
                format!("{}: {}", crate::yaml::scalar(&plain(name)), crate::yaml::scalar(&plain(value)))
            });
        let diagnostic = cx
            .wrong_at(
                "spec/type",
                "`environment` has to be a map of names to texts, not a list",
                &entry.key_range,
                "",
            )
            .help(format!("write each as `NAME: value`:\nenvironment:\n  {example}"));
        cx.report(diagnostic);
        return std::collections::BTreeMap::new();
    }
    for item in entry.value.map().unwrap_or_default() {
        let wrong = variable_problem(&item.key);
        if let Some(message) = wrong {
            let diagnostic =
                cx.wrong_at("spec/value", message, &item.key_range, "").help("write `NAME: value`");
            cx.report(diagnostic);
        }
    }
    cx.text_map("environment", entry)
}

/// What is wrong with a variable's name.
pub(super) fn variable_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("a variable needs a name".to_owned())
    } else if name.contains('=') {
        Some(format!("`{}` holds a `=`, which a variable's name cannot", plain(name)))
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some(format!("`{}` holds a space, which a variable's name cannot", plain(name)))
    } else {
        None
    }
}

fn work_dir(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<String> {
    if entry.value.is_empty() {
        return None;
    }
    cx.image_path("work-dir", entry)?;
    entry.value.scalar().map(|scalar| scalar.text.clone())
}

pub(super) fn volume(text: &str) -> Result<(), Wrong> {
    if text.chars().any(char::is_control) {
        return Err(Wrong { message: "a volume holds a control character".to_owned(), help: None });
    }
    let inner = text.split(':').find(|part| part.starts_with('/') && text.contains(':'));
    let help = match inner {
        Some(_) if text.contains(':') => {
            let inside = text.split(':').nth(1).filter(|part| part.starts_with('/')).unwrap_or("/data");
            format!("only the container's side belongs into the image: write `{}`", plain(inside))
        }
        _ if !text.starts_with('/') => format!("write `/{}`", plain(text.trim_start_matches("./"))),
        _ => return Ok(()),
    };
    Err(Wrong { message: format!("`{}` is no absolute path in the image", plain(text)), help: Some(help) })
}

fn archs(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    for (node, text) in cx.texts("archs", *top, "archs") {
        match values::platform(&text) {
            Ok(value) => {
                let span = cx.span(&node.range, "");
                if let Some(first) = spec.platforms.iter().find(|platform| platform.value == value) {
                    let mut first = first.span.clone();
                    first.label = "first here".into();
                    let diagnostic = cx
                        .wrong("spec/conflict", format!("{value} is listed twice"), node, "again here")
                        .at(first);
                    cx.report(diagnostic.help("remove one of them"));
                } else {
                    spec.platforms.push(Located { value, span });
                }
            }
            Err(wrong) => cx.report_wrong("spec/platform", wrong, node),
        }
    }
}

fn run_as(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<Located<String>> {
    let text = cx.text("accounts.run-as", &entry.value, &entry.key_range)?;
    if text.value.is_empty() {
        return None;
    }
    if is_user(&text.value) {
        return Some(text);
    }
    let diagnostic = cx
        .wrong("spec/value", format!("`{}` is no user", plain(&text.value)), &entry.value, "")
        .help("write a number such as `65532`, a name, or `65532:65532` with a group; `root` has to be asked for by name");
    cx.report(diagnostic);
    None
}

/// `user`, `uid`, or one of them and a group.
pub(super) fn is_user(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
            && (!part.bytes().all(|b| b.is_ascii_digit())
                || part.parse::<u32>().is_ok_and(|id| id != u32::MAX))
    };
    text.split(':').count() <= 2 && text.split(':').all(part)
}

/// `tar` is what we make; `erofs` is for later.
fn format(cx: &mut Cx<'_, '_>, top: &Fields<'_>) {
    let Some(text) = cx.text_of("format", *top, "format") else { return };
    let diagnostic = match text.value.as_str() {
        "tar" => return,
        "erofs" => Diagnostic::new("spec/not-supported", "`format: erofs` is not supported yet"),
        other => Diagnostic::new("spec/value", format!("`{}` is no format of layers", plain(other))),
    };
    cx.report(diagnostic.at(text.span).help("remove the line: layers are tar archives"));
}
