//! The effective configuration as YAML, as apko prints it.
//!
//! # Why it is the way it is
//! People compare and process this text, so it is apko's to the byte: the order of keys, what is left out, and the style
//! that Go's most used YAML encoder gives a text. Members that apko does not mark as optional are there even if empty,
//! but not if the whole they belong to is empty.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use assemble_rootfs::{ApkoAccounts, ApkoConfig, ApkoEntrypoint, ApkoNamed, ApkoPath, ApkoUser};

use crate::yaml::{self, Members, Node};

/// The document.
pub(super) fn document(config: &ApkoConfig) -> String {
    let contents = &config.contents;
    let mut root = Members::default();
    let mut inner = Members::default();
    inner.texts("build_repositories", &contents.build_repositories);
    inner.texts("runtime_repositories", &contents.runtime_repositories);
    inner.texts("repositories", &contents.repositories);
    inner.texts("keyring", &contents.keyring);
    inner.list("runtime_keyring", &contents.runtime_keyring, named);
    inner.texts("packages", &contents.packages);
    if let Some(base) = &contents.baseimage {
        let mut image = Members::default();
        image.text("image", &base.image);
        image.text("apkindex", &base.apkindex);
        inner.0.push(("baseimage".to_owned(), image.map()));
    }
    root.unless_empty("contents", inner);
    root.0.extend(entrypoint(config));
    root.text("cmd", &config.cmd);
    root.text("stop-signal", &config.stop_signal);
    root.text("work-dir", &config.work_dir);
    root.0.extend(accounts(config));
    root.texts("archs", &config.archs);
    if !config.environment.is_empty() {
        root.0.push(("environment".to_owned(), map(&config.environment)));
    }
    root.list("paths", &config.paths, path);
    root.text("vcs-url", &config.vcs_url);
    if !config.annotations.is_empty() {
        root.0.push(("annotations".to_owned(), map(&config.annotations)));
    }
    root.text("include", &config.include);
    root.texts("volumes", &config.volumes);
    if let Some(layering) = &config.layering {
        let mut inner = Members::default();
        inner.text("strategy", &layering.strategy);
        if layering.budget != 0 {
            inner.0.push(("budget".to_owned(), Node::Plain(layering.budget.to_string())));
        }
        root.0.push(("layering".to_owned(), inner.map()));
    }
    root.text("format", &config.format);
    if let Some(certificates) = &config.certificates {
        let mut inner = Members::default();
        inner.list("additional", &certificates.additional, named);
        inner.texts("providers", &certificates.providers);
        root.0.push(("certificates".to_owned(), inner.map()));
    }
    yaml::document(&root.map())
}

fn text(value: &str) -> Node {
    Node::Text(value.to_owned())
}

fn number(value: u32) -> Node {
    Node::Plain(value.to_string())
}

fn map(values: &BTreeMap<String, String>) -> Node {
    let mut members: Vec<_> = values.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    members.sort_by(|(a, _), (b, _)| natural(a, b));
    Node::Map(members)
}

fn named(entry: &ApkoNamed) -> Node {
    let mut members = Members::default();
    members.text("name", &entry.name);
    members.text("content", &entry.content);
    members.map()
}

fn entrypoint(config: &ApkoConfig) -> Option<(String, Node)> {
    let entrypoint = &config.entrypoint;
    if *entrypoint == ApkoEntrypoint::default() {
        return None;
    }
    let mut members = Members::default();
    members.always("type", text(&entrypoint.kind));
    members.always("command", text(&entrypoint.command));
    members.always("shell-fragment", text(&entrypoint.shell_fragment));
    members.always("services", map(&entrypoint.services));
    Some(("entrypoint".to_owned(), members.map()))
}

fn accounts(config: &ApkoConfig) -> Option<(String, Node)> {
    let accounts = &config.accounts;
    if *accounts == ApkoAccounts::default() {
        return None;
    }
    let groups = accounts.groups.iter().map(|group| {
        let mut members = Members::default();
        members.always("groupname", text(&group.groupname));
        members.always("gid", number(group.gid));
        members.always("members", Node::List(group.members.iter().map(|name| text(name)).collect()));
        members.map()
    });
    let mut members = Members::default();
    members.always("run-as", text(&accounts.run_as));
    members.always("users", Node::List(accounts.users.iter().map(user).collect()));
    members.always("groups", Node::List(groups.collect()));
    Some(("accounts".to_owned(), members.map()))
}

