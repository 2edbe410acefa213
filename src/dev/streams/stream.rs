//! Stream: entries in the order of their ids, and the groups that read them.
//!
//! Entries lie in nodes of up to a hundred, filled as Redis fills its own: trimming with `~` takes whole nodes
//! only, and what it leaves is the same here as there.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::group::Group;
use super::id::{Id, Wanted};
use super::packed;
use super::refusal::Refusal;

/// Bytes that bookkeeping takes for each entry and each of its texts.
const ENTRY_BYTES: usize = 48;
const TEXT_BYTES: usize = 32;

/// One entry: names and values in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) fields: Box<[Bytes]>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    entries: Vec<Entry>,
    /// Entries that were deleted one by one; they still fill the node.
    gone: usize,
    /// Bytes that Redis would need for the node.
    packed_bytes: usize,
    /// The names of its first entry.
    names: Vec<Bytes>,
}

/// How large a node may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeLimits {
    /// Bytes; 0 for no bound of its own.
    pub(super) bytes_max: usize,
    /// Entries; 0 for no bound.
    pub(super) entries_max: usize,
}

/// What is to be cut off at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    /// All but the newest.
    Length(u64),
    /// What is older than an id.
    Before(Id),
}

/// How it is to be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) trim: Trim,
    /// Whole nodes only.
    pub(super) is_rough: bool,
    /// Entries that may go at once; 0 for all.
    pub(super) limit: u64,
}

/// A stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    nodes: BTreeMap<Id, Node>,
    pub(super) length: u64,
    pub(super) last_id: Id,
    /// The first entry that is left, `0-0` if none is.
    pub(super) first_id: Id,
    pub(super) max_deleted_id: Id,
    pub(super) entries_added: u64,
    pub(super) groups: BTreeMap<Bytes, Group>,
    entries_bytes: usize,
}

