//! Filter: the system calls that are refused inside, and how.
//!
//! A list of what is denied, not of what is allowed: builds run anything. What matters is kept out by
//! namespaces and missing capabilities already; the filter takes away the parts of the kernel that a
//! build has no business with, and what namespaces do not cover. Each errno has a filter of its own.
//! Calls whose flags lie in memory, where a filter cannot look, do not exist inside (`ENOSYS`): C
//! libraries then fall back to the older call, whose flags can be seen.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::plan::Outgoing;

/// System calls newer than the tables of the C library; their numbers are the same everywhere.
mod number {
    use libc::c_long;

    pub(super) const IO_URING: [c_long; 3] = [425, 426, 427];
    pub(super) const OPEN_TREE_TO_FSPICK: [c_long; 6] = [428, 429, 430, 431, 432, 433];
    pub(super) const CLONE3: c_long = 435;
    pub(super) const OPENAT2: c_long = 437;
    pub(super) const PIDFD_GETFD: c_long = 438;
    pub(super) const MOUNT_SETATTR: c_long = 442;
    pub(super) const QUOTACTL_FD: c_long = 443;
    pub(super) const FCHMODAT2: c_long = 452;
    pub(super) const SETXATTRAT: c_long = 463;
    pub(super) const REMOVEXATTRAT: c_long = 466;
    pub(super) const OPEN_TREE_ATTR: c_long = 467;
}

/// The architecture's own calls.
#[cfg(target_arch = "x86_64")]
mod own {
    use libc::c_long;

    pub(super) const FORBIDDEN: &[c_long] =
        &[libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt];
    /// Call and the place of the mode, where a mode is always given.
    pub(super) const MODES: &[(c_long, u8)] = &[
        (libc::SYS_chmod, 1),
        (libc::SYS_creat, 1),
        (libc::SYS_mkdir, 1),
        (libc::SYS_mknod, 1),
    ];
    /// Call and the place of the flags before the mode.
    pub(super) const OPENS: &[(c_long, u8)] = &[(libc::SYS_open, 1)];
}

#[cfg(not(target_arch = "x86_64"))]
mod own {
    use libc::c_long;

    pub(super) const FORBIDDEN: &[c_long] = &[];
    pub(super) const MODES: &[(c_long, u8)] = &[];
    pub(super) const OPENS: &[(c_long, u8)] = &[];
}

/// Never allowed, whatever the arguments.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    number::MOUNT_SETATTR,
    number::OPEN_TREE_ATTR,
    number::PIDFD_GETFD,
    number::QUOTACTL_FD,
];

/// Extended attributes do not exist inside. `EPERM` would make `sed -i` and `cp -a` complain.
const ATTRIBUTES: &[c_long] = &[
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    number::SETXATTRAT,
    number::REMOVEXATTRAT,
];

/// Calls with a mode: its place among the arguments.
const MODES: &[(c_long, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_mkdirat, 2),
    (libc::SYS_mknodat, 2),
    (number::FCHMODAT2, 2),
];

const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The personality that lets `uname` speak of a 32-bit machine.
const PER_LINUX32: u64 = 8;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Puts the filters on this process and all that it starts. Privileges must be given up before.
pub(super) fn install(outgoing: Outgoing) -> io::Result<()> {
    for program in programs(outgoing).map_err(io::Error::other)? {
        seccompiler::apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn programs(outgoing: Outgoing) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut programs = vec![
        program(refused(outgoing)?, libc::EPERM)?,
        program(absent(), libc::ENOSYS)?,
        program(whole(ATTRIBUTES), libc::ENOTSUP)?,
        program(families()?, libc::EAFNOSUPPORT)?,
    ];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_second_table());
    }
    Ok(programs)
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let errno = SeccompAction::Errno(errno.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture)?.try_into()
}

fn whole(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Calls whose flags a filter cannot see.
fn absent() -> Rules {
    let mut calls = vec![number::CLONE3, number::OPENAT2];
    calls.extend(number::IO_URING);
    whole(&calls)
}

fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let one = |(place, operator, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*place, Dword, operator.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(one).collect::<Result<_, _>>()?)
}

