//! `rebeam lock`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{self, Difference};
use crate::pipeline::{self, LockFailure, Update};
use crate::project;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
Entries whose wishes did not change stay pinned. The file is not written when nothing changed.

  rebeam lock --diff HEAD          what moved since the last commit, field by field
  rebeam lock --diff old.lock      the same against a file
  rebeam lock --from-nix deps.nix  exit 1 if a hash is not that of the commit")]
pub(super) struct Lock {
    /// Only say what is stale, and why: exit 1 if anything is
    #[arg(long)]
    check: bool,
    /// Pin these anew: application names, or `toolchain`
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    update: Vec<String>,
    /// Pin what is younger than `minimum-age` in rebeam.toml allows, this once
    #[arg(long, conflicts_with = "check")]
    any_age: bool,
    /// Only say what moved since another lock: a file, or a git revision of this project
    #[arg(long, value_name = "OLD", conflicts_with_all = ["check", "update", "any_age"])]
    diff: Option<String>,
    /// Only prove the pins of a Nix expression: fetch each `fetchFromGitHub` and compare its content hash
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "update", "any_age", "diff"])]
    from_nix: Option<PathBuf>,
}

impl Lock {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        if self.check {
            return check(common);
        }
        if let Some(old) = self.diff {
            return diff(common, &old);
        }
        if let Some(file) = self.from_nix {
            return super::nix::prove(common, &file);
        }
        common.with_desk(Reasons::Summed, |desk| {
            let mut update = Update::named(&self.update);
            update.any_age = self.any_age;
            pipeline::lock(desk, &update).map(drop)
        })?;
        Ok(0)
    }
}

fn check(common: &Common) -> Result<u8, Failure> {
    let stale = common.with_desk(Reasons::Summed, pipeline::check)?;
    for reason in &stale {
        match common.mode() {
            Mode::Json => terminal::data(
                &serde_json::json!({ "event": "stale", "reason": reason }).to_string(),
            ),
            _ => terminal::data(reason),
        }
    }
    Ok(u8::from(!stale.is_empty()))
}

fn diff(common: &Common, old: &str) -> Result<u8, Failure> {
    let root = disk::canonical(&common.project)?;
    let new = lock::Lock::read_previous(&root)?
        .ok_or_else(|| LockFailure::Missing { path: root.clone() })?;
    let old = read_old(&root, old)?;
    let found = lock::differences(&old, &new);
    if common.mode() == Mode::Json {
        for Difference { entry, field, from, to } in &found {
            let line = serde_json::json!({
                "event": "lock_difference", "entry": entry, "field": field, "from": from, "to": to,
            });
            terminal::data(&line.to_string());
        }
        return Ok(0);
    }
    for line in lock::summary(&lock::changes(&old, &new)) {
        terminal::talk(&line);
    }
    if !found.is_empty() {
        let head = ["entry", "field", "from", "to"].map(str::to_owned).to_vec();
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let row = |found: &Difference| {
            vec![found.entry.clone(), found.field.to_owned(), word(&found.from), word(&found.to)]
        };
        let rows: Vec<_> = std::iter::once(head).chain(found.iter().map(row)).collect();
        terminal::data(&terminal::table(&rows));
    }
    Ok(0)
}

/// Reads a lock of former days: the file of that name, else what git has at that revision.
fn read_old(root: &Path, old: &str) -> Result<lock::Lock, Failure> {
    let path = PathBuf::from(old);
    let is_file = disk::status(&path)?
        .is_some_and(|status| matches!(status.kind, disk::Kind::File { .. } | disk::Kind::Symlink));
    if is_file {
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        return Ok(lock::Lock::parse_previous(&text, &path)?);
    }
    let text = project::text_at(root, old, lock::FILE_NAME)?;
    let name = PathBuf::from(format!("{old}:{}", lock::FILE_NAME));
    Ok(lock::Lock::parse_previous(&text, &name)?)
}
