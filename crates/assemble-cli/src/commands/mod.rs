//! One file a verb: arguments -> settings -> one library call -> report.

mod build;
pub(crate) mod cache;
mod chain;
mod check;
mod digest;
mod export;
mod init;
mod inspect;
mod lock;
mod login;
mod packages;
mod push;
mod show;
mod tree;
mod vendor;
mod verify;
mod why;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use assemble::{BuildOptions, ChosenPackages, Error, LockUse, Result, SpecFile};
use assemble_types::Observer;
use clap::CommandFactory as _;

use crate::args::{Cli, Command, LookArgs, ReportArgs};
use crate::output::{self, Words};
use crate::settings;
use crate::signals;
use crate::terminal::Terminal;

/// Runs a verb to its exit code.
pub(crate) fn run(command: Command) -> ExitCode {
    match command {
        Command::Build(args) => build::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Digest(args) => digest::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Lock(args) => lock::run(&args),
        Command::Update(args) => lock::update(&args),
        Command::Vendor(args) => vendor::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Packages(args) => packages::run(&args),
        Command::Tree(args) => tree::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Apko(args) => crate::apko::run(&args),
        Command::Login(args) => login::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Schema => show::schema(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "assemble", &mut script);
            match output::answer(&String::from_utf8_lossy(&script)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => output::failure(&assemble::stdout_error(error), false, None),
            }
        }
    }
}

/// What the verbs have in common: an observer, and one way to end.
pub(crate) struct Session {
    terminal: Arc<Terminal>,
    json: bool,
    quiet: bool,
    words: Words,
}

impl Session {
    pub(crate) fn new(report: &ReportArgs) -> Self {
        Self::speaking(report, str::to_owned)
    }

    /// One that says in other words what it is told.
    pub(crate) fn speaking(report: &ReportArgs, words: Words) -> Self {
        signals::JSON.store(report.json, Ordering::Relaxed);
        let terminal = Arc::new(Terminal::new(report.quiet, words));
        Self { terminal, json: report.json, quiet: report.quiet, words }
    }

    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.terminal) as Arc<dyn Observer>
    }

    /// Prints the answer of a success, or reports the failure.
    pub(crate) fn end(&self, result: Result<String>) -> ExitCode {
        self.terminal.clear();
        match result {
            Ok(answer) if answer.is_empty() => ExitCode::SUCCESS,
            Ok(answer) => match output::answer(&answer) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => self.fail(&assemble::stdout_error(error), None),
            },
            Err(error) => self.fail(&error, None),
        }
    }

    fn fail(&self, error: &Error, details: Option<&serde_json::Value>) -> ExitCode {
        self.terminal.clear();
        output::failure_in(error, self.json, details, self.words)
    }

    /// Text for people, unless they asked for silence.
    pub(crate) fn tell(&self, text: &str) {
        self.terminal.clear();
        if !self.quiet {
            output::tell(&(self.words)(text));
        }
    }
}

/// The packages that a spec's images would have; the lock beside the spec counts.
fn chosen(spec: Option<&Path>, args: &LookArgs, session: &Session) -> Result<Vec<ChosenPackages>> {
    let LookArgs { input, network, .. } = args;
    let file = SpecFile::load(spec)?;
    let options = BuildOptions { lock: LockUse::Beside, ..settings::build_options(input, &[])? };
    let http = settings::http(&network.registry)?;
    let mut env = settings::env(network, None, &http, &session.observer())?;
    env.program = settings::program();
    assemble::chosen(&file, &options, &env)
}

/// Writes a small file that the user asked for.
fn write_file(path: &Path, text: &str) -> Result<()> {
    assemble::write_file(path, text.as_bytes())
}
