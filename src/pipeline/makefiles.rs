//! Makefiles: what an erlang.mk project and each of its dependencies ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::configs::Configs;
use crate::compile::{self, MakeProject, MakeView, Makefile, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::explain::Failure;
use crate::limits::FILE_BYTES_MAX;
use crate::lock::{self, ProjectFacts, Resolver, Role, Rule};
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
        let mut apps = BTreeMap::from([(make.facts.project.clone(), RebarFacts::default())]);
        let home = tree.path().join(below).join("apps");
        let names = if disk::exists(&home) { disk::list(&home)? } else { vec![] };
        for app in names.iter().map(|app| String::from_utf8_lossy(app).into_owned()) {
            if makefile::makefile(&home.join(&app))?.is_some() {
                let at = format!("{below}/apps/{app}");
                let at = at.trim_start_matches('/');
                deps.extend(self.makefile(&app, tree, Makefile::Project(at))?.deps);
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
        let config = RebarFacts { deps: wishes, ..RebarFacts::default() };
        Ok(ProjectFacts { name, config, apps, rule: Rule::FirstFetched, ..ProjectFacts::default() })
    }

    /// What a dependency of an erlang.mk project asks for, and what of it erlang.mk takes for its build.
    pub(super) fn make_dep(
        &self,
        app: &str,
        tree: &HeldTree,
    ) -> Result<(Tool, RebarFacts), Failure> {
        let manifest = self.desk.manifest;
        let make = self.make.get().expect("the project's own Makefile is read first");
        let is_patched = !make.facts.no_autopatch.contains(app);
        let wished = manifest.deps.get(app).and_then(|dep| dep.tool);
        let kind = match wished {
            Some(Tool::ErlangMk) => DepKind::ErlangMk,
            Some(Tool::Rebar | Tool::Rebar3) => DepKind::Rebar,
            Some(Tool::Make | Tool::Mix) => DepKind::Other,
            None => DepKind::of(tree.path(), is_patched)?,
        };
        let (tool, deps) = match kind {
            DepKind::ErlangMk => {
                let erlang_mk = &make.erlang_mk;
                let makefile = Makefile::Dep { erlang_mk, is_patched };
                let facts = self.makefile(app, tree, makefile)?;
                if let Some(message) = untouched_below(app, &facts, &make.facts) {
                    self.desk.observer.observe(&Event::Warned { message: &message });
                }
                let deps = MakeFacts::wishes(&facts.deps, app, Place::Dep, &manifest.deps)?;
                (Tool::ErlangMk, deps)
            }
            DepKind::Rebar => {
                let facts = RebarFacts::from_terms(self.terms_of(app, tree, Tool::Rebar)?)?;
                let ignored = &make.facts.ignored;
                (Tool::Rebar, makefile::without_ignored(facts.deps, ignored))
            }
            DepKind::Other => (Tool::Make, vec![]),
        };
        Ok((wished.unwrap_or(tool), RebarFacts { deps, ..RebarFacts::default() }))
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

/// Says which dependencies a dependency's own `NO_AUTOPATCH` would keep as they are.
///
/// erlang.mk hands the variable down, and a Makefile that sets it has its way with what it fetches first. Here one list
/// counts for all, the project's, so that a dependency is built alike whoever asks for it.
fn untouched_below(app: &str, own: &MakeFacts, project: &MakeFacts) -> Option<String> {
    let is_first = |name: &str| !project.deps.iter().any(|dep| dep.name == name);
    let is_its = |name: &&String| own.deps.iter().any(|dep| dep.name == **name);
    let new = own.no_autopatch.difference(&project.no_autopatch);
    let names: Vec<&str> =
        new.filter(is_its).map(String::as_str).filter(|name| is_first(name)).collect();
    let list = names.join(" ");
    (!names.is_empty()).then(|| {
        format!(
            "the Makefile of `{app}` says `NO_AUTOPATCH = {list}`, and only the project's own counts here: \
             `NO_AUTOPATCH += {list}` in the project's Makefile keeps autopatch away"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(no_autopatch: &[&str], deps: &[&str]) -> MakeFacts {
        let dep = |name: &&str| MakeDep { name: (*name).to_owned(), ..MakeDep::default() };
        MakeFacts {
            no_autopatch: no_autopatch.iter().map(|&name| name.to_owned()).collect(),
            deps: deps.iter().map(dep).collect(),
            ..MakeFacts::default()
        }
    }

    #[test]
    fn a_dependencys_own_no_autopatch_is_told_where_it_would_count() {
        let own = facts(&["old", "odd", "elsewhere"], &["old", "odd"]);
        let said = |no_autopatch: &[&str], deps: &[&str]| {
            untouched_below("words", &own, &facts(no_autopatch, deps))
        };
        let all = said(&[], &["words"]).unwrap();
        assert!(all.contains("`words` says `NO_AUTOPATCH = odd old`"), "{all}");
        // What the project fetches first is the project's, and what it keeps away from as well is no matter.
        assert!(said(&["odd"], &[]).unwrap().contains("`NO_AUTOPATCH += old`"));
        assert_eq!(said(&["odd"], &["old"]), None);
    }
}
