//! Events: what happened, newest first, in the words of the event log.

use std::sync::Arc;

use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Map, Value};

use super::desk::Desk;
use super::frame::{Mood, Section, badge, table};
use super::text::{link, name, time, visible};
use super::view::{Ask, Log, View};
use crate::dev::Happening;
use crate::dev::web::Refusal;

/// Events that are shown at once.
const SHOWN_MAX: usize = 200;
/// Characters of an event's text that a row shows.
const TEXT_MAX: usize = 300;
const HEADS: [&str; 4] = ["Time", "Event", "Client", "What"];
/// Events that somebody may want alone.
const NAMES: [&str; 10] = [
    "acl_denied",
    "client_connected",
    "client_disconnected",
    "client_subscribe",
    "client_unsubscribe",
    "message_dropped",
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
    events: Vec<Row>,
    newest: u64,
    /// Events that this reader missed.
    lost: u64,
    /// Events that came faster than they could be remembered.
    overrun: u64,
}

/// One event: its number and its document.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    number: u64,
    #[serde(flatten)]
    document: Map<String, Value>,
}

impl Row {
    fn of(number: u64, happening: &Happening) -> Self {
        Self { number, document: happening.document() }
    }

    fn text(&self, field: &str) -> &str {
        self.document.get(field).and_then(Value::as_str).unwrap_or("")
    }

    /// Lays everything out that has no column of its own.
    fn rest(&self) -> String {
        let own = ["event", "timestamp", "client_id", "connected_at"];
        let rest = self
            .document
            .iter()
            .filter(|(name, value)| !own.contains(&name.as_str()) && !value.is_null());
        let word = |(name, value): (&String, &Value)| match value {
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
        let client = self.text("client_id");
        let at_ms = self.document.get("timestamp").and_then(Value::as_i64).unwrap_or(0);
        let is_bad = matches!(event, "acl_denied" | "message_dropped");
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

/// Returns the newest events of one client.
pub(super) fn of_client(desk: &Desk, client: &str, limit: usize) -> Vec<Row> {
    let all = desk.watching.events.after(0).rows;
    let of = |happening: &Happening| happening.what.client().is_some_and(|of| &*of.id == client);
    let rows = all.iter().filter(|(_, happening)| of(happening));
    rows.take(limit).map(|(number, happening)| Row::of(*number, happening)).collect()
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Events, Refusal> {
    let (search, event, client) = (ask.text("q"), ask.text("event"), ask.text("client"));
    let wanted = search.to_lowercase();
    let taken = desk.watching.events.after(ask.after.unwrap_or(0));
    let rows = taken.rows.iter().filter(|(_, happening)| {
        (event.is_empty() || happening.what.name() == event)
            && (client.is_empty() || happening.what.client().is_some_and(|of| &*of.id == client))
    });
    let rows = rows.map(|(number, happening)| Row::of(*number, happening)).filter(|row| {
        let values = || row.document.values();
        wanted.is_empty()
            || values().any(|value| value.to_string().to_lowercase().contains(&wanted))
    });
    let mut events: Vec<Row> = rows.take(SHOWN_MAX + 1).collect();
    let mut lost = if ask.after.is_some() { taken.lost } else { 0 };
    if events.len() > SHOWN_MAX {
        events.truncate(SHOWN_MAX);
        // Older ones that a reader of all would have got; how many of them it wanted is not known.
        let oldest = events.last().map_or(0, |row| row.number);
        lost += ask.after.map_or(0, |after| oldest.saturating_sub(after + 1));
    }
    Ok(Events {
        search: search.to_owned(),
        event: event.to_owned(),
        client: client.to_owned(),
        events,
        newest: taken.newest,
        lost,
        overrun: desk.watching.events_lost(),
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
                button type="submit" { "Show" }
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            @if self.overrun > 0 {
                p.warning { (self.overrun) " events came faster than they could be remembered." }
            }
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
