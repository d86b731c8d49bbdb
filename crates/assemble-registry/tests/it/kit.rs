//! Images to push, and a client without patience.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assemble_fetch::{Http, HttpOptions, ProxySettings, RetryPolicy};
use assemble_image::Reference;
use assemble_registry::{
    CredentialSources, PlainHttp, PushBlob, PushImage, PushManifest, PushMemory, Registry, RegistryError,
    RegistryOptions, RunMemory,
};
use assemble_testkit::{RegistryStub, Response};
use assemble_types::{Blob, Digest, Event, Explain, Observer};
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const REPOSITORY: &str = "team/app";
pub(crate) const USER: &str = "jo";
/// Looked for in everything that could be shown.
pub(crate) const PASSWORD: &str = "hunter2";

/// Keeps what is announced.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |event: &Event| match event {
            Event::Warning(text) => Some(text.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(warning).collect()
    }

    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

fn http_with(stall_timeout: Duration) -> Arc<Http> {
    let retry = RetryPolicy {
        tries: 4,
        base: Duration::from_millis(2),
        cap: Duration::from_millis(5),
        longest_asked: Duration::from_secs(2),
    };
    let options = HttpOptions {
        retry,
        stall_timeout,
        connect_timeout: Duration::from_secs(5),
        proxies: ProxySettings::default(),
        ..HttpOptions::default()
    };
    Arc::new(Http::new(options).unwrap())
}

pub(crate) fn http() -> Arc<Http> {
    http_with(Duration::from_millis(400))
}

pub(crate) struct Bench {
    pub(crate) registry: Registry,
    pub(crate) recorder: Arc<Recorder>,
}

pub(crate) fn bench(credentials: CredentialSources) -> Bench {
    bench_with(http(), credentials, Arc::new(RunMemory::default()))
}

/// A client that knows of the pushes of others. It is patient, so that what it does can be counted on a busy machine.
pub(crate) fn remembering(credentials: CredentialSources, memory: Arc<dyn PushMemory>) -> Bench {
    bench_with(http_with(Duration::from_mins(1)), credentials, memory)
}

fn bench_with(http: Arc<Http>, credentials: CredentialSources, memory: Arc<dyn PushMemory>) -> Bench {
    let recorder = Arc::new(Recorder::default());
    let registry = Registry::new(RegistryOptions {
        http,
        credentials,
        plain_http: PlainHttp::default(),
        observer: recorder.clone(),
        parallelism: 0,
        memory,
    });
    Bench { registry, recorder }
}

pub(crate) fn anonymous() -> Registry {
    bench(CredentialSources::default()).registry
}

/// As [`anonymous`], but patient.
pub(crate) fn patient() -> Registry {
    remembering(CredentialSources::default(), Arc::new(RunMemory::default())).registry
}

pub(crate) fn with_password() -> CredentialSources {
    CredentialSources { explicit: Some((USER.into(), PASSWORD.into())), ..CredentialSources::default() }
}

pub(crate) fn reference(host: &str, rest: &str) -> Reference {
    Reference::parse(&format!("{host}/{REPOSITORY}{rest}")).unwrap()
}

pub(crate) fn at(stub: &RegistryStub, rest: &str) -> Reference {
    reference(&stub.host(), rest)
}

/// Bytes that differ by seed and do not repeat soon.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

pub(crate) fn blob(bytes: Vec<u8>) -> PushBlob {
    PushBlob { digest: Digest::of(&bytes), size: bytes.len() as u64, content: Blob::from_bytes(bytes) }
}

pub(crate) fn descriptor(kind: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": kind, "digest": digest.to_string(), "size": size })
}

pub(crate) fn manifest(kind: &str, value: &Value) -> PushManifest {
    let bytes = value.to_string().into_bytes();
    PushManifest { digest: Digest::of(&bytes), media_type: kind.into(), bytes }
}

