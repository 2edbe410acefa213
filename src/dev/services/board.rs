//! Board: how each service is, for the threads that attend to them and for whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::unit::Unit;
use crate::dev::ports::GivenUp;
use crate::sandbox::Stop;

/// How long a service may take to end before it is killed.
const END_MAX: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What it needs is not ready.
    Waiting,
    /// It runs and is not ready.
    Starting,
    /// It is ready.
    Ready,
    /// It listens, and cannot write down what it should.
    Troubled,
    /// It did its work and ended.
    Done,
    /// It is not going to run any more.
    Failed,
    /// It was told to end, and did.
    Stopped,
}

impl State {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Troubled => "troubled",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    fn is_at_rest(self) -> bool {
        matches!(self, Self::Waiting | Self::Done | Self::Failed | Self::Stopped)
    }

    fn lets_others_start(self) -> bool {
        matches!(self, Self::Ready | Self::Done)
    }
}

/// A service as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Where it listens, if it does.
    pub address: Option<SocketAddr>,
    /// What a program is told, without any secret.
    pub url: Option<String>,
    /// Where else it listens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<u16>,
    /// The standard port that somebody else had when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<GivenUp>,
    /// How often it was started again.
    pub restarts: u32,
    /// Why it is as it is, where that is not as it should be.
    pub why: Option<String>,
}

#[derive(Debug)]
struct Entry {
    needs: BTreeSet<String>,
    standing: Standing,
    stop: Stop,
    /// Somebody wants it to start again.
    again: bool,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<String, Entry>,
    stopping: bool,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Board {
    pub(super) fn new(units: &[Unit]) -> Self {
        let entry = |unit: &Unit| {
            let (address, url) = unit.place.clone().unzip();
            let name = unit.name.clone();
            let (state, restarts, why) = (State::Waiting, 0, None);
            let others = unit.others.clone();
            let instead_of = None;
            let standing =
                Standing { name, state, address, url, others, instead_of, restarts, why };
            let stop = Stop::default();
            (unit.name.clone(), Entry { needs: unit.needs.clone(), standing, stop, again: false })
        };
        let entries = units.iter().map(entry).collect();
        Self { inner: Mutex::new(Inner { entries, stopping: false }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, time: Duration) -> MutexGuard<'a, Inner> {
        self.changed.wait_timeout(inner, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until everything that a service needs is ready; false where all of it ends before.
    pub(super) fn wait_for_needs(&self, name: &str) -> bool {
        let mut inner = self.lock();
        loop {
            let needs = &inner.entries[name].needs;
            let is_ready = |need: &String| inner.entries[need].standing.state.lets_others_start();
            if inner.stopping {
                return false;
            }
            if needs.iter().all(is_ready) {
                return true;
            }
            inner = self.wait(inner, Duration::from_secs(1));
        }
    }

    /// Begins a start and returns what ends it; nothing where all of it ends.
    pub(super) fn begin(&self, name: &str) -> Option<Stop> {
        let mut inner = self.lock();
        if inner.stopping {
            return None;
        }
        let entry = inner.entries.get_mut(name).expect("every unit has an entry");
        entry.stop = Stop::default();
        entry.again = false;
        entry.standing.state = State::Starting;
        let stop = entry.stop.clone();
        self.changed.notify_all();
        Some(stop)
    }

    pub(super) fn set(&self, name: &str, state: State, why: Option<String>) {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(name).expect("every unit has an entry");
        entry.standing.state = state;
        entry.standing.why = why;
        self.changed.notify_all();
    }

    pub(super) fn count_restart(&self, name: &str) {
        let mut inner = self.lock();
        let entry = inner.entries.get_mut(name).expect("every unit has an entry");
        entry.standing.restarts += 1;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Tells whether somebody asked for a new start since the last one.
    pub(super) fn is_asked_again(&self, name: &str) -> bool {
        self.lock().entries[name].again
    }

    /// Waits for at most `time`; true where a new start is asked for, or the time is over.
    pub(super) fn rest(&self, name: &str, time: Option<Duration>) -> bool {
        let until = time.map(|time| Instant::now() + time);
        let mut inner = self.lock();
        loop {
            if inner.stopping {
                return false;
            }
            let now = Instant::now();
            if inner.entries[name].again || until.is_some_and(|until| until <= now) {
                return true;
            }
            let left = until.map_or(Duration::from_secs(1), |until| until - now);
            inner = self.wait(inner, left);
        }
    }

    /// Waits until each service is ready or one failed, and returns that one.
    pub(super) fn wait_settled(&self) -> Option<(String, String)> {
        let mut inner = self.lock();
        loop {
            let mut standings = inner.entries.values().map(|entry| &entry.standing);
            let failed = standings.clone().find(|standing| standing.state == State::Failed);
            if let Some(failed) = failed {
                let why = failed.why.clone().unwrap_or_default();
                return Some((failed.name.clone(), why));
            }
            if inner.stopping || standings.all(|standing| standing.state.lets_others_start()) {
                return None;
            }
            inner = self.wait(inner, Duration::from_secs(1));
        }
    }

    pub(super) fn standing(&self) -> Vec<Standing> {
        self.lock().entries.values().map(|entry| entry.standing.clone()).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().entries.keys().cloned().collect()
    }

    /// Asks for a new start; false where there is no such service.
    pub(super) fn restart(&self, name: &str) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(name) else {
            return false;
        };
        entry.again = true;
        entry.stop.terminate();
        let stop = entry.stop.clone();
        self.changed.notify_all();
        drop(inner);
        // One that does not end is not waited for: its thread sees the kill.
        std::thread::spawn(move || {
            std::thread::sleep(END_MAX);
            stop.kill();
        });
        true
    }

    /// Tells each service to end once nothing that needs it runs, and waits until all have ended.
    pub(super) fn stop_in_order(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        self.changed.notify_all();
        let mut told: BTreeMap<String, Instant> = BTreeMap::new();
        while inner.entries.values().any(|entry| !entry.standing.state.is_at_rest()) {
            for name in endable(&inner.entries) {
                let entry = &inner.entries[&name];
                match told.get(&name) {
                    None => {
                        entry.stop.terminate();
                        told.insert(name, Instant::now());
                    }
                    Some(since) if since.elapsed() > END_MAX => entry.stop.kill(),
                    Some(_) => {}
                }
            }
            inner = self.wait(inner, LOOK_AGAIN);
        }
    }
}

/// Names the services that run and that nothing which runs needs.
fn endable(entries: &BTreeMap<String, Entry>) -> Vec<String> {
    let runs = |entry: &&Entry| !entry.standing.state.is_at_rest();
    let needed: BTreeSet<&String> =
        entries.values().filter(runs).flat_map(|entry| &entry.needs).collect();
    let running = entries.iter().filter(|(_, entry)| runs(entry));
    running.filter(|(name, _)| !needed.contains(name)).map(|(name, _)| name.clone()).collect()
}
