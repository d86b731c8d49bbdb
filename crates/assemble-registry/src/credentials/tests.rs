use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use tempfile::TempDir;

use super::*;
use crate::endpoint::PlainHttp;

fn endpoint(name: &str) -> Endpoint {
    Endpoint::new(name, &PlainHttp::default()).unwrap()
}

fn auth(pair: &str) -> String {
    BASE64.encode(pair.as_bytes())
}

#[expect(clippy::unnecessary_wraps, reason = "the tables want it so")]
fn pair(user: &str, password: &str) -> Option<Credential> {
    Some(Credential::Basic { user: user.into(), password: Secret::new(password) })
}

fn from_text(text: &str, registry: &str, repository: &str) -> Found {
    let sources = CredentialSources { docker_auth_config: Some(text.into()), ..Default::default() };
    sources.find(&endpoint(registry), repository)
}

#[test]
fn keys_of_docker_and_podman() {
    let entry = |key: &str| format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, auth("u:p:q"));
    for (key, registry, hit) in [
        ("ghcr.io", "ghcr.io", true),
        ("https://ghcr.io", "ghcr.io", true),
        ("https://ghcr.io/", "ghcr.io", true),
        ("https://ghcr.io/v2/", "ghcr.io", true),
        ("http://ghcr.io/v1/", "ghcr.io", true),
        ("GHCR.io", "ghcr.io", true),
        ("ghcr.io", "xghcr.io", false),
        ("ghcr.io:5000", "ghcr.io", false),
        ("127.0.0.1:5000", "127.0.0.1:5000", true),
        ("https://index.docker.io/v1/", "docker.io", true),
        ("docker.io", "docker.io", true),
        ("registry-1.docker.io", "index.docker.io", true),
        ("ghcr.io/team", "ghcr.io", true),
        ("ghcr.io/tea", "ghcr.io", false),
        ("ghcr.io/team/app", "ghcr.io", true),
        ("ghcr.io/team/app/x", "ghcr.io", false),
    ] {
        let found = from_text(&entry(key), registry, "team/app");
        assert_eq!(found.credential, if hit { pair("u", "p:q") } else { None }, "{key}");
    }
    let several = format!(
        r#"{{"auths":{{"q.io":{{"auth":"{}"}},"q.io/a/b":{{"auth":"{}"}},"q.io/a":{{"auth":"{}"}}}}}}"#,
        auth("1:x"),
        auth("3:x"),
        auth("2:x")
    );
    for (repository, user) in
        [("z", "1"), ("a", "2"), ("a/c", "2"), ("a/b", "3"), ("a/b/c", "3"), ("ab", "1")]
    {
        assert_eq!(from_text(&several, "q.io", repository).credential, pair(user, "x"), "{repository}");
    }
}

