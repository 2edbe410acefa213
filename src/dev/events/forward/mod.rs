//! Forward: passes the log on to a real Elasticsearch, a real Redis or a file.
//!
//! The log itself is the spool: for each receiver the file keeps up to which entry all arrived. While one is away
//! nothing is lost but what the log lets go as its oldest, and that is counted and said. A receiver is asked again
//! after a pause that doubles, and again after a kill; Elasticsearch and Redis take what they had already as done.

mod elasticsearch;
mod file;
mod redis;
mod target;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::json;

use super::entry::Entry;
use super::log::Log;
use super::schema::{self, LOG};
use super::sink::Things;
use super::when;
use crate::dev::DevError;

pub use target::{Credentials, Index, Target};

/// Events that are sent at once, and their bytes.
const AT_ONCE: usize = 1000;
const BYTES_AT_ONCE: usize = 4 << 20;
/// How long the first of them waits for company.
const GATHER: Duration = Duration::from_secs(1);
/// The first pause after a failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Where events go beside the log.
#[derive(Debug, Clone, Default)]
pub struct Forwards {
    /// Servers.
    pub targets: Vec<Target>,
    /// Servers of the stack itself, which ask for no credentials.
    pub own: Vec<Target>,
    /// What this stack calls itself in the streams of a Redis.
    pub instance: String,
    /// What finds the things behind its clients.
    pub things: Things,
    /// The index of an Elasticsearch that they go to.
    pub index: Index,
    /// Who we are there.
    pub credentials: Credentials,
    /// A file that gets a line for each.
    pub ndjson: Option<PathBuf>,
}

/// An event on its way.
#[derive(Debug, Clone)]
struct Parcel {
    id: i64,
    at_ms: i64,
    kind: String,
    source: String,
}

/// What became of parcels that were sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// How many were refused for good.
    refused: usize,
    /// Those that may be taken later, by their place among those that were sent.
    again: Vec<usize>,
}

/// Why none arrived for now, without secrets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trouble {
    reason: String,
    /// The pause that the other side asks for.
    after: Option<Duration>,
}

impl Trouble {
    fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), after: None }
    }
}

/// One who gets events.
trait Receiver: Send {
    /// Sends parcels; who answers took them, but for those in the outcome.
    fn send(&mut self, parcels: &[Parcel]) -> Result<Outcome, Trouble>;

    /// How long the first parcel may wait for others.
    fn gather(&self) -> Duration {
        GATHER
    }
}

/// Starts a thread for each receiver; they end once the log is closed.
pub(super) fn start(log: &Arc<Log>, forwards: &Forwards) -> Result<Vec<JoinHandle<()>>, DevError> {
    let database = schema::open(log.path())?;
    let sql = "select value from setting where name = 'log'";
    let uuid: String = database
        .query_row(sql, [], |row| row.get(0))
        .map_err(|source: rusqlite::Error| DevError::of_database(log.path(), source))?;
    let mut receivers: Vec<(String, Box<dyn Receiver>)> = Vec::new();
    let known = forwards.targets.iter().map(|target| (target, forwards.credentials.clone()));
    let own = forwards.own.iter().filter(|own| !forwards.targets.contains(own));
    for (target, credentials) in known.chain(own.map(|own| (own, Credentials::default()))) {
        receivers.push((target.to_string(), target.receiver(forwards, credentials, &uuid)));
    }
    if let Some(path) = &forwards.ndjson {
        receivers.push((path.display().to_string(), Box::new(file::Lines::new(path.clone()))));
    }
    let run = |(name, receiver): (String, Box<dyn Receiver>)| {
        let courier = Courier { log: Arc::clone(log), name, receiver, trouble: None };
        let thread = std::thread::Builder::new().name("events-forward".into());
        thread.spawn(move || courier.run()).map_err(DevError::Runtime)
    };
    receivers.into_iter().map(run).collect()
}

struct Courier {
    log: Arc<Log>,
    name: String,
    receiver: Box<dyn Receiver>,
    /// What was said last of why nothing arrives.
    trouble: Option<String>,
}

