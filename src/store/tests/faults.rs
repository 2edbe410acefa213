//! Faults: every change fails once, and processes are killed at any instant.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::disk::{self, faults};
use crate::event::Silent;
use crate::explain::Explain as _;
use crate::store::tests::sweep::five;
use crate::store::tests::{Result, blob, record, tree, verifies_clean, write};
use crate::store::{BuildKey, GcOptions, Store, StoreError};

/// Fails the first change, the second, … each in a new store, until the operation succeeds; after each
/// failure the store must open, verify clean, and let the operation succeed.
fn survives_faults(
    prepare: impl Fn(&Path) -> Store,
    operation: impl Fn(&Store) -> Result<()>,
) -> u64 {
    for changes in 0.. {
        assert!(changes < 500, "the operation never succeeds");
        let root = tempfile::tempdir().unwrap();
        let store = prepare(root.path());
        let at = store.root().to_owned();
        faults::fail_after(changes);
        let failed = operation(&store);
        drop(store);
        faults::clear();
        let store = Store::open(&at).unwrap();
        verifies_clean(&store);
        assert_eq!(disk::list(&at.join("scratch")).unwrap().len(), 0);
        let Err(error) = failed else {
            return changes;
        };
        assert!(error.hint().unwrap().contains("rebeam store gc"), "{error:?}");
        operation(&store).unwrap();
        verifies_clean(&store);
    }
    unreachable!()
}

fn fresh(root: &Path) -> Store {
    Store::open(&root.join("store")).unwrap()
}

#[test]
fn a_blob_survives_a_fault_at_every_change() {
    let changes = survives_faults(fresh, |store| {
        let held = blob(store, &[7; 300_000])?;
        assert!(store.blob(held.digest())?.is_some());
        Ok(())
    });
    assert!(changes > 5, "{changes}");
}

#[test]
fn a_tree_survives_a_fault_at_every_change() {
    let changes = survives_faults(fresh, |store| {
        let held = tree(store, &[("bin/run", "1"), ("ebin/a.beam", "2")])?;
        assert_eq!(store.listing(&held)?.len(), 4);
        Ok(())
    });
    assert!(changes > 12, "{changes}");
}

#[test]
fn a_record_survives_a_fault_at_every_change() {
    survives_faults(fresh, |store| {
        let made = blob(store, b"made")?;
        let key = BuildKey::of("step");
        let kept = record(&[("out", made.digest())]);
        store.remember(key, &kept)?;
        store.settle()?;
        assert_eq!(store.recall(key)?, Some(kept));
        Ok(())
    });
}

#[test]
fn gc_survives_a_fault_at_every_change() {
    let prepare = |root: &Path| five(root).0;
    let changes = survives_faults(prepare, |store| {
        store.gc(GcOptions::default())?;
        assert_eq!(store.on_disk()?.len(), 2);
        assert!(store.recall(BuildKey::of("step"))?.is_some());
        Ok(())
    });
    assert!(changes > 4, "{changes}");
}

#[test]
fn opening_survives_a_fault_at_every_change() {
    for changes in 0..100 {
        let root = tempfile::tempdir().unwrap();
        faults::fail_after(changes);
        let opened = Store::open(root.path());
        faults::clear();
        let done = opened.is_ok();
        drop(opened);
        let store = Store::open(root.path()).unwrap();
        verifies_clean(&store);
        if done {
            assert!(changes > 4, "{changes}");
            return;
        }
    }
    panic!("the store never opens");
}

const CHILD: &str = "REBEAM_TEST_STORE_CHILD";

/// Not a test of its own: what the killed processes run.
#[test]
fn a_child_inserts_until_it_is_killed() {
    let Ok(root) = std::env::var(CHILD) else {
        return;
    };
    let root = Path::new(&root);
    let lock = root.join("rebeam.lock");
    for turn in 0_u64.. {
        let store = Store::open(&root.join("store")).unwrap();
        let mut uses = Vec::new();
        for n in 0..10 {
            let text = format!("{turn} {n} ").repeat(5_000);
            let text_held = blob(&store, text.as_bytes()).unwrap();
            let made = tree(&store, &[("bin/run", &text), ("a/b/c", "1"), ("d", "")]).unwrap();
            let key = BuildKey::of(&format!("{turn} {n}"));
            let kept = record(&[("out", made.digest()), ("log", text_held.digest())]);
            store.remember(key, &kept).unwrap();
            uses.push(key.digest());
        }
        store.add_root(&lock, &uses).unwrap();
        match store.gc(GcOptions::default()) {
            Ok(_) | Err(StoreError::InUse { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_store_whose_users_are_killed_at_any_instant_stays_whole() {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("rebeam.lock"), b"").unwrap();
    let at = root.path().join("store");
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut seen = 0;
    for _ in 0..15 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "store::tests::faults::a_child_inserts_until_it_is_killed"])
                    .env(CHILD, root.path())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in &mut children {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            std::thread::sleep(Duration::from_micros(20_000 + seed % 100_000));
            assert!(child.try_wait().unwrap().is_none(), "it failed before it was killed");
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = Store::open(&at).unwrap();
        let report = store.verify(false, &Silent).unwrap();
        assert!(report.is_clean(), "{report:?}");
        seen += report.checked;
        assert_eq!(disk::list(&at.join("scratch")).unwrap().len(), 0);
    }
    assert!(seen > 50, "the children were killed before they could insert: {seen}");
}

const FULL: &str = "REBEAM_TEST_STORE_FULL";

/// Not a test of its own: runs on a small file system that is there for it alone.
#[test]
fn a_child_fills_its_disk() {
    let Ok(root) = std::env::var(FULL) else {
        return;
    };
    let root = Path::new(&root);
    let store = Store::open(&root.join("store")).unwrap();
    let full = (0_u32..).find_map(|n| blob(&store, &n.to_le_bytes().repeat(20_000)).err());
    let full = full.unwrap();
    assert!(full.hint().unwrap().contains("rebeam store gc"), "{full:?}");
    drop(store);
    let fill = root.join("fill");
    let mut file = disk::create_new(&fill, false).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        while disk::write_all(&mut file, &fill, &vec![0; size]).is_ok() {}
    }
    // A command that only looks must not use up what gc will need.
    for _ in 0..3 {
        verifies_clean(&Store::open(&root.join("store")).unwrap());
    }
    let store = Store::open(&root.join("store")).unwrap();
    assert!(store.gc(GcOptions::default()).unwrap().removed > 3);
    verifies_clean(&store);
    blob(&store, b"room again").unwrap();
}

#[test]
fn a_full_disk_is_said_and_gc_still_works_on_it() {
    let root = tempfile::tempdir().unwrap();
    let mut child = Command::new("unshare");
    let script =
        "mount -t tmpfs -o size=4m none \"$1\" || exit 77; exec \"$2\" --exact \"$3\" --nocapture";
    child.args(["-Urm", "sh", "-c", script, "sh"]);
    child.arg(root.path()).arg(std::env::current_exe().unwrap());
    child.arg("store::tests::faults::a_child_fills_its_disk");
    let Ok(output) = child.env(FULL, root.path()).output() else {
        println!("skipped: no `unshare` here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !said.contains("running 1 test") {
        println!("skipped: no small file system can be made here: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
}
