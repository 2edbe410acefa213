//! Mix: the closure of a mix project as a pure state machine; it asks for what it must know and fetches nothing.
//!
//! Mix's rule: who overrides at the top wins; else all that ask for an application from a repository must
//! ask for the same, and all that ask for a package must be content with one version. What `mix.lock` has
//! is tried first, then what the previous lock has.

mod error;
mod solve;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use error::{Claim, MixResolveError};

use self::solve::{Chosen, Problem, Solved};
use self::walk::{Walk, key};
use crate::digest::Digest;
use crate::lock::resolve::{is_from, wanted};
use crate::lock::{Lock, MixLock, Pin, RebarPin, Request, Resolution, Role, Settled, Source};
use crate::manifest::DepOverride;
use crate::manifest::mix::{MixDep, MixFacts};
use crate::manifest::rebar::{Wish, WishSource};

/// What the project states, and what is known of it from before.
#[derive(Debug, Clone, Copy)]
pub struct MixProject<'a> {
    /// The project's name, as parents spell it.
    pub name: &'a str,
    /// The environment that its release is made in.
    pub env: &'a str,
    /// Its evaluated `mix.exs`.
    pub facts: &'a MixFacts,
    /// The manifest's `[deps.NAME]` tables.
    pub choices: &'a BTreeMap<String, DepOverride>,
    /// The previous lock, without what is to be pinned anew.
    pub previous: Option<&'a Lock>,
    /// The project's `mix.lock`.
    pub imported: Option<&'a MixLock>,
}

/// A package by repository, where one is named, and name.
pub type PackageKey = (Option<String>, String);

/// A version of a package that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The version.
    pub version: String,
    /// The registry's inner checksum, where it was asked.
    pub inner: Option<Digest>,
    /// What it needs.
    pub needs: Vec<Need>,
}

/// What a version of a package needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The application.
    pub app: String,
    /// The package.
    pub package: String,
    /// Its repository, where it is another one.
    pub repository: Option<String>,
    /// Which versions will do.
    pub requirement: String,
    /// Whether it counts only where something else asks for it too.
    pub optional: bool,
}

/// An answer to a request, with what the source asks for in mix's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixSettled {
    /// What it is.
    pub settled: Settled,
    /// What it asks for; a package's needs are known from its offer.
    pub deps: Vec<MixDep>,
}

/// What must be known before the closure is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These sources.
    Sources(Vec<Request>),
    /// What is offered of these packages, newest first.
    Packages(BTreeSet<PackageKey>),
    /// Nothing more.
    Done,
}

/// Settles a mix project's closure by asking.
pub struct MixResolver<'a> {
    project: MixProject<'a>,
    known: BTreeMap<Wish, MixSettled>,
    offers: BTreeMap<PackageKey, Vec<Offer>>,
    outstanding: Vec<Request>,
    preferred: BTreeMap<String, String>,
    chosen: Chosen,
}

impl<'a> MixResolver<'a> {
    /// Starts with what the project states.
    pub fn new(project: MixProject<'a>) -> Self {
        let mut preferred = BTreeMap::new();
        let previous = project.previous.into_iter().flat_map(|lock| &lock.sources);
        for source in previous.filter(|source| source.role == Role::Dep) {
            if let Pin::Hex { version, .. } = &source.pin {
                preferred.insert(source.app.clone(), version.clone());
            }
        }
        for (app, entry) in project.imported.into_iter().flat_map(|lock| &lock.entries) {
            if let RebarPin::Hex { version, .. } = &entry.pin {
                preferred.insert(app.clone(), version.clone());
            }
        }
        Self {
            project,
            known: BTreeMap::new(),
            offers: BTreeMap::new(),
            outstanding: Vec::new(),
            preferred,
            chosen: Chosen::new(),
        }
    }

