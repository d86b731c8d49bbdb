//! From what each file says to the spec: files are merged, what follows from the whole is filled in, and what only shows
//! when several parts are seen together is checked.

use std::collections::BTreeMap;

use assemble_apk::Constraint;
use assemble_types::{ImagePath, SourceSpan};

use crate::check::{Draft, file_name};
use crate::diagnostic::Diagnostic;
use crate::model::{BaseFiles, BinarySources, Dialect, Located, Spec};

/// The smallest spec there is.
pub(crate) const SMALLEST: &str = "contents:\n  binary: ./my-program";

/// What s6 supervises is started by it.
const SERVICE_BUNDLE: &str = "service-bundle";
const SERVICE_COMMAND: [&str; 2] = ["/bin/s6-svscan", "/sv"];

/// Merges what a file includes into it: single values of its own win, lists of the included file come first, maps are
/// joined. `vcs-url` and `include` stay its own.
pub(crate) fn merge(own: &mut Draft, included: Draft) {
    if !own.has_entrypoint {
        own.has_entrypoint = included.has_entrypoint;
        let (to, from) = (&mut own.spec, &included.spec);
        to.entrypoint.clone_from(&from.entrypoint);
        to.services.clone_from(&from.services);
        to.apko.entrypoint_type.clone_from(&from.apko.entrypoint_type);
        to.apko.entrypoint_command.clone_from(&from.apko.entrypoint_command);
        to.apko.entrypoint_shell_fragment.clone_from(&from.apko.entrypoint_shell_fragment);
    }
    own.base_files = own.base_files.or(included.base_files);
    let (to, from) = (&mut own.spec, included.spec);
    if to.apko.cmd.is_none() {
        (to.cmd, to.apko.cmd) = (from.cmd, from.apko.cmd);
    }
    if to.apko.archs.is_empty() {
        to.apko.archs = from.apko.archs;
        (to.platforms, to.unknown_platforms) = (from.platforms, from.unknown_platforms);
    }
    instead(&mut to.apko.format, from.apko.format);
    instead(&mut to.stop_signal, from.stop_signal);
    instead(&mut to.work_dir, from.work_dir);
    instead(&mut to.run_as, from.run_as);
    instead(&mut to.layering, from.layering);
    instead(&mut to.certificates, from.certificates);
    instead(&mut to.base_image, from.base_image);
    instead(&mut to.binary, from.binary);
    before(&mut to.repositories, from.repositories);
    before(&mut to.build_repositories, from.build_repositories);
    before(&mut to.runtime_repositories, from.runtime_repositories);
    before(&mut to.keyring, from.keyring);
    before(&mut to.runtime_keyring, from.runtime_keyring);
    before(&mut to.packages, from.packages);
    before(&mut to.apko.packages, from.apko.packages);
    before(&mut to.users, from.users);
    before(&mut to.groups, from.groups);
    before(&mut to.paths, from.paths);
    before(&mut to.volumes, from.volumes);
    before(&mut to.files, from.files);
    let own_ports = std::mem::replace(&mut to.ports, from.ports);
    to.ports.extend(own_ports);
    let mut seen = std::collections::BTreeSet::new();
    to.ports.retain(|port| seen.insert(*port));
    under(&mut to.environment, from.environment);
    under(&mut to.annotations, from.annotations);
    under(&mut to.places, from.places);
}

fn instead<T>(own: &mut Option<T>, included: Option<T>) {
    if own.is_none() {
        *own = included;
    }
}

fn before<T>(own: &mut Vec<T>, mut included: Vec<T>) {
    included.append(own);
    *own = included;
}

fn under<V>(own: &mut BTreeMap<String, V>, included: BTreeMap<String, V>) {
    for (key, value) in included {
        own.entry(key).or_insert(value);
    }
}

