//! The last stage of a Dockerfile as a spec.

use std::collections::BTreeMap;

use super::docker_run;
use super::docker_syntax::{Instruction, UNKNOWN, expand, expand_marked, instructions, json_words, pairs};
use super::translate::{Draft, DraftFile};
use crate::words;

/// `PATH` of the images that Dockerfiles start from.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin";

/// What lies beside a spec and is not meant when the whole folder is copied.
const NOT_MEANT: &[&str] = &["Dockerfile", "assemble.yaml", "*.oci", "*.tar", ".git", ".dockerignore"];

/// A build stage as far as it was read.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: Option<String>,
    /// The image it starts from, through stages it is built on.
    base: String,
    /// `ARG` and `ENV`.
    variables: BTreeMap<String, String>,
    draft: Draft,
    /// The user was set.
    user: bool,
    /// `RUN` lines that made something a spec cannot repeat.
    runs: Vec<String>,
    /// Packages that a distribution without APK had installed.
    foreign_packages: Vec<String>,
    /// Accounts that were made, in this stage or in one before it: `/etc/passwd` can be copied from there.
    users: BTreeMap<String, Option<u32>>,
    groups: BTreeMap<String, Option<u32>>,
}

/// The text of the spec that comes nearest to the last stage. It always parses.
pub(super) fn equivalent(text: &str) -> String {
    let mut stages: Vec<Stage> = Vec::new();
    let mut global: BTreeMap<String, String> = BTreeMap::new();
    for instruction in instructions(text) {
        match (instruction.name.as_str(), stages.last_mut()) {
            ("FROM", _) => {
                let stage = from(&instruction, &stages, &global);
                stages.push(stage);
            }
            ("ARG", None) => {
                for word in instruction.rest.split_whitespace() {
                    if let Some((name, value)) = word.split_once('=') {
                        global.insert(name.to_owned(), expand(value.trim_matches('"'), &global));
                    }
                }
            }
            (_, Some(_)) => {
                let names: Vec<Option<String>> = stages.iter().map(|stage| stage.name.clone()).collect();
                if let Some(stage) = stages.last_mut() {
                    apply(stage, &instruction, &names, &global);
                }
            }
            _ => {}
        }
    }
    finish(stages.pop().unwrap_or_default()).text()
}

fn from(instruction: &Instruction, stages: &[Stage], global: &BTreeMap<String, String>) -> Stage {
    let rest = expand(&instruction.rest, global);
    let mut parts = rest.split_whitespace();
    let image = parts.next().unwrap_or("scratch").to_owned();
    let name = parts.next().filter(|word| word.eq_ignore_ascii_case("as")).and_then(|_| parts.next());
    let parent =
        stages.iter().rev().find(|stage| stage.name.as_deref() == Some(image.to_lowercase().as_str()));
    let mut stage = parent.cloned().unwrap_or_else(|| Stage { base: image, ..Stage::default() });
    stage.name = name.map(str::to_lowercase);
    if let Some(last) = stages.last() {
        for (ours, theirs) in [(&mut stage.users, &last.users), (&mut stage.groups, &last.groups)] {
            for (name, id) in theirs {
                ours.entry(name.clone()).or_insert(*id);
            }
        }
    }
    stage
}

