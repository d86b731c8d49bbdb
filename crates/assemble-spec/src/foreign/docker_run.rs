//! What the `RUN` lines of a Dockerfile do, as far as a spec has a place for it.

use std::collections::BTreeMap;

use crate::words;

/// What one `RUN` comes to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Packages of `apk add`.
    pub(super) packages: Vec<String>,
    /// Packages that a distribution without APK had installed.
    pub(super) foreign_packages: Vec<String>,
    /// Folders that package managers of languages fill.
    pub(super) folders: Vec<Modules>,
    /// Accounts that are made, with their numbers where these are given.
    pub(super) users: BTreeMap<String, Option<u32>>,
    pub(super) groups: BTreeMap<String, Option<u32>>,
    /// What a spec has no place for, as it was written.
    pub(super) rest: Option<String>,
}

/// Libraries of a language, installed into a folder beside the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Modules {
    /// The command that fills the folder.
    pub(super) command: String,
    /// Name of the folder, beside the spec and in the image's working directory.
    pub(super) folder: &'static str,
    /// The variable that has to name the folder.
    pub(super) variable: Option<&'static str>,
}

/// Takes a shell line apart at `&&` and `;`.
pub(super) fn effects(script: &str) -> Effects {
    let mut out = Effects::default();
    let parts = commands(script);
    // Pieces of `if` and `for` mean nothing on their own.
    let compound = parts.iter().any(|(part, _)| {
        matches!(
            part.split_whitespace().next(),
            Some(
                "if" | "for"
                    | "while"
                    | "until"
                    | "case"
                    | "then"
                    | "else"
                    | "do"
                    | "done"
                    | "fi"
                    | "{"
                    | "("
            )
        )
    });
    let mut rest = String::new();
    let mut joint = "";
    for (part, separator) in parts {
        if !command(part, &mut out) {
            if !rest.is_empty() {
                rest.push_str(joint);
            }
            rest.push_str(part);
            joint = separator;
        }
    }
    if !rest.is_empty() {
        out.rest = Some(if compound { script.trim().to_owned() } else { rest });
    }
    out
}

/// The commands of a line, and what stands behind each.
fn commands(script: &str) -> Vec<(&str, &'static str)> {
    let mut out = Vec::new();
    let (mut start, mut quote, mut escaped) = (0, None, false);
    let mut skip = false;
    for (at, c) in script.char_indices() {
        if std::mem::take(&mut escaped) || std::mem::take(&mut skip) {
            continue;
        }
        match (c, quote) {
            ('\\', None | Some('"')) => escaped = true,
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (';', None) => {
                out.push((script[start..at].trim(), "; "));
                start = at + 1;
            }
            ('&', None) if script[at..].starts_with("&&") => {
                out.push((script[start..at].trim(), " && "));
                start = at + 2;
                skip = true;
            }
            _ => {}
        }
    }
    out.push((script[start..].trim(), ""));
    out.retain(|(part, _)| !part.is_empty());
    out
}

