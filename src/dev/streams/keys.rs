//! Keys: the commands of all kinds of keys: whether they are there, how long, and which.

use bytes::Bytes;

use super::call::{Answer, Call};
use super::glob;
use super::keyspace::Value;
use super::refusal::Refusal;
use super::reply::Reply;
use super::table::{Command, Nature, Run};

pub(super) const OBJECT: &[Command] = &[Command {
    name: "encoding",
    arity: 3,
    nature: Nature::Reads,
    keys: (2, 2, 1),
    run: Run::Keys(encoding),
}];

/// `DEL key [key ...]`
pub(super) fn del(call: &mut Call<'_>) -> Answer {
    let mut count = 0;
    for at in 1..call.arguments.len() {
        count += usize::from(call.remove(at));
    }
    Ok(Reply::count(count))
}

/// `EXISTS key [key ...]`
pub(super) fn exists(call: &mut Call<'_>) -> Answer {
    let count = (1..call.arguments.len()).filter(|at| call.value(*at).is_some()).count();
    Ok(Reply::count(count))
}

/// `TYPE key`
pub(super) fn kind(call: &mut Call<'_>) -> Answer {
    Ok(Reply::Simple(call.value(1).map_or("none", Value::kind)))
}

fn encoding(call: &mut Call<'_>) -> Answer {
    let name = match call.value(2) {
        None => return Ok(Reply::Null),
        Some(Value::Text(text)) if super::call::integer(text).is_ok() => "int",
        Some(Value::Text(text)) if text.len() <= 44 => "embstr",
        Some(Value::Text(_)) => "raw",
        Some(Value::Set(_) | Value::Hash(_)) => "hashtable",
        Some(Value::List(_)) => "quicklist",
        Some(Value::Stream(_)) => "stream",
    };
    Ok(Reply::text(name))
}

/// `EXPIRE key seconds [NX|XX|GT|LT]`
pub(super) fn expire(call: &mut Call<'_>) -> Answer {
    end_at(call, 1000, false, "expire")
}

/// `PEXPIRE key milliseconds [NX|XX|GT|LT]`
pub(super) fn pexpire(call: &mut Call<'_>) -> Answer {
    end_at(call, 1, false, "pexpire")
}

/// `EXPIREAT key unix-time-seconds [NX|XX|GT|LT]`
pub(super) fn expireat(call: &mut Call<'_>) -> Answer {
    end_at(call, 1000, true, "expireat")
}

/// `PEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT]`
pub(super) fn pexpireat(call: &mut Call<'_>) -> Answer {
    end_at(call, 1, true, "pexpireat")
}

fn end_at(call: &mut Call<'_>, unit: i64, is_absolute: bool, command: &str) -> Answer {
    let number = call.integer(2)?;
    let condition = Condition::parse(call)?;
    let start = if is_absolute { 0 } else { call.now_ms.cast_signed() };
    let end = number.checked_mul(unit).and_then(|ms| ms.checked_add(start));
    let end =
        end.ok_or_else(|| Refusal::err(&format!("invalid expire time in '{command}' command")))?;
    if call.value(1).is_none() {
        return Ok(Reply::Integer(0));
    }
    let place = call.place(1);
    let before = call.keys.get(place.0, &place.1).and_then(|held| held.expires_ms);
    if !condition.holds(before, end) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(end) {
        Ok(end) if end > call.now_ms => {
            call.keys.set_end(&place, Some(end));
            call.touch(1);
            let words = ["PEXPIREAT".into(), place.1.clone(), end.to_string().into()];
            call.instead(place, words.into());
        }
        // A time that has passed is a way to say DEL.
        _ => drop(call.remove(1)),
    }
    Ok(Reply::Integer(1))
}

/// When an end may be set.
#[derive(Default)]
struct Condition {
    without: bool,
    with: bool,
    later: bool,
    sooner: bool,
}

