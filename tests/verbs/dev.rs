//! `rebeam dev`: the stack goes up, is used, killed and taken down.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::harness::World;

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

fn dev(world: &World, arguments: &[&str]) -> Value {
    let all = [&["--json", "dev", "--state-dir", "states"], arguments].concat();
    serde_json::from_str(&world.rebeam(&all).succeeds().stdout).unwrap()
}

fn connect(services: &Value, name: &str) -> TcpStream {
    let services = services.as_array().unwrap();
    let service = services.iter().find(|service| service["name"] == name).unwrap();
    let address: SocketAddr = service["address"].as_str().unwrap().parse().unwrap();
    assert!(address.ip().is_loopback());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Says something to the streams and reads the answer, which is as long as `answer`.
fn say(stream: &mut TcpStream, text: &str, answer: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut seen = vec![0; answer.len()];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), answer);
}

/// Connects a client of MQTT 3.1.1, and says whether it was let in.
fn is_let_in(services: &Value) -> bool {
    const CONNECT: &[u8] = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c1";
    let mut stream = connect(services, "mqtt");
    stream.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer == *b"\x20\x02\0\0"
}

#[test]
fn a_stack_in_the_background_keeps_its_state_until_that_is_wiped() {
    let world = World::of(&[("README", "no release yet")]);
    let services = dev(&world, &["up", "-d"]);
    let _end = Up(&world);
    assert_eq!(dev(&world, &["ps"]), services);
    assert!(is_let_in(&services));
    say(&mut connect(&services, "redis"), "SET kept 7\r\n", "+OK\r\n");
    let again = ["dev", "--state-dir", "states", "up"];
    world.rebeam(&again).fails(1, &["is up already (process ", "rebeam dev down"]);
    world.rebeam(&["dev", "--state-dir", "states", "down"]).succeeds();
    assert_eq!(dev(&world, &["ps"]), serde_json::json!([]));

    let services = dev(&world, &["up", "-d"]);
    say(&mut connect(&services, "redis"), "GET kept\r\n", "$1\r\n7\r\n");
    // What connected was written into a stream, as Mainflux writes it.
    say(&mut connect(&services, "redis"), "EXISTS mainflux.mqtt\r\n", ":1\r\n");
    world.rebeam(&["dev", "--state-dir", "states", "down", "--volumes"]).succeeds();

    // However the option is written, one process is started and no more.
    world.rebeam(&["dev", "--state-dir", "states", "up", "-qd"]).succeeds();
    let services = dev(&world, &["ps"]);
    say(&mut connect(&services, "redis"), "EXISTS kept\r\n", ":0\r\n");
}

#[test]
fn a_stack_that_was_killed_goes_up_again_with_what_it_had_promised() {
    let world = World::of(&[("README", "no release yet")]);
    let services = dev(&world, &["up", "-d"]);
    let _end = Up(&world);
    say(&mut connect(&services, "redis"), "SET kept 7\r\n", "+OK\r\n");
    let record = std::fs::read_dir(world.project().join("states")).unwrap().next().unwrap();
    let record = std::fs::read_to_string(record.unwrap().path().join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    assert!(
        Command::new("sh").args(["-c", &format!("kill -9 {process}")]).status().unwrap().success()
    );
    let services = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(50));
        dev(&world, &["ps"])
    });
    assert!(services.take(100).any(|services| services == serde_json::json!([])));
    let services = dev(&world, &["up", "-d"]);
    say(&mut connect(&services, "redis"), "GET kept\r\n", "$1\r\n7\r\n");
}

#[test]
fn quiet_is_quiet_and_an_empty_variable_is_none() {
    let world = World::of(&[("README", "no release yet")]);
    let _end = Up(&world);
    let quiet = ["-q", "dev", "--state-dir", "states"];
    let said = |verb: &[&str]| {
        let ran = world.rebeam(&[&quiet[..], verb].concat()).succeeds();
        ran.stdout + &ran.stderr
    };
    assert_eq!(said(&["down"]), "");
    assert_eq!(said(&["up", "-d"]), "");
    assert_eq!(said(&["ps", "--ready"]), "");
    // What is asked for is said all the same, and so is what goes wrong.
    assert!(said(&["ps"]).contains("mqtt://"));
    world.rebeam(&[&quiet[..], &["up", "-d"]].concat()).fails(1, &["is up already"]);
    let run = |name: &str| {
        let mut command = world.command(&["--json", "dev", "--state-dir", "states", "ps"]);
        command.env(name, "").output().unwrap()
    };
    for name in ["REBEAM_STATE", "REBEAM_STORE", "REBEAM_SANDBOX"] {
        let ran = run(name);
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn a_standard_port_that_somebody_else_has_is_said_with_who_that_is() {
    let world = World::of(&[("README", "no release yet")]);
    // Whether this test has it or another one of this machine, it is taken.
    let own = std::net::TcpListener::bind(("127.0.0.1", 8083));
    let ran = world.rebeam(&["dev", "--state-dir", "states", "up", "-d"]).succeeds();
    let _end = Up(&world);
    let line = ran.stderr.lines().find(|line| line.contains("mqtt-ws uses "));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(line.contains("8083") && line.contains("held by "), "{line}");
    if own.is_ok() {
        assert!(line.contains(&format!("(process {})", std::process::id())), "{line}");
    }
    let services = dev(&world, &["ps"]);
    let services = services.as_array().unwrap();
    let moved = services.iter().find(|service| service["name"] == "mqtt-ws").unwrap();
    assert_eq!(moved["instead_of"]["port"], 8083, "{moved}");
}
