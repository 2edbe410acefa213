//! How rooms end, and what ends with them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rebeam::sandbox::{self, Level, Reply, Status};

use crate::harness::{World, am_root, processes_with, until};

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
const LEVEL: &str = "REBEAM_TEST_LEVEL";

#[test]
#[ignore = "is started by the next tests and killed"]
fn a_caller_that_waits_for_long() {
    let mut world = World::new();
    let mark = std::env::var(MARK).unwrap();
    world.room.level = match std::env::var(LEVEL).unwrap().as_str() {
        "userns" => Level::Userns,
        "root" => Level::Root,
        _ => Level::Chroot,
    };
    let script = format!(
        "trap '' INT TERM HUP; setsid sh -c 'trap \"\" INT TERM; : {mark}; sleep 1000' & : {mark}; echo begun; sleep 1000; : end"
    );
    world.sh_until(&script, &mut |line| {
        println!("{line}");
        Reply::Continue
    });
}

/// Starts a caller, ends it by a signal, and looks whether its room is gone.
fn nothing_outlives(signal: &str, level: Level) {
    let mark = World::new().mark();
    let mut caller = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "life::a_caller_that_waits_for_long"])
        .env(MARK, &mark)
        .env(LEVEL, level.name())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(caller.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("begun")));
    assert!(!processes_with(&mark).is_empty());
    // The shell's own `kill`: a small system has no command of that name.
    let kill = format!("kill {signal} {}", caller.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    caller.wait().unwrap();
    assert!(until(|| processes_with(&mark).is_empty()), "{:?}", processes_with(&mark));
}

#[test]
fn nothing_outlives_a_caller_that_was_killed() {
    nothing_outlives("-KILL", Level::Userns);
    if am_root() {
        nothing_outlives("-KILL", Level::Root);
        nothing_outlives("-KILL", Level::Chroot);
    }
}

#[test]
fn nothing_outlives_a_caller_that_was_interrupted() {
    nothing_outlives("-INT", Level::Userns);
}

#[test]
#[ignore = "is started by the next test, on a terminal"]
fn a_shell_on_the_terminal() {
    let mut world = World::new();
    world.room.argv = vec!["sh".into(), "-i".into()];
    let status = sandbox::interactive(&world.room).unwrap();
    println!("ended: {status:?}");
    let child = Command::new("cat").stdin(Stdio::inherit()).status();
    println!("read after: {:?}", child.unwrap().success());
}

#[test]
fn a_shell_has_the_terminal_and_gives_it_back() {
    let tests = std::env::current_exe().unwrap();
    let test = "--ignored --exact --nocapture life::a_shell_on_the_terminal";
    let mut script = Command::new("script")
        .args(["-qec", &format!("{} {test}", tests.display()), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = script.stdin.take().unwrap();
    // An interrupt ends the command in front, not the room; then the shell ends, then `cat`.
    for typed in
        ["sleep 1000\n", "\x03", "id -u; test -t 0 && echo term-$((6*7))\n", "exit 4\n", "\x04"]
    {
        thread::sleep(Duration::from_millis(700));
        keys.write_all(typed.as_bytes()).unwrap();
    }
    let output = script.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("term-42"), "{text}");
    assert!(!text.contains("job control turned off"), "{text}");
    assert!(text.contains("ended: Exited(4)"), "{text}");
    assert!(text.contains("read after: true"), "{text}");
}

#[test]
fn rooms_run_side_by_side() {
    let world = World::new();
    let numbers: Vec<String> = thread::scope(|scope| {
        let run = |number: u32| {
            let mut own = World::new();
            own.room.root.clone_from(&world.room.root);
            own.sh(&format!("sleep 0.2; echo {number}")).well().remove(0)
        };
        let threads: Vec<_> = (0..6).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5"]);
}
