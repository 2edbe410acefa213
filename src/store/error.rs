//! Error: what the store refuses, and the next step.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::tree::TreeError;

/// The store refused.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Content is not what its name promised.
    #[error("`{name}` is not what was promised\n  promised: {promised}\n  received: {received}")]
    Mismatch {
        /// What it was to be.
        name: String,
        /// The promised digest.
        promised: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// More bytes came than the kind of blob may have.
    #[error("`{name}` is larger than the {limit} bytes it may have")]
    TooLarge {
        /// What it was to be.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Reading the source of a blob failed.
    #[error("`{name}` could not be read to its end")]
    Cut {
        /// What it was to be.
        name: String,
        /// The reader's error.
        #[source]
        source: std::io::Error,
    },
    /// The store was made by a newer rebeam.
    #[error("the store `{}` has format {found}, and this rebeam knows up to {known}", path.display())]
    Newer {
        /// The store's root.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Our format.
        known: i64,
    },
    /// Something needs the store for itself alone.
    #[error("another rebeam uses the store `{}`", path.display())]
    InUse {
        /// The store's root.
        path: PathBuf,
    },
    /// The index is damaged and other rebeams still use it.
    #[error("the index of the store `{}` is damaged, and another rebeam uses it", path.display())]
    IndexDamaged {
        /// The store's root.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// Something in the store changed after it was proved.
    #[error("`{}` in the store is damaged", path.display())]
    Damaged {
        /// Where it stands.
        path: PathBuf,
    },
    /// The index refused.
    #[error("the store's index refused")]
    Index(#[from] rusqlite::Error),
    /// A tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

impl Explain for StoreError {
    fn blame(&self) -> Blame {
        match self {
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("use that rebeam, or another store: `--store DIR`".into()),
            Self::InUse { .. } | Self::IndexDamaged { .. } => {
                Some("let the other rebeam end, then run this again".into())
            }
            Self::Damaged { .. } => Some(VERIFY.into()),
            Self::Index(error) => index_hint(error),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Mismatch { .. } | Self::TooLarge { .. } | Self::Cut { .. } => Some(
                "nothing of it was kept; run this again, or name another copy under `[mirrors]`"
                    .into(),
            ),
        }
    }
}

const VERIFY: &str = "`rebeam store verify` looks for damage and heals it";

fn index_hint(error: &rusqlite::Error) -> Option<String> {
    let hint = match error.sqlite_error_code()? {
        ErrorCode::DiskFull => "the disk is full; `rebeam store gc` frees what no lock uses",
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            "look at the owner and mode of the store's directory, or use another: `--store DIR`"
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another rebeam has been writing for half a minute; let it end, then run this again"
        }
        _ => VERIFY,
    };
    Some(hint.into())
}
