//! Stale: what of a lock no longer fits what the project and its manifest ask for.
//!
//! Only what the project itself says is compared, so nothing is fetched or evaluated here: the
//! toolchain, and each application and plugin that the project names. What an override changes
//! further down is seen by resolving again over held sources.

use std::collections::BTreeMap;
use std::fmt;

use crate::lock::resolve::{Asked, ProjectFacts, address, is_chosen, is_from, wanted};
use crate::lock::{IMAGE_FORMAT, Lock, Role, Source};
use crate::manifest::Manifest;
use crate::manifest::rebar::{RebarFacts, Wish, WishSource};

/// One field of one entry that is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staleness {
    /// The entry: `[project]`, `[toolchain]`, ``dep `cowlib` ``.
    pub entry: String,
    /// The field; `entry` where the whole entry is missing or too much.
    pub field: &'static str,
    /// What the lock says; `None` where it has nothing.
    pub locked: Option<String>,
    /// What is asked for; `None` where nothing is.
    pub wanted: Option<String>,
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, field, .. } = self;
        match (&self.locked, &self.wanted) {
            (Some(locked), Some(wanted)) => {
                write!(
                    f,
                    "`{field}` of {entry} is `{locked}`, and `{wanted}` is asked for"
                )
            }
            (None, Some(wanted)) => write!(f, "{entry} is not locked, and `{wanted}` is asked for"),
            (Some(locked), None) => {
                write!(
                    f,
                    "{entry} is locked as `{locked}`, and the project no longer asks for it"
                )
            }
            (None, None) => write!(f, "`{field}` of {entry} is stale"),
        }
    }
}

/// Compares a lock with what the project and its manifest ask for now; empty when it fits.
pub fn stale(lock: &Lock, project: &ProjectFacts, manifest: &Manifest) -> Vec<Staleness> {
    let mut found = Findings::default();
    let format = |number: u32| number.to_string();
    found.compare(
        "the lock",
        "image_format",
        &format(lock.image_format),
        &format(IMAGE_FORMAT),
    );
    found.compare("[project]", "name", &lock.project, &manifest.project.name);
    found.compare(
        "[toolchain]",
        "otp",
        &lock.toolchain.otp,
        &manifest.toolchain.otp,
    );
    let list = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    let packages = list(&manifest.toolchain.packages);
    found.compare(
        "[toolchain]",
        "packages",
        &list(&lock.toolchain.wished),
        &packages,
    );
    let deps = named_deps(project);
    for (wish, profiles) in deps.values() {
        found.dep(lock, manifest, wish, profiles);
    }
    let plugins = named_plugins(project, manifest);
    for wish in plugins.values().flatten() {
        found.plugin(lock, wish);
    }
    for source in &lock.sources {
        found.no_longer_asked(source, project, &deps, &plugins);
        let tool = manifest.deps.get(&source.app).and_then(|dep| dep.tool);
        if let Some(tool) = tool {
            found.compare(
                &entry(source.role, &source.app),
                "tool",
                source.tool.name(),
                tool.name(),
            );
        }
    }
    found.0
}

type NamedDeps = BTreeMap<String, (Wish, Vec<String>)>;
type NamedPlugins = BTreeMap<String, Vec<Wish>>;

/// What the project names, with the profiles that do; the last profile's word counts, as it does
/// when the project is resolved.
fn named_deps(project: &ProjectFacts) -> NamedDeps {
    let mut named = NamedDeps::new();
    let mut take = |profile: &str, wishes: &[Wish]| {
        for wish in wishes
            .iter()
            .filter(|wish| !project.apps.contains_key(&wish.app))
        {
            let entry = named.entry(wish.app.clone());
            let (_, profiles) = entry.or_insert_with(|| (wish.clone(), Vec::new()));
            profiles.push(profile.to_owned());
        }
    };
    for profile in project.profiles.iter().rev() {
        for facts in configs(project) {
            let deps = facts.profiles.get(profile).map(|facts| &facts.deps[..]);
            take(profile, deps.unwrap_or_default());
        }
    }
    for facts in configs(project) {
        take("default", &facts.deps);
    }
    named
}

