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
use crate::manifest::makefile::{self, DepKind, MakeDep, MakeError, MakeFacts, NoAutopatch, Place};
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
        let place = match makefile {
            Makefile::Project(_) => Place::Project,
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
        let mut deps = make.facts.deps.clone();
        let mut untouched = make.facts.no_autopatch.names.clone();
        let mut apps = BTreeMap::from([(make.facts.project.clone(), RebarFacts::default())]);
        let home = tree.path().join(below).join("apps");
        let names = if disk::exists(&home) { disk::list(&home)? } else { vec![] };
        for app in names.iter().map(|app| String::from_utf8_lossy(app).into_owned()) {
            if makefile::makefile(&home.join(&app))?.is_some() {
                let at = format!("{below}/apps/{app}");
                let at = at.trim_start_matches('/');
                let facts = self.makefile(&app, tree, Makefile::Project(at))?;
                // Its word counts for what it is the first to fetch.
                let mut own = facts.no_autopatch.names;
                own.retain(|name| !make.facts.deps.iter().any(|dep| dep.name == *name));
                untouched.extend(own);
                deps.extend(facts.deps);
                apps.insert(app, RebarFacts::default());
            }
        }
        deps.extend(make.facts.release_deps.clone());
        let mut seen = BTreeSet::new();
        deps.retain(|dep| {
            let is_own = apps.contains_key(&dep.name);
            dep.name != PROVIDED && !is_own && seen.insert(dep.name.clone())
        });
        let wishes = MakeFacts::wishes(&deps, &name, Place::Project, &manifest.deps)?;
        let no_autopatch = NoAutopatch { names: untouched, replaces: true };
        let config = RebarFacts { deps: wishes, no_autopatch, ..RebarFacts::default() };
        Ok(ProjectFacts { name, config, apps, rule: Rule::FirstFetched, ..ProjectFacts::default() })
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
                let makefile = Makefile::Dep { erlang_mk, is_patched };
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
