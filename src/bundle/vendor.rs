//! Vendor: every locked source as a directory, to be read, searched, or built from without a network.

use std::path::Path;

use crate::disk::{self, Kind};
use crate::fetch::{Sources, vendored_place};
use crate::lock::Lock;
use crate::project::VENDOR_MARK;
use crate::store::{Store, TREE_TIME};
use crate::tree::{self, Placement};

use super::BundleError;

/// What was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendored {
    /// Sources.
    pub sources: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Lays every source of a lock out below `directory`, each checked against the lock after it was written.
///
/// What an earlier call made there is replaced; anything else stays, and is an error.
pub fn vendor(
    lock: &Lock,
    sources: &Sources,
    store: &Store,
    directory: &Path,
) -> Result<Vendored, BundleError> {
    refuse_others(directory)?;
    let temporary = disk::sibling(directory);
    let laid_out = lay_out(lock, sources, store, &temporary).and_then(|vendored| {
        disk::remove_tree(directory)?;
        disk::rename(&temporary, directory)?;
        Ok(vendored)
    });
    if laid_out.is_err() {
        let _ = disk::remove_tree(&temporary);
    }
    laid_out
}

/// Refuses to replace what was not made here.
fn refuse_others(directory: &Path) -> Result<(), BundleError> {
    let occupied = || BundleError::Occupied { path: directory.to_owned() };
    match disk::status(directory)?.map(|status| status.kind) {
        None => Ok(()),
        Some(Kind::Directory) => {
            let is_ours = disk::exists(&directory.join(VENDOR_MARK));
            if is_ours || disk::list(directory)?.is_empty() { Ok(()) } else { Err(occupied()) }
        }
        Some(_) => Err(occupied()),
    }
}

fn lay_out(
    lock: &Lock,
    sources: &Sources,
    store: &Store,
    into: &Path,
) -> Result<Vendored, BundleError> {
    disk::create_dir_all(into)?;
    let mark = "Made by `rebeam vendor` from rebeam.lock; rebeam takes no part of it for the project's own.\n";
    disk::write_atomic(&into.join(VENDOR_MARK), mark.as_bytes())?;
    let mut vendored = Vendored { sources: 0, bytes: 0 };
    for source in &lock.sources {
        let Some(locked) = source.pin.tree() else {
            continue;
        };
        let held = &sources.trees[&(source.role, source.app.clone())];
        let place = vendored_place(into, source.role, &source.app);
        disk::create_dir_all(&place)?;
        let listing = store.listing(held)?;
        tree::place(&listing, held.path(), &place, Placement::Copy, TREE_TIME)?;
        let written = tree::scan(&place, &[])?.hash;
        if written != locked {
            return Err(BundleError::Copied { path: place, locked, written });
        }
        vendored.sources += 1;
        vendored.bytes += listing.bytes();
    }
    Ok(vendored)
}
