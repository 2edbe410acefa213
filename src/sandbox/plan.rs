//! Plan: what is to be done to close a room, as a list of plain actions.
//!
//! The list is made by a pure function of the room and of what stands on the host, so that it can be
//! tested as data. The fresh process of `init` carries it out from first to last. The order matters
//! and is the kernel's: mounts while the old root is still seen (a fresh `/proc` is only granted where
//! an old one is visible), then the new root, then limits, then the privileges, and last the filter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::place::{Host, Look, Placed, base, placed, text, within};
use super::skeleton::Skeleton;
use super::{Access, Level, Reach, Room, SandboxError};

/// Bytes that the room's private `/tmp` may hold.
const TMP_BYTES_MAX: u64 = 8 << 30;
/// Bytes that the room's private `/dev/shm` may hold.
const SHM_BYTES_MAX: u64 = 1 << 30;
/// The devices of a room, with the kernel's numbers for them.
const DEVICES: [(&str, u32, u32); 6] = [
    ("full", 1, 7),
    ("null", 1, 3),
    ("random", 1, 8),
    ("tty", 5, 0),
    ("urandom", 1, 9),
    ("zero", 1, 5),
];

/// One step on the way into the room. Paths named `at` are on the host, below the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Action {
    /// Maps the own ids, and only those, to the user of the room.
    MapIds { user: u32, group: u32 },
    /// Keeps the mounts to come out of the host's sight.
    PrivateMounts,
    /// Mounts an empty file system in memory.
    Memory { at: String, mode: u32, bytes: u64 },
    /// Makes a directory.
    Directory { at: String },
    /// Makes an empty file for something to be mounted on.
    File { at: String },
    /// Makes the place of a mount where the root lacks it, with the directories above it.
    Place { at: String, directory: bool },
    /// Makes a symbolic link.
    Link { at: String, target: String },
    /// Shows a file or tree of the host.
    Bind { from: String, at: String, writable: bool },
    /// Shows a device node of the host.
    Device { from: String, at: String },
    /// Mounts fresh pseudo-terminals.
    Terminals { at: String },
    /// Mounts a fresh `/proc`; with `or_host` the host's is shown where a container forbids that.
    ///
    /// `most` bounds the processes in the kernel, where it knows such a bound for a room alone.
    Processes { at: String, or_host: bool, most: u64 },
    /// Makes one mount read-only.
    ReadOnly { at: String },
    /// Gives a tree of the host to the user of the room.
    Own { at: String, user: u32, group: u32 },
    /// Makes the base the root and forgets the old one.
    ChangeRoot { at: String },
    /// Makes a directory in which everyone may write.
    Shared { at: String },
    /// Shows a file or tree of the host by links that `user` cannot change.
    Farm { from: String, at: String, user: u32 },
    /// Moves a file or tree of the host in, until the end.
    MoveIn { from: String, at: String },
    /// Makes a device node.
    MakeDevice { at: String, major: u32, minor: u32 },
    /// Makes the base the root, without a mount namespace.
    Chroot { at: String },
    /// Sets the host name.
    HostName { name: String },
    /// Brings the room's own loopback up.
    Loopback,
    /// Sees that many cores.
    Cores { count: usize },
    /// Empties the bounding set, so that no file can give a capability.
    EmptyBounds,
    /// Becomes the user of the room by changing the real ids.
    Become { user: u32, group: u32 },
    /// Gives up every capability for good.
    DropCapabilities,
    /// Refuses system calls; `Outgoing::Refused` where no network namespace does it.
    Filter { outgoing: Outgoing },
}

/// Whether the filter itself has to keep connections in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outgoing {
    /// The network namespace, or nothing, bounds what can be reached.
    Free,
    /// No connection may be made.
    Refused,
}

/// Which namespaces the first process is cloned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Namespaces {
    pub(super) user: bool,
    pub(super) network: bool,
    /// Mounts, processes, host name, System V IPC and cgroups.
    pub(super) rest: bool,
}

/// The command and what it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) processes_max: u64,
    pub(super) memory_bytes_max: Option<u64>,
    pub(super) file_bytes_max: u64,
    /// The bits that a new file does not get.
    pub(super) umask: u32,
    /// The command has the caller's terminal and stays in the caller's session.
    pub(super) terminal: bool,
}

/// Everything that the fresh process has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) namespaces: Namespaces,
    pub(super) actions: Vec<Action>,
    /// A plan without a command only tries whether its actions are granted.
    pub(super) command: Option<Command>,
}

