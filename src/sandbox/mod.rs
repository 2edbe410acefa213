//! Sandbox: one command in a closed room.
//!
//! Four processes take part. The **caller** ([`run`], [`interactive`]) turns a [`Room`] into a plan, a
//! list of plain actions, and starts this same binary again under a hidden verb. That fresh,
//! single-threaded **keeper** ([`enter`]) clones a **first process** into new namespaces. The first
//! process carries out the plan, starts the **command**, reaps what is orphaned, and reports how the
//! command ended. The keeper and the caller hold the ends of one socket: when the caller is gone, even
//! by `kill -9`, the keeper reads its end and kills the first process, and with it the kernel kills
//! everything in the room. The keeper is done only when nothing of the room is left.

mod chroot;
mod filter;
mod init;
mod kernel;
mod line;
mod output;
mod perform;
mod place;
mod plan;
mod probe;
mod run;
mod skeleton;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain};

pub use init::enter;
pub use probe::{Finding, probe};
pub use run::{Outcome, Reply, Status, interactive, run, set_executable};
pub use watch::{Stop, watch};

/// How strongly the room is closed. A weaker one is used only when it is asked for by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// Unprivileged user, mount, pid, net, ipc and uts namespaces.
    #[default]
    Userns,
    /// The same without a user namespace, for root where those are forbidden.
    Root,
    /// A chroot with a seccomp filter, for containers where namespaces are forbidden.
    Chroot,
}

/// Whether a mount may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may only be read.
    ReadOnly,
    /// It may be written to.
    ReadWrite,
}

/// A host file or directory that is seen inside the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it stands on the host.
    pub host: PathBuf,
    /// Where it is seen; absolute. The place is made if the root lacks it.
    pub inside: String,
    /// Whether it may be written to.
    pub access: Access,
}

/// What of the network is seen inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing but an own loopback. Every build step.
    #[default]
    Closed,
    /// The host's network, for `rebeam run`.
    Host,
}

/// What the command may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Seconds until it is killed.
    pub wall_s: u64,
    /// Bytes of address space of one process, where bounded.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of one written file.
    pub file_bytes: u64,
    /// Cores that are seen.
    pub cores: usize,
}

impl Bounds {
    /// What a release or a service may use, that runs as long as somebody wants: all but endless processes.
    pub fn lasting() -> Self {
        Self {
            wall_s: u64::MAX,
            memory_bytes: None,
            processes: 65_536,
            file_bytes: u64::MAX,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// What a room says of the machine that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guise {
    /// The host's name.
    pub host_name: String,
    /// The permission bits that a new file does not get.
    pub umask: u32,
}

impl Default for Guise {
    fn default() -> Self {
        Self { host_name: "rebeam".into(), umask: 0o022 }
    }
}

/// A command and everything that it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The directory that becomes `/`, read-only.
    pub root: PathBuf,
    /// What else is seen.
    pub mounts: Vec<Mount>,
    /// Command and arguments; the command is an absolute path inside or found in the room's PATH.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory inside.
    pub cwd: String,
    /// User and group inside.
    pub user: (u32, u32),
    /// What it may use.
    pub bounds: Bounds,
    /// What of the network it sees.
    pub reach: Reach,
    /// How strongly it is closed.
    pub level: Level,
    /// What it says of the machine.
    pub guise: Guise,
}

/// Why the kernel does not grant namespaces, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// `user.max_user_namespaces` is 0 or used up.
    Limit,
    /// Debian's `kernel.unprivileged_userns_clone` is 0.
    Sysctl,
    /// Ubuntu's `kernel.apparmor_restrict_unprivileged_userns` is 1.
    AppArmor,
    /// A container's seccomp profile refuses.
    Container,
    /// The process is in a chroot, where the kernel gives no user namespace.
    Chroot,
    /// The level wants root and this is not root.
    NotRoot,
    /// The kernel was built without them.
    Missing,
    /// None of the known settings explains it.
    Unknown,
}

impl Forbidden {
    fn says(self) -> &'static str {
        match self {
            Self::Limit => "`user.max_user_namespaces` is 0 or used up",
            Self::Sysctl => "`kernel.unprivileged_userns_clone` is 0",
            Self::AppArmor => "`kernel.apparmor_restrict_unprivileged_userns` is 1",
            Self::Container => "the seccomp profile of the container around this process refuses",
            Self::Chroot => "this process is in a chroot, where the kernel gives none",
            Self::NotRoot => "this is not root, or root without CAP_SYS_ADMIN",
            Self::Missing => "the kernel was built without them",
            Self::Unknown => "none of the known settings explains it",
        }
    }

    /// The one command, or the way out, that mends it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Limit => "sudo sysctl -w user.max_user_namespaces=15000",
            Self::Sysctl => "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            Self::AppArmor => "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            Self::Container => {
                "start the container with `--security-opt seccomp=unconfined`, or use `--sandbox=chroot` in it"
            }
            Self::Chroot => {
                "enter that root with `systemd-nspawn -D ROOT` or `bwrap --dev-bind ROOT /` in place of chroot, or use `--sandbox=chroot` as root"
            }
            Self::NotRoot => "run it with sudo, or use the default `--sandbox=userns`",
            Self::Missing => {
                "`--sandbox=root` or `--sandbox=chroot`, as root, closes the room less tightly"
            }
            Self::Unknown => "`rebeam doctor` looks at each setting",
        }
    }
}

/// A room could not be opened, or was lost.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The level cannot be had here.
    #[error("the `{level}` sandbox cannot be had here while trying to {action}: {}", why.says())]
    Forbidden {
        /// The level that was asked for.
        level: &'static str,
        /// What was refused, as an infinitive.
        action: String,
        /// Why, as far as it can be told.
        why: Forbidden,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A step on the way into the room failed.
    #[error("cannot {action} for the sandbox")]
    Setup {
        /// What was tried, as an infinitive.
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The command cannot be executed.
    #[error("cannot execute `{command}` in the sandbox")]
    NoCommand {
        /// The first word of the command.
        command: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The room's description contradicts itself.
    #[error("the sandbox cannot be laid out: {reason}")]
    BadRoom {
        /// What is wrong, naming the thing.
        reason: String,
    },
    /// The room ended without saying how.
    #[error("the sandbox was killed from outside before `{command}` ended")]
    Lost {
        /// The first word of the command.
        command: String,
    },
    /// The log or a path could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for SandboxError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoCommand { .. } => Blame::User,
            Self::BadRoom { .. } => Blame::Bug,
            Self::Forbidden { .. } | Self::Setup { .. } | Self::Lost { .. } => Blame::World,
            Self::Disk(error) => error.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Forbidden { why, .. } => Some(why.remedy().to_owned()),
            Self::Setup { .. } => Some("`rebeam doctor` says what this system lacks".to_owned()),
            Self::NoCommand { .. } | Self::BadRoom { .. } => None,
            Self::Lost { .. } => {
                Some("look for the out-of-memory killer in the kernel's log: `dmesg | tail`".into())
            }
            Self::Disk(error) => error.hint(),
        }
    }
}

impl Level {
    /// Reads a level's name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Userns, Self::Root, Self::Chroot].into_iter().find(|level| level.name() == name)
    }

    /// The level's name, as it is asked for and as the provenance records it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Userns => "userns",
            Self::Root => "root",
            Self::Chroot => "chroot",
        }
    }
}
