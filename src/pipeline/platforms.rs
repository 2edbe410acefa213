//! Platforms: which Debian packages images for other machines than the toolchain's are made of.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Desk, Update};
use crate::event::{Event, Observer};
use crate::explain::{Explain, Failure};
use crate::fetch::debian::{self, Architecture, EMULATORS, Expiry, Unneeded, Wanted};
use crate::http::Http;
use crate::lock::{Deb, Lock, PlatformLock, Role, ToolchainLock};
use crate::manifest::Platform;
use crate::manifest::tools::OTP;
use crate::toolchain;

/// The package whose version tells OTP's.
const EMULATOR: &str = "erlang-base";
/// Elixir's package: BEAM files alone, whatever machine it is packed for.
const ELIXIR: &str = "elixir";

/// Images for another machine cannot be made.
#[derive(Debug, Error)]
pub enum PlatformFailure {
    /// The other machine's OTP is not the toolchain's.
    #[error("OTP for `{}` is {found} in Debian, and the toolchain's is {wanted}", platform.name())]
    OtherOtp {
        /// The machine.
        platform: Platform,
        /// The version for it.
        found: String,
        /// The toolchain's.
        wanted: String,
    },
    /// OTP is built from source, which is done for the builder's machine alone.
    #[error("OTP is built from source by `[tools]`, which makes it for this machine and not for `{}`", platform.name())]
    OtpFromSource {
        /// The machine.
        platform: Platform,
    },
    /// The lock has nothing for the machine.
    #[error("the lock names no packages for `{}`", platform.name())]
    NotLocked {
        /// The machine.
        platform: Platform,
    },
}

impl Explain for PlatformFailure {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherOtp { .. } => "`rebeam update toolchain` takes the newest for all machines".into(),
            Self::OtpFromSource { .. } => {
                "remove `otp` from `[tools]` and choose one of Debian's with `otp` under `[toolchain]`, or build on that machine"
                    .into()
            }
            Self::NotLocked { platform } => format!(
                "add it to `platforms` under `[image]`: `platforms = [\"{}\"]`, then `rebeam lock`",
                platform.name()
            ),
        })
    }
}

/// Refuses, before anything is fetched, other machines together with an OTP that is built from source.
pub(super) fn refuse_before(desk: &Desk<'_>, update: &Update) -> Result<(), PlatformFailure> {
    let own = Platform::from_name(Architecture::own().name());
    let foreign = asked_for(desk, update).into_iter().find(|platform| Some(*platform) != own);
    match foreign.filter(|_| desk.manifest.tools.contains_key(OTP)) {
        Some(platform) => Err(PlatformFailure::OtpFromSource { platform }),
        None => Ok(()),
    }
}

/// The machines that the manifest or the command line names.
fn asked_for(desk: &Desk<'_>, update: &Update) -> BTreeSet<Platform> {
    update.platforms.iter().chain(&desk.manifest.image.platforms).copied().collect()
}

/// Chooses the packages for every machine that the manifest, the lock or the command line asks for.
///
/// What is locked stays while the toolchain does; a preset goes with the preset toolchain; else the index is asked.
pub(super) fn choose(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    toolchain: &ToolchainLock,
    update: &Update,
) -> Result<Vec<PlatformLock>, Failure> {
    let own = Platform::from_name(Architecture::own().name());
    let mut wanted = asked_for(desk, update);
    wanted.extend(previous.iter().flat_map(|lock| &lock.platforms).map(|known| known.platform));
    wanted.retain(|platform| Some(*platform) != own);
    if desk.manifest.tools.contains_key(OTP) {
        // What was locked before is of no use with such an OTP.
        return Ok(Vec::new());
    }
    let unmoved = previous.filter(|lock| lock.toolchain == *toolchain && !update.toolchain);
    let mut chosen = Vec::new();
    for platform in wanted {
        let locked = unmoved.and_then(|lock| lock.platform(platform));
        let found = match locked {
            Some(locked) => locked.clone(),
            None => {
                let found = find(desk, toolchain, platform, update)?;
                if let Some(message) = other_patches(&found, toolchain) {
                    desk.observer.observe(&Event::Warned { message: &message });
                }
                found
            }
        };
        same_otp(&found, toolchain)?;
        chosen.push(found);
    }
    Ok(chosen)
}

