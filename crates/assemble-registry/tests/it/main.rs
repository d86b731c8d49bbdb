//! The client against a registry that misbehaves, and against a real one.
#![allow(clippy::unwrap_used, reason = "a test is where a panic is the clearest answer")]
#![allow(clippy::needless_raw_string_hashes, reason = "the form in which expect-test writes them")]

mod auth;
mod economy;
mod kit;
mod pull;
mod push;
mod real;
mod uploads;
