//! What can go wrong while a toolchain is put together.

use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::fetch::debian::DebianError;
use crate::store::StoreError;
use crate::tree::TreeError;

/// A toolchain cannot be put together.
#[derive(Debug, Error)]
pub enum ToolchainError {
    /// Two packages have one path with different contents.
    #[error("`{package}` and `{other}` both have `{path}`, and not the same")]
    Clash {
        /// The later package.
        package: String,
        /// The earlier one.
        other: String,
        /// The path.
        path: String,
    },
    /// The list of owners in the store cannot be read.
    #[error("the list of the toolchain's files is damaged")]
    BadOwners,
    /// A preset's text cannot be read.
    #[error("the preset cannot be read: {what}")]
    BadPreset {
        /// What is wrong with it.
        what: String,
    },
    /// A package refused, or could not be had.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree could not be laid out.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ToolchainError {
    fn blame(&self) -> Blame {
        match self {
            Self::Clash { .. } => Blame::User,
            Self::BadOwners => Blame::World,
            Self::BadPreset { .. } => Blame::Bug,
            Self::Debian(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Clash { .. } => {
                Some("look at `packages` under `[toolchain]` in rebeam.toml".into())
            }
            Self::BadOwners => Some("`rebeam store verify` looks for damage and heals it".into()),
            Self::BadPreset { .. } => None,
            Self::Debian(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}
