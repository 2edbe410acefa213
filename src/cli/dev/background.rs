//! Background: a stack that outlives the command that started it.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::exposing::VARIABLE;
use crate::dev::{DevError, Place};
use crate::disk;
use crate::explain::Blame;
use crate::limits::TEXT_FILE_BYTES_MAX;

const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Lines of a log that are shown.
const LINES_MAX: usize = 20;

/// Starts this program once more in the background and waits until it is ready.
pub(super) fn start(
    place: &Place,
    password: Option<&str>,
    patience: Duration,
) -> Result<(), DevError> {
    // Taken for a moment only: an error that is found here needs no log.
    drop(place.take()?);
    let log = place.log();
    if disk::exists(&log) {
        disk::remove_file(&log)?;
    }
    let mut output = disk::append(&log)?;
    // A disk that has no room for this has none for the reason why nothing starts, either.
    let first = format!("rebeam {} starts the stack\n", env!("CARGO_PKG_VERSION"));
    disk::write_all(&mut output, &log, first.as_bytes())?;
    let errors = output.try_clone().map_err(DevError::Runtime)?;
    let program = std::env::current_exe().map_err(DevError::Runtime)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        // However `-d` was written, it must not start one more.
        .arg("--here")
        // Neither arguments nor environment of a process are a place for a password.
        .env_remove(VARIABLE)
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(DevError::Runtime)?;
    if let (Some(mut input), Some(password)) = (child.stdin.take(), password) {
        // One that ended before it read this says why in its log.
        drop(input.write_all(password.as_bytes()));
    }
    wait(place, &mut child, patience)
}

fn wait(place: &Place, child: &mut Child, patience: Duration) -> Result<(), DevError> {
    let until = Instant::now() + patience;
    loop {
        if place.running()?.is_some_and(|running| running.process == child.id()) {
            return Ok(());
        }
        let ended = child.try_wait().map_err(DevError::Runtime)?;
        if ended.is_some() || Instant::now() > until {
            // One that is not ready by now is not left behind.
            drop(child.kill());
            let text = disk::read_text(&place.log(), TEXT_FILE_BYTES_MAX)?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let lines = lines[lines.len().saturating_sub(LINES_MAX)..].to_vec();
            let blame = Blame::of_exit_code(ended.and_then(|status| status.code()));
            return Err(DevError::NotReady { log: place.log(), lines, blame });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
