//! Lock: files that one holds against others, and names that are only there while they are held.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::status::{Status, status, status_of};
use super::{Result, refused};

/// How a lock on a file is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Many at once.
    Shared,
    /// One alone.
    Exclusive,
}

/// A lock on a file, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Takes the lock on `path`, waiting for those who hold it.
pub fn lock(path: &Path, mode: LockMode) -> Result<FileLock> {
    let (wait, _) = operations(mode);
    let file = lock_file(path)?;
    rustix::fs::flock(&file, wait).map_err(|errno| refused("lock", path)(errno.into()))?;
    Ok(FileLock { _file: file })
}

/// Takes the lock on `path` if nobody holds it against us; `None` otherwise.
pub fn try_lock(path: &Path, mode: LockMode) -> Result<Option<FileLock>> {
    let (_, attempt) = operations(mode);
    let file = lock_file(path)?;
    match rustix::fs::flock(&file, attempt) {
        Ok(()) => Ok(Some(FileLock { _file: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(refused("lock", path)(errno.into())),
    }
}

fn operations(mode: LockMode) -> (FlockOperation, FlockOperation) {
    match mode {
        LockMode::Shared => (FlockOperation::LockShared, FlockOperation::NonBlockingLockShared),
        LockMode::Exclusive => {
            (FlockOperation::LockExclusive, FlockOperation::NonBlockingLockExclusive)
        }
    }
}

/// A lock on a name: its file is there only while somebody holds the lock or waits for it.
#[derive(Debug)]
pub struct NameLock {
    path: PathBuf,
    _file: File,
}

impl Drop for NameLock {
    fn drop(&mut self) {
        // Removed while still held: whoever waits for this very file sees that it lost its name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the lock on the name `path` alone, waiting for who holds it.
pub fn lock_name(path: &Path) -> Result<NameLock> {
    loop {
        let file = lock_file(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| refused("lock", path)(errno.into()))?;
        if let Some(lock) = named(file, path)? {
            return Ok(lock);
        }
    }
}

/// Takes the lock on the name `path` if nobody holds it; `None` otherwise.
pub fn try_lock_name(path: &Path) -> Result<Option<NameLock>> {
    let file = lock_file(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => named(file, path),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(refused("lock", path)(errno.into())),
    }
}

/// Accepts a locked file if it still bears its name: the holder before us may have removed it.
fn named(file: File, path: &Path) -> Result<Option<NameLock>> {
    let metadata = file.metadata().map_err(refused("look at", path))?;
    let same = |status: Status| status.identity == status_of(&metadata).identity;
    Ok(status(path)?.is_some_and(same).then(|| NameLock { path: path.to_owned(), _file: file }))
}

fn lock_file(path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(refused("lock", path))
}
