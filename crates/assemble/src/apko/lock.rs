//! `lock`: what a configuration resolves to, measured and written down as apko writes it.

use std::collections::{BTreeMap, BTreeSet};

use assemble_apk::{Checksum, SectionRanges};
use assemble_resolve::Solution;
use assemble_spec::lock::apko::{
    ApkoConfigSum, ApkoLock, ApkoLockContents, ApkoLockKey, ApkoLockPackage, ApkoLockRange,
    ApkoLockRepository, VERSION,
};
use assemble_spec::{Located, RepositorySource};
use assemble_types::Platform;
use data_encoding::BASE64;

use super::request::ApkoRequest;
use crate::build::{Env, Stopwatch};
use crate::choose::{self, Wanted, all_read};
use crate::error::{Doing, OwnError, Result};
use crate::fronts::OpenedFront;
use crate::plan::{BuildOptions, Plan, repository_input};
use crate::sources::{Indexes, Sources};
use crate::spec_file::SpecFile;

/// Longest signature section that is measured, in bytes.
const MAX_SIGNATURE: u64 = 16 << 20;

/// The document. The architectures are resolved one by one, as apko does it; what options add is used and not recorded.
pub(super) fn document(request: &ApkoRequest, env: &Env) -> Result<Vec<u8>> {
    let written = request.read()?;
    let (file, options) = (request.load()?, request.options(&[])?);
    let plan = Plan::lower(&file, &options)?;
    let sources = Sources::of(&plan, env);
    let mut contents = ApkoLockContents {
        keyring: keys(&written, &options, &plan, &sources)?,
        ..ApkoLockContents::default()
    };
    for &platform in &plan.platforms {
        let mut packages = packages(&plan, platform, &sources).doing(|| format!("locking for {platform}"))?;
        contents.packages.append(&mut packages);
        for (list, repositories) in [
            (&mut contents.build_repositories, &written.spec.build_repositories),
            (&mut contents.runtime_repositories, &written.spec.runtime_repositories),
            (&mut contents.repositories, &written.spec.repositories),
        ] {
            list.extend(repositories.iter().map(|source| repository(source, platform)));
        }
    }
    contents.keyring.sort_by(|a, b| a.name.cmp(&b.name));
    let config =
        ApkoConfigSum { name: request.config.display().to_string(), checksum: written.apko_checksum() };
    Ok(ApkoLock { version: VERSION.to_owned(), config: Some(config), contents }.to_json())
}

/// The keys that the configuration names, and those that are published for its repositories, with their bytes.
fn keys(
    written: &SpecFile,
    options: &BuildOptions,
    plan: &Plan<'_>,
    sources: &Sources<'_>,
) -> Result<Vec<ApkoLockKey>> {
    let written_plan = Plan::lower(written, options)?;
    let texts: BTreeSet<&str> = written.spec.keyring.iter().map(|key| key.value.as_str()).collect();
    let own = sources.keyring(&written_plan.keyring)?;
    let mut keys: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (text, key) in texts.into_iter().zip(own.files) {
        keys.insert(text.to_owned(), key.bytes);
    }
    let mut repositories = written_plan.build_repositories;
    for source in &written.spec.runtime_repositories {
        repositories.push(repository_input(written, source)?);
    }
    for platform in &plan.platforms {
        for found in sources.discover(&repositories, platform.arch)?.into_iter().flat_map(|keys| keys.files) {
            keys.entry(found.url).or_insert(found.bytes);
        }
    }
    let key = |(url, bytes): (String, Vec<u8>)| ApkoLockKey {
        name: without_scheme(&url).to_owned(),
        url,
        content: String::from_utf8_lossy(&bytes).into_owned(),
    };
    Ok(keys.into_iter().map(key).collect())
}

