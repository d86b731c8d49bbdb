//! What all tests here need.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use assemble_fetch::{
    ContentKey, FetchError, FetchOptions, Fetcher, Http, HttpOptions, Location, ProxySettings, RetryPolicy,
};
use assemble_types::{Event, Observer};

/// Remembers what it is told.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let events = self.events();
        events
            .into_iter()
            .filter_map(|e| if let Event::Warning(text) = e { Some(text) } else { None })
            .collect()
    }
}

/// Options whose waits are short and whose proxies are none.
pub(crate) fn quick() -> HttpOptions {
    HttpOptions {
        retry: RetryPolicy { base: Duration::from_millis(1), ..RetryPolicy::default() },
        stall_timeout: Duration::from_millis(300),
        proxies: ProxySettings::default(),
        ..HttpOptions::default()
    }
}

pub(crate) struct Setup {
    pub(crate) fetcher: Fetcher,
    pub(crate) recorder: Arc<Recorder>,
}

pub(crate) fn setup_with(cache: Option<&Path>, offline: bool, http: HttpOptions) -> Setup {
    let recorder = Arc::new(Recorder::default());
    let fetcher = Fetcher::new(FetchOptions {
        cache_dir: cache.map(Path::to_owned),
        offline,
        http: Arc::new(Http::new(http).unwrap()),
        observer: Arc::clone(&recorder) as Arc<dyn Observer>,
    });
    Setup { fetcher: fetcher.unwrap(), recorder }
}

/// A fetcher with this cache, online.
pub(crate) fn setup(cache: &Path) -> Setup {
    setup_with(Some(cache), false, quick())
}

/// A fetcher with a throw-away cache, online.
pub(crate) fn throw_away() -> Setup {
    setup_with(None, false, quick())
}

pub(crate) fn location(text: &str) -> Location {
    Location::parse(text, Path::new("/")).unwrap()
}

pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * i / 3 + i) % 251).unwrap()).collect()
}

pub(crate) fn key(text: &str, content: &[u8]) -> ContentKey {
    ContentKey::new(text, content.len() as u64)
}

impl Setup {
    /// Fetches a content and reads all of it.
    pub(crate) fn content(&self, url: &str, key: &ContentKey) -> Result<Vec<u8>, FetchError> {
        let blob = self.fetcher.content(&location(url), key, "label")?;
        Ok(blob.read_to_vec(u64::MAX).unwrap())
    }

    pub(crate) fn document(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.fetcher.document(&location(url), 1 << 20).map(|fetched| fetched.bytes)
    }
}

/// An error with its causes, as a user sees it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// A server that writes these bytes, one connection after the other, and closes; it keeps the request heads.
pub(crate) struct RawServer {
    pub(crate) url: String,
    thread: JoinHandle<Vec<String>>,
}

impl RawServer {
    pub(crate) fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            answers.into_iter().map(|answer| one(&listener.accept().unwrap().0, &answer)).collect()
        });
        Self { url, thread }
    }

    /// The request heads, once all answers are given.
    pub(crate) fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn one(mut stream: &TcpStream, answer: &[u8]) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    // Who hangs up early has seen enough.
    let _ = stream.write_all(answer);
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// A head and a body that ends with the connection.
pub(crate) fn unsized_answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    answer
}