impl Stream {
    /// Finds the id of the next entry.
    pub(super) fn resolve(&self, wanted: Wanted, now_ms: u64) -> Result<Id, Refusal> {
        if self.last_id == Id::MAX {
            return Err(Refusal::err(
                "The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let following = self.last_id.next().unwrap_or(Id::MAX);
        let id = match wanted {
            Wanted::Exactly(id) => id,
            Wanted::Any if now_ms > self.last_id.ms => Id { ms: now_ms, seq: 0 },
            Wanted::Any => following,
            Wanted::Within(ms) if ms != self.last_id.ms => Id { ms, seq: 0 },
            // The sequence of this millisecond is used up.
            Wanted::Within(ms) if following.ms != ms => self.last_id,
            Wanted::Within(_) => following,
        };
        if id <= self.last_id {
            return Err(Refusal::err(
                "The ID specified in XADD is equal or smaller than the target stream top item",
            ));
        }
        Ok(id)
    }

    /// Appends an entry behind all others.
    pub(super) fn append(&mut self, id: Id, fields: Box<[Bytes]>, limits: NodeLimits) {
        let names = || fields.iter().step_by(2);
        let is_full = self.nodes.last_key_value().is_none_or(|(_, node)| {
            let new_bytes: usize = fields.iter().map(Bytes::len).sum();
            let bytes_max = if limits.bytes_max == 0 { usize::MAX } else { limits.bytes_max };
            node.packed_bytes.saturating_add(new_bytes) >= bytes_max
                || (limits.entries_max > 0 && node.entries.len() + node.gone >= limits.entries_max)
        });
        let first = if is_full { Some(id) } else { None };
        let (master, node) = match first {
            Some(first) => {
                let node = Node {
                    packed_bytes: packed::node(names()),
                    names: names().cloned().collect(),
                    ..Node::default()
                };
                self.nodes.insert(first, node);
                (first, self.nodes.get_mut(&first).expect("it was just put there"))
            }
            None => {
                let mut last = self.nodes.last_entry().expect("a node that is not full is there");
                let master = *last.key();
                let _ = last.get_mut();
                (master, last.into_mut())
            }
        };
        node.packed_bytes += packed::entry(master, id, &fields, &node.names);
        self.entries_bytes += entry_bytes(&fields);
        node.entries.push(Entry { id, fields });
        self.length += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
    }

    /// Runs through the entries from `start` to `end`, both included.
    pub(super) fn range(&self, start: Id, end: Id) -> impl DoubleEndedIterator<Item = &Entry> {
        let low = self.nodes.range(..=start).next_back().map_or(start, |(first, _)| *first);
        // A range whose end lies before its start is empty, and not to be asked of a tree.
        let nodes = (start <= end).then(|| self.nodes.range(low..=end));
        nodes.into_iter().flatten().flat_map(move |(_, node)| {
            let from = node.entries.partition_point(|entry| entry.id < start);
            let to = node.entries.partition_point(|entry| entry.id <= end);
            &node.entries[from..to]
        })
    }

    pub(super) fn get(&self, id: Id) -> Option<&Entry> {
        self.range(id, id).next()
    }

    /// Returns the newest entry's id.
    pub(super) fn newest(&self) -> Option<Id> {
        self.nodes.last_key_value().and_then(|(_, node)| Some(node.entries.last()?.id))
    }

    /// Deletes one entry; tells whether it was there.
    pub(super) fn delete(&mut self, id: Id) -> bool {
        let Some((first, node)) = self.nodes.range_mut(..=id).next_back() else {
            return false;
        };
        let Ok(at) = node.entries.binary_search_by_key(&id, |entry| entry.id) else {
            return false;
        };
        let entry = node.entries.remove(at);
        node.gone += 1;
        let first = *first;
        if node.entries.is_empty() {
            self.nodes.remove(&first);
        }
        self.entries_bytes -= entry_bytes(&entry.fields);
        self.length -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        self.find_first();
        true
    }

    /// Cuts off the front; returns how many entries went.
    pub(super) fn trim(&mut self, cut: Cut) -> u64 {
        let mut gone = 0;
        while let Some((first, node)) = self.nodes.first_key_value() {
            let first = *first;
            let in_node = node.entries.len() as u64;
            if matches!(cut.trim, Trim::Length(kept) if self.length <= kept)
                || (cut.limit > 0 && gone + in_node > cut.limit)
            {
                break;
            }
            let goes_whole = match cut.trim {
                Trim::Length(kept) => self.length - in_node >= kept,
                Trim::Before(id) => node.entries.last().is_none_or(|entry| entry.id < id),
            };
            if goes_whole {
                let node = self.nodes.remove(&first).expect("it was just seen");
                self.entries_bytes -=
                    node.entries.iter().map(|e| entry_bytes(&e.fields)).sum::<usize>();
                self.length -= in_node;
                gone += in_node;
                continue;
            }
            if !cut.is_rough {
                gone += self.trim_within(first, cut.trim);
            }
            break;
        }
        if gone > 0 {
            self.find_first();
        }
        gone
    }

    fn trim_within(&mut self, first: Id, trim: Trim) -> u64 {
        let node = self.nodes.get_mut(&first).expect("the caller saw it");
        let count = match trim {
            Trim::Length(kept) => usize::try_from(self.length - kept).unwrap_or(usize::MAX),
            Trim::Before(id) => node.entries.partition_point(|entry| entry.id < id),
        };
        for entry in node.entries.drain(..count) {
            self.entries_bytes -= entry_bytes(&entry.fields);
        }
        node.gone += count;
        self.length -= count as u64;
        count as u64
    }

    fn find_first(&mut self) {
        let first = self.nodes.first_key_value().and_then(|(_, node)| node.entries.first());
        self.first_id = first.map_or(Id::MIN, |entry| entry.id);
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Counts the bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        let groups = self.groups.iter().map(|(name, group)| name.len() + group.weight());
        self.entries_bytes + groups.sum::<usize>()
    }

    /// Tells whether something between `start` and the end was deleted.
    pub(super) fn has_gap_after(&self, start: Id) -> bool {
        self.length > 0
            && self.max_deleted_id != Id::MIN
            && self.first_id <= self.max_deleted_id
            && start <= self.max_deleted_id
    }

    /// Counts the entries that were ever added up to `id`, where that can be known.
    pub(super) fn place_of(&self, id: Id) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if (self.length == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id {
            return None;
        }
        let has_no_gap = self.max_deleted_id == Id::MIN || self.max_deleted_id < self.first_id;
        match has_no_gap {
            true if id < self.first_id => Some(self.entries_added - self.length),
            true if id == self.first_id => Some(self.entries_added - self.length + 1),
            _ => None,
        }
    }

    /// Counts what a group has still to read, where that can be known.
    pub(super) fn lag(&self, group: &Group) -> Option<i64> {
        let added = i64::try_from(self.entries_added).unwrap_or(i64::MAX);
        if self.entries_added == 0 {
            return Some(0);
        }
        match group.entries_read {
            Some(read) if !self.has_gap_after(group.last_id) => Some(added - read),
            _ => {
                let place = self.place_of(group.last_id)?;
                Some(added - i64::try_from(place).unwrap_or(i64::MAX))
            }
        }
    }
}

fn entry_bytes(fields: &[Bytes]) -> usize {
    ENTRY_BYTES + fields.iter().map(|text| TEXT_BYTES + text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 3 };

    fn stream(count: u64) -> Stream {
        let mut stream = Stream::default();
        for ms in 1..=count {
            stream.append(Id { ms, seq: 0 }, Box::new(["f".into(), "v".into()]), LIMITS);
        }
        stream
    }

    fn ids(stream: &Stream) -> Vec<u64> {
        stream.range(Id::MIN, Id::MAX).map(|entry| entry.id.ms).collect()
    }

    #[test]
    fn a_rough_cut_takes_whole_nodes_only() {
        let mut stream = stream(10);
        let cut = Cut { trim: Trim::Length(5), is_rough: true, limit: 0 };
        assert_eq!(stream.trim(cut), 3);
        assert_eq!(ids(&stream), [4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(stream.trim(Cut { is_rough: false, ..cut }), 2);
        assert_eq!(ids(&stream), [6, 7, 8, 9, 10]);
        assert_eq!(stream.first_id.ms, 6);
    }

    #[test]
    fn deleted_entries_still_fill_their_node() {
        let mut stream = stream(2);
        stream.delete(Id { ms: 1, seq: 0 });
        for ms in 3..=4 {
            stream.append(Id { ms, seq: 0 }, Box::new(["f".into(), "v".into()]), LIMITS);
        }
        assert_eq!(stream.node_count(), 2);
        assert_eq!(stream.max_deleted_id.ms, 1);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_list_would(
            count in 0_u64..40,
            deleted in prop::collection::vec(1_u64..40, 0..20),
            kept in 0_u64..40,
            (start, end) in (0_u64..42, 0_u64..42),
        ) {
            let mut stream = stream(count);
            let mut list: Vec<u64> = (1..=count).collect();
            for ms in deleted {
                let was_there = list.contains(&ms);
                list.retain(|&other| other != ms);
                prop_assert_eq!(stream.delete(Id { ms, seq: 0 }), was_there);
            }
            stream.trim(Cut { trim: Trim::Length(kept), is_rough: false, limit: 0 });
            let over = list.len().saturating_sub(usize::try_from(kept).unwrap());
            list.drain(..over);
            prop_assert_eq!(ids(&stream), list.clone());
            prop_assert_eq!(stream.length, list.len() as u64);
            prop_assert_eq!(stream.first_id.ms, list.first().copied().unwrap_or(0));
            list.retain(|ms| (start..=end).contains(ms));
            let (start, end) = (Id { ms: start, seq: 0 }, Id { ms: end, seq: 0 });
            let seen: Vec<u64> = stream.range(start, end).map(|entry| entry.id.ms).collect();
            prop_assert_eq!(&seen, &list);
            let back: Vec<u64> = stream.range(start, end).rev().map(|entry| entry.id.ms).collect();
            list.reverse();
            prop_assert_eq!(back, list);
            stream.trim(Cut { trim: Trim::Length(0), is_rough: false, limit: 0 });
            prop_assert_eq!(stream.weight(), 0);
        }
    }
}
