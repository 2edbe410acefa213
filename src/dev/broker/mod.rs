//! Broker: MQTT 3.1, 3.1.1 and 5 for the desk.
//!
//! A message is put into one allocation and handed on by counting: from the publisher's task into the bounded
//! queue of every session that wants it, and from there by the session's own task to its socket. No task ever
//! waits for another's client. What does not fit is dropped, counted and said with its reason.

pub mod codec;
pub mod fuzz;

mod budget;
mod connection;
mod core;
mod counters;
mod deadlines;
mod handshake;
mod incoming;
mod limits;
mod listen;
mod outbox;
mod outgoing;
mod parcel;
mod registry;
mod route;
mod session;
mod store;
mod storms;
mod stream;
mod subscribing;
mod sys;
mod tree;
mod view;
mod websocket;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::core::{Core, now_ms};
use super::access::Access;
use super::bus::Bus;
use super::error::DevError;
use super::happening::Message;
use store::{Store, Writer};

pub use counters::{Counter, Counters};
pub use limits::{Limits, Overlap, WhenDenied, WhenFull};
pub use listen::{Dress, Listener, tls};
pub use view::{SessionView, filter_matches};

/// A broker that runs.
#[derive(Debug)]
pub struct Broker {
    core: Arc<Core>,
    addresses: Vec<SocketAddr>,
    writer: Option<Writer>,
    listening: JoinSet<()>,
    places: Arc<Semaphore>,
    places_count: u32,
}

/// A way to speak to a running broker from the same process.
#[derive(Debug, Clone)]
pub struct Handle {
    core: Arc<Core>,
}

/// Starts a broker on `listeners`; with a `state` directory it takes up what was kept there.
///
/// # Errors
/// Where a socket or the database refuses.
pub fn serve(
    listeners: Vec<Listener>,
    access: Arc<dyn Access>,
    bus: Bus,
    limits: Limits,
    state: Option<&Path>,
) -> Result<Broker, DevError> {
    let store = state.map(|_| Store::new());
    let core = Arc::new(Core::new(access, bus, limits, store.clone()));
    let mut writer = None;
    if let (Some(state), Some(store)) = (state, store) {
        let path = state.join("broker.sqlite");
        let database = store::open(&path)?;
        let loaded = store::load(&database, &store, (&core.budget, &core.filters))
            .map_err(|error| DevError::of_database(&path, error))?;
        core.take_back(loaded);
        writer = Some(store.start(database)?);
    }
    let places_count = u32::try_from(core.limits.connections_max).unwrap_or(u32::MAX >> 4);
    let places = Arc::new(Semaphore::new(places_count as usize));
    let (mut listening, mut addresses) = (JoinSet::new(), Vec::new());
    for Listener { socket, dress } in listeners {
        let listener = listen::adopt(socket)?;
        addresses.extend(listen::address(&listener));
        listening.spawn(listen::run(Arc::clone(&core), listener, dress, Arc::clone(&places)));
    }
    listening.spawn(deadlines::run(Arc::clone(&core)));
    listening.spawn(sys::run(Arc::clone(&core)));
    listening.spawn(storms::run(Arc::clone(&core)));
    Ok(Broker { core, addresses, writer, listening, places, places_count })
}

impl Broker {
    /// Returns where it listens, in the order of its listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns a way to speak to it.
    pub fn handle(&self) -> Handle {
        Handle { core: Arc::clone(&self.core) }
    }

    /// Tells every client, writes everything down and ends.
    pub async fn stop(mut self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        self.core.stop.cancel();
        while self.listening.join_next().await.is_some() {}
        // Each connection holds a place until it is over.
        let all = self.places.acquire_many(self.places_count);
        drop(tokio::time::timeout(PATIENCE, all).await);
        if let Some(writer) = self.writer.take() {
            drop(tokio::task::spawn_blocking(|| writer.close()).await);
        }
    }
}

impl Handle {
    /// Publishes a message of the stack itself.
    pub fn publish(&self, topic: &str, payload: Bytes, qos: u8, retain: bool) {
        let message = Message {
            id: self.core.number(),
            topic: topic.into(),
            payload,
            qos,
            retain,
            dup: false,
            from: None,
            at_ms: now_ms(),
        };
        let parcel = self.core.parcel(message, Bytes::new(), None);
        self.core.publish_parcel(&parcel, None);
    }

    /// Returns what the broker did so far.
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Returns the bytes of all messages that wait or are kept.
    pub fn memory_used(&self) -> usize {
        self.core.budget.used()
    }

    /// Returns what keeps the broker from writing to its database, if something does.
    pub fn trouble(&self) -> Option<String> {
        self.core.store.as_ref()?.trouble()
    }

    /// Looks at up to `limit` sessions, in the order of their clients' names.
    pub fn sessions(&self, limit: usize) -> Vec<SessionView> {
        self.core.view_sessions(limit)
    }

    /// Returns up to `limit` kept messages whose topics a filter wants.
    pub fn retained(&self, filter: &str, limit: usize) -> Vec<Message> {
        let found = self.core.retained_for(filter).into_iter().take(limit);
        found.map(|parcel| parcel.message.clone()).collect()
    }

    /// Ends a client's connection; tells whether it had one.
    pub fn disconnect(&self, client_id: &str) -> bool {
        let session = self.core.sessions().get(client_id).cloned();
        let end = session.and_then(|session| session.lock().end.take());
        end.is_some_and(|end| end.send(codec::Reason::AdministrativeAction).is_ok())
    }
}
