//! Stale: what of a lock no longer fits what the project and its manifest ask for.
//!
//! Only what the project itself says is compared, so nothing is fetched or evaluated here: the
//! toolchain, and each application and plugin that the project names. What an override changes
//! further down is seen by resolving again over held sources, as `pipeline` does when all of this fits.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::lock::resolve::{Asked, ProjectFacts, Rule, address, is_chosen, is_from, wanted};
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
                write!(f, "`{field}` of {entry} is `{locked}`, and `{wanted}` is asked for")
            }
            (None, Some(wanted)) => write!(f, "{entry} is not locked, and `{wanted}` is asked for"),
            (Some(locked), None) => {
                write!(f, "{entry} is locked as `{locked}`, and the project no longer asks for it")
            }
            (None, None) => write!(f, "`{field}` of {entry} is stale"),
        }
    }
}

/// Compares a lock with what the project and its manifest ask for now; empty when it fits.
pub fn stale(lock: &Lock, project: &ProjectFacts, manifest: &Manifest) -> Vec<Staleness> {
    let mut found = Findings::default();
    let format = |number: u32| number.to_string();
    found.compare("the lock", "image_format", &format(lock.image_format), &format(IMAGE_FORMAT));
    found.compare("[project]", "name", &lock.project, &manifest.project.name);
    found.compare("[toolchain]", "otp", &lock.toolchain.otp, &manifest.toolchain.otp);
    let list = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    let packages = list(&manifest.wished_packages());
    found.compare("[toolchain]", "packages", &list(&lock.toolchain.wished), &packages);
    let own = lock.toolchain.platform();
    for platform in manifest.image.platforms.iter().filter(|platform| Some(**platform) != own) {
        if lock.platform(*platform).is_none() {
            found.add("`[[platform]]`", "entry", None, Some(platform.name()));
        }
    }
    let none = || "none".to_owned();
    let base = lock.base.as_ref().map_or_else(none, |base| base.image.clone());
    let wished = manifest.image.base.clone().unwrap_or_else(none);
    found.compare("[base]", "image", &base, &wished);
    found.services(lock, manifest);
    let deps = named_deps(project);
    // Where make goes down into one of the project's applications, what lies below may be fetched before the next of these
    // asks; resolving again tells.
    let is_sure = |wish: &Wish| {
        let mut deps = project.config.deps.iter();
        project.rule == Rule::Nearest || deps.any(|known| known.app == wish.app)
    };
    for (wish, profiles) in deps.values().filter(|(wish, _)| is_sure(wish)) {
        found.dep(lock, manifest, wish, profiles);
    }
    found.stated(lock, manifest);
    for wish in &project.tools {
        found.asked(lock, Role::Tool, &wish.app, &wish.source);
    }
    let plugins = named_plugins(project, manifest);
    let stated = manifest.deps.iter().filter(|(_, dep)| dep.source.is_some());
    let stated: BTreeSet<String> = stated.map(|(app, _)| app.clone()).collect();
    for wish in plugins.values().flatten() {
        found.plugin(lock, wish);
    }
    for source in &lock.sources {
        found.no_longer_asked(source, project, (&deps, &stated), &plugins);
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
        for wish in wishes.iter().filter(|wish| !project.apps.contains_key(&wish.app)) {
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
    let ignored = manifest.deps.get(&project.name).map(|dep| &dep.ignore_plugins[..]);
    let ignored = ignored.unwrap_or_default();
    let mut named = NamedPlugins::new();
    let mut take = |wishes: &[Wish]| {
        for wish in wishes {
            let is_own = project.apps.contains_key(&wish.app);
            if !is_own && !ignored.contains(&wish.app) {
                named.entry(wish.app.clone()).or_default().push(wish.clone());
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

    fn services(&mut self, lock: &Lock, manifest: &Manifest) {
        const ENTRY: &str = "a service of `[[service]]`";
        let wished = manifest.service_packages();
        for packages in wished.iter().filter(|packages| lock.service(packages).is_none()) {
            self.add(ENTRY, "entry", None, Some(&packages.join(", ")));
        }
        for locked in lock.services.iter().filter(|locked| !wished.contains(&locked.wished)) {
            self.add(ENTRY, "entry", Some(&locked.wished.join(", ")), None);
        }
    }

    fn dep(&mut self, lock: &Lock, manifest: &Manifest, wish: &Wish, profiles: &[String]) {
        let name = entry(Role::Dep, &wish.app);
        let Some(source) = lock.find(Role::Dep, &wish.app) else {
            self.add(&name, "entry", None, Some(&whole(&wish.source)));
            return;
        };
        let wished = manifest.deps.get(&wish.app);
        if wished.is_some_and(|dep| dep.source.is_some()) {
            return;
        }
        let choice = wished.and_then(|dep| dep.use_source.as_ref());
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
            self.add(&name, "profiles", Some("default"), Some(&profiles.join(", ")));
        }
    }

    /// What the manifest gives a source comes from there in both namespaces.
    fn stated(&mut self, lock: &Lock, manifest: &Manifest) {
        for (app, dep) in &manifest.deps {
            let Some(source) = &dep.source else { continue };
            match lock.find(Role::Plugin, app) {
                Some(plugin) => self.source(&entry(Role::Plugin, app), plugin, source),
                None => self.asked(lock, Role::Dep, app, source),
            }
        }
    }

    fn asked(&mut self, lock: &Lock, role: Role, app: &str, wished: &WishSource) {
        let name = entry(role, app);
        match lock.find(role, app) {
            Some(source) => self.source(&name, source, wished),
            None => self.add(&name, "entry", None, Some(&whole(wished))),
        }
    }

    /// A choice that is not the project's own request: its parent must be there still, its url and
    /// reference must be what is locked.
    fn chosen_elsewhere(&mut self, name: &str, source: &Source, choice: &str) {
        let is_locked = match choice.split_once('#') {
            Some((_, reference)) => {
                source.wanted == reference || source.wanted.ends_with(&format!(" {reference}"))
            }
            None => source.parents.contains(choice) && !has_lost(source, choice),
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
                WishSource::Url { .. } => "url",
                WishSource::Path { .. } => "path",
            };
            self.add(name, field, Some(&source.pin.address()), Some(&address(wished)));
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
        (deps, stated): (&NamedDeps, &BTreeSet<String>),
        plugins: &NamedPlugins,
    ) {
        let is_named = match source.role {
            Role::Dep => deps.contains_key(&source.app) || stated.contains(&source.app),
            Role::Plugin => plugins.contains_key(&source.app),
            Role::Tool => project.tools.iter().any(|wish| wish.app == source.app),
        };
        let is_own = project.apps.contains_key(&source.app);
        if is_own || (source.parents.contains(&project.name) && !is_named) {
            let locked = format!("{} {}", source.pin.address(), source.wanted);
            self.add(&entry(source.role, &source.app), "entry", Some(&locked), None);
        }
    }
}

/// Tells whether what a parent asks for is among what lost: `url wanted (by a, b)`.
fn has_lost(source: &Source, parent: &str) -> bool {
    let names = |text: &str| -> Option<bool> {
        let (_, names) = text.rsplit_once(" (by ")?;
        Some(names.strip_suffix(')')?.split(", ").any(|name| name == parent))
    };
    source.lost.iter().any(|text| names(text) == Some(true))
}

/// Tells whether a choice means what the project itself asks for.
fn is_choice_of(choice: &str, wish: &Wish, lock: &Lock) -> bool {
    let asked = Asked { source: wish.source.clone(), parents: [lock.project.clone()].into() };
    is_chosen(choice, &asked)
}
