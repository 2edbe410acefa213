//! Makefiles: what an erlang.mk project and each of its dependencies ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::Configs;
use crate::compile::{self, MakeProject, MakeView, Makefile, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::explain::Failure;
use crate::limits::FILE_BYTES_MAX;
use crate::lock::{self, ProjectFacts, Request, Resolver, Role, Rule};
use crate::manifest::Tool;
use crate::manifest::makefile::{self, DepKind, MakeDep, MakeError, MakeFacts, Place};
use crate::manifest::rebar::{GitRef, RebarFacts, Wish, WishSource};
use crate::store::HeldTree;

/// The release tool: it comes with the toolchain's rebar3, whatever a Makefile would download.
const PROVIDED: &str = "relx";
/// The name under which rebar 2 is locked.
pub(super) const REBAR: &str = "rebar";

impl Configs<'_> {
    /// Evaluates the project's own Makefile, once.
    pub(super) fn make_project(&self, tree: &HeldTree) -> Result<&MakeProject, Failure> {
        if let Some(known) = self.make.get() {
            return Ok(known);
        }
        let manifest = self.desk.manifest;
        let name = &manifest.project.name;
        let below = manifest.build.dir.as_deref().unwrap_or_default();
        let directory = tree.path().join(below);
        let Some(text) = makefile::makefile(&directory)? else {
            return Err(MakeError::NoMakefile { parent: name.clone() }.into());
        };
        let included = text.lines().any(|line| line.trim() == "include erlang.mk");
        if included && !disk::exists(&directory.join("erlang.mk")) {
            return Err(MakeError::NoErlangMk { parent: name.clone() }.into());
        }
        let facts = self.makefile(name, tree, Makefile::Project(below))?;
        let lacking = || MakeError::NoErlangMk { parent: name.clone() };
        let path = tree.path().join(facts.erlang_mk.as_ref().ok_or_else(lacking)?);
        let erlang_mk = disk::read(&path, FILE_BYTES_MAX)?;
        Ok(self.make.get_or_init(|| MakeProject { facts, erlang_mk }))
    }

    fn makefile(
        &self,
        app: &str,
        tree: &HeldTree,
        makefile: Makefile<'_>,
    ) -> Result<MakeFacts, Failure> {
        let (toolchain, tools) = self.ready()?;
        let desk = &self.desk;
        let (store, level, jobs, observer) = (desk.store, desk.level, desk.jobs, desk.observer);
        let variation = desk.variation;
        let workshop = Workshop { store, toolchain, level, jobs, observer, variation };
        let app_at = match makefile {
            Makefile::App { top, name, .. } => app_place(top, name),
            Makefile::Project(_) | Makefile::Dep { .. } => String::new(),
        };
        let place = match makefile {
            Makefile::Project(at) => Place::Project(at),
            Makefile::App { .. } => Place::Project(app_at.as_str()),
            Makefile::Dep { .. } => Place::Dep,
        };
        let mut plugins = BTreeMap::new();
        loop {
            let view = MakeView { plugins: &plugins, manifest: desk.manifest };
            let facts = compile::evaluate_makefile((app, tree), makefile, view, tools, &workshop)?;
            let is_new = |dep: &&MakeDep| {
                facts.plugins.contains(&dep.name) && !plugins.contains_key(&dep.name)
            };
            let new: Vec<MakeDep> = facts.deps.iter().filter(is_new).cloned().collect();
            if new.is_empty() {
                return Ok(facts);
            }
            // What a plugin's makefile says may ask for more, plugins among it.
            for wish in MakeFacts::wishes(&new, app, place, &desk.manifest.deps)? {
                plugins.insert(wish.app.clone(), self.source_of(wish)?);
            }
        }
    }

    /// The source of a dependency that is needed before the closure is settled: the very one that it will have there.
    fn source_of(&self, wish: Wish) -> Result<Digest, Failure> {
        let app = wish.app.clone();
        let name = self.desk.manifest.project.name.clone();
        let config = RebarFacts { deps: vec![wish], ..RebarFacts::default() };
        let facts = ProjectFacts { name, config, ..ProjectFacts::default() };
        let choices = self.desk.manifest.deps.iter().filter(|(name, _)| **name == app);
        let choices = choices.map(|(name, choice)| (name.clone(), choice.clone())).collect();
        let mut resolver = Resolver::new(&facts, &choices);
        if let Some(previous) = self.previous {
            resolver = resolver.with_previous(previous);
        }
        let request = resolver.next_level().into_iter().next().expect("one wish is one request");
        let found = super::lock::fetch(&self.desk, &request)?;
        Ok(self.changed(&app, &found.tree)?.digest())
    }

    /// What an erlang.mk project asks for: itself and its applications below `apps`.
    pub(super) fn make_project_facts(&self, tree: &HeldTree) -> Result<ProjectFacts, Failure> {
        let manifest = self.desk.manifest;
        let name = manifest.project.name.clone();
        let make = self.make_project(tree)?;
        let below = manifest.build.dir.as_deref().unwrap_or_default();
        let mut own = BTreeMap::new();
        let home = tree.path().join(below).join("apps");
        let names = if disk::exists(&home) { disk::list(&home)? } else { vec![] };
        for app in names.iter().map(|app| String::from_utf8_lossy(app).into_owned()) {
            if makefile::makefile(&home.join(&app))?.is_some() {
                let ignored = &make.facts.ignored;
                let makefile = Makefile::App { top: below, name: &app, ignored };
                let facts = self.makefile(&app, tree, makefile)?;
                own.insert(app, facts);
            }
        }
        let is_own = |dep: &&MakeDep| {
            dep.name == PROVIDED || dep.name == make.facts.project || own.contains_key(&dep.name)
        };
        let mut apps = BTreeMap::from([(make.facts.project.clone(), RebarFacts::default())]);
        let mut local = BTreeMap::from([(name.clone(), in_order(&make.facts.local, &own))]);
        for (app, facts) in &own {
            let deps = facts.deps.iter().filter(|dep| !is_own(dep)).cloned().collect::<Vec<_>>();
            let at = app_place(below, app);
            let deps = MakeFacts::wishes(&deps, &name, Place::Project(&at), &manifest.deps)?;
            let no_autopatch = facts.no_autopatch.clone();
            apps.insert(app.clone(), RebarFacts { deps, no_autopatch, ..RebarFacts::default() });
            local.insert(app.clone(), facts.local.clone());
        }
        // The release's own are fetched when all else is.
        let is_asked = |dep: &&MakeDep| {
            let mut lists = own.values().map(|facts| &facts.deps).chain([&make.facts.deps]);
            lists.any(|list| list.iter().any(|known| known.name == dep.name))
        };
        let release = make.facts.release_deps.iter().filter(|dep| !is_asked(dep));
        let deps = make.facts.deps.iter().chain(release).filter(|dep| !is_own(dep));
        let deps: Vec<MakeDep> = deps.cloned().collect();
        let wishes = MakeFacts::wishes(&deps, &name, Place::Project(below), &manifest.deps)?;
        let no_autopatch = make.facts.no_autopatch.clone();
        let config = RebarFacts { deps: wishes, no_autopatch, ..RebarFacts::default() };
        let rule = Rule::FirstFetched;
        Ok(ProjectFacts { name, config, apps, local, rule, ..ProjectFacts::default() })
    }

    /// What a dependency of an erlang.mk project asks for, and what of it erlang.mk takes for its build.
    pub(super) fn make_dep(
        &self,
        request: &Request,
        tree: &HeldTree,
    ) -> Result<(Tool, RebarFacts), Failure> {
        let manifest = self.desk.manifest;
        let make = self.make.get().expect("the project's own Makefile is read first");
        let (app, is_patched) = (request.app.as_str(), !request.untouched);
        let wished = manifest.deps.get(app).and_then(|dep| dep.tool);
        let kind = match wished {
            Some(Tool::ErlangMk) => DepKind::ErlangMk,
            Some(Tool::Rebar | Tool::Rebar3) => DepKind::Rebar,
            Some(Tool::Make | Tool::Mix) => DepKind::Other,
            None => DepKind::of(tree.path(), is_patched)?,
        };
        let (tool, facts) = match kind {
            DepKind::ErlangMk => {
                let erlang_mk = &make.erlang_mk;
                let ignored = &make.facts.ignored;
                let makefile = Makefile::Dep { erlang_mk, is_patched, ignored };
                let facts = self.makefile(app, tree, makefile)?;
                let deps = MakeFacts::wishes(&facts.deps, app, Place::Dep, &manifest.deps)?;
                let no_autopatch = facts.no_autopatch;
                let facts = RebarFacts { deps, no_autopatch, ..RebarFacts::default() };
                (Tool::ErlangMk, facts)
            }
            DepKind::Rebar => {
                let facts = RebarFacts::from_terms(self.terms_of(app, tree, Tool::Rebar)?)?;
                let ignored = &make.facts.ignored;
                let deps = makefile::without_ignored(facts.deps, ignored);
                (Tool::Rebar, RebarFacts { deps, ..RebarFacts::default() })
            }
            DepKind::Other => (Tool::Make, RebarFacts::default()),
        };
        Ok((wished.unwrap_or(tool), facts))
    }

    /// The rebar that erlang.mk would clone and build to take dependencies over, where the lock holds such a one.
    pub(super) fn hidden_rebar(&self, sources: &[lock::Source]) -> Result<Option<Wish>, Failure> {
        let Some(make) = self.make.get() else { return Ok(None) };
        let is_named = self.desk.manifest.tools.contains_key(REBAR);
        let needs = |source: &lock::Source| source.tool == Tool::Rebar && source.role == Role::Dep;
        if is_named || !sources.iter().any(needs) {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&make.erlang_mk);
        let found = make.facts.rebar.clone().or_else(|| makefile::rebar_in(&text));
        Ok(found.map(|(url, commit)| {
            let reference = GitRef::Commit(commit);
            let source = WishSource::Git { url, reference, subdir: None };
            Wish { app: REBAR.to_owned(), source }
        }))
    }
}

/// Where one of the project's own applications lies below its top.
fn app_place(top: &str, app: &str) -> String {
    format!("{top}/apps/{app}").trim_start_matches('/').to_owned()
}

/// The order in which make's top has the project's applications built: those of `LOCAL_DEPS` first. Where there are such it
/// leaves the others alone, which are in the project all the same.
fn in_order(stated: &[String], own: &BTreeMap<String, MakeFacts>) -> Vec<String> {
    let stated = stated.iter().filter(|app| own.contains_key(*app));
    let mut all: Vec<String> = stated.chain(own.keys()).cloned().collect();
    let mut seen = BTreeSet::new();
    all.retain(|app| seen.insert(app.clone()));
    all
}
