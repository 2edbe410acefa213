//! Gates: which OTP a dependency lets itself be built with, said when it is locked and not when it is built.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Desk;
use crate::event::Event;
use crate::explain::Explain;
use crate::lock::{self, Lock};
use crate::manifest::rebar::RebarFacts;
use crate::manifest::tools::OTP;
use crate::manifest::{FILE_NAME, OTP_PRESETS};
use crate::terms;

/// What one configuration says of OTP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gate {
    /// The least version, which rebar3 insists on: `minimum_otp_vsn`.
    least: Option<String>,
    /// What rebar2 insists on and rebar3 reads over: `require_otp_vsn`, `require_min_otp_vsn`.
    old: Option<(&'static str, String)>,
}

/// Gates by application.
pub(super) type Gates = BTreeMap<String, Gate>;

/// A dependency does not let itself be built with this OTP.
#[derive(Debug, Error)]
#[error("`{app}` asks for OTP {least} or newer, and the toolchain has {has}\n  {}", way.join(" → "))]
pub struct GateFailure {
    app: String,
    least: String,
    has: String,
    way: Vec<String>,
    /// The least preset that fits.
    preset: Option<&'static str>,
}

impl Explain for GateFailure {
    fn hint(&self) -> Option<String> {
        let Self { app, .. } = self;
        let replace = format!(
            "replace its rebar.config by `[[deps.{app}.files]]` in {FILE_NAME}, if it is known to work"
        );
        Some(match self.preset {
            Some(preset) => format!("choose `otp = \"{preset}\"` in `[toolchain]`; or {replace}"),
            None => replace,
        })
    }
}

/// Reads the gates of a configuration; `None` where it has none.
pub(super) fn read(facts: &RebarFacts) -> Option<Gate> {
    let text = |key: &str| terms::get(&facts.terms, key)?.as_text();
    let old = ["require_otp_vsn", "require_min_otp_vsn"];
    let gate = Gate {
        least: text("minimum_otp_vsn"),
        old: old.into_iter().find_map(|key| Some((key, text(key)?))),
    };
    (gate != Gate::default()).then_some(gate)
}

/// Holds the gates of everything locked against the toolchain's OTP.
pub(super) fn check(desk: &Desk<'_>, lock: &Lock, gates: &Gates) -> Result<(), GateFailure> {
    // What an OTP from source says of itself is known when it is built; then rebar3 looks itself.
    if desk.manifest.tools.contains_key(OTP) {
        return Ok(());
    }
    let has = otp_version(lock);
    for (app, gate) in gates {
        let is_locked = lock.sources.iter().any(|source| source.app == *app);
        if !is_locked && *app != lock.project {
            continue;
        }
        let way = lock::why(lock, app).into_iter().next().unwrap_or_else(|| vec![app.clone()]);
        if let Some(least) = gate.least.as_ref().filter(|least| numbers(&has) < numbers(least)) {
            let fits = |preset: &&&str| numbers(preset).first() >= numbers(least).first();
            let preset = OTP_PRESETS.iter().find(fits).copied();
            let (app, least) = (app.clone(), least.clone());
            return Err(GateFailure { app, least, has, way, preset });
        }
        if let Some((key, wanted)) = gate.old.as_ref().filter(|(_, wanted)| !names(wanted, &has)) {
            let message = format!(
                "`{app}` says `{{{key}, \"{wanted}\"}}`, which rebar2 obeys and rebar3 reads over; \
                 OTP is {has}\n  {}",
                way.join(" → ")
            );
            desk.observer.observe(&Event::Warned { message: &message });
        }
    }
    Ok(())
}

/// Returns the version of the toolchain's OTP: `25.2.3`.
fn otp_version(lock: &Lock) -> String {
    let base = lock.toolchain.debs.iter().find(|deb| deb.package == "erlang-base");
    let upstream = base.map(|deb| deb.version.rsplit(':').next().unwrap_or(&deb.version));
    let version = upstream.and_then(|version| version.split(['+', '-', '~']).next());
    version.unwrap_or(&lock.toolchain.otp).to_owned()
}

/// Tells whether `25|26|27` names this OTP, as rebar2 looks for it. Of other expressions nothing is known.
fn names(wanted: &str, has: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '|';
    wanted.chars().all(is_plain)
        && wanted.split('|').any(|name| !name.is_empty() && has.starts_with(name))
}

/// Reads `25.2.3`, `R16B03` or `OTP-25`; an old name is older than every new one.
fn numbers(version: &str) -> Vec<u32> {
    let parts = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    parts.filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_gate_that_names_the_otp_is_open() {
        assert!(names("25|26|27", "25.2.3") && names("25.2", "25.2.3"));
        assert!(!names("R16|17|18", "25.2.3") && !names("^2[0-9]", "25.2.3") && !names("", "25"));
    }

    #[test]
    fn versions_of_otp_are_compared_by_number() {
        assert!(numbers("25.2.3") < numbers("25.10"));
        assert!(numbers("R16B03") < numbers("23"));
        assert!(numbers("27") <= numbers("27.3.4.1"));
        assert!(numbers("25.2.3") < numbers("27"));
    }
}
