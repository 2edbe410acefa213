//! Line: what the room and its caller say to each other over the one socket between them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

/// What the caller may say to the keeper, one byte each.
pub(super) const TERMINATE: u8 = b'T';
/// The other word: everything in the room is to be killed.
pub(super) const KILL: u8 = b'K';

/// What the room says to the caller, one JSON line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// A step on the way failed and nothing was run.
    Failed {
        action: String,
        errno: i32,
        at: Stage,
    },
    /// Something is weaker than it should be.
    Noted {
        note: String,
    },
    /// The way was free; the plan had no command.
    Granted,
    Exited(i32),
    Killed(i32),
}

/// Where on the way a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// While namespaces were asked for, or used for the first time.
    Namespaces,
    /// Later.
    Room,
    /// When the command was to be executed.
    Command,
}

/// A failed step, on its way to the caller.
pub(super) struct Fault {
    action: String,
    source: io::Error,
    stage: Stage,
}

/// Names the step that an I/O error belongs to.
pub(super) fn step(action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    at(Stage::Room, action)
}

/// The same for a step that this system may forbid altogether.
pub(super) fn forbidden(action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    at(Stage::Namespaces, action)
}

pub(super) fn at(stage: Stage, action: impl Into<String>) -> impl FnOnce(io::Error) -> Fault {
    let action = action.into();
    move |source| Fault { action, source, stage }
}

/// The room's end of the socket to the caller, and who the caller is.
pub(super) struct Line {
    pub(super) socket: OwnedFd,
    /// The ids that the caller has on the host; inside a user namespace they cannot be asked for.
    pub(super) outer: (u32, u32),
}

impl Line {
    /// Says something; a caller who is gone does not hear it, and that is no error here.
    pub(super) fn say(&self, report: &Report) {
        let mut line = serde_json::to_vec(report).expect("a report is plain data");
        line.push(b'\n');
        let Ok(socket) = self.socket.try_clone() else {
            return;
        };
        let _ = File::from(socket).write_all(&line);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn outer(&self) -> (u32, u32) {
        self.outer
    }

    pub(super) fn say_fault(&self, fault: &Fault) {
        self.say(&Report::Failed {
            action: fault.action.clone(),
            errno: fault.source.raw_os_error().unwrap_or(libc::EIO),
            at: fault.stage,
        });
    }
}

/// Reads one word of the caller's; `None` when it is gone.
pub(super) fn hear(line: &Line) -> Option<u8> {
    let mut word = [0];
    let mut socket = File::from(line.socket.try_clone().ok()?);
    match io::Read::read(&mut socket, &mut word) {
        Ok(1) => Some(word[0]),
        _ => None,
    }
}