    /// Returns what must be known next, all of it at once.
    pub fn next_level(&mut self) -> Result<Next, MixResolveError> {
        let walk = self.walk()?;
        if !walk.missing.is_empty() {
            let requests: Vec<Request> =
                walk.missing.iter().map(|wish| self.request(&walk, wish)).collect();
            self.outstanding = requests.clone();
            return Ok(Next::Sources(requests));
        }
        walk.check_choices()?;
        let problem = Problem {
            project: self.project.name,
            asks: walk.packages.clone(),
            offers: &self.offers,
            preferred: &self.preferred,
            elsewhere: &walk.elsewhere(),
            overridden: &walk.forced,
            parents: &walk.first_parents(),
        };
        let chosen = match solve::solve(problem)? {
            Solved::Missing(packages) => return Ok(Next::Packages(packages)),
            Solved::Chosen(chosen) => chosen,
        };
        let mut requests = Vec::new();
        for (app, (package, index)) in &chosen {
            let offer = &self.offers[package][*index];
            let wish = package_wish(app, package, &offer.version);
            if !self.known.contains_key(&key(&wish)) {
                self.check_sum(app, offer)?;
                requests.push(self.package_request(&walk, wish, offer));
            }
        }
        self.chosen = chosen;
        if requests.is_empty() {
            return Ok(Next::Done);
        }
        self.outstanding = requests.clone();
        Ok(Next::Sources(requests))
    }

    /// Takes answers to the requests of the last level.
    pub fn settle(&mut self, answers: Vec<MixSettled>) {
        for answer in answers {
            let app = &answer.settled.app;
            if let Some(request) = self.outstanding.iter().find(|request| request.app == *app) {
                self.known.insert(key(&request.wish), answer);
            }
        }
    }

    /// Takes what is offered of a package.
    pub fn offer(&mut self, package: PackageKey, offers: Vec<Offer>) {
        self.offers.insert(package, offers);
    }

    /// Forgets what is offered: it was not all.
    pub fn forget_offers(&mut self) {
        self.offers.clear();
    }

    /// Returns every chosen package with what it was settled to.
    pub fn packages(&self) -> impl Iterator<Item = (&Pin, &Offer)> {
        self.chosen.iter().filter_map(|(app, (package, index))| {
            let offer = &self.offers[package][*index];
            let known = self.known.get(&key(&package_wish(app, package, &offer.version)))?;
            Some((&known.settled.pin, offer))
        })
    }

