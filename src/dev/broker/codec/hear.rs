//! Hear: what a server says, borrowed from the bytes that it came in.

use super::fault::{Fault, Reason};
use super::packet::{Publish, Step, Version, publish};
use super::property::{self, place};
use super::wire::Reader;

/// A packet of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// CONNACK: 0 lets the client in; MQTT 5 may say why it does not.
    Connected(Verdict<'a>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP of the delivery with this identifier.
    Ack(Step, u16, Verdict<'a>),
    /// SUBACK: a code for each filter.
    Subscribed(u16, &'a [u8], Option<&'a str>),
    /// UNSUBACK.
    Unsubscribed(u16),
    /// PINGRESP.
    Pong,
    /// DISCONNECT.
    Disconnected(Verdict<'a>),
}

/// A code, and what the server says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The return or reason code, in the version that is spoken.
    pub code: u8,
    /// Why, in the server's words.
    pub why: Option<&'a str>,
}

/// Reads a packet of a server that speaks `version`.
pub fn hear(version: Version, first: u8, body: &[u8]) -> Result<Heard<'_>, Fault> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    let mut reader = Reader::new(body);
    match kind {
        2 => {
            reader.byte()?;
            verdict(version, reader, place::CONNACK).map(Heard::Connected)
        }
        3 => publish(version, flags, reader, true).map(Heard::Publish),
        4..=7 => {
            let step = [Step::Ack, Step::Received, Step::Release, Step::Complete];
            let identifier = reader.identifier()?;
            let verdict = verdict(version, reader, place::ACK)?;
            Ok(Heard::Ack(step[usize::from(kind - 4)], identifier, verdict))
        }
        9 => {
            let identifier = reader.identifier()?;
            let why = match version {
                Version::V5 => property::read(&mut reader, place::ACK)?.reason,
                _ => None,
            };
            Ok(Heard::Subscribed(identifier, reader.rest(), why))
        }
        11 => Ok(Heard::Unsubscribed(reader.identifier()?)),
        13 => Ok(Heard::Pong),
        14 if version == Version::V5 => {
            verdict(version, reader, place::DISCONNECT).map(Heard::Disconnected)
        }
        _ => Err(Fault::new(Reason::Protocol, "packet is no server's")),
    }
}

/// Reads a code and the properties behind it; both may be left out where all is well.
fn verdict(version: Version, mut reader: Reader<'_>, place: u16) -> Result<Verdict<'_>, Fault> {
    let code = if reader.is_empty() { 0 } else { reader.byte()? };
    let mut why = None;
    if version == Version::V5 && !reader.is_empty() {
        why = property::read(&mut reader, place)?.reason;
    }
    Ok(Verdict { code, why })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    fn body(packet: &[u8]) -> &[u8] {
        let (head, length) = frame(packet, usize::MAX).unwrap().unwrap();
        assert_eq!(head + length, packet.len());
        &packet[head..]
    }

    #[test]
    fn what_the_broker_says_of_a_denial_is_what_a_client_hears() {
        let mut packet = BytesMut::new();
        ack_because(&mut packet, Step::Ack, 7, Reason::NotAuthorized, "row 3 of mqtt_acl");
        let heard = hear(Version::V5, packet[0], body(&packet)).unwrap();
        let verdict = Verdict { code: 0x87, why: Some("row 3 of mqtt_acl") };
        assert_eq!(heard, Heard::Ack(Step::Ack, 7, verdict));
        packet.clear();
        suback(&mut packet, Version::V5, 9, &[0x87, 1], Some("eq #"));
        let heard = hear(Version::V5, packet[0], body(&packet)).unwrap();
        assert_eq!(heard, Heard::Subscribed(9, &[0x87, 1], Some("eq #")));
        packet.clear();
        suback(&mut packet, Version::V311, 9, &[0x80], Some("nobody hears this"));
        assert_eq!(&packet[..], [0x90, 3, 0, 9, 0x80]);
    }

    #[test]
    fn what_a_client_asks_is_what_the_broker_reads() {
        let mut packet = BytesMut::new();
        let login =
            Login { client_id: "c", username: None, password: Some("hunter22"), keep_alive_s: 30 };
        for version in [Version::V31, Version::V311, Version::V5] {
            packet.clear();
            connect(&mut packet, version, &login);
            let Packet::Connect(connect) = read(version, packet[0], body(&packet)).unwrap() else {
                panic!("no CONNECT");
            };
            assert_eq!((connect.version, connect.client_id), (version, "c"));
            assert_eq!((connect.username, connect.password), (Some(""), Some(&b"hunter22"[..])));
            assert!(connect.clean);
            packet.clear();
            subscribe(&mut packet, version, 3, &["a/#".into(), "b".into()], 1);
            let Packet::Subscribe(asked) = read(version, packet[0], body(&packet)).unwrap() else {
                panic!("no SUBSCRIBE");
            };
            let wishes: Vec<_> = asked.wishes.iter().map(|wish| (wish.filter, wish.qos)).collect();
            assert_eq!((asked.identifier, &wishes[..]), (3, &[("a/#", 1), ("b", 1)][..]));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_of_a_server_are_heard_or_refused(first: u8, body in vec(any::<u8>(), 0..200)) {
            for version in [Version::V31, Version::V311, Version::V5] {
                let _ = hear(version, first, &body);
            }
        }
    }
}
