//! Policy: emqttd's way from a question to an answer.
//!
//! Who connects is looked up by the auth query, and whom it does not know by `anonymous`. What somebody wants to do
//! is asked of the rows of the acl query, then of `acl.conf`, and what no rule speaks of is decided by `nomatch`.

use std::path::Path;
use std::sync::Arc;

use super::cell::Cell;
use super::error::AccessError;
use super::file::File;
use super::hash::PasswordHash;
use super::postgres::Postgres;
use super::query::Query;
use super::row::{self, Broken};
use super::rule::{Action, Asker, Rule};
use super::settings::Settings;
use super::source::{Rows, Source, Trouble};
use super::sqlite::Sqlite;
use super::{Attempt, Denial};
use crate::manifest::{AccessProvider, Anonymous};

/// Whether changes are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    On,
    Off,
}

/// Everything that decides.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) source: Option<Arc<dyn Source>>,
    pub(super) file: Option<File>,
    pub(super) auth: Option<Query>,
    pub(super) superuser: Option<Query>,
    pub(super) acl: Option<Query>,
    pub(super) hash: PasswordHash,
    pub(super) nomatch_allows: bool,
    pub(super) anonymous: Anonymous,
}

/// The rules that are asked about somebody, in the order in which they are asked.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    rows: Vec<Rule>,
    file: Arc<Vec<Rule>>,
}

/// Why there are no rules to ask: everything is denied.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    Trouble(Trouble),
    Broken(Broken),
}

/// Whom the auth query knows.
#[derive(Debug)]
pub(super) enum Known {
    /// Exactly one row, with what it keeps of the password.
    Row(Vec<Cell>),
    /// Nobody, or there is no auth query.
    Nobody,
}

/// Somebody is not let in.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) code: Denial,
    pub(super) rule: String,
}

impl Policy {
    /// Opens what `settings` name; embedded rules are below `state`.
    pub(super) fn open(
        settings: &Settings,
        state: &Path,
        watch: Watch,
    ) -> Result<Self, AccessError> {
        let source: Option<Arc<dyn Source>> = match (settings.provider, &settings.url) {
            (AccessProvider::Open | AccessProvider::Conf, _) => None,
            (AccessProvider::Sql, Some(url)) => {
                let source = Postgres::new(url)?;
                Some(Arc::new(if watch == Watch::On { source.watched() } else { source }))
            }
            (AccessProvider::Sql, None) => {
                let source = Sqlite::open(state)?;
                Some(Arc::new(if watch == Watch::On { source.watched()? } else { source }))
            }
        };
        let file = settings.file.as_deref().map(File::open).transpose()?;
        let file = match (file, watch) {
            (Some(file), Watch::On) => Some(file.watched()?),
            (file, _) => file,
        };
        let mark = source.as_ref().map(|source| source.mark());
        let query = |text: &str| Some(Query::new(text, mark?)).filter(|_| !text.trim().is_empty());
        Ok(Self {
            auth: query(&settings.auth),
            superuser: query(&settings.superuser),
            acl: query(&settings.acl),
            source,
            file,
            hash: settings.hash,
            nomatch_allows: settings.nomatch_allows,
            anonymous: settings.anonymous,
        })
    }

    /// Counts the changes of all rules.
    pub(super) fn generation(&self) -> u64 {
        let rows = self.source.as_ref().map_or(0, |source| source.generation());
        rows + self.file.as_ref().map_or(0, File::generation)
    }

    /// Asks a query about somebody.
    pub(super) async fn ask(&self, query: &Query, asker: &Asker<'_>) -> Result<Rows, Trouble> {
        let source = self.source.as_ref().expect("there are queries only with a database");
        source.ask(&query.sql, query.values(asker)).await
    }

    /// Finds out whom the auth query knows, or why nobody is looked up at all.
    pub(super) async fn look_up(&self, attempt: &Attempt<'_>) -> Result<Known, Turned> {
        let Some(auth) = &self.auth else { return Ok(Known::Nobody) };
        let asker = asker(attempt);
        let is_given = |text: Option<&[u8]>| text.is_some_and(|text| !text.is_empty());
        let has_name = is_given(attempt.username.map(str::as_bytes));
        if !has_name && self.anonymous == Anonymous::Allow {
            return Ok(Known::Nobody);
        }
        if !has_name || !is_given(attempt.password) {
            return Err(Turned::bad("no user name or no password was given"));
        }
        let found =
            self.ask(auth, &asker).await.map_err(|trouble| Turned::trouble("auth", trouble))?;
        match <[_; 1]>::try_from(found.rows) {
            Ok([row]) => Ok(Known::Row(row)),
            Err(rows) if rows.is_empty() => Ok(Known::Nobody),
            Err(rows) => Err(Turned::bad(&format!(
                "the auth query gave {} rows, and only one may be",
                rows.len()
            ))),
        }
    }

