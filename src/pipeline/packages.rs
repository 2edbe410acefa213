//! Packages: which Debian packages the toolchain is locked to.

use super::{Desk, Update};
use crate::explain::Failure;
use crate::fetch::debian::{self, Architecture, Expiry, Unneeded, Wanted};
use crate::lock::{self, Lock, ToolchainLock};
use crate::toolchain;

/// Chooses the toolchain's packages: those of the lock while the wishes are the same, else those of the preset, else
/// what the suite has today, with as much of what is pinned as it allows.
pub(super) fn choose(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    update: &Update,
) -> Result<ToolchainLock, Failure> {
    let wish = &desk.manifest.toolchain;
    let wished = desk.manifest.wished_packages();
    let same = |lock: &&ToolchainLock| lock.otp == wish.otp && lock.wished == wished;
    if !update.toolchain {
        if let Some(lock) = previous.map(|lock| &lock.toolchain).filter(same) {
            return Ok(lock.clone());
        }
        let of_otp = previous.map(|lock| &lock.toolchain).filter(|lock| lock.otp == wish.otp);
        // A lock that has moved on from the preset does not go back because a wish was taken away.
        let is_not_behind = |preset: &ToolchainLock| {
            of_otp.is_none_or(|lock| preset.debs.iter().all(|deb| lock.debs.contains(deb)))
        };
        if let Some(preset) = toolchain::preset(&wish.otp, Architecture::own())
            .filter(|preset| same(&preset) && is_not_behind(preset))
        {
            return Ok(preset);
        }
    }
    let expiry = if update.expired_index { Expiry::Ignored } else { Expiry::CheckedAt(desk.now) };
    let web = (desk.http, desk.observer);
    let (pinned, had) =
        if update.toolchain { Default::default() } else { pinned(previous, &wish.otp) };
    let grows = had.iter().all(|name| wished.contains(name));
    let unneeded = if grows { Unneeded::Stays } else { Unneeded::Goes };
    let (otp, architecture) = (wish.otp.as_str(), Architecture::own());
    let wanted = Wanted { otp, wished: &wished, architecture, pinned: &pinned, unneeded };
    Ok(debian::resolve_keeping(&wanted, expiry, web)?)
}

/// The packages that another wish must not move, and for which wishes they were pinned: those of the lock, else
/// those of the preset.
fn pinned(previous: Option<&Lock>, otp: &str) -> (Vec<lock::Deb>, Vec<String>) {
    let own = Architecture::own();
    let fits = |deb: &lock::Deb| ["all", own.name()].contains(&deb.architecture.as_str());
    let locked = previous
        .map(|lock| &lock.toolchain)
        .filter(|toolchain| toolchain.otp == otp && toolchain.debs.iter().all(fits));
    let pinned = locked.cloned().or_else(|| toolchain::preset(otp, own));
    pinned.map(|toolchain| (toolchain.debs, toolchain.wished)).unwrap_or_default()
}
