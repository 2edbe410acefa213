//! Lock: every source and tool of a project, by commit and content hash, as `rebeam.lock` says it.

mod change;
mod difference;
mod error;
mod format;
pub mod git_url;
mod import;
pub mod mix;
mod nix;
mod reader;
mod resolve;
mod stale;
#[cfg(test)]
mod tests;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::manifest::{Platform, Tool};

pub use change::{Change, Subject, changes, summary, version};
pub use difference::{Difference, differences};
pub use error::{LockError, Place};
pub use import::{
    Disagreement, ImportError, MIX_LOCK, MixEntry, MixLock, MixLockError, REBAR_LOCK, RebarEntry,
    RebarLock, RebarPin, rebar_lock_text,
};
pub use nix::{NixPin, read_nix};
pub use resolve::{
    Asked, Conflict, ProjectFacts, Request, Resolution, ResolveError, Resolver, Rule, Settled,
    wanted,
};

pub use stale::{Staleness, stale};
pub use why::{tree, why};

/// The file's name in the project's root.
/// What the lock that an image holds is called in messages.
pub const LOCK_IN_IMAGE: &str = "the lock inside the image";
/// The file's name in the project's root.
pub const FILE_NAME: &str = "rebeam.lock";
/// The version of the lock's own format.
pub const VERSION: u32 = 1;
/// The version of everything that decides an image's bytes; a change of it changes every digest.
pub const IMAGE_FORMAT: u32 = 1;

/// What a project is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The project's name.
    pub project: String,
    /// Seconds since 1970 that date the image: the project's newest commit when the lock was made.
    pub epoch: i64,
    /// The image format that this lock was made for.
    pub image_format: u32,
    /// The toolchain.
    pub toolchain: ToolchainLock,
    /// What images for other machines than the toolchain's are made of, sorted by platform.
    pub platforms: Vec<PlatformLock>,
    /// The image that the release is laid over, where there is one.
    pub base: Option<BaseLock>,
    /// The packages of what runs beside the release on one's desk, sorted by what was wished.
    pub services: Vec<ServiceLock>,
    /// Dependencies, plugins and tools, sorted by kind and application name.
    pub sources: Vec<Source>,
}

impl Lock {
    /// Returns what is locked for a machine that is not the toolchain's.
    pub fn platform(&self, platform: Platform) -> Option<&PlatformLock> {
        self.platforms.iter().find(|known| known.platform == platform)
    }

    /// Returns the packages of a service, by what it wishes for.
    pub fn service(&self, wished: &[String]) -> Option<&ServiceLock> {
        self.services.iter().find(|known| known.wished == wished)
    }

    /// Returns the package files of services, which no image is made of.
    pub fn service_debs(&self) -> impl Iterator<Item = &Deb> {
        self.services.iter().flat_map(|known| &known.debs)
    }

    /// Returns every package file that images are made with.
    pub fn debs(&self) -> impl Iterator<Item = &Deb> {
        let foreign = self.platforms.iter().flat_map(|known| known.debs.iter().chain(&known.tools));
        self.toolchain.debs.iter().chain(foreign)
    }

    /// Returns the lock as the image of one machine bears it: without what others are made of.
    pub fn of_platform(&self, platform: Platform) -> Self {
        let mut lock = self.clone();
        lock.services.clear();
        lock.platforms.retain(|known| known.platform == platform);
        if let Some(base) = &mut lock.base {
            base.manifests.retain(|known, _| *known == platform);
        }
        lock
    }

    /// Returns the source of an application.
    pub fn find(&self, role: Role, app: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.role == role && source.app == app)
    }
}

/// The toolchain's Debian packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolchainLock {
    /// OTP's major version, as wished.
    pub otp: String,
    /// Packages beside the preset's, as wished, sorted.
    pub wished: Vec<String>,
    /// The Debian suite.
    pub suite: String,
    /// Every package of the closure, sorted by name and architecture.
    pub debs: Vec<Deb>,
}

impl ToolchainLock {
    /// Returns the machine that the toolchain runs on; nothing where its packages do not tell.
    pub fn platform(&self) -> Option<Platform> {
        let mut machines = self.debs.iter().map(|deb| deb.architecture.as_str());
        machines.find(|machine| *machine != "all").and_then(Platform::from_name)
    }
}

/// The packages by which the toolchain makes images for another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformLock {
    /// The machine.
    pub platform: Platform,
    /// OTP, libraries and data of that machine, sorted as the toolchain's.
    pub debs: Vec<Deb>,
    /// What the toolchain runs for it beside its own packages: compilers, and the emulator of the boot check.
    pub tools: Vec<Deb>,
}

/// Packages that a service on one's desk runs from: they stand alone, beside no toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceLock {
    /// What was wished, sorted.
    pub wished: Vec<String>,
    /// The Debian suite.
    pub suite: String,
    /// Every package of the closure, sorted as the toolchain's.
    pub debs: Vec<Deb>,
}

/// The image that the release is laid over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLock {
    /// Its name, as wished.
    pub image: String,
    /// What the name meant: the digest of its index, or of its manifest.
    pub digest: Digest,
    /// The manifest for each machine.
    pub manifests: BTreeMap<Platform, Digest>,
}

