//! Watched: a reader that tells how far it is.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::{Event, Observer};

/// Bytes between two facts about progress.
const NEWS_BYTES: u64 = 128 << 10;

/// A reader that tells how far it is, and ends where somebody says so.
pub(super) struct Watched<'a, R> {
    inner: R,
    name: &'a str,
    observer: &'a dyn Observer,
    stopped: Option<&'a AtomicBool>,
    read: u64,
    told: u64,
}

impl<'a, R: Read> Watched<'a, R> {
    pub(super) fn new(inner: R, name: &'a str, observer: &'a dyn Observer) -> Self {
        Self { inner, name, observer, stopped: None, read: 0, told: 0 }
    }

    /// Counts from here on, where what came before was read already.
    pub(super) fn from(self, read: u64) -> Self {
        Self { read, told: read, ..self }
    }

    /// Ends with an error once the flag is set.
    pub(super) fn stopped_by(self, flag: &'a AtomicBool) -> Self {
        Self { stopped: Some(flag), ..self }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(io::Error::other("another part could not be sent"));
        }
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read >= self.told + NEWS_BYTES {
            self.told = self.read;
            let event = Event::PushProgress { name: self.name, bytes: self.read };
            self.observer.observe(&event);
        }
        Ok(count)
    }
}
