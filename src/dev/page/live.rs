//! Live: the same data over and over, as server-sent events.
//!
//! A page is sent whole when it changed; a log sends only new rows. Nothing is queued for a reader: the next frame is
//! made when the reader took the last one, so a slow one gets fewer frames, and of a log the number of rows that it
//! missed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::view::{self, Ask, Form, View};
use super::watching::{Seat, Watching};
use crate::dev::web::Refusal;

/// How often a page is looked at, and how often a log.
const PAGE: Duration = Duration::from_secs(1);
const LOG: Duration = Duration::from_millis(250);
/// How often something is sent though there is nothing new, so that a reader that is gone is noticed.
const ALIVE: Duration = Duration::from_secs(15);

type Loading<V> = Pin<Box<dyn Future<Output = Result<V, Refusal>> + Send>>;

/// A reader's place.
struct Reader<V> {
    load: Box<dyn Fn(Ask) -> Loading<V> + Send>,
    desk: Arc<Desk>,
    ask: Ask,
    form: Form,
    stop: CancellationToken,
    /// What was sent last.
    last: String,
    pace: Duration,
    is_over: bool,
    seat: Option<Seat>,
    _place: OwnedSemaphorePermit,
}

/// Sends what `load` gives until the reader leaves or the page stops.
pub(super) fn serve<V, L, F>(
    desk: Arc<Desk>,
    mut ask: Ask,
    form: Form,
    load: L,
    (headers, stop): (HeaderMap, CancellationToken),
) -> Response
where
    V: View,
    L: Fn(Arc<Desk>, Ask) -> F + Send + 'static,
    F: Future<Output = Result<V, Refusal>> + Send + 'static,
{
    let Ok(place) = Arc::clone(&desk.lives).try_acquire_owned() else {
        let error = "too many live views are open; close some";
        return view::refuse(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error), Form::Json);
    };
    // A reader that lost its connection says what it has.
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    ask.after = seen.or(ask.after);
    let of = Arc::clone(&desk);
    let reader = Reader {
        load: Box::new(move |ask| Box::pin(load(Arc::clone(&of), ask))),
        desk,
        ask,
        form,
        stop,
        last: String::new(),
        pace: Duration::ZERO,
        is_over: false,
        seat: None,
        _place: place,
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(frames).keep_alive(KeepAlive::new().interval(ALIVE)).into_response()
}

impl<V: View> Reader<V> {
    /// Waits for the next frame; `None` after the last.
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return self.end("the stack ended"),
                () = tokio::time::sleep(self.pace) => {}
            }
            match (self.load)(self.ask.clone()).await {
                Err(refusal) => return self.end(&refusal.error),
                Ok(view) => {
                    if let Some(event) = self.frame(&view) {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn end(&mut self, reason: &str) -> Option<Event> {
        self.is_over = true;
        Some(Event::default().event("end").data(view::json(&json!({ "reason": reason }))))
    }

    /// Makes a frame of what is new, if anything is.
    fn frame(&mut self, view: &V) -> Option<Event> {
        let Some(log) = view.log() else {
            self.pace = PAGE;
            let data = match self.form {
                Form::Html => view::json(&json!({ "html": view.body().into_string() })),
                Form::Json => view::json(view),
            };
            if data == self.last {
                return None;
            }
            self.last.clone_from(&data);
            return Some(Event::default().event("state").data(data));
        };
        self.pace = LOG;
        if log.wants_messages && self.seat.is_none() {
            self.seat = Some(Watching::seat(&self.desk.watching));
        }
        self.ask.after = Some(log.newest);
        if log.count == 0 && log.lost == 0 {
            return None;
        }
        let data = match self.form {
            Form::Html => view::json(&json!({ "html": log.rows.into_string(), "lost": log.lost })),
            Form::Json => view::json(view),
        };
        Some(Event::default().event("rows").id(log.newest.to_string()).data(data))
    }
}
