//! Messages: what is published while somebody looks, one by one, and held against one another.

use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::diff::{Diff, diff};
use super::frame::{Section, table};
use super::text::{PREVIEW_BYTES, Shown, WHOLE_BYTES, grouped, link, name, size, stamp, time};
use super::view::{Ask, Log, View};
use super::watching::Seen;
use crate::dev::broker::filter_matches;
use crate::dev::web::Refusal;

/// Messages that are shown at once.
const SHOWN_MAX: usize = 200;
const HEADS: [&str; 5] = ["Time", "Topic", "Payload", "QoS", "From"];

/// One message.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) id: u64,
    pub(super) at: String,
    #[serde(skip)]
    at_ms: i64,
    pub(super) topic: String,
    pub(super) payload: Shown,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) client: Option<String>,
}

impl Row {
    pub(super) fn of(number: u64, seen: &Seen, limit: usize) -> Self {
        Self {
            number,
            id: seen.id,
            at: stamp(seen.at_ms),
            at_ms: seen.at_ms,
            topic: seen.topic.to_string(),
            payload: Shown::of(&seen.payload, seen.bytes, limit),
            qos: seen.qos,
            retain: seen.retain,
            dup: seen.dup,
            client: seen.client.as_deref().map(str::to_owned),
        }
    }

    pub(super) fn time(&self) -> Markup {
        html! { a href=(link("/message", &[("n", &self.number.to_string())])) { (time(self.at_ms)) } }
    }

    pub(super) fn from(&self) -> Markup {
        html! {
            @match &self.client {
                Some(client) => a href=(link("/client", &[("id", client)])) { (name(client)) },
                None => span.muted { "the stack" },
            }
        }
    }

    fn row(&self) -> Markup {
        html! {
            tr tabindex="-1" {
                td.time { (self.time()) }
                th scope="row" { a href=(link("/topic", &[("name", &self.topic)])) { (name(&self.topic)) } }
                td.wide { (self.payload.line()) }
                td.short { (self.qos) @if self.retain { " " span.tag { "kept" } } @if self.dup { " " span.tag { "again" } } }
                td { (self.from()) }
            }
        }
    }
}

/// The messages that a search finds.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    filter: String,
    search: String,
    messages: Vec<Row>,
    newest: u64,
    /// Messages that this reader missed.
    lost: u64,
    watch: Watch,
}

/// What is remembered of messages.
#[derive(Debug, Serialize)]
struct Watch {
    /// Since when, if at all.
    since: Option<String>,
    #[serde(skip)]
    since_ms: Option<i64>,
    messages: usize,
    bytes: usize,
    /// Messages that came faster than they could be remembered.
    overrun: u64,
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Messages, Refusal> {
    let watching = &desk.watching;
    watching.attend();
    let (filter, search) = (ask.text("filter"), ask.text("q"));
    let wanted = search.to_lowercase();
    let taken = watching.messages.after(ask.after.unwrap_or(0));
    let rows = taken.rows.iter().filter(|(_, seen)| {
        (filter.is_empty() || filter_matches(filter, &seen.topic)) && has(seen, &wanted)
    });
    let mut messages: Vec<Row> = rows
        .take(SHOWN_MAX + 1)
        .map(|(number, seen)| Row::of(*number, seen, PREVIEW_BYTES))
        .collect();
    let mut lost = if ask.after.is_some() { taken.lost } else { 0 };
    if messages.len() > SHOWN_MAX {
        messages.truncate(SHOWN_MAX);
        let oldest = messages.last().map_or(0, |row| row.number);
        lost += ask.after.map_or(0, |after| oldest.saturating_sub(after + 1));
    }
    let ((count, bytes), since_ms) = (watching.messages.size(), watching.since_ms());
    Ok(Messages {
        filter: filter.to_owned(),
        search: search.to_owned(),
        messages,
        newest: taken.newest,
        lost,
        watch: Watch {
            since: since_ms.map(stamp),
            since_ms,
            messages: count,
            bytes,
            overrun: watching.messages_lost(),
        },
    })
}

fn has(seen: &Seen, wanted: &str) -> bool {
    wanted.is_empty()
        || seen.topic.to_lowercase().contains(wanted)
        || seen.client.as_ref().is_some_and(|client| client.to_lowercase().contains(wanted))
        || String::from_utf8_lossy(&seen.payload).to_lowercase().contains(wanted)
}

impl Messages {
    fn rows(&self) -> Markup {
        html! { @for row in &self.messages { (row.row()) } }
    }
}

impl View for Messages {
    const SECTION: Section = Section::Messages;

    fn title(&self) -> String {
        "Messages".to_owned()
    }