fn find(
    desk: &Desk<'_>,
    toolchain: &ToolchainLock,
    platform: Platform,
    update: &Update,
) -> Result<PlatformLock, Failure> {
    let own = Architecture::own();
    let other =
        Architecture::from_name(platform.short()).expect("Debian builds for every platform");
    let elixir = toolchain.debs.iter().find(|deb| deb.package == ELIXIR);
    let preset = toolchain::preset_platform(&toolchain.otp, own, other);
    let is_preset =
        toolchain::preset_with(&toolchain.otp, own, &toolchain.wished).as_ref() == Some(toolchain);
    let mut found = match (preset, is_preset && !update.toolchain) {
        (Some(preset), true) => preset,
        (preset, _) => {
            let expiry =
                if update.expired_index { Expiry::Ignored } else { Expiry::CheckedAt(desk.now) };
            let pinned = preset.filter(|_| !update.toolchain);
            resolve(toolchain, (platform, other), pinned, expiry, (desk.http, desk.observer))?
        }
    };
    found.debs.retain(|deb| deb.package != ELIXIR);
    found.debs.extend(elixir.cloned());
    // What is the same for all machines is the toolchain's: one set of certificates and time zones for all images.
    for deb in found.debs.iter_mut().filter(|deb| deb.architecture == "all") {
        let own = toolchain.debs.iter().find(|own| own.package == deb.package);
        *deb = own.filter(|own| own.architecture == "all").unwrap_or(deb).clone();
    }
    found.debs.sort();
    Ok(found)
}

/// Asks the suite's index.
fn resolve(
    toolchain: &ToolchainLock,
    (platform, other): (Platform, Architecture),
    pinned: Option<PlatformLock>,
    expiry: Expiry,
    web: (&Http, &dyn Observer),
) -> Result<PlatformLock, Failure> {
    let otp = toolchain.otp.as_str();
    let is_new = pinned.is_none();
    let held = pinned.map(|pinned| pinned.debs).unwrap_or_default();
    // What is wished for may be a tool that only the builder runs.
    let wished: Vec<String> =
        toolchain.wished.iter().filter(|name| Architecture::wants(name)).cloned().collect();
    let wanted = Wanted {
        otp,
        wished: &wished,
        architecture: other,
        pinned: &held,
        unneeded: Unneeded::Goes,
    };
    let mut debs = debian::resolve_keeping(&wanted, expiry, web)?.debs;
    debs.retain(|deb| Architecture::wants(&deb.package));
    let wished = [toolchain.wished.clone(), other.cross_compilers().to_vec()].concat();
    let (architecture, pinned) = (Architecture::own(), &toolchain.debs);
    let wanted = Wanted { otp, wished: &wished, architecture, pinned, unneeded: Unneeded::Stays };
    let mut tools = debian::resolve_keeping(&wanted, expiry, web)?.debs;
    tools.retain(|deb| !toolchain.debs.iter().any(|known| known.package == deb.package));
    tools.extend(match is_new {
        false => toolchain::preset_emulator(Architecture::own()),
        true => emulator(expiry, web)?,
    });
    tools.sort();
    Ok(PlatformLock { platform, debs, tools })
}

/// The package of emulators as its suite has it today.
fn emulator(expiry: Expiry, web: (&Http, &dyn Observer)) -> Result<Option<Deb>, Failure> {
    let (package, otp) = EMULATORS;
    let found = debian::resolve(otp, &[package.to_owned()], Architecture::own(), expiry, web)?;
    Ok(found.debs.into_iter().find(|deb| deb.package == package))
}

/// Refuses other machines where OTP is built from source: it is built for the machine that builds.
pub(super) fn refuse_otp_from_source(
    lock: &Lock,
    platforms: &[Platform],
) -> Result<(), PlatformFailure> {
    let own = lock.toolchain.platform();
    let foreign = platforms.iter().find(|platform| Some(**platform) != own);
    match foreign {
        Some(platform) if lock.find(Role::Tool, OTP).is_some() => {
            Err(PlatformFailure::OtpFromSource { platform: *platform })
        }
        _ => Ok(()),
    }
}

/// The modules are compiled by the toolchain's OTP and run on the other machine's: both must be one. Debian's own patches
/// leave the versions of applications as they are, so in those they may differ.
fn same_otp(found: &PlatformLock, toolchain: &ToolchainLock) -> Result<(), PlatformFailure> {
    let (theirs, ours) = (otp_version(&found.debs), otp_version(&toolchain.debs));
    if unpatched(theirs) == unpatched(ours) {
        return Ok(());
    }
    Err(PlatformFailure::OtherOtp {
        platform: found.platform,
        found: theirs.to_owned(),
        wanted: ours.to_owned(),
    })
}

