//! Speaks the OCI distribution protocol: credentials, pull, push.
//!
//! **In:** references, blobs and manifests as bytes, and everything that credentials can come from, as data.
//! **Out:** a repository that holds an image, bytes that have the digest asked for, and a [`PushReport`].
//! **Never:** builds or interprets an image, reads the environment, prints, or lets a secret into a message, an event or
//! the `Debug` form of anything.
//!
//! # Why it is the way it is
//! *What is there is not sent.* A build is reproducible, so most pushes change nothing or little: the tag is asked for
//! first, and the manifest behind it says which blobs the repository has without a question for each. For any other blob
//! the request that begins an upload asks to mount it from the repository itself: if it is there, that was all; if not,
//! the session is open. So a blob costs two requests at most. Only where mounts may not be had, and the repository is not
//! new, is a large blob asked for by itself.
//!
//! *Everything can be done twice.* Objects are named by their digests, so a call whose end is not known is repeated,
//! after a look whether it did its work. Bodies are opened anew for each try, never streamed once. An upload is one PUT,
//! the form that every registry takes; the other forms stand in where a registry or a proxy refuses it.
//!
//! *A registry is not trusted with more than its own.* It may send us anywhere (`Location`, redirects, the realm of a
//! token server); its credentials go to its own authority and its token server only, never from https to http, and
//! nothing goes into private networks that the registry is not part of. Digests and sizes are checked here, whatever
//! a server says.
//!
//! *One door.* Each call goes through the same three layers: an exchange (redirects, stalls), a session around it
//! (credentials, tokens, one renewal), a back-off around that. Pushing and pulling are written in terms of calls.

mod auth;
mod challenge;
mod conn;
mod credentials;
mod endpoint;
mod error;
mod exchange;
mod gate;
mod location;
mod manifest;
mod memory;
mod payload;
mod present;
mod pull;
mod push;
mod registry;
mod scope;
mod secret;
mod server_error;
mod text;
mod token;
mod upload;

pub use credentials::{CredentialSources, HelperError, StoreError};
pub use endpoint::PlainHttp;
pub use error::{Place, RegistryError};
pub use location::AddressFault;
pub use memory::{PushMemory, RunMemory};
pub use pull::ManifestInfo;
pub use push::{PushBlob, PushImage, PushManifest, PushReport};
pub use registry::{DEFAULT_PARALLELISM, Registry, RegistryOptions};
