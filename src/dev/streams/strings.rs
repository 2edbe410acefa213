//! Strings: the commands of plain values.

use bytes::{Bytes, BytesMut};

use super::call::{Answer, Call, float, integer};
use super::keyspace::Value;
use super::refusal::Refusal;
use super::reply::{self, Reply};
use crate::limits::STREAMS_REQUEST_BYTES_MAX;

const S: u64 = 1000;

/// `GET key`
pub(super) fn get(call: &mut Call<'_>) -> Answer {
    Ok(bulk_or_null(call.read::<Bytes>(1)?))
}

fn bulk_or_null(text: Option<&Bytes>) -> Reply {
    text.map_or(Reply::Null, |text| Reply::Bulk(text.clone()))
}

/// What may stand behind the value of `SET` and the key of `GETEX`.
#[derive(Default)]
struct Options {
    only_new: bool,
    only_there: bool,
    answers_old: bool,
    keeps_end: bool,
    persists: bool,
    end: Option<u64>,
}

impl Options {
    fn parse(call: &Call<'_>, mut at: usize, is_set: bool) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut ends = 0;
        let command = if is_set { "set" } else { "getex" };
        while at < call.arguments.len() {
            let unit = [("ex", S, false), ("px", 1, false), ("exat", S, true), ("pxat", 1, true)];
            let unit = unit.into_iter().find(|(name, ..)| call.is_option_with_value(at, name));
            if let Some((_, unit, is_absolute)) = unit {
                let number = call.integer(at + 1)?;
                options.end = Some(end(number, unit, is_absolute, call.now_ms, command)?);
                (ends, at) = (ends + 1, at + 1);
            } else if is_set && call.is_option(at, "nx") {
                options.only_new = true;
            } else if is_set && call.is_option(at, "xx") {
                options.only_there = true;
            } else if is_set && call.is_option(at, "get") {
                options.answers_old = true;
            } else if is_set && call.is_option(at, "keepttl") {
                (options.keeps_end, ends) = (true, ends + 1);
            } else if !is_set && call.is_option(at, "persist") {
                (options.persists, ends) = (true, ends + 1);
            } else {
                return Err(Refusal::syntax());
            }
            at += 1;
        }
        if ends > 1 || (options.only_new && options.only_there) {
            return Err(Refusal::syntax());
        }
        Ok(options)
    }
}

/// Turns a time to live, or a time, into milliseconds since 1970.
fn end(
    number: i64,
    unit: u64,
    is_absolute: bool,
    now_ms: u64,
    command: &str,
) -> Result<u64, Refusal> {
    let invalid = || Refusal::err(&format!("invalid expire time in '{command}' command"));
    let number = u64::try_from(number).ok().filter(|number| *number > 0).ok_or_else(invalid)?;
    let ms = number.checked_mul(unit).filter(|ms| i64::try_from(*ms).is_ok());
    let ms = ms.ok_or_else(invalid)?;
    if is_absolute {
        return Ok(ms);
    }
    ms.checked_add(now_ms).filter(|ms| i64::try_from(*ms).is_ok()).ok_or_else(invalid)
}

/// `SET key value [NX|XX] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, 3, true)?;
    let old = if options.answers_old { bulk_or_null(call.read::<Bytes>(1)?) } else { Reply::OK };
    let is_there = call.value(1).is_some();
    if (options.only_new && is_there) || (options.only_there && !is_there) {
        return Ok(if options.answers_old { old } else { Reply::Null });
    }
    let before = call.keys.get(call.database, call.argument(1)).and_then(|held| held.expires_ms);
    let end = if options.keeps_end { before } else { options.end };
    put(call, 1, call.arguments[2].clone(), end);
    Ok(old)
}

/// Puts a text under a key, and writes it down as `SET`.
fn put(call: &mut Call<'_>, at: usize, text: Bytes, end: Option<u64>) {
    call.put(at, Value::Text(text.clone()), end);
    let mut command = vec!["SET".into(), call.arguments[at].clone(), text];
    if let Some(end) = end {
        command.extend(["PXAT".into(), end.to_string().into()]);
    }
    call.instead(call.place(at), command);
}

/// Changes a text and keeps its end.
fn change(call: &mut Call<'_>, text: Bytes) {
    let end = call.keys.get(call.database, call.argument(1)).and_then(|held| held.expires_ms);
    put(call, 1, text, end);
}

/// `SETNX key value`
pub(super) fn setnx(call: &mut Call<'_>) -> Answer {
    if call.value(1).is_some() {
        return Ok(Reply::Integer(0));
    }
    put(call, 1, call.arguments[2].clone(), None);
    Ok(Reply::Integer(1))
}

/// `SETEX key seconds value`
pub(super) fn setex(call: &mut Call<'_>) -> Answer {
    set_for(call, S, "setex")
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(call: &mut Call<'_>) -> Answer {
    set_for(call, 1, "psetex")
}

fn set_for(call: &mut Call<'_>, unit: u64, command: &str) -> Answer {
    let end = end(call.integer(2)?, unit, false, call.now_ms, command)?;
    put(call, 1, call.arguments[3].clone(), Some(end));
    Ok(Reply::OK)
}

/// `GETSET key value`
pub(super) fn getset(call: &mut Call<'_>) -> Answer {
    let old = bulk_or_null(call.read::<Bytes>(1)?);
    put(call, 1, call.arguments[2].clone(), None);
    Ok(old)
}

/// `GETDEL key`
pub(super) fn getdel(call: &mut Call<'_>) -> Answer {
    let old = bulk_or_null(call.read::<Bytes>(1)?);
    call.remove(1);
    Ok(old)
}

/// `GETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
pub(super) fn getex(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, 2, false)?;
    let Some(text) = call.read::<Bytes>(1)?.cloned() else {
        return Ok(Reply::Null);
    };
    if options.persists || options.end.is_some() {
        put(call, 1, text.clone(), options.end);
    }
    Ok(Reply::Bulk(text))
}

