//! An HTTP/1.1 server over `std::net`, one thread a connection, that keeps a log and misbehaves on request.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sha1::{Digest as _, Sha1};

use crate::fault::{Action, Fault};

/// A request, read to its end.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// The path, not decoded, without the query.
    pub path: String,
    /// What stands behind `?`, not decoded.
    pub query: String,
    /// Header names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, freed of its chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The decoded values of a query parameter.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        parameters(&self.query, name)
    }

    /// The first decoded value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }

    fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

/// All values of a name in `a=b&c=d`, decoded.
pub(crate) fn parameters(query: &str, name: &str) -> Vec<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('=').or(Some((pair, ""))))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| decode(&value.replace('+', " ")))
        .collect()
}

/// Undoes percent encoding; what is no encoding stays.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if bytes[i] == b'%' => {
                out.push(byte);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer. `Content-Length` is set from the body unless the headers have one.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body; not sent in answer to HEAD, but its length is.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without headers and body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer with a text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status).body(body)
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn head(&self, method: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Test\r\n", self.status);
        let bodyless = matches!(self.status, 204 | 304);
        if !bodyless && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if method == "CONNECT" {
            text += "Connection: close\r\n";
        }
        (text + "\r\n").into_bytes()
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer. May be called from several threads at once.
    fn handle(&self, request: &Request) -> Response;
}

impl<F: Fn(&Request) -> Response + Send + Sync + 'static> Handler for F {
    fn handle(&self, request: &Request) -> Response {
        self(request)
    }
}

/// A line of the access log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// `GET` and so on.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// Length of the body that was read.
    pub body_len: usize,
    /// The status sent; 0 where a fault closed the connection first.
    pub status: u16,
    /// Length of the answer's body, as far as a fault lets it through.
    pub sent: usize,
}

impl Logged {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct HttpServer {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpServer({})", self.url())
    }
}

