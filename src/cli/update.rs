//! `rebeam update`.

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline::{self, Update as Which};
use crate::terminal::Reasons;

#[derive(Debug, Args)]
pub(super) struct Update {
    /// Application names, `toolchain` or `base`; everything if none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Take an index of Debian's that is past its date: for frozen mirrors and snapshots
    #[arg(long)]
    expired_index: bool,
    /// Pin what is younger than `minimum-age` in rebeam.toml allows, this once
    #[arg(long)]
    any_age: bool,
}

impl Update {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let mut which =
            if self.names.is_empty() { Which::everything() } else { Which::named(&self.names) };
        which.expired_index = self.expired_index;
        which.any_age = self.any_age;
        common.with_desk(Reasons::Summed, |desk| pipeline::lock(desk, &which).map(drop))?;
        Ok(0)
    }
}
