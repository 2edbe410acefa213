//! Buckets: aggregations, worked out over the values of all entries that a search found.
//!
//! SQLite hands over the values of each field once; what is counted how is a matter of this file.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::aggs::{Agg, Aggs, BUCKETS_MAX, By, Kind, Metric};
use super::column::{Cell, Column, column};
use super::error::Error;
use super::query::Query;
use super::sql::{self, Condition};
use crate::dev::events::leaf::Number;
use crate::dev::events::when;

/// How the buckets of a histogram follow one another, and how each is called.
struct Rungs<'a> {
    next: &'a dyn Fn(i64) -> Option<i64>,
    key: &'a dyn Fn(i64) -> Map<String, Value>,
}

struct Work {
    columns: BTreeMap<String, Column>,
    filters: Vec<(Query, Vec<bool>)>,
    buckets: usize,
}

impl Aggs {
    /// Works them out over what fits `condition`.
    pub(super) fn run(&self, database: &Connection, condition: &Condition) -> Result<Value, Error> {
        let sql = format!("select e.id from entry e where {} order by e.id", condition.sql);
        let mut statement = database.prepare(&sql)?;
        let values = || rusqlite::params_from_iter(condition.values.iter());
        let ids = statement
            .query_map(values(), |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        let mut work = Work { columns: BTreeMap::new(), filters: Vec::new(), buckets: 0 };
        work.load(self, database, condition, &ids)?;
        let all: Vec<u32> = (0..u32::try_from(ids.len()).unwrap_or(u32::MAX)).collect();
        work.aggs(self, &all)
    }
}

impl Work {
    /// Gets the values of all fields, and what each filter lets through.
    fn load(
        &mut self,
        aggs: &Aggs,
        database: &Connection,
        condition: &Condition,
        ids: &[i64],
    ) -> Result<(), Error> {
        for (_, agg) in &aggs.named {
            match &agg.kind {
                Kind::Metric(_, path)
                | Kind::Missing(path)
                | Kind::Terms { path, .. }
                | Kind::Dates { path, .. }
                | Kind::Steps { path, .. } => {
                    if !self.columns.contains_key(path) {
                        let column = column(database, condition, path, ids)?;
                        self.columns.insert(path.clone(), column);
                    }
                }
                Kind::Filter(query) => self.filter(query, database, condition, ids)?,
                Kind::Filters(all) => {
                    all.iter()
                        .try_for_each(|(_, query)| self.filter(query, database, condition, ids))?;
                }
            }
            self.load(&agg.inner, database, condition, ids)?;
        }
        Ok(())
    }

    fn filter(
        &mut self,
        query: &Query,
        database: &Connection,
        condition: &Condition,
        ids: &[i64],
    ) -> Result<(), Error> {
        let filter = sql::condition(query);
        let sql = format!("select e.id from entry e where ({}) and {}", condition.sql, filter.sql);
        let values = rusqlite::params_from_iter(condition.values.iter().chain(&filter.values));
        let mut fits = vec![false; ids.len()];
        let mut statement = database.prepare(&sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            if let Ok(place) = ids.binary_search(&row.get(0)?) {
                fits[place] = true;
            }
        }
        self.filters.push((query.clone(), fits));
        Ok(())
    }

    fn aggs(&mut self, aggs: &Aggs, places: &[u32]) -> Result<Value, Error> {
        let mut out = Map::new();
        for (name, agg) in &aggs.named {
            out.insert(name.clone(), self.agg(agg, places)?);
        }
        Ok(out.into())
    }

