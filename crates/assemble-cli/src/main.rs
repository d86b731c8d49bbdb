//! The `assemble` program; see the library.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;

/// A build has large pieces come and go on every thread beside what it holds on to. See docs/performance.md.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    assemble_cli::main()
}
