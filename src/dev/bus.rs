//! Bus: carries what happens to everyone who watches, and never waits for any of them.
//!
//! A watcher has a bounded queue. What does not fit is lost for that watcher alone, and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use tokio::sync::mpsc;

use super::happening::{Happening, What};

/// Which happenings a watcher wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// All.
    All,
    /// All but those that come once a message.
    Rare,
}

/// Where everything that happens is said.
#[derive(Debug, Clone, Default)]
pub struct Bus {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    watchers: RwLock<Vec<Watcher>>,
    /// How many want what comes once a message: with none, it is not even put together.
    eager: AtomicUsize,
}

#[derive(Debug)]
struct Watcher {
    queue: mpsc::Sender<Arc<Happening>>,
    interest: Interest,
    lost: Arc<AtomicU64>,
}

/// A watcher's end.
#[derive(Debug)]
pub struct Watch {
    queue: mpsc::Receiver<Arc<Happening>>,
    lost: Arc<AtomicU64>,
}

impl Bus {
    /// Tells whether anybody wants what comes once a message.
    pub fn is_watched_closely(&self) -> bool {
        self.shared.eager.load(Ordering::Relaxed) > 0
    }

    /// Begins to watch, with room for `room` happenings.
    pub fn watch(&self, interest: Interest, room: usize) -> Watch {
        let (sender, receiver) = mpsc::channel(room);
        let lost = Arc::new(AtomicU64::new(0));
        let mut watchers = self.shared.watchers.write().expect("no watcher panics");
        watchers.push(Watcher { queue: sender, interest, lost: Arc::clone(&lost) });
        self.count(&watchers);
        Watch { queue: receiver, lost }
    }

    /// Says what happened at `at_ms`.
    pub fn say(&self, at_ms: i64, what: What) {
        let is_per_message = what.is_per_message();
        if is_per_message && !self.is_watched_closely() {
            return;
        }
        let happening = Arc::new(Happening { at_ms, what });
        let mut gone = false;
        for watcher in self.shared.watchers.read().expect("no watcher panics").iter() {
            if is_per_message && watcher.interest == Interest::Rare {
                continue;
            }
            match watcher.queue.try_send(Arc::clone(&happening)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    watcher.lost.fetch_add(1, Ordering::Relaxed);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => gone = true,
            }
        }
        if gone {
            let mut watchers = self.shared.watchers.write().expect("no watcher panics");
            watchers.retain(|watcher| !watcher.queue.is_closed());
            self.count(&watchers);
        }
    }

    fn count(&self, watchers: &[Watcher]) {
        let eager = watchers.iter().filter(|watcher| watcher.interest == Interest::All).count();
        self.shared.eager.store(eager, Ordering::Relaxed);
    }
}

impl Watch {
    /// Waits for the next happening; `None` once the bus is gone.
    pub async fn next(&mut self) -> Option<Arc<Happening>> {
        self.queue.recv().await
    }

    /// Takes up to `limit` happenings, waiting for the first.
    pub async fn next_many(&mut self, into: &mut Vec<Arc<Happening>>, limit: usize) -> usize {
        self.queue.recv_many(into, limit).await
    }

    /// Returns how many did not fit so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation() -> What {
        What::Operation { stream: "s", fields: vec![("operation", "thing.create".into())] }
    }

    #[tokio::test]
    async fn a_watcher_that_does_not_read_loses_its_own_and_holds_nobody_up() {
        let bus = Bus::default();
        let idle = bus.watch(Interest::All, 1);
        let mut awake = bus.watch(Interest::Rare, 8);
        for at_ms in 0..3 {
            bus.say(at_ms, operation());
        }
        assert_eq!(idle.lost(), 2);
        let mut seen = Vec::new();
        assert_eq!(awake.next_many(&mut seen, 8).await, 3);
        assert_eq!(awake.lost(), 0);
    }

    #[tokio::test]
    async fn who_left_is_forgotten() {
        let bus = Bus::default();
        let watch = bus.watch(Interest::All, 1);
        assert!(bus.is_watched_closely());
        drop(watch);
        bus.say(0, operation());
        assert!(!bus.is_watched_closely());
    }
}
