//! How many requests a push takes, and how long where every answer is slow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assemble_registry::{CredentialSources, PushBlob, PushImage, RegistryError, RunMemory};
use assemble_testkit::{Action, Auth, Fault, RegistryOptions, RegistryStub, Response};
use assemble_types::{Blob, Digest};

use crate::kit::*;

/// Large enough to be worth a question of its own.
const LARGE: usize = 5 << 20;

/// A hundred layers, of which one is of another make.
fn hundred(one: u64) -> PushImage {
    let mut layers: Vec<_> = (0..99).map(|n| noise(n, 1500)).collect();
    layers.insert(57, noise(one, 1500));
    image(&layers)
}

fn requests(stub: &RegistryStub, image: &PushImage, rest: &str) -> u64 {
    stub.server().clear_log();
    let report = patient().push(&at(stub, rest), image, &[]).unwrap();
    assert_eq!(stub.calls().len() as u64, report.requests);
    report.requests
}

#[test]
fn two_requests_a_blob_and_three_more() {
    let stub = RegistryStub::start();
    let image = hundred(1000);
    assert!(requests(&stub, &image, ":v1") <= 2 * 101 + 3);
    assert_holds(&stub, &image, "v1");
    assert_eq!(count(&stub, "HEAD blob"), 0);
    // The configuration does not change here: it would take two more.
    assert_eq!(requests(&stub, &hundred(2000), ":v1"), 8 - 2);
    assert_holds(&stub, &hundred(2000), "v1");
    assert_eq!(requests(&stub, &hundred(2000), ":v1"), 1);
    // Large blobs are not asked for either where nothing can be.
    let stub = RegistryStub::start();
    let large = crate::kit::image(&[noise(1, LARGE), noise(2, LARGE), noise(3, 10)]);
    assert_eq!(requests(&stub, &large, ":v1"), 2 * 4 + 3);
    assert_eq!(count(&stub, "HEAD blob"), 0);
    assert!(stub.calls().iter().any(|call| call.ends_with("/tags/list?n=1")));
}

/// How long the registry takes for each answer. The limits below are 0.58 s and 0.17 s at 20 ms an answer; with slower
/// answers they do not depend on what else this machine does.
const ANSWER: Duration = Duration::from_millis(100);

/// How many answers, one after the other, would take as long. The best of a few.
fn answers(mut run: impl FnMut()) -> f64 {
    let time = |()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() / ANSWER.as_secs_f64()
    };
    [(); 3].map(time).into_iter().fold(f64::MAX, f64::min)
}

#[test]
fn slow_answers_are_waited_for_together() {
    let slow = || {
        let stub = RegistryStub::start();
        stub.fault(Fault::on("*", "/", Action::Delay(ANSWER)));
        stub
    };
    // 101 blobs, sixteen at once, two answers each, and a few before and after.
    let first = answers(|| {
        let stub = slow();
        patient().push(&at(&stub, ":v1"), &hundred(1000), &[]).unwrap();
    });
    assert!(first <= 29.0, "{first}");
    let stub = slow();
    let mut next = 1000;
    patient().push(&at(&stub, ":v1"), &hundred(next), &[]).unwrap();
    let changed = answers(|| {
        next += 1;
        patient().push(&at(&stub, ":v1"), &hundred(next), &[]).unwrap();
    });
    assert!(changed <= 8.5, "{changed}");
}

#[test]
fn a_tag_that_moves_is_one_question_and_one_manifest() {
    let stub = RegistryStub::start();
    let memory = Arc::new(RunMemory::default());
    let client = || remembering(CredentialSources::default(), memory.clone()).registry;
    for (rest, image) in [(":v1", small()), (":latest", large())] {
        client().push(&at(&stub, rest), &image, &[]).unwrap();
    }
    // A new tag, and one that stands for something else.
    for tag in ["v2", "latest"] {
        stub.server().clear_log();
        let report = client().push(&at(&stub, &format!(":{tag}")), &small(), &[]).unwrap();
        let digest = small().manifests[0].digest;
        assert_eq!(
            stub.calls(),
            [
                format!("HEAD /v2/{REPOSITORY}/manifests/{digest}"),
                format!("PUT /v2/{REPOSITORY}/manifests/{tag}")
            ]
        );
        assert_eq!((report.requests, report.blobs_sent, report.blobs_present), (2, 0, 3));
        assert_holds(&stub, &small(), tag);
    }
    // Who remembers nothing finds out.
    assert_eq!(requests(&stub, &large(), ":v1"), 4);
    assert_eq!(count(&stub, "HEAD manifest") + count(&stub, "GET manifest"), 3);
    assert_holds(&stub, &large(), "v1");
    // Who remembers wrongly, too.
    let other = RegistryStub::start();
    for (rest, image) in [(":v1", small()), (":v2", small())] {
        let place = format!("{}/{REPOSITORY}@{}", other.host(), image.manifests[0].digest);
        assemble_registry::PushMemory::keep(&*memory, &place, &["v9".to_owned()].into());
        client().push(&at(&other, rest), &image, &[]).unwrap();
    }
    assert_holds(&other, &small(), "v2");
}

