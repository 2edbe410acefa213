//! Property: MQTT 5's table of properties, which packet may have which, and their values.

use bytes::Bytes;

use super::fault::{Fault, Reason};
use super::wire::Reader;

/// The packets with properties, as bits: those of a client, and what of a server's differs from them.
pub(super) mod place {
    pub(in crate::dev::broker::codec) const CONNECT: u16 = 1;
    pub(in crate::dev::broker::codec) const WILL: u16 = 1 << 1;
    pub(in crate::dev::broker::codec) const PUBLISH: u16 = 1 << 2;
    pub(in crate::dev::broker::codec) const ACK: u16 = 1 << 3;
    pub(in crate::dev::broker::codec) const SUBSCRIBE: u16 = 1 << 4;
    pub(in crate::dev::broker::codec) const UNSUBSCRIBE: u16 = 1 << 5;
    pub(in crate::dev::broker::codec) const DISCONNECT: u16 = 1 << 6;
    pub(in crate::dev::broker::codec) const AUTH: u16 = 1 << 7;
    pub(in crate::dev::broker::codec) const CONNACK: u16 = 1 << 8;
}

use place::{ACK, AUTH, CONNACK, CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, WILL};

#[derive(Clone, Copy)]
enum Kind {
    Byte,
    Short,
    Long,
    Variable,
    Text,
    Binary,
    Pair,
}

/// Every property: its number, the form of its value, and the packets that may have it.
const TABLE: [(u8, Kind, u16); 27] = [
    (0x01, Kind::Byte, PUBLISH | WILL),
    (0x02, Kind::Long, PUBLISH | WILL),
    (0x03, Kind::Text, PUBLISH | WILL),
    (0x08, Kind::Text, PUBLISH | WILL),
    (0x09, Kind::Binary, PUBLISH | WILL),
    // A server sends it in PUBLISH; a client that does is told so where PUBLISH is read.
    (0x0b, Kind::Variable, PUBLISH | SUBSCRIBE),
    (0x11, Kind::Long, CONNECT | CONNACK | DISCONNECT),
    (0x12, Kind::Text, CONNACK),
    (0x13, Kind::Short, CONNACK),
    (0x15, Kind::Text, CONNECT | CONNACK | AUTH),
    (0x16, Kind::Binary, CONNECT | CONNACK | AUTH),
    (0x17, Kind::Byte, CONNECT),
    (0x18, Kind::Long, WILL),
    (0x19, Kind::Byte, CONNECT),
    (0x1a, Kind::Text, CONNACK),
    (0x1c, Kind::Text, CONNACK | DISCONNECT),
    (0x1f, Kind::Text, ACK | CONNACK | DISCONNECT | AUTH),
    (0x21, Kind::Short, CONNECT | CONNACK),
    (0x22, Kind::Short, CONNECT | CONNACK),
    (0x23, Kind::Short, PUBLISH),
    (0x24, Kind::Byte, CONNACK),
    (0x25, Kind::Byte, CONNACK),
    (0x26, Kind::Pair, 0x1ff),
    (0x27, Kind::Long, CONNECT | CONNACK),
    (0x28, Kind::Byte, CONNACK),
    (0x29, Kind::Byte, CONNACK),
    (0x2a, Kind::Byte, CONNACK),
];

/// What the properties of one packet say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub struct Properties<'a> {
    pub message_expiry_s: Option<u32>,
    pub subscription_identifier: Option<u32>,
    pub session_expiry_s: Option<u32>,
    pub authentication_method: Option<&'a str>,
    pub wants_no_problem_information: bool,
    pub will_delay_s: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub topic_alias_maximum: Option<u16>,
    pub topic_alias: Option<u16>,
    pub maximum_packet_size: Option<u32>,
    pub response_topic: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub is_text: bool,
    /// Those that go on to subscribers as they came: format, type, response topic, correlation data, user's own.
    pub forwarded: Vec<u8>,
}

impl Properties<'_> {
    /// Returns those that go on to subscribers, to be shared.
    pub fn shared(&self) -> Bytes {
        if self.forwarded.is_empty() {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&self.forwarded)
        }
    }
}

