//! Files of this host.

mod file;
mod glob;
mod keeper;
mod pool;
mod tree;

pub(crate) use file::{Watch, kept, open_front, open_kept, open_limited, open_regular, type_name};
pub use file::{file_look, open_file};
pub(crate) use keeper::{Keeper, Losses};
pub use pool::make_room_for_files;
pub use tree::{LocalEntry, LocalKind, is_excluded, read_tree};
