//! Configs: what a device gets that knows nothing but its own identifier and key.
//!
//! A configuration names its thing and its channels; what a device is given of them (the key, names, metadata) is read
//! from where it is kept. Mainflux copied all that, and had to hear of every change in events: a renamed channel
//! brought its service down, and a changed key never arrived.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::connections::{join, part};
use super::entries::{self, Entry, Kind, Metadata, Page};
use super::events::{self, Created};
use super::model::{self, Model};
use super::wrong::{Result, Wrong};
use crate::dev::What;
use crate::limits::{
    THINGS_CHANNELS_MAX, THINGS_CONTENT_BYTES_MAX, THINGS_KEY_BYTES_MAX, THINGS_MAX,
    THINGS_NAME_BYTES_MAX,
};

const MISSING: Wrong = Wrong::Missing("there is no such configuration");
const NO_CHANNEL: Wrong = Wrong::Malformed("there is no such channel");
const COLUMNS: &str = "c.thing, c.owner, t.key, c.external_id, c.external_key, c.name, c.content,
    c.client_cert, c.client_key, c.ca_cert, c.state from configs c join things t on t.id = c.thing";

/// A configuration, with the names and metadata of its channels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Config {
    pub(super) thing: String,
    pub(super) owner: String,
    pub(super) key: String,
    pub(super) external_id: String,
    pub(super) external_key: String,
    pub(super) name: String,
    pub(super) content: String,
    pub(super) client_cert: String,
    pub(super) client_key: String,
    pub(super) ca_cert: String,
    /// 0 is inactive, 1 is active: the thing is connected to the channels.
    pub(super) state: i64,
    pub(super) channels: Vec<Entry>,
}

/// Which configurations are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) state: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) thing: Option<String>,
    pub(super) key: Option<String>,
    /// A part of the name, whatever the case.
    pub(super) name: Option<String>,
}

impl Model {
    /// Adds a configuration, for a thing of its own where `config.thing` is empty; returns the thing.
    pub(super) fn add_config(
        &self,
        token: &str,
        mut config: Config,
        channels: &[String],
    ) -> Result<String> {
        config.owner = self.identify(token)?;
        check(&config, channels)?;
        let mut said = Vec::new();
        {
            let mut database = self.database();
            let change = database.transaction()?;
            model::room(&change, "configs", THINGS_MAX)?;
            for channel in channels {
                let found = entries::find(&change, Kind::Channel, &config.owner, channel)?;
                found.ok_or(NO_CHANNEL)?;
            }
            if config.thing.is_empty() {
                model::room(&change, "things", THINGS_MAX)?;
                config.thing = own_thing(&change, &config.owner)?;
                said.push(events::created("thing.create", &config.thing, &config.owner, "", None));
            } else {
                let found = entries::find(&change, Kind::Thing, &config.owner, &config.thing)?;
                found.ok_or(Wrong::Missing("there is no such thing"))?;
            }
            insert(&change, &config)?;
            set_channels(&change, &config.thing, channels)?;
            let sql = "delete from strangers where external_id = ?1 and external_key = ?2";
            change.execute(sql, params![config.external_id, config.external_key])?;
            change.commit()?;
        }
        said.push(events::config_created(Created {
            thing: &config.thing,
            owner: &config.owner,
            name: &config.name,
            channels,
            external_id: &config.external_id,
            content: &config.content,
        }));
        said.into_iter().for_each(|what| self.say(what));
        Ok(config.thing)
    }

    /// Returns a configuration.
    pub(super) fn config(&self, token: &str, thing: &str) -> Result<Config> {
        let owner = self.identify(token)?;
        owned(&self.database(), &owner, thing)
    }

    /// Lists configurations without their channels, in the order of their things.
    pub(super) fn configs(
        &self,
        token: &str,
        filter: &Filter,
        offset: u64,
        limit: u64,
    ) -> Result<Page<Config>> {
        let owner = self.identify(token)?;
        let condition = "c.owner = ?1
            and (?2 is null or cast(c.state as text) = ?2)
            and (?3 is null or c.external_id = ?3)
            and (?4 is null or c.thing = ?4)
            and (?5 is null or t.key = ?5)
            and (?6 is null or instr(lower(c.name), ?6) > 0)";
        let name = filter.name.as_ref().map(|name| name.to_lowercase());
        let Filter { state, external_id, thing, key, .. } = filter;
        let database = self.database();
        let sql = format!(
            "select count(*) from configs c join things t on t.id = c.thing where {condition}"
        );
        let asked = params![owner, state, external_id, thing, key, name];
        let total: i64 = database.query_row(&sql, asked, |row| row.get(0))?;
        let sql = format!("select {COLUMNS} where {condition} order by c.thing limit ?7 offset ?8");
        let (most, from) = (i64::try_from(limit).ok(), i64::try_from(offset).unwrap_or(i64::MAX));
        let asked = params![owner, state, external_id, thing, key, name, most, from];
        let mut statement = database.prepare_cached(&sql)?;
        let items = statement.query_map(asked, config)?.collect::<rusqlite::Result<_>>()?;
        Ok(Page { total: total.unsigned_abs(), offset, limit, items })
    }

