//! Attend: one service from its first start to its end, in a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::board::{Board, State};
use super::log::Writer;
use super::probe::{self, Heard};
use super::unit::{First, Ready, Task, Unit, private};
use crate::disk;
use crate::explain::Explain as _;
use crate::manifest::Restart;
use crate::sandbox::{self, Status, Stop};

/// Starts in a row that may end before the service is ready.
const FALSE_STARTS_MAX: u32 = 3;
/// How long it is waited before a service is started again: twice as long each time.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a service has to run for its former ends to be forgotten.
const STEADY: Duration = Duration::from_secs(10);

/// How one start came to its end.
struct Ended {
    status: Status,
    was_ready: bool,
}

/// Starts the service when it may, and again as it is wished, until all ends.
pub(super) fn attend(unit: &Unit, board: &Board, mut log: Writer) {
    let name = unit.name.as_str();
    if !board.wait_for_needs(name) {
        return;
    }
    let mut in_a_row = 0;
    while let Some(stop) = board.begin(name) {
        let begun = Instant::now();
        let outcome = once(unit, board, &stop, &mut log);
        if board.is_stopping() {
            return board.set(name, State::Stopped, None);
        }
        if board.is_asked_again(name) {
            in_a_row = 0;
            board.count_restart(name);
            continue;
        }
        in_a_row = if begun.elapsed() > STEADY { 1 } else { in_a_row + 1 };
        let pause = match outcome {
            Ok(ended) => judge(unit.restart, &ended, in_a_row),
            Err(why) => Err((State::Failed, Some(why))),
        };
        let pause = match pause {
            Ok((pause, why)) => {
                log.note(&format!("{why}; started again in {} ms", pause.as_millis()));
                board.set(name, State::Starting, Some(why));
                Some(pause)
            }
            Err((state, why)) => {
                if let Some(why) = &why {
                    log.note(why);
                }
                board.set(name, state, why);
                None
            }
        };
        if !board.rest(name, pause) {
            return board.set(name, State::Stopped, None);
        }
        board.count_restart(name);
    }
    board.set(name, State::Stopped, None);
}

/// Decides what becomes of a service that ended: how long to wait before the next start, or what it is now.
fn judge(
    restart: Restart,
    ended: &Ended,
    in_a_row: u32,
) -> Result<(Duration, String), (State, Option<String>)> {
    let is_well = ended.status == Status::Exited(0);
    let again = match restart {
        Restart::No => false,
        Restart::OnFailure => !is_well,
        Restart::Always => true,
    };
    let why = how(ended.status);
    if !again {
        return Err(if is_well { (State::Done, None) } else { (State::Failed, Some(why)) });
    }
    if !ended.was_ready && in_a_row >= FALSE_STARTS_MAX {
        return Err((State::Failed, Some(format!("{why} before it was ready, {in_a_row} times"))));
    }
    let doubled = PAUSE.saturating_mul(1 << (in_a_row - 1).min(16));
    Ok((doubled.min(PAUSE_MAX), why))
}

fn how(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("ended with exit code {code}"),
        Status::Killed { signal } => format!("was ended by signal {signal}"),
        Status::TimedOut => "took too long".into(),
    }
}

/// Runs the service once. The error says why it cannot run at all.
fn once(unit: &Unit, board: &Board, stop: &Stop, log: &mut Writer) -> Result<Ended, String> {
    if let Some(first) = &unit.first {
        prepare(first, stop, log)?;
    }
    let room = unit.room().map_err(|error| error.to_string())?;
    let heard = Heard::default();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut later = log.beside();
        let (heard, is_over, room) = (&heard, &is_over, &room);
        let probing = scope.spawn(move || {
            let seen = probe::wait(unit, room, heard, is_over);
            let fate = seen.and_then(|()| fill(unit, &mut later));
            match &fate {
                Ok(()) if !is_over.load(Ordering::Acquire) => {
                    board.set(&unit.name, State::Ready, None);
                }
                Ok(()) => {}
                // What is not ready in time is not left running.
                Err(_) => stop.kill(),
            }
            fate
        });
        let status = sandbox::watch(room, stop, &mut |line| {
            if matches!(&unit.ready, Ready::Log(text) if line.contains(text.as_str())) {
                heard.mark();
            }
            log.line(line);
        });
        is_over.store(true, Ordering::Release);
        let probed = probing.join().unwrap_or_else(|_| Err("its probe broke".into()));
        let status = status.map_err(|error| match error.hint() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        })?;
        match probed {
            Err(why) if why != probe::ENDED => Err(why),
            probed => Ok(Ended { status, was_ready: probed.is_ok() }),
        }
    })
}

/// Does what comes before the first start. What was begun and not finished is begun anew.
fn prepare(first: &First, stop: &Stop, log: &mut Writer) -> Result<(), String> {
    if disk::exists(&first.done) {
        return Ok(());
    }
    let emptied = || -> Result<(), crate::dev::DevError> {
        if disk::exists(&first.state) {
            disk::remove_tree(&first.state)?;
        }
        private(&first.state)
    };
    emptied().map_err(|error| error.to_string())?;
    first.before.iter().try_for_each(|task| command(task, stop, log))
}

/// Does what comes once the service answers for the first time.
fn fill(unit: &Unit, log: &mut Writer) -> Result<(), String> {
    let Some(first) = unit.first.as_ref().filter(|first| !disk::exists(&first.done)) else {
        return Ok(());
    };
    first.after.iter().try_for_each(|task| command(task, &Stop::default(), log))?;
    disk::write_atomic(&first.done, b"").map_err(|error| error.to_string())
}

fn command(task: &Task, stop: &Stop, log: &mut Writer) -> Result<(), String> {
    let mut last = String::new();
    let status = sandbox::watch(&task.room, stop, &mut |line| {
        line.clone_into(&mut last);
        log.line(line);
    });
    match status.map_err(|error| error.to_string())? {
        Status::Exited(0) => Ok(()),
        status => Err(format!("{} {}: {last}", task.what, how(status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(restart: Restart, status: Status, was_ready: bool, in_a_row: u32) -> String {
        match judge(restart, &Ended { status, was_ready }, in_a_row) {
            Ok((pause, _)) => format!("again in {} ms", pause.as_millis()),
            Err((state, _)) => state.name().to_owned(),
        }
    }

    #[test]
    fn a_policy_decides_what_becomes_of_a_service_that_ended() {
        let (well, ill) = (Status::Exited(0), Status::Exited(1));
        assert_eq!(judged(Restart::No, well, true, 1), "done");
        assert_eq!(judged(Restart::No, ill, true, 1), "failed");
        assert_eq!(judged(Restart::OnFailure, well, true, 1), "done");
        assert_eq!(judged(Restart::OnFailure, ill, true, 1), "again in 200 ms");
        assert_eq!(judged(Restart::Always, well, true, 1), "again in 200 ms");
        assert_eq!(
            judged(Restart::Always, Status::Killed { signal: 9 }, true, 1),
            "again in 200 ms"
        );
    }

    #[test]
    fn pauses_double_and_a_service_that_never_gets_ready_is_given_up() {
        let ill = Status::Exited(1);
        assert_eq!(judged(Restart::OnFailure, ill, true, 4), "again in 1600 ms");
        assert_eq!(judged(Restart::OnFailure, ill, true, 40), "again in 10000 ms");
        assert_eq!(judged(Restart::OnFailure, ill, false, 2), "again in 400 ms");
        assert_eq!(judged(Restart::OnFailure, ill, false, 3), "failed");
    }
}
