//! Redirections, names and passwords, TLS, proxies, hosts that do not answer.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use assemble_fetch::{Credential, FetchError, FoundCredentials, HttpOptions, ProxySettings, TransferError};
use assemble_testkit::{Handler, HttpServer, Request, Response, TlsServer, TunnelProxy, test_ca};
use assemble_types::Explain as _;

use crate::support::{chain, quick, setup_with, throw_away};

fn redirect_to(target: String) -> HttpServer {
    HttpServer::new(move |_: &Request| Response::new(307).header("Location", target.clone()))
}

#[test]
fn redirections_are_followed_and_passwords_are_not_carried_along() {
    let last = HttpServer::new(|_: &Request| Response::text(200, "here"));
    let first = redirect_to(format!("{}/there", last.url()));
    let credential = |host: String| Credential::basic(&host, "me", "hunter2", "a test").unwrap();
    let mut setup = throw_away();
    setup.fetcher = setup.fetcher.with_credentials(vec![credential(first.host())]);
    assert_eq!(setup.document(&first.url()).unwrap(), b"here");
    assert_eq!(last.calls(), ["GET /there"]);
    assert_eq!(first.log()[0].header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
    assert_eq!(last.log()[0].header("authorization"), None);
    assert!(!format!("{:?}", setup.fetcher).contains("hunter2"));
    let with_password = first.url().replace("http://", "http://you:secret@") + "/second";
    assert_eq!(setup.document(&with_password).unwrap(), b"here");
    assert_eq!(first.log()[1].header("authorization"), Some("Basic eW91OnNlY3JldA=="));
    assert_eq!(first.log()[1].headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
    assert_eq!(last.log()[1].header("authorization"), None);
}

#[test]
fn redirections_end_somewhere_sensible() {
    let circle = HttpServer::new(|_: &Request| Response::new(302).header("Location", "/again"));
    let error = throw_away().document(&circle.url()).unwrap_err();
    assert_eq!(error.to_string(), format!("{}/: redirection refused: more than 10 in a row", circle.url()));
    assert_eq!(circle.log().len(), 11);
    for target in ["file:///etc/passwd", "ftp://h/x", "http://"] {
        let server = redirect_to(target.into());
        let error = throw_away().document(&server.url()).unwrap_err();
        assert!(error.to_string().ends_with("its target is no http(s) URL"), "{target}: {error}");
    }
}

#[test]
fn no_message_holds_a_password() {
    let server = HttpServer::new(|_: &Request| Response::new(503));
    let url = server.url().replace("http://", "http://me:hunter2@") + "/?token=hunter2";
    let error = throw_away().document(&url).unwrap_err();
    for text in [chain(&error), format!("{error:?}"), error.hints().concat()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    drop(server);
    let error = throw_away().document(&url).unwrap_err();
    assert!(matches!(&error, FetchError::Unavailable { source: TransferError::Connect(_), .. }), "{error:?}");
    for text in [chain(&error), format!("{error:?}"), error.hints().concat()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let url = HttpServer::new(|_: &Request| Response::new(200)).url();
    let error = throw_away().document(&url).unwrap_err();
    let expected = format!("{url}/: not available after 3 tries: the host cannot be reached");
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
    assert!(error.is_transient());
}

#[test]
fn loopback_goes_round_every_proxy() {
    let server = HttpServer::new(|_: &Request| Response::text(200, "direct"));
    let proxy = HttpServer::new(|request: &Request| Response::text(200, &format!("proxy {}", request.path)));
    for no_proxy in [None, Some("example.org".to_owned())] {
        let proxies = ProxySettings { all: Some(proxy.url()), no_proxy, ..ProxySettings::default() };
        let setup = setup_with(None, false, HttpOptions { proxies, ..quick() });
        assert_eq!(setup.document(&server.url()).unwrap(), b"direct");
        let named = server.url().replace("127.0.0.1", "localhost");
        assert_eq!(setup.document(&named).unwrap(), b"direct");
        assert_eq!(setup.document("http://host.example/x").unwrap(), b"proxy http://host.example/x");
    }
    let proxies = ProxySettings { http: Some(proxy.host()), ..ProxySettings::default() };
    let setup = setup_with(None, false, HttpOptions { proxies, ..quick() });
    assert_eq!(setup.document("http://host.example/x").unwrap(), b"proxy http://host.example/x");
}

fn with_ca() -> HttpOptions {
    HttpOptions { ca_files: vec![test_ca()], ..quick() }
}

fn secret() -> impl Handler {
    |_: &Request| Response::text(200, "secret")
}

#[test]
fn certificates_are_checked() {
    let server = TlsServer::new(secret());
    let url = server.url();
    let error = throw_away().document(&url).unwrap_err();
    assert!(chain(&error).contains("no secure connection: invalid peer certificate"), "{}", chain(&error));
    assert_eq!(error.code(), "fetch/tls");
    assert!(!error.is_transient());
    assert_eq!(setup_with(None, false, with_ca()).document(&url).unwrap(), b"secret");
    let other_name = TlsServer::on("127.0.0.2", HttpServer::new(secret()));
    let error = setup_with(None, false, with_ca()).document(&other_name.url()).unwrap_err();
    assert!(chain(&error).contains("certificate not valid for name"), "{}", chain(&error));
    let insecure = HttpOptions { insecure_skip_tls_verify: true, ..quick() };
    assert_eq!(setup_with(None, false, insecure).document(&url).unwrap(), b"secret");
}

#[test]
fn https_goes_through_a_tunnel_and_no_proxy_goes_round_it() {
    let server = TlsServer::new(secret());
    let proxy = TunnelProxy::to(&server.host());
    let url = "https://host.example/x";
    let with = |no_proxy: Option<&str>, address: String| {
        let https = Some(address);
        let proxies =
            ProxySettings { https, no_proxy: no_proxy.map(str::to_owned), ..ProxySettings::default() };
        let mut options = HttpOptions { proxies, ..with_ca() };
        options.retry.tries = 1;
        setup_with(None, false, options).document(url)
    };
    let address = format!("http://me:hunter2@{}", proxy.host());
    assert_eq!(with(Some("example.org, 10.0.0.0/8"), address.clone()).unwrap(), b"secret");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("CONNECT host.example:443 HTTP/1.1\r\n"), "{}", asked[0]);
    let head = asked[0].to_ascii_lowercase();
    assert!(head.contains("proxy-authorization: basic bwu6ahvudgvymg=="), "{head}");
    // There is no such host, so what goes round the proxy gets nowhere.
    for no_proxy in ["host.example", ".example", "example", "*"] {
        let error = with(Some(no_proxy), address.clone()).unwrap_err();
        assert!(matches!(error, FetchError::Unavailable { .. }), "{no_proxy}: {error:?}");
    }
    assert_eq!(proxy.asked().len(), 1);
    // The password of a proxy is in no message, either.
    let gone = address.replace(&proxy.host(), "127.0.0.1:1");
    let error = with(None, gone).unwrap_err();
    assert!(!format!("{error:?} {}", chain(&error)).contains("hunter2"), "{error:?}");
}

#[test]
fn a_plain_server_behind_https_is_not_tried_five_times() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the client hangs up; closing with bytes unread would reset the connection.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = throw_away().document(&url).unwrap_err();
    server.join().unwrap();
    assert_eq!(error.code(), "fetch/tls", "{}", chain(&error));
}

#[test]
fn redirections_do_not_leave_tls() {
    let down = |_: &Request| Response::new(302).header("Location", "http://127.0.0.1:1/");
    let error = setup_with(None, false, with_ca()).document(&TlsServer::new(down).url()).unwrap_err();
    assert!(error.to_string().ends_with("it leads from https to an insecure address"), "{error}");
}

#[test]
fn a_refusal_says_which_credentials_were_refused() {
    let server = HttpServer::new(|request: &Request| match request.header("authorization") {
        Some("Bearer right") => Response::text(200, "in"),
        _ => Response::new(401),
    });
    let ask = |http_auth: &str| {
        let mut setup = throw_away();
        let found = FoundCredentials::gather(Some(http_auth), None);
        setup.fetcher = setup.fetcher.with_credentials(found.credentials);
        setup.document(&server.url())
    };
    let host = server.host();
    assert_eq!(ask(&format!("bearer:{host}:right")).unwrap(), b"in");
    let told = |error: &FetchError| (error.to_string(), error.hints().join("\n"));
    let (message, hint) = told(&ask("basic:other.example:u:hunter2").unwrap_err());
    assert_eq!(message, format!("{}/: access denied (status 401)", server.url()));
    assert_eq!(
        hint,
        format!(
            "give credentials: `HTTP_AUTH=basic:{host}:USER:PASSWORD`, or `machine 127.0.0.1` in ~/.netrc"
        )
    );
    let error = ask(&format!("basic:{host}:u:hunter2")).unwrap_err();
    let (message, hint) = told(&error);
    let url = server.url();
    assert_eq!(message, format!("{url}/: access denied (status 401) with the credentials in HTTP_AUTH"));
    assert_eq!(hint, "check the user and the password in HTTP_AUTH, and whether they may read this");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn passwords_in_the_open_are_worth_one_warning_a_host() {
    let proxy = HttpServer::new(|_: &Request| Response::text(200, "x"));
    let proxies = ProxySettings { http: Some(proxy.url()), ..ProxySettings::default() };
    let mut setup = setup_with(None, false, HttpOptions { proxies, ..quick() });
    let list = "basic:host.example:me:hunter2\nbearer:127.0.0.1:hunter2";
    setup.fetcher = setup.fetcher.with_credentials(FoundCredentials::gather(Some(list), None).credentials);
    for url in ["http://host.example/a", "http://host.example/b", "http://other.example/c"] {
        setup.document(url).unwrap();
    }
    assert!(proxy.log()[0].header("authorization").is_some());
    assert!(proxy.log()[2].header("authorization").is_none());
    let want = "host.example: a password or token goes there over http, where others can read it; use https";
    assert_eq!(setup.recorder.warnings(), [want]);
    // Nobody else is on the way to this machine.
    let local = HttpServer::new(|_: &Request| Response::text(200, "x"));
    let mut setup = throw_away();
    let list = format!("basic:{}:me:hunter2", local.host());
    setup.fetcher = setup.fetcher.with_credentials(FoundCredentials::gather(Some(&list), None).credentials);
    setup.document(&local.url()).unwrap();
    assert!(local.log()[0].header("authorization").is_some());
    assert!(setup.recorder.warnings().is_empty());
}

#[test]
fn redirections_do_not_lead_inside_and_carry_nobody_else_s_password() {
    let server = redirect_to("http://169.254.169.254/latest".into());
    let error = throw_away().document(&server.url()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}/: redirection refused: it leads to an address in a private network that the server is not in",
            server.url()
        )
    );
    assert_eq!(error.code(), "fetch/redirect");
    let last = HttpServer::new(|_: &Request| Response::text(200, "here"));
    let first = redirect_to(last.url().replace("http://", "http://user:pw@"));
    let mut setup = throw_away();
    let known = Credential::basic(&last.host(), "me", "hunter2", "a test").unwrap();
    setup.fetcher = setup.fetcher.with_credentials(vec![known]);
    assert_eq!(setup.document(&first.url()).unwrap(), b"here");
    assert_eq!(last.log()[0].header("authorization"), None);
}

#[test]
fn a_server_that_drips_is_a_server_that_stands_still() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    // Five bytes in this time are the least.
    let mut options = HttpOptions { stall_timeout: Duration::from_millis(300), ..quick() };
    options.retry.tries = 1;
    let start = Instant::now();
    let error = setup_with(None, false, options).document(&url).unwrap_err();
    assert!(matches!(error, FetchError::Unavailable { source: TransferError::Stalled, .. }), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
}
