//! Where things come from on the host or the network, and where they go in the image.

use assemble_types::{ImagePath, SafeUrl};

use super::Cx;
use super::values::Wrong;
use crate::diagnostic::Diagnostic;
use crate::model::{Located, RepositoryKind, RepositorySource};
use crate::node::{Entry, Node};
use crate::source::plain;

impl Cx<'_, '_> {
    /// A path on the host, as written.
    pub(super) fn host_path(
        &mut self,
        name: &str,
        node: &Node,
        range: &std::ops::Range<usize>,
    ) -> Option<Located<String>> {
        let text = self.text(name, node, range)?;
        let Some((message, help)) = host_path_problem(name, &text.value) else { return Some(text) };
        let at = if node.range.is_empty() { range } else { &node.range };
        let diagnostic = self.wrong_at("spec/value", message, at, "").help(help);
        self.report(diagnostic);
        None
    }

    /// An absolute path in the image.
    pub(super) fn image_path(&mut self, name: &str, entry: &Entry) -> Option<Located<ImagePath>> {
        let text = self.text(name, &entry.value, &entry.key_range)?;
        let problem = if !text.value.starts_with('/') {
            let help = match text.value.trim_start_matches("./") {
                "" => "write it from the image's root, such as `/srv`".to_owned(),
                rest => format!("write `{}`", crate::yaml::scalar(&plain(&format!("/{rest}")))),
            };
            Err((format!("`{name}` has to begin with `/`, not `{}`", plain(&text.value)), help))
        } else if text.value.chars().any(char::is_control) {
            Err((format!("`{name}` holds a control character"), "write the path without it".to_owned()))
        } else {
            ImagePath::parse(&text.value)
                .map_err(|error| (error.to_string(), "write where it really goes".to_owned()))
        };
        match problem {
            Ok(value) => Some(Located { value, span: text.span }),
            Err((message, help)) => {
                let diagnostic = self.wrong("spec/value", message, &entry.value, "").help(help);
                self.report(diagnostic);
                None
            }
        }
    }

    /// One entry of a list of repositories.
    pub(super) fn repository(&mut self, node: &Node, text: &str) -> Option<Located<RepositorySource>> {
        let split = if self.lenient() { apko_pin(text) } else { split_line(text) };
        let (kind, pin, location) = match split {
            Ok(parts) => parts,
            Err(wrong) => {
                self.report_wrong("spec/value", wrong, node);
                return None;
            }
        };
        let stripped = location.trim_end_matches('/');
        let location = if stripped.is_empty() { "/" } else { stripped };
        if let Some(diagnostic) = self.bad_location("a repository", node, location) {
            self.report(diagnostic);
            return None;
        }
        let (folder, file) = location.rsplit_once('/').unwrap_or(("", location));
        // In whatever letters: no folder is called so.
        if file.eq_ignore_ascii_case("APKINDEX.tar.gz") && kind != RepositoryKind::Ndx {
            let base = folder.trim_end_matches('/').rsplit_once('/').map_or("…", |(base, _)| base);
            let diagnostic = self
                .wrong("spec/value", "a repository is named by its folder, not by its index", node, "")
                .help(format!("write `{}`: the architecture and the index are found below it", plain(base)));
            self.report(diagnostic);
            return None;
        }
        Some(Located {
            value: RepositorySource { kind, pin: pin.map(str::to_owned), location: location.to_owned() },
            span: self.span(&node.range, ""),
        })
    }

    /// One entry of the keyring.
    pub(super) fn key(&mut self, node: &Node, text: &str) -> Option<Located<String>> {
        let problem = if text.contains("-----BEGIN") {
            Some(
                self.wrong("spec/value", "a key is named by its file or URL, not written into the spec", node, "")
                    .help("save it beside the spec, under the name that the index is signed with, and name that file"),
            )
        } else {
            self.bad_location("a key", node, text)
        };
        match problem {
            Some(diagnostic) => {
                self.report(diagnostic);
                None
            }
            None => Some(Located { value: text.to_owned(), span: self.span(&node.range, "") }),
        }
    }

    /// What is wrong with a path or URL, if anything is. Never shows user information.
    fn bad_location(&self, what: &str, node: &Node, text: &str) -> Option<Diagnostic> {
        if text.chars().any(char::is_control) {
            return Some(self.wrong(
                "spec/value",
                format!("the place of {what} holds a control character"),
                node,
                "",
            ));
        }
        let lower = text.to_ascii_lowercase();
        let Some((scheme, rest)) = lower.split_once("://") else {
            let missing = ["http:", "https:"].into_iter().find(|scheme| lower.starts_with(scheme))?;
            return Some(
                self.wrong("spec/value", format!("`{}` is no URL", plain(text)), node, "")
                    .help(format!("write `{missing}//` and the host")),
            );
        };
        match scheme {
            "file" => None,
            "http" | "https" => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if authority.contains('@') {
                    return Some(
                        self.wrong("spec/secret", format!("the URL of {what} holds credentials"), node, "")
                            .help("remove them and make a new password: whoever reads the spec or its history has this one")
                            .help("credentials are taken from `.netrc`, or from HTTP_AUTH=basic:HOST:USER:PASSWORD"),
                    );
                }
                let error = text.parse::<SafeUrl>().err()?;
                Some(self.wrong("spec/value", error.to_string(), node, ""))
            }
            _ => Some(
                self.wrong("spec/value", format!("`{}:` is no way to reach {what}", plain(scheme)), node, "")
                    .help("a folder, `file:`, `http:` and `https:` are known"),
            ),
        }
    }
}

