//! Failed: the room of the step that failed last, kept for `rebeam shell --failed`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::CompileError;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::sandbox::{Access, Level, Mount, Room};
use crate::store::{Scratch, Store};

/// The room as it is written beside the kept directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    step: String,
    root: PathBuf,
    env: BTreeMap<String, String>,
    cwd: String,
    level: String,
    read_only: BTreeMap<String, PathBuf>,
}

fn place(store: &Store) -> PathBuf {
    store.root().join("failed")
}

/// Keeps the directory of a failed step in place of the one before.
pub(super) fn keep(
    store: &Store,
    step: &str,
    scratch: &Scratch,
    room: &Room,
) -> Result<(), CompileError> {
    // Several steps may fail at once; the last one's room stays.
    static GATE: Mutex<()> = Mutex::new(());
    let _turn = GATE.lock().expect("no holder of the gate panics");
    let place = place(store);
    disk::remove_tree(&place)?;
    disk::create_dir(&place)?;
    let read_only = room.mounts.iter().filter(|mount| mount.access == Access::ReadOnly);
    let kept = Kept {
        step: step.to_owned(),
        root: room.root.clone(),
        env: room.env.clone(),
        cwd: room.cwd.clone(),
        level: room.level.name().to_owned(),
        read_only: read_only.map(|mount| (mount.inside.clone(), mount.host.clone())).collect(),
    };
    disk::rename(&scratch.path().join("build"), &place.join("build"))?;
    let text = serde_json::to_vec_pretty(&kept).expect("a room is plain data");
    Ok(disk::write_atomic(&place.join("room.json"), &text)?)
}

/// Returns the room of the step that failed last, without a command.
pub fn failed_room(store: &Store) -> Result<Room, CompileError> {
    let place = place(store);
    let none = || CompileError::NothingFailed { store: store.root().to_owned() };
    let path = place.join("room.json");
    if !disk::exists(&path) {
        return Err(none());
    }
    read_room(&disk::read(&path, TEXT_FILE_BYTES_MAX)?, &place).ok_or_else(none)
}

/// Reads the room as it was written; `None` where the text is not one of ours.
pub(crate) fn read_room(text: &[u8], place: &Path) -> Option<Room> {
    let kept: Kept = serde_json::from_slice(text).ok()?;
    let mount = |(inside, host)| Mount { host, inside, access: Access::ReadOnly };
    let work =
        Mount { host: place.join("build"), inside: "/build".into(), access: Access::ReadWrite };
    let mounts = [work].into_iter().chain(kept.read_only.into_iter().map(mount)).collect();
    let level = Level::from_name(&kept.level)?;
    let room = room(&kept.root, mounts, vec![], level);
    Some(Room { env: kept.env, cwd: kept.cwd, ..room })
}

/// Returns a room like a step's for a person's command.
pub fn room(root: &Path, mounts: Vec<Mount>, argv: Vec<String>, level: Level) -> Room {
    Room {
        root: root.to_owned(),
        mounts,
        argv,
        env: super::plan::fixed_environment(),
        cwd: "/build".into(),
        user: super::run::USER,
        bounds: super::run::bounds(),
        reach: crate::sandbox::Reach::Closed,
        level,
        guise: crate::sandbox::Guise::default(),
    }
}
