//! Error: what a stack on the desk refuses, and the next step.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::database::{self, DatabaseError};
use crate::disk::DiskError;
use crate::explain::{Blame, Explain, quoted};
use crate::image::ImageError;
use crate::tree::TreeError;

/// What helps where a room cannot show this machine's programs.
const MACHINE_HINT: &str = "name Debian's packages with them, as `packages = [\"python3-minimal\"]`, or take `--sandbox userns` or `root`";
/// What helps where a database is damaged: nothing that is still whole is thrown away without need.
pub(super) const DAMAGED_HINT: &str = "put a snapshot back: `rebeam dev snapshot ls` and `load NAME`; or begin anew: `rebeam dev down --volumes`";

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
        /// Whose fault it is, as far as it said.
        blame: Blame,
    },
    /// Not everything was ready in time.
    #[error("not ready within {seconds} s: {}", services.iter().map(|(name, state)| format!("`{name}` is {state}")).collect::<Vec<_>>().join(", "))]
    Late {
        /// How long it was given.
        seconds: u64,
        /// What is not ready, and how it is.
        services: Vec<(String, &'static str)>,
    },
    /// A stack was told to end and did not.
    #[error("the stack (process {process}) was told to end {seconds} s ago and still runs")]
    Stubborn {
        /// Its process.
        process: u32,
        /// How long it was given.
        seconds: u64,
    },
    /// What is said to be the project is none.
    #[error("`{}` is no directory", path.display())]
    NoProject {
        /// What is there.
        path: PathBuf,
    },
    /// A service runs this machine's programs, in a room that cannot show them.
    #[error(
        "service `{service}` runs programs of this machine, and a room without mounts cannot show them"
    )]
    NoMachine {
        /// The service.
        service: String,
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
    /// A key for secure bootstrap is not usable.
    #[error("the key for secure bootstrap has {bytes} bytes, and not 16, 24 or 32")]
    BadBootstrapKey {
        /// How long it is.
        bytes: usize,
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
    /// A service failed.
    #[error("`{name}` {why}; the end of `{}`:\n{}", log.display(), quoted(lines))]
    ServiceFailed {
        /// The service.
        name: String,
        /// Why, as the rest of the sentence.
        why: String,
        /// What it wrote.
        log: PathBuf,
        /// The last lines of that.
        lines: Vec<String>,
    },
    /// There is no service of this name.
    #[error("there is no service `{name}`")]
    NoSuchService {
        /// What was named.
        name: String,
        /// The services that there are.
        known: Vec<String>,
    },
    /// A text speaks of a variable that nobody sets.
    #[error("`[{table}]` speaks of `${{{variable}}}`, which nobody sets")]
    UnknownVariable {
        /// The table of the manifest.
        table: String,
        /// The variable.
        variable: String,
        /// The variables that there are.
        known: Vec<String>,
    },
    /// A page is no address of this kind.
    #[error(
        "`{page}`, by which `[services.{service}.ready]` asks, is no address like `http://127.0.0.1:8080/health`"
    )]
    BadPage {
        /// The service.
        service: String,
        /// What is said.
        page: String,
    },
    /// A file that a service is to see is not there.
    #[error("`{}`, which `[services.{service}]` names, is not there", path.display())]
    NothingThere {
        /// The service.
        service: String,
        /// The path.
        path: PathBuf,
    },
    /// The packages of a service were not put together, or lack what it is.
    #[error("the packages of `[services.{service}]` ({}) are not there or lack the server", packages.join(", "))]
    NoRoot {
        /// The service.
        service: String,
        /// What it wishes for.
        packages: Vec<String>,
    },
    /// Only a stack with a release can be kept up to date.
    #[error("the stack has no release that could be kept as its sources are")]
    NoRelease,
    /// The release that is to run is not built.
    #[error("`[services.{service}]` is the project's release, and none is built")]
    NotBuilt {
        /// The service.
        service: String,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The stack that is up does not answer.
    #[error("the stack that is up does not answer")]
    Silent(#[source] std::io::Error),
    /// The stack refused what it was told.
    #[error("{problem}")]
    Refused {
        /// What it said.
        problem: String,
        /// The next step that it named.
        hint: Option<String>,
    },
    /// A snapshot's name is none.
    #[error("`{name}` cannot name a snapshot")]
    BadSnapshotName {
        /// What was said.
        name: String,
    },
    /// There is a snapshot of this name.
    #[error("there is a snapshot `{name}` already")]
    SnapshotExists {
        /// Its name.
        name: String,
    },
    /// There is no snapshot of this name.
    #[error("there is no snapshot `{name}`")]
    NoSnapshot {
        /// What was named.
        name: String,
        /// The snapshots that there are.
        known: Vec<String>,
    },
    /// A snapshot is not what was written.
    #[error("`{}` is not what was written there", path.display())]
    SnapshotDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The runtime could not be started.
    #[error("threads could not be started")]
    Runtime(#[source] std::io::Error),
    /// Files of an image cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl DevError {
    /// Words what the database at `path` said. Only a file that is no database any more, or holds what was never
    /// written there, is called damaged: what helps then would cost the state of one whose disk is full.
    pub(super) fn of_database(path: &Path, error: impl Into<DatabaseError>) -> Self {
        match error.into() {
            DatabaseError::Sqlite(source)
                if database::is_damage(&source) || source.sqlite_error_code().is_none() =>
            {
                Self::Damaged { path: path.to_owned(), source }
            }
            error => error.into(),
        }
    }
}

impl Explain for DevError {
    fn blame(&self) -> Blame {
        match self {
            Self::IsUp { .. }
            | Self::BadCertificate { .. }
            | Self::Exposed { .. }
            | Self::NoAddress { .. }
            | Self::BadPassword { .. }
            | Self::BadBootstrapKey { .. }
            | Self::BadOrigin { .. }
            | Self::NoVariable { .. }
            | Self::NoHome
            | Self::ServiceFailed { .. }
            | Self::Late { .. }
            | Self::NoSuchService { .. }
            | Self::UnknownVariable { .. }
            | Self::BadPage { .. }
            | Self::NothingThere { .. }
            | Self::NotBuilt { .. }
            | Self::Refused { .. }
            | Self::BadSnapshotName { .. }
            | Self::SnapshotExists { .. }
            | Self::NoSnapshot { .. }
            | Self::NoProject { .. }
            | Self::NoMachine { .. }
            | Self::NoRelease
            | Self::NotUp => Blame::User,
            Self::NotReady { blame, .. } => *blame,
            Self::Image(error) => error.blame(),
            Self::Tree(error) => error.blame(),
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
            Self::Damaged { .. } => Some(DAMAGED_HINT.into()),
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
            Self::BadBootstrapKey { .. } => {
                Some("set the variable of `bootstrap-key-env` to as many letters".into())
            }
            Self::BadOrigin { .. } => {
                Some("write it as a browser does: `--allow-origin http://localhost:3000`".into())
            }
            Self::NoProject { .. } => Some("name the project's directory: `-C DIR`".into()),
            Self::NoMachine { .. } => Some(MACHINE_HINT.into()),
            Self::NotUp => Some("start it: `rebeam dev up -d`".into()),
            Self::NoHome => Some("name one: `--state-dir DIR` or REBEAM_STATE".into()),
            Self::Stubborn { process, .. } => Some(format!("end it: `kill -9 {process}`")),
            Self::Database(DatabaseError::Newer { .. }) => {
                Some("use that rebeam, or begin anew: `rebeam dev down --volumes`".into())
            }
            Self::ServiceFailed { name, .. } => {
                Some(format!("look at all of it: `rebeam dev logs {name}`"))
            }
            Self::Late { services, .. } => services.first().map(|(name, _)| {
                format!("look at what it said: `rebeam dev logs {name}`; or give it longer: `--wait-timeout`")
            }),
            Self::NoSuchService { known, .. } => match known.is_empty() {
                true => Some("`[services.NAME]` in rebeam.toml makes one".into()),
                false => Some(format!("the services are {}", known.join(", "))),
            },
            Self::UnknownVariable { known, .. } => Some(match known.is_empty() {
                true => "`[services.NAME]` sets `NAME_URL` once the stack was up".into(),
                false => format!("the variables are {}", known.join(", ")),
            }),
            Self::NoRelease => Some(
                "where it was started without one: `rebeam dev down`, and watch again; `[dev] release = false` leaves it out".into(),
            ),
            Self::NotBuilt { .. } => Some("make it: `rebeam build`".into()),
            Self::BadSnapshotName { .. } => {
                Some("take letters, digits, `.`, `_` and `-`, at most 64".into())
            }
            Self::SnapshotExists { .. } => Some("take another name, or remove its file".into()),
            Self::NoSnapshot { known, .. } => Some(match known.is_empty() {
                true => "`rebeam dev snapshot save NAME` makes one".into(),
                false => format!("the snapshots are {}", known.join(", ")),
            }),
            Self::SnapshotDamaged { .. } => {
                Some("take another one: `rebeam dev snapshot ls` lists them".into())
            }
            Self::Silent(_) => Some("end it with `rebeam dev down`, and start it anew".into()),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Image(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: rusqlite::ErrorCode) -> DevError {
        let error = rusqlite::ffi::Error { code, extended_code: 0 };
        DevError::of_database(Path::new("/a.sqlite"), rusqlite::Error::SqliteFailure(error, None))
    }

    #[test]
    fn a_full_disk_is_not_taken_for_a_damaged_database() {
        for code in [rusqlite::ErrorCode::DiskFull, rusqlite::ErrorCode::DatabaseBusy] {
            assert!(matches!(said(code), DevError::Database(_)), "{code:?}");
        }
        let damaged = said(rusqlite::ErrorCode::NotADatabase);
        assert_eq!(damaged.to_string(), "`/a.sqlite` is damaged");
        let hint = damaged.hint().unwrap();
        assert!(hint.contains("snapshot") && hint.contains("down --volumes"), "{hint}");
        let odd = rusqlite::Error::IntegralValueOutOfRange(0, 7);
        let odd = DevError::of_database(Path::new("/a.sqlite"), odd);
        assert!(matches!(odd, DevError::Damaged { .. }), "{odd}");
    }
}
