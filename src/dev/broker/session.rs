//! Session: what the broker keeps for a client, whether it is connected or not.
//!
//! All of it stands behind one lock that nobody holds while waiting. A publisher adds to the queue and wakes the
//! connection's task; that task takes out what its socket has room for. So a client that does not read fills its
//! own queue and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use super::budget::{Budget, Hold, PLACE_BYTES};
use super::codec::{Reason, Version};
use super::deadlines::Deadline;
use super::limits::{Limits, WhenFull};
use super::parcel::{Entry, Parcel};
use crate::dev::happening::Client;

/// What the broker keeps for a client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client_id: Arc<str>,
    /// Its number in the store.
    pub(super) number: u64,
    /// Wakes the connection's task.
    pub(super) wake: Notify,
    state: Mutex<State>,
}

/// One filter of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) subscription: Option<u32>,
}

/// A delivery that the client has not finished.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) entry: Entry,
    /// In which order it was sent.
    pub(super) turn: u64,
    /// Whether the client has it, and only the release is open.
    pub(super) is_received: bool,
}

/// A will that waits for its time.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) parcel: Arc<Parcel>,
    pub(super) delay_s: u32,
    /// What the access knows its client by.
    pub(super) identity: Option<Arc<str>>,
}

/// What changes about a session.
#[derive(Debug)]
pub(super) struct State {
    pub(super) client: Arc<Client>,
    pub(super) version: Version,
    /// Which connection it belongs to; a task whose number is another's has been replaced.
    pub(super) owner: u64,
    pub(super) is_connected: bool,
    /// Ends the connection.
    pub(super) end: Option<oneshot::Sender<Reason>>,
    pub(super) expiry_s: u32,
    pub(super) left_at_ms: i64,
    pub(super) will: Option<Will>,
    pub(super) subscriptions: BTreeMap<Arc<str>, Options>,
    pub(super) open: BTreeMap<u16, Open>,
    /// Deliveries of quality 2 from the client that it has not released.
    pub(super) unreleased: BTreeSet<u16>,
    queue: VecDeque<Entry>,
    bytes: usize,
    /// Kept messages in the queue; they are bounded apart.
    backlog: usize,
    waiting_qos0: usize,
    next_identifier: u16,
    next_turn: u64,
    popped: u64,
    /// How many were taken out when publishers last waited in vain.
    pub(super) stuck_at: Option<u64>,
    pub(super) dropped: u64,
    pub(super) is_gone: bool,
    /// What its filters cost.
    pub(super) filters: Hold,
    /// What its places in the queue cost, in steps: a message is counted once, a place in each queue.
    hold: Hold,
    /// What waits for its time on its behalf.
    pub(super) due: Vec<Deadline>,
}

