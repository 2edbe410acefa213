//! `rebeam shell`.

use clap::Args;

use super::Common;
use super::outside::Outside;
use crate::explain::Failure;
use crate::pipeline::{self, Seen};
use crate::terminal::Reasons;

#[derive(Debug, Args)]
pub(super) struct Shell {
    /// Enter the room of the step that failed last, as it left it
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    outside: Outside,
    /// Run this instead of a shell
    #[arg(last = true)]
    command: Vec<String>,
}

impl Shell {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let seen = Seen { env: self.outside.variables(), mounts: self.outside.mounts()? };
        common.with_desk(Reasons::Summed, |desk| match self.failed {
            true => pipeline::shell_of_failed_step(desk, &self.command, &seen),
            false => pipeline::shell(desk, &self.command, &seen),
        })
    }
}
