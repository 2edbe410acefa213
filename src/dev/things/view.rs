//! View: what a page shows of things, without anybody's keys.

use std::sync::Arc;

use serde::Serialize;

use super::configs;
use super::entries::{self, Kind};
use super::model::Model;
use super::wrong::Result;

const CHANNELS_OF_THING: &str = "select e.id, e.name from channels e
    join connections c on c.channel = e.id where c.thing = ?1 order by e.name, e.id";
const THINGS_OF_CHANNEL: &str = "select e.id, e.name from things e
    join connections c on c.thing = e.id where c.channel = ?1 order by e.name, e.id";

/// A way to look at the things of a stack; cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    pub(super) model: Arc<Model>,
    decide: bool,
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct End {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThingView {
    /// Its identifier.
    pub id: String,
    /// Who made it.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// What else its owner says of it.
    pub metadata: serde_json::Value,
    /// The channels that it may use.
    pub channels: Vec<End>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelView {
    /// Its identifier.
    pub id: String,
    /// Who made it.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// What else its owner says of it.
    pub metadata: serde_json::Value,
    /// The things that may use it.
    pub things: Vec<End>,
}

/// A configuration for bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigView {
    /// Its thing.
    pub thing: End,
    /// The device's identifier.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// Whether the thing is connected to the channels.
    pub is_active: bool,
    /// Its channels.
    pub channels: Vec<End>,
}

impl View {
    pub(super) fn new(model: Arc<Model>, decide: bool) -> Self {
        Self { model, decide }
    }

    /// Tells whether things decide who may connect, publish and subscribe.
    pub fn decide(&self) -> bool {
        self.decide
    }

    /// Returns why messages are not kept now, if they are not.
    pub fn trouble(&self) -> Option<String> {
        self.model.trouble()
    }

    /// Looks at up to `limit` things of all owners, by name.
    pub fn things(&self, limit: usize) -> Vec<ThingView> {
        things(&self.model, limit).unwrap_or_default()
    }

    /// Looks at up to `limit` channels of all owners, by name.
    pub fn channels(&self, limit: usize) -> Vec<ChannelView> {
        channels(&self.model, limit).unwrap_or_default()
    }

    /// Looks at up to `limit` configurations of all owners, by name.
    pub fn configs(&self, limit: usize) -> Vec<ConfigView> {
        found_configs(&self.model, limit).unwrap_or_default()
    }
}

fn found_configs(model: &Model, limit: usize) -> Result<Vec<ConfigView>> {
    let database = model.database();
    let end = |entry: entries::Entry| End { id: entry.id, name: entry.name };
    let view = |config: configs::Config| {
        let named = joined(&database, "select id, name from things where id = ?1", &config.thing)?;
        let nameless = || End { id: config.thing.clone(), name: String::new() };
        Ok(ConfigView {
            thing: named.into_iter().next().unwrap_or_else(nameless),
            external_id: config.external_id,
            name: config.name,
            is_active: config.state == 1,
            channels: config.channels.into_iter().map(end).collect(),
        })
    };
    configs::all(&database, limit)?.into_iter().map(view).collect()
}

fn things(model: &Model, limit: usize) -> Result<Vec<ThingView>> {
    let database = model.database();
    let view = |entry: entries::Entry| {
        let channels = joined(&database, CHANNELS_OF_THING, &entry.id)?;
        let entries::Entry { id, owner, name, metadata, .. } = entry;
        Ok(ThingView { id, owner, name, metadata: metadata.into(), channels })
    };
    entries::all(&database, Kind::Thing, limit)?.into_iter().map(view).collect()
}

fn channels(model: &Model, limit: usize) -> Result<Vec<ChannelView>> {
    let database = model.database();
    let view = |entry: entries::Entry| {
        let things = joined(&database, THINGS_OF_CHANNEL, &entry.id)?;
        let entries::Entry { id, owner, name, metadata, .. } = entry;
        Ok(ChannelView { id, owner, name, metadata: metadata.into(), things })
    };
    entries::all(&database, Kind::Channel, limit)?.into_iter().map(view).collect()
}

fn joined(database: &rusqlite::Connection, sql: &str, id: &str) -> Result<Vec<End>> {
    let mut statement = database.prepare_cached(sql)?;
    let rows = statement.query_map([id], |row| Ok(End { id: row.get(0)?, name: row.get(1)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
