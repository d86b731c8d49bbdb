//! What keeps an image from starting, in words.

use std::fmt;
use std::io;

use assemble_apk::KNOWN_REPOSITORIES;
use assemble_types::{Arch, Explain, ImagePath, Kind, Mode, Owner, Platform};

use super::advice;
use super::elf::{ElfError, Language};
use super::libraries::{Libc, LibraryFault};
use crate::shown::shown;

/// Folders that every user may go through once the package with the layout of a system is there.
const LAYOUT: [&str; 10] = ["bin", "etc", "home", "lib", "media", "mnt", "opt", "sbin", "srv", "usr"];
/// How many libraries a hint names.
const MAX_LIBRARIES: usize = 20;

/// Where a command was looked for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Searched {
    /// At a path; this is the first part of it that is not there.
    Path(ImagePath),
    /// At a path that is a link or leads through one, to this place.
    Link(ImagePath),
    /// At a path that goes through this, which is no folder.
    ThroughFile(ImagePath),
    /// At a path whose links lead in a circle.
    Circle,
    /// In the folders of this PATH.
    Folders(String),
    /// Nowhere: the command is empty or no possible path.
    Nowhere,
}

/// The user a container runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl fmt::Display for StartUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// Where a folder's mode and owner come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderSource {
    /// From the spec's own files.
    Spec,
    /// From a package or the base files, as it should be.
    Package,
    /// From nothing that brings it: it was made with the packages, as the home of an account is.
    Home,
}

/// What is wrong with the first line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShebangFault {
    /// Nothing behind `#!`.
    Empty,
    /// The kernel reads 256 bytes, and the interpreter's path is longer.
    TooLong,
    /// The line ends with a carriage return, which becomes a part of the name.
    CarriageReturn,
    /// `env` is given several words, which the kernel passes as one.
    Unsplit {
        /// The words.
        words: String,
    },
    /// One interpreter is a script of another, and so on, more often than the kernel allows.
    TooDeep,
}

