//! The streams, over sockets: with the clients that people have, and killed while they are at work.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::harness::World;

/// A server, ended by a kill that it cannot notice.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(world: &World, more: &[&str]) -> Self {
        let mut arguments = vec!["dev", "streams", "--port", "0", "--state", "state"];
        arguments.extend(more);
        let mut command = world.command(&arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        Self { process, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Calls `redis-cli`, where there is one.
    fn cli(&self, arguments: &[&str]) -> Option<String> {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        let Ok(output) = output else {
            let is_required = std::env::var("REBEAM_REDIS").is_ok_and(|value| value == "required");
            assert!(!is_required, "redis-cli is not installed");
            return None;
        };
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn world() -> World {
    World::of(&[("README", "nothing to build")])
}

/// Says something, and reads until the answer ends with `end`.
fn say(stream: &mut TcpStream, bytes: &[u8], end: &str) -> String {
    stream.write_all(bytes).unwrap();
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the server left after {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    seen
}

#[test]
fn redis_cli_reads_as_one_of_a_group_and_acknowledges() {
    let world = world();
    let server = Server::start(&world, &[]);
    let Some(id) = server.cli(&["XADD", "orders", "*", "item", "7"]) else {
        return;
    };
    assert_eq!(server.cli(&["XGROUP", "CREATE", "orders", "g", "0"]).unwrap(), "OK");
    let read = ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "orders", ">"];
    for protocol in ["-2", "-3"] {
        server.cli(&["XGROUP", "SETID", "orders", "g", "0"]);
        let seen = server.cli(&[&[protocol], &read[..]].concat()).unwrap();
        assert!(seen.contains(&id) && seen.contains("item"), "{seen}");
    }
    assert_eq!(server.cli(&["XACK", "orders", "g", &id]).unwrap(), "1");
    assert!(server.cli(&["INFO"]).unwrap().contains("server:rebeam"));
}

#[test]
fn clients_of_other_hands_add_read_in_groups_claim_and_acknowledge() {
    let Some(clients) = super::broker::clients() else {
        return;
    };
    let (world, scripts) = (world(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs"));
    let server = Server::start(&world, &[]);
    for (program, script) in [
        (clients.join("python/bin/python"), "streams_client.py"),
        ("node".into(), "streams_client.js"),
    ] {
        let modules = clients.join("node_modules");
        if script.ends_with(".js") && !modules.exists() {
            continue;
        }
        let mut command = Command::new(program);
        command.env("NODE_PATH", modules).arg(scripts.join(script)).arg(server.port.to_string());
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill_in_the_midst() {
    let world = world();
    let mut server = Server::start(&world, &[]);
    let mut total = 0;
    for round in 0..3 {
        let mut stream = server.connect();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        // Ahead of the answers, so that the kill finds commands at every stage.
        let writer = std::thread::spawn(move || {
            for _ in 0..100_000 {
                if stream.write_all(b"XADD s * f v\r\nINCR n\r\n").is_err() {
                    return;
                }
            }
        });
        let mut answered = 0;
        for _ in 0..2000 * (round + 1) {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let is_count = line.starts_with(':');
            answered += usize::from(is_count);
        }
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        drop(reader);
        writer.join().unwrap();
        server = Server::start(&world, &[]);
        let mut stream = server.connect();
        let seen = say(&mut stream, b"XLEN s\r\nGET n\r\nPING\r\n", "+PONG\r\n");
        let numbers: Vec<usize> =
            seen.lines().filter_map(|line| line.trim_start_matches(':').parse().ok()).collect();
        let [length, count] = numbers[..] else {
            panic!("{seen}");
        };
        assert!(length >= total + answered && count >= total + answered, "{seen} {answered}");
        assert!(length == count || length == count + 1, "commands survive in their order: {seen}");
        total = length.min(count);
    }
}

#[test]
fn a_hostile_client_is_told_why_and_left_and_others_are_served() {
    let world = world();
    let server = Server::start(&world, &[]);
    for (bytes, answer) in [
        (&b"*1\r\n$99999999999\r\n"[..], "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1000000000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n!\r\n", "-ERR Protocol error: expected '$', got '!'\r\n"),
    ] {
        let mut stream = server.connect();
        assert_eq!(say(&mut stream, bytes, "\r\n"), answer);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    }
    let mut stream = server.connect();
    assert!(say(&mut stream, b"NOSUCH\r\n", "\r\n").starts_with("-ERR unknown command 'NOSUCH'"));
    assert_eq!(say(&mut stream, b"PING\r\n", "\r\n"), "+PONG\r\n");
}

#[test]
fn a_client_that_does_not_read_its_answers_holds_nobody_up() {
    let world = world();
    let server = Server::start(&world, &[]);
    let mut other = server.connect();
    let big = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$500000\r\n{}\r\n", "x".repeat(500_000));
    say(&mut other, big.as_bytes(), "+OK\r\n");
    let mut lazy = server.connect();
    // Far more than fits anywhere: the server stops reading, and remembers little.
    lazy.write_all(&b"GET a\r\n".repeat(1000)).unwrap();
    for _ in 0..50 {
        say(&mut other, b"PING\r\n", "+PONG\r\n");
    }
    let status = format!("/proc/{}/status", server.process.id());
    let status = std::fs::read_to_string(status).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 100_000, "{kib} KiB at the peak");
}

#[test]
fn a_client_that_begins_with_much_is_known_from_the_start() {
    let world = world();
    let server = Server::start(&world, &[]);
    let big = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$500000\r\n{}\r\n", "x".repeat(500_000));
    for _ in 0..100 {
        say(&mut server.connect(), big.as_bytes(), "+OK\r\n");
    }
}

#[test]
fn the_password_is_asked_for() {
    let world = world();
    let server = Server::start(&world, &["--password", "hunter2"]);
    let mut stream = server.connect();
    assert!(say(&mut stream, b"GET a\r\n", "\r\n").starts_with("-NOAUTH"));
    assert_eq!(say(&mut stream, b"AUTH hunter2\r\n", "\r\n"), "+OK\r\n");
    assert_eq!(say(&mut stream, b"GET a\r\n", "\r\n"), "$-1\r\n");
}
