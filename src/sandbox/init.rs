//! Init: the fresh, single-threaded processes between the caller and the command.
//!
//! The keeper reads the plan, clones the first process of the room and waits for it and for the
//! caller's word. The first process carries out the plan, starts the command and reaps.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kernel::{self, Ended, Limit, Patience, Side, Signal, Words};
use super::plan::{Action, Command, Namespaces, Plan};
use super::{chroot, filter};

/// Descriptors that a command may have open, the same on every host that allows as many.
const OPEN_FILES_MAX: u64 = 65_536;
/// Bytes of stack of a command's first thread.
const STACK_BYTES: u64 = 8 << 20;
/// How often the first process counts the room's processes.
const COUNT_EVERY: Duration = Duration::from_millis(50);
/// Bytes of a plan.
const PLAN_BYTES_MAX: u64 = 16 << 20;
/// Where commands without a slash are looked for when the room has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the caller may say to the keeper, one byte each.
pub(super) const TERMINATE: u8 = b'T';
/// The other word: everything in the room is to be killed.
pub(super) const KILL: u8 = b'K';

/// What the room says to the caller, one JSON line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// A step on the way failed and nothing was run.
    Failed {
        action: String,
        errno: i32,
        at: Stage,
    },
    /// Something is weaker than it should be.
    Noted {
        note: String,
    },
    /// The way was free; the plan had no command.
    Granted,
    Exited(i32),
    Killed(i32),
}

/// Where on the way a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// While namespaces were asked for, or used for the first time.
    Namespaces,
    /// Later.
    Room,
    /// When the command was to be executed.
    Command,
}

/// A failed step, on its way to the caller.
pub(super) struct Fault {
    action: String,
    source: io::Error,
    stage: Stage,
}

/// Names the step that an I/O error belongs to.
pub(super) fn step(action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    at(Stage::Room, action)
}

/// The same for a step that this system may forbid altogether.
pub(super) fn forbidden(action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    at(Stage::Namespaces, action)
}

fn at(stage: Stage, action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    let action = action.into();
    move |source| Fault {
        action,
        source,
        stage,
    }
}

/// The room's end of the socket to the caller, and who the caller is.
pub(super) struct Line {
    socket: OwnedFd,
    /// The ids that the caller has on the host; inside a user namespace they cannot be asked for.
    outer: (u32, u32),
}

