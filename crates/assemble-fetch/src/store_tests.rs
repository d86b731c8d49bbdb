use super::*;
use crate::local::file_look;
use assemble_types::Silent;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn store(dir: &Path) -> Store {
    let observer = Arc::new(Silent);
    Store::new(Arc::new(Cache::new(Some(dir), std::env::temp_dir(), observer, false)))
}

fn layer(store: &Store, bytes: &[u8]) -> (KeptBlob, PathBuf) {
    let mut writer = store.layers().create().unwrap();
    writer.write_all(bytes).unwrap();
    let digest = Digest::of(bytes);
    let blob = writer.finish_as(&digest).unwrap();
    (Store::kept(&digest, &blob).unwrap(), blob.whole_file().unwrap().to_owned())
}

fn writable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_layer_comes_back_without_being_read() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, path) = layer(&store(dir.path()), b"the layer");
    let again = store(dir.path());
    let (blob, renewed) = again.blob(&kept).unwrap();
    assert_eq!((blob.read_to_vec(99).unwrap(), renewed), (b"the layer".to_vec(), None));
    // A link to it changes nothing that counts.
    fs::hard_link(&path, dir.path().join("output")).unwrap();
    assert_eq!(again.blob(&kept).unwrap().1, None);
    assert!(blob.slice(0..3).unwrap().whole_file().is_none(), "a part is not the file");
}

#[test]
fn whoever_writes_through_an_output_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (kept, path) = layer(&store, b"the layer");
    let output = dir.path().join("output");
    fs::hard_link(&path, &output).unwrap();
    writable(&output);
    fs::write(&output, b"the LAYER").unwrap();
    assert!(store.blob(&kept).is_none());
    assert!(!path.exists(), "it is dropped");
    let (again, _) = layer(&store, b"the layer");
    assert!(store.blob(&again).is_some());
    assert_eq!(fs::read(&output).unwrap(), b"the LAYER", "what was linked is somebody else's now");
}

#[test]
fn another_boot_and_a_touched_file_are_hashed_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (kept, path) = layer(&store, b"the layer");
    let old = KeptBlob { stamp: kept.stamp.replace('@', "@another-"), ..kept.clone() };
    assert_eq!(store.blob(&old).unwrap().1, Some(kept.clone()));
    writable(&path);
    fs::write(&path, b"the layer").unwrap();
    let (_, renewed) = store.blob(&kept).unwrap();
    assert!(renewed.is_some_and(|now| now != kept));
    fs::write(&path, b"the lay").unwrap();
    assert!(store.blob(&kept).is_none(), "cut short");
}

#[test]
fn every_damage_of_a_record_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let key = Digest::of(b"key");
    assert_eq!(store.record(RecordKind::Result, &key), None);
    store.keep_record(RecordKind::Result, &key, b"the record").unwrap();
    assert_eq!(store.record(RecordKind::Result, &key).unwrap(), b"the record");
    assert_eq!(store.record(RecordKind::Package, &key), None);
    let path = record_path(&dir.path().join("v1"), RecordKind::Result, &key);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        for damaged in [&bytes[..], &whole[..at]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(store.record(RecordKind::Result, &key), None, "{at}");
            assert!(!path.exists());
        }
    }
    store.keep_record(RecordKind::Result, &key, b"another").unwrap();
    store.forget_record(RecordKind::Result, &key);
    assert_eq!(store.record(RecordKind::Result, &key), None);
}

#[test]
fn local_files_are_read_again_when_they_look_different() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir.path().join("cache"));
    let path = dir.path().join("file");
    let digest = || {
        let blob = crate::open_file(&path).unwrap();
        store.digest_of_files(&[(b"label".to_vec(), Some(blob)), (b"a folder".to_vec(), None)]).unwrap()
    };
    fs::write(&path, b"one").unwrap();
    let one = digest();
    let local = dir.path().join("cache/v1/records/local");
    assert!(!local.exists(), "a file that was written just now may be written again in the same tick");
    // Its times in the past, as the clock tells them; the change time cannot be set, so that it stays unsettled.
    let old = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    assert_eq!(digest(), one);
    std::thread::sleep(std::time::Duration::from_millis(3100));
    assert_eq!(digest(), one);
    assert!(local.exists());
    assert_eq!(digest(), one);
    fs::write(&path, b"two").unwrap();
    assert_ne!(digest(), one);
    let other_label =
        store.digest_of_files(&[(b"l".to_vec(), Some(crate::open_file(&path).unwrap()))]).unwrap();
    assert_ne!(other_label, digest());
}

