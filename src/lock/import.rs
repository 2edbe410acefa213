//! Import: an existing `rebar.lock`, read as pins and compared with ours.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::lock::git_url;
use crate::manifest::rebar::{Wish, WishSource};

/// What a `rebar.lock` pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebarLock {
    /// Entries by application name.
    pub entries: BTreeMap<String, RebarEntry>,
}

/// One entry of a `rebar.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebarEntry {
    /// What it pins.
    pub pin: RebarPin,
    /// 0 for what the project itself names.
    pub level: u32,
}

/// What a `rebar.lock` pins an application to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebarPin {
    /// A commit.
    Git {
        /// As written.
        url: String,
        /// As written; 40 hex digits where rebar3 wrote it.
        commit: String,
        /// The directory inside, for `git_subdir`.
        subdir: Option<String>,
    },
    /// A hex package.
    Hex {
        /// Package name.
        package: String,
        /// Version.
        version: String,
        /// SHA-256 of the tarball (`pkg_hash_ext`), from format 1.2.0 on.
        outer: Option<Digest>,
        /// The older inner checksum (`pkg_hash`).
        inner: Option<Digest>,
    },
}

impl RebarLock {
    /// Returns the pin for a wish, where the lock's entry has the wish's address.
    pub fn pin_for(&self, wish: &Wish) -> Option<&RebarPin> {
        let pin = &self.entries.get(&wish.app)?.pin;
        let fits = match (pin, &wish.source) {
            (
                RebarPin::Git { url, subdir, .. },
                WishSource::Git {
                    url: wished,
                    subdir: wished_subdir,
                    ..
                },
            ) => git_url::same(url, wished) && subdir == wished_subdir,
            (
                RebarPin::Hex { package, .. },
                WishSource::Hex {
                    package: wished, ..
                },
            ) => package == wished,
            _ => false,
        };
        fits.then_some(pin)
    }
}
