//! Owners: which package each file of a toolchain came from, as a blob in the store.
//!
//! One line a file, sorted: path, package, version, between tabs. The image needs it to name the package
//! of a shared object.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk;
use crate::limits::INDEX_BYTES_MAX;
use crate::lock::Deb;
use crate::store::{HeldBlob, Store};
use crate::tree::RelPath;

use super::ToolchainError;
use super::unpack::place;

/// A package in one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its name.
    pub package: String,
    /// Its Debian version.
    pub version: String,
}

/// Which package each file and link of a toolchain came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    files: BTreeMap<RelPath, Owner>,
}

impl Owners {
    /// Returns the package of a file. `/lib/x`, `lib/x` and `usr/lib/x` are the same file.
    ///
    /// What rebeam made itself belongs to none.
    pub fn of(&self, path: &str) -> Option<&Owner> {
        let path = RelPath::new(path.trim_start_matches('/')).ok()?;
        self.files.get(&place(path)?)
    }

    /// Returns the packages that hold a file of this name: a library's, for one.
    pub fn holding(&self, name: &str) -> Vec<String> {
        let named = |(path, _): &(&RelPath, &Owner)| path.name() == name.as_bytes();
        let packages: BTreeSet<&str> =
            self.files.iter().filter(named).map(|(_, owner)| owner.package.as_str()).collect();
        packages.into_iter().map(str::to_owned).collect()
    }

    /// Returns every file with its package, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&RelPath, &Owner)> {
        self.files.iter()
    }

    pub(super) fn insert(&mut self, path: RelPath, deb: &Deb) {
        let owner = Owner { package: deb.package.clone(), version: deb.version.clone() };
        self.files.insert(path, owner);
    }

    pub(super) fn write(&self, store: &Store) -> Result<HeldBlob, ToolchainError> {
        let mut bytes = Vec::new();
        for (path, owner) in &self.files {
            // No package has such a name; one that had would not be found by it.
            if path.as_bytes().iter().any(|byte| b"\t\n".contains(byte)) {
                continue;
            }
            bytes.extend_from_slice(path.as_bytes());
            bytes.extend_from_slice(format!("\t{}\t{}\n", owner.package, owner.version).as_bytes());
        }
        Ok(store.insert_blob("the toolchain's owners", bytes.as_slice(), INDEX_BYTES_MAX, None)?)
    }

    pub(super) fn read(blob: &HeldBlob) -> Result<Self, ToolchainError> {
        let bytes = disk::read(blob.path(), INDEX_BYTES_MAX)?;
        let lines = bytes.split(|byte| *byte == b'\n');
        let files = lines
            .filter(|line| !line.is_empty())
            .map(|line| read_line(line).ok_or(ToolchainError::BadOwners))
            .collect::<Result<_, _>>()?;
        Ok(Self { files })
    }
}

fn read_line(line: &[u8]) -> Option<(RelPath, Owner)> {
    let mut parts = line.split(|byte| *byte == b'\t');
    let path = RelPath::new(parts.next()?).ok()?;
    let mut text = || String::from_utf8(parts.next()?.to_vec()).ok();
    let owner = Owner { package: text()?, version: text()? };
    Some((path, owner))
}
