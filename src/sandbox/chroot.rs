//! Chroot: the weakest room, for containers in which even root gets no namespaces.
//!
//! Without mounts the root is a farm of hard links, made for one command and taken down behind it;
//! what may be written is moved in and moved back. The command runs as an ordinary user to whom none
//! of the linked files belongs, so it can change none of them. There is no `/proc`; other processes
//! of the same user id can be sent signals; `/tmp` is not bounded; the network is closed by the filter
//! alone. The keeper adopts whatever the command leaves behind and kills it; but where the keeper
//! itself is killed by `kill -9`, some of it may stay, and so may the farm.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::time::Duration;

use super::init::{report, start};
use super::kernel::{self, Ended, Patience, Side, Signal};
use super::line::{Fault, Line, Report, TERMINATE, forbidden, hear, step};
use super::perform::perform;
use super::plan::{Action, Command, Plan};

/// How long the keeper waits between two looks at what is left to kill.
const PAUSE: Duration = Duration::from_millis(1);
/// Looks until the keeper gives up on processes that do not die.
const LOOKS_MAX: usize = 10_000;

/// The keeper's life where there are no namespaces.
pub(super) fn keep(line: &Line, plan: &Plan) -> Result<(), Fault> {
    if kernel::effective_ids().0 != 0 {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        return Err(forbidden("change the root")(error));
    }
    let Some(command) = &plan.command else {
        line.say(&Report::Granted);
        return Ok(());
    };
    kernel::adopt_orphans().map_err(step("adopt orphans"))?;
    kernel::set_umask(0);
    // The base is made first and alone: what follows after is done by the process that enters it.
    let enters = |action: &Action| matches!(action, Action::Chroot { .. });
    let inner = plan.actions.iter().position(enters);
    let (outside, inside) = plan.actions.split_at(inner.unwrap_or(plan.actions.len()));
    let mut done = 0;
    let mut built = Ok(());
    for action in outside {
        built = build(line, action);
        if built.is_err() {
            break;
        }
        done += 1;
    }
    let ended = built.and_then(|()| live(line, inside, command));
    let undone = take_down(&outside[..done], line.outer());
    // Only now, because the caller may use what was moved back as soon as it hears of the end.
    line.say(&ended?);
    undone
}

/// Carries out one action on the base.
fn build(line: &Line, action: &Action) -> Result<(), Fault> {
    match action {
        Action::Shared { at } => {
            make_shared(Path::new(at)).map_err(step(format!("make the directory `{at}`")))
        }
        Action::Farm { from, at, user } => replace(Path::new(at))
            .and_then(|()| farm(Path::new(from), Path::new(at), *user))
            .map_err(step(format!("show `{from}`"))),
        Action::MoveIn { from, at } => replace(Path::new(at))
            .and_then(|()| fs::rename(from, at))
            .map_err(step(format!("move `{from}` into the room"))),
        Action::MakeDevice { at, major, minor } => kernel::make_device(at, *major, *minor)
            .map_err(forbidden(format!("make the device `{at}`"))),
        _ => perform(line, action),
    }
}

fn make_shared(at: &Path) -> io::Result<()> {
    fs::create_dir(at)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o1777))
}

/// Makes the way to a place free: what the farm has there would be hidden by a mount.
fn replace(at: &Path) -> io::Result<()> {
    match at.symlink_metadata() {
        Ok(status) if status.is_dir() => fs::remove_dir_all(at),
        Ok(_) => fs::remove_file(at),
        Err(_) => at.parent().map_or(Ok(()), |parent| {
            fs::create_dir_all(parent)?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))
        }),
    }
}

/// Shows a file or tree by hard links, and by copies where a link would let `user` change the original
/// or not read it.
fn farm(from: &Path, at: &Path, user: u32) -> io::Result<()> {
    let status = from.symlink_metadata()?;
    if status.is_symlink() {
        return symlink(fs::read_link(from)?, at);
    }
    if !status.is_dir() {
        let mode = status.mode();
        let safe = status.uid() != user && mode & 0o022 == 0 && mode & 0o004 != 0;
        if safe && fs::hard_link(from, at).is_ok() {
            return Ok(());
        }
        if !status.is_file() {
            return Ok(());
        }
        fs::copy(from, at)?;
        let executable = if mode & 0o111 == 0 { 0o444 } else { 0o555 };
        return fs::set_permissions(at, fs::Permissions::from_mode(executable));
    }
    fs::create_dir(at)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
    for entry in from.read_dir()? {
        let entry = entry?;
        farm(&entry.path(), &at.join(entry.file_name()), user)?;
    }
    Ok(())
}

/// Runs the command in the base until nothing of it is left.
fn live(line: &Line, inside: &[Action], command: &Command) -> Result<Report, Fault> {
    let child = match kernel::clone(0).map_err(step("start a process"))? {
        Side::Child => enter(line, inside, command),
        Side::Parent(pid) => pid,
    };
    let ended = guard(line, child);
    kill_all()?;
    Ok(match ended? {
        Some(ended) => report(ended),
        None => Report::Killed(libc::SIGKILL),
    })
}

