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
        &[libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_kexec_file_load, libc::SYS_modify_ldt];
    /// Call and the place of the mode, where a mode is always given.
    pub(super) const MODES: &[(c_long, u8)] =
        &[(libc::SYS_chmod, 1), (libc::SYS_creat, 1), (libc::SYS_mkdir, 1), (libc::SYS_mknod, 1)];
    /// Call and the place of the flags before the mode.
    pub(super) const OPENS: &[(c_long, u8)] = &[(libc::SYS_open, 1)];
}

#[cfg(not(target_arch = "x86_64"))]
mod own {
    use libc::c_long;

    /// `kexec_file_load`.
    pub(super) const FORBIDDEN: &[c_long] = &[294];
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

/// `TIOCSTI` and `TIOCLINUX`, which type into a terminal; C libraries differ in their type.
const TYPES_INTO_TERMINAL: [u64; 2] = [0x5412, 0x541c];

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
    let terminal = TYPES_INTO_TERMINAL.map(|request| rule(&[(1, Eq, request)]));
    rules.insert(libc::SYS_ioctl, terminal.into_iter().collect::<Result<_, _>>()?);
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
    for (call, place) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
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
    let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other = known.map(|family| (0, Ne, u64::from(family.cast_unsigned())));
    let netlink = [(0, Eq, libc::AF_NETLINK as u64), (2, Ne, libc::NETLINK_ROUTE as u64)];
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, on a call of this machine's own table.
    fn run(program: &BpfProgram, call: c_long, arguments: &[u64]) -> u32 {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => 0xc000_003e_u32,
            _ => 0xc000_00b7,
        };
        let mut data = [0_u32; 16];
        data[0] = u32::try_from(call).unwrap();
        data[1] = architecture;
        for (number, value) in arguments.iter().enumerate() {
            data[4 + number * 2] = *value as u32;
            data[5 + number * 2] = (*value >> 32) as u32;
        }
        let (mut accumulator, mut at) = (0_u32, 0_usize);
        loop {
            let step = &program[at];
            at += 1;
            let mut jump = |so: bool| at += usize::from(if so { step.jt } else { step.jf });
            match step.code {
                0x20 => accumulator = data[step.k as usize / 4],
                0x54 => accumulator &= step.k,
                0x05 => at += step.k as usize,
                0x15 => jump(accumulator == step.k),
                0x25 => jump(accumulator > step.k),
                0x35 => jump(accumulator >= step.k),
                0x06 => return step.k,
                other => panic!("step {other:#x}"),
            }
        }
    }

    /// The errno with which a call is refused; 0 if it is allowed. The filter put on last wins.
    fn errno(outgoing: Outgoing, call: c_long, arguments: &[u64]) -> i32 {
        let results = programs(outgoing).unwrap();
        let results = results.iter().map(|program| run(program, call, arguments));
        let mut refusals = results.filter(|result| *result != 0x7fff_0000);
        refusals.next_back().map_or(0, |result| (result & 0xffff).cast_signed())
    }

    fn free(call: c_long, arguments: &[u64]) -> i32 {
        errno(Outgoing::Free, call, arguments)
    }

    #[test]
    fn what_a_build_does_is_allowed() {
        let at = libc::AT_FDCWD as u64;
        let thread = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_THREAD) as u64;
        let calls: &[(c_long, &[u64])] = &[
            (libc::SYS_read, &[0, 0, 0]),
            (libc::SYS_execve, &[0, 0, 0]),
            (libc::SYS_clone, &[libc::SIGCHLD as u64]),
            (libc::SYS_clone, &[thread]),
            (libc::SYS_fchmodat, &[at, 0, 0o1755]),
            (libc::SYS_fchmod, &[3, 0o755]),
            (libc::SYS_openat, &[at, 0, libc::O_RDONLY as u64, 0o6755]),
            (libc::SYS_openat, &[at, 0, libc::O_CREAT as u64, 0o644]),
            (libc::SYS_socket, &[libc::AF_UNIX as u64, 1, 0]),
            (libc::SYS_socket, &[libc::AF_INET as u64, 1, 6]),
            (libc::SYS_socket, &[libc::AF_INET6 as u64, 2, 0]),
            (libc::SYS_socket, &[libc::AF_NETLINK as u64, 3, 0]),
            (libc::SYS_connect, &[3]),
            (libc::SYS_personality, &[0xffff_ffff]),
            (libc::SYS_personality, &[libc::ADDR_NO_RANDOMIZE as u64]),
            (libc::SYS_ioctl, &[0, 0x5401]),
        ];
        for (call, arguments) in calls {
            assert_eq!(free(*call, arguments), 0, "{call} {arguments:?}");
        }
    }

    #[test]
    fn what_a_build_has_no_business_with_is_refused() {
        for call in FORBIDDEN.iter().chain(own::FORBIDDEN) {
            assert_eq!(free(*call, &[]), libc::EPERM, "{call}");
        }
        for flag in NAMESPACE_FLAGS {
            let flags = [u64::from((flag | libc::SIGCHLD).cast_unsigned())];
            assert_eq!(free(libc::SYS_clone, &flags), libc::EPERM, "{flag:#x}");
        }
        for call in [number::CLONE3, number::OPENAT2, number::IO_URING[0]] {
            assert_eq!(free(call, &[]), libc::ENOSYS);
        }
        assert_eq!(free(libc::SYS_fsetxattr, &[]), libc::ENOTSUP);
        assert_eq!(free(libc::SYS_ioctl, &[0, TYPES_INTO_TERMINAL[0]]), libc::EPERM);
        // The upper half of an argument that is 32 bits wide does not matter to the kernel.
        let dressed = 1 << 32 | TYPES_INTO_TERMINAL[0];
        assert_eq!(free(libc::SYS_ioctl, &[0, dressed]), libc::EPERM);
        assert_eq!(free(libc::SYS_personality, &[0x400_0000]), libc::EPERM);
        for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
            assert_eq!(free(libc::SYS_socket, &[family, 1, 0]), libc::EAFNOSUPPORT, "{family}");
        }
        assert_eq!(free(libc::SYS_socket, &[16, 3, 12]), libc::EAFNOSUPPORT);
    }

    #[test]
    fn set_id_bits_are_refused_wherever_a_mode_is_given() {
        for mode in [0o4755, 0o2755, 0o6000, 0o7777] {
            let at = libc::AT_FDCWD as u64;
            for (call, place) in MODES.iter().chain(own::MODES) {
                let mut arguments = [at, 0, 0, 0];
                arguments[usize::from(*place)] = mode;
                assert_eq!(free(*call, &arguments), libc::EPERM, "{call} {mode:o}");
            }
            let create = libc::O_CREAT as u64;
            let unnamed = libc::O_TMPFILE as u64;
            for flags in [create, unnamed] {
                let arguments = [at, 0, flags, mode];
                assert_eq!(free(libc::SYS_openat, &arguments), libc::EPERM, "{flags:o} {mode:o}");
            }
        }
    }

    #[test]
    fn without_a_network_namespace_nothing_connects() {
        let refused = |call, arguments: &[u64]| errno(Outgoing::Refused, call, arguments);
        assert_eq!(refused(libc::SYS_socket, &[2, 1, 0]), 0);
        assert_eq!(refused(libc::SYS_socket, &[2, 1 | libc::SOCK_CLOEXEC as u64, 6]), 0);
        assert_eq!(refused(libc::SYS_bind, &[3]), 0);
        assert_eq!(refused(libc::SYS_connect, &[3]), libc::EPERM);
        assert_eq!(refused(libc::SYS_socket, &[2, 2, 0]), libc::EPERM);
        assert_eq!(refused(libc::SYS_socket, &[1, 5, 0]), libc::EPERM);
        assert_eq!(refused(libc::SYS_socket, &[2, 1, 132]), libc::EPERM);
        let fast = 0x2000_0000;
        assert_eq!(refused(libc::SYS_sendto, &[3, 0, 0, fast]), libc::EPERM);
        assert_eq!(refused(libc::SYS_sendto, &[3, 0, 0, 0x4000]), 0);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_second_table_of_calls_does_not_exist() {
        assert_eq!(free(0x4000_0000 | libc::SYS_mount, &[]), libc::ENOSYS);
    }
}
