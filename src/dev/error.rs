//! Error: what a stack on the desk refuses, and the next step.

use std::net::IpAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::database::DatabaseError;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain, quoted};

/// The stack refused.
#[derive(Debug, Error)]
pub enum DevError {
    /// Something else listens where a service should.
    #[error("port {port} for {service} is taken{}", holder.as_ref().map(|name| format!(" by {name}")).unwrap_or_default())]
    PortTaken {
        /// The service that wants it.
        service: String,
        /// The port.
        port: u16,
        /// Who has it, where that can be seen.
        holder: Option<String>,
    },
    /// A stack of this project is up already.
    #[error("a stack of this project is up already{}", process.map(|process| format!(" (process {process})")).unwrap_or_default())]
    IsUp {
        /// Its process, if it is so far.
        process: Option<u32>,
    },
    /// The process in the background ended before everything listened.
    #[error("the stack ended before it was ready; the end of `{}`:\n{}", log.display(), quoted(lines))]
    NotReady {
        /// What it wrote.
        log: PathBuf,
        /// The last lines of that.
        lines: Vec<String>,
    },
    /// A stack was told to end and did not.
    #[error("the stack (process {process}) was told to end {seconds} s ago and still runs")]
    Stubborn {
        /// Its process.
        process: u32,
        /// How long it was given.
        seconds: u64,
    },
    /// A running stack is needed, and there is none.
    #[error("the stack of this project is not up")]
    NotUp,
    /// A variable was named that is not set.
    #[error("the variable `{name}` is not set, or no text")]
    NoVariable {
        /// Its name.
        name: String,
    },
    /// There is no place for the state.
    #[error("no place for the stack's state is known: HOME is not set")]
    NoHome,
    /// Another process could not be started or told something.
    #[error("process {process} could not be told to end")]
    Signal {
        /// The process.
        process: u32,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// State of the stack is damaged.
    #[error("`{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A socket refused.
    #[error("{service} cannot listen")]
    Listen {
        /// The service.
        service: &'static str,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or its key is not usable.
    #[error("`{}` is no PEM certificate, or the key is another's", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Others than this machine would reach the stack, and nobody said what they have to know.
    #[error("on `{address}` others than this machine reach the stack, and it has no password")]
    Exposed {
        /// Where it would listen.
        address: IpAddr,
    },
    /// The address is not this machine's.
    #[error("`{address}` is no address of this machine")]
    NoAddress {
        /// The address.
        address: IpAddr,
    },
    /// A password is not usable.
    #[error("the password is {why}")]
    BadPassword {
        /// What is wrong with it.
        why: &'static str,
    },
    /// An origin is not one.
    #[error("`{origin}` is no origin of pages")]
    BadOrigin {
        /// What was given.
        origin: String,
    },
    /// A certificate could not be made.
    #[error("a certificate for TLS could not be made")]
    Certificate(#[source] rcgen::Error),
    /// The runtime could not be started.
    #[error("threads could not be started")]
    Runtime(#[source] std::io::Error),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for DevError {
    fn blame(&self) -> Blame {
        match self {
            Self::IsUp { .. }
            | Self::BadCertificate { .. }
            | Self::Exposed { .. }
            | Self::NoAddress { .. }
            | Self::BadPassword { .. }
            | Self::BadOrigin { .. }
            | Self::NotUp
            | Self::NoVariable { .. }
            | Self::NoHome => Blame::User,
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { .. } => {
                Some("let it end, or leave the choice to rebeam: take the port out".into())
            }
            Self::IsUp { .. } => {
                Some("look at it with `rebeam dev ps`, or end it: `rebeam dev down`".into())
            }
            Self::Damaged { .. } => Some("begin anew: `rebeam dev down --volumes`".into()),
            Self::Exposed { .. } => Some(
                "give one in REBEAM_DEV_PASSWORD or with `--password-file FILE`, or say `--insecure`"
                    .into(),
            ),
            Self::NoAddress { .. } => {
                Some("`0.0.0.0` is every address; `ip address` lists them".into())
            }
            Self::BadPassword { .. } => {
                Some("take one line of 8 to 512 printable letters, as of `openssl rand -hex 16`".into())
            }
            Self::BadOrigin { .. } => {
                Some("write it as a browser does: `--allow-origin http://localhost:3000`".into())
            }
            Self::NotUp => Some("start it: `rebeam dev up -d`".into()),
            Self::NoHome => Some("name one: `--state DIR` or REBEAM_STATE".into()),
            Self::Stubborn { process, .. } => Some(format!("end it: `kill -9 {process}`")),
            Self::Database(DatabaseError::Newer { .. }) => {
                Some("use that rebeam, or begin anew: `rebeam dev down --volumes`".into())
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}
