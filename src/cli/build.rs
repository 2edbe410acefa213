//! `rebeam build`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline::{self, BuildOptions, Freshness};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
The file is a docker-archive and an OCI layout in one:
  docker load -i NAME-VERSION.tar        podman load -i NAME-VERSION.tar
  skopeo copy oci-archive:NAME-VERSION.tar docker://registry/name

Standard output gets the file's path, so that a script can go on with it.")]
pub(super) struct Build {
    /// Refuse to build when the lock is stale, instead of bringing it up to date
    #[arg(long, conflicts_with = "frozen")]
    locked: bool,
    /// Build what the lock says without looking whether it is stale
    #[arg(long)]
    frozen: bool,
    /// Say for every step why it was or was not reused
    #[arg(long)]
    why: bool,
    /// Write the image here [default: NAME-VERSION.tar in the project]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave the boot check out
    #[arg(long)]
    no_boot_check: bool,
}

impl Build {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let freshness = match (self.locked, self.frozen) {
            (true, _) => Freshness::Locked,
            (_, true) => Freshness::Frozen,
            _ => Freshness::Renewed,
        };
        let options =
            BuildOptions { freshness, output: self.output, boot_check: !self.no_boot_check };
        let reasons = if self.why { Reasons::Told } else { Reasons::Summed };
        let packed = common.with_desk(reasons, |desk| pipeline::build(desk, &options))?;
        if common.mode() != Mode::Json {
            terminal::data(&packed.path.display().to_string());
        }
        Ok(0)
    }
}