fn apply(
    stage: &mut Stage,
    instruction: &Instruction,
    stages: &[Option<String>],
    global: &BTreeMap<String, String>,
) {
    let rest = expand(&instruction.rest, &stage.variables);
    let draft = &mut stage.draft;
    match instruction.name.as_str() {
        "ARG" => {
            let (name, default) = instruction
                .rest
                .split_once('=')
                .map_or((instruction.rest.trim(), None), |(n, d)| (n, Some(d)));
            let value = default.map(|text| expand(text.trim_matches('"'), &stage.variables));
            if let Some(value) = value.or_else(|| global.get(name).cloned()) {
                stage.variables.entry(name.to_owned()).or_insert(value);
            }
        }
        "ENV" => environment(stage, &instruction.rest),
        "LABEL" => pairs(&rest).iter().for_each(|(name, value)| draft.annotation(name, value)),
        "MAINTAINER" => draft.annotation("org.opencontainers.image.authors", &rest),
        "WORKDIR" => draft.work_dir = Some(absolute(&rest, draft.work_dir.as_deref())),
        "EXPOSE" => draft.ports.extend(rest.split_whitespace().map(str::to_lowercase)),
        "VOLUME" => {
            let paths =
                json_words(&rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            draft.volumes.extend(paths);
        }
        "STOPSIGNAL" => draft.stop_signal = Some(rest),
        "USER" => {
            stage.user = true;
            draft.run_as = Some(rest);
        }
        // The shell's variables are the running container's, not the build's.
        "ENTRYPOINT" => draft.entrypoint = Some(command(&instruction.rest)),
        "CMD" => draft.cmd = Some(command(&instruction.rest)),
        "COPY" | "ADD" => copy(stage, instruction, &rest, stages),
        "RUN" => run(stage, &rest),
        "HEALTHCHECK" => {
            draft.note("HEALTHCHECK is no part of OCI images: set it where the image is deployed");
        }
        _ => {}
    }
}

/// `ENV`. A variable made of one that only the base image knows is no use to anyone.
fn environment(stage: &mut Stage, rest: &str) {
    let mut variables = stage.variables.clone();
    variables.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    for (name, value) in pairs(&expand_marked(rest, &variables, UNKNOWN)) {
        if value.contains(UNKNOWN) {
            let value = value.replace(UNKNOWN, "");
            stage.draft.environment.retain(|(other, _)| *other != name);
            stage.variables.remove(&name);
            stage
                .draft
                .note(format!("ENV {name}={value}: its value is not known here, set it in `environment`"));
            continue;
        }
        stage.draft.variable(&name, &value);
        stage.variables.insert(name, value);
    }
}

/// The exec form, or the words of the shell form; a shell only where the line needs one.
fn command(rest: &str) -> Vec<String> {
    if let Some(words) = json_words(rest) {
        return words;
    }
    let needs_shell = rest.contains(['$', '|', '&', ';', '<', '>', '*', '?', '(', ')', '`', '~']);
    match words::split(rest) {
        Ok(words) if !needs_shell => words,
        _ => vec!["/bin/sh".into(), "-c".into(), rest.to_owned()],
    }
}

fn absolute(path: &str, folder: Option<&str>) -> String {
    let path = path.trim().trim_matches('"');
    if path.starts_with('/') {
        return path.to_owned();
    }
    let folder = folder.unwrap_or("/").trim_end_matches('/');
    match path.trim_start_matches("./") {
        "" | "." => {
            if folder.is_empty() {
                "/".to_owned()
            } else {
                folder.to_owned()
            }
        }
        path => format!("{folder}/{path}"),
    }
}

fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn copy(stage: &mut Stage, instruction: &Instruction, rest: &str, stages: &[Option<String>]) {
    if rest.contains("<<") {
        stage.draft.note("a here-document was copied: put its text into a file and list that");
        return;
    }
    let words = json_words(rest).unwrap_or_else(|| words::split(rest).unwrap_or_default());
    let Some((target, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return;
    };
    let into = target.ends_with('/') || matches!(target.as_str(), "." | "..") || sources.len() > 1;
    let target = absolute(target, stage.draft.work_dir.as_deref());
    let permissions = instruction.flags.get("chmod").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let owner = instruction.flags.get("chown").and_then(|owner| owners(stage, owner));
    if instruction.flags.contains_key("chown") && owner.is_none() {
        stage.draft.note(format!("--chown={}: owners are numbers in a spec", instruction.flags["chown"]));
    }
    for source in sources {
        if source.contains("://") || source.starts_with("git@") {
            stage.draft.note(format!("ADD {source}: download it first, and list the file"));
            continue;
        }
        let name = file_name(source);
        let whole_folder = matches!(name, "" | "." | "..") || source.ends_with('/');
        let path = if into && !whole_folder && !name.contains('*') {
            format!("{}/{name}", target.trim_end_matches('/'))
        } else {
            target.clone()
        };
        if instruction.flags.contains_key("from")
            && let Some(place) = base_file(source)
        {
            let elsewhere = if path == place || target.trim_end_matches('/') == place {
                String::new()
            } else {
                format!(" at {place}")
            };
            stage.draft.base_files = true;
            stage.draft.note(format!("{source} is not copied: the base files hold it{elsewhere}"));
            continue;
        }
        let (source, note) = origin(source, name, instruction.flags.get("from").map(String::as_str), stages);
        let permissions = permissions.filter(|mode| *mode <= 0o7777);
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        let exclude = if source == "." { NOT_MEANT } else { &[] };
        stage.draft.file(DraftFile { source, path, permissions, owner, exclude, note });
    }
}

/// Where the base files have what is copied from another image.
fn base_file(source: &str) -> Option<&'static str> {
    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    if file_name(source) == "ca-certificates.crt" {
        return Some(BUNDLE);
    }
    let source = source.trim_start_matches('/').trim_end_matches("/.").trim_end_matches('/');
    ["/etc/ssl/certs", "/usr/share/zoneinfo", "/etc/passwd", "/etc/group"]
        .into_iter()
        .find(|place| &place[1..] == source)
}

/// Where a copied file is on the host, and what to know about it.
fn origin(
    source: &str,
    name: &str,
    from: Option<&str>,
    stages: &[Option<String>],
) -> (String, Option<String>) {
    if name.contains(['*', '?', '[']) {
        let folder = source.trim_end_matches('/').rsplit_once('/').map_or(".", |(folder, _)| folder);
        let folder = if folder.starts_with('/') { format!(".{folder}") } else { folder.to_owned() };
        return (folder, Some(format!("of it, only {name} was copied")));
    }
    let Some(from) = from else {
        let relative = source.trim_start_matches('/');
        let path = if relative.is_empty() || relative == "." { "." } else { relative };
        let path = if path == "." || path.starts_with("./") || path.starts_with("../") {
            path.to_owned()
        } else {
            format!("./{path}")
        };
        return (path.trim_end_matches('/').to_owned(), None);
    };
    let local = match name {
        "" | "." | ".." => "./rootfs".to_owned(),
        name => format!("./{name}"),
    };
    let index = from.parse::<usize>().ok().filter(|index| *index < stages.len());
    let is_stage = index.is_some() || stages.iter().flatten().any(|stage| *stage == from.to_lowercase());
    let note = if is_stage {
        format!("stage {from} made it as {source}")
    } else {
        format!("taken from {from}, {source}")
    };
    (local, Some(note))
}

/// `--chown` as numbers, where names are known.
fn owners(stage: &Stage, owner: &str) -> Option<(u32, u32)> {
    let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
    let uid = user_number(stage, user)?;
    let known = stage.groups.get(group).copied().flatten();
    // A user's own group has its number.
    let gid = number(group).or(known).or_else(|| user_number(stage, group).filter(|_| group == user))?;
    Some((uid, gid))
}

fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|id| *id != u32::MAX)
}

