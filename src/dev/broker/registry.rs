//! Registry: sessions begin, are taken up again, are left and end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::codec::{Reason, Version};
use super::core::{Core, now_ms};
use super::deadlines::Due;
use super::session::{Session, State, Will};
use super::store::{Change, KeptWill};
use crate::dev::access::Who;
use crate::dev::happening::{Client, What};

/// A client that was let in and wants its session.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) client: Arc<Client>,
    pub(super) version: Version,
    pub(super) clean: bool,
    pub(super) expiry_s: u32,
    pub(super) will: Option<Will>,
}

/// A session with a connection.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) session: Arc<Session>,
    pub(super) owner: u64,
    pub(super) was_present: bool,
    /// Says why the connection has to end.
    pub(super) end: oneshot::Receiver<Reason>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// With a DISCONNECT that withdraws the will.
    Goodbye,
    /// Any other way.
    Lost,
}

/// A client that comes back just as its will is due is still in time.
const GRACE: Duration = Duration::from_millis(200);

impl Core {
    /// Gives a client its session; `None` where there are too many.
    pub(super) fn attach(&self, arrival: Arrival) -> Option<Attached> {
        let mut sessions = self.sessions();
        let old = sessions.get(&arrival.client.id).cloned();
        // What waits for one user is not another's, though the client goes by the same name.
        let is_same = |old: &Arc<Session>| old.lock().client.username == arrival.client.username;
        let clean = arrival.clean || !old.as_ref().is_none_or(is_same);
        let mut wills = Vec::new();
        if let Some(old) = &old {
            let mut state = old.lock();
            wills.extend(self.replace_owner(old.number, &mut state, clean));
            if clean {
                let reason = if arrival.clean { "clean start" } else { "another user came" };
                self.end_session(old, &mut state, reason);
            }
        } else if sessions.len() >= self.limits.sessions_max {
            return None;
        }
        let resumed = old.filter(|_| !clean);
        let was_present = resumed.is_some();
        let session = resumed.unwrap_or_else(|| {
            let client = Arc::clone(&arrival.client);
            let budgets = (&self.budget, &self.filters);
            let session = Arc::new(Session::new(self.number(), client, arrival.version, budgets));
            sessions.insert(Arc::clone(&arrival.client.id), Arc::clone(&session));
            session
        });
        let (owner, end) = self.take_up(&session, arrival, was_present);
        drop(sessions);
        for will in wills {
            self.send_will(&will);
        }
        Some(Attached { session, owner, was_present, end })
    }

    /// Ends the connection that a session has, and gives its will back if that is due.
    fn replace_owner(&self, number: u64, state: &mut State, is_clean: bool) -> Option<Will> {
        if let Some(end) = state.end.take() {
            // Its task may have ended by itself just now.
            let _ = end.send(Reason::SessionTakenOver);
        }
        let will = state.will.take()?;
        self.keep(|| Change::WillGone { session: number });
        (is_clean || (state.is_connected && will.delay_s == 0)).then_some(will)
    }

    /// Makes the session the arrived client's.
    fn take_up(
        &self,
        session: &Arc<Session>,
        arrival: Arrival,
        was_present: bool,
    ) -> (u64, oneshot::Receiver<Reason>) {
        let (sender, end) = oneshot::channel();
        let owner = self.number();
        let mut state = session.lock();
        let was_durable = state.is_durable();
        self.deadlines.remove(&mut state.due);
        state.client = arrival.client;
        state.version = arrival.version;
        state.owner = owner;
        state.is_connected = true;
        state.end = Some(sender);
        state.expiry_s = arrival.expiry_s;
        state.will = arrival.will;
        if let Some(will) = &state.will {
            self.keep_will(session, will, 0);
        }
        if state.is_durable() {
            self.keep_session(session, &state, 0);
            if was_present && !was_durable {
                self.keep_contents(session, &mut state);
            }
        } else if was_durable {
            self.keep(|| Change::SessionGone { number: session.number });
        }
        (owner, end)
    }

    fn keep_will(&self, session: &Session, will: &Will, due_at_ms: i64) {
        self.keep(|| Change::Will {
            session: session.number,
            parcel: Arc::clone(&will.parcel),
            delay_s: will.delay_s,
            due_at_ms,
            identity: will.identity.clone(),
        });
    }

