//! What package scripts would have done, told from their text.
//!
//! # Why it is the way it is
//! Scripts are never run, so what they make is missing, unless the installation makes it in another way or a package
//! brings it. Nobody can know in general what a script does; but most consist of a few well-known commands with plain
//! arguments, and whether their effect is in the image can be looked up. What is not understood is shown.

use std::collections::{BTreeMap, BTreeSet};

use assemble_apk::PackageId;

use super::error::InstallError;
use super::report::Done;
use super::root::Root;
use super::shell::{self, Command};
use super::text::{base_name, dir_name, join_clean};
use crate::shown::shown;
use crate::tree::Body;

const FOR: &str = "the report of scripts";
const LIMIT: u64 = 16 << 20;
/// Longer commands are cut when they are shown.
const LONGEST_SHOWN: usize = 80;

/// What the finished image has.
pub(super) struct Image<'a> {
    root: &'a Root,
    done: &'a Done,
    users: BTreeSet<Vec<u8>>,
    groups: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<'a> Image<'a> {
    pub(super) fn of(root: &'a Root, done: &'a Done) -> Result<Self, InstallError> {
        let records = |path: &[u8]| -> Result<Vec<Vec<Vec<u8>>>, InstallError> {
            let text = root.read(path, LIMIT, FOR)?.unwrap_or_default();
            let fields = |line: &[u8]| line.split(|b| *b == b':').map(<[u8]>::to_vec).collect();
            Ok(text.split(|b| *b == b'\n').map(fields).collect())
        };
        let users =
            records(b"etc/passwd")?.into_iter().filter_map(|fields| fields.into_iter().next()).collect();
        let groups = records(b"etc/group")?
            .into_iter()
            .filter_map(|mut fields| Some((fields.first()?.clone(), fields.pop()?)))
            .collect();
        Ok(Self { root, done, users, groups })
    }

    fn has(&self, path: &str) -> Result<bool, InstallError> {
        Ok(self.root.entry(path.as_bytes())?.is_some())
    }

    fn mode(&self, path: &str) -> Result<Option<u32>, InstallError> {
        Ok(self.root.look_up(path.as_bytes())?.map(|id| self.root.tree.node(id).meta.mode.bits()))
    }

    /// Whether one of the folders that a trigger watches is there; each text is a list with blanks between.
    pub(super) fn has_any(&self, watched: &[String]) -> Result<bool, InstallError> {
        for path in watched.iter().flat_map(|list| list.split_ascii_whitespace()) {
            // Of a pattern its fixed beginning counts.
            let fixed = path.split(['*', '?', '[']).next().unwrap_or_default();
            let folder =
                if fixed.len() == path.len() { path.as_bytes().to_vec() } else { dir_name(fixed.as_bytes()) };
            if self.root.look_up(&folder)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What the image lacks because a script of `package` was not run: sentences that begin with the script's name.
pub(super) fn missing(
    name: &str,
    script: &[u8],
    package: &PackageId,
    image: &Image<'_>,
) -> Result<Vec<String>, InstallError> {
    let mut out = Vec::new();
    let mut strange = None;
    for command in shell::commands(&String::from_utf8_lossy(script)) {
        match effect(&command, package, image)? {
            Effect::None => {}
            Effect::Missing(text) if command.conditional => out.push(format!("{name} may {text}")),
            Effect::Missing(text) => out.push(format!("{name} would {text}")),
            Effect::Unknown => {
                strange.get_or_insert(command);
            }
        }
    }
    if let Some(command) = strange {
        let mut text = command.text();
        if text.chars().count() > LONGEST_SHOWN {
            text = text.chars().take(LONGEST_SHOWN).collect::<String>() + "…";
        }
        out.push(format!("{name} would run `{}`, which nothing here stands for", shown(text)));
    }
    Ok(out)
}

enum Effect {
    /// None, or it is in the image already.
    None,
    /// What the script would do, and how to get it.
    Missing(String),
    Unknown,
}

/// Commands that leave nothing behind in an image.
const HARMLESS: [&str; 36] = [
    ":", "[", "[[", "awk", "basename", "break", "cat", "cd", "command", "continue", "cut", "dirname", "echo",
    "eval", "exit", "export", "false", "getent", "grep", "head", "id", "local", "printf", "read", "readlink",
    "readonly", "return", "set", "shift", "sleep", "tail", "test", "tr", "true", "umask", "unset",
];

fn effect(command: &Command, package: &PackageId, image: &Image<'_>) -> Result<Effect, InstallError> {
    let mut words = command.words.iter().map(String::as_str);
    let Some(program) = words.next() else { return Ok(written(command, image)?.unwrap_or(Effect::None)) };
    // A program that is not there cannot be run; scripts ask for that in front of it.
    if program.starts_with('/') && image.root.look_up(program.as_bytes())?.is_none() {
        return Ok(Effect::None);
    }
    let mut name = String::from_utf8_lossy(&base_name(program.as_bytes())).into_owned();
    let mut words: Vec<&str> = words.collect();
    if name == "busybox" {
        if words.first() == Some(&"--install") {
            return Ok(if image.done.busybox.is_some() {
                Effect::None
            } else {
                Effect::Missing("make the links to busybox; no package here is known to be busybox".into())
            });
        }
        if words.is_empty() {
            return Ok(Effect::Unknown);
        }
        words.remove(0).clone_into(&mut name);
    }
    if words.iter().any(|word| word.contains(['$', '`'])) && !HARMLESS.contains(&name.as_str()) {
        return Ok(Effect::Unknown);
    }
    known(&name, &words, package, image).and_then(|effect| match effect {
        Some(effect) => Ok(effect),
        None if HARMLESS.contains(&name.as_str()) => Ok(written(command, image)?.unwrap_or(Effect::None)),
        None => Ok(Effect::Unknown),
    })
}

/// The effect of a command whose output goes to a file.
fn written(command: &Command, image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    let Some(file) = command.output.as_deref().filter(|file| !file.starts_with("/dev/")) else {
        return Ok(None);
    };
    if file.contains(['$', '`']) {
        return Ok(Some(Effect::Unknown));
    }
    let text = if image.has(file)? {
        format!("change {file}; a package or `contents.files` can bring it as it should be")
    } else {
        format!("write {file}, which the image lacks; a package or `contents.files` can bring it")
    };
    Ok(Some(Effect::Missing(text)))
}

fn known(
    name: &str,
    words: &[&str],
    package: &PackageId,
    image: &Image<'_>,
) -> Result<Option<Effect>, InstallError> {
    let missing = |text: String| Ok(Some(Effect::Missing(text)));
    let none = Ok(Some(Effect::None));
    match name {
        "addgroup" | "groupadd" => {
            let names = positional(words, "gKp");
            match names.as_slice() {
                [group] => Ok(Some(group_of(group, image))),
                [user, group] => Ok(Some(member_of(user, group, image))),
                _ => Ok(Some(Effect::Unknown)),
            }
        }
        "adduser" | "useradd" => {
            let names = positional(words, "hgsGukdcbeKp");
            match names.as_slice() {
                [user, group] => Ok(Some(member_of(user, group, image))),
                [user] if image.users.contains(user.as_bytes()) => none,
                [user] => missing(format!("add the user {user}, which the image lacks; `accounts.users` can add it")),
                _ => Ok(Some(Effect::Unknown)),
            }
        }
        "ldconfig" if image.done.loader_cache => none,
        "ldconfig" => missing(
            "make the loader's cache; the image has none, since no package brings /etc/ld.so.conf (musl needs none)"
                .into(),
        ),
        "update-ca-certificates" => missing(format!(
            "add the certificates below /usr/local/share/ca-certificates to the bundle; name what {} provides in \
             `certificates.providers` for that",
            package.name
        )),
        "rc-update" => rc_update(words, image),
        "ssh-keygen" => missing(
            "make host keys; they have to be made when a container starts, since keys in an image are everybody's"
                .into(),
        ),
        "bbsuid" => missing(
            "give su, ping and the like the set-uid bit by links to /bin/bbsuid; `paths` of type symlink can make \
             those that are needed"
                .into(),
        ),
        "depmod" if !image.has("/lib/modules")? => none,
        "ln" => link(words, image),
        "mkdir" | "install" if name == "mkdir" || words.contains(&"-d") => {
            absent(&positional(words, "mog"), "make the folder", "`paths` of type directory", image)
        }
        "touch" => absent(&positional(words, "drt"), "make the file", "`paths` of type empty-file", image),
        "chmod" => chmod(words, image),
        "chown" | "chgrp" => match positional(words, "").as_slice() {
            [owner, paths @ ..] if !paths.is_empty() => chown(owner, paths, image),
            _ => Ok(Some(Effect::Unknown)),
        },
        "rm" | "rmdir" => removed(&positional(words, ""), image),
        _ => Ok(None),
    }
}

/// Words that are no options; those letters take the next word with them.
fn positional<'w>(words: &[&'w str], with_value: &str) -> Vec<&'w str> {
    let mut out = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some("-") => {
                out.extend(words.by_ref().copied());
            }
            Some(option) if option.starts_with('-') => {}
            Some(letters) if letters.chars().last().is_some_and(|last| with_value.contains(last)) => {
                words.next();
            }
            Some(_) => {}
            None => out.push(*word),
        }
    }
    out
}

