//! Disk: the only door to the file system.
//!
//! Every change passes `step`, where a test can make the n-th one fail: what must survive a full
//! disk or a kill is shown by failing at 1, 2, 3 … until the whole operation succeeds.

mod error;
#[cfg(test)]
pub(crate) mod faults;
mod lock;
mod status;

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

pub use error::{DiskError, refused};
pub use lock::{FileLock, LockMode, NameLock, lock, lock_name, try_lock, try_lock_name};
pub use status::{Kind, Status, exists, status};

use crate::digest::{Digest, Hashing};

type Result<T> = std::result::Result<T, DiskError>;

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
    #[cfg(test)]
    faults::opened(path);
    File::open(path).map_err(refused("open", path))
}

/// Opens a file for reading from `at` on. The error is the system's own, for readers that pass it on.
pub fn open_at(path: &Path, at: u64) -> io::Result<File> {
    #[cfg(test)]
    faults::opened(path);
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

/// Hands a path to a user and a group, without following a link.
pub fn own(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    step("hand over", path)?;
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(refused("hand over", path))
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
