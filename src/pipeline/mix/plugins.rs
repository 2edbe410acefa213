//! Plugins: those of the dependencies that rebar3 builds.

use std::collections::BTreeMap;

use super::Round;
use crate::each::each;
use crate::explain::Failure;
use crate::lock::{ProjectFacts, Resolution, Resolver, Role, Settled, Source};
use crate::manifest::rebar::{RebarFacts, Wish, WishSource};
use crate::manifest::{DepOverride, Tool};
use crate::pipeline::lock;
use crate::terms::Term;

/// Settles the plugins of the dependencies that rebar3 builds, by rebar3's own rule.
pub(super) fn plugins(
    round: &Round<'_>,
    resolution: &Resolution,
    found: &BTreeMap<String, Settled>,
) -> Result<Vec<Source>, Failure> {
    let mut settled: BTreeMap<String, Settled> = BTreeMap::new();
    for source in resolution.sources.iter().filter(|source| source.tool == Tool::Rebar3) {
        if let Some(known) = found.get(&source.app).filter(|known| !known.facts.plugins.is_empty())
        {
            let facts = only_plugins(&known.facts)?;
            settled.insert(source.app.clone(), Settled { facts, ..known.clone() });
        }
    }
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    let asks =
        |app: &String| Wish { app: app.clone(), source: WishSource::Path { path: app.clone() } };
    let deps = settled.keys().map(asks).collect();
    let config = RebarFacts { deps, ..RebarFacts::default() };
    let name = round.desk.manifest.project.name.clone();
    let project = ProjectFacts { name, config, ..ProjectFacts::default() };
    let ignored = round.desk.manifest.deps.iter().map(|(app, choice)| {
        let ignore_plugins = choice.ignore_plugins.clone();
        (app.clone(), DepOverride { ignore_plugins, ..DepOverride::default() })
    });
    let choices = ignored.collect();
    let mut resolver = Resolver::new(&project, &choices);
    if let Some(previous) = round.previous {
        resolver = resolver.with_previous(previous);
    }
    loop {
        let requests = resolver.next_level();
        if requests.is_empty() {
            break;
        }
        let answers = each(&requests, round.desk.jobs.max(4), |request| {
            match settled.get(&request.app).filter(|_| request.role == Role::Dep) {
                Some(known) => Ok(known.clone()),
                None => lock::answer(round.desk, round.configs, request).map(|(answer, _)| answer),
            }
        })?;
        resolver.settle(answers);
    }
    let sources = resolver.finish()?.sources.into_iter();
    Ok(sources.filter(|source| source.role == Role::Plugin).collect())
}

/// A configuration that asks for its plugins and nothing else.
fn only_plugins(facts: &RebarFacts) -> Result<RebarFacts, Failure> {
    let is_plugins = |term: &&Term| {
        let head = term.as_tuple().and_then(<[Term]>::first).and_then(Term::as_atom);
        head == Some("plugins")
    };
    let terms = facts.terms.iter().filter(is_plugins).cloned().collect();
    Ok(RebarFacts::from_terms(terms)?)
}
