//! Finds the libraries of a program as its dynamic loader will: ld.so(8) for glibc, and musl's own rules.
//!
//! # Why it is the way it is
//! glibc's loader never reads `ld.so.conf`: it reads the cache that `ldconfig` makes of it. So the cache decides, and
//! the configuration only serves to explain why a library that is there is not found.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use assemble_types::{Arch, Blob, ImagePath, Platform};

use super::elf::{self, Elf};
use super::format::{self, Format};
use super::ld_cache;
use super::walk::{Miss, Right, Walker};
use crate::tree::Body;

/// How many libraries one program may ask for before we stop looking.
const MAX_LIBRARIES: usize = 4096;
/// How many paths are tried for one program before we stop looking. Large programs need some thousands.
const MAX_TRIES: u32 = 1_000_000;
/// The largest configuration of a loader that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// The largest cache of glibc's loader that is read, in bytes.
const MAX_CACHE: u64 = 16 << 20;

/// The C library whose loader a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Libc {
    Glibc,
    /// With musl's own name of the architecture.
    Musl(String),
    /// A loader whose rules we do not know; its libraries are not looked for.
    Unknown,
}

impl Libc {
    /// Told by the name of the loader.
    pub(super) fn of_interpreter(interpreter: &[u8]) -> Self {
        let name = interpreter.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        if let Some(arch) = name.strip_prefix("ld-musl-").and_then(|rest| rest.strip_suffix(".so.1")) {
            Self::Musl(arch.to_owned())
        } else if name.starts_with("ld-linux") || name.starts_with("ld64.so.") || name == "ld.so.1" {
            Self::Glibc
        } else {
            Self::Unknown
        }
    }
}

/// Why a library is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LibraryFault {
    /// It is in none of the folders that the loader searches.
    Absent,
    /// What is found is for another CPU.
    WrongCpu {
        /// The file.
        path: ImagePath,
        /// What it is for.
        found: String,
    },
    /// What is found may not be read by the image's user.
    Unreadable {
        /// The file or the folder that is closed.
        path: ImagePath,
    },
    /// What is found is no library.
    NotALibrary {
        /// The file.
        path: ImagePath,
    },
}

/// A library that the loader will not find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) library: Vec<u8>,
    pub(super) needed_by: ImagePath,
    pub(super) fault: LibraryFault,
}

/// A program or library that is loaded.
struct Object {
    path: ImagePath,
    /// What `$ORIGIN` stands for.
    origin: Vec<u8>,
    elf: Elf,
    /// Who asked for it first.
    parent: Option<usize>,
}

/// Looks for the libraries of one program.
pub(super) struct Search<'w, 't> {
    walker: &'w Walker<'t>,
    platform: Platform,
    libc: Libc,
    /// `LD_LIBRARY_PATH`.
    environment: Vec<Vec<u8>>,
    /// The folders that the loader searches last.
    system: Vec<Vec<u8>>,
    /// What glibc's cache says.
    cache: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    objects: Vec<Object>,
    missing: Vec<Missing>,
    tries: Cell<u32>,
}

impl<'w, 't> Search<'w, 't> {
    pub(super) fn new(
        walker: &'w Walker<'t>,
        platform: Platform,
        interpreter: &[u8],
        library_path: Option<&str>,
    ) -> Self {
        let libc = Libc::of_interpreter(interpreter);
        let environment = library_path.unwrap_or_default();
        let environment = split(environment.as_bytes(), if libc == Libc::Glibc { b":;" } else { b":\n" });
        let (system, cache) = match &libc {
            Libc::Glibc => (glibc_folders(platform), read_cache(walker)),
            Libc::Musl(arch) => (musl_folders(walker, interpreter, arch), BTreeMap::new()),
            Libc::Unknown => (Vec::new(), BTreeMap::new()),
        };
        let (objects, missing) = (Vec::new(), Vec::new());
        Self { walker, platform, libc, environment, system, cache, objects, missing, tries: Cell::new(0) }
    }