fn group_of(group: &str, image: &Image<'_>) -> Effect {
    if image.groups.contains_key(group.as_bytes()) {
        Effect::None
    } else {
        Effect::Missing(format!("add the group {group}, which the image lacks; `accounts.groups` can add it"))
    }
}

fn member_of(user: &str, group: &str, image: &Image<'_>) -> Effect {
    let members = image.groups.get(group.as_bytes());
    let is_member =
        members.is_some_and(|members| members.split(|b| *b == b',').any(|name| name == user.as_bytes()));
    if is_member {
        Effect::None
    } else {
        Effect::Missing(format!(
            "put the user {user} into the group {group}; `accounts.groups` can add a group with its members"
        ))
    }
}

fn rc_update(words: &[&str], image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    let words = positional(words, "");
    let ["add", service, level @ ..] = words.as_slice() else { return Ok(Some(Effect::Unknown)) };
    let level = level.first().unwrap_or(&"default");
    let path = format!("/etc/runlevels/{level}/{service}");
    Ok(Some(if image.has(&path)? {
        Effect::None
    } else {
        Effect::Missing(format!(
            "have the service {service} started in the runlevel {level}; `paths` of type symlink can make {path}"
        ))
    }))
}

fn link(words: &[&str], image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    let symbolic = words.iter().any(|w| w.starts_with('-') && !w.starts_with("--") && w.contains('s'));
    let [target, path] = positional(words, "")[..] else { return Ok(Some(Effect::Unknown)) };
    let folder = image.root.look_up(path.as_bytes())?.filter(|id| image.root.tree.node(*id).is_directory());
    let path = match folder {
        Some(_) => join_clean(path.as_bytes(), &base_name(target.as_bytes())),
        None => path.as_bytes().to_vec(),
    };
    let path = String::from_utf8_lossy(&path).into_owned();
    let kind = if symbolic { "symlink" } else { "hardlink" };
    let there = image.root.entry(path.as_bytes())?.map(|id| &image.root.tree.node(id).body);
    Ok(Some(match there {
        Some(Body::Symlink(text)) if **text == *target.as_bytes() => Effect::None,
        Some(_) if !symbolic => Effect::None,
        Some(_) => Effect::Missing(format!("replace {path} by a link to {target}")),
        None => {
            Effect::Missing(format!("make the link {path} to {target}; `paths` of type {kind} can make it"))
        }
    }))
}

