//! Init: the fresh, single-threaded processes between the caller and the command.
//!
//! The keeper reads the plan, clones the first process of the room and waits for it and for the
//! caller's word. The first process carries out the plan, starts the command and reaps.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::chroot;
use super::kernel::{self, Ended, Limit, Patience, Side, Signal, Words};
use super::line::{Fault, Line, Report, Stage, TERMINATE, at, forbidden, hear, step};
use super::perform::perform;
use super::plan::{Action, Command, Namespaces, Plan};

/// Descriptors that a command may have open, the same on every host that allows as many.
const OPEN_FILES_MAX: u64 = 65_536;
/// Bytes of stack of a command's first thread.
const STACK_BYTES: u64 = 8 << 20;
/// How often the first process counts the room's processes.
const COUNT_EVERY: Duration = Duration::from_millis(50);
/// Orphans that the first process reaps before it looks at anything else.
const REAPED_AT_ONCE: usize = 100;
/// Bytes of a plan.
const PLAN_BYTES_MAX: u64 = 16 << 20;
/// Where commands without a slash are looked for when the room has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Is the fresh process: reads a plan from the inherited socket, runs the room and ends.
///
/// The program's first line must call this when its first argument is the hidden verb `__room`; the
/// second argument is the number of the inherited socket.
pub fn enter() -> ! {
    let number = std::env::args().nth(2).and_then(|text| text.parse::<RawFd>().ok());
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
    bind_life(line)?;
    kernel::set_umask(0);
    for action in &plan.actions {
        perform(line, action)?;
    }
    kernel::set_umask(plan.command.as_ref().map_or(0o022, |command| command.umask));
    kernel::hide_memory().map_err(step("hide its memory"))?;
    // Again, because the kernel forgets the first wish when the user changes.
    bind_life(line)
}

/// Has this process end with the keeper.
fn bind_life(line: &Line) -> Result<(), Fault> {
    kernel::die_with_parent().map_err(step("bind its life to the keeper's"))?;
    // A caller that was killed before the line above has taken the keeper along without this process.
    // Its end of the socket was closed before, so this look cannot miss it.
    let now = kernel::wait_readable([Some(line.fd())], Some(Duration::ZERO));
    if now.map_err(step("look for the caller"))? == [true] {
        kernel::leave(1);
    }
    Ok(())
}

/// Starts the command as a child.
pub(super) fn start(line: &Line, command: &Command) -> Result<libc::pid_t, Fault> {
    let env = command.env.iter().map(|(name, value)| format!("{name}={value}"));
    let words = || Ok((Words::new(command.argv.clone())?, Words::new(env)?));
    let (argv, env) = words().map_err(step("read the words of the command"))?;
    match kernel::clone(0).map_err(step("start a process"))? {
        Side::Parent(pid) => Ok(pid),
        Side::Child => {
            let fault = match become_command(line, command) {
                Ok(()) => execute(command, &argv, &env),
                Err(fault) => fault,
            };
            line.say_fault(&fault);
            kernel::leave(127)
        }
    }
}

fn become_command(line: &Line, command: &Command) -> Result<(), Fault> {
    std::env::set_current_dir(&command.cwd)
        .map_err(step(format!("enter the directory `{}`", command.cwd)))?;
    if !command.terminal {
        kernel::new_session().map_err(step("start a session"))?;
        let null = File::open("/dev/null").map_err(step("open /dev/null"))?;
        kernel::replace_standard(null.as_fd(), 0).map_err(step("replace the input"))?;
    }
    kernel::reset_signals().map_err(step("reset signals"))?;
    match kernel::fix_addresses() {
        // The profile of a container may forbid it. Few builds can tell the difference.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => line.say(&Report::Noted {
            note: "fixed addresses are forbidden here, so programs are laid out at random".into(),
        }),
        result => result.map_err(step("fix addresses"))?,
    }
    let unbounded = u64::MAX;
    // The first process counts and ends the room at the bound; this holds what is faster than it.
    let processes = command.processes_max.saturating_add(command.processes_max / 2);
    let limits = [
        (Limit::Core, 0, 0),
        (Limit::OpenFiles, OPEN_FILES_MAX, OPEN_FILES_MAX),
        (Limit::Stack, STACK_BYTES, unbounded),
        (Limit::FileSize, command.file_bytes_max, command.file_bytes_max),
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
        path.split(':').filter(|part| !part.is_empty()).map(full).collect()
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
    let census = Census::new();
    let mut next = Instant::now() + COUNT_EVERY;
    loop {
        let patience = next.saturating_duration_since(Instant::now());
        if matches!(kernel::wait_signal(patience), Ok(kernel::Woken::AskedToEnd)) {
            let _ = kernel::send(child, Signal::Terminate);
        }
        // Bounded, because orphans may come faster than they can be reaped.
        for _ in 0..REAPED_AT_ONCE {
            match kernel::reap(-1, Patience::Look) {
                Ok(Some((pid, ended))) if pid == child => return report(ended),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if next > Instant::now() {
            continue;
        }
        next = Instant::now() + COUNT_EVERY;
        // This process is one of those counted.
        if census.finds_more_than(most.saturating_add(1)) {
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

/// Counts the threads of the room's processes, the first one's included.
struct Census {
    /// Where `/proc` is not the room's own, those are counted that are in this process namespace; into
    /// other rooms nobody can look from here.
    among_others: Option<PathBuf>,
}

impl Census {
    fn new() -> Self {
        let fresh = fs::read_link("/proc/self").is_ok_and(|own| own == Path::new("1"));
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        Self { among_others: namespace.filter(|_| !fresh) }
    }

    /// Stops counting as soon as it knows: in the middle of a fork bomb time is short.
    fn finds_more_than(&self, most: u64) -> bool {
        let Ok(entries) = fs::read_dir("/proc") else {
            return false;
        };
        let number = |name: &OsStr| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let processes = entries.flatten().filter(|entry| number(&entry.file_name()));
        let mine = |process: &PathBuf| match &self.among_others {
            None => true,
            Some(own) => fs::read_link(process.join("ns/pid")).is_ok_and(|seen| seen == *own),
        };
        let processes = processes.map(|entry| entry.path()).filter(mine);
        // Each thread is a directory, and so a link, in `task`.
        let threads = |process: PathBuf| match fs::metadata(process.join("task")) {
            Ok(tasks) => tasks.nlink().saturating_sub(2).max(1),
            Err(_) => 0,
        };
        let mut sum = 0;
        processes.map(threads).any(|threads| {
            sum += threads;
            sum > most
        })
    }
}
