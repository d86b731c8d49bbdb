//! Lowers a spec into what each stage takes, so that no stage knows YAML.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assemble_apk::{Constraint, Trust};
use assemble_fetch::{FetchError, LocalKind, Location, open_file, read_tree};
use assemble_image::Reference;
use assemble_layer::Compression;
use assemble_rootfs::{BaseOptions, ElfIdentity, Placement, PlacementKind, elf_platform};
use assemble_spec::lock::Lock;
use assemble_spec::{Binary, BinarySources, FileMapping, LayerStrategy, Located, RepositorySource, Spec};
use assemble_types::{Arch, ImagePath, Mode as FileMode, Owner, Platform, SourceSpan, Timestamp};

use crate::base_image::{Base, Ground, Packages as Present};
use crate::certificates;
use crate::error::{Doing, Error, OwnError, Result};
use crate::faults;
use crate::keys::{AlpineReleasesList, KeyInput};
use crate::lock::{self, Basis, LockUse, Vendored};
use crate::repository_layout::Layout;
use crate::sources::RepositoryInput;
use crate::spec_file::SpecFile;
use crate::time::{Created, Times};

/// The user of every image that does not ask for another.
pub const DEFAULT_USER: Owner = Owner { uid: 65532, gid: 65532 };

/// The folder that `contents.binary` goes to when it names no path.
const BINARY_FOLDER: &str = "/usr/bin";

/// What is done about an image that cannot start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartCheck {
    /// It is refused.
    #[default]
    Refuse,
    /// It is built, and the reason is shown.
    Warn,
    /// Nobody looks.
    Off,
}

/// Whose rules a build follows. Trees and layers are made by the same code; what differs is who chooses, what is added
/// where the spec is silent, and how the image's documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Ours: base files, an unprivileged user, the start check, a package set that holds.
    #[default]
    Assemble,
    /// apko's, to the byte: its choice of packages, nothing that the spec does not say, its documents.
    Apko,
}

/// How much is read before it is refused, where the usual limits are not wanted. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SizeLimits {
    /// An index, unpacked.
    pub index: Option<u64>,
    /// A package's signature section and its control section, each, unpacked.
    pub control: Option<u64>,
    /// A package's data section, unpacked.
    pub data: Option<u64>,
    /// An answer of a server.
    pub response: Option<u64>,
}

/// What a user can say about a build beside the spec.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Whose rules it follows.
    pub mode: Mode,
    /// Platforms to build for instead of the spec's.
    pub platforms: Vec<Platform>,
    /// Names of the image; none means `<spec name>:latest`.
    pub tags: Vec<Reference>,
    /// How layers are compressed that are made here; packages that are layers as they are stay so.
    pub compression: Compression,
    /// Where the time comes from.
    pub created: Created,
    /// The value of `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<String>,
    /// No image says it was made before this, unless `SOURCE_DATE_EPOCH` does.
    pub build_date: Option<Timestamp>,
    /// The same as it was typed.
    pub build_date_text: Option<String>,
    /// What is done about an image that cannot start.
    pub start_check: StartCheck,
    /// Whether an index without a valid signature is taken.
    pub trust: Trust,
    /// Which list of Alpine's keys counts.
    pub alpine_releases: AlpineReleasesList,
    /// How locks are used.
    pub lock: LockUse,
    /// A lock file of apko that says which packages to take; no other lock is looked at then.
    pub apko_lock: Option<PathBuf>,
    /// A folder that `vendor` made, whose files are taken in place of those that it names. Without one, the spec's own
    /// folder if it is such.
    pub vendor: Option<PathBuf>,
    /// How much is read before it is refused.
    pub limits: SizeLimits,
}

