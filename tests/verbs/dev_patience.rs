//! `rebeam dev up` and `down` where somebody does not want to wait.

use std::fs::File;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::dev_services::{Up, dev, eventually, processes, project, standing};
use super::harness::World;

const STATES: [&str; 3] = ["dev", "--state-dir", "states"];

/// A service that does not end when it is told to, and another text for each test to find it by.
fn stubborn(seconds: &str) -> String {
    format!(
        "[services.deaf]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo up; while :; do sleep {seconds}; done\"]\nready = {{ log = \"up\" }}\n"
    )
}

fn start(world: &World, arguments: &[&str]) -> Child {
    let said = File::create(world.path("said")).unwrap();
    let mut command = world.command(&[&STATES[..], arguments].concat());
    command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

fn heard(world: &World, text: &str) -> bool {
    std::fs::read_to_string(world.path("said")).unwrap().contains(text)
}

#[test]
fn a_service_that_is_not_ready_in_time_is_named() {
    let world = project(
        "[services.slow]\ncommand = [\"sleep\", \"600.31\"]\nready = { log = \"never\" }\n[services.app]\ncommand = [\"sleep\", \"600.31\"]\ndepends-on = [\"slow\"]\n",
    );
    let begun = Instant::now();
    world.rebeam(&[&STATES[..], &["up", "--wait-timeout", "1"]].concat()).fails(
        1,
        &["not ready within 1 s", "`slow` is starting", "`app` is waiting", "rebeam dev logs"],
    );
    world
        .rebeam(&[&STATES[..], &["up", "--wait", "--wait-timeout", "1"]].concat())
        .fails(1, &["not ready within 1 s", "`slow` is starting"]);
    assert!(begun.elapsed() < Duration::from_secs(29), "it waited for the service's own time");
    assert_eq!(processes("600.31"), Vec::<String>::new());
    assert!(standing(&world).is_empty());
}

#[test]
fn ctrl_c_once_more_ends_a_stack_at_once_and_leaves_nothing() {
    let world = project(&stubborn("600.41"));
    let mut up = start(&world, &["up"]);
    eventually("it was never ready", || dev(&world, &["ps", "--ready"]).code == 0);
    interrupt(&up);
    eventually("it never said how to go on", || heard(&world, "Ctrl-C once more"));
    let begun = Instant::now();
    interrupt(&up);
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for the service");
    eventually("a process was left", || processes("600.41").is_empty());
    assert!(standing(&world).is_empty());
}

#[test]
fn ctrl_c_during_down_ends_the_stack_at_once_and_leaves_nothing() {
    let world = project(&stubborn("600.51"));
    dev(&world, &["up", "-d"]).succeeds();
    let _end = Up(&world);
    let mut down = start(&world, &["down"]);
    eventually("it never said how to go on", || heard(&world, "Ctrl-C ends it at once"));
    let begun = Instant::now();
    interrupt(&down);
    assert!(down.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for the service");
    assert!(heard(&world, "ended at once"));
    eventually("a process was left", || processes("600.51").is_empty());
    // What was ended at once starts again.
    dev(&world, &["up", "-d"]).succeeds();
}
