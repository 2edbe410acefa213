//! Desk: what the page reads.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::samples::Samples;
use super::watching::Watching;
use crate::dev::access::Book;
use crate::dev::services::Supervised;
use crate::dev::{Service, Troubles, broker, events, streams, things};

/// What every page may look at.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) services: Vec<Service>,
    pub(super) troubles: Troubles,
    pub(super) broker: broker::Handle,
    pub(super) streams: streams::Inlet,
    pub(super) log: Arc<events::Reader>,
    pub(super) things: things::View,
    pub(super) book: Book,
    pub(super) supervised: Supervised,
    pub(super) watching: Arc<Watching>,
    pub(super) samples: Arc<Samples>,
    /// Places for live views.
    pub(super) lives: Arc<Semaphore>,
    /// Who reads files of logs: one at a time, for that takes memory.
    pub(super) reading: Arc<Semaphore>,
    pub(super) started: Instant,
}
