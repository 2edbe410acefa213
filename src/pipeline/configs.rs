//! Configs: what sources state of themselves, evaluated where it is code, with the changes that the manifest makes.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use super::gates::{self, Gates};
use super::{Desk, lacking, mix, tools};
use crate::compile::{self, MakeProject, MixSubject, Overlay, Tools, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{Lock, Pin, ProjectFacts, Role, Source, ToolchainLock};
use crate::manifest::Tool;
use crate::manifest::mix::MixFacts;
use crate::manifest::rebar::{RebarError, RebarFacts};
use crate::project;
use crate::store::HeldTree;
use crate::terms::Term;
use crate::toolchain::{self, Toolchain};

/// Configurations, evaluated where they are code; the toolchain is put together only then.
pub(super) struct Configs<'a> {
    pub(super) desk: Desk<'a>,
    toolchain_lock: &'a ToolchainLock,
    /// The locked tools; all of these that are no tools do not count.
    sources: &'a [Source],
    /// The lock whose pins stay.
    pub(super) previous: Option<&'a Lock>,
    /// What the configurations that were read say of OTP.
    pub(super) gates: Mutex<Gates>,
    ready: OnceLock<(Toolchain, Tools)>,
    /// One thread at a time puts the toolchain together.
    gate: Mutex<()>,
    /// The project's own Makefile, evaluated, where erlang.mk builds it.
    pub(super) make: OnceLock<MakeProject>,
}

impl<'a> Configs<'a> {
    /// What the sources of a lock are evaluated with.
    pub(super) fn of(desk: &Desk<'a>, lock: &'a Lock) -> Self {
        Self { previous: Some(lock), ..Self::new(desk, &lock.toolchain, &lock.sources) }
    }

    pub(super) fn new(
        desk: &Desk<'a>,
        toolchain_lock: &'a ToolchainLock,
        sources: &'a [Source],
    ) -> Self {
        let (ready, gate, gates, make) = Default::default();
        Self { desk: *desk, toolchain_lock, sources, previous: None, gates, ready, gate, make }
    }

    /// Returns the evaluated configuration of the application in `tree`.
    pub(super) fn terms(&self, app: &str, tree: &HeldTree) -> Result<Vec<Term>, Failure> {
        self.terms_of(app, tree, self.desk.manifest.build.tool)
    }

    /// Returns the evaluated configuration as this tool would evaluate it.
    pub(super) fn terms_of(
        &self,
        app: &str,
        tree: &HeldTree,
        tool: Tool,
    ) -> Result<Vec<Term>, Failure> {
        if !compile::is_code(tree.path()) {
            return Ok(compile::read_config(app, tree.path())?);
        }
        let (toolchain, tools) = self.ready()?;
        let Desk { manifest, store, level, jobs, observer, variation, .. } = self.desk;
        let workshop = Workshop { store, toolchain, level, jobs, observer, variation };
        Ok(compile::evaluate((app, tree), tool, manifest, tools, &workshop)?)
    }

    /// Returns a source with the changes that the manifest makes to it.
    pub(super) fn changed(&self, app: &str, tree: &HeldTree) -> Result<HeldTree, Failure> {
        let Some(wish) = self.desk.manifest.deps.get(app) else {
            return Ok(tree.clone());
        };
        let overlay = Overlay::of(app, Some(wish), &changed_files(&self.desk)?)?;
        if overlay.is_empty() {
            return Ok(tree.clone());
        }
        let (toolchain, _) = self.ready()?;
        let Desk { store, level, jobs, observer, variation, .. } = self.desk;
        Ok(overlay.apply(
            app,
            tree,
            None,
            &Workshop { store, toolchain, level, jobs, observer, variation },
        )?)
    }

    /// Returns the dependencies that the project's own step builds where they lie, by name, with the changes that the
    /// manifest makes to them and the versions that they would ask git for.
    pub(super) fn laid_as_source(
        &self,
        lock: &Lock,
        unpinned: &BTreeMap<String, Digest>,
    ) -> Result<BTreeMap<String, Digest>, Failure> {
        let Desk { manifest, store, level, jobs, observer, variation, .. } = self.desk;
        let mut laid = BTreeMap::new();
        let deps = lock.sources.iter().filter(|source| source.role == Role::Dep);
        for source in deps.filter(|source| compile::is_laid_as_source(manifest, source)) {
            let wish = manifest.deps.get(&source.app);
            let overlay = Overlay::of(&source.app, wish, &changed_files(&self.desk)?)?;
            let stamp = compile::stamp(manifest, source);
            let digest = source.pin.tree().or_else(|| unpinned.get(&source.app).copied());
            if let Some(digest) = digest
                && (stamp.is_some() || !overlay.is_empty())
                && let Some(tree) = store.tree(digest)?
            {
                let (toolchain, _) = self.ready()?;
                let workshop = Workshop { store, toolchain, level, jobs, observer, variation };
                let changed = overlay.apply(&source.app, &tree, stamp, &workshop)?;
                laid.insert(source.app.clone(), changed.digest());
            }
        }
        Ok(laid)
    }

    /// Returns what the `mix.exs` of the application in `tree` states.
    pub(super) fn mix_facts(
        &self,
        app: &str,
        tree: &HeldTree,
        subject: MixSubject<'_>,
    ) -> Result<MixFacts, Failure> {
        let (toolchain, tools) = self.ready()?;
        let Desk { manifest, store, level, jobs, observer, variation, .. } = self.desk;
        let workshop = Workshop { store, toolchain, level, jobs, observer, variation };
        let terms = compile::evaluate_mix((app, tree), subject, manifest, tools, &workshop)?;
        Ok(MixFacts::from_terms(&terms)?)
    }

