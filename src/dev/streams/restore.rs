//! Restore: takes a text or a stream out of what `DUMP` made of it elsewhere: Redis's own file format.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::call::{Answer, Call};
use super::group::{Consumer, Group, Pending};
use super::id::Id;
use super::keyspace::Value;
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::{NodeLimits, Stream};
use crate::limits::STREAMS_REQUEST_BYTES_MAX;

/// The newest version of the format that Redis 7.0 reads.
const VERSION_MAX: u16 = 10;
const TEXT: u8 = 0;
const STREAM: u8 = 15;
/// With a first id, a highest deleted id, and counts of what was added and read.
const STREAM_COUNTED: u8 = 19;
const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL]`
pub(super) fn restore(call: &mut Call<'_>) -> Answer {
    let (mut replaces, mut is_absolute) = (false, false);
    for at in 4..call.arguments.len() {
        match call.argument(at).to_ascii_lowercase().as_slice() {
            b"replace" => replaces = true,
            b"absttl" => is_absolute = true,
            _ => return Err(Refusal::syntax()),
        }
    }
    if !replaces && call.value(1).is_some() {
        return Err(Refusal::new("BUSYKEY Target key name already exists."));
    }
    let invalid = |_| Refusal::err("Invalid TTL value, must be >= 0");
    let ttl = u64::try_from(call.integer(2)?).map_err(invalid)?;
    let payload = checked(call.argument(3))
        .ok_or_else(|| Refusal::err("DUMP payload version or checksum are wrong"))?;
    let value = value(&mut Payload(payload), call.keys.node_limits);
    let value = value.ok_or_else(|| Refusal::err("Bad data format"))?;
    let end = if is_absolute { ttl } else { ttl.saturating_add(call.now_ms) };
    call.put(1, value, (ttl > 0).then_some(end));
    Ok(Reply::OK)
}

/// Reads a value without its checksum, as a fuzzer makes one.
pub(super) fn read(payload: &[u8]) {
    let _ = value(&mut Payload(payload), NodeLimits { bytes_max: 4096, entries_max: 100 });
}

/// Takes version and checksum off the end.
fn checked(dump: &[u8]) -> Option<&[u8]> {
    let (rest, sum) = dump.split_last_chunk::<8>()?;
    let (payload, version) = rest.split_last_chunk::<2>()?;
    let is_known = u16::from_le_bytes(*version) <= VERSION_MAX;
    (is_known && crc64(rest) == u64::from_le_bytes(*sum)).then_some(payload)
}

/// The checksum of Redis's files, bit by bit: what is restored is small.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 }
        })
    })
}

fn value(payload: &mut Payload<'_>, limits: NodeLimits) -> Option<Value> {
    let value = match payload.byte()? {
        TEXT => Value::Text(payload.text()?),
        kind @ (STREAM | STREAM_COUNTED) => Value::Stream(stream(payload, kind, limits)?),
        _ => return None,
    };
    payload.0.is_empty().then_some(value)
}

fn stream(payload: &mut Payload<'_>, kind: u8, limits: NodeLimits) -> Option<Stream> {
    let mut stream = Stream::default();
    for _ in 0..payload.length()? {
        let first = payload.text()?;
        let first = id(first.as_ref().try_into().ok()?);
        let packed = payload.text()?;
        node(&mut stream, first, &packed, limits)?;
    }
    let length = payload.length()?;
    let last_id = payload.id()?;
    if stream.length != length || stream.newest() > Some(last_id) {
        return None;
    }
    stream.last_id = last_id;
    if kind == STREAM_COUNTED {
        payload.id()?;
        stream.max_deleted_id = payload.id()?;
        stream.entries_added = payload.length()?;
    }
    for _ in 0..payload.length()? {
        let name = payload.text()?;
        let group = group(payload, &stream, kind)?;
        if stream.groups.insert(name, group).is_some() {
            return None;
        }
    }
    Some(stream)
}

fn group(payload: &mut Payload<'_>, stream: &Stream, kind: u8) -> Option<Group> {
    let last_id = payload.id()?;
    let read =
        if kind == STREAM_COUNTED { Some(payload.length()?) } else { stream.place_of(last_id) };
    // What is not known is written as -1.
    let read = read.map(u64::cast_signed).filter(|read| *read >= 0);
    let mut group = Group::new(last_id, read);
    for _ in 0..payload.length()? {
        let id = id(payload.array()?);
        let delivered_ms = u64::from_le_bytes(payload.array()?);
        let deliveries = payload.length()?.cast_signed();
        let consumer = Bytes::new();
        let pending = Pending { consumer, delivered_ms, deliveries };
        if group.pending.insert(id, pending).is_some() {
            return None;
        }
    }
    let mut owned = 0;
    for _ in 0..payload.length()? {
        let name = payload.text()?;
        let seen_ms = u64::from_le_bytes(payload.array()?);
        let mut consumer = Consumer { seen_ms, ..Consumer::default() };
        for _ in 0..payload.length()? {
            let id = id(payload.array()?);
            group.pending.get_mut(&id)?.consumer = name.clone();
            owned += usize::from(consumer.pending.insert(id));
        }
        if group.consumers.insert(name, consumer).is_some() {
            return None;
        }
    }
    // Each pending entry belongs to one consumer.
    (owned == group.pending.len()).then_some(group)
}

/// Reads a node's entries.
fn node(stream: &mut Stream, first: Id, packed: &[u8], limits: NodeLimits) -> Option<()> {
    let mut elements = Payload(packed.get(6..)?);
    let (count, deleted) = (elements.number()?, elements.number()?);
    let names = elements.number()?;
    let names = (0..names).map(|_| elements.element()).collect::<Option<Vec<Bytes>>>()?;
    elements.number()?;
    for _ in 0..count.checked_add(deleted)? {
        let flags = elements.number()?;
        let (ms, seq) = (elements.number()?, elements.number()?);
        let id = Id {
            ms: first.ms.wrapping_add(ms.cast_unsigned()),
            seq: first.seq.wrapping_add(seq.cast_unsigned()),
        };
        let mut fields = Vec::new();
        if flags & SAME_NAMES != 0 {
            for name in &names {
                fields.extend([name.clone(), elements.element()?]);
            }
        } else {
            for _ in 0..elements.number()? {
                fields.extend([elements.element()?, elements.element()?]);
            }
        }
        elements.number()?;
        if flags & DELETED == 0 {
            if id <= stream.last_id {
                return None;
            }
            stream.append(id, fields.into(), limits);
        }
    }
    (elements.0 == [0xff]).then_some(())
}

fn id(bytes: [u8; 16]) -> Id {
    let both = u128::from_be_bytes(bytes);
    Id { ms: (both >> 64) as u64, seq: both as u64 }
}

/// What is left to be read; every read is checked.
struct Payload<'a>(&'a [u8]);

impl<'a> Payload<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Reads a length, or (`Break`) the way in which a text is encoded.
    fn head(&mut self) -> Option<ControlFlow<u8, u64>> {
        let first = self.byte()?;
        let low = u64::from(first & 0x3f);
        Some(ControlFlow::Continue(match first >> 6 {
            0 => low,
            1 => low << 8 | u64::from(self.byte()?),
            2 if low == 0 => u32::from_be_bytes(self.array()?).into(),
            2 if low == 1 => u64::from_be_bytes(self.array()?),
            2 => return None,
            _ => return Some(ControlFlow::Break(first & 0x3f)),
        }))
    }

    fn length(&mut self) -> Option<u64> {
        self.head()?.continue_value()
    }

    fn id(&mut self) -> Option<Id> {
        Some(Id { ms: self.length()?, seq: self.length()? })
    }

    fn text(&mut self) -> Option<Bytes> {
        match self.head()? {
            ControlFlow::Continue(length) => {
                Some(Bytes::copy_from_slice(self.take(usize::try_from(length).ok()?)?))
            }
            ControlFlow::Break(0) => Some(i8::from_le_bytes(self.array()?).to_string().into()),
            ControlFlow::Break(1) => Some(i16::from_le_bytes(self.array()?).to_string().into()),
            ControlFlow::Break(2) => Some(i32::from_le_bytes(self.array()?).to_string().into()),
            ControlFlow::Break(3) => {
                let packed = usize::try_from(self.length()?).ok()?;
                let length = usize::try_from(self.length()?).ok()?;
                inflated(self.take(packed)?, length).map(Bytes::from)
            }
            ControlFlow::Break(_) => None,
        }
    }

    /// Reads an element of a packed list.
    fn element(&mut self) -> Option<Bytes> {
        let before = self.0.len();
        let first = self.byte()?;
        let element: Bytes = match first {
            0..=0x7f => first.to_string().into(),
            0x80..=0xbf => Bytes::copy_from_slice(self.take(usize::from(first & 0x3f))?),
            0xc0..=0xdf => {
                let number = i16::from(first & 0x1f) << 8 | i16::from(self.byte()?);
                // Thirteen bits with a sign.
                ((number << 3) >> 3).to_string().into()
            }
            0xe0..=0xef => {
                let length = usize::from(first & 0x0f) << 8 | usize::from(self.byte()?);
                Bytes::copy_from_slice(self.take(length)?)
            }
            0xf0 => {
                let length = u32::from_le_bytes(self.array()?);
                Bytes::copy_from_slice(self.take(usize::try_from(length).ok()?)?)
            }
            0xf1 => i16::from_le_bytes(self.array()?).to_string().into(),
            0xf2 => {
                let [a, b, c] = self.array()?;
                (i32::from_le_bytes([0, a, b, c]) >> 8).to_string().into()
            }
            0xf3 => i32::from_le_bytes(self.array()?).to_string().into(),
            0xf4 => i64::from_le_bytes(self.array()?).to_string().into(),
            _ => return None,
        };
        let back = super::packed::back(before - self.0.len());
        self.take(back)?;
        Some(element)
    }

    fn number(&mut self) -> Option<i64> {
        super::call::integer(&self.element()?).ok()
    }
}

/// Takes apart what LZF made: runs of bytes, and places further back to copy from.
fn inflated(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > STREAMS_REQUEST_BYTES_MAX {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = Payload(packed);
    while !rest.0.is_empty() {
        let control = usize::from(rest.byte()?);
        if control < 32 {
            out.extend_from_slice(rest.take(control + 1)?);
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(rest.byte()?);
            }
            let distance = (control & 0x1f) << 8 | usize::from(rest.byte()?);
            let start = out.len().checked_sub(distance + 1)?;
            // The copied may reach into what the copy makes.
            for at in start..start + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_run_may_reach_into_itself() {
        assert_eq!(inflated(&[0, b'a', 0xe0, 3, 0], 13).unwrap(), b"aaaaaaaaaaaaa");
        assert_eq!(inflated(&[0x20, 5], 3), None);
    }
}
