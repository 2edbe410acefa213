//! `rebeam explain`, `rebeam image ls|history|check`, and what `rebeam run` shows of this machine.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::World;

#[track_caller]
fn explains(world: &World, what: &str, says: &[&str]) {
    let told = world.rebeam(&["explain", what]).succeeds();
    for words in says {
        assert!(told.stdout.contains(words), "{what}: {words:?} is missing in:\n{}", told.stdout);
    }
}

#[test]
fn every_byte_of_an_image_has_a_pin_a_package_or_a_maker() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let commit = world.git("words", &["rev-parse", "v0.2.0"]);
    let words = "/app/lib/words-0.2.0/ebin/words.beam";
    explains(
        &world,
        words,
        &["words 0.2.0, a locked dependency", &commit, "asked by  tinyhttp", "key sha256:"],
    );
    explains(
        &world,
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        &["package  libc6 2.", ".deb of bookworm"],
    );
    explains(
        &world,
        "app/lib/hello-1.0.0/ebin/hello_app.beam",
        &["hello 1.0.0, the project's own"],
    );
    explains(
        &world,
        "/app/lib/stdlib-4.2/ebin/lists.beam",
        &["of the toolchain's OTP", "erlang-base"],
    );
    explains(&world, "/app/releases/1.0.0/start.boot", &["the project's release"]);
    explains(&world, "/etc/passwd", &["rebeam, which lays out"]);
    explains(&world, &commit, &["words (dep)", "tag v0.2.0"]);
    let near = "the image has `/app/lib/words-0.2.0/ebin/words.beam`";
    world.rebeam(&["explain", "/lib/words.beam"]).fails(1, &["answers to `/lib/words.beam`", near]);
}

#[test]
fn an_image_is_known_by_each_of_its_digests() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["build"]).succeeds();
    let told = world.rebeam(&["image", "inspect", "--json"]).succeeds();
    let image: Value = serde_json::from_str(&told.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let layer = &image["layers"][2];
    for (digest, says) in [
        (text(&image["image_id"]), "image id"),
        (text(&image["manifest"]), "manifest"),
        (text(&layer["digest"]), "its blob, as registries know it"),
        (text(&layer["diff_id"]), "its plain tar"),
        (text(&layer["diff_id"])[7..19].to_owned(), "deps, number 3"),
    ] {
        explains(&world, &digest, &[says]);
    }
    // The store knows the image when its file is gone.
    fs::remove_file(world.project().join("hello-1.0.0.tar")).unwrap();
    explains(&world, &text(&image["image_id"]), &["hello:1.0.0"]);
    explains(&world, &text(&image["manifest"])[7..19], &["hello:1.0.0"]);
    explains(&world, &text(&layer["digest"])[7..19], &["its blob, as registries know it"]);
    let listed = world.rebeam(&["image", "ls"]).succeeds();
    assert!(listed.stdout.contains(&text(&image["image_id"])[7..19]), "{}", listed.stdout);
    let history = world.rebeam(&["image", "history", "hello:1.0.0"]).succeeds();
    assert!(history.stdout.contains("rebeam layer=deps"), "{}", history.stdout);
    world.rebeam(&["explain", "0000000"]).fails(1, &["there is no image at"]);
}

#[test]
fn an_image_says_what_it_asks_of_who_runs_it() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let told = world.rebeam(&["image", "check", "--json"]).succeeds();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["ports"], serde_json::json!(["8080/tcp"]));
    assert_eq!(told["kernel"], "3.2.0");
    assert_eq!(told["problems"], serde_json::json!([]));
    let natives = told["natives"].as_array().unwrap();
    assert!(natives.iter().any(|native| native["own"] == true), "{natives:?}");
    let told = world.rebeam(&["image", "check"]).succeeds();
    assert!(told.stdout.contains("kernel    3.2.0 or newer"), "{}", told.stdout);
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks a service until it answers.
fn answer(port: u16) -> Option<String> {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut text = String::new();
            if stream.read_to_string(&mut text).is_ok() && !text.is_empty() {
                return Some(text);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

#[test]
fn a_started_image_is_reached_under_another_port() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let (inside, outside) = (free_port(), free_port());
    let (env, port) = (format!("PORT={inside}"), format!("127.0.0.1:{outside}:{inside}"));
    let mut command = world.command(&["run", "-e", &env, "-p", &port]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let answered = answer(outside);
    let _ = std::process::Command::new("kill").arg(running.id().to_string()).status();
    running.wait().unwrap();
    assert!(answered.unwrap().starts_with("HTTP/1."));
}

#[test]
fn a_signal_while_an_ended_release_is_cleared_away_changes_nothing() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let port = free_port();
    let mut command = world.command(&["run", "-e", &format!("PORT={port}")]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let answered = answer(port);
    // Asked again and again, until the last of it is gone.
    let until = Instant::now() + Duration::from_secs(60);
    while running.try_wait().unwrap().is_none() && Instant::now() < until {
        let _ = std::process::Command::new("kill").arg(running.id().to_string()).status();
    }
    let _ = running.kill();
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert!(answered.is_some());
}

#[test]
fn ports_and_volumes_that_cannot_be_had_are_told_before_anything_starts() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    world.rebeam(&["run", "-p", &port]).fails(3, &["cannot be listened on", "ss -ltnp"]);
    world.rebeam(&["run", "-p", "53/udp"]).fails(2, &["only TCP ports"]);
    world
        .rebeam(&["run", "--volume", "./gone:/data"])
        .fails(2, &["is not there", "mkdir -p ./gone"]);
    world.rebeam(&["run", "--volume", "data:/data"]).fails(2, &["write `./data`"]);
    world.write("notes/one", "a note\n");
    let looked = world.rebeam(&[
        "shell",
        "--volume",
        "./notes:/notes:ro",
        "-e",
        "A=b",
        "--",
        "sh",
        "-c",
        "cat /notes/one; echo $A; touch /notes/x || true",
    ]);
    let looked = looked.succeeds();
    assert_eq!(looked.stdout, "a note\nb\n");
}