/// The life of the process between the keeper and the command.
fn enter(line: &Line, inside: &[Action], command: &Command) -> ! {
    let enter = || -> Result<Ended, Fault> {
        for action in inside {
            perform(line, action)?;
        }
        kernel::set_umask(command.umask);
        // Changing the user has undone an earlier wish.
        kernel::die_with_parent().map_err(step("bind its life to the keeper's"))?;
        let child = start(line, command)?;
        pass_on(child)
    };
    match enter() {
        Ok(Ended::Exited(code)) => kernel::leave(code),
        Ok(Ended::Killed(signal)) => kernel::die_of(signal),
        Err(fault) => {
            line.say_fault(&fault);
            kernel::leave(1)
        }
    }
}

/// Waits for the command and passes SIGTERM on to it.
fn pass_on(child: libc::pid_t) -> Result<Ended, Fault> {
    loop {
        let woken = kernel::wait_signal(Duration::from_secs(3600)).map_err(step("wait"))?;
        if woken == kernel::Woken::AskedToEnd {
            let _ = kernel::send(child, Signal::Terminate);
        }
        let ended = kernel::reap(child, Patience::Look).map_err(step("reap the command"))?;
        if let Some((_, ended)) = ended {
            return Ok(ended);
        }
    }
}

/// Waits for the end of the child, and for the caller's word; `None` if it is to be killed.
fn guard(line: &Line, child: libc::pid_t) -> Result<Option<Ended>, Fault> {
    let watch = kernel::watch_process(child).map_err(step("watch the command"))?;
    loop {
        let fds = [Some(watch.as_fd()), Some(line.fd())];
        let [ended, spoken] = kernel::wait_readable(fds, None).map_err(step("wait"))?;
        if ended {
            let ended = kernel::reap(child, Patience::Wait).map_err(step("reap the command"))?;
            return Ok(ended.map(|(_, ended)| ended));
        }
        if spoken {
            if hear(line) != Some(TERMINATE) {
                return Ok(None);
            }
            let _ = kernel::send(child, Signal::Terminate);
        }
    }
}

/// Kills the children, and the orphans that become children by that, until there are none.
fn kill_all() -> Result<(), Fault> {
    let children = format!("/proc/self/task/{}/children", kernel::process_id());
    for _ in 0..LOOKS_MAX {
        let pids = fs::read_to_string(&children).map_err(step("list what is left"))?;
        for pid in pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = kernel::send(pid, Signal::Kill);
        }
        loop {
            match kernel::reap(-1, Patience::Look) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        std::thread::sleep(PAUSE);
    }
    let error = io::Error::from_raw_os_error(libc::ETIMEDOUT);
    Err(step("kill what is left of the room")(error))
}

/// Moves back what was moved in, gives it back to its owner, and removes the base, in reverse order.
fn take_down(done: &[Action], outer: (u32, u32)) -> Result<(), Fault> {
    let base = done.iter().find_map(|action| match action {
        Action::Directory { at } => Some(at.as_str()),
        _ => None,
    });
    let Some(base) = base else {
        return Ok(());
    };
    for action in done.iter().rev() {
        match action {
            Action::MoveIn { from, at } => {
                fs::rename(at, from).map_err(step(format!("move `{from}` back out of the room")))?
            }
            Action::Own { at, .. } => {
                own(Path::new(at), outer.0, outer.1).map_err(step(format!("take `{at}` back")))?
            }
            Action::Farm { at, .. } => remove_inside(base, at)?,
            _ => {}
        }
    }
    fs::remove_dir_all(base).map_err(step(format!("remove `{base}`")))
}

/// Removes a tree of the base. The command may have put links into the way to it, so a process that
/// sees nothing but the base does it.
fn remove_inside(base: &str, at: &str) -> Result<(), Fault> {
    let inside = at.strip_prefix(base).unwrap_or(at);
    match kernel::clone(0).map_err(step("start a process"))? {
        Side::Child => {
            let gone = kernel::change_root(base).and_then(|()| {
                let status = Path::new(inside).symlink_metadata()?;
                if status.is_dir() { fs::remove_dir_all(inside) } else { fs::remove_file(inside) }
            });
            kernel::leave(i32::from(gone.is_err()))
        }
        Side::Parent(pid) => {
            // What is gone already is as well.
            kernel::reap(pid, Patience::Wait).map_err(step("reap"))?;
            Ok(())
        }
    }
}

/// Gives a tree to a user; links are not followed.
pub(super) fn own(at: &Path, user: u32, group: u32) -> io::Result<()> {
    lchown(at, Some(user), Some(group))?;
    if !at.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    for entry in at.read_dir()? {
        own(&entry?.path(), user, group)?;
    }
    Ok(())
}