/// Whether one command is understood; what it does is noted down then.
fn command(part: &str, out: &mut Effects) -> bool {
    let words = words::split(part).unwrap_or_else(|_| part.split_whitespace().map(str::to_owned).collect());
    let end =
        words.iter().position(|w| matches!(w.as_str(), "|" | "||" | ">" | ">>" | "&")).unwrap_or(words.len());
    let piped = words.get(end).is_some_and(|word| word == "|");
    let words: Vec<&str> = words[..end].iter().map(String::as_str).collect();
    let Some((program, args)) = words.split_first() else { return false };
    if piped {
        return false;
    }
    let install = args.iter().position(|word| matches!(*word, "add" | "install"));
    match (program.rsplit('/').next().unwrap_or_default(), install) {
        ("apk", Some(at)) if args[at] == "add" => {
            out.packages.extend(arguments(&args[at + 1..]).map(str::to_owned));
        }
        ("apt-get" | "apt" | "dnf" | "yum" | "microdnf", Some(at)) => {
            out.foreign_packages.extend(arguments(&args[at + 1..]).map(str::to_owned));
        }
        ("apk" | "rm" | "apt-get" | "apt" | "dnf" | "yum" | "microdnf" | "true" | ":" | "set", _) => {}
        ("adduser" | "useradd", _) => match account(args, 'u', "uid", program.ends_with("useradd")) {
            Some((name, id)) => {
                out.users.insert(name, id);
            }
            None => return false,
        },
        ("addgroup" | "groupadd", _) => match account(args, 'g', "gid", program.ends_with("groupadd")) {
            Some((name, id)) => {
                out.groups.insert(name, id);
            }
            None => return false,
        },
        ("pip" | "pip3", Some(0)) => pip(&args[1..], out),
        (python, Some(2)) if python.starts_with("python") && args[..2] == ["-m", "pip"] => {
            pip(&args[3..], out);
        }
        ("npm" | "yarn" | "pnpm", _) => return javascript(program, args, out),
        _ => return false,
    }
    true
}

/// Words that are no flags, nor values of flags that take one.
fn arguments<'w>(words: &'w [&'w str]) -> impl Iterator<Item = &'w str> {
    let mut skip = false;
    words.iter().copied().filter(move |word| {
        let value = std::mem::replace(
            &mut skip,
            matches!(*word, "-t" | "--virtual" | "-X" | "--repository" | "-p" | "--root"),
        );
        !value && !word.starts_with('-') && !word.starts_with('.') && !word.contains('$')
    })
}

/// The name that a command makes, and its number. The commands of the shadow tools have the name last, the others first.
fn account(args: &[&str], id_flag: char, id_option: &str, name_last: bool) -> Option<(String, Option<u32>)> {
    const LONG: [&str; 14] = [
        "uid",
        "gid",
        "home",
        "home-dir",
        "shell",
        "ingroup",
        "gecos",
        "comment",
        "groups",
        "skel",
        "base-dir",
        "password",
        "expiredate",
        "key",
    ];
    // `-g` of busybox's adduser and of useradd have a value both; `-r`, `-m`, `-D`, `-S`, `-H` have none.
    let short = |flag: char| "hgsGukbcdefKp".contains(flag);
    let (mut names, mut id) = (Vec::new(), None);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None if LONG.contains(&long) => (long, words.next().copied()),
                None => (long, None),
            };
            if name == id_option {
                id = value.and_then(|value| value.parse().ok());
            }
        } else if let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) {
            // The first letter that takes a value takes the rest of the word, else the next word.
            let Some((at, flag)) = flags.char_indices().find(|(_, flag)| short(*flag)) else { continue };
            let value = match &flags[at + flag.len_utf8()..] {
                "" => words.next().copied(),
                attached => Some(attached),
            };
            if flag == id_flag {
                id = value.and_then(|value| value.parse().ok());
            }
        } else {
            names.push(*word);
        }
    }
    let name = if name_last { names.last() } else { names.first() };
    name.map(|name| ((*name).to_owned(), id.filter(|id| *id != u32::MAX)))
}

fn pip(args: &[&str], out: &mut Effects) {
    let dropped = |word: &str| matches!(word, "--no-cache-dir" | "--user" | "--break-system-packages");
    let kept: Vec<&str> = args.iter().copied().filter(|word| !dropped(word)).collect();
    let tools =
        |word: &str| matches!(word.split(['=', '>', '<', '~']).next(), Some("pip" | "setuptools" | "wheel"));
    if kept.iter().all(|word| word.starts_with('-') || tools(word)) {
        return;
    }
    let command = format!("pip install --target ./site {}", words::join(&kept));
    out.folders.push(Modules { command, folder: "site", variable: Some("PYTHONPATH") });
}

