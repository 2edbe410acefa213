//! Waiting: clients that wait for keys, served in the order in which they came.

use std::collections::VecDeque;

use super::call::{Call, Effects};
use super::engine::Engine;
use super::keyspace::Place;
use super::reply::Reply;
use super::session::SessionId;
use super::wait::{self, Wait};

/// Keys that are taken out in one go when their time has come.
const EXPIRED_AT_ONCE: usize = 200;

impl Engine {
    pub(super) fn wait(&mut self, id: SessionId, wait: Wait) {
        let database = self.sessions[&id].database;
        for key in &wait.keys {
            self.waiting.entry((database, key.clone())).or_default().push(id);
        }
        if let Some(until_ms) = wait.until_ms {
            self.deadlines.insert((until_ms, id));
        }
        self.session(id).wait = Some(wait);
    }

    pub(super) fn forget_wait(&mut self, id: SessionId) -> Option<Wait> {
        let session = self.sessions.get_mut(&id)?;
        let wait = session.wait.take()?;
        let database = session.database;
        for key in &wait.keys {
            let place = (database, key.clone());
            if let Some(others) = self.waiting.get_mut(&place) {
                others.retain(|other| *other != id);
                if others.is_empty() {
                    self.waiting.remove(&place);
                }
            }
        }
        if let Some(until_ms) = wait.until_ms {
            self.deadlines.remove(&(until_ms, id));
        }
        Some(wait)
    }

    /// Ends a client's wait with the given answer, or as if its time were up.
    pub(super) fn unblock(&mut self, id: SessionId, reply: Option<Reply>) -> bool {
        let Some(wait) = self.forget_wait(id) else {
            return false;
        };
        let reply = reply.unwrap_or_else(|| wait.in_vain());
        self.answer(id, &reply, true);
        self.resumed.push(id);
        true
    }

    /// Serves those who wait for keys that changed, in the order in which they came.
    pub(super) fn serve(&mut self, ready: Vec<Place>) {
        let mut ready = VecDeque::from(ready);
        while let Some(place) = ready.pop_front() {
            for id in self.waiting.get(&place).cloned().unwrap_or_default() {
                let Some(wait) = self.sessions.get(&id).and_then(|session| session.wait.clone())
                else {
                    continue;
                };
                let words = [place.1.clone()];
                let mut call = Call {
                    keys: &mut self.keys,
                    database: place.0,
                    now_ms: self.now_ms,
                    arguments: &words,
                    luck: self.luck,
                    effects: Effects::default(),
                };
                let Some(answer) = wait::serve(&mut call, &wait.what) else {
                    continue;
                };
                let mut effects = call.effects;
                // What serving takes away makes nothing ready; what it moves into another list does.
                let own = |other: &Place| *other == place;
                ready.extend(effects.ready.drain(..).filter(|other| !own(other)));
                self.journal.note(effects, self.now_ms, None, &self.keys);
                let reply = Reply::from(answer);
                let last = self.sessions[&id].last;
                self.stats.answered(last, &reply);
                self.unblock(id, Some(reply));
            }
        }
    }

    /// Serves those who wait for keys, now or at the end of the transaction that is under way.
    pub(super) fn serve_later(&mut self, ready: Vec<Place>) {
        if self.is_within {
            self.stats.ready_within.extend(ready);
        } else {
            self.serve(ready);
        }
    }

    /// Does what time brings: ends waits, and keys whose time has come.
    pub(super) fn tick(&mut self) {
        while let Some(&(until_ms, id)) = self.deadlines.first() {
            if until_ms > self.now_ms {
                break;
            }
            self.unblock(id, None);
        }
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(place) = self.keys.due(self.now_ms) else {
                break;
            };
            self.keys.remove(&place);
            self.stats.expired += 1;
            self.journal.gone(place.clone());
            self.serve(vec![place]);
        }
        self.resume();
    }
}
