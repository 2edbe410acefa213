//! Entries: things and channels. Both have an owner, a name and metadata; a thing has a key beside them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::events;
use super::model::{self, Model};
use super::users::object;
use super::wrong::{Result, Wrong};
use crate::limits::{
    THINGS_KEY_BYTES_MAX, THINGS_MAX, THINGS_METADATA_BYTES_MAX, THINGS_NAME_BYTES_MAX,
};

pub(super) type Metadata = Map<String, Value>;

/// What of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Thing,
    Channel,
}

/// A thing, or a channel, which has no key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) key: Option<String>,
    pub(super) metadata: Metadata,
}

/// What an owner says of a thing or a channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) name: String,
    pub(super) metadata: Option<Metadata>,
    /// Only of a new thing; empty for a fresh one.
    pub(super) key: String,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page<T> {
    pub(super) total: u64,
    pub(super) offset: u64,
    pub(super) limit: u64,
    pub(super) items: Vec<T>,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) offset: u64,
    pub(super) limit: u64,
    pub(super) name: String,
    pub(super) metadata: Metadata,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Thing => "things",
            Self::Channel => "channels",
        }
    }

    fn columns(self) -> &'static str {
        match self {
            Self::Thing => "e.id, e.owner, e.name, e.metadata, e.key",
            Self::Channel => "e.id, e.owner, e.name, e.metadata, null",
        }
    }

    fn missing(self) -> Wrong {
        match self {
            Self::Thing => Wrong::Missing("there is no such thing"),
            Self::Channel => Wrong::Missing("there is no such channel"),
        }
    }

    fn operation(self, thing: &'static str, channel: &'static str) -> &'static str {
        match self {
            Self::Thing => thing,
            Self::Channel => channel,
        }
    }
}

impl Model {
    /// Makes a thing or a channel, and returns its identifier. A thing that was given no key gets one.
    pub(super) fn create(&self, kind: Kind, token: &str, said: &Said) -> Result<String> {
        let Said { name, metadata, key } = said;
        let metadata = metadata.as_ref();
        let owner = self.identify(token)?;
        check(name, metadata)?;
        check_key(key)?;
        let id = Uuid::new_v4().to_string();
        {
            let database = self.database();
            model::room(&database, kind.table(), THINGS_MAX)?;
            let text = written(metadata);
            let done = match kind {
                Kind::Thing => {
                    let fresh = Uuid::new_v4().to_string();
                    let key = if key.is_empty() { &fresh } else { key };
                    let sql = "insert into things (id, owner, key, name, metadata)
                        values (?1, ?2, ?3, ?4, ?5) on conflict do nothing";
                    database.execute(sql, params![id, owner, key, name, text])?
                }
                Kind::Channel => {
                    let sql = "insert into channels (id, owner, name, metadata)
                        values (?1, ?2, ?3, ?4)";
                    database.execute(sql, params![id, owner, name, text])?
                }
            };
            if done == 0 {
                return Err(Wrong::KeyTaken);
            }
        }
        let operation = kind.operation("thing.create", "channel.create");
        self.say(events::created(operation, &id, &owner, name, metadata));
        Ok(id)
    }

    /// Gives a thing or a channel another name and other metadata.
    pub(super) fn update(&self, kind: Kind, token: &str, id: &str, said: &Said) -> Result<()> {
        let Said { name, metadata, .. } = said;
        let metadata = metadata.as_ref();
        let owner = self.identify(token)?;
        let id = identifier(id)?;
        check(name, metadata)?;
        let sql = format!(
            "update {} set name = ?1, metadata = ?2 where id = ?3 and owner = ?4",
            kind.table()
        );
        let done = self.database().execute(&sql, params![name, written(metadata), id, owner])?;
        if done == 0 {
            return Err(kind.missing());
        }
        let operation = kind.operation("thing.update", "channel.update");
        self.say(events::updated(operation, &id, name, metadata));
        Ok(())
    }

