//! `rebeam toolchain`.

use clap::{Args, Subcommand};

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{self, ManifestError, Packages};
use crate::pipeline::{self, Update};
use crate::terminal::Reasons;

#[derive(Debug, Args)]
#[command(after_help = "\
Changes `packages` of `[toolchain]` in rebeam.toml, comments untouched, and brings the lock up to date.
What is pinned stays pinned, unless a new package cannot do with it; `rebeam update toolchain` takes newer ones.

  rebeam toolchain add libexpat1-dev libyaml-dev")]
pub(super) struct Toolchain {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put Debian packages into the toolchain beside the preset's
    Add {
        /// Names of packages
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
    },
    /// Take Debian packages out that were put in
    Remove {
        /// Names of packages
        #[arg(required = true, value_name = "PACKAGE")]
        packages: Vec<String>,
    },
}

impl Toolchain {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        match &self.verb {
            Verb::Add { packages } => change(common, Packages::Add(packages)),
            Verb::Remove { packages } => change(common, Packages::Remove(packages)),
        }
    }
}

/// Writes the manifest anew and locks; if that fails, the manifest is what it was.
fn change(common: &Common, packages: Packages<'_>) -> Result<u8, Failure> {
    let root = disk::canonical(&common.project)?;
    let path = root.join(manifest::FILE_NAME);
    if !disk::exists(&path) {
        return Err(ManifestError::Missing { path }.into());
    }
    let before = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
    let after = manifest::edit_packages(&before, &path, packages)?;
    if after != before {
        disk::write_atomic(&path, after.as_bytes())?;
    }
    let locked = common
        .with_desk(Reasons::Summed, |desk| pipeline::lock(desk, &Update::nothing()).map(drop));
    if locked.is_err() && after != before {
        disk::write_atomic(&path, before.as_bytes())?;
    }
    locked.map(|()| 0)
}
