//! The file system's refusals, in words.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::exists;
use crate::explain::{Blame, Explain};

/// The file system refused.
#[derive(Debug, Error)]
pub enum DiskError {
    /// An operation on a path failed.
    #[error("cannot {action} `{}`", path.display())]
    Refused {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file is larger than what its kind may be.
    #[error("`{}` is larger than the {limit} bytes it may have", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A text file is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
}

impl Explain for DiskError {
    fn blame(&self) -> Blame {
        match self {
            Self::Refused { source, .. } if source.kind() == io::ErrorKind::NotFound => Blame::User,
            Self::Refused { .. } => Blame::World,
            Self::TooLarge { .. } | Self::NotText { .. } => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let Self::Refused { source, path, .. } = self else {
            return None;
        };
        let there = || path.ancestors().find(|path| exists(path)).unwrap_or(path).display();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("the disk is full; `rebeam store gc` frees what no lock uses".into())
            }
            io::ErrorKind::ReadOnlyFilesystem => Some(format!(
                "nothing can be written to that file system, whoever asks: `findmnt -T {}`",
                there()
            )),
            io::ErrorKind::PermissionDenied => {
                Some(format!("look at the owner and mode: `ls -ld {}`", there()))
            }
            _ => None,
        }
    }
}

impl DiskError {
    /// Tells whether there was no room left.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Refused { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Speaks of `path` where the error is about its temporary name.
    pub fn instead(mut self, temporary: &Path, path: &Path) -> Self {
        if let Self::Refused { path: named, .. } = &mut self
            && named == temporary
        {
            path.clone_into(named);
        }
        self
    }

    /// Tells whether the path was simply not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Names the action and the path of an I/O error.
pub fn refused<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Refused { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_only_reads_is_told_from_one_that_lets_others_write() {
        let hint = |kind| {
            let source = io::Error::from(kind);
            DiskError::Refused { action: "write", path: "/nowhere/at/all".into(), source }.hint()
        };
        let read_only = hint(io::ErrorKind::ReadOnlyFilesystem).unwrap();
        assert!(read_only.ends_with("`findmnt -T /`"), "{read_only}");
        let closed = hint(io::ErrorKind::PermissionDenied).unwrap();
        assert!(closed.ends_with("`ls -ld /`"), "{closed}");
    }
}
