//! Error: why a call to a broker did not do what it was for.

use std::path::PathBuf;

use thiserror::Error;

use super::Target;
use crate::dev::broker::codec::Fault;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};

/// A call to a broker failed.
#[derive(Debug, Error)]
pub enum CallError {
    /// The address is none.
    #[error("`{url}` is no address of a broker")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// A password stands where everybody on the machine can read it.
    #[error("the address has a password in it, which every process of this machine can read")]
    PasswordInUrl,
    /// Nobody listens there.
    #[error("`{url}` cannot be reached")]
    Unreachable {
        /// Where.
        url: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The server's certificate is not trusted.
    #[error("`{url}` is not trusted with `{}`", authority.display())]
    Untrusted {
        /// Where.
        url: String,
        /// What was trusted.
        authority: PathBuf,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// It is not known whom to trust.
    #[error("nothing says which authority signed the certificate of `{url}`")]
    NoAuthority {
        /// Where.
        url: String,
    },
    /// The broker does not let the client in.
    #[error("`{url}` refuses the connection: {words}{}", because(why))]
    Refused {
        /// Where.
        url: String,
        /// What its code says.
        words: &'static str,
        /// What it says beyond that.
        why: String,
    },
    /// The broker does not allow it.
    #[error("to {action} `{topic}` is denied: {words}{}", because(why))]
    Denied {
        /// What was to be done.
        action: &'static str,
        /// The topic or filter.
        topic: String,
        /// What the code says.
        words: &'static str,
        /// What the broker says beyond that.
        why: String,
    },
    /// The broker ended the connection.
    #[error("the broker ended the connection with code {code:#04x}: {}{}", words(*code), because(why))]
    Ended {
        /// The code.
        code: u8,
        /// What it says beyond that.
        why: String,
    },
    /// The connection is gone.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came in time.
    #[error("the broker does not answer")]
    Silent,
    /// What came is not MQTT.
    #[error("what came back is not MQTT")]
    NoMqtt(#[from] Fault),
    /// A topic or filter cannot be one.
    #[error("`{topic}` is no {kind}")]
    BadTopic {
        /// What was given.
        topic: String,
        /// What it was to be.
        kind: &'static str,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl CallError {
    pub(super) fn refused(target: &Target, code: u8, why: Option<String>) -> Self {
        let url = target.url().to_owned();
        Self::Refused { url, words: words(code), why: why.unwrap_or_default() }
    }

    pub(super) fn denied(action: &'static str, topic: &str, code: u8, why: Option<String>) -> Self {
        let (topic, why) = (topic.to_owned(), why.unwrap_or_default());
        Self::Denied { action, topic, words: words(code), why }
    }
}

/// The words of another side may be anything: they are shown as text of one line.
fn because(why: &str) -> String {
    if why.is_empty() {
        return String::new();
    }
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    format!(" ({})", why.chars().map(plain).collect::<String>())
}

/// What a code says, of MQTT 5 or of CONNACK in MQTT 3.
fn words(code: u8) -> &'static str {
    match code {
        1 | 0x84 => "it does not speak this version of MQTT",
        2 | 0x85 => "the client identifier is not allowed",
        3 | 0x88 => "it is not available now",
        4 | 0x86 => "user name or password is wrong",
        5 | 0x87 => "not authorized",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x8b => "it shuts down",
        0x8d => "nothing was heard for too long",
        0x8e => "another client with the same identifier came",
        0x8f => "the filter is not allowed",
        0x90 => "the topic is not allowed",
        0x95 => "the packet is too large",
        0x97 => "quota exceeded",
        0x98 => "a person ended it",
        _ => "no reason was given",
    }
}

impl Explain for CallError {
    fn blame(&self) -> Blame {
        match self {
            Self::BadUrl { .. }
            | Self::BadTopic { .. }
            | Self::PasswordInUrl
            | Self::NoAuthority { .. }
            | Self::Refused { .. }
            | Self::Denied { .. } => Blame::User,
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::BadUrl { .. } => {
                Some("write it as `mqtt://HOST:PORT` or `mqtts://HOST:PORT`".into())
            }
            Self::PasswordInUrl => {
                Some("name a variable that holds it: `--password-env NAME`".into())
            }
            Self::Unreachable { .. } => Some("look at what runs: `rebeam dev ps`".into()),
            Self::NoAuthority { .. } | Self::Untrusted { .. } => {
                Some("name the authority's certificate: `--ca FILE`".into())
            }
            Self::Refused { words, .. } if words.starts_with("user name") => {
                Some("give them with `--user NAME --password-env VARIABLE`".into())
            }
            Self::BadTopic { kind: "topic", .. } => {
                Some("`+` and `#` stand in filters only".into())
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}
