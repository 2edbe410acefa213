//! Run: the caller's side of a room: starts the keeper, follows the output, watches the clock.

use std::fs;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::line::{KILL, Report, Stage, TERMINATE};
use super::output::{Lines, Log};
use super::place::{Host, Look};
use super::plan::{self, Plan, Talk};
use super::{Access, Level, Room, SandboxError, kernel, probe};
use crate::disk::{self, Kind};

/// Bytes of everything that a room may report.
const REPORT_BYTES_MAX: u64 = 64 << 10;
/// How long a killed room may take to be gone before its keeper is killed too.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ended itself, with this code.
    Exited(i32),
    /// A signal ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It was killed because its wall time was over.
    TimedOut,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// From the start of the room to its end.
    pub duration_ms: u64,
    /// The last lines that it printed.
    pub log_tail: Vec<String>,
    /// What of the room is weaker than its level promises, in words; empty almost everywhere.
    pub notes: Vec<String>,
}

/// What the reader of a line wants to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Go on.
    Continue,
    /// Send SIGTERM to the command. Only the first such reply counts.
    Terminate,
}

static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();

/// Says which program is started again for a room, where that is not the one that runs: for tests.
///
/// Its first line must call [`super::enter`] when its first argument is `__room`. The first call counts.
pub fn set_executable(path: &Path) {
    EXECUTABLE.get_or_init(|| path.to_owned());
}

fn executable() -> &'static Path {
    EXECUTABLE.get_or_init(|| PathBuf::from("/proc/self/exe"))
}

/// Runs a room's command to its end; its output goes line by line to `on_line` and into `log`.
pub fn run(
    room: &Room,
    log: &Path,
    on_line: &mut dyn FnMut(&str) -> Reply,
) -> Result<Outcome, SandboxError> {
    let started = Instant::now();
    let plan = plan_of(room, Talk::Log)?;
    let mut log = Log::create(log)?;
    let (output, theirs) = io::pipe().map_err(setup("make a pipe"))?;
    let errors = theirs.try_clone().map_err(setup("make a pipe"))?;
    let mut caller = Caller::start(&plan, |command, socket| {
        command.stdin(Stdio::from(socket)).stdout(theirs).stderr(errors).arg("0");
        Ok(None)
    })?;
    let deadline = started.checked_add(Duration::from_secs(room.bounds.wall_s));
    let timed_out = caller.follow(output, deadline, &mut |line, socket| {
        log.line(line)?;
        if on_line(line) == Reply::Terminate {
            socket.terminate();
        }
        Ok(())
    })?;
    let (ended, notes) = caller.finish(room)?;
    let timed_out = timed_out.then_some(Status::TimedOut);
    Ok(Outcome {
        status: timed_out.or(ended).ok_or_else(|| lost(room))?,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        log_tail: log.finish()?,
        notes,
    })
}

/// Runs a room's command with the caller's terminal. Wall time is not bounded.
///
/// SIGTERM is the command's meanwhile. Once it has ended this process no longer ends by that signal: it has only to
/// clear away what is left and to report how the command ended.
pub fn interactive(room: &Room) -> Result<Status, SandboxError> {
    let plan = plan_of(room, Talk::Terminal)?;
    let _keyboard = kernel::ignore_keyboard();
    let _terminal = kernel::keep_terminal();
    let mut caller = Caller::start(&plan, |command, socket| {
        kernel::keep_open(socket.as_fd())?;
        command.arg(socket.as_raw_fd().to_string());
        Ok(Some(socket))
    })?;
    let terminate = kernel::forward_terminate(caller.socket.as_fd());
    caller.hear_all()?;
    // The descriptor ends with the caller.
    drop(terminate);
    caller.finish(room)?.0.ok_or_else(|| lost(room))
}

/// Tries a plan that has no command.
pub(super) fn attempt(plan: &Plan, level: Level) -> Result<(), SandboxError> {
    let mut caller = Caller::start(plan, |command, socket| {
        command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::null()).arg("0");
        Ok(None)
    })?;
    caller.hear_all()?;
    caller.wait()?;
    match caller.reports()?.into_iter().next() {
        Some(Report::Failed { action, errno, at }) => Err(failed(action, errno, at, level)),
        Some(_) => Ok(()),
        None => Err(SandboxError::Lost { command: "nothing".into() }),
    }
}