#[test]
fn forms_of_entries() {
    let identity =
        |user: &str, token: &str| Some(Credential::Identity { user: user.into(), token: Secret::new(token) });
    for (entry, want) in [
        (format!(r#"{{"auth":"{}"}}"#, auth("u:p\0\0")), pair("u", "p")),
        (format!(r#"{{"auth":"{}"}}"#, auth("u:p").trim_end_matches('=')), pair("u", "p")),
        (r#"{"username":"u","password":"p"}"#.into(), pair("u", "p")),
        (format!(r#"{{"auth":"{}","identitytoken":"t"}}"#, auth("u:")), identity("u", "t")),
        (r#"{"identitytoken":"t"}"#.into(), identity("<token>", "t")),
        (format!(r#"{{"auth":"{}"}}"#, auth("<token>:t")), identity("<token>", "t")),
        (
            format!(r#"{{"auth":"{}"}}"#, auth(&format!("{AZURE_TOKEN_USER}:t"))),
            identity(AZURE_TOKEN_USER, "t"),
        ),
        (r#"{"registrytoken":"t","auth":"x"}"#.into(), Some(Credential::Registry(Secret::new("t")))),
        ("{}".into(), None),
        (r#"{"auth":""}"#.into(), None),
        (r#"{"email":"e"}"#.into(), None),
    ] {
        let found = from_text(&format!(r#"{{"auths":{{"r.io":{entry}}}}}"#), "r.io", "a");
        assert_eq!(found.credential, want, "{entry}");
        assert!(found.broken.is_empty(), "{entry}: {:?}", found.broken);
    }
}

#[test]
fn broken_sources_are_named_without_their_contents() {
    for text in [
        r#"{"auths":{"r.io":{"auth":"hunter2!"}}}"#.to_owned(),
        format!(r#"{{"auths":{{"r.io":{{"auth":"{}"}}}}}}"#, auth("hunter2")),
        r#"{"auths":"hunter2"}"#.to_owned(),
        "hunter2".to_owned(),
        r#"{"auths":{"r.io":{"auth":7}}}"#.to_owned(),
    ] {
        let found = from_text(&text, "r.io", "a");
        assert!(found.credential.is_none() && found.broken.len() == 1, "{text}");
        assert!(found.broken[0].starts_with("DOCKER_AUTH_CONFIG: "), "{:?}", found.broken);
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}

#[test]
fn sources_in_order() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().join("home");
    let one =
        |user: &str| format!(r#"{{"auths":{{"ghcr.io":{{"auth":"{}"}}}}}}"#, auth(&format!("{user}:x")));
    let write = |path: PathBuf, user: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, one(user)).unwrap();
    };
    write(dir.path().join("docker/config.json"), "docker");
    write(home.join(".docker/config.json"), "home");
    write(dir.path().join("auth.json"), "file");
    write(dir.path().join("run/containers/auth.json"), "run");
    write(dir.path().join("conf/containers/auth.json"), "conf");
    write(home.join(".config/containers/auth.json"), "homeconf");
    fs::write(home.join(".dockercfg"), format!(r#"{{"ghcr.io":{{"auth":"{}"}}}}"#, auth("old:x"))).unwrap();

    let mut sources = CredentialSources {
        explicit: Some(("explicit".into(), "x".into())),
        docker_auth_config: Some(one("env")),
        docker_config_dir: Some(dir.path().join("docker")),
        registry_auth_file: Some(dir.path().join("auth.json")),
        xdg_runtime_dir: Some(dir.path().join("run")),
        xdg_config_home: Some(dir.path().join("conf")),
        home: Some(home.clone()),
        github_token: Some("x".into()),
        github_actor: Some("actor".into()),
        helper_path: None,
    };
    let ask = |sources: &CredentialSources| sources.find(&endpoint("ghcr.io"), "a/b");
    let mut expect = |user: &str, then: &dyn Fn(&mut CredentialSources)| {
        assert_eq!(ask(&sources).credential, pair(user, "x"), "{user}");
        then(&mut sources);
    };
    expect("explicit", &|s| s.explicit = None);
    expect("env", &|s| s.docker_auth_config = Some(" ".into()));
    expect("docker", &|s| s.docker_config_dir = None);
    expect("home", &|_| fs::write(home.join(".docker/config.json"), "{}").unwrap());
    expect("file", &|s| s.registry_auth_file = None);
    expect("run", &|s| s.xdg_runtime_dir = None);
    expect("conf", &|s| s.xdg_config_home = None);
    expect("homeconf", &|_| fs::remove_file(home.join(".config/containers/auth.json")).unwrap());
    expect("old", &|s| s.home = None);
    expect("actor", &|s| s.github_actor = None);
    expect("github", &|s| s.github_token = Some(String::new()));
    let found = ask(&sources);
    assert_eq!(found.credential, None);
    assert!(found.tried.is_empty());

    sources.github_token = Some("hunter2".into());
    sources.home = Some(home.clone());
    let elsewhere = sources.find(&endpoint("quay.io"), "a");
    assert_eq!(elsewhere.credential, None, "GITHUB_TOKEN is for ghcr.io only");
    assert_eq!(
        elsewhere.tried,
        [
            format!("{} (no entry)", home.join(".docker/config.json").display()),
            format!("{} (no entry)", home.join(".dockercfg").display())
        ]
    );
    assert!(!format!("{sources:?}").contains("hunter2"));
}

/// A folder with a helper named `docker-credential-x` that runs `script`.
fn helper(script: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("docker-credential-x");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn get(script: &str, patience: Duration) -> Result<Option<Credential>, String> {
    let dir = helper(script);
    helper::get_within("x", "r.io", Some(dir.path().as_os_str()), patience).map_err(|e| e.to_string())
}

#[test]
fn helpers_good_and_bad() {
    let long = Duration::from_secs(20);
    let name = "docker-credential-x";
    for (script, want) in [
        (
            r#"[ "$1" = get ] && read h; printf '{"ServerURL":"%s","Username":"u","Secret":"%s"}' "$h" "$h""#,
            Ok(pair("u", "r.io")),
        ),
        (
            r#"echo '{"Username":"<token>","Secret":"t"}'"#,
            Ok(Some(Credential::Identity { user: "<token>".into(), token: Secret::new("t") })),
        ),
        (r#"echo '{"Username":"","Secret":""}'"#, Ok(None)),
        ("echo credentials not found in native keychain; exit 1", Ok(None)),
        (
            "echo hunter2; echo 'is locked' >&2; exit 3",
            Err(format!("{name} failed (exit status: 3): is locked")),
        ),
        ("kill -9 $$", Err(format!("{name} failed (signal: 9 (SIGKILL))"))),
        ("echo hunter2", Err(format!("{name} printed something that is no credentials"))),
        ("yes | head -c 1000000", Err(format!("{name} printed something that is no credentials"))),
        // It does not read its input, and its grandchild keeps the pipe.
        (r#"sleep 3 & echo '{"Username":"u","Secret":"p"}'"#, Ok(pair("u", "p"))),
    ] {
        assert_eq!(get(script, long), want, "{script}");
    }
}

#[test]
fn a_helper_that_hangs_is_ended() {
    let start = Instant::now();
    let error = get("exec sleep 60", Duration::from_millis(300)).unwrap_err();
    assert_eq!(error, "docker-credential-x did not end within 0 s");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_missing_or_misnamed_helper_is_named_and_others_are_asked() {
    let dir = TempDir::new().unwrap();
    for (suffix, why) in [
        ("nowhere", "docker-credential-nowhere is not in PATH"),
        ("../x", "`../x` is no name of a credential helper"),
    ] {
        fs::write(dir.path().join("config.json"), format!(r#"{{"credsStore":"{suffix}"}}"#)).unwrap();
        let sources = CredentialSources {
            docker_config_dir: Some(dir.path().into()),
            helper_path: Some(dir.path().into()),
            github_token: Some("t".into()),
            ..Default::default()
        };
        let found = sources.find(&endpoint("ghcr.io"), "a");
        assert_eq!(found.credential, pair("github", "t"));
        assert!(found.tried[0].contains(why) && found.broken[0].contains(why), "{found:?}");
    }
}

#[test]
fn helpers_of_a_registry_win_over_the_store_and_auths() {
    let dir = helper(r#"read h; printf '{"Username":"%s","Secret":"p"}' "$h""#);
    let config = format!(
        r#"{{"credHelpers":{{"r.io":"x","docker.io":"x"}},"credsStore":"nowhere","auths":{{"r.io":{{"auth":"{}"}}}}}}"#,
        auth("a:b")
    );
    fs::write(dir.path().join("config.json"), config).unwrap();
    let sources = CredentialSources {
        docker_config_dir: Some(dir.path().into()),
        helper_path: Some(dir.path().into()),
        ..Default::default()
    };
    assert_eq!(sources.find(&endpoint("r.io"), "a").credential, pair("r.io", "p"));
    // Docker Hub is asked for under its old address.
    assert_eq!(
        sources.find(&endpoint("docker.io"), "a").credential,
        pair("https://index.docker.io/v1/", "p")
    );
}

#[test]
fn storing_keeps_what_is_there() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("new/docker");
    let sources = CredentialSources { docker_config_dir: Some(folder.clone()), ..Default::default() };
    let file = folder.join("config.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    store(&sources, &endpoint("r.io"), "u", &Secret::new("p:q")).unwrap();
    assert_eq!((mode(&file), mode(&folder)), (0o600, 0o700));
    assert_eq!(sources.find(&endpoint("r.io"), "a").credential, pair("u", "p:q"));

    fs::write(
        &file,
        format!(
            r#"{{"proxies":{{"a":[1,2.5,"ü"]}},"auths":{{"o.io":{{"auth":"{}","email":"e"}}}}}}"#,
            auth("o:o")
        ),
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let link = dir.path().join("config.json");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let linked = CredentialSources { docker_config_dir: Some(dir.path().into()), ..Default::default() };
    store(&linked, &endpoint("docker.io"), "h", &Secret::new("x")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&file), 0o600);
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "proxies": { "a": [1, 2.5, "ü"] },
            "auths": {
                "o.io": { "auth": auth("o:o"), "email": "e" },
                "https://index.docker.io/v1/": { "auth": auth("h:x") }
            }
        })
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn storing_refuses_what_it_does_not_understand() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.json");
    let sources = CredentialSources { docker_config_dir: Some(dir.path().into()), ..Default::default() };
    for text in ["{", "[]", r#"{"auths":[]}"#, r#"{"auths":{"a":"hunter2"}}"#] {
        fs::write(&file, text).unwrap();
        let error = store(&sources, &endpoint("r.io"), "u", &Secret::new("p")).unwrap_err();
        assert!(error.to_string().contains("is no docker configuration"), "{text}: {error}");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "left as it is");
    }
    let nowhere = CredentialSources::default();
    assert!(matches!(store(&nowhere, &endpoint("r.io"), "u", &Secret::new("p")), Err(StoreError::NoPlace)));
}

#[test]
fn storing_uses_the_helper() {
    let dir = helper(r#"[ "$1" = store ] && cat > "$(dirname "$0")/stored""#);
    fs::write(dir.path().join("config.json"), r#"{"credsStore":"x"}"#).unwrap();
    let sources = CredentialSources {
        docker_config_dir: Some(dir.path().into()),
        helper_path: Some(dir.path().into()),
        ..Default::default()
    };
    let place = store(&sources, &endpoint("r.io"), "u", &Secret::new("p")).unwrap();
    assert_eq!(place, "docker-credential-x");
    let stored: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("stored")).unwrap()).unwrap();
    assert_eq!(stored, serde_json::json!({ "ServerURL": "r.io", "Username": "u", "Secret": "p" }));
    let config = fs::read_to_string(dir.path().join("config.json")).unwrap();
    assert!(config.contains("\"r.io\": {}") && !config.contains("auth\""), "{config}");
}
