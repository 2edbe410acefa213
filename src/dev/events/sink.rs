//! Sink: writes what is said on the bus into the log, behind the traffic and in batches.
//!
//! What is rare (connects, subscriptions, refusals, drops, operations) is always written. What comes once a message
//! is rationed: up to [`BURST`] at once and [`A_SECOND`] a second from then on, where each counts for one and for one
//! more a KiB of its payload. The rest is not even queued; the log says how many it left out, as an entry of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::entry::Entry;
use super::log::Log;
use super::when;
use crate::dev::{Bus, Client, Happening, Interest, Watch, What};

/// Happenings that may wait for the log, rationed ones and rare ones.
const ROOM: usize = 16_384;
/// What may come once a message at once, and every second.
const BURST: i64 = 8_192;
const A_SECOND: i64 = 1_000;
/// Happenings that are written in one transaction.
const AT_ONCE: usize = 1_024;
/// How long the first of a batch waits for company.
const BEHIND: Duration = Duration::from_millis(20);
/// How often the log says that something was left out while that goes on.
const GAP_EVERY: Duration = Duration::from_secs(1);

/// Names the thing that a client is, where it is one.
type FindThing = dyn Fn(&Client) -> Option<Arc<str>> + Send + Sync;

/// Finds the thing behind a client, where things are let in.
#[derive(Clone)]
pub struct Things(Arc<FindThing>);

impl Things {
    /// Finds things by asking `find`.
    pub fn by(find: impl Fn(&Client) -> Option<Arc<str>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// Takes down what happened, with the thing that came or went.
    fn entry(&self, happening: &Happening) -> Entry {
        let mut entry = Entry::of(happening);
        if let What::ClientConnected { client, .. } | What::ClientDisconnected { client, .. } =
            &happening.what
            && let Some(thing) = (self.0)(client)
        {
            entry.document.insert("thing_id".into(), (*thing).into());
        }
        entry
    }
}

impl Default for Things {
    fn default() -> Self {
        Self::by(|_| None)
    }
}

impl std::fmt::Debug for Things {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Things").finish_non_exhaustive()
    }
}

/// Begins to watch `bus`, with the first ration.
pub(super) fn watch(bus: &Bus) -> Watch {
    let watch = bus.watch(Interest::Rationed, ROOM);
    watch.allow(BURST, BURST);
    watch
}

/// Who waits until all is written that happened so far.
type Asker = oneshot::Sender<()>;

/// A way to have all written that happened so far.
#[derive(Debug, Clone)]
pub struct Flusher(pub(super) mpsc::Sender<Asker>);

impl Flusher {
    /// Has it written, if the disk takes it. Blocks; not for tasks.
    pub fn flush(&self) {
        let (asker, written) = oneshot::channel();
        // A log that is closed has written all of it.
        if self.0.blocking_send(asker).is_ok() {
            let _ = written.blocking_recv();
        }
    }
}

/// Writes until the bus is gone.
pub(super) async fn run(
    mut watch: Watch,
    log: Arc<Log>,
    things: Things,
    mut asked: mpsc::Receiver<Asker>,
) {
    let mut gap = Gap::default();
    let mut refilled = Instant::now();
    loop {
        let (mut batch, mut asker) = (Vec::new(), None);
        let next = tokio::select! {
            next = tokio::time::timeout(GAP_EVERY, watch.next_many(&mut batch, AT_ONCE)) => next.ok(),
            Some(waiting) = asked.recv() => {
                asker = Some(waiting);
                None
            }
        };
        let has_ended = next == Some(0);
        if asker.is_some() {
            watch.take(&mut batch, ROOM);
        } else if !batch.is_empty() && batch.len() < AT_ONCE {
            tokio::time::sleep(BEHIND).await;
            watch.take(&mut batch, AT_ONCE);
        }
        let entry = gap.say(watch.lost(), has_ended);
        if !batch.is_empty() || entry.is_some() {
            gap.failed += write(&log, &things, batch, entry).await;
        }
        // Who no longer waits need not be told.
        asker.map(|asker| asker.send(()));
        if has_ended {
            return;
        }
        let passed = refilled.elapsed();
        let more = i64::try_from(passed.as_millis()).unwrap_or(BURST) * A_SECOND / 1000;
        if more > 0 {
            refilled += passed;
            watch.allow(more, BURST);
        }
    }
}

/// Writes a batch, and returns how many of it could not be.
async fn write(
    log: &Arc<Log>,
    things: &Things,
    batch: Vec<Arc<Happening>>,
    gap: Option<Entry>,
) -> u64 {
    let count = batch.len() as u64;
    let (log, things) = (Arc::clone(log), things.clone());
    let written = tokio::task::spawn_blocking(move || {
        let entries: Vec<Entry> =
            batch.iter().map(|happening| things.entry(happening)).chain(gap).collect();
        log.append(&entries)
    });
    match written.await {
        Ok(Ok(())) => 0,
        // A full disk, for one: what was not written is said once it can be.
        Ok(Err(_)) | Err(_) => count,
    }
}

/// What the log does not have and has not said yet.
#[derive(Default)]
struct Gap {
    /// How many the watch had lost when the log last said so.
    said: u64,
    at: Option<Instant>,
    /// Those that the disk refused.
    failed: u64,
}

impl Gap {
    fn say(&mut self, lost: u64, is_last: bool) -> Option<Entry> {
        let count = lost - self.said + self.failed;
        let is_due = is_last || self.at.is_none_or(|at| at.elapsed() >= GAP_EVERY);
        if count == 0 || !is_due {
            return None;
        }
        let reason = if self.failed > 0 { "the disk refused" } else { "more than the log takes" };
        *self = Self { said: lost, at: Some(Instant::now()), failed: 0 };
        Some(Entry::gap(count, reason, when::now_ms()))
    }
}
