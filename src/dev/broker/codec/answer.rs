//! Answer: what the broker says, written to a buffer.

use bytes::{BufMut as _, BytesMut};

use super::fault::Reason;
use super::packet::{Step, Version};
use super::wire::{put_binary, put_variable, variable_length};

/// Bytes of a reason in words.
const WHY_BYTES_MAX: usize = 512;
/// Bytes that a client has to take in one packet to be told a reason: some filters' codes fit beside it.
pub const WHY_PACKET_BYTES: u64 = 2048;

/// CONNACK's contents.
#[derive(Debug, Clone, Default)]
pub struct ConnAck<'a> {
    /// Whether an older session goes on.
    pub session_present: bool,
    /// The return or reason code, in the client's version.
    pub code: u8,
    /// What a client of MQTT 5 is told beyond that.
    pub told: Option<Told<'a>>,
    /// Why a client of MQTT 5 is not let in.
    pub why: Option<&'a str>,
}

/// What CONNACK tells of the server.
#[derive(Debug, Clone, Default)]
pub struct Told<'a> {
    /// The identifier that the server chose.
    pub assigned_client_id: Option<&'a str>,
    /// The session's life, where it is not what was asked.
    pub session_expiry_s: Option<u32>,
    /// The keep alive, where it is not what was asked.
    pub keep_alive_s: Option<u16>,
    /// How many deliveries to the server may be open at once.
    pub receive_maximum: u16,
    /// How many aliases the server remembers.
    pub topic_alias_maximum: u16,
    /// The largest packet it takes.
    pub packet_bytes_max: Option<u32>,
}

/// Writes CONNACK.
pub fn connack(into: &mut BytesMut, version: Version, answer: &ConnAck<'_>) {
    let mut body = BytesMut::with_capacity(64);
    body.put_u8(u8::from(answer.session_present));
    body.put_u8(answer.code);
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        if let Some(told) = &answer.told {
            told.write(&mut properties);
        }
        put_why(&mut properties, answer.why);
        put_length(&mut body, properties.len());
        body.put_slice(&properties);
    }
    put_packet(into, 0x20, &body);
}

impl Told<'_> {
    fn write(&self, into: &mut BytesMut) {
        if let Some(seconds) = self.session_expiry_s {
            into.put_u8(0x11);
            into.put_u32(seconds);
        }
        if let Some(client_id) = self.assigned_client_id {
            into.put_u8(0x12);
            put_binary(into, client_id.as_bytes());
        }
        if let Some(seconds) = self.keep_alive_s {
            into.put_u8(0x13);
            into.put_u16(seconds);
        }
        if self.topic_alias_maximum > 0 {
            into.put_u8(0x22);
            into.put_u16(self.topic_alias_maximum);
        }
        if let Some(bytes) = self.packet_bytes_max {
            into.put_u8(0x27);
            into.put_u32(bytes);
        }
        if self.receive_maximum != u16::MAX {
            into.put_u8(0x21);
            into.put_u16(self.receive_maximum);
        }
    }
}

/// Writes PUBACK, PUBREC, PUBREL or PUBCOMP.
pub fn ack(into: &mut BytesMut, version: Version, step: Step, identifier: u16, reason: Reason) {
    let flags = if step == Step::Release { 2 } else { 0 };
    into.put_u8((step as u8) << 4 | flags);
    let has_code = version == Version::V5 && reason != Reason::Success;
    into.put_u8(if has_code { 3 } else { 2 });
    into.put_u16(identifier);
    if has_code {
        into.put_u8(reason.code());
    }
}

/// Writes PUBACK or PUBREC for a client of MQTT 5 that may know why its message goes nowhere.
pub fn ack_because(into: &mut BytesMut, step: Step, identifier: u16, reason: Reason, why: &str) {
    let (mut body, mut properties) = (BytesMut::with_capacity(64), BytesMut::new());
    put_why(&mut properties, Some(why));
    body.put_u16(identifier);
    body.put_u8(reason.code());
    put_length(&mut body, properties.len());
    body.put_slice(&properties);
    put_packet(into, (step as u8) << 4, &body);
}

