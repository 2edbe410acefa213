//! MixResolveError: why a mix project's closure cannot be settled.

use thiserror::Error;

use crate::explain::{Blame, Explain};
use crate::limits::LOCK_SOURCES_MAX;

/// Tries of a version that a search may make.
pub(super) const TRIES_MAX: usize = 50_000;

/// Someone who asks for something: what, and the way from the project to them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// What is asked for, in words.
    pub wanted: String,
    /// The applications from the project to the one that asks.
    pub chain: Vec<String>,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` by {}", self.wanted, self.chain.join(" → "))
    }
}

/// The sources of a mix project cannot be settled.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MixResolveError {
    /// Two ask for an application from different places, and nobody overrides.
    #[error("`{app}` is asked for in two ways:{}", lines(claims))]
    Diverged {
        /// The application.
        app: String,
        /// What is asked for, and by whom.
        claims: Vec<Claim>,
    },
    /// No version of a package is right for all that ask for it.
    #[error("no version of `{package}` is right for all:{}", lines(claims))]
    NoVersion {
        /// The package.
        package: String,
        /// What is asked for, and by whom.
        claims: Vec<Claim>,
    },
    /// A requirement cannot be read.
    #[error("`{requirement}`, by which `{by}` asks for `{app}`, is no requirement of a version")]
    BadRequirement {
        /// For which application.
        app: String,
        /// The text.
        requirement: String,
        /// Who asks.
        by: String,
    },
    /// The search for versions took too long.
    #[error(
        "no set of versions that is right for all was found in {TRIES_MAX} tries; the first trouble was with `{package}`:{}",
        lines(claims)
    )]
    TooHard {
        /// The package.
        package: String,
        /// What is asked for, and by whom.
        claims: Vec<Claim>,
    },
    /// `mix.lock` and the registry disagree about a package's bytes.
    #[error(
        "`{package}` {version} is not what mix.lock says\n  mix.lock: {locked}\n  registry: {registry}"
    )]
    Checksum {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The checksum in `mix.lock`.
        locked: crate::digest::Digest,
        /// The registry's.
        registry: crate::digest::Digest,
    },
    /// `[deps.NAME] use` names nothing that is asked for.
    #[error(
        "`[deps.{app}] use` is `{choice}`, which is none of the sources asked for:{}",
        lines(claims)
    )]
    UnknownChoice {
        /// The application.
        app: String,
        /// What the manifest says.
        choice: String,
        /// What is asked for, and by whom.
        claims: Vec<Claim>,
    },
    /// A dependency of a dependency lies at a path, which means nothing outside its repository.
    #[error("`{parent}` asks for `{app}` by the path `{path}`, which is not in the project")]
    ForeignPath {
        /// Who asks.
        parent: String,
        /// For what.
        app: String,
        /// Where.
        path: String,
    },
    /// The closure has no end in sight.
    #[error("the project asks for more than {LOCK_SOURCES_MAX} sources (`LOCK_SOURCES_MAX`)")]
    TooManySources,
}

fn lines(claims: &[Claim]) -> String {
    claims.iter().map(|claim| format!("\n  {claim}")).collect()
}

impl Explain for MixResolveError {
    fn blame(&self) -> Blame {
        match self {
            Self::Checksum { .. } => Blame::World,
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Diverged { app, .. } => Some(format!(
                "add `override: true` to `{app}` in mix.exs, or `[deps.{app}] use = \"…\"` to rebeam.toml with the name of \
                 the one whose word counts"
            )),
            Self::NoVersion { package, .. } | Self::TooHard { package, .. } => Some(format!(
                "loosen one of them, or name `{package}` in mix.exs with `override: true`"
            )),
            Self::Checksum { .. } => {
                Some("a package was replaced upstream or mix.lock was edited; look at both".into())
            }
            Self::ForeignPath { app, .. } => Some(format!(
                "say where it comes from: `[deps.{app}] source = \"git+…\"` in rebeam.toml"
            )),
            _ => None,
        }
    }
}
