//! Answer: what the resolver's requests find. What is pinned stays, what an imported `rebar.lock` says is
//! taken, and all else is looked up.

use super::hex::{HEXPM, Release};
use super::{Doors, FetchError, Found};
use crate::lock::{Pin, RebarPin, Request, Source};
use crate::manifest::rebar::{GitRef, Wish, WishSource};
use crate::store::{BuildKey, HeldTree, Record};

/// What a request found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What exactly it is.
    pub pin: Pin,
    /// The version that `{vsn, git}` means here.
    pub describe: Option<String>,
    /// Its files.
    pub tree: HeldTree,
    /// When it was committed or published, in seconds since 1970, where that was looked up.
    pub time: Option<i64>,
    /// What a hex package asks for; `None` for what states it in its own files.
    pub deps: Option<Vec<Wish>>,
}

impl Doors<'_> {
    /// Answers a request: fetches the source and says what exactly it is.
    pub fn answer(&self, request: &Request) -> Result<Answer, FetchError> {
        if let Some(pin) = &request.pinned {
            return self.keep(request, pin);
        }
        let (wish, outer) = match &request.imported {
            Some(RebarPin::Git { commit, .. }) => (at_commit(&request.wish, commit), None),
            Some(RebarPin::Hex { version, outer, .. }) => {
                (at_version(&request.wish, version), *outer)
            }
            None => (request.wish.clone(), None),
        };
        // What a rebar.lock pins has been decided on; only what is looked up must be old enough.
        let cooldown = self.cooldown.filter(|_| request.imported.is_none());
        let found = Doors { cooldown, ..self.clone() }.find(&wish, outer)?;
        self.note_deps(&found)?;
        let time = (found.time != 0).then_some(found.time);
        Ok(Answer {
            pin: found.pin,
            describe: found.describe,
            tree: found.tree,
            time,
            deps: found.deps,
        })
    }

    /// Answers with what the previous lock holds.
    fn keep(&self, request: &Request, pin: &Pin) -> Result<Answer, FetchError> {
        let source = Source::of(&request.app, request.role, pin.clone(), &request.wanted);
        let held = match pin.tree() {
            Some(tree) => self.store.tree(tree)?,
            None => None,
        };
        let tree = match held {
            Some(held) => held,
            None => self.fetch_one(&source)?,
        };
        let deps = self.kept_deps(request, pin)?;
        Ok(Answer { pin: pin.clone(), describe: request.described.clone(), tree, time: None, deps })
    }

    /// What a pinned hex package asks for: as it was noted when it was found, else as its registry says.
    fn kept_deps(&self, request: &Request, pin: &Pin) -> Result<Option<Vec<Wish>>, FetchError> {
        let Pin::Hex { repository, package, version, outer, .. } = pin else {
            return Ok(None);
        };
        if let Some(record) = self.store.recall(deps_key(&outer.hex()))? {
            return Ok(Some(read(&record.inputs)));
        }
        let repository = self.repository(&request.app, repository)?;
        let releases = self.hex().releases(repository, package)?;
        let release = releases.iter().find(|release| release.version == *version);
        Ok(Some(release.map(wishes).unwrap_or_default()))
    }

    fn note_deps(&self, found: &Found) -> Result<(), FetchError> {
        if let (Some(deps), Pin::Hex { outer, .. }) = (&found.deps, &found.pin) {
            let record = Record { inputs: write(deps), outputs: vec![] };
            self.store.remember(deps_key(&outer.hex()), &record)?;
        }
        Ok(())
    }
}

/// What a release asks for in any case.
pub(super) fn wishes(release: &Release) -> Vec<Wish> {
    let asked = release.dependencies.iter().filter(|dependency| !dependency.optional);
    let wish = |dependency: &super::hex::Dependency| Wish {
        app: dependency.app.clone(),
        source: WishSource::Hex {
            package: dependency.package.clone(),
            requirement: Some(dependency.requirement.clone()),
            repository: dependency.repository.clone().filter(|name| name != HEXPM),
        },
    };
    asked.map(wish).collect()
}

fn at_commit(wish: &Wish, commit: &str) -> Wish {
    let mut wish = wish.clone();
    if let WishSource::Git { reference, .. } = &mut wish.source {
        *reference = GitRef::Commit(commit.to_owned());
    }
    wish
}

fn at_version(wish: &Wish, version: &str) -> Wish {
    let mut wish = wish.clone();
    if let WishSource::Hex { requirement, .. } = &mut wish.source {
        *requirement = Some(format!("== {version}"));
    }
    wish
}

fn deps_key(outer: &str) -> BuildKey {
    BuildKey::of(&format!("what the hex tarball {outer} asks for"))
}

fn write(deps: &[Wish]) -> String {
    let line = |wish: &Wish| match &wish.source {
        WishSource::Hex { package, requirement, repository } => {
            let [requirement, repository] =
                [requirement, repository].map(|text| text.as_deref().unwrap_or_default());
            format!("{}\t{package}\t{requirement}\t{repository}\n", wish.app)
        }
        _ => unreachable!("a hex package asks for hex packages only"),
    };
    deps.iter().map(line).collect()
}

fn read(text: &str) -> Vec<Wish> {
    let wish = |line: &str| {
        let mut words = line.split('\t').map(str::to_owned);
        let app = words.next()?;
        let package = words.next()?;
        let requirement = words.next().filter(|text| !text.is_empty());
        let repository = words.next().filter(|text| !text.is_empty());
        Some(Wish { app, source: WishSource::Hex { package, requirement, repository } })
    };
    text.lines().filter_map(wish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_asks_for_reads_back_as_it_was_noted() {
        let wish = |app: &str, repository: Option<&str>| Wish {
            app: app.into(),
            source: WishSource::Hex {
                package: "cowlib".into(),
                requirement: Some("~> 2.12".into()),
                repository: repository.map(str::to_owned),
            },
        };
        let deps = [wish("cowlib", None), wish("acme", Some("acme"))];
        assert_eq!(read(&write(&deps)), deps);
    }
}
