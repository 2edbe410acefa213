//! Budget: the bytes of all messages that wait or are kept, counted once however many wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a message costs beside its payload: its topic, its counts and a place in a queue.
pub(super) const MESSAGE_BYTES: usize = 200;
/// What one more place in a queue costs.
pub(super) const PLACE_BYTES: usize = 64;

/// The one budget of a broker.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    whole: usize,
}

impl Budget {
    pub(super) fn new(whole: usize) -> Self {
        Self { used: AtomicUsize::new(0), whole }
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Tells whether nothing more should be kept.
    pub(super) fn is_spent(&self) -> bool {
        self.used() >= self.whole
    }

    /// Tells whether long queues should give way to short ones.
    pub(super) fn is_short(&self) -> bool {
        self.used() >= self.whole / 4 * 3
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that are held until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Hold {
    pub(super) fn new(budget: &Arc<Budget>, bytes: usize) -> Self {
        budget.take(bytes);
        Self { budget: Arc::clone(budget), bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds another number of bytes from now on.
    pub(super) fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes);
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
