//! Scratch: where things are made before they are whole, and who sweeps after a killed process.
//!
//! Each open store has one directory below `scratch/`, and beside it a file of the same name and
//! `.lock` that it keeps locked. The kernel frees the lock when the process ends, however it ends:
//! a directory whose lock is free belongs to nobody and is swept when a store is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{self, NameLock};

use super::error::Result;

/// A directory inside the store in which something is being made; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _session: Arc<Session>,
}

impl Scratch {
    /// Returns the directory, empty at first.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the session or swept by the next one.
        let _ = disk::remove_tree(&self.path);
    }
}

/// The part of `scratch/` that belongs to one open store.
#[derive(Debug)]
pub(super) struct Session {
    directory: PathBuf,
    count: AtomicU64,
    _lock: NameLock,
}

impl Session {
    pub(super) fn start(root: &Path) -> Result<Arc<Self>> {
        static SESSIONS: AtomicU64 = AtomicU64::new(0);
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed);
        // Process ids of two containers over one store may be equal; the lock then waits for nobody
        // but tells them apart, so the next number is taken.
        let mut attempt = 0_u64;
        loop {
            let name = format!("{}-{number}-{attempt}", std::process::id());
            let directory = root.join("scratch").join(&name);
            let lock = disk::try_lock_name(&lock_of(&directory))?;
            attempt += 1;
            let Some(lock) = lock else { continue };
            disk::remove_tree(&directory)?;
            disk::create_dir(&directory)?;
            return Ok(Arc::new(Self { directory, count: AtomicU64::new(0), _lock: lock }));
        }
    }

    pub(super) fn scratch(self: &Arc<Self>) -> Result<Scratch> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(number.to_string());
        disk::create_dir(&path)?;
        Ok(Scratch { path, _session: Arc::clone(self) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = disk::remove_tree(&self.directory);
    }
}

fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension("lock")
}

/// Removes what killed processes left below `scratch/`.
///
/// What a killed build's sandbox still writes while it dies cannot be removed in that instant; it
/// is in nobody's way, and the next sweep takes it.
pub(super) fn sweep(root: &Path) -> Result<()> {
    let scratch = root.join("scratch");
    for name in disk::list(&scratch)? {
        let name = String::from_utf8_lossy(&name);
        let directory = scratch.join(name.strip_suffix(".lock").unwrap_or(&name));
        if let Some(_alone) = disk::try_lock_name(&lock_of(&directory))? {
            let _ = disk::remove_tree(&directory);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_store_opens_while_what_a_killed_process_left_is_still_written_to() {
        let root = tempfile::tempdir().unwrap();
        drop(Store::open(root.path()).unwrap());
        let left = root.path().join("scratch/1-0-0/0");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let _ = disk::create_dir_all(&left.join((number % 4).to_string()));
                }
            });
            for _ in 0..50 {
                let opened = Store::open(root.path());
                // The writer is told first: a failed claim must not leave it running.
                stop.store(opened.is_err(), Ordering::Relaxed);
                opened.unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        drop(Store::open(root.path()).unwrap());
        assert_eq!(disk::list(&root.path().join("scratch")).unwrap().len(), 0);
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_living_one_makes_stays() {
        let root = tempfile::tempdir().unwrap();
        let living = Store::open(root.path()).unwrap();
        let making = living.scratch().unwrap();
        disk::create_dir_all(&root.path().join("scratch/1-0-0/0/deep")).unwrap();
        drop(disk::create_new(&root.path().join("scratch/2-0-0.lock"), false).unwrap());
        let second = Store::open(root.path()).unwrap();
        assert!(disk::exists(making.path()));
        assert!(!disk::exists(&root.path().join("scratch/1-0-0")));
        assert!(!disk::exists(&root.path().join("scratch/2-0-0.lock")));
        drop((second, living));
        assert!(disk::exists(making.path()), "a scratch outlives its store");
        drop(making);
        assert_eq!(disk::list(&root.path().join("scratch")).unwrap().len(), 0);
    }
}