/// Says where the other machine's OTP has other patches of Debian's than the toolchain's.
fn other_patches(found: &PlatformLock, toolchain: &ToolchainLock) -> Option<String> {
    let (theirs, ours) = (otp_version(&found.debs), otp_version(&toolchain.debs));
    (theirs != ours && unpatched(theirs) == unpatched(ours)).then(|| {
        format!(
            "OTP for `{}` is {theirs}, and the toolchain's is {ours}: Debian's patches are not the same in both. \
             `rebeam update toolchain` takes what the archive has for each",
            found.platform.name()
        )
    })
}

fn otp_version(debs: &[Deb]) -> &str {
    let emulator = debs.iter().find(|deb| deb.package == EMULATOR);
    emulator.map_or("", |deb| without(&deb.version, "+b", ""))
}

/// Returns a version without the number of Debian's patches for a release: `+deb13u4`.
fn unpatched(version: &str) -> &str {
    without(version, "+deb", "u")
}

/// Returns a version without a last part of digits behind `mark`; `between` may stand among the digits.
fn without<'a>(version: &'a str, mark: &str, between: &str) -> &'a str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((before, rest)) = version.rsplit_once(mark) else {
        return version;
    };
    let fits = match rest.split_once(between).filter(|_| !between.is_empty()) {
        Some((release, patch)) => is_number(release) && is_number(patch),
        None => between.is_empty() && is_number(rest),
    };
    if fits { before } else { version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::lock::{Pin, Source};

    fn emulator(version: &str, architecture: &str) -> Deb {
        Deb {
            package: EMULATOR.into(),
            version: version.into(),
            architecture: architecture.into(),
            sha256: Digest::of(version.as_bytes()),
            size: 1,
            path: "pool/x".into(),
            suite: "bookworm".into(),
        }
    }

    fn platform(version: &str) -> PlatformLock {
        let debs = vec![emulator(version, "arm64")];
        PlatformLock { platform: Platform::Arm64, debs, tools: vec![] }
    }

    #[test]
    fn both_machines_must_have_one_otp_and_rebuilds_of_it_are_one() {
        let mut toolchain = Lock::of(vec![]).toolchain;
        toolchain.debs = vec![emulator("1:25.2.3+dfsg-1+b2", "amd64")];
        same_otp(&platform("1:25.2.3+dfsg-1"), &toolchain).unwrap();
        same_otp(&platform("1:25.2.3+dfsg-1+b11"), &toolchain).unwrap();
        assert_eq!(other_patches(&platform("1:25.2.3+dfsg-1+b11"), &toolchain), None);
        let error = same_otp(&platform("1:25.3.1+dfsg-1+deb12u4"), &toolchain).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`linux/arm64` is 1:25.3.1+dfsg-1+deb12u4"), "{text}");
        assert!(error.hint().unwrap().contains("rebeam update toolchain"));
        let plain = |version| without(version, "+b", "");
        for version in ["1.0+beta", "1.0+b", "1.0"] {
            assert_eq!((plain(version), unpatched(version)), (version, version));
        }
    }

    #[test]
    fn other_patches_of_debians_are_told_and_no_other_otp() {
        let mut toolchain = Lock::of(vec![]).toolchain;
        toolchain.debs = vec![emulator("1:27.3.4.1+dfsg-1+deb13u4", "amd64")];
        let older = platform("1:27.3.4.1+dfsg-1+deb13u3+b1");
        same_otp(&older, &toolchain).unwrap();
        let said = other_patches(&older, &toolchain).unwrap();
        for part in ["`linux/arm64` is 1:27.3.4.1+dfsg-1+deb13u3,", "deb13u4", "rebeam update"] {
            assert!(said.contains(part), "{said}");
        }
        same_otp(&platform("1:27.3.4.1+dfsg-1"), &toolchain).unwrap();
        same_otp(&platform("1:27.3.4.1+dfsg-2"), &toolchain).unwrap_err();
    }

    #[test]
    fn an_otp_from_source_is_for_the_machine_that_builds() {
        let pin = Pin::Path { path: "otp".into() };
        let mut lock = Lock::of(vec![Source::of(OTP, Role::Tool, pin, "path")]);
        lock.toolchain.debs = vec![emulator("1", "amd64")];
        refuse_otp_from_source(&lock, &[Platform::Amd64]).unwrap();
        let error = refuse_otp_from_source(&lock, &Platform::ALL).unwrap_err();
        assert!(error.to_string().contains("not for `linux/arm64`"), "{error}");
        let hint = error.hint().unwrap();
        for way in ["`otp` under `[toolchain]`", "build on that machine"] {
            assert!(hint.contains(way), "{hint}");
        }
        lock.sources.clear();
        refuse_otp_from_source(&lock, &Platform::ALL).unwrap();
    }
}
