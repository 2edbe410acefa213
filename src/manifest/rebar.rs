//! Rebar: the facts that a `rebar.config` states, once it has been evaluated.

use std::collections::BTreeMap;

use crate::terms::Term;

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
    /// `{profiles, [{prod, [{deps, …}, {plugins, …}]}]}`.
    pub profiles: BTreeMap<String, ProfileFacts>,
    /// The whole evaluated configuration, term by term.
    pub terms: Vec<Term>,
}

/// What a profile adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileFacts {
    /// Dependencies.
    pub deps: Vec<Wish>,
    /// Plugins.
    pub plugins: Vec<Wish>,
}
