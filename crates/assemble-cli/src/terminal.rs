//! Progress on standard error: bars when somebody watches, quiet lines otherwise.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use assemble_types::{Event, Observer, TransferId};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::Words;

/// Bytes below which a transfer is not worth a bar.
const WORTH_A_BAR: u64 = 256 * 1024;

/// Shows events to a person.
#[derive(Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<TransferId, ProgressBar>>,
    stage: Mutex<Option<ProgressBar>>,
    shown: Mutex<Vec<String>>,
    colour: bool,
    words: Words,
}

impl Terminal {
    /// Bars only where standard error is a terminal.
    pub(crate) fn new(quiet: bool, words: Words) -> Self {
        let watched =
            std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            quiet,
            bars: (watched && !quiet).then(MultiProgress::new),
            running: Mutex::default(),
            stage: Mutex::default(),
            shown: Mutex::default(),
            colour: colour(),
            words,
        }
    }

    /// Takes all bars away; what follows is printed below nothing.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(text);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    /// Whether this text is said for the first time.
    fn first_time(&self, text: &str) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let new = !shown.iter().any(|known| known == text);
        if new {
            shown.push(text.to_owned());
        }
        new
    }

    fn begin(&self, id: TransferId, label: &str, total: u64) {
        let Some(bars) = &self.bars else { return };
        if total < WORTH_A_BAR {
            return;
        }
        let bar = bars.add(ProgressBar::new(total));
        if let Ok(style) =
            ProgressStyle::with_template("{msg:30!} {bar:30} {bytes:>10}/{total_bytes} {bytes_per_sec}")
        {
            bar.set_style(style);
        }
        bar.set_message(crate::render::printable_line(label));
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, bar);
    }
}

/// Whether colours are wanted: a terminal, and nobody said `NO_COLOR`.
pub(crate) fn colour() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Observer for Terminal {
    fn event(&self, event: Event) {
        match event {
            Event::Warning(text) if self.first_time(&text) => {
                let word = if self.colour { "\x1b[1;33mwarning\x1b[0m" } else { "warning" };
                self.line(&format!("{word}: {}", crate::render::printable(&(self.words)(&text))));
            }
            Event::Note(text) if !self.quiet && self.first_time(&text) => {
                self.line(&format!("note: {}", crate::render::printable(&text)));
            }
            Event::Stage(text) if !self.quiet => match &self.bars {
                Some(bars) => {
                    let mut stage = self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let spinner = stage.get_or_insert_with(|| {
                        let spinner = bars.insert(0, ProgressBar::new_spinner());
                        spinner.enable_steady_tick(Duration::from_millis(120));
                        spinner
                    });
                    spinner.set_message(crate::render::printable_line(&text));
                }
                None => self.line(&format!("assemble: {}", crate::render::printable(&text))),
            },
            Event::TransferStarted { id, label, total } => self.begin(id, &label, total),
            Event::TransferAdvanced { id, bytes } => {
                if let Some(bar) =
                    self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id)
                {
                    bar.inc(bytes);
                }
            }
            Event::TransferEnded { id } => {
                if let Some(bar) =
                    self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id)
                {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}
