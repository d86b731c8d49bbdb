use assemble_image::{ImageIndex, parse_config, parse_index, parse_manifest, select};
use assemble_types::{Arch, Digest, Platform};
use expect_test::{Expect, expect};

use crate::{empty_image, full_image, text_map};

fn check(bytes: &[u8], expected: &Expect) {
    expected.assert_eq(std::str::from_utf8(bytes).unwrap());
}

#[test]
fn documents_have_these_bytes() {
    let image = full_image(Arch::X86_64);
    check(
        image.config(),
        &expect![[
            r#"{"architecture":"amd64","config":{"Cmd":["--port","80"],"Entrypoint":["/usr/bin/hello"],"Env":["A=a=b <&>","PATH=/usr/bin"],"ExposedPorts":{"53/udp":{},"8080/tcp":{}},"Labels":{"a":"2","m":"3","z":"1"},"StopSignal":"SIGTERM","User":"65532:65532","Volumes":{"/cache":{},"/data":{}},"WorkingDir":"/srv"},"created":"2023-11-14T22:13:20Z","history":[{"created":"2023-11-14T22:13:20Z","created_by":"assemble base (codec gzip-1)"},{"created":"2023-11-14T22:13:20Z","created_by":"assemble binary (codec gzip-1)"}],"os":"linux","rootfs":{"diff_ids":["sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2","sha256:9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd"],"type":"layers"}}"#
        ]],
    );
    check(
        image.manifest(),
        &expect![[
            r#"{"annotations":{"a":"b","org.opencontainers.image.created":"2023-11-14T22:13:20Z","org.opencontainers.image.title":"hello"},"config":{"digest":"sha256:53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466","mediaType":"application/vnd.oci.image.config.v1+json","size":708},"layers":[{"digest":"sha256:b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":6},{"digest":"sha256:d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":8}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#
        ]],
    );
    assert_eq!(image.manifest_digest(), Digest::of(image.manifest()));
    assert_eq!(image.config_digest(), Digest::of(image.config()));
}

#[test]
fn an_image_may_have_no_layers_and_no_options() {
    let image = empty_image();
    check(
        image.config(),
        &expect![[
            r#"{"architecture":"amd64","config":{},"created":"1970-01-01T00:00:00Z","history":[],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        ]],
    );
    check(
        image.manifest(),
        &expect![[
            r#"{"annotations":{"org.opencontainers.image.created":"1970-01-01T00:00:00Z"},"config":{"digest":"sha256:d5c7debd284f6285098ce51a5cd1448ce0a278f61aeb41f54f3b18460650cc4c","mediaType":"application/vnd.oci.image.config.v1+json","size":136},"layers":[],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#
        ]],
    );
}

#[test]
fn an_index_keeps_the_order_of_its_images() {
    let images = vec![full_image(Arch::Armv7), full_image(Arch::Aarch64), full_image(Arch::X86_64)];
    let index = ImageIndex::new(images, &text_map(&[("k", "v")]));
    check(
        index.bytes(),
        &expect![[
            r#"{"annotations":{"k":"v","org.opencontainers.image.created":"2023-11-14T22:13:20Z"},"manifests":[{"digest":"sha256:d5fd5043a15b895308dcc2d9d07fcc39662d30a4e1d43d542b863e57f7685aae","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"arm","os":"linux","variant":"v7"},"size":674},{"digest":"sha256:cf72b1832c3816379fdf5ae637c4a1b515ac4b4b506dce53bfee69fadaf32410","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"arm64","os":"linux"},"size":674},{"digest":"sha256:39703ae7e66bf6ae8e53110436d67e521bd9382612fcc40cd171c7db0f26a33a","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64","os":"linux"},"size":674}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#
        ]],
    );
    let read = parse_index(index.bytes()).unwrap();
    for image in index.images() {
        assert_eq!(select(&read, image.platform()).unwrap(), &image.descriptor());
    }
    let error = select(&read, Platform::from(Arch::S390x)).unwrap_err();
    expect!["the index has no image for linux/s390x, it has linux/arm/v7, linux/arm64, linux/amd64"]
        .assert_eq(&error.to_string());
}

/// The digests would differ from run to run if anything kept the order of a hash map.
#[test]
fn keys_are_sorted_however_many_there_are() {
    let value: serde_json::Value = serde_json::from_str(r#"{"b":1,"a":{"d":1,"c":2}}"#).unwrap();
    assert_eq!(
        value.to_string(),
        r#"{"a":{"c":2,"d":1},"b":1}"#,
        "serde_json must not have `preserve_order`"
    );
    let first = full_image(Arch::X86_64);
    for _ in 0..20 {
        assert_eq!(full_image(Arch::X86_64).manifest(), first.manifest());
        assert_eq!(full_image(Arch::X86_64).config(), first.config());
    }
}

#[test]
fn what_was_written_reads_back() {
    let image = full_image(Arch::Armhf);
    let manifest = parse_manifest(image.manifest()).unwrap();
    assert_eq!(manifest.raw, image.manifest());
    assert_eq!(manifest.config, image.config_descriptor());
    assert_eq!(manifest.annotations["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    let config = parse_config(image.config()).unwrap();
    assert_eq!(config.platform.known(), Some(image.platform()));
    assert_eq!(config.user.as_deref(), Some("65532:65532"));
    assert_eq!(config.env, ["A=a=b <&>", "PATH=/usr/bin"]);
    assert_eq!(config.exposed_ports, ["53/udp", "8080/tcp"]);
    assert_eq!(config.volumes, ["/cache", "/data"]);
    assert_eq!(config.labels, image.options().labels);
    assert_eq!(config.history, image.options().history);
    assert_eq!(config.diff_ids, image.layers().iter().map(|l| l.diff_id).collect::<Vec<_>>());
}
