//! Damage: flipped bits, lost indices, other formats, walls.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use crate::digest::Digest;
use crate::disk;
use crate::event::Silent;
use crate::explain::{Blame, Explain as _};
use crate::store::tests::{Warnings, blob, flip_a_bit, record, tree, verifies_clean, world, write};
use crate::store::{BuildKey, Store, StoreError, schema};

#[test]
fn a_flipped_bit_is_found_by_file_and_healed() {
    let (_root, store) = world();
    let good = tree(&store, &[("ebin/good.beam", "good")]).unwrap();
    let bad = tree(&store, &[("ebin/bad.beam", "bad"), ("ebin/other.beam", "x")]).unwrap();
    let text = blob(&store, b"text").unwrap();
    let key = BuildKey::of("step");
    store.remember(key, &record(&[("out", bad.digest())])).unwrap();
    store.settle().unwrap();
    verifies_clean(&store);
    flip_a_bit(&bad.path().join("ebin/bad.beam"));
    flip_a_bit(text.path());
    let warnings = Warnings::default();
    let report = store.verify(false, &warnings).unwrap();
    assert_eq!(report.checked, 3);
    let whats: Vec<_> = report.damaged.iter().map(|damage| damage.what.clone()).collect();
    let blob_what = "its bytes have another SHA-256".to_owned();
    let tree_what = "`ebin/bad.beam` has other bytes".to_owned();
    assert_eq!(whats, [vec![blob_what], vec![tree_what]]);
    assert_eq!(warnings.0.lock().unwrap().len(), 2);
    assert!(disk::exists(bad.path()), "without heal nothing is removed");
    assert_eq!(store.verify(true, &Silent).unwrap().damaged.len(), 2);
    verifies_clean(&store);
    assert_eq!(store.recall(key).unwrap(), None);
    assert_eq!(store.tree(bad.digest()).unwrap(), None);
    assert!(store.tree(good.digest()).unwrap().is_some());
}

#[test]
fn every_kind_of_change_in_a_tree_is_named() {
    let (_root, store) = world();
    let files = [("a/gone", "1"), ("a/size", "1"), ("a/kind", "1"), ("run", "1")];
    let held = tree(&store, &files).unwrap();
    let at = |path: &str| held.path().join(path);
    disk::remove_file(&at("a/gone")).unwrap();
    disk::append(&at("a/size")).unwrap().write_all(b"2").unwrap();
    disk::remove_file(&at("a/kind")).unwrap();
    disk::create_dir(&at("a/kind")).unwrap();
    disk::set_mode(&at("run"), 0o644).unwrap();
    disk::symlink(b"run", &at("new")).unwrap();
    let report = store.verify(false, &Silent).unwrap();
    let expected = [
        "`a/gone` is missing",
        "`a/kind` is of another kind",
        "`a/size` has another size",
        "`run` has another executable bit",
        "`new` does not belong there",
    ];
    assert_eq!(report.damaged[0].what, expected);
}

#[test]
fn a_damaged_index_is_set_aside_and_no_object_or_root_is_lost() {
    let (root, store) = world();
    let text = blob(&store, b"text").unwrap();
    let made = tree(&store, &[("a", "1")]).unwrap();
    let lock = root.path().join("rebeam.lock");
    write(&lock, b"").unwrap();
    store.add_root(&lock, &[made.digest()]).unwrap();
    let at = store.root().to_owned();
    drop(store);
    let mut file = File::options().write(true).open(at.join(schema::FILE_NAME)).unwrap();
    file.write_all(b"garbage, garbage, garbage").unwrap();
    let warnings = Warnings::default();
    let store = Store::open_observed(&at, &warnings).unwrap();
    assert!(warnings.0.lock().unwrap()[0].contains("index.sqlite.damaged-1"));
    assert!(store.blob(text.digest()).unwrap().is_some());
    assert_eq!(store.verify(true, &Silent).unwrap().adopted, 1);
    assert!(disk::exists(&at.join("index.sqlite.damaged-1")));
    store.settle().unwrap();
    drop(store);
    verifies_clean(&Store::open(&at).unwrap());
}

#[test]
fn a_page_of_garbage_inside_the_index_is_found_and_healed_by_verify() {
    let (root, store) = world();
    let lock = root.path().join("rebeam.lock");
    write(&lock, b"").unwrap();
    let uses: Vec<_> = (0..500).map(|n: u32| Digest::of(&n.to_le_bytes())).collect();
    store.add_root(&lock, &uses).unwrap();
    let made = tree(&store, &[("a", "1")]).unwrap();
    for n in 0..300 {
        let key = BuildKey::of(&n.to_string());
        store.remember(key, &record(&[("out", made.digest())])).unwrap();
    }
    let at = store.root().to_owned();
    drop(store);
    let path = at.join(schema::FILE_NAME);
    let size = disk::status(&path).unwrap().unwrap().size;
    let mut file = File::options().write(true).open(&path).unwrap();
    for page in (size / 4096 / 2)..(size / 4096) {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xA5; 4096]).unwrap();
    }
    let store = Store::open(&at).unwrap();
    let error = store.verify(false, &Silent).unwrap_err();
    assert!(error.hint().unwrap().contains("rebeam store verify"), "{error:?}");
    assert!(store.verify(true, &Silent).unwrap().index_damaged);
    verifies_clean(&store);
    assert!(store.tree(made.digest()).unwrap().is_some());
    blob(&store, b"after").unwrap();
    drop(store);
    let store = Store::open(&at).unwrap();
    assert!(store.blob(Digest::of(b"after")).unwrap().is_some());
    verifies_clean(&store);
}

#[test]
fn a_store_of_a_newer_rebeam_is_refused_and_one_rolled_back_loses_no_object() {
    let (_root, store) = world();
    let text = blob(&store, b"text").unwrap();
    let at = store.root().to_owned();
    let busy = Store::roll_back(&at, 1).unwrap_err();
    assert!(matches!(busy, StoreError::InUse { .. }));
    drop(store);
    Store::roll_back(&at, 1).unwrap();
    let store = Store::open(&at).unwrap();
    assert!(store.blob(text.digest()).unwrap().is_some());
    drop(store);
    let index = rusqlite::Connection::open(at.join(schema::FILE_NAME)).unwrap();
    index.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&at).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }));
    assert!(error.hint().is_some());
}

#[test]
fn a_store_that_cannot_be_written_says_where_and_what_to_look_at() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("store");
    drop(Store::open(&path).unwrap());
    // For root modes are no wall, but the kernel's own file systems are.
    let own = root.path().join("probe");
    disk::create_dir(&own).unwrap();
    disk::set_mode(&own, 0o555).unwrap();
    let path = if disk::create_dir(&own.join("probe")).is_ok() {
        PathBuf::from("/sys/store")
    } else {
        own.join("store")
    };
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("cannot create the directory"), "{error}");
    if error.blame() == Blame::World {
        assert!(error.hint().unwrap().contains("ls -ld"));
    }
}
