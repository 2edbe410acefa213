//! Counters: what the broker did so far; `$SYS`, the page and tests read them.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn take_away(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the broker did so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients that are connected now.
    pub connected: Counter,
    /// Connections that were let in.
    pub connections: Counter,
    /// Connections that were refused.
    pub refused: Counter,
    /// Messages that clients published.
    pub received: Counter,
    /// Messages that were sent to clients.
    pub sent: Counter,
    /// Messages that did not reach a client they were for.
    pub dropped: Counter,
    /// Publications and subscriptions that were denied.
    pub denied: Counter,
    /// Bytes that came in.
    pub bytes_received: Counter,
    /// Bytes that went out.
    pub bytes_sent: Counter,
    /// Connections that were closed for a fault of the client's.
    pub faults: Counter,
}