/// A bit of an argument is set.
fn bit(place: u8, bit: u32) -> (u8, SeccompCmpOp, u64) {
    (place, MaskedEq(bit.into()), bit.into())
}

fn refused(outgoing: Outgoing) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = whole(FORBIDDEN);
    rules.extend(whole(own::FORBIDDEN));
    rules.extend(whole(&number::OPEN_TREE_TO_FSPICK));
    let flags = NAMESPACE_FLAGS.map(i32::cast_unsigned);
    let flags = flags.iter().map(|flag| rule(&[bit(0, *flag)]));
    rules.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    set_id_bits(&mut rules)?;
    let layout = libc::ADDR_NO_RANDOMIZE as u64;
    let kept = [0, PER_LINUX32, layout, layout | PER_LINUX32, 0xffff_ffff];
    let other = kept.map(|value| (0, Ne, value));
    rules.insert(libc::SYS_personality, vec![rule(&other)?]);
    let terminal = [libc::TIOCSTI, libc::TIOCLINUX];
    let terminal = terminal
        .iter()
        .map(|request| rule(&[(1, Eq, *request as u64)]));
    rules.insert(libc::SYS_ioctl, terminal.collect::<Result<_, _>>()?);
    if outgoing == Outgoing::Refused {
        keep_in(&mut rules)?;
    }
    Ok(rules)
}

/// No file may be made to run as its owner or group.
fn set_id_bits(rules: &mut Rules) -> Result<(), seccompiler::BackendError> {
    let bits = [libc::S_ISUID, libc::S_ISGID];
    for (call, place) in MODES.iter().chain(own::MODES) {
        let set = bits.iter().map(|set| rule(&[bit(*place, *set)]));
        rules.insert(*call, set.collect::<Result<_, _>>()?);
    }
    // The mode of an open counts only where a file may be made; elsewhere it is whatever lay there.
    const MAKES_UNNAMED: u32 = 0x40_0000;
    for (call, place) in [(libc::SYS_openat, 2)].iter().chain(own::OPENS) {
        let mut made = Vec::new();
        for makes in [libc::O_CREAT.cast_unsigned(), MAKES_UNNAMED] {
            for set in bits {
                made.push(rule(&[bit(*place, makes), bit(*place + 1, set)])?);
            }
        }
        rules.insert(*call, made);
    }
    Ok(())
}

/// Without a network namespace: streams may listen, nothing may connect or send to an address.
fn keep_in(rules: &mut Rules) -> Result<(), seccompiler::BackendError> {
    const KIND: u64 = 0xf;
    const FAST_OPEN: u32 = 0x2000_0000;
    rules.insert(libc::SYS_connect, Vec::new());
    for (call, place) in [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ] {
        rules.insert(call, vec![rule(&[bit(place, FAST_OPEN)])?]);
    }
    let mut kinds = Vec::new();
    for kind in (0..=KIND).filter(|kind| *kind != libc::SOCK_STREAM as u64) {
        kinds.push(rule(&[(1, MaskedEq(KIND), kind)])?);
    }
    let tcp = libc::IPPROTO_TCP as u64;
    kinds.push(rule(&[(2, Ne, 0), (2, Ne, tcp)])?);
    rules.insert(libc::SYS_socket, kinds);
    Ok(())
}

/// Sockets of the families that a build may know, and of netlink only the part that lists interfaces.
fn families() -> Result<Rules, seccompiler::BackendError> {
    let known = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    let other = known.map(|family| (0, Ne, u64::from(family.cast_unsigned())));
    let netlink = [
        (0, Eq, libc::AF_NETLINK as u64),
        (2, Ne, libc::NETLINK_ROUTE as u64),
    ];
    let rules = vec![rule(&other)?, rule(&netlink)?];
    let both = [libc::SYS_socket, libc::SYS_socketpair];
    Ok(both.into_iter().map(|call| (call, rules.clone())).collect())
}

/// On x86_64 the same calls have a second set of numbers (x32), which the other filters do not know.
fn no_second_table() -> BpfProgram {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(0x20, 0, 0, 0),
        step(0x35, 0, 1, 0x4000_0000),
        step(0x06, 0, 0, 0x0005_0000 | libc::ENOSYS.cast_unsigned()),
        step(0x06, 0, 0, 0x7fff_0000),
    ]
}
