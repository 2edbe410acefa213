//! Cursor: a scroll or a point in time, all of it in the identifier that the client holds, so that nothing is kept
//! here for clients that never come back.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rusqlite::types::Value as Sql;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;
use super::sort;

/// Bytes of an identifier.
const BYTES_MAX: usize = 1 << 20;

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The indices, as they were named.
    #[serde(rename = "n")]
    pub(super) names: String,
    /// The newest entry that belongs to it.
    #[serde(rename = "m")]
    pub(super) newest: i64,
    /// When it was made, so that `now` stays what it was.
    #[serde(rename = "t")]
    pub(super) now_ms: i64,
    /// A scroll's search.
    #[serde(rename = "s", default)]
    pub(super) search: Value,
    /// Sort values of the last hit, and its number.
    #[serde(rename = "a", default)]
    after: Vec<Value>,
    /// Whether there is nothing after it.
    #[serde(rename = "e", default)]
    pub(super) has_ended: bool,
}

impl Cursor {
    pub(super) fn new(names: String, newest: i64, now_ms: i64) -> Self {
        Self { names, newest, now_ms, search: Value::Null, after: Vec::new(), has_ended: false }
    }

    pub(super) fn read(id: &str) -> Result<Self, Error> {
        let wrong = || Error::illegal("Cannot parse scroll id or point in time");
        let bytes = Some(id).filter(|id| !id.is_empty() && id.len() <= BYTES_MAX);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(bytes.ok_or_else(wrong)?).map_err(|_| wrong())?;
        serde_json::from_slice(&bytes).map_err(|_| wrong())
    }

    pub(super) fn id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("it is plain JSON"))
    }

    /// Moves behind a hit; no hit is the end.
    pub(super) fn go_on(&mut self, last: Option<&[Sql]>) {
        match last {
            Some(values) => self.after = values.iter().map(sort::told).collect(),
            None => self.has_ended = true,
        }
    }

    /// Returns the sort values after which to go on.
    pub(super) fn after(&self) -> Result<Option<Vec<Sql>>, Error> {
        if self.after.is_empty() {
            return Ok(None);
        }
        sort::after(&Value::from(self.after.clone())).map(Some)
    }
}
