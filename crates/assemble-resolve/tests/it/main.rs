//! The solver against tables, against its own check, and against answers of apko.

mod errors;
mod fallback;
mod invariants;
mod kit;
mod support;
mod table;
