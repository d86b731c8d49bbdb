use std::fmt::Write as _;

use assemble_image::{ImageError, PlatformName, parse_config, parse_index, parse_manifest, select};
use assemble_types::{Explain, Platform};
use expect_test::expect;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":0}}"#)
}

fn manifest(extra: &str, layers: usize) -> String {
    let config = descriptor("application/vnd.docker.container.image.v1+json");
    let layer = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip");
    let layers = vec![layer; layers].join(",");
    format!(r#"{{"schemaVersion":2,{extra}"config":{config},"layers":[{layers}]}}"#)
}

fn say<T: std::fmt::Debug>(result: Result<T, ImageError>) -> String {
    let error = result.unwrap_err();
    let mut out = format!("{}: {error}", error.code());
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        write!(out, ": {next}").unwrap();
        cause = next.source();
    }
    out
}

#[test]
fn docker_names_are_taken_and_unknown_fields_too() {
    let text = manifest(r#""mediaType":"application/vnd.docker.distribution.manifest.v2+json","x":1,"#, 2);
    let read = parse_manifest(text.as_bytes()).unwrap();
    assert_eq!(read.layers.len(), 2);
    assert!(read.is_image());
    assert_eq!(read.raw, text.as_bytes());
    let docker = r#"{"architecture":"amd64","os":"linux","config":{"Hostname":"h","Cmd":null,"Env":["A=b"],"Volumes":null,
        "ExposedPorts":{"80/tcp":{}},"User":"","OnBuild":[]},"rootfs":{"type":"layers","diff_ids":[]},
        "history":[{"created":"x","empty_layer":true},{"created_by":"b"}]}"#;
    let config = parse_config(docker.as_bytes()).unwrap();
    assert_eq!((config.user, config.exposed_ports.as_slice()), (None, &["80/tcp".to_owned()][..]));
    assert_eq!(config.history.len(), 1);
}

#[test]
fn bad_documents_are_refused() {
    let sha512 = manifest("", 1).replace(DIGEST, &format!("sha512:{}", "0".repeat(128)));
    let mut out = String::new();
    for result in [
        say(parse_manifest(b"")),
        say(parse_manifest(b"\xff")),
        say(parse_manifest(b"[]")),
        say(parse_manifest("[".repeat(100_000).as_bytes())),
        say(parse_manifest(&vec![b' '; (4 << 20) + 1])),
        say(parse_manifest(manifest("", 129).as_bytes())),
        say(parse_manifest(manifest(r#""mediaType":"text/\u001bplain","#, 1).as_bytes())),
        say(parse_manifest(manifest("", 1).replace(":2,", ":1,").as_bytes())),
        say(parse_manifest(manifest("", 1).replace("\"size\":0", "\"size\":-1").as_bytes())),
        say(parse_manifest(manifest("", 1).replace(DIGEST, "sha256:12").as_bytes())),
        say(parse_manifest(sha512.as_bytes())),
        say(parse_index(br#"{"schemaVersion":2}"#)),
        say(parse_config(b"{}")),
        say(parse_config(
            br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["x"]}}"#,
        )),
    ] {
        out += &result;
        out.push('\n');
    }
    expect![[r#"
        image/json: the manifest cannot be read: EOF while parsing a value at line 1 column 0
        image/json: the manifest cannot be read: expected value at line 1 column 1
        image/json: the manifest cannot be read: invalid length 0, expected struct ImageManifest with 7 elements at line 1 column 2
        image/json: the manifest cannot be read: invalid type: sequence, expected u32 at line 1 column 1
        image/too-large: the manifest has 4194305 bytes, the limit is 4194304
        image/too-large: the manifest has 129 layers, the limit is 128
        image/media-type: the manifest has media type `text/\u{1b}plain`, expected application/vnd.oci.image.manifest.v1+json
        image/schema-version: the manifest has schema version 1, expected 2
        image/json: the manifest cannot be read: invalid value: integer `-1`, expected u64 at line 1 column 182
        image/json: the manifest cannot be read: Invalid digest length 2 expected 64 at line 1 column 110
        image/digest: the manifest names the digest `sha512:00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000`, only sha256 is read
        image/json: the index cannot be read: missing field `manifests` at line 1 column 19
        image/json: the config cannot be read: missing field `architecture` at line 1 column 2
        image/digest: the config names the digest `x`, only sha256 is read
    "#]].assert_eq(&out);
}

#[test]
fn platforms_are_compared_as_runtimes_do() {
    let known = |os: &str, architecture: &str, variant: &str| {
        let variant = (!variant.is_empty()).then(|| variant.to_owned());
        let name = PlatformName { os: os.into(), architecture: architecture.into(), variant };
        name.known().map_or_else(|| "-".to_owned(), |p| p.to_string())
    };
    assert_eq!(known("linux", "arm64", "v8"), "linux/arm64");
    assert_eq!(known("Linux", "ARM64", "8"), "linux/arm64");
    assert_eq!(known("linux", "amd64", "v1"), "linux/amd64");
    assert_eq!(known("linux", "amd64", "v3"), "-");
    assert_eq!(known("linux", "arm", ""), "linux/arm/v7");
    assert_eq!(known("linux", "arm", "6"), "linux/arm/v6");
    assert_eq!(known("linux", "arm", "v5"), "-");
    assert_eq!(known("windows", "amd64", ""), "-");
    assert_eq!(known("unknown", "unknown", ""), "-");
}

#[test]
fn the_first_entry_that_fits_is_taken() {
    let entry = |platform: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":1{platform}}}"#
        )
    };
    let index = |entries: &[String]| {
        parse_index(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")).as_bytes())
            .unwrap()
    };
    let for_os =
        |os: &str, arch: &str| entry(&format!(r#","platform":{{"os":"{os}","architecture":"{arch}"}}"#));
    let amd64: Platform = "amd64".parse().unwrap();
    let two = index(&[for_os("unknown", "unknown"), for_os("windows", "amd64"), for_os("linux", "amd64")]);
    assert_eq!(select(&two, amd64).unwrap().platform.as_ref().unwrap().to_string(), "linux/amd64");
    assert_eq!(
        say(select(&two, "s390x".parse().unwrap())),
        "image/no-platform: the index has no image for linux/s390x, it has windows/amd64, linux/amd64"
    );
    assert!(select(&index(&[entry("")]), amd64).is_ok(), "the only entry may leave its platform out");
    assert!(select(&index(&[entry(""), entry("")]), amd64).is_err());
    assert!(select(&index(&[]), amd64).is_err());
}