    fn keep_session(&self, session: &Session, state: &State, left_at_ms: i64) {
        self.keep(|| Change::Session {
            number: session.number,
            client: Arc::clone(&state.client),
            version: state.version,
            expiry_s: state.expiry_s,
            left_at_ms,
        });
    }

    /// Writes what a session already has that lives longer from now on.
    fn keep_contents(&self, session: &Session, state: &mut State) {
        for (filter, options) in &state.subscriptions {
            let filter = Arc::clone(filter);
            let (session, options) = (session.number, *options);
            self.keep(|| Change::Subscription { session, filter, options });
        }
        for entry in state.entries_mut().filter(|entry| entry.qos > 0 && entry.place == 0) {
            entry.place = self.number();
            self.keep(|| Change::Queued {
                session: session.number,
                place: entry.place,
                parcel: Arc::clone(&entry.parcel),
                qos: entry.qos,
                retain: entry.retain,
                numbers: entry.subscriptions.clone(),
            });
        }
    }

    /// A connection ended: the session waits for the client, or ends too.
    pub(super) fn detach(
        &self,
        session: &Arc<Session>,
        owner: u64,
        leave: Leave,
        expiry_s: Option<u32>,
    ) {
        let mut sessions = self.sessions();
        let mut state = session.lock();
        if state.owner != owner || state.is_gone {
            return;
        }
        state.is_connected = false;
        state.end = None;
        if let Some(expiry_s) = expiry_s {
            state.expiry_s = expiry_s;
        }
        let mut will = state.will.take();
        if leave == Leave::Goodbye && will.take().is_some() {
            self.keep(|| Change::WillGone { session: session.number });
        }
        let mut now = None;
        if state.is_durable() {
            state.left_at_ms = now_ms();
            if !self.limits.keeps_qos0_for_the_absent {
                for entry in state.drop_qos0() {
                    self.drop_entry(&mut state, &entry, "client is away");
                }
            }
            self.keep_session(session, &state, state.left_at_ms);
            now = self.wait_for_return(session, &mut state, will);
        } else {
            self.end_session(session, &mut state, "connection ended");
            sessions.remove(&session.client_id);
            now = now.or(will);
        }
        drop(state);
        drop(sessions);
        if let Some(will) = now {
            self.publish_will(session.number, &will);
        }
    }

    /// Sets the times at which a left session's will is published and the session ends; a will due now comes back.
    fn wait_for_return(
        &self,
        session: &Arc<Session>,
        state: &mut State,
        will: Option<Will>,
    ) -> Option<Will> {
        // Deadlines of an older leave find another owner and pass.
        state.owner = self.number();
        if state.expiry_s < u32::MAX {
            let after = Duration::from_secs(state.expiry_s.into());
            state.due.extend(self.deadlines.add(after, state.owner, session, Due::End));
        }
        let will = will?;
        if will.delay_s == 0 {
            return Some(will);
        }
        // A will whose delay is longer than the session comes with the session's end.
        if will.delay_s < state.expiry_s {
            let after = Duration::from_secs(will.delay_s.into()) + GRACE;
            state.due.extend(self.deadlines.add(after, state.owner, session, Due::Will));
        }
        let delay_s = will.delay_s.min(state.expiry_s);
        self.keep_will(session, &will, now_ms() + i64::from(delay_s) * 1000);
        state.will = Some(will);
        None
    }

    /// A will's time came.
    pub(super) fn will_is_due(&self, session: &Arc<Session>, owner: u64) {
        let will = {
            let mut state = session.lock();
            if state.owner != owner || state.is_connected {
                return;
            }
            state.will.take()
        };
        if let Some(will) = will {
            self.publish_will(session.number, &will);
        }
    }

    /// A left session's end came.
    pub(super) fn session_is_due(&self, session: &Arc<Session>, owner: u64) {
        let mut sessions = self.sessions();
        let mut state = session.lock();
        if state.owner != owner || state.is_connected || state.is_gone {
            return;
        }
        let will = state.will.take();
        self.end_session(session, &mut state, "expired");
        sessions.remove(&session.client_id);
        drop(state);
        drop(sessions);
        if let Some(will) = will {
            self.publish_will(session.number, &will);
        }
    }

