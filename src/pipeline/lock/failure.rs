//! Failure: why there is no lock, or none that fits.

use std::path::PathBuf;

use thiserror::Error;

use crate::explain::Explain;
use crate::lock;

/// The lock could not be made.
#[derive(Debug, Error)]
pub enum LockFailure {
    /// Neither git nor the environment dates the project.
    #[error("nothing dates the image: `{}` is in no git repository with a commit", path.display())]
    NoDate {
        /// The project's root.
        path: PathBuf,
    },
    /// An application that is asked about is not locked.
    #[error("`{name}` is not in the lock")]
    NotLocked {
        /// What was named.
        name: String,
    },
    /// An application that the manifest speaks of is none of the project's.
    #[error("`[deps.{name}]` in rebeam.toml names no dependency of this project{}", nearest.as_ref().map(|name| format!("; the nearest is `{name}`")).unwrap_or_default())]
    UnknownDep {
        /// What was named.
        name: String,
        /// The dependency whose name is most like it.
        nearest: Option<String>,
    },
    /// The lock is stale and `--locked` was given.
    #[error("the lock is stale:\n{}", reasons.iter().map(|reason| format!("  {reason}")).collect::<Vec<_>>().join("\n"))]
    Stale {
        /// Which field of which entry, and why.
        reasons: Vec<String>,
    },
    /// There is no lock.
    #[error("there is no {} in `{}`", lock::FILE_NAME, path.display())]
    Missing {
        /// The project's root.
        path: PathBuf,
    },
}

impl Explain for LockFailure {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDate { .. } => {
                "commit it: `git init && git add -A && git commit -m first`; or set SOURCE_DATE_EPOCH to seconds since 1970".into()
            }
            Self::NotLocked { .. } => {
                "`rebeam tree` shows the names of what is locked; `rebeam update` takes `toolchain` and `base`, too"
                    .into()
            }
            Self::UnknownDep { .. } => {
                "correct the name or remove the table; `rebeam.lock` has a table for each dependency".into()
            }
            Self::Stale { .. } => "`rebeam lock` brings it up to date; look at the diff".into(),
            Self::Missing { .. } => "`rebeam lock` makes one".into(),
        })
    }
}
