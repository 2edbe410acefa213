//! Sets: the commands of sets.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::call::{Answer, Call};
use super::keys::{Scan, scanned};
use super::keyspace::{Members, Value};
use super::refusal::Refusal;
use super::reply::Reply;

/// `SADD key member [member ...]`
pub(super) fn sadd(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let set = call.change_or_make::<Members>(1)?;
    let count = words[2..].iter().filter(|member| set.insert((*member).clone())).count();
    if count > 0 {
        call.touch(1);
    }
    Ok(Reply::count(count))
}

/// `SREM key member [member ...]`
pub(super) fn srem(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let Some(set) = call.change::<Members>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let count = words[2..].iter().filter(|member| set.remove(member)).count();
    if count > 0 {
        call.touch(1);
    }
    Ok(Reply::count(count))
}

/// `SISMEMBER key member`
pub(super) fn sismember(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    Ok(Reply::flag(call.read::<Members>(1)?.is_some_and(|set| set.all().contains(&words[2]))))
}

/// `SMISMEMBER key member [member ...]`
pub(super) fn smismember(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let set = call.read::<Members>(1)?;
    let one = |member: &Bytes| Reply::flag(set.is_some_and(|set| set.all().contains(member)));
    Ok(Reply::Array(words[2..].iter().map(one).collect()))
}

/// `SMEMBERS key`
pub(super) fn smembers(call: &mut Call<'_>) -> Answer {
    Ok(as_reply(all(call, 1)?))
}

/// `SCARD key`
pub(super) fn scard(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.read::<Members>(1)?.map_or(0, |set| set.all().len())))
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn sscan(call: &mut Call<'_>) -> Answer {
    let scan = Scan::parse(call, 2, false)?;
    let set = call.read::<Members>(1)?;
    let (cursor, found) = scan.page(set.into_iter().flat_map(|set| set.all().iter()));
    Ok(scanned(cursor, found.into_iter().cloned().map(Reply::Bulk).collect()))
}

/// `SMOVE source destination member`
pub(super) fn smove(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    if call.value(1).is_none() {
        return Ok(Reply::Integer(0));
    }
    call.read::<Members>(1)?;
    call.read::<Members>(2)?;
    let Some(source) = call.change::<Members>(1)? else {
        return Ok(Reply::Integer(0));
    };
    if !source.all().contains(&words[3]) {
        return Ok(Reply::Integer(0));
    }
    if words[1] == words[2] {
        return Ok(Reply::Integer(1));
    }
    source.remove(&words[3]);
    call.touch(1);
    call.change_or_make::<Members>(2)?.insert(words[3].clone());
    call.touch(2);
    Ok(Reply::Integer(1))
}

/// `SPOP key [count]`
pub(super) fn spop(call: &mut Call<'_>) -> Answer {
    let luck = call.luck;
    let count = counted(call, "value is out of range, must be positive")?;
    let Some(set) = call.change::<Members>(1)? else {
        return Ok(if count.is_some() { Reply::Set(Vec::new()) } else { Reply::Null });
    };
    let members = picked(set, count.unwrap_or(1), luck);
    for member in &members {
        set.remove(member);
    }
    if !members.is_empty() {
        call.touch(1);
        let mut command = vec![Bytes::from_static(b"SREM"), call.arguments[1].clone()];
        command.extend(members.iter().cloned());
        call.instead(call.place(1), command);
    }
    Ok(match count {
        Some(_) => Reply::Set(members.into_iter().map(Reply::Bulk).collect()),
        None => members.into_iter().next().map_or(Reply::Null, Reply::Bulk),
    })
}

fn counted(call: &Call<'_>, refusal: &str) -> Result<Option<usize>, Refusal> {
    match call.arguments.len() {
        2 => Ok(None),
        3 => match usize::try_from(call.integer(2)?) {
            Ok(count) => Ok(Some(count)),
            Err(_) => Err(Refusal::err(refusal)),
        },
        _ => Err(Refusal::syntax()),
    }
}

