//! Xgroup: the commands that make and end groups, and those by which consumers acknowledge and take over.

use bytes::Bytes;

use super::call::{Answer, Call};
use super::group::{Group, Pending};
use super::id::Id;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::Stream;
use super::xread::{entry, joined};

/// Words that no such group of a stream is there.
pub(super) fn no_group(call: &Call<'_>, key_at: usize, group_at: usize) -> Refusal {
    Refusal::new(joined(&[
        b"NOGROUP No such key '",
        call.argument(key_at),
        b"' or consumer group '",
        call.argument(group_at),
        b"'",
    ]))
}

/// Words that a stream has no such group.
pub(super) fn no_group_of(call: &Call<'_>, key_at: usize, group_at: usize) -> Refusal {
    Refusal::new(joined(&[
        b"NOGROUP No such consumer group '",
        call.argument(group_at),
        b"' for key name '",
        call.argument(key_at),
        b"'",
    ]))
}

struct Options {
    makes_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    fn parse(call: &Call<'_>, subcommand: &str) -> Result<Self, Refusal> {
        let mut options = Self { makes_stream: false, entries_read: None };
        let mut at = 5;
        while at < call.arguments.len() {
            if subcommand == "create" && call.is_option(at, "mkstream") {
                options.makes_stream = true;
                at += 1;
            } else if call.is_option_with_value(at, "entriesread") {
                let read = call.integer(at + 1)?;
                if read < -1 {
                    return Err(Refusal::err("value for ENTRIESREAD must be positive or -1"));
                }
                options.entries_read = (read >= 0).then_some(read);
                at += 2;
            } else {
                return Err(subcommand_syntax(call, "XGROUP"));
            }
        }
        Ok(options)
    }
}

/// Words that a subcommand's arguments are not understood.
pub(super) fn subcommand_syntax(call: &Call<'_>, command: &str) -> Refusal {
    let shown = &call.argument(1)[..call.argument(1).len().min(128)];
    Refusal::new(joined(&[
        b"ERR unknown subcommand or wrong number of arguments for '",
        shown,
        b"'. Try ",
        command.as_bytes(),
        b" HELP.",
    ]))
}

fn no_key() -> Refusal {
    Refusal::err(
        "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    )
}

/// Takes the stream and the group that a subcommand is about.
fn group<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Group, Refusal> {
    let missing = no_group_of(call, 2, 3);
    let words = call.arguments;
    let stream = call.change::<Stream>(2)?.ok_or_else(no_key)?;
    stream.groups.get_mut(&words[3]).ok_or(missing)
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]`
pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, "create")?;
    let words = call.arguments;
    let last_id = call.read::<Stream>(2)?.map(|stream| stream.last_id);
    if last_id.is_none() && !options.makes_stream {
        return Err(no_key());
    }
    if words.len() > 8 {
        return Err(subcommand_syntax(call, "XGROUP"));
    }
    let id = match call.argument(4) {
        b"$" => last_id.unwrap_or(Id::MIN),
        text => Id::parse_strict(text, 0)?,
    };
    let stream = call.change_or_make::<Stream>(2)?;
    if stream.groups.contains_key(&words[3]) {
        return Err(Refusal::new("BUSYGROUP Consumer Group name already exists"));
    }
    stream.groups.insert(words[3].clone(), Group::new(id, options.entries_read));
    call.touch(2);
    Ok(Reply::OK)
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD entries-read]`
pub(super) fn set_id(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, "setid")?;
    let last_id = call.read::<Stream>(2)?.ok_or_else(no_key)?.last_id;
    group(call)?;
    let id = match call.argument(4) {
        b"$" => last_id,
        text => Id::parse(text, 0)?,
    };
    let group = group(call)?;
    group.last_id = id;
    group.entries_read = options.entries_read;
    call.touch(2);
    Ok(Reply::OK)
}

