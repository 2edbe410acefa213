//! Find: a search, from its body to the hits.

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, Row};
use serde_json::{Map, Value, json};

use super::aggs::{self, Aggs};
use super::cursor::Cursor;
use super::error::Error;
use super::names::Names;
use super::query::{self, Query, cut};
use super::read;
use super::request::Request;
use super::sort::{self, Key};
use super::source::Shown;
use super::sql::{self, Condition};

/// Hits of one answer, with those that are skipped: Elasticsearch's `index.max_result_window`.
pub(super) const WINDOW_MAX: usize = 10_000;
const HITS: usize = 10;

/// A search.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) names: Names,
    pub(super) query: Query,
    pub(super) sort: Vec<Key>,
    pub(super) size: usize,
    pub(super) from: usize,
    pub(super) shown: Shown,
    pub(super) aggs: Aggs,
    /// Whether all that fit are counted and told.
    pub(super) total: Total,
    pub(super) has_version: bool,
    /// Sort values of the hit after which to go on.
    pub(super) after: Option<Vec<Sql>>,
    /// Only entries up to this one: what was there when a cursor was made.
    pub(super) newest: Option<i64>,
    /// Whether the entry's number is the last sort value, so that the order is total.
    pub(super) is_tied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Object,
    Number,
    Untold,
}

