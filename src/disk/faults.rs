//! Faults: makes the n-th change from now on fail, for tests of the current thread.

use std::cell::Cell;
use std::io;

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
