//! Order, economy and manifests.

use assemble_image::Reference;
use assemble_registry::{PushImage, RegistryError};
use assemble_testkit::{Action, Fault, RegistryStub, Response};
use assemble_types::{Digest, Explain, Kind};
use expect_test::expect;

use crate::kit::*;

#[test]
fn a_first_push_a_second_and_a_changed_layer() {
    let stub = RegistryStub::start();
    let registry = anonymous();
    let target = at(&stub, ":v1");
    let first = image(&[noise(1, 3000), noise(2, 700_000)]);
    let report = registry.push(&target, &first, &[]).unwrap();
    assert_holds(&stub, &first, "v1");
    let top = first.manifests[0].digest;
    assert_eq!(report.reference, format!("{}/{REPOSITORY}@{top}", stub.host()));
    assert_eq!((report.digest, report.blobs_sent, report.blobs_present), (top, 3, 0));
    assert_eq!(report.bytes_sent, first.blobs.iter().map(|b| b.size).sum::<u64>());
    assert_eq!(report.tags, [format!("{}/{REPOSITORY}:v1", stub.host())]);
    // HEAD of the tag; POST, PUT for each blob; one PUT of the manifest.
    assert_eq!(report.requests, 1 + 3 * 2 + 1);
    assert_eq!(stub.calls().len() as u64, report.requests);

    stub.server().clear_log();
    let report = registry.push(&target, &first, &[]).unwrap();
    assert_eq!(stub.calls(), [format!("HEAD /v2/{REPOSITORY}/manifests/v1")]);
    assert_eq!((report.blobs_sent, report.blobs_present, report.bytes_sent), (0, 3, 0));

    stub.server().clear_log();
    let second = image(&[noise(1, 3000), noise(5, 10)]);
    let report = registry.push(&target, &second, &[]).unwrap();
    assert_holds(&stub, &second, "v1");
    assert_eq!((report.blobs_sent, report.blobs_present, report.bytes_sent), (1, 2, 10));
    // The manifest behind the tag names two of the three blobs: nothing is asked about them. Nor is the image there.
    let known = second.blobs[0].digest.hex();
    assert!(!stub.calls().iter().any(|c| c.contains(&known) || c.contains("HEAD /v2/team/app/blobs/")));
    assert_eq!(report.requests, 3 + 2 + 1);
}

#[test]
fn an_index_goes_blobs_children_top_and_each_blob_once() {
    let stub = RegistryStub::start();
    let shared = noise(9, 50_000);
    let both = index(&[vec![shared.clone(), noise(1, 10)], vec![shared, noise(2, 10)]]);
    let report = anonymous().push(&at(&stub, ":v1"), &both, &[]).unwrap();
    assert_holds(&stub, &both, "v1");
    // The shared layer and the configs, which are the same here, are listed twice.
    assert_eq!((both.blobs.len(), report.blobs_sent), (6, 4));
    let calls = stub.calls();
    let position = |what: &str| calls.iter().position(|c| c.starts_with(what)).unwrap();
    let last_blob = calls.iter().rposition(|c| c.contains("/blobs/")).unwrap();
    for child in &both.manifests[..2] {
        let put = position(&format!("PUT /v2/{REPOSITORY}/manifests/{}", child.digest));
        assert!(put > last_blob, "{calls:?}");
    }
    assert_eq!(position(&format!("PUT /v2/{REPOSITORY}/manifests/v1")), calls.len() - 1);

    // Of a changed platform only what changed is sent; the other's manifest is not sent again.
    stub.server().clear_log();
    let changed = index(&[vec![noise(9, 50_000), noise(1, 10)], vec![noise(9, 50_000), noise(3, 10)]]);
    let report = anonymous().push(&at(&stub, ":v1"), &changed, &[]).unwrap();
    assert_holds(&stub, &changed, "v1");
    assert_eq!((report.blobs_sent, report.bytes_sent), (1, 10));
    assert_eq!(count(&stub, "PUT manifest"), 2);
    assert_eq!(count(&stub, "HEAD blob"), 0);
    // The platform that did not change is known from what is to be pushed.
    assert_eq!(count(&stub, "GET manifest"), 2);
}

#[test]
fn blobs_that_are_there_are_not_sent() {
    let stub = RegistryStub::start();
    let image = small();
    stub.put_blob(REPOSITORY, &noise(1, 3000));
    let report = anonymous().push(&at(&stub, ":v1"), &image, &[]).unwrap();
    assert_eq!((report.blobs_sent, report.blobs_present), (2, 1));
    assert_holds(&stub, &image, "v1");
}

