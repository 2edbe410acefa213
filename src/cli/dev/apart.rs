//! Apart: a stack that is one container among others, which run the rest of it.

use std::path::PathBuf;

use clap::Args;

use crate::dev::{DevError, Stack};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

#[derive(Debug, Default, Args)]
pub(super) struct Apart {
    /// Start nothing but what is in rebeam itself
    #[arg(long, hide = true)]
    pub(super) alone: bool,
    /// Write the certificate of who signs the stack's certificates here, too
    #[arg(long, hide = true, value_name = "FILE")]
    authority: Option<PathBuf>,
}

impl Apart {
    /// Lays the certificate of who signs where others find it.
    pub(super) fn show(&self, stack: &Stack) -> Result<(), DevError> {
        let Some(file) = &self.authority else { return Ok(()) };
        let text = disk::read(&stack.certificate().authority, TEXT_FILE_BYTES_MAX)?;
        Ok(disk::write_atomic(file, &text)?)
    }
}
