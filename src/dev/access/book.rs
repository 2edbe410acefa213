//! Book: the rules as people read and change them.

use std::path::Path;

use serde::Serialize;

use super::cell::Cell;
use super::error::AccessError;
use super::file::File;
use super::policy::{Policy, Watch};
use super::row::{self, ALL};
use super::rule::{Reach, Rule};
use super::settings::Settings;
use super::source::{Rows, Source, Trouble};
use super::wording;
use crate::manifest::AccessProvider;

/// All rows with their numbers.
const TABLE: &str =
    "select allow, ipaddr, username, clientid, access, topic, id from mqtt_acl order by id";
const INSERT: &str =
    "insert into mqtt_acl (allow, ipaddr, username, clientid, access, topic) values";
const DELETE: &str = "delete from mqtt_acl where id = ";
const COLUMNS: &str = "allow, ipaddr, username, clientid, access, topic, id";

/// The rules of a project, to be read and changed while its stack is up or down.
#[derive(Debug)]
pub struct Book {
    /// None where everybody may do everything.
    pub(super) policy: Option<Policy>,
}

/// A rule as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it is called: `row 3 of mqtt_acl`.
    pub rule: String,
    /// Its number, by which it can be removed if it is a row.
    pub number: i64,
    /// Whether it allows; none for a row that means nothing.
    pub allows: Option<bool>,
    /// For whom it is.
    pub whom: String,
    /// `publish`, `subscribe` or `pubsub`.
    pub action: String,
    /// Its topics, as they are written.
    pub topics: Vec<String>,
    /// Why it means nothing.
    pub broken: Option<String>,
}

/// A row to be added. With nobody named it is for everybody.
#[derive(Debug, Clone, Default)]
pub struct NewRow {
    /// Whether it allows.
    pub allows: bool,
    /// Whoever has this name.
    pub user: Option<String>,
    /// Whoever has this identifier.
    pub client: Option<String>,
    /// Whoever comes from this address or range.
    pub address: Option<String>,
    /// Whether it is about publishing.
    pub publish: bool,
    /// Whether it is about subscribing.
    pub subscribe: bool,
    /// A filter, or `eq ` and a text.
    pub topic: String,
}

impl Book {
    /// Opens the rules that `settings` name; embedded ones are below `state`.
    ///
    /// # Errors
    /// Where the embedded database or the file cannot be read.
    pub fn open(settings: &Settings, state: &Path) -> Result<Self, AccessError> {
        let policy = match settings.provider {
            AccessProvider::Open => None,
            _ => Some(Policy::open(settings, state, Watch::Off)?),
        };
        Ok(Self { policy })
    }

    /// Lists the rows by their numbers, and then the rules of the file.
    ///
    /// # Errors
    /// Where the database does not answer or has no such table.
    pub async fn rules(&self) -> Result<Vec<Listed>, AccessError> {
        let rows = self.table().await?;
        let listed = rows.iter().map(|row| Listed::of_row(row));
        let file = self.file_rules();
        Ok(listed
            .chain(file.iter().zip(1..).map(|(rule, number)| Listed::new(rule, number)))
            .collect())
    }

    /// Says in which order the rules are asked, a sentence or two for each place where they stand.
    pub fn order(&self) -> Vec<String> {
        let Some(policy) = &self.policy else { return Vec::new() };
        let mut order = Vec::new();
        if policy.source.is_some() {
            order.push(
                "The newest row that speaks of a client and a topic decides: as in emqttd, the rows that the query gives are asked from the last to the first."
                    .to_owned(),
            );
        }
        if policy.file.is_some() {
            order.push("The rules of the file are asked from the first to the last.".to_owned());
        }
        let otherwise = if policy.nomatch_allows { "allowed" } else { "denied" };
        order.push(format!("What no rule speaks of is {otherwise}."));
        order
    }

