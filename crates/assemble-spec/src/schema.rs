//! Which keys there are, which are for later, and the words people bring from elsewhere.

use crate::node::Entry;
use crate::source::plain;
use crate::yaml;

/// A map of the spec, and what may stand in it.
#[derive(Debug)]
pub(crate) struct Place {
    /// Dotted path; empty for the top.
    pub(crate) path: &'static str,
    pub(crate) keys: &'static [&'static str],
    /// Keys of apko's schema that cannot be built yet. Empty values are let pass: they ask for nothing.
    pub(crate) later: &'static [(&'static str, &'static str)],
    /// Words from Dockerfiles, compose files, Kubernetes and older tools, and what to write.
    pub(crate) words: &'static [(&'static [&'static str], &'static str)],
}

const FILES_EXAMPLE: &str =
    "name what is copied:\ncontents:\n  files:\n    - source: ./static\n      path: /srv/static";
const NO_BASE: &str = "there is no base image: the contents are listed. `contents.packages` with `contents.repositories` brings what a \
     distribution has; without packages, users, CA certificates and time zones are there anyway";
const NAMED_BY_TAG: &str = "the name is not part of the content: give it with `--tag` when building";
const RUN_NOTE: &str =
    "nothing runs while an image is put together: bring the result as a package, or with `contents.files`";
const PORTS: &str = "write `ports: [{value|8080}]`";
const RUN_AS: &str = "write it below `accounts`:\naccounts:\n  run-as: {value|65532}";
const USERS_LATER: &str = "any number works with `accounts.run-as` without being declared";

pub(crate) const TOP: Place = Place {
    path: "",
    keys: &[
        "contents",
        "entrypoint",
        "cmd",
        "environment",
        "work-dir",
        "ports",
        "volumes",
        "stop-signal",
        "annotations",
        "accounts",
        "archs",
        "certificates",
        "format",
    ],
    later: &[
        ("include", "put the keys of the included file into this one"),
        ("paths", "bring files with `contents.files`"),
        ("layering", "remove it: packages, base files, files and the binary are layers of their own already"),
        (
            "vcs-url",
            "remove it, or write `annotations` with `org.opencontainers.image.source` and `.revision`",
        ),
    ],
    words: &[
        (&["env", "envs", "env-vars", "variables", "vars"], "write `environment`, a map of names to values"),
        (&["user", "uid", "runas", "run-as-user", "userid", "username"], RUN_AS),
        (&["group", "gid"], "write it behind the user:\naccounts:\n  run-as: 65532:65532"),
        (&["workdir", "working-dir", "working-directory", "cwd", "dir"], "write `work-dir: {value|/srv}`"),
        (&["expose", "exposes", "exposed-ports", "port", "publish"], PORTS),
        (&["copy", "add", "file", "assets"], FILES_EXAMPLE),
        (&["from", "base", "base-image", "parent", "scratch"], NO_BASE),
        (
            &["platforms", "platform", "architectures", "architecture", "arch", "target", "targets"],
            "write `archs`, such as `archs: [amd64, arm64]`",
        ),
        (
            &["labels", "label", "metadata", "annotation"],
            "write `annotations`: they become the manifest's annotations and the image's labels",
        ),
        (
            &["command", "exec", "start"],
            "write `entrypoint` for the program, `cmd` for its default arguments",
        ),
        (&["args", "arguments", "arg", "params"], "write `cmd` for the program's default arguments"),
        (&["image", "name", "tag", "tags", "repository", "registry"], NAMED_BY_TAG),
        (
            &["packages", "package", "apk", "apks", "apt", "deps", "dependencies", "install"],
            "write them below `contents`:\ncontents:\n  packages:\n    - busybox",
        ),
        (&["run", "steps", "pipeline", "scripts", "script", "build", "commands"], RUN_NOTE),
        (&["volume", "mount", "mounts"], "write `volumes`, a list of absolute paths"),
        (
            &["health-check", "probe"],
            "OCI images have no health check: it is set where the image is deployed",
        ),
        (
            &["shell"],
            "write `entrypoint` with `shell-fragment`:\nentrypoint:\n  shell-fragment: exec my-program",
        ),
        (&["maintainer", "author", "authors"], "write `annotations` with `org.opencontainers.image.authors`"),
        (
            &["description", "title", "license", "licenses", "vendor", "source", "revision", "url"],
            "write `annotations` with `org.opencontainers.image.` and this word",
        ),
        (&["version", "schema", "api-version", "kind"], "remove it: a spec has no version line"),
        (&["os-release", "options"], "remove it: apko has removed it, too; a package brings the file"),
        (
            &["created", "timestamp", "date", "epoch"],
            "the time is given when building: `SOURCE_DATE_EPOCH`, or `--created`",
        ),
        (
            &["secrets", "secret"],
            "an image holds no secrets: they are handed to the container when it starts",
        ),
        (
            &["ca", "cas", "ca-certificates", "certs", "cert"],
            "write `certificates`:\ncertificates:\n  additional:\n    - source: ./ca.pem",
        ),
        (&["signal", "kill-signal"], "write `stop-signal: {value|SIGTERM}`"),
        (
            &["app", "bin", "executable", "program"],
            "write it below `contents`:\ncontents:\n  binary: {value|./my-program}",
        ),
    ],
};