/// The number of a user, if it is one, was made, or is one of those that everyone knows.
fn user_number(stage: &Stage, user: &str) -> Option<u32> {
    let made = stage.users.get(user).copied().flatten();
    number(user).or(made).or(match user {
        "root" => Some(0),
        "nonroot" => Some(65532),
        "nobody" => Some(65534),
        "node" if base_name(stage) == "node" => Some(1000),
        _ => None,
    })
}

fn base_name(stage: &Stage) -> &str {
    file_name(stage.base.split([':', '@']).next().unwrap_or_default())
}

/// What a spec has a place for is put there; the rest is named.
fn run(stage: &mut Stage, rest: &str) {
    let script = json_words(rest).map_or_else(|| rest.to_owned(), |words| words.join(" "));
    let effects = docker_run::effects(&script);
    effects.packages.iter().for_each(|name| stage.draft.package(name));
    stage.foreign_packages.extend(effects.foreign_packages);
    stage.users.extend(effects.users);
    stage.groups.extend(effects.groups);
    for modules in effects.folders {
        let path = absolute(modules.folder, stage.draft.work_dir.as_deref());
        if let Some(variable) = modules.variable
            && !stage.draft.environment.iter().any(|(name, _)| name == variable)
        {
            stage.draft.variable(variable, &path);
        }
        let note = Some("made by the command above".to_owned());
        stage.runs.push(modules.command);
        let source = format!("./{}", modules.folder);
        stage.draft.file(DraftFile { source, path, note, ..DraftFile::default() });
    }
    stage.runs.extend(effects.rest);
}

fn finish(mut stage: Stage) -> Draft {
    let shell = |words: &Option<Vec<String>>| {
        words.as_ref().and_then(|w| w.first()).is_some_and(|w| matches!(file_name(w), "sh" | "bash" | "ash"))
    };
    let needs_shell = shell(&stage.draft.entrypoint) || shell(&stage.draft.cmd);
    if stage.draft.entrypoint.is_none() {
        // Without an entrypoint, a spec's program is one; then `cmd` would be its arguments.
        stage.draft.entrypoint = stage.draft.cmd.take();
    }
    choose_binary(&mut stage.draft);
    base(&mut stage, needs_shell);
    let draft = &mut stage.draft;
    for run in &stage.runs {
        draft.note(format!("nothing runs while a spec is built; do before: {run}"));
    }
    if !stage.user {
        draft.note(
            "the Dockerfile's image runs as root; a spec's as 65532 unless `accounts.run-as` says otherwise",
        );
    }
    user(&mut stage);
    stage.draft
}

