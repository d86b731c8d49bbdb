//! From a tree to layers.

use assemble_layer::{AccountNames, Layer, pack as pack_layer};
use assemble_rootfs::{Body, Part, Tree, TreeEntry};
use assemble_types::Event;

use crate::build::Env;
use crate::error::{Doing, Result};
use crate::faults;

/// Bytes of content from which packing takes long enough to be announced.
const WORTH_SAYING: u64 = 64 * 1024 * 1024;

fn content_size(entry: &TreeEntry<'_>) -> u64 {
    match &entry.node.body {
        Body::File(blob) => blob.len(),
        _ => 0,
    }
}

/// A layer, and what it holds.
#[derive(Debug)]
pub struct BuiltLayer {
    /// What the image's history and reports call it.
    pub name: String,
    /// Its bytes and digests.
    pub layer: Layer,
}

/// What a part is called in the image's history and in reports.
fn part_name(part: Part) -> &'static str {
    match part {
        Part::Packages => "packages",
        Part::Base => "base files",
        Part::Files => "files",
        Part::Binary => "binary",
    }
}

/// One layer for each part that is not empty, lowest first.
pub(crate) fn pack(tree: &Tree, env: &Env) -> Result<Vec<BuiltLayer>> {
    let spool = env.fetcher.spool();
    let mut layers = Vec::new();
    for part in Part::ALL {
        let mut entries = tree.layer(part);
        if entries.is_empty() {
            continue;
        }
        let content: u64 = entries.iter().map(content_size).sum();
        if content >= WORTH_SAYING {
            env.observer.event(Event::Stage(format!(
                "packing the {} ({} MB)",
                part_name(part),
                content / 1_000_000
            )));
        }
        faults::reorder(&mut entries, env.threads.get());
        // Names in headers are apko's way; our own layers must not change with the packages' accounts.
        let names =
            if part == Part::Packages { AccountNames::from_tree(tree)? } else { AccountNames::none() };
        let layer = pack_layer(&entries, &names, env.threads, spool.as_ref())
            .doing(|| format!("writing the layer with the {}", part_name(part)))?;
        layers.push(BuiltLayer { name: part_name(part).to_owned(), layer });
    }
    Ok(layers)
}