#[test]
fn a_new_tag_of_what_is_mostly_there() {
    let before = image(&[noise(1, LARGE), noise(2, LARGE), noise(3, 10)]);
    let after = image(&[noise(1, LARGE), noise(9, 20), noise(3, 10)]);
    for no_mounts in [false, true] {
        let stub = RegistryStub::with(RegistryOptions { no_mounts, ..RegistryOptions::default() });
        patient().push(&at(&stub, ":v1"), &before, &[]).unwrap();
        stub.server().clear_log();
        let report = patient().push(&at(&stub, ":v2"), &after, &[]).unwrap();
        assert_holds(&stub, &after, "v2");
        // Without mounts, small ones are sent rather than asked for.
        assert!(report.bytes_sent < 1000, "{report:?}");
        assert_eq!(report.blobs_present, if no_mounts { 1 } else { 3 });
    }
}

#[test]
fn a_push_that_broke_off_goes_on() {
    let stub = RegistryStub::start();
    let image = image(&[noise(1, LARGE), noise(2, 300_000)]);
    stub.fault(Fault::on("PUT", "/manifests/", Action::Answer(json_error(403, "DENIED", "not now"))).nth(1));
    patient().push(&at(&stub, ":v1"), &image, &[]).unwrap_err();
    let report = patient().push(&at(&stub, ":v1"), &image, &[]).unwrap();
    assert_eq!((report.blobs_sent, report.bytes_sent), (0, 0));
    assert_holds(&stub, &image, "v1");
}

#[test]
fn mounts_that_are_refused() {
    for status in [400, 401, 403, 404, 405, 429, 500, 501, 503] {
        let stub = RegistryStub::start();
        stub.fault(Fault::status("POST", "mount=", status, "no"));
        patient().push(&at(&stub, ":v1"), &small(), &[]).unwrap_or_else(|e| panic!("{status} {}", shown(&e)));
        assert_holds(&stub, &small(), "v1");
    }
    let stub = RegistryStub::start();
    stub.fault(Fault::on("POST", "mount=", Action::Close));
    patient().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
    // Success that is none.
    let stub = RegistryStub::start();
    stub.fault(Fault::on("POST", "mount=", Action::Answer(Response::new(201))));
    patient().push(&at(&stub, ":v1"), &small(), &[]).unwrap();
    assert_holds(&stub, &small(), "v1");
}

#[test]
fn many_that_the_registry_lost() {
    let stub = RegistryStub::start();
    patient().push(&at(&stub, ":v1"), &hundred(1000), &[]).unwrap();
    let next = hundred(2000);
    for blob in &next.blobs {
        stub.remove_blob(REPOSITORY, &blob.digest.to_string());
    }
    patient().push(&at(&stub, ":v1"), &next, &[]).unwrap();
    assert_holds(&stub, &next, "v1");
}

#[test]
fn who_is_there_is_found_out_once() {
    let auth = Auth::Token {
        user: USER.into(),
        password: PASSWORD.into(),
        anonymous_pull: false,
        lifetime: Duration::from_mins(5),
    };
    let basic = Auth::Basic { user: USER.into(), password: PASSWORD.into() };
    for auth in [auth, basic] {
        let stub = RegistryStub::with(RegistryOptions { auth, ..RegistryOptions::default() });
        let tags = [at(&stub, ":v2"), at(&stub, ":v3"), at(&stub, ":v4")];
        let image = hundred(1000);
        let bench = remembering(with_password(), Arc::new(RunMemory::default()));
        let report = bench.registry.push(&at(&stub, ":v1"), &image, &tags).unwrap();
        assert_eq!(stub.log().iter().filter(|line| line.status == 401).count(), 1);
        assert!(count(&stub, "GET token") <= 1);
        assert!(report.requests <= 2 * 101 + 2 * 4 + 2, "{}", report.requests);
        for tag in ["v1", "v4"] {
            assert_holds(&stub, &image, tag);
        }
    }
}

#[test]
fn bytes_that_nobody_else_checks() {
    let stub = RegistryStub::start();
    let mut image = image(&[noise(1, 1000)]);
    let digest = image.blobs[0].digest;
    image.blobs[0] = PushBlob { digest, size: 1000, content: Blob::from_bytes(noise(2, 1000)) };
    stub.fault(Fault::on("PUT", "/blobs/uploads/", Action::Answer(Response::new(201))));
    let error = patient().push(&at(&stub, ":v1"), &image, &[]).unwrap_err();
    let found = Digest::of(&noise(2, 1000));
    assert!(
        matches!(&error, RegistryError::LocalChanged { found: f, .. } if *f == found),
        "{}",
        shown(&error)
    );
    assert_eq!(count(&stub, "PUT manifest"), 0);
}
