//! Perform: carries out one action of a plan, in the fresh process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::Path;

use super::line::{Fault, Line, Report, forbidden, step};
use super::plan::Action;
use super::{chroot, filter, kernel};

/// Carries out one action.
pub(super) fn perform(line: &Line, action: &Action) -> Result<(), Fault> {
    match action {
        Action::MapIds { user, group } => map_ids((*user, *group), line.outer),
        Action::PrivateMounts => {
            kernel::mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")
                .map_err(forbidden("make mounts private"))
        }
        Action::Memory { at, mode, bytes } => {
            let flags = libc::MS_NOSUID | libc::MS_NODEV;
            let data = format!("mode={mode:o},size={bytes}");
            kernel::mount("tmpfs", at, "tmpfs", flags, &data).map_err(forbidden("mount memory"))
        }
        Action::Directory { at } => make_directory(Path::new(at)),
        Action::File { at } => make_file(Path::new(at)),
        Action::Place { at, directory } => make_place(Path::new(at), *directory),
        Action::Link { at, target } => {
            symlink(target, at).map_err(step(format!("make the link `{at}`")))
        }
        Action::Bind { from, at, writable } => bind(from, at, *writable),
        Action::Device { from, at } => kernel::mount(from, at, "", libc::MS_BIND, "")
            .map_err(step(format!("show the device `{from}`"))),
        Action::Terminals { at } => {
            let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
            let data = "newinstance,ptmxmode=0666,mode=620";
            kernel::mount("devpts", at, "devpts", flags, data)
                .map_err(step("mount pseudo-terminals"))
        }
        Action::Processes { at, or_host, most } => {
            processes(line, at, *or_host)?;
            bound_processes(at, *most);
            Ok(())
        }
        Action::ReadOnly { at } => {
            let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
            let flags = flags | libc::MS_NOSUID | libc::MS_NODEV;
            kernel::mount("none", at, "", flags, "").map_err(step("make the root read-only"))
        }
        Action::Own { at, user, group } => chroot::own(Path::new(at), *user, *group)
            .map_err(step(format!("give `{at}` to the user of the room"))),
        Action::ChangeRoot { at } => change_root(at),
        Action::Chroot { at } => {
            let change = || -> io::Result<()> {
                kernel::change_root(at)?;
                std::env::set_current_dir("/")
            };
            change().map_err(forbidden("change the root"))
        }
        _ => perform_on_itself(line, action),
    }
}

/// Carries out an action that changes not what is seen but what the process is.
fn perform_on_itself(line: &Line, action: &Action) -> Result<(), Fault> {
    match action {
        Action::HostName { name } => kernel::set_host_name(name).map_err(step("set the host name")),
        Action::Loopback => loopback(line),
        Action::Cores { count } => {
            let turn = usize::try_from(kernel::process_id()).unwrap_or(0);
            kernel::use_cores(*count, turn).map_err(step("choose cores"))
        }
        Action::EmptyBounds => kernel::empty_bounding_set().map_err(step("empty the bounding set")),
        Action::Become { user, group } => {
            kernel::become_user(*user, *group).map_err(step("become the user of the room"))
        }
        Action::DropCapabilities => kernel::drop_capabilities()
            .and_then(|()| kernel::no_new_privileges())
            .map_err(step("drop capabilities")),
        Action::Filter { outgoing } => {
            filter::install(*outgoing).map_err(step("install the filter of system calls"))
        }
        _ => unreachable!("`perform` has taken the others"),
    }
}

/// Brings the loopback up. A container's root without CAP_NET_ADMIN may not; the room is as closed.
fn loopback(line: &Line) -> Result<(), Fault> {
    match kernel::loopback_up() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            line.say(&Report::Noted {
                note: "the loopback may not be brought up here, so the room has no network at all"
                    .into(),
            });
            Ok(())
        }
        result => result.map_err(step("bring the loopback up")),
    }
}

fn map_ids(inner: (u32, u32), outer: (u32, u32)) -> Result<(), Fault> {
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {} 1", inner.0, outer.0)),
        ("gid_map", format!("{} {} 1", inner.1, outer.1)),
    ];
    for (file, text) in maps {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(forbidden(format!("write `{file}`")))?;
    }
    Ok(())
}

fn make_directory(at: &Path) -> Result<(), Fault> {
    let made = fs::DirBuilder::new().mode(0o755).create(at);
    made.map_err(step(format!("make the directory `{}`", at.display())))
}

fn make_file(at: &Path) -> Result<(), Fault> {
    File::create_new(at).map(drop).map_err(step(format!("make the file `{}`", at.display())))
}

/// Makes what is missing on the way to a mount. The base holds no links that lead out of it here:
/// the plan has followed them.
fn make_place(at: &Path, directory: bool) -> Result<(), Fault> {
    if at.symlink_metadata().is_ok() {
        return Ok(());
    }
    let parent = at.parent().unwrap_or(at);
    fs::DirBuilder::new()
        .mode(0o755)
        .recursive(true)
        .create(parent)
        .map_err(step(format!("make the directory `{}`", parent.display())))?;
    if directory { make_directory(at) } else { make_file(at) }
}

fn bind(from: &str, at: &str, writable: bool) -> Result<(), Fault> {
    let show = || -> io::Result<()> {
        kernel::mount(from, at, "", libc::MS_BIND | libc::MS_REC, "")?;
        kernel::restrict_mounts(at, writable)
    };
    show().map_err(step(format!("show `{from}`")))
}

/// Mounts a fresh `/proc`. A container that masks parts of its own forbids that; what the room then
/// sees is the container's, and the caller is told.
fn processes(line: &Line, at: &str, or_host: bool) -> Result<(), Fault> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    match kernel::mount("proc", at, "proc", flags, "") {
        Err(error) if or_host && error.raw_os_error() == Some(libc::EPERM) => {
            bind("/proc", at, false)?;
            line.say(&Report::Noted {
                note: "a fresh /proc is forbidden here, so the room sees the container's".into(),
            });
            Ok(())
        }
        result => result.map_err(step("mount a fresh /proc")),
    }
}

/// The kernel's own reserve of process numbers, which are not given out again.
const RESERVED: u64 = 301;

/// Bounds the numbers of processes and threads in this process namespace.
///
/// Since Linux 6.14 `pid_max` belongs to the namespace. Before, it is the whole host's and not ours to change; there,
/// and where writing is forbidden, only the count of the first process ends a fork bomb.
fn bound_processes(proc: &str, most: u64) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 14) && most < 4_000_000 {
        // Some room above the bound, so that the first process sees that it was passed and ends the room.
        let numbers = RESERVED + most + most.max(256);
        let _ = fs::write(Path::new(proc).join("sys/kernel/pid_max"), numbers.to_string());
    }
}

fn change_root(at: &str) -> Result<(), Fault> {
    let pivot = || -> io::Result<()> {
        std::env::set_current_dir(at)?;
        match kernel::pivot_root_here() {
            // Docker's profile lets mounts pass and this not; moving the mount hides the old root too.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                kernel::mount(".", "/", "", libc::MS_MOVE, "")?;
                kernel::change_root(".")?;
            }
            Err(error) => return Err(error),
            Ok(()) => kernel::unmount_here()?,
        }
        std::env::set_current_dir("/")
    };
    pivot().map_err(step("change the root"))
}
