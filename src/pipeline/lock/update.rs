//! Update: what of a lock is pinned anew.

use std::collections::BTreeSet;

use crate::manifest::Platform;

/// What is pinned anew although its wish did not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Applications.
    pub(in crate::pipeline) apps: BTreeSet<String>,
    /// The toolchain.
    pub(in crate::pipeline) toolchain: bool,
    /// The base image.
    pub(super) base: bool,
    /// All applications.
    pub(in crate::pipeline) all: bool,
    /// Machines that images are made for, beside those of the manifest and of the lock.
    pub platforms: Vec<Platform>,
    /// An index of Debian's that is past its date counts as much as any.
    pub expired_index: bool,
    /// What is too young is pinned all the same.
    pub any_age: bool,
}

impl Update {
    /// Nothing: what is pinned stays.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Nothing but what images for these machines are made of.
    pub fn for_platforms(platforms: &[Platform]) -> Self {
        Self { platforms: platforms.to_vec(), ..Self::default() }
    }

    /// These applications; `toolchain` means the toolchain, `base` the base image.
    pub fn named(names: &[String]) -> Self {
        let says = |what: &str| names.iter().any(|name| name == what);
        let (toolchain, base) = (says("toolchain"), says("base"));
        let others = names.iter().filter(|name| *name != "toolchain" && *name != "base");
        Self { apps: others.cloned().collect(), toolchain, base, ..Self::default() }
    }

    /// All applications and the toolchain.
    pub fn everything() -> Self {
        Self { toolchain: true, all: true, ..Self::default() }
    }
}
