//! Images of packages of format version 3: real ones of OpenWrt, Debian's software in the new format, both mixed with
//! packages of version 2, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use assemble_testkit::{
    AdbCompression, AdbPackageBuilder, ApkBuilder, HttpServer, RepositoryBuilder, SigningKey, TEST_KEY,
    TEST_KEY_NAME, adb_index,
};

use crate::cache::entries;
use crate::sandbox::{Sandbox, workspace};

/// A folder of the test kit, or nothing, said aloud.
fn kit(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ASSEMBLE_TESTKIT")
        .map_or_else(|| workspace().join("../shared/testkit"), PathBuf::from);
    let full = root.join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("SKIPPED: {} is not there; set ASSEMBLE_TESTKIT to the folder of the test kit", full.display());
    None
}

/// The files of a folder, without those below.
fn copy(from: &Path, s: &Sandbox, to: &str) {
    fs::create_dir_all(s.path(to)).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.path().is_file() {
            s.write(&format!("{to}/{}", file.file_name().to_str().unwrap()), fs::read(file.path()).unwrap());
        }
    }
}

/// Packages of version 2 that others depend on.
fn old_packages(s: &Sandbox, packages: &[ApkBuilder]) {
    let mut repository = RepositoryBuilder::new();
    for package in packages {
        repository = repository.package(package.clone());
    }
    repository.write(&s.root().join("old"), "x86_64");
    s.write(TEST_KEY_NAME, TEST_KEY);
}

fn spec(s: &Sandbox, repositories: &[&str], keys: &[&str], packages: &[&str]) {
    let list = |items: &[&str]| items.iter().map(|i| format!("'{i}'")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "contents:\n  repositories: [{}]\n  keyring: [{}]\n  packages: [{}]\narchs: [x86_64]\n",
        list(repositories),
        list(keys),
        list(packages)
    );
    s.write("spec.yaml", text);
}

const BUILD: [&str; 6] = ["build", "spec.yaml", "-o", "image.oci", "--start-check", "off"];

/// Every file of the image: path, type, mode.
fn files(s: &Sandbox) -> Vec<String> {
    let document = s.json(["inspect", "image.oci", "--files", "--json"]);
    let list = document["images"][0]["files"].as_array().unwrap().clone();
    let text = |file: &serde_json::Value, key: &str| file[key].as_str().unwrap_or_default().to_owned();
    list.iter().map(|f| format!("{} {} {}", text(f, "path"), text(f, "type"), text(f, "mode"))).collect()
}

/// What a dump of the real tool lists: path and mode of every file and folder.
fn listed(dump: &str) -> Vec<(String, bool, u32)> {
    let (mut out, mut folder, mut name, mut is_file) = (Vec::new(), String::new(), String::new(), false);
    let paths = dump.split("\npaths:").nth(1).unwrap();
    for line in paths.lines().skip(1).take_while(|line| line.starts_with(' ')) {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim();
        if text.starts_with("- ") && depth == 2 {
            (is_file, folder, name) = (false, String::new(), String::new());
        }
        if let Some(found) = text.trim_start_matches("- ").strip_prefix("name: ") {
            found.clone_into(&mut name);
            is_file = depth > 2;
            if !is_file {
                found.clone_into(&mut folder);
            }
        }
        if let Some(mode) = text.strip_prefix("mode: ") {
            let mode = u32::from_str_radix(mode, 8).unwrap();
            let path = if is_file && !folder.is_empty() { format!("{folder}/{name}") } else { name.clone() };
            if !path.is_empty() {
                out.push((path, is_file, mode));
            }
        }
    }
    out
}

/// Whether the image has all that a dump lists, with the modes that it gives files; folders may be another package's.
#[track_caller]
fn has_all(files: &[String], dump: &str) {
    let listed = listed(dump);
    assert!(listed.len() > 4, "{dump}");
    for (path, is_file, mode) in listed {
        let found = files.iter().find(|f| f.split(' ').next() == Some(&format!("/{path}")));
        let found = found.unwrap_or_else(|| panic!("{path} is missing"));
        if is_file && !found.contains(" symlink ") {
            assert!(found.ends_with(&format!(" {mode:04o}")), "{path}: {found}, not {mode:o}");
        }
    }
}