fn packages(plan: &Plan<'_>, platform: Platform, sources: &Sources<'_>) -> Result<Vec<ApkoLockPackage>> {
    let platforms = [platform];
    let indexes = choose::indexes(plan, &platforms, sources, &mut Stopwatch::default())?;
    let solutions = choose::first_pass(plan, &platforms, &indexes)?;
    let (Some(indexes), Some(solution)) = (indexes.first(), solutions.first()) else {
        return Err(OwnError::Bug("one architecture has no choice of packages".into()).into());
    };
    let selection = choose::selection(plan, platform, indexes, &indexes.repositories, solution)?;
    let fronts = sources.fronts(&selection.packages, platform.arch)?;
    let chosen = selection.packages.iter().zip(&fronts).zip(urls(plan, platform, indexes, solution)?);
    chosen.map(|((wanted, front), (url, arch))| locked(wanted, front, url, arch)).collect()
}

/// Where each package lies and what its record says of the architecture.
fn urls(
    plan: &Plan<'_>,
    platform: Platform,
    indexes: &Indexes,
    solution: &Solution,
) -> Result<Vec<(String, String)>> {
    let present = plan.present(platform.arch)?;
    let records = solution.records(&indexes.repositories);
    let new = records.filter(|(_, record)| present.is_none_or(|present| !present.has(&record.name)));
    let urls = new.map(|(repository, record)| {
        let (arch, id) = (platform.arch.apk(), format!("{}-{}", record.name, record.version));
        (format!("{}/{arch}/{id}.apk", repository.name), record.arch.clone())
    });
    let urls = urls.collect();
    all_read(&indexes.repositories)?;
    Ok(urls)
}

fn locked(
    wanted: &Wanted,
    front: &OpenedFront,
    url: String,
    architecture: String,
) -> Result<ApkoLockPackage> {
    let range =
        |range: &std::ops::Range<u64>| format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
    let sha1 = |checksum: &Checksum| format!("sha1-{}", BASE64.encode(checksum.as_bytes()));
    let Some(SectionRanges { signature, control, data, data_hash }) = &front.sections else {
        return Err(OwnError::NotSupported {
            what: format!("{} in a lock of apko", wanted.id),
            why: "it is a package of APK v3, which apko does not know; `assemble lock` locks it",
        }
        .into());
    };
    let signature = match signature {
        None => ApkoLockRange::default(),
        Some(section) => {
            let bytes = front
                .packed
                .slice(section.clone())
                .ok_or_else(|| OwnError::Bug("a signature section lies outside of its package".into()))?
                .read_to_vec(MAX_SIGNATURE)
                .map_err(OwnError::io(wanted.id.to_string(), "cannot be read"))?;
            ApkoLockRange { range: range(section), checksum: sha1(&Checksum::of(&bytes)) }
        }
    };
    Ok(ApkoLockPackage {
        name: wanted.id.name.clone(),
        url,
        version: wanted.id.version.clone(),
        architecture,
        signature,
        control: ApkoLockRange { range: range(control), checksum: sha1(&wanted.checksum) },
        data: ApkoLockRange {
            range: range(data),
            checksum: format!("sha256-{}", BASE64.encode(data_hash.as_bytes())),
        },
        checksum: Some(wanted.checksum),
    })
}

/// An index, in apko's words: the scheme is taken off before the tag is, so a tagged one keeps it.
fn repository(source: &Located<RepositorySource>, platform: Platform) -> ApkoLockRepository {
    let arch = platform.arch.apk();
    let line = source.value.line();
    let untagged = without_scheme(&line);
    let name = match untagged.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
        Some((_, location)) => location,
        None => untagged,
    };
    ApkoLockRepository {
        name: format!("{name}/{arch}"),
        url: format!("{}/{arch}/APKINDEX.tar.gz", source.value.location),
        architecture: arch.to_owned(),
    }
}

fn without_scheme(url: &str) -> &str {
    let url = url.strip_prefix("https://").unwrap_or(url);
    url.strip_prefix("http://").unwrap_or(url)
}
