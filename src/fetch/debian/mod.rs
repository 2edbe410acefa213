//! Debian: packages by way of signed indices, and what they need; package files, opened without dpkg.
//!
//! Trust runs from the archive keys that rebeam carries over `InRelease` to the index, and from the index to
//! each package by SHA-256. A lock holds those, so only `resolve` reads an index.

mod compression;
mod contents;
mod control;
mod deb;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod fuzz;
mod index;
mod keep;
mod lack;
mod mirror;
mod pool;
mod release;
mod resolve;
mod services;
mod suite;
mod usual;
mod version;

use std::collections::BTreeSet;

use crate::disk;
use crate::event::{Event, Observer};
use crate::http::Http;
use crate::lock::{Deb, ToolchainLock};
use crate::store::{HeldBlob, Store};

pub use contents::{Asked, Holder, holder, usual_holder};
pub use deb::{Papers, papers, unpack};
pub use error::DebianError;
pub use lack::{Lack, lacks};
pub use mirror::{PRIMARY, PRIMARY_SECURITY};
pub use services::resolve_services;

use index::Universe;
use mirror::Mirror;
use suite::Suite;

/// Times that the closure is sought again because the pool lacks what an index names.
const ROUNDS_MAX: usize = 8;

/// What an index that is past its `Valid-Until` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing, at this time in seconds since 1970.
    CheckedAt(i64),
    /// As much as any: only where it is asked for by name, for snapshots and frozen mirrors.
    Ignored,
}

/// The package of emulators, which are static programs and so run beside any suite, and the OTP of the suite that it is
/// taken from: emulators before QEMU 8.1 do not see through the code that OTP's JIT compiler writes.
pub const EMULATORS: (&str, &str) = ("qemu-user", "27");

/// A machine that Debian builds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// x86_64.
    Amd64,
    /// aarch64.
    Arm64,
    /// 32-bit ARM with hardware floating point: ARMv7.
    Armhf,
}

impl Architecture {
    /// Returns the machine that this rebeam is made for.
    pub fn own() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }

    /// Returns Debian's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// Returns the machine that Debian calls so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64, Self::Armhf].into_iter().find(|machine| machine.name() == name)
    }

    /// Returns the name that compilers and library directories bear.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
            Self::Armhf => "arm-linux-gnueabihf",
        }
    }

    /// Returns the packages with the compilers that run elsewhere and compile for this machine.
    pub fn cross_compilers(self) -> [String; 3] {
        let triplet = self.triplet().replace('_', "-");
        let libc = format!("libc6-dev-{}-cross", self.name());
        [format!("g++-{triplet}"), format!("gcc-{triplet}"), libc]
    }

    /// Tells whether an image for this machine, or a compiler for it, can want a package of its toolchain: libraries with
    /// their headers, OTP, and what images take along; no tools that run while something is built.
    pub fn wants(package: &str) -> bool {
        const DATA: [&str; 4] = ["busybox-static", "ca-certificates", "ncurses-base", "tzdata"];
        // Compilers, their insides, and what their cross editions bring: the C library's headers and the kernel's.
        const INSIDES: [&str; 14] = [
            "libbinutils",
            "libc-dev-bin",
            "libc6-dev",
            "libcc1",
            "libctf",
            "libgcc-",
            "libgprofng",
            "libisl",
            "libjs-",
            "libmpc",
            "libperl",
            "libpython",
            "libstdc++-",
            "linux-libc-dev",
        ];
        let begins = |start: &&str| package.starts_with(*start);
        let is_library =
            ["erlang-", "lib", "zlib1g"].iter().any(|start| package.starts_with(start))
                || package.ends_with("-dev");
        let runtime = ["libgcc-s1", "libgcc1", "libstdc++6"].contains(&package);
        DATA.contains(&package) || runtime || (is_library && !INSIDES.iter().any(begins))
    }
}

/// Pins the packages of a toolchain: the preset's of this OTP, those wished for, and all that they need.
///
/// Reads the suite's indices: the newest versions of today.
pub fn resolve(
    otp: &str,
    wished: &[String],
    architecture: Architecture,
    expiry: Expiry,
    web: (&Http, &dyn Observer),
) -> Result<ToolchainLock, DebianError> {
    let wanted = Wanted { otp, wished, architecture, pinned: &[], unneeded: Unneeded::Goes };
    resolve_keeping(&wanted, expiry, web)
}

/// What a toolchain is to have.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// OTP's major version.
    pub otp: &'a str,
    /// Packages beside the preset's.
    pub wished: &'a [String],
    /// For which machine.
    pub architecture: Architecture,
    /// Packages that stay as they are, wherever the closure allows.
    pub pinned: &'a [Deb],
    /// What becomes of a pinned package that no wish needs any more.
    pub unneeded: Unneeded,
}

