//! Which key counts for what, under either rules.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use assemble_apk::Trust;
use assemble_fetch::{FetchOptions, Fetcher, Http, HttpOptions, Location, ProxySettings};
use assemble_testkit::{ApkBuilder, HttpServer, RepositoryBuilder, Request, Response, SigningKey};
use assemble_types::{Arch, Event, Explain as _, Observer, SourceSpan};

use super::{AlpineReleasesList, Discovery, ImageKey, KeyInput, KeyOrigin, Keys};
use crate::plan::Mode;
use crate::repository_layout::Layout;
use crate::sources::{Indexes, RepositoryInput, Sources};

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn event(&self, event: Event) {
        if let Event::Warning(text) | Event::Note(text) = event {
            self.0.lock().unwrap().push(text);
        }
    }
}

struct World {
    fetcher: Fetcher,
    heard: Arc<Heard>,
}

impl World {
    fn new(proxies: ProxySettings) -> Self {
        let heard = Arc::new(Heard::default());
        let http = HttpOptions { proxies, ..HttpOptions::default() };
        let fetcher = Fetcher::new(FetchOptions {
            cache_dir: None,
            offline: false,
            http: Arc::new(Http::new(http).unwrap()),
            observer: Arc::clone(&heard) as Arc<dyn Observer>,
        });
        Self { fetcher: fetcher.unwrap(), heard }
    }

    fn sources(&self, mode: Mode) -> Sources<'_> {
        Sources {
            fetcher: &self.fetcher,
            observer: self.heard.as_ref(),
            mode,
            limits: crate::plan::SizeLimits::default(),
            trust: Trust::Required,
            threads: NonZeroUsize::MIN,
            discovery: Discovery { alpine: AlpineReleasesList::Off, time: None },
            diff_ids: false,
            cache_plain: false,
            program: None,
        }
    }

    fn heard(&self) -> String {
        std::mem::take(&mut *self.heard.0.lock().unwrap()).join("\n")
    }
}

fn span() -> SourceSpan {
    let (file, text, label) = ("spec.yaml".into(), String::new(), String::new());
    SourceSpan { file, line: 1, column: 1, length: 1, text, label }
}

fn repository(text: &str) -> RepositoryInput {
    let location = Location::parse(text, Path::new("/")).unwrap();
    let layout = Layout::of(assemble_spec::RepositoryKind::Unsaid, text);
    RepositoryInput { text: text.into(), line: text.into(), layout, pin: None, location, span: span() }
}

/// A host of two repositories, each signed by one key; only the first publishes keys, and it publishes both.
fn host() -> HttpServer {
    let keys = [SigningKey::Test.jwk("testkit"), SigningKey::Other.jwk("other")];
    let set = serde_json::json!({ "keys": keys }).to_string();
    let index = |key| {
        let package = ApkBuilder::new("tool", "1.0-r0");
        RepositoryBuilder::new().package(package).signed_by(Some(key)).index()
    };
    let (one, two) = (index(SigningKey::Test), index(SigningKey::Other));
    HttpServer::new(move |request: &Request| match request.path.trim_start_matches("http://host.example") {
        "/one/apk-configuration" => {
            let host = request.header("host").unwrap_or_default();
            Response::text(200, &format!("{{\"jwks_uri\":\"http://{host}/keys\"}}"))
        }
        "/keys" => Response::text(200, &set),
        "/one/x86_64/APKINDEX.tar.gz" => Response::new(200).body(one.clone()),
        "/two/x86_64/APKINDEX.tar.gz" => Response::new(200).body(two.clone()),
        _ => Response::new(404),
    })
}

fn names(indexes: &Indexes) -> Vec<&str> {
    indexes.keys.iter().map(|key| key.name.as_str()).collect()
}

#[test]
fn a_found_key_counts_for_its_own_repository_under_our_rules_and_for_all_under_apko_s() {
    let server = host();
    let at = |name: &str| repository(&format!("{}/{name}", server.url()));
    let world = World::new(ProxySettings::default());
    let indexes = world.sources(Mode::Apko).indexes(&[at("one"), at("two")], &[], Arch::X86_64).unwrap();
    assert_eq!(names(&indexes), ["other.rsa.pub", "testkit.rsa.pub"]);
    assert_eq!(indexes.keys[0].url, format!("{}/one/other.rsa.pub", server.url()));
    assert_eq!(indexes.keys[0].origin, KeyOrigin::Repository);
    let ours = world.sources(Mode::Assemble);
    let error = ours.indexes(&[at("one"), at("two")], &[], Arch::X86_64).unwrap_err();
    assert!(error.while_doing().unwrap().contains("/two"), "{error}");
    let indexes = ours.indexes(&[at("one")], &[], Arch::X86_64).unwrap();
    assert_eq!(names(&indexes), ["other.rsa.pub", "testkit.rsa.pub"]);
    assert_eq!(indexes.foreign_keys_used.len(), 1);
}

