//! `rebeam toolchain`.

use clap::{Args, Subcommand};

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{self, FILE_NAME};
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Toolchain {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add Debian packages to `[toolchain]` in rebeam.toml
    Add {
        /// Package names
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
    },
}

impl Toolchain {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let Action::Add { packages } = self.action;
        let path = disk::canonical(&common.project)?.join(FILE_NAME);
        let before = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        let after = manifest::with_packages(&before, &path, &packages)?;
        if after != before {
            disk::write_atomic(&path, after.as_bytes())?;
            terminal::talk(&format!(
                "    Wrote {FILE_NAME}; next: `rebeam build`, which pins them"
            ));
        }
        Ok(0)
    }
}