/// Everything that a build needs, decided: no stage looks at the spec again.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) mode: Mode,
    pub(crate) file: &'a SpecFile,
    pub(crate) platforms: Vec<Platform>,
    /// Names of the image, at least one.
    pub(crate) names: Vec<Reference>,
    pub(crate) compression: Compression,
    pub(crate) times: Times,
    pub(crate) start_check: StartCheck,
    pub(crate) trust: Trust,
    pub(crate) alpine_releases: AlpineReleasesList,
    pub(crate) limits: SizeLimits,
    pub(crate) world: Vec<Constraint>,
    pub(crate) build_repositories: Vec<RepositoryInput>,
    /// What `/etc/apk/repositories` of the image holds.
    pub(crate) runtime_repositories: Vec<String>,
    pub(crate) keyring: Vec<KeyInput>,
    pub(crate) base: Option<BaseOptions>,
    /// What the image is stacked on.
    pub(crate) base_image: Option<Base>,
    /// Whether the platforms were asked for, and are not the spec's.
    platforms_asked: bool,
    /// What the packages are decided by.
    pub(crate) basis: Basis,
    /// Where files lie in place of their addresses.
    pub(crate) vendored: Option<Vendored>,
}

impl<'a> Plan<'a> {
    /// Decides everything that does not depend on the platform. Opens local files only where a decision needs them.
    pub(crate) fn lower(file: &'a SpecFile, options: &BuildOptions) -> Result<Self> {
        let spec = &file.spec;
        if spec.layering.is_some_and(|layering| layering.strategy.is_none() && layering.budget != 0) {
            let error = Error::from(OwnError::LayersWithoutStrategy);
            return Err(match spec.span_of("layering") {
                Some(span) => error.at(span),
                None => error,
            });
        }
        if options.mode == Mode::Apko {
            spec.build_repositories.iter().chain(&spec.repositories).try_for_each(known_to_apko)?;
        }
        let times = Times::of(options, &file.directory)?;
        let runtime_repositories = spec.repositories.iter().chain(&spec.runtime_repositories);
        let vendored = Vendored::of(file, options)?;
        let mut plan = Self {
            mode: options.mode,
            file,
            platforms: platforms(file, options)?,
            names: names(file, options)?,
            compression: options.compression,
            times,
            start_check: options.start_check,
            trust: options.trust,
            alpine_releases: options.alpine_releases.clone(),
            limits: options.limits,
            world: spec.packages.iter().map(|p| p.value.clone()).collect(),
            build_repositories: build_repositories(file, vendored.as_ref())?,
            runtime_repositories: runtime_repositories.map(|r| r.value.line()).collect(),
            keyring: keys(file, vendored.as_ref())?,
            base: base_options(file)?,
            base_image: Base::of(file, options.mode)?,
            platforms_asked: !options.platforms.is_empty(),
            basis: Basis::Indexes,
            vendored,
        };
        for platform in &plan.platforms {
            plan.ground(*platform)?;
            plan.present(platform.arch)?;
        }
        plan.basis = Basis::of(&plan, options)?;
        Ok(plan)
    }

    /// All that is decided here and that the result depends on, as a text; but for what local files and other places hold.
    /// A part that is new does not compile until it is here.
    pub(crate) fn inputs(&self) -> String {
        let Self {
            mode,
            file,
            platforms,
            // They name the image, and are no part of it.
            names: _,
            compression,
            times,
            start_check,
            trust,
            alpine_releases,
            limits,
            world,
            build_repositories,
            runtime_repositories,
            keyring,
            base,
            base_image,
            platforms_asked: _,
            // Looked at by whoever asks.
            basis: _,
            vendored: _,
        } = self;
        let spec = lock::spec_digest(&file.spec, base_image.as_ref());
        let repositories: Vec<_> = build_repositories
            .iter()
            .map(|r| (&r.text, &r.line, &r.layout, &r.pin, r.location.to_string()))
            .collect();
        let keyring: Vec<_> = keyring.iter().map(|key| (&key.name, &key.text)).collect();
        format!(
            "{mode:?} {} {spec} {:?} {:?} {platforms:?} {times:?} {start_check:?} {trust:?} {alpine_releases:?} {limits:?} \
             {world:?} {repositories:?} {runtime_repositories:?} {keyring:?} {base:?}",
            compression.codec(),
            file.name,
            file.spec.apko,
        )
    }

