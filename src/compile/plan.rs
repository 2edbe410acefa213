//! Plan: the lock's sources as steps, each after those it needs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::makefile::MakeProject;
use super::overlay::Overlay;
use super::rebar::{self, Needs};
use super::stamp::Stamp;
use super::step::{Content, Input, Step, StepKind};
use super::tools::Tools;
use super::{CompileError, strip};
use crate::digest::Digest;
use crate::lock::{Lock, Pin, Role, Source};
use crate::manifest::mix::MixFacts;
use crate::manifest::{Manifest, Tool};
use crate::terms::Term;

/// Everything that decides the steps.
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    /// The project's wishes.
    pub manifest: &'a Manifest,
    /// What it is built from.
    pub lock: &'a Lock,
    /// The content hash of the project's own files.
    pub tree: Digest,
    /// Its evaluated `rebar.config`.
    pub config: &'a [Term],
    /// What its evaluated `mix.exs` states, where mix builds it.
    pub mix: Option<&'a MixFacts>,
    /// The contents of patches and of files that replace others, by their path in the manifest.
    pub patches: &'a BTreeMap<String, Vec<u8>>,
    /// The content hashes of the sources that the lock does not pin: path dependencies.
    pub unpinned: &'a BTreeMap<String, Digest>,
    /// The content hashes of dependencies that lie as sources and are not as they were locked: patched, or with a version.
    pub laid: &'a BTreeMap<String, Digest>,
    /// What its Makefile says, where erlang.mk builds it.
    pub make: Option<&'a MakeProject>,
}

/// The steps of a build; each stands after those it needs, the release is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// The step that builds OTP, where Debian's is not taken.
    pub otp: Option<usize>,
}

/// Plans the build of a project.
pub fn plan(project: &Project<'_>) -> Result<Plan, CompileError> {
    let tools = Tools::of(&project.lock.sources, project.unpinned);
    let mut planner = Planner { project, steps: tools.steps(), places: BTreeMap::new(), tools };
    let release = match project.manifest.build.tool {
        Tool::Rebar3 | Tool::Mix => planner.rebar_or_mix()?,
        Tool::ErlangMk | Tool::Rebar | Tool::Make => planner.make()?,
    };
    let keeps = project.manifest.release.keep_debug_info;
    planner.steps.push(if keeps { release } else { strip::stripped(release) });
    Ok(Plan { steps: planner.steps, otp: planner.tools.otp_step() })
}

/// Makes the step of a source, or none where nothing of it is built alone.
pub(super) type Maker<'m, 'a> =
    &'m dyn Fn(&Planner<'a>, &'a Source) -> Result<Option<Step>, CompileError>;

pub(super) struct Planner<'a> {
    pub(super) project: &'a Project<'a>,
    pub(super) tools: Tools,
    pub(super) steps: Vec<Step>,
    pub(super) places: BTreeMap<(Role, &'a str), usize>,
}

