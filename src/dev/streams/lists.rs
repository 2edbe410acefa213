//! Lists: the commands of lists, and those that wait for an item.

use bytes::Bytes;

use super::call::{Answer, Call, timeout_ms};
use super::keyspace::{Row, Side};
use super::refusal::Refusal;
use super::reply::Reply;
use super::strings::span;
use super::wait::{Awaited, Wait};

fn push(call: &mut Call<'_>, side: Side, only_there: bool) -> Answer {
    let words = call.arguments;
    if call.read::<Row>(1)?.is_none() && only_there {
        return Ok(Reply::Integer(0));
    }
    let list = call.change_or_make::<Row>(1)?;
    for item in &words[2..] {
        list.push(side, item.clone());
    }
    let length = list.items().len();
    call.touch(1);
    Ok(Reply::count(length))
}

/// `LPUSH key element [element ...]`
pub(super) fn lpush(call: &mut Call<'_>) -> Answer {
    push(call, Side::Left, false)
}

/// `RPUSH key element [element ...]`
pub(super) fn rpush(call: &mut Call<'_>) -> Answer {
    push(call, Side::Right, false)
}

/// `LPUSHX key element [element ...]`
pub(super) fn lpushx(call: &mut Call<'_>) -> Answer {
    push(call, Side::Left, true)
}

/// `RPUSHX key element [element ...]`
pub(super) fn rpushx(call: &mut Call<'_>) -> Answer {
    push(call, Side::Right, true)
}

fn pop(call: &mut Call<'_>, side: Side, command: &str) -> Answer {
    if call.arguments.len() > 3 {
        return Err(Refusal::arity(command));
    }
    let count = if call.arguments.len() == 3 {
        let count = usize::try_from(call.integer(2)?);
        Some(count.map_err(|_| Refusal::err("value is out of range, must be positive"))?)
    } else {
        None
    };
    let Some(list) = call.change::<Row>(1)? else {
        return Ok(if count.is_some() { Reply::NullArray } else { Reply::Null });
    };
    let popped: Vec<Bytes> =
        std::iter::from_fn(|| list.pop(side)).take(count.unwrap_or(1)).collect();
    if !popped.is_empty() {
        call.touch(1);
    }
    Ok(match count {
        Some(_) => Reply::bulks(popped),
        None => popped.into_iter().next().map_or(Reply::Null, Reply::Bulk),
    })
}

/// `LPOP key [count]`
pub(super) fn lpop(call: &mut Call<'_>) -> Answer {
    pop(call, Side::Left, "lpop")
}

/// `RPOP key [count]`
pub(super) fn rpop(call: &mut Call<'_>) -> Answer {
    pop(call, Side::Right, "rpop")
}

fn blocking_pop(call: &mut Call<'_>, side: Side) -> Answer {
    let words = call.arguments;
    let wait_ms = timeout_ms(&words[words.len() - 1], 1000.0)?;
    for (at, word) in words.iter().enumerate().take(words.len() - 1).skip(1) {
        if let Some(list) = call.change::<Row>(at)? {
            let item = list.pop(side).expect("a list that is there is not empty");
            call.touch(at);
            let name = if side == Side::Left { "LPOP" } else { "RPOP" };
            call.instead(call.place(at), vec![name.into(), word.clone()]);
            return Ok(Reply::bulks([word.clone(), item]));
        }
    }
    let keys = words[1..words.len() - 1].to_vec();
    wait(call, keys, wait_ms, Awaited::Item { side });
    Ok(Reply::NullArray)
}

fn wait(call: &mut Call<'_>, keys: Vec<Bytes>, wait_ms: u64, what: Awaited) {
    let until_ms = (wait_ms > 0).then(|| call.now_ms.saturating_add(wait_ms));
    call.effects.wait = Some(Wait { keys, until_ms, what });
}

/// `BLPOP key [key ...] timeout`
pub(super) fn blpop(call: &mut Call<'_>) -> Answer {
    blocking_pop(call, Side::Left)
}

/// `BRPOP key [key ...] timeout`
pub(super) fn brpop(call: &mut Call<'_>) -> Answer {
    blocking_pop(call, Side::Right)
}

fn side(text: &[u8]) -> Result<Side, Refusal> {
    match text.to_ascii_lowercase().as_slice() {
        b"left" => Ok(Side::Left),
        b"right" => Ok(Side::Right),
        _ => Err(Refusal::syntax()),
    }
}

