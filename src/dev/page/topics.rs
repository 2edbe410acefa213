//! Topics: the tree of topics with their kept values, and one topic with its messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::diff::{Diff, diff};
use super::frame::{Section, table};
use super::messages::Row;
use super::text::{PREVIEW_BYTES, Shown, WHOLE_BYTES, grouped, link, name, size, stamp, time};
use super::view::{Ask, View};
use crate::dev::broker::filter_matches;
use crate::dev::web::Refusal;

/// Topics that a tree shows, and levels that it takes apart.
const TOPICS_MAX: usize = 1000;
const LEVELS_MAX: usize = 24;
/// Messages of one topic that are shown, and clients that want it.
const MESSAGES_MAX: usize = 100;
const CLIENTS_MAX: usize = 100;
const SESSIONS_MAX: usize = 10_000;

/// Topics below one another.
#[derive(Debug, Serialize)]
pub(super) struct Topics {
    filter: String,
    /// Topics that are shown.
    count: usize,
    /// Whether there are more.
    is_cut: bool,
    below: BTreeMap<String, Node>,
}

/// A level of topics.
#[derive(Debug, Default, Serialize)]
struct Node {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Topic>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    below: BTreeMap<String, Node>,
}

#[derive(Debug, Default, Serialize)]
struct Topic {
    name: String,
    /// What later subscribers get.
    kept: Option<Shown>,
    /// Messages that are remembered.
    messages: usize,
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Topics, Refusal> {
    desk.watching.attend();
    let filter = Some(ask.text("filter")).filter(|filter| !filter.is_empty()).unwrap_or("#");
    let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
    let mut is_cut = false;
    for message in desk.broker.retained(filter, TOPICS_MAX + 1) {
        let kept = Some(Shown::of(&message.payload, message.payload.len(), PREVIEW_BYTES));
        let name = message.topic.to_string();
        topics.insert(name.clone(), Topic { name, kept, messages: 0 });
    }
    for (_, seen) in desk.watching.messages.after(0).rows {
        if !filter_matches(filter, &seen.topic) {
            continue;
        }
        if let Some(topic) = topics.get_mut(&*seen.topic) {
            topic.messages += 1;
        } else if topics.len() <= TOPICS_MAX {
            let name = seen.topic.to_string();
            topics.insert(name.clone(), Topic { name, kept: None, messages: 1 });
        }
    }
    if topics.len() > TOPICS_MAX {
        topics.pop_last();
        is_cut = true;
    }
    let count = topics.len();
    let mut root = Node::default();
    for topic in topics.into_values() {
        root.add(topic);
    }
    Ok(Topics { filter: filter.to_owned(), count, is_cut, below: root.below })
}

impl Node {
    fn add(&mut self, topic: Topic) {
        let mut node = self;
        for level in topic.name.splitn(LEVELS_MAX, '/') {
            node = node.below.entry(level.to_owned()).or_default();
        }
        node.topic = Some(topic);
    }

    fn count(&self) -> usize {
        usize::from(self.topic.is_some()) + self.below.values().map(Self::count).sum::<usize>()
    }
}

impl Topic {
    fn line(&self, level: &str) -> Markup {
        html! {
            a href=(link("/topic", &[("name", &self.name)])) { (name(level)) }
            @if let Some(kept) = &self.kept { " " span.value { (kept.line()) } }
            @if self.messages > 0 { " " span.tag { (grouped(self.messages as u64)) @if self.messages == 1 { " message" } @else { " messages" } } }
        }
    }
}

fn tree(below: &BTreeMap<String, Node>, above: &str, depth: usize) -> Markup {
    html! {
        ul.tree {
            @for (level, node) in below {
                @let path = if depth == 0 { level.clone() } else { format!("{above}/{level}") };
                li {
                    @let line = html! {
                        @match &node.topic { Some(topic) => (topic.line(level)), None => (name(level)) }
                    };
                    @if node.below.is_empty() { div.leaf { (line) } }
                    @else {
                        // The key lets the script keep open what the reader opened.
                        details open[depth < 3] data-open=(path) {
                            summary { (line) " " span.muted { "(" (node.count()) ")" } }
                            (tree(&node.below, &path, depth + 1))
                        }
                    }
                }
            }
        }
    }
}

impl View for Topics {
    const SECTION: Section = Section::Topics;

    fn title(&self) -> String {
        "Topics".to_owned()
    }

    fn head(&self) -> Markup {
        html! {
            form.search method="get" action="/topics" role="search" {
                label for="search" { "Filter" }
                input #search type="search" name="filter" value=(self.filter) placeholder="#, a/+/b, a/#"
                    autocomplete="off" spellcheck="false" maxlength="1024";
                button type="submit" { "Show" }
                a href="/topics?filter=%24SYS%2F%23" { "the broker's own" }
            }
            p.muted { "Topics with a kept value, and those of messages that came while somebody looked." }
        }
    }

