//! Target: a server that events go to, as an address says it.

use std::fmt;
use std::str::FromStr;

use super::{Forwards, Receiver, elasticsearch, redis};
use crate::dev::secret::Secret;

/// A server that events go to. An address holds no credentials: those come from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An Elasticsearch or OpenSearch, by its address.
    Elasticsearch(String),
    /// A Redis or Valkey: host, port and number of the database.
    Redis {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// The database.
        database: u16,
    },
}

/// How the index of an Elasticsearch is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Index {
    /// `mqtt` for all.
    #[default]
    One,
    /// `<event>-YYYY.MM.DD`.
    Daily,
}

/// Who we are to the servers; of the environment, and never shown.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// What goes into the header `Authorization` for Elasticsearch.
    pub authorization: Option<Secret>,
    /// The user of Redis.
    pub redis_user: Option<String>,
    /// And its password.
    pub redis_password: Option<Secret>,
}

impl Target {
    pub(super) fn receiver(
        &self,
        forwards: &Forwards,
        credentials: Credentials,
        log: &str,
    ) -> Box<dyn Receiver> {
        match self {
            Self::Elasticsearch(url) => {
                let authorization = credentials.authorization;
                Box::new(elasticsearch::Bulk::new(url, authorization, forwards.index, log))
            }
            Self::Redis { host, port, database } => {
                let address = (host.clone(), *port, *database);
                Box::new(redis::Stream::new(address, credentials, log, &forwards.instance))
            }
        }
    }
}

impl FromStr for Target {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.contains(|letter: char| {
            letter.is_whitespace() || letter.is_control() || "@?#".contains(letter)
        }) {
            return Err(());
        }
        let text = text.trim_end_matches('/');
        if let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) {
            return if rest.is_empty() || rest.starts_with(['/', ':']) {
                Err(())
            } else {
                Ok(Self::Elasticsearch(text.to_owned()))
            };
        }
        let rest = text.strip_prefix("redis://").ok_or(())?;
        let (server, database) = rest.split_once('/').unwrap_or((rest, "0"));
        let (host, port) = match server.rsplit_once(':').filter(|_| !server.ends_with(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| ())?),
            None => (server, 6379),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(());
        }
        Ok(Self::Redis { host: host.to_owned(), port, database: database.parse().map_err(|_| ())? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elasticsearch(url) => formatter.write_str(url),
            Self::Redis { host, port, database } if host.contains(':') => {
                write!(formatter, "redis://[{host}]:{port}/{database}")
            }
            Self::Redis { host, port, database } => {
                write!(formatter, "redis://{host}:{port}/{database}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_no_secret() {
        for (text, shown) in [
            ("http://search:9200/", "http://search:9200"),
            ("https://search.example/prefix", "https://search.example/prefix"),
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://[::1]:7000/3", "redis://[::1]:7000/3"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        for bad in [
            "http://user:secret@host",
            "redis://:secret@host",
            "ftp://host",
            "http://",
            "redis://",
            "redis://a:b",
            "redis://a/b",
            "host:9200",
        ] {
            assert_eq!(bad.parse::<Target>(), Err(()), "{bad}");
        }
    }
}
