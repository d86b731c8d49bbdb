//! A spec in apko's own words: what `/etc/apko.json` of an image repeats.

use assemble_rootfs::ApkoConfig;
use assemble_spec::{Located, RepositorySource, Spec};
use assemble_types::Platform;

use crate::plan::repository_line;

/// The configuration that one platform's image is made from, with its packages locked.
pub(crate) fn locked(spec: &Spec, platform: Platform, packages: &[String]) -> ApkoConfig {
    let mut config = of(spec);
    config.archs = vec![platform.arch.oci_with_variant()];
    for list in [
        &mut config.contents.build_repositories,
        &mut config.contents.runtime_repositories,
        &mut config.contents.repositories,
        &mut config.contents.keyring,
    ] {
        list.sort();
        list.dedup();
    }
    config.contents.packages = packages.to_vec();
    config
}

/// The spec as written.
pub(crate) fn of(spec: &Spec) -> ApkoConfig {
    let lines = |sources: &[Located<RepositorySource>]| -> Vec<String> {
        sources.iter().map(|s| repository_line(s.value.pin.as_deref(), &s.value.location)).collect()
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut config = ApkoConfig {
        archs: spec.platforms.iter().map(|p| p.value.arch.oci_with_variant()).collect(),
        environment: spec.environment.clone(),
        annotations: spec.annotations.clone(),
        cmd: text(&spec.apko.cmd),
        stop_signal: text(&spec.stop_signal),
        work_dir: text(&spec.work_dir),
        volumes: spec.volumes.clone(),
        ..ApkoConfig::default()
    };
    config.contents.build_repositories = lines(&spec.build_repositories);
    config.contents.runtime_repositories = lines(&spec.runtime_repositories);
    config.contents.repositories = lines(&spec.repositories);
    config.contents.keyring = spec.keyring.iter().map(|key| key.value.clone()).collect();
    config.contents.packages = spec.packages.iter().map(|p| p.value.to_string()).collect();
    config.entrypoint.kind = text(&spec.apko.entrypoint_type);
    config.entrypoint.command = text(&spec.apko.entrypoint_command);
    config.entrypoint.shell_fragment = text(&spec.apko.entrypoint_shell_fragment);
    config.accounts.run_as = spec.run_as.as_ref().map(|r| r.value.clone()).unwrap_or_default();
    config
}
