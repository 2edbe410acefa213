//! Lint: rules that decide nothing, and settings that do other than they seem to.
//!
//! Whether a row is ever asked depends on a query that may be anything. So the query is asked itself, about a client
//! that the row is for: what is not selected even then never is, and what stands before it there is asked first.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::book::Book;
use super::error::AccessError;
use super::explain::is_same;
use super::policy::{Chain, Policy, Stop};
use super::query::Query;
use super::row;
use super::rule::{Action, Asker, Rule, Whom};
use super::source::Trouble;
use super::users;
use super::wording;
use crate::manifest::Anonymous;

/// Rows that are looked at; each asks the database once.
const ROWS_MAX: usize = 1_000;
/// A name that nobody has.
const NOBODY: &str = "rebeam-lint";
/// An address of documents, which no client comes from.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not do what it is there for.
    Error,
    /// It may do other than it seems to.
    Warning,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where: a rule, a query, a setting.
    pub place: String,
    /// What is so.
    pub problem: String,
}

impl Finding {
    pub(super) fn error(place: &str, problem: impl Into<String>) -> Self {
        Self { level: Level::Error, place: place.to_owned(), problem: problem.into() }
    }

    pub(super) fn warning(place: &str, problem: impl Into<String>) -> Self {
        Self { level: Level::Warning, place: place.to_owned(), problem: problem.into() }
    }
}

/// A client that a rule is for.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) client: String,
    pub(super) user: Option<String>,
    pub(super) address: IpAddr,
}

impl Book {
    /// Finds rules that decide nothing, and settings that do other than they seem to.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lint(&self) -> Result<Vec<Finding>, AccessError> {
        let Some(policy) = &self.policy else { return Ok(vec![]) };
        let mut found = settings(policy);
        queries(policy, &mut found).await?;
        let is_refused = found.iter().any(|finding| finding.level == Level::Error);
        let rules = if is_refused && policy.source.is_some() {
            self.file_rules().to_vec()
        } else {
            let mut rules = self.rows(policy, &mut found).await?;
            rules.extend(self.file_rules().iter().cloned());
            rules
        };
        file(&self.file_rules(), &mut found);
        for action in [Action::Subscribe, Action::Publish] {
            if !policy.nomatch_allows && !rules.iter().any(|rule| lets(rule, action)) {
                let verb = action.name();
                let problem = format!("no rule lets anybody {verb}, and `nomatch` is deny");
                found.push(Finding::warning("the rules", problem));
            }
        }
        users::lint(policy, &mut found).await?;
        Ok(found)
    }

    /// Looks at each row, and returns the rules that mean something.
    async fn rows(
        &self,
        policy: &Policy,
        found: &mut Vec<Finding>,
    ) -> Result<Vec<Rule>, AccessError> {
        let table = match self.table().await {
            Ok(table) => table,
            // The queries work without such a table, so they ask another.
            Err(AccessError::Refused { .. }) => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        if table.len() > ROWS_MAX {
            let problem =
                format!("only the first {ROWS_MAX} of {} rows were looked at", table.len());
            found.push(Finding::warning("mqtt_acl", problem));
        }
        let mut rules = Vec::new();
        for row in table.iter().take(ROWS_MAX) {
            match row::read(row) {
                Ok(rule) => {
                    self.row(policy, &rule, found).await?;
                    rules.push(rule);
                }
                Err(broken) => found.push(Finding::error(
                    &broken.name,
                    format!(
                        "{}; whoever the acl query selects it for is denied everything",
                        broken.why
                    ),
                )),
            }
        }
        serial(policy, "mqtt_acl", found).await?;
        Ok(rules)
    }

    async fn row(
        &self,
        policy: &Policy,
        rule: &Rule,
        found: &mut Vec<Finding>,
    ) -> Result<(), AccessError> {
        words(rule, found);
        if policy.acl.is_none() {
            return Ok(());
        }
        let probe = probe(&rule.whom);
        if probe.user.as_deref().is_some_and(|user| user.starts_with('$')) {
            let problem = "it never decides: users whose names begin with `$` are asked of no row";
            found.push(Finding::error(&rule.name, problem));
            return Ok(());
        }
        match policy.chain(&probe.asker()).await {
            Ok(chain) => place(rule, &chain, found),
            Err(Stop::Trouble(trouble)) => return Err(trouble.into()),
            // Another row, which is named for itself.
            Err(Stop::Broken(_)) => {}
        }
        Ok(())
    }
}

/// Looks where a row stands among those that are asked about a client that it is for.
fn place(rule: &Rule, chain: &Chain, found: &mut Vec<Finding>) {
    let mut before = chain.rules().take_while(|other| !is_same(other, rule));
    let shadow = before.find(|other| other.shadows(rule));
    if !chain.rules().any(|other| is_same(other, rule)) {
        let problem = "it never decides: the acl query does not select it even for whom it is for";
        found.push(Finding::error(&rule.name, problem));
    } else if let Some(shadow) = shadow {
        found.push(shadowed(rule, shadow));
    }
}

fn shadowed(rule: &Rule, shadow: &Rule) -> Finding {
    let problem = format!("it never decides: {} ({shadow}) is asked first", shadow.name);
    match shadow.allows == rule.allows {
        true => Finding::warning(&rule.name, problem),
        false => Finding::error(&rule.name, problem),
    }
}

