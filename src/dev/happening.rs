//! Happening: one thing that happened in the stack, in the words of emqttd 2.3's hooks and Mainflux's event store.
//!
//! There is one type for every watcher: the log, Redis streams, Elasticsearch documents, the page and NDJSON are
//! views of it. `acl_denied` and `message_dropped` are ours: emqttd 2 let both pass without a word.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Who is at the other end of an MQTT connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// The client identifier.
    pub id: Arc<str>,
    /// The user name, if one was given.
    pub username: Option<Arc<str>>,
    /// The peer's address.
    pub address: Arc<str>,
    /// The peer's port.
    pub port: u16,
}

/// A message on its way. Cloned by counting: the payload is shared by all who get it.
#[derive(Debug, Clone)]
pub struct Message {
    /// Unique in this stack, rising.
    pub id: u64,
    /// Where it was published.
    pub topic: Arc<str>,
    /// What.
    pub payload: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is to be kept for later subscribers.
    pub retain: bool,
    /// Whether the publisher said that it may have sent it before.
    pub dup: bool,
    /// Who published it; `None` for the broker itself and for HTTP.
    pub from: Option<Arc<Client>>,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A thing that happened, with its time in milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Happening {
    /// When.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum What {
    /// A client was answered; `connack` is 0 where it was let in, as in MQTT 3.1.1.
    ClientConnected {
        client: Arc<Client>,
        connack: u8,
        clean_session: bool,
        keepalive_s: u16,
        protocol: u8,
        will_topic: Option<Arc<str>>,
    },
    /// A connection ended.
    ClientDisconnected { client: Arc<Client>, reason: Arc<str> },
    /// A client asked for topics, each with the quality it wants.
    ClientSubscribe { client: Arc<Client>, topics: Vec<(Arc<str>, u8)> },
    /// A client no longer wants topics.
    ClientUnsubscribe { client: Arc<Client>, topics: Vec<Arc<str>> },
    /// A session began.
    SessionCreated { client: Arc<Client> },
    /// A session has a new topic.
    SessionSubscribed { client: Arc<Client>, topic: Arc<str>, qos: u8 },
    /// A session lost a topic.
    SessionUnsubscribed { client: Arc<Client>, topic: Arc<str> },
    /// A session ended for good.
    SessionTerminated { client: Arc<Client>, reason: Arc<str> },
    /// A message came in.
    MessagePublished { message: Message },
    /// A message was sent to a client.
    MessageDelivered { client: Arc<Client>, message: Message },
    /// A client said that it has a message.
    MessageAcked { client: Arc<Client>, message: Message },
    /// Messages will not reach a client, and why: `count` of one topic and reason within a second, with their bytes.
    MessageDropped {
        client: Arc<Client>,
        topic: Arc<str>,
        count: u64,
        bytes: u64,
        reason: &'static str,
    },
    /// A client was refused, and `rule` names what decided: `count` times the same within a second.
    AclDenied {
        client: Arc<Client>,
        action: &'static str,
        topic: Arc<str>,
        rule: Arc<str>,
        count: u64,
    },
    /// Something of Mainflux's event store: a stream, an operation and its fields in order.
    Operation { stream: &'static str, fields: Vec<(&'static str, String)> },
}

impl What {
    /// Returns the name, as emqttd's Elasticsearch logger writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::ClientConnected { .. } => "client_connected",
            Self::ClientDisconnected { .. } => "client_disconnected",
            Self::ClientSubscribe { .. } => "client_subscribe",
            Self::ClientUnsubscribe { .. } => "client_unsubscribe",
            Self::SessionCreated { .. } => "session_created",
            Self::SessionSubscribed { .. } => "session_subscribed",
            Self::SessionUnsubscribed { .. } => "session_unsubscribed",
            Self::SessionTerminated { .. } => "session_terminated",
            Self::MessagePublished { .. } => "message_published",
            Self::MessageDelivered { .. } => "message_delivered",
            Self::MessageAcked { .. } => "message_acked",
            Self::MessageDropped { .. } => "message_dropped",
            Self::AclDenied { .. } => "acl_denied",
            Self::Operation { fields, .. } => {
                fields.iter().find(|(name, _)| *name == "operation").map_or("", |(_, value)| value)
            }
        }
    }

    /// Returns the client that it concerns.
    pub fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::ClientConnected { client, .. }
            | Self::ClientDisconnected { client, .. }
            | Self::ClientSubscribe { client, .. }
            | Self::ClientUnsubscribe { client, .. }
            | Self::SessionCreated { client }
            | Self::SessionSubscribed { client, .. }
            | Self::SessionUnsubscribed { client, .. }
            | Self::SessionTerminated { client, .. }
            | Self::MessageDelivered { client, .. }
            | Self::MessageAcked { client, .. }
            | Self::MessageDropped { client, .. }
            | Self::AclDenied { client, .. } => Some(client),
            Self::MessagePublished { message } => message.from.as_ref(),
            Self::Operation { .. } => None,
        }
    }

    /// Tells whether it happens once a message, so that a log may leave it out under load.
    pub fn is_per_message(&self) -> bool {
        matches!(
            self,
            Self::MessagePublished { .. }
                | Self::MessageDelivered { .. }
                | Self::MessageAcked { .. }
        )
    }
}