/// One thing that keeps an image from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartProblem {
    /// Runtimes refuse a relative working folder.
    #[error("the work-dir `{work_dir}` is not absolute")]
    WorkDirRelative {
        /// As given.
        work_dir: String,
    },
    /// The working folder is something else.
    #[error("the work-dir `{work_dir}` cannot be entered: {found} is no folder")]
    WorkDirNotAFolder {
        /// As given.
        work_dir: String,
        /// What is there.
        found: ImagePath,
    },
    /// The command is not there.
    #[error("{}", not_found(.command, .searched))]
    NotFound {
        /// As given.
        command: String,
        /// `entrypoint` or `cmd`.
        field: &'static str,
        /// Where it was looked for.
        searched: Searched,
        /// Programs of the image that may be meant, the best first.
        near: Vec<ImagePath>,
        /// The one program that the spec places as its binary, if no name is like the command's.
        binary: Option<ImagePath>,
    },
    /// A folder on the way is closed to the user.
    #[error(
        "{command} cannot be reached by user {user}: {folder} is closed to it (mode {mode}, owner {owner})"
    )]
    NoSearchPermission {
        /// What is to be run, as given.
        command: String,
        /// The closed folder.
        folder: ImagePath,
        /// Its mode.
        mode: Mode,
        /// Its owner.
        owner: Owner,
        /// Who wants to go through.
        user: StartUser,
        /// Where its mode and owner come from.
        placed_by: FolderSource,
    },
    /// The file may not be run by the user.
    #[error("{file} is not executable for user {user} (mode {mode}, owner {owner})")]
    NotExecutable {
        /// The file.
        file: ImagePath,
        /// Its mode.
        mode: Mode,
        /// Its owner.
        owner: Owner,
        /// Who wants to run it.
        user: StartUser,
    },
    /// A folder or device.
    #[error("{file} is a {what}, not a program")]
    NotAFile {
        /// What is to be run.
        file: ImagePath,
        /// `folder` or `device`.
        what: &'static str,
    },
    /// The interpreter of a script may not read it.
    #[error("the script {script} cannot be read by user {user} (mode {mode}, owner {owner})")]
    NotReadable {
        /// The script.
        script: ImagePath,
        /// Its mode.
        mode: Mode,
        /// Its owner.
        owner: Owner,
        /// Who wants to read it.
        user: StartUser,
    },
    /// Built for another CPU.
    #[error("{file} is built for {found}, the image is for {expected}")]
    WrongCpu {
        /// The program or its loader.
        file: ImagePath,
        /// What it is built for, in words.
        found: String,
        /// The same, if images can be for it.
        platform: Option<Platform>,
        /// The image's platform.
        expected: Platform,
        /// What it is written in, if it is the user's own and not a package's.
        own: Option<Language>,
    },
    /// Built for another operating system.
    #[error("{file} is built for {found}, the image is for {expected}")]
    NotLinux {
        /// The program.
        file: ImagePath,
        /// The operating system and format.
        found: &'static str,
        /// The image's platform.
        expected: Platform,
    },
    /// Nothing that the kernel can run.
    #[error("{file} is {what}, which the kernel cannot run")]
    NotAProgram {
        /// The file.
        file: ImagePath,
        /// What it is.
        what: &'static str,
    },
    /// A damaged program.
    #[error("{file} is a damaged program")]
    Damaged {
        /// The program or its loader.
        file: ImagePath,
        /// What is wrong.
        #[source]
        source: ElfError,
    },
    /// The first line of a script cannot be used.
    #[error("{}", bad_shebang(.script, .fault))]
    BadShebang {
        /// The script.
        script: ImagePath,
        /// What is wrong.
        fault: ShebangFault,
    },
    /// The program that a script asks for is not there.
    #[error("the script {script} needs `{interpreter}`, which is not in the image{}", in_path(.path.as_ref()))]
    NoInterpreter {
        /// The script.
        script: ImagePath,
        /// Its interpreter, as the script names it.
        interpreter: String,
        /// The PATH that was searched, where the script leaves it to `env`.
        path: Option<String>,
    },
    /// The loader of a dynamic program is not there.
    #[error("{program} needs the loader {loader}, which is not in the image")]
    NoLoader {
        /// The program.
        program: ImagePath,
        /// The loader, as the program names it.
        loader: String,
        /// Libraries that are missing as well, beside those that come with the loader. Each is a problem of its own.
        libraries: Vec<String>,
        /// The loader of another C library that the image has instead.
        other: Option<ImagePath>,
        /// What the program is written in, if it is the user's own and not a package's.
        own: Option<Language>,
        /// The image's platform.
        expected: Platform,
    },
    /// A library is not there, or not usable.
    #[error("{}", missing_library(.library, .needed_by, .fault))]
    MissingLibrary {
        /// The program that does not start for it.
        program: ImagePath,
        /// The library's name.
        library: String,
        /// What asks for it: the program or another library.
        needed_by: ImagePath,
        /// What is wrong.
        fault: LibraryFault,
        /// Where it lies all the same, outside of what the loader searches.
        elsewhere: Option<ImagePath>,
        /// Whether `ld.so.conf` names that place, and only the cache is missing it.
        configured: bool,
        /// What the program is written in, if it is the user's own and building it static has not been advised yet.
        own: Option<Language>,
        /// The program's loader, as the program names it.
        loader: String,
        /// The image's platform.
        expected: Platform,
    },
    /// The file cannot be read now.
    #[error("{file} cannot be read to check it")]
    Unreadable {
        /// The file.
        file: ImagePath,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn not_found(command: &str, searched: &Searched) -> String {
    match searched {
        Searched::Path(missing) if missing.to_string() == command => format!("{command} is not in the image"),
        Searched::Path(missing) => format!("`{command}` is not in the image: there is no {missing}"),
        Searched::Link(target) => format!("`{command}` leads to {target}, which is not in the image"),
        Searched::ThroughFile(file) => format!("`{command}` is not in the image: {file} is no folder"),
        Searched::Circle => format!("`{command}` leads through links in a circle"),
        Searched::Folders(path) => format!("`{command}` is in no folder of PATH ({path})"),
        Searched::Nowhere => format!("`{command}` is no possible command"),
    }
}

fn bad_shebang(script: &ImagePath, fault: &ShebangFault) -> String {
    let why = match fault {
        ShebangFault::Empty => "names no interpreter behind `#!`".to_owned(),
        ShebangFault::TooLong => "is longer than the 256 bytes that the kernel reads".to_owned(),
        ShebangFault::CarriageReturn => {
            "ends with a carriage return, which becomes part of the name".to_owned()
        }
        ShebangFault::Unsplit { words } => {
            format!("makes env look for a program named `{words}`, blanks included")
        }
        ShebangFault::TooDeep => "leads through more interpreters than the kernel follows".to_owned(),
    };
    format!("the first line of the script {script} {why}")
}

fn in_path(path: Option<&String>) -> String {
    path.map(|path| format!(" (PATH is {path})")).unwrap_or_default()
}

fn missing_library(library: &str, by: &ImagePath, fault: &LibraryFault) -> String {
    match fault {
        LibraryFault::Absent => format!("{by} needs the library {library}, which its loader will not find"),
        LibraryFault::WrongCpu { path, found } => {
            format!("{by} needs the library {library}, but {path} is built for {found}")
        }
        LibraryFault::Unreadable { path } => {
            format!("{by} needs the library {library}, but {path} is closed to the image's user")
        }
        LibraryFault::NotALibrary { path } => {
            format!("{by} needs the library {library}, but {path} is no library")
        }
    }
}

impl Explain for StartProblem {
    fn code(&self) -> &'static str {
        match self {
            Self::WorkDirRelative { .. } | Self::WorkDirNotAFolder { .. } => "start/work-dir",
            Self::NotFound { .. } => "start/not-found",
            Self::NoSearchPermission { .. } => "start/no-search-permission",
            Self::NotExecutable { .. } => "start/not-executable",
            Self::NotReadable { .. } => "start/not-readable",
            Self::WrongCpu { .. } => "start/wrong-cpu",
            Self::NotLinux { .. } => "start/not-linux",
            Self::NotAFile { .. } | Self::NotAProgram { .. } => "start/not-a-program",
            Self::Damaged { .. } => "start/damaged",
            Self::BadShebang { .. } => "start/bad-shebang",
            Self::NoInterpreter { .. } | Self::NoLoader { .. } => "start/no-interpreter",
            Self::MissingLibrary { .. } => "start/missing-library",
            Self::Unreadable { .. } => "start/unreadable",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { .. } => Kind::Host,
            _ => Kind::WouldNotStart,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::WorkDirRelative { work_dir } => {
                vec![format!("write `work-dir: /{}`", work_dir.trim_start_matches("./"))]
            }
            Self::WorkDirNotAFolder { .. } => vec!["give a folder as `work-dir`".to_owned()],
            Self::NotFound { searched: Searched::Circle, .. } => {
                vec!["let the links lead to a program".to_owned()]
            }
            Self::NotFound { searched: Searched::Nowhere, field, .. } => {
                vec![format!("name a program: `{field}: /usr/bin/NAME`")]
            }
            Self::NotFound { command, field, near, binary, .. } => {
                not_found_hints(command, field, near, binary.as_ref())
            }
            Self::NoSearchPermission { folder, owner, user, placed_by, .. } => {
                closed_folder_hints(folder, *owner, *user, *placed_by)
            }
            Self::NotExecutable { file, .. } => vec![
                format!("`permissions: 0755` where the spec places {file}"),
                format!("or `chmod +x` the file it is made of: {}", name_of(file)),
            ],
            Self::NotReadable { script, .. } => {
                vec![format!(
                    "`permissions: 0755` where the spec places {script}: an interpreter has to read it"
                )]
            }
            Self::NotAFile { what: "device", .. } => vec!["name a program".to_owned()],
            Self::NotAFile { file, .. } => {
                vec![format!("name the program in it, such as `entrypoint: {file}/NAME`")]
            }
            Self::WrongCpu { platform, expected, own, .. } => {
                let mut hints = match own {
                    Some(language) => advice::cross_build(*language, *expected),
                    None => vec![format!("take the packages built for {}", expected.arch.apk())],
                };
                hints.extend(platform.map(|found| format!("or make the image for it: `--platform {found}`")));
                hints
            }
            Self::NotLinux { expected, .. } => advice::cross_build(Language::Unknown, *expected),
            Self::NotAProgram { what, .. } => not_a_program_hints(what),
            Self::Damaged { file, .. } => vec![format!("build or copy {} again", name_of(file))],
            Self::BadShebang { script, fault } => bad_shebang_hints(script, fault),
            Self::NoInterpreter { interpreter, .. } => vec![format!(
                "add the package that has it: `{}` in `contents.packages`, or place it with `contents.files`",
                package_of_command(interpreter)
            )],
            Self::NoLoader { loader, libraries, other, own, expected, .. } => {
                no_loader_hints(loader, libraries, other.as_ref(), *own, *expected)
            }
            Self::MissingLibrary { .. } => self.library_hints(),
            Self::Unreadable { .. } => Vec::new(),
        }
    }
}

