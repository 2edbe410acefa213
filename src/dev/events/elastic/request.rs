//! Request: what was asked, free of HTTP: the parts of its path, its options and its body.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::Value;

use super::error::Error;
use crate::limits::WEB_BODY_BYTES_MAX;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) options: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) now_ms: i64,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Json(Value),
    Text(String),
}

impl Answer {
    pub(super) fn json(value: Value) -> Self {
        Self { status: 200, body: Body::Json(value) }
    }

    /// An answer to `HEAD`.
    pub(super) fn is(there: bool) -> Self {
        Self { status: if there { 200 } else { 404 }, body: Body::Text(String::new()) }
    }
}

impl Request {
    pub(super) fn new(method: &str, target: &str, body: Vec<u8>, now_ms: i64) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let option = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        };
        let options = query.split('&').filter(|pair| !pair.is_empty()).map(option).collect();
        Self { method: method.to_owned(), path: path.to_owned(), options, body, now_ms }
    }

    /// Returns the parts of the path.
    pub(super) fn parts(&self) -> Vec<String> {
        self.path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Tells whether an option is given and not `false`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| value != "false")
    }

    /// Reads the body as JSON; an empty one is an empty object.
    pub(super) fn json(&self) -> Result<Value, Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        json(&self.body)
    }
}

/// Reads JSON as strictly as it has to be; nesting is bounded by the reader.
pub(super) fn json(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::parsing(format!("the body is no JSON: {error}")))
}

/// Inflates a body that was sent as gzip.
pub(super) fn inflated(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    let most = WEB_BODY_BYTES_MAX as u64 + 1;
    let read = flate2::read::GzDecoder::new(body).take(most).read_to_end(&mut plain);
    if read.is_err() {
        return Err(Error::illegal("the body is no gzip"));
    }
    if plain.len() > WEB_BODY_BYTES_MAX {
        let reason = format!("the body is larger than {WEB_BODY_BYTES_MAX} bytes");
        return Err(Error::new(413, "content_too_long_exception", reason));
    }
    Ok(plain)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                bytes.push(u8::try_from(value).expect("two hex digits are a byte"));
                rest = after;
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