fn user(user: &ApkoUser) -> Node {
    let mut members = Members::default();
    members.always("username", text(&user.username));
    members.always("uid", number(user.uid));
    if let Some(gid) = user.gid {
        members.always("gid", number(gid));
    }
    members.always("shell", text(&user.shell));
    members.always("homedir", text(&user.homedir));
    members.map()
}

fn path(path: &ApkoPath) -> Node {
    let mut members = Members::default();
    members.always("path", text(&path.path));
    members.always("type", text(&path.kind));
    if let Some(uid) = path.uid {
        members.always("uid", number(uid));
    }
    if let Some(gid) = path.gid {
        members.always("gid", number(gid));
    }
    members.always("permissions", number(path.permissions));
    members.always("source", text(&path.source));
    members.always("recursive", Node::Plain(path.recursive.to_string()));
    members.map()
}

/// The order of the encoder's map keys: numbers within them count as numbers, and a letter comes after whatever else
/// stands in its place, but before it where a number has just begun.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    let after_digit = at > 0 && a[at - 1].is_ascii_digit();
    let first = if after_digit { Ordering::Less } else { Ordering::Greater };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => a[at].cmp(&b[at]),
        (true, false) => first,
        (false, true) => first.reverse(),
        (false, false) => {
            let begun = a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
            let lead = u128::from(begun && (a[at] == '0' || b[at] == '0'));
            let run = |text: &[char]| {
                let digits = text.iter().map_while(|c| c.to_digit(10));
                let add = |(n, len): (u128, usize), digit| {
                    (n.saturating_mul(10).saturating_add(u128::from(digit)), len + 1)
                };
                digits.fold((lead, 0), add)
            };
            run(&a[at..]).cmp(&run(&b[at..])).then(a[at].cmp(&b[at]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> String {
        let mut config = ApkoConfig::default();
        config.environment.insert("K".into(), value.into());
        document(&config).strip_prefix("environment:\n    K:").unwrap().to_owned()
    }

    #[test]
    fn a_text_is_quoted_where_it_would_be_read_as_something_else() {
        for plain in [
            "<<", "1e400", "a", "-a", "a b", "a#b", "/x:y", "1.2.3", "0x", "1e", "x=y", "2006-1", "a'b",
            "a\"b", "é", "=", "0b2", "a\u{a0}b",
        ] {
            assert_eq!(written(plain), format!(" {plain}\n"));
        }
        for quoted in [
            "",
            "yes",
            "1",
            "1_000",
            "1.5",
            ".5",
            "+1",
            "0x1f",
            "0755",
            "null",
            "~",
            "1:30",
            "2024-01-31",
            "2024-01-31T10:00:00Z",
            "n",
            ".inf",
            "1e3",
        ] {
            assert_eq!(written(quoted), format!(" \"{quoted}\"\n"));
        }
        for single in ["{a}", "- a", "a: b", "a #b", " a", "a ", "*x", "@x", "a:", "[x", "%x", "---"] {
            assert_eq!(written(single), format!(" '{single}'\n"));
        }
        assert_eq!(written("'x"), " '''x'\n");
        assert_eq!(written("a\tb"), " \"a\\tb\"\n");
        assert_eq!(written("\u{7f}\u{1F600}"), " \"\\x7F\\U0001F600\"\n");
    }

    #[test]
    fn lines_are_kept_as_lines() {
        assert_eq!(written("a\nb\n"), " |\n        a\n        b\n");
        assert_eq!(written("a\n\nb"), " |-\n        a\n\n        b\n");
        assert_eq!(written("a\n\n"), " |+\n        a\n\n");
        assert_eq!(written(" a\nb\n"), " |4\n         a\n        b\n");
        assert_eq!(written("\n"), " |4+\n");
        assert_eq!(written("a \nb"), " \"a \\nb\"\n");
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = vec!["b", "A_EMPTY", "JSON", "a10", "a9", "AB", "A_B", "a1b", "a1_", "1", "a"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["1", "A_B", "A_EMPTY", "AB", "JSON", "a", "a1b", "a1_", "a9", "a10", "b"]);
    }
}
