use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V31), Just(Version::V311), Just(Version::V5)]
}

fn publish_of(packet: &[u8], version: Version) -> Publish<'_> {
    let (head, body) = frame(packet, usize::MAX).unwrap().unwrap();
    assert_eq!(head + body, packet.len());
    match read(version, packet[0], &packet[head..]).unwrap() {
        Packet::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

fn refused(version: Version, packet: &[u8]) -> Reason {
    let (head, _) = frame(packet, usize::MAX).unwrap().unwrap();
    read(version, packet[0], &packet[head..]).unwrap_err().reason
}

#[test]
fn a_length_of_five_bytes_is_refused_and_one_of_four_waits_for_its_packet() {
    assert_eq!(frame(&[0x30, 0x80, 0x80, 0x80, 0x80, 1], usize::MAX).unwrap_err().reason, Reason::Malformed);
    assert_eq!(frame(&[0x30, 0x80, 0x80, 0x80], usize::MAX), Ok(None));
    assert_eq!(frame(&[0x30, 0x80, 0x80, 0x01], 1024).unwrap_err().reason, Reason::PacketTooLarge);
    assert_eq!(frame(&[0x30, 0x80, 0x00], usize::MAX).unwrap_err().reason, Reason::Malformed);
}

#[test]
fn text_that_is_not_utf8_or_has_controls_is_refused() {
    for text in [&b"a\0"[..], b"a\x01", b"\xed\xa0\x80", b"\xff", b"\xc2\x80", b"\xef\xbf\xbf"] {
        let mut packet = vec![0x30, u8::try_from(text.len()).unwrap() + 2, 0, u8::try_from(text.len()).unwrap()];
        packet.extend_from_slice(text);
        assert_eq!(refused(Version::V311, &packet), Reason::Malformed, "{text:?}");
    }
    let fine = [0x30, 5, 0, 3, 0xef, 0xbb, 0xbf];
    assert_eq!(publish_of(&fine, Version::V311).topic, "\u{feff}");
}

#[test]
fn a_property_is_allowed_once_and_only_in_its_packets() {
    let twice = [0x30, 14, 0, 1, b't', 10, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1];
    assert_eq!(refused(Version::V5, &twice), Reason::Protocol);
    let elsewhere = [0x30, 9, 0, 1, b't', 5, 0x11, 0, 0, 0, 1];
    assert_eq!(refused(Version::V5, &elsewhere), Reason::Protocol);
    let unknown = [0x30, 6, 0, 1, b't', 2, 0x7f, 0];
    assert_eq!(refused(Version::V5, &unknown), Reason::Malformed);
    let cut = [0x30, 6, 0, 1, b't', 2, 2, 0];
    assert_eq!(refused(Version::V5, &cut), Reason::Malformed);
}

#[test]
fn identifier_zero_and_quality_three_are_refused() {
    assert_eq!(refused(Version::V311, &[0x32, 5, 0, 1, b't', 0, 0]), Reason::Protocol);
    assert_eq!(refused(Version::V311, &[0x36, 5, 0, 1, b't', 0, 1]), Reason::Malformed);
    assert_eq!(refused(Version::V311, &[0x82, 6, 0, 1, 0, 1, b't', 3]), Reason::Malformed);
    assert_eq!(refused(Version::V311, &[0x80, 6, 0, 1, 0, 1, b't', 0]), Reason::Malformed);
}

#[test]
fn wildcards_stand_alone_in_their_level() {
    for good in ["#", "+", "a/#", "+/+/#", "a/+/b", "/", "a//b", "ö/+"] {
        assert!(is_filter(good), "{good}");
    }
    for bad in ["", "a#", "a/#/b", "a+", "+a/b", "##", "a/b#"] {
        assert!(!is_filter(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_and_never_panic(version in version(), first: u8, body in vec(any::<u8>(), 0..200)) {
        let _ = read(version, first, &body);
        let _ = frame(&body, 100);
    }

    #[test]
    fn what_is_delivered_can_be_read_back(
        version in version(),
        (dup, qos, retain) in (any::<bool>(), 0u8..3, any::<bool>()),
        topic in "[a-zö/]{1,40}",
        identifier in 1u16..,
        expiry in proptest::option::of(1u32..),
        payload in vec(any::<u8>(), 0..300),
    ) {
        let delivery = Delivery {
            dup: dup && qos > 0, qos, retain, topic: &topic, identifier, alias: Some(7),
            expiry_s: expiry, subscriptions: &[], forwarded: &[0x03, 0, 1, b'x'],
            payload_bytes: payload.len(),
        };
        let mut packet = BytesMut::new();
        delivery.write_head(&mut packet, version);
        packet.extend_from_slice(&payload);
        prop_assert_eq!(packet.len(), delivery.packet_bytes(version));
        let back = publish_of(&packet, version);
        prop_assert_eq!((back.dup, back.qos, back.retain), (delivery.dup, qos, retain));
        prop_assert_eq!((back.topic, back.payload), (&*topic, &*payload));
        prop_assert_eq!(back.identifier, if qos > 0 { identifier } else { 0 });
        if version == Version::V5 {
            prop_assert_eq!(back.properties.message_expiry_s, expiry);
            prop_assert_eq!(back.properties.topic_alias, Some(7));
            prop_assert_eq!(&back.properties.forwarded[..], &[0x03, 0, 1, b'x']);
        }
    }
}
