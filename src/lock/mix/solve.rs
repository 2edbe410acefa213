//! Solve: versions of packages that are right for everyone who asks.
//!
//! A search with backjumping: of what is undecided, the package with the fewest versions left is decided first, the
//! newest version is tried first, and a dead end goes back to the last decision that has to do with
//! it. What was chosen before is tried before anything else, so a lock changes only where it must.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Claim, MixResolveError, TRIES_MAX};
use super::{Need, Offer, PackageKey};
use crate::limits::LOCK_SOURCES_MAX;
use crate::version::{Requirement, Version};

/// One who asks for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) app: String,
    pub(super) package: PackageKey,
    pub(super) requirement: Option<String>,
    /// The application that asks.
    pub(super) by: String,
    pub(super) optional: bool,
}

/// What is to be solved.
pub(super) struct Problem<'a> {
    pub(super) project: &'a str,
    pub(super) asks: Vec<Ask>,
    pub(super) offers: &'a BTreeMap<PackageKey, Vec<Offer>>,
    /// Versions that are tried first, by application.
    pub(super) preferred: &'a BTreeMap<String, String>,
    /// Applications that come from elsewhere, and whether that counts whatever a package asks for.
    pub(super) elsewhere: &'a BTreeMap<String, bool>,
    /// Packages of which only the project's own word counts.
    pub(super) overridden: &'a BTreeSet<String>,
    /// Who asks for what comes from elsewhere.
    pub(super) parents: &'a BTreeMap<String, String>,
}

/// A package with the place of the chosen one among its offers.
pub(super) type Chosen = BTreeMap<String, (PackageKey, usize)>;

/// What a search ends with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Solved {
    /// It cannot go on without the offers of these.
    Missing(BTreeSet<PackageKey>),
    /// Every package has its version.
    Chosen(Chosen),
}

/// Searches.
pub(super) fn solve(problem: Problem<'_>) -> Result<Solved, MixResolveError> {
    let mut search = Search {
        asks: Vec::new(),
        chosen: Chosen::new(),
        tries: 0,
        trouble: None,
        problem: &problem,
    };
    for ask in &problem.asks {
        search.push(ask.clone())?;
    }
    match search.decide() {
        Ok(()) => Ok(Solved::Chosen(search.chosen)),
        Err(End::Missing(missing)) => Ok(Solved::Missing(missing)),
        Err(End::Error(error)) => Err(error),
        Err(End::Dead(_)) => {
            let (package, claims) = search.trouble.expect("a dead end was noted");
            Err(MixResolveError::NoVersion { package, claims })
        }
    }
}

/// Why a branch ended.
enum End {
    Missing(BTreeSet<PackageKey>),
    /// These decisions led to it.
    Dead(BTreeSet<String>),
    Error(MixResolveError),
}

struct Search<'a> {
    problem: &'a Problem<'a>,
    /// Everything asked for so far, with the requirement read.
    asks: Vec<(Ask, Option<Requirement>)>,
    chosen: Chosen,
    tries: usize,
    /// The first dead end: a package and who asks for it.
    trouble: Option<(String, Vec<Claim>)>,
}