fn javascript(program: &str, args: &[&str], out: &mut Effects) -> bool {
    let global = args.iter().any(|word| matches!(*word, "-g" | "--global" | "global"));
    let verb = args.first().copied().unwrap_or("install");
    if global || !matches!(verb, "ci" | "clean-install" | "install" | "i" | "add") {
        // A cache is no part of the image.
        return verb == "cache";
    }
    let names: Vec<&str> = args.iter().skip(1).copied().filter(|word| !word.starts_with('-')).collect();
    let flag = match program {
        "npm" => "--omit=dev",
        "pnpm" => "--prod",
        _ => "--production",
    };
    let verb = if program == "npm" && names.is_empty() { "ci" } else { verb };
    let names = if names.is_empty() { String::new() } else { format!(" {}", words::join(&names)) };
    let command = format!("{program} {verb} {flag}{names}");
    out.folders.push(Modules { command, folder: "node_modules", variable: None });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_all_tools() {
        for (script, name, id) in [
            ("adduser -D -u 1000 app", "app", Some(1000)),
            ("adduser -DHu 1001 -G staff app staff", "app", Some(1001)),
            ("adduser --disabled-password --gecos '' --uid 1002 app", "app", Some(1002)),
            ("/usr/sbin/useradd -r -m -u1003 -s /bin/false app", "app", Some(1003)),
            ("useradd --uid=1004 --no-create-home app", "app", Some(1004)),
            ("adduser -S -g 'a user' app", "app", None),
            ("useradd -u $ID app", "app", None),
        ] {
            let effects = effects(script);
            assert_eq!(effects.users, BTreeMap::from([(name.to_owned(), id)]), "{script}");
            assert_eq!(effects.rest, None, "{script}");
        }
        assert_eq!(effects("addgroup -g 7 -S app").groups, BTreeMap::from([("app".to_owned(), Some(7))]));
        assert_eq!(effects("groupadd --gid 8 app").groups, BTreeMap::from([("app".to_owned(), Some(8))]));
        assert_eq!(effects("adduser").rest.as_deref(), Some("adduser"));
    }

    #[test]
    fn what_is_left_over() {
        for (script, rest) in [
            ("apk add a && make 'x && y'; ./z | tee a && rm -rf b", Some("make 'x && y'; ./z | tee a")),
            ("set -eux; apk add a || true", None),
            ("curl x | apk add -", Some("curl x | apk add -")),
            ("if true; then apk add a; fi", Some("if true; then apk add a; fi")),
            ("a && b & c", Some("a && b & c")),
            ("é && apk add a && ü", Some("é && ü")),
            ("", None),
            ("'", Some("'")),
        ] {
            assert_eq!(effects(script).rest.as_deref(), rest, "{script}");
        }
    }

    #[test]
    fn folders_of_languages() {
        for (script, command) in [
            (
                "pip install --no-cache-dir -r requirements.txt",
                "pip install --target ./site -r requirements.txt",
            ),
            ("python3 -m pip install 'a>1' b", "pip install --target ./site 'a>1' b"),
            ("npm ci --only=production", "npm ci --omit=dev"),
            ("npm install", "npm ci --omit=dev"),
            ("npm i express", "npm i --omit=dev express"),
            ("yarn --frozen-lockfile", "yarn --frozen-lockfile"),
            ("yarn install --frozen-lockfile", "yarn install --production"),
            ("pnpm install", "pnpm install --prod"),
        ] {
            let effects = effects(script);
            let shown = effects.folders.first().map(|m| m.command.clone()).or(effects.rest);
            assert_eq!(shown.as_deref(), Some(command), "{script}");
        }
        for nothing in ["pip install --upgrade pip", "npm cache clean --force"] {
            let effects = effects(nothing);
            assert!(effects.folders.is_empty() && effects.rest.is_none(), "{nothing}");
        }
        assert!(effects("npm install -g pm2").folders.is_empty());
    }
}
