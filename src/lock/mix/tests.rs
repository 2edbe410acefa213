use std::collections::BTreeMap;

use super::*;
use crate::explain::Explain as _;
use crate::lock::git_url;
use crate::manifest::Tool;
use crate::manifest::rebar::{GitRef, RebarFacts};

/// A registry and a forge: packages with their versions and needs, repositories with what they ask for.
#[derive(Default)]
struct World {
    facts: MixFacts,
    choices: BTreeMap<String, DepOverride>,
    packages: BTreeMap<String, Vec<Offer>>,
    repositories: BTreeMap<String, Vec<MixDep>>,
    previous: Option<Lock>,
    imported: Option<MixLock>,
    asked_for: Vec<String>,
}

/// `name ~> 1.0`, or `name git TAG`, with `?` for optional and `!` for override in front.
fn dep(parent: &str, text: &str) -> MixDep {
    let optional = text.starts_with('?');
    let wins = text.starts_with('!');
    let text = text.trim_start_matches(['?', '!']);
    let (app, rest) = text.split_once(' ').unwrap_or((text, ""));
    let source = match rest.strip_prefix("git ") {
        Some(tag) => WishSource::Git {
            url: format!("https://git.test/{app}"),
            reference: GitRef::Tag(tag.into()),
            subdir: None,
        },
        None => WishSource::Hex {
            package: app.into(),
            requirement: Some(rest.to_owned()).filter(|text| !text.is_empty()),
            repository: None,
        },
    };
    let wish = Wish { app: app.into(), source };
    MixDep {
        parent: parent.into(),
        wish,
        only: BTreeSet::new(),
        optional,
        wins,
        is_raw: false,
        manager: None,
    }
}

impl World {
    fn asks(mut self, deps: &[&str]) -> Self {
        self.facts.deps.extend(deps.iter().map(|text| dep("shop", text)));
        self
    }

    fn has(mut self, package: &str, version: &str, needs: &[&str]) -> Self {
        let need = |text: &&str| {
            let MixDep { wish, optional, .. } = dep("", text);
            let WishSource::Hex { package, requirement, .. } = wish.source else {
                panic!("{text}")
            };
            let requirement = requirement.unwrap_or_else(|| ">= 0.0.0".into());
            Need { app: wish.app, package, repository: None, requirement, optional }
        };
        let needs = needs.iter().map(need).collect();
        let inner = Some(Digest::of(version.as_bytes()));
        let offers = self.packages.entry(package.into()).or_default();
        offers.insert(0, Offer { version: version.into(), inner, needs });
        self
    }

    fn holds(mut self, app: &str, tag: &str, deps: &[&str]) -> Self {
        let deps = deps.iter().map(|text| dep(app, text)).collect();
        self.repositories.insert(format!("{app} {tag}"), deps);
        self
    }

    fn settle(&self, request: &Request) -> MixSettled {
        let app = request.app.clone();
        let (pin, deps) = match &request.wish.source {
            WishSource::Git { url, reference: GitRef::Tag(tag), .. } => {
                let (url, commit) = (git_url::normalise(url), "a".repeat(40));
                let pin = Pin::Git { url, commit, subdir: None, tree: Digest::of(tag.as_bytes()) };
                (pin, self.repositories[&format!("{app} {tag}")].clone())
            }
            WishSource::Hex { package, requirement, .. } => {
                let version = requirement.as_ref().unwrap().trim_start_matches("== ").to_owned();
                let (outer, tree) = (Digest::of(b"outer"), Digest::of(version.as_bytes()));
                let repository = "hexpm".into();
                (Pin::Hex { repository, package: package.clone(), version, outer, tree }, vec![])
            }
            other => panic!("{other:?}"),
        };
        let (role, tool, facts) = (request.role, Tool::Mix, RebarFacts::default());
        MixSettled { settled: Settled { app, role, pin, describe: None, tool, facts }, deps }
    }

    fn resolve(&mut self) -> Result<Vec<Source>, MixResolveError> {
        let project = MixProject {
            name: "shop",
            env: "prod",
            facts: &self.facts,
            choices: &self.choices,
            previous: self.previous.as_ref(),
            imported: self.imported.as_ref(),
        };
        let mut resolver = MixResolver::new(project);
        for _ in 0..100 {
            match resolver.next_level()? {
                Next::Done => return Ok(resolver.finish()?.sources),
                Next::Sources(requests) => {
                    let answers = requests.iter().map(|request| self.settle(request)).collect();
                    resolver.settle(answers);
                }
                Next::Packages(packages) => {
                    for package in packages {
                        self.asked_for.push(package.1.clone());
                        let offers = self.packages[&package.1].clone();
                        resolver.offer(package, offers);
                    }
                }
            }
        }
        panic!("the closure has no end");
    }

