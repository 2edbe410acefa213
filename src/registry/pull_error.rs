//! What can go wrong between a registry and the store.

use thiserror::Error;

use super::PushError;
use super::error::{because, login};
use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::store::StoreError;

/// An image could not be pulled. Where one of these is told, the store holds nothing that was not proved.
#[derive(Debug, Error)]
pub enum PullError {
    /// The network is closed and the image is not here.
    #[error("`{reference}` is not here, and the network is closed")]
    Offline {
        /// What was asked for.
        reference: String,
    },
    /// The registry wants to know who asks.
    #[error("`{host}` gives `{repository}` to nobody without a login{}", because(says))]
    NoLogin {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Its words.
        says: String,
    },
    /// Who asks may not read there.
    #[error("`{host}` does not give `{repository}` to who asks{}", because(says))]
    Denied {
        /// The registry.
        host: String,
        /// The repository.
        repository: String,
        /// Its words.
        says: String,
    },
    /// The registry has no such image.
    #[error("`{host}` has no `{wanted}`{}", because(says))]
    Gone {
        /// The registry.
        host: String,
        /// Repository and tag or digest.
        wanted: String,
        /// Its words.
        says: String,
    },
    /// The registry names a blob in a manifest and does not have it.
    #[error("`{host}` has the image and lacks its {name} ({digest})")]
    NoBlob {
        /// The registry.
        host: String,
        /// What people call it.
        name: String,
        /// Its digest.
        digest: Digest,
    },
    /// The image is for other machines.
    #[error("`{reference}` is not made for {platform}, but for {}", list(offered))]
    NoPlatform {
        /// What was asked for.
        reference: String,
        /// The platform that is wanted.
        platform: String,
        /// Those that are there.
        offered: Vec<String>,
    },
    /// What the registry names is no image.
    #[error("`{reference}` is no image: {what}")]
    NoImage {
        /// What was asked for.
        reference: String,
        /// What is strange.
        what: String,
    },
    /// The registry gave other bytes than it promised.
    #[error(
        "`{host}` gave something else for {name}\n  promised: {promised}\n  received: {received}"
    )]
    WrongDigest {
        /// The registry.
        host: String,
        /// What was fetched.
        name: String,
        /// The promised digest.
        promised: String,
        /// The digest of what came.
        received: Digest,
    },
    /// The registry gave more or fewer bytes than it promised.
    #[error("`{host}` gave {received} bytes for {name} and promised {promised}")]
    WrongLength {
        /// The registry.
        host: String,
        /// What was fetched.
        name: String,
        /// The promised bytes.
        promised: u64,
        /// What came, or was announced.
        received: u64,
    },
    /// A document is longer than it may be.
    #[error("`{host}` gave more than the {limit} bytes that {name} may have")]
    TooLarge {
        /// The registry.
        host: String,
        /// What was fetched.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The way to the registry.
    #[error(transparent)]
    Way(PushError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { "nothing that it names".into() } else { offered.join(", ") }
}

impl From<PushError> for PullError {
    /// What is said about sending is said here about fetching.
    fn from(error: PushError) -> Self {
        match error {
            PushError::Offline { host } => Self::Offline { reference: host },
            PushError::NoLogin { host, repository, says } => {
                Self::NoLogin { host, repository, says }
            }
            PushError::Denied { host, repository, says } => Self::Denied { host, repository, says },
            PushError::UnknownRepository { host, repository: wanted, says } => {
                Self::Gone { host, wanted, says }
            }
            other => Self::Way(other),
        }
    }
}

impl Explain for PullError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoPlatform { .. } | Self::NoImage { .. } => Blame::User,
            Self::Way(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Offline { .. } => {
                Some("run once without `--offline`: what arrives is kept in the store".into())
            }
            Self::NoLogin { host, .. } => Some(login(host)),
            Self::Denied { host, .. } => {
                Some(format!("look at the name, and at the rights of the login that `docker login {host}` made"))
            }
            Self::Gone { .. } => {
                Some("look at the name and the tag; a registry may hide what it does not give".into())
            }
            Self::NoPlatform { .. } => Some("name another image, or another platform".into()),
            Self::NoBlob { .. } | Self::WrongDigest { .. } | Self::WrongLength { .. } => Some(
                "the registry, or a proxy before it, is damaged or lies: nothing of it was kept; push the image again"
                    .into(),
            ),
            Self::Way(PushError::Unreachable { .. } | PushError::Failing { .. }) => {
                Some("what arrived whole is kept; the same command goes on from it".into())
            }
            Self::Way(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::NoImage { .. } | Self::TooLarge { .. } => Some(
                "look at the name: something else stands there; `rebeam push` and `docker push` make images".into(),
            ),
        }
    }
}
