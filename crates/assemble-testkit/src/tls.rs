//! What stands between a client and a server: TLS, and a proxy that opens tunnels.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::http::{Handler, HttpServer};

/// The certificate of the authority that signed the one of every [`TlsServer`]. Nobody has its private key any more.
pub fn test_ca() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls/ca.pem")
}

/// Speaks TLS, HTTP/1.1, and lets an [`HttpServer`] answer. Its certificate is for `localhost`, 127.0.0.1 and
/// `host.example`. Connections are taken as long as the process lives.
#[derive(Debug)]
pub struct TlsServer {
    /// Who answers, with the log and the faults.
    pub plain: HttpServer,
    address: SocketAddr,
}

impl TlsServer {
    /// Listens on a free port of 127.0.0.1.
    pub fn new(handler: impl Handler) -> Self {
        Self::on("127.0.0.1", HttpServer::new(handler))
    }

    /// Listens on a free port of this address of the host.
    pub fn on(address: &str, plain: HttpServer) -> Self {
        let config = Arc::new(config());
        let to = plain.host();
        let address = listen(address, move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            // A client that refuses the certificate ends here, which is what some tests are about.
            one_request(StreamOwned::new(connection, stream), &to)
        });
        Self { plain, address }
    }

    /// `https://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `ADDRESS:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

fn config() -> ServerConfig {
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tls").join(name);
    let certificate = CertificateDer::from_pem_file(file("server.pem")).expect("the certificate is there");
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("its key is there");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("certificate and key belong together")
}

/// Hands one request without a body on, and the answer back; then the connection ends, which the answer says.
fn one_request(mut client: StreamOwned<ServerConnection, TcpStream>, to: &str) -> io::Result<()> {
    let head = read_head(&mut client)?;
    let mut server = TcpStream::connect(to)?;
    server.write_all(head.trim_end().as_bytes())?;
    server.write_all(b"\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // A server that breaks off has said what it says.
    let _ = server.read_to_end(&mut answer);
    let first = answer.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
    client.write_all(&answer[..first])?;
    client.write_all(if first > 0 { b"Connection: close\r\n" } else { b"" })?;
    client.write_all(&answer[first..])?;
    client.conn.send_close_notify();
    client.flush()
}

/// A proxy that knows `CONNECT` only, and whose tunnels all lead to one place, whatever host they are asked for.
#[derive(Debug)]
pub struct TunnelProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    /// Listens on a free port of 127.0.0.1; tunnels lead to `host:port`.
    pub fn to(target: &str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (target, log) = (target.to_owned(), Arc::clone(&asked));
        let address = listen("127.0.0.1", move |mut client| {
            let head = read_head(&mut client)?;
            log.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
            if !head.starts_with("CONNECT ") {
                return client
                    .write_all(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            let server = TcpStream::connect(&target)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let back = (server.try_clone()?, client.try_clone()?);
            let backwards = thread::spawn(move || pass(back.0, back.1));
            pass(client, server);
            drop(backwards.join());
            Ok(())
        });
        Self { address, asked }
    }

    /// `ADDRESS:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Serves each connection on a thread of its own, as long as the process lives.
fn listen(address: &str, serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that hangs up is no fault of the server's.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

/// Bytes up to the empty line; what ends earlier is an error.
fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