    fn versions(&mut self) -> Vec<String> {
        let words = |source: &Source| match &source.pin {
            Pin::Hex { version, .. } => format!("{} {version}", source.app),
            _ => format!("{} git", source.app),
        };
        self.resolve().unwrap().iter().map(words).collect()
    }
}

#[test]
fn the_newest_versions_that_are_right_for_all_are_chosen() {
    let mut world = World::default()
        .asks(&["web ~> 1.0", "cart ~> 1.0"])
        .has("web", "1.0.0", &["plug ~> 1.0"])
        .has("web", "1.1.0", &["plug ~> 2.0"])
        .has("cart", "1.0.0", &["plug ~> 1.0"])
        .has("plug", "1.0.0", &[])
        .has("plug", "1.4.0", &[])
        .has("plug", "1.5.0-rc.1", &[])
        .has("plug", "2.0.0", &[]);
    assert_eq!(world.versions(), ["cart 1.0.0", "plug 1.4.0", "web 1.0.0"]);
    let sources = world.resolve().unwrap();
    let plug = &sources[1];
    assert_eq!(plug.parents, ["cart", "web"].map(str::to_owned).into());
    assert_eq!((plug.level, plug.wanted.as_str()), (1, "~> 1.0"));
    assert_eq!(sources[2].deps, BTreeSet::from(["plug".to_owned()]));
}

#[test]
fn a_conflict_is_told_with_both_chains() {
    let mut world = World::default()
        .asks(&["web", "cart"])
        .has("web", "1.0.0", &["plug ~> 2.0"])
        .has("cart", "1.0.0", &["basket ~> 1.0"])
        .has("basket", "1.0.0", &["plug ~> 1.0"])
        .has("plug", "1.0.0", &[])
        .has("plug", "2.0.0", &[]);
    let error = world.resolve().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("no version of `plug` is right for all:"), "{text}");
    assert!(text.contains("`~> 2.0` by shop → web"), "{text}");
    assert!(text.contains("`~> 1.0` by shop → cart → basket"), "{text}");
    assert!(error.hint().unwrap().contains("override: true"));
}

#[test]
fn the_top_projects_override_counts_whatever_others_ask_for() {
    let mut world = World::default()
        .asks(&["web", "!plug ~> 3.0", "!glue git 2.0"])
        .has("web", "1.0.0", &["plug ~> 1.0", "glue ~> 1.0"])
        .has("plug", "3.0.0", &[])
        .holds("glue", "2.0", &["plug git 9.9"]);
    assert_eq!(world.versions(), ["glue git", "plug 3.0.0", "web 1.0.0"]);
    let sources = world.resolve().unwrap();
    assert_eq!(sources[1].lost, ["https://git.test/plug tag 9.9 (by glue)"]);
}

#[test]
fn without_an_override_two_places_for_one_application_are_refused() {
    let asks = ["a git 1.0", "b git 1.0"];
    let mut world = World::default()
        .asks(&asks)
        .holds("a", "1.0", &["c git 1.0"])
        .holds("b", "1.0", &["c git 2.0"])
        .holds("c", "1.0", &[])
        .holds("c", "2.0", &[]);
    let text = world.resolve().unwrap_err().to_string();
    assert!(text.contains("`https://git.test/c tag 1.0` by shop → a"), "{text}");
    assert!(text.contains("`https://git.test/c tag 2.0` by shop → b"), "{text}");
    let use_source = Some("b".to_owned());
    world.choices.insert("c".into(), DepOverride { use_source, ..DepOverride::default() });
    assert_eq!(world.versions(), ["a git", "b git", "c git"]);
    let mut world = World::default()
        .asks(&["web", "plug git 1.0"])
        .has("web", "1.0.0", &["plug ~> 1.0"])
        .holds("plug", "1.0", &[]);
    let text = world.resolve().unwrap_err().to_string();
    assert!(text.contains("`~> 1.0` by shop → web"), "{text}");
}

#[test]
fn an_optional_need_only_bounds_what_others_ask_for() {
    let world = || {
        World::default().has("web", "1.0.0", &["?json ~> 1.0"]).has("json", "1.0.0", &[]).has(
            "json",
            "2.0.0",
            &[],
        )
    };
    assert_eq!(world().asks(&["web"]).versions(), ["web 1.0.0"]);
    assert_eq!(world().asks(&["web", "json"]).versions(), ["json 1.0.0", "web 1.0.0"]);
}