struct Shared {
    address: SocketAddr,
    handler: Box<dyn Handler>,
    log: Mutex<Vec<Logged>>,
    faults: Mutex<Vec<Fault>>,
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
    accepted: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    stop: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpServer {
    /// Serves the files of a folder, with ETags, ranges and HEAD.
    pub fn folder(folder: impl AsRef<Path>) -> Self {
        Self::new(Folder(folder.as_ref().to_owned()))
    }

    /// Serves what the handler says.
    pub fn new(handler: impl Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("the listener is bound"),
            handler: Box::new(handler),
            log: Mutex::default(),
            faults: Mutex::default(),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Self { shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// One more fault. Of several that match a call, the first added acts; the others do not count the call.
    pub fn fault(&self, fault: Fault) {
        locked(&self.shared.faults).push(fault);
    }

    /// Behaves from now on.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// All requests so far, in the order they were answered.
    pub fn log(&self) -> Vec<Logged> {
        locked(&self.shared.log).clone()
    }

    /// Forgets the log.
    pub fn clear_log(&self) {
        locked(&self.shared.log).clear();
    }

    /// `METHOD target` of all requests so far.
    pub fn calls(&self) -> Vec<String> {
        self.log().iter().map(|line| format!("{} {}", line.method, line.target)).collect()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The most requests that were being worked on at one moment.
    pub fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits in `accept`; what comes of it does not matter.
        drop(TcpStream::connect(self.shared.address));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
        for (stream, thread) in std::mem::take(&mut *locked(&self.shared.connections)) {
            drop(stream.shutdown(Shutdown::Both));
            drop(thread.join());
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let Ok(handle) = stream.try_clone() else { continue };
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let shared = Arc::clone(self);
            let thread = thread::spawn(move || {
                // A client that hangs up is no fault of the server's.
                drop(shared.serve(&stream));
                drop(stream.shutdown(Shutdown::Both));
            });
            let mut connections = locked(&self.connections);
            connections.retain(|(_, thread)| !thread.is_finished());
            connections.push((handle, thread));
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(head) = read_head(&mut reader)? {
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_in_flight.fetch_max(now, Ordering::SeqCst);
            let again = self.one(head, &mut reader, stream);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            if !again? {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request; false to close the connection.
    fn one(&self, mut request: Request, reader: &mut impl BufRead, stream: &TcpStream) -> io::Result<bool> {
        let target = request.target();
        let action = locked(&self.faults).iter_mut().find_map(|fault| fault.strike(&request.method, &target));
        let keep = !request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let mut out: &TcpStream = stream;
        match &action {
            Some(Action::AnswerEarly(response)) => {
                self.note(&request, response.status, response.body.len());
                send(&mut out, &request.method, response, usize::MAX)?;
                drop(read_body(&request, reader, out, usize::MAX));
                return Ok(false);
            }
            Some(Action::CloseWhileReading(n)) => {
                drop(read_body(&request, reader, out, *n));
                self.note(&request, 0, 0);
                return Ok(false);
            }
            _ => request.body = read_body(&request, reader, out, usize::MAX)?,
        }
        match action {
            Some(Action::Answer(response)) => {
                self.note(&request, response.status, response.body.len());
                send(&mut out, &request.method, &response, usize::MAX)?;
                return Ok(keep);
            }
            Some(Action::Close) => self.note(&request, 0, 0),
            Some(Action::Stall(time)) => {
                self.note(&request, 0, 0);
                self.wait(time);
            }
            Some(Action::Garbage) => {
                self.note(&request, 0, 0);
                out.write_all(b"\x16\x03\x01 this is no HTTP\n\n\0\xff")?;
            }
            other => return self.well(&request, other, out, keep),
        }
        Ok(false)
    }

    /// Does what was asked, then perhaps spoils the answer.
    fn well(
        &self,
        request: &Request,
        action: Option<Action>,
        mut out: &TcpStream,
        keep: bool,
    ) -> io::Result<bool> {
        match &action {
            Some(Action::Delay(time)) => self.wait(*time),
            Some(Action::Hold(gate)) => {
                gate.arrive();
                self.wait_until(|| gate.is_open());
            }
            _ => {}
        }
        let mut response = self.handler.handle(request);
        let (mut limit, mut pause) = (usize::MAX, None);
        match action {
            Some(Action::CloseAfterDoing) => {
                self.note(request, 0, 0);
                return Ok(false);
            }
            Some(Action::CutBody(n)) => limit = n,
            Some(Action::StallInBody(n, time)) => (limit, pause) = (n, Some(time)),
            Some(Action::WrongBytes) => response.body.iter_mut().for_each(|b| *b = !*b),
            Some(Action::Header(name, value)) => {
                response.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(&name));
                if !value.is_empty() {
                    response.headers.push((name, value));
                }
            }
            _ => {}
        }
        self.note(request, response.status, response.body.len().min(limit));
        send(&mut out, &request.method, &response, limit)?;
        if let Some(time) = pause {
            self.wait(time);
        }
        Ok(keep && limit == usize::MAX)
    }

    fn note(&self, request: &Request, status: u16, sent: usize) {
        locked(&self.log).push(Logged {
            method: request.method.clone(),
            target: request.target(),
            headers: request.headers.clone(),
            body_len: request.body.len(),
            status,
            sent,
        });
    }

    fn wait(&self, time: Duration) {
        let start = Instant::now();
        self.wait_until(|| start.elapsed() >= time);
    }

    fn wait_until(&self, done: impl Fn() -> bool) {
        while !done() && !self.stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(64 * 1024).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The head of the next request, or nothing if the client is done.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
    Ok(Some(Request { method, path, query, headers, body: Vec::new() }))
}

fn read_body(
    request: &Request,
    reader: &mut impl BufRead,
    mut out: &TcpStream,
    limit: usize,
) -> io::Result<Vec<u8>> {
    if request.header("expect").is_some_and(|v| v.eq_ignore_ascii_case("100-continue")) {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    let mut read = |reader: &mut dyn BufRead, n: usize| -> io::Result<bool> {
        let n = n.min(limit - body.len());
        let got = reader.take(n as u64).read_to_end(&mut body)?;
        if got < n { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body.len() < limit) }
    };
    if request.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = read_line(reader)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16);
            let size = size.map_err(|_| bad("a chunk without size"))?;
            if !read(reader, size)? {
                break;
            }
            read_line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length") {
        read(reader, length.parse().map_err(|_| bad("no length"))?)?;
    }
    Ok(body)
}

fn send(out: &mut &TcpStream, method: &str, response: &Response, limit: usize) -> io::Result<()> {
    let mut bytes = response.head(method);
    if method != "HEAD" && !matches!(response.status, 204 | 304) {
        bytes.extend_from_slice(&response.body[..limit.min(response.body.len())]);
    }
    out.write_all(&bytes)?;
    out.flush()
}

struct Folder(PathBuf);

impl Handler for Folder {
    fn handle(&self, request: &Request) -> Response {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Response::text(405, "only GET and HEAD\n");
        }
        let path = decode(&request.path);
        if path.split('/').any(|part| part == "..") {
            return Response::text(400, "no\n");
        }
        match std::fs::read(self.0.join(path.trim_start_matches('/'))) {
            Ok(content) => with_range(request, content),
            Err(_) => Response::text(404, "not found\n"),
        }
    }
}

/// The content or a part of it, or 304 or 416.
pub(crate) fn with_range(request: &Request, content: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", &data_encoding::HEXLOWER.encode(&Sha1::digest(&content))[..16]);
    if request.header("if-none-match").is_some_and(|v| v.split(',').any(|v| v.trim() == tag)) {
        return Response::new(304).header("ETag", tag);
    }
    let whole = Response::new(200).header("ETag", tag.clone()).header("Accept-Ranges", "bytes");
    let stale = request.header("if-range").is_some_and(|v| v != tag);
    let Some(range) = request.header("range").and_then(|v| v.strip_prefix("bytes=")).filter(|_| !stale)
    else {
        return whole.body(content);
    };
    let len = content.len();
    let (first, last) = match range.split_once('-') {
        Some(("", n)) => (len.saturating_sub(n.parse().unwrap_or(0)), len.saturating_sub(1)),
        Some((n, "")) => (n.parse().unwrap_or(len), len.saturating_sub(1)),
        Some((a, b)) => (a.parse().unwrap_or(len), b.parse().unwrap_or(0).min(len.saturating_sub(1))),
        None => return whole.body(content),
    };
    if first >= len || last < first {
        return Response::new(416).header("Content-Range", format!("bytes */{len}"));
    }
    Response::new(206)
        .header("ETag", tag)
        .header("Content-Range", format!("bytes {first}-{last}/{len}"))
        .body(&content[first..=last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &HttpServer, text: &str) -> String {
        let mut stream = TcpStream::connect(server.host()).unwrap();
        stream.write_all(text.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut out = Vec::new();
        drop(stream.read_to_end(&mut out));
        String::from_utf8_lossy(&out).replace('\r', "")
    }

    fn get(server: &HttpServer, path: &str, headers: &str) -> String {
        ask(server, &format!("GET {path} HTTP/1.1\nConnection: close\n{headers}\n"))
    }

    #[test]
    fn a_folder_has_tags_ranges_and_heads() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a b"), b"0123456789").unwrap();
        let server = HttpServer::folder(folder.path());
        let whole = get(&server, "/a%20b", "");
        assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\n\n0123456789"), "{whole}");
        let tag = whole.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        assert!(get(&server, "/a%20b", &format!("If-None-Match: {tag}\n")).starts_with("HTTP/1.1 304 "));
        let part = get(&server, "/a%20b", "Range: bytes=7-\n");
        assert!(
            part.contains(" 206 ") && part.contains("bytes 7-9/10") && part.ends_with("\n\n789"),
            "{part}"
        );
        assert!(get(&server, "/a%20b", "Range: bytes=10-\n").contains(" 416 "));
        assert!(get(&server, "/none", "").contains(" 404 "));
        let head = ask(&server, "HEAD /a%20b HTTP/1.1\nConnection: close\n\n");
        assert!(head.contains("Content-Length: 10\n") && head.ends_with("\n\n"), "{head}");
        assert_eq!(server.log().len(), 6);
        assert_eq!(server.calls()[0], "GET /a%20b");
    }

    #[test]
    fn faults_happen_when_they_should() {
        let server = HttpServer::new(|request: &Request| Response::new(200).body(request.body.clone()));
        server.fault(Fault::status("POST", "/x", 503, "busy").nth(1));
        server.fault(Fault::on("POST", "/x", Action::CutBody(2)).nth(1));
        server.fault(Fault::on("POST", "/x", Action::WrongBytes).nth(1));
        let post = || ask(&server, "POST /x HTTP/1.1\nConnection: close\nContent-Length: 4\n\nabcd");
        assert!(post().ends_with("\n\nbusy"));
        assert!(post().ends_with("\n\nab"));
        assert!(!post().ends_with("abcd"));
        assert!(post().ends_with("\n\nabcd"));
        server.fault(Fault::on("*", "/", Action::Stall(Duration::from_mins(10))));
        let log = server.log().iter().map(|line| line.status).collect::<Vec<_>>();
        assert_eq!(log, [503, 200, 200, 200]);
    }

    #[test]
    fn chunked_bodies_and_several_requests_on_one_connection() {
        let server = HttpServer::new(|request: &Request| Response::new(200).body(request.body.clone()));
        let text = "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n3\nabc\n2;x\nde\n0\n\n\
                    GET /b HTTP/1.1\nConnection: close\n\n";
        let answer = ask(&server, text);
        assert!(answer.contains("\n\nabcdeHTTP/1.1 200"), "{answer}");
        assert_eq!(server.connections(), 1);
    }
}