    /// The platforms that a lock is made for: the plan's; where others than the spec's were asked for, those of the old
    /// lock stay in it.
    pub(crate) fn platforms_to_lock(&self, old: Option<&Lock>) -> Vec<Platform> {
        let mut platforms = self.platforms.clone();
        if !self.platforms_asked {
            return platforms;
        }
        let spec: Vec<Platform> = self.spec().platforms.iter().map(|platform| platform.value).collect();
        for image in old.iter().flat_map(|old| &old.images) {
            let platform = Platform::from(image.arch);
            if !platforms.contains(&platform) && (spec.is_empty() || spec.contains(&platform)) {
                platforms.push(platform);
            }
        }
        platforms
    }

    /// Where the spec names the repository that a package comes from.
    pub(crate) fn repository_span(&self, url: &str) -> Option<SourceSpan> {
        let of = |platform: &Platform| {
            let repositories = self.repositories(platform.arch).ok()?;
            repositories.into_iter().find(|repository| repository.below(url).is_some())
        };
        self.platforms.iter().find_map(of).map(|repository| repository.span)
    }

    /// The repositories for an architecture: its name stands where they have a place for it.
    pub(crate) fn repositories(&self, arch: Arch) -> Result<Vec<RepositoryInput>> {
        let of = |input: &RepositoryInput| {
            if !input.text.contains(RepositorySource::ARCH) {
                return Ok(input.clone());
            }
            let text = input.text.replace(RepositorySource::ARCH, arch.apk());
            let location = match self.vendored.as_ref().and_then(|vendored| vendored.repository(&text)) {
                Some(location) => location,
                None => location(self.file, &text, &input.span)?,
            };
            Ok(RepositoryInput { text, location, ..input.clone() })
        };
        self.build_repositories.iter().map(of).collect()
    }

