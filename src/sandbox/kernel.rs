//! Kernel: the system calls of the sandbox, one function for each, and all `unsafe` of this house.
//!
//! Everything here is called from a single-threaded process, except what `run` uses: `wait_readable`,
//! `keep_open`, `ignore_keyboard`, `keep_terminal` and `forward_terminate`, which are sound in any
//! thread. The file is long so that there is one place, and only one, to look for what is unsafe.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use libc::{c_int, c_long, c_ulong, pid_t};

/// Turns the C convention into a result.
fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn checked_long(result: c_long) -> io::Result<c_long> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Which side of a fork the caller is on.
pub(super) enum Side {
    Parent(pid_t),
    Child,
}

/// Forks into new namespaces; the child's memory is a copy, as `fork` makes it.
pub(super) fn clone(namespaces: c_int) -> io::Result<Side> {
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
pub(super) fn leave(code: c_int) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Ends the process by a signal, as its child was.
pub(super) fn die_of(signal: c_int) -> ! {
    let _ = reset_signals();
    // SAFETY: the arguments are numbers.
    unsafe { libc::kill(libc::getpid(), signal) };
    leave(128 + signal)
}

/// Has this process killed when its parent ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// Adopts the orphans among the descendants.
pub(super) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// Keeps the other processes of the room from looking into this one.
pub(super) fn hide_memory() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// Refuses every later gain of privileges by executing a file.
pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

pub(super) fn process_id() -> pid_t {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::getpid() }
}

/// The effective user and group.
pub(super) fn effective_ids() -> (u32, u32) {
    // SAFETY: the calls have no arguments and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Mounts; an empty `kind` or `data` is passed as none.
pub(super) fn mount(
    from: &str,
    at: &str,
    kind: &str,
    flags: c_ulong,
    data: &str,
) -> io::Result<()> {
    let (from, at) = (c_string(from)?, c_string(at)?);
    let (kind, data) = (c_string(kind)?, c_string(data)?);
    let pointer = |text: &CStr| {
        if text.is_empty() { ptr::null() } else { text.as_ptr() }
    };
    // SAFETY: all strings live until the call returns, and null is allowed for kind and data.
    let result = unsafe {
        libc::mount(from.as_ptr(), at.as_ptr(), pointer(&kind), flags, pointer(&data).cast())
    };
    checked(result)?;
    Ok(())
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Takes set-id bits and devices, and unless `writable` also writing, from a mount and all below it.
pub(super) fn restrict_mounts(at: &str, writable: bool) -> io::Result<()> {
    let at = c_string(at)?;
    let set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    let set = if writable { set } else { set | libc::MOUNT_ATTR_RDONLY };
    let attributes = MountAttributes { set, clear: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path and the attributes live until the call returns, and the size is the struct's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            mem::size_of::<MountAttributes>(),
        )
    };
    checked_long(result)?;
    Ok(())
}

/// Changes the root to the working directory and leaves the old root mounted on top of it.
pub(super) fn pivot_root_here() -> io::Result<()> {
    // SAFETY: both paths are constants that end in a zero byte.
    let result = unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) };
    checked_long(result)?;
    Ok(())
}

/// Takes the mount on top of the working directory away, with all below it.
pub(super) fn unmount_here() -> io::Result<()> {
    // SAFETY: the path is a constant that ends in a zero byte.
    checked(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) })?;
    Ok(())
}

pub(super) fn change_root(at: &str) -> io::Result<()> {
    let at = c_string(at)?;
    // SAFETY: the path lives until the call returns.
    checked(unsafe { libc::chroot(at.as_ptr()) })?;
    Ok(())
}

/// Makes the device node with these numbers, readable and writable for all.
pub(super) fn make_device(at: &str, major: u32, minor: u32) -> io::Result<()> {
    let at = c_string(at)?;
    let device = libc::makedev(major, minor);
    // SAFETY: the path lives until the call returns.
    checked(unsafe { libc::mknod(at.as_ptr(), libc::S_IFCHR | 0o666, device) })?;
    Ok(())
}