    /// Gives a configuration another name and content.
    pub(super) fn update_config(
        &self,
        token: &str,
        thing: &str,
        name: &str,
        content: &str,
    ) -> Result<()> {
        let owner = self.identify(token)?;
        let texts = Config { name: name.into(), content: content.into(), ..Config::default() };
        check(&texts, &[])?;
        let sql = "update configs set name = ?1, content = ?2 where thing = ?3 and owner = ?4";
        if self.database().execute(sql, params![name, content, thing, owner])? == 0 {
            return Err(MISSING);
        }
        self.say(events::config_updated(thing, name, content));
        Ok(())
    }

    /// Gives a configuration other certificates: the client's, its key, and the authority's.
    pub(super) fn update_certificates(
        &self,
        token: &str,
        thing: &str,
        [client_cert, client_key, ca_cert]: [&str; 3],
    ) -> Result<()> {
        let owner = self.identify(token)?;
        let texts = Config {
            client_cert: client_cert.into(),
            client_key: client_key.into(),
            ca_cert: ca_cert.into(),
            ..Config::default()
        };
        check(&texts, &[])?;
        let sql = "update configs set client_cert = ?1, client_key = ?2, ca_cert = ?3
            where thing = ?4 and owner = ?5";
        let asked = params![client_cert, client_key, ca_cert, thing, owner];
        match self.database().execute(sql, asked)? {
            0 => Err(MISSING),
            _ => Ok(()),
        }
    }

    /// Gives a configuration other channels; of an active one the thing changes channels, too.
    pub(super) fn update_connections(
        &self,
        token: &str,
        thing: &str,
        channels: &[String],
    ) -> Result<()> {
        let owner = self.identify(token)?;
        let mut said = Vec::new();
        {
            let mut database = self.database();
            let change = database.transaction()?;
            let config = owned(&change, &owner, thing)?;
            check(&config, channels)?;
            for channel in channels {
                let found = entries::find(&change, Kind::Channel, &owner, channel)?;
                found.ok_or(NO_CHANNEL)?;
            }
            let had = |id: &String| config.channels.iter().any(|channel| channel.id == *id);
            if config.state == 1 {
                let gone = config.channels.iter().filter(|had| !channels.contains(&had.id));
                let gone: Vec<&str> = gone.map(|channel| &*channel.id).collect();
                disconnect_all(&change, &owner, thing, &gone, &mut said)?;
                let new = channels.iter().filter(|id| !had(id));
                connect_all(&change, &owner, thing, new.map(String::as_str), &mut said)?;
            }
            set_channels(&change, thing, channels)?;
            change.commit()?;
        }
        self.rules_changed();
        said.push(events::connections_updated(thing, channels));
        said.into_iter().for_each(|what| self.say(what));
        Ok(())
    }

    /// Connects the thing to the configuration's channels, or takes it off them.
    pub(super) fn change_state(&self, token: &str, thing: &str, state: i64) -> Result<()> {
        let owner = self.identify(token)?;
        let mut said = Vec::new();
        {
            let mut database = self.database();
            let change = database.transaction()?;
            let config = owned(&change, &owner, thing)?;
            let ids: Vec<&str> = config.channels.iter().map(|channel| &*channel.id).collect();
            match (config.state == state, state) {
                (true, _) => {}
                (false, 1) => connect_all(&change, &owner, thing, ids.into_iter(), &mut said)?,
                (false, _) => disconnect_all(&change, &owner, thing, &ids, &mut said)?,
            }
            change
                .execute("update configs set state = ?1 where thing = ?2", params![state, thing])?;
            change.commit()?;
        }
        self.rules_changed();
        said.push(events::state_changed(thing, state));
        said.into_iter().for_each(|what| self.say(what));
        Ok(())
    }

    /// Removes a configuration; its thing stays.
    pub(super) fn remove_config(&self, token: &str, thing: &str) -> Result<()> {
        let owner = self.identify(token)?;
        let sql = "delete from configs where thing = ?1 and owner = ?2";
        self.database().execute(sql, params![thing, owner])?;
        self.say(events::config_removed(thing));
        Ok(())
    }
}

/// The first configurations of all owners, for people to look at.
pub(super) fn all(database: &Connection, limit: usize) -> Result<Vec<Config>> {
    let sql = format!("select {COLUMNS} order by c.name, c.thing limit ?1");
    let mut statement = database.prepare_cached(&sql)?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], config)?;
    let mut configs = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    for config in &mut configs {
        config.channels = channels_of(database, &config.thing)?;
    }
    Ok(configs)
}

