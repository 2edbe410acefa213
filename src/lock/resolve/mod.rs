//! Resolve: rebar3's rule as a pure state machine; it asks for what it must know and fetches nothing.
//!
//! rebar3 walks level by level and fetches as it goes: what is asked for nearest to the project
//! wins, within a level the parents' order decides, and later profiles are walked before earlier
//! ones. Here each round walks again from the start over everything that is settled so far, stops
//! where it would have to guess, and names what is missing. So the last round is exactly rebar3's
//! walk, whatever the order in which answers arrive, and a whole level is fetched at once.
//!
//! Plugins live in a directory of their own in rebar3 and are installed one after another, each
//! with its closure, so the first one there wins: [`Role::Plugin`] is that second namespace.

mod asked;
mod error;
mod first_fetched;
mod graph;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use asked::is_chosen;
pub use error::ResolveError;

use crate::lock::import::{RebarLock, RebarPin};
use crate::lock::{Lock, Pin, Role, Source, git_url};
use crate::manifest::rebar::{RebarFacts, Wish, WishSource};
use crate::manifest::{DepOverride, Tool};

/// What the project itself states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectFacts {
    /// The project's name, as parents spell it.
    pub name: String,
    /// Profiles beside `default`, in the order in which they are applied: `prod`.
    pub profiles: Vec<String>,
    /// The configuration in the project's root.
    pub config: RebarFacts,
    /// The project's own applications, each with its own configuration (empty where it has none).
    /// Nothing else is fetched for these names.
    pub apps: BTreeMap<String, RebarFacts>,
    /// The applications among these that the project's top, or one of these, has built before what it asks for itself is
    /// built, by that one's name; in order. Only erlang.mk knows such.
    pub local: BTreeMap<String, Vec<String>>,
    /// The tools that the manifest wants built from source.
    pub tools: Vec<Wish>,
    /// Which of several requests for one application wins.
    pub rule: Rule,
}

/// Which of several requests for one application wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rule {
    /// The one nearest to the project: rebar3's.
    #[default]
    Nearest,
    /// The one that is fetched first: erlang.mk's, which fetches all that an application asks for and then goes
    /// down into each in turn.
    FirstFetched,
}

/// One application that must be settled before the walk can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The application's name.
    pub app: String,
    /// Why it is asked for.
    pub role: Role,
    /// The winning request.
    pub wish: Wish,
    /// The winning request in words, as the lock will have it.
    pub wanted: String,
    /// Who asks, so far.
    pub parents: BTreeSet<String>,
    /// What the previous lock holds for this very wish; it stays.
    pub pinned: Option<Pin>,
    /// The previous lock's `git describe` of that pin.
    pub described: Option<String>,
    /// What an imported `rebar.lock` holds for this application.
    pub imported: Option<RebarPin>,
    /// erlang.mk's autopatch leaves it as it is.
    pub untouched: bool,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The application's name, as requested.
    pub app: String,
    /// The role, as requested.
    pub role: Role,
    /// What exactly it is.
    pub pin: Pin,
    /// The version that `{vsn, git}` means here.
    pub describe: Option<String>,
    /// The tool that builds it.
    pub tool: Tool,
    /// What its configuration states, with the lock beside it in a git source
    /// ([`RebarFacts::with_lock`]) and the registry's word on a package
    /// ([`RebarFacts::with_package_deps`]).
    pub facts: RebarFacts,
}

/// A closed set of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Every source, sorted by role and application.
    pub sources: Vec<Source>,
    /// Applications that were asked for in more than one version.
    pub conflicts: Vec<Conflict>,
}

/// One application that was asked for in more than one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The application.
    pub app: String,
    /// The namespace.
    pub role: Role,
    /// What won, and who asked for it.
    pub winner: Asked,
    /// What lost, each with who asked for it.
    pub losers: Vec<Asked>,
    /// The shortest way from the project to each that asked and is not the project itself.
    pub chains: BTreeMap<String, Vec<String>>,
}

impl Conflict {
    /// Writes who asked through whom, below the line that names those that asked.
    fn write_chains(&self, f: &mut std::fmt::Formatter<'_>, asked: &Asked) -> std::fmt::Result {
        let chains = asked.parents.iter().filter_map(|parent| self.chains.get(parent));
        for chain in chains.take(CHAINS_SHOWN_MAX) {
            write!(f, "\n         {}", chain.join(" → "))?;
        }
        Ok(())
    }
}

