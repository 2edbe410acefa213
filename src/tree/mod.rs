//! Tree: a file tree as a value, without times and owners, and its content hash.
//!
//! The content hash is the SHA-256 of the tree's NAR serialisation (Nix manual, "Nix Archive
//! format"), so it is the very figure that `nix-hash --type sha256` prints. A NAR knows directories,
//! symbolic links and regular files with one executable bit; so does a [`Tree`].

mod follow;
mod path;
mod scan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use follow::{Followed, follow};
pub use path::RelPath;
pub use scan::{Scan, scan};

use crate::digest::Digest;
use crate::disk::{self, DiskError, Kind};
use crate::explain::Explain;

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory; its entries are in the tree by their paths.
    Directory,
    /// A regular file.
    File {
        /// Whether it may be executed.
        executable: bool,
        /// Bytes.
        size: u64,
        /// SHA-256 of its bytes.
        digest: Digest,
    },
    /// A symbolic link, unresolved.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
}

/// A file tree as a value: every entry below the root by its path. Contents are named by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<RelPath, Entry>,
}

/// A tree could not be read or is not one.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A path that must not be in a tree.
    #[error("`{path}` is not a path that a tree may hold")]
    BadPath {
        /// The offending path, shortened.
        path: String,
    },
    /// A device, pipe or socket.
    #[error("`{}` is neither a file, a directory nor a link", path.display())]
    Special {
        /// Where it stands.
        path: PathBuf,
    },
    /// A limit was reached.
    #[error("`{}` has more than {limit} entries", path.display())]
    TooMany {
        /// The tree's root.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A file grew or shrank while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for TreeError {
    fn blame(&self) -> crate::explain::Blame {
        match self {
            Self::Disk(error) => error.blame(),
            _ => crate::explain::Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Changed { .. } => Some("let no other program write there, and run again".into()),
            _ => None,
        }
    }
}

impl Tree {
    /// Returns all entries in order: a directory comes before what it holds.
    pub fn entries(&self) -> impl Iterator<Item = (&RelPath, &Entry)> {
        self.entries.iter()
    }

    /// Returns the entry at `path`.
    pub fn get(&self, path: &RelPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether the tree is an empty directory.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &Entry| {
            if let Entry::File { size, .. } = entry { *size } else { 0 }
        };
        self.entries.values().map(size).sum()
    }

    /// Makes a tree of entries that are in order; `None` if they are not, or if one lacks its directory.
    pub fn from_sorted(entries: Vec<(RelPath, Entry)>) -> Option<Self> {
        let mut open: Vec<&RelPath> = Vec::new();
        let mut before: Option<&RelPath> = None;
        for (path, entry) in &entries {
            if before.is_some_and(|before| before >= path) {
                return None;
            }
            let parent = path.parent();
            while open.last().copied() != parent.as_ref() {
                open.pop()?;
            }
            if *entry == Entry::Directory {
                open.push(path);
            }
            before = Some(path);
        }
        let entries = entries.into_iter().collect();
        Some(Self { entries })
    }

    /// Puts an entry at `path`, over what stood there; directories above it are made.
    pub fn insert(&mut self, path: RelPath, entry: Entry) {
        let mut above = path.parent();
        while let Some(directory) = above {
            above = directory.parent();
            self.entries.entry(directory).or_insert(Entry::Directory);
        }
        self.entries.insert(path, entry);
    }
}

/// How a tree's files come to stand in a second place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Own bytes: the place may be written to.
    Copy,
    /// Second names of the same files: only for places that nobody writes to.
    HardLink,
}

/// Lays the tree that stands at `from` out below the existing directory `to`.
///
/// Entries merge into directories that are there already; a file or link that is there is an error.
/// Every file gets the modification time `time` (seconds since 1970) when it is copied.
pub fn place(
    tree: &Tree,
    from: &Path,
    to: &Path,
    placement: Placement,
    time: i64,
) -> Result<(), TreeError> {
    for (path, entry) in tree.entries() {
        let target = path.under(to);
        match entry {
            Entry::Directory => {
                if !disk::status(&target)?.is_some_and(|status| status.kind == Kind::Directory) {
                    disk::create_dir(&target)?;
                }
            }
            Entry::Symlink { target: points_to } => disk::symlink(points_to, &target)?,
            Entry::File { executable, .. } => match placement {
                Placement::HardLink => disk::hard_link(&path.under(from), &target)?,
                Placement::Copy => {
                    disk::copy_file(&path.under(from), &target, *executable)?;
                    disk::set_time(&target, time)?;
                }
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for path in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b"] {
            assert!(RelPath::new(path).is_err(), "{path:?}");
        }
        assert!(RelPath::new("a/b..c/.d").is_ok());
    }

    #[test]
    fn a_directory_sorts_right_before_its_entries() {
        let mut paths: Vec<_> =
            ["a-b", "a/c", "a", "a.b"].map(|path| RelPath::new(path).unwrap()).into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["a", "a/c", "a-b", "a.b"]);
    }

    #[test]
    fn the_content_hash_is_the_one_that_nix_prints() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        disk::create_dir_all(&root.join("bin")).unwrap();
        disk::create_dir_all(&root.join("empty")).unwrap();
        drop(disk::create_new(&root.join("zero"), false).unwrap());
        let path = root.join("bin/run");
        let mut file = disk::create_new(&path, true).unwrap();
        disk::write_all(&mut file, &path, b"#!/bin/sh\necho hello\n").unwrap();
        disk::symlink(b"bin/run", &root.join("link")).unwrap();
        let scan = scan(root, &[]).unwrap();
        // From `nix-hash --type sha256` 2.8.0 over the same tree.
        assert_eq!(scan.hash.hex(), NIX_HASH);
        assert_eq!(scan.tree.len(), 5);
    }

    const NIX_HASH: &str = "296f2bbdf5c8887e04d75c0f695c97d5c7fde8688aadff31c05f8214d85cb55f";
}
