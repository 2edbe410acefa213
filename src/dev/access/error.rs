//! Error: what is wrong with the rules of access, and the next step.

use std::path::PathBuf;

use thiserror::Error;

use crate::database::DatabaseError;
use crate::dev::error::DAMAGED_HINT;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::terms::TermError;

/// Rules of access cannot be used.
#[derive(Debug, Error)]
pub enum AccessError {
    /// How passwords are kept is not known.
    #[error("`{text}` is no way to keep passwords")]
    UnknownHash {
        /// What was written.
        text: String,
    },
    /// An address is none of a PostgreSQL database.
    #[error("`url` of `[dev.access]` is no address of a PostgreSQL database")]
    BadUrl(#[source] tokio_postgres::Error),
    /// The variable that holds the address is not set.
    #[error("`{name}` is not set, and `[dev.access]` has its `url-env` there")]
    NoUrl {
        /// The variable.
        name: String,
    },
    /// There is no file of rules.
    #[error("`provider` of `[dev.access]` is \"acl.conf\", and `file` does not say where it is")]
    NoFile,
    /// A file of rules is not Erlang terms.
    #[error("`{file}` cannot be read")]
    Terms {
        /// The file.
        file: String,
        /// Where, and what is wrong there.
        #[source]
        source: TermError,
    },
    /// A rule that emqttd would not start with.
    #[error("rule {rule} of `{file}`: {why}")]
    Rule {
        /// The file.
        file: String,
        /// Which rule, from 1.
        rule: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The database does not answer.
    #[error("the database with the rules does not answer: {why}")]
    Away {
        /// What was seen.
        why: String,
    },
    /// The database refuses.
    #[error("the database with the rules refuses: {why}")]
    Refused {
        /// What it says.
        why: String,
    },
    /// The file of the embedded database is damaged.
    #[error("`{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// There are no rules that could be changed.
    #[error("{0}")]
    NoTable(&'static str),
    /// A row is not there.
    #[error("`mqtt_acl` has no row {number}")]
    NoRow {
        /// Which.
        number: i64,
    },
    /// A row would mean nothing.
    #[error("such a row would never decide anything: {why}")]
    Useless {
        /// Why.
        why: String,
    },
    /// The embedded database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for AccessError {
    fn blame(&self) -> Blame {
        match self {
            Self::Away { .. } | Self::Damaged { .. } | Self::Database(_) => Blame::World,
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownHash { .. } => Some(
                "`password-hash` is plain, md5, sha, sha256 or bcrypt, one of them with `salt,` before or `,salt` behind \
                 it, or `pbkdf2,sha256,20000,32`"
                    .to_owned(),
            ),
            Self::BadUrl(_) => {
                Some("write `url = \"postgres://user:password@127.0.0.1:5432/mqtt\"`".to_owned())
            }
            Self::NoUrl { name } => {
                Some(format!("set it: `export {name}=postgres://user:password@127.0.0.1:5432/mqtt`"))
            }
            Self::NoFile => Some("write `file = \"etc/acl.conf\"` under `[dev.access]`".to_owned()),
            Self::Away { .. } => Some("start the database, then run again".to_owned()),
            Self::Refused { .. } => Some(
                "look at the queries with `rebeam dev acl lint`; the tables that are expected: `rebeam dev acl schema`"
                    .to_owned(),
            ),
            Self::Damaged { .. } => Some(DAMAGED_HINT.to_owned()),
            Self::NoTable(_) => {
                Some("write `[dev.access]` with `provider = \"sql\"` in rebeam.toml".to_owned())
            }
            Self::NoRow { .. } => Some("see the rows: `rebeam dev acl ls`".to_owned()),
            Self::Terms { source, .. } => source.hint(),
            Self::Disk(error) => error.hint(),
            Self::Database(DatabaseError::Newer { .. }) => {
                Some("use that rebeam, or begin anew: `rebeam dev down --volumes`".to_owned())
            }
            Self::Rule { .. } | Self::Useless { .. } | Self::Database(_) => None,
        }
    }
}
