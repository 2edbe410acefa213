//! Database: SQLite files with a format, the way up to each format and the way back down.
//!
//! A format is a number in SQLite's `user_version`. Each step runs in one transaction with the
//! number, so a kill leaves the format before or the one after. Steps are never edited once released:
//! a change is a new step at the end of the list.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use thiserror::Error;

use crate::disk::{self, DiskError, LockMode};

/// One step between two formats.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// SQL that leads up.
    pub up: &'static str,
    /// SQL that takes exactly that back.
    pub down: &'static str,
}

/// The formats of one kind of file: step n leads from format n to format n + 1.
pub type Steps = &'static [Step];

/// A database refused.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// The file was made by a newer rebeam.
    #[error("`{}` has format {found}, and this rebeam knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Our format.
        known: i64,
    },
    /// SQLite refused.
    #[error("a database refused")]
    Sqlite(#[from] rusqlite::Error),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

type Result<T> = std::result::Result<T, DatabaseError>;

const BUSY_S: u64 = 30;

/// Opens the database at `path`, makes it where there is none, and brings it to the newest format.
///
/// Readers and one writer at a time do not wait for each other (SQLite's write-ahead log).
pub fn open(path: &Path, steps: Steps) -> Result<Connection> {
    let mut database = connect(path)?;
    let mode: String = database.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if format(&database)? == newest(steps) && mode == "wal" {
        return Ok(database);
    }
    // The change to WAL does not wait for other connections as all else does: a lock makes it.
    let _alone = disk::lock(&path.with_extension("lock"), LockMode::Exclusive)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    migrate(&mut database, path, steps, newest(steps))?;
    Ok(database)
}

/// Opens the database at `path` in whatever format it has.
pub fn connect(path: &Path) -> Result<Connection> {
    disk::change("open", path)?;
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(BUSY_S))?;
    // A power cut may take the last transactions and never the file itself.
    database.pragma_update(None, "synchronous", "normal")?;
    Ok(database)
}

/// Returns the format of an open database.
pub fn format(database: &Connection) -> Result<i64> {
    Ok(database.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Returns the newest format that `steps` lead to.
pub fn newest(steps: Steps) -> i64 {
    i64::try_from(steps.len()).expect("steps are a short list")
}

/// Walks the database up or down to the format `wanted`.
pub fn migrate(database: &mut Connection, path: &Path, steps: Steps, wanted: i64) -> Result<()> {
    let known = newest(steps);
    let wanted = wanted.clamp(0, known);
    loop {
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = format(&transaction)?;
        if !(0..=known).contains(&found) {
            return Err(DatabaseError::Newer { path: path.to_owned(), found, known });
        }
        if found == wanted {
            return Ok(());
        }
        disk::change("write", path)?;
        let (sql, next) = if found < wanted {
            (steps[place(found)].up, found + 1)
        } else {
            (steps[place(found - 1)].down, found - 1)
        };
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
}

fn place(format: i64) -> usize {
    usize::try_from(format).expect("formats below zero were refused")
}

/// Gives a damaged database another name, so that a new one can be made. Nobody else may use it.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = |number: &u32| !disk::exists(&beside(&format!(".damaged-{number}")));
    let number = (1..).find(free).expect("some number is free");
    // The files beside it go first: a new database must never meet an old write-ahead log.
    for suffix in ["-wal", "-shm", ""] {
        let from = beside(suffix);
        if disk::exists(&from) {
            disk::rename(&from, &beside(&format!(".damaged-{number}{suffix}")))?;
        }
    }
    Ok(beside(&format!(".damaged-{number}")))
}

/// Tells whether SQLite says that its file is no longer a database.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Checks a list of steps in a test: each way down and up again must give the same tables.
#[cfg(test)]
pub fn assert_steps_lead_back(steps: Steps) {
    let schema = |database: &Connection| -> Vec<String> {
        let sql = "select coalesce(sql, name) from sqlite_schema order by name";
        let mut statement = database.prepare(sql).expect("the schema can be read");
        let rows = statement.query_map([], |row| row.get(0)).expect("the schema has rows");
        rows.collect::<std::result::Result<_, _>>().expect("rows are text")
    };
    let root = tempfile::tempdir().expect("a directory for a test");
    let path = root.path().join("test.sqlite");
    let mut database = connect(&path).expect("a new database opens");
    let mut to = |format: i64| {
        migrate(&mut database, &path, steps, format).expect("a step works");
        schema(&database)
    };
    let newest = newest(steps);
    let seen: Vec<_> = (0..=newest).map(&mut to).collect();
    for low in 0..=newest {
        for format in (low..=newest).rev().chain(low..=newest) {
            assert_eq!(to(format), seen[place(format)], "{format} from {low}");
        }
    }
    assert_eq!(seen[0], Vec::<String>::new());
}
