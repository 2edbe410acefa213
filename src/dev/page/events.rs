//! Events: what the event log has, newest first, searched by its own index.

use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Map, Value};

use super::desk::Desk;
use super::frame::{Mood, Section, badge, table};
use super::text::{grouped, link, name, time, visible};
use super::view::{Ask, Log, View};
use crate::dev::DevError;
use crate::dev::events::{Line, Reader, Wish};
use crate::dev::web::Refusal;

/// Events that are shown at once.
const SHOWN_MAX: usize = 200;
/// Characters of an event's text that a row shows.
const TEXT_MAX: usize = 300;
const HEADS: [&str; 4] = ["Time", "Event", "Client", "What"];
/// Events that a live view looks at in one go, and from which backlog on it skips.
const AT_ONCE: usize = 1_000;
const BACKLOG_MAX: u64 = 10_000;
/// Events that somebody may want alone.
const NAMES: [&str; 13] = [
    "acl_denied",
    "client_connected",
    "client_disconnected",
    "client_subscribe",
    "client_unsubscribe",
    "message_acked",
    "message_delivered",
    "message_dropped",
    "message_published",
    "session_created",
    "session_subscribed",
    "session_terminated",
    "session_unsubscribed",
];

/// The events that a search finds.
#[derive(Debug, Serialize)]
pub(super) struct Events {
    search: String,
    event: String,
    client: String,
    topic: String,
    events: Vec<Row>,
    newest: u64,
    /// Events that this reader missed.
    lost: u64,
    /// Where the next older ones begin, if there are any.
    older: Option<u64>,
    /// Entries of the whole log.
    entries: i64,
}

/// One event: its number and its document.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    number: u64,
    #[serde(flatten)]
    document: Map<String, Value>,
}

impl Row {
    fn of(line: Line) -> Self {
        Self { number: u64::try_from(line.id).unwrap_or(0), document: line.document }
    }

    fn text(&self, field: &str) -> &str {
        self.document.get(field).and_then(Value::as_str).unwrap_or("")
    }

    /// Names the client that it is about, or that sent the message that it is about.
    fn client(&self) -> &str {
        let from = self.document.get("from").and_then(|from| from.get("client_id")?.as_str());
        Some(self.text("client_id")).filter(|client| !client.is_empty()).or(from).unwrap_or("")
    }

    /// Lays everything out that has no column of its own: what a person looks for first.
    fn rest(&self) -> String {
        let own = ["event", "timestamp", "client_id", "connected_at", "msg_timestamp", "from"];
        let user =
            self.document.get("from").and_then(|from| Some(("username", from.get("username")?)));
        let (first, later): (Vec<_>, Vec<_>) = self
            .document
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .chain(user)
            .filter(|(name, value)| !own.contains(name) && !value.is_null())
            .partition(|(name, _)| matches!(*name, "topic" | "payload"));
        let rest = first.into_iter().rev().chain(later);
        let word = |(name, value): (&str, &Value)| match value {
            Value::String(text) => format!("{name}={text}"),
            // The one object that is in nearly every event reads better as an address.
            Value::Object(peer) if name == "peername" => {
                let address = peer.get("address").and_then(Value::as_str).unwrap_or("");
                format!("{name}={address}:{}", peer.get("port").unwrap_or(&Value::Null))
            }
            other => format!("{name}={other}"),
        };
        let text = rest.map(word).collect::<Vec<_>>().join("  ");
        match text.char_indices().nth(TEXT_MAX) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    fn row(&self) -> Markup {
        let event = self.text("event");
        let client = self.client();
        let at_ms = self.document.get("timestamp").and_then(Value::as_i64).unwrap_or(0);
        let is_bad = matches!(event, "acl_denied" | "message_dropped" | "events_left_out");
        html! {
            tr tabindex="-1" {
                td.time { (time(at_ms)) }
                td.short { @if is_bad { (badge(Mood::Bad, event)) } @else { (visible(event)) } }
                td { @if !client.is_empty() { a href=(link("/client", &[("id", client)])) { (name(client)) } } }
                td { code.payload { (visible(&self.rest())) } }
            }
        }
    }
}

/// Lays events out as a table.
pub(super) fn list(rows: &[Row]) -> Markup {
    html! {
        @if rows.is_empty() { p.none { "Nothing is remembered." } }
        @else { (table("Events, newest first", &HEADS, &html! { @for row in rows { (row.row()) } })) }
    }
}

/// Asks the log, beside the threads that serve.
async fn ask_log<T: Send + 'static>(
    desk: &Desk,
    ask: impl FnOnce(&Reader) -> Result<T, DevError> + Send + 'static,
) -> Result<T, Refusal> {
    let log = Arc::clone(&desk.log);
    let answer = tokio::task::spawn_blocking(move || ask(&log)).await;
    let failed = |error: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error);
    match answer {
        Ok(answer) => answer.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("the event log cannot be read".to_owned())),
    }
}

