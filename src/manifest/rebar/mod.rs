//! Rebar: the facts that a `rebar.config` states, once it has been evaluated.

mod overrides;
mod wish;

use std::collections::BTreeMap;

use thiserror::Error;

use super::makefile::NoAutopatch;
use crate::digest::Digest;
use crate::explain::Explain;
use crate::terms::{self, Term, TermError};

pub use overrides::Overrides;
pub(in crate::manifest) use wish::{check_name, is_plain, revision};

/// An application that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// The OTP application's name.
    pub app: String,
    /// Where it is to come from.
    pub source: WishSource,
}

/// Where a wished application is to come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WishSource {
    /// A git repository.
    Git {
        /// As written.
        url: String,
        /// Which commit.
        reference: GitRef,
        /// The directory inside, for `git_subdir`.
        subdir: Option<String>,
    },
    /// A hex package.
    Hex {
        /// Package name; may differ from the application's.
        package: String,
        /// Version requirement; `None` means the newest.
        requirement: Option<String>,
        /// Repository; `None` means `hexpm`.
        repository: Option<String>,
    },
    /// A tarball. Only a manifest names one.
    Url {
        /// Its address.
        url: String,
        /// SHA-256 of the file.
        sha256: Digest,
    },
    /// A directory, relative to the manifest. Only a manifest names one.
    Path {
        /// The path.
        path: String,
    },
}

/// Which commit of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GitRef {
    /// A commit, perhaps abbreviated.
    Commit(String),
    /// A tag.
    Tag(String),
    /// A branch.
    Branch(String),
    /// Whatever the repository calls its head.
    Default,
}

impl std::fmt::Display for GitRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Branch(branch) => write!(f, "branch {branch}"),
            Self::Default => f.write_str("default branch"),
        }
    }
}

/// What a `rebar.config` states that matters to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebarFacts {
    /// `{deps, …}`.
    pub deps: Vec<Wish>,
    /// `{plugins, …}` and `{project_plugins, …}`.
    pub plugins: Vec<Wish>,
    /// `{project_plugins, …}`: only the top project's count.
    pub project_plugins: Vec<Wish>,
    /// `{profiles, [{prod, [{deps, …}, {plugins, …}]}]}`; those that no form fits are left out
    /// here, and [`RebarFacts::profile`] says why.
    pub profiles: BTreeMap<String, ProfileFacts>,
    /// The whole evaluated configuration, term by term.
    pub terms: Vec<Term>,
    /// The dependencies as terms, for overrides: of the configuration, of the lock beside it, or of
    /// the package.
    pub asked: Vec<Term>,
    /// What the Makefile that stands in the place of a `rebar.config` says of autopatch.
    pub no_autopatch: NoAutopatch,
}

impl RebarFacts {
    /// Reads an evaluated configuration as rebar 2 does: it fetches no plugins, for those lie in the project or among the
    /// dependencies, and knows neither profiles nor overrides.
    pub fn for_rebar_2(mut terms: Vec<Term>) -> Result<Self, RebarError> {
        let unknown = ["plugins", "project_plugins", "profiles", "overrides"];
        terms.retain(|term| !unknown.iter().any(|key| term.tagged(key).is_some()));
        Self::from_terms(terms)
    }

    /// Leaves plugins out, wherever they are asked for.
    pub fn ignore_plugins(&mut self, names: &[String]) {
        let kept = |wish: &Wish| !names.contains(&wish.app);
        self.plugins.retain(kept);
        self.project_plugins.retain(kept);
        for profile in self.profiles.values_mut() {
            profile.plugins.retain(kept);
        }
    }
}

/// What a profile adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileFacts {
    /// Dependencies.
    pub deps: Vec<Wish>,
    /// Plugins.
    pub plugins: Vec<Wish>,
    /// Plugins of the project's own; only the top project's count.
    pub project_plugins: Vec<Wish>,
}

/// A `rebar.config` or `rebar.lock` that rebeam cannot use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RebarError {
    /// The text is not made of terms.
    #[error("`{file}` cannot be read")]
    Malformed {
        /// Which file.
        file: String,
        /// Where and why.
        #[source]
        source: TermError,
    },
    /// A list was expected.
    #[error("`{key}` of `rebar.config` is not a list")]
    NotAList {
        /// `deps`, `plugins` or another.
        key: String,
    },
    /// A dependency that has none of rebar3's forms.
    #[error("`{key}` of `rebar.config` holds `{dep}`, which is no dependency that rebar3 knows")]
    BadDep {
        /// `deps`, `plugins` or another.
        key: String,
        /// The term, shortened.
        dep: String,
    },
    /// A name that could not be a directory's.
    #[error("`{name}` is no name for an application or package")]
    BadName {
        /// The name, shortened.
        name: String,
    },
    /// A kind of source that rebeam does not fetch.
    #[error("`{app}` comes from `{kind}`, and rebeam fetches from git and hex only")]
    Unsupported {
        /// The application.
        app: String,
        /// `hg`, `path` or another.
        kind: String,
    },
}

