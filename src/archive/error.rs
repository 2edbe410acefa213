//! What an archive is refused for.

use std::io;

use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::Explain;

/// An archive was refused.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The stream is no tar, or ends early.
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    /// A name leads out of the archive.
    #[error("the archive holds the unsafe name `{name}`")]
    UnsafeName {
        /// The name, shortened.
        name: String,
    },
    /// A link leads out of the archive.
    #[error("the link `{name}` in the archive leads outside, to `{target}`")]
    UnsafeLink {
        /// The link.
        name: String,
        /// Where it points.
        target: String,
    },
    /// A device, pipe or socket, or a setuid file.
    #[error("`{name}` in the archive is {what}, which a source cannot be")]
    UnsafeKind {
        /// The entry.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// The archive unpacks to more than its kind may.
    #[error("the archive unpacks to more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// Bytes or entries.
        unit: &'static str,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ArchiveError {
    fn blame(&self) -> crate::explain::Blame {
        match self {
            Self::Disk(error) => error.blame(),
            _ => crate::explain::Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Damaged(_) => Some("fetch or copy it again; if it is the same then, it was damaged where it was made".into()),
            Self::UnsafeName { .. }
            | Self::UnsafeLink { .. }
            | Self::UnsafeKind { .. }
            | Self::TooLarge { .. } => Some(
                "nothing of it is used: take another version, or another copy of it under `[mirrors]`, and tell its maker".into(),
            ),
        }
    }
}