/// Finds the configuration of a device.
pub(super) fn by_external_id(database: &Connection, external_id: &str) -> Result<Option<Config>> {
    one(database, "c.external_id = ?1", &[external_id])
}

fn owned(database: &Connection, owner: &str, thing: &str) -> Result<Config> {
    one(database, "c.thing = ?1 and c.owner = ?2", &[thing, owner])?.ok_or(MISSING)
}

fn one(database: &Connection, condition: &str, asked: &[&str]) -> Result<Option<Config>> {
    let sql = format!("select {COLUMNS} where {condition}");
    let mut statement = database.prepare_cached(&sql)?;
    let asked = rusqlite::params_from_iter(asked);
    let Some(mut found) = statement.query_row(asked, config).optional()? else { return Ok(None) };
    found.channels = channels_of(database, &found.thing)?;
    Ok(Some(found))
}

fn config(row: &Row<'_>) -> rusqlite::Result<Config> {
    Ok(Config {
        thing: row.get(0)?,
        owner: row.get(1)?,
        key: row.get(2)?,
        external_id: row.get(3)?,
        external_key: row.get(4)?,
        name: row.get(5)?,
        content: row.get(6)?,
        client_cert: row.get(7)?,
        client_key: row.get(8)?,
        ca_cert: row.get(9)?,
        state: row.get(10)?,
        channels: Vec::new(),
    })
}

fn channels_of(database: &Connection, thing: &str) -> Result<Vec<Entry>> {
    let sql = "select e.id, e.owner, e.name, e.metadata from channels e
        join config_channels c on c.channel = e.id where c.config = ?1 order by c.place";
    let mut statement = database.prepare_cached(sql)?;
    let rows = statement.query_map([thing], |row| {
        Ok(Entry {
            id: row.get(0)?,
            owner: row.get(1)?,
            name: row.get(2)?,
            key: None,
            metadata: super::users::object(&row.get::<_, String>(3)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn own_thing(change: &Transaction<'_>, owner: &str) -> Result<String> {
    let id = uuid::Uuid::new_v4().to_string();
    let key = uuid::Uuid::new_v4().to_string();
    let metadata = serde_json::Value::from(Metadata::new()).to_string();
    let sql = "insert into things (id, owner, key, name, metadata) values (?1, ?2, ?3, '', ?4)";
    change.execute(sql, params![id, owner, key, metadata])?;
    Ok(id)
}

fn insert(change: &Transaction<'_>, config: &Config) -> Result<()> {
    let sql = "insert into configs (thing, owner, external_id, external_key, name, content,
            client_cert, client_key, ca_cert, state)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0) on conflict do nothing";
    let values = params![
        config.thing,
        config.owner,
        config.external_id,
        config.external_key,
        config.name,
        config.content,
        config.client_cert,
        config.client_key,
        config.ca_cert
    ];
    match change.execute(sql, values)? {
        0 => Err(Wrong::Exists("this device or thing has a configuration already")),
        _ => Ok(()),
    }
}

fn set_channels(change: &Transaction<'_>, thing: &str, channels: &[String]) -> Result<()> {
    change.execute("delete from config_channels where config = ?1", [thing])?;
    let sql = "insert into config_channels (config, place, channel) values (?1, ?2, ?3)
        on conflict do nothing";
    for (place, channel) in channels.iter().enumerate() {
        let place = i64::try_from(place).expect("the number of channels is bounded");
        change.execute(sql, params![thing, place, channel])?;
    }
    Ok(())
}

fn connect_all<'a>(
    change: &Transaction<'_>,
    owner: &str,
    thing: &str,
    channels: impl Iterator<Item = &'a str>,
    said: &mut Vec<What>,
) -> Result<()> {
    for channel in channels {
        join(change, owner, channel, thing)?;
        said.push(events::joined("thing.connect", channel, thing));
    }
    Ok(())
}

fn disconnect_all(
    change: &Transaction<'_>,
    owner: &str,
    thing: &str,
    channels: &[&str],
    said: &mut Vec<What>,
) -> Result<()> {
    for channel in channels {
        if part(change, owner, channel, thing)? {
            said.push(events::joined("thing.disconnect", channel, thing));
        }
    }
    Ok(())
}

fn check(config: &Config, channels: &[String]) -> Result<()> {
    let texts = [&config.content, &config.client_cert, &config.client_key, &config.ca_cert];
    let keys = [&config.external_id, &config.external_key];
    let fits = config.name.len() <= THINGS_NAME_BYTES_MAX
        && texts.iter().all(|text| text.len() <= THINGS_CONTENT_BYTES_MAX)
        && keys.iter().all(|text| text.len() <= THINGS_KEY_BYTES_MAX)
        && channels.len() <= THINGS_CHANNELS_MAX;
    match fits {
        true => Ok(()),
        false => Err(Wrong::Malformed("a text of the configuration is too long")),
    }
}