    /// Ends a session for good; the caller takes it out of the list.
    fn end_session(&self, session: &Arc<Session>, state: &mut State, reason: &str) {
        state.is_gone = true;
        self.deadlines.remove(&mut state.due);
        state.is_connected = false;
        let filters = std::mem::take(&mut state.subscriptions);
        state.filters.resize(0);
        if !filters.is_empty() {
            let mut tree = self.tree.write().expect("nothing panics while it holds the tree");
            for filter in filters.keys() {
                tree.remove(filter, session);
            }
            self.generation.fetch_add(1, std::sync::atomic::Ordering::Release);
        }
        for entry in state.drain() {
            // Kept messages are still kept; the rest is lost with its session.
            if entry.qos > 0 && !entry.is_backlog && state.is_durable() {
                self.drop_entry(state, &entry, "session ended");
            } else {
                self.forget_place(&entry);
            }
        }
        if state.is_durable() {
            self.keep(|| Change::SessionGone { number: session.number });
        }
        let client = Arc::clone(&state.client);
        self.say(What::SessionTerminated { client, reason: reason.into() });
    }

    fn publish_will(&self, session: u64, will: &Will) {
        self.send_will(will);
        self.keep(|| Change::WillGone { session });
    }

    /// Sends a will on its way, as if its client published it now.
    fn send_will(&self, will: &Will) {
        let message = &will.parcel.message;
        let from = message.from.as_ref();
        if let Some((from, ip)) = from.and_then(|from| Some((from, from.address.parse().ok()?))) {
            let who = Who {
                client_id: Arc::clone(&from.id),
                username: from.username.clone(),
                peer: SocketAddr::new(ip, from.port),
                is_superuser: false,
                identity: will.identity.clone(),
            };
            // Nobody waits for an answer; the stack says that it could not be kept.
            let _ = self.access.published(&who, message);
        }
        self.publish_parcel(&will.parcel, None);
    }
}

impl Core {
    /// Takes up what was kept when the broker last ended.
    pub(super) fn take_back(&self, loaded: super::store::Loaded) {
        let now_ms = now_ms();
        let mut sessions = self.sessions();
        let mut tree = self.tree.write().expect("nothing panics while it holds the tree");
        for session in loaded.sessions {
            let mut state = session.lock();
            // Zero says that the client was connected when the broker was killed.
            if state.left_at_ms == 0 {
                state.left_at_ms = now_ms;
            }
            state.owner = self.number();
            for (filter, options) in &state.subscriptions {
                tree.insert(filter, super::tree::Wish::new(&session, *options));
            }
            if state.expiry_s < u32::MAX {
                let ends_at_ms = state.left_at_ms + i64::from(state.expiry_s) * 1000;
                let left_ms = u64::try_from(ends_at_ms - now_ms).unwrap_or(0);
                let after = Duration::from_millis(left_ms);
                let due = self.deadlines.add(after, state.owner, &session, Due::End);
                state.due.extend(due);
            }
            drop(state);
            sessions.insert(Arc::clone(&session.client_id), session);
        }
        drop(tree);
        let by_number: BTreeMap<u64, Arc<Session>> =
            sessions.values().map(|session| (session.number, Arc::clone(session))).collect();
        drop(sessions);
        let mut retained = self.retained.write().expect("nothing panics while it holds these");
        for parcel in loaded.retained {
            retained.insert(Arc::clone(&parcel.message.topic), parcel);
        }
        drop(retained);
        for kept in loaded.wills {
            let session = by_number.get(&kept.session);
            self.take_back_will(session, kept, now_ms);
        }
    }

    /// The broker was killed, and with it the client was lost: its will comes when it would have come otherwise.
    fn take_back_will(&self, session: Option<&Arc<Session>>, kept: KeptWill, now_ms: i64) {
        let KeptWill { session: number, parcel, delay_s, due_at_ms, identity } = kept;
        let will = Will { parcel, delay_s, identity };
        // A session that ended with its connection has its will published at that end.
        let Some(session) = session else { return self.publish_will(number, &will) };
        let mut state = session.lock();
        let due_at_ms = match due_at_ms {
            0 => state.left_at_ms + i64::from(delay_s.min(state.expiry_s)) * 1000,
            known => known,
        };
        let Some(left_ms) = u64::try_from(due_at_ms - now_ms).ok().filter(|left_ms| *left_ms > 0)
        else {
            drop(state);
            return self.publish_will(number, &will);
        };
        self.keep_will(session, &will, due_at_ms);
        let after = Duration::from_millis(left_ms) + GRACE;
        let due = self.deadlines.add(after, state.owner, session, Due::Will);
        state.due.extend(due);
        state.will = Some(will);
    }
}
