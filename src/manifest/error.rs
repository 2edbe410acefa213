//! Error: what can be wrong with a `rebeam.toml`, and where.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::FILE_NAME;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named to us.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// Finds the line and column of a byte.
    pub(super) fn at(file: &str, text: &str, byte: usize) -> Box<Self> {
        let byte = text.floor_char_boundary(byte);
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Box::new(Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A manifest that cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// There is none.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The text is not TOML.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: Box<Place>,
        /// What the reader of TOML says.
        problem: String,
    },
    /// A line that git left in the middle of a merge.
    #[error("{place}: a merge conflict is unresolved: this line begins with `{marker}`")]
    MergeMarker {
        /// Where.
        place: Box<Place>,
        /// The seven characters.
        marker: &'static str,
    },
    /// A key that does not exist.
    #[error("{place}: {table} has no key `{key}`{}", nearest(*.near))]
    UnknownKey {
        /// Where.
        place: Box<Place>,
        /// The table, as `[image]`.
        table: String,
        /// The key.
        key: String,
        /// The key that was perhaps meant.
        near: Option<&'static str>,
        /// All keys of the table.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    #[error("{place}: {table} lacks `{key}`")]
    MissingKey {
        /// Where its table begins.
        place: Box<Place>,
        /// The table, as `[project]`.
        table: String,
        /// The key.
        key: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// A value of another type.
    #[error("{place}: `{key}` must be {expected}, and here it is {found}")]
    WrongType {
        /// Where.
        place: Box<Place>,
        /// The key with its tables: `project.version`.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
        /// The line as it may have been meant.
        meant: Option<String>,
    },
    /// A value that cannot be used.
    #[error("{place}: `{key}` must be {expected}, and here it is `{value}`")]
    BadValue {
        /// Where.
        place: Box<Place>,
        /// The key with its tables: `project.version`.
        key: String,
        /// What it must be.
        expected: String,
        /// What it is, shortened.
        value: String,
    },
    /// A key that has no effect under the project's build tool.
    #[error("{place}: `{key}` has no effect where {tool} builds the project")]
    Idle {
        /// Where.
        place: Box<Place>,
        /// The key with its tables: `deps.cowboy.steps`.
        key: String,
        /// The tool.
        tool: &'static str,
    },
    /// A service whose keys, each right by itself, do not go together.
    #[error("{file}: `[services.{table}]` {problem}")]
    Contradiction {
        /// The file, the last of those that speak of the stack.
        file: String,
        /// The service, perhaps with a table of its own: `db.ready`.
        table: String,
        /// What is wrong, as the rest of the sentence.
        problem: String,
        /// What would be right.
        hint: &'static str,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn nearest(near: Option<&str>) -> String {
    near.map_or(String::new(), |key| format!("; the nearest is `{key}`"))
}

impl Explain for ManifestError {
    fn blame(&self) -> Blame {
        match self {
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { path } if path.ends_with(FILE_NAME) => {
                Some("write one with `rebeam init`".to_owned())
            }
            Self::Missing { .. } => {
                Some("correct the name; such a file has `[dev]` and `[services]`".to_owned())
            }
            Self::MergeMarker { .. } => {
                Some("settle the merge (`git diff` shows it), then run again".to_owned())
            }
            Self::UnknownKey { table, known, .. } => {
                Some(format!("the keys of {table} are {}", known.join(", ")))
            }
            Self::MissingKey { table, example, .. } => Some(match table.as_str() {
                "the file" => format!("write `{example}`"),
                table => format!("write `{example}` under {table}"),
            }),
            Self::WrongType { meant, .. } => meant.as_ref().map(|meant| format!("write `{meant}`")),
            Self::Disk(error) => error.hint(),
            Self::Contradiction { hint, .. } => Some((*hint).to_owned()),
            Self::Idle { .. } => Some(
                "take it out; or write `tool = \"make\"` under `[build]`, with the commands that make the release as `steps`"
                    .to_owned(),
            ),
            Self::Malformed { .. } | Self::BadValue { .. } => None,
        }
    }
}
