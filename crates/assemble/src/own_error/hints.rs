//! What to do about failures that only the whole knows.

use assemble_types::Arch;

use super::{OwnError, has_image_ending, is_image_path};
use crate::io_hints::io_hint;
use crate::lock::spec_beside;
use crate::repository_layout::is_index;
use crate::spec_file::DEFAULT_SPEC;

/// So many files are named; the others are counted.
const MOST_NAMED: usize = 3;

impl OwnError {
    /// What to do; here about outputs and the host.
    pub(super) fn hints_of_outputs(&self) -> Vec<String> {
        match self {
            Self::Io { source, path, .. } => io_hint(source, path),
            Self::NotALayout(place) => vec![
                format!("name a folder that does not exist yet, or is empty: -o {place}/image"),
                "or write one file: -o image.tar".into(),
            ],
            Self::NotEmpty { .. } => {
                vec!["name a folder that is empty or not there, or a file that ends in .tar".into()]
            }
            Self::NotAFolder(_) => vec!["name a folder, or a file that ends in .tar: -o image.tar".into()],
            Self::UnknownOutput(_) => vec![
                "-o takes a folder (an OCI layout), NAME.tar (read by docker, podman, skopeo, crane), \
                 oci:DIR, oci-archive:FILE or docker-archive:FILE"
                    .into(),
            ],
            Self::UnknownExport(_) => vec![
                "export writes the root file system of an image: -o DIR for a folder, NAME.tar for a tar that is not \
                 compressed, - for that tar on standard output"
                    .into(),
            ],
            Self::OutputInSource { pattern, .. } => vec![
                format!("leave it out: exclude: [\"{pattern}\"]"),
                "or write it elsewhere: -o ../image.oci".into(),
            ],
            _ => self.hints_of_inputs(),
        }
    }

    /// What to do about specs, and what stands in them.
    fn hints_of_inputs(&self) -> Vec<String> {
        match self {
            Self::SpecIsImage(path) => vec![
                format!("look at it: assemble inspect {path}"),
                format!("upload it: assemble push {path} registry.example.org/team/app:1.0"),
            ],
            Self::SpecIsLock(path) => vec![
                format!("name the spec that it was made for: {}", spec_beside(path)),
                "the lock beside a spec counts by itself".into(),
            ],
            Self::NotAProgram(_) => vec!["name the compiled program, such as ./target/release/app".into()],
            Self::SpecExists(path) => {
                vec![format!("write another file: -o other.yaml; or remove {path} first")]
            }
            Self::VerifyWithoutSpec(path) => vec![format!("assemble verify {path} --spec assemble.yaml")],
            Self::NoImageHere { text, pulls } => {
                let mut hints = vec!["check the spelling of the path".to_owned()];
                if is_image_path(text) || !pulls {
                    hints.push(make_image(text));
                } else {
                    hints.push(format!(
                        "for an image of a registry, write the registry's host: docker.io/library/{text}"
                    ));
                }
                hints
            }
            Self::OfflineRegistry(_) => {
                vec!["leave --offline out, or name a layout folder or an archive".into()]
            }
            Self::NoSpec(path) if path == DEFAULT_SPEC => vec![
                format!("without an argument, ./{DEFAULT_SPEC} is taken"),
                "write one: assemble init ./my-binary".into(),
                "or name another spec, or a static binary, which needs none".into(),
            ],
            Self::NoSpec(path) if has_image_ending(path) => {
                vec![make_image(path), "or name a spec (*.yaml) or a static binary".into()]
            }
            Self::NoSpec(_) => vec!["name a spec (*.yaml) or a static binary".into()],
            Self::SpecIsFolder { path, specs } if specs.is_empty() => vec![
                format!(
                    "no *.yaml is in it; write a spec: assemble init ./my-binary -o {path}/{DEFAULT_SPEC}"
                ),
                "or name a spec or a static binary".into(),
            ],
            Self::SpecIsFolder { path, specs } => {
                let mut hints: Vec<String> = specs
                    .iter()
                    .take(MOST_NAMED)
                    .map(|name| format!("name the file: {path}/{name}"))
                    .collect();
                if let Some(more @ 1..) = specs.len().checked_sub(MOST_NAMED) {
                    hints.push(format!("and {more} more are there"));
                }
                hints
            }
            Self::SpecIsStdin => vec![
                "write it to a file and name that: its paths start from there, and its lock lies beside it"
                    .into(),
            ],
            Self::UnknownUser { known, .. } => {
                let mut hints =
                    vec!["use a number: any uid works without an account, such as run-as: 65532".into()];
                if !known.is_empty() {
                    hints.push(format!("accounts that are there: {}", known.join(", ")));
                }
                hints
            }
            Self::NoBinaryFor { platform } => {
                vec![format!(
                    "add a line `{platform}: PATH` below contents.binary, or leave the platform out"
                )]
            }
            Self::Time { .. } => {
                vec!["give whole seconds since 1970: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)".into()]
            }
            Self::Commit { .. } => {
                vec!["run inside a git checkout with at least one commit, or leave --created out".into()]
            }
            _ => self.hints_of_repositories(),
        }
    }

