//! ResolveError: why a closure cannot be settled.

use thiserror::Error;

use crate::explain::{Blame, Explain};
use crate::limits::{LOCK_SOURCES_MAX, PLUGIN_DEPTH_MAX};
use crate::lock::Role;
use crate::manifest::rebar::RebarError;

/// The sources of a project cannot be settled.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ResolveError {
    /// Applications need one another.
    #[error("{} sources need one another: {}", role.name(), chain.join(" → "))]
    Cycle {
        /// The namespace.
        role: Role,
        /// The names on the way, the first one again at the end.
        chain: Vec<String>,
    },
    /// `[deps.NAME] use` names nothing that is asked for.
    #[error(
        "`[deps.{app}] use` is `{choice}`, which is none of the sources asked for{}",
        listed(candidates)
    )]
    UnknownChoice {
        /// The application.
        app: String,
        /// What the manifest says.
        choice: String,
        /// What is asked for, each with its parents.
        candidates: Vec<String>,
    },
    /// The configuration of a source cannot be used.
    #[error("the configuration of `{app}` cannot be used")]
    Facts {
        /// The application, or the project.
        app: String,
        /// Why.
        #[source]
        source: RebarError,
    },
    /// The closure has no end in sight.
    #[error("the project asks for more than {LOCK_SOURCES_MAX} sources (`LOCK_SOURCES_MAX`)")]
    TooManySources,
    /// Plugins need plugins without end.
    #[error("plugin `{app}` stands below more than {PLUGIN_DEPTH_MAX} others (`PLUGIN_DEPTH_MAX`)")]
    PluginsTooDeep {
        /// The plugin.
        app: String,
    },
    /// A request was left unanswered.
    #[error("`{app}` was asked for and not settled")]
    Unsettled {
        /// The application.
        app: String,
    },
}

fn listed(candidates: &[String]) -> String {
    if candidates.is_empty() {
        return "\n  nobody asks for it".into();
    }
    candidates.iter().map(|candidate| format!("\n  asked for: {candidate}")).collect()
}

impl Explain for ResolveError {
    fn blame(&self) -> Blame {
        match self {
            Self::Unsettled { .. } => Blame::Bug,
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Cycle { role: Role::Plugin, chain } => Some(format!(
                "leave a plugin out: `ignore_plugins = [\"{}\"]` in `[deps.NAME]` of rebeam.toml",
                chain.first()?
            )),
            Self::Cycle { .. } => Some(
                "no build order exists; break it with an override in rebar.config, such as \
                 `{overrides, [{override, NAME, [{deps, []}]}]}`"
                    .into(),
            ),
            Self::Facts { source, .. } => source.hint(),
            Self::UnknownChoice { candidates, app, .. } if candidates.is_empty() => {
                Some(format!("remove `use` from `[deps.{app}]` in rebeam.toml"))
            }
            Self::UnknownChoice { .. } => Some(
                "`use` takes the name of a parent, or `url#ref` as that parent writes it".into(),
            ),
            _ => None,
        }
    }
}
