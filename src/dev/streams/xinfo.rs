//! Xinfo: the commands that show a stream, its groups and their consumers.

use super::call::{Answer, Call};
use super::group::{Consumer, Group};
use super::id::Id;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::Stream;
use super::xgroup::{no_group_of, subcommand_syntax};
use super::xread;

const COUNT: usize = 10;

/// `XINFO STREAM key [FULL [COUNT count]]`
pub(super) fn stream(call: &mut Call<'_>) -> Answer {
    call.read::<Stream>(2)?.ok_or_else(Refusal::no_such_key)?;
    let words = call.arguments.len();
    let is_full = words > 3;
    if !matches!(words, 3 | 4 | 6)
        || (is_full && !call.is_option(3, "full"))
        || (words == 6 && !call.is_option(4, "count"))
    {
        return Err(subcommand_syntax(call, "XINFO"));
    }
    let count = if words == 6 { call.integer(5)? } else { 10 };
    let count = match usize::try_from(count) {
        Ok(0) => usize::MAX,
        Ok(count) => count,
        Err(_) => COUNT,
    };
    let stream = call.read::<Stream>(2)?.expect("it was just seen");
    let mut rows = vec![
        ("length", Reply::Integer(stream.length.cast_signed())),
        ("radix-tree-keys", Reply::count(stream.node_count())),
        ("radix-tree-nodes", Reply::count(stream.node_count() + 1)),
        ("last-generated-id", Reply::Bulk(stream.last_id.text())),
        ("max-deleted-entry-id", Reply::Bulk(stream.max_deleted_id.text())),
        ("entries-added", Reply::Integer(stream.entries_added.cast_signed())),
        ("recorded-first-entry-id", Reply::Bulk(stream.first_id.text())),
    ];
    if is_full {
        let groups = stream.groups.iter();
        let groups = groups.map(|(name, group)| full_group(stream, name, group, count));
        rows.push(("entries", xread::entries(stream, Id::MIN, count)));
        rows.push(("groups", Reply::Array(groups.collect())));
    } else {
        let mut entries = stream.range(Id::MIN, Id::MAX);
        let first = entries.next().map_or(Reply::Null, xread::entry);
        let last = stream.range(Id::MIN, Id::MAX).next_back().map_or(Reply::Null, xread::entry);
        rows.push(("groups", Reply::count(stream.groups.len())));
        rows.push(("first-entry", first));
        rows.push(("last-entry", last));
    }
    Ok(map(rows))
}

fn map(rows: Vec<(&'static str, Reply)>) -> Reply {
    Reply::Map(rows.into_iter().map(|(name, value)| (Reply::text(name), value)).collect())
}

fn milliseconds(ms: u64) -> Reply {
    Reply::Integer(ms.cast_signed())
}

fn known(number: Option<i64>) -> Reply {
    number.map_or(Reply::Null, Reply::Integer)
}

fn full_group(stream: &Stream, name: &bytes::Bytes, group: &Group, count: usize) -> Reply {
    let pending = group.pending.iter().take(count).map(|(id, pending)| {
        Reply::Array(vec![
            Reply::Bulk(id.text()),
            Reply::Bulk(pending.consumer.clone()),
            milliseconds(pending.delivered_ms),
            Reply::Integer(pending.deliveries),
        ])
    });
    let consumers = group.consumers.iter();
    let consumers = consumers.map(|(name, consumer)| full_consumer(group, name, consumer, count));
    map(vec![
        ("name", Reply::Bulk(name.clone())),
        ("last-delivered-id", Reply::Bulk(group.last_id.text())),
        ("entries-read", known(group.entries_read)),
        ("lag", known(stream.lag(group))),
        ("pel-count", Reply::count(group.pending.len())),
        ("pending", Reply::Array(pending.collect())),
        ("consumers", Reply::Array(consumers.collect())),
    ])
}

fn full_consumer(group: &Group, name: &bytes::Bytes, consumer: &Consumer, count: usize) -> Reply {
    let pending = consumer.pending.iter().take(count).filter_map(|id| {
        let pending = group.pending.get(id)?;
        Some(Reply::Array(vec![
            Reply::Bulk(id.text()),
            milliseconds(pending.delivered_ms),
            Reply::Integer(pending.deliveries),
        ]))
    });
    map(vec![
        ("name", Reply::Bulk(name.clone())),
        ("seen-time", milliseconds(consumer.seen_ms)),
        ("pel-count", Reply::count(consumer.pending.len())),
        ("pending", Reply::Array(pending.collect())),
    ])
}

/// `XINFO GROUPS key`
pub(super) fn groups(call: &mut Call<'_>) -> Answer {
    let stream = call.read::<Stream>(2)?.ok_or_else(Refusal::no_such_key)?;
    let groups = stream.groups.iter().map(|(name, group)| {
        map(vec![
            ("name", Reply::Bulk(name.clone())),
            ("consumers", Reply::count(group.consumers.len())),
            ("pending", Reply::count(group.pending.len())),
            ("last-delivered-id", Reply::Bulk(group.last_id.text())),
            ("entries-read", known(group.entries_read)),
            ("lag", known(stream.lag(group))),
        ])
    });
    Ok(Reply::Array(groups.collect()))
}

/// `XINFO CONSUMERS key group`
pub(super) fn consumers(call: &mut Call<'_>) -> Answer {
    let (words, now_ms) = (call.arguments, call.now_ms);
    let missing = no_group_of(call, 2, 3);
    let stream = call.read::<Stream>(2)?.ok_or_else(Refusal::no_such_key)?;
    let group = stream.groups.get(&words[3]).ok_or(missing)?;
    let consumers = group.consumers.iter().map(|(name, consumer)| {
        map(vec![
            ("name", Reply::Bulk(name.clone())),
            ("pending", Reply::count(consumer.pending.len())),
            ("idle", milliseconds(now_ms.saturating_sub(consumer.seen_ms))),
        ])
    });
    Ok(Reply::Array(consumers.collect()))
}
