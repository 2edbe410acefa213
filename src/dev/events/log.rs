//! Log: the one writer of the file. Whoever writes waits for its turn; readers have connections of their own.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, params};
use serde_json::json;

use super::entry::Entry;
use super::leaf::{self, Leaf};
use super::schema::{self, LOG};
use super::when;
use crate::dev::DevError;
use crate::limits::{EVENTS_BYTES_MAX, EVENTS_MAX};

/// Entries beyond the bound that go at once, so that they need not go with every batch.
const TRIM: i64 = 512;

/// How much is kept. The oldest go first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rows: i64,
    pub(super) bytes: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rows: EVENTS_MAX, bytes: EVENTS_BYTES_MAX }
    }
}

/// The file, for writing.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    bounds: Bounds,
    database: Mutex<Connection>,
    /// The last entry that was written, and a bell for those who wait for more.
    last: Mutex<Last>,
    bell: Condvar,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Last {
    id: i64,
    is_closed: bool,
}

/// Where an entry belongs and under which name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) index: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) version: i64,
}

impl Log {
    pub(super) fn open(state: &Path, bounds: Bounds) -> Result<Self, DevError> {
        let path = schema::path(state);
        let database = schema::open(&path)?;
        let next = setting(&database, "next")
            .map_err(|source: rusqlite::Error| DevError::of_database(&path, source))?;
        let last = Mutex::new(Last { id: next - 1, is_closed: false });
        let (bell, trouble) = (Condvar::new(), Mutex::default());
        Ok(Self { path, bounds, database: Mutex::new(database), last, bell, trouble })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what happened; all of it is on the disk when this returns.
    pub(super) fn append(&self, entries: &[Entry]) -> Result<(), DevError> {
        let own = Address { index: LOG, id: None, version: 1 };
        self.write(|transaction| {
            for entry in entries {
                insert(
                    transaction,
                    own,
                    entry,
                    &leaf::leaves(&entry.document).unwrap_or_default(),
                )?;
            }
            Ok(())
        })
    }

    /// Runs `work` in one transaction, lets the oldest of the log go, and commits.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, DevError> {
        let written = self.commit(work);
        let trouble = written.as_ref().err().map(ToString::to_string);
        *self.trouble.lock().expect("nobody panics over a text") = trouble;
        let (done, next) = written.map_err(|source| DevError::of_database(&self.path, source))?;
        self.last.lock().expect("nobody panics with it").id = next - 1;
        self.bell.notify_all();
        Ok(done)
    }

    fn commit<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(T, i64)> {
        let mut database = self.database();
        let transaction = database.transaction()?;
        let done = work(&transaction)?;
        trim(&transaction, self.bounds)?;
        let next = setting(&transaction, "next")?;
        transaction.commit()?;
        Ok((done, next))
    }

    /// Returns why nothing could be written when that was tried last.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("nobody panics over a text").clone()
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        // A panic in the middle of a transaction took it back.
        self.database.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the number of the last entry.
    pub(super) fn newest(&self) -> i64 {
        self.last.lock().expect("nobody panics with it").id
    }

    /// Waits until there is an entry after `id`, for at most `time`; `false` once the log is closed.
    pub(super) fn wait(&self, id: i64, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut last = self.last.lock().expect("nobody panics with it");
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if last.is_closed || last.id > id || left.is_zero() {
                return !last.is_closed;
            }
            last = self.bell.wait_timeout(last, left).expect("nobody panics with it").0;
        }
    }

    /// Rests for `time`, or until the log is closed; `false` then.
    pub(super) fn rest(&self, time: Duration) -> bool {
        self.wait(i64::MAX, time)
    }

    /// Tells all who wait that nothing more comes.
    pub(super) fn close(&self) {
        self.last.lock().expect("nobody panics with it").is_closed = true;
        self.bell.notify_all();
    }
}

/// Reads a number that is kept beside the entries.
pub(super) fn setting(database: &Connection, name: &str) -> rusqlite::Result<i64> {
    let sql = "select value from setting where name = ?1";
    database.prepare_cached(sql)?.query_row([name], |row| row.get(0))
}

/// Changes a number that is kept beside the entries.
pub(super) fn add(database: &Connection, name: &str, more: i64) -> rusqlite::Result<()> {
    let sql = "update setting set value = value + ?2 where name = ?1";
    database.prepare_cached(sql)?.execute(params![name, more])?;
    Ok(())
}