/// What became of a message for a queue.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and these gave way.
    InPlaceOf(Vec<Entry>, &'static str),
    /// It does not.
    Refused(&'static str),
    /// It does not, and the client is to be disconnected.
    Overflow,
}

impl Session {
    pub(super) fn new(
        number: u64,
        client: Arc<Client>,
        version: Version,
        (budget, filters): (&Arc<Budget>, &Arc<Budget>),
    ) -> Self {
        let state = State {
            client: Arc::clone(&client),
            version,
            owner: 0,
            is_connected: false,
            end: None,
            expiry_s: 0,
            left_at_ms: 0,
            will: None,
            subscriptions: BTreeMap::new(),
            open: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            queue: VecDeque::new(),
            bytes: 0,
            backlog: 0,
            waiting_qos0: 0,
            next_identifier: 0,
            next_turn: 0,
            popped: 0,
            stuck_at: None,
            dropped: 0,
            is_gone: false,
            filters: Hold::new(filters, 0),
            hold: Hold::new(budget, 0),
            due: Vec::new(),
        };
        let client_id = Arc::clone(&client.id);
        Self { client_id, number, wake: Notify::new(), state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a session")
    }
}

impl State {
    /// Tells whether the session outlives its connection.
    pub(super) fn is_durable(&self) -> bool {
        self.expiry_s > 0
    }

    /// Returns how many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Returns the bytes of payload that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether so much waits that publishers should let the client's task run.
    pub(super) fn is_behind(&self, limits: &Limits) -> bool {
        let sure = self.queue.len() - self.waiting_qos0 - self.backlog;
        self.is_connected
            && (sure > limits.queue_messages_max / 4
                || self.waiting_qos0 > limits.queue_messages_qos0_max / 8)
    }

    /// Returns how many messages were taken out so far.
    pub(super) fn popped(&self) -> u64 {
        self.popped
    }

    /// Adds a message to the queue, within the bounds.
    pub(super) fn push(&mut self, entry: Entry, limits: &Limits, budget: &Budget) -> Pushed {
        if entry.is_backlog {
            if self.backlog >= limits.retained_max || budget.is_spent() {
                return Pushed::Refused("too many kept messages wait");
            }
            self.append(entry);
            return Pushed::Queued;
        }
        if entry.qos == 0 {
            return self.push_qos0(entry, limits, budget);
        }
        let Some(bound) = self.bound(&entry, limits, budget) else {
            self.append(entry);
            return Pushed::Queued;
        };
        match limits.when_full {
            WhenFull::DropNewest => Pushed::Refused(bound),
            WhenFull::Disconnect if self.is_connected => Pushed::Overflow,
            WhenFull::Disconnect => Pushed::Refused(bound),
            WhenFull::DropOldest => {
                let mut gone = Vec::new();
                while let Some(now) = self.bound(&entry, limits, budget) {
                    // What others keep is not mended by emptying this queue: one out, one in.
                    if now == MEMORY_SPENT && !gone.is_empty() {
                        break;
                    }
                    let Some(oldest) = self.remove_oldest() else { break };
                    gone.push(oldest);
                }
                if self.bound(&entry, limits, budget).is_some() && gone.is_empty() {
                    return Pushed::Refused(bound);
                }
                self.append(entry);
                Pushed::InPlaceOf(gone, bound)
            }
        }
    }

    fn push_qos0(&mut self, entry: Entry, limits: &Limits, budget: &Budget) -> Pushed {
        if !self.is_connected && !limits.keeps_qos0_for_the_absent {
            return Pushed::Refused("client is away");
        }
        if self.waiting_qos0 >= limits.queue_messages_qos0_max {
            return Pushed::Refused("queue is full");
        }
        match self.bound(&entry, limits, budget) {
            // A long queue of messages of quality 1 is no reason to refuse one of quality 0.
            Some(bound) if bound != QUEUE_FULL => Pushed::Refused(bound),
            _ => {
                self.append(entry);
                Pushed::Queued
            }
        }
    }

    /// Names the bound that the queue would pass with `entry`.
    fn bound(&self, entry: &Entry, limits: &Limits, budget: &Budget) -> Option<&'static str> {
        let sure = self.queue.len() - self.waiting_qos0 - self.backlog;
        let bytes = self.bytes + entry.bytes();
        if sure >= limits.queue_messages_max {
            Some(QUEUE_FULL)
        } else if bytes > limits.queue_bytes_max && !self.queue.is_empty() {
            Some("queue has too many bytes")
        } else if budget.is_short() && bytes > SHORT_BYTES && self.queue.len() > 1 {
            Some("memory is short")
        } else if budget.is_spent() {
            Some(MEMORY_SPENT)
        } else {
            None
        }
    }

    fn append(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.backlog += usize::from(entry.is_backlog);
        self.waiting_qos0 += usize::from(is_plain_qos0(&entry));
        self.queue.push_back(entry);
        self.weigh();
    }

    /// Holds what the queue's places cost, to the next step up.
    fn weigh(&mut self) {
        const STEP: usize = 64 * PLACE_BYTES;
        let bytes = self.queue.len() * PLACE_BYTES;
        if bytes > self.hold.bytes() || bytes + 2 * STEP < self.hold.bytes() {
            self.hold.resize(bytes.div_ceil(STEP) * STEP);
        }
    }

    fn discount(&mut self, entry: &Entry) {
        self.bytes -= entry.bytes();
        self.backlog -= usize::from(entry.is_backlog);
        self.waiting_qos0 -= usize::from(is_plain_qos0(entry));
        if self.queue.is_empty() && self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
        self.weigh();
    }

    fn remove_oldest(&mut self) -> Option<Entry> {
        let place = self.queue.iter().position(|entry| !entry.is_backlog)?;
        let entry = self.queue.remove(place)?;
        self.discount(&entry);
        Some(entry)
    }

    /// Puts a message of the store back, in its order and past all bounds: it was within them when it came.
    pub(super) fn restore(&mut self, entry: Entry) {
        self.append(entry);
    }

    /// Takes the next message out that may be sent while `window` deliveries may be open.
    pub(super) fn pop(&mut self, window: u16) -> Option<Entry> {
        let next = self.queue.front()?;
        if next.qos > 0 && self.open.len() >= usize::from(window) {
            return None;
        }
        let entry = self.queue.pop_front()?;
        self.discount(&entry);
        self.popped += 1;
        Some(entry)
    }

    /// Opens a delivery and returns its identifier. There is room: the window is smaller than the numbers.
    pub(super) fn begin(&mut self, entry: Entry) -> u16 {
        loop {
            self.next_identifier = self.next_identifier.checked_add(1).unwrap_or(1);
            if !self.open.contains_key(&self.next_identifier) {
                break;
            }
        }
        self.reopen(self.next_identifier, entry, false);
        self.next_identifier
    }

    /// Opens a delivery whose identifier is known.
    pub(super) fn reopen(&mut self, identifier: u16, entry: Entry, is_received: bool) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.open.insert(identifier, Open { entry, turn, is_received });
    }

    /// Returns everything that waits or is open.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.open.values_mut().map(|open| &mut open.entry).chain(&mut self.queue)
    }

    /// Takes everything out that waits or is open.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let open = std::mem::take(&mut self.open).into_values().map(|open| open.entry);
        let queue = std::mem::take(&mut self.queue);
        (self.bytes, self.backlog, self.waiting_qos0) = (0, 0, 0);
        self.weigh();
        open.chain(queue).collect()
    }

    /// Takes messages of quality 0 out: nobody promised to keep them for a client that left.
    pub(super) fn drop_qos0(&mut self) -> Vec<Entry> {
        let all = std::mem::take(&mut self.queue);
        let (gone, kept): (VecDeque<Entry>, VecDeque<Entry>) =
            all.into_iter().partition(|entry: &Entry| entry.qos == 0);
        (self.bytes, self.backlog, self.waiting_qos0) = (0, 0, 0);
        self.weigh();
        for entry in kept {
            self.append(entry);
        }
        gone.into()
    }
}

const MEMORY_SPENT: &str = "memory is spent";
const QUEUE_FULL: &str = "queue is full";
/// What a client may have waiting while memory is short.
const SHORT_BYTES: usize = (128 << 10) + PLACE_BYTES;

fn is_plain_qos0(entry: &Entry) -> bool {
    entry.qos == 0 && !entry.is_backlog
}
