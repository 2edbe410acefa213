//! View: what a page shows of things, without anybody's keys.

use std::sync::Arc;

use serde::Serialize;

use super::configs;
use super::entries::{self, Kind};
use super::model::Model;
use super::wrong::Result;

/// A way to look at the things of a stack; cheap to clone.
#[derive(Debug, Clone)]
pub struct View {
    pub(super) model: Arc<Model>,
    decide: bool,
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
    pub channels: Vec<String>,
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
    pub things: Vec<String>,
}

/// A configuration for bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigView {
    /// Its thing.
    pub thing: String,
    /// The device's identifier.
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// Whether the thing is connected to the channels.
    pub is_active: bool,
    /// Its channels.
    pub channels: Vec<String>,
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
        let found = configs::all(&self.model.database(), limit).unwrap_or_default();
        let view = |config: configs::Config| ConfigView {
            thing: config.thing,
            external_id: config.external_id,
            name: config.name,
            is_active: config.state == 1,
            channels: config.channels.into_iter().map(|channel| channel.id).collect(),
        };
        found.into_iter().map(view).collect()
    }
}

fn things(model: &Model, limit: usize) -> Result<Vec<ThingView>> {
    let database = model.database();
    let view = |entry: entries::Entry| {
        let channels =
            joined(&database, "select channel from connections where thing = ?1", &entry.id)?;
        let entries::Entry { id, owner, name, metadata, .. } = entry;
        Ok(ThingView { id, owner, name, metadata: metadata.into(), channels })
    };
    entries::all(&database, Kind::Thing, limit)?.into_iter().map(view).collect()
}

fn channels(model: &Model, limit: usize) -> Result<Vec<ChannelView>> {
    let database = model.database();
    let view = |entry: entries::Entry| {
        let things =
            joined(&database, "select thing from connections where channel = ?1", &entry.id)?;
        let entries::Entry { id, owner, name, metadata, .. } = entry;
        Ok(ChannelView { id, owner, name, metadata: metadata.into(), things })
    };
    entries::all(&database, Kind::Channel, limit)?.into_iter().map(view).collect()
}

fn joined(database: &rusqlite::Connection, sql: &str, id: &str) -> Result<Vec<String>> {
    let mut statement = database.prepare_cached(sql)?;
    let rows = statement.query_map([id], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
