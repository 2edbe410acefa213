//! Write: a bundle's members in order, into a file that stands there whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::digest::{Digest, Hashing};
use crate::disk::{self, refused};
use crate::lock::FILE_NAME;
use crate::store::{HeldTree, Store};
use crate::tree::Entry;

use super::{BLOBS, BundleError, Contents, MARK, REGISTRY, TREES, VERSION};

/// Writes a bundle to `path`, over what stood there; returns its SHA-256 and its size.
pub fn export(
    contents: &Contents,
    store: &Store,
    path: &Path,
) -> Result<(Digest, u64), BundleError> {
    let temporary = disk::sibling(path);
    let written = (|| {
        let file = disk::create_new(&temporary, false)?;
        let file = io::BufWriter::with_capacity(1 << 20, file);
        let mut bundle = Bundle { tar: Builder::new(Hashing::new(file)), path: &temporary };
        bundle.members(contents, store)?;
        let hashing = bundle.tar.into_inner().map_err(refused("write", &temporary))?;
        let (file, digest, bytes) = hashing.finish();
        let file = file.into_inner().map_err(|error| error.into_error());
        file.and_then(|file: File| file.sync_data()).map_err(refused("write", &temporary))?;
        disk::rename(&temporary, path)?;
        Ok((digest, bytes))
    })();
    if written.is_err() {
        let _ = disk::remove_file(&temporary);
    }
    written.map_err(|error| match error {
        BundleError::Disk(error) => BundleError::Disk(error.instead(&temporary, path)),
        other => other,
    })
}

/// Writes a tree as a tar that is the same bytes for the same tree; `path` is what errors call it.
pub fn pack<W: Write>(
    tree: &HeldTree,
    store: &Store,
    out: W,
    path: &Path,
) -> Result<W, BundleError> {
    let mut bundle = Bundle { tar: Builder::new(out), path };
    bundle.tree("", tree, store)?;
    Ok(bundle.tar.into_inner().map_err(refused("write", path))?)
}

struct Bundle<'a, W: Write> {
    tar: Builder<W>,
    path: &'a Path,
}

impl<W: Write> Bundle<'_, W> {
    fn members(&mut self, contents: &Contents, store: &Store) -> Result<(), BundleError> {
        self.file(MARK.as_bytes(), format!("{VERSION}\n").as_bytes())?;
        self.file(FILE_NAME.as_bytes(), contents.lock.to_text().as_bytes())?;
        for ((repository, package), document) in &contents.documents {
            self.file(format!("{REGISTRY}/{repository}/{package}").as_bytes(), document)?;
        }
        // What the lock names comes last, so that a file that was cut off is seen to lack it.
        let trees: BTreeMap<Digest, &HeldTree> =
            contents.trees.iter().map(|tree| (tree.digest(), tree)).collect();
        for (digest, tree) in trees {
            let name = format!("{TREES}/{}", digest.hex());
            self.entry(directory(), name.as_bytes(), io::empty())?;
            self.tree(&format!("{name}/"), tree, store)?;
        }
        let blobs: BTreeMap<Digest, &Path> =
            contents.blobs.iter().map(|blob| (blob.digest(), blob.path())).collect();
        for (digest, path) in blobs {
            let name = format!("{BLOBS}/{}", digest.hex());
            self.stream(name.as_bytes(), path, false)?;
        }
        Ok(())
    }

    fn tree(&mut self, before: &str, tree: &HeldTree, store: &Store) -> Result<(), BundleError> {
        for (path, entry) in store.listing(tree)?.entries() {
            let name = [before.as_bytes(), path.as_bytes()].concat();
            match entry {
                Entry::Directory => {
                    self.entry(directory(), &name, io::empty())?;
                }
                Entry::File { executable, .. } => {
                    self.stream(&name, &path.under(tree.path()), *executable)?;
                }
                Entry::Symlink { target } => self.link(&name, target)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &[u8], bytes: &[u8]) -> Result<(), BundleError> {
        self.entry(header(EntryType::Regular, 0o644, bytes.len() as u64), name, bytes)
    }

    fn stream(&mut self, name: &[u8], from: &Path, executable: bool) -> Result<(), BundleError> {
        let file = disk::open(from)?;
        let bytes = file.metadata().map_err(refused("look at", from))?.len();
        let mode = if executable { 0o755 } else { 0o644 };
        self.entry(header(EntryType::Regular, mode, bytes), name, file.take(bytes))
    }

    /// Writes a link with its target as it stands: a library's function would tidy it up.
    fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), BundleError> {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        if header.set_link_name_literal(target).is_err() {
            let mut long = header_of_long_link(target.len() as u64 + 1);
            long.set_cksum();
            let bytes = [target, b"\0"].concat();
            self.tar.append(&long, bytes.as_slice()).map_err(refused("write", self.path))?;
        }
        self.entry(header, name, io::empty())
    }

    fn entry(
        &mut self,
        mut header: Header,
        name: &[u8],
        from: impl Read,
    ) -> Result<(), BundleError> {
        let path = Path::new(std::ffi::OsStr::from_bytes(name));
        let written = self.tar.append_data(&mut header, path, from);
        Ok(written.map_err(refused("write", self.path))?)
    }
}

fn directory() -> Header {
    header(EntryType::Directory, 0o755, 0)
}

fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn header_of_long_link(bytes: u64) -> Header {
    let mut header = header(EntryType::GNULongLink, 0o644, bytes);
    header.set_path("././@LongLink").expect("a short name fits");
    header
}
