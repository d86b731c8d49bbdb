//! The binary from outside: what a user types, and what real registries, clients and runtimes make of the result.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod build;
mod ci_page;
mod configs;
mod contract;
mod messages;
mod registries;
mod reproducible;
mod runtimes;
mod sandbox;
mod tools;
mod verify;
