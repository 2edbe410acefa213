//! Fault: why a peer's packet is refused, as a code of MQTT 5 and as words for a log.

use thiserror::Error;

/// A reason code of MQTT 5; those that the broker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the standard's")]
pub enum Reason {
    Success = 0x00,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    Unspecified = 0x80,
    Malformed = 0x81,
    Protocol = 0x82,
    UnsupportedVersion = 0x84,
    BadClientId = 0x85,
    BadCredentials = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerShuttingDown = 0x8b,
    BadAuthMethod = 0x8c,
    KeepAliveTimeout = 0x8d,
    SessionTakenOver = 0x8e,
    BadFilter = 0x8f,
    BadTopic = 0x90,
    IdInUse = 0x91,
    IdNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    BadTopicAlias = 0x94,
    PacketTooLarge = 0x95,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    BadPayloadFormat = 0x99,
}

impl Reason {
    /// Returns the byte on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A peer broke the protocol, or asked for too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Fault {
    /// The code to tell a peer of MQTT 5.
    pub reason: Reason,
    /// What was wrong.
    pub why: &'static str,
}

impl Fault {
    /// A fault.
    pub fn new(reason: Reason, why: &'static str) -> Self {
        Self { reason, why }
    }
}