/// What becomes of a pinned package that no wish needs any more, as far as the index tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unneeded {
    /// It stays: nothing was taken away from the wishes.
    Stays,
    /// It goes.
    Goes,
}

/// Pins the packages of a toolchain as [`resolve`] does, and moves nothing that is pinned without need.
pub fn resolve_keeping(
    wanted: &Wanted<'_>,
    expiry: Expiry,
    web: (&Http, &dyn Observer),
) -> Result<ToolchainLock, DebianError> {
    let Wanted { otp, wished, architecture, pinned, unneeded } = *wanted;
    let suite = Suite::of_otp(otp)
        .ok_or_else(|| DebianError::NoSuchOtp { otp: otp.into(), known: suite::known_otps() })?;
    let mut indices = Vec::new();
    let trust = release::Trust { keyring: release::Keyring::archive(), expiry };
    for name in suite.parts() {
        indices.push(index::fetch(&name, architecture.name(), &trust, web)?);
    }
    let mut seeds: BTreeSet<&str> = suite.packages().collect();
    seeds.extend(wished.iter().map(String::as_str));
    let wishes = resolve::Wishes { seeds, is_dropped: &suite::is_dropped };
    let debs = match unneeded {
        Unneeded::Goes => available(&indices, &wishes, pinned, web)?,
        Unneeded::Stays => {
            let names = pinned.iter().map(|deb| deb.package.as_str());
            let seeds = wishes.seeds.iter().copied().chain(names).collect();
            let all = resolve::Wishes { seeds, is_dropped: &suite::is_dropped };
            // A pin may stand in the way of a wish, or have left the suite: then only what is needed stays.
            available(&indices, &all, pinned, web).or_else(|error| match error {
                DebianError::Unmet { .. }
                | DebianError::Conflict { .. }
                | DebianError::NoSuchPackage { .. } => available(&indices, &wishes, pinned, web),
                other => Err(other),
            })?
        }
    };
    let wished: BTreeSet<String> = wished.iter().cloned().collect();
    Ok(ToolchainLock {
        otp: otp.into(),
        wished: wished.into_iter().collect(),
        suite: suite.name.into(),
        debs,
    })
}

/// Resolves, and again without those versions that an index names and the pool does not have.
///
/// That happens where a mirror is behind its own index, or where a suite's updates are being put
/// away. A lock of such versions could not be built.
fn available(
    indices: &[index::Index],
    wishes: &resolve::Wishes<'_>,
    pinned: &[Deb],
    web: (&Http, &dyn Observer),
) -> Result<Vec<Deb>, DebianError> {
    let mut left = BTreeSet::new();
    let mut pins = keep::Pins::new(pinned, indices);
    for _ in 0..ROUNDS_MAX {
        let debs = keep::settle(indices, &left, wishes, &mut pins)?;
        // What is pinned may have left the pool long ago and be held here.
        let fresh: Vec<Deb> = debs.iter().filter(|deb| !pins.holds(deb)).cloned().collect();
        let lacking = pool::lacking(&fresh, web)?;
        let universe = Universe::keeping(indices, &left, &pins);
        let known = left.len();
        for package in lacking.iter().filter_map(|deb| universe.get(&deb.package)) {
            let (source, version) = package.source();
            let message = format!(
                "`{source}` {version} is in the index of {} and not whole in its pool: another version is taken",
                package.suite
            );
            if left.insert((source, version)) {
                web.1.observe(&Event::Warned { message: &message });
            }
        }
        if left.len() == known {
            return Ok(debs);
        }
    }
    Err(DebianError::Shifting)
}

/// Returns the address of Debian's archive for this machine, as the mirrors and the host's apt sources say.
pub fn base_address(http: &Http) -> Result<String, DebianError> {
    Mirror::Main.base(http)
}

/// Returns a package file out of the store, or fetches it: from a mirror, else from the pool.
pub fn fetch(
    deb: &Deb,
    store: &Store,
    http: &Http,
    observer: &dyn Observer,
) -> Result<HeldBlob, DebianError> {
    if let Some(held) = store.blob(deb.sha256)? {
        return Ok(held);
    }
    let scratch = store.scratch()?;
    let file = scratch.path().join("deb");
    pool::download(deb, &file, (http, observer))?;
    let name = format!("{} {}", deb.package, deb.version);
    let stream = disk::open(&file)?;
    Ok(store.insert_blob(&name, stream, deb.size, Some(deb.sha256))?)
}

#[cfg(test)]
mod tests;
