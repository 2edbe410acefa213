//! Bus: carries what happens to everyone who watches, and never waits for any of them.
//!
//! A watcher has a bounded queue. What does not fit is lost for that watcher alone, and counted.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
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
    /// All, but of those that come once a message only as many as [`Watch::allow`] lets through; the others are
    /// counted as lost, and cost next to nothing.
    Rationed,
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
    tally: Arc<Tally>,
}

/// What a watcher's two ends have in common.
#[derive(Debug, Default)]
struct Tally {
    lost: AtomicU64,
    /// The weight that may still come, of a rationed watcher.
    allowed: AtomicI64,
}

/// A watcher's end.
#[derive(Debug)]
pub struct Watch {
    queue: mpsc::Receiver<Arc<Happening>>,
    tally: Arc<Tally>,
}

impl Bus {
    /// Tells whether anybody wants what comes once a message.
    pub fn is_watched_closely(&self) -> bool {
        self.shared.eager.load(Ordering::Relaxed) > 0
    }

    /// Begins to watch, with room for `room` happenings.
    pub fn watch(&self, interest: Interest, room: usize) -> Watch {
        let (sender, receiver) = mpsc::channel(room);
        let tally = Arc::<Tally>::default();
        let mut watchers = self.shared.watchers.write().expect("no watcher panics");
        watchers.push(Watcher { queue: sender, interest, tally: Arc::clone(&tally) });
        self.count(&watchers);
        Watch { queue: receiver, tally }
    }

    /// Says what happened at `at_ms`.
    pub fn say(&self, at_ms: i64, what: What) {
        let is_per_message = what.is_per_message();
        if is_per_message && !self.is_watched_closely() {
            return;
        }
        // Put where all can share it only once somebody takes it.
        let (mut bare, mut shared) = (Some(what), None);
        let mut gone = false;
        for watcher in self.shared.watchers.read().expect("no watcher panics").iter() {
            let what = shared.as_ref().map(|happening: &Arc<Happening>| &happening.what);
            let weight = || what.or(bare.as_ref()).map_or(1, What::weight);
            if is_per_message && !watcher.takes(weight) {
                continue;
            }
            if let Some(what) = bare.take() {
                shared = Some(Arc::new(Happening { at_ms, what }));
            }
            let happening = shared.as_ref().expect("it was shared just now");
            match watcher.queue.try_send(Arc::clone(happening)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    watcher.tally.lost.fetch_add(1, Ordering::Relaxed);
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
        let eager = watchers.iter().filter(|watcher| watcher.interest != Interest::Rare).count();
        self.shared.eager.store(eager, Ordering::Relaxed);
    }
}

impl Watcher {
    /// Tells whether it takes something that comes once a message, and counts it against its ration.
    fn takes(&self, weight: impl Fn() -> i64) -> bool {
        match self.interest {
            Interest::All => true,
            Interest::Rare => false,
            Interest::Rationed if self.tally.allowed.load(Ordering::Relaxed) > 0 => {
                self.tally.allowed.fetch_sub(weight(), Ordering::Relaxed);
                true
            }
            Interest::Rationed => {
                self.tally.lost.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
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

    /// Takes what is there already, up to `limit` altogether.
    pub fn take(&mut self, into: &mut Vec<Arc<Happening>>, limit: usize) {
        while into.len() < limit {
            let Ok(happening) = self.queue.try_recv() else { return };
            into.push(happening);
        }
    }

    /// Returns how many did not fit so far.
    pub fn lost(&self) -> u64 {
        self.tally.lost.load(Ordering::Relaxed)
    }

    /// Lets `weight` more through of what comes once a message, to at most `most` altogether: each counts for one,
    /// and for one more a KiB of its payload, so that what waits is bounded in bytes, too.
    pub fn allow(&self, weight: i64, most: i64) {
        let allowed = &self.tally.allowed;
        let more = |now: i64| Some(now.saturating_add(weight).min(most));
        let _ = allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
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
    async fn a_ration_lets_so_much_through_and_all_that_is_rare() {
        let bus = Bus::default();
        let mut watch = bus.watch(Interest::Rationed, 8);
        let publish = |bytes: usize| {
            let payload = bytes::Bytes::from(vec![0; bytes]);
            let (topic, from) = ("t".into(), None);
            let message = crate::dev::Message {
                id: 1,
                topic,
                payload,
                qos: 0,
                retain: false,
                dup: false,
                from,
                at_ms: 0,
            };
            bus.say(0, What::MessagePublished { message });
        };
        publish(0);
        watch.allow(3, 100);
        publish(2048);
        publish(0);
        bus.say(0, operation());
        watch.allow(7, 2);
        publish(0);
        publish(0);
        publish(0);
        let mut seen = Vec::new();
        watch.take(&mut seen, 8);
        let names: Vec<_> = seen.iter().map(|happening| happening.what.name()).collect();
        assert_eq!(
            names,
            ["message_published", "thing.create", "message_published", "message_published"]
        );
        assert_eq!(watch.lost(), 3);
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
