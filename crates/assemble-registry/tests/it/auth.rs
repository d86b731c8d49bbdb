//! Credentials and tokens.

use std::fmt::Write as _;
use std::time::Duration;

use assemble_registry::{AddressFault, CredentialSources, RegistryError};
use assemble_testkit::{Action, Auth, Fault, HttpServer, RegistryOptions, RegistryStub, Request, Response};
use assemble_types::{Explain, Kind};
use expect_test::expect;

use crate::kit::*;

fn basic() -> RegistryStub {
    let auth = Auth::Basic { user: USER.into(), password: PASSWORD.into() };
    RegistryStub::with(RegistryOptions { auth, ..RegistryOptions::default() })
}

fn tokens(anonymous_pull: bool) -> RegistryStub {
    let auth = Auth::Token {
        user: USER.into(),
        password: PASSWORD.into(),
        anonymous_pull,
        lifetime: Duration::from_mins(5),
    };
    RegistryStub::with(RegistryOptions { auth, ..RegistryOptions::default() })
}

/// Docker's configuration in a folder of its own.
fn docker(text: &str) -> (tempfile::TempDir, CredentialSources) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), text).unwrap();
    let sources =
        CredentialSources { docker_config_dir: Some(dir.path().into()), ..CredentialSources::default() };
    (dir, sources)
}

fn challenge(stub: &RegistryStub, realm: &str) -> Response {
    let realm = realm.replace("HOST", &stub.host());
    json_error(401, "UNAUTHORIZED", "who are you")
        .header("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\""))
}

#[test]
fn basic_and_token() {
    for stub in [basic(), tokens(false)] {
        let bench = bench(with_password());
        bench.registry.push(&at(&stub, ":v1"), &large(), &[]).unwrap();
        assert_holds(&stub, &large(), "v1");
        assert!(count(&stub, "GET token") <= 1);
        // One refused call in all: what the registry wants is remembered.
        assert_eq!(stub.log().iter().filter(|l| l.status == 401).count(), 1);
        stub.server().clear_log();
        bench.registry.push(&at(&stub, ":v1"), &large(), &[]).unwrap();
        assert_eq!(stub.calls().len(), 1);
        bench.registry.manifest(&at(&stub, ":v1")).unwrap();
        assert!(!bench.recorder.text().contains(PASSWORD));
        assert!(!format!("{:?}", bench.registry).contains(PASSWORD));
    }
}

#[test]
fn the_token_request() {
    let stub = tokens(false);
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    let asked = stub.log().into_iter().find(|l| l.target.starts_with("/token")).unwrap();
    assert_eq!(asked.method, "GET");
    assert_eq!(
        asked.target,
        "/token?service=test+registry&scope=repository%3Ateam%2Fapp%3Apull%2Cpush&account=jo"
    );
    // A query in the realm stays.
    let stub = tokens(false);
    stub.fault(Fault::on("HEAD", "/", Action::Answer(challenge(&stub, "http://HOST/token?tenant=7"))).nth(1));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert!(
        stub.calls().iter().any(|c| c.starts_with("GET /token?tenant=7&service=s&scope=")),
        "{:?}",
        stub.calls()
    );
}

#[test]
fn identity_tokens_go_by_post_and_fall_back() {
    let token = |host: &str| format!(r#"{{"auths":{{"{host}":{{"identitytoken":"{PASSWORD}"}}}}}}"#);
    let stub = tokens(false);
    let (_dir, sources) = docker(&token(&stub.host()));
    bench(sources).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_eq!((count(&stub, "POST token"), count(&stub, "GET token")), (1, 0));
    for status in [400, 401, 404, 405, 302] {
        let stub = tokens(false);
        let text = format!(
            r#"{{"auths":{{"{}":{{"username":"{USER}","identitytoken":"{PASSWORD}"}}}}}}"#,
            stub.host()
        );
        let (_dir, sources) = docker(&text);
        let answer = Response::new(status).header("Location", "http://127.0.0.1:1/x");
        stub.fault(Fault::on("POST", "/token", Action::Answer(answer)));
        bench(sources).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
        assert_eq!((count(&stub, "POST token"), count(&stub, "GET token")), (1, 1));
    }
}

#[test]
fn a_token_that_ends_during_the_push() {
    let stub = tokens(false);
    let refused = challenge(&stub, "http://HOST/token");
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::Answer(refused.clone())).nth(1));
    let image = image(&[noise(3, 900_000)]);
    bench(with_password()).registry.push(&at(&stub, ":v1"), &image, &[]).unwrap();
    assert_holds(&stub, &image, "v1");
    assert_eq!(count(&stub, "GET token"), 2);
    assert_eq!(count(&stub, "PUT upload"), 3);
    // The answer comes while the body is still being sent.
    let stub = tokens(false);
    let refused = challenge(&stub, "http://HOST/token");
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::AnswerEarly(refused)).nth(1));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &image, &[]).unwrap();
    assert_holds(&stub, &image, "v1");
    // Between two pushes.
    let stub = tokens(false);
    let bench = bench(with_password());
    bench.registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    stub.expire_tokens();
    bench.registry.push(&at(&stub, ":v1"), &large(), &[]).unwrap();
    assert_eq!(count(&stub, "GET token"), 2);
}

