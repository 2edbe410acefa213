//! Docs: documents that others write, one at a time or in bulk.
//!
//! What is written into the index of the log becomes part of the log: a release whose own logger speaks to an
//! Elasticsearch is then seen in one place with the stack.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::Error;
use super::names;
use super::query::cut;
use crate::dev::events::entry::Entry;
use crate::dev::events::leaf::{self, DEPTH_MAX, LEAVES_MAX, Unfit};
use crate::dev::events::log::{self, Address};
use crate::dev::events::schema::LOG;
use crate::limits::INDEXED_BYTES_MAX;

/// Bytes of a document's name, and indices.
const ID_BYTES_MAX: usize = 512;
const INDICES_MAX: i64 = 1000;

/// What is done to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    pub(super) const ALL: [Self; 4] = [Self::Index, Self::Create, Self::Update, Self::Delete];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) index: String,
    /// Its type, where the client is of the time when there were any.
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
}

/// A document that is there.
#[derive(Debug)]
pub(super) struct Found {
    entry: i64,
    pub(super) version: i64,
    pub(super) source: String,
}

impl Found {
    /// Lays it out as the answer to a `get`.
    pub(super) fn lay_out(&self, target: &Target, source: Option<Value>) -> Value {
        let mut out = json!({
            "_index": target.index, "_id": target.id, "_version": self.version,
            "_seq_no": self.entry, "_primary_term": 1, "found": true,
        });
        if let Some(kind) = &target.kind {
            out["_type"] = kind.as_str().into();
        }
        if let Some(source) = source {
            out["_source"] = source;
        }
        out
    }
}

/// Finds a document; what happened in the stack itself has the number of its entry.
pub(super) fn get(database: &Connection, target: &Target) -> rusqlite::Result<Option<Found>> {
    let Some(id) = &target.id else { return Ok(None) };
    let found = |row: &rusqlite::Row<'_>| {
        Ok(Found { entry: row.get(0)?, version: row.get(1)?, source: row.get(2)? })
    };
    let sql = "select id, version, source from entry where idx = ?1 and doc_id = ?2";
    let one =
        database.prepare_cached(sql)?.query_row(params![target.index, id], found).optional()?;
    if one.is_some() {
        return Ok(one);
    }
    let sql = "select id, version, source from entry where id = ?2 and doc_id is null and \
        (idx = ?1 or (idx = 'mqtt' and type || '-' || strftime('%Y.%m.%d', at_ms / 1000.0, 'unixepoch') = ?1))";
    match id.parse::<i64>() {
        Ok(number) => {
            database.prepare_cached(sql)?.query_row(params![target.index, number], found).optional()
        }
        Err(_) => Ok(None),
    }
}

/// Does `action`; what was refused is inside, and a database that refused is outside.
pub(super) fn change(
    database: &Connection,
    target: &Target,
    action: Action,
    body: Option<Value>,
    now_ms: i64,
) -> rusqlite::Result<Result<Value, Error>> {
    let mut target = target.clone();
    if let Err(error) = check(&target) {
        return Ok(Err(error));
    }
    let found = get(database, &target)?;
    let version = found.as_ref().map_or(1, |found| found.version + 1);
    if action == Action::Delete {
        let Some(found) = &found else {
            return Ok(Ok(told(&target, version, "not_found", 0, 404)));
        };
        log::remove(database, found.entry)?;
        return Ok(Ok(told(&target, version, "deleted", found.entry, 200)));
    }
    if let (Action::Create, Some(found)) = (action, &found) {
        let id = target.id.as_deref().unwrap_or_default();
        let reason = format!(
            "[{}]: version conflict, document already exists (current version [{}])",
            cut(id),
            found.version
        );
        return Ok(Err(Error::new(409, "version_conflict_engine_exception", reason)));
    }
    let document = match document(action, body.unwrap_or_default(), found.as_ref(), &target) {
        Ok(document) => document,
        Err(error) => return Ok(Err(error)),
    };
    let leaves = match leaf::leaves(&document) {
        Ok(leaves) => leaves,
        Err(unfit) => return Ok(Err(worded(unfit))),
    };
    let bytes = log::setting(database, "kept_bytes")?;
    if target.index != LOG && bytes > INDEXED_BYTES_MAX {
        return Ok(Err(full(&target.index)));
    }
    if let Err(error) = have_index(database, &target.index, now_ms)? {
        return Ok(Err(error));
    }
    if let Some(found) = &found {
        log::remove(database, found.entry)?;
    }
    let id = target.id.get_or_insert_with(|| Uuid::new_v4().simple().to_string()[..20].to_owned());
    let address = Address { index: &target.index, id: Some(id), version };
    let number = log::insert(database, address, &Entry::new(document, now_ms), &leaves)?;
    let (result, status) = if found.is_some() { ("updated", 200) } else { ("created", 201) };
    Ok(Ok(told(&target, version, result, number, status)))
}

