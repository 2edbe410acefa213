//! Journal: how keys survive: each has a list of commands that make it, and these are what lies on the disk.
//!
//! Every change appends a command that has the same result whenever it is run. Once a key's list is much longer
//! than the key is large, it is written anew from the key. Lists are independent of each other: a command that
//! changes several keys is written as one for each, or the keys are written anew.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::{BufMut as _, Bytes, BytesMut};
use rusqlite::{Connection, params};

use super::call::{Call, Effects};
use super::keyspace::{DATABASES, Keyspace, Place};
use super::password::Password;
use super::request::{Reader, Request, Trust};
use super::rewrite::{self, PENDING};
use super::table::{self, Run};
use super::xgroup;
use crate::database::{self, Step, Steps};
use crate::dev::DevError;

pub(super) const STEPS: Steps = &[Step {
    up: "create table key (number integer primary key, place integer not null, name blob not null);
         create table change (key integer not null, place integer not null, at_ms integer not null, \
         command blob not null, primary key (key, place)) without rowid;
         create table setting (name text primary key, value text not null);",
    down: "drop table key; drop table change; drop table setting;",
}];

/// A list may be this much longer than its key is large, and twice the key beside.
const SLACK_BYTES: usize = 64 << 10;

/// What lies on the disk of one key.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    number: i64,
    next: i64,
    bytes: usize,
}

/// What is to be written of one key.
#[derive(Debug, Default)]
struct Change {
    /// What lies there is of no use any more.
    is_fresh: bool,
    /// The whole key is to be written, not the commands.
    is_whole: bool,
    commands: Vec<(u64, Bytes)>,
}

/// The keys' commands on the disk.
pub(super) struct Journal {
    database: Connection,
    kept: BTreeMap<Place, Kept>,
    next_number: i64,
    changes: BTreeMap<Place, Change>,
    password: Option<Option<String>>,
}

impl Journal {
    /// Opens the file, and makes the keys anew from what lies in it.
    pub(super) fn open(path: &Path) -> Result<(Self, Keyspace, Option<Password>), DevError> {
        let refused = |error: rusqlite::Error| DevError::of_database(path, error);
        let connection =
            database::open(path, STEPS).map_err(|error| DevError::of_database(path, error))?;
        let mut journal = Self {
            database: connection,
            kept: BTreeMap::new(),
            next_number: 0,
            changes: BTreeMap::new(),
            password: None,
        };
        let keys = journal.load().map_err(refused)?;
        let password = journal.load_password().map_err(refused)?;
        Ok((journal, keys, password))
    }

    fn load_password(&self) -> Result<Option<Password>, rusqlite::Error> {
        let sql = "select value from setting where name = 'password'";
        let mut statement = self.database.prepare(sql)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let text: String = row.get(0)?;
        // An unreadable hash must not open the door.
        Ok(Some(Password::from_text(&text).unwrap_or_else(|| Password::new(text.as_bytes()))))
    }

    fn load(&mut self) -> Result<Keyspace, rusqlite::Error> {
        let mut keys = Keyspace::default();
        let mut places = BTreeMap::new();
        let mut statement = self.database.prepare("select number, place, name from key")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, database, name): (i64, i64, Vec<u8>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            self.next_number = self.next_number.max(number + 1);
            let database = usize::try_from(database).unwrap_or(DATABASES);
            if database < DATABASES {
                places.insert(number, (database, Bytes::from(name)));
            }
        }
        let sql = "select key, place, at_ms, command from change order by key, place";
        let mut statement = self.database.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, next, at_ms, command): (i64, i64, i64, Vec<u8>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let Some(place) = places.get(&number) else {
                continue;
            };
            let kept = self.kept.entry(place.clone()).or_insert(Kept { number, ..Kept::default() });
            kept.next = next + 1;
            kept.bytes += command.len();
            if let Some(request) = unpacked(&command) {
                replay(&mut keys, place.0, at_ms.unsigned_abs(), &request);
            }
        }
        Ok(keys)
    }

    /// Notes what a command did; `own` is the command, if it is of one key alone.
    pub(super) fn note(
        &mut self,
        effects: Effects,
        now_ms: u64,
        own: Option<&Request>,
        keys: &Keyspace,
    ) {
        if effects.touched.is_empty() {
            return;
        }
        let mut instead: BTreeMap<Place, Vec<Vec<Bytes>>> = BTreeMap::new();
        let has_instead = effects.instead.is_some();
        for (place, command) in effects.instead.unwrap_or_default() {
            instead.entry(place).or_default().push(command);
        }
        for place in effects.touched {
            if keys.get(place.0, &place.1).is_none() {
                self.gone(place);
                continue;
            }
            match (instead.remove(&place), own) {
                (Some(commands), _) => {
                    for command in commands {
                        self.append(&place, now_ms, &command);
                    }
                }
                (None, Some(command)) if !has_instead => self.append(&place, now_ms, command),
                (None, _) => self.rewrite(place),
            }
        }
    }

    fn append(&mut self, place: &Place, now_ms: u64, command: &[Bytes]) {
        let change = self.changes.entry(place.clone()).or_default();
        if change.is_whole {
            return;
        }
        if command[0].eq_ignore_ascii_case(b"set") {
            // It needs nothing of what was there before.
            change.is_fresh = true;
            change.commands.clear();
        }
        change.commands.push((now_ms, packed(command)));
    }

    /// Notes that a key is to be written as it is.
    pub(super) fn rewrite(&mut self, place: Place) {
        let change = Change { is_fresh: true, is_whole: true, commands: Vec::new() };
        self.changes.insert(place, change);
    }

    /// Notes that a key is no more.
    pub(super) fn gone(&mut self, place: Place) {
        let change = Change { is_fresh: true, ..Change::default() };
        self.changes.insert(place, change);
    }

    pub(super) fn set_password(&mut self, password: Option<&Password>) {
        self.password = Some(password.map(Password::to_text));
    }

    /// Writes all that was noted in one transaction; after an error it is all noted still.
    pub(super) fn commit(&mut self, keys: &Keyspace, now_ms: u64) -> Result<(), rusqlite::Error> {
        if self.changes.is_empty() && self.password.is_none() {
            return Ok(());
        }
        let transaction = self.database.transaction()?;
        let mut done = Vec::new();
        let mut next_number = self.next_number;
        for (place, change) in &self.changes {
            let kept = self.kept.get(place).copied();
            let is_there = keys.get(place.0, &place.1).is_some();
            if !is_there {
                if let Some(kept) = kept {
                    forget(&transaction, kept.number)?;
                    let sql = "delete from key where number = ?1";
                    transaction.prepare_cached(sql)?.execute([kept.number])?;
                }
                done.push((place.clone(), None));
                continue;
            }
            let mut kept = match kept {
                Some(kept) => kept,
                None => {
                    let number = next_number;
                    next_number += 1;
                    let sql = "insert into key (number, place, name) values (?1, ?2, ?3)";
                    let place = params![
                        number,
                        i64::try_from(place.0).expect("there are few databases"),
                        &place.1[..]
                    ];
                    transaction.prepare_cached(sql)?.execute(place)?;
                    Kept { number, ..Kept::default() }
                }
            };
            write(&transaction, &mut kept, (place, change), (keys, now_ms))?;
            done.push((place.clone(), Some(kept)));
        }
        match &self.password {
            Some(Some(text)) => {
                let sql = "insert or replace into setting (name, value) values ('password', ?1)";
                transaction.execute(sql, [text])?;
            }
            Some(None) => {
                transaction.execute("delete from setting where name = 'password'", [])?;
            }
            None => {}
        }
        transaction.commit()?;
        for (place, kept) in done {
            match kept {
                Some(kept) => drop(self.kept.insert(place, kept)),
                None => drop(self.kept.remove(&place)),
            }
        }
        self.next_number = next_number;
        self.password = None;
        self.changes.clear();
        Ok(())
    }
}

