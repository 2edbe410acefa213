//! Resolve: from wished packages to everything that they need.
//!
//! Debian's own rule for a fresh installation: the newest version of each name; of alternatives one
//! that is chosen already, else the first that can be had. Seeds are chosen before dependencies are
//! looked at, so that a wish decides for all. The queue is worked off in order of names: the same
//! indices and wishes give the same packages.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::lock::Deb;

use super::DebianError;
use super::control::{Relation, relations};
use super::index::{Candidate, Universe};

/// What to begin with and what to do without.
pub(super) struct Wishes<'a> {
    /// Packages by name.
    pub(super) seeds: BTreeSet<&'a str>,
    /// Tells whether a dependency on a package counts as met without it.
    pub(super) is_dropped: &'a dyn Fn(&str) -> bool,
}

/// Returns the closure of the wishes, sorted.
pub(super) fn closure(
    universe: &Universe<'_>,
    wishes: &Wishes<'_>,
) -> Result<Vec<Deb>, DebianError> {
    let mut closure = Closure {
        universe,
        wishes,
        chosen: BTreeMap::new(),
        queue: BTreeSet::new(),
    };
    for seed in &wishes.seeds {
        let wanted = Relation {
            name: (*seed).to_owned(),
            bound: None,
        };
        // A wish may name a virtual package, as `pkg-config` has become one.
        let candidate = universe.meeting(&wanted).next();
        closure.choose(candidate.ok_or_else(|| DebianError::NoSuchPackage {
            package: (*seed).to_owned(),
        })?);
    }
    while let Some(name) = closure.queue.pop_first() {
        closure.follow(closure.chosen[name])?;
    }
    closure.check_conflicts()?;
    let mut debs: Vec<Deb> = closure.chosen.values().map(deb).collect::<Result<_, _>>()?;
    debs.sort();
    Ok(debs)
}

struct Closure<'a, 'w> {
    universe: &'w Universe<'a>,
    wishes: &'w Wishes<'w>,
    chosen: BTreeMap<&'a str, Candidate<'a>>,
    queue: BTreeSet<&'a str>,
}

impl<'a> Closure<'a, '_> {
    fn choose(&mut self, candidate: Candidate<'a>) {
        if self.chosen.insert(candidate.name, candidate).is_none() {
            self.queue.insert(candidate.name);
        }
    }

    fn follow(&mut self, candidate: Candidate<'a>) -> Result<(), DebianError> {
        for field in ["Pre-Depends", "Depends"] {
            for clause in relations_of(&candidate, field)? {
                self.meet(&candidate, &clause)?;
            }
        }
        Ok(())
    }

    /// Sees to it that one of the alternatives is chosen.
    fn meet(&mut self, who: &Candidate<'_>, clause: &[Relation]) -> Result<(), DebianError> {
        let is_met = |wanted: &Relation| {
            let mut meeting = self.universe.meeting(wanted);
            meeting.any(|candidate| self.chosen.contains_key(candidate.name))
        };
        if clause.iter().any(is_met) {
            return Ok(());
        }
        for wanted in clause {
            if (self.wishes.is_dropped)(&wanted.name) {
                return Ok(());
            }
            let candidate = self
                .universe
                .meeting(wanted)
                .find(|candidate| !(self.wishes.is_dropped)(candidate.name));
            if let Some(candidate) = candidate {
                self.choose(candidate);
                return Ok(());
            }
        }
        Err(DebianError::Unmet {
            package: who.name.into(),
            needs: spelled(clause),
        })
    }

    fn check_conflicts(&self) -> Result<(), DebianError> {
        for candidate in self.chosen.values() {
            for field in ["Conflicts", "Breaks"] {
                for clause in relations_of(candidate, field)? {
                    self.check_conflict(candidate, &clause)?;
                }
            }
        }
        Ok(())
    }

    fn check_conflict(&self, who: &Candidate<'_>, clause: &[Relation]) -> Result<(), DebianError> {
        for refused in clause {
            let mut meeting = self.universe.meeting(refused);
            let other = meeting
                .find(|other| other.name != who.name && self.chosen.contains_key(other.name));
            if let Some(other) = other {
                return Err(DebianError::Conflict {
                    package: who.name.into(),
                    other: other.name.into(),
                });
            }
        }
        Ok(())
    }
}

fn relations_of(candidate: &Candidate<'_>, field: &str) -> Result<Vec<Vec<Relation>>, DebianError> {
    relations(&candidate.paragraph.folded(field)).map_err(|text| DebianError::BadIndex {
        name: candidate.suite.into(),
        what: format!("`{text}` as {field} of `{}`", candidate.name),
    })
}

fn spelled(clause: &[Relation]) -> String {
    let spelled: Vec<String> = clause.iter().map(ToString::to_string).collect();
    spelled.join(" | ")
}

fn deb(candidate: &Candidate<'_>) -> Result<Deb, DebianError> {
    let field = |name: &str| {
        let value = candidate.paragraph.field(name);
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| bad_field(candidate, name))
    };
    let path = field("Filename")?;
    let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if leaves {
        return Err(bad_field(candidate, "Filename"));
    }
    Ok(Deb {
        package: candidate.name.into(),
        version: candidate.version.into(),
        architecture: field("Architecture")?.into(),
        sha256: Digest::from_hex(field("SHA256")?).map_err(|_| bad_field(candidate, "SHA256"))?,
        size: field("Size")?
            .parse()
            .map_err(|_| bad_field(candidate, "Size"))?,
        path: path.into(),
        suite: candidate.suite.into(),
    })
}

fn bad_field(candidate: &Candidate<'_>, field: &str) -> DebianError {
    DebianError::BadIndex {
        name: candidate.suite.into(),
        what: format!("the field {field} of `{}`", candidate.name),
    }
}
