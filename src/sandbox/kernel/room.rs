//! Room: what a process sees of the file system, the network and its name.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;

use libc::c_ulong;

use super::{c_string, checked, checked_long};

/// Mounts; an empty `kind` or `data` is passed as none.
pub(in crate::sandbox) fn mount(
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
pub(in crate::sandbox) fn restrict_mounts(at: &str, writable: bool) -> io::Result<()> {
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
pub(in crate::sandbox) fn pivot_root_here() -> io::Result<()> {
    // SAFETY: both paths are constants that end in a zero byte.
    let result = unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) };
    checked_long(result)?;
    Ok(())
}

/// Takes the mount on top of the working directory away, with all below it.
pub(in crate::sandbox) fn unmount_here() -> io::Result<()> {
    // SAFETY: the path is a constant that ends in a zero byte.
    checked(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) })?;
    Ok(())
}

pub(in crate::sandbox) fn change_root(at: &str) -> io::Result<()> {
    let at = c_string(at)?;
    // SAFETY: the path lives until the call returns.
    checked(unsafe { libc::chroot(at.as_ptr()) })?;
    Ok(())
}

/// Makes the device node with these numbers, readable and writable for all.
pub(in crate::sandbox) fn make_device(at: &str, major: u32, minor: u32) -> io::Result<()> {
    let at = c_string(at)?;
    let device = libc::makedev(major, minor);
    // SAFETY: the path lives until the call returns.
    checked(unsafe { libc::mknod(at.as_ptr(), libc::S_IFCHR | 0o666, device) })?;
    Ok(())
}

pub(in crate::sandbox) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are of one string that lives until the call returns.
    checked(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })?;
    Ok(())
}

/// Brings the loopback of the own network namespace up.
pub(in crate::sandbox) fn loopback_up() -> io::Result<()> {
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
