//! Tree: a file tree as a value, without times and owners, and its content hash.
//!
//! The content hash is the SHA-256 of the tree's NAR serialisation (Nix manual, "Nix Archive
//! format"), so it is the very figure that `nix-hash --type sha256` prints. A NAR knows directories,
//! symbolic links and regular files with one executable bit; so does a [`Tree`].

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::digest::{Digest, Hashing};
use crate::disk::{self, DiskError, Kind};
use crate::explain::Explain;
use crate::limits::{FILE_BYTES_MAX, PATH_BYTES_MAX, TREE_DEPTH_MAX, TREE_ENTRIES_MAX};

/// A path inside a tree: relative, of plain components, never empty. Bytes, as on disk.
///
/// Sorts by components, so that a directory's entries follow it and names sort as in a NAR.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// Accepts `a/b/c`; refuses empty, absolute, `.`, `..` and empty components, NUL, and over-long paths.
    pub fn new(path: impl Into<Vec<u8>>) -> Result<Self, TreeError> {
        let path = path.into();
        let plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
        let fits = path.len() <= PATH_BYTES_MAX
            && path.split(|byte| *byte == b'/').count() <= TREE_DEPTH_MAX
            && !path.contains(&0);
        if fits && path.split(|byte| *byte == b'/').all(plain) {
            Ok(Self(path))
        } else {
            Err(TreeError::BadPath {
                path: String::from_utf8_lossy(&path).chars().take(200).collect(),
            })
        }
    }

    /// Returns the path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path of `name` below this one.
    pub fn join(&self, name: &[u8]) -> Result<Self, TreeError> {
        let mut path = self.0.clone();
        path.push(b'/');
        path.extend_from_slice(name);
        Self::new(path)
    }

    /// Returns the directory that holds this entry; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        Some(Self(self.0[..slash].to_vec()))
    }

    /// Returns the last component.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().expect("a path has a component")
    }

    /// Returns the components from the top.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// Returns where this entry stands when the tree stands at `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0))
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<Vec<u8>> for RelPath {
    fn borrow(&self) -> &Vec<u8> {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

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

/// A tree that was read from disk, with its content hash.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The entries.
    pub tree: Tree,
    /// The content hash: SHA-256 of the NAR.
    pub hash: Digest,
}

/// Reads the tree below the directory `root`, in one pass: every file's digest and the content hash.
///
/// Names in `skip` are left out at the top level (`.git`, for one).
pub fn scan(root: &Path, skip: &[&str]) -> Result<Scan, TreeError> {
    let mut scanner = Scanner { root, skip, tree: Tree::default(), nar: Hashing::new(io::sink()) };
    scanner.token(b"nix-archive-1");
    scanner.directory(None)?;
    let (_, hash, _) = scanner.nar.finish();
    Ok(Scan { tree: scanner.tree, hash })
}

struct Scanner<'a> {
    root: &'a Path,
    skip: &'a [&'a str],
    tree: Tree,
    nar: Hashing<io::Sink>,
}

impl Scanner<'_> {
    /// Writes one NAR string: length as 64-bit little endian, bytes, zeros up to a multiple of 8.
    fn token(&mut self, bytes: &[u8]) {
        self.raw(&(bytes.len() as u64).to_le_bytes());
        self.raw(bytes);
        self.pad(bytes.len() as u64);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.nar.write_all(bytes).expect("hashing into a sink cannot fail");
    }

    fn pad(&mut self, length: u64) {
        let zeros = usize::try_from(length.next_multiple_of(8) - length).expect("less than 8");
        self.raw(&[0; 8][..zeros]);
    }

    fn directory(&mut self, path: Option<&RelPath>) -> Result<(), TreeError> {
        let on_disk = path.map_or_else(|| self.root.to_owned(), |path| path.under(self.root));
        for token in [&b"("[..], b"type", b"directory"] {
            self.token(token);
        }
        for name in disk::list(&on_disk)? {
            if path.is_none() && self.skip.iter().any(|skipped| skipped.as_bytes() == name) {
                continue;
            }
            let below = match path {
                Some(path) => path.join(&name)?,
                None => RelPath::new(name.clone())?,
            };
            for token in [&b"entry"[..], b"(", b"name", &name, b"node"] {
                self.token(token);
            }
            self.node(below)?;
            self.token(b")");
        }
        self.token(b")");
        Ok(())
    }

    fn node(&mut self, path: RelPath) -> Result<(), TreeError> {
        if self.tree.len() >= TREE_ENTRIES_MAX {
            return Err(TreeError::TooMany { path: self.root.to_owned(), limit: TREE_ENTRIES_MAX });
        }
        let on_disk = path.under(self.root);
        let status =
            disk::status(&on_disk)?.ok_or_else(|| TreeError::Changed { path: on_disk.clone() })?;
        match status.kind {
            Kind::Directory => {
                self.tree.entries.insert(path.clone(), Entry::Directory);
                self.directory(Some(&path))
            }
            Kind::Symlink => {
                let target = disk::read_link(&on_disk)?;
                for token in [&b"("[..], b"type", b"symlink", b"target", &target, b")"] {
                    self.token(token);
                }
                self.tree.entries.insert(path, Entry::Symlink { target });
                Ok(())
            }
            Kind::File { executable } => {
                let digest = self.file(&on_disk, executable, status.size)?;
                self.tree
                    .entries
                    .insert(path, Entry::File { executable, size: status.size, digest });
                Ok(())
            }
            Kind::Special => Err(TreeError::Special { path: on_disk }),
        }
    }

    fn file(&mut self, on_disk: &Path, executable: bool, size: u64) -> Result<Digest, TreeError> {
        if size > FILE_BYTES_MAX {
            return Err(
                DiskError::TooLarge { path: on_disk.to_owned(), limit: FILE_BYTES_MAX }.into()
            );
        }
        for token in [&b"("[..], b"type", b"regular"] {
            self.token(token);
        }
        if executable {
            self.token(b"executable");
            self.token(b"");
        }
        self.token(b"contents");
        self.raw(&size.to_le_bytes());
        let mut file = disk::open(on_disk)?.take(size + 1);
        let mut contents = Hashing::new(&mut self.nar);
        io::copy(&mut file, &mut contents).map_err(disk::refused("read", on_disk))?;
        let (_, digest, bytes) = contents.finish();
        if bytes != size {
            return Err(TreeError::Changed { path: on_disk.to_owned() });
        }
        self.pad(size);
        self.token(b")");
        Ok(digest)
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
