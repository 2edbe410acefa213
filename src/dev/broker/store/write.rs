//! Write: one transaction after the other, each with all that came in meanwhile.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::{Change, Store};
use crate::dev::broker::parcel::Parcel;

/// How long the writer waits after the disk refused.
const RETRY: Duration = Duration::from_millis(500);

type Result<T> = rusqlite::Result<T>;

/// Writes until the store is closed.
pub(super) fn run(store: &Store, mut database: Connection) {
    let shared = &store.shared;
    database.set_prepared_statement_cache_capacity(32);
    loop {
        let (batch, last) = {
            let pending = shared.pending.lock().expect("no publisher panics");
            let mut pending = shared
                .more
                .wait_while(pending, |pending| pending.changes.is_empty() && !pending.is_closed)
                .expect("no publisher panics");
            if pending.changes.is_empty() {
                return;
            }
            (std::mem::take(&mut pending.changes), pending.last)
        };
        loop {
            let trouble = write(&mut database, &batch).err().map(|error| error.to_string());
            let failed = trouble.is_some();
            *shared.trouble.lock().expect("nobody panics over a text") = trouble;
            if !failed {
                break;
            }
            if shared.pending.lock().expect("no publisher panics").is_closed {
                return;
            }
            std::thread::sleep(RETRY);
        }
        shared.committed.send_replace(last);
    }
}

/// Writes a batch in one transaction.
fn write(database: &mut Connection, batch: &[Change]) -> Result<()> {
    // What is done with in the same batch that brought it need not be written.
    let mut brought: HashSet<u64> = HashSet::new();
    let mut short_lived: HashSet<u64> = HashSet::new();
    for change in batch {
        match change {
            Change::Queued { place, .. } => drop(brought.insert(*place)),
            Change::Done { place } if brought.contains(place) => drop(short_lived.insert(*place)),
            _ => {}
        }
    }
    let transaction = database.transaction()?;
    let mut written = Vec::new();
    for change in batch {
        if let Change::Queued { place, .. }
        | Change::Sent { place, .. }
        | Change::Received { place }
        | Change::Done { place } = change
            && short_lived.contains(place)
        {
            continue;
        }
        apply(&transaction, change, &mut written)?;
    }
    transaction.commit()?;
    for parcel in written {
        parcel.set_written();
    }
    Ok(())
}

fn apply<'a>(
    transaction: &Transaction<'_>,
    change: &'a Change,
    written: &mut Vec<&'a Parcel>,
) -> Result<()> {
    match change {
        Change::Session { number, client, version, expiry_s, left_at_ms } => {
            let sql = "insert or replace into session values (?, ?, ?, ?, ?, ?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![
                key(*number),
                &*client.id,
                client.username.as_deref(),
                &*client.address,
                client.port,
                *version as u8,
                expiry_s,
                left_at_ms
            ])?;
        }
        Change::SessionGone { number } => {
            for sql in [
                "delete from session where number = ?",
                "delete from subscription where session = ?",
                "delete from unreleased where session = ?",
            ] {
                transaction.prepare_cached(sql)?.execute([key(*number)])?;
            }
        }
        Change::Queued { session, place, parcel, qos, retain, numbers } => {
            message(transaction, parcel, written)?;
            let numbers: Option<Vec<String>> =
                numbers.as_ref().map(|numbers| numbers.iter().map(u32::to_string).collect());
            let sql = "insert into queue (place, session, message, qos, retain, numbers)
                       values (?, ?, ?, ?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![
                key(*place),
                key(*session),
                key(parcel.message.id),
                qos,
                retain,
                numbers.map(|numbers| numbers.join(" "))
            ])?;
        }
        Change::Retained { parcel } => {
            message(transaction, parcel, written)?;
            let sql = "insert or replace into retained values (?, ?)";
            let row = params![&*parcel.message.topic, key(parcel.message.id)];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        Change::Will { session, parcel, delay_s, due_at_ms, identity } => {
            message(transaction, parcel, written)?;
            let sql = "insert or replace into will values (?, ?, ?, ?, ?)";
            let (session, message) = (key(*session), key(parcel.message.id));
            let row = params![session, message, delay_s, due_at_ms, identity.as_deref()];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        other => small(transaction, other)?,
    }
    Ok(())
}

/// Applies those changes that take one statement with a few numbers.
fn small(transaction: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Subscription { session, filter, options } => {
            let sql = "insert or replace into subscription values (?, ?, ?, ?, ?, ?)";
            transaction.prepare_cached(sql)?.execute(params![
                key(*session),
                &**filter,
                options.qos,
                options.no_local,
                options.retain_as_published,
                options.subscription
            ])?
        }
        Change::SubscriptionGone { session, filter } => transaction
            .prepare_cached("delete from subscription where session = ? and filter = ?")?
            .execute(params![key(*session), &**filter])?,
        Change::Sent { place, identifier } => transaction
            .prepare_cached("update queue set identifier = ? where place = ?")?
            .execute(params![identifier, key(*place)])?,
        Change::Received { place } => transaction
            .prepare_cached("update queue set is_received = 1 where place = ?")?
            .execute([key(*place)])?,
        Change::Done { place } => transaction
            .prepare_cached("delete from queue where place = ?")?
            .execute([key(*place)])?,
        Change::RetainedGone { topic } => transaction
            .prepare_cached("delete from retained where topic = ?")?
            .execute([&**topic])?,
        Change::Unreleased { session, identifier } => transaction
            .prepare_cached("insert or ignore into unreleased values (?, ?)")?
            .execute(params![key(*session), identifier])?,
        Change::Released { session, identifier } => transaction
            .prepare_cached("delete from unreleased where session = ? and identifier = ?")?
            .execute(params![key(*session), identifier])?,
        Change::WillGone { session } => transaction
            .prepare_cached("delete from will where session = ?")?
            .execute([key(*session)])?,
        Change::MessageGone { id } => {
            transaction.prepare_cached("delete from message where id = ?")?.execute([key(*id)])?
        }
        _ => 0,
    };
    Ok(())
}

/// Writes a message, once.
fn message<'a>(
    transaction: &Transaction<'_>,
    parcel: &'a Parcel,
    written: &mut Vec<&'a Parcel>,
) -> Result<()> {
    if parcel.is_written() {
        return Ok(());
    }
    written.push(parcel);
    let message = &parcel.message;
    let from = message.from.as_deref();
    let sql = "insert or ignore into message values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        key(message.id),
        &*message.topic,
        &*message.payload,
        message.qos,
        message.retain,
        &*parcel.forwarded,
        parcel.expires_at_ms,
        message.at_ms,
        from.map(|from| &*from.id),
        from.and_then(|from| from.username.as_deref()),
        from.map(|from| &*from.address),
        from.map(|from| from.port)
    ])?;
    Ok(())
}

/// Numbers begin at the time in milliseconds with twelve bits behind it: they fit for ages.
fn key(number: u64) -> i64 {
    i64::try_from(number).expect("numbers of the broker begin far below")
}