#[test]
fn further_tags_other_repositories_and_digests() {
    let stub = RegistryStub::start();
    let image = small();
    let registry = anonymous();
    let tags =
        [at(&stub, ":v2"), Reference::parse(&format!("{}/other:v3", stub.host())).unwrap(), at(&stub, ":v1")];
    let report = registry.push(&at(&stub, ":v1"), &image, &tags).unwrap();
    assert_eq!(
        report.tags,
        ["team/app:v1", "team/app:v2", "other:v3"].map(|name| format!("{}/{name}", stub.host()))
    );
    assert_eq!(stub.tags(REPOSITORY).len(), 2);
    assert_eq!(stub.tags("other").len(), 1);

    // Only the tag that is missing is written.
    stub.server().clear_log();
    registry.push(&at(&stub, ":v1"), &image, &[at(&stub, ":v4"), at(&stub, ":v2")]).unwrap();
    assert_eq!(count(&stub, "PUT manifest"), 1);
    assert_eq!(tally(&stub).values().sum::<usize>(), 4);

    let stub = RegistryStub::start();
    let digest = image.manifests[0].digest;
    let report = registry.push(&at(&stub, &format!("@{digest}")), &image, &[]).unwrap();
    assert!(stub.tags(REPOSITORY).is_empty() && report.tags.is_empty());
    assert!(stub.manifest(REPOSITORY, &digest.to_string()).is_some());
    stub.server().clear_log();
    registry.push(&at(&stub, &format!("@{digest}")), &image, &[]).unwrap();
    assert_eq!(stub.calls().len(), 1);
}

#[test]
fn mistakes_of_the_caller_cost_no_request() {
    let stub = RegistryStub::start();
    let image = small();
    let digest = image.manifests[0].digest;
    let other = Digest::of(b"other");
    let push = |rest: &str, image: &PushImage| {
        let error = anonymous().push(&at(&stub, rest), image, &[]).unwrap_err();
        (told(&error, &stub), error.kind())
    };
    let (text, kind) = push(&format!(":v1@{digest}"), &image);
    assert!(text.contains("a push goes to a tag or to a digest, not to both"), "{text}");
    assert_eq!(kind, Kind::Usage);
    let (text, kind) = push(&format!("@{other}"), &image);
    assert!(text.ends_with(&format!("@{other}: the image to push is {digest}")), "{text}");
    assert_eq!(kind, Kind::Usage);
    assert_eq!(push(":v1", &PushImage::default()).1, Kind::Bug);
    let mut wrong = image.clone();
    wrong.blobs[0].size = 7;
    assert_eq!(push(":v1", &wrong).1, Kind::Bug);
    let mut wrong = image.clone();
    wrong.manifests[0].bytes.push(b' ');
    assert_eq!(push(":v1", &wrong).1, Kind::Bug);
    assert!(stub.calls().is_empty());
}

#[test]
fn a_tag_that_cannot_be_read_is_written_all_the_same() {
    for (status, header) in [(403, None), (405, None), (404, None), (200, Some("md5:1")), (200, None)] {
        let stub = RegistryStub::start();
        let answer =
            header.into_iter().fold(Response::new(status), |r, d| r.header("Docker-Content-Digest", d));
        stub.fault(Fault::on("HEAD", "/manifests/", Action::Answer(answer)));
        anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
        assert_holds(&stub, &small(), "v1");
    }
}

#[test]
fn a_manifest_behind_the_tag_that_makes_no_sense_is_only_a_lost_hint() {
    let deep = "[".repeat(1000);
    for bytes in ["", "null", r#"{"layers":7,"manifests":{}}"#, &deep, &"x".repeat(5 << 20)] {
        let stub = RegistryStub::start();
        stub.put_manifest(REPOSITORY, "v1", MANIFEST, bytes.as_bytes());
        anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
        assert_holds(&stub, &small(), "v1");
    }
    // It lists a blob that is gone: the registry says so, and the blob is sent after all.
    let stub = RegistryStub::start();
    let registry = anonymous();
    registry.push(&at(&stub, ":v1"), &image(&[noise(1, 3000)]), &[]).unwrap();
    stub.remove_blob(REPOSITORY, &Digest::of(&noise(1, 3000)).to_string());
    registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
    // It is its own child.
    let stub = RegistryStub::start();
    let loops = index(&[vec![noise(1, 10)]]);
    let top = &loops.manifests[1];
    stub.put_manifest(REPOSITORY, "v1", INDEX, &top.bytes);
    stub.fault(Fault::on(
        "GET",
        &loops.manifests[0].digest.to_string(),
        Action::Answer(Response::new(200).body(top.bytes.clone())),
    ));
    anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
}