pub(crate) const CONTENTS: Place = Place {
    path: "contents",
    keys: &[
        "repositories",
        "build_repositories",
        "runtime_repositories",
        "keyring",
        "packages",
        "binary",
        "files",
        "base-files",
    ],
    later: &[
        ("runtime_keyring", "bring the keys with `contents.files` to `/etc/apk/keys`"),
        ("baseimage", NO_BASE),
    ],
    words: &[
        (&["apk", "apks", "apt", "install", "deps", "dependencies", "world"], "write `packages`"),
        (&["repo", "repos", "mirrors", "sources", "indexes"], "write `repositories`"),
        (&["key", "keys", "trusted-keys", "signing-keys"], "write `keyring`"),
        (
            &["copy", "add", "file", "paths", "assets"],
            "write `files`:\ncontents:\n  files:\n    - source: ./static\n      path: /srv/static",
        ),
        (&["bin", "binaries", "program", "executable", "app", "exe"], "write `binary`"),
        (&["from", "base", "base-image", "image"], NO_BASE),
        (&["base-file", "distroless", "skeleton"], "write `base-files`"),
        (&["run", "steps", "pipeline"], RUN_NOTE),
        (&["certs", "ca", "cas"], "write `certificates` at the top level"),
    ],
};

pub(crate) const BINARY: Place = Place {
    path: "contents.binary",
    keys: &["source", "path", "permissions"],
    later: &[],
    words: &[
        (&["src", "from", "file", "binary"], "write `source`"),
        (&["dst", "dest", "destination", "target", "to"], "write `path`"),
        (&["mode", "chmod", "perms"], "write `permissions`"),
        (
            &["uid", "gid", "owner", "user", "exclude"],
            "list the file in `contents.files` if it needs an owner",
        ),
    ],
};

pub(crate) const FILE: Place = Place {
    path: "contents.files[]",
    keys: &["source", "path", "permissions", "uid", "gid", "exclude"],
    later: &[],
    words: &[
        (&["src", "from", "file", "host"], "write `source`"),
        (&["dst", "dest", "destination", "target", "to", "image"], "write `path`"),
        (&["mode", "chmod", "perms", "file-mode"], "write `permissions`"),
        (&["user", "owner", "chown"], "write `uid` and `gid`, as numbers"),
        (&["group"], "write `gid`, as a number"),
        (&["ignore", "excludes", "except", "skip"], "write `exclude`"),
        (&["content", "text", "data"], "put the text into a file and name it as `source`"),
        (&["type", "recursive"], "remove it: `source` says by itself whether it is a file or a folder"),
    ],
};

pub(crate) const BASE_FILES: Place = Place {
    path: "contents.base-files",
    keys: &["certificates", "time-zones"],
    later: &[],
    words: &[
        (&["ca", "ca-certificates", "certs", "tls"], "write `certificates`"),
        (&["tz", "tzdata", "zoneinfo", "timezone", "zones"], "write `time-zones`"),
    ],
};

pub(crate) const ENTRYPOINT: Place = Place {
    path: "entrypoint",
    keys: &["type", "command", "shell-fragment"],
    later: &[("services", "let the platform start one container for each service")],
    words: &[
        (&["cmd", "exec", "program", "path"], "write `command`"),
        (&["args", "arguments"], "write them behind the program in `command`, or in `cmd` at the top level"),
        (&["shell", "script", "sh", "fragment"], "write `shell-fragment`"),
    ],
};

pub(crate) const ACCOUNTS: Place = Place {
    path: "accounts",
    keys: &["run-as"],
    later: &[("users", USERS_LATER), ("groups", USERS_LATER)],
    words: &[
        (&["user", "uid", "runas", "username", "run-as-user", "default"], "write `run-as`"),
        (&["group", "gid", "run-as-group"], "write it behind the user: `run-as: 65532:65532`"),
    ],
};

