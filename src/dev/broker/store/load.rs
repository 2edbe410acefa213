//! Load: what was kept when the broker last ended, however it ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row};

use super::Store;
use crate::dev::broker::budget::Budget;
use crate::dev::broker::codec::Version;
use crate::dev::broker::parcel::{Entry, Parcel};
use crate::dev::broker::session::{Options, Session};
use crate::dev::broker::tree::filter_bytes;
use crate::dev::happening::{Client, Message};

type Result<T> = rusqlite::Result<T>;

/// What was kept.
#[derive(Debug, Default)]
pub(in crate::dev::broker) struct Loaded {
    pub(in crate::dev::broker) sessions: Vec<Arc<Session>>,
    pub(in crate::dev::broker) retained: Vec<Arc<Parcel>>,
    pub(in crate::dev::broker) wills: Vec<KeptWill>,
}

/// A will that was not withdrawn before the broker ended.
#[derive(Debug)]
pub(in crate::dev::broker) struct KeptWill {
    pub(in crate::dev::broker) session: u64,
    pub(in crate::dev::broker) parcel: Arc<Parcel>,
    pub(in crate::dev::broker) delay_s: u32,
    /// Zero where its client was connected to the end.
    pub(in crate::dev::broker) due_at_ms: i64,
    /// What the access knew its client by.
    pub(in crate::dev::broker) identity: Option<Arc<str>>,
}

/// Reads all that is kept, and forgets messages that nobody waits for.
pub(in crate::dev::broker) fn load(
    database: &Connection,
    store: &Store,
    (budget, filters): (&Arc<Budget>, &Arc<Budget>),
) -> Result<Loaded> {
    database.execute_batch(
        "delete from queue where session not in (select number from session);
         delete from message where id not in (select message from queue)
             and id not in (select message from retained) and id not in (select message from will);",
    )?;
    let parcels = parcels(database, store, budget)?;
    let mut sessions = sessions(database, (budget, filters))?;
    subscriptions(database, &mut sessions)?;
    queues(database, &mut sessions, &parcels)?;
    let mut statement = database.prepare("select session, identifier from unreleased")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u16>(1)?)))?;
    for row in rows {
        let (session, identifier) = row?;
        if let Some(session) = sessions.get(&session) {
            session.lock().unreleased.insert(identifier);
        }
    }
    let mut statement = database.prepare("select message from retained order by topic")?;
    let kept: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let retained = kept.iter().filter_map(|id| parcels.get(id).cloned()).collect();
    let wills = wills(database, &parcels)?;
    Ok(Loaded { sessions: sessions.into_values().collect(), retained, wills })
}

fn wills(database: &Connection, parcels: &BTreeMap<i64, Arc<Parcel>>) -> Result<Vec<KeptWill>> {
    let mut statement = database.prepare(
        "select session, delay_s, due_at_ms, message, identity from will order by session",
    )?;
    let (mut rows, mut wills) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let Some(parcel) = parcels.get(&row.get(3)?) else { continue };
        let (session, delay_s, due_at_ms) = (number(row, 0)?, row.get(1)?, row.get(2)?);
        let identity = row.get::<_, Option<String>>(4)?.map(Into::into);
        wills.push(KeptWill { session, parcel: Arc::clone(parcel), delay_s, due_at_ms, identity });
    }
    Ok(wills)
}

fn parcels(
    database: &Connection,
    store: &Store,
    budget: &Arc<Budget>,
) -> Result<BTreeMap<i64, Arc<Parcel>>> {
    let mut statement = database.prepare("select * from message")?;
    let rows = statement.query_map([], |row| {
        let (message, forwarded, expires_at_ms) = message(row)?;
        let store = Some(store.clone());
        let parcel = Parcel::new(message, forwarded, expires_at_ms, budget, store);
        parcel.set_written();
        Ok((row.get(0)?, Arc::new(parcel)))
    })?;
    rows.collect()
}

fn message(row: &Row<'_>) -> Result<(Message, Bytes, Option<i64>)> {
    let from: Option<String> = row.get(8)?;
    let from = match from {
        Some(id) => Some(Arc::new(client(id, row, 9)?)),
        None => None,
    };
    let message = Message {
        id: number(row, 0)?,
        topic: text(row, 1)?,
        payload: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        qos: row.get(3)?,
        retain: row.get(4)?,
        dup: false,
        from,
        at_ms: row.get(7)?,
    };
    Ok((message, Bytes::from(row.get::<_, Vec<u8>>(5)?), row.get(6)?))
}

/// Reads a client whose name, address and port stand from column `first` on.
fn client(id: String, row: &Row<'_>, first: usize) -> Result<Client> {
    let username: Option<String> = row.get(first)?;
    let (address, port) = (text(row, first + 1)?, row.get(first + 2)?);
    Ok(Client { id: id.into(), username: username.map(Into::into), address, port })
}

fn sessions(
    database: &Connection,
    budgets: (&Arc<Budget>, &Arc<Budget>),
) -> Result<BTreeMap<i64, Arc<Session>>> {
    let mut statement = database.prepare("select * from session")?;
    let rows = statement.query_map([], |row| {
        let version = match row.get(5)? {
            3 => Version::V31,
            4 => Version::V311,
            _ => Version::V5,
        };
        let client = Arc::new(client(row.get(1)?, row, 2)?);
        let session = Session::new(number(row, 0)?, client, version, budgets);
        let mut state = session.lock();
        state.expiry_s = row.get(6)?;
        state.left_at_ms = row.get(7)?;
        drop(state);
        Ok((row.get(0)?, Arc::new(session)))
    })?;
    rows.collect()
}

fn subscriptions(database: &Connection, sessions: &mut BTreeMap<i64, Arc<Session>>) -> Result<()> {
    let mut statement = database.prepare("select * from subscription")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let options = Options {
            qos: row.get(2)?,
            no_local: row.get(3)?,
            retain_as_published: row.get(4)?,
            subscription: row.get(5)?,
        };
        if let Some(session) = sessions.get(&row.get(0)?) {
            let filter = text(row, 1)?;
            let mut state = session.lock();
            let bytes = state.filters.bytes() + filter_bytes(&filter);
            state.filters.resize(bytes);
            state.subscriptions.insert(filter, options);
        }
    }
    Ok(())
}

fn queues(
    database: &Connection,
    sessions: &mut BTreeMap<i64, Arc<Session>>,
    parcels: &BTreeMap<i64, Arc<Parcel>>,
) -> Result<()> {
    let mut statement = database.prepare(
        "select session, message, qos, retain, numbers, identifier, is_received, place from queue order by place",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (session, parcel) = (sessions.get(&row.get(0)?), parcels.get(&row.get(1)?));
        let (Some(session), Some(parcel)) = (session, parcel) else { continue };
        let numbers: Option<String> = row.get(4)?;
        let numbers = numbers.map(|text| {
            text.split(' ').filter_map(|number| number.parse().ok()).collect::<Arc<[u32]>>()
        });
        let entry = Entry {
            parcel: Arc::clone(parcel),
            subscriptions: numbers,
            place: number(row, 7)?,
            qos: row.get(2)?,
            retain: row.get(3)?,
            is_backlog: false,
        };
        match row.get(5)? {
            Some(identifier) => session.lock().reopen(identifier, entry, row.get(6)?),
            None => session.lock().restore(entry),
        }
    }
    Ok(())
}

fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn text(row: &Row<'_>, column: usize) -> Result<Arc<str>> {
    Ok(row.get::<_, String>(column)?.into())
}