/// A real index, named by its own address, with its packages beside it; what they need comes from a repository of
/// version 2.
#[test]
fn packages_of_openwrt_and_of_version_2_in_one_image() {
    let Some(real) = kit("real-v3/openwrt") else { return };
    let s = Sandbox::new();
    copy(&real, &s, "feed");
    let key = "apk.openwrt.melmac.ca.pem";
    s.write(key, fs::read(real.join("keys").join(key)).unwrap());
    old_packages(&s, &[ApkBuilder::new("libc", "1.2.5-r4").dir("lib").file("lib/libc.so", *b"libc")]);
    let wanted = ["sunwait", "static-device-names", "wireless-regdb", "luci-theme-glass"];
    spec(&s, &["old", "feed/packages.adb"], &[key, TEST_KEY_NAME], &wanted);
    let digest = s.ok(BUILD);
    let files = files(&s);
    for package in ["sunwait-0.9.1-r2", "static-device-names-1.0.1-r1"] {
        has_all(&files, &fs::read_to_string(real.join(format!("expected/{package}.apk.dump.txt"))).unwrap());
    }
    let database = s.ok(["inspect", "image.oci", "--cat", "/usr/lib/apk/db/installed"]);
    for record in [
        "P:libc\n",
        "P:sunwait\nV:0.9.1-r2\nA:x86_64\nL:GPL-3.0\n",
        "P:wireless-regdb\n",
        "P:luci-theme-glass\n",
    ] {
        assert!(database.contains(record), "{record}\n{database}");
    }
    // The first 20 bytes of the hash in the index, which is how the package manager knows what is installed.
    assert_eq!(database.matches("\nC:Q1").count(), 5);
    assert!(s.ok(["inspect", "image.oci", "--cat", &format!("/etc/apk/keys/{key}")]).contains("PUBLIC KEY"));
    fs::remove_dir_all(s.path("image.oci")).unwrap();
    assert_eq!(s.ok(BUILD), digest, "a second build is the same");
}

/// Real contents in all three compressions; the folder of an architecture has an index of the new format only.
#[test]
fn real_contents_in_every_compression() {
    let Some(made) = kit("real-v3/generated") else { return };
    let s = Sandbox::new();
    copy(&made.join("x86_64"), &s, "new/x86_64");
    fs::rename(s.path("new/x86_64/packages.adb"), s.path("new/x86_64/Packages.adb")).unwrap();
    s.write("testkit-v3.pem", fs::read(made.join("keys/testkit-v3.pem")).unwrap());
    let libc = ApkBuilder::new("libc6", "2.36-r0").provides("so:libc.so.6=6").provides("so:libm.so.6=6");
    old_packages(
        &s,
        &[libc, ApkBuilder::new("debconf", "1.5.82-r0"), ApkBuilder::new("openssl", "3.0.0-r0")],
    );
    let wanted = ["base-files", "tzdata", "busybox-static", "ca-certificates", "netbase"];
    spec(&s, &["old", "new"], &["testkit-v3.pem", TEST_KEY_NAME], &wanted);
    s.ok(BUILD);
    let files = files(&s);
    for file in fs::read_dir(made.join("x86_64")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name.strip_suffix(".apk").is_some() {
            let dump = fs::read_to_string(made.join(format!("expected/{name}.dump.txt"))).unwrap();
            has_all(&files, &dump);
        }
    }
    let database = s.ok(["inspect", "image.oci", "--cat", "/usr/lib/apk/db/installed"]);
    assert!(database.contains("P:mawk\n") && database.contains("P:debconf\n"), "{database}");
}

#[track_caller]
fn refused(s: &Sandbox, code: i32, words: &[&str]) {
    let ran = s.run(BUILD);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
    }
    assert!(!s.path("image.oci").exists());
}

fn hello() -> AdbPackageBuilder {
    AdbPackageBuilder::new("hello", "1.0-r0")
        .arch("noarch")
        .folder("usr/bin", 0o755)
        .file("hello", 0o755, *b"#!/bin/sh\necho hello\n")
        .script(3, "#!/bin/sh\nuseradd x\n")
}

