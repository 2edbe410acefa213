//! Incoming: what a client says, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, Bytes, BytesMut};

use super::codec::{self, Ack, Fault, Packet, Publish, Reason, Step, Version};
use super::connection::{Connection, Ending, Promise};
use super::core::now_ms;
use super::limits::WhenDenied;
use super::store::Change;
use super::tree::Targets;
use crate::dev::access::Verdict;
use crate::dev::happening::{Message, What};

/// What is said of a message that could not be written down, so that its sender must not believe that it arrived.
const NOT_KEPT: &str = "message could not be kept";

/// Topics whose receivers a connection remembers.
const ROUTES_MAX: usize = 256;

/// Receivers in all of them together: with more, only the last topic's are remembered.
const ROUTE_TARGETS_MAX: usize = 4096;

/// Who wants a topic, and whether this client may publish to it; right until one of both moves.
#[derive(Debug)]
pub(super) struct Route {
    generation: u64,
    rules: u64,
    targets: Arc<Targets>,
    verdict: Verdict,
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Connection {
    /// Takes every whole packet out of the inbox.
    pub(super) async fn take(&mut self, inbox: &mut BytesMut) -> Result<(), Ending> {
        while let Some((head, body)) = codec::frame(inbox, self.core.limits.packet_bytes_max)? {
            if inbox.len() < head + body {
                break;
            }
            let packet = codec::read(self.version, inbox[0], &inbox[head..head + body])?;
            self.follow(packet).await?;
            inbox.advance(head + body);
        }
        Ok(())
    }

    async fn follow(&mut self, packet: Packet<'_>) -> Result<(), Ending> {
        match packet {
            Packet::Publish(publish) => self.publish(publish).await,
            Packet::Ack(ack) => self.acknowledge(ack),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(&unsubscribe);
                Ok(())
            }
            Packet::Ping => {
                self.promises.push_back((0, Promise::Pong));
                Ok(())
            }
            Packet::Disconnect(goodbye) => {
                let expiry_s = goodbye.session_expiry_s;
                if expiry_s.is_some_and(|seconds| seconds > 0) && !self.session_expires {
                    return Err(protocol("session without a life gets one at its end").into());
                }
                let most = self.core.limits.session_expiry_max_s;
                Err(Ending::Goodbye {
                    with_will: goodbye.code != 0,
                    expiry_s: expiry_s.map(|seconds| seconds.min(most)),
                })
            }
            Packet::Connect(_) => Err(protocol("second CONNECT").into()),
            Packet::Auth => Err(protocol("AUTH was not expected").into()),
        }
    }

    async fn publish(&mut self, publish: Publish<'_>) -> Result<(), Ending> {
        self.core.counters.received.add(1);
        let topic = self.topic(&publish)?;
        if publish.qos > 0 {
            self.check_window(&publish)?;
        }
        if publish.qos == 2 && self.session.lock().unreleased.contains(&publish.identifier) {
            self.promise(&publish, 0, Reason::Success);
            return Ok(());
        }
        let (targets, verdict) = self.route(&topic).await;
        if !verdict.is_allowed {
            return self.deny_publish(&publish, &topic, verdict);
        }
        let message = Message {
            id: self.core.number(),
            topic,
            payload: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            from: Some(Arc::clone(&self.client)),
            at_ms: now_ms(),
        };
        let kept = self.core.access.published(&self.who, &message);
        let properties = &publish.properties;
        let parcel = self.core.parcel(message, properties.shared(), properties.message_expiry_s);
        // At quality 0 nobody is told anything, so it still goes to those who listen.
        if kept.is_err() && publish.qos > 0 {
            self.core.say_dropped(&self.client, &parcel, NOT_KEPT);
            return self.refuse(&publish);
        }
        let routed = self.core.publish_to(&parcel, &targets, Some(&self.session));
        if routed.behind.is_some() {
            self.pressed = routed.behind;
        }
        if publish.qos > 0 {
            let mut number = routed.number;
            if publish.qos == 2 {
                number = number.max(self.remember(publish.identifier));
            }
            let is_told = publish.qos == 1 && !routed.is_wanted;
            let reason = if is_told { Reason::NoMatchingSubscribers } else { Reason::Success };
            self.promise(&publish, number, reason);
        }
        Ok(())
    }

