//! Walk: one round of rebar3's traversal over what is settled so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::asked::{add, is_chosen, key};
use crate::limits::{LOCK_SOURCES_MAX, PLUGIN_DEPTH_MAX};
use crate::lock::Role;
use crate::lock::resolve::{Asked, ProjectFacts, ResolveError, Rule, Settled};
use crate::manifest::DepOverride;
use crate::manifest::rebar::{Overrides, RebarError, RebarFacts, Wish};

/// The profile that is always applied.
pub(super) const DEFAULT: &str = "default";

/// An application in one of the namespaces.
pub(super) type Node = (Role, String);
/// Every source that was asked for, by application, in the order of the first asking.
pub(super) type Candidates = BTreeMap<Node, Vec<Asked>>;

/// What a walk starts from.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) project: &'a ProjectFacts,
    pub(super) choices: &'a BTreeMap<String, DepOverride>,
    pub(super) settled: &'a BTreeMap<Wish, Settled>,
    pub(super) candidates: &'a Candidates,
    /// Applications that the manifest gives a source and nothing asks for.
    pub(super) unasked: &'a BTreeSet<String>,
}

/// What a walk found.
pub(super) struct Walk<'a> {
    pub(super) known: Known<'a>,
    /// The winning wish of each application.
    pub(super) winners: BTreeMap<Node, Wish>,
    /// Everything that was asked for.
    pub(super) asked: Candidates,
    /// What must be settled before the walk can go on.
    pub(super) missing: Vec<(Role, Wish)>,
    /// The keys of what is missing, so that one wish in both namespaces is asked for once.
    missing_keys: BTreeSet<Wish>,
    /// What the project names, by profile.
    pub(super) roots: BTreeMap<String, BTreeSet<Node>>,
    /// What each application names: its dependencies in its own namespace, and its plugins.
    pub(super) edges: BTreeMap<Node, BTreeSet<Node>>,
    /// The dependencies that erlang.mk's autopatch leaves as they are.
    pub(super) untouched: BTreeSet<String>,
    /// A plugin is missing, so what comes after it cannot be told yet.
    plugins_blocked: bool,
    /// Plugins that are being installed, one within the other.
    plugin_depth: usize,
}

/// One request on its way.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) wish: Wish,
    pub(super) parent: String,
    /// The overrides of everything above it.
    pub(super) overrides: Overrides,
}

/// One level of one profile.
struct Level {
    depth: usize,
    asks: Vec<Ask>,
}

/// Walks as rebar3 does, as far as the answers go.
pub(super) fn walk(known: Known<'_>) -> Result<Walk<'_>, ResolveError> {
    let mut walk = Walk {
        known,
        winners: BTreeMap::new(),
        asked: BTreeMap::new(),
        missing: Vec::new(),
        missing_keys: BTreeSet::new(),
        roots: BTreeMap::new(),
        edges: BTreeMap::new(),
        untouched: BTreeSet::new(),
        plugins_blocked: false,
        plugin_depth: 0,
    };
    let project = known.project;
    let profiles: Vec<&str> = project.profiles.iter().map(String::as_str).collect();
    let overrides = Overrides::of_project(&project.config, &profiles).map_err(of(&project.name))?;
    walk.project_plugins(&overrides)?;
    match project.rule {
        Rule::Nearest => walk.project_deps(&overrides)?,
        Rule::FirstFetched => walk.first_fetched()?,
    }
    walk.tools()?;
    Ok(walk)
}

/// Says whose configuration an error is in.
fn of(app: &str) -> impl FnOnce(RebarError) -> ResolveError + '_ {
    move |source| ResolveError::Facts { app: app.to_owned(), source }
}

impl<'a> Walk<'a> {
    /// Returns who asks for an application.
    pub(super) fn parents(&self, node: &Node) -> BTreeSet<String> {
        let asked = self.asked.get(node).into_iter().flatten();
        asked.flat_map(|asked| &asked.parents).cloned().collect()
    }

    /// The project's plugins in the order in which rebar3 installs them.
    fn project_plugins(&mut self, overrides: &Overrides) -> Result<(), ResolveError> {
        let project = self.known.project;
        let config = &project.config;
        let mut lists: Vec<(&str, Vec<Wish>)> =
            vec![(DEFAULT, config.project_plugins.clone()), (DEFAULT, config.plugins.clone())];
        for profile in &project.profiles {
            let facts = config.profile(profile).map_err(of(&project.name))?;
            lists.push((profile, facts.plugins));
        }
        for app in project.apps.values() {
            lists.push((DEFAULT, app.plugins.clone()));
        }
        for profile in &project.profiles {
            for (name, app) in &project.apps {
                lists.push((profile, app.profile(profile).map_err(of(name))?.plugins));
            }
        }
        for (profile, wishes) in lists {
            let names = self.install(&project.name, &wishes, overrides)?;
            self.roots.entry(profile.to_owned()).or_default().extend(names);
        }
        Ok(())
    }

