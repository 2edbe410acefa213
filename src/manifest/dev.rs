//! Dev: how the stack on one's desk runs, as `[dev]` says it.

use std::collections::BTreeMap;

use super::form::Form;
use super::keys::{ENV, Key, Kind, key};
use super::section::{CHECKED, Section};

/// `[dev]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevWish {
    /// The stack that it is by name, where it is one of those.
    pub profile: Option<Profile>,
    /// Whether the project's own release runs in it once one is built.
    pub release: bool,
    /// Variables of the release, beside the image's own.
    pub env: BTreeMap<String, String>,
    /// Where events go beside the log.
    pub events: EventsWish,
}

/// `[dev.events]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsWish {
    /// Addresses of servers: `http://…` of an Elasticsearch, `redis://…`.
    pub forward: Vec<String>,
    /// Whether an Elasticsearch gets an index for each event and day.
    pub is_daily: bool,
    /// A file that gets a line of JSON for each, relative to the project.
    pub ndjson: Option<String>,
}

impl Default for DevWish {
    fn default() -> Self {
        Self { profile: None, release: true, env: BTreeMap::new(), events: EventsWish::default() }
    }
}

/// How the index of an event and a day is asked for.
pub(super) const DAILY: &str = "<event>-YYYY.MM.DD";

/// A stack that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Broker and streams, and nothing else.
    Bare,
    /// emqttd's stack: a real PostgreSQL with its tables, and events that Elasticsearch's clients read.
    Emqttd,
    /// Mainflux's stack: things, channels and their events.
    Mainflux,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Bare, Self::Emqttd, Self::Mainflux];

    /// Returns its name as files and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Emqttd => "emqttd",
            Self::Mainflux => "mainflux",
        }
    }

    /// Reads a profile's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// The keys of `[dev]`.
pub(super) const DEV: &[Key] = &[
    key(
        "profile",
        Kind::Text(Form::Profile),
        "A stack by name: `emqttd` with a real PostgreSQL, `mainflux`, or `bare`; `--profile` decides over it.",
    ),
    key(
        "release",
        Kind::Flag,
        "Whether the project's own release runs in the stack once one is built; true by default.",
    ),
    key(
        "env",
        ENV,
        "Variables of the release beside the image's own; `${NAME_URL}` stands for a service's address.",
    ),
    key("events", Kind::Table(EVENTS), "Where events go beside the log."),
];

const EVENTS: &[Key] = &[
    key(
        "forward",
        Kind::Texts(Form::Forward),
        "Servers that get every event of the log: `http://HOST:9200` of an Elasticsearch or OpenSearch, `redis://HOST:6379`. Who we are there comes from the environment.",
    ),
    key(
        "index",
        Kind::Text(Form::EventIndex),
        "The index of an Elasticsearch: `mqtt`, or `<event>-YYYY.MM.DD`; `mqtt` by default.",
    ),
    key(
        "ndjson",
        Kind::Text(Form::Inside),
        "A file that gets a line of JSON for each event, relative to the project; at 16 MiB a new one is begun, and four old ones stay.",
    ),
];

pub(super) fn read(section: &Section<'_>) -> DevWish {
    let profile = section.text("profile");
    DevWish {
        profile: profile.map(|name| Profile::from_name(&name).expect(CHECKED)),
        release: section.flag("release").unwrap_or(true),
        env: section.texts_by_name("env"),
        events: events(&section.section("events")),
    }
}

fn events(section: &Section<'_>) -> EventsWish {
    EventsWish {
        forward: section.texts("forward").unwrap_or_default(),
        is_daily: section.text("index").is_some_and(|index| index == DAILY),
        ndjson: section.text("ndjson"),
    }
}
