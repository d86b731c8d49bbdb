//! An OCI registry in memory that is stricter than real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assemble_types::Digest;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::http::{HttpServer, Logged, Request, Response, with_range};
use crate::registry_auth::{Auth, Tokens, error};

/// How a [`RegistryStub`] differs from a plain one.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Who may come in.
    pub auth: Auth,
    /// Upload locations without scheme and host.
    pub relative_locations: bool,
    /// Answers every mount with a plain upload session.
    pub no_mounts: bool,
    /// Has the referrers API and answers `OCI-Subject`.
    pub referrers: bool,
    /// What `OCI-Chunk-Min-Length` says, if anything.
    pub chunk_minimum: Option<usize>,
}

/// The registry. It speaks distribution's protocol and checks what a good client does:
///
/// * an upload's `_state` comes back byte for byte, and the newest one;
/// * form bodies are eaten, as real registries do;
/// * `Content-Range` starts where the session stands;
/// * digests hold, manifests have the media type they are sent with, and everything they list is there;
/// * a manifest is only given to who accepts its type.
#[derive(Debug)]
pub struct RegistryStub {
    server: HttpServer,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct Repository {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Digest -> content type and bytes.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    options: RegistryOptions,
    repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Upload>,
    counter: usize,
    tokens: Tokens,
}

#[derive(Debug, Default)]
struct Upload {
    repository: String,
    bytes: Vec<u8>,
    step: usize,
}

impl RegistryStub {
    /// An open registry.
    pub fn start() -> Self {
        Self::with(RegistryOptions::default())
    }

    /// A registry with options.
    pub fn with(options: RegistryOptions) -> Self {
        let state = Arc::new(Mutex::new(State { options, ..State::default() }));
        let server = HttpServer::new({
            let state = Arc::clone(&state);
            move |request: &Request| state.lock().unwrap_or_else(PoisonError::into_inner).handle(request)
        });
        Self { server, state }
    }

    /// `127.0.0.1:PORT`, the registry part of a reference.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// The server below, with its log and counters.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }

    /// One more fault.
    pub fn fault(&self, fault: Fault) {
        self.server.fault(fault);
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Logged> {
        self.server.log()
    }

    /// `METHOD target` of all requests so far.
    pub fn calls(&self) -> Vec<String> {
        self.server.calls()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the options of the running registry.
    pub fn change(&self, change: impl FnOnce(&mut RegistryOptions)) {
        change(&mut self.state().options);
    }

    /// Makes every token given out so far worthless.
    pub fn expire_tokens(&self) {
        self.state().tokens.expire();
    }

    /// The digests of a repository's blobs.
    pub fn blobs(&self, repository: &str) -> BTreeSet<String> {
        self.state()
            .repositories
            .get(repository)
            .map(|r| r.blobs.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The bytes of a blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.state().repositories.get(repository)?.blobs.get(digest).cloned()
    }

    /// Content type and bytes of a manifest by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        self.state().repositories.get(repository)?.manifest(reference).map(|(_, found)| found.clone())
    }

    /// The digest behind each tag.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.state().repositories.get(repository).map(|r| r.tags.clone()).unwrap_or_default()
    }

    /// Stores a blob behind the protocol's back; returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        self.state().repository(repository).blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Stores a manifest under a tag behind the protocol's back, unchecked; returns its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        let mut state = self.state();
        let repository = state.repository(repository);
        repository.manifests.insert(digest.clone(), (media_type.to_owned(), bytes.to_vec()));
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// Loses a blob.
    pub fn remove_blob(&self, repository: &str, digest: &str) {
        self.state().repository(repository).blobs.remove(digest);
    }
}

impl Repository {
    fn manifest(&self, reference: &str) -> Option<(&String, &(String, Vec<u8>))> {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        self.manifests.get_key_value(digest)
    }
}

fn is_name(name: &str) -> bool {
    let good = |part: &str| {
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(inside)
            && part.ends_with(inside)
            && part.chars().all(|c| inside(c) || "._-".contains(c))
    };
    name.len() <= 255 && name.split('/').all(good)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(word) && tag.len() <= 128 && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

impl State {
    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    fn handle(&mut self, request: &Request) -> Response {
        let mut response = self.route(request);
        response.headers.push(("Docker-Distribution-Api-Version".into(), "registry/2.0".into()));
        response
    }

    fn route(&mut self, request: &Request) -> Response {
        if request.path == "/token" {
            let auth = self.options.auth.clone();
            return self.tokens.issue(&auth, request);
        }
        if request.path == "/v2/" {
            let refused = self.tokens.refuse(&self.options.auth, request, &[]);
            return refused.unwrap_or_else(|| Response::text(200, "{}"));
        }
        let Some(rest) = request.path.strip_prefix("/v2/") else { return Response::text(404, "not found\n") };
        let found = ["/blobs/uploads", "/blobs/", "/manifests/", "/tags/list", "/referrers/"]
            .iter()
            .find_map(|kind| rest.rfind(kind).map(|at| (*kind, &rest[..at], &rest[at + kind.len()..])));
        let Some((kind, name, tail)) = found else { return Response::text(404, "not found\n") };
        if !is_name(name) {
            return error(400, "NAME_INVALID", "invalid repository name");
        }
        if let Some(refused) = self.refuse(request, name) {
            return refused;
        }
        match (kind, request.method.as_str()) {
            ("/blobs/uploads", "POST") if tail.is_empty() => {
                Response::new(301).header("Location", format!("{}/", request.path))
            }
            ("/blobs/uploads", "POST") if tail == "/" => self.start_upload(request, name),
            ("/blobs/uploads", _) => self.upload(request, name, tail.trim_start_matches('/')),
            ("/blobs/", "GET" | "HEAD") => self.get_blob(request, name, tail),
            ("/manifests/", "GET" | "HEAD") => self.get_manifest(request, name, tail),
            ("/manifests/", "PUT") => self.put_manifest(request, name, tail),
            ("/tags/list", "GET") => self.list_tags(request, name),
            ("/referrers/", "GET") if self.options.referrers => self.list_referrers(request, name, tail),
            ("/referrers/", _) => Response::text(404, "404 page not found\n"),
            _ => error(405, "UNSUPPORTED", "the operation is unsupported"),
        }
    }

    fn refuse(&self, request: &Request, name: &str) -> Option<Response> {
        let action = if matches!(request.method.as_str(), "GET" | "HEAD") { "pull" } else { "push" };
        let source = request.parameter("from").unwrap_or_default();
        let mut needs = vec![(name, action)];
        if request.parameter("mount").is_some() && !source.is_empty() {
            needs.push((&source, "pull"));
        }
        self.tokens.refuse(&self.options.auth, request, &needs)
    }

    fn start_upload(&mut self, request: &Request, name: &str) -> Response {
        let (mount, from) = (request.parameter("mount"), request.parameter("from"));
        if let (Some(digest), Some(from), false) = (mount, from, self.options.no_mounts) {
            let bytes = self.repositories.get(&from).and_then(|r| r.blobs.get(&digest)).cloned();
            if let Some(bytes) = bytes {
                self.repository(name).blobs.insert(digest.clone(), bytes);
                return self.created(request, &format!("/v2/{name}/blobs/{digest}"), &digest);
            }
        }
        self.counter += 1;
        let id = format!("upload-{}", self.counter);
        self.uploads.insert(id.clone(), Upload { repository: name.to_owned(), ..Upload::default() });
        self.session(request, &id)
    }

    fn session(&self, request: &Request, id: &str) -> Response {
        let upload = &self.uploads[id];
        let path = format!("/v2/{}/blobs/uploads/{id}?{}", upload.repository, upload.state(id));
        let last = upload.bytes.len().saturating_sub(1);
        let mut response = Response::new(202)
            .header("Location", self.location(request, &path))
            .header("Docker-Upload-Uuid", id)
            .header("Range", format!("0-{last}"));
        if let Some(minimum) = self.options.chunk_minimum {
            response = response.header("OCI-Chunk-Min-Length", minimum.to_string());
        }
        response
    }

    fn location(&self, request: &Request, path: &str) -> String {
        if self.options.relative_locations {
            path.to_owned()
        } else {
            format!("http://{}{path}", request.header("host").unwrap_or("localhost"))
        }
    }

    fn created(&self, request: &Request, path: &str, digest: &str) -> Response {
        Response::new(201)
            .header("Location", self.location(request, path))
            .header("Docker-Content-Digest", digest)
    }

    fn upload(&mut self, request: &Request, name: &str, id: &str) -> Response {
        let Some(upload) = self.uploads.get_mut(id).filter(|upload| upload.repository == name) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let state = upload.state(id);
        if !request.query.split('&').any(|pair| pair == state) {
            return error(
                404,
                "BLOB_UPLOAD_INVALID",
                "blob upload invalid: the state is missing, changed or stale",
            );
        }
        match request.method.as_str() {
            "GET" => {
                let mut response = self.session(request, id);
                response.status = 204;
                response
            }
            "DELETE" => {
                self.uploads.remove(id);
                Response::new(204)
            }
            "PATCH" => match upload.append(request) {
                Ok(()) => {
                    upload.step += 1;
                    self.session(request, id)
                }
                Err(response) => response,
            },
            "PUT" => self.finish_upload(request, name, id),
            _ => error(405, "UNSUPPORTED", "the operation is unsupported"),
        }
    }

    fn finish_upload(&mut self, request: &Request, name: &str, id: &str) -> Response {
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        let Some(digest) = request.parameter("digest").filter(|d| d.parse::<Digest>().is_ok()) else {
            return error(400, "DIGEST_INVALID", "the digest is missing or malformed");
        };
        let before = upload.bytes.len();
        if let Err(response) = upload.append(request) {
            return response;
        }
        if Digest::of(&upload.bytes).to_string() != digest {
            // The session lives on, as in distribution 2.8.
            upload.bytes.truncate(before);
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        let bytes = self.uploads.remove(id).map(|upload| upload.bytes).unwrap_or_default();
        self.repository(name).blobs.insert(digest.clone(), bytes);
        self.created(request, &format!("/v2/{name}/blobs/{digest}"), &digest)
    }

    fn get_blob(&self, request: &Request, name: &str, digest: &str) -> Response {
        let Some(repository) = self.repositories.get(name) else {
            return error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        match repository.blobs.get(digest) {
            None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            Some(bytes) => with_range(request, bytes.clone())
                .header("Content-Type", "application/octet-stream")
                .header("Docker-Content-Digest", digest),
        }
    }

    fn get_manifest(&self, request: &Request, name: &str, reference: &str) -> Response {
        let Some(repository) = self.repositories.get(name) else {
            return error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let Some((digest, (kind, bytes))) = repository.manifest(reference) else {
            return error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        let accepts = |(key, value): &(String, String)| {
            key == "accept" && value.split(',').any(|v| v.split(';').next().unwrap_or("").trim() == kind)
        };
        if !request.headers.iter().any(accepts) {
            return error(404, "MANIFEST_UNKNOWN", "manifest found, but its media type is not accepted");
        }
        let tag = format!("\"{digest}\"");
        if request.header("if-none-match") == Some(&tag) {
            return Response::new(304).header("ETag", tag);
        }
        Response::new(200)
            .header("Content-Type", kind)
            .header("Docker-Content-Digest", digest)
            .header("ETag", tag)
            .body(bytes.clone())
    }

    fn put_manifest(&mut self, request: &Request, name: &str, reference: &str) -> Response {
        let bytes = &request.body;
        let digest = Digest::of(bytes).to_string();
        if reference.contains(':') && reference != digest {
            return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        if !reference.contains(':') && !is_tag(reference) {
            return error(400, "TAG_INVALID", "manifest tag did not match URI");
        }
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
            return error(400, "MANIFEST_INVALID", "manifest is no JSON");
        };
        let kind = request.header("content-type").unwrap_or("").to_owned();
        if document["mediaType"].as_str() != Some(&kind) {
            return error(400, "MANIFEST_INVALID", "the media type differs from the content type");
        }
        let repository = self.repository(name);
        let missing = missing_parts(repository, &document);
        if !missing.is_empty() {
            let errors: Vec<_> = missing
                .iter()
                .map(|digest| {
                    json!({ "code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": digest })
                })
                .collect();
            return Response::text(400, &json!({ "errors": errors }).to_string());
        }
        repository.manifests.insert(digest.clone(), (kind, bytes.clone()));
        if !reference.contains(':') {
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        let response = self.created(request, &format!("/v2/{name}/manifests/{digest}"), &digest);
        match document["subject"]["digest"].as_str() {
            Some(subject) if self.options.referrers => response.header("OCI-Subject", subject),
            _ => response,
        }
    }

    fn list_tags(&self, request: &Request, name: &str) -> Response {
        let Some(repository) = self.repositories.get(name) else {
            return error(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let last = request.parameter("last").unwrap_or_default();
        let limit = request.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let after: Vec<_> = repository.tags.keys().filter(|tag| **tag > last).collect();
        let page: Vec<_> = after.iter().take(limit).collect();
        let body = json!({ "name": name, "tags": page }).to_string();
        let response = Response::text(200, &body).header("Content-Type", "application/json");
        match page.last() {
            Some(end) if page.len() < after.len() => {
                response.header("Link", format!("</v2/{name}/tags/list?n={limit}&last={end}>; rel=\"next\""))
            }
            _ => response,
        }
    }

    fn list_referrers(&self, request: &Request, name: &str, subject: &str) -> Response {
        let empty = BTreeMap::new();
        let manifests = self.repositories.get(name).map_or(&empty, |r| &r.manifests);
        let wanted = request.parameter("artifactType");
        let mut found = Vec::new();
        for (digest, (kind, bytes)) in manifests {
            let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let named = document["artifactType"].as_str().or(document["config"]["mediaType"].as_str());
            let artifact = named.unwrap_or_default();
            let other = wanted.as_deref().is_some_and(|wanted| wanted != artifact);
            if document["subject"]["digest"] != subject || other {
                continue;
            }
            let mut entry =
                json!({ "mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": artifact });
            if document["annotations"].is_object() {
                entry["annotations"] = document["annotations"].clone();
            }
            found.push(entry);
        }
        let kind = "application/vnd.oci.image.index.v1+json";
        let body = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": found }).to_string();
        let response = Response::text(200, &body).header("Content-Type", kind);
        if wanted.is_some() { response.header("OCI-Filters-Applied", "artifactType") } else { response }
    }
}

/// Digests a manifest lists that the repository has not, or has with another size.
fn missing_parts(repository: &Repository, document: &Value) -> Vec<String> {
    let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let size = |digest: &str, children: bool| {
        let blob = repository.blobs.get(digest).map(Vec::len).filter(|_| !children);
        blob.or_else(|| repository.manifests.get(digest).map(|(_, bytes)| bytes.len()).filter(|_| children))
    };
    let mut parts: Vec<_> = listed("layers").into_iter().map(|part| (part, false)).collect();
    parts.extend(document.get("config").map(|config| (config.clone(), false)));
    parts.extend(listed("manifests").into_iter().map(|part| (part, true)));
    parts
        .iter()
        .filter_map(|(part, child)| {
            let digest = part["digest"].as_str().unwrap_or("a descriptor without digest");
            let there = size(digest, *child).map(|n| n as u64);
            (there.is_none() || there != part["size"].as_u64()).then(|| digest.to_owned())
        })
        .collect()
}

impl Upload {
    /// The parameter that has to come back unchanged. It holds encoded characters, so that who decodes and encodes
    /// again differently is found out.
    fn state(&self, id: &str) -> String {
        format!("_state={id}%2F{}%3d%3D~", self.step)
    }

    fn append(&mut self, request: &Request) -> Result<(), Response> {
        if request.header("content-type").is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"))
        {
            return Ok(());
        }
        if let Some(range) = request.header("content-range") {
            let numbers = range
                .split_once('-')
                .and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
            match numbers {
                Some((first, last))
                    if first == self.bytes.len() && last + 1 == first + request.body.len() => {}
                Some((first, _)) if first != self.bytes.len() => {
                    let at = self.bytes.len().saturating_sub(1);
                    return Err(error(
                        416,
                        "RANGE_INVALID",
                        "the chunk does not start where the last one ended",
                    )
                    .header("Range", format!("0-{at}")));
                }
                _ => return Err(error(400, "SIZE_INVALID", "the range does not fit the body")),
            }
        }
        self.bytes.extend_from_slice(&request.body);
        Ok(())
    }
}