/// The same repository in all ways to name it, and what becomes of it when something is altered.
#[test]
fn what_an_index_does_not_vouch_for_is_refused() {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let built = hello().build();
    let index = |keys: &[SigningKey]| adb_index(&[&built], "", keys, AdbCompression::Deflate);
    let signed = index(&[SigningKey::Test]);
    s.write("feed/packages.adb", &signed);
    s.write("feed/hello-1.0-r0.apk", &built.bytes);
    let package = || spec(&s, &["feed/packages.adb"], &[TEST_KEY_NAME], &["hello"]);
    package();
    let ran = s.run(BUILD);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("hello"), "its script is named: {}", ran.stderr);
    let by_index = ran.stdout;
    fs::remove_dir_all(s.path("image.oci")).unwrap();

    let mut altered = built.bytes.clone();
    let last = altered.len() - 5;
    altered[last] ^= 4;
    for bad in [altered, built.bytes[..built.bytes.len() / 2].to_vec(), b"ADBx".to_vec()] {
        s.write("feed/hello-1.0-r0.apk", bad);
        refused(&s, 5, &["hello-1.0-r0", "spec.yaml:2:18"]);
    }
    // Of the same size, since another size is noticed before.
    let other = hello().arch("norach").build();
    assert_eq!(other.bytes.len(), built.bytes.len());
    s.write("feed/hello-1.0-r0.apk", &other.bytes);
    refused(&s, 5, &["hello-1.0-r0", "the index promises checksum Q2"]);
    s.write("feed/hello-1.0-r0.apk", &built.bytes);

    s.write("feed/packages.adb", index(&[]));
    refused(&s, 5, &["the index is not signed", "feed/packages.adb"]);
    s.write("feed/packages.adb", index(&[SigningKey::Other]));
    refused(&s, 5, &["the key with identifier", TEST_KEY_NAME]);
    s.write("feed/packages.adb", &signed[..signed.len() - 3]);
    refused(&s, 5, &["damaged or cut short"]);
    fs::remove_file(s.path("feed/packages.adb")).unwrap();
    refused(&s, 3, &["the repository feed/packages.adb does not exist"]);

    // In folders, under the old name and the new one; packages lie in the folder of their own architecture.
    for name in ["APKINDEX.tar.gz", "Packages.adb"] {
        s.write(&format!("{name}.repo/x86_64/{name}"), &signed);
        s.write(&format!("{name}.repo/noarch/hello-1.0-r0.apk"), &built.bytes);
        spec(&s, &[&format!("{name}.repo")], &[TEST_KEY_NAME], &["hello"]);
        s.ok(BUILD);
        fs::remove_dir_all(s.path("image.oci")).unwrap();
    }
    s.write("empty/x86_64/other", "x");
    spec(&s, &["empty"], &[TEST_KEY_NAME], &["hello"]);
    refused(&s, 6, &["empty/x86_64/APKINDEX.tar.gz"]);
    assert!(by_index.starts_with("sha256:"));
}

/// OpenWrt's names of architectures, where the index was chosen for a processor.
#[test]
fn architectures_of_openwrt() {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    for (arch, code) in [("x86_64", 0), ("all", 0), ("aarch64_cortex-a53", 4)] {
        let built = hello().arch(arch).build();
        s.write("feed/packages.adb", adb_index(&[&built], "", &[SigningKey::Test], AdbCompression::None));
        s.write("feed/hello-1.0-r0.apk", &built.bytes);
        spec(&s, &["feed/packages.adb"], &[TEST_KEY_NAME], &["hello"]);
        let ran = s.run(BUILD);
        assert_eq!(ran.code, code, "{arch}: {}", ran.stderr);
        if code == 0 {
            fs::remove_dir_all(s.path("image.oci")).unwrap();
        }
    }
    let text = String::from_utf8(s.read("spec.yaml")).unwrap().replace("x86_64", "aarch64");
    s.write("spec.yaml", text);
    s.ok(BUILD);
    let database = s.ok(["inspect", "image.oci", "--cat", "/usr/lib/apk/db/installed"]);
    assert!(database.contains("A:aarch64_cortex-a53\n"), "{database}");
}

