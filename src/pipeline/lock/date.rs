//! Date: what dates the image. A project that nothing dates is refused as soon as that is known.

use super::LockFailure;
use crate::explain::Failure;
use crate::lock::{Lock, ProjectFacts};
use crate::manifest::Tool;
use crate::pipeline::Desk;
use crate::project;

/// Refuses a project that nothing dates and that asks for nothing which could, before anything is fetched.
pub(super) fn refuse_before(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    facts: &ProjectFacts,
) -> Result<(), Failure> {
    let configs = || std::iter::once(&facts.config).chain(facts.apps.values());
    let asks = configs().any(|config| {
        let mut profiles = config.profiles.values();
        !config.deps.is_empty()
            || !config.plugins.is_empty()
            || !config.project_plugins.is_empty()
            || profiles.any(|profile| !profile.deps.is_empty() || !profile.plugins.is_empty())
    });
    let gives = desk.manifest.deps.values().any(|dep| dep.source.is_some());
    // What the applications of a mix project ask for is found while it is resolved.
    if asks || gives || desk.manifest.build.tool == Tool::Mix {
        return Ok(());
    }
    of(desk, previous, None).map(drop)
}

/// The date of an image of what has changed: what the environment says, else the newest commit of the project, else that of
/// its sources, else the previous lock after all, since sources that stay as they are held are not asked for their times
/// again.
pub(super) fn of(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    newest: Option<i64>,
) -> Result<i64, Failure> {
    if let Some(epoch) = desk.epoch {
        return Ok(epoch);
    }
    let own = project::newest_commit(desk.root)?;
    let former = previous.map(|previous| previous.epoch);
    let no_date = || LockFailure::NoDate { path: desk.root.to_owned() };
    Ok(own.or(newest).or(former).ok_or_else(no_date)?)
}

/// What dates the image: what the environment says, else the previous lock while nothing else changes, else `date`.
pub(super) fn epoch(desk: &Desk<'_>, previous: Option<&Lock>, lock: &Lock, date: i64) -> i64 {
    let Some(previous) = previous.filter(|_| desk.epoch.is_none()) else { return date };
    // What runs beside the release dates no image.
    let services = previous.services.clone();
    let dated = Lock { epoch: previous.epoch, services, ..lock.clone() };
    if dated == *previous { previous.epoch } else { date }
}
