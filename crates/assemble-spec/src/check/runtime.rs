//! What a container of the image starts with.

use std::collections::BTreeMap;

use super::values::{self, Wrong};
use super::{Cx, Draft, Fields};
use crate::diagnostic::Diagnostic;
use crate::model::{Dialect, Located, Spec};
use crate::node::{Content, Entry, Node};
use crate::schema;
use crate::source::plain;
use crate::words::{self, SplitError};

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, draft: &mut Draft) {
    if let Some(entry) = top.get("entrypoint") {
        entrypoint(cx, entry, draft);
    }
    let spec = &mut draft.spec;
    if let Some(entry) = top.get("cmd") {
        let (words, text) = command(cx, "cmd", entry);
        (spec.cmd, spec.apko.cmd) = (words, text);
    }
    if let Some(entry) = top.get("environment") {
        spec.environment = environment(cx, entry);
    }
    if let Some(entry) = top.get("annotations") {
        spec.annotations = annotations(cx, entry);
    }
    spec.work_dir = top.get("work-dir").and_then(|entry| work_dir(cx, entry));
    if cx.dialect == Dialect::Assemble {
        ports(cx, top, spec);
    }
    for (node, text) in cx.texts("volumes", *top, "volumes") {
        match volume(&text) {
            Err(wrong) if !cx.lenient() => cx.report_wrong("spec/value", wrong, node),
            _ => spec.volumes.push(text),
        }
    }
    if let Some(entry) = top.get("stop-signal")
        && let Some(signal) = cx.text_of("stop-signal", *top, "stop-signal")
    {
        match values::signal(&signal.value) {
            Err(wrong) if !cx.lenient() => cx.report_wrong("spec/value", wrong, &entry.value),
            _ => spec.stop_signal = Some(signal.value),
        }
    }
    archs(cx, top, spec);
    spec.include = cx.text_of("include", *top, "include");
    spec.vcs_url = vcs_url(cx, top);
    spec.apko.format = format(cx, top);
}

/// `{command}`, `{shell-fragment}`, a service bundle; in our dialect one text or the words, too.
fn entrypoint(cx: &mut Cx<'_, '_>, entry: &Entry, draft: &mut Draft) {
    let spec = &mut draft.spec;
    if entry.value.map().is_none() && cx.dialect == Dialect::Assemble {
        let (words, text) = command(cx, "entrypoint", entry);
        draft.has_entrypoint = text.is_some();
        (spec.entrypoint, spec.apko.entrypoint_command) = (words, text);
        return;
    }
    let Some(fields) = cx.fields(&schema::ENTRYPOINT, &entry.value, &entry.key_range) else { return };
    spec.apko.entrypoint_type = cx.text_of("entrypoint.type", fields, "type").map(|kind| kind.value);
    if let Some(entry) = fields.get("command") {
        if let Content::List(_) = entry.value.content {
            let diagnostic = cx.wrong_at(
                "spec/type",
                "`entrypoint.command` has to be one text, not a list",
                &entry.key_range,
                "",
            );
            let diagnostic = if cx.lenient() {
                diagnostic
            } else {
                diagnostic
                    .help("a list stands directly below `entrypoint`:\nentrypoint: [/usr/bin/app, --flag]")
            };
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
    let services = fields.get("services");
    if let Some(entry) = services {
        spec.services = self::services(cx, entry);
    }
    draft.has_entrypoint = services.is_some()
        || spec.apko.entrypoint_type.is_some()
        || spec.apko.entrypoint_command.is_some()
        || spec.apko.entrypoint_shell_fragment.is_some();
}

/// Names to commands. A name is that of a folder.
fn services(cx: &mut Cx<'_, '_>, entry: &Entry) -> BTreeMap<String, String> {
    for item in entry.value.map().unwrap_or_default() {
        let name = item.key.as_str();
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            let message = format!("`{}` is no name of a service: it becomes that of a folder", plain(name));
            let diagnostic = cx.wrong_at("spec/value", message, &item.key_range, "");
            cx.report(diagnostic.help("write letters, digits, `_`, `.` and `-`"));
        }
    }
    cx.text_map("entrypoint.services", entry)
}

fn annotations(cx: &mut Cx<'_, '_>, entry: &Entry) -> BTreeMap<String, String> {
    let nameless = entry.value.map().and_then(|map| map.iter().find(|item| item.key.is_empty()));
    if let Some(bad) = nameless.filter(|_| !cx.lenient()) {
        let diagnostic = cx.wrong_at("spec/value", "an annotation needs a name", &bad.key_range, "");
        cx.report(diagnostic);
    }
    cx.text_map("annotations", entry)
}

fn ports(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    for (node, text) in cx.texts("ports", *top, "ports") {
        match values::port(&text) {
            Ok(port) if !spec.ports.contains(&port) => spec.ports.push(port),
            Ok(_) => {}
            Err(wrong) => cx.report_wrong("spec/value", wrong, node),
        }
    }
}

/// A URL that goes into annotations of the index: no password may be in it.
fn vcs_url(cx: &mut Cx<'_, '_>, top: &Fields<'_>) -> Option<Located<String>> {
    let url = cx.text_of("vcs-url", *top, "vcs-url")?;
    let secret = url.value.split_once("://").is_some_and(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // `ssh://git@host` names an account that everyone shares; over HTTP, the user alone may be a token.
        authority.rsplit_once('@').is_some_and(|(user, _)| {
            rest.len() > authority.len() && (user.contains(':') || !scheme.ends_with("ssh"))
        })
    });
    if !secret {
        return Some(url);
    }
    let diagnostic = Diagnostic::new(
        "spec/secret",
        "`vcs-url` holds credentials, and it goes into the image's annotations",
    )
    .at(url.span)
    .help("remove them and make a new password: whoever reads the spec or its history has this one");
    cx.report(diagnostic);
    None
}

