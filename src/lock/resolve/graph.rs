//! Graph: the walk's end as sources with their parents, levels and profiles; cycles are found here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::lock::resolve::asked::key;
use crate::lock::resolve::walk::{DEFAULT, Node, Walk};
use crate::lock::resolve::{
    Asked, Conflict, ProjectFacts, Resolution, ResolveError, Settled, address, is_from, wanted,
};
use crate::lock::{Pin, Role, Source};
use crate::manifest::rebar::{GitRef, Wish, WishSource};
use crate::version::{Requirement, Version};

/// Makes the resolution of a walk in which everything was settled.
pub(super) fn resolution(
    project: &ProjectFacts,
    walk: &Walk<'_>,
    settled: &BTreeMap<Wish, Settled>,
) -> Result<Resolution, ResolveError> {
    refuse_cycles(project, walk)?;
    let levels = levels(walk);
    let profiles = profiles(walk);
    let ways = ways(project, walk);
    let mut sources = Vec::new();
    let mut conflicts = Vec::new();
    for (node, wish) in &walk.winners {
        let (role, app) = node;
        let answer =
            settled.get(&key(wish)).ok_or_else(|| ResolveError::Unsettled { app: app.clone() })?;
        let mut conflict = conflict(walk, node, wish, &answer.pin);
        if let Some(conflict) = &mut conflict {
            conflict.chains = chains(conflict, &ways);
        }
        let lost = conflict.iter().flat_map(|conflict| &conflict.losers);
        let lost = lost.map(ToString::to_string).collect();
        conflicts.extend(conflict);
        let named = walk.edges.get(node).into_iter().flatten();
        let deps = named.filter(|other| other.0 == *role && walk.winners.contains_key(*other));
        sources.push(Source {
            app: app.clone(),
            role: *role,
            pin: answer.pin.clone(),
            wanted: wanted(&wish.source),
            describe: answer.describe.clone(),
            tool: answer.tool,
            untouched: *role == Role::Dep && walk.untouched.contains(app),
            level: levels.get(node).copied().unwrap_or_default(),
            parents: walk.parents(node),
            deps: deps.map(|(_, app)| app.clone()).collect(),
            profiles: profiles.get(node).cloned().unwrap_or_default(),
            lost,
        });
    }
    Ok(Resolution { sources, conflicts })
}

/// Parts what was asked for into the winner and those that it does not satisfy.
fn conflict(walk: &Walk<'_>, node: &Node, winner: &Wish, pin: &Pin) -> Option<Conflict> {
    let mut won = Asked { source: winner.source.clone(), parents: BTreeSet::new() };
    let mut losers: Vec<Asked> = Vec::new();
    for asked in walk.asked.get(node)? {
        if satisfies(pin, &winner.source, &asked.source) {
            won.parents.extend(asked.parents.iter().cloned());
            continue;
        }
        let words = |source: &WishSource| (address(source), wanted(source));
        let same = |other: &&mut Asked| words(&other.source) == words(&asked.source);
        match losers.iter_mut().find(same) {
            Some(loser) => loser.parents.extend(asked.parents.iter().cloned()),
            None => losers.push(asked.clone()),
        }
    }
    losers.sort_by_key(ToString::to_string);
    (!losers.is_empty()).then(|| Conflict {
        app: node.1.clone(),
        role: node.0,
        winner: won,
        losers,
        chains: BTreeMap::new(),
    })
}

/// The shortest way from the project to every application, by name.
fn ways<'w>(project: &'w ProjectFacts, walk: &'w Walk<'_>) -> BTreeMap<&'w str, Vec<&'w str>> {
    let mut ways: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let roots = walk.roots.values().flatten();
    let mut queue: VecDeque<(&Node, Vec<&str>)> =
        roots.map(|node| (node, vec![project.name.as_str()])).collect();
    while let Some((node, mut way)) = queue.pop_front() {
        way.push(&node.1);
        if ways.contains_key(node.1.as_str()) {
            continue;
        }
        let named = walk.edges.get(node).into_iter().flatten();
        queue.extend(named.map(|other| (other, way.clone())));
        ways.insert(&node.1, way);
    }
    ways
}

fn chains(conflict: &Conflict, ways: &BTreeMap<&str, Vec<&str>>) -> BTreeMap<String, Vec<String>> {
    let asked = conflict.losers.iter().chain([&conflict.winner]);
    let way = |parent: &String| {
        let way = ways.get(parent.as_str())?;
        Some((parent.clone(), way.iter().map(|app| (*app).to_owned()).collect()))
    };
    asked.flat_map(|asked| &asked.parents).filter_map(way).collect()
}

