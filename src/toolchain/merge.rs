//! Merge: the packages' trees laid over one another as one root, by hard links.

use std::collections::BTreeMap;
use std::path::Path;

use crate::disk;
use crate::lock::Deb;
use crate::store::{Store, TREE_TIME};
use crate::tree::{self, Entry, Placement, RelPath, Tree};

use super::ToolchainError;
use super::owners::Owners;
use super::unpack::Package;

/// Lays the packages out at `root`, which is made, and tells who owns what.
///
/// A path that two packages have with the same content belongs to the first; with different content it
/// is an error, because no script is there to settle it.
pub(super) fn merge(
    packages: &[Package<'_>],
    store: &Store,
    root: &Path,
) -> Result<Owners, ToolchainError> {
    disk::create_dir(root)?;
    let mut taken: BTreeMap<RelPath, (Entry, &Deb)> = BTreeMap::new();
    let mut owners = Owners::default();
    for package in packages {
        let mut new = Tree::default();
        for (path, entry) in store.listing(&package.tree)?.entries() {
            match taken.get(path) {
                Some((known, _)) if known == entry => {}
                Some((_, other)) => return Err(clash(package.deb, other, path)),
                None => {
                    if *entry != Entry::Directory {
                        owners.insert(path.clone(), package.deb);
                    }
                    taken.insert(path.clone(), (entry.clone(), package.deb));
                    new.insert(path.clone(), entry.clone());
                }
            }
        }
        let from = package.tree.path();
        tree::place(&new, from, root, Placement::HardLink, TREE_TIME)?;
    }
    Ok(owners)
}

fn clash(deb: &Deb, other: &Deb, path: &RelPath) -> ToolchainError {
    ToolchainError::Clash {
        package: deb.package.clone(),
        other: other.package.clone(),
        path: path.to_string(),
    }
}