    fn body(&self) -> Markup {
        html! {
            @if self.below.is_empty() { p.none { "No topic matches this filter yet." } }
            @else { (tree(&self.below, "", 0)) }
            @if self.is_cut { p.muted { "These are the first " (grouped(self.count as u64)) "; a narrower filter shows others." } }
        }
    }
}

/// One topic.
#[derive(Debug, Serialize)]
pub(super) struct One {
    topic: String,
    kept: Option<Kept>,
    clients: Vec<Wanting>,
    messages: Vec<Step>,
}

/// A message that later subscribers get.
#[derive(Debug, Serialize)]
struct Kept {
    at: String,
    #[serde(skip)]
    at_ms: i64,
    qos: u8,
    payload: Shown,
}

/// A client that wants the topic, and by which filter.
#[derive(Debug, Serialize)]
struct Wanting {
    client_id: String,
    filter: String,
    qos: u8,
    is_connected: bool,
}

/// A message, and what changed since the one before it.
#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    row: Row,
    change: Option<Diff>,
}

pub(super) async fn load_one(desk: Arc<Desk>, ask: Ask) -> Result<One, Refusal> {
    desk.watching.attend();
    let topic = ask.exact("name")?;
    let kept = desk.broker.retained(topic, 1).into_iter().find(|message| &*message.topic == topic);
    let kept = kept.map(|message| Kept {
        at: stamp(message.at_ms),
        at_ms: message.at_ms,
        qos: message.qos,
        payload: Shown::of(&message.payload, message.payload.len(), WHOLE_BYTES),
    });
    let seen = desk.watching.messages.after(0).rows;
    let seen: Vec<_> =
        seen.iter().filter(|(_, seen)| &*seen.topic == topic).take(MESSAGES_MAX + 1).collect();
    let steps = seen.iter().enumerate().take(MESSAGES_MAX).map(|(at, (number, message))| Step {
        row: Row::of(*number, message, PREVIEW_BYTES),
        change: seen.get(at + 1).map(|(_, before)| diff(&before.payload, &message.payload)),
    });
    Ok(One {
        topic: topic.to_owned(),
        kept,
        clients: wanting(&desk, topic),
        messages: steps.collect(),
    })
}

fn wanting(desk: &Desk, topic: &str) -> Vec<Wanting> {
    let mut clients = Vec::new();
    for view in desk.broker.sessions(SESSIONS_MAX) {
        for (filter, qos) in &view.subscriptions {
            if clients.len() < CLIENTS_MAX && filter_matches(filter, topic) {
                clients.push(Wanting {
                    client_id: view.client_id.to_string(),
                    filter: filter.to_string(),
                    qos: *qos,
                    is_connected: view.is_connected,
                });
            }
        }
    }
    clients
}

impl One {
    fn kept(&self) -> Markup {
        html! {
            h2 { "Kept value" }
            @match &self.kept {
                None => p.none { "No value is kept." },
                Some(kept) => {
                    p.muted { "Since " (time(kept.at_ms)) ", QoS " (kept.qos) ", " (size(kept.payload.bytes)) }
                    (kept.payload.block())
                }
            }
        }
    }

    fn messages(&self) -> Markup {
        let rows = html! {
            @for (at, step) in self.messages.iter().enumerate() {
                @let number = step.row.number.to_string();
                tr tabindex="-1" {
                    td { input type="radio" name="a" value=(number) id={ "a" (number) } checked[at == 1] aria-label={ "Compare message " (number) }; }
                    td { input type="radio" name="b" value=(number) id={ "b" (number) } checked[at == 0] aria-label={ "with message " (number) }; }
                    td.time { (step.row.time()) }
                    td.wide { (step.row.payload.line()) }
                    td { @if let Some(change) = &step.change { (change.brief()) } }
                    td { (step.row.from()) }
                }
            }
        };
        html! {
            h2 { "Messages" }
            @if self.messages.is_empty() {
                p.none { "None came while somebody looked." }
            } @else {
                form method="get" action="/diff" {
                    (table("Messages of this topic, newest first", &["A", "B", "Time", "Payload", "Change", "From"], &rows))
                    @if self.messages.len() > 1 { button type="submit" { "Compare A and B" } }
                }
            }
        }
    }

    fn clients(&self) -> Markup {
        let rows = html! {
            @for client in &self.clients {
                tr {
                    th scope="row" { a href=(link("/client", &[("id", &client.client_id)])) { (name(&client.client_id)) } }
                    td { (name(&client.filter)) }
                    td.number { (client.qos) }
                    td { @if client.is_connected { "connected" } @else { "away" } }
                }
            }
        };
        html! {
            h2 { "Who wants it" }
            @if self.clients.is_empty() { p.none { "No client subscribed to it." } }
            @else { (table("Clients that want this topic", &["Client", "Filter", "QoS", "State"], &rows)) }
        }
    }
}

impl View for One {
    const SECTION: Section = Section::Topics;

    fn title(&self) -> String {
        "Topic".to_owned()
    }

    fn head(&self) -> Markup {
        html! { p.subject { (name(&self.topic)) } }
    }

    fn body(&self) -> Markup {
        html! { (self.kept()) (self.messages()) (self.clients()) }
    }
}
