//! Whether a container of the image would start, found out without starting it.
//!
//! # Why it is the way it is
//! The look-up is the one of runc: it changes to the working folder as root, gives up root, searches PATH, and calls
//! execve. From there the kernel's and the loader's own rules are followed, each in its own module. Where a rule
//! depends on what cannot be known here (an unknown loader, an `env` that changes PATH), nothing is reported: an image
//! that can start must never be refused.

mod advice;
mod elf;
mod format;
mod ld_cache;
mod libraries;
mod near;
mod problem;
mod script;
mod walk;

use std::collections::BTreeSet;

use assemble_types::{Blob, ImagePath, Mode, Owner, Platform};

use crate::shown::shown;
use crate::tree::{Body, Meta, NodeId, Part, Tree};
use elf::{Elf, ElfType};
use format::Format;
use libraries::{Libc, Missing, Search, same_cpu};
use walk::{Found, Miss, Right, User, Walker};

pub use elf::{ElfError, Language};
pub use format::{ElfIdentity, elf_platform};
pub use libraries::LibraryFault;
pub use problem::{FolderSource, Searched, ShebangFault, StartProblem, StartUser};

/// The PATH that runtimes set where the image has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many scripts in a row the kernel follows (`exec_binprm`).
const MAX_SCRIPTS: u32 = 5;
/// How many times `env` may start another script of `env` before it is taken for a circle.
const MAX_ENV: u32 = 16;

/// How the image is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// What the image is for.
    pub platform: Platform,
    /// The entrypoint, program first.
    pub entrypoint: Vec<String>,
    /// What follows it; the program where there is no entrypoint.
    pub cmd: Vec<String>,
    /// `PATH` of the image's environment.
    pub env_path: Option<String>,
    /// `LD_LIBRARY_PATH` of the image's environment.
    pub env_library_path: Option<String>,
    /// The working folder.
    pub work_dir: Option<String>,
    /// User and group id.
    pub user: (u32, u32),
}

/// All that keeps the image from starting; nothing if it starts, or if there is nothing to start.
pub fn check_start(tree: &Tree, request: &StartRequest) -> Vec<StartProblem> {
    let field = if request.entrypoint.is_empty() { "cmd" } else { "entrypoint" };
    let Some(command) = request.entrypoint.iter().chain(&request.cmd).next() else { return Vec::new() };
    let user = User { uid: request.user.0, gid: request.user.1 };
    let mut walker = Walker::new(tree, user);
    let with_work_dir;
    if let Some(work_dir) = request.work_dir.as_deref().filter(|dir| !dir.is_empty()) {
        if !work_dir.starts_with('/') {
            return vec![StartProblem::WorkDirRelative { work_dir: shown(work_dir) }];
        }
        match walker.change_directory(work_dir.as_bytes()) {
            Ok(()) => {}
            Err(Miss::NotAFolder(found)) => {
                return vec![StartProblem::WorkDirNotAFolder { work_dir: shown(work_dir), found }];
            }
            // The runtime makes it. A copy of the tree has it, so that relative paths lead where they will.
            Err(_) => {
                if let Some(copy) = with_folder(tree, work_dir) {
                    with_work_dir = copy;
                    walker = Walker::new(&with_work_dir, user);
                    let _ = walker.change_directory(work_dir.as_bytes());
                }
            }
        }
    }
    let mut check = Check { walker, request, problems: Vec::new(), checked: BTreeSet::new() };
    match check.command(command) {
        Ok(found) => check.program(&found, Depth::default()),
        Err(fault) => {
            let problem = check.explain(command, field, fault);
            check.problems.push(problem);
        }
    }
    check.problems
}

/// What is worth knowing about how the image starts and no reason to refuse it.
pub fn start_notes(tree: &Tree, request: &StartRequest) -> Vec<String> {
    let Some(work_dir) = request.work_dir.as_deref().filter(|dir| dir.starts_with('/')) else {
        return Vec::new();
    };
    let mut walker = Walker::new(tree, User { uid: 0, gid: 0 });
    if !matches!(walker.change_directory(work_dir.as_bytes()), Err(Miss::Absent { .. })) {
        return Vec::new();
    }
    let (uid, gid) = request.user;
    let owner = if uid == 0 { String::new() } else { format!(", where user {uid}:{gid} cannot write") };
    vec![format!(
        "the work-dir {} is not in the image; the runtime makes it, owned by root{owner}",
        shown(work_dir)
    )]
}