    /// Says that a message has not arrived. MQTT before 5 has no word for that but the end of the connection, after which
    /// the client says it again.
    fn refuse(&mut self, publish: &Publish<'_>) -> Result<(), Ending> {
        if self.version < Version::V5 {
            return Err(Fault::new(Reason::QuotaExceeded, NOT_KEPT).into());
        }
        self.promise(publish, 0, Reason::QuotaExceeded);
        Ok(())
    }

    /// Notes a delivery of quality 2, so that it does not count twice.
    fn remember(&self, identifier: u16) -> u64 {
        let mut state = self.session.lock();
        state.unreleased.insert(identifier);
        if !state.is_durable() {
            return 0;
        }
        self.core.keep(|| Change::Unreleased { session: self.session.number, identifier })
    }

    fn promise(&mut self, publish: &Publish<'_>, number: u64, reason: Reason) {
        let step = if publish.qos == 1 { Step::Ack } else { Step::Received };
        self.open_qos1 += usize::from(publish.qos == 1);
        self.promises.push_back((number, Promise::Ack(step, publish.identifier, reason)));
    }

    /// Finds the topic behind an alias, or sets the alias.
    fn topic(&mut self, publish: &Publish<'_>) -> Result<Arc<str>, Fault> {
        let levels = publish.topic.bytes().filter(|byte| *byte == b'/').count();
        if levels >= self.core.limits.topic_levels_max {
            return Err(Fault::new(Reason::BadTopic, "topic has too many levels"));
        }
        let known = self.routes.get_key_value(publish.topic).map(|(topic, _)| Arc::clone(topic));
        let Some(alias) = publish.properties.topic_alias else {
            return Ok(known.unwrap_or_else(|| publish.topic.into()));
        };
        let bad = |why| Fault::new(Reason::BadTopicAlias, why);
        if alias > self.core.limits.topic_alias_maximum {
            return Err(bad("topic alias is too high"));
        }
        let place = usize::from(alias - 1);
        if self.topics.len() <= place {
            self.topics.resize(place + 1, None);
        }
        if publish.topic.is_empty() {
            let unknown = protocol("topic alias was not set");
            return self.topics[place].clone().ok_or(unknown);
        }
        let topic = known.unwrap_or_else(|| publish.topic.into());
        self.topics[place] = Some(Arc::clone(&topic));
        Ok(topic)
    }

    fn check_window(&self, publish: &Publish<'_>) -> Result<(), Fault> {
        let state = self.session.lock();
        let open = self.open_qos1 + state.unreleased.len();
        let is_again = state.unreleased.contains(&publish.identifier);
        let most = match self.version {
            Version::V5 => self.core.limits.receive_maximum,
            _ => u16::MAX,
        };
        if open >= usize::from(most) && !is_again {
            return Err(Fault::new(Reason::ReceiveMaximumExceeded, "too many open deliveries"));
        }
        Ok(())
    }

    /// Finds who wants a topic and whether it may be published to, from memory where nothing moved.
    async fn route(&mut self, topic: &Arc<str>) -> (Arc<Targets>, Verdict) {
        let generation = self.core.generation.load(Ordering::Acquire);
        let rules = self.core.access.generation();
        if let Some(route) = self.routes.get_mut(topic)
            && route.rules == rules
        {
            if route.generation != generation {
                route.targets = Arc::new(self.core.targets(topic));
                route.generation = generation;
            }
            return (Arc::clone(&route.targets), route.verdict.clone());
        }
        let verdict = self.may_publish(topic).await;
        let targets = Arc::new(self.core.targets(topic));
        let more = targets.clients.len() + targets.groups.len();
        if self.routes.len() >= ROUTES_MAX || self.route_targets + more > ROUTE_TARGETS_MAX {
            self.routes.clear();
            self.route_targets = 0;
        }
        self.route_targets += more;
        let route =
            Route { generation, rules, targets: Arc::clone(&targets), verdict: verdict.clone() };
        self.routes.insert(Arc::clone(topic), route);
        (targets, verdict)
    }