impl<'a> Planner<'a> {
    pub(super) fn source(&self, role: Role, app: &str) -> Option<&'a Source> {
        self.project.lock.sources.iter().find(|source| source.role == role && source.app == app)
    }

    /// Plans what rebar3 or mix builds; returns the release's step.
    fn rebar_or_mix(&mut self) -> Result<Step, CompileError> {
        let project = self.project;
        let step = |planner: &Self, source: &'a Source| match (source.tool, source.role) {
            _ if planner.is_raw(source) => Ok(None),
            (Tool::Mix, Role::Dep) => planner.mix_step(source).map(Some),
            // Of a mix project, what has a Makefile and nothing else.
            (Tool::Make, Role::Dep) if project.mix.is_some() => planner.mix_step(source).map(Some),
            _ => planner.step(source).map(Some),
        };
        for role in [Role::Plugin, Role::Dep] {
            for source in project.lock.sources.iter().filter(|source| source.role == role) {
                self.visit(source, &step, &mut Vec::new())?;
            }
        }
        match project.mix {
            Some(facts) => self.mix_release(facts),
            None => Ok(self.release()),
        }
    }

    /// Plans a source after everything that it needs.
    pub(super) fn visit(
        &mut self,
        source: &'a Source,
        step: Maker<'_, 'a>,
        way: &mut Vec<&'a str>,
    ) -> Result<(), CompileError> {
        if self.places.contains_key(&(source.role, source.app.as_str())) {
            return Ok(());
        }
        if way.contains(&source.app.as_str()) {
            let names = way.iter().copied().chain([source.app.as_str()]);
            return Err(CompileError::Cycle { names: names.map(str::to_owned).collect() });
        }
        way.push(&source.app);
        for dep in self.needed(source) {
            if let Some(dep) = self.source(source.role, dep) {
                self.visit(dep, step, way)?;
            }
        }
        way.pop();
        if let Some(step) = step(self, source)? {
            self.places.insert((source.role, &source.app), self.steps.len());
            self.steps.push(step);
        }
        Ok(())
    }

    /// What a source names, and what the manifest says that it needs where rebar3 and mix do not lay the closure out.
    pub(super) fn needed(&self, source: &'a Source) -> impl Iterator<Item = &'a str> + use<'a> {
        let manifest = self.project.manifest;
        let lays_out = matches!(manifest.build.tool, Tool::Rebar3 | Tool::Mix);
        let wish = manifest.deps.get(&source.app).filter(|_| !lays_out);
        let silent = wish.into_iter().flat_map(|wish| &wish.needs);
        source.deps.iter().chain(silent).map(String::as_str)
    }

    /// Everything that these applications need, themselves included.
    pub(super) fn closure(
        &self,
        role: Role,
        apps: impl IntoIterator<Item = &'a str>,
    ) -> BTreeSet<&'a str> {
        let mut closure = BTreeSet::new();
        let mut open: Vec<&'a str> = apps.into_iter().collect();
        while let Some(app) = open.pop() {
            let Some(source) = self.source(role, app) else {
                continue;
            };
            if closure.insert(source.app.as_str()) {
                open.extend(source.deps.iter().map(String::as_str));
            }
        }
        closure
    }

    /// The plugins that `parent` asks for by name.
    fn plugins(&self, parent: &str) -> BTreeSet<&'a str> {
        let sources = self.project.lock.sources.iter();
        let asked =
            sources.filter(|source| source.role == Role::Plugin && source.parents.contains(parent));
        asked.map(|source| source.app.as_str()).collect()
    }

    fn outputs(&self, role: Role, apps: &BTreeSet<&'a str>) -> Vec<Input> {
        self.outputs_at(role, apps, &place)
    }

    pub(super) fn outputs_at(
        &self,
        role: Role,
        apps: &BTreeSet<&'a str>,
        place: &dyn Fn(&Source) -> String,
    ) -> Vec<Input> {
        let input = |app: &&'a str| {
            let source = self.source(role, app)?;
            let step = *self.places.get(&(role, *app))?;
            Some(Input {
                at: format!("/build/{}", place(source)),
                content: Content::Output(step),
                label: label(source),
            })
        };
        apps.iter().filter_map(input).collect()
    }

    fn step(&self, source: &'a Source) -> Result<Step, CompileError> {
        let mut inputs = vec![self.laid(source, place(source))?];
        let deps = self.closure(source.role, source.deps.iter().map(String::as_str));
        inputs.extend(self.outputs(source.role, &deps));
        let plugins =
            if source.role == Role::Dep { self.plugins(&source.app) } else { BTreeSet::new() };
        let config = self.config_for(source, &deps, &plugins);
        inputs.extend(
            self.outputs(Role::Plugin, &self.closure(Role::Plugin, plugins.iter().copied())),
        );
        inputs.extend(self.tools.inputs());
        let manifest = self.project.manifest;
        let wish = manifest.deps.get(&source.app);
        let mut env = environment(manifest);
        env.extend(wish.iter().flat_map(|wish| wish.env.clone()));
        let overlay = Overlay::of(&source.app, wish, self.project.patches)?;
        let mut files: BTreeMap<String, Vec<u8>> = overlay.files_below(&place(source)).collect();
        files.insert("rebar.config".into(), config);
        if wish.is_some_and(|wish| rebar::own_flags(wish).is_some()) {
            env.remove(rebar::FLAGS);
        }
        Ok(Step {
            name: source.app.clone(),
            kind: if source.role == Role::Plugin { StepKind::Plugin } else { StepKind::Dep },
            inputs,
            files,
            patches: overlay.patches,
            stamp: self.stamp(source),
            argv: self.rebar3("compile"),
            env,
            output: place(source),
        })
    }

    /// The version that a source's application states: the manifest's, else git's where it asks git.
    pub(super) fn stamp(&self, source: &Source) -> Option<Stamp> {
        stamp(self.project.manifest, source)
    }

    /// The content hash of a source: the lock's, or that of its files where the lock pins none.
    pub(super) fn digest(&self, source: &Source) -> Result<Digest, CompileError> {
        let digest = source.pin.tree().or_else(|| self.project.unpinned.get(&source.app).copied());
        digest.ok_or_else(|| CompileError::NoSource { app: source.app.clone() })
    }

    /// A source as a copy that may be written to.
    pub(super) fn laid(&self, source: &Source, at: String) -> Result<Input, CompileError> {
        let content = Content::Source(self.digest(source)?);
        Ok(Input { at: format!("/build/{at}"), content, label: label(source) })
    }

    /// Tells whether a dependency is only looked at: nothing of it is compiled.
    pub(super) fn is_raw(&self, source: &Source) -> bool {
        let named = self.project.mix.into_iter().flat_map(|facts| &facts.deps);
        source.role == Role::Dep
            && named.into_iter().any(|dep| dep.is_raw && dep.wish.app == source.app)
    }

    fn config_for(
        &self,
        source: &'a Source,
        deps: &BTreeSet<&'a str>,
        plugins: &BTreeSet<&'a str>,
    ) -> Vec<u8> {
        let mut needs = self.plugin_needs(plugins);
        let project = self.project.config;
        let profile = &self.project.manifest.build.profile;
        if source.role == Role::Plugin {
            needs.extend(self.plugin_needs(&BTreeSet::from([source.app.as_str()])));
            return rebar::plugin_config(project, profile, &source.app, &needs);
        }
        let mut all: Vec<&str> = deps.iter().copied().collect();
        all.push(&source.app);
        needs.extend(deps.iter().map(|dep| Needs { app: dep, plugins: vec![], deps: vec![] }));
        needs.push(Needs {
            app: &source.app,
            plugins: plugins.iter().copied().collect(),
            deps: vec![],
        });
        rebar::dep_config(project, profile, &all, &needs)
    }

    /// What plugins and what they bring along need: each sees all that it brings along as its dependencies.
    fn plugin_needs(&self, plugins: &BTreeSet<&'a str>) -> Vec<Needs<'a>> {
        let all = self.closure(Role::Plugin, plugins.iter().copied());
        let need = |app: &&'a str| {
            let mut deps = self.closure(Role::Plugin, [*app]);
            deps.remove(app);
            let deps = if plugins.contains(app) { deps.into_iter().collect() } else { vec![] };
            Needs { app, plugins: vec![], deps }
        };
        all.iter().map(need).collect()
    }

    fn release(&self) -> Step {
        let manifest = self.project.manifest;
        let deps: BTreeSet<&'a str> = self.all(Role::Dep);
        let plugins = self.plugins(&self.project.lock.project);
        let mut needs = self.plugin_needs(&plugins);
        needs.extend(deps.iter().map(|dep| Needs { app: dep, plugins: vec![], deps: vec![] }));
        let [dep_list, plugin_list]: [Vec<&str>; 2] =
            [deps.iter().copied().collect(), plugins.iter().copied().collect()];
        let config = rebar::project_config(self.project.config, &dep_list, &plugin_list, &needs);
        let label = format!("{} {}", manifest.project.name, manifest.project.version);
        let mut inputs =
            vec![Input { at: "/build".into(), content: Content::Source(self.project.tree), label }];
        inputs.extend(self.outputs(Role::Dep, &deps));
        inputs.extend(
            self.outputs(Role::Plugin, &self.closure(Role::Plugin, plugins.iter().copied())),
        );
        inputs.extend(self.tools.inputs());
        let name = manifest.release.name.as_ref().unwrap_or(&manifest.project.name);
        let mut argv = self.rebar3("release");
        if manifest.release.name.is_some() {
            argv.extend(["-n".into(), name.clone()]);
        }
        Step {
            name: manifest.project.name.clone(),
            kind: StepKind::Release,
            inputs,
            files: BTreeMap::from([("rebar.config".into(), config)]),
            patches: vec![],
            stamp: Some(Stamp::WhereAsked(manifest.project.version.clone())),
            argv,
            env: environment(manifest),
            output: format!("_build/{}/rel/{name}", manifest.build.profile),
        }
    }

    pub(super) fn all(&self, role: Role) -> BTreeSet<&'a str> {
        let sources = self.project.lock.sources.iter().filter(|source| source.role == role);
        sources.map(|source| source.app.as_str()).collect()
    }

    fn rebar3(&self, verb: &str) -> Vec<String> {
        rebar::command(&["as", &self.project.manifest.build.profile, verb])
    }
}

