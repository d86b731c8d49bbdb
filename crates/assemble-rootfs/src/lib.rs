//! Places packages, base files, the local binary and the spec's files into one in-memory tree, and checks that it can
//! start.
//!
//! **In:** opened packages, file mappings, accounts. **Out:** a finished [`Tree`] and what is worth reporting.
//! **Never:** touches the host's disk, writes tar, asks the clock.

mod tree;

pub use tree::{
    Body, DirectoryEntry, Meta, Node, NodeId, PackageIndex, Part, Resolved, Tree, TreeEntry, TreeError,
    Xattrs,
};
