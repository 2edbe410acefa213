//! Descriptors: which pass to a program, and which have something to read.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use libc::c_int;

use super::checked;

/// Waits until one of the descriptors can be read, has ended, or the time is over.
pub(in crate::sandbox) fn wait_readable<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    patience: Option<Duration>,
) -> io::Result<[bool; N]> {
    let entry = |fd: Option<BorrowedFd<'_>>| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = fds.map(entry);
    let time = patience.map_or(-1, |patience| {
        c_int::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
    });
    let count = libc::nfds_t::try_from(N).expect("a handful of descriptors");
    // SAFETY: pointer and count are of one array that lives until the call returns.
    match checked(unsafe { libc::poll(entries.as_mut_ptr(), count, time) }) {
        Ok(_) => Ok(entries.map(|entry| entry.revents != 0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok([false; N]),
        Err(error) => Err(error),
    }
}

/// Takes a descriptor that was inherited as `number` and closes all others above the standard three.
pub(in crate::sandbox) fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    const KEPT: RawFd = 3;
    if number == KEPT {
        // SAFETY: the arguments are numbers.
        checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    } else {
        // SAFETY: the arguments are numbers; nothing of this fresh process owns the third descriptor.
        checked(unsafe { libc::dup3(number, KEPT, libc::O_CLOEXEC) })?;
    }
    // SAFETY: this fresh process has opened nothing yet, so nobody's descriptor is closed. An old
    // kernel without the call only leaves more open, all of it close-on-exec.
    unsafe { libc::syscall(libc::SYS_close_range, KEPT + 1, RawFd::MAX, 0) };
    // SAFETY: the descriptor was just made and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(KEPT) })
}

/// Puts a descriptor in the place of one of the standard three.
pub(in crate::sandbox) fn replace_standard(fd: BorrowedFd<'_>, standard: RawFd) -> io::Result<()> {
    // SAFETY: the standard three are owned by nobody in this process.
    checked(unsafe { libc::dup2(fd.as_raw_fd(), standard) })?;
    Ok(())
}

/// Lets a descriptor pass to a program that is executed.
pub(in crate::sandbox) fn keep_open(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) })?;
    Ok(())
}
