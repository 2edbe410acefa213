//! Search: what the log has, newest first, for people and pages.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row};
use serde::Serialize;
use serde_json::{Map, Value};

use super::log::setting;
use super::schema::{self, LOG};
use crate::dev::DevError;
use crate::dev::broker::filter_matches;
use crate::disk;

/// Lines of one answer.
const LIMIT_MAX: usize = 10_000;
/// Entries that are looked at for one answer where only a topic filter chooses.
const LOOKED_AT_MAX: usize = 200_000;
/// Characters from which on a text is found by the index.
const INDEXED_CHARS_MIN: usize = 3;

/// What is looked for; all that is given has to fit.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// A piece of a topic, payload, reason or client identifier, in either case.
    pub text: Option<String>,
    /// The event: `message_published`.
    pub kind: Option<String>,
    /// The client identifier.
    pub client: Option<String>,
    /// An MQTT filter.
    pub topic: Option<String>,
    /// Not before this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Before this time.
    pub until_ms: Option<i64>,
    /// Only entries before this one: the next page.
    pub before: Option<i64>,
    /// Only entries after this one, oldest first: what is new.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Its number; later entries have higher ones.
    #[serde(rename = "_id")]
    pub id: i64,
    /// When it happened.
    #[serde(skip)]
    pub at_ms: i64,
    /// What: `client_connected`.
    #[serde(skip)]
    pub kind: String,
    /// The client that it concerns.
    #[serde(skip)]
    pub client: Option<String>,
    /// Its topic; a subscription has one a line.
    #[serde(skip)]
    pub topic: Option<String>,
    /// All of it.
    #[serde(flatten)]
    pub document: Map<String, Value>,
}

/// How full the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Entries.
    pub rows: i64,
    /// Bytes of their documents.
    pub bytes: i64,
}

/// How forwarding to one place goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forwarded {
    /// Where to, without credentials.
    pub target: String,
    /// Events that arrived there.
    pub sent: i64,
    /// Events that wait.
    pub waiting: i64,
    /// Events that the log let go before they could be sent.
    pub dropped: i64,
    /// Events that the other side refused for good.
    pub refused: i64,
    /// Why nothing arrives there now.
    pub trouble: Option<String>,
}

/// Reads the log of a stack, whether that is up or not. Calls block for as long as SQLite takes.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    database: Mutex<Connection>,
}

impl Reader {
    /// Opens the log of the stack whose state is in `state`; `None` where it never had one.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(state: &Path) -> Result<Option<Self>, DevError> {
        let path = schema::path(state);
        if !disk::exists(&path) {
            return Ok(None);
        }
        Self::at(&path).map(Some)
    }

    /// Opens the log in a file that is there.
    pub(super) fn at(path: &Path) -> Result<Self, DevError> {
        let database = Mutex::new(schema::open(path)?);
        Ok(Self { path: path.to_owned(), database })
    }

    /// Returns what fits `wish`: newest first, or oldest first from [`Wish::after`] on.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn search(&self, wish: &Wish) -> Result<Vec<Line>, DevError> {
        find(&self.database(), wish)
            .map_err(|source: rusqlite::Error| DevError::of_database(&self.path, source))
    }

    /// Returns the number of the newest entry.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn newest(&self) -> Result<i64, DevError> {
        let next = setting(&self.database(), "next");
        Ok(next.map_err(|source: rusqlite::Error| DevError::of_database(&self.path, source))? - 1)
    }

    /// Returns how full the log is.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn totals(&self) -> Result<Totals, DevError> {
        let database = self.database();
        let read = || {
            Ok(Totals { rows: setting(&database, "rows")?, bytes: setting(&database, "bytes")? })
        };
        read().map_err(|source: rusqlite::Error| DevError::of_database(&self.path, source))
    }

    /// Returns how forwarding goes, a line for each place that was ever forwarded to.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn forwarded(&self) -> Result<Vec<Forwarded>, DevError> {
        let database = self.database();
        let read = || {
            let sql = "select target, sent, dropped, refused, trouble, \
                (select count(*) from entry where idx = ?1 and doc_id is null and id > cursor) \
                from forward order by target";
            let mut statement = database.prepare_cached(sql)?;
            let line = |row: &Row<'_>| {
                let target = row.get(0)?;
                let (sent, dropped, refused) = (row.get(1)?, row.get(2)?, row.get(3)?);
                let (trouble, waiting) = (row.get(4)?, row.get(5)?);
                Ok(Forwarded { target, sent, waiting, dropped, refused, trouble })
            };
            statement.query_map([LOG], line)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source: rusqlite::Error| DevError::of_database(&self.path, source))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn find(database: &Connection, wish: &Wish) -> rusqlite::Result<Vec<Line>> {
    let mut conditions = vec!["idx = ?".to_owned()];
    let mut values = vec![Sql::from(LOG.to_owned())];
    let mut demand = |sql: &str, value: Option<Sql>| {
        if let Some(value) = value {
            conditions.push(sql.to_owned());
            values.push(value);
        }
    };
    demand("type = ?", wish.kind.clone().map(Sql::from));
    demand("client = ?", wish.client.clone().map(Sql::from));
    demand("at_ms >= ?", wish.since_ms.map(Sql::from));
    demand("at_ms < ?", wish.until_ms.map(Sql::from));
    demand("id < ?", wish.before.map(Sql::from));
    demand("id > ?", wish.after.map(Sql::from));
    demand("topic is not null and 1 = ?", wish.topic.as_ref().map(|_| Sql::from(1_i64)));
    if let Some(text) = wish.text.as_deref().filter(|text| !text.is_empty()) {
        if text.chars().nth(INDEXED_CHARS_MIN - 1).is_some() && !text.contains('\0') {
            let phrase = format!("\"{}\"", text.replace('"', "\"\""));
            let sql = "id in (select rowid from entry_text where entry_text match ?)";
            demand(sql, Some(phrase.into()));
        } else {
            let sql = "instr(lower(coalesce(topic, '') || x'0a' || coalesce(client, '') || x'0a' || source), ?) > 0";
            demand(sql, Some(text.to_lowercase().into()));
        }
    }
    let order = if wish.after.is_some() { "asc" } else { "desc" };
    let sql = format!(
        "select id, at_ms, type, client, topic, source from entry where {} order by id {order}",
        conditions.join(" and ")
    );
    let mut statement = database.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut lines = Vec::new();
    let mut looked_at = 0;
    while lines.len() < wish.limit.min(LIMIT_MAX) && looked_at < LOOKED_AT_MAX {
        let Some(row) = rows.next()? else { break };
        looked_at += 1;
        let topics: Option<String> = row.get(4)?;
        let fits = |filter: &String| {
            let topics = topics.as_deref().unwrap_or_default();
            topics.split('\n').any(|topic| topic == filter || filter_matches(filter, topic))
        };
        if wish.topic.as_ref().is_none_or(fits) {
            lines.push(line(row, topics)?);
        }
    }
    Ok(lines)
}

fn line(row: &Row<'_>, topic: Option<String>) -> rusqlite::Result<Line> {
    let source: String = row.get(5)?;
    let (id, at_ms, kind, client) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let document = serde_json::from_str(&source).unwrap_or_default();
    Ok(Line { id, at_ms, kind, client, topic, document })
}