impl StartProblem {
    fn library_hints(&self) -> Vec<String> {
        let Self::MissingLibrary { library, fault, elsewhere, configured, own, loader, expected, .. } = self
        else {
            return Vec::new();
        };
        let mut hints = Vec::new();
        if let (LibraryFault::Absent, Some(path)) = (fault, elsewhere) {
            let folder = path.parent().unwrap_or_default();
            let why = if *configured {
                " (/etc/ld.so.conf names that folder, but the loader only reads /etc/ld.so.cache)"
            } else {
                ""
            };
            hints.push(format!("it is at {path}{why}: `environment: {{LD_LIBRARY_PATH: {folder}}}`"));
        } else if let LibraryFault::Unreadable { path } = fault {
            hints.push(format!("open it for reading where the spec places {path}"));
        } else {
            hints.push(format!("add the package that has it: `so:{library}` in `contents.packages`"));
        }
        let advice = own.map(|language| static_build(language, *expected, loader)).unwrap_or_default();
        hints.extend(advice.into_iter().map(|hint| format!("or {hint}")));
        hints
    }
}

fn name_of(file: &ImagePath) -> String {
    shown(file.file_name().unwrap_or_default())
}

fn closed_folder_hints(
    folder: &ImagePath,
    owner: Owner,
    user: StartUser,
    placed_by: FolderSource,
) -> Vec<String> {
    let run_as = format!("run as its owner, `run-as: {}`, instead of as {user}", owner.uid);
    match placed_by {
        FolderSource::Spec => vec![
            format!("open the folder: `permissions: 0755` where the spec places {folder}"),
            format!("or {run_as}"),
        ],
        FolderSource::Package => vec![run_as, format!("or place the program outside of {folder}")],
        FolderSource::Home => vec![home_hint(folder), format!("or {run_as}")],
    }
}

