//! Streams: a server of the Redis protocol within the stack: streams, groups, and the plain commands beside them.
//!
//! Commands are functions of the keys, the time and their words (`xadd`, `xread`, `strings`, …), called by one
//! writer (`engine`) that owns all keys; what they changed goes into a journal in SQLite before anybody is answered.
//! Texts of errors are those of Redis 7.0, for clients compare them.

mod admission;
mod call;
mod client;
mod connection;
mod engine;
pub mod fuzz;
mod glob;
mod group;
mod hashes;
mod id;
mod journal;
mod keys;
mod keyspace;
mod lists;
mod outlet;
mod packed;
mod password;
mod pubsub;
mod refusal;
mod reply;
mod request;
mod restore;
mod rewrite;
mod running;
mod server;
mod session;
mod sets;
mod sink;
mod stats;
mod stream;
mod strings;
mod table;
mod view;
mod wait;
mod waiting;
mod xadd;
mod xclaim;
mod xgroup;
mod xinfo;
mod xread;

#[cfg(test)]
mod tests;

pub use running::{Inlet, Streams};
pub use sink::sink;
pub use view::{ConsumerView, GroupView, KeyView, ServerView, StreamView};