/// Lines as apk 3 reads them: what they find, what the image says, and that a lock and a vendored folder know them, too.
#[test]
fn lines_of_apk_3() {
    for (line, files, others) in [
        ("v3 URL/os", &["os/ARCH/Packages.adb"][..], "os/noarch"),
        ("v3 @edge URL/os/", &["os/ARCH/Packages.adb"], "os/noarch"),
        ("ndx URL/feed/${APK_ARCH}/packages.adb", &["feed/ARCH/packages.adb"], "feed/ARCH"),
        ("URL/feed/${APK_ARCH}/packages.adb", &["feed/ARCH/packages.adb"], "feed/ARCH"),
        ("ndx URL/flat/index.ndx", &["flat/index.ndx"], "flat"),
        ("v3 URL/${APK_ARCH}/os", &["ARCH/os/ARCH/Packages.adb"], "ARCH/os/noarch"),
    ] {
        let s = Sandbox::new();
        s.write(TEST_KEY_NAME, TEST_KEY);
        let built = hello().build();
        let index = adb_index(&[&built], "", &[SigningKey::Test], AdbCompression::Deflate);
        for arch in ["x86_64", "aarch64"] {
            for file in files {
                s.write(&format!("mirror/{}", file.replace("ARCH", arch)), &index);
            }
            s.write(&format!("mirror/{}/hello-1.0-r0.apk", others.replace("ARCH", arch)), &built.bytes);
        }
        let server = HttpServer::folder(s.path("mirror"));
        let written = line.replace("URL", &server.url());
        let package = if line.contains('@') { "hello@edge" } else { "hello" };
        let text = format!(
            "contents:\n  repositories: ['{written}']\n  keyring: [{TEST_KEY_NAME}]\n  packages: ['{package}']\n\
             archs: [x86_64, aarch64]\n"
        );
        s.write("spec.yaml", text);
        let digest = s.ok(BUILD);
        let lines =
            s.ok(["inspect", "image.oci", "--platform", "linux/arm64", "--cat", "/etc/apk/repositories"]);
        assert_eq!(lines, written.trim_end_matches('/'), "{line}: the image says what the spec says");
        // A lock, with nothing but the cache.
        s.ok(["lock", "spec.yaml"]);
        let offline = [&BUILD[..], &["--locked", "--offline"]].concat();
        assert_eq!(s.ok(&offline), digest, "{line}");
        // A vendored folder, with neither mirror nor cache.
        s.ok(["vendor", "spec.yaml", "-o", "vendored"]);
        drop(server);
        fs::remove_dir_all(s.path("cache")).unwrap();
        let vendored = [&offline[..], &["--vendor", "vendored"]].concat();
        assert_eq!(s.ok(&vendored), digest, "{line}");
        let inside = ["build", "vendored/spec.yaml", "-o", "none", "--start-check", "off", "--offline"];
        assert_eq!(s.ok([&inside[..], &["--ignore-lock"]].concat()), digest, "{line}");
    }
}

/// How an index was read, and which of its records were chosen, is kept as it is of version 2; where it says that files lie
/// is kept with either.
#[test]
fn what_is_known_of_an_index_is_not_read_again() {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let others = (0..700).map(|number| {
        let package = AdbPackageBuilder::new(&format!("package-{number}"), "1.0-r0").depend("hello");
        package.provides(&format!("cmd:tool-{number}")).signed_by(&[]).build()
    });
    let all: Vec<_> = others.chain([hello().build()]).collect();
    let pieces: Vec<_> = all.iter().collect();
    let index = adb_index(&pieces, "pool/${name:1}/${name}", &[SigningKey::Test], AdbCompression::None);
    assert!(index.len() > 64 << 10);
    s.write("mirror/x86_64/Packages.adb", &index);
    for package in &all {
        s.write(&format!("mirror/pool/{}/{}", &package.name[..1], package.name), &package.bytes);
    }
    let server = HttpServer::folder(s.path("mirror"));
    let made = |packages: &[&str], cache: &str| {
        spec(&s, &[&server.url()], &[TEST_KEY_NAME], packages);
        let listed = s.ok(["packages", "spec.yaml", "--json", "--cache-dir", cache]);
        let digest = s.ok([&BUILD[..], &["--cache-dir", cache]].concat());
        fs::remove_dir_all(s.path("image.oci")).unwrap();
        (listed, digest)
    };
    let kept = || ["choices", "indexes"].map(|kind| entries(&s, &format!("records/{kind}")).len());
    // The first is read, and one more time; from then on it is known.
    for (number, (package, expected)) in
        [("hello", [1, 0]), ("package-7", [2, 1]), ("package-42", [3, 1])].into_iter().enumerate()
    {
        let first = made(&[package], "cache");
        assert_eq!(kept(), expected, "{package}");
        assert_eq!(made(&[package], "cache"), first, "{package}");
        assert_eq!(made(&[package], &format!("cache-{number}")), first, "{package}");
        assert_eq!(kept(), expected, "{package}");
    }
}