    /// Gives a thing another key. No event is said: a key is no news for everybody.
    pub(super) fn update_key(&self, token: &str, id: &str, key: &str) -> Result<()> {
        let owner = self.identify(token)?;
        let id = identifier(id)?;
        if key.is_empty() {
            return Err(Wrong::Malformed("a key has at least one character"));
        }
        check_key(key)?;
        let sql = "update or ignore things set key = ?1 where id = ?2 and owner = ?3";
        let database = self.database();
        if database.execute(sql, params![key, id, owner])? == 0 {
            let found = find(&database, Kind::Thing, &owner, &id)?;
            return Err(found.map_or(Kind::Thing.missing(), |_| Wrong::KeyTaken));
        }
        drop(database);
        self.rules_changed();
        Ok(())
    }

    /// Returns a thing or a channel.
    pub(super) fn view(&self, kind: Kind, token: &str, id: &str) -> Result<Entry> {
        let owner = self.identify(token)?;
        find(&self.database(), kind, &owner, &id.to_ascii_lowercase())?.ok_or(kind.missing())
    }

    /// Lists things or channels in the order of their identifiers. The total counts those of the name.
    pub(super) fn list(&self, kind: Kind, token: &str, wanted: &Wanted) -> Result<Page<Entry>> {
        let owner = self.identify(token)?;
        let pattern = format!("%{}%", wanted.name.to_lowercase());
        let table = kind.table();
        let condition = "e.owner = ?1 and (?2 = '%%' or lower(e.name) like ?2)";
        let database = self.database();
        let sql = format!("select count(*) from {table} e where {condition}");
        let total: i64 = database.query_row(&sql, params![owner, pattern], |row| row.get(0))?;
        let sql =
            format!("select {} from {table} e where {condition} order by e.id", kind.columns());
        let mut statement = database.prepare_cached(&sql)?;
        let rows = statement.query_map(params![owner, pattern], entry)?;
        let matching = rows.filter(|row| {
            let fits = |entry: &Entry| contains(&entry.metadata, &wanted.metadata);
            row.as_ref().map_or(true, fits)
        });
        let (skip, take) = (clamp(wanted.offset), clamp(wanted.limit));
        let items = matching.skip(skip).take(take).collect::<rusqlite::Result<_>>()?;
        Ok(Page { total: total.unsigned_abs(), offset: wanted.offset, limit: wanted.limit, items })
    }

    /// Lists the channels of a thing, or the things of a channel.
    pub(super) fn list_joined(
        &self,
        kind: Kind,
        token: &str,
        with: &str,
        wanted: &Wanted,
    ) -> Result<Page<Entry>> {
        let owner = self.identify(token)?;
        let other = if kind == Kind::Thing { Kind::Channel } else { Kind::Thing };
        let with = identifier(with).map_err(|_| other.missing())?;
        let on = match kind {
            Kind::Thing => "connections c on c.thing = e.id where c.channel = ?2",
            Kind::Channel => "connections c on c.channel = e.id where c.thing = ?2",
        };
        let from = format!("from {} e join {on} and e.owner = ?1", kind.table());
        let database = self.database();
        let sql = format!("select count(*) {from}");
        let total: i64 = database.query_row(&sql, params![owner, with], |row| row.get(0))?;
        let sql = format!("select {} {from} order by e.id limit ?3 offset ?4", kind.columns());
        let mut statement = database.prepare_cached(&sql)?;
        let (limit, offset) = (clamp(wanted.limit), clamp(wanted.offset));
        let rows = statement.query_map(
            params![owner, with, i64::try_from(limit).ok(), i64::try_from(offset).ok()],
            entry,
        )?;
        let items = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Page { total: total.unsigned_abs(), offset: wanted.offset, limit: wanted.limit, items })
    }

    /// Removes a thing or a channel. What is not there is as gone as what was, and said to be.
    pub(super) fn remove(&self, kind: Kind, token: &str, id: &str) -> Result<()> {
        let owner = self.identify(token)?;
        let sql = format!("delete from {} where id = ?1 and owner = ?2", kind.table());
        self.database().execute(&sql, params![id.to_ascii_lowercase(), owner])?;
        self.rules_changed();
        self.say(events::removed(kind.operation("thing.remove", "channel.remove"), id));
        Ok(())
    }
}