impl What {
    /// Returns what it counts for where happenings are rationed: one, and one more a KiB of payload.
    pub fn weight(&self) -> i64 {
        match self {
            Self::MessagePublished { message }
            | Self::MessageDelivered { message, .. }
            | Self::MessageAcked { message, .. } => {
                1 + i64::try_from(message.payload.len() / 1024).unwrap_or(i64::MAX - 1)
            }
            _ => 1,
        }
    }
}

impl Happening {
    /// Lays it out as a document: the fields of emqttd's Elasticsearch logger, all of them.
    pub fn document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        put("event", self.what.name().into());
        put("timestamp", self.at_ms.into());
        if let Some(client) = self.what.client()
            && !matches!(self.what, What::MessagePublished { .. })
        {
            put("client_id", (*client.id).into());
            put("username", client.username.as_deref().into());
        }
        match &self.what {
            What::ClientConnected {
                client,
                connack,
                clean_session,
                keepalive_s,
                protocol,
                will_topic,
            } => {
                put("peername", peer(client));
                put("connack", (*connack).into());
                put("clean_sess", (*clean_session).into());
                put("keepalive", (*keepalive_s).into());
                put("proto_ver", (*protocol).into());
                put("will_topic", will_topic.as_deref().into());
                put("connected_at", self.at_ms.into());
            }
            What::ClientDisconnected { client, reason } => {
                put("peername", peer(client));
                put("reason", (**reason).into());
            }
            What::ClientSubscribe { topics, .. } => {
                let topic =
                    |(topic, qos): &(Arc<str>, u8)| (topic.to_string(), json!({"qos": qos}));
                put("topics", topics.iter().map(topic).collect::<Map<_, _>>().into());
            }
            What::ClientUnsubscribe { topics, .. } => {
                let topic = |topic: &Arc<str>| (topic.to_string(), json!({}));
                put("topics", topics.iter().map(topic).collect::<Map<_, _>>().into());
            }
            What::SessionSubscribed { topic, qos, .. } => {
                put("topic", (**topic).into());
                put("options", json!({"qos": qos}));
            }
            What::SessionUnsubscribed { topic, .. } => put("topic", (**topic).into()),
            What::SessionTerminated { reason, .. } => put("reason", (**reason).into()),
            What::MessagePublished { message }
            | What::MessageDelivered { message, .. }
            | What::MessageAcked { message, .. } => message.describe(&mut put),
            What::MessageDropped { topic, count, bytes, reason, .. } => {
                put("topic", (**topic).into());
                put("count", (*count).into());
                put("size", (*bytes).into());
                put("reason", (*reason).into());
            }
            What::AclDenied { action, topic, rule, count, .. } => {
                put("action", (*action).into());
                put("topic", (**topic).into());
                put("count", (*count).into());
                put("rule", (**rule).into());
            }
            What::Operation { stream, fields } => {
                put("stream", (*stream).into());
                // In a document the time is one number for all events; a stream has Mainflux's seconds.
                for (name, value) in fields.iter().filter(|(name, _)| *name != "timestamp") {
                    put(name, value.as_str().into());
                }
            }
            What::SessionCreated { .. } => {}
        }
        document
    }
}

fn peer(client: &Client) -> Value {
    json!({"address": &*client.address, "port": client.port})
}

impl Message {
    fn describe(&self, put: &mut impl FnMut(&str, Value)) {
        put("id", self.id.to_string().into());
        put("topic", (*self.topic).into());
        put("qos", self.qos.into());
        put("retain", self.retain.into());
        put("dup", self.dup.into());
        put("msg_timestamp", self.at_ms.into());
        put("size", self.payload.len().into());
        put("payload", String::from_utf8_lossy(&self.payload).into());
        let from = self.from.as_deref();
        put(
            "from",
            json!({
                "client_id": from.map(|from| &*from.id),
                "username": from.and_then(|from| from.username.as_deref()),
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Arc<Client> {
        Arc::new(Client {
            id: "c1".into(),
            username: Some("u".into()),
            address: "127.0.0.1".into(),
            port: 4711,
        })
    }

    #[test]
    fn topics_of_a_subscription_are_an_object_that_a_consumer_can_ask_for_each_quality() {
        let what = What::ClientSubscribe { client: client(), topics: vec![("a/#".into(), 1)] };
        let document = Happening { at_ms: 5, what }.document();
        assert_eq!(document["topics"]["a/#"]["qos"], 1);
        assert_eq!(document["client_id"], "c1");
        assert_eq!(document["timestamp"], 5);
    }

    #[test]
    fn an_operation_has_the_time_that_all_events_have_and_not_mainfluxs_seconds() {
        let fields = vec![("thing_id", "t".into()), ("timestamp", "1".into())];
        let what = What::Operation { stream: "mainflux.bootstrap", fields };
        let document = Happening { at_ms: 1500, what }.document();
        assert_eq!((&document["timestamp"], &document["thing_id"]), (&json!(1500), &json!("t")));
    }

    #[test]
    fn a_published_message_names_its_sender_and_size() {
        let message = Message {
            id: 7,
            topic: "t".into(),
            payload: Bytes::from_static(b"hi"),
            qos: 1,
            retain: false,
            dup: false,
            from: Some(client()),
            at_ms: 4,
        };
        let document = Happening { at_ms: 5, what: What::MessagePublished { message } }.document();
        assert_eq!(document["event"], "message_published");
        assert_eq!(document["from"], json!({"client_id": "c1", "username": "u"}));
        assert_eq!((&document["size"], &document["payload"]), (&json!(2), &json!("hi")));
        assert!(!document.contains_key("client_id"));
    }
}