    /// What to do about repositories, and what they are for.
    fn hints_of_repositories(&self) -> Vec<String> {
        match self {
            Self::NothingHere(_) => {
                vec![
                    "check the path; the address of a repository of another host begins with https://".into(),
                ]
            }
            Self::NoIndex { repository, .. } if is_index(repository) => vec![
                "no index is at this address: check it; upper and lower case count, and most are named \
                 `packages.adb` or `Packages.adb`"
                    .into(),
            ],
            Self::NoIndex { repository, .. } if without_arch(repository).is_some() => vec![format!(
                "the folder of the architecture is added by assemble: write `{}`",
                without_arch(repository).unwrap_or_default()
            )],
            Self::NoIndex { arch, .. } => vec![
                format!(
                    "if it has no packages for {arch}, build for those that it has: `archs` in the spec, or --platform"
                ),
                "otherwise check its address: the index lies in a folder with the architecture's name".into(),
            ],
            Self::UnknownArch(name) => {
                let known: Vec<&str> = Arch::ALL.iter().map(|arch| arch.apk()).collect();
                let known = format!("known are {}", known.join(", "));
                assemble_spec::platform_hint(name).into_iter().chain([known]).collect()
            }
            Self::CredentialsInUrl(host) => vec![
                format!("put them into ~/.netrc: machine {host} login USER password PASSWORD"),
                format!("or into the environment: HTTP_AUTH=basic:{host}:USER:PASSWORD"),
            ],
            _ => self.hints_of_results(),
        }
    }
}

impl OwnError {
    /// Hints where images, packages and locks are at fault, not what the user named.
    fn hints_of_results(&self) -> Vec<String> {
        match self {
            Self::NoRuntime { tried } => {
                let mut hints = tried.clone();
                hints.push("start docker, or write an archive and load it elsewhere: -o image.tar".into());
                hints
            }
            Self::Load { said, .. } | Self::SecondBuild { said, .. } => {
                said.lines().map(str::to_owned).take(20).collect()
            }
            Self::EngineWithoutZstd { .. } => {
                vec!["load it in gzip: --compression gzip; docker 23 and podman read zstd".into()]
            }
            Self::BrokenChain { .. } => {
                vec!["whoever made the image put other bytes into it than the package has".into()]
            }
            Self::NothingToPush => {
                vec!["name the image: assemble build --push -t registry.example.org/team/app:1.0".into()]
            }
            Self::ImageIsSpec(path) => vec![
                format!("build it first: assemble build {path}"),
                format!(
                    "build and upload it: assemble build {path} --push -t registry.example.org/team/app:1.0"
                ),
            ],
            Self::NoSuchImage { known, place, .. } => {
                let mut hints: Vec<String> =
                    known.iter().take(8).map(|name| format!("there is {place}:{name}")).collect();
                if hints.is_empty() {
                    hints.push("its index is empty".into());
                }
                hints
            }
            Self::NotAnImage { .. } => {
                vec!["an image is an OCI layout folder, an archive (.tar), or a reference such as registry.example.org/app:1.0".into()]
            }
            Self::NoSuchFile { .. } | Self::IsFolder { .. } => {
                vec!["list what is there with --files in place of --cat".into()]
            }
            Self::NoSuchPlatform { known, .. } => {
                known.iter().map(|p| format!("it is for --platform {p}")).collect()
            }
            Self::Damaged { .. } => {
                vec!["build or pull the image anew; what is stored cannot be trusted".into()]
            }
            Self::CacheUnread(_) => {
                vec!["run this as the user whose cache it is; nothing is known of what cannot be read".into()]
            }
            Self::CacheDamaged { stuck: 1.., .. } => vec![
                "builds do not use what is damaged; who may write to the cache can remove it".into(),
                "if more is damaged the next time, look after the disk".into(),
            ],
            Self::CacheDamaged { .. } => vec![
                "what is gone is got or made again when it is needed".into(),
                "layouts that were built may have been links to it: build them again".into(),
                "if more is damaged the next time, look after the disk".into(),
            ],
            Self::OtherArch { .. } => vec!["the repository is put together wrongly; ask who runs it".into()],
            Self::NoChecksum { .. } => vec!["make the index anew with `apk index`".into()],
            Self::KeyPlace { .. } => vec!["name the keys that you trust in contents.keyring".into()],
            Self::LayersWithoutStrategy => vec![
                "write layering: {strategy: origin, budget: 10}, or layering: {strategy: package}".into(),
            ],
            Self::OtherConfig { .. } => vec!["make the lock anew: assemble apko lock CONFIG".into()],
            Self::UnfitLock { .. } => {
                vec!["make the lock anew with apko 0.13 or later, or with this program".into()]
            }
            Self::PackageTooLarge { .. } => vec!["allow more: --max-http-response-size".into()],
            Self::Bug(_) => {
                vec!["please report it with the spec and the output of `assemble --version`".into()]
            }
            _ => Vec::new(),
        }
    }
}

/// How an image comes to lie at a path. One without an ending would be taken for a folder, which is as good.
fn make_image(path: &str) -> String {
    format!("make it first: assemble build SPEC -o {path}")
}

/// A repository's address without the architecture that somebody has put behind it.
fn without_arch(repository: &str) -> Option<&str> {
    let (address, last) = repository.trim_end_matches('/').rsplit_once('/')?;
    Arch::ALL.iter().any(|arch| arch.apk() == last).then_some(address)
}
