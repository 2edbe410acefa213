//! Outlet: what waits for a client to read it: bounded, for one and for all.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::BytesMut;
use tokio::sync::Notify;

use crate::limits::STREAMS_ALL_OUTPUT_BYTES_MAX;

/// With more than this lying about, a client's next commands wait.
pub(super) const CALM_BYTES: usize = 1 << 20;

/// The way from the server's one writer to a client.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: Mutex<BytesMut>,
    /// Bytes in the queue and on their way into the socket.
    waiting: AtomicUsize,
    all: Arc<AtomicUsize>,
    is_ending: AtomicBool,
    is_known: AtomicBool,
    /// The server wants to hear when there is room again.
    wants_room: AtomicBool,
    /// There is something to write, or nothing ever will be.
    pub(super) filled: Notify,
    /// The commands that were sent have been run.
    pub(super) done: Notify,
}

impl Outlet {
    pub(super) fn new(all: Arc<AtomicUsize>, is_known: bool) -> Self {
        Self {
            queue: Mutex::default(),
            waiting: AtomicUsize::new(0),
            all,
            is_ending: AtomicBool::new(false),
            is_known: AtomicBool::new(is_known),
            wants_room: AtomicBool::new(false),
            filled: Notify::new(),
            done: Notify::new(),
        }
    }

    /// Adds bytes; `false` where all clients together leave no room for them.
    pub(super) fn push(&self, bytes: &[u8]) -> bool {
        let before = self.all.fetch_add(bytes.len(), Ordering::Relaxed);
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        self.queue.lock().expect("nobody panics with it").extend_from_slice(bytes);
        self.filled.notify_one();
        before + bytes.len() <= STREAMS_ALL_OUTPUT_BYTES_MAX
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> BytesMut {
        std::mem::take(&mut *self.queue.lock().expect("nobody panics with it"))
    }

    /// Notes that bytes were read by the client; tells whether the server waits for that.
    pub(super) fn sent(&self, bytes: usize) -> bool {
        self.all.fetch_sub(bytes, Ordering::Relaxed);
        let left = self.waiting.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        left < CALM_BYTES && self.wants_room.swap(false, Ordering::AcqRel)
    }

    /// Asks to be told once there is room; `false` if there is some already.
    pub(super) fn ask_for_room(&self) -> bool {
        self.wants_room.store(true, Ordering::Release);
        let is_full = self.waiting_bytes() >= CALM_BYTES;
        if !is_full {
            self.wants_room.store(false, Ordering::Release);
        }
        is_full
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the connection once all is written.
    pub(super) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.filled.notify_one();
        self.done.notify_one();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    pub(super) fn set_known(&self, is_known: bool) {
        self.is_known.store(is_known, Ordering::Release);
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.waiting.get_mut(), Ordering::Relaxed);
    }
}
