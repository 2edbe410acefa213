//! Walk: one round over what the project and its sources ask for, as far as the answers go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::error::{Claim, MixResolveError};
use super::solve::Ask;
use super::{MixProject, MixSettled};
use crate::limits::LOCK_SOURCES_MAX;
use crate::lock::git_url;
use crate::lock::resolve::{Asked, address, is_chosen, wanted};
use crate::manifest::mix::MixDep;
use crate::manifest::rebar::{Wish, WishSource};

/// What a walk found.
pub(super) struct Walk<'a> {
    project: MixProject<'a>,
    /// The winning wish of each application that is asked for outside of packages.
    pub(super) winners: BTreeMap<String, Wish>,
    /// Applications whose winner counts whatever others ask for.
    pub(super) forced: BTreeSet<String>,
    /// Everything that was asked for.
    asked: BTreeMap<String, Vec<Asked>>,
    /// Sources that are no packages and not settled yet.
    pub(super) missing: Vec<Wish>,
    /// What is asked for of packages.
    pub(super) packages: Vec<Ask>,
    /// What each application names.
    pub(super) edges: BTreeMap<String, BTreeSet<String>>,
}

/// Returns the wish under which an answer is kept: two spellings of an address are one wish.
pub(super) fn key(wish: &Wish) -> Wish {
    let mut key = wish.clone();
    if let WishSource::Git { url, .. } = &mut key.source {
        *url = git_url::normalise(url);
    }
    key
}

/// Walks level by level.
pub(super) fn walk<'a>(
    project: MixProject<'a>,
    known: &BTreeMap<Wish, MixSettled>,
) -> Result<Walk<'a>, MixResolveError> {
    let mut walk = Walk {
        project,
        winners: BTreeMap::new(),
        forced: BTreeSet::new(),
        asked: BTreeMap::new(),
        missing: Vec::new(),
        packages: Vec::new(),
        edges: BTreeMap::new(),
    };
    let mut queue: VecDeque<MixDep> = walk.top().into();
    let overrides: Vec<String> =
        queue.iter().filter(|dep| dep.wins).map(|dep| dep.wish.app.clone()).collect();
    walk.forced.extend(overrides);
    while let Some(dep) = queue.pop_front() {
        if project.facts.own.contains_key(&dep.wish.app) {
            continue;
        }
        let Some(wish) = walk.take(&dep)? else {
            continue;
        };
        if matches!(wish.source, WishSource::Hex { .. }) {
            continue;
        }
        match known.get(&key(&wish)) {
            Some(settled) => {
                queue.extend(settled.deps.iter().cloned().map(|dep| MixDep { wins: false, ..dep }))
            }
            None => walk.missing.push(wish),
        }
    }
    Ok(walk)
}

