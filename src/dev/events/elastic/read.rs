//! Read: a query from Elasticsearch's query language.
//!
//! The subset is what the consumers of emqttd's logger ask for, and what people type. Everything scores 1. An option
//! that would change the answer and is not known is refused by name.

use serde_json::{Map, Value};

use super::error::Error;
use super::query::{Bool, Bound, Field, Query, Side, Test, Wanted, cut, object, only};
use super::text;
use crate::dev::events::leaf::{Number, words};

/// Queries within one another, and all queries of one request.
const DEPTH_MAX: usize = 20;
const CLAUSES_MAX: usize = 1024;
/// Values of one `terms` or `ids`: Elasticsearch's `index.max_terms_count`.
const VALUES_MAX: usize = 65_536;
/// Characters of a pattern.
const PATTERN_CHARS_MAX: usize = 1000;

/// Reads the value of a `query` key.
pub(super) fn query(value: &Value, now_ms: i64) -> Result<Query, Error> {
    Reader { now_ms, clauses: 0 }.query(value, 0)
}

struct Reader {
    now_ms: i64,
    clauses: usize,
}

impl Reader {
    fn query(&mut self, value: &Value, depth: usize) -> Result<Query, Error> {
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            return Err(Error::new(
                400,
                "too_many_clauses",
                format!("maxClauseCount is set to {CLAUSES_MAX}"),
            ));
        }
        if depth > DEPTH_MAX {
            return Err(Error::illegal(format!("queries are nested deeper than [{DEPTH_MAX}]")));
        }
        let (kind, body) = only(value, "query")?;
        match kind {
            "match_all" => Ok(Query::All),
            "match_none" => Ok(Query::None),
            "bool" => self.bool(body, depth),
            "constant_score" => {
                let filter = object(body, kind)?.get("filter");
                let filter = filter.ok_or_else(|| {
                    Error::parsing("[constant_score] requires a 'filter' element")
                })?;
                self.query(filter, depth + 1)
            }
            "query_string" | "simple_query_string" => {
                query_string(object(body, kind)?, kind, self.now_ms)
            }
            "multi_match" => multi_match(object(body, kind)?),
            "ids" => Ok(Query::Ids(texts(object(body, kind)?.get("values"), "ids")?)),
            "exists" => {
                let name = object(body, kind)?.get("field").and_then(Value::as_str);
                let name =
                    name.ok_or_else(|| Error::parsing("[exists] must be provided with a [field]"))?;
                Ok(Query::Field(Field::new(name), Test::Exists))
            }
            "terms" => terms(object(body, kind)?),
            "term"
            | "prefix"
            | "wildcard"
            | "match"
            | "match_phrase"
            | "match_phrase_prefix"
            | "range" => {
                let (name, body) = only(body, kind)?;
                field_query(kind, name, body, self.now_ms)
            }
            _ => Err(Error::parsing(format!("unknown query [{}]", cut(kind)))),
        }
    }

    fn bool(&mut self, body: &Value, depth: usize) -> Result<Query, Error> {
        let mut bool = Bool::default();
        let mut least = None;
        for (name, value) in object(body, "bool")? {
            let into = match name.as_str() {
                "must" | "filter" => &mut bool.must,
                "should" => &mut bool.should,
                "must_not" => &mut bool.must_not,
                "minimum_should_match" => {
                    least = Some(minimum(value)?);
                    continue;
                }
                "boost" | "_name" | "adjust_pure_negative" => continue,
                _ => {
                    return Err(Error::parsing(format!(
                        "[bool] query does not support [{}]",
                        cut(name)
                    )));
                }
            };
            let values = match value {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for value in values {
                into.push(self.query(value, depth + 1)?);
            }
        }
        let by_default = usize::from(bool.must.is_empty() && !bool.should.is_empty());
        bool.least = least.unwrap_or(by_default);
        Ok(Query::Bool(Box::new(bool)))
    }
}

