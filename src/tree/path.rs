//! Path: where something stands inside a tree.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::TreeError;
use crate::limits::{PATH_BYTES_MAX, TREE_DEPTH_MAX};

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
