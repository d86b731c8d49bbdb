//! Documents, layouts and archives as others see them.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a failing test")]
#![allow(clippy::format_push_string, reason = "tests read better without")]
#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod apko;
mod archive;
mod documents;
mod layout;
mod reading;
mod validate;

use std::collections::BTreeMap;

use assemble_image::{History, Image, ImageOptions, LayerDescriptor, media_type};
use assemble_types::{Arch, Blob, Digest, Platform, Timestamp};

/// A layer whose "tar" is the text and whose compressed form is the text in brackets.
fn layer(text: &str) -> (LayerDescriptor, Blob) {
    let packed = format!("[{text}]");
    let descriptor = LayerDescriptor {
        digest: Digest::of(packed.as_bytes()),
        diff_id: Digest::of(text.as_bytes()),
        size: packed.len() as u64,
        uncompressed_size: text.len() as u64,
        media_type: media_type::LAYER_GZIP.into(),
    };
    (descriptor, Blob::from_bytes(packed))
}

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn texts<C: FromIterator<String>>(texts: &[&str]) -> C {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

/// An image that uses every option.
fn full_image(arch: Arch) -> Image {
    let created = Timestamp::from_seconds(1_700_000_000).unwrap();
    let history = |by: &str| History { created_by: by.into(), comment: None };
    let options = ImageOptions {
        user: Some("65532:65532".into()),
        exposed_ports: texts(&["8080/tcp", "53/udp"]),
        env: text_map(&[("PATH", "/usr/bin"), ("A", "a=b <&>")]),
        entrypoint: texts(&["/usr/bin/hello"]),
        cmd: texts(&["--port", "80"]),
        volumes: texts(&["/data", "/cache"]),
        labels: text_map(&[("z", "1"), ("a", "2"), ("m", "3")]),
        annotations: text_map(&[("org.opencontainers.image.title", "hello"), ("a", "b")]),
        working_dir: Some("/srv".into()),
        stop_signal: Some("SIGTERM".into()),
        history: vec![history("assemble base (codec gzip-1)"), history("assemble binary (codec gzip-1)")],
        ..ImageOptions::new(Platform::from(arch), created)
    };
    Image::new(vec![layer("base").0, layer("binary").0], options)
}

fn empty_image() -> Image {
    Image::new(Vec::new(), ImageOptions::new(Platform::from(Arch::X86_64), Timestamp::EPOCH))
}
