//! Wrong: why something is refused, with the status that Mainflux answers.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Why, for a person: Mainflux says nothing but the status, so this is a header that its clients do not read.
const REASON: HeaderName = HeaderName::from_static("x-reason");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What was asked makes no sense: 400.
    Malformed(&'static str),
    /// Nobody who may: 403.
    Denied(&'static str),
    /// There is no such thing: 404.
    Missing(&'static str),
    /// Something of that name is there: 409.
    Exists(&'static str),
    /// A thing's key is another's: 422.
    KeyTaken,
    /// A body that is not said to be JSON: 415.
    NotJson,
    /// Nobody can be asked now: 503.
    Busy(&'static str),
    /// A bound is reached, or the disk is full: 507.
    Full(&'static str),
    /// The database refused: 500.
    Broken,
}

pub(super) type Result<T> = std::result::Result<T, Wrong>;

impl Wrong {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Exists(_) => StatusCode::CONFLICT,
            Self::KeyTaken => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Malformed(why)
            | Self::Denied(why)
            | Self::Missing(why)
            | Self::Exists(why)
            | Self::Busy(why)
            | Self::Full(why) => why,
            Self::KeyTaken => "this key is another thing's",
            Self::NotJson => "the content type has to be application/json",
            Self::Broken => {
                "the database refused; `rebeam dev snapshot load` puts an earlier one back, `rebeam dev down --volumes` begins anew"
            }
        }
    }
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full("the disk is full"),
            _ => Self::Broken,
        }
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let reason = HeaderValue::from_static(self.reason());
        (self.status(), [(CONTENT_TYPE, JSON), (REASON, reason)]).into_response()
    }
}