/// Reads a query about one field, in its short or its long form.
fn field_query(kind: &str, name: &str, body: &Value, now_ms: i64) -> Result<Query, Error> {
    let long = body.as_object();
    let key = match kind {
        "term" | "prefix" | "wildcard" => "value",
        _ => "query",
    };
    if kind == "range" {
        return range(name, object(body, kind)?, now_ms);
    }
    let value = match long {
        Some(long) => long.get(key).or_else(|| long.get(kind)),
        None => Some(body),
    };
    let value = value.ok_or_else(|| Error::parsing(format!("[{kind}] query requires [{key}]")))?;
    let mut operator = Operator::Or(1);
    for (option, value) in long.into_iter().flatten() {
        match (option.as_str(), value) {
            (option, _) if option == key || option == kind => {}
            (
                "boost" | "_name" | "rewrite" | "lenient" | "max_expansions" | "zero_terms_query",
                _,
            )
            | ("case_insensitive", Value::Bool(false))
            | ("slop", Value::Number(_))
                if option != "slop" || value == 0 => {}
            ("operator", Value::String(text))
                if kind == "match" && text.eq_ignore_ascii_case("and") =>
            {
                operator = Operator::And;
            }
            ("operator", Value::String(text))
                if kind == "match" && text.eq_ignore_ascii_case("or") => {}
            ("minimum_should_match", value) if kind == "match" => {
                operator = Operator::Or(minimum(value)?)
            }
            (option, _) => {
                return Err(Error::parsing(format!(
                    "[{kind}] query does not support [{}] here",
                    cut(option)
                )));
            }
        }
    }
    let wanted = Wanted::new(value)?;
    let field = Field::new(name);
    Ok(match (kind, name) {
        ("term" | "match", "_id") => Query::Ids(vec![wanted.text]),
        ("term" | "match" | "prefix" | "wildcard", "_index") => Query::Index(match kind {
            "prefix" => format!("{}*", escaped(&wanted.text)),
            "wildcard" => wanted.text,
            _ => escaped(&wanted.text),
        }),
        ("term", _) => Query::Field(field, Test::Equals(vec![wanted])),
        ("prefix", _) => Query::Field(field, Test::Prefix(wanted.text)),
        ("wildcard", _) => Query::Field(field, pattern(&wanted.text)?),
        ("match", _) => matching(&field, &wanted, operator),
        (kind, _) => phrase(&field, wanted, kind == "match_phrase_prefix"),
    })
}

/// How many of the words of a `match` have to be there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    And,
    Or(usize),
}

/// Asks for the words of a text.
pub(super) fn matching(field: &Field, wanted: &Wanted, operator: Operator) -> Query {
    let words = words(&wanted.text);
    if field.is_whole || words.len() < 2 {
        return phrase(field, wanted.clone(), false);
    }
    let one = |word: String| {
        let wanted = wanted.clone();
        Query::Field(field.clone(), Test::Phrase { words: vec![word], is_begun: false, wanted })
    };
    let each: Vec<Query> = words.into_iter().take(CLAUSES_MAX).map(one).collect();
    Query::Bool(Box::new(match operator {
        Operator::And => Bool { must: each, ..Bool::default() },
        Operator::Or(least) => Bool { should: each, least, ..Bool::default() },
    }))
}

/// Asks for words in a row.
pub(super) fn phrase(field: &Field, wanted: Wanted, is_begun: bool) -> Query {
    let test = match (field.is_whole, is_begun) {
        (true, true) => Test::Prefix(wanted.text),
        (true, false) => Test::Equals(vec![wanted]),
        (false, _) => Test::Phrase { words: words(&wanted.text), is_begun, wanted },
    };
    Query::Field(field.clone(), test)
}

/// Reads a pattern.
pub(super) fn pattern(text: &str) -> Result<Test, Error> {
    if text.chars().nth(PATTERN_CHARS_MAX).is_some() {
        return Err(Error::illegal(format!(
            "a pattern is longer than [{PATTERN_CHARS_MAX}] characters"
        )));
    }
    Ok(Test::Pattern(text.to_owned()))
}

/// Takes the meaning from what a pattern would give one to.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            matches!(letter, '*' | '?' | '\\').then_some('\\').into_iter().chain([letter])
        })
        .collect()
}

fn terms(body: &Map<String, Value>) -> Result<Query, Error> {
    let mut fields = body.iter().filter(|(name, _)| !matches!(name.as_str(), "boost" | "_name"));
    let (Some((name, values)), None) = (fields.next(), fields.next()) else {
        return Err(Error::parsing("[terms] query requires a field name, and only one"));
    };
    if name == "_id" {
        return Ok(Query::Ids(texts(Some(values), "terms")?));
    }
    let values = values
        .as_array()
        .ok_or_else(|| Error::parsing("[terms] query requires a list of values"))?;
    bounded(values.len(), "terms")?;
    let wanted = values.iter().map(Wanted::new).collect::<Result<Vec<_>, _>>()?;
    if name == "_index" {
        let should = wanted.iter().map(|wanted| Query::Index(escaped(&wanted.text))).collect();
        return Ok(Query::Bool(Box::new(Bool { should, least: 1, ..Bool::default() })));
    }
    Ok(Query::Field(Field::new(name), Test::Equals(wanted)))
}

