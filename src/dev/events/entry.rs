//! Entry: a happening as the log keeps it.

use serde_json::{Map, Value, json};

use crate::dev::{Happening, What};

/// Bytes of a payload that are kept; the document's `size` says how long it was.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of what can be found by any piece of it.
const SAID_BYTES_MAX: usize = 1 << 10;

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) at_ms: i64,
    pub(super) kind: String,
    pub(super) client: Option<String>,
    /// The topic, or one a line.
    pub(super) topic: Option<String>,
    /// What people look for: the payload, a reason, a rule.
    pub(super) said: String,
    pub(super) document: Map<String, Value>,
}

impl Entry {
    /// Takes down what happened. A payload stands once, where it was published.
    pub(super) fn of(happening: &Happening) -> Self {
        let mut document = happening.document();
        if let What::MessageDelivered { .. } | What::MessageAcked { .. } = happening.what {
            document.remove("payload");
        }
        if let Some(Value::String(payload)) = document.get_mut("payload")
            && payload.len() > PAYLOAD_BYTES_MAX
        {
            payload.truncate(payload.floor_char_boundary(PAYLOAD_BYTES_MAX));
            document.insert("payload_is_cut".into(), true.into());
        }
        Self::new(document, happening.at_ms)
    }

    /// Takes down a document that someone else made; one without a time happened now.
    pub(super) fn new(document: Map<String, Value>, now_ms: i64) -> Self {
        let text = |name: &str| Some(document.get(name)?.as_str()?.to_owned());
        let from = |name: &str| Some(document.get("from")?.get(name)?.as_str()?.to_owned());
        let topics = || {
            let topics: Vec<&str> =
                document.get("topics")?.as_object()?.keys().map(String::as_str).collect();
            Some(topics.join("\n"))
        };
        let said = ["payload", "reason", "rule"].iter().find_map(|name| text(name));
        let mut said = said.unwrap_or_default();
        said.truncate(said.floor_char_boundary(SAID_BYTES_MAX));
        Self {
            at_ms: document.get("timestamp").and_then(Value::as_i64).unwrap_or(now_ms),
            kind: text("event").or_else(|| text("operation")).unwrap_or_default(),
            client: text("client_id").or_else(|| from("client_id")),
            topic: text("topic").or_else(topics),
            said,
            document,
        }
    }

    /// Says that `count` happenings are not in the log, and why.
    pub(super) fn gap(count: u64, reason: &str, now_ms: i64) -> Self {
        Self::said(
            json!({"event": GAP, "timestamp": now_ms, "count": count, "reason": reason}),
            now_ms,
        )
    }

    /// Says something about the log itself.
    pub(super) fn said(document: Value, now_ms: i64) -> Self {
        let Value::Object(document) = document else { unreachable!("the callers write objects") };
        Self::new(document, now_ms)
    }
}

/// What the log calls a gap in itself.
pub(super) const GAP: &str = "events_left_out";
