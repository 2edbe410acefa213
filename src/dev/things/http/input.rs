//! Input: what a request says, read as leniently as Go reads it, and within bounds.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use serde_json::{Map, Value};

use crate::dev::things::entries::{Metadata, Wanted};
use crate::dev::things::wrong::{Result, Wrong};
use crate::limits::THINGS_NAME_BYTES_MAX;

const LIMIT: u64 = 10;
const LIMIT_MAX: u64 = 100;
const NOT_JSON: Wrong = Wrong::Malformed("the body is no JSON object");
const WRONG_TYPE: Wrong = Wrong::Malformed("a field of the body is of the wrong type");

/// The fields of a JSON body.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body that is said to be JSON. What follows the first value is not looked at, unknown fields are
    /// passed over, and upper case is lower case.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.contains("application/json")) {
            return Err(Wrong::NotJson);
        }
        let first = serde_json::Deserializer::from_slice(body).into_iter::<Value>().next();
        match first {
            Some(Ok(Value::Object(fields))) => {
                let lower = |(name, value): (String, Value)| (name.to_ascii_lowercase(), value);
                Ok(Self(fields.into_iter().map(lower).collect()))
            }
            Some(Ok(Value::Null)) => Ok(Self(Map::new())),
            _ => Err(NOT_JSON),
        }
    }

    fn take(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap_or_default()
    }

    /// Takes a text; empty where there is none.
    pub(super) fn text(&mut self, name: &str) -> Result<String> {
        match self.take(name) {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text),
            _ => Err(WRONG_TYPE),
        }
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Metadata>> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::Object(object) => Ok(Some(sorted(object))),
            _ => Err(WRONG_TYPE),
        }
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let texts = match self.take(name) {
            Value::Null => return Ok(Vec::new()),
            Value::Array(texts) => texts,
            _ => return Err(WRONG_TYPE),
        };
        let text = |value: Value| match value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text),
            _ => Err(WRONG_TYPE),
        };
        texts.into_iter().map(text).collect()
    }

    /// Takes a whole number; 0 where there is none.
    pub(super) fn number(&mut self, name: &str) -> Result<i64> {
        match self.take(name) {
            Value::Null => Ok(0),
            value => value.as_i64().ok_or(WRONG_TYPE),
        }
    }
}

/// Sorts the names of an object, and writes whole numbers as such: the way in which Go gives them back.
fn sorted(object: Map<String, Value>) -> Metadata {
    let mut fields: Vec<(String, Value)> = object.into_iter().collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

fn plain(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Number(ref number) => match number.as_f64() {
            Some(float) if number.is_f64() => super::output::number(float),
            _ => value,
        },
        other => other,
    }
}

/// The token of a request: Mainflux has it bare, and `Bearer` before it is passed over.
pub(super) fn token(headers: &HeaderMap) -> Result<String> {
    let token = headers.get(AUTHORIZATION).and_then(|token| token.to_str().ok()).unwrap_or("");
    match token {
        "" => Err(Wrong::Denied("a token is missing: Authorization: TOKEN")),
        token => Ok(token.strip_prefix("Bearer ").unwrap_or(token).to_owned()),
    }
}

/// What stands behind the `?` of an address.
pub(super) struct Queries(Vec<(String, String)>);

impl Queries {
    pub(super) fn read(uri: &Uri) -> Result<Self> {
        let bad = |_| Wrong::Malformed("the query cannot be read");
        Ok(Self(axum::extract::Query::try_from_uri(uri).map_err(bad)?.0))
    }

    /// Returns a value that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.0.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| &**value);
        match values.next() {
            Some(_) => Err(Wrong::Malformed("a query parameter is given twice")),
            None => Ok(value),
        }
    }

    /// Returns the first value.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        Some(&*self.0.iter().find(|(other, _)| other == name)?.1)
    }

    /// Returns a number that may be given once.
    pub(super) fn number(&self, name: &str, otherwise: u64) -> Result<u64> {
        let bad = |_| Wrong::Malformed("a query parameter is no number");
        self.one(name)?.map_or(Ok(otherwise), |text| text.parse().map_err(bad))
    }

    /// Returns which part of a list of things or channels is asked for.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        let mut wanted = self.wanted_joined()?;
        self.one("name")?.unwrap_or_default().clone_into(&mut wanted.name);
        if wanted.name.len() > THINGS_NAME_BYTES_MAX {
            return Err(Wrong::Malformed("a name has at most 1024 bytes"));
        }
        if let Some(text) = self.one("metadata")? {
            let bad = |_| Wrong::Malformed("the metadata are no JSON object");
            wanted.metadata = sorted(serde_json::from_str(text).map_err(bad)?);
        }
        Ok(wanted)
    }

    /// Returns which part of a list is asked for that is not filtered.
    pub(super) fn wanted_joined(&self) -> Result<Wanted> {
        let (offset, limit) = (self.number("offset", 0)?, self.number("limit", LIMIT)?);
        match (1..=LIMIT_MAX).contains(&limit) {
            true => Ok(Wanted { offset, limit, ..Wanted::default() }),
            false => Err(Wrong::Malformed("the limit is between 1 and 100")),
        }
    }

    /// Returns which part of a list of configurations is asked for: what is too much is made less.
    pub(super) fn page(&self) -> Result<(u64, u64)> {
        let bad = |_| Wrong::Malformed("a query parameter is no number");
        let number = |name| match self.first(name).unwrap_or("") {
            "" => Ok(0),
            text => text.parse::<u64>().map_err(bad),
        };
        let (offset, limit) = (number("offset")?, number("limit")?);
        Ok((offset, if limit == 0 { LIMIT } else { limit.min(LIMIT_MAX) }))
    }
}