    /// Takes the project's own files, as its tools see them: after the commands of `configure`.
    pub(super) fn project(&self) -> Result<HeldTree, Failure> {
        self.configured(&project::Survey::new(self.desk.root)?.take(self.desk.store)?)
    }

    /// Returns what the commands of `configure` make of the project's files.
    pub(super) fn configured(&self, tree: &HeldTree) -> Result<HeldTree, Failure> {
        let manifest = self.desk.manifest;
        if manifest.build.configure.is_empty() {
            return Ok(tree.clone());
        }
        let (toolchain, tools) = self.ready()?;
        let rebar = self
            .sources
            .iter()
            .find(|source| source.role == Role::Tool && source.app == super::makefiles::REBAR);
        let rebar = match rebar {
            Some(source) => {
                let unpinned = unpinned(&self.desk, std::slice::from_ref(source))?;
                let tree = source.pin.tree().or_else(|| unpinned.get(&source.app).copied());
                tree.map(|tree| compile::RebarSource { source, tree })
            }
            None => None,
        };
        let Desk { store, level, jobs, observer, variation, .. } = self.desk;
        let workshop = Workshop { store, toolchain, level, jobs, observer, variation };
        let configured = compile::configure(manifest, tree, tools, rebar, &workshop);
        configured.map_err(|error| lacking::explain(&self.desk, self.toolchain_lock, error))
    }

    pub(super) fn ready(&self) -> Result<&(Toolchain, Tools), Failure> {
        let _gate = self.gate.lock().expect("no holder of the gate panics");
        if self.ready.get().is_none() {
            let Desk { store, http, observer, .. } = self.desk;
            let made = toolchain::toolchain(self.toolchain_lock, store, http, observer)?;
            let tools = self.sources.iter().filter(|source| source.role == Role::Tool);
            let tools: Vec<Source> = tools.cloned().collect();
            self.desk.doors().fetch_sources(&tools)?;
            let tools = Tools::of(&tools, &unpinned(&self.desk, &tools)?);
            drop(self.ready.set((made, tools)));
        }
        Ok(self.ready.get().expect("it was set above"))
    }

    pub(super) fn facts(&self, app: &str, tree: &HeldTree) -> Result<RebarFacts, Failure> {
        let mut facts = read(&self.desk, self.terms(app, tree)?)?;
        if let Some(wish) = self.desk.manifest.deps.get(app) {
            facts.ignore_plugins(&wish.ignore_plugins);
        }
        if let Some(gate) = gates::read(&facts) {
            let mut known = self.gates.lock().expect("noting does not panic");
            known.insert(app.to_owned(), gate);
        }
        Ok(facts)
    }
}

/// Reads a configuration as the project's tool does.
fn read(desk: &Desk<'_>, terms: Vec<Term>) -> Result<RebarFacts, RebarError> {
    match desk.manifest.build.tool {
        Tool::Rebar => RebarFacts::for_rebar_2(terms),
        _ => RebarFacts::from_terms(terms),
    }
}

/// What the project states: its configuration, and those of its own applications.
pub(super) fn project_facts(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
) -> Result<ProjectFacts, Failure> {
    let tree = configs.project()?;
    let tools = tools::wishes(desk);
    let name = desk.manifest.project.name.clone();
    match desk.manifest.build.tool {
        Tool::Mix => return mix::project_facts(desk, configs, &tree),
        Tool::ErlangMk => {
            return Ok(ProjectFacts { tools, ..configs.make_project_facts(&tree)? });
        }
        Tool::Make => return Ok(ProjectFacts { name, tools, ..ProjectFacts::default() }),
        Tool::Rebar3 | Tool::Rebar => {}
    }
    let config = configs.facts(&name, &tree)?;
    let mut apps = BTreeMap::new();
    for (app, home) in project::applications(desk.root)? {
        // The configuration at the top is the project's own already.
        let facts = match home == desk.root {
            false if compile::is_code(&home) => {
                let tree = project::Survey::new(&home)?.take(desk.store)?;
                read(desk, configs.terms(&app, &tree)?)?
            }
            false => read(desk, compile::read_config(&app, &home)?)?,
            true => RebarFacts::default(),
        };
        apps.insert(app, facts);
    }
    let profile = desk.manifest.build.profile.clone();
    let profiles = if profile == "default" { vec![] } else { vec![profile] };
    Ok(ProjectFacts { name, profiles, config, apps, tools, ..ProjectFacts::default() })
}

/// Takes the directories that the manifest names as dependencies, as they are now.
pub(super) fn unpinned(
    desk: &Desk<'_>,
    sources: &[Source],
) -> Result<BTreeMap<String, Digest>, Failure> {
    let mut trees = BTreeMap::new();
    for source in sources {
        if let Pin::Path { path } = &source.pin {
            let tree = project::Survey::new(&desk.root.join(path))?.take(desk.store)?;
            trees.insert(source.app.clone(), tree.digest());
        }
    }
    Ok(trees)
}

/// The project's files that change sources: patches, and those that are put in place of others.
pub(super) fn changed_file_names<'a>(desk: &Desk<'a>) -> impl Iterator<Item = &'a str> {
    let wishes = desk.manifest.deps.values();
    wishes.flat_map(|wish| {
        let patches = wish.patches.iter().map(|patch| patch.file.as_str());
        patches.chain(wish.files.iter().map(|file| file.file.as_str()))
    })
}

/// Reads the files that change sources.
pub(super) fn changed_files(desk: &Desk<'_>) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut contents = BTreeMap::new();
    for file in changed_file_names(desk) {
        contents.insert(file.to_owned(), disk::read(&desk.root.join(file), TEXT_FILE_BYTES_MAX)?);
    }
    Ok(contents)
}
