//! MQTT 3.1.1, byte by byte: as much of a client as the tests need.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client.
pub(crate) struct Mqtt(TcpStream);

/// A text as MQTT writes it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

impl Mqtt {
    /// Connects at MQTT 3.1.1, by a name and a password, and returns what it is told.
    pub(crate) fn connect(address: SocketAddr, client: &str, who: (&str, &str)) -> (Self, u8) {
        Self::with(address, client, who, 0xc2)
    }

    /// Takes up the session that is kept for a client, or begins one that will be.
    pub(crate) fn resume(address: SocketAddr, client: &str, who: (&str, &str)) -> (Self, u8) {
        Self::with(address, client, who, 0xc0)
    }

    fn with(
        address: SocketAddr,
        client: &str,
        (user, password): (&str, &str),
        flags: u8,
    ) -> (Self, u8) {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut mqtt = Self(stream);
        let texts = [client, user, password].map(text).concat();
        mqtt.send(0x10, &[b"\0\x04MQTT\x04".as_slice(), &[flags], b"\0\x3c", &texts].concat());
        let (_, body) = mqtt.read();
        (mqtt, body[1])
    }

    pub(crate) fn send(&mut self, first: u8, body: &[u8]) {
        let head = [first, u8::try_from(body.len()).unwrap()];
        self.0.write_all(&[&head, body].concat()).unwrap();
    }

    pub(crate) fn read(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut body = vec![0; head[1].into()];
        self.0.read_exact(&mut body).unwrap();
        (head[0] & 0xf0, body)
    }

    /// Subscribes and returns the code: 0, or 0x80.
    pub(crate) fn subscribe(&mut self, filter: &str) -> u8 {
        self.subscribe_at(filter, 0)
    }

    /// Subscribes at a quality and returns the code.
    pub(crate) fn subscribe_at(&mut self, filter: &str, qos: u8) -> u8 {
        self.send(0x82, &[b"\0\x01".as_slice(), &text(filter), &[qos]].concat());
        self.read().1[2]
    }

    /// Publishes at quality 1; tells whether that was acknowledged before the connection ended.
    pub(crate) fn tries_to_publish(&mut self, topic: &str, payload: &str) -> bool {
        let body = [text(topic).as_slice(), &[0, 7], payload.as_bytes()].concat();
        let head = [0x32, u8::try_from(body.len()).unwrap()];
        let mut answer = [0; 4];
        let is_sent = self.0.write_all(&[&head, &*body].concat()).is_ok();
        is_sent && self.0.read_exact(&mut answer).is_ok() && answer == [0x40, 2, 0, 7]
    }
}
