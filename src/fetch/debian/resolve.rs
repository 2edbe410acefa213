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
    let mut closure = Closure { universe, wishes, chosen: BTreeMap::new(), queue: BTreeSet::new() };
    for seed in &wishes.seeds {
        let wanted = Relation { name: (*seed).to_owned(), bound: None };
        // A wish may name a virtual package, as `pkg-config` has become one.
        let candidate = universe.meeting(&wanted).next();
        closure.choose(
            candidate.ok_or_else(|| DebianError::NoSuchPackage { package: (*seed).to_owned() })?,
        );
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
        Err(DebianError::Unmet { package: who.name.into(), needs: spelled(clause) })
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
        value.filter(|value| !value.is_empty()).ok_or_else(|| bad_field(candidate, name))
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
        size: field("Size")?.parse().map_err(|_| bad_field(candidate, "Size"))?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::debian::index::Index;
    use proptest::prelude::*;

    fn paragraph(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}\
             Filename: pool/{name}.deb\nSize: 1\nSHA256: {}\n\n",
            "0".repeat(64)
        )
    }

    fn chosen(
        index: &[(&str, &str, &str)],
        seeds: &[&str],
        dropped: &[&str],
    ) -> Result<String, DebianError> {
        let text = index
            .iter()
            .map(|(name, version, more)| {
                let more: String = more
                    .split(';')
                    .filter(|line| !line.is_empty())
                    .flat_map(|line| [line, "\n"])
                    .collect();
                paragraph(name, version, &more)
            })
            .collect();
        let index = Index { suite: "test".into(), text };
        let indices = [index];
        let universe = Universe::new(&indices, &BTreeSet::new());
        let wishes = Wishes {
            seeds: seeds.iter().copied().collect(),
            is_dropped: &|name| dropped.contains(&name),
        };
        let debs = closure(&universe, &wishes)?;
        let names: Vec<String> =
            debs.iter().map(|deb| format!("{}={}", deb.package, deb.version)).collect();
        Ok(names.join(" "))
    }

    #[test]
    fn dependencies_and_predependencies_follow_in_their_newest_version() {
        let index = [
            ("top", "1", "Pre-Depends: first;Depends: libc (>= 2.36),; second"),
            ("first", "1", ""),
            ("libc", "2.36-9+deb12u10", ""),
            ("libc", "2.36-9+deb12u9", ""),
            ("second", "1", "Depends: top"),
            ("unused", "1", ""),
        ];
        assert_eq!(
            chosen(&index, &["top"], &[]).unwrap(),
            "first=1 libc=2.36-9+deb12u10 second=1 top=1"
        );
    }

    #[test]
    fn of_alternatives_the_chosen_one_wins_else_the_first_that_can_be_had() {
        let index =
            [("top", "1", "Depends: gone | gawk | mawk"), ("gawk", "1", ""), ("mawk", "1", "")];
        assert_eq!(chosen(&index, &["top"], &[]).unwrap(), "gawk=1 top=1");
        assert_eq!(chosen(&index, &["top", "mawk"], &[]).unwrap(), "mawk=1 top=1");
    }

    #[test]
    fn an_alternative_that_is_too_old_is_passed_over() {
        let index = [("top", "1", "Depends: a (>= 2) | b"), ("a", "2~rc1", ""), ("b", "1", "")];
        assert_eq!(chosen(&index, &["top"], &[]).unwrap(), "b=1 top=1");
    }

    #[test]
    fn virtual_packages_are_provided_and_a_bound_needs_a_provided_version() {
        let index = [
            ("top", "1", "Depends: awk, api (>= 5)"),
            ("mawk", "1", "Provides: awk"),
            ("bare", "1", "Provides: api"),
            ("old", "1", "Provides: api (= 4)"),
            ("new", "1", "Provides: other,; api (= 5.1)"),
        ];
        assert_eq!(chosen(&index, &["top"], &[]).unwrap(), "mawk=1 new=1 top=1");
        assert_eq!(chosen(&index, &["awk"], &[]).unwrap(), "mawk=1");
    }

    #[test]
    fn a_dropped_dependency_counts_as_met_and_a_wish_for_it_is_obeyed() {
        let index = [
            ("top", "1", "Depends: debconf (>= 0.5) | debconf-2.0"),
            ("debconf", "1", ""),
            ("cdebconf", "1", "Provides: debconf-2.0"),
        ];
        let dropped = ["debconf"];
        assert_eq!(chosen(&index, &["top"], &dropped).unwrap(), "top=1");
        assert_eq!(chosen(&index, &["top", "debconf"], &dropped).unwrap(), "debconf=1 top=1");
    }

    #[test]
    fn what_cannot_be_had_is_named_with_who_needs_it() {
        let index = [("top", "1", "Depends: a (>= 2) | b"), ("a", "1", "")];
        let error = chosen(&index, &["top"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "`top` needs `a (>= 2) | b`, which the suite does not have");
        let error = chosen(&index, &["nothing"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "no index of the suite has a package `nothing`");
    }

    #[test]
    fn packages_that_refuse_each_other_are_an_error() {
        let index = [
            ("a", "1", "Conflicts: mta;Provides: mta"),
            ("b", "2", "Provides: mta"),
            ("c", "1", "Breaks: b (<< 2)"),
        ];
        assert_eq!(chosen(&index, &["a", "c"], &[]).unwrap(), "a=1 c=1");
        assert_eq!(chosen(&index, &["b", "c"], &[]).unwrap(), "b=2 c=1");
        let error = chosen(&index, &["a", "b"], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a` and `b` cannot both be in one toolchain: the first refuses the second"
        );
    }

    #[test]
    fn a_path_that_leaves_the_archive_is_refused() {
        let index = [("a", "1", "Filename: ../../etc/passwd")];
        let error = chosen(&index, &["a"], &[]).unwrap_err();
        assert!(matches!(error, DebianError::BadIndex { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn a_closure_is_closed_and_does_not_depend_on_the_order_of_the_index(
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..30),
            seed in 0usize..12,
            turn in 0usize..12,
        ) {
            let packages: Vec<String> = (0..12).map(|place| {
                let needs: Vec<String> = edges.iter().filter(|(from, _)| *from == place)
                    .map(|(_, to)| format!("p{to}")).collect();
                let more = if needs.is_empty() { String::new() } else { format!("Depends: {}\n", needs.join(", ")) };
                paragraph(&format!("p{place}"), "1", &more)
            }).collect();
            let of = |packages: &[String]| {
                let index = [Index { suite: "test".into(), text: packages.concat() }];
                let universe = Universe::new(&index, &BTreeSet::new());
                let name = format!("p{seed}");
                let wishes = Wishes { seeds: [name.as_str()].into(), is_dropped: &|_| false };
                closure(&universe, &wishes).unwrap()
            };
            let debs = of(&packages);
            let has = |place: usize| debs.iter().any(|deb| deb.package == format!("p{place}"));
            for (from, to) in &edges {
                prop_assert!(!has(*from) || has(*to));
            }
            let mut turned = packages.clone();
            turned.rotate_left(turn);
            prop_assert_eq!(of(&turned), debs);
        }
    }
}
