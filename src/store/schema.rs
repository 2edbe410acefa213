//! Schema: the index's formats, the way up to each and the way back down.
//!
//! A format is a number in SQLite's `user_version`. Each step runs in one transaction with the
//! number, so a kill leaves the format before or the one after. Steps are never edited once released:
//! a change is a new step at the end of the list.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::disk::{self, LockMode};

use super::error::{Result, StoreError};

/// One step between two formats.
struct Step {
    up: &'static str,
    down: &'static str,
}

/// Step n leads from format n to format n + 1.
const STEPS: &[Step] = &[
    Step {
        up: "create table if not exists steps (
                 key text primary key, inputs text not null, outputs text not null
             ) without rowid;",
        down: "drop table steps;",
    },
    Step {
        up: "create table objects (
                 kind integer not null, digest blob not null, bytes integer not null,
                 boot text not null, synced integer not null, used_at integer not null,
                 primary key (kind, digest)
             ) without rowid;
             create index unsynced on objects (boot) where synced = 0;
             create table listings (
                 digest blob primary key, size integer not null, checksum blob not null,
                 packed blob not null
             );
             create table roots (path blob primary key, used_at integer not null) without rowid;
             create table root_uses (
                 path blob not null, digest blob not null, primary key (path, digest)
             ) without rowid;",
        down: "drop table root_uses;
               drop table roots;
               drop table listings;
               drop table objects;",
    },
];

/// The newest format that this rebeam knows.
pub(super) const FORMAT: i64 = STEPS.len() as i64;

/// The index's file name below the store's root.
pub(super) const FILE_NAME: &str = "index.sqlite";

const BUSY_S: u64 = 30;

/// Opens the index of the store at `root` and brings it to the newest format.
pub(super) fn open(root: &Path) -> Result<Connection> {
    let mut index = connect(root)?;
    let mode: String = index.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if format(&index)? == FORMAT && mode == "wal" {
        return Ok(index);
    }
    // The change to WAL does not wait for other connections as all else does: a lock makes it.
    let _alone = disk::lock(&root.join("index.lock"), LockMode::Exclusive)?;
    index.pragma_update(None, "journal_mode", "wal")?;
    migrate(&mut index, root, FORMAT)?;
    Ok(index)
}

fn connect(root: &Path) -> Result<Connection> {
    let path = root.join(FILE_NAME);
    disk::change("open", &path)?;
    let index = Connection::open(path)?;
    index.busy_timeout(Duration::from_secs(BUSY_S))?;
    // A power cut may take the last transactions and never the index itself; rows that say "on the
    // medium" or "gone" are written so that their loss does no harm (see the store's door).
    index.pragma_update(None, "synchronous", "normal")?;
    Ok(index)
}

fn format(index: &Connection) -> Result<i64> {
    Ok(index.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Walks the index up or down to the format `wanted`.
pub(super) fn migrate(index: &mut Connection, root: &Path, wanted: i64) -> Result<()> {
    let wanted = wanted.clamp(0, FORMAT);
    loop {
        let transaction =
            index.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found = format(&transaction)?;
        if !(0..=FORMAT).contains(&found) {
            return Err(StoreError::Newer { path: root.to_owned(), found, known: FORMAT });
        }
        if found == wanted {
            return Ok(());
        }
        disk::change("write", &root.join(FILE_NAME))?;
        let (sql, next) = if found < wanted {
            (STEPS[place(found)].up, found + 1)
        } else {
            (STEPS[place(found - 1)].down, found - 1)
        };
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
}

fn place(format: i64) -> usize {
    usize::try_from(format).expect("formats below zero were refused")
}

/// Takes the index of the store at `root` back to an older format, for an older rebeam.
pub(super) fn roll_back(root: &Path, wanted: i64) -> Result<()> {
    let mut index = connect(root)?;
    migrate(&mut index, root, wanted)
}

/// Gives a damaged index another name, so that a new one can be made. Needs the store for itself alone.
pub(super) fn set_aside(root: &Path) -> Result<PathBuf> {
    let free = |number: &u32| !disk::exists(&root.join(format!("{FILE_NAME}.damaged-{number}")));
    let number = (1..).find(free).expect("some number is free");
    // The files beside it go first: a new index must never meet an old write-ahead log.
    for suffix in ["-wal", "-shm", ""] {
        let from = root.join(format!("{FILE_NAME}{suffix}"));
        if disk::exists(&from) {
            let to = root.join(format!("{FILE_NAME}.damaged-{number}{suffix}"));
            disk::rename(&from, &to)?;
        }
    }
    Ok(root.join(format!("{FILE_NAME}.damaged-{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(index: &Connection) -> Vec<String> {
        let mut statement =
            index.prepare("select coalesce(sql, name) from sqlite_schema order by name").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<std::result::Result<_, _>>().unwrap()
    }

    #[test]
    fn down_and_up_again_gives_the_same_schema_at_every_format() {
        let root = tempfile::tempdir().unwrap();
        let mut index = connect(root.path()).unwrap();
        let mut seen = Vec::new();
        for format in 0..=FORMAT {
            migrate(&mut index, root.path(), format).unwrap();
            seen.push(schema(&index));
        }
        for low in 0..=FORMAT {
            for format in (low..=FORMAT).rev().chain(low..=FORMAT) {
                migrate(&mut index, root.path(), format).unwrap();
                assert_eq!(schema(&index), seen[place(format)], "{format} from {low}");
            }
        }
        assert_eq!(seen[0], Vec::<String>::new());
    }

    #[test]
    fn what_steps_made_survives_the_way_down_and_up() {
        let root = tempfile::tempdir().unwrap();
        let mut index = open(root.path()).unwrap();
        index.execute("insert into steps values ('key', 'inputs', '')", []).unwrap();
        migrate(&mut index, root.path(), 1).unwrap();
        migrate(&mut index, root.path(), FORMAT).unwrap();
        let inputs: String =
            index.query_row("select inputs from steps", [], |row| row.get(0)).unwrap();
        assert_eq!(inputs, "inputs");
    }

    #[test]
    fn an_index_of_a_newer_format_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let index = open(root.path()).unwrap();
        index.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, .. } if found == FORMAT + 1));
        assert_eq!(format(&index).unwrap(), FORMAT + 1);
    }
}
