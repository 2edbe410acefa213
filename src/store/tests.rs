//! Tests of the whole store: what was put in is found; the files below ask for damage, faults and company.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{BuildKey, HeldBlob, HeldTree, Record, Store, StoreError};
use crate::digest::Digest;
use crate::disk;
use crate::event::{Event, Observer, Silent};
use crate::tree;

mod damage;
mod faults;
mod sharing;
mod sweep;

type Result<T> = std::result::Result<T, StoreError>;

fn world() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(&root.path().join("store")).unwrap();
    (root, store)
}

fn write(path: &Path, bytes: &[u8]) -> std::result::Result<(), disk::DiskError> {
    disk::create_dir_all(path.parent().unwrap())?;
    let mut file = disk::create_new(path, path.ends_with("run"))?;
    disk::write_all(&mut file, path, bytes)
}

fn blob(store: &Store, bytes: &[u8]) -> Result<HeldBlob> {
    store.insert_blob("blob", bytes, 1 << 20, None)
}

fn tree(store: &Store, files: &[(&str, &str)]) -> Result<HeldTree> {
    let scratch = store.scratch()?;
    let made = scratch.path().join("made");
    disk::create_dir_all(&made)?;
    for (path, text) in files {
        write(&made.join(path), text.as_bytes())?;
    }
    store.insert_tree("tree", &made, None)
}

fn flip_a_bit(path: &Path) {
    let mut bytes = disk::read(path, 1 << 20).unwrap();
    bytes[0] ^= 1;
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&bytes).unwrap();
}

fn record(outputs: &[(&str, Digest)]) -> Record {
    let named = |(name, digest): &(&str, Digest)| ((*name).to_owned(), *digest);
    Record { inputs: "inputs\n".into(), outputs: outputs.iter().map(named).collect() }
}

fn verifies_clean(store: &Store) {
    let report = store.verify(false, &Silent).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Keeps what was warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Warned { message } = event {
            self.0.lock().unwrap().push((*message).to_owned());
        }
    }
}

#[test]
fn what_was_put_in_is_found_again_and_after_reopening() {
    let (_root, store) = world();
    let text = blob(&store, b"text").unwrap();
    let made = tree(&store, &[("bin/run", "#!"), ("empty", "")]).unwrap();
    let listing = store.listing(&made).unwrap();
    let root = store.root().to_owned();
    drop(store);
    let store = Store::open(&root).unwrap();
    assert_eq!(store.blob(text.digest()).unwrap(), Some(text));
    assert_eq!(store.tree(made.digest()).unwrap(), Some(made.clone()));
    assert_eq!(store.listing(&made).unwrap(), listing);
    assert_eq!(tree::scan(made.path(), &[]).unwrap().tree, listing);
    assert_eq!(store.blob(Digest::of(b"other")).unwrap(), None);
    assert_eq!(disk::list(&root.join("scratch")).unwrap().len(), 0);
}

