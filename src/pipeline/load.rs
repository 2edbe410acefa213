//! Load: hands an image file to a container engine of this machine: by its socket, or by its command where there is none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::disk::{self, refused};
use crate::event::Observer;
use crate::explain::{Blame, Explain, Failure};
use crate::image::Contents;
use crate::registry::{self, Sockets};

/// No engine took the image.
#[derive(Debug, Error)]
pub enum LoadFailure {
    /// There is none.
    #[error(
        "no container engine listens on this machine, and neither `docker` nor `podman` is installed"
    )]
    NoEngine,
    /// It refused.
    #[error("`{engine} load` refused the image: {says}")]
    Refused {
        /// Its command.
        engine: String,
        /// What it said.
        says: String,
    },
}

impl Explain for LoadFailure {
    fn blame(&self) -> Blame {
        Blame::World
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoEngine => "`rebeam run` starts the image without one".into(),
            Self::Refused { engine, .. } => format!("is the engine running? `{engine} info` tells"),
        })
    }
}

/// Loads the image file by the engine's socket; by the engine's own command where one is named, or where no engine
/// has a socket here.
pub fn load(
    archive: &Path,
    engine: Option<&str>,
    sockets: &Sockets,
    observer: &dyn Observer,
) -> Result<(), Failure> {
    let found: Vec<&PathBuf> = match (engine, sockets) {
        (Some(engine), _) => return load_by_command(archive, engine),
        (None, Sockets::Named(path)) => vec![path],
        (None, Sockets::Usual(paths)) => paths.iter().filter(|path| disk::exists(path)).collect(),
        (None, Sockets::Elsewhere) => return load_by_command(archive, "docker"),
    };
    if found.is_empty() {
        return load_by_command(archive, any_command()?);
    }
    let contents = Contents::read(archive)?;
    let mut silent = None;
    for socket in found {
        match registry::load(&contents, socket, observer) {
            Ok(_) => return Ok(()),
            // A socket may be left behind by an engine that is gone.
            Err(error) if error.is_silent() => drop(silent.get_or_insert(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(silent.expect("each socket either answered or was silent").into())
}

fn any_command() -> Result<&'static str, LoadFailure> {
    let present = |engine: &&str| {
        Command::new(engine)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    ["docker", "podman"].into_iter().find(present).ok_or(LoadFailure::NoEngine)
}

fn load_by_command(archive: &Path, engine: &str) -> Result<(), Failure> {
    let file = disk::open(archive)?;
    let ran = Command::new(engine)
        .arg("load")
        .stdin(file)
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .output();
    let ran = ran.map_err(refused("start", Path::new(engine)))?;
    if ran.status.success() {
        return Ok(());
    }
    let says = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    Err(LoadFailure::Refused { engine: engine.to_owned(), says }.into())
}
