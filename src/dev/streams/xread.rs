//! Xread: the commands by which entries are read, alone or as one of a group, at once or once they come.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::call::{Answer, Call, timeout_ms};
use super::group::Pending;
use super::id::Id;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::{Entry, Stream};
use super::wait::{Awaited, COUNT_WHILE_WAITING, Wait};
use crate::limits::STREAMS_OUTPUT_BYTES_MAX;

/// How one of a group reads.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) group: Bytes,
    pub(super) consumer: Bytes,
    pub(super) count: usize,
    /// Nothing is noted as pending.
    pub(super) is_unacknowledged: bool,
}

/// From where a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Behind an id.
    Behind(Id),
    /// What nobody of the group has read.
    New,
}

#[derive(Default)]
struct Options {
    wait_ms: Option<u64>,
    count: usize,
    group: Option<(Bytes, Bytes)>,
    is_unacknowledged: bool,
    /// Where the keys begin, and how many there are.
    keys_at: usize,
    keys: usize,
}

impl Options {
    fn parse(call: &Call<'_>, is_group: bool) -> Result<Self, Refusal> {
        let mut options = Self { count: usize::MAX, ..Self::default() };
        let mut at = 1;
        while at < call.arguments.len() {
            let more = call.arguments.len() - at - 1;
            if call.is_option(at, "block") && more > 0 {
                at += 1;
                options.wait_ms = Some(timeout_ms(call.argument(at), 1.0)?);
            } else if call.is_option(at, "count") && more > 0 {
                at += 1;
                options.count = match usize::try_from(call.integer(at)?) {
                    Ok(0) | Err(_) => usize::MAX,
                    Ok(count) => count,
                };
            } else if call.is_option(at, "streams") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(Refusal::err(
                        "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    ));
                }
                (options.keys_at, options.keys) = (at + 1, more / 2);
                break;
            } else if call.is_option(at, "group") && more >= 2 {
                if !is_group {
                    return Err(only_groups("GROUP"));
                }
                options.group =
                    Some((call.arguments[at + 1].clone(), call.arguments[at + 2].clone()));
                at += 2;
            } else if call.is_option(at, "noack") {
                if !is_group {
                    return Err(only_groups("NOACK"));
                }
                options.is_unacknowledged = true;
            } else {
                return Err(Refusal::syntax());
            }
            at += 1;
        }
        if options.keys == 0 {
            return Err(Refusal::syntax());
        }
        if is_group && options.group.is_none() {
            return Err(Refusal::err("Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }
}

fn only_groups(option: &str) -> Refusal {
    let text =
        format!("The {option} option is only supported by XREADGROUP. You called XREAD instead.");
    Refusal::err(&text)
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
pub(super) fn xread(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, false)?;
    let mut from = Vec::new();
    for key_at in options.keys_at..options.keys_at + options.keys {
        let last_id = call.read::<Stream>(key_at)?.map_or(Id::MIN, |stream| stream.last_id);
        from.push(match call.argument(key_at + options.keys) {
            b"$" => last_id,
            b">" => {
                return Err(Refusal::err(
                    "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            text => Id::parse_strict(text, 0)?,
        });
    }
    let (mut found, mut room) = (Vec::new(), Room::default());
    for (number, after) in from.iter().enumerate() {
        let key_at = options.keys_at + number;
        if room.is_spent() {
            break;
        }
        let Some(stream) = call.read::<Stream>(key_at)? else {
            continue;
        };
        let start = after.next().filter(|_| stream.newest().is_some_and(|newest| newest > *after));
        if let Some(start) = start {
            let entries = room.fill(stream.range(start, Id::MAX).take(options.count));
            found.push((Reply::Bulk(call.arguments[key_at].clone()), entries));
        }
    }
    if !found.is_empty() {
        return Ok(Reply::Pairs(found));
    }
    let keys = &call.arguments[options.keys_at..options.keys_at + options.keys];
    let mut after = BTreeMap::new();
    for (key, id) in keys.iter().zip(from) {
        after.entry(key.clone()).or_insert(id);
    }
    let count = if options.count == usize::MAX { COUNT_WHILE_WAITING } else { options.count };
    wait(call, &options, Awaited::Entries { after, count });
    Ok(Reply::NullArray)
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`
pub(super) fn xreadgroup(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, true)?;
    let (group, consumer) = options.group.clone().expect("a missing group was refused");
    let mut reading = Reading {
        group,
        consumer,
        count: options.count,
        is_unacknowledged: options.is_unacknowledged,
    };
    let keys = options.keys_at..options.keys_at + options.keys;
    let from = keys.clone().map(|key_at| from(call, key_at, options.keys, &reading.group));
    let from: Vec<From> = from.collect::<Result<_, _>>()?;
    let (mut found, mut room) = (Vec::new(), Room::default());
    for (key_at, from) in keys.clone().zip(from) {
        if room.is_spent() {
            break;
        }
        let entries = match from {
            From::Behind(id) => read_own(call, key_at, &reading, id, &mut room)?,
            From::New => {
                let Some(stream) = call.read::<Stream>(key_at)? else {
                    continue;
                };
                let last_id = stream.groups.get(&reading.group).map(|group| group.last_id);
                if stream.newest() <= last_id {
                    continue;
                }
                read_new_within(call, key_at, &reading, &mut room)?
            }
        };
        found.push((Reply::Bulk(call.arguments[key_at].clone()), entries));
    }
    if !found.is_empty() {
        return Ok(Reply::Pairs(found));
    }
    if reading.count == usize::MAX {
        reading.count = COUNT_WHILE_WAITING;
    }
    wait(call, &options, Awaited::Group { reading });
    Ok(Reply::NullArray)
}

/// Reads from where a group's member wants to read, once its group is seen to be there.
fn from(call: &mut Call<'_>, key_at: usize, keys: usize, group: &Bytes) -> Result<From, Refusal> {
    let stream = call.read::<Stream>(key_at)?;
    if stream.is_none_or(|stream| !stream.groups.contains_key(group)) {
        return Err(Refusal::new(joined(&[
            b"NOGROUP No such key '",
            call.argument(key_at),
            b"' or consumer group '",
            group,
            b"' in XREADGROUP with GROUP option",
        ])));
    }
    match call.argument(key_at + keys) {
        b">" => Ok(From::New),
        b"$" => Err(Refusal::err(
            "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
             by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
             result set.",
        )),
        text => Ok(match Id::parse_strict(text, 0)? {
            Id::MAX => From::New,
            id => From::Behind(id),
        }),
    }
}

fn wait(call: &mut Call<'_>, options: &Options, what: Awaited) {
    let Some(wait_ms) = options.wait_ms else {
        return;
    };
    let (mut keys, mut seen) = (Vec::new(), BTreeSet::new());
    for key in &call.arguments[options.keys_at..options.keys_at + options.keys] {
        if seen.insert(key) {
            keys.push(key.clone());
        }
    }
    let until_ms = (wait_ms > 0).then(|| call.now_ms.saturating_add(wait_ms));
    call.effects.wait = Some(Wait { keys, until_ms, what });
}

/// Reads what nobody of the group has read; the group is there.
pub(super) fn read_new(call: &mut Call<'_>, key_at: usize, reading: &Reading) -> Answer {
    read_new_within(call, key_at, reading, &mut Room::default())
}

fn read_new_within(
    call: &mut Call<'_>,
    key_at: usize,
    reading: &Reading,
    room: &mut Room,
) -> Answer {
    let now_ms = call.now_ms;
    let stream = call.change::<Stream>(key_at)?.ok_or_else(Refusal::no_such_key)?;
    let mut group = stream.groups.remove(&reading.group).expect("the caller saw the group");
    group.see(&reading.consumer, now_ms);
    let start = group.last_id.next().unwrap_or(Id::MAX);
    let mut found = Vec::new();
    for entry in stream.range(start, Id::MAX).take(reading.count) {
        if room.is_spent() {
            break;
        }
        room.take(entry);
        if group.entries_read.is_some() && !stream.has_gap_after(entry.id) {
            group.entries_read = group.entries_read.map(|read| read + 1);
        } else if stream.entries_added > 0 {
            group.entries_read = stream.place_of(entry.id).map(u64::cast_signed);
        }
        group.last_id = entry.id;
        if !reading.is_unacknowledged {
            let consumer = reading.consumer.clone();
            group.give(entry.id, Pending { consumer, delivered_ms: now_ms, deliveries: 1 });
        }
        found.push(self::entry(entry));
    }
    stream.groups.insert(reading.group.clone(), group);
    let is_counted = !found.is_empty();
    done(call, key_at, reading, b">", if is_counted { found.len() } else { 1 });
    Ok(Reply::Array(found))
}

/// Reads again what this consumer has and has not acknowledged.
fn read_own(
    call: &mut Call<'_>,
    key_at: usize,
    reading: &Reading,
    after: Id,
    room: &mut Room,
) -> Answer {
    let now_ms = call.now_ms;
    let stream = call.change::<Stream>(key_at)?.ok_or_else(Refusal::no_such_key)?;
    let mut group = stream.groups.remove(&reading.group).expect("the caller saw the group");
    group.see(&reading.consumer, now_ms);
    let own = group.consumers.get(&reading.consumer).expect("it was just seen");
    let own = after.next().map(|start| own.pending.range(start..));
    let ids: Vec<Id> = own.into_iter().flatten().take(reading.count).copied().collect();
    let mut found = Vec::new();
    for id in ids {
        if room.is_spent() {
            break;
        }
        found.push(match stream.get(id) {
            Some(entry) => {
                room.take(entry);
                let pending = group.pending.get_mut(&id).expect("a consumer's are the group's");
                pending.delivered_ms = now_ms;
                pending.deliveries += 1;
                self::entry(entry)
            }
            None => Reply::Array(vec![Reply::Bulk(id.text()), Reply::NullArray]),
        });
    }
    stream.groups.insert(reading.group.clone(), group);
    // What had no room was not read again.
    let count = if room.is_spent() { found.len() } else { reading.count };
    done(call, key_at, reading, after.text().as_ref(), count);
    Ok(Reply::Array(found))
}

/// What one answer may still take: the same stream may be named any number of times.
///
/// Who reads on from what it got misses nothing, so an answer that is half of what may wait for
/// a client just ends.
struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(STREAMS_OUTPUT_BYTES_MAX / 2)
    }
}

impl Room {
    /// What an element of an answer costs beside its bytes.
    const ELEMENT_BYTES: usize = 64;

    fn is_spent(&self) -> bool {
        self.0 == 0
    }

    fn take(&mut self, entry: &Entry) {
        let fields = entry.fields.iter().map(|field| field.len() + Self::ELEMENT_BYTES);
        self.0 = self.0.saturating_sub(fields.sum::<usize>() + 2 * Self::ELEMENT_BYTES);
    }

    fn fill<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> Reply {
        let mut found = Vec::new();
        for entry in entries {
            if self.is_spent() {
                break;
            }
            self.take(entry);
            found.push(self::entry(entry));
        }
        Reply::Array(found)
    }
}

/// Notes what was read as a command of this one key.
fn done(call: &mut Call<'_>, key_at: usize, reading: &Reading, id: &[u8], count: usize) {
    let place = call.place(key_at);
    call.keys.settle(&place);
    // Nobody waits for what was read: this is the one change that serves none.
    call.effects.touched.insert(place.clone());
    let mut command: Vec<Bytes> =
        vec!["XREADGROUP".into(), "GROUP".into(), reading.group.clone(), reading.consumer.clone()];
    if count != usize::MAX {
        command.extend(["COUNT".into(), count.to_string().into()]);
    }
    if reading.is_unacknowledged {
        command.push("NOACK".into());
    }
    command.extend(["STREAMS".into(), place.1.clone(), Bytes::copy_from_slice(id)]);
    call.instead(place, command);
}

/// Lays out entries from `start` on.
pub(super) fn entries(stream: &Stream, start: Id, count: usize) -> Reply {
    Reply::Array(stream.range(start, Id::MAX).take(count).map(entry).collect())
}

/// Lays out an entry: its id, its names and values.
pub(super) fn entry(entry: &Entry) -> Reply {
    let fields = Reply::bulks(entry.fields.iter().cloned());
    Reply::Array(vec![Reply::Bulk(entry.id.text()), fields])
}

pub(super) fn joined(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}
