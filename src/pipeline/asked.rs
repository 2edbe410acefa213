//! Asked: a source that could not be had, with who asks for it and, of a plugin, how to do without.

use std::error::Error;
use std::fmt;

use crate::explain::{Blame, Explain};
use crate::fetch::FetchError;
use crate::lock::{Request, Role};

/// A source that somebody asks for could not be had.
#[derive(Debug)]
pub struct AskedFailure {
    failed: FetchError,
    /// Who asks.
    parents: Vec<String>,
    /// The plugin that it is.
    plugin: Option<String>,
}

impl AskedFailure {
    pub(super) fn new(request: &Request, failed: FetchError) -> Self {
        let plugin = (request.role == Role::Plugin).then(|| request.app.clone());
        Self { failed, parents: request.parents.iter().cloned().collect(), plugin }
    }
}

impl fmt::Display for AskedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failed)?;
        let Some((first, others)) = self.parents.split_first() else { return Ok(()) };
        let what = if self.plugin.is_some() { " as a plugin" } else { "" };
        match others.len() {
            0 => write!(f, "\n  `{first}` asks for it{what}"),
            count => write!(f, "\n  `{first}` and {count} more ask for it{what}"),
        }
    }
}

impl Error for AskedFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failed.source()
    }
}

impl Explain for AskedFailure {
    fn blame(&self) -> Blame {
        self.failed.blame()
    }

    fn hint(&self) -> Option<String> {
        let hint = self.failed.hint();
        let (Some(plugin), Some(parent)) = (&self.plugin, self.parents.first()) else {
            return hint;
        };
        let without = format!(
            "if the build needs no `{plugin}`, leave it out: `ignore-plugins = [\"{plugin}\"]` in `[deps.{parent}]` of rebeam.toml"
        );
        Some(hint.map_or(without.clone(), |hint| format!("{hint}; {without}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::rebar::{Wish, WishSource};

    #[test]
    fn a_plugin_that_is_not_to_be_had_is_named_with_who_asks_and_the_way_around() {
        let request = Request {
            app: "coveralls".into(),
            role: Role::Plugin,
            wish: Wish {
                app: "coveralls".into(),
                source: WishSource::Path { path: "coveralls".into() },
            },
            wanted: String::new(),
            parents: ["words".to_owned(), "zebra".to_owned()].into(),
            pinned: None,
            described: None,
            imported: None,
            untouched: false,
        };
        let (app, repository) = ("coveralls".into(), "own".into());
        let failed = FetchError::UnknownRepository { app, repository };
        let failure = AskedFailure::new(&request, failed);
        assert!(failure.to_string().ends_with("\n  `words` and 1 more ask for it as a plugin"));
        let hint = failure.hint().unwrap();
        assert!(
            hint.ends_with("`ignore-plugins = [\"coveralls\"]` in `[deps.words]` of rebeam.toml")
        );
    }
}
