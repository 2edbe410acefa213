//! Insert: content becomes an object under its name, whole or not at all.

use std::io::Read;
use std::path::Path;

use crate::digest::{Digest, Hashing};
use crate::disk;
use crate::tree::{self, Tree};

use super::error::{Result, StoreError};
use super::find::Content;
use super::{HeldBlob, HeldTree, Kind, Store, TREE_TIME};

impl Store {
    /// Takes a stream in, as far as `limit` bytes, and proves it; with `promised` it must be that blob.
    pub fn insert_blob(
        &self,
        name: &str,
        stream: impl Read,
        limit: u64,
        promised: Option<Digest>,
    ) -> Result<HeldBlob> {
        let scratch = self.scratch()?;
        let temporary = scratch.path().join("blob");
        let (digest, bytes) = pour(name, stream.take(limit.saturating_add(1)), &temporary)?;
        if bytes > limit {
            return Err(StoreError::TooLarge { name: name.into(), limit });
        }
        check(name, promised, digest)?;
        let path = self.place(Kind::Blob, digest);
        if !self.find(Kind::Blob, digest)? {
            // A second name, not a rename: it never replaces a copy that may be on the medium already.
            match disk::hard_link(&temporary, &path) {
                Ok(()) => self.record(digest, &Content::Blob(bytes))?,
                // Another writer was faster; its copy is the same, or is read and found damaged.
                Err(_) if self.find(Kind::Blob, digest)? => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(HeldBlob { digest, path })
    }

    /// Takes the directory `made` (below a [`Scratch`](super::Scratch)) in as a tree and proves it.
    ///
    /// Modes become 0755 or 0644 and times [`TREE_TIME`], so that a tree looks the same wherever it stands.
    pub fn insert_tree(
        &self,
        name: &str,
        made: &Path,
        promised: Option<Digest>,
    ) -> Result<HeldTree> {
        let scan = tree::scan(made, &[])?;
        check(name, promised, scan.hash)?;
        let digest = scan.hash;
        let path = self.place(Kind::Tree, digest);
        if !self.find(Kind::Tree, digest)? {
            normalise(&scan.tree, made)?;
            match disk::rename(made, &path) {
                Ok(()) => self.record(digest, &Content::Tree(scan.tree))?,
                Err(_) if self.find(Kind::Tree, digest)? => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(HeldTree { digest, path })
    }
}

fn check(name: &str, promised: Option<Digest>, received: Digest) -> Result<()> {
    match promised {
        Some(promised) if promised != received => {
            Err(StoreError::Mismatch { name: name.into(), promised, received })
        }
        _ => Ok(()),
    }
}

/// Writes a stream to a new file, hashing what passes.
fn pour(name: &str, mut stream: impl Read, path: &Path) -> Result<(Digest, u64)> {
    let mut file = disk::create_new(path, false)?;
    let mut hashing = Hashing::new(std::io::sink());
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(StoreError::Cut { name: name.into(), source });
            }
        };
        disk::write_all(&mut file, path, &buffer[..count])?;
        std::io::Write::write_all(&mut hashing, &buffer[..count])
            .expect("hashing into a sink cannot fail");
    }
    let (_, digest, bytes) = hashing.finish();
    Ok((digest, bytes))
}

fn normalise(listing: &Tree, at: &Path) -> Result<()> {
    for (path, entry) in listing.entries() {
        let on_disk = path.under(at);
        match entry {
            tree::Entry::Directory => disk::set_mode(&on_disk, 0o755)?,
            tree::Entry::File { executable, .. } => {
                disk::set_mode(&on_disk, if *executable { 0o755 } else { 0o644 })?;
                disk::set_time(&on_disk, TREE_TIME)?;
            }
            tree::Entry::Symlink { .. } => disk::set_time(&on_disk, TREE_TIME)?,
        }
    }
    // A directory's time changes as its entries are touched: from the deepest up.
    for (path, entry) in listing.entries().collect::<Vec<_>>().into_iter().rev() {
        if matches!(entry, tree::Entry::Directory) {
            disk::set_time(&path.under(at), TREE_TIME)?;
        }
    }
    disk::set_mode(at, 0o755)?;
    Ok(disk::set_time(at, TREE_TIME)?)
}