/// `USER` as numbers: the accounts of a Dockerfile's image are not there.
fn user(stage: &mut Stage) {
    let Some(written) = stage.draft.run_as.take() else { return };
    let (user, group) = match written.trim().split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (written.trim(), None),
    };
    let made = stage.users.get(user).is_some_and(Option::is_some);
    let id = user_number(stage, user);
    let note = match (user, id) {
        ("root" | "nonroot", _) => None,
        _ if number(user).is_some() => None,
        (_, None) => {
            Some(format!("{user}: its number is not known here; any number works, without an account"))
        }
        _ if made => Some(format!("{user}, as the Dockerfile makes it")),
        ("nobody", _) => Some("nobody".to_owned()),
        _ => Some(format!("{user}, as the image {} has it", base_name(stage))),
    };
    // Root has to be asked for by name.
    let shown = if user == "root" { user.to_owned() } else { id.unwrap_or(65532).to_string() };
    let group = group
        .and_then(|_| owners(stage, &written))
        .map(|(_, gid)| gid)
        .filter(|gid| user != "nonroot" && (user, *gid) != ("root", 0));
    stage.draft.run_as = Some(group.map_or_else(|| shown.clone(), |group| format!("{shown}:{group}")));
    stage.draft.run_as_note = note;
}

/// The file that is started becomes the binary.
fn choose_binary(draft: &mut Draft) {
    let Some(program) = draft.entrypoint.as_ref().and_then(|words| words.first()).cloned() else { return };
    let resolved = absolute(&program, draft.work_dir.as_deref());
    let found = draft
        .files
        .iter()
        .position(|file| file.path == resolved || !program.contains('/') && file_name(&file.path) == program);
    let Some(at) = found.filter(|at| !matches!(file_name(&draft.files[*at].source), "" | "." | "..")) else {
        return;
    };
    let file = draft.files.remove(at);
    if file.owner.is_some_and(|owner| owner != (0, 0)) {
        draft.note(format!("{} belongs to root in a spec", file.path));
    }
    let alone = draft.entrypoint.as_ref().is_some_and(|words| words.len() == 1);
    if alone && draft.cmd.is_none() {
        draft.entrypoint = None;
    }
    draft.binary = Some(file);
}

/// What the base image brought.
fn base(stage: &mut Stage, needs_shell: bool) {
    const WOLFI: &str = "https://packages.wolfi.dev/os";
    let base = stage.base.split('@').next().unwrap_or_default().to_owned();
    let (path, tag) = match base.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (base.as_str(), "latest"),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let draft = &mut stage.draft;
    let wants_packages =
        !draft.packages.is_empty() || needs_shell || draft.binary.is_none() && draft.files.is_empty();
    let version: String = tag.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    match name {
        "scratch" | "static" | "static-debian12" | "static-debian11" | "static-debian13" => {
            if needs_shell {
                draft.note(format!("{base} has no shell: the command needs one to start"));
            }
            return;
        }
        "alpine" if wants_packages => {
            let branch = match version.split('.').collect::<Vec<_>>()[..] {
                [major, minor, ..] if !major.is_empty() && !minor.is_empty() => format!("v{major}.{minor}"),
                _ if tag == "edge" => "edge".to_owned(),
                _ => "latest-stable".to_owned(),
            };
            let url = |part: &str| format!("https://dl-cdn.alpinelinux.org/alpine/{branch}/{part}");
            draft.repositories.extend([url("main"), url("community")]);
            draft.packages.splice(0..0, ["alpine-baselayout".to_owned(), "busybox".to_owned()]);
        }
        "alpine" => draft.note(format!("{base} is not needed for a static program")),
        "wolfi-base" => {
            draft.repositories.push(WOLFI.to_owned());
            draft.packages.insert(0, "wolfi-base".to_owned());
        }
        "python" | "node" | "nginx" | "ruby" | "redis" | "postgres" => {
            let number = match name {
                "node" => version.split('.').next().unwrap_or_default().to_owned(),
                _ => version.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
            };
            let package = match (name, number.as_str()) {
                ("nginx" | "redis", _) | ("python" | "ruby" | "postgres", "") => name.to_owned(),
                ("node", "") => "nodejs".to_owned(),
                ("node", number) => format!("nodejs-{number}"),
                (name, number) => format!("{name}-{number}"),
            };
            draft.repositories.push(WOLFI.to_owned());
            draft.package(&package);
            draft
                .note(format!("{base} is not built on APK packages: the nearest one of Wolfi stands for it"));
        }
        _ => {
            draft.note(format!("{base} has no counterpart: what the program needs of it comes as packages"));
            if wants_packages {
                draft.repositories.push(WOLFI.to_owned());
                draft.package("wolfi-baselayout");
            }
            if needs_shell {
                draft.package("busybox");
            }
        }
    }
    if !stage.foreign_packages.is_empty() {
        let names = stage.foreign_packages.join(", ");
        stage.draft.note(format!("look in Wolfi or Alpine for what these packages brought: {names}"));
    }
    let mut seen = std::collections::BTreeSet::new();
    stage.draft.packages.retain(|name| seen.insert(name.clone()));
}
