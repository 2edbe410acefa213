//! Group: consumers that share a stream's entries, and what each has taken and not yet acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::id::Id;

/// Bytes that bookkeeping takes for each.
const GROUP_BYTES: usize = 128;
const CONSUMER_BYTES: usize = 128;
const PENDING_BYTES: usize = 128;

/// An entry that somebody has and has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) consumer: Bytes,
    pub(super) delivered_ms: u64,
    pub(super) deliveries: i64,
}

/// One of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Consumer {
    pub(super) seen_ms: u64,
    pub(super) pending: BTreeSet<Id>,
}

/// A group of consumers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) last_id: Id,
    /// How many entries were read; `None` where that is not known.
    pub(super) entries_read: Option<i64>,
    pub(super) pending: BTreeMap<Id, Pending>,
    pub(super) consumers: BTreeMap<Bytes, Consumer>,
}

impl Group {
    pub(super) fn new(last_id: Id, entries_read: Option<i64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// Notes that a consumer was seen; tells whether it is new.
    pub(super) fn see(&mut self, name: &Bytes, now_ms: u64) -> bool {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now_ms;
            return false;
        }
        self.consumers.insert(name.clone(), Consumer { seen_ms: now_ms, ..Consumer::default() });
        true
    }

    /// Gives an entry to a consumer that is there, whoever had it.
    pub(super) fn give(&mut self, id: Id, pending: Pending) {
        let consumer = pending.consumer.clone();
        if let Some(before) = self.pending.insert(id, pending)
            && before.consumer != consumer
            && let Some(owner) = self.consumers.get_mut(&before.consumer)
        {
            owner.pending.remove(&id);
        }
        let owner = self.consumers.get_mut(&consumer).expect("entries go to those who were seen");
        owner.pending.insert(id);
    }

    /// Takes an entry off the list; tells whether it was on it.
    pub(super) fn settle(&mut self, id: Id) -> bool {
        let Some(pending) = self.pending.remove(&id) else {
            return false;
        };
        if let Some(owner) = self.consumers.get_mut(&pending.consumer) {
            owner.pending.remove(&id);
        }
        true
    }

    /// Removes a consumer with all that it has; returns how much that was.
    pub(super) fn remove(&mut self, name: &[u8]) -> usize {
        let Some(consumer) = self.consumers.remove(name) else {
            return 0;
        };
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        consumer.pending.len()
    }

    pub(super) fn weight(&self) -> usize {
        let consumers = self.consumers.keys().map(|name| CONSUMER_BYTES + name.len());
        GROUP_BYTES + consumers.sum::<usize>() + self.pending.len() * PENDING_BYTES
    }
}
