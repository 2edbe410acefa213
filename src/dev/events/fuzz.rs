//! Fuzz: strangers' bytes of the event log.

pub use super::elastic::fuzz::requests as elasticsearch;