fn with_folder(tree: &Tree, path: &str) -> Option<Tree> {
    let mut copy = tree.clone();
    let meta = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
    copy.make_directories(&ImagePath::parse(path).ok()?, meta, Part::Binary).ok()?;
    Some(copy)
}

/// Why a file cannot be run.
enum Fault {
    Miss(Miss),
    NotInPath(String),
    NotExecutable(Found),
    NotAFile(Found, &'static str),
}

/// How far a program is from the image's own command.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    /// Scripts that the kernel has gone through in this execve.
    scripts: u32,
    /// Times that `env` has called execve anew.
    env: u32,
}

struct Check<'t> {
    walker: Walker<'t>,
    request: &'t StartRequest,
    problems: Vec<StartProblem>,
    /// Programs that were looked at: `env` and what it runs are often one.
    checked: BTreeSet<NodeId>,
}

impl<'t> Check<'t> {
    fn user(&self) -> StartUser {
        StartUser { uid: self.walker.user.uid, gid: self.walker.user.gid }
    }

    fn path(&self) -> &'t str {
        self.request.env_path.as_deref().unwrap_or(DEFAULT_PATH)
    }

    /// The file at a path, if the user may run it.
    fn executable(&self, raw: &[u8]) -> Result<Found, Fault> {
        let found = self.walker.find(raw).map_err(Fault::Miss)?;
        let node = self.walker.tree.node(found.node);
        match node.body {
            Body::Directory(_) => Err(Fault::NotAFile(found, "folder")),
            Body::CharDevice { .. } | Body::Symlink(_) => Err(Fault::NotAFile(found, "device")),
            Body::File(_) if self.walker.user.may(Right::Execute, &node.meta, false) => Ok(found),
            Body::File(_) => Err(Fault::NotExecutable(found)),
        }
    }

    /// The program that a command means. runc refuses what is found through a relative folder of PATH.
    fn command(&self, command: &str) -> Result<Found, Fault> {
        if command.contains('/') || command.is_empty() {
            return self.executable(command.as_bytes());
        }
        let mut closest = None;
        for folder in self.path().split(':').filter(|folder| folder.starts_with('/')) {
            match self.executable(format!("{folder}/{command}").as_bytes()) {
                Ok(found) => return Ok(found),
                Err(fault @ (Fault::NotExecutable(_) | Fault::Miss(Miss::NoSearch(_)))) => {
                    closest.get_or_insert(fault);
                }
                Err(_) => {}
            }
        }
        Err(closest.unwrap_or_else(|| Fault::NotInPath(shown(self.path()))))
    }

    /// Puts into words why the image's own command cannot be run.
    fn explain(&self, command: &str, field: &'static str, fault: Fault) -> StartProblem {
        let searched = match fault {
            Fault::Miss(Miss::Absent { path, link: true }) => Searched::Link(path),
            Fault::Miss(Miss::Absent { path, link: false }) => Searched::Path(path),
            Fault::Miss(Miss::NotAFolder(path)) => Searched::ThroughFile(path),
            Fault::Miss(Miss::Links) => Searched::Circle,
            Fault::Miss(Miss::Invalid) => Searched::Nowhere,
            Fault::NotInPath(path) => Searched::Folders(path),
            other => return self.closed(command.as_bytes(), other),
        };
        let near = near::programs(self.walker.tree, self.walker.user, command.as_bytes());
        let binary =
            if near.is_empty() { near::sole_binary(self.walker.tree, self.walker.user) } else { None };
        StartProblem::NotFound { command: shown(command), field, searched, near, binary }
    }

    /// Puts into words why something that is there cannot be run.
    fn closed(&self, command: &[u8], fault: Fault) -> StartProblem {
        let user = self.user();
        let meta = |path: &ImagePath| {
            let node = self.walker.tree.resolve(path, false).ok().and_then(|found| found.node);
            self.walker.tree.node(node.unwrap_or(self.walker.tree.root())).meta
        };
        match fault {
            Fault::Miss(Miss::NoSearch(folder)) => {
                let Meta { mode, owner, .. } = meta(&folder);
                let command = shown(command);
                let placed_by = self.folder_source(&folder);
                StartProblem::NoSearchPermission { command, folder, mode, owner, user, placed_by }
            }
            Fault::NotExecutable(Found { path: file, node }) => {
                let Meta { mode, owner, .. } = self.walker.tree.node(node).meta;
                StartProblem::NotExecutable { file, mode, owner, user }
            }
            Fault::NotAFile(found, what) => StartProblem::NotAFile { file: found.path, what },
            Fault::Miss(_) | Fault::NotInPath(_) => StartProblem::NotFound {
                command: shown(command),
                field: "entrypoint",
                searched: Searched::Nowhere,
                near: Vec::new(),
                binary: None,
            },
        }
    }

    fn folder_source(&self, folder: &ImagePath) -> FolderSource {
        let tree = self.walker.tree;
        let Some(id) = tree.get(folder) else { return FolderSource::Spec };
        if tree.node(id).package.is_some() {
            return FolderSource::Package;
        }
        let parent = folder.parent().and_then(|parent| tree.get(&parent));
        let name = folder.file_name().unwrap_or_default();
        match parent.and_then(|parent| tree.child(parent, name)).map(|entry| entry.part) {
            Some(Part::Packages) => FolderSource::Home,
            Some(Part::Base) => FolderSource::Package,
            _ => FolderSource::Spec,
        }
    }

    /// Checks a file that the user may run.
    fn program(&mut self, found: &Found, depth: Depth) {
        let Body::File(blob) = &self.walker.tree.node(found.node).body else { return };
        let head = match format::head(blob) {
            Ok(head) => head,
            Err(source) => {
                return self.problems.push(StartProblem::Unreadable { file: found.path.clone(), source });
            }
        };
        let file = found.path.clone();
        let expected = self.request.platform;
        let problem = match format::of(&head) {
            Format::Elf => return self.elf(found, blob),
            Format::Script => return self.script(found, &head, depth),
            Format::MachO => StartProblem::NotLinux { file, found: "macOS (Mach-O)", expected },
            Format::Pe => StartProblem::NotLinux { file, found: "Windows (PE)", expected },
            Format::Empty => StartProblem::NotAProgram { file, what: "an empty file" },
            Format::Other(what) => StartProblem::NotAProgram { file, what },
        };
        self.problems.push(problem);
    }

    fn script(&mut self, found: &Found, head: &[u8], depth: Depth) {
        let script = found.path.clone();
        let Meta { mode, owner, .. } = self.walker.tree.node(found.node).meta;
        if !self.walker.user.may(Right::Read, &self.walker.tree.node(found.node).meta, false) {
            let user = self.user();
            self.problems.push(StartProblem::NotReadable { script: script.clone(), mode, owner, user });
        }
        let bad = |fault| StartProblem::BadShebang { script: script.clone(), fault };
        if depth.scripts >= MAX_SCRIPTS || depth.env > MAX_ENV {
            return self.problems.push(bad(ShebangFault::TooDeep));
        }
        let line = match script::parse(head) {
            Ok(line) => line,
            Err(script::BadLine::Empty) => return self.problems.push(bad(ShebangFault::Empty)),
            Err(script::BadLine::TooLong) => return self.problems.push(bad(ShebangFault::TooLong)),
        };
        let ends_wrongly = |text: &[u8]| text.ends_with(b"\r");
        let argument = line.argument.as_deref();
        let interpreter = match self.executable(&line.interpreter) {
            Ok(interpreter) => interpreter,
            Err(Fault::Miss(Miss::Absent { .. })) if ends_wrongly(&line.interpreter) => {
                return self.problems.push(bad(ShebangFault::CarriageReturn));
            }
            Err(fault) => return self.no_interpreter(&script, &line.interpreter, fault),
        };
        self.program(&interpreter, Depth { scripts: depth.scripts + 1, ..depth });
        if line.interpreter.rsplit(|b| *b == b'/').next() == Some(b"env") {
            match script::env(argument) {
                script::Env::Runs(name) if ends_wrongly(&name) => {
                    self.problems.push(bad(ShebangFault::CarriageReturn));
                }
                script::Env::Runs(name) => {
                    self.env_target(&script, &name, Depth { scripts: 0, env: depth.env + 1 });
                }
                script::Env::Unsplit => {
                    let words = shown(argument.unwrap_or_default());
                    self.problems.push(bad(ShebangFault::Unsplit { words }));
                }
                script::Env::Unknown => {}
            }
        }
    }

    /// Checks the program that `env` will run. Unlike runc, it takes relative folders of PATH.
    fn env_target(&mut self, script: &ImagePath, name: &[u8], depth: Depth) {
        if name.contains(&b'/') {
            return match self.executable(name) {
                Ok(found) => self.program(&found, depth),
                Err(fault) => self.no_interpreter(script, name, fault),
            };
        }
        let mut closest = None;
        for folder in self.path().split(':') {
            let folder = if folder.is_empty() { "." } else { folder };
            match self.executable(&[folder.as_bytes(), b"/", name].concat()) {
                Ok(found) => return self.program(&found, depth),
                Err(fault @ (Fault::NotExecutable(_) | Fault::Miss(Miss::NoSearch(_)))) => {
                    closest.get_or_insert(fault);
                }
                Err(_) => {}
            }
        }
        let fault = closest.unwrap_or_else(|| Fault::NotInPath(shown(self.path())));
        self.no_interpreter(script, name, fault);
    }

    fn no_interpreter(&mut self, script: &ImagePath, name: &[u8], fault: Fault) {
        let path = match fault {
            Fault::NotExecutable(_) | Fault::NotAFile(..) | Fault::Miss(Miss::NoSearch(_)) => {
                let problem = self.closed(name, fault);
                return self.problems.push(problem);
            }
            Fault::NotInPath(path) => Some(path),
            Fault::Miss(_) => None,
        };
        let interpreter = shown(name);
        self.problems.push(StartProblem::NoInterpreter { script: script.clone(), interpreter, path });
    }

    /// Reads an ELF file and compares its CPU.
    fn read_elf(&mut self, found: &Found, blob: &Blob) -> Option<Elf> {
        let file = found.path.clone();
        let elf = match elf::read(blob) {
            Ok(elf) => elf,
            Err(source) => {
                self.problems.push(StartProblem::Damaged { file, source });
                return None;
            }
        };
        let expected = self.request.platform;
        if !same_cpu(elf.platform, expected) {
            let own = self.own(found, elf.language);
            let Elf { platform, machine, .. } = elf;
            let problem = StartProblem::WrongCpu { file, found: machine, platform, expected, own };
            self.problems.push(problem);
            return None;
        }
        Some(elf)
    }

    fn elf(&mut self, found: &Found, blob: &Blob) {
        if !self.checked.insert(found.node) {
            return;
        }
        let Some(elf) = self.read_elf(found, blob) else { return };
        let no_program = |what| StartProblem::NotAProgram { file: found.path.clone(), what };
        if elf.kind == ElfType::Other {
            return self.problems.push(no_program("an ELF file of another kind (`.o` or a core dump)"));
        }
        let Some(asked) = elf.interpreter.clone() else {
            if !elf.needed.is_empty() {
                self.problems.push(no_program("a shared library"));
            }
            return;
        };
        let loader = match self.executable(&asked) {
            Ok(loader) => Some(loader),
            Err(fault @ (Fault::NotExecutable(_) | Fault::NotAFile(..) | Fault::Miss(Miss::NoSearch(_)))) => {
                let problem = self.closed(&asked, fault);
                return self.problems.push(problem);
            }
            Err(_) => None,
        };
        let loader_elf = loader.as_ref().and_then(|loader| self.loader(loader));
        if loader.is_some() && loader_elf.is_none() {
            // It is of no use, which has been told.
            return;
        }
        let language = self.own(found, elf.language);
        let libraries = self.libraries(found, elf, loader_elf.as_ref(), &asked);
        if loader.is_none() {
            self.problems.push(StartProblem::NoLoader {
                program: found.path.clone(),
                loader: shown(&asked),
                libraries: libraries.iter().filter_map(absent).collect(),
                other: self.other_loader(&asked),
                own: language,
                expected: self.request.platform,
            });
        }
        self.problems.extend(libraries);
    }

    /// Reads a loader, which must be an ELF file for the same CPU.
    fn loader(&mut self, found: &Found) -> Option<Elf> {
        let Body::File(blob) = &self.walker.tree.node(found.node).body else { return None };
        let file = found.path.clone();
        match format::head(blob).map(|head| format::of(&head)) {
            Ok(Format::Elf) => self.read_elf(found, blob),
            Ok(_) => {
                self.problems.push(StartProblem::NotAProgram { file, what: "no ELF file" });
                None
            }
            Err(source) => {
                self.problems.push(StartProblem::Unreadable { file, source });
                None
            }
        }
    }

    /// The loader of the other C library, if the image has one.
    fn other_loader(&self, asked: &[u8]) -> Option<ImagePath> {
        let wants_glibc = Libc::of_interpreter(asked) == Libc::Glibc;
        for folder in ["/lib", "/lib64", "/usr/lib"] {
            let Ok(found) = self.walker.find(folder.as_bytes()) else { continue };
            let Body::Directory(children) = &self.walker.tree.node(found.node).body else { continue };
            for name in children.keys() {
                let other = match Libc::of_interpreter(name) {
                    Libc::Musl(_) => wants_glibc,
                    Libc::Glibc => !wants_glibc,
                    Libc::Unknown => false,
                };
                if other {
                    return found.path.join(name).ok();
                }
            }
        }
        None
    }

    /// The language of a program, if it can be built anew: it is no package's.
    fn own(&self, found: &Found, language: Language) -> Option<Language> {
        self.walker.tree.node(found.node).package.is_none().then_some(language)
    }

    /// What is wrong with the libraries of a program.
    fn libraries(&self, found: &Found, elf: Elf, loader: Option<&Elf>, asked: &[u8]) -> Vec<StartProblem> {
        // Building it static would be said with the loader already.
        let mut own = loader.and_then(|_| self.own(found, elf.language));
        let library_path = self.request.env_library_path.as_deref();
        let search = Search::new(&self.walker, self.request.platform, asked, library_path);
        let mut missing = search.run(&found.path, elf, loader, asked);
        if loader.is_none() {
            // They come with the loader, whose absence has been told.
            missing.retain(|one| !is_of_libc(&one.library));
        }
        if missing.is_empty() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        let configured = ld_cache::configured_folders(&self.walker);
        let entries = self.walker.tree.entries();
        for Missing { library, needed_by, fault } in missing {
            let name = library.rsplit(|b| *b == b'/').next();
            let file = entries.iter().find(|e| e.path.file_name() == name && !e.node.is_directory());
            let elsewhere = file.map(|entry| entry.path.clone());
            let folder = elsewhere.as_ref().and_then(ImagePath::parent);
            let configured = configured.iter().any(|one| ImagePath::parse(one).ok() == folder);
            problems.push(StartProblem::MissingLibrary {
                program: found.path.clone(),
                library: shown(&library),
                needed_by,
                fault,
                elsewhere,
                configured,
                own: own.take(),
                loader: shown(asked),
                expected: self.request.platform,
            });
        }
        problems
    }
}

/// The name of a library that is nowhere in the image.
fn absent(problem: &StartProblem) -> Option<String> {
    match problem {
        StartProblem::MissingLibrary { library, fault: LibraryFault::Absent, elsewhere: None, .. } => {
            Some(library.clone())
        }
        _ => None,
    }
}

/// The libraries that every glibc brings with its loader.
fn is_of_libc(name: &[u8]) -> bool {
    let names: [&[u8]; 8] = [
        b"libc.so.6",
        b"libm.so.6",
        b"libmvec.so.1",
        b"libdl.so.2",
        b"libpthread.so.0",
        b"librt.so.1",
        b"libutil.so.1",
        b"libresolv.so.2",
    ];
    names.contains(&name)
}
