//! Together: what services say of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::stack;
use super::{Runs, ServiceWish};
use crate::limits::SERVICES_MAX;

/// What is thought of a service that is waited for and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// The command line may name a profile that brings it.
    MayComeByProfile,
    /// The profile is known, and it is not there.
    IsWrong,
}

/// Checks what services say of each other.
pub(super) fn check(
    services: &BTreeMap<String, ServiceWish>,
    absent: Absent,
) -> Result<(), (String, String, &'static str)> {
    if let Some(name) = services.keys().nth(SERVICES_MAX) {
        let problem = format!("is one more than the {SERVICES_MAX} services that a stack may have");
        return Err((name.clone(), problem, "take one out"));
    }
    let mut release: Option<&String> = None;
    for (name, wish) in services {
        for unknown in wish.depends_on.iter().filter(|other| !services.contains_key(*other)) {
            let (what, hint) = match (stack::brought_by(unknown), absent) {
                (Some(_), Absent::MayComeByProfile) => continue,
                (Some(hint), Absent::IsWrong) => ("which only a profile brings", hint),
                (None, _) => (
                    "which is no service",
                    "correct the name; broker and streams are ready before any service starts",
                ),
            };
            let problem = format!("depends on `{unknown}`, {what}");
            return Err((name.clone(), problem, hint));
        }
        if wish.runs == Runs::Release
            && let Some(first) = release.replace(name)
        {
            let problem = format!("is the release a second time, after `[services.{first}]`");
            return Err((name.clone(), problem, "keep one of them"));
        }
    }
    for name in services.keys() {
        let mut path = vec![name.as_str()];
        if goes_round(services, name, &mut path, &mut BTreeSet::new()) {
            let problem = format!("waits for itself: {}", path.join(", "));
            return Err((name.clone(), problem, "take one `depends-on` of these out"));
        }
    }
    Ok(())
}

/// Follows what a service waits for; true where it comes back to the first of the path.
fn goes_round<'a>(
    services: &'a BTreeMap<String, ServiceWish>,
    name: &str,
    path: &mut Vec<&'a str>,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    for next in services.get(name).iter().flat_map(|wish| &wish.depends_on) {
        let is_first = path.first() == Some(&next.as_str());
        path.push(next);
        if is_first || seen.insert(next) && goes_round(services, next, path, seen) {
            return true;
        }
        path.pop();
    }
    false
}
