//! Events: everything that happens in the stack, kept in SQLite, searched, served as Elasticsearch and passed on.
//!
//! One file holds it (`schema`). `sink` writes behind the traffic, `search` reads for people, `elastic` answers those
//! who know Elasticsearch, and `forward` passes the log on to a real Elasticsearch, a real Redis or a file, from
//! where each had got to.

mod elastic;
mod entry;
mod forward;
pub mod fuzz;
mod leaf;
mod log;
mod schema;
mod search;
mod sink;
mod when;

#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::log::{Bounds, Log};
use super::bus::Bus;
use super::error::DevError;
use super::web::{Guard, Web};

pub use forward::{Credentials, Forwards, Index, Target};
pub use search::{Forwarded, Line, Reader, Totals, Wish};
pub use sink::{Flusher, Things};
pub(crate) use when::{now_ms, read_since, text as time_text};

/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(8);
/// Readers that may wait at once for what happened to be written.
const ASKING_MAX: usize = 64;
/// How long one that passes events on may take to end.
const COURIER_MAX: Duration = Duration::from_secs(2);

/// The events of a stack that runs. Call [`Events::stop`] once its bus is gone.
#[derive(Debug)]
pub struct Events {
    log: Arc<Log>,
    sink: JoinHandle<()>,
    flusher: Flusher,
    web: Web,
    couriers: Vec<std::thread::JoinHandle<()>>,
}

impl Events {
    /// Begins to keep what is said on `bus` in the directory `state`, and serves it as Elasticsearch on `socket` to
    /// whom `guard` lets in, and passes it on as `forwards` says.
    ///
    /// # Errors
    /// Where the log cannot be opened, or the socket cannot be served.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        bus: &Bus,
        state: &Path,
        socket: TcpListener,
        guard: &Guard,
        forwards: &Forwards,
    ) -> Result<Self, DevError> {
        let log = Arc::new(Log::open(state, Bounds::default())?);
        let router = elastic::router(Arc::clone(&log));
        let web = Web::guarded("elasticsearch", socket, router, guard)?;
        let (asking, asked) = mpsc::channel(ASKING_MAX);
        let (watch, things) = (sink::watch(bus), forwards.things.clone());
        let sink = tokio::spawn(sink::run(watch, Arc::clone(&log), things, asked));
        let couriers = forward::start(&log, forwards)?;
        Ok(Self { log, sink, flusher: Flusher(asking), web, couriers })
    }

    /// Returns where it speaks Elasticsearch.
    pub fn address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Returns a way to read what was written, beside the writing.
    ///
    /// # Errors
    /// Where the log cannot be opened once more.
    pub fn reader(&self) -> Result<Reader, DevError> {
        Reader::at(self.log.path())
    }

    /// Returns a way to have all written that happened so far.
    pub fn flusher(&self) -> Flusher {
        self.flusher.clone()
    }

    /// Returns a way to see what keeps the log from being written, if something does.
    pub fn trouble(&self) -> impl Fn() -> Option<String> + Send + 'static + use<> {
        let log = Arc::clone(&self.log);
        move || log.trouble()
    }

    /// Ends it; what was said on the bus is on the disk.
    pub async fn stop(self) {
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.web.stop().await;
        self.log.close();
        let couriers = self.couriers;
        let all =
            tokio::task::spawn_blocking(|| couriers.into_iter().for_each(|one| drop(one.join())));
        // One that waits for an answer ends with the process, and sends the same again next time.
        drop(tokio::time::timeout(COURIER_MAX, all).await);
    }
}
