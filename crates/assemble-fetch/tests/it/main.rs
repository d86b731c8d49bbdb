//! Documents, contents and files, fetched from servers and folders that misbehave.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the clearest answer")]

mod cache;
mod contents;
mod documents;
mod errors;
mod files;
mod fronts;
mod network;
mod support;
mod trees;
