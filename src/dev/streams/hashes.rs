//! Hashes: the commands of hashes.

use super::call::{Answer, Call, integer};
use super::keys::{Scan, scanned};
use super::keyspace::Table;
use super::refusal::Refusal;
use super::reply::Reply;

/// `HSET key field value [field value ...]`
pub(super) fn hset(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(set(call, "hset")?))
}

/// `HMSET key field value [field value ...]`
pub(super) fn hmset(call: &mut Call<'_>) -> Answer {
    set(call, "hmset")?;
    Ok(Reply::OK)
}

fn set(call: &mut Call<'_>, command: &str) -> Result<usize, Refusal> {
    let words = call.arguments;
    if !words.len().is_multiple_of(2) {
        return Err(Refusal::arity(command));
    }
    let hash = call.change_or_make::<Table>(1)?;
    let pairs = words[2..].chunks_exact(2);
    let count = pairs.filter(|pair| hash.insert(pair[0].clone(), pair[1].clone())).count();
    call.touch(1);
    Ok(count)
}

/// `HSETNX key field value`
pub(super) fn hsetnx(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    if call.read::<Table>(1)?.is_some_and(|hash| hash.all().contains_key(&words[2])) {
        return Ok(Reply::Integer(0));
    }
    hset(call)
}

/// `HGET key field`
pub(super) fn hget(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let value = call.read::<Table>(1)?.and_then(|hash| hash.all().get(&words[2]));
    Ok(value.map_or(Reply::Null, |value| Reply::Bulk(value.clone())))
}

/// `HMGET key field [field ...]`
pub(super) fn hmget(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let hash = call.read::<Table>(1)?;
    let one = |field| {
        let value = hash.and_then(|hash| hash.all().get(field));
        value.map_or(Reply::Null, |value| Reply::Bulk(value.clone()))
    };
    Ok(Reply::Array(words[2..].iter().map(one).collect()))
}

/// `HGETALL key`
pub(super) fn hgetall(call: &mut Call<'_>) -> Answer {
    let hash = call.read::<Table>(1)?;
    let pairs = hash.into_iter().flat_map(|hash| hash.all());
    let pairs = pairs.map(|(name, value)| (Reply::Bulk(name.clone()), Reply::Bulk(value.clone())));
    Ok(Reply::Map(pairs.collect()))
}

/// `HKEYS key`
pub(super) fn hkeys(call: &mut Call<'_>) -> Answer {
    let hash = call.read::<Table>(1)?;
    Ok(Reply::bulks(hash.into_iter().flat_map(|hash| hash.all().keys().cloned())))
}

/// `HVALS key`
pub(super) fn hvals(call: &mut Call<'_>) -> Answer {
    let hash = call.read::<Table>(1)?;
    Ok(Reply::bulks(hash.into_iter().flat_map(|hash| hash.all().values().cloned())))
}

/// `HLEN key`
pub(super) fn hlen(call: &mut Call<'_>) -> Answer {
    Ok(Reply::count(call.read::<Table>(1)?.map_or(0, |hash| hash.all().len())))
}

/// `HEXISTS key field`
pub(super) fn hexists(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    Ok(Reply::flag(call.read::<Table>(1)?.is_some_and(|hash| hash.all().contains_key(&words[2]))))
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let value = call.read::<Table>(1)?.and_then(|hash| hash.all().get(&words[2]));
    Ok(Reply::count(value.map_or(0, bytes::Bytes::len)))
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let Some(hash) = call.change::<Table>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let count = words[2..].iter().filter(|field| hash.remove(field)).count();
    if count > 0 {
        call.touch(1);
    }
    Ok(Reply::count(count))
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let amount = call.integer(3)?;
    let before = call.read::<Table>(1)?.and_then(|hash| hash.all().get(&words[2]));
    let before = before.map_or(Ok(0), |text| integer(text));
    let before = before.map_err(|_| Refusal::err("hash value is not an integer"))?;
    let sum = before.checked_add(amount);
    let sum = sum.ok_or_else(|| Refusal::err("increment or decrement would overflow"))?;
    let hash = call.change_or_make::<Table>(1)?;
    hash.insert(words[2].clone(), sum.to_string().into());
    call.touch(1);
    Ok(Reply::Integer(sum))
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn hscan(call: &mut Call<'_>) -> Answer {
    let scan = Scan::parse(call, 2, false)?;
    let hash = call.read::<Table>(1)?;
    let (cursor, found) = scan.page(hash.into_iter().flat_map(|hash| hash.all().keys()));
    let values = |name| hash.and_then(|hash| hash.all().get(name)).cloned().unwrap_or_default();
    let pairs = found.into_iter().flat_map(|name| [name.clone(), values(name)]);
    Ok(scanned(cursor, pairs.map(Reply::Bulk).collect()))
}
