//! Sharing: several rebeams over one store.

use std::sync::Mutex;

use crate::disk;
use crate::store::tests::{blob, record, tree, verifies_clean, world};
use crate::store::{BuildKey, Store};

#[test]
fn writers_of_the_same_things_race_safely() {
    let (_root, store) = world();
    let at = store.root().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(&at).unwrap();
                for n in 0..25 {
                    let text = n.to_string();
                    blob(&store, text.as_bytes()).unwrap();
                    tree(&store, &[("a/b", &text), ("c", "same")]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.on_disk().unwrap().len(), 50);
    assert_eq!(store.index().objects().unwrap().len(), 50);
    verifies_clean(&store);
}

#[test]
fn a_new_store_may_be_made_by_many_at_once() {
    let root = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| blob(&Store::open(root.path()).unwrap(), b"x").unwrap());
        }
    });
    verifies_clean(&Store::open(root.path()).unwrap());
}

#[test]
fn one_step_is_run_by_one_rebeam_at_a_time() {
    let (_root, store) = world();
    let key = BuildKey::of("step");
    let runs = Mutex::new(0);
    let at = store.root().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let store = Store::open(&at).unwrap();
                let _alone = store.lock_step(key).unwrap();
                if store.recall(key).unwrap().is_none() {
                    *runs.lock().unwrap() += 1;
                    store.remember(key, &record(&[])).unwrap();
                }
            });
        }
    });
    assert_eq!(*runs.lock().unwrap(), 1);
    let held = store.lock_step(key).unwrap();
    assert!(store.try_lock_step(key).unwrap().is_none());
    assert!(store.try_lock_step(BuildKey::of("another")).unwrap().is_some());
    drop(held);
    assert_eq!(disk::list(&at.join("steps")).unwrap().len(), 0, "locks leave no files");
}
