//! Preset: the tested toolchains that rebeam carries, one lock file for each suite and machine.
//!
//! One package a line, so that an update is read as a diff.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::digest::Digest;
use crate::fetch::debian::Architecture;
use crate::lock::{Deb, PlatformLock, ToolchainLock};
use crate::manifest::Platform;

use super::ToolchainError;

/// The version of the presets' form.
const VERSION: u32 = 1;

/// The presets, by OTP and machine.
const PRESETS: [(&str, Architecture, &str); 8] = [
    ("23", Architecture::Amd64, include_str!("../../lockfiles/bullseye-amd64.lock")),
    ("23", Architecture::Arm64, include_str!("../../lockfiles/bullseye-arm64.lock")),
    ("25", Architecture::Amd64, include_str!("../../lockfiles/bookworm-amd64.lock")),
    ("25", Architecture::Arm64, include_str!("../../lockfiles/bookworm-arm64.lock")),
    ("27", Architecture::Amd64, include_str!("../../lockfiles/trixie-amd64.lock")),
    ("27", Architecture::Arm64, include_str!("../../lockfiles/trixie-arm64.lock")),
    ("29", Architecture::Amd64, include_str!("../../lockfiles/forky-amd64.lock")),
    ("29", Architecture::Arm64, include_str!("../../lockfiles/forky-arm64.lock")),
];

/// What the package `elixir` brings beside a preset's packages, by OTP and machine.
const ELIXIR: [(&str, Architecture, &str); 6] = [
    ("25", Architecture::Amd64, include_str!("../../lockfiles/bookworm-elixir-amd64.lock")),
    ("25", Architecture::Arm64, include_str!("../../lockfiles/bookworm-elixir-arm64.lock")),
    ("27", Architecture::Amd64, include_str!("../../lockfiles/trixie-elixir-amd64.lock")),
    ("27", Architecture::Arm64, include_str!("../../lockfiles/trixie-elixir-arm64.lock")),
    ("29", Architecture::Amd64, include_str!("../../lockfiles/forky-elixir-amd64.lock")),
    ("29", Architecture::Arm64, include_str!("../../lockfiles/forky-elixir-arm64.lock")),
];

/// Libraries and OTP for machines that no preset toolchain runs on.
const TARGETS: [(&str, Architecture, &str); 4] = [
    ("23", Architecture::Armhf, include_str!("../../lockfiles/bullseye-target-armhf.lock")),
    ("25", Architecture::Armhf, include_str!("../../lockfiles/bookworm-target-armhf.lock")),
    ("27", Architecture::Armhf, include_str!("../../lockfiles/trixie-target-armhf.lock")),
    ("29", Architecture::Armhf, include_str!("../../lockfiles/forky-target-armhf.lock")),
];

/// The emulators of other machines' programs.
const EMULATORS: [(Architecture, &str); 2] = [
    (Architecture::Amd64, include_str!("../../lockfiles/emulator-amd64.lock")),
    (Architecture::Arm64, include_str!("../../lockfiles/emulator-arm64.lock")),
];

/// What a preset runs for another machine: OTP, the machine itself, the other, and the packages.
type Cross = (&'static str, Architecture, Architecture, &'static str);

macro_rules! cross {
    ($otp:literal, $suite:literal) => {
        [
            ($otp, Architecture::Amd64, Architecture::Arm64, cross!($suite, "arm64", "amd64")),
            ($otp, Architecture::Amd64, Architecture::Armhf, cross!($suite, "armhf", "amd64")),
            ($otp, Architecture::Arm64, Architecture::Amd64, cross!($suite, "amd64", "arm64")),
            ($otp, Architecture::Arm64, Architecture::Armhf, cross!($suite, "armhf", "arm64")),
        ]
    };
    ($suite:literal, $other:literal, $own:literal) => {
        include_str!(concat!("../../lockfiles/", $suite, "-cross-", $other, "-on-", $own, ".lock"))
    };
}

const CROSS: [[Cross; 4]; 4] = [
    cross!("23", "bullseye"),
    cross!("25", "bookworm"),
    cross!("27", "trixie"),
    cross!("29", "forky"),
];

