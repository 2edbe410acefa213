//! Access: who may connect, publish and subscribe; one trait, and providers behind it.
//!
//! The broker asks and obeys; it knows nothing of tables, files or things. Every answer names the rule that
//! decided, so that a denial can be explained to a person.

mod book;
mod cell;
mod conf;
mod error;
mod explain;
mod file;
pub mod fuzz;
mod guard;
mod guarded;
mod hash;
mod lint;
mod open;
mod policy;
mod postgres;
mod query;
mod row;
mod rule;
mod schema;
mod settings;
mod source;
mod sqlite;
mod tls;
mod topic;
mod users;
mod wording;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::happening::Message;

pub use book::{Book, Listed, NewRow};
pub use error::AccessError;
pub use explain::{Explained, Question, Step};
pub use guard::guard;
pub use guarded::Guarded;
pub use hash::PasswordHash;
pub use lint::{Finding, Level};
pub use open::Open;
pub use rule::Action;
pub use schema::postgres_schema;
pub use settings::Settings;

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody wants to connect.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The client identifier as it was given; it may be empty.
    pub client_id: &'a str,
    /// The user's name.
    pub username: Option<&'a str>,
    /// The password, which may be any bytes.
    pub password: Option<&'a [u8]>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub struct Who {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// The user's name.
    pub username: Option<Arc<str>>,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Whether nothing is denied to it.
    pub is_superuser: bool,
    /// What the provider knows it by: a thing's identifier, for one.
    pub identity: Option<Arc<str>>,
}

/// Whether a connection is let in.
#[derive(Debug, Clone)]
pub enum Admission {
    /// It is.
    Allowed {
        /// Whether nothing is denied to it from here on.
        is_superuser: bool,
        /// What the provider knows it by; the client identifier of one that gave none.
        identity: Option<Arc<str>>,
    },
    /// It is not.
    Denied {
        /// What the client is told.
        code: Denial,
        /// What decided.
        rule: Arc<str>,
    },
}

/// What a client is told that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The name or the password is wrong: 4 in MQTT 3, 0x86 in MQTT 5.
    BadCredentials,
    /// It may not connect: 5 in MQTT 3, 0x87 in MQTT 5.
    NotAuthorized,
    /// Nobody can tell now: 3 in MQTT 3, 0x88 in MQTT 5.
    Unavailable,
}

/// Whether a message or a subscription is let through.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether it is.
    pub is_allowed: bool,
    /// What decided.
    pub rule: Arc<str>,
}

/// Decides who may do what.
pub trait Access: Debug + Send + Sync {
    /// Decides whether a connection is let in.
    fn connect<'a>(&'a self, attempt: &'a Attempt<'a>) -> Answer<'a, Admission>;

    /// Decides whether `who` may publish to `topic`.
    fn publish<'a>(&'a self, who: &'a Who, topic: &'a str) -> Answer<'a, Verdict>;

    /// Decides whether `who` may subscribe to `filter`; of a shared subscription it is the inner one.
    fn subscribe<'a>(&'a self, who: &'a Who, filter: &'a str) -> Answer<'a, Verdict>;

    /// Counts the changes of the rules: an answer for a topic is asked anew once this moved.
    fn generation(&self) -> u64 {
        0
    }

    /// Tells whether nobody is let in whom the rules do not know, by a password or a key.
    fn knows_clients(&self) -> bool {
        false
    }

    /// Returns why nothing can be decided now; every question is refused as long.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Hears of each message that was let through, before its sender is told that it arrived. It must be quick:
    /// the sender waits.
    ///
    /// # Errors
    /// Says why the message is not kept that should be: then nobody may be told that it arrived.
    fn published(&self, who: &Who, message: &Message) -> Result<(), &'static str> {
        let _ = (who, message);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