/// Ways that are shown for one source; the rest is for `rebeam why`.
const CHAINS_SHOWN_MAX: usize = 5;

/// One source that was asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where it is to come from.
    pub source: WishSource,
    /// Who asks for it.
    pub parents: BTreeSet<String>,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parents: Vec<&str> = self.parents.iter().map(String::as_str).collect();
        let address = address(&self.source);
        write!(f, "{address} {} (by {})", wanted(&self.source), parents.join(", "))
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} `{}` is asked for in {} versions",
            self.role.name(),
            self.app,
            self.losers.len() + 1
        )?;
        write!(f, "\n  taken: {}", self.winner)?;
        self.write_chains(f, &self.winner)?;
        for loser in &self.losers {
            write!(f, "\n  lost:  {loser}")?;
            self.write_chains(f, loser)?;
        }
        Ok(())
    }
}

/// Says a request in the words of the lock: `tag 2.12.1`, `branch main`, `~> 2.0`.
pub fn wanted(source: &WishSource) -> String {
    plain(&match source {
        WishSource::Git { reference, .. } => reference.to_string(),
        WishSource::Hex { requirement, .. } => {
            requirement.clone().unwrap_or_else(|| "newest".into())
        }
        WishSource::Url { sha256, .. } => format!("sha256 {}", sha256.hex()),
        WishSource::Path { .. } => "path".into(),
    })
}

/// Puts a stranger's words on one line: a requirement may end in a newline.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// Says where a request points to: a git url, or `hexpm/cowlib`.
pub(super) fn address(source: &WishSource) -> String {
    plain(&match source {
        WishSource::Git { url, subdir, .. } => match subdir {
            Some(subdir) => format!("{} in {subdir}", git_url::normalise(url)),
            None => git_url::normalise(url),
        },
        WishSource::Hex { package, repository, .. } => {
            format!("{}/{package}", repository.as_deref().unwrap_or("hexpm"))
        }
        WishSource::Url { url, .. } => url.clone(),
        WishSource::Path { path } => path.clone(),
    })
}

/// Tells whether a pin came from this address, whatever its version.
///
/// A package that names no repository may come from any: all are asked, the project's own first.
pub(super) fn is_from(pin: &Pin, source: &WishSource) -> bool {
    match (pin, source) {
        (
            Pin::Git { url, subdir, .. },
            WishSource::Git { url: wished, subdir: wished_subdir, .. },
        ) => git_url::same(url, wished) && subdir == wished_subdir,
        (
            Pin::Hex { repository, package, .. },
            WishSource::Hex { package: wished, repository: wished_repository, .. },
        ) => {
            let fits = |wished: &String| wished == repository;
            package == wished && wished_repository.as_ref().is_none_or(fits)
        }
        (Pin::Url { url, sha256, .. }, WishSource::Url { url: wished, sha256: wished_sha256 }) => {
            url == wished && sha256 == wished_sha256
        }
        (Pin::Path { path }, WishSource::Path { path: wished }) => path == wished,
        _ => false,
    }
}

/// Settles a project's closure by asking, level by level.
pub struct Resolver<'a> {
    project: &'a ProjectFacts,
    choices: &'a BTreeMap<String, DepOverride>,
    previous: Option<&'a Lock>,
    imported: Option<&'a RebarLock>,
    /// Every answer so far, by the wish that it answers.
    settled: BTreeMap<Wish, Settled>,
    /// Requests that wait for an answer.
    outstanding: Vec<Request>,
    /// Everything that was asked for in any round, so that a choice made deep down holds above.
    candidates: walk::Candidates,
    /// Applications that the manifest gives a source and nothing asks for.
    unasked: BTreeSet<String>,
}

impl<'a> Resolver<'a> {
    /// Starts with what the project states; `choices` is the manifest's `[deps.NAME]` tables.
    pub fn new(project: &'a ProjectFacts, choices: &'a BTreeMap<String, DepOverride>) -> Self {
        Self {
            project,
            choices,
            previous: None,
            imported: None,
            settled: BTreeMap::new(),
            outstanding: Vec::new(),
            candidates: BTreeMap::new(),
            unasked: BTreeSet::new(),
        }
    }

