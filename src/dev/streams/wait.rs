//! Wait: what a client waits for, and how it is served once a key may have it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::call::{Answer, Call};
use super::group::Group;
use super::id::Id;
use super::keyspace::{Place, Row, Side, Value};
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::Stream;
use super::xread::{self, Reading};

/// What a client waits for.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) keys: Vec<Bytes>,
    /// When it gives up, in milliseconds since 1970.
    pub(super) until_ms: Option<u64>,
    pub(super) what: Awaited,
}

/// What it waits for under its keys.
#[derive(Debug, Clone)]
pub(super) enum Awaited {
    /// Entries behind an id, for each key.
    Entries { after: BTreeMap<Bytes, Id>, count: usize },
    /// Entries that nobody of a group has read.
    Group { reading: Reading },
    /// An item of a list.
    Item { side: Side },
    /// An item of a list, to be put into another.
    Move { from: Side, to: Side, target: Bytes },
}

/// Waiting readers get no more than this at once if they did not say how much.
pub(super) const COUNT_WHILE_WAITING: usize = 1000;

impl Wait {
    /// What is answered when the time is up.
    pub(super) fn in_vain(&self) -> Reply {
        match self.what {
            Awaited::Move { .. } => Reply::Null,
            _ => Reply::NullArray,
        }
    }
}

/// Serves a client that waits for a key, which is the call's first argument; `None`: it has to wait on.
pub(super) fn serve(call: &mut Call<'_>, awaited: &Awaited) -> Option<Answer> {
    let key = call.arguments[0].clone();
    match awaited {
        Awaited::Entries { after, count } => {
            let stream = call.read::<Stream>(0).ok().flatten()?;
            let after = *after.get(&key)?;
            (stream.last_id > after).then(|| {
                let entries = xread::entries(stream, after.next()?, *count);
                Some(Ok(Reply::Pairs(vec![(Reply::Bulk(key), entries)])))
            })?
        }
        Awaited::Group { reading } => serve_group(call, key, reading),
        Awaited::Item { side } => {
            let item = call.change::<Row>(0).ok().flatten()?.pop(*side)?;
            call.touch(0);
            let name = if *side == Side::Left { "LPOP" } else { "RPOP" };
            call.instead(call.place(0), vec![name.into(), key.clone()]);
            Some(Ok(Reply::bulks([key, item])))
        }
        Awaited::Move { from, to, target } => {
            call.read::<Row>(0).ok().flatten()?;
            Some(serve_move(call, (*from, *to), target))
        }
    }
}

fn serve_group(call: &mut Call<'_>, key: Bytes, reading: &Reading) -> Option<Answer> {
    let gone = Refusal::new("UNBLOCKED the stream key no longer exists");
    let Some(value) = call.value(0) else {
        return Some(Err(gone));
    };
    let Value::Stream(stream) = value else {
        return Some(Err(gone));
    };
    let group: Option<&Group> = stream.groups.get(&reading.group);
    let Some(group) = group else {
        let text = "NOGROUP the consumer group this client was blocked on no longer exists";
        return Some(Err(Refusal::new(text)));
    };
    if stream.last_id <= group.last_id {
        return None;
    }
    let entries = xread::read_new(call, 0, reading);
    Some(entries.map(|entries| Reply::Pairs(vec![(Reply::Bulk(key), entries)])))
}

fn serve_move(call: &mut Call<'_>, sides: (Side, Side), target: &Bytes) -> Answer {
    let words = [call.arguments[0].clone(), target.clone()];
    let mut inner = Call {
        keys: &mut *call.keys,
        database: call.database,
        now_ms: call.now_ms,
        arguments: &words,
        luck: call.luck,
        effects: super::call::Effects::default(),
    };
    let answer = super::lists::transfer(&mut inner, (0, 1), sides);
    let effects = inner.effects;
    let places: Vec<Place> = effects.touched.into_iter().collect();
    places.into_iter().for_each(|place| call.note(place));
    // Two keys change: both are written down as they are.
    call.effects.instead = None;
    answer
}