/// Writes an entry and returns its number.
pub(super) fn insert(
    database: &Connection,
    address: Address<'_>,
    entry: &Entry,
    leaves: &[Leaf],
) -> rusqlite::Result<i64> {
    let id = setting(database, "next")?;
    add(database, "next", 1)?;
    let source = serde_json::Value::from(entry.document.clone()).to_string();
    let bytes = i64::try_from(source.len()).unwrap_or(i64::MAX);
    let sql =
        "insert into entry (id, idx, doc_id, version, at_ms, type, client, topic, source, bytes)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Address { index, id: name, version } = address;
    let Entry { at_ms, kind, client, topic, said, .. } = entry;
    let row = params![id, index, name, version, at_ms, kind, client, topic, source, bytes];
    database.prepare_cached(sql)?.execute(row)?;
    let sql = "insert into leaf (entry, path, place, text, number, words) values (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut statement = database.prepare_cached(sql)?;
    for (place, leaf) in leaves.iter().enumerate() {
        let place = i64::try_from(place).expect("leaves are few");
        statement.execute(params![id, leaf.path, place, leaf.text, leaf.number, leaf.words])?;
    }
    if index == LOG {
        let sql = "insert into entry_text (rowid, topic, client, said) values (?1, ?2, ?3, ?4)";
        database.prepare_cached(sql)?.execute(params![id, topic, client, said])?;
        add(database, "rows", 1)?;
    }
    add(database, if index == LOG { "bytes" } else { "kept_bytes" }, bytes)?;
    Ok(id)
}

/// Removes an entry.
pub(super) fn remove(database: &Connection, id: i64) -> rusqlite::Result<()> {
    let sql = "delete from entry where id = ?1 returning idx, bytes";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    let (index, bytes) = database.prepare_cached(sql)?.query_row([id], row)?;
    database.prepare_cached("delete from leaf where entry = ?1")?.execute([id])?;
    if index == LOG {
        database.prepare_cached("delete from entry_text where rowid = ?1")?.execute([id])?;
        add(database, "rows", -1)?;
    }
    add(database, if index == LOG { "bytes" } else { "kept_bytes" }, -bytes)
}

/// Lets the oldest of the log go where there is too much of it.
fn trim(database: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
    let (rows, bytes) = (setting(database, "rows")?, setting(database, "bytes")?);
    if rows <= bounds.rows && bytes <= bounds.bytes {
        return Ok(());
    }
    let slack = TRIM.min(bounds.rows / 8);
    let (mut rows_over, mut bytes_over) = (rows - bounds.rows + slack, bytes - bounds.bytes);
    let sql = "select id, bytes from entry where idx = ?1 order by id";
    let mut statement = database.prepare_cached(sql)?;
    let mut oldest = statement.query([LOG])?;
    let mut gone: Vec<i64> = Vec::new();
    while let Some(row) = oldest.next()? {
        if rows_over <= 0 && bytes_over <= 0 {
            break;
        }
        rows_over -= 1;
        bytes_over -= row.get::<_, i64>(1)?;
        gone.push(row.get(0)?);
    }
    drop(oldest);
    drop(statement);
    if let Some(last) = gone.last() {
        count_dropped(database, *last)?;
    }
    gone.into_iter().try_for_each(|id| remove(database, id))
}

/// Counts, and says, what goes up to the entry `last` before it was forwarded.
fn count_dropped(database: &Connection, last: i64) -> rusqlite::Result<()> {
    let sql = "select target, (select count(*) from entry
                where idx = ?1 and doc_id is null and id > cursor and id <= ?2) as many
               from forward where many > 0";
    let mut statement = database.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let dropped = statement.query_map(params![LOG, last], row)?;
    for (target, count) in dropped.collect::<rusqlite::Result<Vec<(String, i64)>>>()? {
        let sql = "update forward set dropped = dropped + ?2, cursor = ?3 where target = ?1";
        database.prepare_cached(sql)?.execute(params![target, count, last])?;
        let now_ms = when::now_ms();
        let said = json!({
            "event": "forward_dropped", "timestamp": now_ms, "target": target, "count": count,
            "reason": "the log is full and the other side was away",
        });
        let entry = Entry::said(said, now_ms);
        let leaves = leaf::leaves(&entry.document).unwrap_or_default();
        insert(database, Address { index: LOG, id: None, version: 1 }, &entry, &leaves)?;
    }
    Ok(())
}
