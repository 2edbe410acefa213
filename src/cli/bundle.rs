//! `rebeam bundle`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::fetch::hex::HexRepository;
use crate::manifest;
use crate::pipeline::{self, Dock, LockFate};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
On a machine with a network, and then in the project on one without:
  rebeam bundle export shop.bundle
  rebeam bundle import shop.bundle && rebeam build --offline

The file is a plain tar; one lock makes one file, byte for byte. In the project's directory it must end in
`.bundle` or `.tar`, so that it is not taken for a source.")]
pub(super) struct Bundle {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the lock, every source, every Debian package and the base image into one file
    Export {
        /// The file, written over
        file: PathBuf,
    },
    /// Take a bundle into the store, if everything in it is what its lock says
    Import {
        /// The file
        file: PathBuf,
    },
}

impl Bundle {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        match self.verb {
            Verb::Export { file } => export(common, &file),
            Verb::Import { file } => import(common, &file),
        }
    }
}

fn export(common: &Common, file: &Path) -> Result<u8, Failure> {
    let made = common.with_desk(Reasons::Summed, |desk| pipeline::export_bundle(desk, file))?;
    let (path, digest) = (file.display().to_string(), made.digest.hex());
    if common.mode() == Mode::Json {
        let line = json!({
            "event": "bundle_exported",
            "path": path,
            "sha256": digest,
            "bytes": made.bytes,
            "sources": made.trees,
            "packages": made.blobs,
            "base": made.base,
        });
        terminal::data(&line.to_string());
        return Ok(0);
    }
    if common.mode() == Mode::People {
        terminal::talk(&format!(
            "{} and {}{}, {}",
            terminal::counted(made.trees, "source"),
            terminal::counted(made.blobs, "package"),
            with_base(made.base.as_deref()),
            terminal::bytes(made.bytes)
        ));
    }
    // As `sha256sum` prints it, so that it can be checked on the other side.
    terminal::data(&format!("{digest}  {path}"));
    Ok(0)
}

fn import(common: &Common, file: &Path) -> Result<u8, Failure> {
    let is_project = disk::exists(&common.project.join(manifest::FILE_NAME));
    let arrived = if is_project {
        common.with_desk(Reasons::Summed, |desk| {
            let dock = Dock {
                store: desk.store,
                repositories: desk.repositories,
                observer: desk.observer,
                project: Some((desk.root, desk.manifest)),
            };
            pipeline::import_bundle(&dock, file)
        })?
    } else {
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let repositories = [HexRepository::hexpm()];
        let dock =
            Dock { store: &store, repositories: &repositories, observer: &screen, project: None };
        pipeline::import_bundle(&dock, file)?
    };
    let fate = match arrived.lock {
        LockFate::Equal => "equal",
        LockFate::Written => "written",
        LockFate::Left => "left",
    };
    match common.mode() {
        Mode::Json => terminal::data(
            &json!({
                "event": "bundle_imported",
                "project": arrived.project,
                "sources": arrived.trees,
                "packages": arrived.blobs,
                "base": arrived.base,
                "lock": fate,
            })
            .to_string(),
        ),
        Mode::People => {
            let lock =
                if arrived.lock == LockFate::Written { "; rebeam.lock is written" } else { "" };
            terminal::talk(&format!(
                "{} and {}{} of {} are in the store{lock}",
                terminal::counted(arrived.trees, "source"),
                terminal::counted(arrived.blobs, "package"),
                with_base(arrived.base.as_deref()),
                arrived.project
            ));
        }
        Mode::Quiet => {}
    }
    Ok(0)
}

fn with_base(base: Option<&str>) -> String {
    base.map_or_else(String::new, |name| format!(", and the base `{name}`,"))
}
