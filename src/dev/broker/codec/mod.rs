//! Codec: MQTT 3.1, 3.1.1 and 5 on the wire, as pure functions over bytes.
//!
//! Packets are borrowed from the bytes they came in, so a message's payload is copied exactly once on its way
//! in: into the allocation that all receivers share.

mod answer;
mod ask;
mod connect;
mod fault;
mod hear;
mod packet;
mod property;
mod wire;

#[cfg(test)]
mod tests;

pub use answer::{
    ConnAck, Delivery, Told, WHY_PACKET_BYTES, ack, ack_because, connack, disconnect, pong, suback,
    unsuback,
};
pub use ask::{Login, connect, goodbye, ping, subscribe};
pub use connect::{Connect, Will, read_version};
pub use fault::{Fault, Reason};
pub use hear::{Heard, Verdict, hear};
pub use packet::{
    Ack, Packet, Publish, Step, Subscribe, Unsubscribe, Version, Wish, frame, is_filter, read,
};
pub use wire::Reader;
