//! What a command may use.

use std::fs;
use std::time::{Duration, Instant};

use rebeam::sandbox::Status;

use crate::harness::{World, processes_with, until};

#[test]
fn a_fork_bomb_ends_at_the_bound_and_leaves_nothing() {
    let mut world = World::new();
    world.room.bounds.processes = 64;
    let mark = world.mark();
    let script =
        format!("bomb() {{ bomb | bomb & sleep 30; }}; : {mark}; bomb; bomb; bomb; sleep 2");
    let started = Instant::now();
    let seen = world.sh(&script);
    // Where the kernel stops the bomb first, what was forked before sleeps its thirty seconds out.
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
    // The first process ends the room, unless the kernel's own bound has ended the bomb before it counted.
    let text = seen.text();
    match seen.status() {
        Status::Killed { signal: 9 } => {
            assert!(text.contains("more than 64 processes, the bound of this room"), "{text}");
        }
        Status::Exited(code) => assert!(text.contains("fork"), "{code}: {text}"),
        other => panic!("{other:?}: {text}"),
    }
    assert_eq!(processes_with(&mark), Vec::<String>::new());
}

#[test]
fn a_memory_eater_is_stopped() {
    let mut world = World::new();
    world.room.bounds.memory_bytes = Some(64 << 20);
    world.sh("dd if=/dev/zero of=/dev/null bs=8M count=1").well();
    let seen = world.sh("dd if=/dev/zero of=/dev/null bs=200M count=1");
    assert_ne!(seen.status(), Status::Exited(0));
    assert!(seen.text().contains("memory"), "{}", seen.text());
}

#[test]
fn a_file_does_not_grow_past_its_bound() {
    let mut world = World::new();
    world.room.bounds.file_bytes = 1 << 20;
    let seen = world.sh("exec dd if=/dev/zero of=/build/file bs=64k count=64");
    assert_ne!(seen.status(), Status::Exited(0));
    assert_eq!(fs::metadata(world.path("build/file")).unwrap().len(), 1 << 20);
}

#[test]
fn the_wall_time_kills_the_whole_tree() {
    let mut world = World::new();
    world.room.bounds.wall_s = 1;
    let mark = world.mark();
    let started = Instant::now();
    let seen = world.sh(&format!(
        "trap '' TERM INT HUP; echo begun; setsid sh -c ': {mark}; sleep 1000' & sleep 1000; : {mark}"
    ));
    assert_eq!(seen.status(), Status::TimedOut);
    assert_eq!(seen.lines, ["begun"]);
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(processes_with(&mark), Vec::<String>::new());
}

#[test]
fn what_the_command_leaves_behind_ends_with_it() {
    let world = World::new();
    let mark = world.mark();
    let seen =
        world.sh(&format!("setsid sh -c 'trap \"\" TERM; : {mark}; sleep 1000' & echo left"));
    assert_eq!(seen.well(), ["left"]);
    assert!(until(|| processes_with(&mark).is_empty()));
}

#[test]
fn the_log_is_bounded_and_keeps_its_ends() {
    let world = World::new();
    let seen = world.sh(
        "echo first; line=$(seq 1 900 | tail -n 900 | dd bs=64k count=1 2>/dev/null | sed ':a;N;$!ba;s/\\n/ /g'); \
         yes \"$line\" | dd bs=64k count=320 iflag=fullblock 2>/dev/null; echo; echo last",
    );
    assert_eq!(seen.status(), Status::Exited(0));
    assert!(seen.lines.iter().all(|line| line.len() <= 4096));
    let bytes: usize = seen.lines.iter().map(String::len).sum();
    assert!(bytes > 16 << 20, "{bytes}");
    let log = fs::read_to_string(world.path("log")).unwrap();
    assert!(log.len() <= (8 << 20) + 100, "{}", log.len());
    assert!(log.starts_with("first\n"));
    assert!(log.ends_with("\nlast\n"));
    assert!(log.contains(" bytes were left out here "));
    let outcome = seen.result.unwrap();
    assert_eq!(outcome.log_tail.len(), rebeam::limits::STEP_LOG_TAIL_LINES);
    assert_eq!(outcome.log_tail.last().unwrap(), "last");
}
