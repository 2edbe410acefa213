//! What can be wrong with a package or its registry, and how it is said.

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::http::HttpError;
use crate::store::StoreError;

use super::registry::Distrust;

/// A package or its registry is not what it should be.
#[derive(Debug, Error)]
pub enum HexError {
    /// The repository has no such package.
    #[error("the repository `{repository}` has no package `{package}`")]
    NoSuchPackage {
        /// The package.
        package: String,
        /// The repository.
        repository: String,
    },
    /// No release does.
    #[error("no release of `{package}` satisfies `{requirement}`; the newest is {newest}")]
    NoSuchVersion {
        /// The package.
        package: String,
        /// What was asked for.
        requirement: String,
        /// The newest release, or a word for none.
        newest: String,
        /// A version before a release that would do.
        pre: Option<String>,
    },
    /// A requirement that cannot be read.
    #[error("`{requirement}`, asked of `{package}`, is not a version requirement")]
    BadRequirement {
        /// The package.
        package: String,
        /// What was asked for.
        requirement: String,
    },
    /// A package's name that no package has.
    #[error("`{package}` is not the name of a package")]
    BadName {
        /// The name.
        package: String,
    },
    /// The registry's document is not signed by the repository's key.
    #[error("what `{repository}` says of `{package}` is not signed by its key")]
    Signature {
        /// The package.
        package: String,
        /// The repository.
        repository: String,
    },
    /// The registry's document speaks of something else.
    #[error("asked of `{repository}/{package}`, the registry answers of `{found}`")]
    WrongName {
        /// The package.
        package: String,
        /// The repository.
        repository: String,
        /// What it answered of.
        found: String,
    },
    /// The registry's document cannot be read.
    #[error("what `{repository}` says of `{package}` cannot be read")]
    Damaged {
        /// The package.
        package: String,
        /// The repository.
        repository: String,
    },
    /// A repository's public key is none.
    #[error("the public key of the repository `{repository}` is not an RSA key in PEM")]
    BadKey {
        /// The repository.
        repository: String,
    },
    /// A tarball is not the promised one.
    #[error(
        "the tarball of `{package}` {version} is not the promised one\n  promised: {promised}\n  received: {received}"
    )]
    Mismatch {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The promised checksum.
        promised: Digest,
        /// The checksum of what came.
        received: Digest,
    },
    /// A tarball is not one of a package.
    #[error("the tarball of `{package}` {version} is refused: {why}")]
    Malformed {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A tarball's inside is refused.
    #[error("the tarball of `{package}` {version} is refused")]
    Archive {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// The web refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for HexError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoSuchPackage { .. }
            | Self::NoSuchVersion { .. }
            | Self::BadRequirement { .. }
            | Self::BadName { .. }
            | Self::BadKey { .. } => Blame::User,
            Self::Http(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchVersion { pre: Some(pre), .. } => {
                Some(format!("only the version before a release {pre} does; ask for it by name"))
            }
            Self::Signature { .. } | Self::WrongName { .. } => Some(
                "a mirror or a proxy on the way changed it, or the repository has another key"
                    .into(),
            ),
            Self::Mismatch { package, .. } => Some(format!(
                "the file was replaced upstream or by a mirror; look, then `rebeam lock --update {package}`"
            )),
            Self::Http(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

pub(super) fn disbelieved(distrust: Distrust, repository: &str, package: &str) -> HexError {
    let (package, repository) = (package.to_owned(), repository.to_owned());
    match distrust {
        Distrust::Damaged => HexError::Damaged { package, repository },
        Distrust::Signature => HexError::Signature { package, repository },
        Distrust::Name { found } => HexError::WrongName { package, repository, found },
        Distrust::Key => HexError::BadKey { repository },
    }
}
