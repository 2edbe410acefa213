//! Events: everything that happens in the stack, kept in SQLite, searched, served as Elasticsearch and passed on.
//!
//! One file holds it (`schema`). `sink` writes behind the traffic, `search` reads for people, `elastic` answers those
//! who know Elasticsearch, and `forward` passes the log on to a real Elasticsearch, a real Redis or a file, from
//! where each had got to.

mod entry;
mod leaf;
mod log;
mod schema;
mod search;
mod sink;
mod when;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::log::{Bounds, Log};
use super::bus::{Bus, Interest};
use super::error::DevError;

pub use search::{Forwarded, Line, Reader, Totals, Wish};
pub(crate) use when::{now_ms, read_since, text as time_text};

/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(2);

/// The events of a stack that runs. Call [`Events::stop`] once its bus is gone.
#[derive(Debug)]
pub struct Events {
    log: Arc<Log>,
    sink: JoinHandle<()>,
}

impl Events {
    /// Begins to keep what is said on `bus` in the directory `state`.
    ///
    /// # Errors
    /// Where the log cannot be opened.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(bus: &Bus, state: &Path) -> Result<Self, DevError> {
        let log = Arc::new(Log::open(state, Bounds::default())?);
        let watch = bus.watch(Interest::Rationed, sink::ROOM);
        let sink = tokio::spawn(sink::run(watch, Arc::clone(&log)));
        Ok(Self { log, sink })
    }

    /// Ends it; what was said on the bus is on the disk.
    pub async fn stop(self) {
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.log.close();
    }
}
