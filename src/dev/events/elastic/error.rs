//! Error: a refusal as Elasticsearch words it, since clients make exceptions of its type and status.

use serde_json::{Value, json};

use crate::dev::DevError;

/// Why a request, or one part of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dev::events) struct Error {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) reason: String,
    pub(super) index: Option<String>,
}

impl Error {
    pub(super) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), index: None }
    }

    /// The body says something that this subset, or Elasticsearch itself, does not know.
    pub(super) fn parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// A value is not what it may be.
    pub(super) fn illegal(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    pub(super) fn no_index(index: &str) -> Self {
        let reason = format!("no such index [{index}]");
        Self {
            index: Some(index.to_owned()),
            ..Self::new(404, "index_not_found_exception", reason)
        }
    }

    /// The error itself, as it stands in the answer to one of many requests.
    pub(super) fn cause(&self) -> Value {
        let mut cause = json!({"type": self.kind, "reason": self.reason});
        if let Some(index) = &self.index {
            cause["index"] = index.as_str().into();
            cause["resource.id"] = index.as_str().into();
            cause["resource.type"] = "index_or_alias".into();
            cause["index_uuid"] = "_na_".into();
        }
        cause
    }

    /// The whole answer.
    pub(super) fn body(&self) -> Value {
        let mut error = self.cause();
        error["root_cause"] = json!([self.cause()]);
        json!({"error": error, "status": self.status})
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                Self::new(503, "timeout_exception", "the search took too long and was ended")
            }
            _ => Self::new(500, "io_exception", format!("the event log refused: {error}")),
        }
    }
}

impl From<DevError> for Error {
    fn from(error: DevError) -> Self {
        Self::new(500, "io_exception", format!("the event log refused: {error}"))
    }
}
