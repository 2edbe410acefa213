//! Services: which packages a server or tool that runs on one's desk needs, without a toolchain around it.

use std::collections::{BTreeMap, BTreeSet};

use super::release::{self, Keyring};
use super::suite::Suite;
use super::{Architecture, DebianError, Expiry, available, index, resolve, suite};
use crate::event::Observer;
use crate::http::Http;
use crate::lock::{Deb, ServiceLock};

/// What stands in every root: a shell and the tools that scripts take for granted.
const SYSTEM: [&str; 12] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "libc-bin",
    "mawk",
    "ncurses-base",
    "sed",
    "tzdata",
];

/// Packages that look after a system, which a room has no use for. A wish by name is obeyed.
const DROPPED: [&str; 19] = [
    "adduser",
    "cdebconf",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "libpam-modules",
    "libpam-runtime",
    "locales",
    "locales-all",
    "login",
    "logrotate",
    "lsb-base",
    "passwd",
    "postgresql-client-common",
    "postgresql-common",
    "procps",
    "ssl-cert",
    "systemd",
    "sysvinit-utils",
];

/// PostgreSQL loads LLVM only where it compiles queries, which is turned off: it would be most of the download.
const DROPPED_SERIES: [&str; 1] = ["libllvm"];

fn is_dropped(package: &str) -> bool {
    let begins = |start: &&str| package.starts_with(*start);
    DROPPED.contains(&package) || DROPPED_SERIES.iter().any(begins)
}

/// Pins the packages of services, each list of wishes with all that it needs, from the suite that has this OTP.
///
/// What is pinned already stays as it is, wherever the closure allows.
pub fn resolve_services(
    otp: &str,
    lists: &BTreeSet<Vec<String>>,
    pinned: &BTreeMap<Vec<String>, Vec<Deb>>,
    expiry: Expiry,
    web: (&Http, &dyn Observer),
) -> Result<Vec<ServiceLock>, DebianError> {
    let suite = Suite::of_otp(otp)
        .ok_or_else(|| DebianError::NoSuchOtp { otp: otp.into(), known: suite::known_otps() })?;
    let trust = release::Trust { keyring: Keyring::archive(), expiry };
    let mut indices = Vec::new();
    for name in suite.parts() {
        indices.push(index::fetch(&name, Architecture::own().name(), &trust, web)?);
    }
    let mut services = Vec::new();
    for wished in lists {
        let seeds = SYSTEM.into_iter().chain(wished.iter().map(String::as_str)).collect();
        let wishes = resolve::Wishes { seeds, is_dropped: &is_dropped };
        let pins = pinned.get(wished).map_or(&[][..], Vec::as_slice);
        let debs = available(&indices, &wishes, pins, web)?;
        services.push(ServiceLock { wished: wished.clone(), suite: suite.name.into(), debs });
    }
    Ok(services)
}