/// Reads the properties of the packet that `place` stands for.
pub(super) fn read<'a>(packet: &mut Reader<'a>, place: u16) -> Result<Properties<'a>, Fault> {
    let mut properties = Properties::default();
    let length = packet.variable()?;
    if length == 0 {
        return Ok(properties);
    }
    let mut reader = Reader::new(packet.take(length as usize)?);
    let mut seen: u64 = 0;
    let mut refused = None;
    while !reader.is_empty() {
        let start = reader.rest();
        let number = reader.byte()?;
        let (_, kind, allowed) = TABLE
            .iter()
            .find(|(known, _, _)| *known == number)
            .ok_or(Fault::new(Reason::Malformed, "unknown property"))?;
        let value = Value::read(&mut reader, *kind)?;
        // What is cut short counts before what is forbidden: the rest could not be read anyway.
        let is_again = number != 0x26 && seen & (1 << number) != 0;
        seen |= 1 << number;
        if allowed & place == 0 {
            refused.get_or_insert("property does not belong into this packet");
        } else if is_again {
            refused.get_or_insert("property comes twice");
        } else {
            properties.set(number, &value)?;
            if matches!(number, 0x01 | 0x03 | 0x08 | 0x09 | 0x26) && place & (PUBLISH | WILL) != 0 {
                let taken = start.len() - reader.rest().len();
                properties.forwarded.extend_from_slice(&start[..taken]);
            }
        }
    }
    match refused {
        // Mosquitto calls it malformed in these two; the standard allows both.
        Some(why) if place & (SUBSCRIBE | UNSUBSCRIBE) != 0 && !why.ends_with("twice") => {
            Err(Fault::new(Reason::Malformed, why))
        }
        Some(why) => Err(Fault::new(Reason::Protocol, why)),
        None => Ok(properties),
    }
}

enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Other,
}

impl<'a> Value<'a> {
    fn read(reader: &mut Reader<'a>, kind: Kind) -> Result<Self, Fault> {
        Ok(match kind {
            Kind::Byte => Self::Number(reader.byte()?.into()),
            Kind::Short => Self::Number(reader.short()?.into()),
            Kind::Long => Self::Number(reader.long()?),
            Kind::Variable => Self::Number(reader.variable()?),
            Kind::Text => Self::Text(reader.text()?),
            Kind::Binary => {
                reader.binary()?;
                Self::Other
            }
            Kind::Pair => {
                reader.text()?;
                reader.text()?;
                Self::Other
            }
        })
    }
}

impl<'a> Properties<'a> {
    fn set(&mut self, number: u8, value: &Value<'a>) -> Result<(), Fault> {
        match *value {
            Value::Number(value) => self.set_number(number, value),
            Value::Text(text) => {
                match number {
                    0x08 => self.response_topic = Some(text),
                    0x15 => self.authentication_method = Some(text),
                    0x1f => self.reason = Some(text),
                    _ => {}
                }
                Ok(())
            }
            Value::Other => Ok(()),
        }
    }

    fn set_number(&mut self, number: u8, value: u32) -> Result<(), Fault> {
        let protocol = |why| Fault::new(Reason::Protocol, why);
        let flag = || match value {
            0 | 1 => Ok(value == 1),
            _ => Err(protocol("flag is neither 0 nor 1")),
        };
        let short = || match u16::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(protocol("maximum is 0")),
        };
        match number {
            0x01 => self.is_text = flag()?,
            0x02 => self.message_expiry_s = Some(value),
            0x0b if value == 0 => {
                return Err(Fault::new(Reason::Malformed, "subscription identifier is 0"));
            }
            0x0b => self.subscription_identifier = Some(value),
            0x11 => self.session_expiry_s = Some(value),
            0x17 => self.wants_no_problem_information = !flag()?,
            0x18 => self.will_delay_s = Some(value),
            0x19 => drop(flag()?),
            0x21 => self.receive_maximum = Some(short()?),
            0x22 => self.topic_alias_maximum = u16::try_from(value).ok(),
            0x23 => {
                let alias = short();
                let fault = Fault::new(Reason::BadTopicAlias, "topic alias is 0");
                self.topic_alias = Some(alias.map_err(|_| fault)?);
            }
            0x27 if value == 0 => return Err(protocol("maximum is 0")),
            0x27 => self.maximum_packet_size = Some(value),
            _ => {}
        }
        Ok(())
    }
}