pub(super) fn find(
    database: &Connection,
    kind: Kind,
    owner: &str,
    id: &str,
) -> Result<Option<Entry>> {
    let (columns, table) = (kind.columns(), kind.table());
    let sql = format!("select {columns} from {table} e where e.id = ?1 and e.owner = ?2");
    Ok(database.prepare_cached(&sql)?.query_row(params![id, owner], entry).optional()?)
}

/// The first things or channels of all owners, for people to look at.
pub(super) fn all(database: &Connection, kind: Kind, limit: usize) -> Result<Vec<Entry>> {
    let (columns, table) = (kind.columns(), kind.table());
    let sql = format!("select {columns} from {table} e order by e.name, e.id limit ?1");
    let mut statement = database.prepare_cached(&sql)?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], entry)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        owner: row.get(1)?,
        name: row.get(2)?,
        metadata: object(&row.get::<_, String>(3)?),
        key: row.get(4)?,
    })
}

/// Reads an identifier, which has one spelling in the database.
pub(super) fn identifier(text: &str) -> Result<String> {
    let id = Uuid::try_parse(text).map_err(|_| Wrong::Malformed("this is no identifier"))?;
    Ok(id.to_string())
}

fn check(name: &str, metadata: Option<&Metadata>) -> Result<()> {
    if name.len() > THINGS_NAME_BYTES_MAX {
        return Err(Wrong::Malformed("a name has at most 1024 bytes"));
    }
    if written(metadata).len() > THINGS_METADATA_BYTES_MAX {
        return Err(Wrong::Malformed("metadata have at most 64 KiB"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<()> {
    match key.len() <= THINGS_KEY_BYTES_MAX {
        true => Ok(()),
        false => Err(Wrong::Malformed("a key has at most 4096 bytes")),
    }
}

fn written(metadata: Option<&Metadata>) -> String {
    let empty = Metadata::new();
    serde_json::to_string(metadata.unwrap_or(&empty)).expect("JSON can be written")
}

fn clamp(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).min(usize::MAX >> 1)
}

/// Tells whether metadata hold what is wanted, as PostgreSQL's `@>` has it.
fn contains(metadata: &Metadata, wanted: &Metadata) -> bool {
    wanted.iter().all(|(name, value)| metadata.get(name).is_some_and(|held| holds(held, value)))
}

fn holds(held: &Value, wanted: &Value) -> bool {
    match (held, wanted) {
        (Value::Object(held), Value::Object(wanted)) => contains(held, wanted),
        (Value::Array(held), Value::Array(wanted)) => {
            wanted.iter().all(|value| held.iter().any(|inner| holds(inner, value)))
        }
        // PostgreSQL lets a list hold a bare value, too.
        (
            Value::Array(held),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null,
        ) => held.contains(wanted),
        _ => held == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_hold_what_postgresql_would_find_in_them() {
        let held = json!({"a": {"b": [1, {"c": 2}], "d": null}, "e": "f"});
        let held = held.as_object().unwrap();
        let yes = [
            json!({}),
            json!({"e": "f"}),
            json!({"a": {"b": [1]}}),
            json!({"a": {"b": [{"c": 2}, 1]}}),
            json!({"a": {"d": null}}),
        ];
        for wanted in yes {
            assert!(contains(held, wanted.as_object().unwrap()), "{wanted}");
        }
        for wanted in [json!({"e": "g"}), json!({"a": {"b": [2]}}), json!({"x": null})] {
            assert!(!contains(held, wanted.as_object().unwrap()), "{wanted}");
        }
    }
}
