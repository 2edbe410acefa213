//! Access: things decide who may connect and publish, as in Mainflux: the password is a thing's key, and a thing may
//! publish and subscribe to the channels that it is connected to. What is let through is normalised and kept.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use super::messages::Raw;
use super::model::Model;
use super::topic;
use super::wrong::Wrong;
use crate::dev::access::{Access, Admission, Answer, Attempt, Denial, Verdict, Who};
use crate::dev::{Client, Message};

/// Connections that are remembered with their keys.
const KNOWN_MAX: usize = 100_000;

/// What the name of an MQTT client counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Username {
    /// Nothing: the key says who it is.
    #[default]
    Ignored,
    /// It has to be the thing's identifier.
    ThingId,
}

/// A connection's thing, and the key that it showed.
#[derive(Clone)]
struct Known {
    thing: Arc<str>,
    key: Arc<str>,
}

/// The things behind connections. It holds nothing else of the stack: who asks it while the stack ends keeps no part of
/// that alive.
#[derive(Default)]
pub(super) struct Connected(Mutex<HashMap<SocketAddr, Known>>);

impl Connected {
    /// Returns the thing behind a client's connection.
    pub(super) fn thing_of(&self, client: &Client) -> Option<Arc<str>> {
        let address: IpAddr = client.address.parse().ok()?;
        self.get(SocketAddr::new(address, client.port)).map(|known| known.thing)
    }

    fn get(&self, peer: SocketAddr) -> Option<Known> {
        self.lock().get(&peer).cloned()
    }

    fn insert(&self, peer: SocketAddr, known: Known) {
        let mut all = self.lock();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(peer, known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Known>> {
        self.0.lock().expect("nothing panics while it holds this")
    }
}

/// Decides by things and channels.
pub struct ThingAccess {
    model: Arc<Model>,
    username: Username,
    connected: Arc<Connected>,
}

impl std::fmt::Debug for ThingAccess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ThingAccess")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl ThingAccess {
    pub(super) fn new(model: Arc<Model>, username: Username) -> Self {
        Self { model, username, connected: Arc::default() }
    }

    /// Returns the things behind connections.
    pub(super) fn connected(&self) -> Arc<Connected> {
        Arc::clone(&self.connected)
    }

    fn admit(&self, attempt: &Attempt<'_>) -> Result<Arc<str>, &'static str> {
        let key = attempt.password.and_then(|password| std::str::from_utf8(password).ok());
        let key = key.filter(|key| !key.is_empty()).ok_or("no key was given as password")?;
        let thing: Arc<str> = self.model.thing_of(key).map_err(|_| "no thing has this key")?.into();
        if self.username == Username::ThingId && attempt.username != Some(&thing) {
            return Err("the user name is not the thing's identifier");
        }
        let known = Known { thing: Arc::clone(&thing), key: key.into() };
        self.connected.insert(attempt.peer, known);
        Ok(thing)
    }

    fn decide(&self, who: &Who, channel: Option<&str>) -> Verdict {
        let is_allowed =
            channel.is_some_and(|channel| match (self.connected.get(who.peer), &who.identity) {
                // The key counts as it is now, as it did for Mainflux at each message.
                (Some(known), _) => self.model.may_use(channel, &known.key).is_ok(),
                (None, Some(thing)) => self.model.may_use_by_id(channel, thing).is_ok(),
                (None, None) => false,
            });
        let rule = match (channel, is_allowed) {
            (None, _) => "only topics like `channels/ID/messages/…` are things' own".into(),
            (Some(channel), true) => format!("the thing is connected to channel `{channel}`"),
            (Some(channel), false) => format!("the thing is not connected to channel `{channel}`"),
        };
        Verdict { is_allowed, rule: rule.into() }
    }
}

impl Access for ThingAccess {
    fn connect<'a>(&'a self, attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        let admission = match self.admit(attempt) {
            Ok(thing) => Admission::Allowed { is_superuser: false, identity: Some(thing) },
            Err(rule) => Admission::Denied { code: Denial::BadCredentials, rule: rule.into() },
        };
        Box::pin(std::future::ready(admission))
    }

    fn publish<'a>(&'a self, who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        let read = topic::read(topic);
        let verdict = self.decide(who, read.as_ref().map(|topic| &*topic.channel));
        Box::pin(std::future::ready(verdict))
    }

    fn subscribe<'a>(&'a self, who: &'a Who, filter: &'a str) -> Answer<'a, Verdict> {
        Box::pin(std::future::ready(self.decide(who, topic::channel(filter))))
    }

    fn generation(&self) -> u64 {
        self.model.rules()
    }

    fn knows_clients(&self) -> bool {
        true
    }

    fn published(&self, who: &Who, message: &Message) -> Result<(), &'static str> {
        let publisher = who.identity.as_deref().unwrap_or(&who.client_id);
        keep(&self.model, publisher, message)
    }
}

/// Lets another provider decide, and keeps what is published to channels.
#[derive(Debug)]
pub struct Keeping {
    model: Arc<Model>,
    inner: Arc<dyn Access>,
}

impl Keeping {
    pub(super) fn new(model: Arc<Model>, inner: Arc<dyn Access>) -> Self {
        Self { model, inner }
    }
}

impl Access for Keeping {
    fn connect<'a>(&'a self, attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        self.inner.connect(attempt)
    }

    fn publish<'a>(&'a self, who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        self.inner.publish(who, topic)
    }

    fn subscribe<'a>(&'a self, who: &'a Who, filter: &'a str) -> Answer<'a, Verdict> {
        self.inner.subscribe(who, filter)
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn knows_clients(&self) -> bool {
        self.inner.knows_clients()
    }

    fn published(&self, who: &Who, message: &Message) -> Result<(), &'static str> {
        self.inner.published(who, message)?;
        // Nobody showed a key: who sent it is known by the name it gave.
        let publisher = who.username.as_deref().unwrap_or(&who.client_id);
        keep(&self.model, publisher, message)
    }
}

/// Keeps a message of a channel before its sender is told that it arrived.
fn keep(model: &Model, publisher: &str, message: &Message) -> Result<(), &'static str> {
    let Some(topic) = topic::read(&message.topic) else { return Ok(()) };
    let raw = Raw {
        channel: &topic.channel,
        subtopic: &topic.subtopic,
        publisher,
        protocol: "mqtt",
        content_type: &topic.content_type,
        payload: &message.payload,
    };
    model.keep(raw).map(drop).map_err(Wrong::reason)
}
