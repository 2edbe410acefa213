//! Mix: settles the closure of a mix project.

mod needs;
mod plugins;

use std::collections::BTreeMap;

use needs::{needs_key, note_needs, read_needs};
use plugins::plugins;

use super::configs::Configs;
use super::lock::{Update, fetch, settled};
use super::stays::ToolLock;
use super::{Desk, tools};
use crate::compile::MixSubject;
use crate::disk;
use crate::each::each;
use crate::event::Event;
use crate::explain::Failure;
use crate::fetch::hex::{Release, Version};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::mix::{
    MixProject, MixResolveError, MixResolver, MixSettled, Need, Next, Offer, PackageKey,
};
use crate::lock::{
    Lock, MIX_LOCK, MixLock, Pin, ProjectFacts, RebarPin, Request, Resolution, Role, Settled,
    Source,
};
use crate::manifest::Tool;
use crate::manifest::mix::{MixDep, MixFacts};
use crate::manifest::rebar::{GitRef, RebarFacts, Wish, WishSource};
use crate::store::HeldTree;

/// Returns what the project's own `mix.exs` states.
pub(super) fn facts(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
    tree: &HeldTree,
) -> Result<MixFacts, Failure> {
    let subject = MixSubject::Project { env: &desk.manifest.build.profile };
    configs.mix_facts(&desk.manifest.project.name, tree, subject)
}

/// What the project states, in the words that a lock is held against.
pub(super) fn project_facts(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
    tree: &HeldTree,
) -> Result<ProjectFacts, Failure> {
    let facts = facts(desk, configs, tree)?;
    let mut named: Vec<&MixDep> = facts.deps_in(&desk.manifest.build.profile).collect();
    named.sort_by_key(|dep| !dep.wins);
    let deps = named.into_iter().map(|dep| dep.wish.clone()).collect();
    Ok(ProjectFacts {
        name: desk.manifest.project.name.clone(),
        config: RebarFacts { deps, ..RebarFacts::default() },
        tools: tools::wishes(desk),
        ..ProjectFacts::default()
    })
}

/// Settles the project's closure; returns it with the time of the newest source.
pub(super) fn resolve(
    desk: &Desk<'_>,
    configs: &Configs<'_>,
    previous: Option<&Lock>,
) -> Result<(Resolution, Option<i64>), Failure> {
    let tree = configs.project()?;
    let facts = facts(desk, configs, &tree)?;
    let imported = mix_lock(desk)?;
    let project = MixProject {
        name: &desk.manifest.project.name,
        env: &desk.manifest.build.profile,
        facts: &facts,
        choices: &desk.manifest.deps,
        previous,
        imported: imported.as_ref(),
    };
    let round = Round { desk, configs, facts: &facts, imported: imported.as_ref(), previous };
    let mut resolver = MixResolver::new(project);
    let mut found: BTreeMap<String, Settled> = BTreeMap::new();
    let (mut newest, mut look) = (None, Look::AtWhatIsHeld);
    loop {
        match resolver.next_level() {
            // What is held was not enough to tell.
            Err(MixResolveError::NoVersion { .. } | MixResolveError::TooHard { .. })
                if look == Look::AtWhatIsHeld =>
            {
                look = Look::AtAll;
                resolver.forget_offers();
            }
            Err(error) => return Err(error.into()),
            Ok(Next::Done) => break,
            Ok(Next::Packages(packages)) => {
                let packages: Vec<PackageKey> = packages.into_iter().collect();
                let offers =
                    each(&packages, desk.jobs.max(8), |package| round.offers(package, look))?;
                for (package, offers) in packages.into_iter().zip(offers) {
                    resolver.offer(package, offers);
                }
            }
            Ok(Next::Sources(requests)) => {
                let answers = each(&requests, desk.jobs.max(4), |request| round.answer(request))?;
                newest = newest.max(answers.iter().filter_map(|(_, time)| *time).max());
                for (answer, _) in &answers {
                    found.insert(answer.settled.app.clone(), answer.settled.clone());
                }
                resolver.settle(answers.into_iter().map(|(answer, _)| answer).collect());
            }
        }
    }
    note_needs(desk, &resolver)?;
    let mut resolution = resolver.finish()?;
    let plugins = plugins(&round, &resolution, &found)?;
    resolution.sources.extend(plugins);
    resolution.sources.sort_by(|a, b| (a.role, &a.app).cmp(&(b.role, &b.app)));
    Ok((resolution, newest))
}

/// Says what `mix.lock` has otherwise than the lock, and what an update leaves where `mix.lock` has it.
pub(super) fn warn_of_disagreements(
    desk: &Desk<'_>,
    update: &Update,
    lock: &Lock,
) -> Result<(), Failure> {
    if let Some(imported) = mix_lock(desk)? {
        let entries = imported.entries.iter();
        let apps = entries.map(|(app, entry)| (app.as_str(), &entry.pin)).collect();
        let own = ToolLock { file: MIX_LOCK, moves: "mix deps.update", apps };
        own.say_what_stays(desk, update, lock);
    }
    for message in disagreements(desk, lock)? {
        let message = format!("{message}; `rebeam lock` takes over what is right for all");
        desk.observer.observe(&Event::Warned { message: &message });
    }
    Ok(())
}

