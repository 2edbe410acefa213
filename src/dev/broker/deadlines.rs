//! Deadlines: wills that wait for their time, and sessions that end at theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::core::Core;
use super::session::Session;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The will of a client that did not come back.
    Will,
    /// The end of a session.
    End,
}

/// When something is due, for which owner of a session, and what.
pub(super) type Deadline = (Instant, u64, Due);

/// All that is due later, by its time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    list: Mutex<BTreeMap<Deadline, Arc<Session>>>,
    changed: Notify,
}

/// How far a deadline may lie ahead; what lies farther never comes.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Deadlines {
    /// Adds what is due for a session, as long as it belongs to `owner`.
    pub(super) fn add(
        &self,
        after: Duration,
        owner: u64,
        session: &Arc<Session>,
        due: Due,
    ) -> Option<Deadline> {
        if after > FAR {
            return None;
        }
        let at = (Instant::now() + after, owner, due);
        let mut list = self.list.lock().expect("no task panics over a list");
        list.insert(at, Arc::clone(session));
        self.changed.notify_one();
        Some(at)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.list.lock().unwrap().len()
    }

    /// Takes out what is no longer due: a client that comes and goes must not leave a deadline behind each time.
    pub(super) fn remove(&self, all: &mut Vec<Deadline>) {
        let mut list = self.list.lock().expect("no task panics over a list");
        for deadline in all.drain(..) {
            list.remove(&deadline);
        }
    }
}

/// Does what is due, until the broker stops.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let next = {
            let mut list = core.deadlines.list.lock().expect("no task panics over a list");
            match list.first_entry() {
                Some(first) if first.key().0 <= Instant::now() => Ok(first.remove_entry()),
                Some(first) => Err(Some(first.key().0)),
                None => Err(None),
            }
        };
        match next {
            Ok(((_, owner, Due::Will), session)) => core.will_is_due(&session, owner),
            Ok(((_, owner, Due::End), session)) => core.session_is_due(&session, owner),
            Err(Some(at)) => tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = core.deadlines.changed.notified() => {}
                () = core.stop.cancelled() => return,
            },
            Err(None) => tokio::select! {
                () = core.deadlines.changed.notified() => {}
                () = core.stop.cancelled() => return,
            },
        }
    }
}
