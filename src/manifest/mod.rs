//! Manifest: what a project wishes for, as `rebeam.toml` says it.

mod access;
mod check;
mod content;
mod defaults;
pub mod detect;
mod dev;
mod edit;
mod error;
mod events;
mod form;
mod format;
mod keys;
mod idle;
pub mod makefile;
pub mod mix;
mod platform;
pub mod rebar;
mod schema;
mod section;
mod server;
mod services;
mod source;
mod stack;
mod things;
mod together;
pub mod tools;

use std::collections::BTreeMap;

use self::rebar::WishSource;
use crate::digest::Digest;

pub use access::{AccessProvider, AccessWish, Anonymous};
pub use dev::{DevWish, Profile};
pub use edit::{EditError, Packages, edit_packages};
pub use error::{ManifestError, Place};
pub use events::EventsWish;
pub use platform::Platform;
pub use schema::json_schema;
pub use server::Server;
pub use services::{Probe, Restart, Runs, ServiceWish, Shown};
pub use stack::{StackValue, StackWish, stack};
pub use things::ThingsWish;

/// The file's name in the project's root.
pub const FILE_NAME: &str = "rebeam.toml";
/// The OTP major versions that a toolchain preset exists for.
pub const OTP_PRESETS: [&str; 4] = ["23", "25", "27", "29"];
/// Seconds that a release may take to start where the manifest does not say.
pub const BOOT_TIMEOUT_S: u64 = 30;
/// User and group of the container where the manifest does not say.
pub const USER: (u32, u32) = (65532, 65532);

/// A project's wishes. Read from `rebeam.toml`; every field has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of what it says about the image, however it is laid out.
    pub content: Digest,
    /// Name and version.
    pub project: Project,
    /// Which OTP, with which Debian packages beside it.
    pub toolchain: ToolchainWish,
    /// How the project is built.
    pub build: Build,
    /// What is pinned, and when.
    pub lock: LockWish,
    /// Per dependency, by application name: what is done otherwise.
    pub deps: BTreeMap<String, DepOverride>,
    /// Tools that are built from source, by name.
    pub tools: BTreeMap<String, WishSource>,
    /// What of the release matters.
    pub release: ReleaseWish,
    /// What the image says of itself.
    pub image: ImageWish,
    /// How the stack on one's desk runs.
    pub dev: DevWish,
    /// What runs in it beside the release, by name.
    pub services: BTreeMap<String, ServiceWish>,
    /// Repositories of hex packages beside the public one, by name; `hexpm` and `hexpm:ORGANISATION` change or add
    /// to that.
    pub hex: BTreeMap<String, HexWish>,
    /// Prefixes of addresses and what stands in their place; the longest match wins.
    pub mirrors: BTreeMap<String, String>,
}

/// `[project]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The release's and image's name by default.
    pub name: String,
    /// The release's version, and the image's tag.
    pub version: String,
}

/// `[toolchain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainWish {
    /// OTP's major version, `25`; it names a preset.
    pub otp: String,
    /// Debian packages beside the preset's.
    pub packages: Vec<String>,
}

/// A build tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// rebar3.
    #[default]
    Rebar3,
    /// mix.
    Mix,
    /// erlang.mk: GNU make with the file that the project itself brings along.
    ErlangMk,
    /// rebar 2, built from the source that `[tools]` names or erlang.mk asks for.
    Rebar,
    /// The commands that the manifest lists.
    Make,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 5] = [Self::Rebar3, Self::Mix, Self::ErlangMk, Self::Rebar, Self::Make];

    /// Returns the tool's name as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rebar3 => "rebar3",
            Self::Mix => "mix",
            Self::ErlangMk => "erlang.mk",
            Self::Rebar => "rebar",
            Self::Make => "make",
        }
    }

    /// Returns the Debian package that the tool needs and no preset has by itself.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::Mix => Some("elixir"),
            Self::Rebar => Some("erlang-reltool"),
            Self::Rebar3 | Self::ErlangMk | Self::Make => None,
        }
    }

    /// Reads a tool's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

impl Shell {
    /// Returns the shell's name as the manifest spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Busybox => "busybox",
        }
    }

    /// Reads a shell's name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Busybox].into_iter().find(|shell| shell.name() == name)
    }
}

