//! Samples: the broker's counters, second by second, for small plots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::dev::broker::Handle;

/// Seconds that are remembered.
pub(super) const SECONDS: usize = 300;

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) denied: u64,
    pub(super) connected: u64,
    pub(super) memory: u64,
}

/// The newest samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<VecDeque<Sample>>);

impl Sample {
    pub(super) fn of(broker: &Handle) -> Self {
        let counters = broker.counters();
        Self {
            received: counters.received.get(),
            sent: counters.sent.get(),
            dropped: counters.dropped.get(),
            denied: counters.denied.get(),
            connected: counters.connected.get(),
            memory: broker.memory_used() as u64,
        }
    }
}

impl Samples {
    fn push(&self, sample: Sample) {
        let mut samples = self.0.lock().expect("nothing panics while it holds these");
        if samples.len() > SECONDS {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns a number of each sample.
    pub(super) fn levels(&self, of: fn(&Sample) -> u64) -> Vec<u64> {
        self.0.lock().expect("nothing panics while it holds these").iter().map(of).collect()
    }

    /// Returns by how much a number rose from each sample to the next.
    pub(super) fn rises(&self, of: fn(&Sample) -> u64) -> Vec<u64> {
        let levels = self.levels(of);
        levels.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }
}

/// Takes a sample every second until the page stops.
pub(super) async fn run(samples: Arc<Samples>, broker: Handle, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => samples.push(Sample::of(&broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_plotted_by_what_it_rose_each_second() {
        let samples = Samples::default();
        for received in [5, 5, 8, 2] {
            samples.push(Sample { received, ..Sample::default() });
        }
        assert_eq!(samples.rises(|sample| sample.received), [0, 3, 0]);
        for _ in 0..1000 {
            samples.push(Sample::default());
        }
        assert_eq!(samples.rises(|sample| sample.received).len(), SECONDS);
    }
}
