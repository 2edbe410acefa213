//! `rebeam init`.

use clap::Args;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{FILE_NAME, detect};
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Init {}

impl Init {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let root = disk::canonical(&common.project)?;
        let detected = detect::detect(&root)?;
        detected.write_manifest(&root)?;
        for line in detected.lines() {
            terminal::talk(&format!("    Found {line}"));
        }
        terminal::talk(&format!("    Wrote {FILE_NAME}; next: `rebeam lock`"));
        Ok(0)
    }
}
