//! Watching: the messages that the page remembers: only while somebody looks, and a little longer.
//!
//! To watch every message costs the broker something, so it is done only on demand: a request for a page of messages
//! asks for a minute of it, an open live view for as long as it is open. What was remembered goes when the watching
//! ends, so that a desk where nobody looks holds nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::dev::ring::Ring;
use crate::dev::{Bus, Interest, Message, What};
use crate::limits::{PAGE_MESSAGES_BYTES_MAX, PAGE_PAYLOAD_BYTES_MAX};

/// Happenings that may wait to be remembered.
const ROOM: usize = 8192;
const AT_ONCE: usize = 512;
/// How long messages are watched after the last request.
const LINGER: Duration = Duration::from_secs(60);
/// How often it is looked whether somebody still wants it.
const LOOK: Duration = Duration::from_secs(1);
/// What a row takes beside its texts.
const ROW_BYTES: usize = 256;

/// A message that was published while somebody looked.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) id: u64,
    pub(super) at_ms: i64,
    pub(super) topic: Arc<str>,
    /// The payload or its beginning; copied, so that it holds no one's buffer.
    pub(super) payload: Box<[u8]>,
    /// How long all of the payload is.
    pub(super) bytes: usize,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) client: Option<Arc<str>>,
}

/// What the page remembers.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) messages: Ring<Seen>,
    attention: Mutex<Attention>,
    wake: Notify,
    /// Since when messages are watched; 0 while they are not.
    since_ms: AtomicI64,
    messages_lost: AtomicU64,
}

#[derive(Debug)]
struct Attention {
    open: usize,
    until: Instant,
}

/// A live view that wants messages, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Watching>);

impl Watching {
    pub(super) fn new() -> Self {
        Self {
            messages: Ring::new(PAGE_MESSAGES_BYTES_MAX),
            attention: Mutex::new(Attention { open: 0, until: Instant::now() }),
            wake: Notify::new(),
            since_ms: AtomicI64::new(0),
            messages_lost: AtomicU64::new(0),
        }
    }

    fn attention(&self) -> MutexGuard<'_, Attention> {
        self.attention.lock().expect("nothing panics while it holds this")
    }

    /// Asks for messages for a while.
    pub(super) fn attend(&self) {
        self.attention().until = Instant::now() + LINGER;
        self.wake.notify_one();
    }

    /// Asks for messages until the seat is dropped, and a little longer.
    pub(super) fn seat(watching: &Arc<Self>) -> Seat {
        watching.attention().open += 1;
        watching.attend();
        Seat(Arc::clone(watching))
    }

    fn is_wanted(&self) -> bool {
        let attention = self.attention();
        attention.open > 0 || attention.until > Instant::now()
    }

    /// Returns since when messages are watched, in milliseconds since 1970.
    pub(super) fn since_ms(&self) -> Option<i64> {
        Some(self.since_ms.load(Ordering::Relaxed)).filter(|since_ms| *since_ms > 0)
    }

    /// Returns how many messages came faster than they could be remembered.
    pub(super) fn messages_lost(&self) -> u64 {
        self.messages_lost.load(Ordering::Relaxed)
    }

    fn remember(&self, message: &Message) {
        let payload = &message.payload[..message.payload.len().min(PAGE_PAYLOAD_BYTES_MAX)];
        let bytes = ROW_BYTES + payload.len() + message.topic.len();
        let seen = Seen {
            id: message.id,
            at_ms: message.at_ms,
            topic: Arc::clone(&message.topic),
            payload: payload.into(),
            bytes: message.payload.len(),
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            client: message.from.as_ref().map(|from| Arc::clone(&from.id)),
        };
        self.messages.push(seen, bytes);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.attention().open -= 1;
        self.0.attend();
    }
}

/// Remembers messages while somebody wants them.
pub(super) async fn messages(watching: Arc<Watching>, bus: Bus, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = watching.wake.notified() => {}
        }
        if !watching.is_wanted() {
            continue;
        }
        let mut watch = bus.watch(Interest::All, ROOM);
        watching.since_ms.store(now_ms(), Ordering::Relaxed);
        let mut batch = Vec::new();
        while watching.is_wanted() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
                count = watch.next_many(&mut batch, AT_ONCE) => if count == 0 { return },
            }
            for happening in batch.drain(..) {
                if let What::MessagePublished { message } = &happening.what {
                    watching.remember(message);
                }
            }
            watching.messages_lost.store(watch.lost(), Ordering::Relaxed);
        }
        drop(watch);
        watching.since_ms.store(0, Ordering::Relaxed);
        watching.messages.clear();
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