    fn agg(&mut self, agg: &Agg, places: &[u32]) -> Result<Value, Error> {
        match &agg.kind {
            Kind::Metric(metric, path) => Ok(metric_of(*metric, &self.columns[path], places)),
            Kind::Missing(path) => {
                let column = &self.columns[path];
                let lacks = |place: &u32| Column::of(&column.cells, *place).next().is_none();
                let places = places.iter().copied().filter(lacks).collect::<Vec<_>>();
                self.bucket(Map::new(), &agg.inner, &places)
            }
            Kind::Filter(query) => {
                let places = self.let_through(query, places);
                self.bucket(Map::new(), &agg.inner, &places)
            }
            Kind::Filters(all) => self.filters(all, &agg.inner, places),
            Kind::Terms { path, size, least, order } => {
                let groups = groups(&self.columns[path].cells, places, |cell| Some(cell.clone()));
                self.terms(groups, agg, (*size, *least, order))
            }
            Kind::Dates { path, step, least } => {
                let step = *step;
                let groups = groups(&self.columns[path].times, places, |ms| Some(step.floor(*ms)));
                let key = |key: i64| {
                    Map::from_iter([
                        ("key".to_owned(), key.into()),
                        ("key_as_string".to_owned(), when::text(key).into()),
                    ])
                };
                self.histogram(
                    groups,
                    agg,
                    *least,
                    Rungs { next: &|key| step.next(key), key: &key },
                )
            }
            Kind::Steps { path, width, least } => {
                let width = *width;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a bucket's number is cut to what fits"
                )]
                let number = |cell: &Cell| Some((cell.number()? / width).floor() as i64);
                let groups = groups(&self.columns[path].cells, places, number);
                let key = |key: i64| {
                    Map::from_iter([("key".to_owned(), (Number::Whole(key).real() * width).into())])
                };
                self.histogram(
                    groups,
                    agg,
                    *least,
                    Rungs { next: &|key| key.checked_add(1), key: &key },
                )
            }
        }
    }

    fn let_through(&self, query: &Query, places: &[u32]) -> Vec<u32> {
        let (_, fits) = self
            .filters
            .iter()
            .find(|(known, _)| known == query)
            .expect("every filter was asked for");
        places.iter().copied().filter(|place| fits[*place as usize]).collect()
    }

    fn filters(
        &mut self,
        all: &[(Option<String>, Query)],
        inner: &Aggs,
        places: &[u32],
    ) -> Result<Value, Error> {
        let (mut named, mut listed) = (Map::new(), Vec::new());
        for (name, query) in all {
            let places = self.let_through(query, places);
            let bucket = self.bucket(Map::new(), inner, &places)?;
            match name {
                Some(name) => drop(named.insert(name.clone(), bucket)),
                None => listed.push(bucket),
            }
        }
        Ok(if named.is_empty() { json!({"buckets": listed}) } else { json!({"buckets": named}) })
    }

    fn bucket(
        &mut self,
        mut bucket: Map<String, Value>,
        inner: &Aggs,
        places: &[u32],
    ) -> Result<Value, Error> {
        self.buckets += 1;
        if self.buckets > BUCKETS_MAX {
            return Err(Error::new(
                400,
                "too_many_buckets_exception",
                format!(
                    "Trying to create too many buckets. Must be less than or equal to: [{BUCKETS_MAX}]"
                ),
            ));
        }
        bucket.insert("doc_count".into(), places.len().into());
        if let Value::Object(inner) = self.aggs(inner, places)? {
            bucket.extend(inner);
        }
        Ok(bucket.into())
    }

    fn terms(
        &mut self,
        groups: BTreeMap<Cell, Vec<u32>>,
        agg: &Agg,
        (size, least, order): (usize, usize, &[(By, bool)]),
    ) -> Result<Value, Error> {
        let total: usize = groups.values().map(Vec::len).sum();
        let mut groups: Vec<_> =
            groups.into_iter().filter(|(_, places)| places.len() >= least).collect();
        let is_inner = order.iter().any(|(by, _)| matches!(by, By::Inner(_)));
        let mut worked_out = BTreeMap::new();
        if is_inner {
            for (cell, places) in &groups {
                worked_out.insert(cell.clone(), self.aggs(&agg.inner, places)?);
            }
        }
        let inner = |cell: &Cell, name: &str| {
            worked_out.get(cell).and_then(|inner| inner[name]["value"].as_f64()).unwrap_or(f64::MIN)
        };
        let by_default = [(By::Count, true)];
        let order = if order.is_empty() { &by_default[..] } else { order };
        groups.sort_by(|(one, ones), (two, twos)| {
            let by = |(by, is_down): &(By, bool)| {
                let ordering = match by {
                    By::Count => ones.len().cmp(&twos.len()),
                    By::Key => one.cmp(two),
                    By::Inner(name) => inner(one, name).total_cmp(&inner(two, name)),
                };
                if *is_down { ordering.reverse() } else { ordering }
            };
            order.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or_else(|| one.cmp(two))
        });
        groups.truncate(size);
        let shown: usize = groups.iter().map(|(_, places)| places.len()).sum();
        let mut buckets = Vec::new();
        for (cell, places) in groups {
            buckets.push(self.bucket(cell.key(), &agg.inner, &places)?);
        }
        Ok(
            json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": total - shown, "buckets": buckets}),
        )
    }

    /// Lays buckets out in order, with the empty ones between them where those are wanted, too.
    fn histogram(
        &mut self,
        groups: BTreeMap<i64, Vec<u32>>,
        agg: &Agg,
        least: usize,
        Rungs { next, key }: Rungs<'_>,
    ) -> Result<Value, Error> {
        let mut buckets = Vec::new();
        let mut expected: Option<i64> = None;
        for (at, places) in &groups {
            while let Some(empty) = expected.filter(|empty| least == 0 && empty < at) {
                buckets.push(self.bucket(key(empty), &agg.inner, &[])?);
                expected = next(empty);
            }
            if places.len() >= least {
                buckets.push(self.bucket(key(*at), &agg.inner, places)?);
            }
            expected = next(*at);
        }
        Ok(json!({"buckets": buckets}))
    }
}

/// Puts entries together that have the same key; one with several values is in several groups, once in each.
fn groups<T, K: Ord>(
    cells: &[(u32, T)],
    places: &[u32],
    key: impl Fn(&T) -> Option<K>,
) -> BTreeMap<K, Vec<u32>> {
    let mut groups: BTreeMap<K, Vec<u32>> = BTreeMap::new();
    for place in places {
        let keys: BTreeSet<K> = Column::of(cells, *place).filter_map(&key).collect();
        for key in keys {
            groups.entry(key).or_default().push(*place);
        }
    }
    groups
}

fn metric_of(metric: Metric, column: &Column, places: &[u32]) -> Value {
    let cells = || places.iter().flat_map(|place| Column::of(&column.cells, *place));
    let numbers = || cells().filter_map(Cell::number);
    let count = numbers().count();
    #[expect(clippy::cast_precision_loss, reason = "nobody has so many events")]
    let mean = || (count > 0).then(|| numbers().sum::<f64>() / count as f64);
    let (least, most) = (numbers().reduce(f64::min), numbers().reduce(f64::max));
    match metric {
        Metric::Sum => json!({"value": numbers().sum::<f64>()}),
        Metric::Min => json!({"value": least}),
        Metric::Max => json!({"value": most}),
        Metric::Avg => json!({"value": mean()}),
        Metric::Count => json!({"value": cells().count()}),
        Metric::Cardinality => json!({"value": cells().collect::<BTreeSet<_>>().len()}),
        Metric::Stats => json!({
            "count": count, "min": least, "max": most, "avg": mean(), "sum": numbers().sum::<f64>()
        }),
    }
}