/// Who the command talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Talk {
    /// Its output is read by the caller.
    Log,
    /// It has the caller's terminal.
    Terminal,
}

/// Makes the plan of a room.
///
/// `spare` names a directory that does not exist yet; a room without mounts is put together there.
pub(super) fn plan(
    room: &Room,
    talk: Talk,
    spare: &str,
    host: &dyn Host,
) -> Result<Plan, SandboxError> {
    check(room)?;
    let namespaces = Namespaces {
        user: room.level == Level::Userns,
        network: room.level != Level::Chroot && room.reach == Reach::Closed,
        rest: room.level != Level::Chroot,
    };
    let actions = match room.level {
        Level::Userns | Level::Root => namespaced(room, host)?,
        Level::Chroot => farmed(room, spare, host)?,
    };
    Ok(Plan { namespaces, actions, command: Some(command(room, talk)) })
}

/// The plan that only tries whether namespaces, their mounts and a fresh `/proc` are granted.
pub(super) fn trial(base: &str) -> Plan {
    Plan {
        namespaces: Namespaces { user: true, network: true, rest: true },
        actions: vec![
            Action::MapIds { user: 1000, group: 1000 },
            Action::PrivateMounts,
            memory(base, 0o755, 1 << 20),
            Action::Directory { at: format!("{base}/proc") },
            Action::Processes { at: format!("{base}/proc"), or_host: false, most: u64::MAX },
        ],
        command: None,
    }
}

fn command(room: &Room, talk: Talk) -> Command {
    Command {
        argv: room.argv.clone(),
        env: room.env.clone(),
        cwd: room.cwd.clone(),
        processes_max: room.bounds.processes,
        memory_bytes_max: room.bounds.memory_bytes,
        file_bytes_max: room.bounds.file_bytes,
        umask: room.guise.umask,
        terminal: talk == Talk::Terminal,
    }
}

/// Refuses what no room can be made of.
fn check(room: &Room) -> Result<(), SandboxError> {
    let bad = |reason: String| Err(SandboxError::BadRoom { reason });
    if room.argv.is_empty() {
        return bad("there is no command".into());
    }
    let texts = room.argv.iter().chain(room.env.keys()).chain(room.env.values());
    if let Some(text) = texts.chain([&room.cwd]).find(|text| text.contains('\0')) {
        return bad(format!("`{}` holds a zero byte", text.escape_debug()));
    }
    if let Some(name) = room.env.keys().find(|name| name.is_empty() || name.contains('=')) {
        return bad(format!("`{name}` cannot name an environment variable"));
    }
    let insides = room.mounts.iter().map(|mount| &mount.inside);
    for path in insides.chain([&room.cwd]) {
        let dots = path.split('/').any(|part| part == "." || part == "..");
        if !path.starts_with('/') || dots || path.contains('\0') {
            return bad(format!("`{path}` is not an absolute path without dots"));
        }
    }
    if room.mounts.iter().any(|mount| mount.inside.trim_matches('/').is_empty()) {
        return bad("a mount would hide the whole root".into());
    }
    Ok(())
}

fn namespaced(room: &Room, host: &dyn Host) -> Result<Vec<Action>, SandboxError> {
    let mounts = placed(room, host)?;
    let base = base(room, &mounts, host)?;
    let (user, group) = room.user;
    let mut actions = Vec::new();
    if room.level == Level::Userns {
        actions.push(Action::MapIds { user, group });
    }
    actions.push(Action::PrivateMounts);
    actions.push(memory(&base, 0o755, 16 << 20));
    let skeleton = Skeleton { root: text(&room.root)?, base: &base, mounts: &mounts, host };
    skeleton.expand("", &mut actions)?;
    let own = |inside: &str| !mounts.iter().any(|mount| mount.inside == inside);
    if own("/tmp") {
        actions.push(memory(&format!("{base}/tmp"), 0o1777, TMP_BYTES_MAX));
    }
    if own("/dev") {
        devices(&base, &mut actions);
    }
    if own("/proc") {
        actions.push(Action::Processes {
            at: format!("{base}/proc"),
            or_host: room.level == Level::Userns,
            most: room.bounds.processes,
        });
    }
    for mount in &mounts {
        bind(mount, room, &base, &mut actions);
    }
    actions.push(Action::ReadOnly { at: base.clone() });
    actions.push(Action::ChangeRoot { at: base });
    close(room, &mut actions);
    Ok(actions)
}

