//! Lock: walks the project's closure level by level and pins what it finds.

mod date;
mod failure;
mod settle;
mod update;

use std::collections::BTreeSet;

pub use failure::LockFailure;
use settle::resolve;
pub(super) use settle::{answer, fetch, settled};
pub use update::Update;

use super::configs::{Configs, project_facts};
use super::stays::ToolLock;
use super::{Desk, mix, modules, packages, platforms, tools};
use super::{base, gates, services};
use crate::disk;
use crate::event::{Event, Silent};
use crate::explain::Failure;
use crate::http::{Http, Network};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{self, IMAGE_FORMAT, Lock, ProjectFacts, RebarLock, Role};
use crate::manifest::{LockWish, Manifest, Tool};

/// Brings the project's lock up to date and writes it, unless it is equal.
pub fn lock(desk: &Desk<'_>, update: &Update) -> Result<Lock, Failure> {
    if update.any_age && desk.manifest.lock.minimum_age_s > 0 {
        let manifest = Manifest { lock: LockWish::default(), ..desk.manifest.clone() };
        return lock(&Desk { manifest: &manifest, ..*desk }, update);
    }
    platforms::refuse_before(desk, update)?;
    base::refuse_before(desk)?;
    let previous = Lock::read_previous(desk.root)?;
    let kept = previous.as_ref().map(|lock| keep(lock, update)).transpose()?;
    let toolchain = packages::choose(desk, previous.as_ref(), update)?;
    let platforms = platforms::choose(desk, previous.as_ref(), &toolchain, update)?;
    let tools = tools::pin(desk, tools::wishes(desk), kept.as_ref())?;
    let mut configs = Configs::new(desk, &toolchain, &tools);
    configs.previous = kept.as_ref();
    let facts = ProjectFacts { tools: vec![], ..project_facts(desk, &configs)? };
    date::refuse_before(desk, previous.as_ref(), &facts)?;
    let is_mix = desk.manifest.build.tool == Tool::Mix;
    let imported = rebar_lock(desk)?;
    let (mut resolution, newest) = match is_mix {
        true => mix::resolve(desk, &configs, kept.as_ref())?,
        false => resolve(desk, &configs, &facts, kept.as_ref(), imported.as_ref())?,
    };
    let date = date::of(desk, previous.as_ref(), newest)?;
    resolution.sources.extend(tools.iter().cloned());
    // Only now is it known that erlang.mk will want it.
    if let Some(wish) = configs.hidden_rebar(&resolution.sources)? {
        resolution.sources.extend(tools::pin(desk, vec![wish], kept.as_ref())?);
    }
    resolution.sources.sort_by(|a, b| (a.role, &a.app).cmp(&(b.role, &b.app)));
    know_all_deps(desk, &resolution.sources, &facts)?;
    let gates = configs.gates.into_inner().expect("noting does not panic");
    let is_open = |conflict: &&lock::Conflict| {
        let dep = desk.manifest.deps.get(&conflict.app);
        dep.is_none_or(|dep| dep.source.is_none())
    };
    // What the manifest says itself is decided; the lock still names what lost.
    for conflict in resolution.conflicts.iter().filter(is_open) {
        desk.observer.observe(&Event::Warned { message: &conflict.to_string() });
    }
    let mut lock = Lock {
        project: desk.manifest.project.name.clone(),
        epoch: 0,
        image_format: IMAGE_FORMAT,
        toolchain: toolchain.clone(),
        platforms,
        base: None,
        services: services::choose(desk, previous.as_ref(), &toolchain, update)?,
        sources: resolution.sources,
    };
    let pinned = previous.as_ref().and_then(|lock| lock.base.as_ref());
    lock.base = base::pin(desk, &lock, pinned.filter(|_| !update.base && !update.all))?;
    gates::check(desk, &lock, &gates)?;
    modules::check(desk, &lock)?;
    lock.epoch = date::epoch(desk, previous.as_ref(), &lock, date);
    if let Some(imported) = &imported {
        for disagreement in imported.verify_against(&lock, desk.manifest) {
            desk.observer.observe(&Event::Warned { message: &disagreement.to_string() });
        }
        ToolLock::of_rebar(imported).say_what_stays(desk, update, &lock);
    }
    if is_mix {
        mix::warn_of_disagreements(desk, update, &lock)?;
    }
    let changes = previous.as_ref().map(|old| lock::changes(old, &lock)).unwrap_or_default();
    let changes = lock::summary(&changes);
    let rewritten = lock.write(desk.root)?;
    desk.store.settle()?;
    let packages = lock.debs().chain(lock.service_debs()).count();
    let sources = lock.sources.len();
    desk.observer.observe(&Event::Locked { sources, packages, changes: &changes, rewritten });
    Ok(lock)
}