pub(super) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are of one string that lives until the call returns.
    checked(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })?;
    Ok(())
}

/// Brings the loopback of the own network namespace up.
pub(super) fn loopback_up() -> io::Result<()> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: the arguments are numbers.
    let socket = checked(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all-zero bytes are a valid value of this C struct.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(c"lo".to_bytes_with_nul()) {
        *place = byte.cast_signed() as libc::c_char;
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("two low bits fit");
    // SAFETY: the request outlives the call, and SIOCSIFFLAGS reads an `ifreq`.
    checked(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
    })?;
    Ok(())
}

pub(super) fn set_umask(mask: libc::mode_t) {
    // SAFETY: the call takes a number and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Sees only `count` of the cores that it may use now; `turn` chooses where among them to begin, so
/// that rooms that run at once do not crowd on the first cores.
pub(super) fn use_cores(count: usize, turn: usize) -> io::Result<()> {
    let size = mem::size_of::<libc::cpu_set_t>();
    // SAFETY: all-zero bytes are the empty set.
    let mut now: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set lives until the call returns and has the size that is told.
    checked(unsafe { libc::sched_getaffinity(0, size, &raw mut now) })?;
    let most = usize::try_from(libc::CPU_SETSIZE).expect("the size of a set is positive");
    // SAFETY: each index is below the size of the set.
    let mine: Vec<usize> =
        (0..most).filter(|core| unsafe { libc::CPU_ISSET(*core, &now) }).collect();
    if mine.len() <= count {
        return Ok(());
    }
    // SAFETY: all-zero bytes are the empty set.
    let mut chosen: libc::cpu_set_t = unsafe { mem::zeroed() };
    for step in 0..count {
        let core = mine[(turn * count + step) % mine.len()];
        // SAFETY: the index came out of a set of the same size.
        unsafe { libc::CPU_SET(core, &mut chosen) };
    }
    // SAFETY: the set lives until the call returns and has the size that is told.
    checked(unsafe { libc::sched_setaffinity(0, size, &raw const chosen) })?;
    Ok(())
}

/// Lays programs out at fixed addresses.
pub(super) fn fix_addresses() -> io::Result<()> {
    // SAFETY: the argument is a number.
    checked(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as c_ulong) })?;
    Ok(())
}

/// The limits that a room sets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    AddressSpace,
    Core,
    FileSize,
    OpenFiles,
    Processes,
    Stack,
}

/// Bounds what the process may use; never above what it is already bounded to.
pub(super) fn set_limit(limit: Limit, soft: u64, hard: u64) -> io::Result<()> {
    let which = match limit {
        Limit::AddressSpace => libc::RLIMIT_AS,
        Limit::Core => libc::RLIMIT_CORE,
        Limit::FileSize => libc::RLIMIT_FSIZE,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::Stack => libc::RLIMIT_STACK,
    };
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the value lives until the call returns.
    checked(unsafe { libc::getrlimit(which, &raw mut value) })?;
    value.rlim_max = value.rlim_max.min(hard);
    value.rlim_cur = value.rlim_max.min(soft);
    // SAFETY: the value lives until the call returns.
    checked(unsafe { libc::setrlimit(which, &raw const value) })?;
    Ok(())
}

/// Becomes another user and group, really, effectively and saved, without other groups.
pub(super) fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: an empty list of groups may have a null pointer.
    checked(unsafe { libc::setgroups(0, ptr::null()) })?;
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::setresgid(group, group, group) })?;
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::setresuid(user, user, user) })?;
    Ok(())
}

/// Empties the bounding set, so that no file can give a capability.
pub(super) fn empty_bounding_set() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: the arguments are numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as c_ulong, 0, 0, 0) };
        match checked(result) {
            Ok(_) => {}
            // The first number past the last capability that this kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// Gives up all capabilities, ambient, effective, permitted and inheritable.
pub(super) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapabilityHeader { version: VERSION_3, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: the arguments are numbers.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, 0, 0, 0)
    };
    // SAFETY: version 3 reads a header and two triples of 32 bits, which live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    checked_long(result)?;
    Ok(())
}