    /// Adds a row and returns it.
    ///
    /// # Errors
    /// Where it would never decide anything, or the database does not take it.
    pub async fn add(&self, row: &NewRow) -> Result<Listed, AccessError> {
        let (source, values) = (self.source()?, row.values());
        let cell = |value: &Option<String>| value.clone().map_or(Cell::Null, Cell::Text);
        let cells: Vec<Cell> = values.iter().map(cell).collect();
        let useless = |why| AccessError::Useless { why };
        let rule = row::read(&cells).map_err(|broken| useless(broken.why))?;
        if let Some(why) = wording::never_matches(&rule) {
            return Err(useless(why));
        }
        let mark = source.mark();
        let places: Vec<String> =
            (1..=values.len()).map(|number| format!("{mark}{number}")).collect();
        let sql = format!("{INSERT} ({}) returning {COLUMNS}", places.join(", "));
        let added = source.ask(&sql, values).await?;
        let added = added.rows.first().map(|row| Listed::of_row(row));
        added.ok_or(AccessError::Refused { why: "no row was added".to_owned() })
    }

    /// Removes a row and returns what it was.
    ///
    /// # Errors
    /// Where there is none of this number.
    pub async fn remove(&self, number: i64) -> Result<Listed, AccessError> {
        let source = self.source()?;
        let sql = format!("{DELETE}{}1 returning {COLUMNS}", source.mark());
        let removed = source.ask(&sql, vec![Some(number.to_string())]).await?;
        removed.rows.first().map(|row| Listed::of_row(row)).ok_or(AccessError::NoRow { number })
    }

    pub(super) fn source(&self) -> Result<&dyn Source, AccessError> {
        const OPEN: &str = "access is open: there are no rules";
        const FILE: &str = "the rules are in a file, which is yours to edit";
        let policy = self.policy.as_ref().ok_or(AccessError::NoTable(OPEN))?;
        policy.source.as_deref().ok_or(AccessError::NoTable(FILE))
    }

    /// Returns every row of the table; none where the rules are in no database.
    pub(super) async fn table(&self) -> Result<Vec<Vec<Cell>>, AccessError> {
        match self.policy.as_ref().and_then(|policy| policy.source.as_ref()) {
            None => Ok(Vec::new()),
            Some(source) => {
                let Rows { rows, .. } = source.ask(TABLE, vec![]).await?;
                Ok(rows)
            }
        }
    }

    pub(super) fn file_rules(&self) -> std::sync::Arc<Vec<Rule>> {
        let file = self.policy.as_ref().and_then(|policy| policy.file.as_ref());
        file.map(File::rules).unwrap_or_default()
    }
}

impl NewRow {
    fn values(&self) -> Vec<Option<String>> {
        let is_for_all = self.user.is_none() && self.client.is_none() && self.address.is_none();
        let user = if is_for_all { Some(ALL.to_owned()) } else { self.user.clone() };
        // One for subscribing, two for publishing; none is no value, and the row is refused.
        let access = u8::from(self.subscribe) + 2 * u8::from(self.publish);
        vec![
            Some(u8::from(self.allows).to_string()),
            self.address.clone(),
            user,
            self.client.clone(),
            Some(access.to_string()),
            Some(self.topic.clone()),
        ]
    }
}

impl Listed {
    fn new(rule: &Rule, number: i64) -> Self {
        let topics = rule.topics.as_deref().unwrap_or_default();
        Self {
            rule: rule.name.to_string(),
            number,
            allows: Some(rule.allows),
            whom: rule.whom.to_string(),
            action: if rule.topics.is_some() { rule.reach } else { Reach::Both }.name().to_owned(),
            topics: topics.iter().map(super::topic::Pattern::to_row).collect(),
            broken: None,
        }
    }

    fn of_row(cells: &[Cell]) -> Self {
        let number = cells.last().and_then(Cell::integer).unwrap_or_default();
        row::read(cells).map_or_else(
            |broken| Self {
                rule: broken.name.to_string(),
                number,
                allows: None,
                whom: String::new(),
                action: String::new(),
                topics: cells.get(5).and_then(Cell::text).map(Into::into).into_iter().collect(),
                broken: Some(broken.why),
            },
            |rule| Self::new(&rule, number),
        )
    }
}

impl From<Trouble> for AccessError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Away(why) => Self::Away { why },
            Trouble::Refused(why) => Self::Refused { why },
        }
    }
}