/// What `mix.lock` has otherwise than the lock, one line each.
pub(super) fn disagreements(desk: &Desk<'_>, lock: &Lock) -> Result<Vec<String>, Failure> {
    let Some(imported) = mix_lock(desk)? else {
        return Ok(Vec::new());
    };
    let disagreement = |source: &Source| {
        let is_stated = desk.manifest.deps.get(&source.app).is_some_and(|dep| dep.source.is_some());
        let entry = imported.entries.get(&source.app).filter(|_| !is_stated)?;
        let (theirs, ours) = match (&entry.pin, &source.pin) {
            (RebarPin::Hex { version, .. }, Pin::Hex { version: ours, .. }) => (version, ours),
            (RebarPin::Git { commit, .. }, Pin::Git { commit: ours, .. }) => (commit, ours),
            _ => return None,
        };
        let app = &source.app;
        (theirs != ours).then(|| format!("`{app}`: mix.lock has {theirs}, rebeam.lock has {ours}"))
    };
    let deps = lock.sources.iter().filter(|source| source.role == Role::Dep);
    Ok(deps.filter_map(disagreement).collect())
}

fn mix_lock(desk: &Desk<'_>) -> Result<Option<MixLock>, Failure> {
    let path = desk.root.join(MIX_LOCK);
    if !disk::exists(&path) {
        return Ok(None);
    }
    Ok(Some(MixLock::parse(&disk::read_text(&path, TEXT_FILE_BYTES_MAX)?)?))
}

/// What makes a dependency one of rebar3's, as mix looks for it.
const REBAR_FILES: [&str; 4] = ["rebar", "rebar.config", "rebar.config.script", "rebar.lock"];
const MAKEFILES: [&str; 2] = ["Makefile", "Makefile.win"];

/// Where versions of packages are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Of a package that is locked, only the locked version, as it was noted: a lock that stays as it is needs no network.
    AtWhatIsHeld,
    /// All that the registry has.
    AtAll,
}

/// What the answers of a round are made from.
struct Round<'a> {
    desk: &'a Desk<'a>,
    configs: &'a Configs<'a>,
    facts: &'a MixFacts,
    imported: Option<&'a MixLock>,
    previous: Option<&'a Lock>,
}

impl Round<'_> {
    fn offers(
        &self,
        (repository, package): &PackageKey,
        look: Look,
    ) -> Result<Vec<Offer>, Failure> {
        if look == Look::AtWhatIsHeld
            && let Some(offer) = self.held_offer(package)?
        {
            return Ok(vec![offer]);
        }
        let releases =
            self.desk.doors().offered(package, repository.as_deref(), &self.pinned(package))?;
        let mut offers: Vec<(Version, Offer)> = releases.iter().filter_map(offer).collect();
        offers.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(offers.into_iter().map(|(_, offer)| offer).collect())
    }

    /// The version of a package that the previous lock has, if what it needs was noted.
    fn held_offer(&self, name: &str) -> Result<Option<Offer>, Failure> {
        let sources = self.previous.into_iter().flat_map(|lock| &lock.sources);
        for source in sources.filter(|source| source.role == Role::Dep) {
            if let Pin::Hex { package, version, outer, .. } = &source.pin
                && package == name
                && !self.contradicts(&source.app, version)
                && let Some(record) = self.desk.store.recall(needs_key(&outer.hex()))?
            {
                let needs = read_needs(&record.inputs);
                return Ok(Some(Offer { version: version.clone(), inner: None, needs }));
            }
        }
        Ok(None)
    }

    /// The versions of a package that the locks name.
    fn pinned(&self, name: &str) -> Vec<String> {
        let imported = self.imported.into_iter().flat_map(|lock| lock.entries.values());
        let imported = imported.filter_map(|entry| match &entry.pin {
            RebarPin::Hex { package, version, .. } if package == name => Some(version.clone()),
            _ => None,
        });
        let previous = self.previous.into_iter().flat_map(|lock| &lock.sources);
        let previous = previous.filter_map(|source| match &source.pin {
            Pin::Hex { package, version, .. } if package == name => Some(version.clone()),
            _ => None,
        });
        imported.chain(previous).collect()
    }

    /// Tells whether `mix.lock` has another version of a package by now.
    fn contradicts(&self, app: &str, locked: &str) -> bool {
        let entry = self.imported.and_then(|lock| lock.entries.get(app));
        entry.is_some_and(
            |entry| !matches!(&entry.pin, RebarPin::Hex { version, .. } if version == locked),
        )
    }

    /// Fetches a source and reads what it asks for.
    fn answer(&self, request: &Request) -> Result<(MixSettled, Option<i64>), Failure> {
        let found = fetch(self.desk, request)?;
        let tool = self.tool(&request.app, &found.tree);
        let is_package = found.deps.is_some();
        let (facts, deps) = match (tool, is_package) {
            (Tool::Mix, true) => (RebarFacts::default(), vec![]),
            (Tool::Mix, false) => {
                let facts = self.configs.mix_facts(&request.app, &found.tree, MixSubject::Dep)?;
                (RebarFacts::default(), children(&request.app, &found.pin, facts))
            }
            (_, true) => (self.configs.facts(&request.app, &found.tree)?, vec![]),
            (_, false) => {
                let facts = self.configs.facts(&request.app, &found.tree)?;
                let deps = facts.deps.iter().map(|wish| plain(&request.app, wish)).collect();
                (facts, deps)
            }
        };
        let settled = settled(request, &found, tool, facts);
        Ok((MixSettled { settled, deps }, found.time))
    }

    /// Chooses the tool as mix does: what is said, then what Hex noted, then by the files.
    fn tool(&self, app: &str, tree: &HeldTree) -> Tool {
        let said = self.desk.manifest.deps.get(app).and_then(|dep| dep.tool);
        let named = self.facts.deps.iter().find(|dep| dep.wish.app == app);
        let named = named.and_then(|dep| dep.manager.as_deref());
        let noted = self.imported.and_then(|lock| lock.entries.get(app));
        let noted = noted.map_or(&[][..], |entry| &entry.managers);
        let has_mix = disk::exists(&tree.path().join("mix.exs"));
        let is_mix = match named {
            Some(manager) => manager == "mix",
            None => has_mix && (noted.is_empty() || noted.iter().any(|manager| manager == "mix")),
        };
        let has = |name: &&str| disk::exists(&tree.path().join(name));
        let is_made = match named {
            Some(manager) => manager == "make",
            None => !REBAR_FILES.iter().any(has) && MAKEFILES.iter().any(has),
        };
        let tool = match (is_mix, is_made) {
            (true, _) => Tool::Mix,
            (_, true) => Tool::Make,
            _ => Tool::Rebar3,
        };
        said.unwrap_or(tool)
    }
}

