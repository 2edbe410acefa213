//! Mirrors: copies of git repositories, below `git/`. They save fetching and hold nothing that a lock needs
//! once its sources are held, so the sweep may take any of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::Store;
use super::error::Result;
use super::sweep::weigh;
use crate::disk;

const FOLDER: &str = "git";

/// A mirror as the sweep sees it.
pub(super) struct Mirror {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When something was last fetched into it, in seconds since 1970.
    pub(super) fetched_at: i64,
}

impl Store {
    /// Returns the directory of the mirrors; it may not exist.
    pub fn mirrors_root(&self) -> PathBuf {
        self.root.join(FOLDER)
    }

    /// Returns the mirrors' directories, sorted.
    pub fn mirrors(&self) -> Result<Vec<PathBuf>> {
        let root = self.mirrors_root();
        let names = if disk::exists(&root) { disk::list(&root)? } else { vec![] };
        let paths = names.iter().filter(|name| !name.ends_with(b".lock"));
        Ok(paths.map(|name| root.join(OsStr::from_bytes(name))).collect())
    }

    /// Weighs every mirror, least recently fetched first.
    pub(super) fn weighed_mirrors(&self) -> Result<Vec<Mirror>> {
        let mut mirrors = Vec::new();
        for path in self.mirrors()? {
            let mut fetched_ns = 0;
            for part in ["", "objects/pack", "refs/rebeam"] {
                let status = disk::status(&path.join(part))?;
                fetched_ns = fetched_ns.max(status.map_or(0, |status| status.modified_ns));
            }
            let fetched_at = i64::try_from(fetched_ns / 1_000_000_000).unwrap_or(i64::MAX);
            mirrors.push(Mirror { bytes: weigh(&path)?, path, fetched_at });
        }
        mirrors.sort_by(|a, b| (a.fetched_at, &a.path).cmp(&(b.fetched_at, &b.path)));
        Ok(mirrors)
    }
}
