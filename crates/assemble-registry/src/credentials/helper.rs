//! `docker-credential-…` programs.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Credential;
use crate::text::clean;

/// How long a helper may take: some ask the user.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of its output that are read.
const OUTPUT_LIMIT: usize = 64 * 1024;

/// Why a credential helper gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Its name is none that a program could have.
    #[error("`{0}` is no name of a credential helper")]
    Name(String),
    /// It is not in PATH.
    #[error("{0} is not in PATH")]
    Missing(String),
    /// It could not be run.
    #[error("{program} could not be run")]
    Run {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// It did not end in time.
    #[error("{program} did not end within {seconds} s")]
    Hang {
        /// The program.
        program: String,
        /// How long it was given.
        seconds: u64,
    },
    /// It failed.
    #[error("{program} failed ({status}){}", if .said.is_empty() { String::new() } else { format!(": {said}") })]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The first of what it wrote to standard error.
        said: String,
    },
    /// What it printed is not what helpers print.
    #[error("{0} printed something that is no credentials")]
    Garbage(String),
}

/// What a helper prints and takes.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks about a registry; nothing if the helper knows none.
pub(super) fn get(suffix: &str, key: &str, path: Option<&OsStr>) -> Result<Option<Credential>, HelperError> {
    get_within(suffix, key, path, PATIENCE)
}

pub(super) fn get_within(
    suffix: &str,
    key: &str,
    path: Option<&OsStr>,
    patience: Duration,
) -> Result<Option<Credential>, HelperError> {
    let output = run(suffix, "get", key, path, patience)?;
    if !output.status.success() {
        let said =
            format!("{} {}", String::from_utf8_lossy(&output.out), String::from_utf8_lossy(&output.err));
        // The protocol has no other sign for it than these words.
        if said.contains("credentials not found in native keychain") {
            return Ok(None);
        }
        return Err(output.failed(suffix));
    }
    let answer: Answer =
        serde_json::from_slice(&output.out).map_err(|_| HelperError::Garbage(program_of(suffix)))?;
    let nothing = answer.username.is_empty() && answer.secret.is_empty();
    Ok((!nothing).then(|| Credential::from_pair(&answer.username, &answer.secret)))
}

/// Hands credentials to a helper to keep.
pub(super) fn put(
    suffix: &str,
    key: &str,
    user: &str,
    password: &str,
    path: Option<&OsStr>,
) -> Result<(), HelperError> {
    let input = serde_json::json!({ "ServerURL": key, "Username": user, "Secret": password }).to_string();
    let output = run(suffix, "store", &input, path, PATIENCE)?;
    if output.status.success() { Ok(()) } else { Err(output.failed(suffix)) }
}

struct Output {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Output {
    /// Standard output is not quoted: it may hold the secret.
    fn failed(&self, suffix: &str) -> HelperError {
        HelperError::Failed {
            program: program_of(suffix),
            status: self.status,
            said: clean(&String::from_utf8_lossy(&self.err), 200),
        }
    }
}

fn program_of(suffix: &str) -> String {
    format!("docker-credential-{suffix}")
}

fn find(suffix: &str, path: Option<&OsStr>) -> Result<PathBuf, HelperError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if suffix.is_empty() || !suffix.bytes().all(plain) {
        return Err(HelperError::Name(clean(suffix, 60)));
    }
    let program = program_of(suffix);
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&program))
        .find(|file| file.is_file())
        .ok_or(HelperError::Missing(program))
}

fn run(
    suffix: &str,
    verb: &str,
    input: &str,
    path: Option<&OsStr>,
    patience: Duration,
) -> Result<Output, HelperError> {
    let file = find(suffix, path)?;
    let failed = |source| HelperError::Run { program: program_of(suffix), source };
    let mut child = Command::new(file)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned().into_bytes();
        // On a thread of its own: a helper that does not read must not hold us. That it may not read is its affair.
        thread::spawn(move || stdin.write_all(&input));
    }
    let out = drain(child.stdout.take());
    let err = drain(child.stderr.take());
    let deadline = Instant::now() + patience;
    let Some(status) = wait(&mut child, deadline).map_err(failed)? else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(HelperError::Hang { program: program_of(suffix), seconds: patience.as_secs() });
    };
    Ok(Output { status, out: out.take(), err: err.take() })
}

/// Collects a pipe's bytes on a thread.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Drain {
    let (sender, end) = channel();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    if let Some(mut pipe) = pipe {
        let bytes = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                // What is too much is read all the same: the helper must not die of it.
                let room = OUTPUT_LIMIT.saturating_sub(bytes.len()).min(n);
                bytes.extend_from_slice(&chunk[..room]);
            }
            let _ = sender.send(());
        });
    }
    Drain { bytes, end }
}

impl Drain {
    /// What has come. A grandchild may keep the pipe open for ever, so the end is not waited for much.
    fn take(self) -> Vec<u8> {
        let _ = self.end.recv_timeout(Duration::from_millis(500));
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
