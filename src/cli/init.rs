//! `rebeam init`.

use clap::Args;
use serde_json::json;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{FILE_NAME, detect};
use crate::project;
use crate::terminal::{self, Mode};

#[derive(Debug, Args)]
pub(super) struct Init {}

impl Init {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let root = disk::canonical(&common.project)?;
        let mut detected = detect::detect(&root)?;
        detected.take_version(&project::tags(&root)?);
        detected.write_manifest(&root)?;
        let (path, found) = (root.join(FILE_NAME), detected.lines());
        match common.mode() {
            Mode::People => {}
            Mode::Quiet => return Ok(0),
            Mode::Json => {
                let line = json!({ "event": "manifest_written", "path": path.display().to_string(), "found": found });
                terminal::data(&line.to_string());
                return Ok(0);
            }
        }
        for line in found {
            terminal::talk(&format!("    Found {line}"));
        }
        // A date that nothing gives is better asked for now than by the verb that comes next.
        let next = match project::newest_commit(&root)? {
            Some(_) => "`rebeam lock`",
            None => {
                "`git init && git add -A && git commit -m first`, as a commit dates the image, then `rebeam lock`"
            }
        };
        terminal::talk(&format!("    Wrote {FILE_NAME}; next: {next}"));
        Ok(0)
    }
}