impl Search {
    /// Reads a search's body, and what its address says beside.
    pub(super) fn read(names: Names, request: &Request, body: &Value) -> Result<Self, Error> {
        let now_ms = request.now_ms;
        let body = query::object(body, "search")?;
        let mut search = Self {
            names,
            query: Query::All,
            sort: Vec::new(),
            size: HITS,
            from: 0,
            shown: Shown::read(body.get("_source"), request)?,
            aggs: Aggs::default(),
            total: if request.flag("rest_total_hits_as_int") {
                Total::Number
            } else {
                Total::Object
            },
            has_version: false,
            after: None,
            newest: None,
            is_tied: false,
        };
        for (name, value) in body {
            search.take(name, value, now_ms)?;
        }
        search.take_options(request)?;
        if search.size + search.from > WINDOW_MAX {
            return Err(Error::illegal(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW_MAX}] but was [{}]. See the scroll api for a more efficient way to request large data sets.",
                search.size + search.from
            )));
        }
        if let Some(after) = &search.after {
            let wanted = search.sort.len();
            let fits = after.len() == wanted || (search.is_tied && after.len() == wanted + 1);
            if wanted == 0 && !search.is_tied || !fits {
                return Err(Error::illegal(format!(
                    "search_after has {} value(s) but sort has {wanted}.",
                    after.len()
                )));
            }
        }
        Ok(search)
    }

    fn take(&mut self, name: &str, value: &Value, now_ms: i64) -> Result<(), Error> {
        match name {
            "query" => self.query = read::query(value, now_ms)?,
            "size" => self.size = count(value, name)?,
            "from" => self.from = count(value, name)?,
            "sort" => self.sort = sort::read(value)?,
            "search_after" => self.after = Some(sort::after(value)?),
            "aggs" | "aggregations" => self.aggs = aggs::read(value, now_ms)?,
            "track_total_hits" if *value == Value::Bool(false) => self.total = Total::Untold,
            "version" | "seq_no_primary_term" => self.has_version |= *value == Value::Bool(true),
            "pit" => {
                let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
                let cursor = Cursor::read(id)?;
                self.names = Names::read(&cursor.names, now_ms)?;
                self.newest = Some(cursor.newest);
                self.is_tied = true;
            }
            "_source" | "timeout" | "track_scores" | "explain" | "profile" | "terminate_after"
            | "stats" | "track_total_hits" | "stored_fields" | "min_score" | "slice" => {}
            _ => {
                return Err(Error::parsing(format!(
                    "Unknown key for a search in [{}].",
                    cut(name)
                )));
            }
        }
        Ok(())
    }

    fn take_options(&mut self, request: &Request) -> Result<(), Error> {
        let number =
            |name: &str| request.option(name).map(|text| count(&text.into(), name)).transpose();
        self.size = number("size")?.unwrap_or(self.size);
        self.from = number("from")?.unwrap_or(self.from);
        if let Some(text) = request.option("q") {
            let body = json!({"query_string": {"query": text}});
            self.query = read::query(&body, request.now_ms)?;
        }
        if let Some(text) = request.option("sort") {
            let keys: Vec<Value> = text.split(',').map(Value::from).collect();
            self.sort = sort::read(&keys.into())?;
        }
        if request.option("track_total_hits") == Some("false") {
            self.total = Total::Untold;
        }
        Ok(())
    }

    /// The condition that an entry fits; what it is sorted after stands aside.
    pub(super) fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        self.names.condition(&mut condition);
        if let Some(newest) = self.newest {
            condition.push(" and e.id <= ?");
            condition.bind(newest);
        }
        let query = sql::condition(&self.query);
        condition.push(&format!(" and {}", query.sql));
        condition.values.extend(query.values);
        condition
    }

    /// Counts what fits.
    pub(super) fn count(&self, database: &Connection) -> Result<i64, Error> {
        let Condition { sql, values } = self.condition();
        let sql = format!("select count(*) from entry e where {sql}");
        let values = rusqlite::params_from_iter(values);
        Ok(database.prepare(&sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Returns the hits, and the sort values of the last of them, with its number.
    pub(super) fn hits(
        &self,
        database: &Connection,
    ) -> Result<(Vec<Value>, Option<Vec<Sql>>), Error> {
        let mut inner = Condition::default();
        inner.push("select e.id, e.idx, e.doc_id, e.version, e.type, e.at_ms, e.source");
        for (place, key) in self.sort.iter().enumerate() {
            inner.push(", ");
            key.write(&mut inner);
            inner.push(&format!(" as k{place}"));
        }
        let condition = self.condition();
        inner.push(&format!(" from entry e where {}", condition.sql));
        inner.values.extend(condition.values);
        let mut outer = Condition { sql: format!("select * from ({}) where ", inner.sql), ..inner };
        sort::write_after(&mut outer, &self.sort, self.after.as_deref().unwrap_or_default());
        outer.push(" order by ");
        for (place, key) in self.sort.iter().enumerate() {
            outer.push(&format!("k{place} {}, ", key.direction()));
        }
        outer.push("id limit ? offset ?");
        outer.bind(i64::try_from(self.size).unwrap_or(i64::MAX));
        outer.bind(i64::try_from(self.from).unwrap_or(i64::MAX));
        let mut statement = database.prepare(&outer.sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(outer.values))?;
        let (mut hits, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let (hit, values) = self.hit(row)?;
            hits.push(hit);
            last = Some(values);
        }
        Ok((hits, last))
    }

    fn hit(&self, row: &Row<'_>) -> rusqlite::Result<(Value, Vec<Sql>)> {
        let id: i64 = row.get(0)?;
        let (index, kind): (String, String) = (row.get(1)?, row.get(4)?);
        let name: Option<String> = row.get(2)?;
        let mut hit = Map::new();
        hit.insert("_index".into(), self.names.shown(&index, &kind, row.get(5)?).into());
        hit.insert("_id".into(), name.unwrap_or_else(|| id.to_string()).into());
        hit.insert("_score".into(), if self.sort.is_empty() { json!(1.0) } else { Value::Null });
        if self.has_version {
            hit.insert("_version".into(), row.get::<_, i64>(3)?.into());
            hit.insert("_seq_no".into(), id.into());
            hit.insert("_primary_term".into(), 1.into());
        }
        let source: String = row.get(6)?;
        if let Some(source) = self.shown.apply(&source) {
            hit.insert("_source".into(), source);
        }
        let keys = (0..self.sort.len()).map(|place| row.get::<_, Sql>(7 + place));
        let mut values = keys.collect::<rusqlite::Result<Vec<_>>>()?;
        values.push(id.into());
        let told = if self.is_tied { values.len() } else { values.len() - 1 };
        if told > 0 {
            hit.insert(
                "sort".into(),
                values[..told].iter().map(sort::told).collect::<Vec<_>>().into(),
            );
        }
        Ok((hit.into(), values))
    }

    /// Runs it.
    pub(super) fn run(&self, database: &Connection) -> Result<(Value, Option<Vec<Sql>>), Error> {
        let count = self.count(database)?;
        let (hits, last) = match self.size {
            0 => (Vec::new(), None),
            _ => self.hits(database)?,
        };
        let score = if self.sort.is_empty() && !hits.is_empty() { json!(1.0) } else { Value::Null };
        let mut body = json!({
            "took": 0,
            "timed_out": false,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"max_score": score, "hits": hits},
        });
        match self.total {
            Total::Object => body["hits"]["total"] = json!({"value": count, "relation": "eq"}),
            Total::Number => body["hits"]["total"] = count.into(),
            Total::Untold => {}
        }
        if !self.aggs.is_empty() {
            body["aggregations"] = self.aggs.run(database, &self.condition())?;
        }
        Ok((body, last))
    }
}

fn count(value: &Value, name: &str) -> Result<usize, Error> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let number =
        number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number <= 1 << 31);
    number.ok_or_else(|| {
        Error::illegal(format!(
            "[{name}] parameter must be a whole number, but was [{}]",
            cut(&value.to_string())
        ))
    })
}

/// Reads what SQLite has as JSON.
pub(super) fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) if number.is_finite() => number.into(),
        ValueRef::Real(_) => Value::Null,
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
    }
}
