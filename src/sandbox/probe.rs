//! Probe: what of a room this system grants, and the one command that mends what it does not.

use super::run::{attempt, kernel_says};
use super::{Forbidden, Level, SandboxError, plan};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What is so.
    pub says: String,
    /// The one command, or the way out, that mends it.
    pub remedy: Option<String>,
}

/// The oldest kernel on which all of the room works: recursive read-only mounts came with it.
const KERNEL_MIN: (u32, u32) = (5, 12);

/// Looks at everything that a room needs.
pub fn probe() -> Vec<Finding> {
    let mut findings = vec![kernel()];
    findings.extend(settings());
    findings.push(trial());
    findings
}

fn kernel() -> Finding {
    let release = kernel_says("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let ok = version >= KERNEL_MIN;
    let (major, minor) = KERNEL_MIN;
    Finding {
        name: "kernel",
        ok,
        says: format!("Linux {release}"),
        remedy: (!ok).then(|| format!("Linux {major}.{minor} or newer is needed")),
    }
}

/// The settings that are known to forbid user namespaces, where they exist.
fn settings() -> Vec<Finding> {
    let known = [
        ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", Forbidden::Limit),
        (
            "kernel.unprivileged_userns_clone",
            "/proc/sys/kernel/unprivileged_userns_clone",
            Forbidden::Sysctl,
        ),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            Forbidden::AppArmor,
        ),
    ];
    let finding = |(name, path, forbidden): (&'static str, &str, Forbidden)| {
        let value = kernel_says(path)?;
        let bad = if forbidden == Forbidden::AppArmor { "1" } else { "0" };
        let ok = value != bad;
        Some(Finding {
            name,
            ok,
            says: value,
            remedy: (!ok).then(|| forbidden.remedy().to_owned()),
        })
    };
    known.into_iter().filter_map(finding).collect()
}

/// Makes a room without a command, down to a fresh `/proc`.
fn trial() -> Finding {
    let name = "user namespaces";
    match attempt(&plan::trial("/sys"), Level::Userns) {
        Ok(()) => Finding {
            name,
            ok: true,
            says: "granted, with a network, processes and a fresh /proc of their own".into(),
            remedy: None,
        },
        Err(SandboxError::Forbidden { why, action, source, .. }) => Finding {
            name,
            ok: false,
            says: format!("cannot {action} ({source}): {}", why.says()),
            remedy: Some(why.remedy().to_owned()),
        },
        Err(error) => Finding {
            name,
            ok: false,
            says: match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
            remedy: None,
        },
    }
}

/// Tells why namespaces were refused, from the errno and the settings of this system.
pub(super) fn why(level: Level, errno: i32) -> Forbidden {
    let is = |path: &str, value: &str| kernel_says(path).as_deref() == Some(value);
    if level != Level::Userns {
        return Forbidden::NotRoot;
    }
    match errno {
        libc::ENOSPC => Forbidden::Limit,
        libc::EINVAL | libc::ENOSYS => Forbidden::Missing,
        _ if is("/proc/sys/kernel/unprivileged_userns_clone", "0") => Forbidden::Sysctl,
        _ if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => {
            Forbidden::AppArmor
        }
        _ if filtered() => Forbidden::Container,
        libc::EPERM if is_chroot(&kernel_says("/proc/self/mountinfo").unwrap_or_default()) => {
            Forbidden::Chroot
        }
        _ => Forbidden::Unknown,
    }
}

/// Tells whether a seccomp filter lies on this process already.
fn filtered() -> bool {
    let status = kernel_says("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Tells from the mounts that a process sees whether it is in a chroot: then its root is none of them.
fn is_chroot(mounts: &str) -> bool {
    let at_root = |line: &str| line.split_whitespace().nth(4) == Some("/");
    !mounts.is_empty() && !mounts.lines().any(at_root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_no_mount_is_a_chroot() {
        let proc = "58 57 0:5 / /proc rw - proc proc rw";
        assert!(is_chroot(proc));
        assert!(!is_chroot(&format!("57 1 8:1 / / rw - ext4 /dev/vda rw\n{proc}")));
        assert!(!is_chroot(""), "without a look nothing is said");
    }
}
