//! Who may sign an index.

use std::fs;

use assemble_apk::{IndexError, Keyring, PublicKey, Trust, read_index, read_index_into};
use assemble_testkit::{
    ApkBuilder, OTHER_KEY, OTHER_KEY_NAME, RepositoryBuilder, SigningKey, TEST_KEY, TEST_KEY_NAME, TarEntry,
    gzip_member, tar_bytes,
};
use assemble_types::{Explain, Kind, MemorySpool};
use expect_test::expect;

use crate::kit::{chain, keyring, kit, member_ends, test_keyring};

fn repository() -> RepositoryBuilder {
    RepositoryBuilder::new().package(ApkBuilder::new("hello", "1.0-r0").file("f", *b"x"))
}

fn show(packed: &[u8], keyring: &Keyring, trust: Trust) -> String {
    match read_index(packed, keyring, trust) {
        Ok(index) => format!(
            "{} packages, {:?}, signed by {:?}",
            index.records.len(),
            index.description,
            index.signed_by
        ),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Integrity);
            assert!(!error.hints().is_empty());
            format!("{} {}", error.code(), chain(&error))
        }
    }
}

fn other_keyring() -> Keyring {
    [PublicKey::parse(OTHER_KEY_NAME, OTHER_KEY.as_bytes()).unwrap()].into_iter().collect()
}

fn member(entries: &[TarEntry]) -> Vec<u8> {
    gzip_member(&tar_bytes(entries, false))
}

