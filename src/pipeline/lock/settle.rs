//! Settle: fetches what a closure asks for, and reads what that asks for in turn.

use crate::disk;
use crate::each::each;
use crate::explain::Failure;
use crate::fetch::Answer;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{
    Lock, Pin, ProjectFacts, RebarLock, Request, Resolution, Resolver, Role, Settled,
};
use crate::manifest::Tool;
use crate::manifest::rebar::{self, RebarFacts, WishSource};
use crate::pipeline::Desk;
use crate::pipeline::asked::AskedFailure;
use crate::pipeline::configs::Configs;
use crate::project;
use crate::store::HeldTree;

/// Settles the project's closure level by level; returns it with the time of the newest source.
pub(super) fn resolve(
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
pub(in crate::pipeline) fn answer(
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
        Tool::ErlangMk => configs.make_dep(request, &tree)?,
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
pub(in crate::pipeline) fn fetch(desk: &Desk<'_>, request: &Request) -> Result<Answer, Failure> {
    match &request.wish.source {
        WishSource::Path { path } => directory(desk, path),
        _ => {
            let found = desk.doors().answer(request);
            Ok(found.map_err(|failed| AskedFailure::new(request, failed))?)
        }
    }
}

/// What a request came to.
pub(in crate::pipeline) fn settled(
    request: &Request,
    found: &Answer,
    tool: Tool,
    facts: RebarFacts,
) -> Settled {
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
