//! Dev: how the stack on one's desk runs, as `[dev]` says it.

use std::collections::BTreeMap;

use super::access::{self, ACCESS, AccessWish};
use super::events::{self, EVENTS, EventsWish};
use super::form::Form;
use super::keys::{ENV, Key, Kind, key};
use super::section::{CHECKED, Section};
use super::things::{self, THINGS, ThingsWish};

/// `[dev]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevWish {
    /// The stack that it is by name, where it is one of those.
    pub profile: Option<Profile>,
    /// Whether the project's own release runs in it once one is built.
    pub release: bool,
    /// Variables of the release, beside the image's own.
    pub env: BTreeMap<String, String>,
    /// Who may use the broker.
    pub access: AccessWish,
    /// Where events go beside the log.
    pub events: EventsWish,
    /// How things run.
    pub things: ThingsWish,
}

impl Default for DevWish {
    fn default() -> Self {
        Self {
            profile: None,
            release: true,
            env: BTreeMap::new(),
            access: AccessWish::default(),
            events: EventsWish::default(),
            things: ThingsWish::default(),
        }
    }
}

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
    key("access", Kind::Table(ACCESS), "Who may connect to the broker, publish and subscribe."),
    key("events", Kind::Table(EVENTS), "Where events go beside the log."),
    key("things", Kind::Table(THINGS), "How things and channels run, as Mainflux had them."),
];

pub(super) fn read(section: &Section<'_>) -> DevWish {
    let profile = section.text("profile");
    DevWish {
        profile: profile.map(|name| Profile::from_name(&name).expect(CHECKED)),
        release: section.flag("release").unwrap_or(true),
        env: section.texts_by_name("env"),
        access: access::read(&section.section("access")),
        events: events::read(&section.section("events")),
        things: things::read(&section.section("things")),
    }
}
