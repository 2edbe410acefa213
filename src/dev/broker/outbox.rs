//! Outbox: what is about to be written to a client's socket.

use bytes::{Buf as _, Bytes, BytesMut};

/// Payloads from this size on are written from where they are, and not copied to the others.
const LARGE_BYTES: usize = 8 << 10;
/// What is gathered before it is written.
const FULL_BYTES: usize = 32 << 10;

/// Bytes for a client, in order: small packets in one piece, then at most one large payload.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    small: BytesMut,
    large: Bytes,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Tells whether messages should wait until some of it is written.
    pub(super) fn is_full(&self) -> bool {
        !self.large.is_empty() || self.small.len() >= FULL_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }

    /// Returns the memory that it holds beside shared payloads.
    pub(super) fn capacity(&self) -> usize {
        self.small.capacity()
    }

    /// Returns where packets are written to. There must be no large payload: see `is_full`.
    pub(super) fn packets(&mut self) -> &mut BytesMut {
        if !self.large.is_empty() {
            // An acknowledgement behind a large payload: the order on the wire must hold.
            let large = std::mem::take(&mut self.large);
            self.small.extend_from_slice(&large);
        }
        &mut self.small
    }

    /// Adds a payload behind the head that was just written.
    pub(super) fn payload(&mut self, payload: &Bytes) {
        if payload.len() < LARGE_BYTES {
            self.small.extend_from_slice(payload);
        } else {
            self.large = payload.clone();
        }
    }

    /// Returns the bytes that are written next.
    pub(super) fn next(&self) -> &[u8] {
        if self.small.is_empty() { &self.large } else { &self.small }
    }

    /// Takes out what was written.
    pub(super) fn advance(&mut self, count: usize) {
        if self.small.is_empty() {
            self.large.advance(count);
            if self.large.is_empty() {
                self.large = Bytes::new();
            }
        } else {
            self.small.advance(count);
        }
        if self.small.is_empty() {
            self.small.clear();
        }
    }

    /// Gives memory back that an idle client does not need.
    pub(super) fn shrink(&mut self) {
        if self.small.is_empty() {
            self.small = BytesMut::new();
        }
    }
}
