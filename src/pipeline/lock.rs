//! Lock: walks the project's closure level by level and pins what it finds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use thiserror::Error;

use super::asked::AskedFailure;
use super::configs::{Configs, project_facts};
use super::stays::ToolLock;
use super::{Desk, mix, modules, packages, platforms, tools};
use super::{base, gates, services};
use crate::disk;
use crate::each::each;
use crate::event::{Event, Silent};
use crate::explain::{Explain, Failure};
use crate::fetch::Answer;
use crate::http::{Http, Network};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{
    self, IMAGE_FORMAT, Lock, Pin, ProjectFacts, RebarLock, Request, Resolution, Resolver, Role,
    Settled,
};
use crate::manifest::Tool;
use crate::manifest::rebar::{self, RebarFacts, WishSource};
use crate::manifest::{LockWish, Manifest, Platform};
use crate::project;
use crate::store::HeldTree;

/// What is pinned anew although its wish did not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Applications.
    pub(super) apps: BTreeSet<String>,
    /// The toolchain.
    pub(super) toolchain: bool,
    /// The base image.
    base: bool,
    /// All applications.
    pub(super) all: bool,
    /// Machines that images are made for, beside those of the manifest and of the lock.
    pub platforms: Vec<Platform>,
    /// An index of Debian's that is past its date counts as much as any.
    pub expired_index: bool,
    /// What is too young is pinned all the same.
    pub any_age: bool,
}

impl Update {
    /// Nothing: what is pinned stays.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Nothing but what images for these machines are made of.
    pub fn for_platforms(platforms: &[Platform]) -> Self {
        Self { platforms: platforms.to_vec(), ..Self::default() }
    }

    /// These applications; `toolchain` means the toolchain, `base` the base image.
    pub fn named(names: &[String]) -> Self {
        let says = |what: &str| names.iter().any(|name| name == what);
        let (toolchain, base) = (says("toolchain"), says("base"));
        let others = names.iter().filter(|name| *name != "toolchain" && *name != "base");
        Self { apps: others.cloned().collect(), toolchain, base, ..Self::default() }
    }

    /// All applications and the toolchain.
    pub fn everything() -> Self {
        Self { toolchain: true, all: true, ..Self::default() }
    }
}

/// The lock could not be made.
#[derive(Debug, Error)]
pub enum LockFailure {
    /// Neither git nor the environment dates the project.
    #[error("nothing dates the image: `{}` is in no git repository with a commit", path.display())]
    NoDate {
        /// The project's root.
        path: PathBuf,
    },
    /// An application that is asked about is not locked.
    #[error("`{name}` is not in the lock")]
    NotLocked {
        /// What was named.
        name: String,
    },
    /// An application that the manifest speaks of is none of the project's.
    #[error("`[deps.{name}]` in rebeam.toml names no dependency of this project{}", nearest.as_ref().map(|name| format!("; the nearest is `{name}`")).unwrap_or_default())]
    UnknownDep {
        /// What was named.
        name: String,
        /// The dependency whose name is most like it.
        nearest: Option<String>,
    },
    /// The lock is stale and `--locked` was given.
    #[error("the lock is stale:\n{}", reasons.iter().map(|reason| format!("  {reason}")).collect::<Vec<_>>().join("\n"))]
    Stale {
        /// Which field of which entry, and why.
        reasons: Vec<String>,
    },
    /// There is no lock.
    #[error("there is no {} in `{}`", lock::FILE_NAME, path.display())]
    Missing {
        /// The project's root.
        path: PathBuf,
    },
}

impl Explain for LockFailure {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDate { .. } => {
                "commit the project, or set SOURCE_DATE_EPOCH to seconds since 1970".into()
            }
            Self::NotLocked { .. } => {
                "`rebeam tree` shows what is locked; `update` takes those names, or `toolchain`"
                    .into()
            }
            Self::UnknownDep { .. } => {
                "correct the name or remove the table; `rebeam.lock` has a table for each dependency".into()
            }
            Self::Stale { .. } => "`rebeam lock` brings it up to date; look at the diff".into(),
            Self::Missing { .. } => "`rebeam lock` makes one".into(),
        })
    }
}

