//! Xgroup: the commands that make and end groups, and those by which consumers acknowledge and take over.

use bytes::Bytes;

use super::call::{Answer, Call};
use super::group::{Group, Pending};
use super::id::Id;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::Stream;
use super::xread::joined;

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