#[test]
fn what_was_locked_stays_while_it_is_right() {
    let registry = || {
        World::default().asks(&["plug ~> 1.0"]).has("plug", "1.0.0", &[]).has("plug", "1.1.0", &[])
    };
    assert_eq!(registry().versions(), ["plug 1.1.0"]);
    let with = |text: &str| {
        let mut world = registry();
        world.imported = Some(MixLock::parse(text).unwrap());
        world
    };
    assert_eq!(with("%{\"plug\" => {:hex, :plug, \"1.0.0\"}}").versions(), ["plug 1.0.0"]);
    // What is no longer right is left behind.
    assert_eq!(with("%{\"plug\" => {:hex, :plug, \"0.9.0\"}}").versions(), ["plug 1.1.0"]);
    let wrong = Digest::of(b"another").hex();
    let text = format!("%{{\"plug\" => {{:hex, :plug, \"1.0.0\", \"{wrong}\"}}}}");
    assert!(matches!(with(&text).resolve(), Err(MixResolveError::Checksum { .. })));
}

#[test]
fn a_dead_end_far_from_its_cause_is_left_in_one_jump() {
    // Thirty packages of ten versions each have nothing to do with the trouble: going through them all never ends.
    let names: Vec<String> = (0..30).map(|number| format!("free{number}")).collect();
    let mut world = World::default().asks(&["early"]);
    for version in ["1.0.0", "2.0.0"] {
        let needs = format!("late == {version}");
        world = world.has("early", version, &["middle", &needs]);
        world = world.has("late", version, &[]);
    }
    world = world.has("late", "3.0.0", &[]);
    for name in &names {
        world = world.asks(&[name]);
        for version in 0..10 {
            world = world.has(name, &format!("1.{version}.0"), &[]);
        }
    }
    world = world.has("middle", "1.0.0", &["late == 1.0.0"]);
    let versions = world.versions();
    assert!(versions.contains(&"early 1.0.0".to_owned()), "{versions:?}");
    assert!(versions.contains(&"free0 1.9.0".to_owned()), "{versions:?}");
}

/// One who needs a package at a version of his own at most at a version: `(from, at, to, least)`.
type Bound = (usize, usize, usize, usize);

/// Tries every choice of versions, or of none, for five packages of three versions each.
fn any_way(needs: &[Bound]) -> Option<[usize; 5]> {
    const NONE: usize = 3;
    let choices = (0..4_usize.pow(5)).map(|number| {
        std::array::from_fn::<usize, 5, _>(|place| number / 4_usize.pow(place as u32) % 4)
    });
    let is_right = |chosen: &[usize; 5]| {
        let fits = |(from, at, to, least): &Bound| {
            chosen[*from] != *at || from == to || (chosen[*to] != NONE && chosen[*to] <= *least)
        };
        chosen[0] != NONE && chosen[1] != NONE && chosen[1] >= 1 && needs.iter().all(fits)
    };
    choices.into_iter().find(is_right)
}

#[test]
fn thirty_packages_that_all_need_one_another_are_settled_in_no_time() {
    // Each version asks for the next three packages at its own number, and the last one has no newest version.
    let mut world = World::default().asks(&["p0"]);
    for package in 0..30 {
        for version in 0..12 {
            let next = (package + 1..30).take(3).map(|next| format!("p{next} ~> 1.{version}.0"));
            let needs: Vec<String> = next.collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            if package < 29 || version < 7 {
                world = world.has(&format!("p{package}"), &format!("1.{version}.0"), &needs);
            }
        }
    }
    let begun = std::time::Instant::now();
    let versions = world.versions();
    assert_eq!(versions.len(), 30);
    assert!(versions.iter().all(|words| words.ends_with(" 1.6.0")), "{versions:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}

proptest::proptest! {
    #[test]
    fn what_is_chosen_is_right_for_all(
        needs in proptest::collection::vec((0..5usize, 0..3usize, 0..5usize, 0..3usize), 0..12)
    ) {
        let mut world = World::default().asks(&["p0", "p1 >= 1.1.0"]);
        for package in 0..5 {
            for version in 0..3 {
                let wanted: Vec<String> = needs
                    .iter()
                    .filter(|(from, at, to, _)| *from == package && *at == version && to != from)
                    .map(|(_, _, to, least)| format!("p{to} <= 1.{least}.0"))
                    .collect();
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                world = world.has(&format!("p{package}"), &format!("1.{version}.0"), &wanted);
            }
        }
        let Ok(sources) = world.resolve() else {
            // A search that gives up where there is a way is as wrong as one that takes a wrong one.
            proptest::prop_assert_eq!(any_way(&needs), None);
            return Ok(());
        };
        let version = |app: &str| sources.iter().find(|source| source.app == app).map(|source| match &source.pin {
            Pin::Hex { version, .. } => crate::version::Version::parse(version).unwrap(),
            other => panic!("{other:?}"),
        });
        for (from, at, to, least) in needs.iter().filter(|(from, _, to, _)| from != to) {
            let own = crate::version::Version::parse(&format!("1.{at}.0"));
            if version(&format!("p{from}")) == own {
                let bound = crate::version::Version::parse(&format!("1.{least}.0"));
                let chosen = version(&format!("p{to}"));
                proptest::prop_assert!(chosen.is_some() && chosen <= bound);
            }
        }
    }
}
