//! `rebeam verify --key`: whether an image or file is what somebody's key says.

use std::path::Path;

use super::pull::From;
use super::push::with_door;
use super::{Common, key};
use crate::explain::Failure;
use crate::pipeline::{self, Given};
use crate::terminal::{self, Mode, Reasons};

/// Checks the signatures of images and files, and prints NAME@DIGEST for each that holds.
pub(super) fn check(
    common: &Common,
    names: &[String],
    key_file: &Path,
    from: &From,
) -> Result<u8, Failure> {
    let screen = common.screen(Reasons::Summed);
    let file = key_file.display().to_string();
    let key = key::read_public(key_file)?;
    let given = Given { key: &key, file: &file };
    let checked =
        with_door(common, from.insecure, &screen, |door| pipeline::signatures(names, given, door))?;
    if common.mode() != Mode::Json {
        for one in checked {
            terminal::data(&format!("{}@{}", one.name, one.digest));
        }
    }
    Ok(0)
}