/// Moves an item from one list into another.
pub(super) fn transfer(
    call: &mut Call<'_>,
    (from, to): (usize, usize),
    sides: (Side, Side),
) -> Answer {
    call.read::<Row>(to)?;
    let Some(list) = call.change::<Row>(from)? else {
        return Ok(Reply::Null);
    };
    let item = list.pop(sides.0).expect("a list that is there is not empty");
    // Only then is it weighed, and taken away if empty: source and target may be one.
    if call.arguments[from] != call.arguments[to] {
        call.touch(from);
    }
    call.change_or_make::<Row>(to)?.push(sides.1, item.clone());
    call.touch(to);
    Ok(Reply::Bulk(item))
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(super) fn lmove(call: &mut Call<'_>) -> Answer {
    let sides = (side(call.argument(3))?, side(call.argument(4))?);
    transfer(call, (1, 2), sides)
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(call: &mut Call<'_>) -> Answer {
    transfer(call, (1, 2), (Side::Right, Side::Left))
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
pub(super) fn blmove(call: &mut Call<'_>) -> Answer {
    let (from, to) = (side(call.argument(3))?, side(call.argument(4))?);
    let wait_ms = timeout_ms(call.argument(5), 1000.0)?;
    let moved = transfer(call, (1, 2), (from, to))?;
    if moved == Reply::Null {
        let (source, target) = (call.arguments[1].clone(), call.arguments[2].clone());
        wait(call, vec![source], wait_ms, Awaited::Move { from, to, target });
    }
    Ok(moved)
}

/// `LLEN key`
pub(super) fn llen(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.read::<Row>(1)?.map_or(0, |list| list.items().len())))
}

/// `LRANGE key start stop`
pub(super) fn lrange(call: &mut Call<'_>) -> Answer {
    let (start, end) = (call.integer(2)?, call.integer(3)?);
    let Some(list) = call.read::<Row>(1)? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let range = span(start, end, list.items().len());
    Ok(Reply::bulks(list.items().range(range).cloned()))
}

/// Finds a place that is counted from either side.
fn place(at: i64, length: usize) -> Option<usize> {
    let from_front = if at < 0 { at.checked_add(i64::try_from(length).ok()?)? } else { at };
    usize::try_from(from_front).ok().filter(|at| *at < length)
}

/// `LINDEX key index`
pub(super) fn lindex(call: &mut Call<'_>) -> Answer {
    let at = call.integer(2)?;
    let item =
        call.read::<Row>(1)?.and_then(|list| list.items().get(place(at, list.items().len())?));
    Ok(item.map_or(Reply::Null, |item| Reply::Bulk(item.clone())))
}

/// `LSET key index element`
pub(super) fn lset(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    call.read::<Row>(1)?.ok_or_else(Refusal::no_such_key)?;
    let at = call.integer(2)?;
    let list = call.change::<Row>(1)?.expect("it was just seen");
    let at = place(at, list.items().len()).ok_or_else(|| Refusal::err("index out of range"))?;
    list.edit(|items| items[at] = words[3].clone());
    call.touch(1);
    Ok(Reply::OK)
}

/// `LREM key count element`
pub(super) fn lrem(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let count = call.integer(2)?;
    let Some(list) = call.change::<Row>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let most = if count == 0 {
        usize::MAX
    } else {
        usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
    };
    let found = list.items().iter().enumerate().filter(|(_, item)| **item == words[3]);
    let found = found.map(|(at, _)| at);
    let mut doomed: Vec<usize> =
        if count < 0 { found.rev().take(most).collect() } else { found.take(most).collect() };
    doomed.sort_unstable();
    if !doomed.is_empty() {
        list.edit(|items| {
            let mut at = 0;
            items.retain(|_| {
                at += 1;
                doomed.binary_search(&(at - 1)).is_err()
            });
        });
        call.touch(1);
    }
    Ok(Reply::count(doomed.len()))
}

/// `LTRIM key start stop`
pub(super) fn ltrim(call: &mut Call<'_>) -> Answer {
    let (start, end) = (call.integer(2)?, call.integer(3)?);
    let Some(list) = call.change::<Row>(1)? else {
        return Ok(Reply::OK);
    };
    let range = span(start, end, list.items().len());
    list.edit(|items| {
        items.truncate(range.end);
        items.drain(..range.start);
    });
    call.touch(1);
    Ok(Reply::OK)
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let behind = match call.argument(2).to_ascii_lowercase().as_slice() {
        b"before" => 0,
        b"after" => 1,
        _ => return Err(Refusal::syntax()),
    };
    let Some(list) = call.change::<Row>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let Some(at) = list.items().iter().position(|item| *item == words[3]) else {
        return Ok(Reply::Integer(-1));
    };
    list.edit(|items| items.insert(at + behind, words[4].clone()));
    let length = list.items().len();
    call.touch(1);
    Ok(Reply::count(length))
}
