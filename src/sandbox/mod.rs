//! Sandbox: one command in a closed room.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
}