fn words(rule: &Rule, found: &mut Vec<Finding>) {
    if let Some(why) = wording::never_matches(rule) {
        found.push(Finding::error(&rule.name, format!("it never decides: {why}")));
    } else if let Some(why) = wording::misleads(rule) {
        found.push(Finding::warning(&rule.name, why));
    }
}

/// Looks at the rules of the file among themselves.
fn file(rules: &[Rule], found: &mut Vec<Finding>) {
    for (at, rule) in rules.iter().enumerate() {
        words(rule, found);
        if let Some(shadow) = rules[..at].iter().find(|other| other.shadows(rule)) {
            found.push(shadowed(rule, shadow));
        }
    }
}

fn lets(rule: &Rule, action: Action) -> bool {
    let probe = probe(&rule.whom);
    // Whatever its topics are: it is for some of them.
    let about_all = Rule { topics: None, ..rule.clone() };
    rule.allows && about_all.speaks(&probe.asker(), action, "").is_ok()
}

fn settings(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    if policy.auth.is_none() {
        return found;
    }
    if policy.hash.is_only_ours() {
        let problem = "emqttd 2.3 refuses everybody with `bcrypt` alone; it knows `salt,bcrypt`";
        found.push(Finding::warning("password-hash", problem));
    }
    if policy.hash.is_plain() {
        let problem = "whoever reads the table reads the passwords";
        found.push(Finding::warning("password-hash", problem));
    }
    if policy.anonymous == Anonymous::Emqttd {
        let problem = "whoever gives a name that no row has is let in, whatever the password";
        found.push(Finding::warning("anonymous", problem));
    }
    found
}

async fn queries(policy: &Policy, found: &mut Vec<Finding>) -> Result<(), AccessError> {
    let probe = probe(&Whom::All);
    let hash = policy.hash.columns();
    let queries: [(&str, &Option<Query>, std::ops::RangeInclusive<usize>); 3] = [
        ("auth-query", &policy.auth, hash..=hash),
        ("super-query", &policy.superuser, 1..=1),
        ("acl-query", &policy.acl, row::COLUMNS..=row::COLUMNS + 1),
    ];
    for (place, query, columns) in queries {
        let Some(query) = query else { continue };
        match policy.ask(query, &probe.asker()).await {
            Err(Trouble::Refused(why)) => {
                found.push(Finding::error(place, format!("the database refuses it: {why}")));
            }
            Err(away) => return Err(away.into()),
            Ok(rows) if !columns.contains(&rows.columns) => {
                let (gives, wanted) = (rows.columns, columns.start());
                let problem = format!("it gives {gives} columns, and {wanted} are needed");
                found.push(Finding::error(place, problem));
            }
            Ok(_) if place == "acl-query" && !query.is_ordered() => {
                let problem = "without `order by` it is chance which row is asked first; it is the last of the result";
                found.push(Finding::warning(place, problem));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Looks whether the next insert finds a number that is free.
pub(super) async fn serial(
    policy: &Policy,
    table: &str,
    found: &mut Vec<Finding>,
) -> Result<(), AccessError> {
    let Some(source) = policy.source.as_ref().filter(|source| source.mark() == '$') else {
        return Ok(());
    };
    let sql = format!("select pg_get_serial_sequence('{table}', 'id')");
    let sequence =
        source.ask(&sql, vec![]).await.ok().and_then(|rows| rows.rows.into_iter().next());
    let Some(name) = sequence.and_then(|row| row.first()?.text().map(String::from)) else {
        return Ok(());
    };
    let sql = format!(
        "select 1 from {name} where last_value + is_called::int <= (select max(id) from {table})"
    );
    let Ok(rows) = source.ask(&sql, vec![]).await else { return Ok(()) };
    if !rows.rows.is_empty() {
        let problem = format!(
            "the next insert collides with a number that was given by hand: `select setval('{name}', (select max(id) from {table}))`"
        );
        found.push(Finding::error(table, problem));
    }
    Ok(())
}

/// Makes a client that somebody is, whom a rule names.
fn probe(whom: &Whom) -> Probe {
    let mut probe =
        Probe { client: NOBODY.to_owned(), user: Some(NOBODY.to_owned()), address: NOWHERE };
    probe.become_one(whom);
    probe
}

impl Probe {
    fn become_one(&mut self, whom: &Whom) {
        match whom {
            Whom::All => {}
            Whom::User(name) => self.user = Some(name.clone()),
            Whom::Client(id) => id.clone_into(&mut self.client),
            Whom::Network(network) => self.address = network.some_address(),
            Whom::And(all) => all.iter().for_each(|whom| self.become_one(whom)),
            Whom::Or(any) => any.iter().take(1).for_each(|whom| self.become_one(whom)),
        }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { client: &self.client, user: self.user.as_deref(), address: self.address }
    }

    /// Makes a client of a row of users.
    pub(super) fn user(user: String, client: Option<String>, address: Option<IpAddr>) -> Self {
        Self {
            client: client.unwrap_or_else(|| NOBODY.to_owned()),
            user: Some(user),
            address: address.unwrap_or(NOWHERE),
        }
    }
}
