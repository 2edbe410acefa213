//! Age: how long something must have been public before it is pinned for the first time.
//!
//! What is found out to be harmful is mostly found out within days. So a younger release is passed over for an
//! older one that meets the wish, and where the wish leaves no choice it is an error. What is pinned already, and
//! what an imported `rebar.lock` pins, stays: the team has decided on it.
//!
//! The signed registry of hex packages says when a release was published, and cannot be lied to by its
//! publisher. The times in a git repository are what its author wrote: they guard against haste, not against a
//! forger. Tarballs, and registries that say no times, have none to go by.

use crate::event::Event;

use super::git::GitRequest;
use super::hex::{self, HexError, Release};
use super::{Doors, FetchError};
use crate::manifest::rebar::GitRef;

const HOUR_S: i64 = 60 * 60;
const DAY_S: i64 = 24 * HOUR_S;

/// How old a new pin must be, and what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// The time of day, in seconds since 1970.
    pub now: i64,
    /// Seconds that a commit or release must have been public.
    pub minimum_age_s: i64,
}

impl Cooldown {
    /// The time before which everything is old enough.
    fn time_max(self) -> i64 {
        self.now.saturating_sub(self.minimum_age_s)
    }

    fn admits(self, time: i64) -> bool {
        time <= self.time_max()
    }

    fn too_young(self, name: &str, what: String, time: i64) -> FetchError {
        FetchError::TooYoung {
            name: name.to_owned(),
            what,
            age: duration(self.now - time),
            minimum: duration(self.minimum_age_s),
            wait: wait(time.saturating_sub(self.time_max())),
        }
    }
}

/// Says a duration in its largest unit: `3 hours`, `7 days`. What lies in the future has no age.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (count, unit) = match seconds {
        0..HOUR_S => (seconds / 60, "minute"),
        HOUR_S..172_800 if seconds % DAY_S != 0 => (seconds / HOUR_S, "hour"),
        _ => (seconds / DAY_S, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Says how long to wait: never less than it takes.
fn wait(seconds: i64) -> String {
    let unit = match seconds {
        0..HOUR_S => 60,
        HOUR_S..172_800 => HOUR_S,
        _ => DAY_S,
    };
    duration((seconds + unit - 1) / unit * unit)
}

impl Doors<'_> {
    /// Returns the request to follow instead where what it means is too young; `None` where it may be followed.
    ///
    /// A branch gives way to what it was when it was old enough, by its first parents. A tag or a commit is exact,
    /// so it is an error that it is too young.
    pub(super) fn older_git(
        &self,
        request: &GitRequest,
        commit: &str,
    ) -> Result<Option<GitRequest>, FetchError> {
        let Some(cooldown) = self.cooldown else {
            return Ok(None);
        };
        let dated = self.git().dated(request, commit)?;
        if cooldown.admits(dated) {
            return Ok(None);
        }
        let what = format!("`{commit}` ({})", request.reference);
        let too_young = || cooldown.too_young(&request.app, what, dated);
        let is_digits = |name: &str| name.len() >= 4 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let is_exact = match &request.reference {
            GitRef::Tag(_) => true,
            GitRef::Commit(name) => is_digits(name),
            GitRef::Branch(_) | GitRef::Default => false,
        };
        if is_exact {
            return Err(too_young());
        }
        let older =
            self.git().older(request, commit, cooldown.time_max())?.ok_or_else(too_young)?;
        let age = duration(cooldown.now - dated);
        self.observer.observe(&Event::Warned {
            message: &format!(
                "`{}`: the head of {}, {}, is {age} old and `minimum-age` is {}: {} is taken",
                request.app,
                request.reference,
                short(commit),
                duration(cooldown.minimum_age_s),
                short(&older)
            ),
        });
        Ok(Some(GitRequest { reference: GitRef::Commit(older), ..request.clone() }))
    }

    /// Chooses the newest release that a requirement allows and that is old enough.
    pub(super) fn choose_hex<'r>(
        &self,
        package: &str,
        releases: &'r [Release],
        requirement: Option<&str>,
    ) -> Result<&'r Release, FetchError> {
        let newest = hex::choose(package, releases, requirement)?;
        let Some(cooldown) = self.cooldown else {
            return Ok(newest);
        };
        let Some(published) = newest.published else {
            self.observer.observe(&Event::Warned {
                message: &format!(
                    "`minimum-age` says nothing of `{package}` {}: its registry does not say when it was published",
                    newest.version
                ),
            });
            return Ok(newest);
        };
        if cooldown.admits(published) {
            return Ok(newest);
        }
        let versions = self.old_enough(releases);
        let older = match hex::choose(package, &versions, requirement) {
            Ok(older) => older.version.clone(),
            Err(HexError::NoSuchVersion { .. }) => {
                let what = format!("release {}", newest.version);
                return Err(cooldown.too_young(package, what, published));
            }
            Err(error) => return Err(error.into()),
        };
        self.observer.observe(&Event::Warned {
            message: &format!(
                "`{package}` {} is {} old and `minimum-age` is {}: {older} is taken",
                newest.version,
                duration(cooldown.now - published),
                duration(cooldown.minimum_age_s)
            ),
        });
        let found = releases.iter().find(|release| release.version == older);
        Ok(found.expect("it was chosen among these"))
    }

    /// Returns the releases that are old enough, and those of unknown age.
    pub(super) fn old_enough(&self, releases: &[Release]) -> Vec<Release> {
        let is_old = |release: &&Release| match (self.cooldown, release.published) {
            (Some(cooldown), Some(time)) => cooldown.admits(time),
            _ => true,
        };
        releases.iter().filter(is_old).cloned().collect()
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_wait_it_is_old_enough() {
        let said = [1, 61, HOUR_S + 1, 47 * HOUR_S + 1, 5 * DAY_S - 1].map(wait);
        assert_eq!(said, ["1 minute", "2 minutes", "2 hours", "2 days", "5 days"]);
    }

    #[test]
    fn durations_are_said_in_their_largest_unit() {
        let said = [0, 90, HOUR_S, 47 * HOUR_S, DAY_S, 7 * DAY_S, 40 * DAY_S, -5].map(duration);
        assert_eq!(
            said,
            [
                "0 minutes",
                "1 minute",
                "1 hour",
                "47 hours",
                "1 day",
                "7 days",
                "40 days",
                "0 minutes"
            ]
        );
    }
}
