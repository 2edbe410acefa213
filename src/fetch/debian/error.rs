//! What can go wrong between Debian's archive and an unpacked package.

use std::io;

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::digest::Digest;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::http::HttpError;
use crate::store::StoreError;

/// Debian's archive, an index or a package refused, or was refused.
#[derive(Debug, Error)]
pub enum DebianError {
    /// No suite with this OTP is known.
    #[error("no Debian suite with OTP {otp} is known; there are {known}")]
    NoSuchOtp {
        /// What was asked for.
        otp: String,
        /// What there is.
        known: String,
    },
    /// An `InRelease` is no clear-signed text.
    #[error("the release file of `{suite}` is not a signed text")]
    NotSigned {
        /// The suite.
        suite: String,
        /// What is wrong with it.
        #[source]
        source: pgp::errors::Error,
    },
    /// None of the signatures is by a key that rebeam carries.
    #[error("the release file of `{suite}` is signed by no key of Debian's archive, but by {keys}")]
    UnknownKey {
        /// The suite.
        suite: String,
        /// Who signed.
        keys: String,
    },
    /// A signature by an archive key does not fit the text.
    #[error("the release file of `{suite}` was changed after the key {key} signed it")]
    BadSignature {
        /// The suite.
        suite: String,
        /// Who is said to have signed.
        key: String,
    },
    /// The release file's time is over.
    #[error("the release file of `{suite}` was valid until {until}")]
    Expired {
        /// The suite.
        suite: String,
        /// Its end.
        until: String,
    },
    /// The release file is another suite's.
    #[error("the mirror gives `{found}` for the suite `{suite}`")]
    WrongSuite {
        /// What was asked for.
        suite: String,
        /// What came.
        found: String,
    },
    /// An index cannot be read.
    #[error("the index `{name}` holds {what}, which cannot be read")]
    BadIndex {
        /// Which index.
        name: String,
        /// What stands there.
        what: String,
    },
    /// The suite has no such index.
    #[error("the suite `{suite}` has no `{file}`")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The missing file.
        file: String,
    },
    /// An index or package ends early or is not what its name says.
    #[error("`{name}` is damaged")]
    Damaged {
        /// Which file.
        name: String,
        /// The reader's answer.
        #[source]
        source: io::Error,
    },
    /// An index is larger than it may be.
    #[error("`{name}` is larger than the {limit} bytes it may have")]
    TooLarge {
        /// Which file.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An index is not what the release file promised.
    #[error(
        "`{name}` is not what the release file says\n  promised: {promised}\n  fetched:  {received}"
    )]
    Mismatch {
        /// Which file.
        name: String,
        /// What was promised.
        promised: Digest,
        /// What came.
        received: Digest,
    },
    /// No index has the package.
    #[error("no index of the suite has a package `{package}`")]
    NoSuchPackage {
        /// What was wished for.
        package: String,
    },
    /// A package needs what cannot be had.
    #[error("`{package}` needs `{needs}`, which the suite does not have")]
    Unmet {
        /// Who needs it.
        package: String,
        /// What it needs.
        needs: String,
    },
    /// Two packages cannot stand beside each other.
    #[error(
        "`{package}` and `{other}` cannot both be in one toolchain: the first refuses the second"
    )]
    Conflict {
        /// Who refuses.
        package: String,
        /// Whom.
        other: String,
    },
    /// The pool keeps lacking what the indices name.
    #[error("the archive's indices and its pool do not fit together")]
    Shifting,
    /// The pool has dropped a locked version.
    #[error("`{package}` {version} has left Debian's pool")]
    Left {
        /// The package.
        package: String,
        /// The locked version.
        version: String,
        /// The server's answer.
        #[source]
        source: Box<HttpError>,
    },
    /// A file is no Debian package.
    #[error("`{name}` is not a Debian package: {what}")]
    NotADeb {
        /// Which file.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// What a package holds was refused.
    #[error("the package `{name}` cannot be unpacked")]
    Contents {
        /// Which package.
        name: String,
        /// Why.
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

impl Explain for DebianError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoSuchOtp { .. } | Self::NoSuchPackage { .. } | Self::Conflict { .. } => {
                Blame::User
            }
            Self::Contents { source, .. } => source.blame(),
            Self::Http(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoSuchOtp { .. } => {
                "name one of them as `otp` under `[toolchain]` in rebeam.toml"
            }
            Self::NotSigned { .. } | Self::BadSignature { .. } | Self::WrongSuite { .. } => {
                "something between here and Debian answers in its place; name another address under `[mirrors]`"
            }
            Self::UnknownKey { .. } => {
                "only Debian's own archive is believed; a newer rebeam may know newer keys"
            }
            Self::Expired { .. } => {
                "the mirror is behind, or the clock is wrong; for a frozen copy: `rebeam update toolchain --expired-index`"
            }
            Self::Shifting
            | Self::Mismatch { .. }
            | Self::Store(StoreError::Mismatch { .. })
            | Self::Damaged { .. }
            | Self::NotADeb { .. } => {
                "the mirror may be in the middle of an update: run again, or name another under `[mirrors]`"
            }
            Self::NoSuchPackage { .. } | Self::Conflict { .. } => {
                "look at `packages` under `[toolchain]` in rebeam.toml"
            }
            Self::Left { .. } => {
                "`rebeam update toolchain` pins what the pool has now; a snapshot or copy of the old pool under `[mirrors]` keeps this lock alive"
            }
            Self::Contents { source, .. } => return source.hint(),
            Self::Http(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::Disk(error) => return error.hint(),
            _ => return None,
        };
        Some(text.into())
    }
}
