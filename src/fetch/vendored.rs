//! Vendored: sources that stand as directories, as `rebeam vendor` lays them out.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk;
use crate::lock::{Role, Source};
use crate::store::HeldTree;
use crate::tree::{self, Placement};

use super::{Doors, FetchError};

/// Returns where a source stands below a directory that `rebeam vendor` made.
pub fn vendored_place(directory: &Path, role: Role, app: &str) -> PathBuf {
    let names = match role {
        Role::Dep => "deps",
        Role::Plugin => "plugins",
        Role::Tool => "tools",
    };
    directory.join(names).join(app)
}

impl Doors<'_> {
    /// Takes a source from the manifest's directory of sources, if it is there; it must be what the lock says.
    pub(super) fn take_vendored(
        &self,
        source: &Source,
        locked: Digest,
    ) -> Result<Option<HeldTree>, FetchError> {
        let Some(directory) = &self.vendor else {
            return Ok(None);
        };
        let place = vendored_place(directory, source.role, &source.app);
        if !disk::exists(&place) {
            return Ok(None);
        }
        let vendored = |error: tree::TreeError| FetchError::Vendored(error);
        let scan = tree::scan(&place, &[]).map_err(vendored)?;
        if scan.hash != locked {
            let place = place.display().to_string();
            return Err(FetchError::Altered { place, locked, found: scan.hash });
        }
        let scratch = self.store.scratch()?;
        let copy = scratch.path().join("tree");
        disk::create_dir(&copy).map_err(|error| vendored(error.into()))?;
        tree::place(&scan.tree, &place, &copy, Placement::Copy, 0).map_err(vendored)?;
        Ok(Some(self.store.insert_tree(&source.app, &copy, Some(locked))?))
    }
}
