//! Watch: a room whose command runs for as long as somebody wants it, and is told to end from another thread.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::line::{KILL, TERMINATE};
use super::plan::Talk;
use super::run::{Caller, lost, plan_of, setup};
use super::{Room, SandboxError, Status};

/// Ends a room that some thread watches, or is going to watch.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    socket: Option<UnixStream>,
    word: Option<u8>,
}

impl Stop {
    /// Sends SIGTERM to the command.
    pub fn terminate(&self) {
        self.ask(TERMINATE);
    }

    /// Ends everything in the room at once.
    pub fn kill(&self) {
        self.ask(KILL);
    }

    fn ask(&self, word: u8) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.word = Some(word);
        if let Some(socket) = &mut asked.socket {
            // A room that is gone has done what it is asked for.
            let _ = socket.write_all(&[word]);
        }
    }

    fn of(&self, caller: &Caller) -> io::Result<()> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut socket = caller.socket.try_clone()?;
        if let Some(word) = asked.word {
            let _ = socket.write_all(&[word]);
        }
        asked.socket = Some(socket);
        Ok(())
    }

    fn over(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).socket = None;
    }
}

/// Runs a room's command to its end or until it is stopped; its output goes line by line to `on_line`.
///
/// The kernel ends the room with the thread that calls this, so the thread has to live as long as the room.
pub fn watch(
    room: &Room,
    stop: &Stop,
    on_line: &mut dyn FnMut(&str),
) -> Result<Status, SandboxError> {
    let started = Instant::now();
    let plan = plan_of(room, Talk::Log)?;
    let (output, theirs) = io::pipe().map_err(setup("make a pipe"))?;
    let errors = theirs.try_clone().map_err(setup("make a pipe"))?;
    let mut caller = Caller::start(&plan, |command, socket| {
        command.stdin(Stdio::from(socket)).stdout(theirs).stderr(errors).arg("0");
        Ok(None)
    })?;
    stop.of(&caller).map_err(setup("pass a socket"))?;
    let deadline = started.checked_add(Duration::from_secs(room.bounds.wall_s));
    let followed = caller.follow(output, deadline, &mut |line, _| {
        on_line(line);
        Ok(())
    });
    stop.over();
    let timed_out = followed?;
    // Told to end at once, a room says nothing of how it ended.
    let (ended, _) = caller.finish(room)?;
    let was_killed = stop.0.lock().unwrap_or_else(PoisonError::into_inner).word == Some(KILL);
    let killed = was_killed.then_some(Status::Killed { signal: libc::SIGKILL });
    timed_out.then_some(Status::TimedOut).or(ended).or(killed).ok_or_else(|| lost(room))
}