fn absent(paths: &[&str], what: &str, how: &str, image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    for path in paths {
        if image.root.look_up(path.as_bytes())?.is_none() {
            return Ok(Some(Effect::Missing(format!(
                "{what} {path}, which the image lacks; {how} can make it"
            ))));
        }
    }
    Ok(Some(Effect::None))
}

fn chmod(words: &[&str], image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    // A mode such as `-x` is no option.
    let words: Vec<&str> =
        words.iter().copied().filter(|word| !matches!(*word, "-R" | "-f" | "-v" | "-c")).collect();
    let [mode, paths @ ..] = words.as_slice() else { return Ok(Some(Effect::Unknown)) };
    for path in paths {
        let Some(found) = image.mode(path)? else { continue };
        if u32::from_str_radix(mode, 8) != Ok(found) {
            return Ok(Some(Effect::Missing(format!(
                "set the mode of {path} to {mode}; it is {found:04o}; `paths` of type permissions can set it"
            ))));
        }
    }
    Ok(Some(Effect::None))
}

fn chown(owner: &str, paths: &[&str], image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    for path in paths {
        let Some(id) = image.root.look_up(path.as_bytes())? else { continue };
        let found = image.root.tree.node(id).meta.owner;
        if !matches!(owner, "root" | "root:root" | "0" | "0:0") || found != assemble_types::Owner::ROOT {
            return Ok(Some(Effect::Missing(format!(
                "give {path} to {owner}; it is {found}'s; `paths` of type permissions can do it"
            ))));
        }
    }
    Ok(Some(Effect::None))
}