fn check(target: &Target) -> Result<(), Error> {
    names::check(&target.index)?;
    let length = target.id.as_ref().map_or(1, String::len);
    if !(1..=ID_BYTES_MAX).contains(&length) {
        let reason = format!(
            "id is too long or empty, must be no longer than {ID_BYTES_MAX} bytes but was: {length}"
        );
        return Err(Error::illegal(reason));
    }
    Ok(())
}

/// Works out what the document is to be.
fn document(
    action: Action,
    body: Value,
    found: Option<&Found>,
    target: &Target,
) -> Result<Map<String, Value>, Error> {
    let Value::Object(mut body) = body else {
        return Err(Error::new(
            400,
            "document_parsing_exception",
            "failed to parse: a document has to be an object",
        ));
    };
    if action != Action::Update {
        return Ok(body);
    }
    let is_upsert = body.get("doc_as_upsert") == Some(&Value::Bool(true));
    let (change, upsert) = (body.remove("doc"), body.remove("upsert"));
    if let Some(key) =
        body.keys().find(|key| !matches!(key.as_str(), "doc_as_upsert" | "detect_noop" | "_source"))
    {
        return Err(Error::illegal(format!(
            "[UpdateRequest] knows no field [{}] here; use [doc]",
            cut(key)
        )));
    }
    let start = match (found, upsert, is_upsert) {
        (Some(found), _, _) => serde_json::from_str(&found.source).unwrap_or_default(),
        (None, Some(upsert), _) => {
            return upsert
                .as_object()
                .cloned()
                .ok_or_else(|| Error::illegal("[upsert] has to be an object"));
        }
        (None, None, true) => Value::Object(Map::new()),
        (None, None, false) => {
            let id = target.id.as_deref().unwrap_or_default();
            return Err(Error::new(
                404,
                "document_missing_exception",
                format!("[{}]: document missing", cut(id)),
            ));
        }
    };
    let change =
        change.ok_or_else(|| Error::illegal("Validation Failed: 1: script or doc is missing;"))?;
    match merged(start, change) {
        Value::Object(document) => Ok(document),
        _ => Err(Error::illegal("[doc] has to be an object")),
    }
}

fn merged(start: Value, change: Value) -> Value {
    match (start, change) {
        (Value::Object(mut start), Value::Object(change)) => {
            for (name, value) in change {
                let before = start.remove(&name).unwrap_or_default();
                start.insert(name, merged(before, value));
            }
            start.into()
        }
        (_, change) => change,
    }
}

fn worded(unfit: Unfit) -> Error {
    let reason = match unfit {
        Unfit::Leaves => format!("Limit of total fields [{LEAVES_MAX}] has been exceeded"),
        Unfit::Depth => format!("Limit of mapping depth [{DEPTH_MAX}] has been exceeded"),
    };
    Error::illegal(reason)
}

fn full(index: &str) -> Error {
    let reason = format!(
        "index [{index}] blocked by: [TOO_MANY_REQUESTS/12/documents take more than {INDEXED_BYTES_MAX} bytes; delete an index]"
    );
    Error::new(429, "cluster_block_exception", reason)
}

/// Makes an index where there is none, as a write does.
pub(super) fn have_index(
    database: &Connection,
    name: &str,
    now_ms: i64,
) -> rusqlite::Result<Result<(), Error>> {
    let sql = "select 1 from place where name = ?1";
    if name == LOG || database.prepare_cached(sql)?.exists([name])? {
        return Ok(Ok(()));
    }
    let count: i64 =
        database.prepare_cached("select count(*) from place")?.query_row([], |row| row.get(0))?;
    if count >= INDICES_MAX {
        let reason = format!(
            "Validation Failed: 1: this action would add [1] indices, but this cluster currently has [{count}]/[{INDICES_MAX}] maximum open;"
        );
        return Ok(Err(Error::new(400, "validation_exception", reason)));
    }
    let sql = "insert into place (name, uuid, made_at_ms, settings, mappings) values (?1, ?2, ?3, '{}', '{}')";
    let uuid = Uuid::new_v4().simple().to_string();
    database.prepare_cached(sql)?.execute(params![name, uuid, now_ms])?;
    Ok(Ok(()))
}

fn told(target: &Target, version: i64, result: &str, number: i64, status: u16) -> Value {
    let mut told = json!({
        "_index": target.index, "_id": target.id, "_version": version, "result": result,
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": number, "_primary_term": 1, "status": status,
    });
    if let Some(kind) = &target.kind {
        told["_type"] = kind.as_str().into();
    }
    told
}
