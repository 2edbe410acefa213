//! Stays: what an update leaves where it is, because the build tool's own lock counts before it.

use std::collections::BTreeMap;

use super::Desk;
use super::lock::Update;
use crate::event::Event;
use crate::lock::{Lock, Pin, RebarLock, RebarPin, Role, Source};

/// Names that are told one by one.
const TOLD_MAX: usize = 5;

/// The lock that a build tool keeps for itself.
pub(super) struct ToolLock<'a> {
    /// Its file's name.
    pub(super) file: &'static str,
    /// The command that moves an application in it.
    pub(super) moves: &'static str,
    /// What it pins.
    pub(super) apps: BTreeMap<&'a str, &'a RebarPin>,
}

impl<'a> ToolLock<'a> {
    /// rebar3's.
    pub(super) fn of_rebar(lock: &'a RebarLock) -> Self {
        let entries = lock.entries.iter();
        let apps = entries.map(|(app, entry)| (app.as_str(), &entry.pin)).collect();
        Self { file: "rebar.lock", moves: "rebar3 upgrade", apps }
    }

    /// Says what of an update could not move: who asks for it should not take an old pin for the newest there is.
    ///
    /// What the manifest gives a source of its own does not come from here, and what the closure needs otherwise does not stay.
    pub(super) fn say_what_stays(&self, desk: &Desk<'_>, update: &Update, now: &Lock) {
        let is_asked = |app: &str| update.all || update.apps.contains(app);
        let is_own =
            |app: &str| desk.manifest.deps.get(app).is_some_and(|dep| dep.source.is_some());
        let deps = now.sources.iter().filter(|source| source.role == Role::Dep);
        let stay = deps
            .filter(|source| is_asked(&source.app) && !is_own(&source.app) && self.holds(source));
        let stay: Vec<&str> = stay.map(|source| source.app.as_str()).collect();
        if let Some(message) = self.message(&stay) {
            desk.observer.observe(&Event::Warned { message: &message });
        }
    }

    /// Tells whether a source is the very one that the tool's lock names.
    fn holds(&self, source: &Source) -> bool {
        match (self.apps.get(source.app.as_str()), &source.pin) {
            (Some(RebarPin::Hex { version, .. }), Pin::Hex { version: locked, .. }) => {
                version == locked
            }
            (Some(RebarPin::Git { commit, .. }), Pin::Git { commit: locked, .. }) => {
                commit == locked
            }
            _ => false,
        }
    }

    fn message(&self, stay: &[&str]) -> Option<String> {
        let Self { file, moves, .. } = self;
        let one = stay.first()?;
        let names: Vec<String> = stay.iter().take(TOLD_MAX).map(|app| format!("`{app}`")).collect();
        let more = match stay.len().saturating_sub(TOLD_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let stays = if stay.len() == 1 { "stays" } else { "stay" };
        Some(format!(
            "{}{more} {stays} where `{file}` says: that counts first; `{moves} {one}`, then `rebeam lock`, moves it",
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_named_with_the_command_that_moves_it() {
        let lock = ToolLock { file: "mix.lock", moves: "mix deps.update", apps: BTreeMap::new() };
        assert_eq!(lock.message(&[]), None);
        assert_eq!(
            lock.message(&["plug"]).unwrap(),
            "`plug` stays where `mix.lock` says: that counts first; `mix deps.update plug`, then `rebeam lock`, moves it"
        );
        let many = lock.message(&["a", "b", "c", "d", "e", "f", "g"]).unwrap();
        assert!(many.starts_with("`a`, `b`, `c`, `d`, `e` and 2 more stay where"), "{many}");
    }
}