/// One Debian package file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deb {
    /// Package name.
    pub package: String,
    /// Debian version, with epoch and revision.
    pub version: String,
    /// `amd64`, `arm64`, `armhf` or `all`.
    pub architecture: String,
    /// SHA-256 of the `.deb`.
    pub sha256: Digest,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// Path below the archive's root: `pool/main/…`.
    pub path: String,
    /// The suite whose index named it: `bookworm`, `bookworm-security`.
    pub suite: String,
}

/// Why a source is in the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An application of the closure.
    Dep,
    /// A plugin of the build tool, or one of its dependencies.
    Plugin,
    /// A tool that a step runs.
    Tool,
}

impl Role {
    /// Returns the role as the lock spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dep => "dep",
            Self::Plugin => "plugin",
            Self::Tool => "tool",
        }
    }

    /// Reads a role.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Dep, Self::Plugin, Self::Tool].into_iter().find(|role| role.name() == name)
    }
}

/// One locked source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The OTP application's name: the BEAM's one namespace.
    pub app: String,
    /// Why it is here.
    pub role: Role,
    /// What exactly it is.
    pub pin: Pin,
    /// What was asked for, in the words of the winning request: `tag 2.12.1`, `branch main`, `~> 2.0`.
    pub wanted: String,
    /// The version that `{vsn, git}` means here.
    pub describe: Option<String>,
    /// The tool that builds it.
    pub tool: Tool,
    /// erlang.mk's autopatch leaves it as it is, as `NO_AUTOPATCH` says where it is fetched first.
    pub untouched: bool,
    /// 0 for what the project itself names.
    pub level: u32,
    /// Who asks for it, by application name; the project by its own.
    pub parents: BTreeSet<String>,
    /// The locked applications that it asks for.
    pub deps: BTreeSet<String>,
    /// The profiles that ask for it; empty for the default one.
    pub profiles: BTreeSet<String>,
    /// Other requests for the same application that lost: `url wanted (by parent)`.
    pub lost: Vec<String>,
}

#[cfg(test)]
impl Lock {
    /// A lock of these sources and of no package at all, for tests.
    pub(crate) fn of(sources: Vec<Source>) -> Self {
        let toolchain = ToolchainLock {
            otp: "25".into(),
            wished: vec![],
            suite: "bookworm".into(),
            debs: vec![],
        };
        let project = "top".into();
        let (epoch, image_format, platforms) = (0, IMAGE_FORMAT, vec![]);
        let (base, services) = (None, vec![]);
        Self { project, epoch, image_format, toolchain, platforms, base, services, sources }
    }
}

impl Source {
    /// A source that is built by rebar3 and that nobody asks for yet.
    pub fn of(app: &str, role: Role, pin: Pin, wanted: &str) -> Self {
        Self {
            app: app.to_owned(),
            role,
            pin,
            wanted: wanted.to_owned(),
            describe: None,
            tool: Tool::Rebar3,
            untouched: false,
            level: 0,
            parents: BTreeSet::new(),
            deps: BTreeSet::new(),
            profiles: BTreeSet::new(),
            lost: Vec::new(),
        }
    }
}

/// What exactly a source is. `tree` is always the content hash: SHA-256 of the tree's NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// A commit of a git repository.
    Git {
        /// Normalised address, before mirrors.
        url: String,
        /// 40 hex digits.
        commit: String,
        /// The directory inside the repository that is the source, for `git_subdir`.
        subdir: Option<String>,
        /// Content hash of the commit's tree (of the subdirectory, where there is one).
        tree: Digest,
    },
    /// A release of a hex package.
    Hex {
        /// Repository: `hexpm`.
        repository: String,
        /// Package name; may differ from the application's.
        package: String,
        /// Version.
        version: String,
        /// SHA-256 of the tarball.
        outer: Digest,
        /// Content hash of its contents.
        tree: Digest,
    },
    /// A tarball.
    Url {
        /// Address, before mirrors.
        url: String,
        /// SHA-256 of the file.
        sha256: Digest,
        /// Content hash of what it unpacks to.
        tree: Digest,
    },
    /// A directory of the project; its content is the project's and not pinned.
    Path {
        /// Relative to the manifest.
        path: String,
    },
}

impl Pin {
    /// Says where the source is from: a url, a path, or `hexpm/cowlib`.
    pub fn address(&self) -> String {
        match self {
            Self::Git { url, subdir: Some(subdir), .. } => format!("{url} in {subdir}"),
            Self::Git { url, .. } | Self::Url { url, .. } => url.clone(),
            Self::Hex { repository, package, .. } => format!("{repository}/{package}"),
            Self::Path { path } => path.clone(),
        }
    }

    /// Returns the content hash, where the source is pinned.
    pub fn tree(&self) -> Option<Digest> {
        match self {
            Self::Git { tree, .. } | Self::Hex { tree, .. } | Self::Url { tree, .. } => Some(*tree),
            Self::Path { .. } => None,
        }
    }
}
