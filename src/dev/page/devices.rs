//! Devices: things, channels and configurations, without anybody's keys.

use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::frame::{Mood, Section, badge, search, table};
use super::text::{link, name, visible};
use super::view::{Ask, View};
use crate::dev::things::{ChannelView, ConfigView, End, ThingView};
use crate::dev::web::Refusal;

/// Of each kind: how many are looked at, and shown.
const LOOKED_AT_MAX: usize = 10_000;
const SHOWN_MAX: usize = 300;
/// Ends of connections that a row shows.
const ENDS_MAX: usize = 20;
/// Characters of what an owner says of a thing.
const METADATA_MAX: usize = 200;

/// What a search finds.
#[derive(Debug, Serialize)]
pub(super) struct Devices {
    search: String,
    things: Found<ThingView>,
    channels: Found<ChannelView>,
    configs: Found<ConfigView>,
}

#[derive(Debug, Serialize)]
struct Found<T> {
    /// How many the search found.
    count: usize,
    shown: Vec<T>,
}

impl<T> Found<T> {
    fn of(mut all: Vec<T>, has: impl Fn(&T) -> bool) -> Self {
        all.retain(has);
        let count = all.len();
        all.truncate(SHOWN_MAX);
        Self { count, shown: all }
    }

    fn more(&self) -> Markup {
        html! {
            @if self.count > self.shown.len() {
                p.muted { (self.count - self.shown.len()) " more; search to see them." }
            }
        }
    }
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Devices, Refusal> {
    let search = ask.text("q").to_owned();
    let wanted = search.to_lowercase();
    let things = desk.things.clone();
    let found = tokio::task::spawn_blocking(move || {
        let has = |texts: &[&str]| texts.iter().any(|text| text.to_lowercase().contains(&wanted));
        Devices {
            things: Found::of(things.things(LOOKED_AT_MAX), |thing| {
                has(&[&thing.id, &thing.name, &thing.owner])
            }),
            channels: Found::of(things.channels(LOOKED_AT_MAX), |channel| {
                has(&[&channel.id, &channel.name, &channel.owner])
            }),
            configs: Found::of(things.configs(LOOKED_AT_MAX), |config| {
                has(&[&config.thing.id, &config.thing.name, &config.external_id, &config.name])
            }),
            search,
        }
    });
    let failed = "the things cannot be read";
    found.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failed))
}

/// Links the ends of a thing's or a channel's connections to a search for them.
fn ends(ends: &[End]) -> Markup {
    html! {
        @if !ends.is_empty() {
            ul.ends { @for end in ends.iter().take(ENDS_MAX) { li { (found(&end.id, &end.name)) } } }
        }
        @if ends.len() > ENDS_MAX { span.muted { "and " (ends.len() - ENDS_MAX) " more" } }
    }
}

/// Names something as its owner does, and by its identifier where it has no name.
fn found(id: &str, named: &str) -> Markup {
    let shown = if named.is_empty() { id } else { named };
    html! { a href=(link("/things", &[("q", id)])) title=(id) { (name(shown)) } }
}

/// The same with its identifier, for a row of its own.
fn whole(id: &str, named: &str) -> Markup {
    html! {
        (found(id, named))
        @if !named.is_empty() { br; code.id { (id) } }
    }
}

fn metadata(metadata: &serde_json::Value) -> Markup {
    let text = match metadata {
        serde_json::Value::Null => String::new(),
        serde_json::Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    };
    let cut = text.char_indices().nth(METADATA_MAX).map(|(at, _)| at);
    html! {
        @if !text.is_empty() {
            code.payload { (visible(&text[..cut.unwrap_or(text.len())])) @if cut.is_some() { "…" } }
        }
    }
}

fn things(found_things: &Found<ThingView>) -> Markup {
    let rows = html! {
        @for thing in &found_things.shown {
            tr {
                th scope="row" { (whole(&thing.id, &thing.name)) }
                td { (visible(&thing.owner)) }
                td { (ends(&thing.channels)) }
                td { (metadata(&thing.metadata)) }
            }
        }
    };
    html! {
        h2 { "Things" }
        @if found_things.shown.is_empty() { p.none { "There is none. " code { "rebeam dev thing --help" } " says how to make one." } }
        @else { (table("Things", &["Thing", "Owner", "Channels", "About"], &rows)) }
        (found_things.more())
    }
}

fn channels(found_channels: &Found<ChannelView>) -> Markup {
    let rows = html! {
        @for channel in &found_channels.shown {
            tr {
                th scope="row" { (whole(&channel.id, &channel.name)) }
                td { (visible(&channel.owner)) }
                td { (ends(&channel.things)) }
                td { (metadata(&channel.metadata)) }
            }
        }
    };
    html! {
        h2 { "Channels" }
        @if found_channels.shown.is_empty() { p.none { "There is none." } }
        @else { (table("Channels", &["Channel", "Owner", "Things", "About"], &rows)) }
        (found_channels.more())
    }
}

fn configs(found_configs: &Found<ConfigView>) -> Markup {
    let rows = html! {
        @for config in &found_configs.shown {
            tr {
                th scope="row" { (whole(&config.thing.id, &config.thing.name)) }
                td { (name(&config.external_id)) }
                td { (name(&config.name)) }
                td { @if config.is_active { (badge(Mood::Good, "active")) } @else { (badge(Mood::Plain, "inactive")) } }
                td { (ends(&config.channels)) }
            }
        }
    };
    html! {
        h2 { "Configurations" }
        @if found_configs.shown.is_empty() { p.none { "There is none." } }
        @else { (table("Configurations for bootstrap", &["Thing", "Device", "Name", "State", "Channels"], &rows)) }
        (found_configs.more())
    }
}

impl View for Devices {
    const SECTION: Section = Section::Things;

    fn title(&self) -> String {
        "Things and channels".to_owned()
    }

    fn head(&self) -> Markup {
        search("/things", "q", &self.search, "Search", "identifier, name or owner")
    }

    fn body(&self) -> Markup {
        html! { (things(&self.things)) (channels(&self.channels)) (configs(&self.configs)) }
    }
}