impl Courier {
    fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.deliver_all() {
                Ok(()) => return,
                // The file refuses: a full disk, for one. What waits stays where it is.
                Err(_) if self.log.rest(pause) => pause = (pause * 2).min(PAUSE_MAX),
                Err(_) => return,
            }
        }
    }

    /// Delivers until the log is closed.
    fn deliver_all(&mut self) -> Result<(), DevError> {
        let database = schema::open(self.log.path())?;
        let mut cursor = self.cursor()?;
        let mut seen = cursor;
        // What was said before a restart still stands.
        self.trouble = self.trouble_said(&database)?;
        while self.log.wait(seen, Duration::from_secs(3600)) {
            let mut parcels = self.next(&database, cursor)?;
            if parcels.is_empty() {
                seen = self.log.newest();
                continue;
            }
            if parcels.len() < AT_ONCE && !self.log.rest(self.receiver.gather()) {
                break;
            }
            parcels = self.next(&database, cursor)?;
            let Some(last) = parcels.last().map(|parcel| parcel.id) else { continue };
            let Some((sent, refused)) = self.deliver(&database, parcels)? else { break };
            self.move_on(last, sent, refused)?;
            (cursor, seen) = (last, last);
        }
        // A file takes the last of it; who is far away gets it once the stack is up again.
        while self.receiver.gather().is_zero() {
            let parcels = self.next(&database, cursor)?;
            let Some(last) = parcels.last().map(|parcel| parcel.id) else { break };
            if self.receiver.send(&parcels).is_err() {
                break;
            }
            self.move_on(last, parcels.len(), 0)?;
            cursor = last;
        }
        Ok(())
    }

    /// Sends until all have arrived or were refused for good, and returns how many of each; `None` once the log is
    /// closed. What the log lets go meanwhile was counted as dropped, and is sent no more.
    fn deliver(
        &mut self,
        database: &Connection,
        mut parcels: Vec<Parcel>,
    ) -> Result<Option<(usize, usize)>, DevError> {
        let mut pause = PAUSE_MIN;
        let (mut sent, mut refused) = (0, 0);
        loop {
            let wanted = match self.receiver.send(&parcels) {
                Ok(outcome) => {
                    refused += outcome.refused;
                    sent += parcels.len() - outcome.refused - outcome.again.len();
                    let again = outcome.again.iter().map(|place| parcels[*place].clone());
                    parcels = again.collect();
                    None
                }
                Err(trouble) => {
                    self.say(Some(trouble.reason))?;
                    trouble.after
                }
            };
            if parcels.is_empty() {
                break;
            }
            let pause_now = wanted.map_or(pause, |wanted| wanted.clamp(pause, PAUSE_MAX * 2));
            if !self.log.rest(pause_now) {
                return Ok(None);
            }
            pause = (pause * 2).min(PAUSE_MAX);
            let cursor = self.reached(database)?;
            parcels.retain(|parcel| parcel.id > cursor);
            if parcels.is_empty() {
                break;
            }
        }
        self.say(None)?;
        Ok(Some((sent, refused)))
    }

    fn trouble_said(&self, database: &Connection) -> Result<Option<String>, DevError> {
        let sql = "select trouble from forward where target = ?1";
        let trouble = database.query_row(sql, [&self.name], |row| row.get(0));
        trouble.map_err(|source: rusqlite::Error| DevError::of_database(self.log.path(), source))
    }

    fn reached(&self, database: &Connection) -> Result<i64, DevError> {
        let sql = "select cursor from forward where target = ?1";
        let cursor = database.query_row(sql, [&self.name], |row| row.get(0));
        cursor.map_err(|source: rusqlite::Error| DevError::of_database(self.log.path(), source))
    }

    /// Says in the log that nothing arrives and why, or that it does again; once for each reason.
    fn say(&mut self, trouble: Option<String>) -> Result<(), DevError> {
        if trouble == self.trouble {
            return Ok(());
        }
        let now_ms = when::now_ms();
        let event = if trouble.is_some() { "forward_failed" } else { "forward_resumed" };
        let entry = Entry::said(
            json!({"event": event, "timestamp": now_ms, "target": self.name, "reason": trouble}),
            now_ms,
        );
        self.log.append(&[entry])?;
        let sql = "update forward set trouble = ?2 where target = ?1";
        self.log
            .write(|transaction| transaction.execute(sql, params![self.name, trouble]).map(drop))?;
        self.trouble = trouble;
        Ok(())
    }

    fn cursor(&self) -> Result<i64, DevError> {
        self.log.write(|transaction| {
            let sql = "insert or ignore into forward (target, cursor, sent, dropped, refused) values (?1, 0, 0, 0, 0)";
            transaction.execute(sql, [&self.name])?;
            let sql = "select cursor from forward where target = ?1";
            transaction.query_row(sql, [&self.name], |row| row.get(0))
        })
    }

    fn move_on(&self, cursor: i64, sent: usize, refused: usize) -> Result<(), DevError> {
        let sql = "update forward set cursor = max(cursor, ?2), sent = sent + ?3, refused = refused + ?4 where target = ?1";
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let row = params![self.name, cursor, count(sent), count(refused)];
        self.log.write(|transaction| transaction.execute(sql, row).map(drop))
    }

    /// Returns the next parcels after `cursor`.
    fn next(&self, database: &Connection, cursor: i64) -> Result<Vec<Parcel>, DevError> {
        let read = || {
            let sql = "select id, at_ms, type, source from entry \
                where id > ?2 and idx = ?1 and doc_id is null order by id limit ?3";
            let mut statement = database.prepare_cached(sql)?;
            let limit = i64::try_from(AT_ONCE).expect("it is small");
            let mut rows = statement.query(params![LOG, cursor, limit])?;
            let (mut parcels, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let source: String = row.get(3)?;
                bytes += source.len();
                if bytes > BYTES_AT_ONCE && !parcels.is_empty() {
                    break;
                }
                parcels.push(Parcel {
                    id: row.get(0)?,
                    at_ms: row.get(1)?,
                    kind: row.get(2)?,
                    source,
                });
            }
            Ok(parcels)
        };
        read().map_err(|source: rusqlite::Error| DevError::of_database(self.log.path(), source))
    }
}