/// What a dependency asks for in the environment that dependencies are built in.
fn children(app: &str, pin: &Pin, facts: MixFacts) -> Vec<MixDep> {
    let child = |dep: &MixDep| {
        let mut dep = MixDep { parent: app.to_owned(), ..dep.clone() };
        if let WishSource::Path { path } = &dep.wish.source
            && let Some(source) = beside(pin, path)
        {
            dep.wish.source = source;
        }
        dep
    };
    facts.deps_in("prod").map(child).collect()
}

/// What a path in a dependency's own words leads to: a directory of the same commit. `None` where that leads out of it.
fn beside(pin: &Pin, path: &str) -> Option<WishSource> {
    let Pin::Git { url, commit, subdir, .. } = pin else { return None };
    let mut parts: Vec<&str> = subdir.iter().flat_map(|subdir| subdir.split('/')).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    let is_inside = !path.starts_with('/') && !parts.is_empty();
    is_inside.then(|| WishSource::Git {
        url: url.clone(),
        reference: GitRef::Commit(commit.clone()),
        subdir: Some(parts.join("/")),
    })
}

fn plain(parent: &str, wish: &Wish) -> MixDep {
    MixDep {
        parent: parent.to_owned(),
        wish: wish.clone(),
        only: Default::default(),
        optional: false,
        wins: false,
        is_raw: false,
        manager: None,
    }
}

fn offer(release: &Release) -> Option<(Version, Offer)> {
    let need = |dependency: &crate::fetch::hex::Dependency| Need {
        app: dependency.app.clone(),
        package: dependency.package.clone(),
        repository: dependency.repository.clone(),
        requirement: dependency.requirement.clone(),
        optional: dependency.optional,
    };
    let needs = release.dependencies.iter().map(need).collect();
    let version = Version::parse(&release.version)?;
    Some((version, Offer { version: release.version.clone(), inner: Some(release.inner), needs }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_path_of_a_dependency_leads_to_a_directory_of_its_commit_and_never_out_of_it() {
        let lead = |subdir: Option<&str>, path: &str| {
            let pin = Pin::Git {
                url: "https://git.test/a".into(),
                commit: "1".repeat(40),
                subdir: subdir.map(str::to_owned),
                tree: Digest::of(b"a"),
            };
            match beside(&pin, path) {
                Some(WishSource::Git { subdir, .. }) => subdir,
                _ => None,
            }
        };
        assert_eq!(lead(None, "libs/x/").as_deref(), Some("libs/x"));
        assert_eq!(lead(Some("apps/a"), "../b").as_deref(), Some("apps/b"));
        assert_eq!(lead(Some("apps/a"), "./x/../y").as_deref(), Some("apps/a/y"));
        for outside in ["..", "../x/../..", "/etc"] {
            assert_eq!(lead(None, outside), None, "{outside}");
        }
    }
}
