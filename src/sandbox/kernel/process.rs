//! Process: how processes begin, become programs, end and are waited for.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use libc::{c_int, c_ulong, pid_t};

use super::{c_string, checked, checked_long, reset_signals};

/// Which side of a fork the caller is on.
pub(in crate::sandbox) enum Side {
    Parent(pid_t),
    Child,
}

/// Forks into new namespaces; the child's memory is a copy, as `fork` makes it.
pub(in crate::sandbox) fn clone(namespaces: c_int) -> io::Result<Side> {
    let flags = c_ulong::from((namespaces | libc::SIGCHLD).cast_unsigned());
    let null = ptr::null::<libc::c_void>();
    // SAFETY: without CLONE_VM and with a null stack this is `fork`; the process has one thread, so
    // no lock is left held in the child. The null pointers are not used with these flags.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, null, null, null, null) };
    let pid = checked_long(result)?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    Ok(Side::Parent(pid_t::try_from(pid).expect("a process id fits its type")))
}

/// Ends the process without running anything of the standard library's.
pub(in crate::sandbox) fn leave(code: c_int) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Ends the process by a signal, as its child was.
pub(in crate::sandbox) fn die_of(signal: c_int) -> ! {
    let _ = reset_signals();
    // SAFETY: the arguments are numbers.
    unsafe { libc::kill(libc::getpid(), signal) };
    leave(128 + signal)
}

/// Has this process killed when its parent ends.
pub(in crate::sandbox) fn die_with_parent() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// Adopts the orphans among the descendants.
pub(in crate::sandbox) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

pub(in crate::sandbox) fn process_id() -> pid_t {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::getpid() }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Ended {
    Exited(i32),
    Killed(i32),
}

/// Whether to wait for a child that has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Patience {
    Wait,
    Look,
}

/// Reaps a child; `None` if none has ended and it was only to look. `pid` -1 is any child.
pub(in crate::sandbox) fn reap(
    pid: pid_t,
    patience: Patience,
) -> io::Result<Option<(pid_t, Ended)>> {
    let flags = match patience {
        Patience::Wait => 0,
        Patience::Look => libc::WNOHANG,
    };
    let mut status = 0;
    loop {
        // SAFETY: the status lives until the call returns.
        match checked(unsafe { libc::waitpid(pid, &raw mut status, flags) }) {
            Ok(0) => return Ok(None),
            Ok(ended) if libc::WIFEXITED(status) => {
                return Ok(Some((ended, Ended::Exited(libc::WEXITSTATUS(status)))));
            }
            Ok(ended) => return Ok(Some((ended, Ended::Killed(libc::WTERMSIG(status))))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Asks a process to end, or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Signal {
    Terminate,
    Kill,
}

pub(in crate::sandbox) fn send(pid: pid_t, signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// A descriptor that becomes readable when the process ends.
pub(in crate::sandbox) fn watch_process(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: the arguments are numbers; the descriptor is close-on-exec by itself.
    let fd = checked_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).expect("a descriptor fits its type");
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts a session of its own, away from the caller's terminal.
pub(in crate::sandbox) fn new_session() -> io::Result<()> {
    // SAFETY: the call has no arguments.
    checked(unsafe { libc::setsid() })?;
    Ok(())
}

/// Words as the kernel wants them for a new program.
pub(in crate::sandbox) struct Words {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Words {
    pub(in crate::sandbox) fn new(words: impl IntoIterator<Item = String>) -> io::Result<Self> {
        let strings = words.into_iter().map(|word| c_string(&word));
        let strings = strings.collect::<io::Result<Vec<_>>>()?;
        let end = [ptr::null()];
        let pointers = strings.iter().map(|word| word.as_ptr()).chain(end).collect();
        Ok(Self { _strings: strings, pointers })
    }
}

/// Becomes another program; returns only if that fails.
pub(in crate::sandbox) fn execute(path: &CStr, argv: &Words, env: &Words) -> io::Error {
    // SAFETY: both lists end in null, and their strings live in the same struct.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    io::Error::last_os_error()
}
