//! The binary from outside: what a user types, and what real registries, clients and runtimes make of the result.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::needless_raw_string_hashes,
    clippy::format_push_string,
    reason = "tests"
)]

mod apko_again;
mod apko_archive;
mod bad_input;
mod base_image;
mod build;
mod cache;
mod choices;
mod ci_page;
mod configs;
mod contract;
mod export;
mod faults;
mod fronts;
mod hostile;
mod hostile_checks;
mod hostile_packages;
mod lock;
mod messages;
mod misfits;
mod newcomers;
mod oracle;
mod pruned;
mod random_specs;
mod real_apk;
mod registries;
mod repositories;
mod reproducible;
mod runtimes;
mod sandbox;
mod slips;
mod surprises;
mod tools;
mod verbatim;
mod verify;
mod version3;
mod zstd;
