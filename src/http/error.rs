//! What can go wrong on the way to a server and back.

use std::io;

use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain};

use super::Request;

/// The web refused, or could not be reached.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The network is closed and the thing is not here.
    #[error("`{name}` is not here, and the network is closed: `{url}`")]
    Offline {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
    },
    /// The server says that it is not there: 404 or 410, or a mirror's directory lacks it.
    #[error("`{name}` is not at `{url}` (status {status})")]
    Gone {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
        /// The server's status.
        status: u16,
    },
    /// The server wants to know who asks, or does not let us in.
    #[error("`{url}` refuses to give `{name}` (status {status})")]
    Forbidden {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
        /// The server's status.
        status: u16,
    },
    /// The server answers with another status that is no success, again and again where that may pass.
    #[error("`{url}` answers with status {status} for `{name}`")]
    Status {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
        /// The server's status.
        status: u16,
    },
    /// No connection, or it broke.
    #[error("`{name}` could not be fetched from `{url}`")]
    Unreachable {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The server's certificate is not trusted.
    #[error("the certificate of `{url}` is not trusted, so `{name}` was not fetched")]
    Untrusted {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The server sends from one address to the next without end.
    #[error("`{url}` redirects without end, looking for `{name}`")]
    Redirects {
        /// What was asked for.
        name: String,
        /// Its address.
        url: String,
    },
    /// More came than the thing may have.
    #[error("`{name}` is larger than the {limit} bytes it may have")]
    TooLarge {
        /// What was asked for.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An address that no request can be made of.
    #[error("`{url}` is not an address to fetch `{name}` from")]
    BadAddress {
        /// What was asked for.
        name: String,
        /// The address.
        url: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for HttpError {
    fn blame(&self) -> Blame {
        match self {
            Self::BadAddress { .. } => Blame::User,
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Offline { .. } => {
                Some("run once without `--offline`, or name a copy under `[mirrors]`".into())
            }
            Self::Gone { .. } => {
                Some("if a copy stands elsewhere, name it under `[mirrors]` in rebeam.toml".into())
            }
            Self::Forbidden { .. } => {
                Some("look at the address and the key or token that go with it".into())
            }
            Self::Status { .. } | Self::Unreachable { .. } => {
                Some("`rebeam doctor` looks at the network; what was fetched is kept".into())
            }
            Self::Untrusted { .. } => Some(
                "if the network has a certificate authority of its own, set SSL_CERT_FILE to its PEM file"
                    .into(),
            ),
            Self::Disk(error) => error.hint(),
            Self::Redirects { url, .. } => Some(format!(
                "`curl -sSIL {url}` shows the circle; name another copy under `[mirrors]` in rebeam.toml"
            )),
            Self::TooLarge { .. } => Some(
                "look at the address, and at the mirrors: what stands there is something else".into(),
            ),
            Self::BadAddress { .. } => Some(
                "look at the address where it is written, and at `[mirrors]` in rebeam.toml".into(),
            ),
        }
    }
}

impl HttpError {
    /// Tells whether the server says that the thing is not there.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// Tells whether nothing was asked because the network is closed.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Offline { .. })
    }

    /// Makes the error of a status that is no success.
    pub fn status(request: &Request<'_>, status: u16) -> Self {
        let name = request.name.to_owned();
        let url = shown(request.url);
        match status {
            404 | 410 => Self::Gone { name, url, status },
            401 | 403 | 407 => Self::Forbidden { name, url, status },
            _ => Self::Status { name, url, status },
        }
    }

    /// Makes the error of a body that broke off while it was read.
    pub fn cut(request: &Request<'_>, source: io::Error) -> Self {
        Self::Unreachable { name: request.name.to_owned(), url: shown(request.url), source }
    }

    /// Returns the deepest cause in a few words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unreachable { source, .. } | Self::Untrusted { source, .. } => source.to_string(),
            Self::Status { status, .. } => format!("status {status}"),
            other => other.to_string(),
        }
    }
}

/// Returns an address as it may be shown: without a name and password before the host.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}
