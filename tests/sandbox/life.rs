//! How rooms end, and what ends with them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use rebeam::sandbox::{Reply, Status};

use crate::harness::{World, processes_with, until};

#[test]
fn a_reply_asks_the_command_once_to_end() {
    let world = World::new();
    let script = "trap 'echo asked; sleep 0.5; exit 5' TERM; \
                  (while :; do sleep 0.1; echo tick; done) & echo ready; wait; wait";
    let seen = world.sh_until(script, &mut |line| match line {
        "ready" | "tick" => Reply::Terminate,
        _ => Reply::Continue,
    });
    assert_eq!(seen.status(), Status::Exited(5));
    assert_eq!(seen.lines.iter().filter(|line| *line == "asked").count(), 1);
}

const MARK: &str = "REBEAM_TEST_MARK";

#[test]
#[ignore = "is started by the next tests and killed"]
fn a_caller_that_waits_for_long() {
    let world = World::new();
    let mark = std::env::var(MARK).unwrap();
    let script = format!(
        "trap '' INT TERM HUP; setsid sh -c 'trap \"\" INT TERM; : {mark}; sleep 1000' & : {mark}; echo begun; sleep 1000; : end"
    );
    world.sh_until(&script, &mut |line| {
        println!("{line}");
        Reply::Continue
    });
}

/// Starts a caller, ends it by a signal, and looks whether its room is gone.
fn nothing_outlives(signal: &str) {
    let mark = World::new().mark();
    let mut caller = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "life::a_caller_that_waits_for_long",
        ])
        .env(MARK, &mark)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(caller.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("begun")));
    assert!(!processes_with(&mark).is_empty());
    let kill = Command::new("kill")
        .args([signal, &caller.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    caller.wait().unwrap();
    assert!(
        until(|| processes_with(&mark).is_empty()),
        "{:?}",
        processes_with(&mark)
    );
}

#[test]
fn nothing_outlives_a_caller_that_was_killed() {
    nothing_outlives("-KILL");
}

#[test]
fn nothing_outlives_a_caller_that_was_interrupted() {
    nothing_outlives("-INT");
}

#[test]
fn rooms_run_side_by_side() {
    let world = World::new();
    let numbers: Vec<String> = thread::scope(|scope| {
        let run = |number: u32| {
            let mut own = World::new();
            own.room.root.clone_from(&world.room.root);
            own.sh(&format!("sleep 0.2; echo {number}"))
                .well()
                .remove(0)
        };
        let threads: Vec<_> = (0..6)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5"]);
}
