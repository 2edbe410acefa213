//! Keep: a closure that leaves what is pinned as it is, as far as it can.
//!
//! A wish for one more package must not move the rest of a toolchain. So a pinned version counts before a newer
//! one. Where something cannot be met with it (a `-dev` package wants its library in the very same version), the
//! pins that are in the way are let go, and only those, until the closure holds.
//!
//! The index no longer describes a version that was superseded. Its newer self answers for what it needs, by name
//! alone; what it needs was pinned with it. If the newer self is tied to a package that had to move, it moves too.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::Deb;

use super::DebianError;
use super::control::{Operator, Paragraph, Relation, paragraphs, relations};
use super::index::{Index, Universe};
use super::resolve::{Wishes, closure};

/// Times that some pins are let go before all are.
const ROUNDS_MAX: usize = 16;

/// What is pinned, and which of it had to be let go.
pub(super) struct Pins<'a> {
    debs: BTreeMap<&'a str, &'a Deb>,
    /// Pinned versions that no index describes any more, as paragraphs.
    superseded: Vec<Index>,
    loose: BTreeSet<String>,
}

impl<'a> Pins<'a> {
    /// Takes the pinned packages; a name that is pinned twice is not kept.
    pub(super) fn new(pinned: &'a [Deb], indices: &[Index]) -> Self {
        let mut debs: BTreeMap<&str, &Deb> = BTreeMap::new();
        let mut loose = BTreeSet::new();
        for deb in pinned {
            if debs.insert(&deb.package, deb).is_some() {
                loose.insert(deb.package.clone());
            }
        }
        let superseded = superseded(&debs, indices);
        Self { debs, superseded, loose }
    }

    /// Tells whether this very version of this package is to be kept.
    pub(super) fn keeps(&self, name: &str, version: &str, sha256: Option<&str>) -> bool {
        let deb = self.debs.get(name).filter(|_| !self.loose.contains(name));
        deb.is_some_and(|deb| {
            deb.version == version && sha256.is_some_and(|sha256| deb.sha256.hex() == sha256)
        })
    }

    /// Returns the paragraphs of what no index describes any more.
    pub(super) fn superseded(&self) -> &[Index] {
        &self.superseded
    }

    /// Tells whether a package stands in the pins as it is.
    pub(super) fn holds(&self, deb: &Deb) -> bool {
        self.debs.get(deb.package.as_str()).is_some_and(|pinned| pinned.sha256 == deb.sha256)
    }

    /// Tells whether nothing is pinned.
    pub(super) fn is_empty(&self) -> bool {
        self.debs.is_empty()
    }

    /// Puts each kept package in the words of its pin: two suites may have the same file under other names.
    fn spelled(&self, mut debs: Vec<Deb>) -> Vec<Deb> {
        for deb in debs.iter_mut().filter(|deb| self.holds(deb)) {
            deb.clone_from(self.debs[deb.package.as_str()]);
        }
        debs.sort();
        debs
    }

    fn is_kept(&self, name: &str) -> bool {
        self.debs.contains_key(name) && !self.loose.contains(name)
    }

    /// Lets pins go; tells whether there was any among the names.
    fn let_go(&mut self, names: impl IntoIterator<Item = String>) -> bool {
        let kept: Vec<String> = names.into_iter().filter(|name| self.is_kept(name)).collect();
        let is_news = !kept.is_empty();
        self.loose.extend(kept);
        is_news
    }

    fn let_all_go(&mut self) {
        self.loose = self.debs.keys().map(|name| (*name).to_owned()).collect();
    }
}

/// Writes paragraphs for the pinned versions that the indices lack, one index for each suite that they came from.
///
/// What a package needs and provides seldom changes within a suite, so its newer self answers for that, without
/// the bounds on versions. One that has no newer self cannot be kept: nobody knows what it needs.
fn superseded(debs: &BTreeMap<&str, &Deb>, indices: &[Index]) -> Vec<Index> {
    if debs.is_empty() {
        return Vec::new();
    }
    let mut described = BTreeSet::new();
    let mut newer: BTreeMap<&str, Paragraph<'_>> = BTreeMap::new();
    for paragraph in indices.iter().flat_map(|index| paragraphs(&index.text)) {
        let Some((name, deb)) =
            paragraph.field("Package").and_then(|name| debs.get_key_value(name))
        else {
            continue;
        };
        newer.insert(name, paragraph);
        let sha256 = deb.sha256.hex();
        if paragraph.field("Version") == Some(&deb.version)
            && paragraph.field("SHA256") == Some(&sha256)
        {
            described.insert(*name);
        }
    }
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for (name, paragraph) in newer.iter().filter(|(name, _)| !described.contains(*name)) {
        let Deb { package, version, architecture, sha256, size, path, suite } = debs[name];
        let [needs, first] = ["Depends", "Pre-Depends"].map(|field| unbound(paragraph, field));
        let provides = paragraph.folded("Provides");
        *texts.entry(suite).or_default() += &format!(
            "Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nFilename: {path}\n\
             Size: {size}\nSHA256: {}\nProvides: {provides}\nDepends: {needs}\nPre-Depends: {first}\n\n",
            sha256.hex()
        );
    }
    texts.into_iter().map(|(suite, text)| Index { suite: suite.to_owned(), text }).collect()
}