    /// Decides about who is not known to the auth query.
    pub(super) fn admit_unknown(&self, attempt: &Attempt<'_>) -> Result<(), Turned> {
        let name = attempt.username.filter(|name| !name.is_empty());
        let is_let_in = match self.anonymous {
            Anonymous::Deny => false,
            Anonymous::Allow => name.is_none() || self.auth.is_none(),
            Anonymous::Emqttd => true,
        };
        match (is_let_in, name) {
            (true, _) => Ok(()),
            (false, Some(name)) => {
                let (client, address) = (attempt.client_id, attempt.peer.ip().to_canonical());
                Err(Turned::bad(&format!(
                    "no row of the auth query is for user `{name}` as client `{client}` from {address}"
                )))
            }
            (false, None) => Err(Turned::bad("`anonymous` is deny")),
        }
    }

    /// Tells whether nothing is denied to somebody; only a boolean that is true says so.
    pub(super) async fn is_superuser(&self, asker: &Asker<'_>) -> Result<bool, Turned> {
        let Some(query) = &self.superuser else { return Ok(false) };
        match self.ask(query, asker).await {
            Ok(found) if found.rows.len() > 1 => {
                Err(Turned::bad("the super query gave several rows, and only one may be"))
            }
            Ok(found) => {
                let said = found.rows.into_iter().next().and_then(|row| row.into_iter().next());
                Ok(said == self.source.as_ref().map(|source| source.truth()))
            }
            Err(trouble @ Trouble::Away(_)) => Err(Turned::trouble("super", trouble)),
            Err(Trouble::Refused(_)) => Ok(false),
        }
    }

    /// Returns the rules that are asked about somebody.
    pub(super) async fn chain(&self, asker: &Asker<'_>) -> Result<Chain, Stop> {
        let file = self.file.as_ref().map(File::rules).unwrap_or_default();
        // emqttd asks no row about those: `$all` is one of them.
        let is_reserved = asker.user.is_some_and(|user| user.starts_with('$'));
        let rows = match &self.acl {
            Some(acl) if !is_reserved => self.ask(acl, asker).await.map_err(Stop::Trouble)?.rows,
            _ => Vec::new(),
        };
        let rows = row::compile(&rows).map_err(Stop::Broken)?;
        Ok(Chain { rows, file })
    }

    /// Says what decides where no rule speaks.
    pub(super) fn nomatch(&self) -> String {
        let word = if self.nomatch_allows { "allow" } else { "deny" };
        format!("no rule speaks of it, and `nomatch` is {word}")
    }
}

impl Chain {
    /// Returns the rules in the order in which they are asked.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rows.iter().chain(self.file.iter())
    }

    /// Finds the rule that decides.
    pub(super) fn decides(&self, asker: &Asker<'_>, action: Action, topic: &str) -> Option<&Rule> {
        self.rules().find(|rule| rule.speaks(asker, action, topic).is_ok())
    }
}

impl Stop {
    /// Says why everything is denied.
    pub(super) fn rule(&self) -> String {
        match self {
            Self::Trouble(Trouble::Away(why)) => format!("the database does not answer: {why}"),
            Self::Trouble(Trouble::Refused(why)) => format!("the acl query is refused: {why}"),
            Self::Broken(Broken { name, why }) => format!("{name} means nothing: {why}"),
        }
    }
}

impl Turned {
    pub(super) fn bad(rule: &str) -> Self {
        Self { code: Denial::BadCredentials, rule: rule.to_owned() }
    }

    fn trouble(query: &str, trouble: Trouble) -> Self {
        match trouble {
            Trouble::Away(why) => Self::away(&why),
            Trouble::Refused(why) => Self::bad(&format!("the {query} query is refused: {why}")),
        }
    }

    pub(super) fn away(why: &str) -> Self {
        let rule = format!("the database does not answer: {why}");
        Self { code: Denial::Unavailable, rule }
    }
}

/// Returns who asks; an address is the same in whichever form it came.
pub(super) fn asker<'a>(attempt: &Attempt<'a>) -> Asker<'a> {
    Asker {
        client: attempt.client_id,
        user: attempt.username,
        address: attempt.peer.ip().to_canonical(),
    }
}