impl Search<'_> {
    fn push(&mut self, ask: Ask) -> Result<(), MixResolveError> {
        let bad = |text: &str| MixResolveError::BadRequirement {
            app: ask.app.clone(),
            requirement: text.to_owned(),
            by: ask.by.clone(),
        };
        let read = |text: &String| Requirement::parse(text).ok_or_else(|| bad(text));
        let requirement = ask.requirement.as_ref().map(read).transpose()?;
        self.asks.push((ask, requirement));
        Ok(())
    }

    fn asks_for<'s>(
        &'s self,
        app: &'s str,
    ) -> impl Iterator<Item = &'s (Ask, Option<Requirement>)> {
        self.asks.iter().filter(move |(ask, _)| ask.app == app)
    }

    /// Tells whether an offer is right for all that ask for the application now.
    fn fits(&self, app: &str, package: &PackageKey, offer: &Offer) -> bool {
        let Some(version) = Version::parse(&offer.version) else {
            return false;
        };
        let is_preferred = self.problem.preferred.get(app) == Some(&offer.version);
        let mut allows_pre = is_preferred || !version.is_pre();
        for (ask, requirement) in self.asks_for(app) {
            let holds = requirement.as_ref().is_none_or(|requirement| requirement.holds(&version));
            if !holds || !same_package(&ask.package, package) {
                return false;
            }
            allows_pre |=
                requirement.as_ref().is_some_and(|requirement| requirement.matches(&version));
        }
        allows_pre
    }

    /// The undecided package with the fewest versions left, and those, the best first.
    fn next(&self) -> Result<Option<(String, PackageKey, Vec<usize>)>, End> {
        let mut missing = BTreeSet::new();
        let mut best: Option<(String, PackageKey, Vec<usize>)> = None;
        let mut seen = BTreeSet::new();
        for (ask, _) in &self.asks {
            let is_open = !ask.optional
                && !self.chosen.contains_key(&ask.app)
                && !self.problem.elsewhere.contains_key(&ask.app);
            if !is_open || !seen.insert(&ask.app) {
                continue;
            }
            let Some(offers) = self.problem.offers.get(&ask.package) else {
                missing.insert(ask.package.clone());
                continue;
            };
            let fits = |index: &usize| self.fits(&ask.app, &ask.package, &offers[*index]);
            let mut left: Vec<usize> = (0..offers.len()).filter(fits).collect();
            let preferred = self.problem.preferred.get(&ask.app);
            left.sort_by_key(|index| preferred != Some(&offers[*index].version));
            if best.as_ref().is_none_or(|(_, _, fewest)| left.len() < fewest.len()) {
                best = Some((ask.app.clone(), ask.package.clone(), left));
            }
        }
        if missing.is_empty() { Ok(best) } else { Err(End::Missing(missing)) }
    }

    fn decide(&mut self) -> Result<(), End> {
        let Some((app, package, left)) = self.next()? else {
            return Ok(());
        };
        if self.chosen.len() >= LOCK_SOURCES_MAX / 10 {
            return Err(End::Error(MixResolveError::TooManySources));
        }
        let mut culprits: BTreeSet<String> =
            self.asks_for(&app).map(|(ask, _)| ask.by.clone()).collect();
        if left.is_empty() {
            self.note(&app, None);
            return Err(End::Dead(culprits));
        }
        for index in left {
            self.tries += 1;
            if self.tries > TRIES_MAX {
                let (package, claims) = self.trouble.clone().unwrap_or_default();
                return Err(End::Error(MixResolveError::TooHard { package, claims }));
            }
            let before = self.asks.len();
            self.chosen.insert(app.clone(), (package.clone(), index));
            let ended = match self.take(&app, &package, index) {
                Ok(()) => self.decide(),
                Err(end) => Err(end),
            };
            let Err(end) = ended else {
                return Ok(());
            };
            self.asks.truncate(before);
            self.chosen.remove(&app);
            match end {
                // What was decided here has nothing to do with it.
                End::Dead(others) if !others.contains(&app) => return Err(End::Dead(others)),
                End::Dead(others) => culprits.extend(others),
                other => return Err(other),
            }
        }
        culprits.remove(&app);
        Err(End::Dead(culprits))
    }

    /// Asks for what a chosen version needs; a dead end if that contradicts a decision.
    fn take(&mut self, app: &str, package: &PackageKey, index: usize) -> Result<(), End> {
        let offers = self.problem.offers;
        for need in &offers[package][index].needs {
            let ask = ask_of(need, app, package);
            let (needed, optional) = (ask.app.clone(), ask.optional);
            if let Some(wins) = self.problem.elsewhere.get(&needed) {
                if !wins && !optional {
                    self.note(&needed, Some(&ask));
                    return Err(End::Dead(BTreeSet::from([app.to_owned()])));
                }
                continue;
            }
            if self.problem.overridden.contains(&needed) {
                continue;
            }
            self.push(ask).map_err(End::Error)?;
            if let Some((package, index)) = self.chosen.get(&needed)
                && !self.fits(&needed, package, &offers[package][*index])
            {
                self.note(&needed, None);
                return Err(End::Dead(BTreeSet::from([needed, app.to_owned()])));
            }
        }
        Ok(())
    }

    /// Keeps the first dead end: with the newest versions, as a person would look at it.
    fn note(&mut self, app: &str, more: Option<&Ask>) {
        if self.trouble.is_some() {
            return;
        }
        let asks = self.asks_for(app).map(|(ask, _)| ask).chain(more);
        let claim = |ask: &Ask| Claim {
            wanted: ask.requirement.clone().unwrap_or_else(|| "any version".into()),
            chain: self.chain(&ask.by),
        };
        let mut claims: Vec<Claim> = asks.map(claim).collect();
        if self.problem.elsewhere.contains_key(app) {
            let chain = self.chain(self.problem.parents.get(app).map_or("", String::as_str));
            claims.insert(0, Claim { wanted: "a source that is no package".into(), chain });
        }
        claims.dedup();
        let package = self.asks_for(app).next().map_or(app, |(ask, _)| &ask.package.1);
        self.trouble = Some((package.to_owned(), claims));
    }

    /// The way from the project to an application.
    fn chain(&self, app: &str) -> Vec<String> {
        let mut chain = vec![app.to_owned()];
        while let Some(last) = chain.last().filter(|last| *last != self.problem.project) {
            let parent = self.asks_for(last).map(|(ask, _)| &ask.by).next();
            let Some(parent) = parent.or_else(|| self.problem.parents.get(last)) else {
                break;
            };
            if chain.contains(parent) {
                break;
            }
            chain.push(parent.clone());
        }
        chain.reverse();
        chain
    }
}

/// Who names no repository means any.
fn same_package(one: &PackageKey, other: &PackageKey) -> bool {
    one.1 == other.1 && (one.0 == other.0 || one.0.is_none() || other.0.is_none())
}

fn ask_of(need: &Need, by: &str, from: &PackageKey) -> Ask {
    let repository = need.repository.clone().or_else(|| from.0.clone());
    Ask {
        app: need.app.clone(),
        package: (repository, need.package.clone()),
        requirement: Some(need.requirement.clone()),
        by: by.to_owned(),
        optional: need.optional,
    }
}
