//! Schema: the index's tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;

/// The newest format that this rebeam knows.
const FORMAT: i64 = 1;

/// Opens the index of the store at `root` and brings it to the newest format.
pub(super) fn open(root: &Path) -> Result<Connection, StoreError> {
    let index = Connection::open(root.join("index.sqlite"))?;
    index.busy_timeout(Duration::from_secs(30))?;
    index.pragma_update(None, "journal_mode", "wal")?;
    let found: i64 = index.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Err(StoreError::Newer {
            path: root.to_owned(),
            found,
            known: FORMAT,
        });
    }
    if found < FORMAT {
        index.execute_batch(
            "begin immediate;
             create table if not exists steps (key text primary key, inputs text not null, outputs text not null) without rowid;
             pragma user_version = 1;
             commit;",
        )?;
    }
    Ok(index)
}