fn home_hint(folder: &ImagePath) -> String {
    if LAYOUT.iter().any(|name| folder.as_bytes() == name.as_bytes()) {
        return format!(
            "no package brings {folder}, so it is closed as a home is; add one that does: \
             `alpine-baselayout` in `contents.packages`"
        );
    }
    format!("no package brings {folder}, so it is closed as a home is; place the program outside of it")
}

fn not_found_hints(
    command: &str,
    field: &str,
    near: &[ImagePath],
    binary: Option<&ImagePath>,
) -> Vec<String> {
    if let Some((program, _)) = command.split_once(char::is_whitespace) {
        let items: Vec<_> = command.split_whitespace().collect();
        return vec![format!(
            "`{program}` and its arguments are items of their own: `{field}: [{}]`",
            items.join(", ")
        )];
    }
    let mut hints: Vec<String> =
        near.iter().chain(binary).map(|path| format!("{path} is there: `{field}: {path}`")).collect();
    if near.is_empty() {
        let or = if binary.is_some() { "or " } else { "" };
        hints.push(format!(
            "{or}place it with `contents.binary` or `contents.files`, or add the package that has it: `{}`",
            package_of_command(command)
        ));
    }
    hints
}

/// The package name under which a program's package is found.
fn package_of_command(command: &str) -> String {
    let name = command.trim_end_matches('/').rsplit('/').next().unwrap_or(command);
    match name {
        "sh" | "ash" => "busybox".to_owned(),
        "env" => "coreutils".to_owned(),
        _ => format!("cmd:{name}"),
    }
}

