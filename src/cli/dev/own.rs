//! `rebeam dev own`: what an exported stack calls before its release starts.

use std::path::PathBuf;

use clap::Args;

use crate::dev::compose;
use crate::explain::Failure;

/// What an exported stack does for a release whose image has no place for its volumes.
#[derive(Debug, Args)]
pub(super) struct Own {
    /// The user and the group, by number
    #[arg(value_name = "USER:GROUP", value_parser = owner)]
    owner: (u32, u32),
    /// The volumes
    #[arg(value_name = "DIR", required = true)]
    volumes: Vec<PathBuf>,
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let pair = text
        .split_once(':')
        .and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    pair.ok_or_else(|| "two numbers are wanted: `65532:65532`".into())
}

impl Own {
    pub(super) fn run(self) -> Result<u8, Failure> {
        for volume in &self.volumes {
            compose::own(volume, self.owner)?;
        }
        Ok(0)
    }
}
