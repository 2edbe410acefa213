//! Bundle: a lock with everything that it names, as one file for a machine without a network; and as directories.
//!
//! A bundle is a plain tar, so that anybody can look into it: `rebeam-bundle` (the format's version),
//! `rebeam.lock`, `registry/REPOSITORY/PACKAGE` (the signed documents that registries gave), `trees/<content
//! hash>/…` (every source's files) and `blobs/<SHA-256>` (every Debian package, and the image that the release is laid
//! over: its index, and for every machine manifest, configuration and layers). Members are sorted and have no times or
//! owners, so that one lock makes one file.
//!
//! **Nothing of a bundle is believed.** It is unpacked beside the store with the rules for strangers' archives;
//! every tree and blob is hashed and must have its name; what the lock names must all be there and nothing
//! else may be. Only then does the first of it become held, through the store's own door, which hashes it again.

mod error;
mod read;
#[cfg(test)]
mod tests;
mod vendor;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::lock::Lock;
use crate::store::{HeldBlob, HeldTree};

pub use error::BundleError;
pub use read::{Imported, import};
pub use vendor::{Vendored, vendor};
pub use write::{export, pack};

/// The version of the format.
const VERSION: u32 = 1;
/// The member that says what the file is.
const MARK: &str = "rebeam-bundle";
const REGISTRY: &str = "registry";
const TREES: &str = "trees";
const BLOBS: &str = "blobs";

/// The signed documents of registries, by repository and package.
pub type Documents = BTreeMap<(String, String), Vec<u8>>;

/// What goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The lock.
    pub lock: Lock,
    /// Every source's files.
    pub trees: Vec<HeldTree>,
    /// Every Debian package, and all of the base.
    pub blobs: Vec<HeldBlob>,
    /// What registries said of the packages.
    pub documents: Documents,
}

/// The trees and blobs that a lock names. What the manifests of its base name belongs to a bundle, too.
fn named(lock: &Lock) -> (BTreeSet<Digest>, BTreeSet<Digest>) {
    let trees = lock.sources.iter().filter_map(|source| source.pin.tree()).collect();
    let base = lock.base.iter().flat_map(|base| base.manifests.values().chain([&base.digest]));
    let debs = lock.debs().chain(lock.service_debs()).map(|deb| deb.sha256);
    (trees, debs.chain(base.copied()).collect())
}
