//! `rebeam hash`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::pipeline;
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_help = "\
The content hash of a directory or commit is the SHA-256 of its NAR, as `nix-hash --sri` prints it.
A file is hashed as it is; its hash is what a `sha256` in rebeam.toml wants.

  rebeam hash src/
  rebeam hash git+https://example.org/cowlib.git#2.12.1")]
pub(super) struct Hash {
    /// A directory, a file, or `git+URL#COMMIT`
    what: String,
}

impl Hash {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let hash = match self.what.strip_prefix("git+") {
            Some(address) => {
                let screen = common.screen(terminal::Reasons::Summed);
                let store = common.open_store(&screen)?;
                pipeline::hash_git(address, &store, common.network(), &screen)?.sri()
            }
            None => local(Path::new(&self.what))?,
        };
        common.answer(
            || json!({ "event": "hashed", "what": self.what, "hash": hash }),
            || hash.clone(),
        );
        Ok(0)
    }
}

fn local(path: &Path) -> Result<String, Failure> {
    let path = disk::canonical(path)?;
    let is_directory =
        disk::status(&path)?.is_some_and(|status| status.kind == disk::Kind::Directory);
    if is_directory {
        return Ok(crate::tree::scan(&path, &[".git"])?.hash.sri());
    }
    Ok(disk::digest(&path)?.to_string())
}
