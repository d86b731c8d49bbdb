//! A spec in apko's own words: what `/etc/apko.json` of an image repeats.

use assemble_rootfs::{
    ApkoAccounts, ApkoBaseImage, ApkoCertificates, ApkoConfig, ApkoContents, ApkoEntrypoint, ApkoGroup,
    ApkoLayering, ApkoNamed, ApkoPath, ApkoUser,
};
use assemble_spec::{
    AdditionalCertificate, CertificateSource, Certificates, Group, LayerStrategy, Located, PathMutation,
    RepositorySource, RuntimeKey, Spec, User,
};
use assemble_types::Platform;

/// The configuration that one platform's image is made from, with its packages locked.
pub(crate) fn locked(spec: &Spec, platform: Platform, packages: &[String]) -> ApkoConfig {
    let mut config = of(spec);
    // Neither is copied when apko makes an image's configuration out of the whole.
    config.vcs_url.clear();
    config.include.clear();
    config.archs = vec![platform.arch.oci_with_variant()];
    for list in [
        &mut config.contents.build_repositories,
        &mut config.contents.repositories,
        &mut config.contents.keyring,
    ] {
        list.sort();
        list.dedup();
    }
    config.contents.packages = packages.to_vec();
    config
}

/// The spec as written, with what follows from it filled in.
pub(crate) fn of(spec: &Spec) -> ApkoConfig {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    ApkoConfig {
        contents: contents(spec),
        entrypoint: ApkoEntrypoint {
            kind: text(&spec.apko.entrypoint_type),
            command: text(&spec.apko.entrypoint_command),
            shell_fragment: text(&spec.apko.entrypoint_shell_fragment),
            services: spec.services.clone(),
        },
        cmd: text(&spec.apko.cmd),
        stop_signal: text(&spec.stop_signal),
        work_dir: text(&spec.work_dir),
        accounts: accounts(spec),
        archs: spec.apko.archs.clone(),
        environment: spec.environment.clone(),
        paths: spec.paths.iter().map(path).collect(),
        vcs_url: spec.vcs_url.as_ref().map(|url| url.value.clone()).unwrap_or_default(),
        annotations: spec.annotations.clone(),
        include: spec.include.as_ref().map(|include| include.value.clone()).unwrap_or_default(),
        volumes: spec.volumes.clone(),
        // What apko does not know says nothing to it, and the tree is the same with and without.
        layering: spec.layering.filter(|l| l.strategy != Some(LayerStrategy::Package)).map(|layering| {
            ApkoLayering {
                strategy: layering.strategy.map(|s| s.name().to_owned()).unwrap_or_default(),
                budget: layering.budget,
            }
        }),
        format: text(&spec.apko.format),
        certificates: spec.certificates.as_ref().map(certificates),
    }
}

fn contents(spec: &Spec) -> ApkoContents {
    let lines = |sources: &[Located<RepositorySource>]| -> Vec<String> {
        sources.iter().map(|s| s.value.line()).collect()
    };
    let named = |key: &RuntimeKey| ApkoNamed { name: key.name.clone(), content: key.content.clone() };
    ApkoContents {
        build_repositories: lines(&spec.build_repositories),
        runtime_repositories: lines(&spec.runtime_repositories),
        repositories: lines(&spec.repositories),
        keyring: spec.keyring.iter().map(|key| key.value.clone()).collect(),
        runtime_keyring: spec.runtime_keyring.iter().map(named).collect(),
        packages: spec.apko.packages.clone(),
        baseimage: spec.base_image.as_ref().map(|base| ApkoBaseImage {
            image: base.source.value.as_str().to_owned(),
            apkindex: base.apkindex.value.clone(),
        }),
    }
}

fn accounts(spec: &Spec) -> ApkoAccounts {
    let user = |user: &User| ApkoUser {
        username: user.name.clone(),
        uid: user.uid,
        gid: user.gid,
        shell: user.shell.clone(),
        homedir: match user.home.as_str() {
            "" => format!("/home/{}", user.name),
            home => home.to_owned(),
        },
    };
    let group = |group: &Group| ApkoGroup {
        groupname: group.name.clone(),
        gid: group.gid,
        members: group.members.clone(),
    };
    ApkoAccounts {
        run_as: spec.run_as.as_ref().map(|r| r.value.clone()).unwrap_or_default(),
        users: spec.users.iter().map(user).collect(),
        groups: spec.groups.iter().map(group).collect(),
    }
}

fn path(path: &PathMutation) -> ApkoPath {
    ApkoPath {
        path: path.path.value.clone(),
        kind: path.kind.name().to_owned(),
        uid: path.uid,
        gid: path.gid,
        permissions: path.permissions,
        source: path.source.clone(),
        recursive: path.recursive,
    }
}

fn certificates(certificates: &Certificates) -> ApkoCertificates {
    let named = |certificate: &AdditionalCertificate| ApkoNamed {
        name: certificate.name.clone().unwrap_or_default(),
        content: match &certificate.source {
            CertificateSource::Inline(text) => text.clone(),
            // Only our own dialect knows files.
            CertificateSource::File(file) => file.value.clone(),
        },
    };
    ApkoCertificates {
        additional: certificates.additional.iter().map(named).collect(),
        providers: certificates.providers.iter().map(|provider| provider.value.clone()).collect(),
    }
}
