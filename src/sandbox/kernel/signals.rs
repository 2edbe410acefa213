//! Signals: which come through, and who gets the keys and the terminal.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use libc::{c_int, c_long, pid_t};

use super::checked;

/// The signals that the first process waits for; all others are blocked as well.
pub(in crate::sandbox) fn block_signals() -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid value; `sigfillset` then sets all of it.
    let mut all: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set lives until the calls return.
    unsafe {
        libc::sigfillset(&raw mut all);
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut()))?;
    }
    Ok(())
}

/// Gives a command the signals as a new process has them: none ignored, none blocked.
pub(in crate::sandbox) fn reset_signals() -> io::Result<()> {
    // The kernel's own form, because C libraries keep two signals to themselves.
    let default = [0_usize; 4];
    for signal in 1..=64 {
        // SAFETY: the zeros are longer than any kernel's form of this and mean the default, which
        // runs no code of ours; nothing is written back. Two signals refuse; that is well.
        unsafe {
            let nowhere = ptr::null_mut::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, 8_usize);
        }
    }
    // SAFETY: all-zero bytes are a valid value; `sigemptyset` then clears all of it.
    let mut none: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set lives until the calls return.
    unsafe {
        libc::sigemptyset(&raw mut none);
        checked(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()))?;
    }
    Ok(())
}

/// What woke the first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Woken {
    ChildEnded,
    AskedToEnd,
    Time,
}

/// Waits until a child ends, SIGTERM comes or time has passed. The signals must be blocked.
pub(in crate::sandbox) fn wait_signal(patience: Duration) -> io::Result<Woken> {
    let time = libc::timespec {
        tv_sec: i32::try_from(patience.as_secs()).unwrap_or(i32::MAX).into(),
        tv_nsec: c_long::from(patience.subsec_nanos()),
    };
    // SAFETY: all-zero bytes are a valid value; `sigemptyset` then clears all of it.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: set and time live until the calls return; null is allowed for the details.
    let signal = unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const time)
    };
    match checked(signal) {
        Ok(libc::SIGCHLD) => Ok(Woken::ChildEnded),
        Ok(_) => Ok(Woken::AskedToEnd),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(Woken::Time),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Woken::Time),
        Err(error) => Err(error),
    }
}

/// Leaves the keys of the terminal to the room for as long as this lives.
pub(in crate::sandbox) struct KeyboardIgnored([libc::sighandler_t; 2]);

const KEYS: [c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

pub(in crate::sandbox) fn ignore_keyboard() -> KeyboardIgnored {
    // SAFETY: ignoring a signal runs no code of ours.
    KeyboardIgnored(KEYS.map(|signal| unsafe { libc::signal(signal, libc::SIG_IGN) }))
}

impl Drop for KeyboardIgnored {
    fn drop(&mut self) {
        for (signal, before) in KEYS.into_iter().zip(self.0) {
            // SAFETY: the disposition is the one that stood there before.
            unsafe { libc::signal(signal, before) };
        }
    }
}

/// Takes the terminal back when this ends: a shell in the room leaves it with a group that is gone.
pub(in crate::sandbox) struct TerminalKept {
    ours: Option<pid_t>,
}

pub(in crate::sandbox) fn keep_terminal() -> TerminalKept {
    // SAFETY: the calls take a number or nothing; without a terminal the first fails.
    let (front, own) = unsafe { (libc::tcgetpgrp(0), libc::getpgrp()) };
    TerminalKept { ours: (front == own).then_some(own) }
}

impl Drop for TerminalKept {
    fn drop(&mut self) {
        let Some(own) = self.ours else {
            return;
        };
        // SAFETY: the dispositions run no code of ours, and the numbers are a descriptor and a group.
        // Who is not in front and asks for it is stopped, unless it ignores that.
        unsafe {
            let before = libc::signal(libc::SIGTTOU, libc::SIG_IGN);
            libc::tcsetpgrp(0, own);
            libc::signal(libc::SIGTTOU, before);
        }
    }
}

/// Where SIGTERM is passed on to while a room has the terminal; -1 is nowhere.
static TERMINATE_TO: AtomicI32 = AtomicI32::new(-1);

extern "C" fn pass_terminate(_: c_int) {
    let fd = TERMINATE_TO.load(Ordering::Relaxed);
    if fd < 0 {
        return;
    }
    // SAFETY: `write` may be called in a signal handler, and the byte is a constant.
    unsafe { libc::write(fd, c"T".as_ptr().cast(), 1) };
}

/// Passes SIGTERM on as a byte to a descriptor for as long as this lives. Afterwards it has no effect any more: what
/// was to end has ended, and what is cleared away then is not to be cut short.
pub(in crate::sandbox) struct TerminateForwarded(());

pub(in crate::sandbox) fn forward_terminate(to: BorrowedFd<'_>) -> TerminateForwarded {
    TERMINATE_TO.store(to.as_raw_fd(), Ordering::Relaxed);
    let handler: extern "C" fn(c_int) = pass_terminate;
    // SAFETY: the handler calls only `write`, which is safe at any point of the program.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    TerminateForwarded(())
}

impl Drop for TerminateForwarded {
    fn drop(&mut self) {
        TERMINATE_TO.store(-1, Ordering::Relaxed);
    }
}
