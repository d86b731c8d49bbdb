use std::collections::BTreeMap;
use std::error::Error;

use assemble_image::{Built, Descriptor, Image, ImageIndex, ImageOptions, ImageSource, media_type, validate};
use assemble_types::{Arch, Blob, Digest};
use expect_test::{Expect, expect};

use crate::{full_image, layer, text_map};

#[derive(Debug, Default)]
struct Blobs(BTreeMap<Digest, Vec<u8>>);

impl ImageSource for Blobs {
    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Box<dyn Error + Send + Sync>> {
        Ok(self.0.get(&descriptor.digest).cloned().map(Blob::from_bytes).ok_or("is not there")?)
    }
}

impl Blobs {
    fn of(built: Built<'_>) -> Self {
        let mut out = Self::default();
        for (digest, bytes) in built.documents() {
            out.0.insert(digest, bytes.to_vec());
        }
        for text in ["base", "binary"] {
            let (descriptor, blob) = layer(text);
            out.0.insert(descriptor.digest, blob.read_to_vec(100).unwrap());
        }
        out
    }

    fn add(&mut self, media_type: &str, bytes: &str) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes.as_bytes());
        self.0.insert(descriptor.digest, bytes.as_bytes().to_vec());
        descriptor
    }
}

/// The "compressed" form of the layers here is their text in brackets.
fn diff_id(_: &Descriptor, blob: &Blob) -> Result<Digest, Box<dyn Error + Send + Sync>> {
    let bytes = blob.read_to_vec(100)?;
    Ok(Digest::of(bytes.strip_prefix(b"[").and_then(|b| b.strip_suffix(b"]")).ok_or("cannot be unpacked")?))
}

fn check(blobs: &Blobs, descriptor: &Descriptor, expected: &Expect) {
    let mut out = String::new();
    for problem in validate(blobs, descriptor, &diff_id).err().into_iter().flatten() {
        out += &format!("{problem}\n");
    }
    expected.assert_eq(&out);
}

#[test]
fn what_we_make_is_valid() {
    let image = full_image(Arch::X86_64);
    let blobs = Blobs::of(Built::Image(&image));
    check(&blobs, &image.descriptor(), &expect![[""]]);
    let index = ImageIndex::new(vec![full_image(Arch::X86_64), full_image(Arch::Armv7)], &text_map(&[]));
    check(&Blobs::of(Built::Index(&index)), &index.descriptor(), &expect![[""]]);
}

#[test]
fn every_fault_is_found() {
    let image = full_image(Arch::X86_64);
    let good = || Blobs::of(Built::Image(&image));
    let descriptor = image.descriptor();

    let mut gone = good();
    gone.0.remove(&layer("base").0.digest);
    check(
        &gone,
        &descriptor,
        &expect![[r#"
        sha256:b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4: is not there
    "#]],
    );

    let mut altered = good();
    altered.0.insert(layer("base").0.digest, b"[bose]".to_vec());
    altered.0.insert(layer("binary").0.digest, b"[binary".to_vec());
    check(
        &altered,
        &descriptor,
        &expect![[r#"
        sha256:b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4: expected sha256:b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4, the bytes have sha256:cbd2310e99affaf06df500251430423d0ffe4a35786002f190f82291090bfdc3
        sha256:d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4: has 7 bytes, its descriptor says 8
    "#]],
    );

    let mut config = good();
    let mut bytes = image.config().to_vec();
    bytes[20] ^= 1;
    config.0.insert(image.config_digest(), bytes);
    check(
        &config,
        &descriptor,
        &expect![[r#"
        sha256:53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466: its bytes have the digest sha256:013cf8ff8f98ab9199045fd5838aae20dfa715acf85797e079db5edf7570773c
    "#]],
    );

    let mut wrong = layer("base").0;
    wrong.diff_id = Digest::of(b"other");
    let lying = Image::new(vec![wrong, layer("binary").0], ImageOptions::clone(image.options()));
    check(
        &Blobs::of(Built::Image(&lying)),
        &lying.descriptor(),
        &expect![[r#"
        sha256:b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4: unpacks to sha256:cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2, the config says sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    "#]],
    );

    let mut listed = descriptor.clone();
    listed.platform = full_image(Arch::S390x).descriptor().platform;
    listed.media_type = media_type::DOCKER_MANIFEST.into();
    check(
        &good(),
        &listed,
        &expect![[r#"
        sha256:39703ae7e66bf6ae8e53110436d67e521bd9382612fcc40cd171c7db0f26a33a: calls itself application/vnd.oci.image.manifest.v1+json, its descriptor says application/vnd.docker.distribution.manifest.v2+json
        sha256:39703ae7e66bf6ae8e53110436d67e521bd9382612fcc40cd171c7db0f26a33a: is listed for linux/s390x, its config says linux/amd64
    "#]],
    );

    let mut blobs = good();
    let text = String::from_utf8(image.manifest().to_vec()).unwrap();
    let start = text.find("\"layers\":[").unwrap();
    let end = start + text[start..].find(']').unwrap();
    let fewer = blobs.add(media_type::MANIFEST, &format!("{}\"layers\":[{}", &text[..start], &text[end..]));
    check(
        &blobs,
        &fewer,
        &expect![[r#"
        sha256:f54e40d04aa823e68efad1412ab089c916e7ec89b66d23ccb3b42f1104a55436: has 0 layers, its config has 2 diff_ids
    "#]],
    );

    let odd = blobs.add("text/plain", "hello");
    check(
        &blobs,
        &odd,
        &expect![[r#"
        sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824: has media type `text/plain`, which is no image
    "#]],
    );
}

#[test]
fn nesting_is_bounded() {
    let image = full_image(Arch::X86_64);
    let mut blobs = Blobs::of(Built::Image(&image));
    let wrap = |inner: &Descriptor, times: usize| {
        let (d, s, m) = (inner.digest, inner.size, &inner.media_type);
        let entry = format!(r#"{{"mediaType":"{m}","digest":"{d}","size":{s}}}"#);
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![entry; times].join(","))
    };
    let mut top = image.descriptor();
    for _ in 0..4 {
        let text = wrap(&top, 1);
        top = blobs.add(media_type::INDEX, &text);
    }
    check(&blobs, &top, &expect![[""]]);
    let text = wrap(&top, 1);
    top = blobs.add(media_type::INDEX, &text);
    assert_eq!(validate(&blobs, &top, &diff_id).unwrap_err().len(), 1);
    // A few bytes that stand for a billion images.
    let mut bomb = Descriptor::of(media_type::MANIFEST, b"{}");
    for _ in 0..4 {
        let text = wrap(&bomb, 1000);
        bomb = blobs.add(media_type::INDEX, &text);
    }
    let found = validate(&blobs, &bomb, &diff_id).unwrap_err();
    assert!(found.iter().any(|i| i.problem.contains("more than 4096 images")));
}
