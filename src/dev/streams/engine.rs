//! Engine: the one writer. It owns all keys and knows all clients; commands run one after the other, as in Redis.
//!
//! What came in together is run together, written to the disk in one transaction, and answered only then: what a
//! client was told is there survives a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::admission::{find, is_about_transactions};
use super::call::{Call, Effects};
use super::journal::Journal;
use super::keyspace::{Keyspace, Place};
use super::outlet::{CALM_BYTES, Outlet};
use super::password::Password;
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::session::{Session, SessionId};
use super::stats::Stats;
use super::table::{self, Command, Nature, Run};
use super::wait::Wait;
use crate::limits::{STREAMS_CLIENTS_MAX, STREAMS_LISTENER_BYTES_MAX, STREAMS_OUTPUT_BYTES_MAX};

/// The writer's state.
pub(super) struct Engine {
    pub(super) keys: Keyspace,
    pub(super) journal: Journal,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// Who waits for a key, in the order in which they came.
    pub(super) waiting: BTreeMap<Place, Vec<SessionId>>,
    pub(super) deadlines: BTreeSet<(u64, SessionId)>,
    /// Clients with something to be written out.
    pub(super) marked: BTreeSet<SessionId>,
    /// Clients whose next commands may go on.
    pub(super) resumed: Vec<SessionId>,
    pub(super) password: Option<Password>,
    pub(super) stats: Stats,
    pub(super) now_ms: u64,
    pub(super) luck: u64,
    /// Why nothing can be written to the disk at present.
    pub(super) stuck: Option<String>,
    /// Within `EXEC` nobody waits.
    pub(super) is_within: bool,
}

impl Engine {
    pub(super) fn new(
        keys: Keyspace,
        journal: Journal,
        password: Option<Password>,
        now_ms: u64,
    ) -> Self {
        Self {
            keys,
            journal,
            sessions: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            marked: BTreeSet::new(),
            resumed: Vec::new(),
            password,
            stats: Stats::new(now_ms),
            now_ms,
            luck: now_ms | 1,
            stuck: None,
            is_within: false,
        }
    }

