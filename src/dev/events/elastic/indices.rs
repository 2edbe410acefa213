//! Indices: what there is, made, removed and described; and templates, which are kept and given back.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value, json};

use super::docs;
use super::error::Error;
use super::names::{self, Names};
use super::query::cut;
use super::request::{Answer, Body, Request};
use crate::dev::events::log::{self, Log};
use crate::dev::events::schema::LOG;

/// Templates, and bytes of one or of a mapping.
const TEMPLATES_MAX: i64 = 1000;
const BODY_BYTES_MAX: usize = 1 << 20;

/// An index.
#[derive(Debug, Default)]
pub(super) struct Index {
    uuid: String,
    made_at_ms: i64,
    settings: Value,
    mappings: Value,
    documents: i64,
    bytes: i64,
}

/// Returns every index that is meant.
pub(super) fn all(
    database: &Connection,
    names: &Names,
) -> rusqlite::Result<BTreeMap<String, Index>> {
    let mut indices = BTreeMap::new();
    let log =
        Index { uuid: "log".into(), settings: json!({}), mappings: json!({}), ..Index::default() };
    indices.insert(LOG.to_owned(), log);
    let mut statement =
        database.prepare_cached("select name, uuid, made_at_ms, settings, mappings from place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let read = |text: String| serde_json::from_str(&text).unwrap_or_default();
        let index = Index {
            uuid: row.get(1)?,
            made_at_ms: row.get(2)?,
            settings: read(row.get(3)?),
            mappings: read(row.get(4)?),
            ..Index::default()
        };
        indices.insert(row.get(0)?, index);
    }
    indices.retain(|name, _| names.has(name));
    let mut statement =
        database.prepare_cached("select idx, count(*), sum(bytes) from entry group by idx")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(index) = indices.get_mut(&row.get::<_, String>(0)?) {
            (index.documents, index.bytes) = (row.get(1)?, row.get(2)?);
        }
    }
    Ok(indices)
}

/// Refuses names of indices that are not there, unless the request says that this is no matter.
pub(super) fn have_all(
    database: &Connection,
    names: &Names,
    is_lenient: bool,
) -> Result<(), Error> {
    for name in names.plain().filter(|_| !is_lenient) {
        if !exists(database, name)? {
            return Err(Error::no_index(cut(name)));
        }
    }
    Ok(())
}

/// Tells whether there is an index of this name.
pub(super) fn exists(database: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "select 1 from place where name = ?1";
    Ok(name == LOG || names::is_daily(name) || database.prepare_cached(sql)?.exists([name])?)
}

/// Makes an index.
pub(super) fn create(log: &Log, name: &str, request: &Request) -> Result<Value, Error> {
    names::check(name)?;
    let body = request.json()?;
    let (settings, mappings) = (&body["settings"], untyped(&body["mappings"]));
    let (settings, mappings) = (bounded(settings)?, bounded(mappings)?);
    log.write(|transaction| {
        if name == LOG
            || transaction.prepare("select 1 from place where name = ?1")?.exists([name])?
        {
            let reason = format!("index [{name}] already exists");
            let error = Error::new(400, "resource_already_exists_exception", reason);
            return Ok(Err(Error { index: Some(name.to_owned()), ..error }));
        }
        if let Err(error) = docs::have_index(transaction, name, request.now_ms)? {
            return Ok(Err(error));
        }
        let sql = "update place set settings = ?2, mappings = ?3 where name = ?1";
        transaction.execute(sql, params![name, settings, mappings])?;
        Ok(Ok(json!({"acknowledged": true, "shards_acknowledged": true, "index": name})))
    })?
}