pub(super) fn setup(action: &str) -> impl FnOnce(io::Error) -> SandboxError {
    let action = action.to_owned();
    move |source| SandboxError::Setup { action, source }
}

pub(super) fn plan_of(room: &Room, talk: Talk) -> Result<Plan, SandboxError> {
    let mut room = room.clone();
    room.root = disk::canonical(&room.root)?;
    for mount in &mut room.mounts {
        mount.host = disk::canonical(&mount.host)?;
    }
    let spare = spare(&room)?;
    plan::plan(&room, talk, &spare, &Disk)
}

/// A directory that does not exist yet, where what may be written can be moved to by renaming.
fn spare(room: &Room) -> Result<String, SandboxError> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let writable = room.mounts.iter().find(|mount| mount.access == Access::ReadWrite);
    // What is writable in the root itself has no place beside it that is not the root's.
    let outside = writable.filter(|mount| !mount.host.starts_with(&room.root));
    let beside = outside.map_or(&room.root, |mount| &mount.host);
    let parent = beside.parent().unwrap_or(beside);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!(".room-{}-{count}", std::process::id()));
        if !disk::exists(&path) {
            let text = path.to_str().map(str::to_owned);
            return text.ok_or_else(|| SandboxError::BadRoom {
                reason: format!("`{}` is not UTF-8", path.display()),
            });
        }
    }
}

/// The host that there is.
struct Disk;

impl Host for Disk {
    fn look(&self, path: &Path) -> Result<Look, SandboxError> {
        let kind = disk::status(path)?.map(|status| status.kind);
        Ok(match kind {
            None => Look::Missing,
            Some(Kind::File { .. } | Kind::Special) => Look::File,
            Some(Kind::Symlink) => Look::Link(utf8(path, disk::read_link(path)?)?),
            Some(Kind::Directory) => Look::Directory,
        })
    }

    fn names(&self, path: &Path) -> Result<Vec<String>, SandboxError> {
        let names = disk::list(path)?.into_iter();
        names.map(|name| utf8(path, name)).collect()
    }
}

fn utf8(path: &Path, name: Vec<u8>) -> Result<String, SandboxError> {
    String::from_utf8(name).map_err(|_| SandboxError::BadRoom {
        reason: format!("`{}` holds a name that is not UTF-8", path.display()),
    })
}

/// The caller's hold of a keeper. Dropping it before its end kills the room.
pub(super) struct Caller {
    keeper: Option<Child>,
    pub(super) socket: UnixStream,
    heard: Vec<u8>,
    terminated: bool,
}

impl Caller {
    pub(super) fn start(
        plan: &Plan,
        connect: impl FnOnce(&mut Command, OwnedFd) -> io::Result<Option<OwnedFd>>,
    ) -> Result<Self, SandboxError> {
        let (socket, theirs) = UnixStream::pair().map_err(setup("make a socket"))?;
        let mut command = Command::new(executable());
        command.arg0("rebeam").arg("__room").env_clear();
        let kept = connect(&mut command, theirs.into()).map_err(setup("pass a socket"))?;
        let keeper = command.spawn().map_err(setup("start a process"))?;
        // The keeper's ends must not stay open here, or their end would never be seen.
        drop((command, kept));
        let mut caller =
            Self { keeper: Some(keeper), socket, heard: Vec::new(), terminated: false };
        let mut text = serde_json::to_vec(plan).expect("a plan is plain data");
        text.push(b'\n');
        // A keeper that is gone before it has read says why, or nothing, when it is waited for.
        let _ = caller.socket.write_all(&text);
        Ok(caller)
    }

    fn terminate(&mut self) {
        if !self.terminated {
            self.terminated = true;
            let _ = self.socket.write_all(&[TERMINATE]);
        }
    }

