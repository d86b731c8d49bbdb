//! Runs the stages in order: plan, build, publish, verify, inspect.
//!
//! **In:** a [`SpecFile`] and what a build needs of the world ([`Env`]). **Out:** a [`Built`] image with its digest,
//! and reports of where it went. **Never:** prints, reads `argv` or the process's environment, or exits.
//!
//! # Why it is the way it is
//! The data flow is written down once, in [`build`], in pipeline order, as ordinary function calls. A spec is lowered
//! into what each stage takes before the first stage runs, so no stage knows YAML, and a change of the spec's format
//! touches the spec and the plan.

pub mod apko;
mod apko_config;
mod base_image;
mod build;
mod cache_check;
mod certificates;
mod chain;
mod check;
mod choices;
mod choose;
mod chosen;
mod chosen_locked;
mod contents;
mod docker_archive;
mod documents;
mod error;
mod export;
mod faults;
mod fronts;
mod image_set;
mod index_sources;
mod init;
mod inspect;
mod io_hints;
mod kept;
mod keys;
mod layers;
mod load;
mod lock;
mod merged;
mod misfits;
mod missing;
mod near;
mod output;
mod own_error;
mod packages;
mod plain;
mod plan;
mod publish;
mod pushed;
mod remote;
mod repository_layout;
mod results;
mod show;
mod sources;
mod sources_here;
mod spec_file;
mod start;
mod stored;
mod temporary;
mod time;
mod verbatim;
mod verify;
mod yaml;

pub use assemble_apk::{PackageName, Trust};
pub use assemble_fetch::{
    CachePart, Checked, Counters, Credential, FetchOptions, Fetcher, FoundCredentials, Http, HttpError,
    HttpOptions, NetrcFile, PartSize, ProxySettings, Prune, Store, make_room_for_files, platform_cache_dir,
};
pub use assemble_image::{Image, ImageError, Reference, media_type::LAYER_GZIP as LAYER_MEDIA_TYPE};
pub use assemble_layer::{Compression, Layer};
pub use assemble_registry::{
    CredentialSources, PlainHttp, PushMemory, PushReport, Registry, RegistryOptions, RunMemory,
};
pub use assemble_spec::lock::{Change, Difference};
pub use assemble_spec::{json_schema, platform_hint};

pub use assemble_resolve::{Edge, Graph, Path as ChoicePath};
pub use base_image::BaseImageError;
pub use build::{Built, BuiltImage, ContentsReport, Env, PackageSummary, build};
pub use cache_check::{check_cache, damaged_cache, package_divider};
pub use chain::{
    Chain, ChainLayer, ChainReport, Links, LockedIndex, LockedLinks, LockedSigner, Witness, chain,
};
pub use check::{CheckReport, check};
pub use chosen::{ChosenPackage, ChosenPackages, chosen};
pub use error::{Cause, Error, OwnError, Result};
pub use export::{ExportReport, ExportTarget};
pub use image_set::{ImageSet, ListedBlob, StoredManifest};
pub use init::init;
pub use inspect::{InspectedFile, InspectedLayer, Inspection, OpenedImage};
pub use keys::AlpineReleasesList;
pub use layers::BuiltLayer;
pub use lock::{
    Held, LockError, LockReport, LockUse, Moves, PendingLock, Relock, VendorReport, lock, vendor,
};
pub use output::Output;
pub use plan::{BuildOptions, DEFAULT_USER, Mode, SizeLimits, StartCheck};
pub use publish::{
    Load, PublishOptions, Published, build_and_publish, io_error, own_program_error, push, stdin_error,
    stdout_error, usage_error, write_file,
};
pub use pushed::StoreMemory;
pub use show::EffectiveSpec;
pub use spec_file::{ApkoPaths, DEFAULT_SPEC, SpecFile};
pub use start::StartReport;
pub use temporary::remove_unfinished;
pub use time::Created;
pub use verbatim::{RewrittenPackage, VerbatimReport};
pub use verify::{
    Outcome, VerifyOptions, VerifyReport, is_image, verify_image, verify_spec, verify_without_spec,
};