/// `MGET key [key ...]`
pub(super) fn mget(call: &mut Call<'_>) -> Answer {
    let keys = 1..call.arguments.len();
    let one = |at| bulk_or_null(call.read::<Bytes>(at).ok().flatten());
    Ok(Reply::Array(keys.map(one).collect()))
}

/// `MSET key value [key value ...]`
pub(super) fn mset(call: &mut Call<'_>) -> Answer {
    if call.arguments.len().is_multiple_of(2) {
        return Err(Refusal::arity("mset"));
    }
    for at in (1..call.arguments.len()).step_by(2) {
        put(call, at, call.arguments[at + 1].clone(), None);
    }
    Ok(Reply::OK)
}

/// `MSETNX key value [key value ...]`
pub(super) fn msetnx(call: &mut Call<'_>) -> Answer {
    if call.arguments.len().is_multiple_of(2) {
        return Err(Refusal::arity("msetnx"));
    }
    for at in (1..call.arguments.len()).step_by(2) {
        if call.value(at).is_some() {
            return Ok(Reply::Integer(0));
        }
    }
    mset(call)?;
    Ok(Reply::Integer(1))
}

/// `INCR key`
pub(super) fn incr(call: &mut Call<'_>) -> Answer {
    add(call, 1)
}

/// `DECR key`
pub(super) fn decr(call: &mut Call<'_>) -> Answer {
    add(call, -1)
}

/// `INCRBY key increment`
pub(super) fn incrby(call: &mut Call<'_>) -> Answer {
    add(call, call.integer(2)?)
}

/// `DECRBY key decrement`
pub(super) fn decrby(call: &mut Call<'_>) -> Answer {
    let amount = call.integer(2)?.checked_neg();
    add(call, amount.ok_or_else(|| Refusal::err("decrement would overflow"))?)
}

fn add(call: &mut Call<'_>, amount: i64) -> Answer {
    let before = call.read::<Bytes>(1)?.map_or(Ok(0), |text| integer(text))?;
    let sum = before.checked_add(amount);
    let sum = sum.ok_or_else(|| Refusal::err("increment or decrement would overflow"))?;
    change(call, sum.to_string().into());
    Ok(Reply::Integer(sum))
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat(call: &mut Call<'_>) -> Answer {
    let before = call.read::<Bytes>(1)?.map_or(Ok(0.0), |text| float(text))?;
    let sum = before + float(call.argument(2))?;
    if !sum.is_finite() {
        return Err(Refusal::err("increment would produce NaN or Infinity"));
    }
    let text = Bytes::from(reply::float(sum));
    change(call, text.clone());
    Ok(Reply::Bulk(text))
}

/// `APPEND key value`
pub(super) fn append(call: &mut Call<'_>) -> Answer {
    let mut text = BytesMut::from(call.read::<Bytes>(1)?.map_or(&b""[..], |text| text));
    text.extend_from_slice(call.argument(2));
    fits(text.len())?;
    let length = text.len();
    change(call, text.freeze());
    Ok(Reply::count(length))
}

fn fits(bytes: usize) -> Result<(), Refusal> {
    if bytes > STREAMS_REQUEST_BYTES_MAX {
        return Err(Refusal::err("string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}

/// `STRLEN key`
pub(super) fn strlen(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.read::<Bytes>(1)?.map_or(0, Bytes::len)))
}

/// `GETRANGE key start end`
pub(super) fn getrange(call: &mut Call<'_>) -> Answer {
    let (start, end) = (call.integer(2)?, call.integer(3)?);
    let text = call.read::<Bytes>(1)?.cloned().unwrap_or_default();
    Ok(Reply::Bulk(text.slice(span(start, end, text.len()))))
}

/// Turns two ends, counted from either side, into a range within `length`.
pub(super) fn span(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_front = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (start, end) = (from_front(start).max(0), from_front(end).min(length - 1));
    if start > end {
        return 0..0;
    }
    let whole = |at: i64| usize::try_from(at).expect("both were brought into the range");
    whole(start)..whole(end) + 1
}

/// `SETRANGE key offset value`
pub(super) fn setrange(call: &mut Call<'_>) -> Answer {
    let offset = usize::try_from(call.integer(2)?);
    let offset = offset.map_err(|_| Refusal::err("offset is out of range"))?;
    let piece = call.argument(3);
    let text = call.read::<Bytes>(1)?.cloned().unwrap_or_default();
    if piece.is_empty() {
        return Ok(Reply::count(text.len()));
    }
    fits(offset.saturating_add(piece.len()))?;
    let mut text = text.to_vec();
    text.resize(text.len().max(offset + piece.len()), 0);
    text[offset..offset + piece.len()].copy_from_slice(piece);
    let length = text.len();
    change(call, text.into());
    Ok(Reply::count(length))
}
