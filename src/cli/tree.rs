//! `rebeam tree` and `rebeam why`.

use clap::Args;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::lock::{self, Lock};
use crate::pipeline::LockFailure;
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Tree {}

impl Tree {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        terminal::data(lock::tree(&read(common)?).trim_end());
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Why {
    /// The application
    name: String,
}

impl Why {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let chains = lock::why(&read(common)?, &self.name);
        if chains.is_empty() {
            return Err(LockFailure::NotLocked { name: self.name }.into());
        }
        for chain in chains {
            terminal::data(&chain.join(" → "));
        }
        Ok(0)
    }
}

fn read(common: &Common) -> Result<Lock, Failure> {
    let root = disk::canonical(&common.project)?;
    Ok(Lock::read(&root)?.ok_or(LockFailure::Missing { path: root })?)
}
