//! Connect: CONNECT of all three versions.

use super::fault::{Fault, Reason};
use super::packet::Version;
use super::property::{self, Properties, place};
use super::wire::Reader;

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The protocol's version.
    pub version: Version,
    /// Whether an older session ends.
    pub clean: bool,
    /// Seconds between two signs of life; 0 for none.
    pub keep_alive_s: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// The client identifier; empty asks for one.
    pub client_id: &'a str,
    /// What is to be said when it is gone.
    pub will: Option<Will<'a>>,
    /// The user's name.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
}

/// A will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether it is kept.
    pub retain: bool,
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Its properties.
    pub properties: Properties<'a>,
}

/// Reads the protocol's name and version, which come first.
pub fn read_version(reader: &mut Reader<'_>) -> Result<Version, Fault> {
    let name = reader.binary()?;
    let level = reader.byte()?;
    match (name, level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQIsdp" | b"MQTT", _) => {
            Err(Fault::new(Reason::UnsupportedVersion, "protocol version is unknown"))
        }
        _ => Err(Fault::new(Reason::Malformed, "protocol is not MQTT")),
    }
}

/// Reads CONNECT.
pub(super) fn read(mut reader: Reader<'_>) -> Result<Connect<'_>, Fault> {
    let malformed = |why| Fault::new(Reason::Malformed, why);
    let version = read_version(&mut reader)?;
    let flags = reader.byte()?;
    // MQTT 3.1 calls this bit unused, and the later ones reserved.
    if flags & 1 != 0 && version > Version::V31 {
        return Err(malformed("reserved flag is set"));
    }
    let keep_alive_s = reader.short()?;
    let properties = match version {
        Version::V5 => property::read(&mut reader, place::CONNECT)?,
        _ => Properties::default(),
    };
    let client_id = reader.text()?;
    let (has_username, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    if has_password && !has_username && version < Version::V5 {
        return Err(malformed("password comes without a user name"));
    }
    let will = will(version, flags, &mut reader)?;
    let username = if has_username { Some(reader.text()?) } else { None };
    let password = if has_password { Some(reader.binary()?) } else { None };
    if !reader.is_empty() {
        return Err(malformed("packet is longer than its contents"));
    }
    let clean = flags & 2 != 0;
    Ok(Connect { version, clean, keep_alive_s, properties, client_id, will, username, password })
}

fn will<'a>(
    version: Version,
    flags: u8,
    reader: &mut Reader<'a>,
) -> Result<Option<Will<'a>>, Fault> {
    let malformed = |why| Fault::new(Reason::Malformed, why);
    let (qos, retain) = ((flags >> 3) & 3, flags & 0x20 != 0);
    if flags & 4 == 0 {
        return match (qos, retain) {
            (0, false) => Ok(None),
            _ => Err(malformed("will flags are set without a will")),
        };
    }
    if qos == 3 {
        return Err(malformed("will has quality 3"));
    }
    let properties = match version {
        Version::V5 => property::read(reader, place::WILL)?,
        _ => Properties::default(),
    };
    let topic = reader.text()?;
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(malformed("will topic is empty or has a wildcard"));
    }
    let payload = reader.binary()?;
    Ok(Some(Will { qos, retain, topic, payload, properties }))
}