impl Condition {
    fn parse(call: &Call<'_>) -> Result<Self, Refusal> {
        let mut condition = Self::default();
        for at in 3..call.arguments.len() {
            match call.argument(at).to_ascii_lowercase().as_slice() {
                b"nx" => condition.without = true,
                b"xx" => condition.with = true,
                b"gt" => condition.later = true,
                b"lt" => condition.sooner = true,
                _ => {
                    let text = [b"ERR Unsupported option ", call.argument(at)].concat();
                    return Err(Refusal::new(text));
                }
            }
        }
        if condition.without && (condition.with || condition.later || condition.sooner) {
            return Err(Refusal::err(
                "NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.later && condition.sooner {
            return Err(Refusal::err("GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    fn holds(&self, before: Option<u64>, end: i64) -> bool {
        let before = before.map(u64::cast_signed);
        !(self.without && before.is_some()
            || self.with && before.is_none()
            || self.later && before.is_none_or(|before| end <= before)
            || self.sooner && before.is_some_and(|before| end >= before))
    }
}

/// `PERSIST key`
pub(super) fn persist(call: &mut Call<'_>) -> Answer {
    call.expire(1);
    let place = call.place(1);
    let has_end = call.keys.get(place.0, &place.1).is_some_and(|held| held.expires_ms.is_some());
    if has_end {
        call.keys.set_end(&place, None);
        call.touch(1);
    }
    Ok(Reply::flag(has_end))
}

/// `TTL key`
pub(super) fn ttl(call: &mut Call<'_>) -> Answer {
    let now_ms = call.now_ms;
    end_of(call, |end| (end.saturating_sub(now_ms) + 500) / 1000)
}

/// `PTTL key`
pub(super) fn pttl(call: &mut Call<'_>) -> Answer {
    let now_ms = call.now_ms;
    end_of(call, |end| end.saturating_sub(now_ms))
}

/// `EXPIRETIME key`
pub(super) fn expiretime(call: &mut Call<'_>) -> Answer {
    end_of(call, |end| (end + 500) / 1000)
}

/// `PEXPIRETIME key`
pub(super) fn pexpiretime(call: &mut Call<'_>) -> Answer {
    end_of(call, |end| end)
}

fn end_of(call: &mut Call<'_>, show: impl Fn(u64) -> u64) -> Answer {
    call.expire(1);
    Ok(Reply::Integer(match call.keys.get(call.database, call.argument(1)) {
        None => -2,
        Some(held) => held.expires_ms.map_or(-1, |end| show(end).cast_signed()),
    }))
}

/// `RENAME key newkey`
pub(super) fn rename(call: &mut Call<'_>) -> Answer {
    call.value(1).ok_or_else(Refusal::no_such_key)?;
    if call.argument(1) == call.argument(2) {
        return Ok(Reply::OK);
    }
    let (from, to) = (call.place(1), call.place(2));
    let held = call.keys.remove(&from).expect("it was just seen");
    call.keys.put(&to, held.value, held.expires_ms);
    call.note(from);
    call.note(to);
    Ok(Reply::OK)
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(call: &mut Call<'_>) -> Answer {
    call.value(1).ok_or_else(Refusal::no_such_key)?;
    if call.value(2).is_some() {
        return Ok(Reply::Integer(0));
    }
    rename(call)?;
    Ok(Reply::Integer(1))
}

/// `RANDOMKEY`
pub(super) fn randomkey(call: &mut Call<'_>) -> Answer {
    let count = call.keys.len(call.database).max(1) as u64;
    let at = usize::try_from(call.luck % count).unwrap_or(0);
    let key = call.keys.keys(call.database).nth(at);
    Ok(key.map_or(Reply::Null, |(key, _)| Reply::Bulk(key.clone())))
}

/// `KEYS pattern`
pub(super) fn keys(call: &mut Call<'_>) -> Answer {
    let pattern = call.argument(1);
    let now_ms = call.now_ms;
    let alive = call
        .keys
        .keys(call.database)
        .filter(|(_, held)| held.expires_ms.is_none_or(|end| end > now_ms));
    let names = alive.map(|(key, _)| key).filter(|key| glob::matches(pattern, key));
    Ok(Reply::bulks(names.cloned()))
}

/// What `SCAN` and its kin are asked.
pub(super) struct Scan<'a> {
    cursor: u64,
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<Vec<u8>>,
}

impl<'a> Scan<'a> {
    pub(super) fn parse(
        call: &Call<'a>,
        cursor_at: usize,
        is_of_keys: bool,
    ) -> Result<Self, Refusal> {
        let words = call.arguments;
        let cursor = std::str::from_utf8(&words[cursor_at]).ok().and_then(|text| text.parse().ok());
        let cursor = cursor.ok_or_else(|| Refusal::err("invalid cursor"))?;
        let mut scan = Self { cursor, count: 10, pattern: None, kind: None };
        let mut at = cursor_at + 1;
        while at < words.len() {
            if call.is_option_with_value(at, "count") {
                let count = usize::try_from(call.integer(at + 1)?).ok().filter(|count| *count > 0);
                scan.count = count.ok_or_else(Refusal::syntax)?;
            } else if call.is_option_with_value(at, "match") {
                scan.pattern = Some(&words[at + 1]);
            } else if is_of_keys && call.is_option_with_value(at, "type") {
                scan.kind = Some(words[at + 1].to_ascii_lowercase());
            } else {
                return Err(Refusal::syntax());
            }
            at += 2;
        }
        Ok(scan)
    }

    /// Takes the next page, and says where the one after it begins.
    ///
    /// Names come in the order of a hash, so that a cursor is a number and stays good whatever comes and goes.
    pub(super) fn page<'n>(&self, names: impl Iterator<Item = &'n Bytes>) -> (u64, Vec<&'n Bytes>) {
        let hashed = names.map(|name| (hash(name), name));
        let mut ahead: Vec<(u64, &Bytes)> =
            hashed.filter(|(place, _)| *place >= self.cursor).collect();
        if ahead.len() > self.count {
            ahead.select_nth_unstable(self.count);
            // Names with one hash must not be parted.
            let next = ahead[self.count].0;
            let is_first = ahead.iter().all(|(place, _)| *place >= next);
            let cursor = if is_first { next + 1 } else { next };
            ahead.retain(|(place, _)| *place < cursor);
            ahead.sort_unstable();
            return (cursor, self.matching(ahead));
        }
        ahead.sort_unstable();
        (0, self.matching(ahead))
    }

    fn matching<'n>(&self, names: Vec<(u64, &'n Bytes)>) -> Vec<&'n Bytes> {
        let is_wanted = |name: &&Bytes| self.pattern.is_none_or(|p| glob::matches(p, name));
        names.into_iter().map(|(_, name)| name).filter(is_wanted).collect()
    }
}

/// A place between 1 and 2^48: a cursor that every client can hold.
fn hash(name: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 16) + 1
}

pub(super) fn scanned(cursor: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(found)])
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(call: &mut Call<'_>) -> Answer {
    let scan = Scan::parse(call, 1, true)?;
    let now_ms = call.now_ms;
    let alive = call
        .keys
        .keys(call.database)
        .filter(|(_, held)| held.expires_ms.is_none_or(|end| end > now_ms));
    let (cursor, mut names) = scan.page(alive.map(|(key, _)| key));
    if let Some(kind) = &scan.kind {
        names.retain(|name| {
            let held = call.keys.get(call.database, name);
            held.is_some_and(|held| held.value.kind().as_bytes() == kind)
        });
    }
    Ok(scanned(cursor, names.into_iter().cloned().map(Reply::Bulk).collect()))
}