/// `[build]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The project's own tool.
    pub tool: Tool,
    /// The profile its release is made with (`prod`).
    pub profile: String,
    /// Variables that every step sees.
    pub env: BTreeMap<String, String>,
    /// The commands that run before the project's configuration is read, and whose results are part of the project.
    pub configure: Vec<Vec<String>>,
    /// The directory of the project in which the release is made.
    pub dir: Option<String>,
    /// The commands that make the release, in place of the tool's own.
    pub steps: Vec<Vec<String>>,
    /// The release's directory, where the tool's own place is not it.
    pub output: Option<String>,
}

/// `[lock]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockWish {
    /// Seconds that a commit or release must have been public before it is pinned; 0 by default.
    pub minimum_age_s: u64,
    /// A directory that `rebeam vendor` made, relative to the manifest: sources are taken from there first.
    pub vendor: Option<String>,
}

/// `[deps.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepOverride {
    /// Which source decides where the closure asks for several: a parent's name, or a url with `#ref`.
    pub use_source: Option<String>,
    /// Where it comes from, whatever the closure says, and even where nothing asks for it.
    pub source: Option<WishSource>,
    /// Variables that this step sees.
    pub env: BTreeMap<String, String>,
    /// Patches, applied in order, after files were replaced.
    pub patches: Vec<Patch>,
    /// Files that are put in place of the source's own.
    pub files: Vec<Replaced>,
    /// The version that its `.app.src` is to state, whatever it says.
    pub vsn: Option<String>,
    /// Plugins that are left out.
    pub ignore_plugins: Vec<String>,
    /// The tool that builds it, where the guess is wrong.
    pub tool: Option<Tool>,
    /// Applications that it needs and does not name: those beside which it happened to be built.
    pub needs: Vec<String>,
    /// Where the project expects it, relative to the project; `deps/NAME` by default.
    pub at: Option<String>,
    /// The commands that build it, in place of the tool's own.
    pub steps: Vec<Vec<String>>,
}

/// A patch file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its path, relative to the manifest.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// A file of a source that one of the project takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Its path in the source.
    pub path: String,
    /// The project's file, relative to the manifest.
    pub file: String,
    /// SHA-256 of that file's bytes.
    pub sha256: Digest,
}

/// `[hex.NAME]`: a repository of hex packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexWish {
    /// Its address.
    pub url: Option<String>,
    /// The file of its public key, relative to the manifest.
    pub public_key: Option<String>,
    /// The variable of the environment that holds what the repository wants to hear.
    pub auth_key_env: Option<String>,
}

/// `[release]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseWish {
    /// relx's release name, where the project has several or it differs from the project's name.
    pub name: Option<String>,
    /// Whether beams keep their debug information and documentation.
    pub keep_debug_info: bool,
    /// Seconds that the release may take to start in the boot check.
    pub boot_timeout_s: Option<u64>,
    /// A command of the image that has to succeed in the boot check once the release has started; none by default.
    pub smoke: Vec<String>,
    /// An Erlang expression that the started node has to evaluate there, to anything but `false`.
    pub smoke_eval: Option<String>,
}

/// Which shell the image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// None: the entry point starts the emulator directly.
    None,
    /// busybox, for `remote_console` and the release's own script.
    Busybox,
}

/// `[image]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageWish {
    /// Repository name, without a tag.
    pub name: String,
    /// The machines that images are made for, sorted; none for the one that builds.
    pub platforms: Vec<Platform>,
    /// The image that the release is laid over, by tag or digest; none by default.
    pub base: Option<String>,
    /// `8080/tcp`, sorted.
    pub ports: Vec<String>,
    /// Variables of the container.
    pub env: BTreeMap<String, String>,
    /// Numeric user and group; 65532 by default.
    pub user: (u32, u32),
    /// Directories that are volumes; the user may write to them.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// A health check.
    pub health: Option<HealthCheck>,
    /// An entry point of the project's own in place of the emulator's.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments behind the entry point.
    pub cmd: Vec<String>,
    /// Which shell the image holds; by default one only where the release cannot start without.
    pub shell: Option<Shell>,
    /// Whether epmd is started, and waited for, before the entry point; by default where a script of the release needs it.
    pub epmd: Option<bool>,
    /// Whether time zone data is put in.
    pub tzdata: bool,
    /// Whether the CA bundle is put in; by default where the release holds `ssl`.
    pub ca_certificates: Option<bool>,
}

/// `[image.health]`: a command that the container runtime runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Command and arguments.
    pub command: Vec<String>,
    /// Seconds between two checks.
    pub interval_s: u64,
    /// Seconds a check may take.
    pub timeout_s: u64,
    /// Failures in a row that count.
    pub retries: u32,
}

#[cfg(test)]
mod tests;