/// Writes one key's change.
fn write(
    database: &Connection,
    kept: &mut Kept,
    (place, change): (&Place, &Change),
    (keys, now_ms): (&Keyspace, u64),
) -> Result<(), rusqlite::Error> {
    let new_bytes: usize = change.commands.iter().map(|(_, command)| command.len()).sum();
    let old_bytes = if change.is_fresh { 0 } else { kept.bytes };
    let held = keys.get(place.0, &place.1).expect("the caller saw it");
    let is_long = old_bytes + new_bytes > 2 * held.weight() + SLACK_BYTES;
    if change.is_fresh || is_long {
        forget(database, kept.number)?;
        *kept = Kept { number: kept.number, ..Kept::default() };
    }
    if change.is_whole || is_long {
        for (at_ms, command) in rewrite::commands(&place.1, held, now_ms) {
            insert(database, kept, at_ms, &packed(&command))?;
        }
        return Ok(());
    }
    change.commands.iter().try_for_each(|(at_ms, command)| insert(database, kept, *at_ms, command))
}

fn insert(
    database: &Connection,
    kept: &mut Kept,
    at_ms: u64,
    command: &[u8],
) -> Result<(), rusqlite::Error> {
    let sql = "insert into change (key, place, at_ms, command) values (?1, ?2, ?3, ?4)";
    let row = params![kept.number, kept.next, at_ms.cast_signed(), command];
    database.prepare_cached(sql)?.execute(row)?;
    kept.next += 1;
    kept.bytes += command.len();
    Ok(())
}

fn forget(database: &Connection, number: i64) -> Result<(), rusqlite::Error> {
    database.prepare_cached("delete from change where key = ?1")?.execute([number])?;
    Ok(())
}

/// Runs a command again.
fn replay(keys: &mut Keyspace, database: usize, now_ms: u64, request: &Request) {
    let run = if request[0] == PENDING {
        xgroup::put_pending
    } else {
        let mut found = table::find(table::COMMANDS, &request[0]);
        if let Some(command) = found
            && let Run::Within(inner) = command.run
        {
            found = request.get(1).and_then(|name| table::find(inner, name));
        }
        match found.map(|command| (command, command.run)) {
            Some((command, Run::Keys(run))) if command.takes(request.len()) => run,
            _ => return,
        }
    };
    let effects = Effects::default();
    let mut call = Call { keys, database, now_ms, arguments: request, luck: 0, effects };
    let _ = run(&mut call);
}

fn packed(command: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(format!("*{}\r\n", command.len()).as_bytes());
    for word in command {
        out.put_slice(format!("${}\r\n", word.len()).as_bytes());
        out.put_slice(word);
        out.put_slice(b"\r\n");
    }
    out.freeze()
}

fn unpacked(command: &[u8]) -> Option<Request> {
    let mut input = BytesMut::from(command);
    Reader::default().next(&mut input, Trust::Known).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_leads_back_to_the_one_before() {
        database::assert_steps_lead_back(STEPS);
    }
}