/// The room of the weakest level, put together out of links.
fn farmed(room: &Room, base: &str, host: &dyn Host) -> Result<Vec<Action>, SandboxError> {
    let (user, group) = room.user;
    let mounts = placed(room, host)?;
    let mut actions = vec![directory(base)];
    let Look::Directory = host.look(&room.root)? else {
        let reason = format!("`{}` is not a directory", room.root.display());
        return Err(SandboxError::BadRoom { reason });
    };
    let own = |inside: &str| mounts.iter().any(|mount| mount.inside == inside);
    for name in host.names(&room.root)? {
        let made_here = ["dev", "proc", "tmp"].contains(&name.as_str());
        if !made_here && !own(&format!("/{name}")) {
            actions.push(Action::Farm {
                from: format!("{}/{name}", text(&room.root)?),
                at: format!("{base}/{name}"),
                user,
            });
        }
    }
    actions.push(directory(&format!("{base}/dev")));
    for (name, major, minor) in DEVICES {
        actions.push(Action::MakeDevice { at: format!("{base}/dev/{name}"), major, minor });
    }
    for shared in ["/dev/shm", "/tmp"] {
        actions.push(Action::Shared { at: format!("{base}{shared}") });
    }
    for mount in &mounts {
        let (from, at) = (mount.host.clone(), format!("{base}{}", mount.inside));
        if mount.access == Access::ReadOnly {
            actions.push(Action::Farm { from, at, user });
            continue;
        }
        if mounts.iter().any(|outer| within(&mount.inside, &outer.inside)) {
            let reason =
                format!("at this level `{}` cannot be writable in another mount", mount.inside);
            return Err(SandboxError::BadRoom { reason });
        }
        let at_home = from.clone();
        actions.push(Action::Own { at: at_home, user, group });
        actions.push(Action::MoveIn { from, at });
    }
    actions.push(Action::Chroot { at: base.into() });
    close(room, &mut actions);
    Ok(actions)
}

fn directory(at: &str) -> Action {
    Action::Directory { at: at.to_owned() }
}

/// What follows once the root is changed: nothing of it is undone later.
fn close(room: &Room, actions: &mut Vec<Action>) {
    let (user, group) = room.user;
    if room.level != Level::Chroot {
        actions.push(Action::HostName { name: room.guise.host_name.clone() });
        if room.reach == Reach::Closed {
            actions.push(Action::Loopback);
        }
    }
    actions.push(Action::Cores { count: room.bounds.cores.max(1) });
    actions.push(Action::EmptyBounds);
    if room.level != Level::Userns {
        actions.push(Action::Become { user, group });
    }
    actions.push(Action::DropCapabilities);
    let alone = room.level == Level::Chroot && room.reach == Reach::Closed;
    actions
        .push(Action::Filter { outgoing: if alone { Outgoing::Refused } else { Outgoing::Free } });
}

fn bind(mount: &Placed, room: &Room, base: &str, actions: &mut Vec<Action>) {
    let at = format!("{base}{}", mount.inside);
    let writable = mount.access == Access::ReadWrite;
    if writable && room.level == Level::Root {
        let (user, group) = room.user;
        actions.push(Action::Own { at: mount.host.clone(), user, group });
    }
    actions.push(Action::Place { at: at.clone(), directory: mount.directory });
    actions.push(Action::Bind { from: mount.host.clone(), at, writable });
}

fn memory(at: &str, mode: u32, bytes: u64) -> Action {
    Action::Memory { at: at.to_owned(), mode, bytes }
}

/// `/dev` is a directory of the base, which becomes read-only: only what stands here is ever in it.
fn devices(base: &str, actions: &mut Vec<Action>) {
    for (name, ..) in DEVICES {
        let at = format!("{base}/dev/{name}");
        actions.push(Action::File { at: at.clone() });
        actions.push(Action::Device { from: format!("/dev/{name}"), at });
    }
    for name in ["pts", "shm"] {
        actions.push(Action::Directory { at: format!("{base}/dev/{name}") });
    }
    actions.push(memory(&format!("{base}/dev/shm"), 0o1777, SHM_BYTES_MAX));
    actions.push(Action::Terminals { at: format!("{base}/dev/pts") });
    let links = [
        ("fd", "/proc/self/fd"),
        ("ptmx", "pts/ptmx"),
        ("stderr", "/proc/self/fd/2"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
    ];
    for (name, target) in links {
        actions.push(Action::Link { at: format!("{base}/dev/{name}"), target: target.to_owned() });
    }
}
