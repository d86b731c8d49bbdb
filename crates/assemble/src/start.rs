//! How the image starts, decided and checked before anything is written.

use std::collections::BTreeMap;

use assemble_rootfs::{Body, StartProblem, StartRequest, Tree, check_start, start_notes};
use assemble_spec::{PathKind, PathMutation, Spec};
use assemble_types::{Event, Explain, ImagePath, Observer, Owner, Platform, SourceSpan};
use serde::{Deserialize, Serialize};

use crate::base_image::Ground;
use crate::contents::InstalledFacts;
use crate::error::{Error, OwnError, Result};
use crate::plan::{DEFAULT_USER, Mode, Plan, StartCheck};

/// What `PATH` is where the spec gives none; the order is apko's.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin";
/// Where programs look for certificates that read `SSL_CERT_FILE`.
pub(crate) const CERTIFICATE_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Largest account file that is read.
const MAX_PASSWD: u64 = 4 * 1024 * 1024;

/// How an image starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartReport {
    /// Entrypoint, may be empty.
    pub entrypoint: Vec<String>,
    /// Arguments, may be empty.
    pub cmd: Vec<String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// `uid:gid`; in apko's mode what the configuration says, or nothing.
    pub user: Option<String>,
    /// Reasons why it would not start, where the user chose only to be warned.
    pub problems: Vec<String>,
}

/// Works out entrypoint, environment and user, and runs the start check.
pub(crate) fn check(
    plan: &Plan<'_>,
    tree: &Tree,
    platform: Platform,
    installed: Option<&InstalledFacts>,
    observer: &dyn Observer,
) -> Result<StartReport> {
    let how = plan.start_check;
    let spec = plan.spec();
    if let Some(ground) = plan.ground(platform)?
        && plan.mode == Mode::Assemble
    {
        return upon(plan, &ground, platform, observer);
    }
    let owner = match plan.mode {
        Mode::Assemble => user(plan, tree, observer)?,
        Mode::Apko => Owner::ROOT,
    };
    let user = match plan.mode {
        Mode::Assemble => Some(format!("{}:{}", owner.uid, owner.gid)),
        Mode::Apko => installed.and_then(|facts| facts.run_as.clone()),
    };
    let mut entrypoint = spec.entrypoint.clone().unwrap_or_default();
    let cmd = spec.cmd.clone().unwrap_or_default();
    if entrypoint.is_empty()
        && let Some(binary) = plan.binary(platform)?
    {
        entrypoint.push(binary.path.to_string());
    }
    let environment = environment(plan, tree);
    let mut report = StartReport { entrypoint, cmd, environment, user, problems: Vec::new() };
    if how == StartCheck::Off {
        return Ok(report);
    }
    let request = StartRequest {
        platform,
        entrypoint: report.entrypoint.clone(),
        cmd: report.cmd.clone(),
        env_path: report.environment.get("PATH").cloned(),
        env_library_path: report.environment.get("LD_LIBRARY_PATH").cloned(),
        work_dir: spec.work_dir.clone(),
        user: (owner.uid, owner.gid),
    };
    for note in start_notes(tree, &request) {
        observer.event(Event::Note(note));
    }
    let mut problems = check_start(tree, &request).into_iter();
    while let Some(problem) = problems.next() {
        let closed = closed_by_links(spec, &problem);
        if how == StartCheck::Refuse {
            let mut error = Error::from(problem);
            for (hint, span) in closed {
                error = error.hint(hint).at(span);
            }
            error = error.doing(format!("checking that the image for {platform} can start"));
            for other in problems.by_ref() {
                error = error.hint(format!("this, too: {other}"));
            }
            if let Some(span) =
                ["entrypoint", "cmd", "contents.binary"].iter().find_map(|key| spec.span_of(key))
            {
                error = error.at(span);
            }
            return Err(error);
        }
        observer.event(Event::Warning(format!("would not start: {problem}")));
        for (hint, _) in closed {
            observer.event(Event::Warning(format!("  {hint}")));
        }
        for hint in problem.hints() {
            observer.event(Event::Warning(format!("  {hint}")));
        }
        report.problems.push(problem.to_string());
    }
    Ok(report)
}

