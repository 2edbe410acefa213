//! Sink: writes what is said on the bus into the log, behind the traffic and in batches.
//!
//! What is rare (connects, subscriptions, refusals, drops, operations) is always written. What comes once a message
//! is rationed: up to [`BURST`] at once and [`A_SECOND`] a second from then on, where each counts for one and for one
//! more a KiB of its payload. The rest is not even queued; the log says how many it left out, as an entry of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::Entry;
use super::log::Log;
use super::when;
use crate::dev::{Bus, Happening, Interest, Watch};

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

/// Begins to watch `bus`, with the first ration.
pub(super) fn watch(bus: &Bus) -> Watch {
    let watch = bus.watch(Interest::Rationed, ROOM);
    watch.allow(BURST, BURST);
    watch
}

/// Writes until the bus is gone.
pub(super) async fn run(mut watch: Watch, log: Arc<Log>) {
    let mut gap = Gap::default();
    let mut refilled = Instant::now();
    loop {
        let mut batch = Vec::new();
        let next = tokio::time::timeout(GAP_EVERY, watch.next_many(&mut batch, AT_ONCE)).await;
        let has_ended = next == Ok(0);
        if !batch.is_empty() && batch.len() < AT_ONCE {
            tokio::time::sleep(BEHIND).await;
            watch.take(&mut batch, AT_ONCE);
        }
        let entry = gap.say(watch.lost(), has_ended);
        if !batch.is_empty() || entry.is_some() {
            gap.failed += write(&log, batch, entry).await;
        }
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
async fn write(log: &Arc<Log>, batch: Vec<Arc<Happening>>, gap: Option<Entry>) -> u64 {
    let count = batch.len() as u64;
    let log = Arc::clone(log);
    let written = tokio::task::spawn_blocking(move || {
        let entries: Vec<Entry> =
            batch.iter().map(|happening| Entry::of(happening)).chain(gap).collect();
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
