//! View: one set of data, and the four ways it is seen: as a page, as JSON, and both of them live.
//!
//! A page is a function that gathers data and a [`View`] of it. Which way it is seen is up to the address (`.json`)
//! and to what the asker accepts; nothing is in one way that is not in the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::frame::{self, Section};
use super::live;
use crate::dev::web::{Refusal, Stopping};

/// Data that a page shows.
pub(super) trait View: Serialize + Send + 'static {
    /// Where it stands in the navigation.
    const SECTION: Section;
    /// Whether a browser looks again and again.
    const IS_LIVE: bool = true;

    fn title(&self) -> String;

    /// What stays while the page is live: what it is about, and forms.
    fn head(&self) -> Markup {
        html! {}
    }

    /// What is shown anew while the page is live.
    fn body(&self) -> Markup;

    /// The rows that it ends in, where it is a log: only new ones are sent while it is live.
    fn log(&self) -> Option<Log> {
        None
    }
}

/// The rows of a log.
pub(super) struct Log {
    pub(super) rows: Markup,
    pub(super) count: usize,
    /// The number of the newest row, shown or not.
    pub(super) newest: u64,
    /// Rows that the reader missed.
    pub(super) lost: u64,
    /// Whether messages have to be watched for it.
    pub(super) wants_messages: bool,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    parameters: BTreeMap<String, String>,
    /// The reader of a log has all rows up to this one.
    pub(super) after: Option<u64>,
}

impl Ask {
    pub(super) fn new(parameters: BTreeMap<String, String>) -> Self {
        let after = parameters.get("after").and_then(|after| after.parse().ok());
        Self { parameters, after }
    }

    /// Returns a parameter; one that was not given is empty.
    pub(super) fn text(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", |value| value.trim())
    }

    /// Returns a parameter that means something as it stands, blanks included.
    pub(super) fn exact(&self, name: &str) -> Result<&str, Refusal> {
        let missing = || Refusal::new(StatusCode::BAD_REQUEST, format!("`?{name}=` is missing"));
        self.parameters.get(name).map(String::as_str).ok_or_else(missing)
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, Refusal> {
        let text = self.exact(name)?;
        text.parse().map_err(|_| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("`?{name}=` is not a number"))
        })
    }
}

/// How data is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
}

/// Adds a page at `path`, and its JSON at `path.json`; `/` is also called `/overview`.
pub(super) fn page<V, L, F>(router: Router<Arc<Desk>>, path: &str, load: L) -> Router<Arc<Desk>>
where
    V: View,
    L: Fn(Arc<Desk>, Ask) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<V, Refusal>> + Send + 'static,
{
    let handler = move |State(desk): State<Arc<Desk>>,
                        Extension(Stopping(stop)): Extension<Stopping>,
                        Query(parameters): Query<BTreeMap<String, String>>,
                        uri: Uri,
                        headers: HeaderMap| {
        let load = load.clone();
        async move {
            let form = form(&uri, &headers);
            let ask = Ask::new(parameters);
            if accepts(&headers, "text/event-stream") {
                return live::serve(desk, ask, form, load, (headers, stop));
            }
            match load(Arc::clone(&desk), ask).await {
                Ok(view) => show(&view, form, &uri),
                Err(refusal) => refuse(refusal, form),
            }
        }
    };
    let json = if path == "/" { "/overview.json".to_owned() } else { format!("{path}.json") };
    router.route(path, get(handler.clone())).route(&json, get(handler))
}

fn form(uri: &Uri, headers: &HeaderMap) -> Form {
    let wants_json = accepts(headers, "application/json") && !accepts(headers, "text/html");
    if wants_json || uri.path().ends_with(".json") { Form::Json } else { Form::Html }
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let all = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(','))
        .any(|part| part.split(';').next().unwrap_or("").trim() == kind)
}

fn show<V: View>(view: &V, form: Form, uri: &Uri) -> Response {
    match form {
        Form::Json => ([(CONTENT_TYPE, "application/json")], json(view)).into_response(),
        Form::Html => html_response(StatusCode::OK, frame::page(view, uri)),
    }
}

fn html_response(status: StatusCode, markup: Markup) -> Response {
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], markup.into_string()).into_response()
}

/// Writes JSON that is harmless even where it is taken for HTML.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).expect("a view has only texts, numbers and lists");
    // Within JSON these stand in strings only.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Says why not, in the asker's form.
pub(super) fn refuse(refusal: Refusal, form: Form) -> Response {
    match form {
        Form::Json => refusal.into_response(),
        Form::Html => html_response(refusal.status, frame::refused(&refusal)),
    }
}

/// Answers for every address that is none of ours.
pub(super) async fn nothing(request: Request<axum::body::Body>) -> Response {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, "there is no such page");
    refuse(refusal, form(request.uri(), request.headers()))
}
