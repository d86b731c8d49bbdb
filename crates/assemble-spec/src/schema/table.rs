//! The table itself, in the order in which help lists the keys.

use super::{Key, Place, Shape, Whose};

const FILES_EXAMPLE: &str =
    "name what is copied:\ncontents:\n  files:\n    - source: ./static\n      path: /srv/static";
const NO_BASE: &str = "there is no base image: the contents are listed. `contents.packages` with `contents.repositories` brings what a \
     distribution has; without packages, users, CA certificates and time zones are there anyway";
const NAMED_BY_TAG: &str = "the name is not part of the content: give it with `--tag` when building";
const RUN_NOTE: &str =
    "nothing runs while an image is put together: bring the result as a package, or with `contents.files`";
const PORTS: &str = "write `ports: [{value|8080}]`";
const RUN_AS: &str = "write it below `accounts`:\naccounts:\n  run-as: {value|65532}";

const TEXTS: Shape = Shape::List(&Shape::Text);
const WORDS: Shape = Shape::Either(&[Shape::Text, TEXTS]);

const fn apkos(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { name, about, shape, whose: Whose::Apkos }
}

const fn ours(name: &'static str, about: &'static str, shape: Shape) -> Key {
    Key { name, about, shape, whose: Whose::Ours }
}

pub(crate) static TOP: Place = Place {
    path: "",
    keys: &[
        apkos("contents", "What goes into the image.", Shape::Map(&CONTENTS)),
        apkos(
            "entrypoint",
            "What a container starts: a list of words; a text, split like a shell does but run by none; or a map.",
            Shape::Either(&[Shape::Text, TEXTS, Shape::Map(&ENTRYPOINT)]),
        ),
        apkos("cmd", "Default arguments of the entrypoint: a list, or a text that is split.", WORDS),
        apkos("environment", "Environment variables, names to values.", Shape::TextMap),
        apkos("work-dir", "The folder that a container starts in, an absolute path.", Shape::Text),
        ours("ports", "Ports that the program listens on: `8080`, `53/udp`.", TEXTS),
        apkos("volumes", "Absolute paths that are meant to be mounts.", TEXTS),
        apkos("stop-signal", "The signal that ends a container, such as `SIGTERM`.", Shape::Text),
        apkos("annotations", "Annotations of the manifest, and labels of the image.", Shape::TextMap),
        apkos("accounts", "Users and groups, and who the image runs as.", Shape::Map(&ACCOUNTS)),
        apkos(
            "archs",
            "Platforms to build for, in any spelling: `amd64`, `x86_64`, `linux/arm64`, `armv7`.",
            Shape::List(&Shape::Platform),
        ),
        apkos(
            "certificates",
            "Authorities that the image trusts beside those it has anyway.",
            Shape::Map(&CERTIFICATES),
        ),
        apkos(
            "include",
            "Another spec, a path from this spec's folder. What this one says wins, lists are joined.",
            Shape::Text,
        ),
        apkos(
            "paths",
            "Folders, empty files, links, owners and permissions, made after the packages are in, in this order.",
            Shape::List(&Shape::Map(&PATH)),
        ),
        apkos(
            "layering",
            "How packages are spread over layers; without it, all share one.",
            Shape::Map(&LAYERING),
        ),
        apkos(
            "vcs-url",
            "Where this spec's source is, as `URL@REVISION`: annotations of the index say so.",
            Shape::Text,
        ),
        apkos("format", "The format of layers; only `tar`.", Shape::Choice(&["tar", ""])),
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

pub(crate) static CONTENTS: Place = Place {
    path: "contents",
    keys: &[
        apkos(
            "repositories",
            "Repositories of packages, for building and for the image: a folder, or a `file:`, `http:` or `https:` URL; `@tag URL` for packages that ask for the tag.",
            TEXTS,
        ),
        apkos("build_repositories", "Repositories for building only.", TEXTS),
        apkos("runtime_repositories", "Repositories that are only written into the image.", TEXTS),
        apkos("keyring", "Public keys that indexes are signed with: paths or URLs.", TEXTS),
        apkos("packages", "Packages: `name`, `name=1.2-r0`, `name>=1`, `name~1.2`, `name@tag`.", TEXTS),
        ours(
            "binary",
            "The program that the image is for: a path; paths by platform; or `source`, `path`, `permissions`.",
            Shape::Either(&[Shape::Text, Shape::Map(&BINARY), Shape::PlatformMap]),
        ),
        ours(
            "files",
            "Files and folders of the host that are copied into the image.",
            Shape::List(&Shape::Map(&FILE)),
        ),
        ours(
            "base-files",
            "Users, CA certificates and time zones for an image without packages: all, none, or each on its own.",
            Shape::Either(&[Shape::Truth, Shape::Choice(&["all", "none"]), Shape::Map(&BASE_FILES)]),
        ),
        apkos(
            "runtime_keyring",
            "Public keys that are put into `/etc/apk/keys` and prove nothing while building.",
            Shape::List(&Shape::Map(&RUNTIME_KEY)),
        ),
        apkos("baseimage", "An image that this one is stacked on.", Shape::Map(&BASE_IMAGE)),
    ],
    words: &[
        (&["apk", "apks", "apt", "install", "deps", "dependencies", "world"], "write `packages`"),
        (&["repo", "repos", "mirrors", "sources", "indexes"], "write `repositories`"),
        (&["key", "keys", "trusted-keys", "signing-keys"], "write `keyring`"),
        (
            &["copy", "add", "file", "assets"],
            "write `files`:\ncontents:\n  files:\n    - source: ./static\n      path: /srv/static",
        ),
        (&["bin", "binaries", "program", "executable", "app", "exe"], "write `binary`"),
        (&["from", "base", "image"], NO_BASE),
        (&["base-file", "distroless", "skeleton"], "write `base-files`"),
        (&["run", "steps", "pipeline"], RUN_NOTE),
        (&["certs", "ca", "cas"], "write `certificates` at the top level"),
    ],
};

pub(crate) static RUNTIME_KEY: Place = Place {
    path: "contents.runtime_keyring[]",
    keys: &[
        apkos("name", "The file's name below `/etc/apk/keys`.", Shape::Text),
        apkos("content", "The public key, as PEM.", Shape::Text),
    ],
    words: &[
        (&["key", "pem", "data", "text"], "write `content`"),
        (&["file", "path"], "write the key itself as `content`, and its file name as `name`"),
    ],
};

pub(crate) static BASE_IMAGE: Place = Place {
    path: "contents.baseimage",
    keys: &[
        apkos("image", "The folder of the base image, in the OCI layout.", Shape::Text),
        apkos(
            "apkindex",
            "A folder with `<arch>/APKINDEX`: the installed database of the base, as text.",
            Shape::Text,
        ),
    ],
    words: &[
        (&["path", "layout", "source", "ref", "reference"], "write `image`"),
        (&["index", "database", "installed", "metadata"], "write `apkindex`"),
    ],
};

pub(crate) static BINARY: Place = Place {
    path: "contents.binary",
    keys: &[
        ours(
            "source",
            "The program on the host: a path, or paths by platform.",
            Shape::Either(&[Shape::Text, Shape::PlatformMap]),
        ),
        ours(
            "path",
            "Where it goes, from the image's root; `/usr/bin/` and its own name if not given.",
            Shape::Text,
        ),
        ours("permissions", "Its mode, such as `0755`.", Shape::Permissions),
    ],
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

pub(crate) static FILE: Place = Place {
    path: "contents.files[]",
    keys: &[
        ours("source", "A file or a folder, relative to the spec's folder.", Shape::Text),
        ours("path", "The whole path of it in the image, not the folder it goes into.", Shape::Text),
        ours(
            "permissions",
            "The mode of every file; if not given, 0755 or 0644 as the owner may execute it.",
            Shape::Permissions,
        ),
        ours("uid", "Number of the owner; 0 if not given.", Shape::Number),
        ours("gid", "Number of the group; 0 if not given.", Shape::Number),
        ours("exclude", "Patterns, relative to a source that is a folder: `*.map`, `cache/**`.", TEXTS),
    ],
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

pub(crate) static BASE_FILES: Place = Place {
    path: "contents.base-files",
    keys: &[
        ours("certificates", "Whether the CA bundle is added.", Shape::Truth),
        ours("time-zones", "Whether the time zone database is added.", Shape::Truth),
    ],
    words: &[
        (&["ca", "ca-certificates", "certs", "tls"], "write `certificates`"),
        (&["tz", "tzdata", "zoneinfo", "timezone", "zones"], "write `time-zones`"),
    ],
};

pub(crate) static ENTRYPOINT: Place = Place {
    path: "entrypoint",
    keys: &[
        apkos("type", "`service-bundle` runs `services` under s6; other texts say nothing.", Shape::Text),
        apkos("command", "The program and its arguments, one text that is split into words.", Shape::Text),
        apkos(
            "shell-fragment",
            "A line for `/bin/sh -c`; the image needs a shell. Wins over `command`.",
            Shape::Text,
        ),
        apkos("services", "Services of s6: names to commands, each run by `execlineb`.", Shape::TextMap),
    ],
    words: &[
        (&["cmd", "exec", "program", "path"], "write `command`"),
        (&["args", "arguments"], "write them behind the program in `command`, or in `cmd` at the top level"),
        (&["shell", "script", "sh", "fragment"], "write `shell-fragment`"),
    ],
};

pub(crate) static ACCOUNTS: Place = Place {
    path: "accounts",
    keys: &[
        apkos(
            "run-as",
            "Who the image runs as: a number, a name, or `65532:65532` with a group.",
            Shape::Text,
        ),
        apkos("users", "Users that are added to the image.", Shape::List(&Shape::Map(&USER))),
        apkos("groups", "Groups that are added to the image.", Shape::List(&Shape::Map(&GROUP))),
    ],
    words: &[
        (&["user", "uid", "runas", "username", "run-as-user", "default"], "write `run-as`"),
        (&["group", "gid", "run-as-group"], "write it behind the user: `run-as: 65532:65532`"),
    ],
};

pub(crate) static USER: Place = Place {
    path: "accounts.users[]",
    keys: &[
        apkos("username", "The login name.", Shape::Text),
        apkos("uid", "Its number, not 0.", Shape::Number),
        apkos("gid", "The number of its group; that of `uid` if not given.", Shape::Number),
        apkos("shell", "Its shell; `/bin/sh` if not given.", Shape::Text),
        apkos("homedir", "Its home; `/home/` and its name if not given.", Shape::Text),
    ],
    words: &[
        (&["name", "user", "login"], "write `username`"),
        (&["id", "user-id"], "write `uid`"),
        (&["group", "group-id"], "write `gid`, as a number"),
        (&["home", "directory", "dir"], "write `homedir`"),
    ],
};

pub(crate) static GROUP: Place = Place {
    path: "accounts.groups[]",
    keys: &[
        apkos("groupname", "The group's name.", Shape::Text),
        apkos("gid", "Its number.", Shape::Number),
        apkos("members", "Names of users that are in it beside those that have it as their own.", TEXTS),
    ],
    words: &[
        (&["name", "group"], "write `groupname`"),
        (&["id", "group-id"], "write `gid`"),
        (&["users"], "write `members`"),
    ],
};

pub(crate) static PATH: Place = Place {
    path: "paths[]",
    keys: &[
        apkos("path", "Where in the image.", Shape::Text),
        apkos(
            "type",
            "What is made there; `permissions` only sets owner and mode.",
            Shape::Choice(&["directory", "empty-file", "hardlink", "symlink", "permissions"]),
        ),
        apkos("uid", "Number of the owner; left as it is if not given.", Shape::Number),
        apkos("gid", "Number of the group; left as it is if not given.", Shape::Number),
        apkos("permissions", "The mode, such as `0o755`; 0 if not given.", Shape::Permissions),
        apkos("source", "What a link leads to.", Shape::Text),
        apkos("recursive", "Whether owner and mode are set for everything below as well.", Shape::Truth),
    ],
    words: &[
        (&["mode", "chmod", "perms"], "write `permissions`"),
        (&["user", "owner", "chown"], "write `uid` and `gid`, as numbers"),
        (&["group"], "write `gid`, as a number"),
        (&["target", "to", "link"], "write `source`: what the link at `path` leads to"),
        (&["recurse"], "write `recursive: true`"),
        (&["kind"], "write `type`"),
        (&["content", "data", "text"], "bring the file with `contents.files`"),
    ],
};

pub(crate) static LAYERING: Place = Place {
    path: "layering",
    keys: &[
        apkos(
            "strategy",
            "`origin`: packages built from the same source share a layer. `package`: each is a layer of its own, just as \
             its distribution packed and signed it.",
            Shape::Choice(&["origin", "package", ""]),
        ),
        apkos(
            "budget",
            "Most layers of packages; one more holds what belongs to none. With `strategy: package` 100 if it is not \
             said.",
            Shape::Number,
        ),
    ],
    words: &[
        (&["type", "mode", "by"], "write `strategy: origin`"),
        (&["max", "count", "layers", "limit", "max-layers"], "write `budget`"),
    ],
};

pub(crate) static CERTIFICATES: Place = Place {
    path: "certificates",
    keys: &[
        apkos(
            "additional",
            "Certificates of authorities, in the spec or in files.",
            Shape::List(&Shape::Map(&CERTIFICATE)),
        ),
        apkos("providers", "Names that packages provide whose certificates are taken up.", TEXTS),
    ],
    words: &[(&["ca", "cas", "extra", "files", "certs", "bundle"], "write `additional`")],
};

pub(crate) static CERTIFICATE: Place = Place {
    path: "certificates.additional[]",
    keys: &[
        apkos("name", "A name for it: letters, digits, `_`, `.`, `-`.", Shape::Text),
        apkos("content", "The certificate, as PEM.", Shape::Text),
        ours("source", "A PEM file, relative to the spec's folder, instead of `content`.", Shape::Text),
    ],
    words: &[
        (&["file", "path", "src", "from"], "write `source`"),
        (&["pem", "data", "text", "cert", "certificate"], "write `content`"),
    ],
};
