//! Explain: which rule decides, and why those before it did not.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::book::Book;
use super::error::AccessError;
use super::open::Open;
use super::policy::{Known, Policy, Turned};
use super::row;
use super::rule::{Action, Asker, Miss, Rule};
use super::topic::Pattern;
use super::{Access as _, Attempt, Who};

/// Who would do what.
#[derive(Debug, Clone)]
pub struct Question {
    /// The client identifier.
    pub client: String,
    /// The user's name.
    pub user: Option<String>,
    /// Where the client comes from.
    pub address: IpAddr,
    /// A topic, or a filter.
    pub topic: String,
    /// What is to be done with it.
    pub action: Action,
}

/// What decides, and how it came to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Whether it is allowed.
    pub allowed: bool,
    /// What decides.
    pub decided_by: String,
    /// Whether such a client is let in at all, with the right password.
    pub connects: bool,
    /// Why.
    pub connecting: String,
    /// The rules that were asked, in this order; the last one decides, if any does.
    pub steps: Vec<Step>,
    /// Rows that were not asked because the acl query does not select them for this client.
    pub not_selected: Vec<String>,
}

/// A rule that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is called.
    pub rule: String,
    /// What it says.
    pub says: String,
    /// Whether it decides.
    pub decides: bool,
    /// Why it does, or does not.
    pub why: String,
}

impl Book {
    /// Says which rule decides about a question, and why those before it did not.
    ///
    /// # Errors
    /// Where the rules cannot be read.
    pub async fn explain(&self, question: &Question) -> Result<Explained, AccessError> {
        let Some(policy) = &self.policy else { return Ok(open(question).await) };
        let asker = question.asker();
        let (connects, connecting, is_superuser) = connecting(policy, question).await;
        let explained = |allowed, decided_by: String, steps, not_selected| Explained {
            allowed,
            decided_by,
            connects,
            connecting: connecting.clone(),
            steps,
            not_selected,
        };
        if is_superuser {
            let why = "the super query says true: nothing is denied to a superuser";
            return Ok(explained(true, why.to_owned(), vec![], vec![]));
        }
        let chain = match policy.chain(&asker).await {
            Ok(chain) => chain,
            Err(stop) => return Ok(explained(false, stop.rule(), vec![], vec![])),
        };
        // A custom query may need no table of this name.
        let table = self.table().await.unwrap_or_default();
        let table: Vec<Rule> = table.iter().filter_map(|row| row::read(row).ok()).collect();
        let decides = chain.decides(&asker, question.action, &question.topic);
        let mut steps = Vec::new();
        for rule in chain.rules() {
            steps.push(step(rule, &table, question));
            if decides.is_some_and(|decides| std::ptr::eq(decides, rule)) {
                break;
            }
        }
        let is_selected = |row: &&Rule| chain.rules().any(|rule| is_same(rule, row));
        let left = table.iter().filter(|row| !is_selected(row));
        let left = left.map(|row| format!("{}: {row}", row.name)).collect();
        Ok(match (decides, steps.last()) {
            (Some(rule), Some(last)) => {
                let by = format!("{}: {rule}", last.rule);
                explained(rule.allows, by, steps, left)
            }
            _ => explained(policy.nomatch_allows, policy.nomatch(), steps, left),
        })
    }
}

impl Question {
    fn asker(&self) -> Asker<'_> {
        let address = self.address.to_canonical();
        Asker { client: &self.client, user: self.user.as_deref(), address }
    }
}

async fn open(question: &Question) -> Explained {
    let who = Who {
        client_id: question.client.as_str().into(),
        username: question.user.as_deref().map(Into::into),
        peer: SocketAddr::new(question.address, 0),
        is_superuser: false,
        identity: None,
    };
    let open = Open::default();
    let verdict = match question.action {
        Action::Publish => open.publish(&who, &question.topic).await,
        Action::Subscribe => open.subscribe(&who, &question.topic).await,
    };
    Explained {
        allowed: verdict.is_allowed,
        decided_by: verdict.rule.to_string(),
        connects: true,
        connecting: "access is open: everybody is let in".to_owned(),
        steps: vec![],
        not_selected: vec![],
    }
}

