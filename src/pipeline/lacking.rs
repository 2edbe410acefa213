//! Lacking: what a failed step did not find, with the Debian packages that have it.

use std::fmt::Write as _;

use thiserror::Error;

use super::Desk;
use crate::compile::CompileError;
use crate::disk;
use crate::event::Event;
use crate::explain::{Blame, Explain, Failure};
use crate::fetch::debian::{self, Architecture, Asked, Expiry, Holder, Lack};
use crate::http::Network;
use crate::limits::STEP_LOG_BYTES_MAX;
use crate::lock::ToolchainLock;

/// A step failed for want of something that Debian has.
#[derive(Debug, Error)]
#[error("{failed}{}", told(found))]
pub struct LackingFailure {
    /// How the step failed.
    failed: CompileError,
    /// What it did not find, and who has it.
    found: Vec<Found>,
}

/// One thing that was not found.
#[derive(Debug)]
struct Found {
    lack: Lack,
    holder: Holder,
    /// The package among the holder's that is in the toolchain already.
    held: Option<String>,
}

fn told(found: &[Found]) -> String {
    let mut text = String::new();
    for Found { lack, holder, held } in found {
        if fetches(lack) {
            write!(
                text,
                "\n  {lack} would not help: a step has neither a network nor the project's `.git`"
            )
            .expect("writing to a String cannot fail");
            continue;
        }
        let is_or_are = holder.packages.join(" or ");
        write!(text, "\n  {lack} is in {is_or_are}").expect("writing to a String cannot fail");
        if let (Some(package), Some(path)) = (held, &holder.path) {
            write!(text, ", as `{path}`; {package} is in the toolchain, so the search path lacks that directory")
                .expect("writing to a String cannot fail");
        }
    }
    text
}

impl Explain for LackingFailure {
    fn blame(&self) -> Blame {
        self.failed.blame()
    }

    fn hint(&self) -> Option<String> {
        let absent =
            self.found.iter().filter(|found| found.held.is_none() && !fetches(&found.lack));
        let mut packages: Vec<&str> =
            absent.filter_map(|found| found.holder.packages.first()).map(String::as_str).collect();
        packages.sort_unstable();
        packages.dedup();
        match packages.is_empty() {
            true if self.found.iter().any(|found| fetches(&found.lack)) => Some(
                "lock what it would fetch (`[tools]`, or `source` in `[deps.NAME]`), name what it would ask git for \
                 in `[build] env`, or leave that part out; `rebeam shell --failed` looks inside"
                    .into(),
            ),
            true => self.failed.hint(),
            false => {
                Some(format!("`rebeam toolchain add {}`, then build again", packages.join(" ")))
            }
        }
    }
}

/// Tells whether a program is there to fetch something, which no step can.
fn fetches(lack: &Lack) -> bool {
    let programs = ["git", "hg", "svn", "curl", "wget"];
    matches!(lack, Lack::Program(name) if programs.contains(&name.as_str()))
}

/// Says of a failed step which Debian packages have what it did not find.
pub(super) fn explain(desk: &Desk<'_>, toolchain: &ToolchainLock, failed: CompileError) -> Failure {
    let CompileError::Failed { log, .. } = &failed else {
        return failed.into();
    };
    let Ok(bytes) = disk::read(log, 2 * STEP_LOG_BYTES_MAX) else {
        return failed.into();
    };
    let lacks = debian::lacks(&String::from_utf8_lossy(&bytes));
    let found: Vec<Found> =
        lacks.into_iter().filter_map(|lack| find(desk, toolchain, lack)).collect();
    match found.is_empty() {
        true => failed.into(),
        false => LackingFailure { failed, found }.into(),
    }
}

fn find(desk: &Desk<'_>, toolchain: &ToolchainLock, lack: Lack) -> Option<Found> {
    let is_locked = |package: &&String| toolchain.debs.iter().any(|deb| deb.package == **package);
    let usual = debian::usual_holder(&lack);
    // What is there and was not found all the same stands where only the index knows.
    let is_there =
        usual.as_ref().is_some_and(|holder| holder.packages.iter().any(|p| is_locked(&p)));
    let holder = match usual {
        Some(holder) if !is_there => holder,
        usual => look_up(desk, toolchain, &lack).or(usual)?,
    };
    let held = holder.packages.iter().find(is_locked).cloned();
    Some(Found { lack, holder, held })
}

/// Asks the suite's index of files. A failure of that must not hide the step's.
fn look_up(desk: &Desk<'_>, toolchain: &ToolchainLock, lack: &Lack) -> Option<Holder> {
    let asked = Asked {
        suite: &toolchain.suite,
        architecture: Architecture::own(),
        expiry: Expiry::CheckedAt(desk.now),
    };
    match debian::holder(lack, asked, desk.store, (desk.http, desk.observer)) {
        Ok(holder) => holder,
        Err(_) if desk.http.network() == Network::Offline => {
            let message =
                format!("{lack} is lacking; without `--offline` its Debian package is looked up");
            desk.observer.observe(&Event::Warned { message: &message });
            None
        }
        Err(error) => {
            let message = format!(
                "{lack} is lacking, and the index that names its package cannot be read: {error}"
            );
            desk.observer.observe(&Event::Warned { message: &message });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(programs: &[&str]) -> LackingFailure {
        let found = programs.iter().map(|&program| Found {
            lack: Lack::Program(program.into()),
            holder: Holder { packages: vec![program.into()], path: None },
            held: None,
        });
        let failed = CompileError::NothingFailed { store: "/store".into() };
        LackingFailure { failed, found: found.collect() }
    }

    #[test]
    fn a_program_that_would_fetch_is_no_package_to_add() {
        let both = lacking(&["cmake", "git"]);
        assert!(both.to_string().contains("`cmake` is in cmake\n  `git` would not help"));
        assert_eq!(both.hint().unwrap(), "`rebeam toolchain add cmake`, then build again");
        assert!(lacking(&["git"]).hint().unwrap().contains("lock what it would fetch"));
    }
}
