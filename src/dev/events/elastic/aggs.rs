//! Aggs: what a search wants counted, read from its body.

use serde_json::{Map, Value};

use super::error::Error;
use super::query::{Field, Query, cut, object, only};
use super::read;
use crate::dev::events::when::{self, Unit};

/// Aggregations within one another, and all of one search.
const DEPTH_MAX: usize = 10;
const AGGS_MAX: usize = 200;
/// Buckets of one search: Elasticsearch's `search.max_buckets`.
pub(super) const BUCKETS_MAX: usize = 65_536;

/// Aggregations by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Aggs {
    pub(super) named: Vec<(String, Agg)>,
}

/// One aggregation, and those within its buckets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agg {
    pub(super) kind: Kind,
    pub(super) inner: Aggs,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Metric(Metric, String),
    Terms {
        path: String,
        size: usize,
        least: usize,
        order: Vec<(By, bool)>,
    },
    /// Buckets by time.
    Dates {
        path: String,
        step: Step,
        least: usize,
    },
    /// Buckets by number.
    Steps {
        path: String,
        width: f64,
        least: usize,
    },
    Missing(String),
    Filter(Query),
    /// Buckets by query, with names or in order.
    Filters(Vec<(Option<String>, Query)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Sum,
    Min,
    Max,
    Avg,
    Count,
    Stats,
    Cardinality,
}

/// What buckets are put in order by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    Count,
    Key,
    /// A number of an aggregation within.
    Inner(String),
}

/// How long a bucket of time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Calendar(Unit),
    Fixed(i64),
}

impl Step {
    pub(super) fn floor(self, ms: i64) -> i64 {
        match self {
            Self::Calendar(unit) => unit.floor(ms),
            Self::Fixed(length) => ms.div_euclid(length) * length,
        }
    }

    /// The bucket after the one that begins at `ms`.
    pub(super) fn next(self, ms: i64) -> Option<i64> {
        match self {
            Self::Calendar(unit) => unit.add(ms, 1),
            Self::Fixed(length) => ms.checked_add(length),
        }
    }
}

impl Aggs {
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

/// Reads the value of `aggs`.
pub(super) fn read(value: &Value, now_ms: i64) -> Result<Aggs, Error> {
    Reader { now_ms, count: 0 }.aggs(value, 0)
}

struct Reader {
    now_ms: i64,
    count: usize,
}

impl Reader {
    fn aggs(&mut self, value: &Value, depth: usize) -> Result<Aggs, Error> {
        let mut named = Vec::new();
        for (name, body) in object(value, "aggs")? {
            self.count += 1;
            if depth > DEPTH_MAX || self.count > AGGS_MAX {
                return Err(Error::illegal(format!(
                    "aggregations are more than [{AGGS_MAX}] or deeper than [{DEPTH_MAX}]"
                )));
            }
            named.push((name.clone(), self.agg(name, object(body, "aggs")?, depth)?));
        }
        Ok(Aggs { named })
    }

    fn agg(&mut self, name: &str, body: &Map<String, Value>, depth: usize) -> Result<Agg, Error> {
        let mut inner = Aggs::default();
        let mut kind = None;
        for (key, value) in body {
            match key.as_str() {
                "aggs" | "aggregations" => inner = self.aggs(value, depth + 1)?,
                "meta" => {}
                key if kind.is_none() => kind = Some(self.kind(key, value)?),
                key => {
                    return Err(Error::parsing(format!(
                        "Found two aggregation types in [{}]: [{}]",
                        cut(name),
                        cut(key)
                    )));
                }
            }
        }
        let kind = kind.ok_or_else(|| {
            Error::parsing(format!("Missing definition for aggregation [{}]", cut(name)))
        })?;
        if matches!(kind, Kind::Metric(..)) && !inner.is_empty() {
            return Err(Error::new(
                400,
                "aggregation_initialization_exception",
                format!("Aggregator [{}] cannot accept sub-aggregations", cut(name)),
            ));
        }
        Ok(Agg { kind, inner })
    }

    fn kind(&self, kind: &str, value: &Value) -> Result<Kind, Error> {
        let metric = match kind {
            "sum" => Some(Metric::Sum),
            "min" => Some(Metric::Min),
            "max" => Some(Metric::Max),
            "avg" => Some(Metric::Avg),
            "value_count" => Some(Metric::Count),
            "stats" => Some(Metric::Stats),
            "cardinality" => Some(Metric::Cardinality),
            _ => None,
        };
        if let Some(metric) = metric {
            let options = Options::new(kind, value, &["field", "precision_threshold", "format"])?;
            return Ok(Kind::Metric(metric, options.field()?));
        }
        match kind {
            "filter" => Ok(Kind::Filter(read::query(value, self.now_ms)?)),
            "filters" => self.filters(value),
            "missing" => Ok(Kind::Missing(Options::new(kind, value, &["field"])?.field()?)),
            "terms" => terms(value),
            "date_histogram" => dates(value),
            "histogram" => steps(value),
            _ => Err(Error::parsing(format!("Unknown aggregation type [{}]", cut(kind)))),
        }
    }

