//! Packet: what a client says, borrowed from the bytes that it came in.

use super::fault::{Fault, Reason};
use super::property::{self, Properties, place};
use super::wire::{self, Reader};

/// The protocol's version, as CONNECT gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1.
    V31 = 3,
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.
    V5 = 5,
}

/// A packet of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It connects.
    Connect(Box<super::connect::Connect<'a>>),
    /// It publishes.
    Publish(Publish<'a>),
    /// It acknowledges a step of a delivery.
    Ack(Ack),
    /// It wants topics.
    Subscribe(Subscribe<'a>),
    /// It no longer wants topics.
    Unsubscribe(Unsubscribe<'a>),
    /// It is alive.
    Ping,
    /// It leaves.
    Disconnect(Disconnect),
    /// It goes on with an authentication.
    Auth,
}

/// PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have come before.
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is to be kept.
    pub retain: bool,
    /// Empty where an alias stands for it.
    pub topic: &'a str,
    /// Its identifier; 0 for quality 0.
    pub identifier: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// What is said.
    pub payload: &'a [u8],
}

/// Which step of a delivery is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// PUBACK.
    Ack = 4,
    /// PUBREC.
    Received = 5,
    /// PUBREL.
    Release = 6,
    /// PUBCOMP.
    Complete = 7,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Which of them.
    pub step: Step,
    /// The delivery's identifier.
    pub identifier: u16,
    /// The reason code.
    pub code: u8,
}

/// One filter of SUBSCRIBE with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The filter, `$share/…` included.
    pub filter: &'a str,
    /// The highest quality wanted.
    pub qos: u8,
    /// Whether own messages stay away.
    pub no_local: bool,
    /// Whether the retain flag stays as it was published.
    pub retain_as_published: bool,
    /// 0 sends kept messages, 1 only to new subscriptions, 2 not at all.
    pub retain_handling: u8,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Its identifier.
    pub identifier: u16,
    /// The number that messages for these filters shall bear.
    pub subscription: Option<u32>,
    /// The filters.
    pub wishes: Vec<Wish<'a>>,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Its identifier.
    pub identifier: u16,
    /// The filters.
    pub filters: Vec<&'a str>,
}

/// DISCONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; 4 asks for the will to be published.
    pub code: u8,
    /// A new time for the session to live on.
    pub session_expiry_s: Option<u32>,
}

/// Finds a whole packet at the front of `bytes`: the length of its head and that of its body.
///
/// # Errors
/// Where the packet is longer than `packet_bytes_max` or its length is no number.
pub fn frame(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<(usize, usize)>, Fault> {
    if bytes.len() < 2 {
        return Ok(None);
    }
    let Some((body, length)) = wire::variable(&bytes[1..])? else {
        return Ok(None);
    };
    let (head, body) = (1 + length, body as usize);
    if head + body > packet_bytes_max {
        return Err(Fault::new(Reason::PacketTooLarge, "packet is larger than allowed"));
    }
    Ok(Some((head, body)))
}

/// Reads a packet of a client that speaks `version`.
pub fn read(version: Version, first: u8, body: &[u8]) -> Result<Packet<'_>, Fault> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    let reader = Reader::new(body);
    let wanted = if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
    let has_bad_flags = kind != 3 && flags != wanted;
    match kind {
        // Packets of servers; with flags mosquitto calls two of them malformed.
        9 | 11 if has_bad_flags => Err(BAD_FLAGS),
        0 | 2 | 9 | 11 | 13 => Err(Fault::new(Reason::Protocol, "packet is a server's")),
        15 if version < Version::V5 || has_bad_flags || body.len() == 1 => {
            Err(Fault::new(Reason::Protocol, "AUTH was not expected"))
        }
        _ if has_bad_flags => Err(BAD_FLAGS),
        1 => Ok(Packet::Connect(Box::new(super::connect::read(reader)?))),
        3 => Ok(Packet::Publish(publish(version, flags, reader, false)?)),
        4 => ack(version, Step::Ack, reader),
        5 => ack(version, Step::Received, reader),
        6 => ack(version, Step::Release, reader),
        7 => ack(version, Step::Complete, reader),
        8 => Ok(Packet::Subscribe(subscribe(version, reader)?)),
        10 => Ok(Packet::Unsubscribe(unsubscribe(version, reader)?)),
        12 => ended(reader).map(|()| Packet::Ping),
        14 => Ok(Packet::Disconnect(disconnect(version, reader)?)),
        _ => auth(reader),
    }
}

/// Filters in one packet.
const FILTERS_MAX: usize = 10_000;
const TOO_MANY_FILTERS: Fault =
    Fault { reason: Reason::QuotaExceeded, why: "too many filters in one packet" };
const BAD_FLAGS: Fault =
    Fault { reason: Reason::Malformed, why: "flags are not what they must be" };

fn ended(reader: Reader<'_>) -> Result<(), Fault> {
    if reader.is_empty() {
        Ok(())
    } else {
        Err(Fault::new(Reason::Malformed, "packet is longer than its contents"))
    }
}

