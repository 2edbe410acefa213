//! Elastic: the part of Elasticsearch's HTTP interface that loggers write to and dashboards read from, over the log.
//!
//! Requests are answered by functions of the request and the database (`route`); a query becomes one condition in SQL
//! (`query`, `sql`), aggregations are worked out over what it finds (`aggs`, `buckets`). What is outside of the subset
//! is refused by name, never ignored where it would change the answer.

mod aggs;
mod buckets;
mod bulk;
mod column;
mod cursor;
mod docs;
mod error;
mod find;
pub(super) mod fuzz;
mod indices;
pub(super) mod names;
mod query;
mod read;
mod request;
mod route;
mod sort;
mod source;
mod sql;
mod text;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use self::error::Error;
use self::request::{Answer, Body, Request, inflated};
use self::route::Desk;
use super::log::Log;
use super::{schema, when};
use crate::dev::DevError;

/// Requests that are worked on at once, each with a connection to the file.
const AT_ONCE: usize = 4;
/// How long one may take; SQLite is interrupted then.
const WORK_MAX: Duration = Duration::from_secs(20);
const VENDOR: &str = "application/vnd.elasticsearch+json";

/// Answers requests, a few at a time.
#[derive(Debug)]
struct Elastic {
    log: Arc<Log>,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

/// Everything that is served.
pub(super) fn router(log: Arc<Log>) -> Router {
    let elastic = Elastic { log, idle: Mutex::default(), places: Semaphore::new(AT_ONCE) };
    Router::new().fallback(serve).with_state(Arc::new(elastic))
}

async fn serve(
    State(elastic): State<Arc<Elastic>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response<HttpBody> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let is_gzip = headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let body = match body {
        Ok(body) if is_gzip => inflated(&body),
        Ok(body) => Ok(body.to_vec()),
        Err(rejection) => Err(Error::new(
            rejection.status().as_u16(),
            "content_too_long_exception",
            rejection.body_text(),
        )),
    };
    let is_pretty = target.contains("pretty");
    let answer = match body {
        Ok(body) => {
            elastic.answer(Request::new(method.as_str(), target, body, when::now_ms())).await
        }
        Err(error) => Err(error),
    };
    let answer = answer
        .unwrap_or_else(|error| Answer { status: error.status, body: Body::Json(error.body()) });
    respond(answer, accept, is_pretty && method != Method::HEAD)
}

fn respond(answer: Answer, accept: &str, is_pretty: bool) -> Response<HttpBody> {
    let (kind, body) = match answer.body {
        Body::Text(text) => ("text/plain; charset=UTF-8".to_owned(), text),
        Body::Json(value) => {
            let text = if is_pretty { format!("{value:#}\n") } else { value.to_string() };
            // A client of version 9 wants to read that it is spoken to as such.
            let kind = match accept.find(VENDOR).map(|at| &accept[at..]) {
                Some(wanted) => wanted.split(',').next().unwrap_or(VENDOR).trim().to_owned(),
                None => "application/json".to_owned(),
            };
            (kind, text)
        }
    };
    let response = Response::builder()
        .status(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("X-Elastic-Product", "Elasticsearch")
        .header(CONTENT_TYPE, kind);
    response.body(HttpBody::from(body)).expect("the accepted type came in a header")
}

impl Elastic {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Answer, Error> {
        let _place = self.places.acquire().await.expect("nobody closes it");
        let database = self.connection()?;
        let interrupt = database.get_interrupt_handle();
        let elastic = Arc::clone(self);
        let mut work = tokio::task::spawn_blocking(move || {
            let answer = Desk { log: &elastic.log, database: &database }.answer(&request);
            elastic.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(database);
            answer
        });
        let done = tokio::select! {
            done = &mut work => done,
            () = tokio::time::sleep(WORK_MAX) => {
                interrupt.interrupt();
                work.await
            }
        };
        done.unwrap_or_else(|_| {
            Err(Error::new(500, "exception", "this is a bug of rebeam; its log says more"))
        })
    }

    fn connection(&self) -> Result<Connection, DevError> {
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        idle.map_or_else(|| schema::open(self.log.path()), Ok)
    }
}