/// Where rebar3 looks for a source that lies ready.
fn place(source: &Source) -> String {
    let directory = if source.role == Role::Plugin { "plugins" } else { "lib" };
    format!("_build/default/{directory}/{}", source.app)
}

/// The version that a source's application states: the manifest's, else git's where it asks git.
pub fn stamp(manifest: &Manifest, source: &Source) -> Option<Stamp> {
    let wish = manifest.deps.get(&source.app);
    let stated = wish.and_then(|wish| wish.vsn.clone()).map(Stamp::Everywhere);
    stated.or_else(|| source.describe.clone().map(Stamp::WhereAsked))
}

/// What a person calls a locked source: `cowlib 2.12.1`, `jsx 0f1e2d3c`.
pub(super) fn label(source: &Source) -> String {
    let version = match &source.pin {
        Pin::Hex { version, .. } => version.clone(),
        Pin::Git { commit, .. } => match source.wanted.strip_prefix("tag ") {
            Some(tag) => tag.to_owned(),
            None => commit.chars().take(12).collect(),
        },
        Pin::Url { sha256, .. } => sha256.hex().chars().take(12).collect(),
        Pin::Path { path } => path.clone(),
    };
    format!("{} {version}", source.app)
}

/// The variables that every step of the project sees.
pub(super) fn environment(manifest: &Manifest) -> BTreeMap<String, String> {
    let mut env = fixed_environment();
    env.extend(manifest.build.env.clone());
    env
}

/// The variables that what is done with one dependency sees beside those.
pub(super) fn own_environment(manifest: &Manifest, app: &str) -> BTreeMap<String, String> {
    manifest.deps.get(app).map(|wish| wish.env.clone()).unwrap_or_default()
}

/// The variables that every command sees, whatever the host has.
pub(super) fn fixed_environment() -> BTreeMap<String, String> {
    let fixed = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TERM", "dumb"),
        // What the store gives every file; compilers date `__DATE__` with it.
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("ERL_FLAGS", "+S 2:2"),
        ("REBAR_OFFLINE", "1"),
        ("REBAR_CACHE_DIR", "/tmp/rebar3"),
    ];
    fixed.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
