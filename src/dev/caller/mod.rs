//! Caller: a client of MQTT, for `rebeam dev pub` and `rebeam dev sub`; it speaks to our broker and to any other.
//!
//! MQTT 5 is tried first, for it says why something is denied; a server that does not know it is asked in 3.1.1.

mod error;
mod target;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::broker::codec::{self, Delivery, Fault, Heard, Login, Reason, Step, Version};

pub use error::CallError;
pub use target::Target;

/// How long the other side may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection is silent before it is asked whether it is there.
const KEEP_ALIVE_S: u16 = 20;
/// Bytes of one packet that are taken.
const PACKET_BYTES_MAX: usize = 64 << 20;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Who calls.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The client identifier; empty asks for one.
    pub client_id: String,
    /// The user's name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<super::Secret>,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Where it was published.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it was kept.
    pub retain: bool,
}

/// A message to publish.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
}

/// A connection to a broker.
pub struct Call {
    stream: Box<dyn Socket>,
    version: Version,
    /// Whether anything of MQTT came.
    is_greeted: bool,
    inbox: BytesMut,
    outbox: BytesMut,
    /// Deliveries of quality 2 that came and are not released.
    unreleased: BTreeSet<u16>,
    arrived: VecDeque<Arrived>,
}

/// What of a server's packet concerns who waits.
enum News {
    Connected(Option<(u8, Option<String>)>),
    Ack(Step, u8, Option<String>),
    Subscribed(Vec<u8>, Option<String>),
    Message,
    Nothing,
}

impl Call {
    /// Connects to a broker.
    ///
    /// # Errors
    /// Where it cannot be reached or trusted, speaks something else, or does not let the caller in.
    pub async fn connect(target: &Target, caller: &Caller) -> Result<Self, CallError> {
        let (mut call, mut refused) = Self::attempt(target, caller, Version::V5).await?;
        // 1 is how a server of MQTT 3 says that it does not know MQTT 5.
        if refused.as_ref().is_some_and(|(code, _)| matches!(code, 1 | 0x84)) {
            (call, refused) = Self::attempt(target, caller, Version::V311).await?;
        }
        match refused {
            None => Ok(call),
            Some((code, why)) => Err(CallError::refused(target, code, why)),
        }
    }

    async fn attempt(
        target: &Target,
        caller: &Caller,
        version: Version,
    ) -> Result<(Self, Option<(u8, Option<String>)>), CallError> {
        let stream = timeout(PATIENCE, target.open()).await.map_err(|_| CallError::Silent)??;
        let mut call = Self {
            stream,
            version,
            is_greeted: false,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            unreleased: BTreeSet::new(),
            arrived: VecDeque::new(),
        };
        let login = Login {
            client_id: &caller.client_id,
            username: caller.username.as_deref(),
            password: caller.password.as_ref().map(super::Secret::reveal),
            keep_alive_s: KEEP_ALIVE_S * 2,
        };
        codec::connect(&mut call.outbox, version, &login);
        let answered = call.until(|news| match news {
            News::Connected(refused) => Some(refused),
            _ => None,
        });
        match answered.await {
            Ok(refused) => Ok((call, refused)),
            // Some servers of MQTT 3 just close where they do not know the version.
            Err(CallError::Closed) if version == Version::V5 => Ok((call, Some((1, None)))),
            Err(error) => Err(error),
        }
    }

    /// Publishes a message, and waits until it is acknowledged as its quality says.
    ///
    /// # Errors
    /// Where it is denied, or the connection ends.
    pub async fn publish(&mut self, message: &Outgoing<'_>) -> Result<(), CallError> {
        const IDENTIFIER: u16 = 1;
        let delivery = Delivery {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: message.topic,
            identifier: IDENTIFIER,
            alias: None,
            expiry_s: None,
            subscriptions: &[],
            forwarded: &[],
            payload_bytes: message.payload.len(),
        };
        delivery.write_head(&mut self.outbox, self.version);
        self.outbox.extend_from_slice(message.payload);
        let first = match message.qos {
            0 => return self.flush().await,
            1 => Step::Ack,
            _ => Step::Received,
        };
        self.acknowledged(first, message.topic).await?;
        if first == Step::Received {
            codec::ack(&mut self.outbox, self.version, Step::Release, IDENTIFIER, Reason::Success);
            self.acknowledged(Step::Complete, message.topic).await?;
        }
        Ok(())
    }

    async fn acknowledged(&mut self, step: Step, topic: &str) -> Result<(), CallError> {
        let answered = self.until(|news| match news {
            News::Ack(of, code, why) if of == step => Some((code, why)),
            _ => None,
        });
        match answered.await? {
            (0..0x80, _) => Ok(()),
            (code, why) => Err(CallError::denied("publish to", topic, code, why)),
        }
    }

