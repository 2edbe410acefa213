//! `rebeam verify`: whether an image or file is what somebody's key says.

use std::path::PathBuf;

use clap::Args;

use super::push::with_door;
use super::{Common, key};
use crate::explain::Failure;
use crate::pipeline::{self, Given};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
An image is named as for docker, by tag or by digest; its signatures and attestations are those that
`rebeam push --sign` or cosign put beside it. The signature of a FILE stands in FILE.sig, as `rebeam key sign`
and `cosign sign-blob` write it.

Standard output gets NAME@DIGEST, one line for each whose signature holds.")]
pub(super) struct Verify {
    /// Image files, images in registries, or other signed files
    #[arg(value_name = "FILE|REF", required = true)]
    names: Vec<String>,
    /// Check that this public key's holder signed them
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Speak plain HTTP to a registry that is not on this machine
    #[arg(long)]
    insecure: bool,
}

impl Verify {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let screen = common.screen(Reasons::Summed);
        let file = self.key.display().to_string();
        let key = key::read_public(&self.key)?;
        let given = Given { key: &key, file: &file };
        let checked = with_door(common, self.insecure, &screen, |door| {
            pipeline::signatures(&self.names, given, door)
        })?;
        if common.mode() != Mode::Json {
            for one in checked {
                terminal::data(&format!("{}@{}", one.name, one.digest));
            }
        }
        Ok(0)
    }
}
