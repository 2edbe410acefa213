//! `rebeam vendor`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Common;
use crate::explain::Failure;
use crate::pipeline;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
Lays out DIR/deps/APP, DIR/plugins/APP and DIR/tools/APP, each checked against rebeam.lock.
What an earlier call made in DIR is replaced; anything else is left alone.

To build from it, write this into rebeam.toml; sources are then taken from there, if they are what the lock says:
  [lock]
  vendor = \"DIR\"")]
pub(super) struct Vendor {
    /// Where the sources go
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Vendor {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let directory = self.directory;
        let vendored =
            common.with_desk(Reasons::Summed, |desk| pipeline::vendor(desk, &directory))?;
        let place = directory.display().to_string();
        match common.mode() {
            Mode::Json => terminal::data(
                &json!({
                    "event": "vendored",
                    "path": place,
                    "sources": vendored.sources,
                    "bytes": vendored.bytes,
                })
                .to_string(),
            ),
            Mode::People => terminal::talk(&format!(
                "{} ({}) in {place}",
                terminal::counted(vendored.sources, "source"),
                terminal::bytes(vendored.bytes)
            )),
            Mode::Quiet => {}
        }
        Ok(0)
    }
}
