//! Functions that take any bytes and check what must hold for all of them.
//!
//! **In:** bytes, from a corpus, a mutator or libFuzzer. **Out:** nothing; a panic is a find.
//! **Never:** the disk, the clock, a source of chance: one input always does the same.
//!
//! # Why it is the way it is
//! A target is a plain function, so that the same code runs as an ordinary test on the stable compiler (corpus and a
//! fixed number of mutations, see `tests/`), and under libFuzzer (folder `fuzz/`). What a target checks is more than
//! that nothing panics: what is read, printed and read again is the same, orders are orders, what was accepted is
//! what was vouched for, and a layer read back is the tree it was made of.
//!
//! Hashes would stop a mutator at the first door. Where the code behind the door is meant, the target builds the door
//! itself around the input: see [`wrap`].

#![allow(clippy::missing_panics_doc, reason = "panicking is what a target is for")]

mod adb;
mod documents;
mod index;
mod kept;
mod layer;
mod mutate;
mod package;
mod splice;
mod way;
mod words;
pub mod wrap;

pub use mutate::Mutator;

/// A function to be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder of inputs.
    pub name: &'static str,
    /// Takes any bytes; panics if something does not hold.
    pub run: fn(&[u8]),
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "adb_package", run: adb::package },
    Target { name: "apko_lock", run: documents::apko_lock },
    Target { name: "constraint", run: words::constraint },
    Target { name: "index", run: index::packed },
    Target { name: "index_form", run: kept::index_form },
    Target { name: "index_text", run: index::text },
    Target { name: "installed_db", run: index::installed },
    Target { name: "keyring", run: words::keyring },
    Target { name: "layer", run: layer::read },
    Target { name: "lock", run: documents::lock },
    Target { name: "package", run: package::packed },
    Target { name: "package_data", run: package::data },
    Target { name: "pkginfo", run: words::pkginfo },
    Target { name: "segments", run: kept::segments },
    Target { name: "spec", run: documents::spec },
    Target { name: "spec_apko", run: documents::spec_apko },
    Target { name: "spec_includes", run: documents::spec_includes },
    Target { name: "splice", run: splice::any },
    Target { name: "version", run: words::version },
    Target { name: "way", run: way::to_layer },
];

/// Runs one target by its name.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).run)(input);
}
