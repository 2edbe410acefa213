//! Rules: who may do what, which rule decides about a question, and rules that decide nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::frame::{Mood, Section, badge, table};
use super::text::{name, visible};
use super::view::{Ask, View};
use crate::dev::access::{AccessError, Action, Explained, Finding, Level, Listed, Question};
use crate::dev::web::Refusal;

/// Rules that are shown.
const SHOWN_MAX: usize = 500;

/// What stands above the rules where they are not asked.
const THINGS: &str = "Things decide here (--things, [dev.things] or the profile mainflux), and the rules below are not asked: \
    a password is a thing's key, and a thing may use the channels that it is connected to.";

/// The rules, and what was asked of them.
#[derive(Debug, Serialize)]
pub(super) struct Rules {
    rules: Vec<Listed>,
    /// How many there are.
    count: usize,
    question: Asked,
    answer: Option<Explained>,
    /// Who is asked, in which order.
    order: Vec<String>,
    /// What is found wrong with the rules, where that was asked.
    findings: Option<Vec<Finding>>,
    /// Why the rules cannot be read.
    trouble: Option<String>,
}

/// What was asked, as it was written.
#[derive(Debug, Default, Serialize)]
struct Asked {
    client: String,
    user: String,
    address: String,
    action: String,
    topic: String,
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Rules, Refusal> {
    let text = |name: &str| ask.text(name).to_owned();
    let asked = Asked {
        client: text("client"),
        user: text("user"),
        address: text("address"),
        action: text("action"),
        topic: text("topic"),
    };
    let mut view = Rules {
        rules: Vec::new(),
        count: 0,
        order: Vec::new(),
        answer: None,
        findings: None,
        trouble: None,
        question: asked,
    };
    let question = view.question.read()?;
    if desk.things.decide() {
        view.order.push(THINGS.to_owned());
    }
    view.order.extend(desk.book.order());
    // A database that is away is what a person wants to read here, and no reason to show nothing.
    match view.fill(&desk, question, !ask.text("lint").is_empty()).await {
        Ok(()) => {}
        Err(error) => view.trouble = Some(error.to_string()),
    }
    Ok(view)
}

impl Asked {
    fn read(&self) -> Result<Option<Question>, Refusal> {
        if self.topic.is_empty() {
            return Ok(None);
        }
        let address = match self.address.as_str() {
            "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            text => text.parse().map_err(|_| {
                Refusal::new(StatusCode::BAD_REQUEST, format!("`{text}` is not an IP address"))
            })?,
        };
        let action = if self.action == "subscribe" { Action::Subscribe } else { Action::Publish };
        let user = Some(self.user.clone()).filter(|user| !user.is_empty());
        let (client, topic) = (self.client.clone(), self.topic.clone());
        Ok(Some(Question { client, user, address, topic, action }))
    }
}

impl Rules {
    async fn fill(
        &mut self,
        desk: &Desk,
        question: Option<Question>,
        lints: bool,
    ) -> Result<(), AccessError> {
        if let Some(question) = question {
            self.answer = Some(desk.book.explain(&question).await?);
        }
        self.rules = desk.book.rules().await?;
        self.count = self.rules.len();
        self.rules.truncate(SHOWN_MAX);
        if lints {
            self.findings = Some(desk.book.lint().await?);
        }
        Ok(())
    }

    fn listed(&self) -> Markup {
        let rows = html! {
            @for rule in &self.rules {
                tr {
                    th scope="row" { (rule.rule) }
                    td { (allows(rule.allows)) }
                    td { (visible(&rule.whom)) }
                    td { (rule.action) }
                    td { @for topic in &rule.topics { (name(topic)) " " } }
                    td { @if let Some(why) = &rule.broken { (visible(why)) } }
                }
            }
        };
        html! {
            h2 { "Rules" }
            @for line in &self.order { p.muted { (line) } }
            @if self.rules.is_empty() {
                p.none { "There are no rules. " code { "rebeam dev acl add" } " adds one; " code { "[dev.access]" } " in rebeam.toml says where they are kept." }
            } @else {
                (table("Rules, by their numbers", &["Rule", "It", "Whom", "What", "Topics", "Fault"], &rows))
            }
            @if self.count > self.rules.len() { p.muted { (self.count - self.rules.len()) " more." } }
        }
    }
}

fn allows(allows: Option<bool>) -> Markup {
    match allows {
        Some(true) => badge(Mood::Good, "allows"),
        Some(false) => badge(Mood::Bad, "denies"),
        None => badge(Mood::Plain, "means nothing"),
    }
}

fn explained(answer: &Explained) -> Markup {
    let rows = html! {
        @for step in &answer.steps {
            tr {
                th scope="row" { (step.rule) }
                td { (visible(&step.says)) }
                td { @if step.decides { (badge(Mood::Good, "decides")) } @else { "passes" } }
                td { (visible(&step.why)) }
            }
        }
    };
    html! {
        h2 { "Answer" }
        p { (allows(Some(answer.allowed))) ": " (visible(&answer.decided_by)) }
        p.muted {
            @if answer.connects { "It is let in: " } @else { "It is not let in at all: " }
            (visible(&answer.connecting))
        }
        @if !answer.steps.is_empty() {
            (table("Rules that were asked", &["Rule", "It says", "It", "Why"], &rows))
        }
        @if !answer.not_selected.is_empty() {
            details {
                summary { (answer.not_selected.len()) " rows that the query does not select for this client" }
                ul { @for row in &answer.not_selected { li { (visible(row)) } } }
            }
        }
    }
}

fn found(findings: &[Finding]) -> Markup {
    let rows = html! {
        @for finding in findings {
            tr {
                td { @if finding.level == Level::Error { (badge(Mood::Bad, "error")) } @else { (badge(Mood::Plain, "warning")) } }
                th scope="row" { (visible(&finding.place)) }
                td { (visible(&finding.problem)) }
            }
        }
    };
    html! {
        h2 { "Found" }
        @if findings.is_empty() { p.none { "Every rule can decide something." } }
        @else { (table("What was found", &["Level", "Where", "What"], &rows)) }
    }
}

impl View for Rules {
    const SECTION: Section = Section::Access;
    const IS_LIVE: bool = false;

    fn title(&self) -> String {
        "Access".to_owned()
    }

    fn head(&self) -> Markup {
        let asked = &self.question;
        let field = |id: &str, label: &str, value: &str, hint: &str| {
            html! {
                label for=(id) { (label) }
                input id=(id) name=(id) value=(value) placeholder=(hint) autocomplete="off" spellcheck="false" maxlength="1024";
            }
        };
        html! {
            form.search method="get" action="/access" {
                (field("client", "Client", &asked.client, "any"))
                (field("user", "User", &asked.user, "none"))
                (field("address", "From", &asked.address, "127.0.0.1"))
                label for="action" { "wants to" }
                select #action name="action" {
                    @for action in ["publish", "subscribe"] {
                        option value=(action) selected[asked.action == action] { (action) }
                    }
                }
                label for="topic" { "to" }
                input #topic name="topic" value=(asked.topic) placeholder="a/b" required autocomplete="off" spellcheck="false" maxlength="1024";
                button type="submit" { "Explain" }
                a href="/access?lint=1" { "find rules that decide nothing" }
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            @if let Some(trouble) = &self.trouble { p.warning { (visible(trouble)) } }
            @if let Some(answer) = &self.answer { (explained(answer)) }
            @if let Some(findings) = &self.findings { (found(findings)) }
            (self.listed())
        }
    }
}
