//! Bootstrap: a device asks for its configuration.

use rusqlite::params;
use sha2::{Digest as _, Sha256};

use super::configs::{self, Config};
use super::model::Model;
use super::wrong::{Result, Wrong};
use super::{cipher, events};
use crate::limits::{THINGS_KEY_BYTES_MAX, THINGS_STRANGERS_MAX};

const UNKNOWN: Wrong = Wrong::Missing("there is no configuration for this device and key");

/// What a device closed its key with, if it did.
#[derive(Debug, Clone, Copy)]
pub(super) enum Closed<'a> {
    /// Nothing.
    Open,
    /// AES under this key, as hexadecimal digits.
    Under(&'a [u8]),
}

impl Model {
    /// Returns the configuration of the device that knows its own key. One that nobody knows is remembered.
    pub(super) fn bootstrap(
        &self,
        external_id: &str,
        key: &str,
        closed: Closed<'_>,
    ) -> Result<Config> {
        let found = self.find_config(external_id, key, closed);
        self.say(events::bootstrapped(external_id, found.is_ok()));
        found
    }

    fn find_config(&self, external_id: &str, key: &str, closed: Closed<'_>) -> Result<Config> {
        if external_id.len() > THINGS_KEY_BYTES_MAX || key.len() > 4 * THINGS_KEY_BYTES_MAX {
            return Err(Wrong::Malformed("the identifier or the key is too long"));
        }
        let found = configs::by_external_id(&self.database(), external_id)?;
        let Some(config) = found else {
            self.remember(external_id, key)?;
            return Err(UNKNOWN);
        };
        let key = match closed {
            Closed::Open => key.as_bytes().to_vec(),
            Closed::Under(secret) => {
                let sealed = cipher::unhex(key).ok_or(UNKNOWN)?;
                cipher::open(secret, &sealed).ok_or(Wrong::Malformed("the key is too short"))?
            }
        };
        // Hashes are compared, so that the time it takes says nothing of the key.
        match Sha256::digest(&key) == Sha256::digest(&config.external_key) {
            true => Ok(config),
            false => Err(UNKNOWN),
        }
    }

    fn remember(&self, external_id: &str, key: &str) -> Result<()> {
        let database = self.database();
        let sql = "insert into strangers (external_id, external_key) values (?1, ?2)
            on conflict do nothing";
        if database.execute(sql, params![external_id, key])? > 0 {
            let kept = i64::try_from(THINGS_STRANGERS_MAX).expect("the bound is small");
            let sql = "delete from strangers where number <= ?1 - ?2";
            database.execute(sql, params![database.last_insert_rowid(), kept])?;
        }
        Ok(())
    }

    /// Lists devices that asked for a configuration and have none: their identifiers and keys.
    pub(super) fn strangers(
        &self,
        token: &str,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<(String, String)>> {
        self.identify(token)?;
        let database = self.database();
        let sql =
            "select external_id, external_key from strangers order by number limit ?1 offset ?2";
        let asked = params![
            i64::try_from(limit).unwrap_or(i64::MAX),
            i64::try_from(offset).unwrap_or(i64::MAX)
        ];
        let mut statement = database.prepare_cached(sql)?;
        let rows = statement.query_map(asked, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