/// Refuses wishes for a dependency that is not there: a misspelt name would have no effect.
fn know_all_deps(
    desk: &Desk<'_>,
    sources: &[lock::Source],
    facts: &ProjectFacts,
) -> Result<(), LockFailure> {
    let mut known: BTreeSet<&str> = sources.iter().map(|source| source.app.as_str()).collect();
    known.extend(facts.apps.keys().map(String::as_str));
    known.insert(&facts.name);
    let unknown = desk.manifest.deps.keys().find(|name| !known.contains(name.as_str()));
    let Some(name) = unknown else { return Ok(()) };
    let likeness = |known: &&str| (strsim::jaro_winkler(name, known) * 1000.0) as u32;
    let nearest = known.into_iter().max_by_key(likeness);
    Err(LockFailure::UnknownDep {
        name: name.clone(),
        nearest: nearest.filter(|known| likeness(known) > 700).map(str::to_owned),
    })
}

/// Returns what is stale in the project's lock, one reason each. Touches no network.
pub fn check(desk: &Desk<'_>) -> Result<Vec<String>, Failure> {
    let lock = Lock::read(desk.root)?
        .ok_or_else(|| LockFailure::Missing { path: desk.root.to_owned() })?;
    stale(desk, &lock)
}

/// Returns what is stale in `lock`, one reason each.
pub(super) fn stale(desk: &Desk<'_>, lock: &Lock) -> Result<Vec<String>, Failure> {
    let configs = Configs::of(desk, lock);
    let mut facts = project_facts(desk, &configs)?;
    facts.tools.extend(configs.hidden_rebar(&lock.sources)?);
    let found = lock::stale(lock, &facts, desk.manifest);
    if !found.is_empty() {
        return Ok(found.iter().map(ToString::to_string).collect());
    }
    let is_mix = desk.manifest.build.tool == Tool::Mix;
    match stale_further_down(desk, lock, facts) {
        Some(reasons) => {
            if is_mix && reasons.is_empty() {
                mix::warn_of_disagreements(desk, &Update::nothing(), lock)?;
            }
            Ok(reasons)
        }
        // What a changed mix.lock names anew is not held, so it cannot be looked into, and is stale all the same.
        None if is_mix => mix::disagreements(desk, lock),
        None => Ok(Vec::new()),
    }
}

/// Returns what is stale further down than the project's own words: all is resolved again over what is held.
///
/// `None` where something is not held or cannot be resolved: that is left to `lock`, which has the network.
fn stale_further_down(desk: &Desk<'_>, lock: &Lock, facts: ProjectFacts) -> Option<Vec<String>> {
    let http = Http::new(Network::Offline, desk.http.mirrors().clone());
    let desk = Desk { http: &http, observer: &Silent, ..*desk };
    let configs = Configs::of(&desk, lock);
    let facts = ProjectFacts { tools: vec![], ..facts };
    let resolved = match desk.manifest.build.tool {
        Tool::Mix => mix::resolve(&desk, &configs, Some(lock)),
        Tool::ErlangMk => project_facts(&desk, &configs).and_then(|facts| {
            let facts = ProjectFacts { tools: vec![], ..facts };
            resolve(&desk, &configs, &facts, Some(lock), None)
        }),
        _ => rebar_lock(&desk)
            .and_then(|imported| resolve(&desk, &configs, &facts, Some(lock), imported.as_ref())),
    };
    let (resolution, _) = resolved.ok()?;
    let tools = lock.sources.iter().filter(|source| source.role == Role::Tool);
    let mut sources: Vec<_> = resolution.sources.into_iter().chain(tools.cloned()).collect();
    sources.sort_by(|a, b| (a.role, &a.app).cmp(&(b.role, &b.app)));
    let now = Lock { sources, ..lock.clone() };
    Some(lock::differences(lock, &now).iter().map(ToString::to_string).collect())
}

/// The previous lock without the entries that are to be pinned anew.
fn keep(lock: &Lock, update: &Update) -> Result<Lock, LockFailure> {
    let known = |name: &&String| !lock.sources.iter().any(|source| source.app == **name);
    if let Some(name) = update.apps.iter().find(known) {
        return Err(LockFailure::NotLocked { name: name.clone() });
    }
    let mut kept = lock.clone();
    kept.sources.retain(|source| !update.all && !update.apps.contains(&source.app));
    Ok(kept)
}

/// The project's `rebar.lock`. Beside a Makefile or a `mix.exs` that builds the project it is some other build's.
fn rebar_lock(desk: &Desk<'_>) -> Result<Option<RebarLock>, Failure> {
    let path = desk.root.join("rebar.lock");
    let is_ours = matches!(desk.manifest.build.tool, Tool::Rebar3 | Tool::Rebar);
    if !is_ours || !disk::exists(&path) {
        return Ok(None);
    }
    Ok(Some(RebarLock::parse(&disk::read_text(&path, TEXT_FILE_BYTES_MAX)?)?))
}
