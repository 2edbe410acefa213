//! `rebeam update`.

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline::{self, Update as Which};
use crate::terminal::Reasons;

#[derive(Debug, Args)]
pub(super) struct Update {
    /// Application names, or `toolchain`; everything if none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Update {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let which = if self.names.is_empty() {
            Which::everything()
        } else {
            Which::named(&self.names)
        };
        common.with_desk(Reasons::Summed, |desk| {
            pipeline::lock(desk, &which).map(drop)
        })?;
        Ok(0)
    }
}