/// Says whether such a client is let in, why, and whether it is a superuser then.
async fn connecting(policy: &Policy, question: &Question) -> (bool, String, bool) {
    // Whoever has a name is taken to give a password, too: whether it is right is not asked here.
    let attempt = Attempt {
        client_id: &question.client,
        username: question.user.as_deref(),
        password: question.user.as_ref().map(|_| b"?".as_slice()),
        peer: SocketAddr::new(question.address, 0),
    };
    let refused = |turned: Turned| (false, turned.rule, false);
    match policy.look_up(&attempt).await {
        Err(turned) => refused(turned),
        Ok(Known::Nobody) => match policy.admit_unknown(&attempt) {
            Ok(()) => (true, "no row is for it, and `anonymous` lets it in".to_owned(), false),
            Err(turned) => refused(turned),
        },
        Ok(Known::Row(row)) => {
            if row.len() != policy.hash.columns() {
                let text = "a row is for it, but with other columns than the hash needs";
                return (false, text.to_owned(), false);
            }
            match policy.is_superuser(&question.asker()).await {
                Ok(true) => (true, "a row is for it, of a superuser".to_owned(), true),
                Ok(false) => (true, "a row is for it: the password decides".to_owned(), false),
                Err(turned) => refused(turned),
            }
        }
    }
}

fn step(rule: &Rule, table: &[Rule], question: &Question) -> Step {
    let asker = question.asker();
    let spoken = rule.speaks(&asker, question.action, &question.topic);
    let why = match spoken {
        Ok(()) => "it is for this client and matches".to_owned(),
        Err(Miss::Action) => format!("it is about {}", rule.reach.name()),
        Err(Miss::Whom) => rule.whom.why_not(&asker).unwrap_or_default(),
        Err(Miss::Topic) => topic(rule, question),
    };
    // A query that gives no number gives rows that the table knows by one.
    let known = table.iter().find(|row| is_same(rule, row));
    let name = known.map_or(&rule.name, |row| &row.name);
    Step { rule: name.to_string(), says: rule.to_string(), decides: spoken.is_ok(), why }
}

fn topic(rule: &Rule, question: &Question) -> String {
    let topics = rule.topics.as_deref().unwrap_or_default();
    let written: Vec<String> = topics.iter().map(|topic| format!("`{}`", topic.to_row())).collect();
    let text = format!("{} does not match `{}`", written.join(" or "), question.topic);
    let begins_wild = |topic: &Pattern| matches!(topic, Pattern::Filter(filter) if filter.starts_with(['+', '#']));
    let is_fed =
        |topic: &Pattern| matches!(topic, Pattern::Filter(filter) if super::topic::is_fed(filter));
    if topics.iter().any(|topic| matches!(topic, Pattern::Equal(_))) {
        format!("{text}: `eq` compares texts")
    } else if question.topic.starts_with('$') && topics.iter().any(begins_wild) {
        format!("{text}: wildcards do not stand for what begins with `$`")
    } else if topics.iter().any(is_fed) {
        let user = question.user.as_deref().unwrap_or("%u");
        format!("{text}: `%u` is `{user}` here, and `%c` is `{}`", question.client)
    } else {
        text
    }
}

/// Tells whether two rules say the same, whatever they are called.
pub(super) fn is_same(one: &Rule, other: &Rule) -> bool {
    let says = |rule: &Rule| (rule.allows, rule.reach, rule.whom.clone(), rule.topics.clone());
    let are_numbered = one.name.starts_with("row ") && other.name.starts_with("row ");
    if are_numbered { one.name == other.name } else { says(one) == says(other) }
}
