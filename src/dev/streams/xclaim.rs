//! Xclaim: the commands by which a consumer takes over what another one left.

use super::call::{Answer, Call};
use super::group::Pending;
use super::id::Id;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::{Entry, Stream};
use super::xgroup::no_group;
use super::xread::{entry, joined};

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

fn shown(found: &Entry, is_just_id: bool) -> Reply {
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
