//! Bulk: many documents in one body, a line for what to do and a line for the document.

use serde_json::{Value, json};

use super::docs::{self, Action, Target};
use super::error::Error;
use super::query::cut;
use super::request::json;
use crate::dev::events::log::Log;

/// One thing to do, or why it cannot be done.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) action: Action,
    pub(super) target: Target,
    pub(super) body: Result<Option<Value>, Error>,
}

/// Reads a body; `index` and `kind` are those of the path, for lines that name none.
pub(super) fn read(
    body: &[u8],
    index: Option<&str>,
    kind: Option<&str>,
) -> Result<Vec<Item>, Error> {
    let mut lines = body.split(|byte| *byte == b'\n').enumerate();
    let mut items = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (action, target) = head(line, number + 1, index, kind)?;
        let body = match action {
            Action::Delete => Ok(None),
            _ => {
                let (_, line) =
                    lines.next().filter(|(_, line)| !line.is_empty()).ok_or_else(|| {
                        Error::illegal("The bulk request must be terminated by a newline [\\n]")
                    })?;
                json(line)
                    .map(Some)
                    .map_err(|error| Error { kind: "document_parsing_exception", ..error })
            }
        };
        items.push(Item { action, target, body });
    }
    if items.is_empty() {
        return Err(Error::parsing("request body is required"));
    }
    Ok(items)
}

fn head(
    line: &[u8],
    number: usize,
    index: Option<&str>,
    kind: Option<&str>,
) -> Result<(Action, Target), Error> {
    let wrong = |found: &str| {
        Error::illegal(format!("Malformed action/metadata line [{number}], found [{}]", cut(found)))
    };
    let value = json(line).map_err(|error| wrong(&error.reason))?;
    let entry = value
        .as_object()
        .filter(|object| object.len() == 1)
        .and_then(|object| object.iter().next());
    let (name, body) = entry.ok_or_else(|| wrong("no object with one action"))?;
    let action =
        Action::ALL.into_iter().find(|action| action.name() == name).ok_or_else(|| wrong(name))?;
    let body = body.as_object().ok_or_else(|| wrong("no object behind the action"))?;
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(wrong(name)),
    };
    let index = text("_index")?.or_else(|| index.map(str::to_owned));
    let index = index.ok_or_else(|| {
        Error::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: index is missing;",
        )
    })?;
    let kind = text("_type")?.or_else(|| kind.map(str::to_owned));
    Ok((action, Target { index, kind, id: text("_id")? }))
}

/// Does all of it in one transaction: it is on the disk when this returns.
pub(super) fn run(log: &Log, items: Vec<Item>, now_ms: i64) -> Result<Value, Error> {
    let told = log.write(|transaction| {
        let mut told = Vec::new();
        for Item { action, target, body } in items {
            let done = match body {
                Ok(body) => docs::change(transaction, &target, action, body, now_ms)?,
                Err(error) => Err(error),
            };
            told.push((action, target, done));
        }
        Ok(told)
    })?;
    let has_errors = told.iter().any(|(_, _, done)| done.is_err());
    let items = told.into_iter().map(|(action, target, done)| {
        let told = done.unwrap_or_else(|error| {
            json!({"_index": target.index, "_id": target.id, "status": error.status, "error": error.cause()})
        });
        json!({ action.name(): told })
    });
    Ok(json!({"took": 0, "errors": has_errors, "items": items.collect::<Vec<_>>()}))
}
