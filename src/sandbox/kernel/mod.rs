//! Kernel: the system calls of the sandbox, one function for each, and all `unsafe` of this house.
//!
//! Everything here is called from a single-threaded process, except what `run` uses: `wait_readable`,
//! `keep_open`, `ignore_keyboard`, `keep_terminal` and `forward_terminate`, which are sound in any
//! thread. The lint is lifted for this directory alone, so that there is one place to look for what is unsafe.
#![allow(unsafe_code)]

mod bounds;
mod descriptors;
mod process;
mod room;
mod signals;

use std::ffi::CString;
use std::io;

use libc::{c_int, c_long};

pub(super) use bounds::{
    Limit, become_user, drop_capabilities, effective_ids, empty_bounding_set, fix_addresses,
    hide_memory, no_new_privileges, set_limit, set_umask, use_cores,
};
pub(super) use descriptors::{inherit, keep_open, replace_standard, wait_readable};
pub(super) use process::{
    Ended, Patience, Side, Signal, Words, adopt_orphans, clone, die_of, die_with_parent, execute,
    leave, new_session, process_id, reap, send, watch_process,
};
pub(super) use room::{
    change_root, loopback_up, make_device, mount, pivot_root_here, restrict_mounts, set_host_name,
    unmount_here,
};
pub(super) use signals::{
    Woken, block_signals, forward_terminate, ignore_keyboard, keep_terminal, reset_signals,
    wait_signal,
};

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
