//! Client: speaks to the things of a stack that runs, as any client of Mainflux does.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::running::credentials_file;
use super::token::random;
use crate::dev::{DevError, Place};
use crate::disk::{self, DiskError};
use crate::event::Silent;
use crate::explain::{Blame, Explain};
use crate::http::{Call, Http, HttpError, Method, Mirrors, Network, Pace, Request};
use crate::limits::{TEXT_FILE_BYTES_MAX, WEB_BODY_BYTES_MAX};

const EMAIL: &str = "dev@rebeam.localhost";
const PASSWORD: &str = "REBEAM_DEV_PASSWORD";
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The stack is on this machine: what does not answer at once is not there.
const PACE: Pace = Pace {
    attempts_max: 1,
    delay_ms: 1,
    delay_ms_max: 1,
    retry_after_ms_max: 1,
    connect_ms_max: 2_000,
    silence_ms_max: 30_000,
};

/// The things of a stack refused.
#[derive(Debug, Error)]
pub enum ApiError {
    /// No stack is up.
    #[error("the stack of this project is not up")]
    Down,
    /// The stack has no things.
    #[error("the stack that is up serves no things")]
    NoThings,
    /// What was asked is refused.
    #[error("the stack refuses `{what}`: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its status.
        status: u16,
        /// Why.
        reason: String,
    },
    /// An answer makes no sense.
    #[error("the stack's answer to `{what}` makes no sense")]
    Garbled {
        /// What was asked for.
        what: String,
    },
    /// The file with the first user's password is not usable.
    #[error("`{}` holds no user", path.display())]
    NoUser {
        /// The file.
        path: PathBuf,
    },
    /// A user is named and no password.
    #[error("the user's password is not known")]
    NoPassword,
    /// More than one thing or channel has a name, or none.
    #[error("{count} {kind} are called `{name}`")]
    Ambiguous {
        /// How many.
        count: usize,
        /// Of what.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The stack's record cannot be read.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// The stack cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ApiError {
    fn blame(&self) -> Blame {
        match self {
            Self::Refused { status, .. } if *status >= 500 => Blame::World,
            Self::Http(_) | Self::Garbled { .. } => Blame::World,
            Self::Dev(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Down | Self::NoThings => Some("start it: `rebeam dev up -d`".into()),
            Self::NoUser { path } => Some(format!(
                "remove `{}` and start the stack anew: `rebeam dev down`, `rebeam dev up -d`",
                path.display()
            )),
            Self::NoPassword => Some(
                "name a file with it: `--password-file FILE`, or set REBEAM_THINGS_PASSWORD".into(),
            ),
            Self::Ambiguous { kind, .. } => {
                let verb = kind.trim_end_matches('s');
                Some(format!("take the identifier: `rebeam dev {verb} ls`"))
            }
            Self::Refused { status: 403, .. } => Some(
                "who asks is the first user, or `--as EMAIL` with REBEAM_THINGS_PASSWORD".into(),
            ),
            Self::Dev(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

impl Credentials {
    /// Makes the first user's credentials where there are none, and shows them to `register`.
    pub(super) fn have(state: &Path, register: impl FnOnce(&str, &str)) -> Result<(), DiskError> {
        let path = credentials_file(state);
        if !disk::exists(&path) {
            let password = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
            let fresh = Self { email: EMAIL.to_owned(), password };
            let text = serde_json::to_vec(&fresh).expect("credentials are texts");
            disk::write_secret(&path, &text)?;
        }
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        if let Ok(credentials) = serde_json::from_str::<Self>(&text) {
            register(&credentials.email, &credentials.password);
        }
        Ok(())
    }
}

/// A way to speak to the things of a stack that runs.
pub struct Api {
    http: Http,
    base: String,
    headers: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What the stack answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Where what was made is.
    pub location: Option<String>,
    /// The body, or null.
    pub body: Value,
}

impl Answered {
    /// Returns the identifier of what was made.
    pub fn id(&self) -> &str {
        self.location.as_deref().and_then(|at| at.rsplit('/').next()).unwrap_or_default()
    }
}

impl Api {
    /// Finds the stack, and asks in nobody's name.
    ///
    /// # Errors
    /// Where no stack is up, or it has no things.
    pub fn find(place: &Place) -> Result<Self, ApiError> {
        let running = place.running()?.ok_or(ApiError::Down)?;
        let service = running.services.into_iter().find(|service| service.name == "things");
        let base = service.ok_or(ApiError::NoThings)?.url;
        let http = Http::with_pace(Network::Open, Mirrors::default(), PACE);
        let env = disk::read_text(&place.env_file(), TEXT_FILE_BYTES_MAX)?;
        let password = env.lines().find_map(|line| line.strip_prefix(PASSWORD)?.strip_prefix('='));
        let headers = password.map(|password| ("x-rebeam-password", password.to_owned()));
        Ok(Self { http, base, headers: headers.into_iter().collect() })
    }

    /// Asks in the name of the first user.
    ///
    /// # Errors
    /// Where its password is not known.
    pub fn enter(self, place: &Place) -> Result<Self, ApiError> {
        let path = credentials_file(place.directory());
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        let user: Credentials =
            serde_json::from_str(&text).map_err(|_| ApiError::NoUser { path })?;
        self.enter_as(&user.email, &user.password)
    }

    /// Asks in the name of a user.
    ///
    /// # Errors
    /// Where the password is wrong.
    pub fn enter_as(mut self, email: &str, password: &str) -> Result<Self, ApiError> {
        let token = self.token(email, password)?;
        self.headers.push(("authorization", token));
        Ok(self)
    }

    /// Returns a fresh token.
    ///
    /// # Errors
    /// Where the password is wrong.
    pub fn token(&self, email: &str, password: &str) -> Result<String, ApiError> {
        let user = serde_json::json!({ "email": email, "password": password });
        let answer = self.call(Method::Post, "/tokens", Some(&user))?;
        let token = answer.body["token"].as_str().map(str::to_owned);
        token.ok_or_else(|| ApiError::Garbled { what: "/tokens".into() })
    }

    /// Returns the token that it asks with.
    pub fn own_token(&self) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| *name == "authorization");
        found.map(|(_, token)| token.as_str())
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Where it is refused, with the reason, or the stack cannot be reached.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answered, ApiError> {
        let url = format!("{}{path}", self.base);
        let mut headers = self.headers.clone();
        let text = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            headers.push(("content-type", "application/json".into()));
        }
        let request = Request { name: path, url: &url, limit: ANSWER_BYTES_MAX, headers: &headers };
        debug_assert!(text.len() <= WEB_BODY_BYTES_MAX);
        let call = Call { method, request, body: text.as_bytes() };
        let mut answer = self.http.exchange(&call, &Silent)?;
        let garbled = || ApiError::Garbled { what: path.to_owned() };
        let mut text = String::new();
        answer.body.read_to_string(&mut text).map_err(|_| garbled())?;
        if !(200..300).contains(&answer.status) {
            let reason = answer.headers.remove("x-reason");
            let reason = reason.unwrap_or_else(|| format!("status {}", answer.status));
            let what = path.to_owned();
            return Err(ApiError::Refused { what, status: answer.status, reason });
        }
        let location = answer.headers.remove("location");
        let body = match text.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).map_err(|_| garbled())?,
        };
        Ok(Answered { location, body })
    }

    /// Lists all of `things`, `channels` or `configs`, page by page.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn all(&self, kind: &'static str, path: &str) -> Result<Vec<Value>, ApiError> {
        const PAGE: usize = 100;
        let mut all = Vec::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{sign}offset={}&limit={PAGE}", all.len());
            let mut answer = self.call(Method::Get, &page, None)?;
            let Value::Array(items) = answer.body[kind].take() else { return Ok(all) };
            let count = items.len();
            all.extend(items);
            if count < PAGE {
                return Ok(all);
            }
        }
    }

    /// Returns the identifier of the one thing or channel that is meant by an identifier or a name.
    ///
    /// # Errors
    /// Where none or more than one is.
    pub fn identify(&self, kind: &'static str, meant: &str) -> Result<String, ApiError> {
        if uuid::Uuid::try_parse(meant).is_ok() {
            return Ok(meant.to_ascii_lowercase());
        }
        let all = self.all(kind, &format!("/{kind}"))?;
        let mut found = all.iter().filter(|item| item["name"] == meant);
        match (found.next().and_then(|item| item["id"].as_str()), found.count()) {
            (Some(id), 0) => Ok(id.to_owned()),
            (first, more) => {
                let count = usize::from(first.is_some()) + more;
                Err(ApiError::Ambiguous { count, kind, name: meant.to_owned() })
            }
        }
    }
}
