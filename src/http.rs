//! HTTP: the only door to the network's web: bounds, retries, resume, mirrors, offline.

use std::collections::BTreeMap;

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It may.
    Open,
    /// `--offline`: every attempt is an error that names what is missing.
    Offline,
}

/// Prefixes of addresses and what stands in their place. The longest match wins, as in git's insteadOf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    rules: BTreeMap<String, String>,
}

impl Mirrors {
    /// Takes the rules as `[mirrors]` has them.
    pub fn new(rules: BTreeMap<String, String>) -> Self {
        Self { rules }
    }

    /// Returns the address to use for `url`.
    pub fn rewrite(&self, url: &str) -> String {
        let rule = self
            .rules
            .iter()
            .filter(|(from, _)| url.starts_with(from.as_str()))
            .max_by_key(|(from, _)| from.len());
        match rule {
            Some((from, to)) => format!("{to}{}", &url[from.len()..]),
            None => url.to_owned(),
        }
    }
}