/// The signals that the first process waits for; all others are blocked as well.
pub(super) fn block_signals() -> io::Result<()> {
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
pub(super) fn reset_signals() -> io::Result<()> {
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
pub(super) enum Woken {
    ChildEnded,
    AskedToEnd,
    Time,
}

/// Waits until a child ends, SIGTERM comes or time has passed. The signals must be blocked.
pub(super) fn wait_signal(patience: Duration) -> io::Result<Woken> {
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(i32),
    Killed(i32),
}

/// Whether to wait for a child that has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Wait,
    Look,
}

/// Reaps a child; `None` if none has ended and it was only to look. `pid` -1 is any child.
pub(super) fn reap(pid: pid_t, patience: Patience) -> io::Result<Option<(pid_t, Ended)>> {
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
pub(super) enum Signal {
    Terminate,
    Kill,
}

pub(super) fn send(pid: pid_t, signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// A descriptor that becomes readable when the process ends.
pub(super) fn watch_process(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: the arguments are numbers; the descriptor is close-on-exec by itself.
    let fd = checked_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).expect("a descriptor fits its type");
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until one of the descriptors can be read, has ended, or the time is over.
pub(super) fn wait_readable<const N: usize>(
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
pub(super) fn inherit(number: RawFd) -> io::Result<OwnedFd> {
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
pub(super) fn replace_standard(fd: BorrowedFd<'_>, standard: RawFd) -> io::Result<()> {
    // SAFETY: the standard three are owned by nobody in this process.
    checked(unsafe { libc::dup2(fd.as_raw_fd(), standard) })?;
    Ok(())
}

/// Lets a descriptor pass to a program that is executed.
pub(super) fn keep_open(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) })?;
    Ok(())
}

/// Starts a session of its own, away from the caller's terminal.
pub(super) fn new_session() -> io::Result<()> {
    // SAFETY: the call has no arguments.
    checked(unsafe { libc::setsid() })?;
    Ok(())
}

/// Words as the kernel wants them for a new program.
pub(super) struct Words {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Words {
    pub(super) fn new(words: impl IntoIterator<Item = String>) -> io::Result<Self> {
        let strings = words.into_iter().map(|word| c_string(&word));
        let strings = strings.collect::<io::Result<Vec<_>>>()?;
        let end = [ptr::null()];
        let pointers = strings.iter().map(|word| word.as_ptr()).chain(end).collect();
        Ok(Self { _strings: strings, pointers })
    }
}

/// Becomes another program; returns only if that fails.
pub(super) fn execute(path: &CStr, argv: &Words, env: &Words) -> io::Error {
    // SAFETY: both lists end in null, and their strings live in the same struct.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Leaves the keys of the terminal to the room for as long as this lives.
pub(super) struct KeyboardIgnored([libc::sighandler_t; 2]);

const KEYS: [c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

pub(super) fn ignore_keyboard() -> KeyboardIgnored {
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
pub(super) struct TerminalKept {
    ours: Option<pid_t>,
}

pub(super) fn keep_terminal() -> TerminalKept {
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
    // SAFETY: `write` may be called in a signal handler, and the byte is a constant.
    unsafe { libc::write(fd, c"T".as_ptr().cast(), 1) };
}

/// Passes SIGTERM on as a byte to a descriptor for as long as this lives.
pub(super) struct TerminateForwarded(libc::sighandler_t);

pub(super) fn forward_terminate(to: BorrowedFd<'_>) -> TerminateForwarded {
    TERMINATE_TO.store(to.as_raw_fd(), Ordering::Relaxed);
    let handler: extern "C" fn(c_int) = pass_terminate;
    // SAFETY: the handler calls only `write`, which is safe at any point of the program.
    TerminateForwarded(unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) })
}

impl Drop for TerminateForwarded {
    fn drop(&mut self) {
        // SAFETY: the disposition is the one that stood there before.
        unsafe { libc::signal(libc::SIGTERM, self.0) };
        TERMINATE_TO.store(-1, Ordering::Relaxed);
    }
}