/// A field's relations by name alone.
fn unbound(paragraph: &Paragraph<'_>, field: &str) -> String {
    let clauses = relations(&paragraph.folded(field)).unwrap_or_default();
    let clause = |clause: Vec<Relation>| {
        let names: Vec<String> = clause.into_iter().map(|relation| relation.name).collect();
        names.join(" | ")
    };
    clauses.into_iter().map(clause).collect::<Vec<_>>().join(", ")
}

/// Returns the closure of the wishes with as many pins as it can hold.
pub(super) fn settle(
    indices: &[Index],
    left: &BTreeSet<(String, String)>,
    wishes: &Wishes<'_>,
    pins: &mut Pins<'_>,
) -> Result<Vec<Deb>, DebianError> {
    for round in 0.. {
        if round == ROUNDS_MAX {
            pins.let_all_go();
        }
        let universe = Universe::keeping(indices, left, pins);
        match closure(&universe, wishes) {
            Ok(debs) => {
                let torn = torn(indices, left, &debs, pins);
                drop(universe);
                if !pins.let_go(torn) {
                    return Ok(pins.spelled(debs));
                }
            }
            Err(error) => {
                let names = in_the_way(&error);
                drop(universe);
                if !pins.let_go(names) {
                    return Err(error);
                }
            }
        }
    }
    unreachable!("without pins the closure holds or is an error")
}

/// The packages of which one must move for an error to go away.
fn in_the_way(error: &DebianError) -> Vec<String> {
    match error {
        DebianError::Unmet { package, needs } => {
            let clauses = relations(needs).unwrap_or_default();
            let named = clauses.into_iter().flatten().map(|relation| relation.name);
            named.chain([package.clone()]).collect()
        }
        DebianError::Conflict { package, other } => vec![package.clone(), other.clone()],
        _ => Vec::new(),
    }
}

