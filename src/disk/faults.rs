//! Faults: makes the n-th change from now on fail, for tests of the current thread; and counts how often a file is opened.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How often each file was opened to be read, by whatever thread.
static OPENED: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());

thread_local! {
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Lets `changes` pass and fails every one after them with a full disk.
pub(crate) fn fail_after(changes: u64) {
    LEFT.set(Some(changes));
}

/// Lets everything pass again; tells whether a change was failed.
pub(crate) fn clear() -> bool {
    LEFT.take() == Some(0)
}

pub(super) fn pass() -> io::Result<()> {
    match LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::ErrorKind::StorageFull.into()),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}

pub(super) fn opened(path: &Path) {
    let mut opened = OPENED.lock().expect("no holder of the counts panics");
    *opened.entry(path.to_owned()).or_default() += 1;
}

/// Returns how often a file was opened to be read.
pub(crate) fn times_opened(path: &Path) -> u64 {
    let opened = OPENED.lock().expect("no holder of the counts panics");
    opened.get(path).copied().unwrap_or_default()
}
