//! Disk: the only door to the file system.
//!
//! Every change passes `step`, where a test can make the n-th one fail: what must survive a full
//! disk or a kill is shown by failing at 1, 2, 3 … until the whole operation succeeds.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps};
use thiserror::Error;

use crate::digest::{Digest, Hashing};
use crate::explain::{Blame, Explain};

/// The file system refused.
#[derive(Debug, Error)]
pub enum DiskError {
    /// An operation on a path failed.
    #[error("cannot {action} `{}`", path.display())]
    Refused {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file is larger than what its kind may be.
    #[error("`{}` is larger than the {limit} bytes it may have", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A text file is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
}

impl Explain for DiskError {
    fn blame(&self) -> Blame {
        match self {
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::NotFound => Blame::User,
            Self::Refused { .. } => Blame::World,
            Self::TooLarge { .. } | Self::NotText { .. } => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let Self::Refused { source, path, .. } = self else {
            return None;
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("the disk is full; `rebeam store gc` frees what no lock uses".into())
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                let mut there = path.ancestors().filter(|path| exists(path));
                Some(format!(
                    "look at the owner and mode: `ls -ld {}`",
                    there.next().unwrap_or(path).display()
                ))
            }
            _ => None,
        }
    }
}

impl DiskError {
    /// Tells whether there was no room left.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Refused { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Speaks of `path` where the error is about its temporary name.
    pub fn instead(mut self, temporary: &Path, path: &Path) -> Self {
        if let Self::Refused { path: named, .. } = &mut self
            && named == temporary
        {
            path.clone_into(named);
        }
        self
    }

    /// Tells whether the path was simply not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

type Result<T> = std::result::Result<T, DiskError>;

/// Names the action and the path of an I/O error.
pub fn refused<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Refused { action, path: path.to_owned(), source }
}

/// Passes a change, unless a test wants this one to fail.
fn step(action: &'static str, path: &Path) -> Result<()> {
    #[cfg(test)]
    faults::pass().map_err(refused(action, path))?;
    let _ = (action, path);
    Ok(())
}

/// Announces a change that another's hand makes (SQLite's), so that a test can make it fail too.
pub fn change(action: &'static str, path: &Path) -> Result<()> {
    step(action, path)
}

/// Reads a whole file that may have at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(refused("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(DiskError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Reads a whole UTF-8 file that may have at most `limit` bytes.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| DiskError::NotText { path: path.to_owned() })
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(refused("open", path))
}

/// Opens a file for reading from `at` on. The error is the system's own, for readers that pass it on.
pub fn open_at(path: &Path, at: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file)
}

/// Creates a new file for writing; it is an error if the path exists.
pub fn create_new(path: &Path, executable: bool) -> Result<File> {
    step("create", path)?;
    let mode = if executable { 0o755 } else { 0o644 };
    let file = File::options().write(true).create_new(true).mode(mode).open(path);
    let file = file.map_err(refused("create", path))?;
    // The umask may have taken bits away; what we write has the same mode for every user.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(refused("create", path))?;
    Ok(file)
}

/// Opens a terminal for reading and writing; `None` where there is none.
pub fn open_terminal(path: &Path) -> Option<File> {
    File::options().read(true).write(true).open(path).ok()
}

/// Writes a new file that only its owner may read; it is an error if the path exists.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    step("create", path)?;
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(refused("create", path))?;
    write_all(&mut file, path, bytes)?;
    file.sync_data().map_err(refused("write", path))
}

/// Opens a file for appending, and makes it if it is not there.
pub fn append(path: &Path) -> Result<File> {
    step("append to", path)?;
    File::options().append(true).create(true).open(path).map_err(refused("append to", path))
}

/// Writes `bytes` to a file that was opened through this door.
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    step("write", path)?;
    file.write_all(bytes).map_err(refused("write", path))
}

/// Replaces a file in one instant: a reader sees the old bytes or the new ones, never half.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = sibling(path);
    let written = (|| {
        let mut file = create_new(&temporary, false)?;
        write_all(&mut file, &temporary, bytes)?;
        file.sync_data().map_err(refused("write", &temporary))?;
        drop(file);
        rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| error.instead(&temporary, path))
}

/// Returns a hidden name beside `path` that no other process uses.
pub fn sibling(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.{}.{count}.tmp", std::process::id()))
}

/// Makes a directory and those above it.
pub fn create_dir_all(path: &Path) -> Result<()> {
    step("create the directory", path)?;
    fs::create_dir_all(path).map_err(refused("create the directory", path))
}