/// Removes indices with all that is in them; the log is emptied.
pub(super) fn remove(log: &Log, names: &Names, is_lenient: bool) -> Result<Value, Error> {
    log.write(|transaction| {
        if let Err(error) = have_all(transaction, names, is_lenient) {
            return Ok(Err(error));
        }
        let indices = all(transaction, names)?;
        for name in indices.keys() {
            let mut statement = transaction.prepare("select id from entry where idx = ?1")?;
            let ids = statement
                .query_map([name], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            ids.into_iter().try_for_each(|id| log::remove(transaction, id))?;
            transaction.execute("delete from place where name = ?1", [name])?;
        }
        Ok(Ok(json!({"acknowledged": true})))
    })?
}

/// Describes indices.
pub(super) fn describe(database: &Connection, names: &Names) -> Result<Value, Error> {
    let mut out = Map::new();
    for (name, index) in all(database, names)? {
        let mut about = json!({
            "creation_date": index.made_at_ms.to_string(), "uuid": index.uuid, "provided_name": name,
            "number_of_shards": "1", "number_of_replicas": "0",
        });
        // What a client set is given back, with or without `index` above it.
        let put = index.settings.get("index").unwrap_or(&index.settings);
        for (key, value) in put.as_object().into_iter().flatten() {
            about[key.trim_start_matches("index.")] = value.clone();
        }
        let about = json!({"index": about});
        let mappings = mapping(database, &name, &index)?;
        out.insert(name, json!({"aliases": {}, "mappings": mappings, "settings": about}));
    }
    Ok(out.into())
}

/// Answers `_mapping`: what was put, and what documents showed.
pub(super) fn mappings(database: &Connection, names: &Names) -> Result<Value, Error> {
    let mut out = Map::new();
    for (name, index) in all(database, names)? {
        let mappings = mapping(database, &name, &index)?;
        out.insert(name, json!({"mappings": mappings}));
    }
    Ok(out.into())
}

fn mapping(database: &Connection, name: &str, index: &Index) -> rusqlite::Result<Value> {
    let sql = "select distinct l.path, l.text is null, l.number is null, l.words is null, typeof(l.number) = 'integer'
               from leaf l join entry e on e.id = l.entry where e.idx = ?1";
    let mut properties = json!({"properties": {}});
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let path: String = row.get(0)?;
        let (no_number, no_words, is_whole): (bool, bool, bool) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        let kind = match (no_number, no_words) {
            (true, true) => json!({"type": "boolean"}),
            (false, true) if is_whole => json!({"type": "long"}),
            (false, true) => json!({"type": "float"}),
            (false, false) => json!({"type": "date"}),
            (true, false) => {
                json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}})
            }
        };
        let mut place = &mut properties;
        for part in path.split('.') {
            place = &mut place["properties"][part];
        }
        if place.is_null() {
            *place = kind;
        }
    }
    let put = index.mappings["properties"].as_object().into_iter().flatten();
    for (name, value) in put {
        properties["properties"][name] = value.clone();
    }
    Ok(properties)
}

/// Takes fields of a mapping in addition.
pub(super) fn put_mapping(log: &Log, names: &Names, request: &Request) -> Result<Value, Error> {
    let body = request.json()?;
    let fields = untyped(&body)["properties"].as_object().cloned().unwrap_or_default();
    log.write(|transaction| {
        if let Err(error) = have_all(transaction, names, false) {
            return Ok(Err(error));
        }
        for (name, index) in all(transaction, names)? {
            let mut mappings = index.mappings;
            for (field, value) in &fields {
                mappings["properties"][field] = value.clone();
            }
            let mappings = match bounded(&mappings) {
                Ok(mappings) => mappings,
                Err(error) => return Ok(Err(error)),
            };
            transaction.execute(
                "update place set mappings = ?2 where name = ?1",
                params![name, mappings],
            )?;
        }
        Ok(Ok(json!({"acknowledged": true})))
    })?
}

/// Takes the type away that old clients have above the fields.
fn untyped(mappings: &Value) -> &Value {
    let only = mappings
        .as_object()
        .filter(|object| object.len() == 1 && !object.contains_key("properties"));
    let inner = only
        .and_then(|object| object.values().next())
        .filter(|inner| inner.get("properties").is_some());
    inner.unwrap_or(mappings)
}

