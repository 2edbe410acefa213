//! What can go wrong between the store and a cache.

use std::error::Error as _;

use thiserror::Error;

use super::Place;
use crate::archive::ArchiveError;
use crate::bundle::BundleError;
use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::registry::{PullError, PushError};
use crate::store::{BuildKey, StoreError};

/// A cache was not used, or could not be filled.
#[derive(Debug, Error)]
pub enum CacheError {
    /// A cache was named with a tag.
    #[error("`{place}:{tag}` names a tag, and each result in a cache has a tag of its own")]
    Tagged {
        /// The repository.
        place: String,
        /// The tag.
        tag: String,
    },
    /// What stands under a result's tag is none.
    #[error("`{place}` has something else under the key {}: {what}", key.digest())]
    Strange {
        /// The cache.
        place: String,
        /// The key.
        key: BuildKey,
        /// What is strange.
        what: String,
    },
    /// An output is not what the cache says it is.
    #[error("`{place}` has another `{name}` under the key {} than it says", key.digest())]
    Untrue {
        /// The cache.
        place: String,
        /// The key.
        key: BuildKey,
        /// The output.
        name: String,
    },
    /// A blob that a result names is not in the directory.
    #[error("`{place}` lacks the blob {digest}")]
    NoBlob {
        /// The directory.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// A directory's index cannot be read.
    #[error("`{}` cannot be read: {what}", path.display())]
    BadIndex {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        what: String,
    },
    /// A packed tree cannot be unpacked.
    #[error("`{name}` cannot be unpacked")]
    Archive {
        /// The output.
        name: String,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// A tree could not be packed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The registry does not give.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The registry does not take.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl CacheError {
    /// Tells whether the cache cannot be reached at all: then it is not asked for the next result.
    pub(super) fn is_of_the_way(&self) -> bool {
        match self {
            Self::Pull(error) => !matches!(
                error,
                PullError::Gone { .. }
                    | PullError::NoBlob { .. }
                    | PullError::NoImage { .. }
                    | PullError::WrongDigest { .. }
                    | PullError::WrongLength { .. }
                    | PullError::TooLarge { .. }
            ),
            Self::Push(_) => true,
            _ => false,
        }
    }

    /// Says it in one line, for who goes on without the cache.
    pub(super) fn told(&self, place: &Place) -> String {
        let mut text = self.to_string().replace('\n', " ");
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        let how = if self.is_of_the_way() {
            "the cache is not used"
        } else {
            "a result of the cache is not used"
        };
        format!("{how}: `{place}`: {text}")
    }
}

impl Explain for CacheError {
    fn blame(&self) -> Blame {
        match self {
            Self::Tagged { .. } => Blame::Usage,
            Self::Bundle(error) => error.blame(),
            Self::Pull(error) => error.blame(),
            Self::Push(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tagged { place, .. } => Some(format!("name the repository alone: `{place}`")),
            Self::Bundle(error) => error.hint(),
            Self::Pull(error) => error.hint(),
            Self::Push(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => Some("who may write to it? what is in doubt is built again without it".into()),
        }
    }
}