/// Reads PUBLISH; only a server's may say which subscriptions it is for.
pub(super) fn publish(
    version: Version,
    flags: u8,
    mut reader: Reader<'_>,
    is_servers: bool,
) -> Result<Publish<'_>, Fault> {
    let (dup, qos, retain) = (flags & 8 != 0, (flags >> 1) & 3, flags & 1 != 0);
    if qos == 3 || (qos == 0 && dup) {
        return Err(BAD_FLAGS);
    }
    let topic = reader.text()?;
    if topic.contains(['+', '#']) {
        return Err(Fault::new(Reason::Malformed, "topic has a wildcard"));
    }
    let identifier = if qos > 0 { reader.identifier()? } else { 0 };
    let mut properties = Properties::default();
    if version == Version::V5 {
        properties = property::read(&mut reader, place::PUBLISH)?;
        if properties.subscription_identifier.is_some() && !is_servers {
            return Err(Fault::new(Reason::Protocol, "only servers send subscription identifiers"));
        }
        if properties.response_topic.is_some_and(|topic| topic.contains(['+', '#'])) {
            return Err(Fault::new(Reason::Protocol, "response topic has a wildcard"));
        }
    }
    if topic.is_empty() && properties.topic_alias.is_none() {
        return Err(Fault::new(Reason::Malformed, "topic is empty"));
    }
    let payload = reader.rest();
    Ok(Publish { dup, qos, retain, topic, identifier, properties, payload })
}

fn ack(version: Version, step: Step, mut reader: Reader<'_>) -> Result<Packet<'_>, Fault> {
    let identifier = reader.identifier()?;
    if version < Version::V5 {
        ended(reader)?;
        return Ok(Packet::Ack(Ack { step, identifier, code: 0 }));
    }
    let code = if reader.is_empty() { 0 } else { reader.byte()? };
    let is_known = match step {
        Step::Ack | Step::Received => {
            matches!(code, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
        }
        Step::Release | Step::Complete => matches!(code, 0 | 0x92),
    };
    if !is_known {
        return Err(Fault::new(Reason::Protocol, "reason code is unknown"));
    }
    if !reader.is_empty() {
        property::read(&mut reader, place::ACK)?;
        ended(reader)?;
    }
    Ok(Packet::Ack(Ack { step, identifier, code }))
}

/// An identifier of SUBSCRIBE and UNSUBSCRIBE: mosquitto calls 0 malformed here.
fn request_identifier(reader: &mut Reader<'_>) -> Result<u16, Fault> {
    let fault = Fault::new(Reason::Malformed, "packet identifier is missing or 0");
    reader.identifier().map_err(|_| fault)
}

fn subscribe(version: Version, mut reader: Reader<'_>) -> Result<Subscribe<'_>, Fault> {
    let identifier = request_identifier(&mut reader)?;
    let mut subscription = None;
    if version == Version::V5 {
        subscription = property::read(&mut reader, place::SUBSCRIBE)?.subscription_identifier;
    }
    let mut wishes = Vec::new();
    while wishes.is_empty() || !reader.is_empty() {
        let filter = filter(&mut reader)?;
        let options = reader.byte()?;
        let allowed = if version == Version::V5 { 0x3f } else { 0x03 };
        let (qos, retain_handling) = (options & 3, (options >> 4) & 3);
        if options & !allowed != 0 || qos == 3 || retain_handling == 3 {
            return Err(Fault::new(Reason::Malformed, "subscription options are not allowed"));
        }
        let (no_local, retain_as_published) = (options & 4 != 0, options & 8 != 0);
        if filter.starts_with("$share/") && version == Version::V5 && no_local {
            return Err(Fault::new(Reason::Protocol, "shared subscription has no local set"));
        }
        if wishes.len() >= FILTERS_MAX {
            return Err(TOO_MANY_FILTERS);
        }
        wishes.push(Wish { filter, qos, no_local, retain_as_published, retain_handling });
    }
    Ok(Subscribe { identifier, subscription, wishes })
}

fn unsubscribe(version: Version, mut reader: Reader<'_>) -> Result<Unsubscribe<'_>, Fault> {
    let identifier = request_identifier(&mut reader)?;
    if version == Version::V5 {
        property::read(&mut reader, place::UNSUBSCRIBE)?;
    }
    let mut filters = Vec::new();
    while filters.is_empty() || !reader.is_empty() {
        if filters.len() >= FILTERS_MAX {
            return Err(TOO_MANY_FILTERS);
        }
        filters.push(filter(&mut reader)?);
    }
    Ok(Unsubscribe { identifier, filters })
}

fn filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Fault> {
    let filter = reader.text()?;
    if !is_filter(filter) {
        return Err(Fault::new(Reason::Malformed, "filter is not well-formed"));
    }
    if let Some(shared) = filter.strip_prefix("$share/") {
        let parts = shared.split_once('/');
        let is_whole = parts.is_some_and(|(group, inner)| {
            !group.is_empty() && !group.contains(['+', '#']) && !inner.is_empty()
        });
        if !is_whole {
            return Err(Fault::new(Reason::Protocol, "shared subscription is incomplete"));
        }
    }
    Ok(filter)
}

/// Tells whether wildcards stand where they may: `+` alone in a level, `#` alone in the last.
pub fn is_filter(filter: &str) -> bool {
    if !filter.contains(['+', '#']) {
        return !filter.is_empty();
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let is_right = match level {
            "+" => true,
            "#" => is_last,
            _ => !level.contains(['+', '#']),
        };
        if !is_right {
            return false;
        }
    }
    true
}

fn disconnect(version: Version, mut reader: Reader<'_>) -> Result<Disconnect, Fault> {
    if version < Version::V5 {
        ended(reader)?;
        return Ok(Disconnect { code: 0, session_expiry_s: None });
    }
    let code = if reader.is_empty() { 0 } else { reader.byte()? };
    let mut session_expiry_s = None;
    if !reader.is_empty() {
        session_expiry_s = property::read(&mut reader, place::DISCONNECT)?.session_expiry_s;
        ended(reader)?;
    }
    Ok(Disconnect { code, session_expiry_s })
}

fn auth(mut reader: Reader<'_>) -> Result<Packet<'_>, Fault> {
    if !reader.is_empty() {
        reader.byte()?;
        property::read(&mut reader, place::AUTH)?;
        ended(reader)?;
    }
    Ok(Packet::Auth)
}