/// Writes SUBACK with a code for each filter, and for MQTT 5 why some are denied.
pub fn suback(
    into: &mut BytesMut,
    version: Version,
    identifier: u16,
    codes: &[u8],
    why: Option<&str>,
) {
    let mut body = BytesMut::with_capacity(3 + codes.len());
    body.put_u16(identifier);
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        put_why(&mut properties, why);
        put_length(&mut body, properties.len());
        body.put_slice(&properties);
    }
    body.put_slice(codes);
    put_packet(into, 0x90, &body);
}

/// Writes UNSUBACK; before MQTT 5 it has no codes.
pub fn unsuback(into: &mut BytesMut, version: Version, identifier: u16, codes: &[u8]) {
    let mut body = BytesMut::with_capacity(3 + codes.len());
    body.put_u16(identifier);
    if version == Version::V5 {
        body.put_u8(0);
        body.put_slice(codes);
    }
    put_packet(into, 0xb0, &body);
}

/// Writes PINGRESP.
pub fn pong(into: &mut BytesMut) {
    into.put_slice(&[0xd0, 0]);
}

/// Writes DISCONNECT; servers before MQTT 5 have none.
pub fn disconnect(into: &mut BytesMut, version: Version, reason: Reason) {
    if version == Version::V5 {
        into.put_slice(&[0xe0, 1, reason.code()]);
    }
}

/// What a PUBLISH to a client is made of.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Whether it was sent before.
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is a kept message.
    pub retain: bool,
    /// The topic; empty where the alias is known.
    pub topic: &'a str,
    /// The delivery's identifier; 0 for quality 0.
    pub identifier: u16,
    /// The alias that stands for the topic.
    pub alias: Option<u16>,
    /// Seconds that it still lives.
    pub expiry_s: Option<u32>,
    /// The numbers of the subscriptions that it is for.
    pub subscriptions: &'a [u32],
    /// Properties that go on as they came.
    pub forwarded: &'a [u8],
    /// Bytes of the payload, which is written by the caller.
    pub payload_bytes: usize,
}

impl Delivery<'_> {
    fn property_bytes(&self) -> usize {
        let subscription = |number: &u32| 1 + variable_length(*number);
        self.forwarded.len()
            + self.alias.map_or(0, |_| 3)
            + self.expiry_s.map_or(0, |_| 5)
            + self.subscriptions.iter().map(subscription).sum::<usize>()
    }

    fn body_bytes(&self, version: Version, properties: usize) -> usize {
        let length = u32::try_from(properties).unwrap_or(u32::MAX);
        let of_version =
            if version == Version::V5 { properties + variable_length(length) } else { 0 };
        2 + self.topic.len() + if self.qos > 0 { 2 } else { 0 } + of_version + self.payload_bytes
    }

    /// Returns how many bytes the whole packet takes.
    pub fn packet_bytes(&self, version: Version) -> usize {
        let body = self.body_bytes(version, self.property_bytes());
        1 + variable_length(u32::try_from(body).unwrap_or(u32::MAX)) + body
    }

    /// Writes all but the payload.
    pub fn write_head(&self, into: &mut BytesMut, version: Version) {
        let properties = self.property_bytes();
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        into.put_u8(0x30 | flags);
        put_length(into, self.body_bytes(version, properties));
        put_binary(into, self.topic.as_bytes());
        if self.qos > 0 {
            into.put_u16(self.identifier);
        }
        if version < Version::V5 {
            return;
        }
        put_length(into, properties);
        into.put_slice(self.forwarded);
        if let Some(seconds) = self.expiry_s {
            into.put_u8(0x02);
            into.put_u32(seconds);
        }
        if let Some(alias) = self.alias {
            into.put_u8(0x23);
            into.put_u16(alias);
        }
        for number in self.subscriptions {
            into.put_u8(0x0b);
            put_variable(into, *number);
        }
    }
}

fn put_length(into: &mut BytesMut, length: usize) {
    put_variable(into, u32::try_from(length).expect("packets are bounded far below four GiB"));
}

/// Writes the property that says why, within a bound: rules have names of any length.
fn put_why(into: &mut BytesMut, why: Option<&str>) {
    if let Some(why) = why {
        into.put_u8(0x1f);
        put_binary(into, &why.as_bytes()[..why.floor_char_boundary(WHY_BYTES_MAX)]);
    }
}

pub(super) fn put_packet(into: &mut BytesMut, first: u8, body: &[u8]) {
    into.put_u8(first);
    put_length(into, body.len());
    into.put_slice(body);
}