#[test]
fn half_a_blob_a_wrong_one_and_too_much_of_one_are_never_held() {
    struct Cut;
    impl std::io::Read for Cut {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let (_root, store) = world();
    let cut = store.insert_blob("a", std::io::Read::chain(&b"half"[..], Cut), 100, None);
    assert!(matches!(cut, Err(StoreError::Cut { .. })));
    let wrong = store.insert_blob("a", &b"text"[..], 100, Some(Digest::of(b"other")));
    assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
    let large = store.insert_blob("a", &b"text"[..], 3, None);
    assert!(matches!(large, Err(StoreError::TooLarge { limit: 3, .. })));
    assert!(store.insert_blob("a", &b"text"[..], 4, None).is_ok());
    let scratch = store.scratch().unwrap();
    let wrong = store.insert_tree("t", scratch.path(), Some(Digest::of(b"other")));
    assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
    assert_eq!(store.on_disk().unwrap().len(), 1);
}

#[test]
fn an_object_without_a_row_is_adopted_if_whole_and_removed_if_not() {
    let (_root, store) = world();
    let root = store.root().to_owned();
    let whole = root.join("blobs").join(Digest::of(b"whole").hex());
    write(&whole, b"whole").unwrap();
    let damaged = root.join("blobs").join(Digest::of(b"damaged").hex());
    write(&damaged, b"damagee").unwrap();
    let no_tree = root.join("trees").join(Digest::of(b"tree").hex());
    write(&no_tree.join("file"), b"x").unwrap();
    assert!(store.blob(Digest::of(b"whole")).unwrap().is_some());
    assert!(store.blob(Digest::of(b"damaged")).unwrap().is_none());
    assert!(store.tree(Digest::of(b"tree")).unwrap().is_none());
    assert!(!disk::exists(&damaged) && !disk::exists(&no_tree));
}

#[test]
fn after_a_power_cut_what_was_not_settled_is_read_again() {
    let (_root, mut store) = world();
    let settled = blob(&store, b"settled").unwrap();
    store.settle().unwrap();
    let whole = tree(&store, &[("a", "1")]).unwrap();
    let damaged = tree(&store, &[("a", "2")]).unwrap();
    let key = BuildKey::of("step");
    store.remember(key, &record(&[("out", damaged.digest())])).unwrap();
    // Within this boot nothing is read again, so damage goes unseen here.
    flip_a_bit(&damaged.path().join("a"));
    flip_a_bit(settled.path());
    assert!(store.recall(key).unwrap().is_some());
    store.boot = Some("the next boot".into());
    assert!(store.tree(whole.digest()).unwrap().is_some());
    assert_eq!(store.recall(key).unwrap(), None);
    assert!(!disk::exists(damaged.path()));
    assert!(store.index().recall(key).unwrap().is_none(), "its record goes too");
    assert!(store.blob(settled.digest()).unwrap().is_some());
    let again = tree(&store, &[("a", "2")]).unwrap();
    assert_eq!(again, damaged);
}

#[test]
fn a_record_is_recalled_only_while_all_its_outputs_are_held() {
    let (_root, store) = world();
    let made = tree(&store, &[("a", "1")]).unwrap();
    let log = blob(&store, b"log").unwrap();
    let kept = record(&[("with a\ttab", made.digest()), ("log", log.digest())]);
    let key = BuildKey::of("step");
    assert_eq!(store.recall(key).unwrap(), None);
    store.remember(key, &kept).unwrap();
    assert_eq!(store.recall(key).unwrap(), Some(kept));
    disk::remove_file(log.path()).unwrap();
    assert_eq!(store.recall(key).unwrap(), None);
}

#[test]
fn a_damaged_listing_is_made_again_from_the_tree() {
    let (_root, store) = world();
    let made = tree(&store, &[("a", "1")]).unwrap();
    let listing = store.listing(&made).unwrap();
    let mut packed = store.index().listing(made.digest()).unwrap().unwrap();
    packed.bytes[0] ^= 1;
    store.index().keep_listing(made.digest(), &packed).unwrap();
    assert_eq!(store.listing(&made).unwrap(), listing);
    let packed = store.index().listing(made.digest()).unwrap().unwrap();
    assert!(super::listing::unpack(&packed).is_some());
}

#[test]
fn opening_and_recalling_takes_a_small_part_of_twenty_milliseconds() {
    let (_root, store) = world();
    let made = tree(&store, &[("a", "1")]).unwrap();
    let keys: Vec<_> = (0..60).map(|n| BuildKey::of(&n.to_string())).collect();
    for key in &keys {
        store.remember(*key, &record(&[("out", made.digest())])).unwrap();
    }
    let root = store.root().to_owned();
    drop(store);
    let run = || {
        let start = Instant::now();
        let store = Store::open(&root).unwrap();
        let opened = start.elapsed();
        for key in &keys {
            assert!(store.recall(*key).unwrap().is_some());
        }
        let recalled = start.elapsed() - opened;
        drop(store);
        (start.elapsed(), opened, recalled)
    };
    let best = (0..20).map(|_| run()).min().unwrap();
    println!("all, open, 60 recalls: {best:?}");
    assert!(best.0 < Duration::from_millis(15), "{best:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_listing_of_any_tree_is_what_a_scan_of_it_finds(
        files in prop::collection::btree_map("[a-c]{1,2}(/[a-c .é]{1,3}[a-z]){0,3}", prop::collection::vec(any::<u8>(), 0..50), 0..12)
    ) {
        let (_root, store) = world();
        let scratch = store.scratch().unwrap();
        let made = scratch.path().join("made");
        disk::create_dir_all(&made).unwrap();
        for (path, bytes) in &files {
            // A file where another needs a directory is no tree; the first one stays.
            let _ = write(&made.join(path), bytes);
        }
        let before = tree::scan(&made, &[]).unwrap();
        let held = store.insert_tree("any", &made, Some(before.hash)).unwrap();
        prop_assert_eq!(&store.listing(&held).unwrap(), &before.tree);
        let packed = store.index().listing(held.digest()).unwrap().unwrap();
        prop_assert_eq!(super::listing::unpack(&packed).unwrap(), before.tree);
        prop_assert_eq!(tree::scan(held.path(), &[]).unwrap().hash, before.hash);
    }
}
