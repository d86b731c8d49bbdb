//! Redirections, names and passwords, TLS, proxies, hosts that do not answer.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assemble_fetch::{Credential, FetchError, HttpOptions, ProxySettings, TransferError};
use assemble_testkit::{HttpServer, Request, Response};
use assemble_types::Explain as _;

use crate::support::{chain, quick, setup_with, throw_away};

fn redirect_to(target: String) -> HttpServer {
    HttpServer::new(move |_: &Request| Response::new(307).header("Location", target.clone()))
}

#[test]
fn redirections_are_followed_and_passwords_are_not_carried_along() {
    let last = HttpServer::new(|_: &Request| Response::text(200, "here"));
    let first = redirect_to(format!("{}/there", last.url()));
    let credential = |host: String| Credential { host, user: "me".into(), password: "hunter2".into() };
    let mut setup = throw_away();
    setup.fetcher = setup.fetcher.with_credentials(vec![credential(first.host())]);
    assert_eq!(setup.document(&first.url()).unwrap(), b"here");
    assert_eq!(last.calls(), ["GET /there"]);
    assert_eq!(first.log()[0].header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
    assert_eq!(last.log()[0].header("authorization"), None);
    assert!(!format!("{:?}", setup.fetcher).contains("hunter2"));
    let with_password = first.url().replace("http://", "http://you:secret@");
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
    let expected = format!("{url}/: not available after 5 tries: the host cannot be reached");
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
    assert!(error.is_transient());
}

#[test]
fn loopback_goes_round_every_proxy() {
    let server = HttpServer::new(|_: &Request| Response::text(200, "direct"));
    let proxy = HttpServer::new(|request: &Request| Response::text(200, &format!("proxy {}", request.path)));
    for no_proxy in [None, Some("example.org".to_owned())] {
        let proxies = ProxySettings { all: Some(proxy.url()), no_proxy, ..ProxySettings::default() };
        let setup = setup_with(None, false, HttpOptions { proxies: Some(proxies), ..quick() });
        assert_eq!(setup.document(&server.url()).unwrap(), b"direct");
        let named = server.url().replace("127.0.0.1", "localhost");
        assert_eq!(setup.document(&named).unwrap(), b"direct");
        assert_eq!(setup.document("http://host.example/x").unwrap(), b"proxy http://host.example/x");
    }
    let proxies = ProxySettings { http: Some(proxy.host()), ..ProxySettings::default() };
    let setup = setup_with(None, false, HttpOptions { proxies: Some(proxies), ..quick() });
    assert_eq!(setup.document("http://host.example/x").unwrap(), b"proxy http://host.example/x");
}

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls").join(name)
}

/// Answers one request per connection over TLS, as long as the process lives.
fn tls_server(address: &str, answer: &'static str) -> String {
    use rustls_pki_types::pem::PemObject as _;
    let certificate = rustls_pki_types::CertificateDer::from_pem_file(pem("server.pem")).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_file(pem("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0)).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            // A client that refuses the certificate is what some tests are about.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret";

#[test]
fn certificates_are_checked() {
    let url = tls_server("127.0.0.1", GOOD);
    let error = throw_away().document(&url).unwrap_err();
    assert!(chain(&error).contains("no secure connection: invalid peer certificate"), "{}", chain(&error));
    assert_eq!(error.code(), "fetch/tls");
    assert!(!error.is_transient());
    let with_ca = HttpOptions { ca_files: vec![pem("ca.pem")], ..quick() };
    assert_eq!(setup_with(None, false, with_ca.clone()).document(&url).unwrap(), b"secret");
    let other_name = tls_server("127.0.0.2", GOOD);
    let error = setup_with(None, false, with_ca).document(&other_name).unwrap_err();
    assert!(chain(&error).contains("certificate not valid for name"), "{}", chain(&error));
    let insecure = HttpOptions { insecure_skip_tls_verify: true, ..quick() };
    assert_eq!(setup_with(None, false, insecure).document(&url).unwrap(), b"secret");
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
    let url = tls_server(
        "127.0.0.1",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    );
    let with_ca = HttpOptions { ca_files: vec![pem("ca.pem")], ..quick() };
    let error = setup_with(None, false, with_ca).document(&url).unwrap_err();
    assert!(error.to_string().ends_with("it leads from https to an insecure address"), "{error}");
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
    let known = Credential { host: last.host(), user: "me".into(), password: "hunter2".into() };
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
