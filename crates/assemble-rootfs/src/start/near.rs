//! Guesses which program is meant by a name that is not there.

use assemble_types::ImagePath;

use super::walk::{Right, User};
use crate::tree::{Body, Part, Tree, TreeEntry};

/// How many guesses are told.
const MAX_GUESSES: usize = 3;
/// Names further apart than this are not alike.
const MAX_DISTANCE: usize = 2;

/// Executable files whose names are like the command's, the best first, each way of reaching it once.
pub(super) fn programs(tree: &Tree, user: User, command: &[u8]) -> Vec<ImagePath> {
    let wanted = command.rsplit(|b| *b == b'/').find(|part| !part.is_empty()).unwrap_or_default();
    let wanted = String::from_utf8_lossy(wanted).to_lowercase();
    if wanted.is_empty() || wanted.len() > 255 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for entry in tree.entries() {
        let Some(name) = entry.path.file_name() else { continue };
        let name = String::from_utf8_lossy(name).to_lowercase();
        if name.len().abs_diff(wanted.len()) > MAX_DISTANCE {
            continue;
        }
        let distance = strsim::osa_distance(&name, &wanted);
        // A short name is within two letters of every other.
        if distance > MAX_DISTANCE || distance > 0 && distance * 3 > wanted.len() {
            continue;
        }
        let node = match &entry.node.body {
            Body::Symlink(_) => match tree.resolve(&entry.path, true).ok().and_then(|found| found.node) {
                Some(id) => tree.node(id),
                None => continue,
            },
            _ => entry.node,
        };
        if matches!(node.body, Body::File(_)) && user.may(Right::Execute, &node.meta, false) {
            found.push((distance, entry.path));
        }
    }
    found.sort();
    found.truncate(MAX_GUESSES);
    found.into_iter().map(|(_, path)| path).collect()
}

/// The program that the spec places as its binary, if that is one and the user may run it.
pub(super) fn sole_binary(tree: &Tree, user: User) -> Option<ImagePath> {
    let is_program = |entry: &TreeEntry<'_>| {
        let node = entry.node;
        entry.part == Part::Binary
            && matches!(node.body, Body::File(_))
            && user.may(Right::Execute, &node.meta, false)
    };
    let mut programs = tree.entries().into_iter().filter(is_program);
    let first = programs.next()?;
    programs.next().is_none().then_some(first.path)
}