/// What is wrong with a path on the host, and what to do.
pub(super) fn host_path_problem(name: &str, path: &str) -> Option<(String, &'static str)> {
    Some(match path {
        "" => (format!("`{name}` is empty"), "name a file, relative to the spec's folder"),
        path if path.contains("://") => (
            format!("`{name}` has to be a file of this machine, not a URL"),
            "download it first, and name the file",
        ),
        path if path.starts_with("~/") || path == "~" => (
            "`~` is not expanded in a spec".to_owned(),
            "write a path relative to the spec's folder, or an absolute one",
        ),
        path if path.contains("${") || path.starts_with('$') => (
            "variables are not expanded in a spec".to_owned(),
            "write the path itself: the same spec means the same image everywhere",
        ),
        _ => return None,
    })
}

/// The parts of a line: kind, tag, location.
type Parts<'t> = (RepositoryKind, Option<&'t str>, &'t str);

/// `@tag URL`, or a text that is one location whatever is in it. apko knows none of the words of apk 3.
fn apko_pin(text: &str) -> Result<Parts<'_>, Wrong> {
    if ["v2 ", "v3 ", "ndx "].iter().any(|word| text.starts_with(word)) {
        return wrong(
            format!("`{}` begins with a word of apk 3, which apko does not know", plain(text)),
            "write the address alone; repositories of APK v3 are for `assemble build`",
        );
    }
    match text.strip_prefix('@').and_then(|tagged| tagged.split_once(' ')) {
        Some((tag, location)) => Ok((RepositoryKind::Unsaid, Some(tag), location)),
        None if text.is_empty() || text.starts_with('@') => split_line(text),
        None => Ok((RepositoryKind::Unsaid, None, text)),
    }
}

fn wrong<T>(message: String, help: &str) -> Result<T, Wrong> {
    Err(Wrong { message, help: Some(help.to_owned()) })
}

/// `[v2|v3|ndx] [@tag] URL`, as apk 3 reads lines.
fn split_line(text: &str) -> Result<Parts<'_>, Wrong> {
    let text = text.trim();
    let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let kinds = [RepositoryKind::V2, RepositoryKind::V3, RepositoryKind::Ndx];
    let kind = kinds.into_iter().find(|kind| kind.keyword() == Some(first) && !rest.is_empty());
    if first == "set" && !rest.is_empty() {
        return wrong(
            "variables cannot be set in a spec".to_owned(),
            "write the value where it is used; only `${APK_ARCH}` is known",
        );
    }
    let (pin, location) = split_pin(if kind.is_some() { rest } else { text })?;
    variables(location)?;
    Ok((kind.unwrap_or_default(), pin, location))
}

/// Refuses what was meant as a variable and is none.
fn variables(location: &str) -> Result<(), Wrong> {
    let rest = location.replace(RepositorySource::ARCH, "");
    let Some((_, variable)) = rest.split_once('$') else { return Ok(()) };
    if variable.starts_with('{') || ["APK_ARCH", "ARCH"].iter().any(|name| variable.starts_with(name)) {
        let end = variable.find('}').map_or_else(
            || variable.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(variable.len()),
            |end| end + 1,
        );
        return wrong(
            format!("`${}` is no variable of a repository", plain(&variable[..end])),
            "`${APK_ARCH}` stands for the architecture, and there is no other",
        );
    }
    Ok(())
}

/// `@tag URL` or `URL`.
fn split_pin(text: &str) -> Result<(Option<&str>, &str), Wrong> {
    let text = text.trim();
    if let Some(tagged) = text.strip_prefix('@') {
        let (tag, location) =
            tagged.split_once([' ', '\t']).map_or((tagged, ""), |(tag, rest)| (tag, rest.trim()));
        if tag.is_empty() || !tag.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return wrong(
                format!("`@{}` is no tag of a repository", plain(tag)),
                "a tag has only letters and digits: '@edge https://…'",
            );
        }
        if location.is_empty() {
            return wrong(
                format!("the tag `@{tag}` has no repository behind it"),
                "write the tag, a space and the URL or folder: '@edge https://…'",
            );
        }
        if location.contains(char::is_whitespace) {
            return wrong(
                format!("`{}` holds a space", plain(location)),
                "a repository is one URL or path; each has its own line, and so has each component",
            );
        }
        return Ok((Some(tag), location));
    }
    if text.is_empty() {
        return wrong("a repository is empty".to_owned(), "name a folder or a URL");
    }
    if text.contains(char::is_whitespace) {
        return wrong(
            format!("`{}` holds a space", plain(text)),
            "a repository is one URL or path; before it may stand `v2`, `v3` or `ndx`, and a tag: '@edge https://…'; each component has its own line",
        );
    }
    Ok((None, text))
}
