//! `rebeam tree` and `rebeam why`.

use clap::Args;
use serde_json::json;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::lock::{self, Lock};
use crate::pipeline::LockFailure;
use crate::terminal::{self, Mode};

#[derive(Debug, Args)]
pub(super) struct Tree {}

impl Tree {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let lock = read(common)?;
        if common.mode() != Mode::Json {
            terminal::data(lock::tree(&lock).trim_end());
            return Ok(0);
        }
        for source in &lock.sources {
            let line = json!({
                "event": "locked_source", "app": source.app, "role": source.role.name(),
                "wanted": source.wanted, "address": source.pin.address(), "level": source.level,
                "parents": source.parents, "deps": source.deps, "profiles": source.profiles,
            });
            terminal::data(&line.to_string());
        }
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
            match common.mode() {
                Mode::Json => terminal::data(&json!({ "event": "way", "way": chain }).to_string()),
                _ => terminal::data(&chain.join(" → ")),
            }
        }
        Ok(0)
    }
}

fn read(common: &Common) -> Result<Lock, Failure> {
    let root = disk::canonical(&common.project)?;
    Ok(Lock::read(&root)?.ok_or(LockFailure::Missing { path: root })?)
}
