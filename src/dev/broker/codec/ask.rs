//! Ask: what a client says, written to a buffer; its PUBLISH is a [`Delivery`](super::Delivery).

use bytes::{BufMut as _, BytesMut};

use super::answer::put_packet;
use super::packet::Version;
use super::wire::put_binary;

/// Who a client says that it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// Its identifier; empty asks for one.
    pub client_id: &'a str,
    /// The user's name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a str>,
    /// Seconds between two signs of life.
    pub keep_alive_s: u16,
}

/// Writes CONNECT for a session that ends with its connection.
pub fn connect(into: &mut BytesMut, version: Version, login: &Login<'_>) {
    let mut body = BytesMut::with_capacity(64);
    let name: &[u8] = if version == Version::V31 { b"MQIsdp" } else { b"MQTT" };
    put_binary(&mut body, name);
    body.put_u8(version as u8);
    // A password may come without a name from MQTT 5 on; an empty name says the same everywhere.
    let username = login.username.or(login.password.map(|_| ""));
    let flags = u8::from(username.is_some()) << 7 | u8::from(login.password.is_some()) << 6;
    body.put_u8(flags | 2);
    body.put_u16(login.keep_alive_s);
    if version == Version::V5 {
        body.put_u8(0);
    }
    put_binary(&mut body, login.client_id.as_bytes());
    for text in [username, login.password].into_iter().flatten() {
        put_binary(&mut body, text.as_bytes());
    }
    put_packet(into, 0x10, &body);
}

/// Writes SUBSCRIBE for filters at one quality.
pub fn subscribe(
    into: &mut BytesMut,
    version: Version,
    identifier: u16,
    filters: &[String],
    qos: u8,
) {
    let mut body = BytesMut::with_capacity(64);
    body.put_u16(identifier);
    if version == Version::V5 {
        body.put_u8(0);
    }
    for filter in filters {
        put_binary(&mut body, filter.as_bytes());
        body.put_u8(qos);
    }
    put_packet(into, 0x82, &body);
}

/// Writes PINGREQ.
pub fn ping(into: &mut BytesMut) {
    into.put_slice(&[0xc0, 0]);
}

/// Writes a client's DISCONNECT, which withdraws its will.
pub fn goodbye(into: &mut BytesMut) {
    into.put_slice(&[0xe0, 0]);
}
