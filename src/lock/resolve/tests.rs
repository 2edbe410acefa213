use std::collections::{BTreeMap, BTreeSet};

use super::{ProjectFacts, Request, Resolution, ResolveError, Resolver, Settled};
use crate::digest::Digest;
use crate::explain::{Blame, Explain as _};
use crate::limits::{LOCK_SOURCES_MAX, PLUGIN_DEPTH_MAX};
use crate::lock::Role;
use crate::lock::{Lock, Pin, RebarEntry, RebarLock, RebarPin, Source, git_url};
use crate::manifest::rebar::{GitRef, RebarFacts, Wish, WishSource};
use crate::manifest::{DepOverride, Tool};
use crate::terms;

/// Spells dependencies: `c@1 d@2` is `{c, {git, …, {tag, "1"}}}` and `{d, …}`.
pub(super) fn list(names: &str) -> String {
    let dep = |name: &str| {
        let (app, tag) = name.split_once('@').unwrap();
        format!(r#"{{{app}, {{git, "https://git.example/{app}", {{tag, "{tag}"}}}}}}"#)
    };
    let deps: Vec<String> = names.split_whitespace().map(dep).collect();
    format!("[{}]", deps.join(", "))
}

/// Spells a configuration with dependencies.
fn deps(names: &str) -> String {
    format!("{{deps, {}}}.\n", list(names))
}

fn plugins(names: &str) -> String {
    format!("{{plugins, {}}}.\n", list(names))
}

fn prod(names: &str) -> String {
    format!("{{profiles, [{{prod, [{{deps, {}}}]}}]}}.\n", list(names))
}

fn facts(text: &str) -> RebarFacts {
    RebarFacts::read(text, "rebar.config").unwrap()
}

/// A world of repositories at `https://git.example/APP`, each tag with its configuration.
pub(super) struct World {
    pub(super) project: ProjectFacts,
    choices: BTreeMap<String, DepOverride>,
    configs: BTreeMap<String, String>,
    /// The `rebar.lock` beside a tag's configuration.
    pub(super) locks: BTreeMap<String, String>,
    previous: Option<Lock>,
    imported: Option<RebarLock>,
}

/// What happened in it.
struct Ran {
    /// What was asked for in each round: `a@1 b@1`.
    rounds: Vec<String>,
    requests: Vec<Request>,
    result: Result<Resolution, ResolveError>,
}

pub(super) fn world(config: &str, repositories: &[(&str, &str)]) -> World {
    let config_of = |(name, config): &(&str, &str)| ((*name).to_owned(), (*config).to_owned());
    World {
        project: ProjectFacts {
            name: "top".into(),
            profiles: vec!["prod".into()],
            config: facts(config),
            apps: BTreeMap::from([("top".into(), facts(config))]),
            local: BTreeMap::new(),
            tools: vec![],
            rule: Default::default(),
        },
        choices: BTreeMap::new(),
        configs: repositories.iter().map(config_of).collect(),
        locks: BTreeMap::new(),
        previous: None,
        imported: None,
    }
}

pub(super) fn commit(name: &str) -> String {
    Digest::of(name.as_bytes()).hex()[..40].to_owned()
}

fn name_of(wish: &Wish) -> String {
    match &wish.source {
        WishSource::Git {
            reference: GitRef::Tag(tag) | GitRef::Branch(tag) | GitRef::Commit(tag),
            ..
        } => format!("{}@{tag}", wish.app),
        WishSource::Hex { requirement, .. } => {
            format!("{}@{}", wish.app, requirement.as_deref().unwrap_or("newest"))
        }
        _ => format!("{}@head", wish.app),
    }
}

impl World {
    fn using(mut self, app: &str, choice: &str) -> Self {
        self.choices.entry(app.into()).or_default().use_source = Some(choice.into());
        self
    }

    fn settle(&self, request: &Request) -> Settled {
        let name = self.name_at(&request.wish);
        let pin = request.pinned.clone().unwrap_or_else(|| match &request.wish.source {
            WishSource::Git { url, subdir, .. } => Pin::Git {
                url: git_url::normalise(url),
                commit: commit(&name),
                subdir: subdir.clone(),
                tree: Digest::of(name.as_bytes()),
            },
            WishSource::Hex { package, .. } => Pin::Hex {
                repository: "hexpm".into(),
                package: package.clone(),
                version: "1.0.0".into(),
                outer: Digest::of(b"outer"),
                tree: Digest::of(name.as_bytes()),
            },
            WishSource::Url { url, sha256 } => {
                Pin::Url { url: url.clone(), sha256: *sha256, tree: Digest::of(name.as_bytes()) }
            }
            WishSource::Path { path } => Pin::Path { path: path.clone() },
        });
        Settled {
            app: request.app.clone(),
            role: request.role,
            pin,
            describe: None,
            tool: Tool::Rebar3,
            facts: self.facts(&name),
        }
    }

    /// The tag that a wish means; one by commit means the tag with that commit.
    fn name_at(&self, wish: &Wish) -> String {
        if let WishSource::Git { reference: GitRef::Commit(asked), .. } = &wish.source {
            let tags = (1..=9).map(|tag| format!("{}@{tag}", wish.app));
            if let Some(name) = tags.into_iter().find(|name| commit(name) == *asked) {
                return name;
            }
        }
        name_of(wish)
    }

    fn facts(&self, name: &str) -> RebarFacts {
        let facts = facts(self.configs.get(name).map_or("", String::as_str));
        match self.locks.get(name) {
            Some(lock) => facts.with_lock(&terms::parse_all(lock).unwrap()).unwrap(),
            None => facts,
        }
    }

    fn run(&self) -> Ran {
        let mut resolver = Resolver::new(&self.project, &self.choices);
        if let Some(lock) = &self.previous {
            resolver = resolver.with_previous(lock);
        }
        if let Some(lock) = &self.imported {
            resolver = resolver.with_rebar_lock(lock);
        }
        let mut rounds = Vec::new();
        let mut requests = Vec::new();
        loop {
            let level = resolver.next_level();
            if level.is_empty() {
                break;
            }
            let names: Vec<String> = level.iter().map(|request| name_of(&request.wish)).collect();
            rounds.push(names.join(" "));
            resolver.settle(level.iter().map(|request| self.settle(request)).collect());
            requests.extend(level);
        }
        let result = resolver.finish();
        Ran { rounds, requests, result }
    }

    pub(super) fn sources(&self) -> Vec<Source> {
        self.run().result.unwrap().sources
    }

    /// A source with the tag that its commit has: `a@1`.
    pub(super) fn tag_of(&self, source: &Source) -> String {
        let Pin::Git { commit: own, .. } = &source.pin else {
            unreachable!("every source of this world is git")
        };
        let is_own = |name: &&String| commit(name) == *own;
        let tags = (1..=9).map(|tag| format!("{}@{tag}", source.app));
        let tags: Vec<String> = tags.collect();
        tags.iter().find(is_own).cloned().expect("every commit is that of a tag")
    }

    /// The end in short: `dep a@1 0`, `plugin p@2 1`; the commit tells which tag won.
    fn short(&self) -> Vec<String> {
        let show = |source: &Source| {
            let tag = source.wanted.strip_prefix("tag ").unwrap_or(&source.wanted);
            format!("{} {}@{tag} {}", source.role.name(), source.app, source.level)
        };
        self.sources().iter().map(show).collect()
    }
}

fn lock_of(sources: Vec<Source>) -> Lock {
    Lock { epoch: 1, ..Lock::of(sources) }
}

#[test]
fn the_nearest_request_wins() {
    let world = world(&deps("a@1 c@1"), &[("a@1", &deps("b@1 c@2")), ("b@1", &deps("c@3"))]);
    assert_eq!(world.short(), ["dep a@1 0", "dep b@1 1", "dep c@1 0"]);
}

#[test]
fn within_a_level_the_parent_whose_name_comes_first_wins() {
    let world = world(&deps("z@1 m@1"), &[("z@1", &deps("c@9")), ("m@1", &deps("c@1"))]);
    assert_eq!(world.short(), ["dep c@1 1", "dep m@1 0", "dep z@1 0"]);
}

#[test]
fn of_one_parents_equal_names_the_prod_profiles_wins_as_in_rebar3() {
    let config = deps("c@2") + &prod("c@3");
    let world = world(&deps("b@1"), &[("b@1", &config)]);
    assert_eq!(world.short(), ["dep b@1 0", "dep c@3 1"]);
}

#[test]
fn the_projects_profile_wins_over_its_default_as_in_rebar3() {
    let config = deps("a@1") + &prod("a@2 c@3");
    let world = world(&config, &[("a@1", &deps("c@1")), ("a@2", "")]);
    assert_eq!(world.short(), ["dep a@2 0", "dep c@3 0"]);
    let sources = world.sources();
    assert!(sources[0].profiles.is_empty(), "the default profile asks for `a` too");
    assert_eq!(sources[1].profiles, BTreeSet::from(["prod".to_owned()]));
}

#[test]
fn a_profile_that_is_not_used_asks_for_nothing() {
    let config = deps("a@1") + "{profiles, [{test, [{deps, [meck]}, {plugins, [coveralls]}]}]}.\n";
    assert_eq!(world(&config, &[]).short(), ["dep a@1 0"]);
}

#[test]
fn a_whole_level_is_asked_for_at_once_and_nothing_that_loses() {
    let world = world(
        &deps("a@1 b@1"),
        &[("a@1", &deps("c@1 d@1")), ("b@1", &deps("c@2 e@1 a@7")), ("c@2", &deps("f@1"))],
    );
    let ran = world.run();
    assert_eq!(ran.rounds, ["a@1 b@1", "c@1 d@1 e@1"]);
}

#[test]
fn the_projects_own_applications_are_not_fetched() {
    let mut world = world(&deps("b@1"), &[("a@1", &deps("lib@1 c@1"))]);
    let apps = &mut world.project.apps;
    apps.insert("lib".into(), facts(&deps("c@5 d@1")));
    apps.insert("x".into(), facts(&deps("a@1")));
    assert_eq!(world.short(), ["dep a@1 0", "dep b@1 0", "dep c@5 0", "dep d@1 0"]);
}

#[test]
fn the_roots_word_counts_before_that_of_an_application() {
    let mut world = world(&deps("a@1"), &[]);
    world.project.apps.insert("x".into(), facts(&deps("a@2 b@2")));
    world.project.apps.insert("y".into(), facts(&deps("b@3")));
    assert_eq!(world.short(), ["dep a@1 0", "dep b@2 0"]);
}

#[test]
fn overrides_change_what_a_dependency_asks_for() {
    let config = deps("a@1")
        + "{overrides, [{override, a, [{deps, [{c, {git, \"https://git.example/c\", {tag, \"7\"}}}]}]}]}.\n";
    let world = world(&config, &[("a@1", &deps("b@1"))]);
    assert_eq!(world.short(), ["dep a@1 0", "dep c@7 1"]);
}

#[test]
fn overrides_of_a_dependency_hold_below_it_alone() {
    let a = deps("b@1 c@1") + "{overrides, [{override, c, [{deps, []}]}]}.\n";
    let world = world(&deps("a@1"), &[("a@1", &a), ("b@1", &deps("e@1")), ("c@1", &deps("d@1"))]);
    assert_eq!(world.short(), ["dep a@1 0", "dep b@1 1", "dep c@1 1", "dep e@1 2"]);
}

#[test]
fn plugins_live_in_a_namespace_of_their_own_and_the_first_one_there_wins() {
    let config = deps("a@1 p@1") + &plugins("q@1 p@2");
    let world = world(
        &config,
        &[("a@1", &plugins("q@9 r@1")), ("q@1", &deps("p@7")), ("r@1", &deps("s@1"))],
    );
    assert_eq!(
        world.short(),
        ["dep a@1 0", "dep p@1 0", "plugin p@7 0", "plugin q@1 0", "plugin r@1 1", "plugin s@1 2",]
    );
}

#[test]
fn a_plugin_can_be_left_out() {
    let config = deps("a@1") + &plugins("lint@1");
    let mut world = world(&config, &[("a@1", &plugins("hex@1 pc@1"))]);
    let ignore = |world: &mut World, app: &str, plugin: &str| {
        let dep = world.choices.entry(app.to_owned()).or_default();
        dep.ignore_plugins.push(plugin.to_owned());
    };
    ignore(&mut world, "a", "hex");
    ignore(&mut world, "top", "lint");
    assert_eq!(world.short(), ["dep a@1 0", "plugin pc@1 1"]);
}

#[test]
fn one_wish_in_both_namespaces_is_settled_once() {
    let world = world(&(deps("a@1") + &plugins("a@1")), &[]);
    let ran = world.run();
    assert_eq!(ran.rounds, ["a@1"]);
    assert_eq!(ran.result.unwrap().sources.len(), 2);
}

#[test]
fn two_versions_are_reported_with_their_parents_and_the_winner() {
    let world = world(
        &deps("a@1 b@1 y@1"),
        &[
            ("a@1", &deps("c@1")),
            ("b@1", &deps("c@2")),
            ("y@1", &deps("x@1")),
            ("x@1", &deps("c@2")),
        ],
    );
    let resolution = world.run().result.unwrap();
    assert_eq!(resolution.conflicts.len(), 1);
    assert_eq!(
        resolution.conflicts[0].to_string(),
        "dep `c` is asked for in 2 versions\
         \n  taken: https://git.example/c tag 1 (by a)\
         \n         top → a\
         \n  lost:  https://git.example/c tag 2 (by b, x)\
         \n         top → b\
         \n         top → y → x"
    );
    let c = &resolution.sources[2];
    assert_eq!(c.lost, ["https://git.example/c tag 2 (by b, x)"]);
    assert_eq!(c.parents, BTreeSet::from(["a".into(), "b".into(), "x".into()]));
}

#[test]
fn another_spelling_of_the_same_source_is_no_conflict() {
    let tag = |url: &str| format!(r#"{{deps, [{{c, {{git, "{url}", {{tag, "1"}}}}}}]}}."#);
    let by_commit = format!(
        r#"{{deps, [{{c, {{git, "git://git.example/c.git", {{ref, "{}"}}}}}}]}}."#,
        &commit("c@1")[..7]
    );
    let world = world(
        &deps("a@1 b@1 x@1"),
        &[
            ("a@1", &tag("https://git.example/c")),
            ("b@1", &tag("git://git.example/c.git/")),
            ("x@1", &by_commit),
        ],
    );
    assert_eq!(world.run().result.unwrap().conflicts, []);
}

#[test]
fn requirements_that_the_taken_version_meets_are_no_conflict() {
    let hex = |requirement: &str| format!("{{deps, [{{c, \"{requirement}\"}}]}}.");
    let world = world(
        &deps("a@1 b@1 x@1"),
        &[("a@1", &hex("1.0.0")), ("b@1", &hex("~> 1.0")), ("x@1", &hex("~> 2.0"))],
    );
    let conflicts = world.run().result.unwrap().conflicts;
    assert_eq!(
        conflicts[0].to_string(),
        "dep `c` is asked for in 2 versions\
         \n  taken: hexpm/c 1.0.0 (by a, b)\
         \n         top → a\
         \n         top → b\
         \n  lost:  hexpm/c ~> 2.0 (by x)\
         \n         top → x"
    );
}

#[test]
fn use_decides_by_the_parents_name_and_the_loser_is_not_fetched() {
    let make = || {
        world(
            &deps("a@1 b@1"),
            &[("a@1", &deps("c@1")), ("b@1", &deps("d@1")), ("d@1", &deps("c@2"))],
        )
    };
    for choice in ["d", "https://git.example/c.git#2", "https://git.example/c#tag 2"] {
        let world = make().using("c", choice);
        let ran = world.run();
        assert_eq!(ran.rounds, ["a@1 b@1", "d@1", "c@2"], "{choice}");
        let sources = ran.result.unwrap().sources;
        assert_eq!(sources[2].wanted, "tag 2");
        assert_eq!(sources[2].level, 1, "it stands where it was asked for first");
    }
    let by_project = world(&deps("a@1 c@3"), &[("a@1", &deps("c@1"))]).using("c", "a");
    assert_eq!(by_project.short(), ["dep a@1 0", "dep c@1 0"]);
}

#[test]
fn a_choice_that_nobody_asks_for_is_refused_with_the_candidates() {
    let make = || world(&deps("a@1 b@1"), &[("a@1", &deps("c@1")), ("b@1", &deps("c@2"))]);
    let error = make().using("c", "d").run().result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`[deps.c] use` is `d`, which is none of the sources asked for\
         \n  asked for: https://git.example/c tag 1 (by a)\
         \n  asked for: https://git.example/c tag 2 (by b)"
    );
    let error = make().using("nobody", "a").run().result.unwrap_err();
    assert!(error.to_string().ends_with("\n  nobody asks for it"), "{error}");
}

#[test]
fn what_the_manifest_gives_a_source_comes_from_there_whoever_asks() {
    let mut world = world(&deps("a@1"), &[("a@1", &deps("c@1"))]);
    let path = WishSource::Path { path: "libs/c".into() };
    world.choices.entry("c".into()).or_default().source = Some(path);
    let resolution = world.run().result.unwrap();
    let c = resolution.sources.iter().find(|source| source.app == "c").unwrap();
    assert_eq!(c.pin, Pin::Path { path: "libs/c".into() });
    assert_eq!((c.level, c.role), (1, Role::Dep));
    assert_eq!(c.lost, ["https://git.example/c tag 1 (by a)"]);
}

#[test]
fn what_the_manifest_gives_a_source_and_nothing_asks_for_is_the_projects() {
    let mut world = world(&deps("a@1"), &[]);
    let url = "https://host.example/c.tar.gz".to_owned();
    let sha256 = Digest::of(b"c");
    world.choices.entry("c".into()).or_default().source = Some(WishSource::Url { url, sha256 });
    let sources = world.run().result.unwrap().sources;
    let c = sources.iter().find(|source| source.app == "c").unwrap();
    assert_eq!((c.level, &c.parents), (0, &BTreeSet::from(["top".to_owned()])));
    assert_eq!(c.wanted, format!("sha256 {}", sha256.hex()));
}

#[test]
fn a_tool_is_a_source_of_its_own_kind() {
    let mut world = world(&deps("a@1"), &[]);
    let source = WishSource::Path { path: "tools/a".into() };
    world.project.tools = vec![Wish { app: "a".into(), source }];
    let sources = world.run().result.unwrap().sources;
    let kinds: Vec<_> = sources.iter().map(|source| (source.role, source.app.as_str())).collect();
    assert_eq!(kinds, [(Role::Dep, "a"), (Role::Tool, "a")]);
}

#[test]
fn a_cycle_is_refused_and_shown() {
    let world =
        world(&deps("a@1"), &[("a@1", &deps("b@1")), ("b@1", &deps("c@1")), ("c@1", &deps("b@1"))]);
    let error = world.run().result.unwrap_err();
    assert_eq!(error.to_string(), "dep sources need one another: b → c → b");
}

#[test]
fn a_cycle_through_the_project_is_refused() {
    let world = world(&deps("a@1"), &[("a@1", &deps("top@1"))]);
    let error = world.run().result.unwrap_err();
    assert_eq!(error.to_string(), "dep sources need one another: a → top → a");
}

#[test]
fn what_the_previous_lock_holds_for_the_same_wish_stays() {
    let mut world = world(&deps("a@1 b@2"), &[("a@1", &deps("c@1"))]);
    let mut sources = world.sources();
    for source in &mut sources {
        if let Pin::Git { commit, .. } = &mut source.pin {
            *commit = "0".repeat(40);
        }
        source.describe = Some("v1".into());
    }
    sources[1].wanted = "tag 1".into();
    world.previous = Some(lock_of(sources));
    let ran = world.run();
    let pinned: Vec<(&str, bool)> = ran
        .requests
        .iter()
        .map(|request| (request.app.as_str(), request.pinned.is_some()))
        .collect();
    assert_eq!(pinned, [("a", true), ("b", false), ("c", true)]);
    assert_eq!(ran.requests[0].described.as_deref(), Some("v1"));
}

#[test]
fn an_imported_pin_is_offered_where_the_address_is_the_same() {
    let mut world = world(&deps("a@1 b@1"), &[]);
    let entry = |url: &str| RebarEntry {
        pin: RebarPin::Git { url: url.into(), commit: "1".repeat(40), subdir: None },
        level: 0,
    };
    let mut lock = RebarLock::default();
    lock.entries.insert("a".into(), entry("git://git.example/a.git"));
    lock.entries.insert("b".into(), entry("https://elsewhere.example/b"));
    world.imported = Some(lock);
    let ran = world.run();
    assert!(ran.requests[0].imported.is_some());
    assert!(ran.requests[1].imported.is_none());
}

#[test]
fn a_closure_without_end_is_refused_by_name() {
    let names: Vec<String> = (0..=LOCK_SOURCES_MAX).map(|n| format!("n{n}@1")).collect();
    let error = world(&deps(&names.join(" ")), &[]).run().result.unwrap_err();
    assert!(error.to_string().ends_with("(`LOCK_SOURCES_MAX`)"), "{error}");

    let next = |n: usize| (format!("p{n}@1"), plugins(&format!("p{}@1", n + 1)));
    let chain: Vec<(String, String)> = (0..=PLUGIN_DEPTH_MAX).map(next).collect();
    let chain: Vec<(&str, &str)> =
        chain.iter().map(|(name, config)| (name.as_str(), config.as_str())).collect();
    let error = world(&plugins("p0@1"), &chain).run().result.unwrap_err();
    assert!(error.to_string().ends_with("(`PLUGIN_DEPTH_MAX`)"), "{error}");
}

#[test]
fn a_request_without_an_answer_is_our_bug() {
    let project = ProjectFacts { config: facts(&deps("a@1")), ..ProjectFacts::default() };
    let choices = BTreeMap::new();
    let mut resolver = Resolver::new(&project, &choices);
    assert_eq!(resolver.next_level().len(), 1);
    let error = resolver.finish().unwrap_err();
    assert_eq!(error, ResolveError::Unsettled { app: "a".into() });
    assert_eq!(error.blame(), Blame::Bug);
}

/// A plain spelling of rebar3's traversal over a world in which everything is known.
fn by_the_book(graph: &BTreeMap<String, Vec<String>>, root: &[String]) -> BTreeMap<String, usize> {
    let mut level: Vec<String> = root.to_vec();
    let mut won: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let app = |name: &str| name.split('@').next().unwrap().to_owned();
    for depth in 0.. {
        level.sort_by_key(|name| app(name));
        let mut next = Vec::new();
        for name in &level {
            if won.contains_key(&app(name)) {
                continue;
            }
            won.insert(app(name), (name.clone(), depth));
            next.extend(graph.get(name).cloned().unwrap_or_default());
        }
        if next.is_empty() {
            break;
        }
        level = next;
    }
    won.into_values().collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn asking_level_by_level_ends_where_knowing_everything_ends(
        edges in proptest::collection::vec((0usize..8, 1usize..3, 0usize..8, 1usize..3), 0..30),
        root in proptest::collection::btree_map(0usize..8, 1usize..3, 1..4),
    ) {
        // Edges lead to higher numbers, so there are no cycles; an application is named once.
        let mut graph: BTreeMap<String, BTreeMap<usize, usize>> = BTreeMap::new();
        for (from, tag, to, to_tag) in edges {
            if from < to {
                graph.entry(format!("n{from}@{tag}")).or_default().insert(to, to_tag);
            }
        }
        let names = |deps: &BTreeMap<usize, usize>| -> Vec<String> {
            deps.iter().map(|(app, tag)| format!("n{app}@{tag}")).collect()
        };
        let graph: BTreeMap<String, Vec<String>> =
            graph.iter().map(|(name, deps)| (name.clone(), names(deps))).collect();
        let root = names(&root);
        let configs: Vec<(String, String)> =
            graph.iter().map(|(name, list)| (name.clone(), deps(&list.join(" ")))).collect();
        let repositories: Vec<(&str, &str)> =
            configs.iter().map(|(name, config)| (name.as_str(), config.as_str())).collect();
        let found = world(&deps(&root.join(" ")), &repositories).short();
        let expected: Vec<String> = by_the_book(&graph, &root)
            .into_iter()
            .map(|(name, level)| format!("dep {name} {level}"))
            .collect();
        proptest::prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_package_without_a_named_repository_is_from_whichever_had_it() {
    let pin = Pin::Hex {
        repository: "acme".into(),
        package: "tongue".into(),
        version: "1.0.0".into(),
        outer: Digest::of(b"outer"),
        tree: Digest::of(b"tree"),
    };
    let wish = |repository: Option<&str>| WishSource::Hex {
        package: "tongue".into(),
        requirement: None,
        repository: repository.map(str::to_owned),
    };
    assert!(super::is_from(&pin, &wish(None)));
    assert!(super::is_from(&pin, &wish(Some("acme"))));
    assert!(!super::is_from(&pin, &wish(Some("other"))));
}

fn pinned(result: &Result<Resolution, ResolveError>, app: &str) -> String {
    let resolution = result.as_ref().unwrap();
    let source = resolution.sources.iter().find(|source| source.app == app).unwrap();
    source.wanted.clone()
}

#[test]
fn trap_5_of_erlang_mk_what_is_fetched_first_wins_and_both_parents_are_told() {
    let config = deps("a@1 b@1");
    let (a, b, c) = (deps("c@1"), deps("d@1"), deps("d@2"));
    let repositories = [("a@1", a.as_str()), ("b@1", &b), ("c@1", &c)];
    let nearest = world(&config, &repositories).run();
    assert_eq!(pinned(&nearest.result, "d"), "tag 1");

    let mut world = world(&config, &repositories);
    world.project.rule = crate::lock::Rule::FirstFetched;
    world.project.profiles.clear();
    let ran = world.run();
    assert_eq!(ran.rounds, ["a@1 b@1", "c@1", "d@2"]);
    assert_eq!(pinned(&ran.result, "d"), "tag 2");
    let conflicts = ran.result.unwrap().conflicts;
    let text = conflicts[0].to_string();
    assert!(text.contains("tag 2 (by c)") && text.contains("tag 1 (by b)"), "{text}");
}

#[test]
fn erlang_mk_fetches_all_that_an_application_names_before_it_goes_down() {
    let config = deps("a@1 b@1");
    let (a, b) = (deps("b@2 c@1"), deps("c@2"));
    let mut world = world(&config, &[("a@1", a.as_str()), ("b@1", &b)]);
    world.project.rule = crate::lock::Rule::FirstFetched;
    let ran = world.run();
    assert_eq!(pinned(&ran.result, "b"), "tag 1");
    assert_eq!(pinned(&ran.result, "c"), "tag 1");
}