/// Returns the package of emulators that is preset for this machine.
pub fn preset_emulator(own: Architecture) -> Option<Deb> {
    let (_, text) = EMULATORS.iter().find(|(machine, _)| *machine == own)?;
    read_preset(text).expect("the presets are data of ours, and a test reads them").debs.pop()
}

/// Returns what is preset for making images for another machine with the toolchain that is preset for this OTP.
pub fn preset_platform(otp: &str, own: Architecture, other: Architecture) -> Option<PlatformLock> {
    let mut crosses = CROSS.iter().flatten();
    let (.., tools) = crosses.find(|cross| (cross.0, cross.1, cross.2) == (otp, own, other))?;
    let libraries = match TARGETS.iter().find(|target| (target.0, target.1) == (otp, other)) {
        Some((.., text)) => {
            read_preset(text).expect("the presets are data of ours, and a test reads them")
        }
        None => preset(otp, other)?,
    };
    let mut debs = libraries.debs;
    debs.retain(|deb| Architecture::wants(&deb.package));
    let mut tools =
        read_preset(tools).expect("the presets are data of ours, and a test reads them").debs;
    tools.extend(preset_emulator(own));
    tools.sort();
    let platform = Platform::from_name(other.name())?;
    Some(PlatformLock { platform, debs, tools })
}

/// Returns the toolchain that is preset for this OTP on this machine with these packages beside it: none, or Elixir.
pub fn preset_with(
    otp: &str,
    architecture: Architecture,
    wished: &[String],
) -> Option<ToolchainLock> {
    let mut lock = preset(otp, architecture)?;
    if wished.is_empty() {
        return Some(lock);
    }
    let (_, _, text) = ELIXIR.iter().find(|(known, machine, _)| {
        *known == otp && *machine == architecture && wished == ["elixir"]
    })?;
    let more = read_preset(text).expect("the presets are data of ours, and a test reads them");
    lock.debs.extend(more.debs);
    lock.debs.sort();
    lock.wished = wished.to_vec();
    Some(lock)
}

/// Returns the toolchain that is preset for this OTP on this machine.
pub fn preset(otp: &str, architecture: Architecture) -> Option<ToolchainLock> {
    let (_, _, text) =
        PRESETS.iter().find(|(known, machine, _)| *known == otp && *machine == architecture)?;
    Some(read_preset(text).expect("the presets are data of ours, and a test reads them"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    otp: String,
    suite: String,
    debs: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    package: String,
    version: String,
    architecture: String,
    suite: String,
    path: String,
    size: u64,
    sha256: Digest,
}

/// Reads a preset's text.
pub fn read_preset(text: &str) -> Result<ToolchainLock, ToolchainError> {
    let bad = |what: String| ToolchainError::BadPreset { what };
    let file: File = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
    if file.version != VERSION {
        return Err(bad(format!("its version is {}", file.version)));
    }
    let debs = file.debs.into_iter().map(|line| Deb {
        package: line.package,
        version: line.version,
        architecture: line.architecture,
        sha256: line.sha256,
        size: line.size,
        path: line.path,
        suite: line.suite,
    });
    let debs: Vec<Deb> = debs.collect();
    if !debs.is_sorted() {
        return Err(bad("its packages are not sorted".into()));
    }
    Ok(ToolchainLock { otp: file.otp, wished: Vec::new(), suite: file.suite, debs })
}

/// Writes a preset's text.
pub fn write_preset(lock: &ToolchainLock) -> String {
    let mut text = format!(
        "# Debian {} with OTP {}: the packages of this preset. `rebeam update toolchain` takes newer ones.\n\
         version = {VERSION}\notp = {}\nsuite = {}\ndebs = [\n",
        lock.suite,
        lock.otp,
        quoted(&lock.otp),
        quoted(&lock.suite)
    );
    for deb in &lock.debs {
        writeln!(
            text,
            "  {{ package = {}, version = {}, architecture = {}, suite = {}, path = {}, size = {}, sha256 = {} }},",
            quoted(&deb.package),
            quoted(&deb.version),
            quoted(&deb.architecture),
            quoted(&deb.suite),
            quoted(&deb.path),
            deb.size,
            quoted(&deb.sha256.to_string()),
        )
        .expect("writing to a String cannot fail");
    }
    text.push_str("]\n");
    text
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