impl Walk<'_> {
    /// What the project names: what the manifest gives a source, what overrides, and then the rest.
    fn top(&self) -> Vec<MixDep> {
        let project = &self.project;
        let stated = project.choices.iter().filter_map(|(app, choice)| {
            let source = choice.source.clone()?;
            let wish = Wish { app: app.clone(), source };
            let parent = project.name.to_owned();
            let (only, manager) = (BTreeSet::new(), None);
            Some(MixDep { parent, wish, only, optional: false, wins: true, is_raw: false, manager })
        });
        let mut top: Vec<MixDep> = stated.collect();
        let is_stated = |dep: &&MixDep| top.iter().any(|other| other.wish.app == dep.wish.app);
        let named = project.facts.deps_in(project.env);
        let named = named.filter(|dep| !is_stated(dep)).map(|dep| MixDep {
            parent: project.name.to_owned(),
            optional: false,
            ..dep.clone()
        });
        let mut named: Vec<MixDep> = named.collect();
        named.sort_by_key(|dep| !dep.wins);
        top.extend(named);
        top
    }

    /// Notes a request; returns the wish if it is the first that counts for its application.
    fn take(&mut self, dep: &MixDep) -> Result<Option<Wish>, MixResolveError> {
        let app = &dep.wish.app;
        self.edges.entry(dep.parent.clone()).or_default().insert(app.clone());
        if dep.optional {
            self.ask_package(dep);
            return Ok(None);
        }
        let asked = self.asked.entry(app.clone()).or_default();
        let source = dep.wish.source.clone();
        let new = Asked { source, parents: BTreeSet::from([dep.parent.clone()]) };
        asked.push(new.clone());
        let choice = self.project.choices.get(app).and_then(|choice| choice.use_source.as_ref());
        if choice.is_some_and(|choice| !is_chosen(choice, &new)) {
            return Ok(None);
        }
        let Some(winner) = self.winners.get(app) else {
            if self.winners.len() >= LOCK_SOURCES_MAX {
                return Err(MixResolveError::TooManySources);
            }
            self.refuse_foreign_path(dep)?;
            self.winners.insert(app.clone(), dep.wish.clone());
            self.ask_package(dep);
            return Ok(Some(dep.wish.clone()));
        };
        if self.forced.contains(app) || choice.is_some() {
            return Ok(None);
        }
        if !is_same(&winner.source, &dep.wish.source) {
            let claims = self.claims(app);
            return Err(MixResolveError::Diverged { app: app.clone(), claims });
        }
        self.ask_package(dep);
        Ok(None)
    }

    fn ask_package(&mut self, dep: &MixDep) {
        if let WishSource::Hex { package, requirement, repository } = &dep.wish.source {
            self.packages.push(Ask {
                app: dep.wish.app.clone(),
                package: (repository.clone(), package.clone()),
                requirement: requirement.clone(),
                by: dep.parent.clone(),
                optional: dep.optional,
            });
        }
    }

    fn refuse_foreign_path(&self, dep: &MixDep) -> Result<(), MixResolveError> {
        match &dep.wish.source {
            WishSource::Path { path } if dep.parent != self.project.name => {
                Err(MixResolveError::ForeignPath {
                    parent: dep.parent.clone(),
                    app: dep.wish.app.clone(),
                    path: path.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns who asks for an application outside of packages.
    pub(super) fn parents(&self, app: &str) -> BTreeSet<String> {
        let asked = self.asked.get(app).into_iter().flatten();
        asked.flat_map(|asked| &asked.parents).cloned().collect()
    }

    /// Returns the first who asks for each application.
    pub(super) fn first_parents(&self) -> BTreeMap<String, String> {
        let first = |(app, asked): (&String, &Vec<Asked>)| {
            Some((app.clone(), asked.first()?.parents.first()?.clone()))
        };
        self.asked.iter().filter_map(first).collect()
    }

    /// The applications that are no packages, and whether they count whatever a package asks for.
    pub(super) fn elsewhere(&self) -> BTreeMap<String, bool> {
        let own = self.project.facts.own.keys().map(|app| (app.clone(), true));
        let others =
            self.winners.iter().filter(|(_, wish)| !matches!(wish.source, WishSource::Hex { .. }));
        let counts =
            |app: &String| self.forced.contains(app) || self.project.choices.contains_key(app);
        own.chain(others.map(|(app, _)| (app.clone(), counts(app)))).collect()
    }

    /// What the winning request for a package says.
    pub(super) fn wanted_package(&self, app: &str) -> String {
        self.winners.get(app).map_or_else(|| "newest".into(), |wish| wanted(&wish.source))
    }

    /// What was asked for and overridden, in the words of the lock.
    pub(super) fn lost(&self, app: &str) -> Vec<String> {
        let Some(winner) = self.winners.get(app) else {
            return Vec::new();
        };
        let asked = self.asked.get(app).into_iter().flatten();
        let lost = asked.filter(|asked| !is_same(&winner.source, &asked.source));
        let lost: BTreeSet<String> = lost.map(ToString::to_string).collect();
        lost.into_iter().collect()
    }

    /// Refuses a `use` that fits nothing that was asked for.
    pub(super) fn check_choices(&self) -> Result<(), MixResolveError> {
        for (app, choice) in self.project.choices {
            let Some(choice) = &choice.use_source else {
                continue;
            };
            if !self.winners.contains_key(app) {
                let claims = self.claims(app);
                return Err(MixResolveError::UnknownChoice {
                    app: app.clone(),
                    choice: choice.clone(),
                    claims,
                });
            }
        }
        Ok(())
    }

    fn claims(&self, app: &str) -> Vec<Claim> {
        let asked = self.asked.get(app).into_iter().flatten();
        let claim = |asked: &Asked| Claim {
            wanted: format!("{} {}", address(&asked.source), wanted(&asked.source)),
            chain: self.chain(asked.parents.first().map_or("", String::as_str)),
        };
        asked.map(claim).collect()
    }

    fn chain(&self, app: &str) -> Vec<String> {
        let parents = self.first_parents();
        let mut chain = vec![app.to_owned()];
        while let Some(parent) = chain.last().and_then(|last| parents.get(last)) {
            if chain.contains(parent) {
                break;
            }
            chain.push(parent.clone());
        }
        chain.reverse();
        chain
    }
}

/// Tells whether two ask for the same: the same commit's name, or a package by the same name.
fn is_same(one: &WishSource, other: &WishSource) -> bool {
    match (one, other) {
        (
            WishSource::Git { url, reference, subdir },
            WishSource::Git { url: other_url, reference: other_reference, subdir: other_subdir },
        ) => {
            git_url::same(url, other_url) && reference == other_reference && subdir == other_subdir
        }
        (
            WishSource::Hex { package, repository, .. },
            WishSource::Hex { package: other_package, repository: other_repository, .. },
        ) => {
            package == other_package
                && (repository == other_repository
                    || repository.is_none()
                    || other_repository.is_none())
        }
        _ => one == other,
    }
}
