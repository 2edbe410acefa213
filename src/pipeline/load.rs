//! Load: hands an image file to a container engine of this machine.

use std::path::Path;
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::disk::{self, refused};
use crate::explain::{Blame, Explain, Failure};

/// No engine took the image.
#[derive(Debug, Error)]
pub enum LoadFailure {
    /// There is none.
    #[error("neither `docker` nor `podman` is on this machine")]
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

/// Loads the image file with the engine's own command: `docker`, else `podman`, where none is named.
pub fn load(archive: &Path, engine: Option<&str>) -> Result<u8, Failure> {
    let file = disk::open(archive)?;
    let present = |engine: &&str| {
        Command::new(engine)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    let found = ["docker", "podman"].into_iter().find(present);
    let engine = engine.or(found).ok_or(LoadFailure::NoEngine)?;
    let ran = Command::new(engine)
        .arg("load")
        .stdin(file)
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .output();
    let ran = ran.map_err(refused("start", Path::new(engine)))?;
    if ran.status.success() {
        return Ok(0);
    }
    let says = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    Err(LoadFailure::Refused { engine: engine.to_owned(), says }.into())
}