    pub(super) fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions.get_mut(&id).expect("commands come from clients that are there")
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.sessions.iter()
    }

    pub(super) fn waiting(&self) -> &BTreeMap<Place, Vec<SessionId>> {
        &self.waiting
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub(super) fn is_password(&mut self, password: &[u8]) -> bool {
        self.password.as_mut().is_none_or(|known| known.is(password))
    }

    pub(super) fn version(&self, place: &Place) -> u64 {
        let held = self.keys.get(place.0, &place.1);
        // A key whose time has come is no longer there, though nobody looked at it yet.
        let is_over = held.and_then(|held| held.expires_ms).is_some_and(|end| end <= self.now_ms);
        if is_over { 0 } else { self.keys.version(place.0, &place.1) }
    }

    /// Notes that a client has something to be written out.
    pub(super) fn mark(&mut self, id: SessionId) {
        self.marked.insert(id);
    }

    /// Lets a client in, or tells it that there are too many.
    pub(super) fn open(&mut self, id: SessionId, outlet: Arc<Outlet>, peer: String) {
        if self.sessions.len() >= STREAMS_CLIENTS_MAX {
            outlet.push(b"-ERR max number of clients reached\r\n");
            outlet.end();
            return;
        }
        self.stats.connections += 1;
        let is_known = self.password.is_none();
        outlet.set_known(is_known);
        let session = Session::new(Arc::clone(&outlet), peer, self.now_ms, is_known);
        self.sessions.insert(id, session);
        outlet.done.notify_one();
    }

    /// Forgets a client.
    pub(super) fn close(&mut self, id: SessionId) {
        self.forget_wait(id);
        self.marked.remove(&id);
        if let Some(session) = self.sessions.remove(&id) {
            session.outlet.end();
        }
    }

    /// Tells a client that it cannot be understood, and ends it.
    pub(super) fn broken(&mut self, id: SessionId, text: &str) {
        if !self.sessions.contains_key(&id) {
            return;
        }
        self.answer(id, &Reply::Error(Refusal::err(text)), false);
        self.session(id).is_ending = true;
    }

    /// Takes a client's commands and runs what can be run.
    pub(super) fn requests(&mut self, id: SessionId, requests: Vec<Request>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.requests.extend(requests);
        self.proceed(id);
        self.resume();
    }

    /// Goes on with a client whose answers were read.
    pub(super) fn drained(&mut self, id: SessionId) {
        self.proceed(id);
        self.resume();
    }

    /// Runs commands that no client sent.
    pub(super) fn inject(&mut self, requests: Vec<Request>) {
        for request in requests {
            if let Some(command) = table::find(table::COMMANDS, &request[0])
                && let Run::Keys(run) = command.run
            {
                let _ = self.run_keys(command, run, 0, &request);
            }
        }
        self.resume();
    }

    pub(super) fn resume(&mut self) {
        while let Some(id) = self.resumed.pop() {
            self.proceed(id);
        }
    }

    fn proceed(&mut self, id: SessionId) {
        loop {
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            if session.wait.is_some() {
                return;
            }
            if session.is_ending {
                session.requests.clear();
            }
            if !session.requests.is_empty() && session.out.len() >= CALM_BYTES {
                // The rest waits until this much was written out.
                return;
            }
            let Some(request) = session.requests.pop_front() else {
                session.outlet.done.notify_one();
                return;
            };
            let was_write = self.run(id, request);
            if let Some((reply, is_write)) = was_write {
                self.answer(id, &reply, is_write);
            }
        }
    }

    /// Puts an answer where it waits for the commit.
    pub(super) fn answer(&mut self, id: SessionId, reply: &Reply, is_write: bool) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let bound = if session.listens() || session.is_monitor {
            STREAMS_LISTENER_BYTES_MAX
        } else {
            STREAMS_OUTPUT_BYTES_MAX
        };
        if session.outlet.waiting_bytes() + session.out.len() + reply.bytes() > bound {
            self.stats.dropped_clients += 1;
            session.is_ending = true;
            session.requests.clear();
            session.out.clear();
            session.writes.clear();
        } else {
            let start = session.out.len();
            reply.write(session.protocol, &mut session.out);
            if is_write {
                session.writes.push(start..session.out.len());
            }
        }
        self.marked.insert(id);
    }

    /// Runs one command of a client; `None`: it waits, and nothing is answered yet.
    fn run(&mut self, id: SessionId, request: Request) -> Option<(Reply, bool)> {
        let (command, full) = match find(&request) {
            Ok(found) => found,
            Err(refusal) => return Some((self.refused(id, None, refusal), false)),
        };
        if let Err(refusal) = self.admits(id, command, &full, &request) {
            return Some((self.refused(id, Some(&full), refusal), false));
        }
        if self.sessions[&id].transaction.is_some() && !is_about_transactions(command.name) {
            return Some((self.queue(id, request), false));
        }
        self.session(id).last = command.name;
        self.tell_monitors(id, command.name, &request);
        let is_write = matches!(command.nature, Nature::Writes | Nature::Grows);
        let reply = self.run_admitted(id, command, &full, &request)?;
        Some((reply, is_write || command.name == "exec"))
    }

    fn run_admitted(
        &mut self,
        id: SessionId,
        command: &'static Command,
        full: &str,
        request: &Request,
    ) -> Option<Reply> {
        self.stats.called(full);
        let reply = match command.run {
            Run::Keys(run) => {
                let database = self.sessions[&id].database;
                let (reply, wait) = self.run_keys(command, run, database, request);
                if let Some(wait) = wait.filter(|_| !self.is_within) {
                    self.wait(id, wait);
                    return None;
                }
                reply
            }
            Run::Client(run) => run(self, id, request).into(),
            Run::Within(_) => unreachable!("a subcommand was found, or the command refused"),
        };
        self.stats.answered(full, &reply);
        Some(reply)
    }

    /// Runs a function of keys, and what follows from it.
    fn run_keys(
        &mut self,
        command: &Command,
        run: fn(&mut Call<'_>) -> super::call::Answer,
        database: usize,
        request: &Request,
    ) -> (Reply, Option<Wait>) {
        self.luck = self.luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut call = Call {
            keys: &mut self.keys,
            database,
            now_ms: self.now_ms,
            arguments: request,
            luck: self.luck >> 16,
            effects: Effects::default(),
        };
        let reply = run(&mut call).into();
        let mut effects = call.effects;
        let wait = effects.wait.take();
        let is_of_one = command.keys.0 == command.keys.1 && command.keys.0 > 0;
        let ready = std::mem::take(&mut effects.ready);
        self.journal.note(effects, self.now_ms, is_of_one.then_some(request), &self.keys);
        self.serve_later(ready);
        (reply, wait)
    }

    /// Runs the commands of a transaction.
    pub(super) fn run_all(&mut self, id: SessionId, requests: Vec<Request>) -> Reply {
        self.is_within = true;
        let mut replies = Vec::new();
        for request in requests {
            let Ok((command, full)) = find(&request) else {
                continue;
            };
            self.tell_monitors(id, command.name, &request);
            let reply = match self.is_disk_full(command) {
                Err(refusal) => self.refused(id, Some(&full), refusal),
                Ok(()) => self
                    .run_admitted(id, command, &full, &request)
                    .expect("nobody waits within a transaction"),
            };
            replies.push(reply);
        }
        self.is_within = false;
        let ready = std::mem::take(&mut self.stats.ready_within);
        self.serve(ready);
        Reply::Array(replies)
    }

    fn refused(&mut self, id: SessionId, full: Option<&str>, refusal: Refusal) -> Reply {
        if let Some(transaction) = &mut self.session(id).transaction {
            transaction.is_broken = true;
        }
        let reply = Reply::Error(refusal);
        self.stats.rejected(full, &reply);
        reply
    }

    /// Says when time brings something next.
    pub(super) fn next_tick(&self) -> Option<u64> {
        let wait = self.deadlines.first().map(|(until_ms, _)| *until_ms);
        let retry = self.stuck.as_ref().map(|_| self.now_ms + 1000);
        [wait, self.keys.next_end(), retry].into_iter().flatten().min()
    }

    /// Commits what was done, then lets the answers out.
    pub(super) fn finish(&mut self) {
        match self.journal.commit(&self.keys, self.now_ms) {
            Ok(()) => self.stuck = None,
            Err(error) => {
                let reason = error.to_string();
                let refusal =
                    Refusal::new(format!("MISCONF Errors writing to the AOF file: {reason}"));
                for session in self.sessions.values_mut() {
                    withdraw(session, &refusal);
                }
                self.stuck = Some(reason);
            }
        }
        let mut again = Vec::new();
        for id in std::mem::take(&mut self.marked) {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            session.writes.clear();
            let has_room = session.outlet.push(&session.out.split());
            session.is_ending |= !has_room;
            if session.is_ending {
                self.close(id);
            } else if !session.requests.is_empty()
                && session.wait.is_none()
                && !session.outlet.ask_for_room()
            {
                again.push(id);
            }
        }
        self.resumed.extend(again);
    }

    /// Tells whether something is left to be done at once.
    pub(super) fn has_more(&self) -> bool {
        !self.resumed.is_empty()
    }
}

/// Takes back what was answered to writes that did not reach the disk.
fn withdraw(session: &mut Session, refusal: &Refusal) {
    if session.writes.is_empty() {
        return;
    }
    let said = session.out.split();
    let mut end = 0;
    for write in session.writes.drain(..) {
        session.out.extend_from_slice(&said[end..write.start]);
        Reply::Error(refusal.clone()).write(session.protocol, &mut session.out);
        end = write.end;
    }
    session.out.extend_from_slice(&said[end..]);
}