    /// The spec.
    pub(crate) fn spec(&self) -> &'a Spec {
        &self.file.spec
    }

    /// Whether there is nothing to make an image of: to apko, packages that only options name do not count. An entry that
    /// is empty names none.
    pub(crate) fn makes_nothing(&self) -> bool {
        self.mode == Mode::Apko && self.spec().apko.packages.iter().all(|package| package.trim().is_empty())
    }

    /// Whether packages are installed.
    pub(crate) fn installs(&self) -> bool {
        !self.world.is_empty()
    }

    /// Whether packages become layers as they are.
    pub(crate) fn has_package_layers(&self) -> bool {
        self.spec().layering.is_some_and(|layering| layering.strategy == Some(LayerStrategy::Package))
    }

    /// Whether the image holds packages and nothing else: then it is apko's tree and no more.
    pub(crate) fn packages_only(&self) -> bool {
        self.installs() && self.spec().binary.is_none() && self.spec().files.is_empty()
    }

    /// What is asked for anew when a locked configuration is built: a bundle of services asks for s6 each time.
    pub(crate) fn asked_for_again(&self) -> Option<String> {
        let bundle = self.spec().apko.entrypoint_type.as_deref() == Some("service-bundle");
        bundle.then(|| "s6".to_owned())
    }

    /// What a platform's image is stacked on.
    pub(crate) fn ground(&self, platform: Platform) -> Result<Option<Ground<'_>>> {
        self.base_image.as_ref().map(|base| base.ground(platform)).transpose()
    }

    /// The packages that are there already, where an image is stacked on another one.
    pub(crate) fn present(&self, arch: Arch) -> Result<Option<&Present>> {
        self.base_image.as_ref().map(|base| base.packages(arch)).transpose()
    }

    /// The image's world: what is locked, in apko's mode what options asked for, as they did, and what is there already.
    pub(crate) fn world_of(&self, locked: &[String], arch: Arch) -> Result<Vec<String>> {
        let appended = match self.mode {
            Mode::Apko => self.spec().packages.get(self.spec().apko.packages.len()..).unwrap_or_default(),
            Mode::Assemble => &[],
        };
        let present = self.present(arch)?.into_iter().flat_map(Present::world);
        let appended = appended.iter().map(|package| package.value.to_string());
        Ok(locked.iter().cloned().chain(appended).chain(present).collect())
    }

    /// The time of all that we add ourselves.
    pub(crate) fn own_time(&self) -> i64 {
        faults::now().unwrap_or_else(|| self.times.fixed.unwrap_or_default().seconds())
    }

    /// The spec's files, opened, ready to be placed.
    pub(crate) fn files(&self) -> Result<Vec<Placement>> {
        let mut placements = Vec::new();
        for mapping in &self.spec().files {
            self.expand(mapping, &mut placements)?;
        }
        Ok(placements)
    }

    fn expand(&self, mapping: &FileMapping, out: &mut Vec<Placement>) -> Result<()> {
        let owner = Owner { uid: mapping.uid.unwrap_or(0), gid: mapping.gid.unwrap_or(0) };
        let source = self.file.path(&mapping.source.value);
        let entries = read_tree(&source, &mapping.exclude)
            .doing(|| "reading contents.files".into())
            .map_err(|e| e.at(&mapping.source.span))?;
        for entry in entries {
            let path = mapping.path.value.join(&entry.relative).map_err(|e| {
                Error::from(OwnError::Bug(format!("{}: {e}", source.display()))).at(&mapping.source.span)
            })?;
            let (kind, mode) = match entry.kind {
                LocalKind::Directory => (PlacementKind::Directory, FileMode::DIRECTORY),
                LocalKind::Symlink(text) => (PlacementKind::Symlink(text), FileMode::SYMLINK),
                LocalKind::File { blob, executable } => {
                    let usual = if executable { FileMode::EXECUTABLE } else { FileMode::FILE };
                    (PlacementKind::File(blob), mapping.permissions.unwrap_or_else(|| faults::umask(usual)))
                }
            };
            out.push(Placement { path, kind, mode, owner });
        }
        Ok(())
    }

    /// The binary for a platform, opened, and where it goes.
    pub(crate) fn binary(&self, platform: Platform) -> Result<Option<Placement>> {
        let Some(binary) = &self.spec().binary else { return Ok(None) };
        let source = source_for(binary, platform)
            .ok_or_else(|| OwnError::NoBinaryFor { platform: platform.to_string() })?;
        let blob = open_file(&self.file.path(&source.value))
            .doing(|| "reading contents.binary".into())
            .map_err(|e| e.at(&source.span))?;
        let mode = binary.permissions.unwrap_or(FileMode::EXECUTABLE);
        let path = binary_path(binary, &source.value)?;
        Ok(Some(Placement { path, kind: PlacementKind::File(blob), mode, owner: Owner::ROOT }))
    }
}

/// The image's names: those that were asked for, else the spec's own.
fn names(file: &SpecFile, options: &BuildOptions) -> Result<Vec<Reference>> {
    if options.tags.is_empty() {
        return Ok(vec![Reference::parse(&format!("{}:latest", file.name))?]);
    }
    Ok(options.tags.clone())
}

/// The same package must be found whatever the order of lines, so the order is that of the lines' text.
fn build_repositories(file: &SpecFile, vendored: Option<&Vendored>) -> Result<Vec<RepositoryInput>> {
    let mut inputs = BTreeMap::new();
    for source in file.spec.build_repositories.iter().chain(&file.spec.repositories) {
        let mut input = repository_input(file, source)?;
        if let Some(location) = vendored.and_then(|vendored| vendored.repository(&input.text)) {
            input.location = location;
        }
        inputs.entry(input.line.clone()).or_insert(input);
    }
    Ok(inputs.into_values().collect())
}

/// Refuses what apko could not read: it knows format version 2 and nothing else.
#[allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the package manager tells by these letters"
)]
fn known_to_apko(source: &Located<RepositorySource>) -> Result<()> {
    let location = &source.value.location;
    let keyword = ["v2 ", "v3 ", "ndx "].iter().any(|word| location.starts_with(word));
    if !keyword && !location.ends_with(".adb") {
        return Ok(());
    }
    let what = format!("the repository `{location}`");
    let why = if keyword {
        "words before the address are apk 3's, and apko does not know them; `assemble build` does"
    } else {
        "an index of APK v3 is nothing that apko can read; `assemble build` can"
    };
    Err(Error::from(OwnError::NotSupported { what, why }).at(&source.span))
}