fn named_plugins(project: &ProjectFacts, manifest: &Manifest) -> NamedPlugins {
    let ignored = manifest
        .deps
        .get(&project.name)
        .map(|dep| &dep.ignore_plugins[..]);
    let ignored = ignored.unwrap_or_default();
    let mut named = NamedPlugins::new();
    let mut take = |wishes: &[Wish]| {
        for wish in wishes {
            let is_own = project.apps.contains_key(&wish.app);
            if !is_own && !ignored.contains(&wish.app) {
                named
                    .entry(wish.app.clone())
                    .or_default()
                    .push(wish.clone());
            }
        }
    };
    take(&project.config.project_plugins);
    for facts in configs(project) {
        take(&facts.plugins);
        for profile in &project.profiles {
            let plugins = facts.profiles.get(profile).map(|facts| &facts.plugins[..]);
            take(plugins.unwrap_or_default());
        }
    }
    named
}

fn configs(project: &ProjectFacts) -> impl Iterator<Item = &RebarFacts> {
    std::iter::once(&project.config).chain(project.apps.values())
}

fn entry(role: Role, app: &str) -> String {
    format!("{} `{app}`", role.name())
}

fn whole(source: &WishSource) -> String {
    format!("{} {}", address(source), wanted(source))
}

#[derive(Default)]
struct Findings(Vec<Staleness>);

impl Findings {
    fn add(
        &mut self,
        entry: &str,
        field: &'static str,
        locked: Option<&str>,
        wanted: Option<&str>,
    ) {
        self.0.push(Staleness {
            entry: entry.to_owned(),
            field,
            locked: locked.map(str::to_owned),
            wanted: wanted.map(str::to_owned),
        });
    }

    fn compare(&mut self, entry: &str, field: &'static str, locked: &str, wanted: &str) {
        if locked != wanted {
            self.add(entry, field, Some(locked), Some(wanted));
        }
    }

    fn dep(&mut self, lock: &Lock, manifest: &Manifest, wish: &Wish, profiles: &[String]) {
        let name = entry(Role::Dep, &wish.app);
        let Some(source) = lock.find(Role::Dep, &wish.app) else {
            self.add(&name, "entry", None, Some(&whole(&wish.source)));
            return;
        };
        let choice = manifest
            .deps
            .get(&wish.app)
            .and_then(|dep| dep.use_source.as_ref());
        match choice {
            Some(choice) if !is_choice_of(choice, wish, lock) => {
                self.chosen_elsewhere(&name, source, choice);
            }
            _ => self.source(&name, source, &wish.source),
        }
        let is_default = profiles.iter().any(|profile| profile == "default");
        let locked: Vec<&str> = source.profiles.iter().map(String::as_str).collect();
        let only_project = source.parents.iter().eq([&lock.project]);
        if is_default && !locked.is_empty() {
            self.add(&name, "profiles", Some(&locked.join(", ")), Some("default"));
        } else if !is_default && locked.is_empty() && only_project {
            self.add(
                &name,
                "profiles",
                Some("default"),
                Some(&profiles.join(", ")),
            );
        }
    }

    /// A choice that is not the project's own request: its parent must be there still, its url and
    /// reference must be what is locked.
    fn chosen_elsewhere(&mut self, name: &str, source: &Source, choice: &str) {
        let is_locked = match choice.split_once('#') {
            Some((_, reference)) => {
                source.wanted == reference || source.wanted.ends_with(&format!(" {reference}"))
            }
            None => source.parents.contains(choice),
        };
        if !is_locked {
            self.add(name, "wanted", Some(&source.wanted), Some(choice));
        }
    }

    fn source(&mut self, name: &str, source: &Source, wished: &WishSource) {
        if !is_from(&source.pin, wished) {
            let field = match wished {
                WishSource::Git { .. } => "url",
                WishSource::Hex { .. } => "package",
            };
            self.add(
                name,
                field,
                Some(&source.pin.address()),
                Some(&address(wished)),
            );
        }
        self.compare(name, "wanted", &source.wanted, &wanted(wished));
    }

    /// Among plugins the first one installed wins, so what the project names may have lost.
    fn plugin(&mut self, lock: &Lock, wish: &Wish) {
        let name = entry(Role::Plugin, &wish.app);
        let Some(source) = lock.find(Role::Plugin, &wish.app) else {
            self.add(&name, "entry", None, Some(&whole(&wish.source)));
            return;
        };
        let lost = format!("{} (by ", whole(&wish.source));
        if !source.lost.iter().any(|text| text.starts_with(&lost)) {
            self.source(&name, source, &wish.source);
        }
    }

