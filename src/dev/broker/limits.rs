//! Limits: everything of the broker that is bounded, and what happens at some of the bounds.

use std::time::Duration;

/// What happens to a queue that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest message gives way.
    DropOldest,
    /// The new message is not taken.
    DropNewest,
    /// The client is disconnected, and the new message is not taken.
    Disconnect,
}

/// What happens to a message that its publisher may not send, for MQTT 3 and quality 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDenied {
    /// It is acknowledged and goes nowhere: MQTT 3 has no way to say no.
    Acknowledge,
    /// Nothing is said, ever, as emqttd 2 does.
    Silence,
    /// The connection is closed.
    Close,
}

/// How often a client gets a message that several of its filters want; the standard allows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Once, with the best quality and every subscription's number.
    Once,
    /// Once for each, as emqttd 2 and mosquitto do.
    Each,
}

/// What a broker may use, and how it meets the ends of it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Sessions at once, connected or not.
    pub sessions_max: usize,
    /// Bytes of one packet.
    pub packet_bytes_max: usize,
    /// Messages of quality 1 and 2 that wait for one client.
    pub queue_messages_max: usize,
    /// Messages of quality 0 that wait for one client.
    pub queue_messages_qos0_max: usize,
    /// Bytes of payload that wait for one client.
    pub queue_bytes_max: usize,
    /// What happens to a message of quality 1 or 2 for a full queue.
    pub when_full: WhenFull,
    /// Whether messages of quality 0 wait for a client that is away.
    pub keeps_qos0_for_the_absent: bool,
    /// Bytes of all messages that wait or are kept.
    pub budget_bytes: usize,
    /// Bytes of packets that have come in part, of all clients together.
    pub reading_bytes: usize,
    /// How long a packet may take from its first byte to its last.
    pub packet_timeout: Duration,
    /// Bytes that the filters of all clients together may cost, and an eighth of it those of one client.
    pub filters_bytes: usize,
    /// Deliveries of quality 1 and 2 that are open to one client at once, if it wants that many.
    pub inflight_max: u16,
    /// Deliveries of quality 1 and 2 that one client may have open to the broker.
    pub receive_maximum: u16,
    /// Topic aliases that one client may set, and get.
    pub topic_alias_maximum: u16,
    /// Seconds that a session lives on after its client left; `u32::MAX` is for ever.
    pub session_expiry_max_s: u32,
    /// Seconds between two signs of life that a client of MQTT 5 may take; 0 leaves it to the client.
    pub keep_alive_max_s: u16,
    /// How long a connection may take to say who it is.
    pub connect_timeout: Duration,
    /// How long a client may take none of what is sent to it.
    pub write_timeout: Duration,
    /// Topics with a kept message.
    pub retained_max: usize,
    /// Filters of one client.
    pub subscriptions_max: usize,
    /// Levels of one topic or filter.
    pub topic_levels_max: usize,
    /// Bytes of a client identifier.
    pub client_id_bytes_max: usize,
    /// How often `$SYS` is published.
    pub sys_interval: Duration,
    /// What happens to a message that may not be published.
    pub when_denied: WhenDenied,
    /// Whether a client of MQTT 5 learns that it was a rule that denied its filter, or just that it was denied.
    pub tells_why_denied: bool,
    /// Whether one denied filter denies all of its SUBSCRIBE, as emqttd 2 does.
    pub denies_all_filters: bool,
    /// How often a client gets a message that several of its filters want.
    pub overlap: Overlap,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 50_000,
            sessions_max: 100_000,
            packet_bytes_max: 4 << 20,
            queue_messages_max: 1000,
            queue_messages_qos0_max: 40_000,
            queue_bytes_max: 8 << 20,
            when_full: WhenFull::DropOldest,
            keeps_qos0_for_the_absent: false,
            budget_bytes: 64 << 20,
            reading_bytes: 32 << 20,
            packet_timeout: Duration::from_secs(60),
            filters_bytes: 128 << 20,
            inflight_max: 100,
            receive_maximum: 1000,
            topic_alias_maximum: 10,
            session_expiry_max_s: u32::MAX,
            keep_alive_max_s: 0,
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            retained_max: 100_000,
            subscriptions_max: 10_000,
            topic_levels_max: 200,
            client_id_bytes_max: 1024,
            sys_interval: Duration::from_secs(10),
            when_denied: WhenDenied::Acknowledge,
            tells_why_denied: true,
            denies_all_filters: false,
            overlap: Overlap::Once,
        }
    }
}
