use assemble_image::{ImageError, RefName, Reference, layout_index};
use assemble_types::Arch;
use expect_test::expect;

use crate::{empty_image, full_image};

fn name(text: &str) -> RefName {
    RefName::from(&Reference::parse(text).unwrap())
}

/// What the entries of an index.json are called and lead to.
fn summary(bytes: &[u8]) -> String {
    let index = assemble_image::parse_index(bytes).unwrap();
    let mut out = String::new();
    for entry in index.manifests {
        let note = |key: &str| entry.annotations.get(key).map_or("-", String::as_str);
        let (short, full) = (note(assemble_image::REF_NAME), note(assemble_image::IMAGE_NAME));
        out += &format!("{} {short} {full}\n", entry.digest.short());
    }
    out
}

#[test]
fn a_new_index_has_these_bytes() {
    let bytes = layout_index(None, &empty_image().descriptor(), &[name("hello")]).unwrap();
    expect![[r#"{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/hello:latest","org.opencontainers.image.ref.name":"latest"},"digest":"sha256:b9c6bda3359b0994193cb7bc8287d3c095ba6283a77183e0436a4ad7324e4637","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64","os":"linux"},"size":322}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#]].assert_eq(std::str::from_utf8(&bytes).unwrap());
}

#[test]
fn other_names_stay_and_the_same_name_is_replaced() {
    let (old, new) = (empty_image().descriptor(), full_image(Arch::X86_64).descriptor());
    let one = layout_index(None, &old, &[name("app:v1"), name("app:v2")]).unwrap();
    let two = layout_index(Some(&one), &new, &[name("app:v1"), name("other:v2"), name("app:v3")]).unwrap();
    expect![[r#"
        39703ae7e66b v1 docker.io/library/app:v1
        b9c6bda3359b v2 docker.io/library/app:v2
        39703ae7e66b docker.io/library/other:v2 docker.io/library/other:v2
        39703ae7e66b v3 docker.io/library/app:v3
    "#]]
    .assert_eq(&summary(&two));
    assert_eq!(layout_index(Some(&two), &new, &[name("app:v1")]).unwrap(), two, "again changes nothing");
    let other = layout_index(Some(&two), &old, &[name("other:v2")]).unwrap();
    expect![[r#"
        39703ae7e66b v1 docker.io/library/app:v1
        b9c6bda3359b v2 docker.io/library/app:v2
        b9c6bda3359b docker.io/library/other:v2 docker.io/library/other:v2
        39703ae7e66b v3 docker.io/library/app:v3
    "#]]
    .assert_eq(&summary(&other));
}

#[test]
fn an_image_without_a_name_is_listed_once() {
    let descriptor = empty_image().descriptor();
    let one = layout_index(None, &descriptor, &[]).unwrap();
    assert_eq!(layout_index(Some(&one), &descriptor, &[]).unwrap(), one);
    let named = layout_index(Some(&one), &descriptor, &[name("a")]).unwrap();
    assert_eq!(named, layout_index(None, &descriptor, &[name("a")]).unwrap());
}

#[test]
fn fields_that_others_wrote_stay() {
    let theirs = br#"{"schemaVersion":2,"x":[1],"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"org.opencontainers.image.ref.name":"v1"},"y":{"z":null}}]}"#;
    let kept = layout_index(Some(theirs), &empty_image().descriptor(), &[name("a:v2")]).unwrap();
    let text = String::from_utf8(kept).unwrap();
    assert!(text.contains(r#""x":[1]"#) && text.contains(r#""y":{"z":null}"#), "{text}");
    let replaced = layout_index(Some(theirs), &empty_image().descriptor(), &[name("a:v1")]).unwrap();
    assert!(
        !String::from_utf8(replaced).unwrap().contains(r#""y""#),
        "an entry that has only a tag is the same tag"
    );
}

#[test]
fn what_is_no_index_is_refused() {
    let merge = |bytes: &[u8]| layout_index(Some(bytes), &empty_image().descriptor(), &[]);
    assert!(matches!(merge(b""), Err(ImageError::Json { .. })));
    assert!(matches!(merge(b"{}"), Err(ImageError::Json { .. })));
    assert!(matches!(merge(br#"{"schemaVersion":1,"manifests":[]}"#), Err(ImageError::SchemaVersion { .. })));
    assert!(matches!(merge(&vec![b' '; 5 << 20]), Err(ImageError::TooLarge { .. })));
}
