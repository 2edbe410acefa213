//! `rebeam dev watch`: the release is as its sources are.

use std::fs::File;
use std::time::{Duration, Instant};

use super::dev_services::{dev, standing};
use super::harness::World;

fn eventually(what: &str, world: &World, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let said = std::fs::read_to_string(world.path("said")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(300), "{what}:\n{said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The page of the release, where it answers.
fn page(world: &World) -> Option<String> {
    let web = standing(world).remove("web")?;
    let address = web["address"].as_str()?.to_owned();
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut said = String::new();
    std::io::Read::read_to_string(&mut stream, &mut said).ok()?;
    Some(said)
}

#[test]
fn a_changed_module_runs_a_moment_later_and_one_that_does_not_compile_changes_nothing() {
    let world = World::with("hello");
    let text = world.read("rebeam.toml");
    let service = "[services.web]\nrelease = true\nports = [18577]\nenv = { PORT = \"${PORT}\" }\nready = { http = \"/\" }\n";
    world.write("rebeam.toml", &format!("{text}\n{service}"));
    let said = File::create(world.path("said")).unwrap();
    let mut watch = world.command(&["dev", "--state-dir", "states", "watch"]);
    let mut watch = watch.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
    let heard = |text: &str| std::fs::read_to_string(world.path("said")).unwrap().contains(text);
    let shows = |text: &str| page(&world).is_some_and(|page| page.contains(text));
    let is_ready = || dev(&world, &["ps", "--ready"]).code == 0;
    eventually("the stack was never ready", &world, is_ready);
    assert!(shows("hello from rebeam"));
    // What does not compile is said, and what runs goes on.
    world.edit("src/hello_page.erl", "answer(_Method, _Path) ->", "answer(_Method, _Path ->");
    eventually("the fault was never told", &world, || heard("hello_page.erl"));
    assert!(heard("error:") && shows("hello from rebeam"));
    assert_eq!(standing(&world)["web"]["restarts"], 0);
    // What is no source changes nothing, either.
    world.write("_build/new", "x");
    world.edit("src/hello_page.erl", "answer(_Method, _Path ->", "answer(_Method, _Path) ->");
    world.edit("src/hello_page.erl", "hello from rebeam", "hello once more");
    eventually("the new release was never seen", &world, || shows("hello once more"));
    assert_eq!(standing(&world)["web"]["restarts"], 1);
    let interrupted = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(interrupted, rustix::process::Signal::INT).unwrap();
    assert!(watch.wait().unwrap().success());
    assert!(standing(&world).is_empty());
}
