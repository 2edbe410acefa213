//! Sweep: what gc keeps and what it removes first.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk;
use crate::explain::Explain as _;
use crate::store::tests::{blob, record, verifies_clean, write};
use crate::store::{BuildKey, GcOptions, Kind, Store, StoreError, now};

/// A store with five blobs of ten bytes, the lowest used longest ago, one of them needed by a project
/// and one as a step's output.
pub(super) fn five(root: &Path) -> (Store, Vec<Digest>, PathBuf) {
    let store = Store::open(&root.join("store")).unwrap();
    let lock = root.join("rebeam.lock");
    if !disk::exists(&lock) {
        write(&lock, b"").unwrap();
    }
    let digests: Vec<_> = (0..5_i64)
        .map(|n| {
            let digest = blob(&store, format!("ten bytes{n}").as_bytes()).unwrap().digest();
            let used_at = now() - (10 - n) * 86_400 - 10;
            let used = [(Kind::Blob, digest)].into();
            store.index().touch(&used, used_at).unwrap();
            digest
        })
        .collect();
    let key = BuildKey::of("step");
    store.remember(key, &record(&[("out", digests[1])])).unwrap();
    store.add_root(&lock, &[digests[0], key.digest()]).unwrap();
    (store, digests, lock)
}

fn held(store: &Store, digests: &[Digest]) -> Vec<bool> {
    let held = |digest: &Digest| disk::exists(&store.place(Kind::Blob, *digest));
    digests.iter().map(held).collect()
}

#[test]
fn gc_keeps_what_projects_need_and_what_their_steps_made() {
    let root = tempfile::tempdir().unwrap();
    let (store, digests, lock) = five(root.path());
    let dry = GcOptions { dry_run: true, ..GcOptions::default() };
    let said = store.gc(dry).unwrap();
    assert_eq!(held(&store, &digests), [true; 5]);
    let done = store.gc(GcOptions::default()).unwrap();
    assert_eq!(said, done);
    assert_eq!((done.removed, done.bytes_freed, done.kept, done.bytes_kept), (3, 30, 2, 20));
    assert_eq!(held(&store, &digests), [true, true, false, false, false]);
    assert!(store.recall(BuildKey::of("step")).unwrap().is_some());
    disk::remove_file(&lock).unwrap();
    assert_eq!(store.gc(GcOptions::default()).unwrap().removed, 2);
    assert!(store.recall(BuildKey::of("step")).unwrap().is_none());
    assert_eq!(store.index().roots().unwrap().len(), 0);
    verifies_clean(&store);
}

#[test]
fn gc_removes_the_least_recently_used_first_down_to_the_limit() {
    let root = tempfile::tempdir().unwrap();
    let (store, digests, _) = five(root.path());
    let limit = |bytes| GcOptions { bytes_max: Some(bytes), ..GcOptions::default() };
    assert_eq!(store.gc(limit(50)).unwrap().removed, 0);
    store.gc(limit(45)).unwrap();
    assert_eq!(held(&store, &digests), [true, true, false, true, true]);
    assert_eq!(store.gc(limit(0)).unwrap().bytes_kept, 20, "projects need it");
}

#[test]
fn gc_by_age_removes_what_was_not_used_for_so_many_days() {
    let root = tempfile::tempdir().unwrap();
    let (store, digests, _) = five(root.path());
    // A use counts from when it is noted; finding something notes it.
    assert!(store.blob(digests[2]).unwrap().is_some());
    let days = GcOptions { older_than_days: Some(7), ..GcOptions::default() };
    assert_eq!(store.gc(days).unwrap().removed, 1);
    assert_eq!(held(&store, &digests), [true, true, true, false, true]);
}

#[test]
fn gc_waits_for_no_one_and_removes_nothing_from_under_another_rebeam() {
    let root = tempfile::tempdir().unwrap();
    let (store, digests, _) = five(root.path());
    let other = Store::open(store.root()).unwrap();
    let error = store.gc(GcOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }) && error.hint().is_some());
    assert_eq!(held(&store, &digests), [true; 5]);
    let error = other.gc(GcOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "the first still counts");
    drop(other);
    assert_eq!(store.gc(GcOptions::default()).unwrap().removed, 3);
}

#[test]
fn gc_takes_mirrors_first_for_they_only_save_fetching() {
    let root = tempfile::tempdir().unwrap();
    let (store, digests, _) = five(root.path());
    let mirror = store.mirrors_root().join("a");
    disk::create_dir_all(&mirror.join("objects/pack")).unwrap();
    disk::write_atomic(&mirror.join("objects/pack/a.pack"), b"0123456789").unwrap();
    disk::write_atomic(&store.mirrors_root().join("a.lock"), b"").unwrap();
    let limit = |bytes| GcOptions { bytes_max: Some(bytes), ..GcOptions::default() };
    assert_eq!(store.gc(limit(60)).unwrap().removed, 0);
    let done = store.gc(limit(55)).unwrap();
    assert_eq!((done.removed, done.bytes_freed), (1, 10));
    assert!(!disk::exists(&mirror));
    assert_eq!(held(&store, &digests), [true; 5]);
}
