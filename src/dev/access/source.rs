//! Source: a database that rules are asked of; one trait, and SQLite and PostgreSQL behind it.

use std::fmt::Debug;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Answer;
use super::cell::Cell;

/// How long a question may take, with all its waiting.
pub(super) const QUESTION_MAX: Duration = Duration::from_secs(2);
/// How often changes are looked for.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Connections of one source.
pub(super) const CONNECTIONS_MAX: usize = 4;
/// Rows that one question may have for an answer.
pub(super) const ROWS_MAX: usize = 10_000;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The database is not there, or too slow.
    Away(String),
    /// It does not like the question.
    Refused(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) columns: usize,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A database.
pub(super) trait Source: Debug + Send + Sync {
    /// Asks SQL with parameters, which are texts that the database reads as what they stand for.
    fn ask<'a>(
        &'a self,
        sql: &'a str,
        values: Vec<Option<String>>,
    ) -> Answer<'a, Result<Rows, Trouble>>;

    /// Counts changes, once it was told to watch for them.
    fn generation(&self) -> u64;

    /// Returns why it cannot be asked, as it was seen last while changes are watched for.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Returns what begins a parameter.
    fn mark(&self) -> char;

    /// Returns what is true.
    fn truth(&self) -> Cell;
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says that an answer has too many rows.
pub(super) fn too_many() -> Trouble {
    Trouble::Refused(format!("the answer has more than {ROWS_MAX} rows"))
}