fn not_a_program_hints(what: &str) -> Vec<String> {
    let hint = if what.starts_with("a text") {
        "give it a first line such as `#!/bin/sh`, and the image that interpreter"
    } else if what.starts_with("a script") {
        "save it without the byte order mark"
    } else if what.contains("JAR") || what.contains("Java") {
        "start it with Java: `entrypoint: [/usr/bin/java, -jar, …]`"
    } else if what.contains("compressed") {
        "unpack it first"
    } else if what.contains("empty") {
        "build it again: a build or a download has failed"
    } else {
        "name an executable as entrypoint"
    };
    vec![hint.to_owned()]
}

fn bad_shebang_hints(script: &ImagePath, fault: &ShebangFault) -> Vec<String> {
    let name = name_of(script);
    vec![match fault {
        ShebangFault::Empty => format!("give {name} a first line such as `#!/bin/sh`"),
        ShebangFault::TooLong => format!("shorten the first line of {name}"),
        ShebangFault::CarriageReturn => {
            format!("give it Unix line ends in the source of {script}: `sed -i 's/\\r$//' SOURCE`")
        }
        ShebangFault::Unsplit { words } => format!("write `#!/usr/bin/env -S {words}`"),
        ShebangFault::TooDeep => format!("let {name} name a program, not another script"),
    }]
}

fn static_build(language: Language, expected: Platform, loader: &str) -> Vec<String> {
    let musl = matches!(Libc::of_interpreter(loader.as_bytes()), Libc::Musl(_));
    advice::static_build(language, expected, musl)
}

/// Lines of a spec that bring the C library of a loader, and more libraries with it.
fn with_loader(loader: &str, libraries: &[String], platform: Platform) -> Option<String> {
    let (distribution, repository, package) = match Libc::of_interpreter(loader.as_bytes()) {
        Libc::Glibc => ("Wolfi", "Wolfi", "glibc"),
        Libc::Musl(_) => ("Alpine", "Alpine main", "musl"),
        Libc::Unknown => return None,
    };
    if distribution == "Wolfi" && !matches!(platform.arch, Arch::X86_64 | Arch::Aarch64) {
        return Some(format!(
            "or give the image the loader: the package `glibc` for {}",
            platform.arch.apk()
        ));
    }
    let repository = KNOWN_REPOSITORIES.iter().find(|known| known.name == repository)?.url;
    // Other characters might mean something in YAML.
    let is_plain = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
    let libraries = libraries.iter().filter(is_plain).take(MAX_LIBRARIES).map(|name| format!(", so:{name}"));
    Some(format!(
        "or give the image the loader, from {distribution}:\n\
         contents:\n\
         \x20 repositories: [{repository}]\n\
         \x20 packages: [{package}{}]",
        libraries.collect::<String>()
    ))
}

fn no_loader_hints(
    loader: &str,
    libraries: &[String],
    other: Option<&ImagePath>,
    own: Option<Language>,
    expected: Platform,
) -> Vec<String> {
    let Some(language) = own else {
        return vec![
            "take all packages from one distribution: this one is of another than the C library".to_owned(),
        ];
    };
    let mut hints = static_build(language, expected, loader);
    let package = match (Libc::of_interpreter(loader.as_bytes()), other) {
        (Libc::Glibc | Libc::Musl(_), None) => with_loader(loader, libraries, expected),
        (Libc::Glibc, Some(other)) => Some(format!(
            "or build it where the image's packages come from: it asks for glibc, the image has musl ({other})"
        )),
        (Libc::Musl(_), Some(other)) => Some(format!(
            "or build it where the image's packages come from: it asks for musl, the image has glibc ({other})"
        )),
        (Libc::Unknown, _) => None,
    };
    hints.extend(package);
    hints
}