/// `XGROUP DESTROY key group`
pub(super) fn destroy(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let stream = call.change::<Stream>(2)?.ok_or_else(no_key)?;
    let was_there = stream.groups.remove(&words[3]).is_some();
    if was_there {
        call.touch(2);
    }
    Ok(Reply::flag(was_there))
}

/// `XGROUP CREATECONSUMER key group consumer`
pub(super) fn create_consumer(call: &mut Call<'_>) -> Answer {
    let (words, now_ms) = (call.arguments, call.now_ms);
    let group = group(call)?;
    let is_new = !group.consumers.contains_key(&words[4]) && group.see(&words[4], now_ms);
    if is_new {
        call.touch(2);
    }
    Ok(Reply::flag(is_new))
}

/// `XGROUP DELCONSUMER key group consumer`
pub(super) fn remove_consumer(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let pending = group(call)?.remove(&words[4]);
    call.touch(2);
    Ok(Reply::count(pending))
}

/// `XACK key group id [id ...]`
pub(super) fn xack(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let Some(group) = call.change::<Stream>(1)?.and_then(|s| s.groups.get_mut(&words[2])) else {
        return Ok(Reply::Integer(0));
    };
    let ids = words[3..].iter().map(|text| Id::parse_strict(text, 0));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let count = ids.into_iter().filter(|id| group.settle(*id)).count();
    if count > 0 {
        call.touch(1);
    }
    Ok(Reply::count(count))
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub(super) fn xpending(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    if words.len() == 3 {
        let missing = no_group(call, 1, 2);
        let stream = call.read::<Stream>(1)?;
        return stream.and_then(|s| s.groups.get(&words[2])).map(summary).ok_or(missing);
    }
    if !(6..=9).contains(&words.len()) {
        return Err(Refusal::syntax());
    }
    let (mut at, mut idle_ms) = (3, 0);
    if call.is_option(3, "idle") {
        idle_ms = call.integer(4)?;
        if words.len() < 8 {
            return Err(Refusal::syntax());
        }
        at = 5;
    }
    let count = usize::try_from(call.integer(at + 2)?).unwrap_or(0);
    let (start, end) = (Id::parse_start(&words[at])?, Id::parse_end(&words[at + 1])?);
    let consumer = words.get(at + 3);
    let now_ms = call.now_ms;
    let missing = no_group(call, 1, 2);
    let stream = call.read::<Stream>(1)?;
    let group = stream.and_then(|stream| stream.groups.get(&words[2])).ok_or(missing)?;
    if start > end {
        return Ok(Reply::Array(Vec::new()));
    }
    let rows = group.pending.range(start..=end);
    let rows = rows.filter(|(_, pending)| consumer.is_none_or(|name| pending.consumer == *name));
    let rows = rows.filter_map(|(id, pending)| {
        let idle = now_ms.cast_signed() - pending.delivered_ms.cast_signed();
        (idle_ms == 0 || idle >= idle_ms).then(|| {
            Reply::Array(vec![
                Reply::Bulk(id.text()),
                Reply::Bulk(pending.consumer.clone()),
                Reply::Integer(idle.max(0)),
                Reply::Integer(pending.deliveries),
            ])
        })
    });
    Ok(Reply::Array(rows.take(count).collect()))
}

fn summary(group: &Group) -> Reply {
    let (Some(first), Some(last)) =
        (group.pending.first_key_value(), group.pending.last_key_value())
    else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let consumers = group.consumers.iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    let consumers = consumers.map(|(name, consumer)| {
        Reply::bulks([name.clone(), consumer.pending.len().to_string().into()])
    });
    Reply::Array(vec![
        Reply::count(group.pending.len()),
        Reply::Bulk(first.0.text()),
        Reply::Bulk(last.0.text()),
        Reply::Array(consumers.collect()),
    ])
}

struct Claim {
    ids: Vec<Id>,
    delivered_ms: u64,
    deliveries: Option<i64>,
    is_forced: bool,
    is_just_id: bool,
    last_id: Id,
}

impl Claim {
    fn parse(call: &Call<'_>) -> Result<Self, Refusal> {
        let now_ms = call.now_ms.cast_signed();
        let words = call.arguments;
        let ids: Vec<Id> =
            words[5..].iter().map_while(|text| Id::parse_strict(text, 0).ok()).collect();
        let mut at = 5 + ids.len();
        let mut claim = Self {
            ids,
            delivered_ms: call.now_ms,
            deliveries: None,
            is_forced: false,
            is_just_id: false,
            last_id: Id::MIN,
        };
        let number = |at: usize, option: &str| {
            let text = format!("Invalid {option} option argument for XCLAIM");
            call.integer(at + 1).map_err(|_| Refusal::err(&text))
        };
        let mut delivered = None;
        while at < words.len() {
            if call.is_option(at, "force") {
                claim.is_forced = true;
            } else if call.is_option(at, "justid") {
                claim.is_just_id = true;
            } else if call.is_option_with_value(at, "idle") {
                delivered = Some(now_ms.wrapping_sub(number(at, "IDLE")?));
                at += 1;
            } else if call.is_option_with_value(at, "time") {
                delivered = Some(number(at, "TIME")?);
                at += 1;
            } else if call.is_option_with_value(at, "retrycount") {
                claim.deliveries = Some(number(at, "RETRYCOUNT")?).filter(|count| *count >= 0);
                at += 1;
            } else if call.is_option_with_value(at, "lastid") {
                claim.last_id = Id::parse_strict(&words[at + 1], 0)?;
                at += 1;
            } else {
                let text = joined(&[b"ERR Unrecognized XCLAIM option '", &words[at], b"'"]);
                return Err(Refusal::new(text));
            }
            at += 1;
        }
        // A client's clock may be ahead; what cannot be is taken for now.
        if let Some(delivered) = delivered.filter(|delivered| (0..=now_ms).contains(delivered)) {
            claim.delivered_ms = delivered.unsigned_abs();
        }
        Ok(claim)
    }
}

fn min_idle(call: &Call<'_>, command: &str) -> Result<i64, Refusal> {
    let text = format!("Invalid min-idle-time argument for {command}");
    Ok(call.integer(4).map_err(|_| Refusal::err(&text))?.max(0))
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count]
/// [FORCE] [JUSTID] [LASTID id]`
pub(super) fn xclaim(call: &mut Call<'_>) -> Answer {
    let (words, now_ms) = (call.arguments, call.now_ms);
    let missing = no_group(call, 1, 2);
    let found = call.read::<Stream>(1)?;
    found.and_then(|stream| stream.groups.get(&words[2])).ok_or(missing)?;
    let idle_ms = min_idle(call, "XCLAIM")?;
    let claim = Claim::parse(call)?;
    let stream = call.change::<Stream>(1)?.expect("it was just seen");
    let mut group = stream.groups.remove(&words[2]).expect("it was just seen");
    group.last_id = group.last_id.max(claim.last_id);
    let mut found = Vec::new();
    for id in claim.ids {
        let Some(entry) = stream.get(id) else {
            group.settle(id);
            continue;
        };
        let deliveries = match group.pending.get(&id) {
            Some(pending) => {
                let idle = now_ms.cast_signed() - pending.delivered_ms.cast_signed();
                if idle_ms > 0 && idle < idle_ms {
                    continue;
                }
                pending.deliveries
            }
            None if claim.is_forced => 1,
            None => continue,
        };
        group.see(&words[3], now_ms);
        let deliveries = claim.deliveries.unwrap_or(deliveries + i64::from(!claim.is_just_id));
        let delivered_ms = claim.delivered_ms;
        group.give(id, Pending { consumer: words[3].clone(), delivered_ms, deliveries });
        found.push(shown(entry, claim.is_just_id));
    }
    stream.groups.insert(words[2].clone(), group);
    touch_quietly(call);
    Ok(Reply::Array(found))
}

fn shown(found: &super::stream::Entry, is_just_id: bool) -> Reply {
    if is_just_id { Reply::Bulk(found.id.text()) } else { entry(found) }
}

/// Times that an entry may be looked at in vain for each that is asked for.
const ATTEMPTS: usize = 10;
const COUNT_MAX: i64 = i64::MAX / 16;

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub(super) fn xautoclaim(call: &mut Call<'_>) -> Answer {
    let (words, now_ms) = (call.arguments, call.now_ms);
    let idle_ms = min_idle(call, "XAUTOCLAIM")?;
    let start = Id::parse_start(&words[5])?;
    let (mut count, mut is_just_id) = (100_i64, false);
    let mut at = 6;
    while at < words.len() {
        if call.is_option_with_value(at, "count") {
            let wanted = call.integer(at + 1).ok().filter(|n| (1..=COUNT_MAX).contains(n));
            count = wanted.ok_or_else(|| Refusal::err("COUNT must be > 0"))?;
            at += 1;
        } else if call.is_option(at, "justid") {
            is_just_id = true;
        } else {
            return Err(Refusal::syntax());
        }
        at += 1;
    }
    let missing = no_group(call, 1, 2);
    let stream = call.change::<Stream>(1)?;
    let Some((stream, mut group)) = stream.and_then(|stream| {
        let group = stream.groups.remove(&words[2])?;
        Some((stream, group))
    }) else {
        return Err(missing);
    };
    let mut count = usize::try_from(count).unwrap_or(usize::MAX);
    let attempts = count.saturating_mul(ATTEMPTS);
    let (mut found, mut deleted) = (Vec::new(), Vec::new());
    let mut next = Some(start);
    for _ in 0..attempts {
        let seen = next.and_then(|next| group.pending.range(next..).next());
        let Some((&id, pending)) = seen.filter(|_| count > 0) else {
            break;
        };
        next = id.next();
        let Some(entry) = stream.get(id) else {
            group.settle(id);
            deleted.push(Reply::Bulk(id.text()));
            count -= 1;
            continue;
        };
        let idle = now_ms.cast_signed() - pending.delivered_ms.cast_signed();
        if idle_ms > 0 && idle < idle_ms {
            continue;
        }
        let deliveries = pending.deliveries + i64::from(!is_just_id);
        group.see(&words[3], now_ms);
        let consumer = words[3].clone();
        group.give(id, Pending { consumer, delivered_ms: now_ms, deliveries });
        found.push(shown(entry, is_just_id));
        count -= 1;
    }
    let cursor = next.and_then(|next| group.pending.range(next..).next());
    let cursor = cursor.map_or(Id::MIN, |(id, _)| *id);
    stream.groups.insert(words[2].clone(), group);
    touch_quietly(call);
    let lists = [Reply::Bulk(cursor.text()), Reply::Array(found), Reply::Array(deleted)];
    Ok(Reply::Array(lists.into()))
}

/// Notes a change that serves nobody who waits.
fn touch_quietly(call: &mut Call<'_>) {
    let place = call.place(1);
    call.keys.settle(&place);
    call.effects.touched.insert(place);
}

/// Puts back what was pending: written by the journal, never sent by a client.
///
/// `key group consumer (id delivered deliveries)...`
pub(super) fn put_pending(call: &mut Call<'_>) -> Answer {
    let words: &[Bytes] = call.arguments;
    let stream = call.change::<Stream>(1)?.ok_or_else(Refusal::no_such_key)?;
    let group = stream.groups.get_mut(&words[2]).ok_or_else(Refusal::no_such_key)?;
    for row in words[4..].chunks_exact(3) {
        let number = |at: usize| super::call::integer(&row[at]);
        let (delivered_ms, deliveries) = (number(1)?.unsigned_abs(), number(2)?);
        let consumer = words[3].clone();
        group.consumers.entry(consumer.clone()).or_default();
        let id = Id::parse_strict(&row[0], 0)?;
        group.give(id, Pending { consumer, delivered_ms, deliveries });
    }
    call.touch(1);
    Ok(Reply::OK)
}
