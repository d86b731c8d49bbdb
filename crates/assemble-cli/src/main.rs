//! The `assemble` program; see the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Gives memory back soon. The system's allocator keeps what each of many short-lived threads had in a heap of its own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    assemble_cli::main()
}
