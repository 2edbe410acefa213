//! First fetched: erlang.mk's rule. It fetches everything that an application asks for, in order, and then goes down
//! into each of these in turn, unless it has been there; what lies in `deps` already is never fetched again.
//!
//! What an unsettled application brings along would come before all that follows it, so the walk ends at the first
//! one, and all that was asked for up to there is fetched at once.
//!
//! Who fetches a dependency also says whether it is patched (`NO_AUTOPATCH`), and who builds it first hands its own word
//! on that down to it. The project's own applications stand between: make goes down into these when all that
//! the project's top asks for is fetched, and before any of that is built.

use std::collections::BTreeSet;

use super::asked::key;
use super::walk::{Ask, DEFAULT, Node, Taken, Walk};
use super::{ResolveError, Settled};
use crate::lock::Role;
use crate::manifest::rebar::{Overrides, Wish};

/// What is gone down into.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// One of the project's own applications.
    Own(String),
    /// What was fetched.
    Dep(String),
}

impl<'a> Walk<'a> {
    /// Walks the project's closure as erlang.mk fetches it.
    pub(super) fn first_fetched(&mut self) -> Result<(), ResolveError> {
        let project = self.known.project;
        let wishes: Vec<Wish> = project.config.deps.iter().cloned().chain(self.unasked()).collect();
        let own = project.apps.values().flat_map(|facts| &facts.deps);
        let names = wishes.iter().chain(own).map(|wish| (Role::Dep, wish.app.clone()));
        let names: BTreeSet<Node> = names.collect();
        self.roots.entry(DEFAULT.to_owned()).or_default().extend(names);
        let mut been = BTreeSet::new();
        let kept = project.config.no_autopatch.names.clone();
        let names = self.fetch(&project.name, wishes, &kept)?;
        let rest = self.below(&project.name, names);
        let mut open = vec![(rest.into_iter(), kept)];
        while let Some((rest, kept)) = open.last_mut() {
            let Some(next) = rest.next() else {
                open.pop();
                continue;
            };
            if !been.insert(next.clone()) {
                continue;
            }
            let (rest, kept) = match next {
                Next::Own(app) => {
                    let facts = &project.apps[&app];
                    let kept = facts.no_autopatch.below(kept);
                    // What it asks for is asked for by the project: it is in no lock itself.
                    let names = self.fetch(&project.name, facts.deps.clone(), &kept)?;
                    (self.below(&app, names), kept)
                }
                Next::Dep(app) if project.apps.contains_key(&app) => continue,
                Next::Dep(app) => {
                    let Some(settled) = self.settled(&app) else { return Ok(()) };
                    let wishes = settled.facts.deps.clone();
                    let named = wishes.iter().map(|wish| (Role::Dep, wish.app.clone()));
                    self.edges.entry((Role::Dep, app.clone())).or_default().extend(named);
                    let kept = settled.facts.no_autopatch.below(kept);
                    let names = self.fetch(&app, wishes, &kept)?;
                    (names.into_iter().map(Next::Dep).collect(), kept)
                }
            };
            open.push((rest.into_iter(), kept));
        }
        Ok(())
    }

    /// What make goes down into where it builds the project's top or one of its applications: others of these, and then
    /// what it fetched.
    fn below(&self, own: &str, names: Vec<String>) -> Vec<Next> {
        let local = self.known.project.local.get(own).into_iter().flatten();
        let local = local.filter(|app| self.known.project.apps.contains_key(*app));
        local.cloned().map(Next::Own).chain(names.into_iter().map(Next::Dep)).collect()
    }

    /// Asks for everything that one application names, and leaves what it is told to keep as it is; returns the names.
    fn fetch(
        &mut self,
        parent: &str,
        wishes: Vec<Wish>,
        kept: &BTreeSet<String>,
    ) -> Result<Vec<String>, ResolveError> {
        let mut names = Vec::new();
        for wish in wishes {
            names.push(wish.app.clone());
            if kept.contains(&wish.app)
                && !self.winners.contains_key(&(Role::Dep, wish.app.clone()))
            {
                self.untouched.insert(wish.app.clone());
            }
            let (parent, overrides) = (parent.to_owned(), Overrides::default());
            // Whether it is there already is seen when it is gone down into.
            match self.take(Role::Dep, &Ask { wish, parent, overrides })? {
                Taken::Seen | Taken::Unsettled | Taken::New(_) => {}
            }
        }
        Ok(names)
    }

    fn settled(&self, app: &str) -> Option<&'a Settled> {
        let winner = self.winners.get(&(Role::Dep, app.to_owned()))?;
        self.known.settled.get(&key(winner))
    }
}