fn range(name: &str, body: &Map<String, Value>, now_ms: i64) -> Result<Query, Error> {
    let mut bounds = Vec::new();
    for (option, value) in body {
        let side = match (option.as_str(), value) {
            ("gt", _) => Side::Above,
            ("gte", _) => Side::From,
            ("lt", _) => Side::Below,
            ("lte", _) => Side::To,
            ("boost" | "_name" | "relation", _) => continue,
            ("time_zone", Value::String(zone))
                if matches!(zone.as_str(), "UTC" | "Z" | "+00:00") =>
            {
                continue;
            }
            ("format", Value::String(format)) if !format.contains("epoch_second") => continue,
            _ => {
                return Err(Error::parsing(format!(
                    "[range] query does not support [{}] here",
                    cut(option)
                )));
            }
        };
        if !value.is_null() {
            bounds.push(Bound::new(side, value, now_ms)?);
        }
    }
    Ok(Query::Field(Field::new(name), Test::Range(bounds)))
}

fn multi_match(body: &Map<String, Value>) -> Result<Query, Error> {
    for name in body.keys() {
        if !matches!(name.as_str(), "query" | "fields" | "type" | "operator" | "lenient" | "boost")
        {
            return Err(Error::parsing(format!(
                "[multi_match] query does not support [{}]",
                cut(name)
            )));
        }
    }
    let value = body
        .get("query")
        .ok_or_else(|| Error::parsing("No text specified for multi_match query"))?;
    let wanted = Wanted::new(value)?;
    let fields = match body.get("fields") {
        None => vec!["*".to_owned()],
        fields => texts(fields, "multi_match")?,
    };
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("best_fields");
    let is_and = body
        .get("operator")
        .and_then(Value::as_str)
        .is_some_and(|text| text.eq_ignore_ascii_case("and"));
    let one = |name: &String| {
        let field = Field::new(name.split('^').next().unwrap_or_default());
        match kind {
            "best_fields" | "most_fields" | "cross_fields" => {
                Ok(matching(&field, &wanted, if is_and { Operator::And } else { Operator::Or(1) }))
            }
            "phrase" | "phrase_prefix" => {
                Ok(phrase(&field, wanted.clone(), kind == "phrase_prefix"))
            }
            _ => {
                Err(Error::parsing(format!("[multi_match] does not know the type [{}]", cut(kind))))
            }
        }
    };
    let should = fields.iter().map(one).collect::<Result<_, _>>()?;
    Ok(Query::Bool(Box::new(Bool { should, least: 1, ..Bool::default() })))
}

fn query_string(body: &Map<String, Value>, kind: &str, now_ms: i64) -> Result<Query, Error> {
    let mut fields = vec!["*".to_owned()];
    let mut operator = Operator::Or(1);
    for (name, value) in body {
        match (name.as_str(), value) {
            (
                "query"
                | "boost"
                | "lenient"
                | "analyze_wildcard"
                | "allow_leading_wildcard"
                | "_name",
                _,
            ) => {}
            ("default_field", Value::String(name)) => fields = vec![name.clone()],
            ("fields", value) => fields = texts(Some(value), kind)?,
            ("default_operator", Value::String(text)) => {
                operator =
                    if text.eq_ignore_ascii_case("and") { Operator::And } else { Operator::Or(1) };
            }
            _ => {
                return Err(Error::parsing(format!(
                    "[{kind}] query does not support [{}]",
                    cut(name)
                )));
            }
        }
    }
    let text = body.get("query").and_then(Value::as_str);
    let text =
        text.ok_or_else(|| Error::parsing(format!("[{kind}] must be provided with a [query]")))?;
    text::read(text, &fields, operator, now_ms)
}

fn minimum(value: &Value) -> Result<usize, Error> {
    let number = Number::read(value).and_then(|number| match number {
        Number::Whole(whole) => usize::try_from(whole).ok(),
        Number::Real(_) => None,
    });
    number.ok_or_else(|| Error::parsing("[minimum_should_match] has to be a whole number here"))
}

fn texts(value: Option<&Value>, kind: &str) -> Result<Vec<String>, Error> {
    let wrong = || Error::parsing(format!("[{kind}] requires a list of values"));
    let values = match value.ok_or_else(wrong)? {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    bounded(values.len(), kind)?;
    values.iter().map(|value| Ok(Wanted::new(value)?.text)).collect()
}

fn bounded(count: usize, kind: &str) -> Result<(), Error> {
    if count > VALUES_MAX {
        return Err(Error::illegal(format!(
            "[{kind}] has [{count}] values, and [{VALUES_MAX}] are allowed"
        )));
    }
    Ok(())
}