impl Line {
    /// Says something; a caller who is gone does not hear it, and that is no error here.
    pub(super) fn say(&self, report: &Report) {
        let mut line = serde_json::to_vec(report).expect("a report is plain data");
        line.push(b'\n');
        let Ok(socket) = self.socket.try_clone() else {
            return;
        };
        let _ = File::from(socket).write_all(&line);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn outer(&self) -> (u32, u32) {
        self.outer
    }

    pub(super) fn say_fault(&self, fault: &Fault) {
        self.say(&Report::Failed {
            action: fault.action.clone(),
            errno: fault.source.raw_os_error().unwrap_or(libc::EIO),
            at: fault.stage,
        });
    }
}

/// Is the fresh process: reads a plan from the inherited socket, runs the room and ends.
///
/// The program's first line must call this when its first argument is the hidden verb `__room`; the
/// second argument is the number of the inherited socket.
pub fn enter() -> ! {
    let number = std::env::args()
        .nth(2)
        .and_then(|text| text.parse::<RawFd>().ok());
    let Some(number) = number.filter(|number| *number >= 0) else {
        kernel::leave(2);
    };
    let Ok(socket) = kernel::inherit(number) else {
        kernel::leave(2);
    };
    let outer = kernel::effective_ids();
    let line = Line { socket, outer };
    if let Err(fault) = keep(&line) {
        line.say_fault(&fault);
        kernel::leave(1);
    }
    kernel::leave(0)
}

fn read_plan(line: &Line) -> Result<Plan, Fault> {
    let read = || -> io::Result<Plan> {
        let mut text = Vec::new();
        let socket = io::Read::take(File::from(line.socket.try_clone()?), PLAN_BYTES_MAX);
        BufReader::new(socket).read_until(b'\n', &mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    };
    read().map_err(step("read the plan"))
}

/// The keeper's life.
fn keep(line: &Line) -> Result<(), Fault> {
    kernel::block_signals().map_err(step("block signals"))?;
    let plan = read_plan(line)?;
    if !plan.namespaces.rest {
        // This keeper outlives the caller, because nobody else would clear up.
        return chroot::keep(line, &plan);
    }
    kernel::die_with_parent().map_err(step("bind its life to the caller's"))?;
    let flags = flags(plan.namespaces);
    let side = kernel::clone(flags).map_err(forbidden("make namespaces"))?;
    let first = match side {
        Side::Child => first_process(line, &plan),
        Side::Parent(pid) => pid,
    };
    let guarded = guard(line, first);
    for action in &plan.actions {
        if let Action::Own { at, .. } = action {
            chroot::own(Path::new(at), line.outer.0, line.outer.1)
                .map_err(step(format!("take `{at}` back")))?;
        }
    }
    guarded
}

fn flags(namespaces: Namespaces) -> libc::c_int {
    let mut flags = 0;
    if namespaces.rest {
        flags |= libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
        flags |= libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
    }
    if namespaces.user {
        flags |= libc::CLONE_NEWUSER;
    }
    if namespaces.network {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

/// Waits for the end of the first process, and for the caller's word. A caller that is gone, or says
/// something unknown, means that everything ends.
fn guard(line: &Line, first: libc::pid_t) -> Result<(), Fault> {
    let watch = kernel::watch_process(first).map_err(step("watch the first process"))?;
    let mut heard = Some(line.socket.as_fd());
    loop {
        let fds = [Some(watch.as_fd()), heard];
        let [ended, spoken] = kernel::wait_readable(fds, None).map_err(step("wait"))?;
        if ended {
            kernel::reap(first, Patience::Wait).map_err(step("reap the first process"))?;
            return Ok(());
        }
        if !spoken {
            continue;
        }
        let signal = match hear(line) {
            Some(TERMINATE) => Signal::Terminate,
            _ => {
                heard = None;
                Signal::Kill
            }
        };
        let _ = kernel::send(first, signal);
    }
}

/// Reads one word of the caller's; `None` when it is gone.
pub(super) fn hear(line: &Line) -> Option<u8> {
    let mut word = [0];
    let mut socket = File::from(line.socket.try_clone().ok()?);
    match io::Read::read(&mut socket, &mut word) {
        Ok(1) => Some(word[0]),
        _ => None,
    }
}

/// The life of process 1 of the room.
fn first_process(line: &Line, plan: &Plan) -> ! {
    if let Err(fault) = prepare(line, plan) {
        line.say_fault(&fault);
        kernel::leave(1);
    }
    let Some(command) = &plan.command else {
        line.say(&Report::Granted);
        kernel::leave(0);
    };
    let report = match start(line, command) {
        Ok(child) => reap_all(child, command.processes_max),
        Err(fault) => {
            line.say_fault(&fault);
            kernel::leave(1);
        }
    };
    line.say(&report);
    kernel::leave(0)
}

fn prepare(line: &Line, plan: &Plan) -> Result<(), Fault> {
    kernel::die_with_parent().map_err(step("bind its life to the keeper's"))?;
    // A caller that was killed before the line above has taken the keeper along without this process.
    // Its end of the socket was closed before, so this look cannot miss it.
    let now = kernel::wait_readable([Some(line.socket.as_fd())], Some(Duration::ZERO));
    if now.map_err(step("look for the caller"))? == [true] {
        kernel::leave(1);
    }
    kernel::set_umask(0);
    for action in &plan.actions {
        perform(line, action)?;
    }
    kernel::set_umask(0o022);
    kernel::hide_memory().map_err(step("hide its memory"))
}

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
        Action::Processes { at, or_host } => processes(line, at, *or_host),
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
        _ => perform_on_itself(action),
    }
}

/// Carries out an action that changes not what is seen but what the process is.
fn perform_on_itself(action: &Action) -> Result<(), Fault> {
    match action {
        Action::HostName { name } => kernel::set_host_name(name).map_err(step("set the host name")),
        Action::Loopback => kernel::loopback_up().map_err(step("bring the loopback up")),
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
    File::create_new(at)
        .map(drop)
        .map_err(step(format!("make the file `{}`", at.display())))
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
    if directory {
        make_directory(at)
    } else {
        make_file(at)
    }
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

/// Starts the command as a child.
pub(super) fn start(line: &Line, command: &Command) -> Result<libc::pid_t, Fault> {
    let env = command
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let words = || Ok((Words::new(command.argv.clone())?, Words::new(env)?));
    let (argv, env) = words().map_err(step("read the words of the command"))?;
    match kernel::clone(0).map_err(step("start a process"))? {
        Side::Parent(pid) => Ok(pid),
        Side::Child => {
            let fault = match become_command(command) {
                Ok(()) => execute(command, &argv, &env),
                Err(fault) => fault,
            };
            line.say_fault(&fault);
            kernel::leave(127)
        }
    }
}

fn become_command(command: &Command) -> Result<(), Fault> {
    std::env::set_current_dir(&command.cwd)
        .map_err(step(format!("enter the directory `{}`", command.cwd)))?;
    if !command.terminal {
        kernel::new_session().map_err(step("start a session"))?;
        let null = File::open("/dev/null").map_err(step("open /dev/null"))?;
        kernel::replace_standard(null.as_fd(), 0).map_err(step("replace the input"))?;
    }
    kernel::reset_signals().map_err(step("reset signals"))?;
    kernel::fix_addresses().map_err(step("fix addresses"))?;
    let unbounded = u64::MAX;
    // The first process counts and ends the room at the bound; this holds what is faster than it.
    let processes = command
        .processes_max
        .saturating_add(command.processes_max / 2);
    let limits = [
        (Limit::Core, 0, 0),
        (Limit::OpenFiles, OPEN_FILES_MAX, OPEN_FILES_MAX),
        (Limit::Stack, STACK_BYTES, unbounded),
        (
            Limit::FileSize,
            command.file_bytes_max,
            command.file_bytes_max,
        ),
        (Limit::Processes, processes, processes),
    ];
    let memory = command.memory_bytes_max;
    let memory = memory.map(|bytes| (Limit::AddressSpace, bytes, bytes));
    for (limit, soft, hard) in limits.into_iter().chain(memory) {
        kernel::set_limit(limit, soft, hard).map_err(step(format!("bound {limit:?}")))?;
    }
    Ok(())
}

/// Tries the places where the command may be, as a shell would.
fn execute(command: &Command, argv: &Words, env: &Words) -> Fault {
    let name = &command.argv[0];
    let path = command.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let places: Vec<_> = if name.contains('/') {
        vec![Path::new(name).to_owned()]
    } else {
        let full = |directory: &str| Path::new(directory).join(name);
        path.split(':')
            .filter(|part| !part.is_empty())
            .map(full)
            .collect()
    };
    let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
    for place in places {
        let Ok(place) = CString::new(place.as_os_str().as_bytes()) else {
            continue;
        };
        let error = kernel::execute(&place, argv, env);
        if error.kind() != io::ErrorKind::NotFound {
            worst = error;
        }
    }
    at(Stage::Command, name.clone())(worst)
}

/// Reaps until the command has ended, passes SIGTERM on to it, and ends the room when it holds more
/// processes and threads than it may. The kernel's own bound alone would let a fork bomb go on at the
/// bound until the wall time is over, and does not count for the host's root.
fn reap_all(child: libc::pid_t, most: u64) -> Report {
    let counts = fs::read_link("/proc/self").is_ok_and(|own| own == Path::new("1"));
    loop {
        match kernel::wait_signal(COUNT_EVERY) {
            Ok(kernel::Woken::AskedToEnd) => {
                let _ = kernel::send(child, Signal::Terminate);
            }
            Ok(kernel::Woken::ChildEnded | kernel::Woken::Time) | Err(_) => {}
        }
        while let Ok(Some((pid, ended))) = kernel::reap(-1, Patience::Look) {
            if pid == child {
                return report(ended);
            }
        }
        // This process is one of those counted.
        if counts && threads_now() > most.saturating_add(1) {
            let line = format!("rebeam: more than {most} processes, the bound of this room\n");
            let _ = io::stderr().write_all(line.as_bytes());
            return Report::Killed(libc::SIGKILL);
        }
    }
}

pub(super) fn report(ended: Ended) -> Report {
    match ended {
        Ended::Exited(code) => Report::Exited(code),
        Ended::Killed(signal) => Report::Killed(signal),
    }
}

/// Counts the threads of the room's processes, this one's included.
fn threads_now() -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let number = |name: &OsStr| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let processes = entries.flatten().filter(|entry| number(&entry.file_name()));
    // Each thread is a directory, and so a link, in `task`.
    let threads = |entry: fs::DirEntry| match fs::metadata(entry.path().join("task")) {
        Ok(tasks) => tasks.nlink().saturating_sub(2).max(1),
        Err(_) => 0,
    };
    processes.map(threads).sum()
}
