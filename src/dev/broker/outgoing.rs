//! Outgoing: messages leave a client's queue for its socket.

use std::sync::Arc;

use super::codec::{self, Delivery, Reason, Step};
use super::connection::Connection;
use super::core::now_ms;
use super::parcel::Entry;
use super::session::State;
use super::store::Change;
use crate::dev::happening::{Message, What};

impl Connection {
    /// Fills the outbox from the queue; tells whether the session is still this connection's.
    pub(super) fn fill(&mut self) -> bool {
        if self.outbox.is_full() {
            return true;
        }
        let session = Arc::clone(&self.session);
        let mut state = session.lock();
        if state.owner != self.owner {
            return false;
        }
        let mut sent = 0;
        let mut done = Vec::new();
        while !self.outbox.is_full() {
            let Some(entry) = state.pop(self.window) else { break };
            sent += 1;
            // What was for quality 0 may be the last of its message: it goes after the lock.
            done.extend(self.send(&mut state, entry));
        }
        drop(state);
        drop(done);
        if sent > 0 {
            self.hold.resize(self.outbox.capacity());
        }
        true
    }

    /// Sends an entry for the first time; gives it back if nothing more is to be done for it.
    fn send(&mut self, state: &mut State, entry: Entry) -> Option<Entry> {
        let left = entry.parcel.expires_at_ms.and_then(|_| entry.parcel.seconds_left(now_ms()));
        if left == Some(0) {
            self.core.drop_entry(state, &entry, "message expired");
            return Some(entry);
        }
        if !self.fits(&entry, left) {
            self.core.drop_entry(state, &entry, "packet is larger than the client takes");
            return Some(entry);
        }
        if entry.qos == 0 {
            self.write(&entry, 0, false, left);
            return Some(entry);
        }
        let identifier = state.begin(entry.clone());
        if entry.place > 0 {
            self.core.keep(|| Change::Sent { place: entry.place, identifier });
        }
        self.write(&entry, identifier, false, left);
        None
    }

    /// Sends again what the client did not finish before it came back.
    pub(super) fn resend(&mut self) {
        let session = Arc::clone(&self.session);
        let mut state = session.lock();
        let mut open: Vec<(u64, u16)> =
            state.open.iter().map(|(identifier, open)| (open.turn, *identifier)).collect();
        open.sort_unstable();
        for (_, identifier) in open {
            let Some(open) = state.open.get(&identifier) else { continue };
            if open.is_received {
                let packets = self.outbox.packets();
                codec::ack(packets, self.version, Step::Release, identifier, Reason::Success);
                continue;
            }
            let entry = open.entry.clone();
            let left = entry.parcel.seconds_left(now_ms());
            if self.fits(&entry, left) {
                self.write(&entry, identifier, true, left);
            } else {
                state.open.remove(&identifier);
                self.core.drop_entry(&mut state, &entry, "packet is larger than the client takes");
            }
        }
    }

    fn fits(&self, entry: &Entry, left: Option<u32>) -> bool {
        self.packet_bytes_max == usize::MAX
            || self.delivery(entry, 0, left).packet_bytes(self.version) <= self.packet_bytes_max
    }

    fn delivery<'a>(&self, entry: &'a Entry, identifier: u16, left: Option<u32>) -> Delivery<'a> {
        let message = &entry.parcel.message;
        Delivery {
            dup: false,
            qos: entry.qos,
            retain: entry.retain,
            topic: &message.topic,
            identifier,
            alias: None,
            expiry_s: left,
            subscriptions: entry.subscriptions.as_deref().unwrap_or_default(),
            forwarded: &entry.parcel.forwarded,
            payload_bytes: message.payload.len(),
        }
    }

    fn write(&mut self, entry: &Entry, identifier: u16, dup: bool, left: Option<u32>) {
        let message = &entry.parcel.message;
        let mut delivery = self.delivery(entry, identifier, left);
        delivery.dup = dup;
        if self.aliases_max > 0 {
            if let Some(alias) = self.aliases.get(&message.topic) {
                (delivery.alias, delivery.topic) = (Some(*alias), "");
            } else if self.aliases.len() < usize::from(self.aliases_max) {
                let alias = u16::try_from(self.aliases.len() + 1).expect("fewer than the maximum");
                self.aliases.insert(Arc::clone(&message.topic), alias);
                delivery.alias = Some(alias);
            }
        }
        delivery.write_head(self.outbox.packets(), self.version);
        self.outbox.payload(&message.payload);
        self.core.counters.sent.add(1);
        if self.core.bus.is_watched_closely() {
            let (client, message) = (Arc::clone(&self.client), told(entry));
            self.core.say(What::MessageDelivered { client, message });
        }
    }
}

/// A message as its receiver gets it.
pub(super) fn told(entry: &Entry) -> Message {
    Message { qos: entry.qos, retain: entry.retain, ..entry.parcel.message.clone() }
}