    fn no_longer_asked(
        &mut self,
        source: &Source,
        project: &ProjectFacts,
        deps: &NamedDeps,
        plugins: &NamedPlugins,
    ) {
        let is_named = match source.role {
            Role::Dep => deps.contains_key(&source.app),
            Role::Plugin => plugins.contains_key(&source.app),
            Role::Tool => return,
        };
        let is_own = project.apps.contains_key(&source.app);
        if is_own || (source.parents.contains(&project.name) && !is_named) {
            let locked = format!("{} {}", source.pin.address(), source.wanted);
            self.add(
                &entry(source.role, &source.app),
                "entry",
                Some(&locked),
                None,
            );
        }
    }
}

/// Tells whether a choice means what the project itself asks for.
fn is_choice_of(choice: &str, wish: &Wish, lock: &Lock) -> bool {
    let asked = Asked {
        source: wish.source.clone(),
        parents: [lock.project.clone()].into(),
    };
    is_chosen(choice, &asked)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::digest::Digest;
    use crate::lock::{Pin, ToolchainLock};
    use crate::manifest::{
        Build, DepOverride, ImageWish, Project, ReleaseWish, Tool, ToolchainWish,
    };

    fn manifest() -> Manifest {
        Manifest {
            project: Project {
                name: "top".into(),
                version: "1".into(),
            },
            toolchain: ToolchainWish {
                otp: "25".into(),
                packages: vec!["libz-dev".into(), "libexpat1-dev".into()],
            },
            build: Build {
                tool: Tool::Rebar3,
                profile: "prod".into(),
                env: BTreeMap::new(),
            },
            deps: BTreeMap::new(),
            release: ReleaseWish::default(),
            image: ImageWish {
                name: "top".into(),
                ports: vec![],
                env: BTreeMap::new(),
                user: (1, 1),
                volumes: vec![],
                labels: BTreeMap::new(),
                health: None,
                entrypoint: None,
                cmd: vec![],
                shell: crate::manifest::Shell::None,
                tzdata: false,
                ca_certificates: None,
            },
            mirrors: BTreeMap::new(),
        }
    }

    fn list(names: &str) -> String {
        let dep = |name: &str| {
            let (app, tag) = name.split_once('@').unwrap();
            format!(r#"{{{app}, {{git, "git://git.example/{app}.git", {{tag, "{tag}"}}}}}}"#)
        };
        let deps: Vec<String> = names.split_whitespace().map(dep).collect();
        format!("[{}]", deps.join(", "))
    }

    fn project(deps: &str, prod: &str, plugins: &str) -> ProjectFacts {
        let text = format!(
            "{{deps, {}}}. {{plugins, {}}}. {{profiles, [{{prod, [{{deps, {}}}]}}]}}.",
            list(deps),
            list(plugins),
            list(prod)
        );
        ProjectFacts {
            name: "top".into(),
            profiles: vec!["prod".into()],
            config: RebarFacts::read(&text, "rebar.config").unwrap(),
            apps: BTreeMap::from([("top".into(), RebarFacts::default())]),
        }
    }

    fn source(role: Role, app: &str, parents: &[&str]) -> Source {
        Source {
            app: app.into(),
            role,
            pin: Pin::Git {
                url: format!("https://git.example/{app}"),
                commit: "0".repeat(40),
                subdir: None,
                tree: Digest::of(app.as_bytes()),
            },
            wanted: "tag 1".into(),
            describe: None,
            tool: Tool::Rebar3,
            level: 0,
            parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
            deps: BTreeSet::new(),
            profiles: BTreeSet::new(),
            lost: Vec::new(),
        }
    }

    /// `a` and, in `prod`, `b`; `c` below `a`; the plugin `pc`.
    fn lock() -> Lock {
        let mut b = source(Role::Dep, "b", &["top"]);
        b.profiles.insert("prod".into());
        Lock {
            project: "top".into(),
            epoch: 0,
            image_format: IMAGE_FORMAT,
            toolchain: ToolchainLock {
                otp: "25".into(),
                wished: vec!["libexpat1-dev".into(), "libz-dev".into()],
                suite: "bookworm".into(),
                debs: vec![],
            },
            sources: vec![
                source(Role::Dep, "a", &["top"]),
                b,
                source(Role::Dep, "c", &["a"]),
                source(Role::Plugin, "pc", &["top"]),
            ],
        }
    }

    fn said(lock: &Lock, project: &ProjectFacts, manifest: &Manifest) -> Vec<String> {
        stale(lock, project, manifest)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn fitting() -> ProjectFacts {
        project("a@1", "b@1", "pc@1")
    }

    #[test]
    fn a_lock_that_fits_has_nothing_stale() {
        assert_eq!(said(&lock(), &fitting(), &manifest()), Vec::<String>::new());
    }

    #[test]
    fn each_stale_field_is_named_with_what_is_asked_for() {
        let now = project("a@2 d@1", "", "");
        let mut manifest = manifest();
        manifest.toolchain.otp = "27".into();
        manifest.toolchain.packages = vec![];
        let mut lock = lock();
        lock.image_format = 0;
        assert_eq!(
            said(&lock, &now, &manifest),
            [
                "`image_format` of the lock is `0`, and `1` is asked for",
                "`otp` of [toolchain] is `25`, and `27` is asked for",
                "`packages` of [toolchain] is `libexpat1-dev, libz-dev`, and `none` is asked for",
                "`wanted` of dep `a` is `tag 1`, and `tag 2` is asked for",
                "dep `d` is not locked, and `https://git.example/d tag 1` is asked for",
                "dep `b` is locked as `https://git.example/b tag 1`, and the project no longer asks for it",
                "plugin `pc` is locked as `https://git.example/pc tag 1`, and the project no longer asks for it",
            ]
        );
    }

    #[test]
    fn another_address_is_stale_and_another_spelling_of_it_is_not() {
        let mut lock = lock();
        let Pin::Git { url, .. } = &mut lock.sources[0].pin else {
            unreachable!("it is git")
        };
        *url = "https://elsewhere.example/a".into();
        assert_eq!(
            said(&lock, &fitting(), &manifest()),
            [
                "`url` of dep `a` is `https://elsewhere.example/a`, and `https://git.example/a` is asked for"
            ]
        );
    }

    #[test]
    fn a_move_between_profiles_is_stale() {
        let now = project("b@1", "a@1", "pc@1");
        assert_eq!(
            said(&lock(), &now, &manifest()),
            [
                "`profiles` of dep `a` is `default`, and `prod` is asked for",
                "`profiles` of dep `b` is `prod`, and `default` is asked for",
            ]
        );
    }

    #[test]
    fn a_plugin_that_lost_to_one_installed_before_it_is_not_stale() {
        let mut lock = lock();
        let now = project("a@1", "b@1", "pc@2");
        assert_eq!(said(&lock, &now, &manifest()).len(), 1);
        lock.sources[3].lost = vec!["https://git.example/pc tag 2 (by top)".into()];
        assert_eq!(said(&lock, &now, &manifest()), Vec::<String>::new());
    }

    #[test]
    fn a_choice_is_stale_until_it_is_what_is_locked() {
        let mut manifest = manifest();
        let choose = |choice: &str| DepOverride {
            use_source: Some(choice.into()),
            ..DepOverride::default()
        };
        for (choice, expected) in [
            ("top", None),
            ("https://git.example/a#1", None),
            (
                "c",
                Some("`wanted` of dep `a` is `tag 1`, and `c` is asked for"),
            ),
            (
                "https://git.example/a#2",
                Some("`wanted` of dep `a` is `tag 1`, and `https://git.example/a#2` is asked for"),
            ),
        ] {
            manifest.deps.insert("a".into(), choose(choice));
            let said = said(&lock(), &fitting(), &manifest);
            assert_eq!(said.first().map(String::as_str), expected, "{choice}");
        }
    }

    #[test]
    fn an_application_that_became_the_projects_own_is_stale() {
        let mut now = fitting();
        now.apps.insert("c".into(), RebarFacts::default());
        assert_eq!(
            said(&lock(), &now, &manifest()),
            [
                "dep `c` is locked as `https://git.example/c tag 1`, and the project no longer asks for it"
            ]
        );
    }

    #[test]
    fn an_ignored_plugin_is_not_missed() {
        let mut manifest = manifest();
        let dep = manifest.deps.entry("top".into()).or_default();
        dep.ignore_plugins = vec!["lint".into()];
        let now = project("a@1", "b@1", "pc@1 lint@1");
        assert_eq!(said(&lock(), &now, &manifest), Vec::<String>::new());
    }
}