    async fn may_publish(&self, topic: &str) -> Verdict {
        if self.who.is_superuser {
            return Verdict { is_allowed: true, rule: "superuser".into() };
        }
        self.core.access.publish(&self.who, topic).await
    }

    fn deny_publish(
        &mut self,
        publish: &Publish<'_>,
        topic: &Arc<str>,
        Verdict { rule, .. }: Verdict,
    ) -> Result<(), Ending> {
        self.core.say_denied(&self.client, "publish", topic, &rule);
        match self.core.limits.when_denied {
            WhenDenied::Silence => {}
            WhenDenied::Close => {
                return Err(Fault::new(Reason::NotAuthorized, "message was denied").into());
            }
            WhenDenied::Acknowledge if publish.qos > 0 => {
                if publish.qos == 2 && self.version < Version::V5 {
                    self.remember(publish.identifier);
                }
                self.promise(publish, 0, Reason::NotAuthorized);
                if self.is_told_why
                    && let Some((_, promise @ Promise::Ack(..))) = self.promises.back_mut()
                    && let Promise::Ack(step, identifier, _) = *promise
                {
                    *promise = Promise::Denied(step, identifier, rule);
                }
            }
            WhenDenied::Acknowledge => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, ack: Ack) -> Result<(), Ending> {
        let Ack { step, identifier, code } = ack;
        let session = Arc::clone(&self.session);
        let mut state = session.lock();
        if step == Step::Release {
            let was_open = state.unreleased.remove(&identifier);
            if was_open && state.is_durable() {
                self.core.keep(|| Change::Released { session: session.number, identifier });
            }
            let reason = if was_open { Reason::Success } else { Reason::IdNotFound };
            self.promises.push_back((0, Promise::Ack(Step::Complete, identifier, reason)));
            return Ok(());
        }
        let Some(open) = state.open.get_mut(&identifier) else {
            if step == Step::Received && code < 0x80 {
                let promise = Promise::Ack(Step::Release, identifier, Reason::IdNotFound);
                self.promises.push_back((0, promise));
            }
            return Ok(());
        };
        let is_right = match step {
            Step::Ack => open.entry.qos == 1,
            Step::Received => open.entry.qos == 2,
            _ => open.is_received,
        };
        if !is_right {
            return Err(protocol("acknowledgement is of another quality").into());
        }
        let is_first = !open.is_received;
        if step == Step::Received && code < 0x80 {
            open.is_received = true;
            if is_first && open.entry.place > 0 {
                self.core.keep(|| Change::Received { place: open.entry.place });
            }
            let promise = Promise::Ack(Step::Release, identifier, Reason::Success);
            self.promises.push_back((0, promise));
        }
        let is_acked = is_first && step != Step::Complete && self.core.bus.is_watched_closely();
        let told = is_acked.then(|| super::outgoing::told(&open.entry));
        let is_done = step != Step::Received || code >= 0x80;
        let done = if is_done { state.open.remove(&identifier) } else { None };
        drop(state);
        if let Some(done) = &done {
            self.core.forget_place(&done.entry);
        }
        if let Some(message) = told {
            let client = Arc::clone(&self.client);
            self.core.say(What::MessageAcked { client, message });
        }
        Ok(())
    }
}

pub(super) fn protocol(why: &'static str) -> Fault {
    Fault::new(Reason::Protocol, why)
}