/// Picks different members, beginning anywhere.
fn picked(set: &Members, count: usize, luck: u64) -> Vec<Bytes> {
    let length = set.all().len();
    let start = usize::try_from(luck % length.max(1) as u64).unwrap_or(0);
    let around = set.all().iter().skip(start).chain(set.all().iter().take(start));
    around.take(count).cloned().collect()
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(call: &mut Call<'_>) -> Answer {
    let luck = call.luck;
    if call.arguments.len() > 3 {
        return Err(Refusal::syntax());
    }
    let count = if call.arguments.len() == 3 { Some(call.integer(2)?) } else { None };
    let Some(set) = call.read::<Members>(1)? else {
        return Ok(if count.is_some() { Reply::Array(Vec::new()) } else { Reply::Null });
    };
    Ok(match count {
        None => picked(set, 1, luck).pop().map_or(Reply::Null, Reply::Bulk),
        Some(count) if count >= 0 => {
            Reply::bulks(picked(set, usize::try_from(count).unwrap_or(usize::MAX), luck))
        }
        // Below zero: that many, and the same one may come again.
        Some(count) => {
            let all = picked(set, usize::MAX, luck);
            let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            if count > crate::limits::STREAMS_ARGUMENTS_MAX {
                return Err(Refusal::err("value is out of range"));
            }
            Reply::bulks(all.iter().cycle().take(count).cloned())
        }
    })
}

fn all(call: &mut Call<'_>, at: usize) -> Result<BTreeSet<Bytes>, Refusal> {
    Ok(call.read::<Members>(at)?.map(|set| set.all().clone()).unwrap_or_default())
}

fn as_reply(members: BTreeSet<Bytes>) -> Reply {
    Reply::Set(members.into_iter().map(Reply::Bulk).collect())
}

type Merge = fn(BTreeSet<Bytes>, &BTreeSet<Bytes>) -> BTreeSet<Bytes>;

fn inter(mut a: BTreeSet<Bytes>, b: &BTreeSet<Bytes>) -> BTreeSet<Bytes> {
    a.retain(|member| b.contains(member));
    a
}

fn union(mut a: BTreeSet<Bytes>, b: &BTreeSet<Bytes>) -> BTreeSet<Bytes> {
    a.extend(b.iter().cloned());
    a
}

fn diff(mut a: BTreeSet<Bytes>, b: &BTreeSet<Bytes>) -> BTreeSet<Bytes> {
    a.retain(|member| !b.contains(member));
    a
}

fn merged(call: &mut Call<'_>, first: usize, merge: Merge) -> Result<BTreeSet<Bytes>, Refusal> {
    let mut result = all(call, first)?;
    for at in first + 1..call.arguments.len() {
        result = merge(result, &all(call, at)?);
    }
    Ok(result)
}

fn store(call: &mut Call<'_>, merge: Merge) -> Answer {
    let result = merged(call, 2, merge)?;
    let count = result.len();
    call.remove(1);
    if count > 0 {
        call.put(1, Value::Set(result.into_iter().collect()), None);
    }
    Ok(Reply::count(count))
}

/// `SINTER key [key ...]`
pub(super) fn sinter(call: &mut Call<'_>) -> Answer {
    Ok(as_reply(merged(call, 1, inter)?))
}

/// `SUNION key [key ...]`
pub(super) fn sunion(call: &mut Call<'_>) -> Answer {
    Ok(as_reply(merged(call, 1, union)?))
}

/// `SDIFF key [key ...]`
pub(super) fn sdiff(call: &mut Call<'_>) -> Answer {
    Ok(as_reply(merged(call, 1, diff)?))
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(call: &mut Call<'_>) -> Answer {
    store(call, inter)
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(call: &mut Call<'_>) -> Answer {
    store(call, union)
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(call: &mut Call<'_>) -> Answer {
    store(call, diff)
}