    /// The project's dependencies: each profile's levels in turn, the last profile first.
    fn project_deps(&mut self, overrides: &Overrides) -> Result<(), ResolveError> {
        let profiles = self.known.project.profiles.iter().map(String::as_str);
        let mut queue = VecDeque::new();
        for profile in std::iter::once(DEFAULT).chain(profiles).rev() {
            let asks = self.level_0(profile, overrides)?;
            let names = asks.iter().map(|ask| (Role::Dep, ask.wish.app.clone()));
            let names: BTreeSet<Node> = names.collect();
            self.roots.entry(profile.to_owned()).or_default().extend(names);
            queue.push_back(Level { depth: 0, asks });
        }
        self.traverse(Role::Dep, queue)
    }

    /// The tools that the manifest names; they ask for nothing.
    fn tools(&mut self) -> Result<(), ResolveError> {
        let project = self.known.project;
        for wish in &project.tools {
            let (wish, parent) = (wish.clone(), project.name.clone());
            self.take(Role::Tool, &Ask { wish, parent, overrides: Overrides::default() })?;
        }
        Ok(())
    }

    /// What the manifest gives a source and nothing asks for, as if the project had asked.
    pub(super) fn unasked(&self) -> Vec<Wish> {
        let source = |app: &String| self.known.choices.get(app)?.source.clone();
        let wish = |app: &String| Some(Wish { app: app.clone(), source: source(app)? });
        self.known.unasked.iter().filter_map(wish).collect()
    }

    /// What the root and the project's applications name in one profile; the root's word counts,
    /// then that of the application whose name comes first.
    fn level_0(&self, profile: &str, inherited: &Overrides) -> Result<Vec<Ask>, ResolveError> {
        let project = self.known.project;
        let mut asks: BTreeMap<String, Ask> = BTreeMap::new();
        let mut take = |wishes: Vec<Wish>, overrides: &Overrides| {
            for wish in wishes {
                asks.entry(wish.app.clone()).or_insert_with(|| Ask {
                    wish,
                    parent: project.name.clone(),
                    overrides: overrides.clone(),
                });
            }
        };
        let deps = deps_in(&project.config, profile).map_err(of(&project.name))?;
        take(deps, inherited);
        if profile == DEFAULT {
            take(self.unasked(), inherited);
        }
        // An application in the root has the root's configuration.
        for (name, facts) in project.apps.iter().filter(|(_, facts)| **facts != project.config) {
            let overrides = inherited.below(facts).map_err(of(name))?;
            let facts = inherited.apply(name, facts).map_err(of(name))?;
            take(deps_in(&facts, profile).map_err(of(name))?, &overrides);
        }
        Ok(asks.into_values().collect())
    }

    /// Walks level by level and stops at the first level that holds something unsettled.
    fn traverse(&mut self, role: Role, mut queue: VecDeque<Level>) -> Result<(), ResolveError> {
        let mut blocked_at = usize::MAX;
        while let Some(level) = queue.pop_front() {
            if level.depth > blocked_at {
                break;
            }
            // Parents' order stays within a name; of one parent's equal names the last one counts.
            let mut asks = level.asks;
            asks.reverse();
            asks.sort_by(|a, b| a.wish.app.cmp(&b.wish.app));
            let mut next: Vec<Ask> = Vec::new();
            for ask in asks {
                match self.take(role, &ask)? {
                    Taken::Seen => {}
                    Taken::Unsettled => {
                        blocked_at = level.depth;
                        self.plugins_blocked = true;
                    }
                    Taken::New(_) if role == Role::Plugin && self.plugins_blocked => {
                        blocked_at = level.depth;
                    }
                    Taken::New(settled) => {
                        let mut children = self.open(role, &ask, settled)?;
                        children.append(&mut next);
                        next = children;
                    }
                }
            }
            if !next.is_empty() {
                let depth = level.depth + 1;
                queue.push_back(Level { depth, asks: next });
            }
        }
        Ok(())
    }