/// One text, split into words, or a list of words; with the text that apko would have for it.
fn command(cx: &mut Cx<'_, '_>, name: &str, entry: &Entry) -> (Option<Vec<String>>, Option<String>) {
    if let Content::List(items) = &entry.value.content
        && cx.dialect == Dialect::Assemble
    {
        let words: Vec<String> = items.iter().filter_map(|node| word(cx, name, node)).collect();
        if words.is_empty() {
            return (None, None);
        }
        let text = words::join(&words);
        return (Some(words), Some(text));
    }
    let Some(text) = cx.text(name, &entry.value, &entry.key_range) else { return (None, None) };
    if let Some(operator) = words::shell_operator(&text.value).filter(|_| !cx.lenient()) {
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

fn environment(cx: &mut Cx<'_, '_>, entry: &Entry) -> BTreeMap<String, String> {
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
        return BTreeMap::new();
    }
    for item in entry.value.map().unwrap_or_default() {
        let wrong = variable_problem(&item.key).filter(|_| !cx.lenient());
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
    if cx.lenient() {
        return cx.text("work-dir", &entry.value, &entry.key_range).map(|text| text.value);
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
        let span = cx.span(&node.range, "");
        let found =
            if cx.lenient() { Ok(values::apko_platform(&text)) } else { values::platform(&text).map(Some) };
        match found {
            Ok(Some(value)) => {
                spec.apko.archs.push(value.arch.oci_with_variant());
                let first = spec.platforms.iter().find(|platform| platform.value == value);
                if let Some(first) = first.filter(|_| !cx.lenient()) {
                    let mut first = first.span.clone();
                    first.label = "first here".into();
                    let diagnostic = cx
                        .wrong("spec/conflict", format!("{value} is listed twice"), node, "again here")
                        .at(first);
                    cx.report(diagnostic.help("remove one of them"));
                } else if first.is_none() {
                    spec.platforms.push(Located { value, span });
                }
            }
            Ok(None) => {
                spec.apko.archs.push(text.clone());
                spec.unknown_platforms.push(Located { value: text, span });
            }
            Err(wrong) => cx.report_wrong("spec/platform", wrong, node),
        }
    }
}

/// `tar` is what we make; `erofs` is for later. As written, if it is written.
fn format(cx: &mut Cx<'_, '_>, top: &Fields<'_>) -> Option<String> {
    let text = cx.text_of("format", *top, "format")?;
    let diagnostic = match text.value.as_str() {
        "tar" => return Some(text.value),
        "erofs" => Diagnostic::new("spec/not-supported", "`format: erofs` is not supported yet"),
        other => Diagnostic::new("spec/value", format!("`{}` is no format of layers", plain(other))),
    };
    cx.report(diagnostic.at(text.span).help("remove the line: layers are tar archives"));
    None
}