#[test]
fn refused_for_ever() {
    let stub = tokens(false);
    let refused = challenge(&stub, "http://HOST/token");
    stub.fault(Fault::on("*", "/v2/", Action::Answer(refused)));
    let error = bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    expect![[r#"REGISTRY/team/app: asking for v1: denied (401): UNAUTHORIZED: who are you | tried: the user and password given (user jo); run `assemble login REGISTRY`"#]].assert_eq(&told(&error, &stub));
    assert!(count(&stub, "GET token") <= 2);
    assert!(stub.calls().len() <= 6, "{:?}", stub.calls());
}

#[test]
fn wrong_and_missing_passwords() {
    for stub in [basic(), tokens(false)] {
        let wrong = CredentialSources {
            explicit: Some((USER.into(), "swordfish".into())),
            ..CredentialSources::default()
        };
        let error = bench(wrong).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        let text = told(&error, &stub);
        assert!(text.contains("UNAUTHORIZED: ") && text.contains("user jo"), "{text}");
        assert!(!format!("{text}{error:?}").contains("swordfish"));
        assert!(stub.calls().len() <= 5, "{:?}", stub.calls());
    }
    let stub = basic();
    let (dir, sources) = docker("{}");
    let error = bench(sources).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
    let text = told(&error, &stub).replace(&dir.path().display().to_string(), "DIR");
    expect![[r#"REGISTRY/team/app: asking for v1: denied (401): UNAUTHORIZED: authentication required | tried: DIR/config.json (no entry); run `assemble login REGISTRY`"#]].assert_eq(&text);
}

#[test]
fn anonymous_may_pull_and_not_push() {
    let stub = tokens(true);
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    let (_dir, sources) = docker(r#"{"credsStore":"nowhere"}"#);
    let bench = bench(sources);
    bench.registry.manifest(&at(&stub, ":v1")).unwrap();
    let error = bench.registry.push(&at(&stub, ":v1"), &large(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    let text = told(&error, &stub);
    assert!(text.contains("docker-credential-nowhere is not in PATH"), "{text}");
    assert!(text.contains("run `assemble login REGISTRY`"), "{text}");
    assert!(bench.recorder.warnings()[0].contains("docker-credential-nowhere"));
}

#[test]
fn a_token_without_the_actions() {
    let stub = tokens(false);
    let name = format!("{}/denied/app:v1", stub.host());
    let target = assemble_image::Reference::parse(&name).unwrap();
    let error = bench(with_password()).registry.push(&target, &small(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(count(&stub, "GET token") <= 2, "{:?}", stub.calls());
}

#[test]
fn answers_of_token_servers() {
    let good = r#"{"access_token":"t"}"#;
    for (answer, want) in [
        (Response::text(200, "<html>"), Some("is no JSON")),
        (Response::text(200, "{}"), Some("has no token in it")),
        (
            Response::text(200, &format!(r#"{{"token":"{}"}}"#, "x".repeat(100_000))),
            Some("is larger than 64 KiB"),
        ),
        (Response::text(500, "<title>Oops</title>"), Some("the server answered 500: Oops")),
        (Response::text(403, r#"{"details":"account suspended"}"#), Some("denied (403): account suspended")),
        (Response::text(302, "").header("Location", "http://10.0.0.1/"), Some("points to http://10.0.0.1/")),
        (Response::text(200, good), None),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("HEAD", "/v2/", Action::Answer(challenge(&stub, "http://HOST/token"))).nth(1));
        stub.fault(Fault::on("GET", "/token", Action::Answer(answer)));
        let result = bench(with_password()).registry.push(&at(&stub, ":v1"), &image(&[]), &[]);
        match want {
            None => assert!(result.is_ok(), "{result:?}"),
            Some(want) => {
                let text = told(&result.unwrap_err(), &stub);
                assert!(text.contains(want), "{text}");
            }
        }
        assert!(count(&stub, "GET token") <= 4);
    }
    let stub = tokens(false);
    stub.fault(Fault::status("GET", "/token", 503, "").times(2));
    stub.fault(Fault::on("GET", "/token", Action::Stall(Duration::from_mins(1))).nth(1));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
}

#[test]
fn realms_that_get_no_credentials() {
    for (realm, want) in [
        ("http://10.0.0.1/token", AddressFault::PrivateNetwork),
        ("http://169.254.169.254/token", AddressFault::PrivateNetwork),
        ("http://u:hunter2@HOST/token", AddressFault::UserInfo),
        ("/token", AddressFault::Unreadable),
        ("file:///etc/passwd", AddressFault::Scheme),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("HEAD", "/v2/", Action::Answer(challenge(&stub, realm))));
        let error = bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
        assert!(matches!(&error, RegistryError::Address { source, .. } if *source == want), "{error:?}");
        assert!(!format!("{error:?}{}", shown(&error)).contains(PASSWORD));
        assert_eq!(stub.calls().len(), 1);
    }
    // A realm that sends us on: the other host gets the question, not the password.
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let other = HttpServer::new({
        let seen = seen.clone();
        move |request: &Request| {
            seen.lock().unwrap().push(request.clone());
            Response::text(200, r#"{"token":"t"}"#)
        }
    });
    let stub = RegistryStub::start();
    stub.fault(Fault::on("HEAD", "/v2/", Action::Answer(challenge(&stub, "http://HOST/token"))).nth(1));
    let away = Response::new(302).header("Location", format!("{}/t", other.url()));
    stub.fault(Fault::on("GET", "/token", Action::Answer(away)));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].header("authorization").is_none());
}

#[test]
fn unknown_schemes_and_two_headers() {
    let stub = basic();
    let odd = json_error(401, "UNAUTHORIZED", "")
        .header("WWW-Authenticate", "Negotiate, NTLM")
        .header("WWW-Authenticate", "BASIC   realm = \"a, b\"");
    stub.fault(Fault::on("HEAD", "/v2/", Action::Answer(odd)).nth(1));
    bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    let stub = basic();
    let none = json_error(401, "UNAUTHORIZED", "come in person").header("WWW-Authenticate", "Negotiate");
    stub.fault(Fault::on("*", "/v2/", Action::Answer(none)));
    let error = bench(with_password()).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
    assert!(shown(&error).contains("come in person"), "{}", shown(&error));
    assert!(stub.log().iter().all(|l| l.header("authorization").is_none()));
}

#[test]
fn login_checks_and_keeps() {
    for stub in [basic(), tokens(false)] {
        let (dir, sources) = docker(r#"{"psFormat":"x"}"#);
        let file = dir.path().join("config.json");
        let first = bench(sources.clone());
        let error = first.registry.login(&stub.host(), USER, "swordfish").unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(!format!("{error:?}{}", shown(&error)).contains("swordfish"));
        let text = told(&error, &stub);
        assert!(text.contains("| check the user name and the password |"), "{text}");
        assert!(!text.contains("assemble login"), "{text}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"psFormat":"x"}"#);
        assert!(matches!(first.registry.login(&stub.host(), "a:b", "x"), Err(RegistryError::UserName)));

        let place = first.registry.login(&stub.host(), USER, PASSWORD).unwrap();
        assert_eq!(place, file.display().to_string());
        assert!(std::fs::read_to_string(&file).unwrap().contains("psFormat"));
        bench(sources).registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    }
}

#[test]
fn login_wants_a_host() {
    let mut text = String::new();
    for name in [
        "https://reg.example/",
        "http://reg.example:5000",
        "reg.example/team",
        "https://reg.example/v2/?x#y",
        "https://jo:swordfish@reg.example/",
        "jo:swordfish@reg.example",
        "https://",
        "/",
        "",
        "a b",
        "a\u{1b}[31m/b",
    ] {
        let error = bench(CredentialSources::default()).registry.login(name, USER, PASSWORD).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(!format!("{error:?}").contains("swordfish"));
        writeln!(text, "{}", shown(&error)).unwrap();
    }
    expect![[r#"
        `https://reg.example/` is no name of a registry | write `reg.example`
        `http://reg.example:5000` is no name of a registry | write `reg.example:5000`
        `reg.example/team` is no name of a registry | write `reg.example`
        `https://reg.example/v2/?x#y` is no name of a registry | write `reg.example`
        `https://…@reg.example/` is no name of a registry | write `reg.example`
        `…@reg.example` is no name of a registry | write `reg.example`
        `https://` is no name of a registry | write it as HOST or HOST:PORT
        `/` is no name of a registry | write it as HOST or HOST:PORT
        `` is no name of a registry | write it as HOST or HOST:PORT
        `a b` is no name of a registry | write it as HOST or HOST:PORT
        `a\u{1b}[31m/b` is no name of a registry | write it as HOST or HOST:PORT
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_failed_login_is_not_told_to_log_in() {
    for (status, hint) in [
        (401, "check the user name and the password"),
        (403, "check the user name and the password"),
        (404, "check that `REGISTRY` is a registry"),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::status("GET", "/v2/", status, ""));
        let (_dir, sources) = docker("{}");
        let error = bench(sources).registry.login(&stub.host(), USER, PASSWORD).unwrap_err();
        let text = told(&error, &stub);
        assert!(text.contains(&format!(" | {hint}")) && !text.contains("assemble login"), "{text}");
    }
}