/// Superseded packages whose newer selves are tied to the exact version of something that moved.
fn torn(
    indices: &[Index],
    left: &BTreeSet<(String, String)>,
    debs: &[Deb],
    pins: &Pins<'_>,
) -> Vec<String> {
    let moved: BTreeSet<&str> = debs
        .iter()
        .filter(|deb| pins.debs.contains_key(deb.package.as_str()) && !pins.holds(deb))
        .map(|deb| deb.package.as_str())
        .collect();
    if moved.is_empty() || pins.superseded.is_empty() {
        return Vec::new();
    }
    let newest = Universe::new(indices, left);
    let names = pins.superseded.iter().flat_map(|index| paragraphs(&index.text));
    let names = names.filter_map(|paragraph| paragraph.field("Package"));
    let is_tied = |name: &&str| {
        let paragraph = newest.get(name).map(|candidate| candidate.paragraph);
        let fields = ["Pre-Depends", "Depends"].map(|field| {
            paragraph.and_then(|one| relations(&one.folded(field)).ok()).unwrap_or_default()
        });
        let exact = |relation: &Relation| {
            matches!(relation.bound, Some((Operator::Exactly, _)))
                && moved.contains(relation.name.as_str())
        };
        fields.iter().flatten().flatten().any(exact)
    };
    names.filter(|name| pins.is_kept(name)).filter(is_tied).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn paragraph(name: &str, version: &str, more: &str) -> String {
        let sha256 = Digest::of(format!("{name} {version}").as_bytes()).hex();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}\
             Filename: pool/{name}_{version}.deb\nSize: 1\nSHA256: {sha256}\n\n"
        )
    }

    fn pinned(name: &str, version: &str) -> Deb {
        Deb {
            package: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            sha256: Digest::of(format!("{name} {version}").as_bytes()),
            size: 1,
            path: format!("pool/{name}_{version}.deb"),
            suite: "test-security".into(),
        }
    }

    /// Settles seeds over an index of (name, version, fields) with pins of (name, version).
    fn settled(
        index: &[(&str, &str, &str)],
        pins: &[(&str, &str)],
        seeds: &[&str],
    ) -> Result<String, DebianError> {
        let text = index.iter().map(|(name, version, more)| paragraph(name, version, more));
        let indices = [Index { suite: "test".into(), text: text.collect() }];
        let debs: Vec<Deb> = pins.iter().map(|(name, version)| pinned(name, version)).collect();
        let wishes = Wishes { seeds: seeds.iter().copied().collect(), is_dropped: &|_| false };
        let mut pins = Pins::new(&debs, &indices);
        let debs = settle(&indices, &BTreeSet::new(), &wishes, &mut pins)?;
        let words = debs.iter().map(|deb| format!("{}={}", deb.package, deb.version));
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    const INDEX: &[(&str, &str, &str)] = &[
        ("libc", "2", ""),
        ("libx", "2", "Depends: libc\n"),
        ("libx-dev", "2", "Depends: libx (= 2)\n"),
        ("libx-bin", "2", "Depends: libx (= 2)\n"),
        ("tool", "2", "Depends: libc (>= 1)\n"),
        ("new", "2", "Depends: libc (>= 1)\n"),
    ];

    #[test]
    fn one_more_wish_moves_nothing_that_is_pinned() {
        let pins = [("libc", "1"), ("tool", "1")];
        assert_eq!(settled(INDEX, &pins, &["tool", "new"]).unwrap(), "libc=1 new=2 tool=1");
        assert_eq!(settled(INDEX, &[], &["tool", "new"]).unwrap(), "libc=2 new=2 tool=2");
    }

    #[test]
    fn a_file_that_two_suites_have_stays_in_the_words_of_its_pin() {
        let indices = [Index { suite: "test".into(), text: paragraph("libc", "1", "") }];
        let pinned = [pinned("libc", "1")];
        let wishes = Wishes { seeds: ["libc"].into(), is_dropped: &|_| false };
        let mut pins = Pins::new(&pinned, &indices);
        let debs = settle(&indices, &BTreeSet::new(), &wishes, &mut pins).unwrap();
        assert_eq!(debs, pinned);
    }

    #[test]
    fn only_the_pins_that_are_in_the_way_are_let_go() {
        let pins = [("libc", "1"), ("libx", "1"), ("tool", "1")];
        assert_eq!(
            settled(INDEX, &pins, &["tool", "libx", "libx-dev"]).unwrap(),
            "libc=1 libx=2 libx-dev=2 tool=1"
        );
    }

    #[test]
    fn what_is_tied_to_something_that_moved_moves_with_it() {
        let pins = [("libx", "1"), ("libx-bin", "1"), ("libc", "1")];
        assert_eq!(
            settled(INDEX, &pins, &["libx-bin", "libx-dev"]).unwrap(),
            "libc=1 libx=2 libx-bin=2 libx-dev=2"
        );
    }

    #[test]
    fn a_pin_that_nothing_needs_any_more_is_gone() {
        let pins = [("libc", "1"), ("libx", "1"), ("tool", "1")];
        assert_eq!(settled(INDEX, &pins, &["tool"]).unwrap(), "libc=1 tool=1");
        let known = [("tool", "2"), ("libc", "2"), ("libx", "2")];
        assert_eq!(settled(INDEX, &known, &["tool"]).unwrap(), "libc=2 tool=2");
    }

    #[test]
    fn a_pin_that_left_the_suite_for_good_is_let_go() {
        let index = [("top", "2", "Depends: old | libc\n"), ("libc", "2", "")];
        assert_eq!(settled(&index, &[("old", "1")], &["top"]).unwrap(), "libc=2 top=2");
    }

    #[test]
    fn what_cannot_be_had_is_an_error_with_and_without_pins() {
        let index = [("top", "2", "Depends: nothing\n"), ("libc", "2", "")];
        let error = settled(&index, &[("libc", "1")], &["top", "libc"]).unwrap_err();
        assert!(matches!(error, DebianError::Unmet { .. }), "{error:?}");
    }

    #[test]
    fn a_superseded_package_still_provides_what_its_newer_self_does() {
        let index = [("perl", "2", "Provides: perlapi-5\n"), ("mod", "1", "Depends: perlapi-5\n")];
        assert_eq!(settled(&index, &[("perl", "1")], &["perl", "mod"]).unwrap(), "mod=1 perl=1");
    }
}
