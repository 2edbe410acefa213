//! Streams: the keys of the Redis protocol's server, streams with their newest entries, groups and consumers.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::frame::{Section, table};
use super::text::{PREVIEW_BYTES, Shown, grouped, hex, link, lossless, name, size, span, time};
use super::view::{Ask, View};
use super::watching::now_ms;
use crate::dev::streams::{GroupView, KeyView, StreamView};
use crate::dev::web::Refusal;

/// Keys that are shown; of a stream, entries and groups.
const KEYS_MAX: usize = 500;
const ENTRIES_MAX: usize = 100;

/// All keys.
#[derive(Debug, Serialize)]
pub(super) struct Streams {
    clients: usize,
    commands: u64,
    bytes: usize,
    keys_count: usize,
    trouble: Option<String>,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    database: usize,
    key: String,
    /// The key as hexadecimal digits, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    kind: &'static str,
    bytes: usize,
    /// Seconds that are left to it.
    ends_s: Option<u64>,
    length: Option<u64>,
    groups: usize,
}

fn gone() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the streams do not answer")
}

pub(super) async fn load(desk: Arc<Desk>, _: Ask) -> Result<Streams, Refusal> {
    let view = desk.streams.server(KEYS_MAX).await.ok_or_else(gone)?;
    Ok(Streams {
        clients: view.clients,
        commands: view.commands,
        bytes: view.bytes,
        keys_count: view.keys_count,
        trouble: view.trouble,
        keys: view.keys.iter().map(Key::of).collect(),
    })
}

impl Key {
    fn of(view: &KeyView) -> Self {
        let is_text = std::str::from_utf8(&view.key).is_ok();
        let now_ms = u64::try_from(now_ms()).unwrap_or(0);
        Self {
            database: view.database,
            key: lossless(&view.key),
            hex: (!is_text).then(|| hex(&view.key).replace(' ', "")),
            kind: view.kind,
            bytes: view.bytes,
            ends_s: view.expires_ms.map(|end| end.saturating_sub(now_ms) / 1000),
            length: view.length,
            groups: view.groups,
        }
    }

    fn address(&self) -> String {
        let database = self.database.to_string();
        match &self.hex {
            Some(hex) => link("/stream", &[("db", &database), ("hex", hex)]),
            None => link("/stream", &[("db", &database), ("key", &self.key)]),
        }
    }

    fn row(&self) -> Markup {
        html! {
            tr {
                th scope="row" {
                    @if self.length.is_some() { a href=(self.address()) { (name(&self.key)) } }
                    @else { (name(&self.key)) }
                }
                td { (self.kind) }
                td.number { (self.database) }
                td.number { @if let Some(length) = self.length { (grouped(length)) } }
                td.number { @if self.length.is_some() { (self.groups) } }
                td.number { (size(self.bytes)) }
                td { @if let Some(ends_s) = self.ends_s { "in " (span(ends_s)) } }
            }
        }
    }
}

impl View for Streams {
    const SECTION: Section = Section::Streams;

    fn title(&self) -> String {
        "Streams".to_owned()
    }

    fn body(&self) -> Markup {
        let heads = ["Key", "Kind", "Database", "Entries", "Groups", "Size", "Ends"];
        let rows = html! { @for key in &self.keys { (key.row()) } };
        html! {
            p.muted {
                (grouped(self.keys_count as u64)) " keys, " (size(self.bytes)) ", "
                (self.clients) " clients, " (grouped(self.commands)) " commands"
            }
            @if let Some(trouble) = &self.trouble { p.warning { "Nothing can be written to the disk: " (trouble) } }
            @if self.keys.is_empty() { p.none { "There are no keys yet." } }
            @else { (table("Keys, streams first", &heads, &rows)) }
            @if self.keys_count > self.keys.len() {
                p.muted { (self.keys_count - self.keys.len()) " more." }
            }
        }
    }
}

/// One stream.
#[derive(Debug, Serialize)]
pub(super) struct Stream {
    database: usize,
    key: String,
    length: u64,
    added: u64,
    last_id: String,
    groups: Vec<Group>,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    last_id: String,
    pending: usize,
    lag: Option<i64>,
    consumers: Vec<Consumer>,
}

#[derive(Debug, Serialize)]
struct Consumer {
    name: String,
    pending: usize,
    idle_ms: u64,
}

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    fields: Vec<(String, Shown)>,
}