    /// Reads output and reports until the keeper is gone; tells whether the time was over before.
    pub(super) fn follow(
        &mut self,
        mut output: PipeReader,
        mut deadline: Option<Instant>,
        on_line: &mut dyn FnMut(&str, &mut Self) -> Result<(), SandboxError>,
    ) -> Result<bool, SandboxError> {
        let mut lines = Lines::default();
        let mut buffer = vec![0; 32 << 10];
        let (mut printing, mut reporting) = (true, true);
        let mut timed_out = false;
        while printing || reporting {
            let fds =
                [printing.then_some(output.as_fd()), reporting.then_some(self.socket.as_fd())];
            let patience = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let [prints, reports] =
                kernel::wait_readable(fds, patience).map_err(setup("wait for the room"))?;
            if prints {
                let read = output.read(&mut buffer).map_err(setup("read the output"))?;
                printing = read > 0;
                let mut fate = Ok(());
                lines.take(&buffer[..read], &mut |line| {
                    if fate.is_ok() {
                        fate = on_line(line, self);
                    }
                });
                fate?;
            }
            if reports {
                reporting = self.hear()?;
            }
            if deadline.is_some_and(|end| end <= Instant::now()) {
                if timed_out {
                    self.kill_keeper();
                }
                timed_out = true;
                let _ = self.socket.write_all(&[KILL]);
                deadline = Instant::now().checked_add(END_PATIENCE);
            }
        }
        let mut fate = Ok(());
        lines.finish(&mut |line| fate = on_line(line, self));
        fate.map(|()| timed_out)
    }

    /// Hears some of what the room reports; tells whether there may be more.
    fn hear(&mut self) -> Result<bool, SandboxError> {
        let mut buffer = [0; 4096];
        let read = match self.socket.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            // The keeper was killed with words of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(setup("hear the room")(error)),
        };
        if self.heard.len() as u64 + read as u64 <= REPORT_BYTES_MAX {
            self.heard.extend_from_slice(&buffer[..read]);
        }
        Ok(read > 0)
    }

    fn hear_all(&mut self) -> Result<(), SandboxError> {
        while self.hear()? {}
        Ok(())
    }

    fn kill_keeper(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.kill();
        }
    }

    fn wait(&mut self) -> Result<(), SandboxError> {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.wait().map_err(setup("wait for the room"))?;
        }
        Ok(())
    }

    fn reports(&self) -> Result<Vec<Report>, SandboxError> {
        let lines = self.heard.split(|byte| *byte == b'\n');
        let read = |line: &[u8]| serde_json::from_slice(line).map_err(io::Error::from);
        let lines = lines.filter(|line| !line.is_empty());
        lines.map(read).collect::<io::Result<_>>().map_err(setup("hear the room"))
    }

    /// Waits for the keeper and reads what the room has said of its end.
    /// Killed from outside, or by the clock, it has said nothing.
    pub(super) fn finish(
        mut self,
        room: &Room,
    ) -> Result<(Option<Status>, Vec<String>), SandboxError> {
        self.wait()?;
        let mut notes = Vec::new();
        let mut ended = None;
        for report in self.reports()? {
            match report {
                Report::Failed { action, errno, at } => {
                    return Err(failed(action, errno, at, room.level));
                }
                Report::Noted { note } => notes.push(note),
                Report::Granted => {}
                Report::Exited(code) => ended = Some(Status::Exited(code)),
                Report::Killed(signal) => ended = Some(Status::Killed { signal }),
            }
        }
        Ok((ended, notes))
    }
}

pub(super) fn lost(room: &Room) -> SandboxError {
    SandboxError::Lost { command: room.argv[0].clone() }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            let _ = self.socket.write_all(&[KILL]);
            let _ = self.wait();
        }
    }
}

fn failed(action: String, errno: i32, at: Stage, level: Level) -> SandboxError {
    let source = io::Error::from_raw_os_error(errno);
    match at {
        Stage::Command => SandboxError::NoCommand { command: action, source },
        Stage::Namespaces
            if [libc::EPERM, libc::EACCES, libc::ENOSPC, libc::EINVAL, libc::ENOSYS]
                .contains(&errno) =>
        {
            SandboxError::Forbidden {
                level: level.name(),
                action,
                why: probe::why(level, errno),
                source,
            }
        }
        Stage::Namespaces | Stage::Room => SandboxError::Setup { action, source },
    }
}

/// Reads a small file of the kernel's; `None` where it does not exist.
pub(super) fn kernel_says(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