    fn filters(&self, value: &Value) -> Result<Kind, Error> {
        let filters = Options::new("filters", value, &["filters"])?;
        let filters = filters
            .body
            .get("filters")
            .ok_or_else(|| Error::parsing("[filters] cannot be empty"))?;
        let read = |value: &Value| read::query(value, self.now_ms);
        let all = match filters {
            Value::Array(all) => {
                all.iter().map(|value| Ok((None, read(value)?))).collect::<Result<Vec<_>, Error>>()
            }
            all => object(all, "filters")?
                .iter()
                .map(|(name, value)| Ok((Some(name.clone()), read(value)?)))
                .collect(),
        }?;
        if all.len() > AGGS_MAX {
            return Err(Error::illegal(format!("more than [{AGGS_MAX}] filters")));
        }
        Ok(Kind::Filters(all))
    }
}

/// The body of one aggregation, whose keys are known.
struct Options<'a> {
    kind: &'a str,
    body: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    fn new(kind: &'a str, value: &'a Value, known: &[&str]) -> Result<Self, Error> {
        let body = object(value, kind)?;
        match body.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(Self { kind, body }),
            Some(key) => {
                Err(Error::parsing(format!("[{kind}] does not support [{}] here", cut(key))))
            }
        }
    }

    fn field(&self) -> Result<String, Error> {
        let name = self.body.get("field").and_then(Value::as_str);
        let path = name.and_then(|name| Field::new(name).path);
        path.ok_or_else(|| {
            Error::illegal(format!(
                "Required one of fields [field], but none were specified in [{}].",
                self.kind
            ))
        })
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, Error> {
        let Some(value) = self.body.get(name) else { return Ok(default) };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| {
            Error::illegal(format!("[{name}] must be 0 or more, in [{}]", self.kind))
        })
    }
}

fn terms(value: &Value) -> Result<Kind, Error> {
    let known = [
        "field",
        "size",
        "min_doc_count",
        "order",
        "shard_size",
        "show_term_doc_count_error",
        "execution_hint",
        "collect_mode",
    ];
    let options = Options::new("terms", value, &known)?;
    let size = options.number("size", 10)?;
    if size == 0 || size > BUCKETS_MAX {
        return Err(Error::illegal(format!(
            "[size] must be from 1 to {BUCKETS_MAX}. Found [{size}] in [terms]"
        )));
    }
    let order = match options.body.get("order") {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(order).collect::<Result<_, _>>()?,
        Some(item) => vec![order(item)?],
    };
    Ok(Kind::Terms {
        path: options.field()?,
        size,
        least: options.number("min_doc_count", 1)?.max(1),
        order,
    })
}

fn order(value: &Value) -> Result<(By, bool), Error> {
    let (name, direction) = only(value, "order")?;
    let by = match name {
        "_count" => By::Count,
        "_key" | "_term" => By::Key,
        name => By::Inner(name.strip_suffix(".value").unwrap_or(name).to_owned()),
    };
    match direction.as_str() {
        Some("asc") => Ok((by, false)),
        Some("desc") => Ok((by, true)),
        _ => Err(Error::parsing("Unknown order direction in [terms]")),
    }
}

fn dates(value: &Value) -> Result<Kind, Error> {
    let known = [
        "field",
        "interval",
        "calendar_interval",
        "fixed_interval",
        "min_doc_count",
        "format",
        "time_zone",
    ];
    let options = Options::new("date_histogram", value, &known)?;
    let zone = options.body.get("time_zone").and_then(Value::as_str).unwrap_or("UTC");
    if !matches!(zone, "UTC" | "Z" | "+00:00") {
        return Err(Error::illegal(format!(
            "[date_histogram] knows the time zone UTC, not [{}]",
            cut(zone)
        )));
    }
    let given = ["interval", "calendar_interval", "fixed_interval"]
        .iter()
        .find_map(|name| options.body.get(*name)?.as_str());
    let given = given.ok_or_else(|| {
        Error::illegal("Required one of fields [interval, calendar_interval, fixed_interval]")
    })?;
    let step = step(given).ok_or_else(|| {
        Error::illegal(format!("The supplied interval [{}] could not be parsed", cut(given)))
    })?;
    Ok(Kind::Dates { path: options.field()?, step, least: options.number("min_doc_count", 0)? })
}

fn step(text: &str) -> Option<Step> {
    let unit = match text {
        "second" | "1s" => Unit::Second,
        "minute" | "1m" => Unit::Minute,
        "hour" | "1h" => Unit::Hour,
        "day" | "1d" => Unit::Day,
        "week" | "1w" => Unit::Week,
        "month" | "1M" => Unit::Month,
        "quarter" | "1q" => Unit::Quarter,
        "year" | "1y" => Unit::Year,
        _ => {
            let end = text.find(|letter: char| !letter.is_ascii_digit())?;
            let count: i64 = text[..end].parse().ok()?;
            let length = match &text[end..] {
                "ms" => 1,
                "s" => when::SECOND_MS,
                "m" => when::MINUTE_MS,
                "h" => when::HOUR_MS,
                "d" => when::DAY_MS,
                _ => return None,
            };
            return count.checked_mul(length).filter(|length| *length > 0).map(Step::Fixed);
        }
    };
    Some(Step::Calendar(unit))
}

fn steps(value: &Value) -> Result<Kind, Error> {
    let options = Options::new("histogram", value, &["field", "interval", "min_doc_count"])?;
    let width = options
        .body
        .get("interval")
        .and_then(Value::as_f64)
        .filter(|width| *width > 0.0 && width.is_finite());
    let width = width
        .ok_or_else(|| Error::illegal("[interval] must be a positive number in [histogram]"))?;
    Ok(Kind::Steps { path: options.field()?, width, least: options.number("min_doc_count", 0)? })
}
