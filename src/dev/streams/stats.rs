//! Stats: what is counted, and shown by `INFO`.

use std::collections::BTreeMap;

use super::keyspace::Place;
use super::reply::Reply;

/// Different error codes that are counted; a code is part of our own texts, so this is never reached.
const CODES_MAX: usize = 128;

/// How often a command ran, and how often it did not.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Calls {
    pub(super) calls: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

/// Counters since the start or the last `CONFIG RESETSTAT`.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) started_ms: u64,
    pub(super) connections: u64,
    pub(super) commands: u64,
    pub(super) expired: u64,
    pub(super) errors: u64,
    pub(super) dropped_clients: u64,
    pub(super) by_command: BTreeMap<String, Calls>,
    pub(super) by_code: BTreeMap<String, u64>,
    /// Keys that became ready within the transaction that is under way.
    pub(super) ready_within: Vec<Place>,
}

impl Stats {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            started_ms: now_ms,
            connections: 0,
            commands: 0,
            expired: 0,
            errors: 0,
            dropped_clients: 0,
            by_command: BTreeMap::new(),
            by_code: BTreeMap::new(),
            ready_within: Vec::new(),
        }
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.started_ms);
    }

    fn command(&mut self, name: &str) -> &mut Calls {
        if !self.by_command.contains_key(name) {
            self.by_command.insert(name.to_owned(), Calls::default());
        }
        self.by_command.get_mut(name).expect("it was just put there")
    }

    pub(super) fn called(&mut self, name: &str) {
        self.commands += 1;
        self.command(name).calls += 1;
    }

    pub(super) fn answered(&mut self, name: &str, reply: &Reply) {
        if let Reply::Error(refusal) = reply {
            self.command(name).failed += 1;
            self.error(refusal.code());
        }
    }

    pub(super) fn rejected(&mut self, name: Option<&str>, reply: &Reply) {
        if let Some(name) = name {
            self.command(name).rejected += 1;
        }
        if let Reply::Error(refusal) = reply {
            self.error(refusal.code());
        }
    }

    fn error(&mut self, code: &[u8]) {
        self.errors += 1;
        let code = String::from_utf8_lossy(code);
        if self.by_code.len() < CODES_MAX || self.by_code.contains_key(code.as_ref()) {
            *self.by_code.entry(code.into_owned()).or_default() += 1;
        }
    }
}