/// Makes one new directory; it is an error if the path exists.
pub fn create_dir(path: &Path) -> Result<()> {
    step("create the directory", path)?;
    fs::create_dir(path).map_err(refused("create the directory", path))
}

/// Renames within one file system, over what stands at `to`.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    step("rename to", to)?;
    fs::rename(from, to).map_err(refused("rename to", to))
}

/// Makes a symbolic link at `path` that points to `target`, unresolved.
pub fn symlink(target: &[u8], path: &Path) -> Result<()> {
    step("link", path)?;
    let target = std::ffi::OsStr::from_bytes(target);
    std::os::unix::fs::symlink(target, path).map_err(refused("link", path))
}

/// Makes a second name for a file.
pub fn hard_link(from: &Path, to: &Path) -> Result<()> {
    step("link", to)?;
    fs::hard_link(from, to).map_err(refused("link", to))
}

/// Copies one regular file's bytes; the copy is new and has its own mode.
pub fn copy_file(from: &Path, to: &Path, executable: bool) -> Result<()> {
    let mut source = open(from)?;
    let mut target = create_new(to, executable)?;
    io::copy(&mut source, &mut target).map(drop).map_err(refused("copy to", to))
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: &Path) -> Result<()> {
    step("remove", path)?;
    ignore_missing(fs::remove_file(path)).map_err(refused("remove", path))
}

/// Removes a whole tree, read-only directories too; one that is not there is no error.
pub fn remove_tree(path: &Path) -> Result<()> {
    step("remove", path)?;
    if ignore_missing(fs::remove_dir_all(path)).is_ok() {
        return Ok(());
    }
    make_writable(path);
    ignore_missing(fs::remove_dir_all(path)).map_err(refused("remove", path))
}

fn make_writable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o755));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What stands at a path, as far as rebeam cares. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The kind of entry.
    pub kind: Kind,
    /// Bytes of a regular file.
    pub size: u64,
    /// Device and inode: the identity of the file while it exists.
    pub identity: (u64, u64),
    /// Modification time in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Time of the last change of content, mode or name, in nanoseconds since 1970.
    pub changed_ns: i128,
}

/// The kinds of directory entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; `executable` is its owner's x bit.
    File {
        /// The owner's x bit.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device.
    Special,
}

/// Looks at a path without following a link; `None` if nothing is there.
pub fn status(path: &Path) -> Result<Option<Status>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(status_of(&metadata))),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(refused("look at", path)(error)),
    }
}

fn status_of(metadata: &fs::Metadata) -> Status {
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        Kind::File { executable: metadata.mode() & 0o100 != 0 }
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Special
    };
    let ns = |seconds: i64, nanoseconds: i64| {
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
    };
    Status {
        kind,
        size: metadata.size(),
        identity: (metadata.dev(), metadata.ino()),
        modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Tells whether something stands at `path`, a dangling link included.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Lists the names in a directory, sorted by their bytes.
pub fn list(directory: &Path) -> Result<Vec<Vec<u8>>> {
    let read = || -> io::Result<Vec<Vec<u8>>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().as_bytes().to_vec())).collect()
    };
    let mut names = read().map_err(refused("list", directory))?;
    names.sort_unstable();
    Ok(names)
}

/// Reads where a symbolic link points.
pub fn read_link(path: &Path) -> Result<Vec<u8>> {
    let target = fs::read_link(path).map_err(refused("read the link", path))?;
    Ok(target.as_os_str().as_bytes().to_vec())
}

/// Resolves all links of a path that exists.
pub fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(refused("resolve", path))
}

/// Sets permission bits.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    step("set the mode of", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(refused("set the mode of", path))
}

/// Sets access and modification time in whole seconds since 1970, without following a link.
pub fn set_time(path: &Path, seconds: i64) -> Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| refused("set the time of", path)(errno.into()))
}

/// Writes everything of the file system that holds `path` down to the medium.
pub fn sync_file_system(path: &Path) -> Result<()> {
    step("sync", path)?;
    let directory = open(path)?;
    rustix::fs::syncfs(&directory).map_err(|errno| refused("sync", path)(errno.into()))
}

/// Returns the bytes that an ordinary user may still write to the file system that holds `path`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let status =
        rustix::fs::statvfs(path).map_err(|errno| refused("look at", path)(errno.into()))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

/// Hashes a file without holding it.
pub fn digest(path: &Path) -> Result<Digest> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut open(path)?, &mut hashing).map_err(refused("read", path))?;
    Ok(hashing.finish().1)
}

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

/// Makes the n-th change from now on fail, for tests of the current thread.
#[cfg(test)]
pub(crate) mod faults {
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
}