/// Brings the project's lock up to date and writes it, unless it is equal.
pub fn lock(desk: &Desk<'_>, update: &Update) -> Result<Lock, Failure> {
    if update.any_age && desk.manifest.lock.minimum_age_s > 0 {
        let manifest = Manifest { lock: LockWish::default(), ..desk.manifest.clone() };
        return lock(&Desk { manifest: &manifest, ..*desk }, update);
    }
    platforms::refuse_before(desk, update)?;
    let previous = Lock::read_previous(desk.root)?;
    let toolchain = packages::choose(desk, previous.as_ref(), update)?;
    let platforms = platforms::choose(desk, previous.as_ref(), &toolchain, update)?;
    let kept = previous.as_ref().map(|lock| keep(lock, update)).transpose()?;
    let tools = tools::pin(desk, tools::wishes(desk), kept.as_ref())?;
    let mut configs = Configs::new(desk, &toolchain, &tools);
    configs.previous = kept.as_ref();
    let facts = ProjectFacts { tools: vec![], ..project_facts(desk, &configs)? };
    let is_mix = desk.manifest.build.tool == Tool::Mix;
    let imported = rebar_lock(desk)?;
    let (mut resolution, newest) = match is_mix {
        true => mix::resolve(desk, &configs, kept.as_ref())?,
        false => resolve(desk, &configs, &facts, kept.as_ref(), imported.as_ref())?,
    };
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
    lock.epoch = epoch(desk, previous.as_ref(), &lock, newest)?;
    if let Some(imported) = &imported {
        for disagreement in imported.verify_against(&lock) {
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

/// What dates the image: what the environment says, else the previous lock while nothing else changes, else the newest
/// commit of the project, else that of its sources.
fn epoch(
    desk: &Desk<'_>,
    previous: Option<&Lock>,
    lock: &Lock,
    newest: Option<i64>,
) -> Result<i64, Failure> {
    if let Some(epoch) = desk.epoch {
        return Ok(epoch);
    }
    if let Some(previous) = previous {
        // What runs beside the release dates no image.
        let services = previous.services.clone();
        let dated = Lock { epoch: previous.epoch, services, ..lock.clone() };
        if dated == *previous {
            return Ok(previous.epoch);
        }
    }
    let own = project::newest_commit(desk.root)?;
    Ok(own.or(newest).ok_or_else(|| LockFailure::NoDate { path: desk.root.to_owned() })?)
}

fn resolve(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
    facts: &ProjectFacts,
    previous: Option<&Lock>,
    imported: Option<&RebarLock>,
) -> Result<(Resolution, Option<i64>), Failure> {
    let mut resolver = Resolver::new(facts, &desk.manifest.deps);
    if let Some(previous) = previous {
        resolver = resolver.with_previous(previous);
    }
    if let Some(imported) = imported {
        resolver = resolver.with_rebar_lock(imported);
    }
    let mut newest = None;
    loop {
        let requests = resolver.next_level();
        if requests.is_empty() {
            return Ok((resolver.finish()?, newest));
        }
        let answers = each(&requests, desk.jobs.max(4), |request| answer(desk, configs, request))?;
        newest = newest.max(answers.iter().filter_map(|(_, time)| *time).max());
        resolver.settle(answers.into_iter().map(|(settled, _)| settled).collect());
    }
}

/// Fetches one wished source and reads its configuration.
pub(super) fn answer(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
    request: &Request,
) -> Result<(Settled, Option<i64>), Failure> {
    let found = fetch(desk, request)?;
    let tree = configs.changed(&request.app, &found.tree)?;
    let wished = desk.manifest.deps.get(&request.app).and_then(|wish| wish.tool);
    let (tool, facts) = match desk.manifest.build.tool {
        // What becomes of a tool is its own matter: it is built alone.
        own if request.role == Role::Tool => (wished.unwrap_or(own), RebarFacts::default()),
        Tool::ErlangMk => configs.make_dep(&request.app, &tree)?,
        Tool::Make => (wished.unwrap_or(Tool::Make), RebarFacts::default()),
        own => {
            // Of a mix project, what mix does not build itself comes here.
            let own = if own == Tool::Mix { Tool::Rebar3 } else { own };
            let facts = configs.facts(&request.app, &tree)?;
            let facts = match &found.deps {
                Some(deps) => facts.with_package_deps(deps.clone()),
                None if own == Tool::Rebar => facts,
                None => with_own_lock(facts, &tree)?,
            };
            (wished.unwrap_or(own), facts)
        }
    };
    Ok((settled(request, &found, tool, facts), found.time))
}

/// Fetches one wished source.
pub(super) fn fetch(desk: &Desk<'_>, request: &Request) -> Result<Answer, Failure> {
    match &request.wish.source {
        WishSource::Path { path } => directory(desk, path),
        _ => {
            let found = desk.doors().answer(request);
            Ok(found.map_err(|failed| AskedFailure::new(request, failed))?)
        }
    }
}

/// What a request came to.
pub(super) fn settled(request: &Request, found: &Answer, tool: Tool, facts: RebarFacts) -> Settled {
    Settled {
        app: request.app.clone(),
        role: request.role,
        pin: found.pin.clone(),
        describe: found.describe.clone(),
        tool,
        facts,
    }
}

/// Looks at a directory that the manifest names: nothing of it is pinned.
fn directory(desk: &Desk<'_>, path: &str) -> Result<Answer, Failure> {
    let tree = project::Survey::new(&desk.root.join(path))?.take(desk.store)?;
    let pin = Pin::Path { path: path.to_owned() };
    Ok(Answer { pin, describe: None, tree, time: None, deps: None })
}

/// A git source that brings a `rebar.lock` along is asked for what that pins, as rebar3 asks it.
fn with_own_lock(facts: RebarFacts, tree: &HeldTree) -> Result<RebarFacts, Failure> {
    let path = tree.path().join("rebar.lock");
    if !disk::exists(&path) {
        return Ok(facts);
    }
    let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
    Ok(facts.with_lock(&rebar::read_terms(&text, "rebar.lock")?)?)
}