    /// Subscribes to filters.
    ///
    /// # Errors
    /// Where one is denied, or the connection ends.
    pub async fn subscribe(&mut self, filters: &[String], qos: u8) -> Result<(), CallError> {
        codec::subscribe(&mut self.outbox, self.version, 1, filters, qos);
        let answered = self.until(|news| match news {
            News::Subscribed(codes, why) => Some((codes, why)),
            _ => None,
        });
        let (codes, why) = answered.await?;
        match codes.iter().zip(filters).find(|(code, _)| **code >= 0x80) {
            Some((code, filter)) => Err(CallError::denied("subscribe to", filter, *code, why)),
            None => Ok(()),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// Where the connection ends.
    pub async fn next(&mut self) -> Result<Arrived, CallError> {
        loop {
            if let Some(arrived) = self.arrived.pop_front() {
                return Ok(arrived);
            }
            let keep_alive = Duration::from_secs(KEEP_ALIVE_S.into());
            match timeout(keep_alive, self.hear()).await {
                Ok(heard) => drop(heard?),
                Err(_) => {
                    codec::ping(&mut self.outbox);
                    timeout(PATIENCE, self.hear()).await.map_err(|_| CallError::Silent)??;
                }
            }
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        codec::goodbye(&mut self.outbox);
        // Who is gone already need not be told.
        drop(self.flush().await);
        drop(timeout(PATIENCE, self.stream.shutdown()).await);
    }

    /// Listens until `wanted` finds what it waits for.
    async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(News) -> Option<T>,
    ) -> Result<T, CallError> {
        let waiting = async {
            loop {
                if let Some(found) = wanted(self.hear().await?) {
                    return Ok(found);
                }
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| CallError::Silent)?
    }

    async fn flush(&mut self) -> Result<(), CallError> {
        let sending = async {
            self.stream.write_all_buf(&mut self.outbox).await?;
            self.stream.flush().await
        };
        sending.await.map_err(|_| CallError::Closed)
    }

    /// Sends what is to be sent, and reads the next packet. Nothing is lost where it is not waited for to the end.
    async fn hear(&mut self) -> Result<News, CallError> {
        self.flush().await?;
        loop {
            // The first packet is CONNACK: what begins otherwise may be anything, and of any length.
            if !self.is_greeted && self.inbox.first().is_some_and(|first| *first != 0x20) {
                return Err(Fault::new(Reason::Protocol, "first packet is no CONNACK").into());
            }
            self.is_greeted |= !self.inbox.is_empty();
            if let Some((head, body)) = codec::frame(&self.inbox, PACKET_BYTES_MAX)?
                && self.inbox.len() >= head + body
            {
                let packet = self.inbox.split_to(head + body).freeze();
                let news = self.follow(&packet, head)?;
                self.flush().await?;
                return Ok(news);
            }
            let count = self.stream.read_buf(&mut self.inbox).await;
            if count.map_err(|_| CallError::Closed)? == 0 {
                return Err(CallError::Closed);
            }
        }
    }

    fn follow(&mut self, packet: &Bytes, head: usize) -> Result<News, CallError> {
        let version = self.version;
        let told = |why: Option<&str>| why.map(str::to_owned);
        Ok(match codec::hear(version, packet[0], &packet[head..])? {
            Heard::Connected(verdict) => {
                let refused = (verdict.code != 0).then(|| (verdict.code, told(verdict.why)));
                News::Connected(refused)
            }
            Heard::Publish(publish) => {
                let arrived = Arrived {
                    topic: publish.topic.to_owned(),
                    payload: packet.slice_ref(publish.payload),
                    qos: publish.qos,
                    retain: publish.retain,
                };
                let step = if publish.qos == 1 { Step::Ack } else { Step::Received };
                if publish.qos > 0 {
                    let identifier = publish.identifier;
                    codec::ack(&mut self.outbox, version, step, identifier, Reason::Success);
                }
                // What was sent twice for want of an answer came once.
                if publish.qos < 2 || self.unreleased.insert(publish.identifier) {
                    self.arrived.push_back(arrived);
                }
                News::Message
            }
            Heard::Ack(Step::Release, identifier, _) => {
                self.unreleased.remove(&identifier);
                codec::ack(&mut self.outbox, version, Step::Complete, identifier, Reason::Success);
                News::Nothing
            }
            Heard::Ack(step, _, verdict) => News::Ack(step, verdict.code, told(verdict.why)),
            Heard::Subscribed(_, codes, why) => News::Subscribed(codes.to_vec(), told(why)),
            Heard::Disconnected(verdict) => {
                let (code, why) = (verdict.code, told(verdict.why));
                return Err(CallError::Ended { code, why: why.unwrap_or_default() });
            }
            Heard::Unsubscribed(_) | Heard::Pong => News::Nothing,
        })
    }
}