fn bounded(value: &Value) -> Result<String, Error> {
    let text = if value.is_null() { "{}".to_owned() } else { value.to_string() };
    if text.len() > BODY_BYTES_MAX {
        return Err(Error::illegal(format!(
            "a mapping or template is larger than {BODY_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// Keeps a template, of either kind.
pub(super) fn put_template(
    log: &Log,
    kind: &str,
    name: &str,
    request: &Request,
) -> Result<Value, Error> {
    let body = request.json()?;
    if body.get("index_patterns").is_none() && body.get("template").is_none() {
        return Err(Error::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: index patterns are missing;",
        ));
    }
    let body = bounded(&body)?;
    log.write(|transaction| {
        let count: i64 =
            transaction.query_row("select count(*) from template", [], |row| row.get(0))?;
        if count >= TEMPLATES_MAX {
            return Ok(Err(Error::illegal(format!(
                "there are [{TEMPLATES_MAX}] templates already"
            ))));
        }
        let sql = "insert or replace into template (kind, name, body) values (?1, ?2, ?3)";
        transaction.execute(sql, params![kind, name, body])?;
        Ok(Ok(json!({"acknowledged": true})))
    })?
}

/// Gives templates back.
pub(super) fn templates(
    database: &Connection,
    kind: &str,
    names: &Names,
) -> Result<Vec<(String, Value)>, Error> {
    let mut statement =
        database.prepare_cached("select name, body from template where kind = ?1 order by name")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let all = statement.query_map([kind], row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let meant = all.into_iter().filter(|(name, _)| names.has(name));
    Ok(meant.map(|(name, body)| (name, serde_json::from_str(&body).unwrap_or_default())).collect())
}

/// Lays templates out as a client of their kind expects them.
pub(super) fn lay_out(kind: &str, templates: Vec<(String, Value)>) -> Value {
    if kind == "_template" {
        return templates.into_iter().collect::<Map<_, _>>().into();
    }
    let one = |(name, body): (String, Value)| json!({"name": name, "index_template": body});
    json!({"index_templates": templates.into_iter().map(one).collect::<Vec<_>>()})
}

/// Removes a template.
pub(super) fn remove_template(log: &Log, kind: &str, name: &str) -> Result<Value, Error> {
    log.write(|transaction| {
        let sql = "delete from template where kind = ?1 and name = ?2 returning name";
        let gone: Option<String> =
            transaction.query_row(sql, [kind, name], |row| row.get(0)).optional()?;
        if gone.is_none() {
            let reason = format!("index template matching [{}] not found", cut(name));
            return Ok(Err(Error::new(404, "index_template_missing_exception", reason)));
        }
        Ok(Ok(json!({"acknowledged": true})))
    })?
}

/// Answers `_cat/indices`, as lines for a person or as JSON.
pub(super) fn cat(
    database: &Connection,
    names: &Names,
    request: &Request,
) -> Result<Answer, Error> {
    const COLUMNS: [&str; 10] = [
        "health",
        "status",
        "index",
        "uuid",
        "pri",
        "rep",
        "docs.count",
        "docs.deleted",
        "store.size",
        "pri.store.size",
    ];
    let rows: Vec<BTreeMap<&str, String>> = all(database, names)?
        .into_iter()
        .map(|(name, index)| {
            let (size, count) = (format!("{}b", index.bytes), index.documents.to_string());
            let cells = ["green", "open", &name, &index.uuid, "1", "0", &count, "0", &size, &size];
            COLUMNS.into_iter().zip(cells.map(str::to_owned)).collect()
        })
        .collect();
    let wanted: Vec<&str> = match request.option("h") {
        Some(list) => list.split(',').filter(|name| COLUMNS.contains(name)).collect(),
        None => COLUMNS.to_vec(),
    };
    let cells = |row: &BTreeMap<&str, String>| {
        wanted.iter().map(|name| row[name].clone()).collect::<Vec<_>>()
    };
    if request.option("format") == Some("json") {
        let object = |row| {
            wanted.iter().copied().map(str::to_owned).zip(cells(row).into_iter().map(Value::from))
        };
        return Ok(Answer::json(
            rows.iter().map(|row| Value::Object(object(row).collect())).collect::<Vec<_>>().into(),
        ));
    }
    let header =
        request.flag("v").then(|| wanted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let lines =
        header.into_iter().chain(rows.iter().map(cells)).map(|cells| cells.join(" ") + "\n");
    Ok(Answer { status: 200, body: Body::Text(lines.collect()) })
}