/// The spec that a merged draft means, and the mistakes that show only now.
pub(crate) fn finish(draft: Draft, mistakes: &mut Vec<Diagnostic>) -> Spec {
    let Draft { mut spec, base_files, .. } = draft;
    // Packages alone make apko's tree, to which we add nothing.
    let ours = spec.binary.is_some() || !spec.files.is_empty() || spec.packages.is_empty();
    spec.base_files = match base_files {
        Some(base_files) => base_files,
        // A base image brings its own.
        None if spec.base_image.is_some() => BaseFiles::NONE,
        None if ours && spec.dialect == Dialect::Assemble => BaseFiles::default(),
        None => BaseFiles::NONE,
    };
    if spec.apko.entrypoint_type.as_deref() == Some(SERVICE_BUNDLE) {
        service_bundle(&mut spec);
    }
    runtime_keys(mistakes, &spec);
    base_image(mistakes, &spec, base_files.is_some_and(|base_files| base_files.enabled));
    if spec.dialect == Dialect::Apko {
        return spec;
    }
    let asks_for_base = base_files.is_some_and(|base_files| base_files.enabled);
    if spec.packages.is_empty() && spec.binary.is_none() && spec.files.is_empty() && !asks_for_base {
        let place =
            spec.span_of("contents").or_else(|| spec.places.values().min_by_key(|s| (s.line, s.column)));
        let mut diagnostic = Diagnostic::new("spec/empty", "the spec puts nothing into the image");
        diagnostic.spans.extend(place.cloned());
        mistakes.push(diagnostic.help(format!("the smallest spec names a program:\n{SMALLEST}")));
        return spec;
    }
    repositories(mistakes, &spec);
    accounts(mistakes, &spec);
    platforms(mistakes, &spec);
    targets(mistakes, &spec);
    certificates(mistakes, &spec);
    spec
}

/// s6 is started, and so it has to be there. apko asks for it once more if it is asked for already.
fn service_bundle(spec: &mut Spec) {
    if spec.apko.entrypoint_shell_fragment.is_none() {
        spec.entrypoint = Some(SERVICE_COMMAND.map(str::to_owned).to_vec());
    }
    spec.apko.entrypoint_command = Some(SERVICE_COMMAND.join(" "));
    let asked = spec.packages.iter().any(|package| package.value.name.as_str() == "s6");
    if asked && spec.dialect == Dialect::Assemble {
        return;
    }
    let s6 = Constraint::parse_or_unmeetable("s6");
    if let Some(span) = spec.span_of("entrypoint.type").cloned() {
        spec.packages.push(Located { value: s6, span });
    }
    spec.apko.packages.push("s6".to_owned());
}

fn twice(message: String, again: &SourceSpan, first: &SourceSpan) -> Diagnostic {
    let (mut again, mut first) = (again.clone(), first.clone());
    again.label = "again here".into();
    first.label = "first here".into();
    Diagnostic::new("spec/conflict", message).at(again).at(first)
}

fn runtime_keys(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    let mut seen: BTreeMap<&str, &SourceSpan> = BTreeMap::new();
    for key in &spec.runtime_keyring {
        if let Some(first) = seen.get(key.name.as_str()) {
            let message = format!("two keys of `contents.runtime_keyring` are named `{}`", key.name);
            mistakes.push(twice(message, &key.span, first).help("give one of them another `name`"));
        } else {
            seen.insert(&key.name, &key.span);
        }
    }
}

/// A base image brings its own of nearly everything.
fn base_image(mistakes: &mut Vec<Diagnostic>, spec: &Spec, base_files: bool) {
    let Some(base) = &spec.base_image else { return };
    let has_accounts = spec.run_as.is_some() || !spec.users.is_empty() || !spec.groups.is_empty();
    let given = [
        (
            "entrypoint",
            spec.entrypoint.is_some() || spec.apko.entrypoint_type.is_some() || !spec.services.is_empty(),
        ),
        ("cmd", spec.apko.cmd.is_some()),
        ("stop-signal", spec.stop_signal.is_some()),
        ("work-dir", spec.work_dir.is_some()),
        ("accounts", has_accounts),
        ("environment", !spec.environment.is_empty()),
        ("paths", !spec.paths.is_empty()),
        ("annotations", !spec.annotations.is_empty()),
        ("layering", spec.layering.is_some_and(|layering| layering.strategy.is_some())),
        ("contents.base-files", base_files),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let mut here = base.source.span.clone();
        here.label = "the base image is named here".into();
        let at = spec.span_of(key).unwrap_or(&base.source.span).clone();
        let message = format!("`{key}` cannot stand beside `contents.baseimage`");
        let diagnostic = Diagnostic::new("spec/conflict", message).at(at).at(here);
        mistakes.push(diagnostic.help("remove it: the base image brings its own"));
    }
}

fn repositories(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    if spec.packages.is_empty() || !spec.repositories.is_empty() || !spec.build_repositories.is_empty() {
        return;
    }
    let message =
        if spec.packages.iter().all(|package| Some(&package.span) == spec.span_of("entrypoint.type")) {
            "a service bundle needs the package `s6`, but there is no repository it could come from"
        } else {
            "there are packages, but no repository they could come from"
        };
    let mut diagnostic = Diagnostic::new("spec/missing", message);
    let place = spec.span_of("contents.packages").or(spec.packages.first().map(|package| &package.span));
    diagnostic.spans.extend(place.cloned());
    mistakes
        .push(diagnostic.help("name one:\ncontents:\n  repositories:\n    - https://packages.wolfi.dev/os"));
}