/// One platform with these layers.
pub(crate) fn image(layers: &[Vec<u8>]) -> PushImage {
    let config = blob(format!("{{\"layers\":{}}}", layers.len()).into_bytes());
    let mut blobs: Vec<PushBlob> = layers.iter().cloned().map(blob).collect();
    let listed: Vec<Value> = blobs
        .iter()
        .map(|b| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &b.digest, b.size))
        .collect();
    let top = manifest(
        MANIFEST,
        &json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": listed,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config.digest, config.size),
        }),
    );
    blobs.push(config);
    PushImage { blobs, manifests: vec![top] }
}

/// An image of one blob: what happens to it happens in order.
pub(crate) fn single(bytes: Vec<u8>) -> PushImage {
    let config = blob(bytes);
    let listed = descriptor("application/vnd.oci.image.config.v1+json", &config.digest, config.size);
    let value = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": listed });
    PushImage { blobs: vec![config], manifests: vec![manifest(MANIFEST, &value)] }
}

/// Several platforms under one index.
pub(crate) fn index(platforms: &[Vec<Vec<u8>>]) -> PushImage {
    let mut out = PushImage::default();
    for layers in platforms {
        let one = image(layers);
        out.blobs.extend(one.blobs);
        out.manifests.extend(one.manifests);
    }
    let listed: Vec<Value> =
        out.manifests.iter().map(|m| descriptor(MANIFEST, &m.digest, m.bytes.len() as u64)).collect();
    let value = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    out.manifests.push(manifest(INDEX, &value));
    out
}

pub(crate) fn small() -> PushImage {
    image(&[noise(1, 3000), noise(2, 500)])
}

/// One small layer and one that is streamed.
pub(crate) fn large() -> PushImage {
    image(&[noise(3, 900_000), noise(4, 10)])
}

/// Everything that was pushed is there, byte for byte, under the tag.
pub(crate) fn assert_holds(stub: &RegistryStub, image: &PushImage, tag: &str) {
    for blob in &image.blobs {
        let there = stub.blob(REPOSITORY, &blob.digest.to_string());
        assert_eq!(there.unwrap(), blob.content.read_to_vec(u64::MAX).unwrap(), "{}", blob.digest);
    }
    for manifest in &image.manifests {
        let there = stub.manifest(REPOSITORY, &manifest.digest.to_string()).unwrap();
        assert_eq!(there, (manifest.media_type.clone(), manifest.bytes.clone()));
    }
    let top = image.manifests.last().unwrap();
    assert_eq!(stub.tags(REPOSITORY).get(tag), Some(&top.digest.to_string()));
}

/// Calls counted by what they are: `PUT blob`, `HEAD manifest` and so on.
pub(crate) fn tally(stub: &RegistryStub) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for call in stub.calls() {
        let (method, target) = call.split_once(' ').unwrap();
        let kind = if target.contains("/blobs/uploads/") {
            "upload"
        } else if target.contains("/blobs/") {
            "blob"
        } else if target.contains("/manifests/") {
            "manifest"
        } else if target.starts_with("/token") {
            "token"
        } else {
            "other"
        };
        *out.entry(format!("{method} {kind}")).or_default() += 1;
    }
    out
}

pub(crate) fn count(stub: &RegistryStub, what: &str) -> usize {
    tally(stub).get(what).copied().unwrap_or(0)
}

/// The message with its causes and hints, as a user sees it.
pub(crate) fn shown(error: &RegistryError) -> String {
    let mut out = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let _ = write!(out, " < {cause}");
        next = cause.source();
    }
    for hint in error.hints() {
        let _ = write!(out, " | {hint}");
    }
    out
}

/// What a user sees, with the registry's address made the same for all runs.
pub(crate) fn told(error: &RegistryError, stub: &RegistryStub) -> String {
    shown(error).replace(&stub.host(), "REGISTRY")
}

pub(crate) fn json_error(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    Response::text(status, &body.to_string())
}
