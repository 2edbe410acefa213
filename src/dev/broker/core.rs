//! Core: what all connections of a broker share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::limits::Limits;
use super::parcel::{Entry, Parcel};
use super::session::{Session, State};
use super::store::{Change, Store};
use super::storms::{Blow, Storm};
use super::tree::Tree;
use crate::dev::access::Access;
use crate::dev::bus::Bus;
use crate::dev::happening::{Client, Message, What};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) limits: Limits,
    pub(super) access: Arc<dyn Access>,
    pub(super) bus: Bus,
    pub(super) counters: Counters,
    pub(super) budget: Arc<Budget>,
    /// Bytes that the filters of all clients cost.
    pub(super) filters: Arc<Budget>,
    /// Bytes of packets that have come in part, of all clients together.
    pub(super) reading: Arc<Budget>,
    pub(super) store: Option<Store>,
    pub(super) tree: RwLock<Tree>,
    /// Moves with every change of the tree, so that a connection may remember who wants a topic.
    pub(super) generation: AtomicU64,
    pub(super) retained: RwLock<BTreeMap<Arc<str>, Arc<Parcel>>>,
    pub(super) deadlines: Deadlines,
    pub(super) drops: Storm,
    /// What rules denied; apart, so that neither storm hides the topics of the other.
    pub(super) denials: Storm,
    pub(super) started: Instant,
    pub(super) stop: CancellationToken,
    sessions: Mutex<HashMap<Arc<str>, Arc<Session>>>,
    numbers: AtomicU64,
}

impl Core {
    pub(super) fn new(
        access: Arc<dyn Access>,
        bus: Bus,
        limits: Limits,
        store: Option<Store>,
    ) -> Self {
        // Numbers rise from run to run too, and stay below what a JSON number holds exactly.
        let first = u64::try_from(now_ms()).unwrap_or(0) << 12;
        Self {
            access,
            bus,
            counters: Counters::default(),
            budget: Arc::new(Budget::new(limits.budget_bytes)),
            filters: Arc::new(Budget::new(limits.filters_bytes)),
            reading: Arc::new(Budget::new(limits.reading_bytes)),
            limits,
            store,
            tree: RwLock::default(),
            generation: AtomicU64::new(1),
            retained: RwLock::default(),
            deadlines: Deadlines::default(),
            drops: Storm::default(),
            denials: Storm::default(),
            started: Instant::now(),
            stop: CancellationToken::new(),
            sessions: Mutex::default(),
            numbers: AtomicU64::new(first),
        }
    }

    /// Returns a number that was never given before.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Session>>> {
        self.sessions.lock().expect("nothing panics while it holds the sessions")
    }

    /// Hands a change to the store, if there is one, and returns its number.
    pub(super) fn keep(&self, change: impl FnOnce() -> Change) -> u64 {
        self.store.as_ref().map_or(0, |store| store.push(change()))
    }

    /// Says what happened.
    pub(super) fn say(&self, what: What) {
        self.bus.say(now_ms(), what);
    }

    /// Counts and says that a message will not reach a client, and forgets its place.
    pub(super) fn drop_entry(&self, state: &mut State, entry: &Entry, reason: &'static str) {
        state.dropped += 1;
        self.say_dropped(&state.client, &entry.parcel, reason);
        self.forget_place(entry);
    }

    pub(super) fn say_dropped(&self, client: &Arc<Client>, parcel: &Parcel, reason: &'static str) {
        self.counters.dropped.add(1);
        let (message, blow) = (&parcel.message, Blow::Dropped(reason));
        let bytes = message.payload.len() as u64;
        if let Some(what) = self.drops.add(client, &message.topic, blow, bytes) {
            self.say(what);
        }
    }

    /// Counts and says that a rule denied a client an action.
    pub(super) fn say_denied(
        &self,
        client: &Arc<Client>,
        action: &'static str,
        topic: &Arc<str>,
        rule: &Arc<str>,
    ) {
        self.counters.denied.add(1);
        let blow = Blow::Denied(action, Arc::clone(rule));
        if let Some(what) = self.denials.add(client, topic, blow, 0) {
            self.say(what);
        }
    }

    pub(super) fn forget_place(&self, entry: &Entry) {
        if entry.place > 0 {
            self.keep(|| Change::Done { place: entry.place });
        }
    }

    /// Makes a message ready for its way.
    pub(super) fn parcel(
        &self,
        message: Message,
        forwarded: Bytes,
        expiry_s: Option<u32>,
    ) -> Arc<Parcel> {
        let expires_at_ms = expiry_s.map(|seconds| message.at_ms + i64::from(seconds) * 1000);
        let store = self.store.clone();
        Arc::new(Parcel::new(message, forwarded, expires_at_ms, &self.budget, store))
    }
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