    /// Notes a request and says whether it is the first for its application.
    pub(super) fn take(&mut self, role: Role, ask: &Ask) -> Result<Taken<'a>, ResolveError> {
        let node = (role, ask.wish.app.clone());
        if self.known.project.apps.contains_key(&ask.wish.app) {
            return Ok(Taken::Seen);
        }
        let asked = self.asked.entry(node.clone()).or_default();
        add(asked, &ask.wish.source, &ask.parent);
        if self.winners.contains_key(&node) {
            return Ok(Taken::Seen);
        }
        if self.winners.len() >= LOCK_SOURCES_MAX {
            return Err(ResolveError::TooManySources);
        }
        let Some(wish) = self.chosen(&node, &ask.wish) else {
            // Somebody below may ask for the chosen source; until then nothing is fetched.
            self.winners.insert(node, ask.wish.clone());
            return Ok(Taken::Seen);
        };
        self.winners.insert(node, wish.clone());
        let key = key(&wish);
        if let Some(settled) = self.known.settled.get(&key) {
            return Ok(Taken::New(settled));
        }
        if self.missing_keys.insert(key) {
            self.missing.push((role, wish));
        }
        Ok(Taken::Unsettled)
    }

    /// Returns the wish that the manifest chooses, or this one where it chooses nothing.
    fn chosen(&self, node: &Node, wish: &Wish) -> Option<Wish> {
        let choice = self.known.choices.get(&wish.app);
        if let Some(source) = choice.and_then(|dep| dep.source.as_ref()) {
            return Some(Wish { app: wish.app.clone(), source: source.clone() });
        }
        let Some(choice) = choice.and_then(|dep| dep.use_source.as_ref()) else {
            return Some(wish.clone());
        };
        let former = self.known.candidates.get(node).into_iter().flatten();
        let now = self.asked.get(node).into_iter().flatten();
        match former.chain(now).find(|asked| is_chosen(choice, asked)) {
            Some(asked) => Some(Wish { app: wish.app.clone(), source: asked.source.clone() }),
            None if node.0 == Role::Dep => None,
            None => Some(wish.clone()),
        }
    }

    /// Opens a settled application: installs its plugins and returns what it asks for.
    fn open(
        &mut self,
        role: Role,
        ask: &Ask,
        settled: &'a Settled,
    ) -> Result<Vec<Ask>, ResolveError> {
        let app = ask.wish.app.as_str();
        let overrides = ask.overrides.below(&settled.facts).map_err(of(app))?;
        let facts = overrides.apply(app, &settled.facts).map_err(of(app))?;
        let prod = facts.profile("prod").map_err(of(app))?;
        let plugins = match prod.plugins.is_empty() {
            true => &facts.plugins,
            false => &prod.plugins,
        };
        let mut named: BTreeSet<Node> = BTreeSet::new();
        named.extend(self.install(app, plugins, &overrides)?);
        let mut children = Vec::new();
        for wish in facts.deps.into_iter().chain(prod.deps) {
            named.insert((role, wish.app.clone()));
            children.push(Ask { wish, parent: app.to_owned(), overrides: overrides.clone() });
        }
        self.edges.entry((role, app.to_owned())).or_default().extend(named);
        Ok(children)
    }

    /// Installs plugins one after another, each with its closure; returns their names.
    fn install(
        &mut self,
        parent: &str,
        plugins: &[Wish],
        overrides: &Overrides,
    ) -> Result<Vec<Node>, ResolveError> {
        let ignored = self.known.choices.get(parent).map(|dep| &dep.ignore_plugins);
        let is_ignored = |wish: &Wish| ignored.is_some_and(|list| list.contains(&wish.app));
        let mut names = Vec::new();
        for wish in plugins.iter().filter(|wish| !is_ignored(wish)) {
            names.push((Role::Plugin, wish.app.clone()));
            let ask =
                Ask { wish: wish.clone(), parent: parent.to_owned(), overrides: overrides.clone() };
            if self.plugin_depth == PLUGIN_DEPTH_MAX {
                let app = wish.app.clone();
                return Err(ResolveError::PluginsTooDeep { app });
            }
            // Behind a missing plugin this only notes that the next one will be needed too: its
            // closure waits, since what the missing one brings would win.
            let level = Level { depth: 0, asks: vec![ask] };
            self.plugin_depth += 1;
            self.traverse(Role::Plugin, VecDeque::from([level]))?;
            self.plugin_depth -= 1;
        }
        Ok(names)
    }
}

/// What became of a request.
pub(super) enum Taken<'a> {
    /// Somebody was there before, or it is the project's own.
    Seen,
    /// It wins and must be settled.
    Unsettled,
    /// It wins and is settled.
    New(&'a Settled),
}

/// What a configuration asks for in one profile alone.
fn deps_in(facts: &RebarFacts, profile: &str) -> Result<Vec<Wish>, RebarError> {
    if profile == DEFAULT {
        return Ok(facts.deps.clone());
    }
    Ok(facts.profile(profile)?.deps)
}