/// A repository that can be read.
pub(crate) fn repository_input(
    file: &SpecFile,
    source: &Located<RepositorySource>,
) -> Result<RepositoryInput> {
    let RepositorySource { kind, pin, location: text } = &source.value;
    Ok(RepositoryInput {
        text: text.clone(),
        line: source.value.line(),
        layout: Layout::of(*kind, text),
        pin: pin.as_deref().map(Into::into),
        location: location(file, text, &source.span)?,
        span: source.span.clone(),
    })
}

fn source_for(binary: &Binary, platform: Platform) -> Option<&Located<String>> {
    match &binary.sources {
        BinarySources::One(source) => Some(source),
        BinarySources::PerPlatform(map) => map.get(&platform),
    }
}

/// Where the binary goes: as the spec says, else below `/usr/bin` under its own name.
pub(crate) fn binary_path(binary: &Binary, source: &str) -> Result<ImagePath> {
    if let Some(path) = &binary.path {
        return Ok(path.clone());
    }
    let name = Path::new(source).file_name().map(|n| n.as_encoded_bytes().to_vec()).unwrap_or_default();
    ImagePath::parse(BINARY_FOLDER)
        .and_then(|folder| folder.join(name))
        .map_err(|e| OwnError::Usage(format!("contents.binary: {e}")).into())
}

/// Options, else the spec, else the keys of its map of binaries, else the ELF header, else linux/amd64.
pub(crate) fn platforms(file: &SpecFile, options: &BuildOptions) -> Result<Vec<Platform>> {
    let spec = &file.spec;
    let mut chosen: Vec<Platform> = if !options.platforms.is_empty() {
        options.platforms.clone()
    } else if !spec.platforms.is_empty() {
        spec.platforms.iter().map(|p| p.value).collect()
    } else {
        match spec.binary.as_ref().map(|b| &b.sources) {
            Some(BinarySources::PerPlatform(map)) => map.keys().copied().collect(),
            Some(BinarySources::One(source)) => vec![platform_of(file, source)?],
            None => Vec::new(),
        }
    };
    if chosen.is_empty() {
        chosen.push(Platform::from(Arch::X86_64));
    }
    let mut seen = Vec::new();
    chosen.retain(|p| {
        !seen.contains(p) && {
            seen.push(*p);
            true
        }
    });
    Ok(chosen)
}

fn platform_of(file: &SpecFile, source: &Located<String>) -> Result<Platform> {
    let blob = open_file(&file.path(&source.value))
        .doing(|| "reading contents.binary".into())
        .map_err(|e| e.at(&source.span))?;
    Ok(match elf_platform(&blob) {
        ElfIdentity::Elf { platform: Some(platform), .. } => platform,
        _ => Platform::from(Arch::X86_64),
    })
}

fn location(file: &SpecFile, text: &str, span: &SourceSpan) -> Result<Location> {
    Location::parse(text, &file.directory).map_err(|e| Error::from(FetchError::from(e)).at(span))
}

fn keys(file: &SpecFile, vendored: Option<&Vendored>) -> Result<Vec<KeyInput>> {
    let mut keys: BTreeMap<&str, KeyInput> = BTreeMap::new();
    for key in &file.spec.keyring {
        let text = key.value.as_str();
        let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text).to_owned();
        let location = match vendored.and_then(|vendored| vendored.key(text)) {
            Some(location) => location,
            None => location(file, text, &key.span)?,
        };
        keys.insert(text, KeyInput { location, text: text.to_owned(), name, span: key.span.clone() });
    }
    Ok(keys.into_values().collect())
}

fn base_options(file: &SpecFile) -> Result<Option<BaseOptions>> {
    let base = &file.spec.base_files;
    if !base.enabled {
        return Ok(None);
    }
    Ok(Some(BaseOptions {
        certificates: base.certificates,
        time_zones: base.time_zones,
        additional_certificates: certificates::read(file)?,
    }))
}