#[test]
fn a_registry_that_is_slow_to_know_its_blobs() {
    let unknown = json_error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/manifests/", Action::Answer(unknown.clone())).times(2));
    anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
    assert_eq!(count(&stub, "PUT manifest"), 3);
    assert_eq!(count(&stub, "PUT upload"), 3, "what is there is not sent again");

    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/manifests/", Action::Answer(unknown)));
    let error = anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
    assert_eq!(count(&stub, "PUT manifest"), 3);
    assert_eq!(error.kind(), Kind::Unavailable);
    expect![[r#"REGISTRY/team/app: sending manifest v1: the server answered 400: MANIFEST_BLOB_UNKNOWN: blob unknown to registry"#]].assert_eq(&told(&error, &stub));
}

#[test]
fn a_registry_that_says_it_has_taken_a_blob_and_has_not() {
    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::Answer(Response::new(201))).nth(1));
    anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
    assert_eq!(count(&stub, "PUT upload"), 4);
}

#[test]
fn a_manifest_that_is_refused() {
    let html = "<html><title>413 Request Entity Too Large</title></html>";
    for (answer, want) in [
        (
            json_error(400, "MANIFEST_INVALID", "manifest\u{1b}[2J invalid"),
            expect![[
                r#"REGISTRY/team/app: sending manifest v1: the server answered 400: MANIFEST_INVALID: manifest\u{1b}[2J invalid"#
            ]],
        ),
        (
            Response::text(413, html),
            expect![[
                r#"REGISTRY/team/app: sending manifest v1: the server answered 413: 413 Request Entity Too Large | a proxy before the registry limits the size of a request: raise its limit"#
            ]],
        ),
        (
            Response::text(400, &format!("no{}", " ".repeat(5_000_000))),
            expect![[r#"REGISTRY/team/app: sending manifest v1: the server answered 400: no"#]],
        ),
    ] {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("PUT", "/manifests/", Action::Answer(answer)));
        let error = anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
        want.assert_eq(&told(&error, &stub));
        assert_eq!(count(&stub, "PUT manifest"), 1);
        assert!(stub.tags(REPOSITORY).is_empty());
    }
}

#[test]
fn a_second_tag_that_fails_leaves_the_first() {
    let stub = RegistryStub::start();
    stub.fault(Fault::on(
        "PUT",
        "/manifests/v2",
        Action::Answer(json_error(403, "DENIED", "v2 is immutable")),
    ));
    let tags = [at(&stub, ":v2"), at(&stub, ":v3")];
    let error = anonymous().push(&at(&stub, ":v1"), &small(), &tags).unwrap_err();
    assert_eq!(stub.tags(REPOSITORY).len(), 2);
    assert_eq!(error.kind(), Kind::Denied);
    expect![[r#"REGISTRY/team/app: tag `v2` failed; in place: v1, v3 < REGISTRY/team/app: sending manifest v2: denied (403): DENIED: v2 is immutable | tried: nothing; run `assemble login REGISTRY`"#]].assert_eq(&told(&error, &stub));
}

#[test]
fn another_digest_than_ours() {
    let wrong = Digest::of(b"wrong").to_string();
    for (method, path) in [("PUT", "/manifests/"), ("PUT", "/blobs/uploads/"), ("POST", "/blobs/uploads/")] {
        let stub = RegistryStub::start();
        stub.put_blob(REPOSITORY, &noise(1, 3000));
        stub.fault(Fault::on(method, path, Action::Header("Docker-Content-Digest".into(), wrong.clone())));
        let error = anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap_err();
        assert!(matches!(&error, RegistryError::Digest { found, .. } if *found == wrong), "{error}");
        assert_eq!(error.kind(), Kind::Integrity);
        // Of another algorithm we know nothing.
        let stub = RegistryStub::start();
        let other = Action::Header("Docker-Content-Digest".into(), "sha512:00".into());
        stub.fault(Fault::on(method, path, other));
        anonymous().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    }
}

#[test]
fn so_many_at_once_and_no_more() {
    let stub = RegistryStub::start();
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::Delay(std::time::Duration::from_millis(40))));
    let layers: Vec<_> = (0..60).map(|n| noise(n, 100)).collect();
    anonymous().push(&at(&stub, ":v1"), &image(&layers), &[]).unwrap();
    let most = stub.server().most_in_flight();
    // Sixteen, and as many of which the server has just sent the answer and not yet counted them out.
    assert!((8..=32).contains(&most), "{most}");
    let connections = stub.server().connections();
    assert!(connections <= 32, "{connections} connections for {} requests", stub.calls().len());
}

#[test]
fn warnings_of_the_server_are_shown_once() {
    let stub = RegistryStub::start();
    let header = Action::Header("Warning".into(), "299 - \"read only on Monday\"".into());
    stub.fault(Fault::on("*", "/v2/", header));
    let bench = bench(assemble_registry::CredentialSources::default());
    bench.registry.push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    let warnings: Vec<String> =
        bench.recorder.warnings().iter().map(|w| w.replace(&stub.host(), "REGISTRY")).collect();
    assert_eq!(warnings, ["REGISTRY says: read only on Monday"]);
}
