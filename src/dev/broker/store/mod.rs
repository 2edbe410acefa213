//! Store: sessions, queued and kept messages in SQLite, written behind the traffic in batches.
//!
//! One thread writes all that came in since its last transaction in the next one, so a batch is as long as a
//! commit takes. Every operation has a number; what a client is told as done waits until the number is committed.
//! A message that is delivered and acknowledged before its turn comes is never written at all.

mod load;
mod write;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::watch;

use super::codec::Version;
use super::parcel::Parcel;
use super::session::Options;
use crate::database::{self, Step, Steps};
use crate::dev::error::DevError;
use crate::dev::happening::Client;

pub(super) use load::{KeptWill, Loaded, load};

/// Operations that may wait before publishers are held back.
const BEHIND: usize = 20_000;

pub(super) const STEPS: Steps = &[Step {
    up: "
        create table session (
            number integer primary key, client_id text not null unique, username text, address text not null,
            port integer not null, version integer not null, expiry_s integer not null,
            left_at_ms integer not null);
        create table subscription (
            session integer not null, filter text not null, qos integer not null, no_local integer not null,
            as_published integer not null, number integer, primary key (session, filter)) without rowid;
        create table message (
            id integer primary key, topic text not null, payload blob not null, qos integer not null,
            retain integer not null, forwarded blob not null, expires_at_ms integer, at_ms integer not null,
            from_id text, from_username text, from_address text, from_port integer);
        create table queue (
            place integer primary key, session integer not null, message integer not null, qos integer not null,
            retain integer not null, numbers text, identifier integer, is_received integer not null default 0);
        create table retained (topic text primary key, message integer not null) without rowid;
        create table unreleased (
            session integer not null, identifier integer not null, primary key (session, identifier)) without rowid;",
    down: "
        drop table unreleased; drop table retained; drop table queue;
        drop table message; drop table subscription; drop table session;",
}, Step {
    up: "
        create table will (
            session integer primary key, message integer not null, delay_s integer not null,
            due_at_ms integer not null);",
    down: "drop table will;",
}, Step {
    up: "alter table will add column identity text;",
    down: "alter table will drop column identity;",
}];

/// One change to what is kept.
#[derive(Debug)]
pub(super) enum Change {
    Session {
        number: u64,
        client: Arc<Client>,
        version: Version,
        expiry_s: u32,
        left_at_ms: i64,
    },
    SessionGone {
        number: u64,
    },
    Subscription {
        session: u64,
        filter: Arc<str>,
        options: Options,
    },
    SubscriptionGone {
        session: u64,
        filter: Arc<str>,
    },
    Queued {
        session: u64,
        place: u64,
        parcel: Arc<Parcel>,
        qos: u8,
        retain: bool,
        numbers: Option<Arc<[u32]>>,
    },
    Sent {
        place: u64,
        identifier: u16,
    },
    Received {
        place: u64,
    },
    Done {
        place: u64,
    },
    Retained {
        parcel: Arc<Parcel>,
    },
    RetainedGone {
        topic: Arc<str>,
    },
    Unreleased {
        session: u64,
        identifier: u16,
    },
    Released {
        session: u64,
        identifier: u16,
    },
    MessageGone {
        id: u64,
    },
    /// The will of a session, whether it outlives its connection or not; due at 0 as long as that lasts.
    Will {
        session: u64,
        parcel: Arc<Parcel>,
        delay_s: u32,
        due_at_ms: i64,
        identity: Option<Arc<str>>,
    },
    WillGone {
        session: u64,
    },
}

/// Where changes are handed in.
#[derive(Debug, Clone)]
pub(super) struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    more: Condvar,
    committed: watch::Sender<u64>,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Pending {
    changes: Vec<Change>,
    /// The number of the last change.
    last: u64,
    is_closed: bool,
}

/// The writing thread; it ends when the store is closed.
#[derive(Debug)]
pub(super) struct Writer {
    thread: JoinHandle<()>,
    store: Store,
}

/// Opens the database at `path`.
pub(super) fn open(path: &Path) -> Result<Connection, DevError> {
    database::open(path, STEPS).map_err(|error| DevError::of_database(path, error))
}

impl Store {
    /// A store that takes changes, and writes them once it is started.
    pub(super) fn new() -> Self {
        let shared = Shared {
            pending: Mutex::default(),
            more: Condvar::new(),
            committed: watch::Sender::new(0),
            trouble: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the thread that writes to `database`.
    pub(super) fn start(&self, database: Connection) -> Result<Writer, DevError> {
        let store = self.clone();
        let thread = std::thread::Builder::new()
            .name("broker-store".into())
            .spawn(move || write::run(&store, database))
            .map_err(DevError::Runtime)?;
        Ok(Writer { thread, store: self.clone() })
    }

    /// Hands a change in and returns its number.
    pub(super) fn push(&self, change: Change) -> u64 {
        let mut pending = self.shared.pending.lock().expect("the writer does not panic");
        if !pending.is_closed {
            pending.last += 1;
            pending.changes.push(change);
            if pending.changes.len() == 1 {
                self.shared.more.notify_one();
            }
        }
        pending.last
    }

    /// Hands in that nobody waits for a message any more.
    pub(super) fn forget_message(&self, id: u64) {
        self.push(Change::MessageGone { id });
    }

    /// Tells whether so much waits that who sends more should wait too.
    pub(super) fn is_behind(&self) -> bool {
        self.shared.pending.lock().expect("the writer does not panic").changes.len() > BEHIND
    }

    /// Returns where the number of the last committed change is seen.
    pub(super) fn committed(&self) -> watch::Receiver<u64> {
        self.shared.committed.subscribe()
    }

    /// Returns what keeps it from writing, if something does.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().expect("the writer does not panic").clone()
    }
}

impl Writer {
    /// Writes all that was handed in, takes nothing more and ends.
    pub(super) fn close(self) {
        self.store.shared.pending.lock().expect("the writer does not panic").is_closed = true;
        self.store.shared.more.notify_one();
        // A panic of the writer was reported by the panic hook already.
        drop(self.thread.join());
    }
}