/// Two users or groups of one name: whoever looks one up finds the first only.
fn accounts(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    let users = spec.users.iter().map(|user| (user.name.as_str(), &user.span));
    let groups = spec.groups.iter().map(|group| (group.name.as_str(), &group.span));
    let mut check = |what: &str, names: &mut dyn Iterator<Item = (&str, &SourceSpan)>| {
        let mut seen: BTreeMap<String, SourceSpan> = BTreeMap::new();
        for (name, span) in names {
            if let Some(first) = seen.insert(name.to_owned(), span.clone()) {
                let message = format!("two {what} are named `{}`", crate::source::plain(name));
                mistakes.push(twice(message, span, &first).help("remove one of them"));
            }
        }
    };
    check("users", &mut users.into_iter());
    check("groups", &mut groups.into_iter());
}

/// Programs for single platforms have to be there for all that are asked for.
fn platforms(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    let Some(binary) = &spec.binary else { return };
    let BinarySources::PerPlatform(sources) = &binary.sources else { return };
    if sources.is_empty() {
        let diagnostic =
            Diagnostic::new("spec/missing", "`contents.binary` names no program").at(binary.span.clone());
        mistakes.push(diagnostic);
    }
    for platform in spec.platforms.iter().filter(|platform| !sources.contains_key(&platform.value)) {
        let mut here = binary.span.clone();
        here.label = "the programs are named here".into();
        let diagnostic = Diagnostic::new(
            "spec/missing",
            format!("`contents.binary` has no program for {}", platform.value),
        )
        .at(platform.span.clone())
        .at(here)
        .help(format!("add `{}: PATH` to `contents.binary`, or remove the platform", platform.value));
        mistakes.push(diagnostic);
    }
}

/// Two sources for one path.
fn targets(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    let mut taken: BTreeMap<ImagePath, SourceSpan> = BTreeMap::new();
    let mut wanted: Vec<(ImagePath, SourceSpan)> = Vec::new();
    for file in &spec.files {
        // Folders may lie over each other; whether a source is one is seen here only by a slash at its end.
        if !file.path.value.is_root() && file_name(&file.source.value).is_some() {
            wanted.push((file.path.value.clone(), file.path.span.clone()));
        }
    }
    if let Some(binary) = &spec.binary {
        let default = |source: &str| ImagePath::parse(format!("/usr/bin/{}", file_name(source)?)).ok();
        let paths: Vec<ImagePath> = match (&binary.path, &binary.sources) {
            (Some(path), _) => vec![path.clone()],
            (None, BinarySources::One(source)) => default(&source.value).into_iter().collect(),
            (None, BinarySources::PerPlatform(map)) => {
                let mut paths: Vec<_> = map.values().filter_map(|source| default(&source.value)).collect();
                paths.dedup();
                paths
            }
        };
        wanted.extend(paths.into_iter().map(|path| (path, binary.span.clone())));
    }
    for (path, mut span) in wanted {
        if let Some(first) = taken.get(&path).filter(|first| **first != span) {
            let mut first = first.clone();
            if (first.line, first.column) > (span.line, span.column) {
                std::mem::swap(&mut first, &mut span);
            }
            first.label = "first here".into();
            span.label = "again here".into();
            let diagnostic = Diagnostic::new("spec/conflict", format!("two things go to {path}"))
                .at(span)
                .at(first)
                .help("give one of them another `path`");
            mistakes.push(diagnostic);
        } else {
            taken.insert(path, span);
        }
    }
}

fn certificates(mistakes: &mut Vec<Diagnostic>, spec: &Spec) {
    let additional = spec.certificates.iter().any(|certificates| !certificates.additional.is_empty());
    if !additional || spec.base_files.enabled || !spec.packages.is_empty() {
        return;
    }
    let mut diagnostic =
        Diagnostic::new("spec/conflict", "without base files there is no CA bundle to add to");
    diagnostic.spans.extend(spec.span_of("certificates").cloned());
    diagnostic.spans.extend(spec.span_of("contents.base-files").cloned().map(|mut off| {
        off.label = "turned off here".into();
        off
    }));
    mistakes.push(diagnostic.help("write `base-files: {time-zones: false}` to keep the certificates"));
}
