//! Connections: which thing may use which channel.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::entries::{self, Kind};
use super::events;
use super::model::Model;
use super::wrong::{Result, Wrong};

const NOT_CONNECTED: Wrong = Wrong::Denied("the thing is not connected to the channel");
const UNKNOWN_KEY: Wrong = Wrong::Denied("no thing has this key");

impl Model {
    /// Connects a thing to a channel; it may be connected already, and is said to be connected each time.
    pub(super) fn connect(&self, token: &str, channel: &str, thing: &str) -> Result<()> {
        let owner = self.identify(token)?;
        join(&self.database(), &owner, channel, thing)?;
        self.rules_changed();
        self.say(events::joined("thing.connect", channel, thing));
        Ok(())
    }

    /// Takes a thing off a channel. A configuration that has the channel is inactive from then on.
    pub(super) fn disconnect(&self, token: &str, channel: &str, thing: &str) -> Result<()> {
        let owner = self.identify(token)?;
        {
            let mut database = self.database();
            let change = database.transaction()?;
            if !part(&change, &owner, channel, thing)? {
                return Err(Wrong::Missing("the thing is not connected to the channel"));
            }
            let sql = "update configs set state = 0 where thing = ?1 and exists
                (select 1 from config_channels where config = ?1 and channel = ?2)";
            change.execute(sql, params![thing, channel])?;
            change.commit()?;
        }
        self.rules_changed();
        self.say(events::joined("thing.disconnect", channel, thing));
        Ok(())
    }

    /// Returns the thing that has a key.
    pub(super) fn thing_of(&self, key: &str) -> Result<String> {
        let database = self.database();
        let mut statement = database.prepare_cached("select id from things where key = ?1")?;
        statement.query_row([key], |row| row.get(0)).optional()?.ok_or(UNKNOWN_KEY)
    }

    /// Returns the thing that has a key, if it may use a channel.
    pub(super) fn may_use(&self, channel: &str, key: &str) -> Result<String> {
        let database = self.database();
        let sql = "select t.id from things t join connections c on c.thing = t.id
            where t.key = ?1 and c.channel = ?2";
        let mut statement = database.prepare_cached(sql)?;
        let channel = channel.to_ascii_lowercase();
        statement
            .query_row(params![key, channel], |row| row.get(0))
            .optional()?
            .ok_or(NOT_CONNECTED)
    }

    /// Tells whether a thing may use a channel.
    pub(super) fn may_use_by_id(&self, channel: &str, thing: &str) -> Result<()> {
        let database = self.database();
        let sql = "select 1 from connections where channel = ?1 and thing = ?2";
        let mut statement = database.prepare_cached(sql)?;
        let (channel, thing) = (channel.to_ascii_lowercase(), thing.to_ascii_lowercase());
        match statement.exists(params![channel, thing])? {
            true => Ok(()),
            false => Err(NOT_CONNECTED),
        }
    }
}

/// Connects within a change that is under way.
pub(super) fn join(database: &Connection, owner: &str, channel: &str, thing: &str) -> Result<()> {
    for (kind, id) in [(Kind::Channel, channel), (Kind::Thing, thing)] {
        if entries::find(database, kind, owner, id)?.is_none() {
            return Err(Wrong::Missing("there is no such thing or channel"));
        }
    }
    let sql = "insert into connections (channel, thing) values (?1, ?2) on conflict do nothing";
    database.execute(sql, params![channel, thing])?;
    Ok(())
}

/// Takes a thing off a channel within a change that is under way; tells whether it was on it.
pub(super) fn part(database: &Connection, owner: &str, channel: &str, thing: &str) -> Result<bool> {
    let sql = "delete from connections where channel = ?1 and thing = ?2
        and exists (select 1 from channels where id = ?1 and owner = ?3)
        and exists (select 1 from things where id = ?2 and owner = ?3)";
    Ok(database.execute(sql, params![channel, thing, owner])? > 0)
}