    fn walk(&self) -> Result<Walk<'_>, MixResolveError> {
        walk::walk(self.project, &self.known)
    }

    fn previous(&self, app: &str) -> Option<&'a Source> {
        self.project.previous.and_then(|lock| lock.find(Role::Dep, app))
    }

    /// Asks for a source that is no package.
    fn request(&self, walk: &Walk<'_>, wish: &Wish) -> Request {
        let words = wanted(&wish.source);
        let same = |source: &&Source| source.wanted == words && is_from(&source.pin, &wish.source);
        let is_forced = self.project.choices.get(&wish.app).is_some_and(|dep| dep.source.is_some());
        let imported = self.project.imported.filter(|_| !is_forced);
        let imported =
            imported.and_then(|lock| lock.entry_for(wish)).map(|entry| entry.pin.clone());
        let mut pinned = self.previous(&wish.app).filter(same);
        if let (Some(RebarPin::Git { commit, .. }), Some(source)) = (&imported, pinned) {
            let is_same =
                matches!(&source.pin, Pin::Git { commit: locked, .. } if locked == commit);
            pinned = pinned.filter(|_| is_same);
        }
        Request {
            app: wish.app.clone(),
            role: Role::Dep,
            wish: wish.clone(),
            wanted: words,
            parents: walk.parents(&wish.app),
            pinned: pinned.map(|source| source.pin.clone()),
            described: pinned.and_then(|source| source.describe.clone()),
            imported,
            untouched: false,
        }
    }

    fn package_request(&self, walk: &Walk<'_>, wish: Wish, offer: &Offer) -> Request {
        let same = |source: &&Source| {
            let version =
                matches!(&source.pin, Pin::Hex { version, .. } if *version == offer.version);
            version && is_from(&source.pin, &wish.source)
        };
        let pinned = self.previous(&wish.app).filter(same);
        let imported = self.project.imported.and_then(|lock| lock.entry_for(&wish));
        let imported = imported.map(|entry| &entry.pin).filter(
            |pin| matches!(pin, RebarPin::Hex { version, .. } if *version == offer.version),
        );
        Request {
            app: wish.app.clone(),
            role: Role::Dep,
            wanted: walk.wanted_package(&wish.app),
            parents: walk.parents(&wish.app),
            pinned: pinned.map(|source| source.pin.clone()),
            described: pinned.and_then(|source| source.describe.clone()),
            imported: imported.cloned(),
            untouched: false,
            wish,
        }
    }

    /// Holds what `mix.lock` says of a package's bytes against the registry; a newer entry's outer checksum is held
    /// against the tarball itself.
    fn check_sum(&self, app: &str, offer: &Offer) -> Result<(), MixResolveError> {
        let entry = self.project.imported.and_then(|lock| lock.entries.get(app));
        if let Some(RebarPin::Hex { package, version, inner: Some(locked), .. }) =
            entry.map(|entry| &entry.pin)
            && *version == offer.version
            && let Some(registry) = offer.inner
            && registry != *locked
        {
            return Err(MixResolveError::Checksum {
                package: package.clone(),
                version: version.clone(),
                locked: *locked,
                registry,
            });
        }
        Ok(())
    }

    /// Returns the closed set of sources; nothing is outstanding.
    pub fn finish(self) -> Result<Resolution, MixResolveError> {
        let walk = self.walk()?;
        let mut nodes: BTreeMap<String, (&MixSettled, String)> = BTreeMap::new();
        for (app, wish) in &walk.winners {
            if let Some(known) = self.known.get(&key(wish)) {
                nodes.insert(app.clone(), (known, wanted(&wish.source)));
            }
        }
        let mut edges = walk.edges.clone();
        for (app, (package, index)) in &self.chosen {
            let offer = &self.offers[package][*index];
            let known = self.known.get(&key(&package_wish(app, package, &offer.version)));
            let known = known.expect("every chosen package was settled before the end");
            let words = match walk.winners.contains_key(app) {
                true => walk.wanted_package(app),
                false => self.needed(app),
            };
            nodes.insert(app.clone(), (known, words));
            let needs = offer.needs.iter().map(|need| need.app.clone());
            edges.entry(app.clone()).or_default().extend(needs);
        }
        let levels = levels(self.project.name, &edges);
        let mut sources = Vec::new();
        for (app, (known, words)) in &nodes {
            let is_node = |other: &&String| nodes.contains_key(*other) && *other != app;
            let deps = edges.get(app).into_iter().flatten().filter(is_node);
            let parents = edges.iter().filter(|(parent, deps)| {
                deps.contains(app) && (nodes.contains_key(*parent) || *parent == self.project.name)
            });
            sources.push(Source {
                app: app.clone(),
                role: Role::Dep,
                pin: known.settled.pin.clone(),
                wanted: words.clone(),
                describe: known.settled.describe.clone(),
                tool: known.settled.tool,
                untouched: false,
                level: levels.get(app).copied().unwrap_or_default(),
                parents: parents.map(|(parent, _)| parent.clone()).collect(),
                deps: deps.cloned().collect(),
                profiles: BTreeSet::new(),
                lost: walk.lost(app),
            });
        }
        Ok(Resolution { sources, conflicts: Vec::new() })
    }

    /// What the first of the packages that need an application asks for.
    fn needed(&self, app: &str) -> String {
        let offers = self.chosen.values().map(|(package, index)| &self.offers[package][*index]);
        let mut needs = offers.flat_map(|offer| &offer.needs);
        let need = needs.find(|need| need.app == app && !need.optional);
        need.map_or_else(|| "newest".into(), |need| need.requirement.clone())
    }
}

/// How far each application is from the project.
fn levels(project: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, u32> {
    let mut levels: BTreeMap<String, u32> = BTreeMap::new();
    let mut queue: VecDeque<(&str, u32)> = VecDeque::from([(project, 0)]);
    let mut seen = BTreeSet::from([project]);
    while let Some((app, level)) = queue.pop_front() {
        for dep in edges.get(app).into_iter().flatten() {
            if seen.insert(dep) {
                levels.insert(dep.clone(), level);
                queue.push_back((dep, level + 1));
            }
        }
    }
    levels
}

fn package_wish(app: &str, (repository, package): &PackageKey, version: &str) -> Wish {
    Wish {
        app: app.to_owned(),
        source: WishSource::Hex {
            package: package.clone(),
            requirement: Some(format!("== {version}")),
            repository: repository.clone(),
        },
    }
}
