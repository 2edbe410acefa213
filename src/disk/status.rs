//! Status: what stands at a path.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Result, refused};

/// What stands at a path, as far as rebeam cares. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The kind of entry.
    pub kind: Kind,
    /// Bytes of a regular file.
    pub size: u64,
    /// Device and inode: the identity of the file while it exists.
    pub identity: (u64, u64),
    /// The user and the group that it belongs to.
    pub owner: (u32, u32),
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

pub(super) fn status_of(metadata: &fs::Metadata) -> Status {
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
        owner: (metadata.uid(), metadata.gid()),
        modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Tells whether something stands at `path`, a dangling link included.
pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
