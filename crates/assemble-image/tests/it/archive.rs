use assemble_image::{
    ArchiveFormat, Built, ImageError, ImageIndex, LayerDescriptor, Member, MemberContent, Reference,
    archive_members, write_archive,
};
use assemble_types::{Arch, Blob, Digest};
use expect_test::expect;

use crate::{full_image, layer, text_map};

fn blob_of(wanted: &LayerDescriptor) -> Option<Blob> {
    ["base", "binary"].into_iter().map(layer).find(|(l, _)| l == wanted).map(|(_, blob)| blob)
}

fn members(format: ArchiveFormat, built: Built<'_>) -> Vec<Member> {
    let names = [Reference::parse("hello:v1").unwrap(), Reference::parse("ghcr.io/a/b:v2").unwrap()];
    archive_members(format, built, &names, &blob_of).unwrap()
}

fn listing(members: &[Member]) -> String {
    let mut out = String::new();
    for member in members {
        let bytes = match &member.content {
            MemberContent::Bytes(bytes) => bytes.clone(),
            MemberContent::Blob(blob) => blob.read_to_vec(1000).unwrap(),
        };
        if let Some(hex) = member.name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&bytes).hex(), hex, "a blob is named by its digest");
        }
        out += &format!("{} {}\n", member.name, bytes.len());
        if member.name.ends_with("manifest.json") {
            out += &format!("  {}\n", String::from_utf8(bytes).unwrap());
        }
    }
    out
}

#[test]
fn each_format_has_these_members() {
    let image = full_image(Arch::X86_64);
    expect![[r#"
        blobs/sha256/39703ae7e66bf6ae8e53110436d67e521bd9382612fcc40cd171c7db0f26a33a 674
        blobs/sha256/53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466 708
        blobs/sha256/b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4 6
        blobs/sha256/d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4 8
        index.json 705
        manifest.json 322
          [{"Config":"blobs/sha256/53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466","Layers":["blobs/sha256/b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4","blobs/sha256/d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4"],"RepoTags":["docker.io/library/hello:v1","ghcr.io/a/b:v2"]}]
        oci-layout 30
    "#]].assert_eq(&listing(&members(ArchiveFormat::Hybrid, Built::Image(&image))));
    expect![[r#"
        blobs/sha256/39703ae7e66bf6ae8e53110436d67e521bd9382612fcc40cd171c7db0f26a33a 674
        blobs/sha256/53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466 708
        blobs/sha256/b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4 6
        blobs/sha256/d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4 8
        index.json 705
        oci-layout 30
    "#]]
    .assert_eq(&listing(&members(ArchiveFormat::Oci, Built::Image(&image))));
    expect![[r#"
        53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466.json 708
        b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4.tar.gz 6
        d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4.tar.gz 8
        manifest.json 302
          [{"Config":"53accd82b63928e1ecab57941766cea0af23dcdda0d3a12824dd742696b39466.json","Layers":["b0aadfbef5bc0fbdbf919e9fe732f0684207d0f0beb09e7d2c58c2d172f07ea4.tar.gz","d6e608e44bb49d90bae96adc6718b2218aebfa318d30957d3378ed48d1046be4.tar.gz"],"RepoTags":["docker.io/library/hello:v1","ghcr.io/a/b:v2"]}]
    "#]].assert_eq(&listing(&members(ArchiveFormat::Docker, Built::Image(&image))));
}

#[test]
fn several_platforms_share_their_layers_and_docker_sees_the_first() {
    let images = vec![full_image(Arch::Aarch64), full_image(Arch::X86_64)];
    let index = ImageIndex::new(images, &text_map(&[]));
    let hybrid = members(ArchiveFormat::Hybrid, Built::Index(&index));
    // Two layers, two configs, two manifests, the index; index.json, manifest.json, oci-layout.
    assert_eq!(hybrid.len(), 10);
    let text = listing(&hybrid);
    assert!(
        text.contains(&format!(r#""Config":"blobs/sha256/{}""#, index.images()[0].config_digest().hex())),
        "{text}"
    );
    let docker = archive_members(ArchiveFormat::Docker, Built::Index(&index), &[], &blob_of);
    assert!(matches!(docker, Err(ImageError::OnePlatform { count: 2 })));
    let empty = ImageIndex::new(Vec::new(), &text_map(&[]));
    let none = archive_members(ArchiveFormat::Oci, Built::Index(&empty), &[], &blob_of);
    assert!(matches!(none, Err(ImageError::NoImages)));
    let gone = archive_members(ArchiveFormat::Oci, Built::Index(&index), &[], &|_| None);
    assert!(matches!(gone, Err(ImageError::MissingBlob(_))));
}

#[test]
fn the_tar_has_these_bytes() {
    let member = |name: &str, content| Member { name: name.into(), content };
    let mut out = Vec::new();
    let members = [
        member("a", MemberContent::Bytes(b"12345".to_vec())),
        member("b", MemberContent::Blob(Blob::from_bytes(vec![b'x'; 1024]))),
        member("c", MemberContent::Bytes(Vec::new())),
    ];
    write_archive(&members, &mut out).unwrap();
    assert_eq!(out.len(), 512 * 8);
    expect![[r#"a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x000000644\x000000000\x000000000\x0000000000005\x0000000000000\x00007343\x00 0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ustar\x0000"#]].assert_eq(&out[..265].escape_ascii().to_string());
    expect!["sha256:8a2c145e87b43d1de973d84f324bc295914f66e67f1c70a70d5fa78d9a2ac1c2"]
        .assert_eq(&Digest::of(&out).to_string());
    let long = member(&"n".repeat(101), MemberContent::Bytes(Vec::new()));
    assert!(write_archive(&[long], &mut Vec::new()).is_err());
}
