//! Model: users, things, channels, configurations and messages of one stack, in one database.
//!
//! What is asked of it takes microseconds, so one connection behind a lock serves all. A change is on the disk when
//! its function returns, and said on the bus after that.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _};

use super::schema::STEPS;
use super::token::Secret;
use super::wrong::{Result, Wrong};
use crate::dev::{Bus, DevError, What};
use crate::{database, disk};

const FILE: &str = "things.sqlite";
/// Only its owner reads the file: it holds keys.
const OWN: u32 = 0o600;

/// Everything that is known of things.
pub(super) struct Model {
    database: Mutex<Connection>,
    bus: Bus,
    /// Counts what changes who may publish where.
    rules: AtomicU64,
    pub(super) secret: Secret,
    /// Bytes of all messages.
    pub(super) messages_bytes: AtomicU64,
    /// Why a message could not be kept when that was tried last.
    trouble: Mutex<Option<String>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Model").finish_non_exhaustive()
    }
}

impl Model {
    /// Opens what is kept in the directory `state`; what happens is said on `bus`.
    pub(super) fn open(state: &Path, bus: Bus) -> std::result::Result<Self, DevError> {
        let path = state.join(FILE);
        let refused = |error: rusqlite::Error| DevError::of_database(&path, error);
        let database =
            database::open(&path, STEPS).map_err(|error| DevError::of_database(&path, error))?;
        disk::set_mode(&path, OWN)?;
        database.pragma_update(None, "foreign_keys", true).map_err(refused)?;
        let secret = secret(&database).map_err(refused)?;
        let sum = "select coalesce(sum(bytes), 0) from messages";
        let bytes: i64 = database.query_row(sum, [], |row| row.get(0)).map_err(refused)?;
        Ok(Self {
            database: Mutex::new(database),
            bus,
            rules: AtomicU64::new(0),
            secret,
            messages_bytes: AtomicU64::new(u64::try_from(bytes).unwrap_or(0)),
            trouble: Mutex::default(),
        })
    }

    pub(super) fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().expect("nothing panics while it holds the database")
    }

    /// Notes whether a message could be kept.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().expect("nothing panics over a text") = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("nothing panics over a text").clone()
    }

    /// Says what happened.
    pub(super) fn say(&self, what: What) {
        self.bus.say(now_ms(), what);
    }

    /// Counts a change of who may publish where.
    pub(super) fn rules_changed(&self) {
        self.rules.fetch_add(1, Ordering::Release);
    }

    pub(super) fn rules(&self) -> u64 {
        self.rules.load(Ordering::Acquire)
    }

    /// Counts the rows of a table that is named in this program.
    pub(super) fn count(&self, table: &'static str) -> Result<u64> {
        count(&self.database(), table)
    }
}

pub(super) fn count(database: &Connection, table: &'static str) -> Result<u64> {
    let count: i64 =
        database.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Refuses one more row of a table than the table may have.
pub(super) fn room(database: &Connection, table: &'static str, most: u64) -> Result<()> {
    match count(database, table)? < most {
        true => Ok(()),
        false => Err(Wrong::Full("no more of these fit into one stack")),
    }
}

/// The secret that tokens are signed with; it is made with the database and goes with it.
fn secret(database: &Connection) -> rusqlite::Result<Secret> {
    let known: Option<Vec<u8>> =
        database.query_row("select secret from secrets", [], |row| row.get(0)).optional()?;
    if let Some(known) = known {
        return Ok(Secret::new(&known));
    }
    let fresh = super::token::random::<32>();
    database.execute("insert into secrets (secret) values (?1)", [&fresh[..]])?;
    Ok(Secret::new(&fresh))
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time in whole seconds, as Mainflux writes it.
pub(super) fn now_s() -> i64 {
    now_ms() / 1000
}