#[test]
fn repositories_with_a_tag_are_not_asked_for_keys() {
    let server = host();
    let tagged = RepositoryInput { pin: Some("x".into()), ..repository(&format!("{}/one", server.url())) };
    let world = World::new(ProxySettings::default());
    assert!(world.sources(Mode::Apko).indexes(&[tagged], &[], Arch::X86_64).is_err());
    assert_eq!(server.calls(), ["GET /one/x86_64/APKINDEX.tar.gz"]);
}

#[test]
fn the_keyring_has_the_last_word_about_a_name() {
    let server = host();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("testkit.rsa.pub");
    std::fs::write(&path, SigningKey::Other.public()).unwrap();
    let input = KeyInput {
        location: Location::from_path(&path),
        text: String::new(),
        name: "testkit.rsa.pub".into(),
        span: span(),
    };
    let world = World::new(ProxySettings::default());
    let one = [repository(&format!("{}/one", server.url()))];
    for mode in [Mode::Apko, Mode::Assemble] {
        let error = world.sources(mode).indexes(&one, std::slice::from_ref(&input), Arch::X86_64);
        assert!(error.is_err(), "{mode:?}: the key of that name is another one");
    }
    // A file that is no key is one more file to apko, and a mistake to us.
    std::fs::write(&path, "no key").unwrap();
    let spare = KeyInput { name: "spare.rsa.pub".into(), ..input };
    let apko = world.sources(Mode::Apko).indexes(&one, std::slice::from_ref(&spare), Arch::X86_64).unwrap();
    assert_eq!(names(&apko), ["other.rsa.pub", "spare.rsa.pub", "testkit.rsa.pub"]);
    let error = world.sources(Mode::Assemble).indexes(&one, &[spare], Arch::X86_64).unwrap_err();
    assert_eq!(error.code(), "apk/key");
}

#[test]
fn keys_over_http_from_another_machine_are_apko_s_affair() {
    let server = host();
    let proxies = ProxySettings { http: Some(server.url()), ..ProxySettings::default() };
    let world = World::new(proxies);
    let one = [repository("http://host.example/one")];
    assert!(world.sources(Mode::Apko).indexes(&one, &[], Arch::X86_64).is_ok());
    assert!(world.heard().contains("they are taken all the same, as apko does"));
    assert!(world.sources(Mode::Assemble).indexes(&one, &[], Arch::X86_64).is_err());
    assert!(world.heard().contains("they are not taken"));
}

#[test]
fn a_missing_local_index_is_a_warning_to_apko_and_an_error_to_us() {
    let folder = tempfile::tempdir().unwrap();
    let server = host();
    let here = repository(folder.path().to_str().unwrap());
    let inputs = [here, repository(&format!("{}/one", server.url()))];
    let world = World::new(ProxySettings::default());
    let indexes = world.sources(Mode::Apko).indexes(&inputs, &[], Arch::X86_64).unwrap();
    let counts: Vec<_> = indexes.repositories.iter().map(|r| r.index.records.len()).collect();
    assert_eq!(counts, [0, 1], "places stay");
    assert!(world.heard().contains("there is no index; the repository is left out, as apko does"));
    let error = world.sources(Mode::Assemble).indexes(&inputs, &[], Arch::X86_64).unwrap_err();
    assert_eq!(error.code(), "repository/no-index");
}

#[test]
fn another_key_under_the_name_of_a_built_in_one_is_not_taken() {
    let world = World::new(ProxySettings::default());
    let wolfi = [repository("https://packages.wolfi.dev/os")];
    let found = || {
        let mut keys = Keys::default();
        for (name, bytes) in
            [("wolfi-signing.rsa.pub", SigningKey::Test), ("more.rsa.pub", SigningKey::Other)]
        {
            let bytes = bytes.public().as_bytes().to_vec();
            let key =
                ImageKey { name: name.into(), bytes, url: String::new(), origin: KeyOrigin::Repository };
            keys.add(key, Mode::Assemble).unwrap();
        }
        [keys]
    };
    let left = |mode| {
        let mut found = found();
        world.sources(mode).prefer_builtin(&wolfi, &mut found);
        (found[0].files.len(), found[0].ring.len())
    };
    assert_eq!(left(Mode::Apko), (2, 2));
    assert_eq!(world.heard(), "");
    assert_eq!(left(Mode::Assemble), (1, 1));
    let heard = world.heard();
    assert!(
        heard.contains("the key published as wolfi-signing.rsa.pub is not the one that is built in"),
        "{heard}"
    );
}