impl Explain for RebarError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { source, .. } => source.hint(),
            Self::Unsupported { app, .. } => Some(format!(
                "import `{app}` into a git repository and name that in `rebar.config`"
            )),
            _ => None,
        }
    }
}

impl RebarFacts {
    /// Takes the facts from an evaluated configuration.
    pub fn from_terms(terms: Vec<Term>) -> Result<Self, RebarError> {
        let asked = list(&terms, "deps")?.to_vec();
        Self::new(terms, asked)
    }

    /// Reads the text of a `rebar.config` that no script belongs to; `file` names it in errors.
    pub fn read(text: &str, file: &str) -> Result<Self, RebarError> {
        Self::from_terms(read_terms(text, file)?)
    }

    /// Takes the dependencies from the lock that lies beside the configuration, as rebar3 does for
    /// a dependency that brings one: its direct entries stand in place of `{deps, …}`.
    pub fn with_lock(self, lock: &[Term]) -> Result<Self, RebarError> {
        let entries = match lock.first() {
            Some(Term::Tuple(versioned)) => versioned.get(1),
            other => other,
        };
        let direct: Vec<_> = entries
            .and_then(Term::as_list)
            .unwrap_or_default()
            .iter()
            .filter(|entry| matches!(entry.as_tuple(), Some([.., Term::Integer(0)])))
            .cloned()
            .collect();
        if direct.is_empty() {
            return Ok(self);
        }
        Self::new(self.terms, direct)
    }

    /// Takes the dependencies from a package's metadata, which count in place of `{deps, …}`.
    pub fn with_package_deps(mut self, deps: Vec<Wish>) -> Self {
        self.asked = deps.iter().map(wish::package_term).collect();
        self.deps = deps;
        self
    }

    /// Returns what the profile `name` adds; nothing where it does not exist.
    pub fn profile(&self, name: &str) -> Result<ProfileFacts, RebarError> {
        profile_facts(profile_terms(&self.terms, name)?)
    }

    /// Returns the dependencies of `app`, whose own facts are `own`, as this project asks for them:
    /// after its `overrides`, those of its `prod` profile included, as rebar3 includes them.
    ///
    /// For a dependency's dependencies, pass the overrides down by [`Overrides::below`].
    pub fn deps_of(&self, app: &str, own: &Self) -> Result<Vec<Wish>, RebarError> {
        let overrides = Overrides::of(self)?.below(own)?;
        let facts = overrides.apply(app, own)?;
        let mut deps = facts.deps.clone();
        deps.extend(facts.profile("prod")?.deps);
        Ok(deps)
    }

    fn new(terms: Vec<Term>, asked: Vec<Term>) -> Result<Self, RebarError> {
        let mut profiles = BTreeMap::new();
        for entry in list(&terms, "profiles")? {
            if let Some([Term::Atom(name), _]) = entry.as_tuple()
                && let Ok(facts) = profile_terms(&terms, name).and_then(profile_facts)
            {
                profiles.insert(name.clone(), facts);
            }
        }
        Ok(Self {
            deps: wish::read_all(&asked, "deps")?,
            plugins: wishes(&terms, "plugins")?,
            project_plugins: wishes(&terms, "project_plugins")?,
            profiles,
            terms,
            asked,
            no_autopatch: NoAutopatch::default(),
        })
    }
}

/// Reads the terms of a file of rebar3's.
pub fn read_terms(text: &str, file: &str) -> Result<Vec<Term>, RebarError> {
    let malformed = |source| RebarError::Malformed { file: file.to_owned(), source };
    terms::parse_all(text).map_err(malformed)
}

fn list<'a>(terms: &'a [Term], key: &str) -> Result<&'a [Term], RebarError> {
    let Some(value) = terms::get(terms, key) else {
        return Ok(&[]);
    };
    let key = key.to_owned();
    value.as_list().ok_or(RebarError::NotAList { key })
}

fn wishes(terms: &[Term], key: &str) -> Result<Vec<Wish>, RebarError> {
    wish::read_all(list(terms, key)?, key)
}

fn profile_terms<'a>(terms: &'a [Term], name: &str) -> Result<&'a [Term], RebarError> {
    list(list(terms, "profiles")?, name)
}

fn profile_facts(terms: &[Term]) -> Result<ProfileFacts, RebarError> {
    Ok(ProfileFacts {
        deps: wishes(terms, "deps")?,
        plugins: wishes(terms, "plugins")?,
        project_plugins: wishes(terms, "project_plugins")?,
    })
}

#[cfg(test)]
mod tests;