/// Tells whether a request is served by what another one was settled to.
fn satisfies(pin: &Pin, winner: &WishSource, asked: &WishSource) -> bool {
    if !is_from(pin, asked) {
        return false;
    }
    match (pin, asked) {
        (Pin::Git { commit, .. }, WishSource::Git { reference, .. }) => {
            let is_commit = matches!(reference, GitRef::Commit(start) if commit.starts_with(start));
            is_commit || wanted(winner) == wanted(asked)
        }
        (Pin::Hex { version, .. }, WishSource::Hex { requirement, .. }) => {
            let fits = |requirement: &String| allows(requirement, version);
            requirement.as_ref().is_none_or(fits) || wanted(winner) == wanted(asked)
        }
        (Pin::Url { .. } | Pin::Path { .. }, _) => true,
        _ => false,
    }
}

/// Tells whether a requirement allows a version; one that cannot be read allows just itself.
fn allows(requirement: &str, version: &str) -> bool {
    match (Requirement::parse(requirement), Version::parse(version)) {
        (Some(requirement), Some(version)) => requirement.holds(&version),
        _ => requirement == version,
    }
}

/// How far each application is from the project: through the default profile where that leads to
/// it, as rebar3's own lock counts, else through any profile and plugin.
fn levels(walk: &Walk<'_>) -> BTreeMap<Node, u32> {
    let default = walk.roots.get(DEFAULT).into_iter().flatten();
    let mut levels = distances(walk, default.filter(|node| node.0 == Role::Dep));
    levels.retain(|node, _| node.0 == Role::Dep);
    for (node, level) in distances(walk, walk.roots.values().flatten()) {
        levels.entry(node).or_insert(level);
    }
    levels
}

fn distances<'w>(walk: &'w Walk<'_>, roots: impl Iterator<Item = &'w Node>) -> BTreeMap<Node, u32> {
    let mut distances = BTreeMap::new();
    let mut queue: VecDeque<(&Node, u32)> = roots.map(|node| (node, 0)).collect();
    while let Some((node, distance)) = queue.pop_front() {
        if !walk.winners.contains_key(node) || distances.contains_key(node) {
            continue;
        }
        distances.insert(node.clone(), distance);
        let named = walk.edges.get(node).into_iter().flatten();
        queue.extend(named.map(|other| (other, distance + 1)));
    }
    distances
}

/// Which profiles lead to an application; none are named where the default one does.
fn profiles(walk: &Walk<'_>) -> BTreeMap<Node, BTreeSet<String>> {
    let mut profiles: BTreeMap<Node, BTreeSet<String>> = BTreeMap::new();
    for (profile, roots) in &walk.roots {
        for node in distances(walk, roots.iter()).into_keys() {
            profiles.entry(node).or_default().insert(profile.clone());
        }
    }
    for names in profiles.values_mut() {
        if names.contains(DEFAULT) {
            names.clear();
        }
    }
    profiles
}

/// Refuses a closure in which applications need one another, as rebar3 does.
fn refuse_cycles(project: &ProjectFacts, walk: &Walk<'_>) -> Result<(), ResolveError> {
    for role in [Role::Dep, Role::Plugin] {
        let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (node, named) in walk.edges.iter().filter(|(node, _)| node.0 == role) {
            let named = named.iter().filter(|other| other.0 == role);
            let named = named.map(|(_, app)| app.as_str());
            needs.entry(&node.1).or_default().extend(named);
        }
        if role == Role::Dep {
            // rebar3 gives each of the project's applications what the root's `deps` names.
            let named = project.config.deps.iter().map(|wish| wish.app.as_str());
            let named: BTreeSet<&str> = named.collect();
            for app in project.apps.keys() {
                let others = named.iter().filter(|other| *other != app);
                needs.entry(app).or_default().extend(others);
            }
        }
        if let Some(chain) = cycle(&needs) {
            return Err(ResolveError::Cycle { role, chain });
        }
    }
    Ok(())
}

/// Finds a way that leads back to where it began; without recursion, since the depth is a stranger's.
fn cycle(needs: &BTreeMap<&str, BTreeSet<&str>>) -> Option<Vec<String>> {
    let none = BTreeSet::new();
    let named = |app: &str| needs.get(app).unwrap_or(&none).iter();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in needs.keys() {
        let mut path = vec![(*start, named(start))];
        while let Some((app, rest)) = path.last_mut() {
            let app = *app;
            let Some(next) = rest.next() else {
                done.insert(app);
                path.pop();
                continue;
            };
            if let Some(from) = path.iter().position(|(other, _)| other == next) {
                let chain = path[from..].iter().map(|(app, _)| *app).chain([*next]);
                return Some(chain.map(str::to_owned).collect());
            }
            if !done.contains(next) {
                path.push((*next, named(next)));
            }
        }
    }
    None
}
