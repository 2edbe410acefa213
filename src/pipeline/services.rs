//! Services: which Debian packages run beside the release on one's desk, and their roots.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thiserror::Error;

use super::{Desk, Update};
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::fetch::debian::{self, Expiry};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{IMAGE_FORMAT, Lock, ServiceLock, ToolchainLock};
use crate::store::HeldTree;
use crate::toolchain;

/// The file for whose sake the store keeps what services run from, in the stack's directory.
const KEPT: &str = "store-root";
const KEPT_TEXT: &str =
    "while this file is here, `rebeam store gc` keeps what the services of this stack run from\n";

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
/// What the manifest itself does not ask for (another file does, or a profile) is pinned in the file `beside`.
///
/// # Errors
/// Where the lock does not name what the manifest asks for, or packages cannot be had.
pub fn service_packages(
    desk: &Desk<'_>,
    wanted: &BTreeSet<Vec<String>>,
    beside: &Path,
) -> Result<BTreeMap<Vec<String>, HeldTree>, Failure> {
    let mut pinned = Lock::read_previous(desk.root)?.map(|lock| lock.services).unwrap_or_default();
    let of_manifest = desk.manifest.service_packages();
    let is_pinned = |pinned: &[ServiceLock], packages: &Vec<String>| {
        pinned.iter().any(|service| service.wished == *packages)
    };
    let lacking =
        wanted.iter().find(|list| of_manifest.contains(*list) && !is_pinned(&pinned, list));
    if let Some(packages) = lacking {
        return Err(ServiceFailure::NotLocked { packages: packages.clone() }.into());
    }
    let missing: BTreeSet<_> =
        wanted.iter().filter(|list| !is_pinned(&pinned, list)).cloned().collect();
    if !missing.is_empty() {
        pinned.extend(pinned_beside(desk, &missing, beside)?);
    }
    let (mut roots, mut uses) = (BTreeMap::new(), Vec::new());
    for service in pinned.into_iter().filter(|service| wanted.contains(&service.wished)) {
        let ServiceLock { wished, suite, debs } = service;
        let all = ToolchainLock { otp: String::new(), wished: wished.clone(), suite, debs };
        let held = match toolchain::held(&all, desk.store)? {
            Some(held) => held,
            None => toolchain::toolchain(&all, desk.store, desk.http, desk.observer)?,
        };
        uses.extend([held.root.digest(), held.owners.digest(), held.key.digest()]);
        roots.insert(wished, held.root);
    }
    // Services run from the store itself: until the stack's state is wiped, nobody may sweep that away.
    let mark = beside.with_file_name(KEPT);
    if !disk::exists(&mark) {
        disk::write_atomic(&mark, KEPT_TEXT.as_bytes())?;
    }
    desk.store.add_root(&mark, &uses)?;
    Ok(roots)
}

/// Returns the packages that a file of pins names, and has it name those that it lacks.
fn pinned_beside(
    desk: &Desk<'_>,
    wanted: &BTreeSet<Vec<String>>,
    beside: &Path,
) -> Result<Vec<ServiceLock>, Failure> {
    let otp = &desk.manifest.toolchain.otp;
    let known = match disk::exists(beside) {
        true => Some(Lock::parse_previous(&disk::read_text(beside, TEXT_FILE_BYTES_MAX)?, beside)?),
        false => None,
    };
    let same_otp = known.filter(|lock| lock.toolchain.otp == *otp);
    let mut pins = same_otp.map(|lock| lock.services).unwrap_or_default();
    let missing: BTreeSet<_> = wanted
        .iter()
        .filter(|list| pins.iter().all(|service| service.wished != **list))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(pins);
    }
    let found = resolve(desk, otp, &missing, &BTreeMap::new(), false)?;
    let suite = found.first().map(|service| service.suite.clone()).unwrap_or_default();
    pins.extend(found);
    pins.sort_by(|a, b| a.wished.cmp(&b.wished));
    let toolchain = ToolchainLock { otp: otp.clone(), wished: vec![], suite, debs: vec![] };
    let lock = Lock {
        project: desk.manifest.project.name.clone(),
        epoch: 0,
        image_format: IMAGE_FORMAT,
        toolchain,
        platforms: vec![],
        base: None,
        services: pins.clone(),
        sources: vec![],
    };
    disk::write_atomic(beside, lock.to_text().as_bytes())?;
    Ok(pins)
}
