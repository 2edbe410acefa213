//! Packed: how many bytes Redis's own layout of a node would take; only sizes, nothing is laid out.
//!
//! Nodes end at a number of bytes in this layout, and where they end decides what `~` leaves.

use bytes::Bytes;

use super::id::Id;

/// The frame around a node's elements.
const FRAME_BYTES: usize = 7;

/// Counts a new node: counters, the names of its first entry, and the end of these.
pub(super) fn node<'a>(names: impl Iterator<Item = &'a Bytes>) -> usize {
    let (count, bytes) = names.fold((0, 0), |(count, bytes), name| (count + 1, bytes + text(name)));
    FRAME_BYTES + number(1) + number(0) + number(count) + bytes + number(0)
}

/// Counts an entry in the node that begins at `first` and has `names`.
pub(super) fn entry(first: Id, id: Id, fields: &[Bytes], names: &[Bytes]) -> usize {
    let count = i64::try_from(fields.len() / 2).unwrap_or(i64::MAX);
    let is_same = fields.len() == names.len() * 2
        && fields.iter().step_by(2).zip(names).all(|(name, other)| name == other);
    let difference = |a: u64, b: u64| number(a.wrapping_sub(b).cast_signed());
    let head = number(2) + difference(id.ms, first.ms) + difference(id.seq, first.seq);
    let values: usize = fields.iter().skip(1).step_by(2).map(text).sum();
    if is_same {
        return head + values + number(count + 3);
    }
    let own_names: usize = fields.iter().step_by(2).map(text).sum();
    head + number(count) + own_names + values + number(2 * count + 4)
}

fn number(number: i64) -> usize {
    let bytes = match number {
        0..=127 => 1,
        -4096..=4095 => 2,
        -32_768..=32_767 => 3,
        -8_388_608..=8_388_607 => 4,
        -2_147_483_648..=2_147_483_647 => 5,
        _ => 9,
    };
    bytes + 1
}

fn text(text: &Bytes) -> usize {
    let as_number = std::str::from_utf8(text).ok().and_then(|text| {
        let parsed: i64 = text.parse().ok()?;
        (parsed.to_string() == text).then_some(parsed)
    });
    if let Some(as_number) = as_number {
        return number(as_number);
    }
    let bytes = match text.len() {
        length @ 0..64 => 1 + length,
        length @ 64..4096 => 2 + length,
        length => 5 + length,
    };
    bytes + back(bytes)
}

/// Counts the bytes by which a reader finds its way back over an element.
pub(super) fn back(bytes: usize) -> usize {
    match bytes {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}
