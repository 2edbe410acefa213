//! Bounds: what a process may use, and what it may do no more.

use std::io;
use std::mem;
use std::ptr;

use libc::{c_int, c_ulong};

use super::{checked, checked_long};

/// Keeps the other processes of the room from looking into this one.
pub(in crate::sandbox) fn hide_memory() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// Refuses every later gain of privileges by executing a file.
pub(in crate::sandbox) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0, 0, 0) })?;
    Ok(())
}

/// The effective user and group.
pub(in crate::sandbox) fn effective_ids() -> (u32, u32) {
    // SAFETY: the calls have no arguments and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

pub(in crate::sandbox) fn set_umask(mask: libc::mode_t) {
    // SAFETY: the call takes a number and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Sees only `count` of the cores that it may use now; `turn` chooses where among them to begin, so
/// that rooms that run at once do not crowd on the first cores.
pub(in crate::sandbox) fn use_cores(count: usize, turn: usize) -> io::Result<()> {
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
pub(in crate::sandbox) fn fix_addresses() -> io::Result<()> {
    // SAFETY: the argument is a number.
    checked(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as c_ulong) })?;
    Ok(())
}

/// The limits that a room sets.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) enum Limit {
    AddressSpace,
    Core,
    FileSize,
    OpenFiles,
    Processes,
    Stack,
}

/// Bounds what the process may use; never above what it is already bounded to.
pub(in crate::sandbox) fn set_limit(limit: Limit, soft: u64, hard: u64) -> io::Result<()> {
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
pub(in crate::sandbox) fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: an empty list of groups may have a null pointer.
    checked(unsafe { libc::setgroups(0, ptr::null()) })?;
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::setresgid(group, group, group) })?;
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::setresuid(user, user, user) })?;
    Ok(())
}

/// Empties the bounding set, so that no file can give a capability.
pub(in crate::sandbox) fn empty_bounding_set() -> io::Result<()> {
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
pub(in crate::sandbox) fn drop_capabilities() -> io::Result<()> {
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