fn removed(paths: &[&str], image: &Image<'_>) -> Result<Option<Effect>, InstallError> {
    for path in paths {
        if path.contains(['*', '?', '[']) {
            return Ok(Some(Effect::Unknown));
        }
        if image.has(path)? {
            return Ok(Some(Effect::Missing(format!("remove {path}"))));
        }
    }
    Ok(Some(Effect::None))
}

#[cfg(test)]
mod tests {
    use assemble_apk::{PackageName, Version};

    use super::*;

    fn all(script: &str) -> String {
        let mut root = Root::new();
        for folder in ["etc/runlevels/default", "bin", "var/lib/there", "etc/init.d"] {
            root.make_folders(folder.as_bytes(), 0o755, "test").unwrap();
        }
        for (path, text) in [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nthere:x:5:5::/:\n"),
            ("etc/group", "root:x:0:\nthere:x:5:root,x\n"),
            ("bin/bbsuid", ""),
        ] {
            root.write(path.as_bytes(), text.into(), 0o644, "test").unwrap();
        }
        root.make_link(b"etc/link", b"/bin/x", "test").unwrap();
        let done = Done { busybox: None, loader_cache: false };
        let image = Image::of(&root, &done).unwrap();
        let id =
            PackageId { name: PackageName::parse("pkg").unwrap(), version: Version::parse("1").unwrap() };
        missing("post-install", script.as_bytes(), &id, &image).unwrap().join("\n")
    }

    #[test]
    fn what_is_there_is_not_missed() {
        for script in [
            "#!/bin/sh\nexit 0\n",
            "addgroup -S there 2>/dev/null\nadduser -S -D -h / -s /sbin/nologin -G there -g there there 2>/dev/null\nexit 0",
            "user=there\naddgroup -S $user; adduser -G ${user} -S \"$user\" || true",
            "addgroup x there",
            "mkdir -p /var/lib/there\nln -sf /bin/x /etc/link",
            "/usr/bin/not-here --do-it",
            "[ -e /not/here ] && /not/here",
            "chmod 644 /etc/passwd && chown root:root /etc/passwd",
            "cat <<EOF >/dev/null\nadduser other\nEOF\n",
            "if [ -d /x ]; then echo yes; else :; fi # adduser other",
            "rm -f /not/here",
        ] {
            assert_eq!(all(script), "", "{script}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_remedy() {
        expect_test::expect![[r"
            post-install would add the group app, which the image lacks; `accounts.groups` can add it
            post-install would add the user app, which the image lacks; `accounts.users` can add it
            post-install would put the user app into the group there; `accounts.groups` can add a group with its members
            post-install would have the service web started in the runlevel boot; `paths` of type symlink can make /etc/runlevels/boot/web
            post-install would make the link /etc/init.d/a to /etc/a; `paths` of type symlink can make it
            post-install may set the mode of /etc/passwd to 600; it is 0644; `paths` of type permissions can set it
            post-install would give /etc/group to root:shadow; it is 0:0's; `paths` of type permissions can do it
            post-install would write /etc/new, which the image lacks; a package or `contents.files` can bring it
            post-install would run `sed -i s/a/b/ /etc/passwd`, which nothing here stands for"]]
        .assert_eq(&all(
            "#!/bin/sh -e\naddgroup -S app\nadduser -S -G app -h /var app\naddgroup app there\n\
             rc-update -q add web boot\nln -s /etc/a /etc/init.d\nif true; then chmod 600 /etc/passwd; fi\n\
             chown root:shadow /etc/group\nsed -i s/a/b/ /etc/passwd\necho hi >/etc/new\nsed 2\n",
        ));
        expect_test::expect![[r"
            post-install would make the loader's cache; the image has none, since no package brings /etc/ld.so.conf (musl needs none)
            post-install would add the certificates below /usr/local/share/ca-certificates to the bundle; name what pkg provides in `certificates.providers` for that
            post-install would make host keys; they have to be made when a container starts, since keys in an image are everybody's
            post-install would make the links to busybox; no package here is known to be busybox
            post-install would make the folder /srv/x, which the image lacks; `paths` of type directory can make it"]]
        .assert_eq(&all(
            "ldconfig || :\nupdate-ca-certificates --fresh\nssh-keygen -A\nbusybox --install -s\ninstall -d -m 755 /srv/x",
        ));
    }

    #[test]
    fn no_script_breaks_it() {
        for script in
            ["'", "\"$(", "<<", "<<EOF", "case x in", "}", "a=", "$", "busybox", "ln", ">", "> ", "\\"]
        {
            all(script);
        }
    }
}
