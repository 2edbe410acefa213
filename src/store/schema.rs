//! Schema: the index's formats, the way up to each and the way back down.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::database::{self, DatabaseError, Step};

use super::error::{Result, StoreError};

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

/// The index's file name below the store's root.
pub(super) const FILE_NAME: &str = "index.sqlite";

/// Opens the index of the store at `root` and brings it to the newest format.
pub(super) fn open(root: &Path) -> Result<Connection> {
    database::open(&root.join(FILE_NAME), STEPS).map_err(|error| of_store(error, root))
}

/// Takes the index of the store at `root` back to an older format, for an older rebeam.
pub(super) fn roll_back(root: &Path, wanted: i64) -> Result<()> {
    let path = root.join(FILE_NAME);
    let walk = |mut index| database::migrate(&mut index, &path, STEPS, wanted);
    database::connect(&path).and_then(walk).map_err(|error| of_store(error, root))
}

/// Gives a damaged index another name, so that a new one can be made. Needs the store for itself alone.
pub(super) fn set_aside(root: &Path) -> Result<PathBuf> {
    database::set_aside(&root.join(FILE_NAME)).map_err(|error| of_store(error, root))
}

fn of_store(error: DatabaseError, root: &Path) -> StoreError {
    match error {
        DatabaseError::Newer { found, known, .. } => {
            StoreError::Newer { path: root.to_owned(), found, known }
        }
        DatabaseError::Sqlite(error) => StoreError::Index(error),
        DatabaseError::Disk(error) => StoreError::Disk(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_and_up_again_gives_the_same_schema_at_every_format() {
        database::assert_steps_lead_back(STEPS);
    }

    #[test]
    fn what_steps_made_survives_the_way_down_and_up() {
        let root = tempfile::tempdir().unwrap();
        let index = open(root.path()).unwrap();
        index.execute("insert into steps values ('key', 'inputs', '')", []).unwrap();
        roll_back(root.path(), 1).unwrap();
        let index = open(root.path()).unwrap();
        let inputs: String =
            index.query_row("select inputs from steps", [], |row| row.get(0)).unwrap();
        assert_eq!(inputs, "inputs");
    }

    #[test]
    fn an_index_of_a_newer_format_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let index = open(root.path()).unwrap();
        let newer = database::newest(STEPS) + 1;
        index.pragma_update(None, "user_version", newer).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, .. } if found == newer));
        assert_eq!(database::format(&index).unwrap(), newer);
    }
}
