//! What happens when the process is told to stop, or finds a bug in itself.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use assemble_types::Kind;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the result is wanted as JSON; then an interruption is reported that way, too.
pub(crate) static JSON: AtomicBool = AtomicBool::new(false);

/// Installs the handlers. Nothing is left behind under a final name: unfinished files are removed.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        end(
            Kind::Bug,
            "bug/panic",
            &format!("this is a bug in assemble {}: {what}{place}", env!("CARGO_PKG_VERSION")),
        );
    }));
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            end(Kind::Interrupted, "interrupted", "interrupted; nothing was left under the final name");
        }
    });
}

fn end(kind: Kind, code: &str, message: &str) -> ! {
    assemble::remove_unfinished();
    if JSON.load(Ordering::Relaxed) {
        let document = crate::json::failure_document(code, kind.name(), message, &[], &[], None);
        let _ = writeln!(std::io::stdout(), "{document}");
    }
    let _ = writeln!(std::io::stderr(), "error[{code}]: {message}");
    #[expect(clippy::exit, reason = "the process is told to stop, or cannot go on")]
    std::process::exit(i32::from(kind.exit_code()))
}
