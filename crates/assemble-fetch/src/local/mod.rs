//! Files of this host.

mod file;
mod glob;
mod pool;
mod tree;

pub use file::open_file;
pub(crate) use file::{Watch, kept, open_kept, open_limited};
pub use tree::{LocalEntry, LocalKind, is_excluded, read_tree};