/// A line that names a format wants an index of that.
#[test]
fn lines_of_apk_3_are_taken_at_their_word() {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let built = hello().build();
    s.write("os/x86_64/Packages.adb", adb_index(&[&built], "", &[SigningKey::Test], AdbCompression::None));
    s.write("os/noarch/hello-1.0-r0.apk", &built.bytes);
    spec(&s, &["v2 os"], &[TEST_KEY_NAME], &["hello"]);
    refused(&s, 6, &["os has no index for x86_64", "os/x86_64/APKINDEX.tar.gz"]);
    spec(&s, &["os"], &[TEST_KEY_NAME], &["hello"]);
    s.ok(BUILD);
    fs::remove_dir_all(s.path("image.oci")).unwrap();
    for (line, words) in [
        ("v3 os/${ARCH}", &["`${ARCH}` is no variable", "`${APK_ARCH}`"][..]),
        ("v3 os/$ARCH/x", &["`$ARCH` is no variable"]),
        ("set mirror=os", &["variables cannot be set"]),
        ("v3 os main community", &["holds a space", "each component has its own line"]),
        ("v4 os", &["holds a space", "`v2`, `v3` or `ndx`"]),
    ] {
        spec(&s, &[line], &[TEST_KEY_NAME], &["hello"]);
        refused(&s, 3, words);
    }
}

/// apko knows neither the words nor the format.
#[test]
fn apko_is_told_that_it_knows_no_version_3() {
    let s = Sandbox::new();
    s.write(TEST_KEY_NAME, TEST_KEY);
    let built = hello().build();
    let index = adb_index(&[&built], "", &[SigningKey::Test], AdbCompression::None);
    s.write("feed/packages.adb", &index);
    s.write("os/x86_64/Packages.adb", &index);
    s.write("odd/x86_64/APKINDEX.tar.gz", &index);
    let apko = ["apko", "build", "spec.yaml", "a:b", "out.tar"];
    for (line, words) in [
        ("v3 os", &["apko does not know"][..]),
        ("ndx feed/packages.adb", &["apko does not know"]),
        ("feed/packages.adb", &["an index of APK v3", "spec.yaml:2:18"]),
        ("odd", &["it is one of APK v3"]),
    ] {
        spec(&s, &[line], &[TEST_KEY_NAME], &["hello"]);
        for args in [&apko[..], &["apko", "lock", "spec.yaml"]] {
            let ran = s.run(args);
            assert_eq!(ran.code, 1, "{line}: {}", ran.stderr);
            for word in words.iter().chain(&["assemble build"]) {
                assert!(ran.stderr.contains(word), "{line}: `{word}` is missing in {}", ran.stderr);
            }
        }
    }
    // An index under the new name alone is not seen at all: the folder has none, and apko leaves it out.
    spec(&s, &["os"], &[TEST_KEY_NAME], &["hello"]);
    let ran = s.run(apko);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no package provides `hello`"), "{}", ran.stderr);
    // By an option.
    spec(&s, &["os"], &[TEST_KEY_NAME], &["hello"]);
    let ran = s.run([&apko[..], &["-b", "feed/packages.adb"]].concat());
    assert!(ran.code == 1 && ran.stderr.contains("an index of APK v3"), "{}", ran.stderr);
}