    /// Keeps the pins of a previous lock where the wish is the same.
    pub fn with_previous(mut self, lock: &'a Lock) -> Self {
        self.previous = Some(lock);
        self
    }

    /// Offers the pins of an existing `rebar.lock`.
    pub fn with_rebar_lock(mut self, lock: &'a RebarLock) -> Self {
        self.imported = Some(lock);
        self
    }

    /// Returns what must be settled next, all of it at once.
    ///
    /// Empty when the closure is complete, or when `finish` has an error to tell.
    pub fn next_level(&mut self) -> Vec<Request> {
        loop {
            let Ok(walk) = self.walk() else {
                return Vec::new();
            };
            let missing = walk.missing.iter();
            let requests = missing.map(|(role, wish)| self.request(&walk, *role, wish));
            let requests: Vec<Request> = requests.collect();
            let asked = walk.asked.clone();
            let is_news = asked::remember(&mut self.candidates, asked);
            // What was just heard of may be what the manifest chose, so it is walked once more.
            if requests.is_empty() && (is_news || self.ask_for_the_stated()) {
                continue;
            }
            self.outstanding = requests;
            return self.outstanding.clone();
        }
    }

    /// Takes answers to the requests of the last level.
    pub fn settle(&mut self, answers: Vec<Settled>) {
        for answer in answers {
            let is_answered =
                |request: &Request| request.role == answer.role && request.app == answer.app;
            let request = self.outstanding.iter().find(|request| is_answered(request));
            if let Some(request) = request {
                self.settled.insert(asked::key(&request.wish), answer);
            }
        }
    }

    /// Returns the closed set of sources.
    pub fn finish(self) -> Result<Resolution, ResolveError> {
        let walk = self.walk()?;
        if let Some((_, wish)) = walk.missing.first() {
            return Err(ResolveError::Unsettled { app: wish.app.clone() });
        }
        let mut candidates = self.candidates.clone();
        asked::remember(&mut candidates, walk.asked.clone());
        asked::check_choices(self.choices, &candidates)?;
        graph::resolution(self.project, &walk, &self.settled)
    }

    /// Adds the applications that the manifest gives a source and the whole closure does not name;
    /// tells whether there are any that were not added before.
    fn ask_for_the_stated(&mut self) -> bool {
        let is_asked = |app: &String| {
            let roles = [Role::Dep, Role::Plugin].into_iter();
            roles.map(|role| (role, app.clone())).any(|node| self.candidates.contains_key(&node))
        };
        let stated = self.choices.iter().filter(|(_, choice)| choice.source.is_some());
        let unasked: Vec<String> =
            stated.map(|(app, _)| app).filter(|app| !is_asked(app)).cloned().collect();
        let is_news = !unasked.is_empty();
        self.unasked.extend(unasked);
        is_news
    }

    fn walk(&self) -> Result<walk::Walk<'_>, ResolveError> {
        walk::walk(walk::Known {
            project: self.project,
            choices: self.choices,
            settled: &self.settled,
            candidates: &self.candidates,
            unasked: &self.unasked,
        })
    }

    fn request(&self, walk: &walk::Walk<'_>, role: Role, wish: &Wish) -> Request {
        let wanted = wanted(&wish.source);
        let is_same = |source: &&Source| {
            source.app == wish.app && source.wanted == wanted && is_from(&source.pin, &wish.source)
        };
        let sources = self.previous.map_or(&[][..], |lock| &lock.sources[..]);
        let mut same: Vec<&Source> = sources.iter().filter(is_same).collect();
        same.sort_by_key(|source| source.role != role);
        let imported = self.imported.filter(|_| role == Role::Dep);
        Request {
            app: wish.app.clone(),
            role,
            wish: wish.clone(),
            wanted,
            parents: walk.parents(&(role, wish.app.clone())),
            pinned: same.first().map(|source| source.pin.clone()),
            described: same.first().and_then(|source| source.describe.clone()),
            imported: imported.and_then(|lock| lock.pin_for(wish)).cloned(),
            untouched: role == Role::Dep && walk.untouched.contains(&wish.app),
        }
    }
}
