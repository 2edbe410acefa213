//! Scan: a tree on disk as a value, and its content hash in the same pass.

use std::io::{self, Read, Write};
use std::path::Path;

use super::{Entry, RelPath, Tree, TreeError};
use crate::digest::{Digest, Hashing};
use crate::disk::{self, DiskError, Kind};
use crate::limits::{FILE_BYTES_MAX, TREE_ENTRIES_MAX};

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
