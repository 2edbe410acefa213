//! Error: what a stack on the desk refuses, and the next step.

use std::path::PathBuf;

use thiserror::Error;

use crate::database::DatabaseError;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};

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
    #[error("a stack of this project is up already (process {process})")]
    IsUp {
        /// Its process.
        process: u32,
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
            Self::IsUp { .. } | Self::BadCertificate { .. } => Blame::User,
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::PortTaken { .. } => {
                Some("let it end, or leave the choice to rebeam: take the port out".into())
            }
            Self::IsUp { .. } => Some("look at it with `rebeam dev ps`, or end it: `rebeam dev down`".into()),
            Self::Damaged { .. } => {
                Some("take up a snapshot again: `rebeam dev snapshot load NAME`, or begin anew: `rebeam dev down --volumes`".into())
            }
            Self::Database(DatabaseError::Newer { .. }) => {
                Some("use that rebeam, or begin anew: `rebeam dev down --volumes`".into())
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}
