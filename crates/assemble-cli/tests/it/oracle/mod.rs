//! apko's own answers, case by case: those of `assemble apko` have to be the same, and those of `assemble build` are the
//! same but for what `docs/compatibility.md` lists.
//!
//! The answers are in the test kit. The address of the server that they were made with stands in the images, so it has
//! to be that address, and one test at a time has it.

mod apko;
mod build;
mod case;
mod explain;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sandbox::workspace;
use crate::tools::{Running, have, skipped, wait_for};
use case::Case;

/// Where the answers expect their server.
const ADDRESS: &str = "127.0.0.1:18080";

/// The test kit's folder, if it is here.
fn kit() -> Option<PathBuf> {
    let place = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    place.join("apko-oracle").is_dir().then_some(place)
}

/// The server, for as long as it is kept; other tests and processes wait.
struct Server {
    _running: Running,
    _lock: File,
}

impl Server {
    fn start(kit: &Path) -> Self {
        let lock = File::create(std::env::temp_dir().join("assemble-kit-18080.lock")).unwrap();
        lock.lock().unwrap();
        let mut server = Command::new("python3");
        server.arg(kit.join("apko-oracle/serve.py")).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::start(&mut server);
        wait_for("the file server", || std::net::TcpStream::connect(ADDRESS).is_ok());
        Self { _running: running, _lock: lock }
    }
}

/// Walks all cases, several at a time; `judge` gives what is wrong with each, in words. A part of the cases can be
/// named in `ASSEMBLE_ORACLE` (a text that their names hold).
fn walk(test: &str, judge: impl Fn(&Case) -> Vec<String> + Sync) -> Option<Vec<(String, Vec<String>)>> {
    let Some(kit) = kit() else {
        skipped(test, "the test kit is not here (ASSEMBLE_TESTKIT)");
        return None;
    };
    if !have("python3", test) {
        return None;
    }
    let _server = Server::start(&kit);
    let part = std::env::var("ASSEMBLE_ORACLE").unwrap_or_default();
    let cases: Vec<Case> = Case::all(&kit).into_iter().filter(|case| case.name.contains(&part)).collect();
    assert!(!cases.is_empty(), "the kit has no cases");
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    let threads = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let said = judge(case);
                    answers.lock().unwrap().push((case.name.clone(), said));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort();
    Some(answers)
}

/// Fails with all that was said.
fn none(answers: &[(String, Vec<String>)], what: &str) {
    let wrong: Vec<String> = answers
        .iter()
        .filter(|(_, said)| !said.is_empty())
        .map(|(name, said)| format!("{name}:\n  {}", said.join("\n  ")))
        .collect();
    assert!(wrong.is_empty(), "{what}, in {} of {} cases\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}