    /// The libraries that will not be found, each once, in the order in which the loader asks for them. `loader` is
    /// the interpreter if it is there: libraries name it as well.
    pub(super) fn run(
        mut self,
        path: &ImagePath,
        elf: Elf,
        loader: Option<&Elf>,
        asked: &[u8],
    ) -> Vec<Missing> {
        if self.libc == Libc::Unknown {
            return Vec::new();
        }
        let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
        known.insert(asked.to_vec());
        known.extend(asked.rsplit(|b| *b == b'/').next().map(<[u8]>::to_vec));
        known.extend(loader.and_then(|elf| elf.soname.clone()));
        self.objects.push(Object { path: path.clone(), origin: folder_of(path), elf, parent: None });
        let mut queue: VecDeque<usize> = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            for name in self.objects[at].elf.needed.clone() {
                if self.is_loader(&name) || known.len() >= MAX_LIBRARIES || !known.insert(name.clone()) {
                    continue;
                }
                let found = self.find(&name, at);
                if self.tries.get() >= MAX_TRIES {
                    // Made to keep us busy. What is not known is not held against the image.
                    return self.missing;
                }
                match found {
                    Ok(object) => {
                        if self.libc == Libc::Glibc {
                            known.extend(object.elf.soname.clone());
                        }
                        queue.push_back(self.objects.len());
                        self.objects.push(object);
                    }
                    Err(fault) => {
                        let needed_by = self.objects[at].path.clone();
                        self.missing.push(Missing { library: name, needed_by, fault });
                    }
                }
            }
        }
        self.missing
    }

    /// musl's loader is its C library as well, under all the names a C library ever had.
    fn is_loader(&self, name: &[u8]) -> bool {
        let parts: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];
        matches!(self.libc, Libc::Musl(_))
            && name.strip_prefix(b"lib").is_some_and(|rest| parts.iter().any(|part| rest.starts_with(part)))
    }

    fn find(&self, name: &[u8], by: usize) -> Result<Object, LibraryFault> {
        if name.contains(&b'/') {
            let mut last = LibraryFault::Absent;
            for path in self.expand(name, &self.objects[by].origin) {
                match self.try_file(&path, by) {
                    Ok(object) => return Ok(object),
                    Err(Some(fault)) => last = fault,
                    Err(None) => {}
                }
            }
            return Err(last);
        }
        let mut first = None;
        for folder in self.folders(by) {
            if let Some(found) = self.attempt(&[&folder, b"/".as_slice(), name].concat(), by, &mut first) {
                return found;
            }
        }
        for path in self.cache.get(name).into_iter().flatten() {
            if let Some(found) = self.attempt(path, by, &mut first) {
                return found;
            }
        }
        for folder in &self.system {
            if let Some(found) = self.attempt(&[folder, b"/".as_slice(), name].concat(), by, &mut first) {
                return found;
            }
        }
        Err(first.unwrap_or(LibraryFault::Absent))
    }

    /// Tries one path. glibc goes on where it finds a file for another CPU; musl takes the first file or none.
    fn attempt(
        &self,
        path: &[u8],
        by: usize,
        first: &mut Option<LibraryFault>,
    ) -> Option<Result<Object, LibraryFault>> {
        match self.try_file(path, by) {
            Ok(object) => Some(Ok(object)),
            Err(None) => None,
            Err(Some(fault))
                if self.libc == Libc::Glibc || matches!(fault, LibraryFault::Unreadable { .. }) =>
            {
                first.get_or_insert(fault);
                None
            }
            Err(Some(fault)) => Some(Err(fault)),
        }
    }

    /// The folders that come before the system's, for what `by` needs.
    fn folders(&self, by: usize) -> Vec<Vec<u8>> {
        let mut rpaths = Vec::new();
        let mut at = Some(by);
        while let Some(object) = at.map(|at| &self.objects[at]) {
            let own = match self.libc {
                Libc::Glibc if object.elf.runpath.is_some() => None,
                Libc::Glibc => object.elf.rpath.as_ref(),
                // musl knows no difference between the two.
                _ => object.elf.runpath.as_ref().or(object.elf.rpath.as_ref()),
            };
            rpaths.extend(own.into_iter().flat_map(|list| self.expand_list(list, object)));
            at = object.parent;
        }
        let me = &self.objects[by];
        let environment =
            self.environment.iter().flat_map(|folder| self.expand(folder, &self.objects[0].origin));
        if self.libc != Libc::Glibc {
            return environment.chain(rpaths).collect();
        }
        // An own RUNPATH switches off all RPATHs.
        let runpath = me.elf.runpath.as_ref();
        let rpaths = if runpath.is_some() { Vec::new() } else { rpaths };
        let runpath = runpath.into_iter().flat_map(|list| self.expand_list(list, me));
        rpaths.into_iter().chain(environment).chain(runpath).collect()
    }

    fn expand_list(&self, list: &[u8], object: &Object) -> Vec<Vec<u8>> {
        split(list, b":").iter().flat_map(|item| self.expand(item, &object.origin)).collect()
    }

    /// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM`. What `$LIB` stands for depends on how glibc was built, so there
    /// can be several results.
    fn expand(&self, text: &[u8], origin: &[u8]) -> Vec<Vec<u8>> {
        if !text.contains(&b'$') {
            return vec![text.to_vec()];
        }
        let triplet = format!("lib/{}", triplet(self.platform.arch));
        let libs: &[&[u8]] =
            if contains(text, b"LIB") { &[b"lib", b"lib64", triplet.as_bytes()] } else { &[b"lib"] };
        let platform = self.platform.arch.apk().as_bytes();
        libs.iter()
            .map(|lib| {
                let mut out = text.to_vec();
                for (name, value) in [("ORIGIN", origin), ("LIB", *lib), ("PLATFORM", platform)] {
                    out = replace(&out, format!("${{{name}}}").as_bytes(), value);
                    out = replace(&out, format!("${name}").as_bytes(), value);
                }
                out
            })
            .collect()
    }

    /// `Err(None)` if nothing is there.
    fn try_file(&self, path: &[u8], by: usize) -> Result<Object, Option<LibraryFault>> {
        if self.tries.get() >= MAX_TRIES {
            return Err(None);
        }
        self.tries.set(self.tries.get() + 1);
        let found = self.walker.find(path).map_err(|miss| match miss {
            Miss::NoSearch(path) => Some(LibraryFault::Unreadable { path }),
            _ => None,
        })?;
        let node = self.walker.tree.node(found.node);
        let Body::File(blob) = &node.body else { return Err(None) };
        if !self.walker.user.may(Right::Read, &node.meta, false) {
            return Err(Some(LibraryFault::Unreadable { path: found.path }));
        }
        let Some(elf) = library(blob) else {
            return Err(Some(LibraryFault::NotALibrary { path: found.path }));
        };
        if !same_cpu(elf.platform, self.platform) {
            return Err(Some(LibraryFault::WrongCpu { path: found.path, found: elf.machine }));
        }
        // The folder that the loader went to, not the one that a link leads to.
        let absolute = self.walker.absolute(path);
        let end = absolute.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Ok(Object { path: found.path, origin: absolute[..end].to_vec(), elf, parent: Some(by) })
    }
}