/// Links of `paths` that took all permissions from what they lead to, if that is what the problem is about: as in apko,
/// their permissions are those of the target, and none is 0000.
fn closed_by_links<'s>(spec: &'s Spec, problem: &StartProblem) -> Vec<(String, &'s SourceSpan)> {
    if !problem.to_string().contains("0000") {
        return Vec::new();
    }
    let closes = |path: &&PathMutation| path.kind == PathKind::SymLink && path.permissions == 0;
    let said = |path: &'s PathMutation| {
        let (path, source, span) = (&path.path.value, &path.source, &path.span);
        let hint = format!(
            "the link {path} in `paths` has no `permissions`, and so took all from {source}, as apko does: write \
             `permissions: 0o755` there"
        );
        (hint, span)
    };
    spec.paths.iter().filter(closes).map(said).collect()
}

/// How an image upon another one starts: as that does, but for a binary of the spec's. The start check has nothing to say
/// here, for most of what it would look at lies in layers that are taken as they are.
fn upon(
    plan: &Plan<'_>,
    ground: &Ground<'_>,
    platform: Platform,
    observer: &dyn Observer,
) -> Result<StartReport> {
    let base = ground.config();
    let binary = plan.binary(platform)?.map(|binary| binary.path.to_string());
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    let is_root = match base.user.as_deref() {
        None => true,
        Some(user) => matches!(user.split(':').next(), Some("root" | "0")),
    };
    if is_root {
        observer.event(Event::Warning("the image runs as root, as its base image does".into()));
    }
    Ok(StartReport {
        cmd: if binary.is_some() { Vec::new() } else { base.cmd.clone() },
        entrypoint: binary.map_or_else(|| base.entrypoint.clone(), |path| vec![path]),
        environment: base.env.iter().map(pair).collect(),
        user: base.user.clone(),
        problems: Vec::new(),
    })
}

fn environment(plan: &Plan<'_>, tree: &Tree) -> BTreeMap<String, String> {
    let mut environment = plan.spec().environment.clone();
    environment.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    let certificates = ImagePath::parse(CERTIFICATE_FILE).expect("a constant path without `..`");
    let there = tree.resolve(&certificates, true).is_ok_and(|r| r.node.is_some());
    // A tree of packages alone is apko's, which sets the variable whether the file is there or not.
    if there || plan.packages_only() || plan.mode == Mode::Apko {
        environment.entry("SSL_CERT_FILE".into()).or_insert_with(|| CERTIFICATE_FILE.into());
    }
    environment
}

/// The user as numbers, so that Kubernetes can tell that it is not root.
fn user(plan: &Plan<'_>, tree: &Tree, observer: &dyn Observer) -> Result<Owner> {
    let Some(wanted) = &plan.spec().run_as else { return Ok(DEFAULT_USER) };
    let (name, group) = match wanted.value.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted.value.as_str(), None),
    };
    let accounts = accounts(tree);
    let by_name = accounts.iter().find(|a| a.name == name).map(|a| a.owner);
    let unknown = || {
        let known = accounts.iter().map(|a| a.name.clone()).collect();
        Error::from(OwnError::UnknownUser { user: wanted.value.clone(), known }).at(&wanted.span)
    };
    let mut owner = match name.parse::<u32>() {
        Ok(uid) => accounts.iter().find(|a| a.owner.uid == uid).map_or(Owner { uid, gid: uid }, |a| a.owner),
        Err(_) if name == "root" => Owner::ROOT,
        Err(_) => by_name.ok_or_else(unknown)?,
    };
    if let Some(group) = group {
        owner.gid = group.parse().map_err(|_| unknown())?;
    }
    if owner.uid == 0 {
        observer.event(Event::Warning(
            "the image runs as root: whoever breaks into the process owns the container; \
             leave accounts.run-as out to run as 65532"
                .into(),
        ));
    }
    Ok(owner)
}

struct Account {
    name: String,
    owner: Owner,
}

/// The accounts of the image's own `/etc/passwd`; lines that are none are passed over.
fn accounts(tree: &Tree) -> Vec<Account> {
    let path = ImagePath::parse("/etc/passwd").expect("a constant path without `..`");
    let node = tree.resolve(&path, true).ok().and_then(|r| r.node).map(|id| tree.node(id));
    let Some(Body::File(blob)) = node.map(|n| &n.body) else { return Vec::new() };
    let Ok(bytes) = blob.read_to_vec(MAX_PASSWD) else { return Vec::new() };
    String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            Some(Account { name: (*fields.first()?).to_owned(), owner: Owner { uid, gid } })
        })
        .collect()
}