pub(crate) const CERTIFICATES: Place = Place {
    path: "certificates",
    keys: &["additional"],
    later: &[("providers", "name the files in `certificates.additional`")],
    words: &[(&["ca", "cas", "extra", "files", "certs", "bundle"], "write `additional`")],
};

pub(crate) const CERTIFICATE: Place = Place {
    path: "certificates.additional[]",
    keys: &["name", "content", "source"],
    later: &[],
    words: &[
        (&["file", "path", "src", "from"], "write `source`"),
        (&["pem", "data", "text", "cert", "certificate"], "write `content`"),
    ],
};

/// Keys of apko's schema of which only the values that change nothing are taken. Nobody is to be led to them.
const IDLE: [&str; 2] = ["format", "type"];

/// Without what people vary: case, and how words are joined.
fn bare(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// What to do about a key that does not exist at this place; nothing if there is no good guess.
pub(crate) fn advice(place: &Place, entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    let bare_key = bare(key);
    let known = || place.keys.iter().chain(place.later.iter().map(|(name, _)| name));
    let meant = |name: &str| match place.later.iter().find(|(later, _)| *later == name) {
        Some((_, advice)) => format!("`{name}` is not supported yet: {advice}"),
        None => format!("did you mean `{name}`?"),
    };
    if let Some(same) = known().find(|name| bare(name) == bare_key) {
        return Some(meant(same));
    }
    if let Some((_, advice)) = place.words.iter().find(|(words, _)| words.iter().any(|w| bare(w) == bare_key))
    {
        return Some(filled(advice, entry));
    }
    let exact =
        |other: &&&Place| other.path != place.path && other.keys.iter().any(|name| bare(name) == bare_key);
    // Only the two places whose keys are unmistakable; `path` or `source` say little.
    if let Some(other) = [&&TOP, &&CONTENTS, &&ACCOUNTS].into_iter().find(exact) {
        let name = other.keys.iter().find(|name| bare(name) == bare_key).copied().unwrap_or_default();
        return Some(if other.path.is_empty() {
            format!("`{name}` belongs at the top level")
        } else {
            let path = other.path;
            filled(&format!("`{name}` belongs below `{path}`:\n{path}:\n  {name}: {{value|…}}"), entry)
        });
    }
    nearest(key, known().copied()).map(meant)
}

/// Puts the entry's own value for `{value|example}`, if it is one text.
fn filled(advice: &str, entry: &Entry) -> String {
    let Some((head, rest)) = advice.split_once("{value|") else { return advice.to_owned() };
    let Some((example, tail)) = rest.split_once('}') else { return advice.to_owned() };
    let own = entry.value.scalar().filter(|scalar| !scalar.text.is_empty() && scalar.text.len() < 60);
    let value = own.map_or_else(|| example.to_owned(), |scalar| yaml::number_or_text(&plain(&scalar.text)));
    format!("{head}{value}{tail}")
}

/// The candidate that a few slips of the finger away could have been meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A text longer than this is no slip of a short word, and comparing it would take time.
    if word.chars().count() > 40 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The keys that may stand here, for the help of a key that resembles none.
pub(crate) fn listing(place: &Place) -> String {
    let keys: Vec<String> =
        place.keys.iter().filter(|key| !IDLE.contains(key)).map(|key| format!("`{key}`")).collect();
    format!("known here: {}", keys.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Place; 9] =
        [&TOP, &CONTENTS, &BINARY, &FILE, &BASE_FILES, &ENTRYPOINT, &ACCOUNTS, &CERTIFICATES, &CERTIFICATE];

    #[test]
    fn words_are_not_keys_of_their_own_place_and_stand_once() {
        for place in ALL {
            let mut seen = std::collections::BTreeSet::new();
            for word in place.words.iter().flat_map(|(words, _)| words.iter()) {
                assert!(seen.insert(bare(word)), "{}: {word} twice", place.path);
                assert!(!place.keys.contains(word), "{}: {word}", place.path);
            }
        }
    }

    #[test]
    fn slips_are_told_from_other_words() {
        let near = |word| nearest(word, TOP.keys.iter().copied());
        assert_eq!(near("content"), Some("contents"));
        assert_eq!(near("enviroment"), Some("environment"));
        assert_eq!(near("entypoint"), Some("entrypoint"));
        assert_eq!(near("banana"), None);
        assert_eq!(near(&"x".repeat(100_000)), None);
    }
}