    fn head(&self) -> Markup {
        html! {
            form.search method="get" action="/messages" role="search" {
                label for="search" { "Search" }
                input #search type="search" name="q" value=(self.search) placeholder="topic, payload or client"
                    autocomplete="off" spellcheck="false" maxlength="500";
                label for="filter" { "Filter" }
                input #filter name="filter" value=(self.filter) placeholder="a/+/b, a/#"
                    autocomplete="off" spellcheck="false" maxlength="1024";
                button type="submit" { "Show" }
            }
            p.muted {
                "Messages are remembered while a page of them is open, and a minute longer"
                @if let Some(since_ms) = self.watch.since_ms { "; now since " (time(since_ms)) }
                ". " (grouped(self.watch.messages as u64)) " messages, " (size(self.watch.bytes)) "."
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            @if self.watch.overrun > 0 {
                p.warning { (grouped(self.watch.overrun)) " messages came faster than they could be remembered." }
            }
            p.lost hidden {}
            p.none hidden[!self.messages.is_empty()] { "Nothing came yet that is wanted here." }
            (table("Messages, newest first", &HEADS, &self.rows()))
        }
    }

    fn log(&self) -> Option<Log> {
        Some(Log {
            rows: self.rows(),
            count: self.messages.len(),
            newest: self.newest,
            lost: self.lost,
            wants_messages: true,
        })
    }
}

/// One message, and what changed since the one before it on its topic.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    message: Row,
    previous: Option<u64>,
    next: Option<u64>,
    diff: Option<Diff>,
}

pub(super) async fn load_one(desk: Arc<Desk>, ask: Ask) -> Result<Message, Refusal> {
    desk.watching.attend();
    let number = ask.number("n")?;
    let seen = find(&desk, number)?;
    let around = desk.watching.messages.after(0).rows;
    let same = || around.iter().filter(|(_, other)| other.topic == seen.topic);
    let previous = same().find(|(other, _)| *other < number);
    let next = same().take_while(|(other, _)| *other > number).last();
    Ok(Message {
        message: Row::of(number, &seen, WHOLE_BYTES),
        previous: previous.map(|(number, _)| *number),
        next: next.map(|(number, _)| *number),
        diff: previous.map(|(_, previous)| diff(&previous.payload, &seen.payload)),
    })
}

/// Finds a message that is remembered.
fn find(desk: &Desk, number: u64) -> Result<Arc<Seen>, Refusal> {
    desk.watching.messages.get(number).ok_or_else(|| {
        let error = format!(
            "message {number} is not remembered; newer ones took its place, or nobody looked"
        );
        Refusal::new(StatusCode::NOT_FOUND, error)
    })
}

impl View for Message {
    const SECTION: Section = Section::Messages;

    fn title(&self) -> String {
        format!("Message {}", self.message.number)
    }

    fn body(&self) -> Markup {
        let row = &self.message;
        let to = |number: u64| link("/message", &[("n", &number.to_string())]);
        html! {
            dl.facts {
                div { dt { "Topic" } dd { a href=(link("/topic", &[("name", &row.topic)])) { (name(&row.topic)) } } }
                div { dt { "Time" } dd { (time(row.at_ms)) } }
                div { dt { "From" } dd { (row.from()) } }
                div { dt { "QoS" } dd { (row.qos) } }
                div { dt { "Kept" } dd { @if row.retain { "yes" } @else { "no" } } }
                div { dt { "Sent again" } dd { @if row.dup { "yes" } @else { "no" } } }
                div { dt { "Size" } dd { (size(row.payload.bytes)) } }
            }
            p {
                @if let Some(previous) = self.previous { a href=(to(previous)) rel="prev" { "← previous of this topic" } " " }
                @if let Some(next) = self.next { a href=(to(next)) rel="next" { "next of this topic →" } }
            }
            h2 { "Payload" }
            (row.payload.block())
            @if let Some(diff) = &self.diff {
                h2 { "Since the previous message of this topic" }
                (diff.html())
            }
        }
    }
}

/// Two messages held against one another.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    before: Row,
    after: Row,
    diff: Diff,
}

pub(super) async fn compare(desk: Arc<Desk>, ask: Ask) -> Result<Comparison, Refusal> {
    desk.watching.attend();
    let (one, other) = (ask.number("a")?, ask.number("b")?);
    let (one, other) = (one.min(other), one.max(other));
    let (before, after) = (find(&desk, one)?, find(&desk, other)?);
    Ok(Comparison {
        diff: diff(&before.payload, &after.payload),
        before: Row::of(one, &before, PREVIEW_BYTES),
        after: Row::of(other, &after, PREVIEW_BYTES),
    })
}

impl View for Comparison {
    const SECTION: Section = Section::Messages;

    fn title(&self) -> String {
        format!("Messages {} and {}", self.before.number, self.after.number)
    }

    fn body(&self) -> Markup {
        let rows = html! { (self.before.row()) (self.after.row()) };
        html! {
            (table("The two messages, older first", &HEADS, &rows))
            h2 { "What changed" }
            (self.diff.html())
        }
    }
}