fn library(blob: &Blob) -> Option<Elf> {
    let head = format::head(blob).ok()?;
    (format::of(&head) == Format::Elf).then(|| elf::read(blob).ok())?
}

/// Whether a program for `found` runs on `wanted`. Programs for ARM v6 and v7 often do not say which.
pub(super) fn same_cpu(found: Option<Platform>, wanted: Platform) -> bool {
    let is_arm = |platform: Platform| matches!(platform.arch, Arch::Armhf | Arch::Armv7);
    found.is_some_and(|found| found == wanted || is_arm(found) && is_arm(wanted))
}

/// Debian's name of the architecture in library folders.
pub(super) fn triplet(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "i386-linux-gnu",
        Arch::X86_64 => "x86_64-linux-gnu",
        Arch::Aarch64 => "aarch64-linux-gnu",
        Arch::Armhf | Arch::Armv7 => "arm-linux-gnueabihf",
        Arch::Loongarch64 => "loongarch64-linux-gnu",
        Arch::Ppc64le => "powerpc64le-linux-gnu",
        Arch::Riscv64 => "riscv64-linux-gnu",
        Arch::S390x => "s390x-linux-gnu",
    }
}

/// The folders built into glibc's loader differ between distributions; this is all of them.
fn glibc_folders(platform: Platform) -> Vec<Vec<u8>> {
    let triplet = triplet(platform.arch);
    let mut folders =
        vec![format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()];
    if !matches!(platform.arch, Arch::X86 | Arch::Armhf | Arch::Armv7) {
        folders.extend(["/lib64".into(), "/usr/lib64".into()]);
    }
    folders.into_iter().map(String::into_bytes).collect()
}

/// The folders of `/etc/ld-musl-ARCH.path`, beside the folder of the loader, or the ones built in.
fn musl_folders(walker: &Walker<'_>, interpreter: &[u8], arch: &str) -> Vec<Vec<u8>> {
    let mut parts: Vec<&[u8]> = interpreter.split(|b| *b == b'/').collect();
    parts.truncate(parts.len().saturating_sub(2));
    let config = [parts.join(&b'/'), format!("/etc/ld-musl-{arch}.path").into_bytes()].concat();
    match walker.find(&config) {
        Ok(_) => {
            let text = walker.file(&config).and_then(|blob| blob.read_to_vec(MAX_CONFIG).ok());
            split(&text.unwrap_or_default(), b":\n")
        }
        Err(_) => split(b"/lib:/usr/local/lib:/usr/lib", b":"),
    }
}

fn read_cache(walker: &Walker<'_>) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let bytes = walker.file(b"/etc/ld.so.cache").and_then(|blob| blob.read_to_vec(MAX_CACHE).ok());
    bytes.map(|bytes| ld_cache::parse(&bytes)).unwrap_or_default()
}

fn split(text: &[u8], at: &[u8]) -> Vec<Vec<u8>> {
    text.split(|b| at.contains(b)).filter(|item| !item.is_empty()).map(<[u8]>::to_vec).collect()
}

fn folder_of(path: &ImagePath) -> Vec<u8> {
    let parent = path.parent().unwrap_or_default();
    [b"/", parent.as_bytes()].concat()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}
