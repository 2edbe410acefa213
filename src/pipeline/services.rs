//! Services: which Debian packages run beside the release on one's desk, and their roots.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Desk, Update};
use crate::explain::{Explain, Failure};
use crate::fetch::debian::{self, Expiry};
use crate::lock::{Lock, ServiceLock, ToolchainLock};
use crate::store::HeldTree;
use crate::toolchain;

/// A service cannot be had.
#[derive(Debug, Error)]
pub enum ServiceFailure {
    /// The lock has nothing for it.
    #[error("rebeam.lock names no packages for a service that needs `{}`", packages.join("`, `"))]
    NotLocked {
        /// What the service asks for.
        packages: Vec<String>,
    },
}

impl Explain for ServiceFailure {
    fn hint(&self) -> Option<String> {
        Some("`rebeam lock` pins them".into())
    }
}

/// Chooses the packages of the manifest's services: those of the lock while wish and suite are the same, else what the
/// suite has today.
pub(super) fn choose(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    toolchain: &ToolchainLock,
    update: &Update,
) -> Result<Vec<ServiceLock>, Failure> {
    let mut wanted = desk.manifest.service_packages();
    let locked = previous.filter(|lock| lock.toolchain.suite == toolchain.suite);
    let is_kept = |service: &&ServiceLock| !update.toolchain && wanted.contains(&service.wished);
    let locked = locked.map(|lock| lock.services.as_slice()).unwrap_or_default();
    let mut chosen: Vec<ServiceLock> = locked.iter().filter(is_kept).cloned().collect();
    for service in &chosen {
        wanted.remove(&service.wished);
    }
    if !wanted.is_empty() {
        // What the toolchain has as well is had once.
        let pins = if update.toolchain { &[][..] } else { &toolchain.debs };
        let pinned = wanted.iter().map(|wished| (wished.clone(), pins.to_vec())).collect();
        chosen.extend(resolve(desk, &toolchain.otp, &wanted, &pinned, update.expired_index)?);
    }
    chosen.sort_by(|a, b| a.wished.cmp(&b.wished));
    Ok(chosen)
}

fn resolve(
    desk: &Desk<'_>,
    otp: &str,
    wanted: &BTreeSet<Vec<String>>,
    pinned: &BTreeMap<Vec<String>, Vec<crate::lock::Deb>>,
    expired_index: bool,
) -> Result<Vec<ServiceLock>, Failure> {
    let expiry = if expired_index { Expiry::Ignored } else { Expiry::CheckedAt(desk.now) };
    Ok(debian::resolve_services(otp, wanted, pinned, expiry, (desk.http, desk.observer))?)
}

/// Returns the root of each list of packages, out of the store or fetched as the lock says.
///
/// # Errors
/// Where the lock does not name a list's packages, or they cannot be had.
pub fn service_packages(
    desk: &Desk<'_>,
    wanted: &BTreeSet<Vec<String>>,
) -> Result<BTreeMap<Vec<String>, HeldTree>, Failure> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let lock = Lock::read_previous(desk.root)?;
    let mut roots = BTreeMap::new();
    for packages in wanted {
        let service = lock.as_ref().and_then(|lock| lock.service(packages));
        let service =
            service.ok_or_else(|| ServiceFailure::NotLocked { packages: packages.clone() })?;
        let all = ToolchainLock {
            otp: String::new(),
            wished: service.wished.clone(),
            suite: service.suite.clone(),
            debs: service.debs.clone(),
        };
        let made = toolchain::toolchain(&all, desk.store, desk.http, desk.observer)?;
        roots.insert(packages.clone(), made.root);
    }
    Ok(roots)
}
