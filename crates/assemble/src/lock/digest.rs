//! The digest of a spec's meaning: after includes and defaults, whatever its layout, its comments, and its places.

use assemble_spec::{
    AdditionalCertificate, BaseFiles, BinarySources, CertificateSource, Certificates, FileMapping, Located,
    PathMutation, RepositorySource, RuntimeKey, Spec, User,
};
use assemble_types::Digest;
use serde_json::{Value, json};

use crate::base_image::Base;

/// Equal for specs that build the same from the same packages and files.
pub(crate) fn spec_digest(spec: &Spec, base: Option<&Base>) -> Digest {
    let mut meaning = meaning(spec);
    // A base image is an input that decides which packages fit: another one is another spec.
    if let Some(base) = base {
        meaning["base_image_content"] = base.meaning();
    }
    Digest::of(meaning.to_string().as_bytes())
}

/// Every part of a spec that means something, by sorted keys. A part that is new does not compile until it is here.
fn meaning(spec: &Spec) -> Value {
    let Spec {
        dialect,
        repositories: both,
        build_repositories,
        runtime_repositories,
        keyring,
        runtime_keyring,
        packages,
        base_image,
        binary,
        files,
        base_files,
        certificates: authorities,
        entrypoint,
        services,
        cmd,
        environment,
        work_dir,
        ports,
        volumes,
        stop_signal,
        annotations,
        vcs_url,
        platforms,
        // Refused where it matters.
        unknown_platforms: _,
        run_as,
        users,
        groups,
        paths,
        layering,
        // Merged into the rest.
        include: _,
        // The same things in apko's words.
        apko: _,
        places: _,
    } = spec;
    let BaseFiles { enabled, certificates, time_zones } = base_files;
    json!({
        "dialect": format!("{dialect:?}"),
        "repositories": repositories(both),
        "build_repositories": repositories(build_repositories),
        "runtime_repositories": repositories(runtime_repositories),
        "keyring": texts(keyring),
        "runtime_keyring": runtime_keyring.iter().map(runtime_key).collect::<Vec<_>>(),
        "packages": packages.iter().map(|package| package.value.to_string()).collect::<Vec<_>>(),
        "base_image": base_image.as_ref().map(|base| json!([base.source.value.as_str(), base.apkindex.value])),
        "binary": binary.as_ref().map(|binary| json!([
            sources(&binary.sources),
            binary.path.as_ref().map(ToString::to_string),
            binary.permissions.map(assemble_types::Mode::bits),
        ])),
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "base_files": [enabled, certificates, time_zones],
        "certificates": authorities.as_ref().map(certificates_of),
        "entrypoint": entrypoint,
        "services": services,
        "cmd": cmd,
        "environment": environment,
        "work_dir": work_dir,
        "ports": ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "volumes": volumes,
        "stop_signal": stop_signal,
        "annotations": annotations,
        "vcs_url": vcs_url.as_ref().map(|url| &url.value),
        "platforms": platforms.iter().map(|platform| platform.value.to_string()).collect::<Vec<_>>(),
        "run_as": run_as.as_ref().map(|user| &user.value),
        "users": users.iter().map(user).collect::<Vec<_>>(),
        "groups": groups.iter().map(|g| json!([g.name, g.gid, g.members])).collect::<Vec<_>>(),
        "paths": paths.iter().map(path).collect::<Vec<_>>(),
        "layering": layering.map(|l| json!([l.strategy.map(assemble_spec::LayerStrategy::name), l.budget])),
    })
}

fn repositories(sources: &[Located<RepositorySource>]) -> Vec<Value> {
    let one = |source: &Located<RepositorySource>| {
        let RepositorySource { kind, pin, location } = &source.value;
        match kind.keyword() {
            // As it was before there were such words.
            None => json!([pin, location]),
            Some(keyword) => json!([keyword, pin, location]),
        }
    };
    sources.iter().map(one).collect()
}

fn texts(texts: &[Located<String>]) -> Vec<&str> {
    texts.iter().map(|text| text.value.as_str()).collect()
}

fn runtime_key(key: &RuntimeKey) -> Value {
    let RuntimeKey { name, content, span: _ } = key;
    json!([name, content])
}

fn sources(sources: &BinarySources) -> Value {
    match sources {
        BinarySources::One(source) => json!(source.value),
        BinarySources::PerPlatform(map) => {
            map.iter().map(|(platform, source)| (platform.to_string(), json!(source.value))).collect()
        }
    }
}

fn file(mapping: &FileMapping) -> Value {
    let FileMapping { source, path, permissions, uid, gid, exclude, span: _ } = mapping;
    json!([
        source.value,
        path.value.to_string(),
        permissions.map(assemble_types::Mode::bits),
        uid,
        gid,
        exclude
    ])
}

fn certificates_of(certificates: &Certificates) -> Value {
    let Certificates { additional, providers } = certificates;
    let one = |certificate: &AdditionalCertificate| match &certificate.source {
        CertificateSource::Inline(pem) => json!([certificate.name, "inline", pem]),
        CertificateSource::File(path) => json!([certificate.name, "file", path.value]),
    };
    json!([additional.iter().map(one).collect::<Vec<_>>(), texts(providers)])
}

fn user(user: &User) -> Value {
    let User { name, uid, gid, shell, home, span: _ } = user;
    json!([name, uid, gid, shell, home])
}

fn path(mutation: &PathMutation) -> Value {
    let PathMutation { path, kind, uid, gid, permissions: _, source, recursive, span: _ } = mutation;
    json!([path.value, kind.name(), uid, gid, mutation.mode().bits(), source, recursive])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        spec_digest(&assemble_spec::parse_spec("a.yaml", text.as_bytes()).unwrap(), None)
    }

    #[test]
    fn meaning_counts_and_layout_does_not() {
        let spec = "contents:\n  binary: hello\nenvironment:\n  A: b\n";
        assert_eq!(
            digest(spec),
            digest("# x\nenvironment: {A: \"b\"}\ncontents: {binary: ./hello}\n".replace("./", "").as_str())
        );
        for other in [
            "contents:\n  binary: hallo\nenvironment:\n  A: b\n",
            "contents:\n  binary: hello\nenvironment:\n  A: c\n",
            "contents:\n  binary: hello\nenvironment:\n  A: b\narchs: [arm64]\n",
            "contents:\n  binary: hello\nenvironment:\n  A: b\ncmd: x\n",
            "contents:\n  binary: hello\n  base-files: false\nenvironment:\n  A: b\n",
        ] {
            assert_ne!(digest(spec), digest(other), "{other}");
        }
    }
}