pub(super) async fn load_one(desk: Arc<Desk>, ask: Ask) -> Result<Stream, Refusal> {
    let database = usize::try_from(ask.number("db")?).unwrap_or(usize::MAX);
    let key = match ask.exact("hex") {
        Ok(hex) => unhex(hex)
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "`?hex=` is not hexadecimal"))?,
        Err(_) => Bytes::copy_from_slice(ask.exact("key")?.as_bytes()),
    };
    let view = desk.streams.stream(database, key.clone(), ENTRIES_MAX).await;
    let view = view.ok_or_else(|| {
        let error = format!("there is no stream `{}` in database {database}", lossless(&key));
        Refusal::new(StatusCode::NOT_FOUND, error)
    })?;
    Ok(Stream::of(database, &key, &view))
}

fn unhex(text: &str) -> Option<Bytes> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

impl Stream {
    fn of(database: usize, key: &[u8], view: &StreamView) -> Self {
        let shown = |bytes: &Bytes| Shown::of(bytes, bytes.len(), PREVIEW_BYTES);
        let entry = |(id, fields): &(Bytes, Vec<Bytes>)| Entry {
            id: lossless(id),
            fields: fields
                .chunks_exact(2)
                .map(|pair| (lossless(&pair[0]), shown(&pair[1])))
                .collect(),
        };
        Self {
            database,
            key: lossless(key),
            length: view.length,
            added: view.added,
            last_id: lossless(&view.last_id),
            groups: view.groups.iter().map(Group::of).collect(),
            entries: view.entries.iter().map(entry).collect(),
        }
    }
}

impl Group {
    fn of(view: &GroupView) -> Self {
        let consumers = view.consumers.iter().map(|consumer| Consumer {
            name: lossless(&consumer.name),
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
        });
        Self {
            name: lossless(&view.name),
            last_id: lossless(&view.last_id),
            pending: view.pending,
            lag: view.lag,
            consumers: consumers.collect(),
        }
    }

    fn html(&self) -> Markup {
        let rows = html! {
            @for consumer in &self.consumers {
                tr {
                    th scope="row" { (name(&consumer.name)) }
                    td.number { (grouped(consumer.pending as u64)) }
                    td { (span(consumer.idle_ms / 1000)) " ago" }
                }
            }
        };
        html! {
            h3 { "Group " (name(&self.name)) }
            p.muted {
                (grouped(self.pending as u64)) " taken and not acknowledged, "
                @match self.lag { Some(lag) => { (grouped(u64::try_from(lag).unwrap_or(0))) " still to be read" }, None => "an unknown number still to be read" }
                ", last " code { (self.last_id) }
            }
            @if self.consumers.is_empty() { p.none { "It has no consumer." } }
            @else { (table("Consumers", &["Consumer", "Taken", "Seen"], &rows)) }
        }
    }
}

impl Entry {
    fn row(&self) -> Markup {
        // The first half of an id is a time, unless somebody chose it by hand.
        let at_ms = self.id.split('-').next().and_then(|ms| ms.parse::<i64>().ok());
        let at_ms = at_ms.filter(|ms| (1_000_000_000_000..10_000_000_000_000).contains(ms));
        html! {
            tr tabindex="-1" {
                th.time scope="row" { code { (self.id) } @if let Some(at_ms) = at_ms { " " (time(at_ms)) } }
                td.wide {
                    dl.fields {
                        @for (field, value) in &self.fields {
                            div { dt { (name(field)) } dd { (value.line()) } }
                        }
                    }
                }
            }
        }
    }
}

impl View for Stream {
    const SECTION: Section = Section::Streams;

    fn title(&self) -> String {
        "Stream".to_owned()
    }

    fn head(&self) -> Markup {
        html! { p.subject { (name(&self.key)) } }
    }

    fn body(&self) -> Markup {
        let rows = html! { @for entry in &self.entries { (entry.row()) } };
        html! {
            p.muted {
                (grouped(self.length)) " entries of " (grouped(self.added)) " that were added, last "
                code { (self.last_id) } ", database " (self.database)
            }
            h2 { "Groups" }
            @if self.groups.is_empty() { p.none { "No group reads it." } }
            @for group in &self.groups { (group.html()) }
            h2 { "Entries" }
            @if self.entries.is_empty() { p.none { "It is empty." } }
            @else { (table("Entries, newest first", &["Id", "Fields"], &rows)) }
            @if self.length > self.entries.len() as u64 { p.muted { "These are the newest " (self.entries.len()) "." } }
        }
    }
}
