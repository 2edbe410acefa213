//! Parcel: a message on its way through the broker, shared by all who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::budget::{Budget, Hold, MESSAGE_BYTES};
use super::store::Store;
use crate::dev::happening::Message;

/// A message with what only the broker needs.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) message: Message,
    /// Properties that go on as they came.
    pub(super) forwarded: Bytes,
    /// When it is too old to be delivered.
    pub(super) expires_at_ms: Option<i64>,
    /// Whether the store has written it; only the store's thread sets it.
    is_written: AtomicBool,
    store: Option<Store>,
    _hold: Hold,
}

impl Parcel {
    pub(super) fn new(
        message: Message,
        forwarded: Bytes,
        expires_at_ms: Option<i64>,
        budget: &Arc<Budget>,
        store: Option<Store>,
    ) -> Self {
        let bytes = message.payload.len() + message.topic.len() + forwarded.len() + MESSAGE_BYTES;
        let hold = Hold::new(budget, bytes);
        let is_written = AtomicBool::new(false);
        Self { message, forwarded, expires_at_ms, is_written, store, _hold: hold }
    }

    pub(super) fn is_written(&self) -> bool {
        self.is_written.load(Ordering::Relaxed)
    }

    pub(super) fn set_written(&self) {
        self.is_written.store(true, Ordering::Relaxed);
    }

    /// Returns how many seconds it has left; `None` if it lives for ever, 0 if its time is over.
    pub(super) fn seconds_left(&self, now_ms: i64) -> Option<u32> {
        let left_ms = self.expires_at_ms?.saturating_sub(now_ms).max(0);
        Some(u32::try_from(left_ms.div_euclid(1000) + i64::from(left_ms % 1000 > 0)).unwrap_or(u32::MAX))
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if self.is_written()
            && let Some(store) = &self.store
        {
            store.forget_message(self.message.id);
        }
    }
}

/// A place in a client's queue.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) parcel: Arc<Parcel>,
    /// The numbers of the subscriptions that it is for.
    pub(super) subscriptions: Option<Arc<[u32]>>,
    /// Its place in the store, or 0.
    pub(super) place: u64,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Whether it was kept before the client subscribed: then it counts to no bound of live messages.
    pub(super) is_backlog: bool,
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        self.parcel.message.payload.len() + super::budget::PLACE_BYTES
    }
}