#[test]
fn signatures() {
    let signed = repository().index();
    let unsigned = repository().signed_by(None).index();
    let body = &signed[member_ends(&signed)[0]..];
    let sign = |key: SigningKey, algorithm: &str, message: &[u8]| {
        member(&[TarEntry::file(format!(".SIGN.{algorithm}.{}", key.name()), key.sign(message))])
    };
    let (other, none) = (other_keyring(), Keyring::new());
    let other_over_body = sign(SigningKey::Other, "RSA256", body);
    let other_over_all = sign(SigningKey::Other, "RSA256", &signed);
    let impostor: Keyring =
        [PublicKey::parse(TEST_KEY_NAME, OTHER_KEY.as_bytes()).unwrap()].into_iter().collect();
    let without_ending: Keyring =
        [PublicKey::parse("testkit", TEST_KEY.as_bytes()).unwrap()].into_iter().collect();
    let mut altered = signed.clone();
    *altered.last_mut().unwrap() ^= 1;
    let both = member(&[
        TarEntry::file(format!(".SIGN.RSA256.{OTHER_KEY_NAME}"), SigningKey::Other.sign(body)),
        TarEntry::file(format!(".SIGN.RSA256.{TEST_KEY_NAME}"), SigningKey::Test.sign(body)),
    ]);
    let appended = gzip_member(&tar_bytes(&[TarEntry::file("APKINDEX", "P:evil\nV:1\n\n")], true));
    let test = test_keyring();
    let both_rings: Keyring = test.iter().chain(other.iter()).cloned().collect();
    let named = |name: &str| member(&[TarEntry::file(name, *b"x")]);
    let cases: Vec<(&str, Vec<u8>, &Keyring)> = vec![
        ("signed", signed.clone(), &test),
        ("unsigned", unsigned.clone(), &test),
        ("unknown key", signed.clone(), &other),
        ("no keys", signed.clone(), &none),
        ("another key of that name", signed.clone(), &impostor),
        ("key file without ending", signed.clone(), &without_ending),
        ("altered", altered, &test),
        ("two signatures in one member", [&both[..], body].concat(), &test),
        ("two members over the body", [&other_over_body[..], &signed].concat(), &test),
        ("two members over all behind", [&other_over_all[..], &signed].concat(), &other),
        ("SHA-256 said to be SHA-1", [&sign(SigningKey::Test, "RSA", body)[..], body].concat(), &test),
        ("RSA512", [&sign(SigningKey::Test, "RSA512", body)[..], body].concat(), &test),
        ("no algorithm", [&named(".SIGN.publickeyname")[..], body].concat(), &test),
        ("unknown algorithm", [&named(".SIGN.MD5.a.rsa.pub")[..], body].concat(), &test),
        ("a path for a key", [&named(".SIGN.RSA256.../../etc/x.rsa.pub")[..], body].concat(), &test),
        ("control characters", [&named(".SIGN.RSA256.\x1b[31m.rsa.pub")[..], body].concat(), &test),
        ("signature behind", [body, &sign(SigningKey::Test, "RSA256", body)].concat(), &test),
        ("appended", [&signed[..], &appended].concat(), &test),
        ("empty", Vec::new(), &test),
        ("text", b"hello".to_vec(), &test),
        ("version 3", b"ADB.".to_vec(), &test),
        ("cut", signed[..signed.len() / 2].to_vec(), &test),
        ("both keys", signed.clone(), &both_rings),
    ];
    let mut text = String::new();
    for (what, packed, ring) in cases {
        text.push_str(&format!("{what}: {}\n", show(&packed, ring, Trust::Required)));
    }
    expect![[r#"
        signed: 1 packages, "a test repository", signed by Some("testkit.rsa.pub")
        unsigned: apk/index-unsigned the index is not signed
        unknown key: apk/index-unknown-key the index is signed by testkit.rsa.pub, and none of these keys is trusted; trusted are other.rsa.pub
        no keys: apk/index-unknown-key the index is signed by testkit.rsa.pub, but there are no keys to check it with
        another key of that name: apk/index-signature the signature of the index does not verify with key testkit.rsa.pub
        key file without ending: 1 packages, "a test repository", signed by Some("testkit")
        altered: apk/index-signature the signature of the index does not verify with key testkit.rsa.pub; it is damaged
        two signatures in one member: 1 packages, "a test repository", signed by Some("testkit.rsa.pub")
        two members over the body: 1 packages, "a test repository", signed by Some("testkit.rsa.pub")
        two members over all behind: 1 packages, "a test repository", signed by Some("other.rsa.pub")
        SHA-256 said to be SHA-1: apk/index-signature the signature of the index does not verify with key testkit.rsa.pub
        RSA512: apk/index-signature-form the index has no signature that can be checked, only .SIGN.RSA512.testkit.rsa.pub; RSA and RSA256 are supported
        no algorithm: apk/index-signature-form `.SIGN.publickeyname` is no signature: expected .SIGN.RSA256.NAME.rsa.pub
        unknown algorithm: apk/index-signature-form `.SIGN.MD5.a.rsa.pub` is no signature: expected .SIGN.RSA256.NAME.rsa.pub
        a path for a key: apk/index-unknown-key the index is signed by ../../etc/x.rsa.pub, and none of these keys is trusted; trusted are testkit.rsa.pub
        control characters: apk/index-unknown-key the index is signed by \u{1b}[31m.rsa.pub, and none of these keys is trusted; trusted are testkit.rsa.pub
        signature behind: apk/index-unsigned the index is not signed
        appended: apk/index-signature the signature of the index does not verify with key testkit.rsa.pub; a further gzip member follows it, which nothing vouches for
        empty: apk/not-an-index the file is no index: it begins with neither a gzip header nor `ADB`
        text: apk/not-an-index the file is no index: it begins with neither a gzip header nor `ADB`
        version 3: apk/index-damaged the index of format version 3 cannot be used: it is damaged or cut short: failed to fill whole buffer
        cut: apk/index-damaged the index is damaged or cut short: incomplete deflate stream
        both keys: 1 packages, "a test repository", signed by Some("testkit.rsa.pub")
    "#]]
    .assert_eq(&text);
}

#[test]
fn untrusted_indexes_are_read_if_that_is_asked_for() {
    let signed = repository().index();
    let body = &signed[member_ends(&signed)[0]..];
    let named = [&member(&[TarEntry::file(".SIGN.publickeyname", *b"x")])[..], body].concat();
    let mut text = String::new();
    for (what, packed, ring) in [
        ("signed", signed.clone(), test_keyring()),
        ("unknown key", signed.clone(), other_keyring()),
        ("unsigned", body.to_vec(), test_keyring()),
        ("odd name", named, test_keyring()),
        ("cut", body[..body.len() - 9].to_vec(), test_keyring()),
        ("trailing", [body, b"x"].concat(), test_keyring()),
        ("empty member", gzip_member(&[]), test_keyring()),
        (
            "two lists",
            gzip_member(&tar_bytes(&[TarEntry::file("APKINDEX", ""), TarEntry::file("APKINDEX", "")], true)),
            test_keyring(),
        ),
        ("foreign entry", gzip_member(&tar_bytes(&[TarEntry::file("etc/passwd", "")], true)), test_keyring()),
        ("no list", gzip_member(&tar_bytes(&[TarEntry::file("DESCRIPTION", "d\n")], true)), test_keyring()),
        (
            "in two members",
            [
                gzip_member(&tar_bytes(&[TarEntry::file("DESCRIPTION", "d\n")], false)),
                gzip_member(&tar_bytes(&[TarEntry::file("APKINDEX", "")], true)),
            ]
            .concat(),
            test_keyring(),
        ),
    ] {
        text.push_str(&format!("{what}: {}\n", show(&packed, &ring, Trust::AllowUntrusted)));
    }
    expect![[r#"
        signed: 1 packages, "a test repository", signed by Some("testkit.rsa.pub")
        unknown key: 1 packages, "a test repository", signed by None
        unsigned: 1 packages, "a test repository", signed by None
        odd name: 1 packages, "a test repository", signed by None
        cut: apk/index-damaged the index is damaged or cut short: incomplete deflate stream
        trailing: apk/index-damaged the index goes on behind its end, at byte 217
        empty member: apk/not-an-index the index archive holds no APKINDEX
        two lists: apk/not-an-index the index archive holds `APKINDEX`; only one APKINDEX and one DESCRIPTION belong there
        foreign entry: apk/not-an-index the index archive holds `etc/passwd`; only one APKINDEX and one DESCRIPTION belong there
        no list: apk/not-an-index the index archive holds no APKINDEX
        in two members: 0 packages, "d", signed by None
    "#]]
    .assert_eq(&text);
}

#[test]
fn an_index_cannot_fill_the_memory() {
    let bomb = member(&[TarEntry::file("APKINDEX", vec![b'\n'; 2 << 20])]);
    let error = read_index_into(&bomb, &Keyring::new(), Trust::AllowUntrusted, Some(1 << 20), &MemorySpool)
        .unwrap_err();
    assert!(matches!(error, IndexError::TooLarge { limit: 1_048_576 }), "{error}");
    let zeros = gzip_member(&vec![0; (300 << 20) + 1]);
    let error = read_index(&zeros, &Keyring::new(), Trust::AllowUntrusted).unwrap_err();
    assert!(matches!(error, IndexError::TooLarge { .. } | IndexError::NoList), "{error}");
    let large =
        [member(&[TarEntry::file(".SIGN.RSA.a.rsa.pub", vec![0; 2 << 20])]), gzip_member(&[])].concat();
    assert!(matches!(
        read_index(&large, &test_keyring(), Trust::Required),
        Err(IndexError::SignatureSize { .. })
    ));
    let many = member(&[TarEntry::file(".SIGN.RSA.a.rsa.pub", *b"x")]).repeat(100);
    assert!(matches!(
        read_index(&many, &test_keyring(), Trust::Required),
        Err(IndexError::SignatureSize { .. })
    ));
}

/// Real indexes, and real ones with something wrong.
#[test]
fn real_indexes() {
    let Some(real) = kit("real") else { return };
    let alpine = keyring(&real.join("keys/alpine"));
    let wolfi = keyring(&real.join("keys/wolfi"));
    let apko = keyring(&real.join("apko/packages"));
    let fabricio = keyring(&real.join("third-party/keys"));
    let mut text = String::new();
    for (file, ring) in [
        ("alpine-3.19/main/x86_64", &alpine),
        ("alpine-3.19/community/x86_64", &alpine),
        ("alpine-3.19-iso/x86_64", &alpine),
        ("alpine-3.16/main/x86_64", &alpine),
        ("alpine-3.16/main/x86_64", &wolfi),
        ("alpine-misc", &alpine),
        ("wolfi/dag-index/x86_64", &wolfi),
        ("wolfi/dag-index/x86_64", &apko),
        ("wolfi/local-aarch64-index/aarch64", &apko),
        ("wolfi/rsa256-aarch64-index/aarch64", &wolfi),
        ("apko/packages/x86_64", &apko),
        ("apko/packages/aarch64", &apko),
        ("apko/alpine-unit", &alpine),
        ("apko/rsa256-signed", &keyring(&real.join("apko/rsa256-signed"))),
        ("apko/signing", &keyring(&real.join("apko/signing/keys"))),
        ("third-party/fabricio/x86_64", &fabricio),
    ] {
        let packed = fs::read(real.join(file).join("APKINDEX.tar.gz")).unwrap();
        let shown = show(&packed, ring, Trust::Required);
        text.push_str(&format!("{file}: {}\n", shown.replace("alpine-devel@lists.alpinelinux.org", "@")));
    }
    expect![[r#"
        alpine-3.19/main/x86_64: 5443 packages, "v3.19.1-643-gec825d20535", signed by Some("@-6165ee59.rsa.pub")
        alpine-3.19/community/x86_64: 17587 packages, "v3.19.1-642-g9e5b575ce97", signed by Some("@-6165ee59.rsa.pub")
        alpine-3.19-iso/x86_64: 100 packages, "3.19.1", signed by Some("@-6165ee59.rsa.pub")
        alpine-3.16/main/x86_64: 4929 packages, "v3.16.3-13-g4d933a1fa3", signed by Some("@-6165ee59.rsa.pub")
        alpine-3.16/main/x86_64: apk/index-unknown-key the index is signed by @-6165ee59.rsa.pub, and none of these keys is trusted; trusted are wolfi-signing.rsa.pub
        alpine-misc: apk/index-signature-form `.SIGN.publickeyname` is no signature: expected .SIGN.RSA256.NAME.rsa.pub
        wolfi/dag-index/x86_64: 47 packages, "", signed by Some("wolfi-signing.rsa.pub")
        wolfi/dag-index/x86_64: apk/index-unknown-key the index is signed by wolfi-signing.rsa.pub, and none of these keys is trusted; trusted are melange.rsa.pub
        wolfi/local-aarch64-index/aarch64: apk/index-signature the signature of the index does not verify with key melange.rsa.pub
        wolfi/rsa256-aarch64-index/aarch64: apk/index-unknown-key the index is signed by wolfi-melange.rsa.pub, and none of these keys is trusted; trusted are wolfi-signing.rsa.pub
        apko/packages/x86_64: 4 packages, "", signed by Some("melange.rsa.pub")
        apko/packages/aarch64: 4 packages, "", signed by Some("melange.rsa.pub")
        apko/alpine-unit: apk/index-unsigned the index is not signed
        apko/rsa256-signed: 1 packages, "", signed by Some("test-rsa256.rsa.pub")
        apko/signing: 16 packages, "", signed by Some("chainguard-0106f58bac88057c2ff5c2829850df492717a876ed700443550353c7ab23f5a0.rsa.pub")
        third-party/fabricio/x86_64: 6 packages, "", signed by Some("hi@fabricio.dev-63f73b9a.rsa.pub")
    "#]]
    .assert_eq(&text);
}

/// An index whose text has hundreds of megabytes is read as it is unpacked; how much it may unpack to is the caller's word.
#[test]
fn a_long_index_is_read_piece_by_piece() {
    use std::io::Write as _;
    let record = format!("P:good\nV:1-r0\nC:{}\nS:1\n", "Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=");
    // Fields that nobody keeps.
    let padding = format!("x:{}\n", "y".repeat(1 << 16));
    let lines = (150 << 20) / padding.len();
    let size = record.len() + padding.len() * lines + 1;
    let mut header = tar_bytes(&[TarEntry::file("APKINDEX", vec![b'x'; 1])], false)[..512].to_vec();
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&header).unwrap();
    packer.write_all(record.as_bytes()).unwrap();
    for _ in 0..lines {
        packer.write_all(padding.as_bytes()).unwrap();
    }
    packer.write_all(b"\n").unwrap();
    packer.write_all(&vec![0; (512 - size % 512) % 512 + 1024]).unwrap();
    let body = packer.finish().unwrap();
    let index = read_index(&body, &Keyring::new(), Trust::AllowUntrusted).unwrap();
    assert_eq!(index.records.len(), 1);
    let within =
        |limit| read_index_into(&body, &Keyring::new(), Trust::AllowUntrusted, Some(limit), &MemorySpool);
    assert_eq!(within(200 << 20).unwrap().records.len(), 1);
    let error = within(100 << 20).unwrap_err();
    assert_eq!(error.to_string(), "the index unpacks to more than 104857600 bytes");
    assert_eq!(error.code(), "apk/index-too-large");
}
