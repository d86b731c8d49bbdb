//! Not shipped: an independent writer of the formats our readers read, servers with faults, a judge of package sets.
//!
//! **In:** what a test wants to exist. **Out:** signed APK packages and indexes, ELF files, a folder served over HTTP,
//! an OCI registry, each as odd or broken as the test asks.
//! **Never:** code shared with the crates under test beyond the plain values of `assemble-types`: a reader and a
//! writer that share a helper agree with each other's mistakes.
//!
//! # Why it is the way it is
//! The servers are threads over `std::net` and not an HTTP library, since their job is to break the protocol at a
//! chosen byte. Builders panic where a test asks for nonsense; a test is where a panic is the clearest answer.
//!
//! # Example
//! ```
//! use assemble_testkit::{ApkBuilder, HttpServer, RepositoryBuilder};
//!
//! let folder = tempfile::tempdir().unwrap();
//! RepositoryBuilder::new()
//!     .package(ApkBuilder::new("hello", "1.0-r0").file("usr/bin/hello", b"#!/bin/sh\n"))
//!     .write(folder.path(), "x86_64");
//! let server = HttpServer::folder(folder.path());
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! ```

#![allow(clippy::missing_panics_doc, reason = "a builder for tests panics where a test asks for nonsense")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "clearer, and tests need not be fast")]

mod adb;
mod apk;
mod elf;
mod fault;
mod http;
mod keys;
mod registry;
mod registry_auth;
mod repository;
pub mod solution;
mod tarball;
mod tls;

pub use adb::{AdbCompression, AdbPackageBuilder, AdbValue, BuiltAdb, adb_database, adb_file, adb_index};
pub use apk::{ApkBuilder, ApkEntry, BuiltApk};
pub use elf::{FakeElf, fake_elf};
pub use fault::{Action, Fault, Gate};
pub use http::{Handler, HttpServer, Logged, Request, Response};
pub use keys::{OTHER_KEY, OTHER_KEY_NAME, SigningKey, TEST_KEY, TEST_KEY_NAME};
pub use registry::{RegistryOptions, RegistryStub};
pub use registry_auth::Auth;
pub use repository::RepositoryBuilder;
pub use tarball::{TarEntry, TarKind, gzip_member, tar_bytes};
pub use tls::{TlsServer, TunnelProxy, test_ca};
