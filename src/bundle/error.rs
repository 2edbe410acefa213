//! BundleError: why a bundle or a directory of sources was refused.

use std::path::PathBuf;

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::fetch::hex::HexError;
use crate::lock::LockError;
use crate::store::StoreError;
use crate::tree::TreeError;

/// A bundle could not be written or was refused.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It is another kind of file.
    #[error("`{}` is not a bundle of rebeam", path.display())]
    NotABundle {
        /// The file.
        path: PathBuf,
    },
    /// A newer rebeam made it.
    #[error("`{}` is a bundle of format {found}, and this rebeam knows format {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// Ours.
        known: u32,
    },
    /// It is cut off, or no archive that may be unpacked.
    #[error("the bundle `{}` is damaged or cut off", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// A member is not what its name says.
    #[error("`{member}` in the bundle `{}` is not what its name says\n  received: {received}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
        /// The digest of what it holds.
        received: Digest,
    },
    /// Something that its lock names is not in it.
    #[error("the bundle `{}` lacks `{member}`, which its lock names", path.display())]
    Lacks {
        /// The file.
        path: PathBuf,
        /// What is missing.
        member: String,
    },
    /// What its lock names as the base's manifest is none.
    #[error("`{member}` in the bundle `{}` is no image's manifest", path.display())]
    NoManifest {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
    },
    /// It holds what no bundle of its lock holds.
    #[error("the bundle `{}` holds `{member}`, which its lock does not name", path.display())]
    Odd {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
    },
    /// Its registry document is not signed.
    #[error("the bundle `{}` brings a registry's document that is not believed", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<HexError>,
    },
    /// A directory that is to be replaced was not made by `rebeam vendor`.
    #[error("`{}` is there and was not made by `rebeam vendor`", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A copy of a source is not what the lock says.
    #[error("`{}` is not what the lock says\n  locked:  {locked}\n  written: {written}", path.display())]
    Copied {
        /// The copy.
        path: PathBuf,
        /// The digest in the lock.
        locked: Digest,
        /// The digest of the copy.
        written: Digest,
    },
    /// Its lock cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree cannot be one.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for BundleError {
    fn blame(&self) -> Blame {
        match self {
            Self::NotABundle { .. } | Self::Newer { .. } | Self::Occupied { .. } => Blame::User,
            Self::Lock(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotABundle { .. } => Some("`rebeam bundle export FILE` makes one".into()),
            Self::Newer { .. } => Some("install the rebeam that made it, or a newer one".into()),
            Self::Damaged { path, .. }
            | Self::Mismatch { path, .. }
            | Self::Lacks { path, .. }
            | Self::Odd { path, .. }
            | Self::Document { path, .. } => Some(format!(
                "nothing of it was taken; copy it again, and compare `sha256sum {}` with what `rebeam bundle export` printed",
                path.display()
            )),
            Self::Occupied { .. } => Some("name a directory that is not there yet".into()),
            Self::NoManifest { .. } => {
                Some("`rebeam update base` pins the image anew, where the bundle was made".into())
            }
            Self::Copied { .. } => Some("`rebeam store verify` looks for damage".into()),
            Self::Lock(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}