/// Returns the newest events of one client.
pub(super) async fn of_client(
    desk: &Desk,
    client: &str,
    limit: usize,
) -> Result<Vec<Row>, Refusal> {
    let wish = Wish { client: Some(client.to_owned()), limit, ..Wish::default() };
    let lines = ask_log(desk, move |log| log.search(&wish)).await?;
    Ok(lines.into_iter().map(Row::of).collect())
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Events, Refusal> {
    let given = |name: &str| Some(ask.text(name).to_owned()).filter(|text| !text.is_empty());
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let newest = ask_log(&desk, Reader::newest).await?;
    let newest = u64::try_from(newest).unwrap_or(0);
    let (mut after, mut lost) = (ask.after, 0);
    if let Some(place) = after.filter(|place| newest.saturating_sub(*place) > BACKLOG_MAX) {
        after = Some(newest - AT_ONCE as u64);
        lost = newest - AT_ONCE as u64 - place;
    }
    let before = ask.number("before").ok();
    let wish = Wish {
        text: given("q"),
        kind: given("event"),
        client: given("client"),
        topic: given("topic"),
        before: before.map(number),
        after: after.map(number),
        limit: if after.is_some() { AT_ONCE } else { SHOWN_MAX + 1 },
        ..Wish::default()
    };
    let found = match after {
        // Nothing came: the log is not searched for that.
        Some(after) if after >= newest => Ok(Vec::new()),
        _ => ask_log(&desk, move |log| log.search(&wish)).await,
    }?;
    let entries = ask_log(&desk, Reader::totals).await?.rows;
    let is_full = found.len() == AT_ONCE;
    let mut events: Vec<Row> = found.into_iter().map(Row::of).collect();
    if after.is_some() {
        events.reverse();
        lost += events.len().saturating_sub(SHOWN_MAX) as u64;
    }
    // What came while it was looked may be among them; the next look goes on behind the last one.
    let last = events.first().map_or(newest, |row| row.number);
    let newest = if is_full { last } else { newest.max(last) };
    let has_older = after.is_none() && events.len() > SHOWN_MAX;
    events.truncate(SHOWN_MAX);
    Ok(Events {
        search: ask.text("q").to_owned(),
        event: ask.text("event").to_owned(),
        client: ask.text("client").to_owned(),
        topic: ask.text("topic").to_owned(),
        older: events.last().filter(|_| has_older).map(|row| row.number),
        events,
        newest,
        lost,
        entries,
    })
}

impl Events {
    fn rows(&self) -> Markup {
        html! { @for row in &self.events { (row.row()) } }
    }
}

impl View for Events {
    const SECTION: Section = Section::Events;

    fn title(&self) -> String {
        "Events".to_owned()
    }

    fn head(&self) -> Markup {
        html! {
            form.search method="get" action="/events" role="search" {
                label for="search" { "Search" }
                input #search type="search" name="q" value=(self.search) placeholder="any text"
                    autocomplete="off" spellcheck="false" maxlength="500";
                label for="event" { "Event" }
                select #event name="event" {
                    option value="" { "all" }
                    @for name in NAMES { option value=(name) selected[name == self.event] { (name) } }
                }
                label for="client" { "Client" }
                input #client name="client" value=(self.client) autocomplete="off" spellcheck="false" maxlength="1024";
                label for="topic" { "Topic" }
                input #topic name="topic" value=(self.topic) placeholder="a/#" autocomplete="off" spellcheck="false" maxlength="1024";
                button type="submit" { "Show" }
            }
            p.muted {
                "The log has " (grouped(self.entries.unsigned_abs())) " entries. "
                @if let Some(older) = self.older {
                    a href=(link("/events", &[
                        ("q", &self.search), ("event", &self.event), ("client", &self.client),
                        ("topic", &self.topic), ("before", &older.to_string()),
                    ])) { "Older ones" }
                }
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            p.lost hidden {}
            p.none hidden[!self.events.is_empty()] { "Nothing to see yet." }
            (table("Events, newest first", &HEADS, &self.rows()))
        }
    }

    fn log(&self) -> Option<Log> {
        Some(Log {
            rows: self.rows(),
            count: self.events.len(),
            newest: self.newest,
            lost: self.lost,
            wants_messages: false,
        })
    }
}
