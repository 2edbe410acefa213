//! LockError: why a lock cannot be read or written.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::limits::LOCK_SOURCES_MAX;
use crate::lock::{IMAGE_FORMAT, VERSION};

/// Where in a lock something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The lock's path.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The table: `project`, `toolchain`, `dep cowlib`.
    pub entry: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}:{}`", self.file.display(), self.line)
    }
}

/// A lock cannot be read or written.
#[derive(Debug, Error)]
pub enum LockError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A merge left its markers.
    #[error("`{}:{line}` holds the markers of an unfinished merge", file.display())]
    MergeMarkers {
        /// The lock's path.
        file: PathBuf,
        /// Line of the first marker.
        line: usize,
    },
    /// The text is not TOML.
    #[error("`{}:{line}` is not TOML: {message}", file.display())]
    Syntax {
        /// The lock's path.
        file: PathBuf,
        /// Where reading stopped.
        line: usize,
        /// What the TOML reader says.
        message: String,
    },
    /// The format is younger than this program.
    #[error("`{}` was made by a newer rebeam: its version is {version}, this rebeam knows {VERSION}", file.display())]
    Newer {
        /// The lock's path.
        file: PathBuf,
        /// The version it has.
        version: i64,
    },
    /// The lock was made for images of another format.
    #[error("`{}` was made for image format {found}; this rebeam makes format {IMAGE_FORMAT}", file.display())]
    OtherImageFormat {
        /// The lock's path.
        file: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// A key that no lock has.
    #[error("{place}: `{key}` is not a key of {}{}", place.entry, nearest_text(nearest))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The known key that is spelt most like it.
        nearest: Option<String>,
    },
    /// A key that every lock has is not there.
    #[error("{place}: {} lacks `{key}`", place.entry)]
    MissingKey {
        /// Where the table begins.
        place: Place,
        /// The key.
        key: &'static str,
    },
    /// A value is not of its kind.
    #[error("{place}: `{key}` of {} must be {expected}", place.entry)]
    Unfit {
        /// Where.
        place: Place,
        /// The key.
        key: &'static str,
        /// What the value should be.
        expected: &'static str,
    },
    /// One application is locked twice in one role.
    #[error("{place}: {} is locked already at line {first_line}", place.entry)]
    Duplicate {
        /// Where the second one begins.
        place: Place,
        /// Where the first one begins.
        first_line: usize,
    },
    /// A parent or dependency is not in the lock.
    #[error("{place}: `{key}` of {} names `{app}`, which is not in the lock", place.entry)]
    UnknownApp {
        /// Where.
        place: Place,
        /// `parents` or `deps`.
        key: &'static str,
        /// The name.
        app: String,
    },
    /// There are more sources than a lock may have.
    #[error("`{}` has more than {LOCK_SOURCES_MAX} sources (`LOCK_SOURCES_MAX`)", file.display())]
    TooManySources {
        /// The lock's path.
        file: PathBuf,
    },
}

fn nearest_text(nearest: &Option<String>) -> String {
    match nearest {
        Some(known) => format!("; did you mean `{known}`?"),
        None => String::new(),
    }
}

impl Explain for LockError {
    fn blame(&self) -> Blame {
        match self {
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Disk(error) => return error.hint(),
            Self::MergeMarkers { file, .. } => format!(
                "take one side whole, such as `git checkout --theirs {}`, then run `rebeam lock`",
                file.display()
            ),
            Self::Newer { .. } => "install the rebeam that made it, or a newer one".into(),
            Self::OtherImageFormat { found, .. } if *found > IMAGE_FORMAT => {
                "install the rebeam that made it, or a newer one".into()
            }
            Self::OtherImageFormat { .. } => {
                "run `rebeam lock`: sources stay pinned, images get other digests".into()
            }
            Self::TooManySources { .. } => return None,
            _ => "the lock is made by rebeam: restore it with `git checkout rebeam.lock`, \
                  or remove it and run `rebeam lock`"
                .into(),
        })
    }
}