#[test]
fn what_gets_no_name_lives_as_long_as_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let blobs: Vec<Blob> = (0..100_u32)
        .map(|number| {
            let mut writer = store.layers().create().unwrap();
            writer.write_all(&number.to_le_bytes()).unwrap();
            writer.finish().unwrap()
        })
        .collect();
    for (number, blob) in (0..100_u32).zip(&blobs) {
        assert_eq!(blob.read_to_vec(9).unwrap(), number.to_le_bytes());
    }
    assert_eq!(fs::read_dir(dir.path().join("v1/tmp")).unwrap().count(), 0);
}

#[test]
fn a_flipped_byte_of_an_index_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let key = Digest::of(b"an index");
    let form = b"the form of an index";
    store.keep_record(RecordKind::Index, &key, form).unwrap();
    assert_eq!(store.record(RecordKind::Index, &key).unwrap(), form);
    let path = record_path(&dir.path().join("v1"), RecordKind::Index, &key);
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole_record(&whole, &path).unwrap(), form);
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(whole_record(&flipped, &path), None, "{at}");
        assert_eq!(store.record(RecordKind::Index, &key), None, "{at}");
        assert!(!path.exists(), "it is dropped");
        store.keep_record(RecordKind::Index, &key, form).unwrap();
    }
}

#[test]
fn a_record_under_the_name_of_another_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let root = dir.path().join("v1");
    for kind in [RecordKind::Result, RecordKind::Layer, RecordKind::Index, RecordKind::Package] {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        store.keep_record(kind, &one, b"what one is").unwrap();
        store.keep_record(kind, &two, b"what two is").unwrap();
        fs::copy(record_path(&root, kind, &two), record_path(&root, kind, &one)).unwrap();
        assert_eq!(
            store.check(&|_| crate::OwnKey::Unknown).unwrap().damaged,
            [record_path(&root, kind, &one)]
        );
        store.keep_record(kind, &one, b"what one is").unwrap();
        fs::copy(record_path(&root, kind, &two), record_path(&root, kind, &one)).unwrap();
        assert_eq!(store.record(kind, &one), None);
        assert_eq!(store.record(kind, &two).unwrap(), b"what two is");
    }
}

#[test]
fn a_blob_outlives_its_name_and_notices_when_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Arc::new(Cache::new(Some(dir.path()), std::env::temp_dir(), Arc::new(Silent), false));
    let store = Store::new(Arc::clone(&cache));
    let kept: Vec<_> = (0..100).map(|n| layer(&store, format!("layer {n}").as_bytes()).0).collect();
    let blobs: Vec<Blob> = kept.iter().map(|kept| store.blob(kept).unwrap().0).collect();
    // More than the pool has, and each under the name of another, or none.
    for (n, blob) in blobs.iter().enumerate() {
        fs::remove_file(blob.whole_file().unwrap()).unwrap();
        if n % 2 == 0 {
            fs::write(blob.whole_file().unwrap(), "another").unwrap();
        }
    }
    for (n, blob) in blobs.iter().enumerate() {
        assert_eq!(blob.read_to_vec(99).unwrap(), format!("layer {n}").into_bytes());
        blob.check().unwrap();
        let named = fs::metadata(blob.whole_file().unwrap());
        assert!(!named.is_ok_and(|named| blob.is_file(&file_look(&named))));
    }
    assert_eq!(cache.losses(), 0);
    let (again, path) = layer(&store, b"the layer");
    let blob = store.blob(&again).unwrap().0;
    assert!(blob.is_file(&file_look(&fs::metadata(&path).unwrap())));
    writable(&path);
    fs::File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
    assert!(!blob.is_file(&file_look(&fs::metadata(&path).unwrap())));
    assert!(blob.read_to_vec(99).unwrap_err().to_string().contains("changed while it was read"));
    assert!(cache.losses() > 0);
}

#[test]
fn what_is_no_file_in_the_place_of_a_blob_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (_, path) = layer(&store, b"the layer");
    let fifo =
        |path: &Path| rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0);
    for in_its_place in ["link", "fifo", "folder"] {
        fs::remove_file(&path).unwrap();
        match in_its_place {
            "link" => std::os::unix::fs::symlink("/nonexistent/x", &path).unwrap(),
            "fifo" => fifo(&path).unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        let (kept, again) = layer(&store, b"the layer");
        assert_eq!(again, path, "{in_its_place}");
        assert_eq!(store.blob(&kept).unwrap().0.read_to_vec(99).unwrap(), b"the layer", "{in_its_place}");
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{in_its_place}");
    }
}
