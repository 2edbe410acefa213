//! `rebeam dev` with services: real servers from Debian's packages, commands and the project's own release.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Ran, World};

const STATES: [&str; 3] = ["dev", "--state-dir", "states"];

/// Takes the stack down, whatever became of the test.
pub(crate) struct Up<'a>(pub(crate) &'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&[&STATES[..], &["down"]].concat()).output());
    }
}

pub(crate) fn dev(world: &World, arguments: &[&str]) -> Ran {
    world.rebeam(&[&["--json"], &STATES[..], arguments].concat())
}

/// What stands behind `ps`, by name.
pub(crate) fn standing(world: &World) -> BTreeMap<String, Value> {
    let said = dev(world, &["ps"]).succeeds().stdout;
    let all: Vec<Value> = serde_json::from_str(&said).unwrap();
    all.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one)).collect()
}

/// The directory of the one stack of this world.
pub(crate) fn place(world: &World) -> std::path::PathBuf {
    let states = std::fs::read_dir(world.project().join("states")).unwrap();
    let is_stack = |path: &std::path::PathBuf| path.join("lock").exists();
    states.map(|entry| entry.unwrap().path()).find(is_stack).unwrap()
}

pub(crate) fn env(world: &World) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(place(world).join("env")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(crate) fn sql(url: &str, query: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.simple_query(query).await.unwrap();
        drop(client);
        drop(connection.await);
        let text = |message: &tokio_postgres::SimpleQueryMessage| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        rows.iter().filter_map(text).collect()
    })
}

fn say(address: &str, asked: &[u8], length: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(asked).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// Names the processes of this machine whose arguments hold a text.
pub(crate) fn processes(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let arguments = arguments.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    arguments.filter(|arguments| arguments.contains(text)).collect()
}

pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn project(services: &str) -> World {
    let manifest = format!(
        "[project]\nname = \"desk\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n{services}"
    );
    World::of(&[
        ("rebeam.toml", manifest.as_str()),
        ("rebar.config", "{erl_opts, []}.\n"),
        ("src/desk.app.src", "{application, desk, [{vsn, \"1\"}]}.\n"),
        ("dev/schema.sql", "create table t (a int); insert into t values (7);\n"),
        ("dev/cache.txt", "SET kept 7\nRPUSH list a b\n"),
    ])
}

const SERVERS: &str = r#"
[services.db]
kind = "postgres"
ports = [5433]
seed = ["dev/schema.sql"]
[services.cache]
kind = "redis"
ports = [6390]
seed = ["dev/cache.txt"]
[services.broker]
kind = "mosquitto"
ports = [1890]
[services.names]
command = ["sh", "-c", "grep -q '127.0.0.1 db' /etc/hosts && echo $DB_URL ${CACHE_URL} at ${PORT}; touch /data/kept; exec sleep 600"]
ports = [7390]
volumes = ["/data"]
ready = { log = " at " }
depends-on = ["db", "cache"]
"#;

#[test]
fn real_servers_run_from_pinned_packages_and_nothing_is_left_of_them_after_a_kill() {
    let world = project(SERVERS);
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("[[service]]\npackages = [\"postgresql\"]"), "{lock}");
    dev(&world, &["up", "-d"]).succeeds();
    let _end = Up(&world);
    let standings = standing(&world);
    for name in ["db", "cache", "broker", "names", "mqtt", "redis"] {
        assert_eq!(standings[name]["state"], "ready", "{name}");
    }
    let told = env(&world);
    assert!(!standings["db"]["url"].as_str().unwrap().contains(&told["DB_PASSWORD"]));
    assert_eq!(
        sql(&told["DB_URL"], "insert into t values (8); select a from t order by a"),
        ["7", "8"]
    );
    let cache = standings["cache"]["address"].as_str().unwrap();
    assert_eq!(say(cache, b"GET kept\r\n", 7), b"$1\r\n7\r\n");
    let broker = standings["broker"]["address"].as_str().unwrap();
    let connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c1";
    assert_eq!(say(broker, connect, 4), b"\x20\x02\0\0");
    let logs = dev(&world, &["logs", "names"]).succeeds().stdout;
    let expected = format!("{} {} at {}", told["DB_URL"], told["CACHE_URL"], told["NAMES_PORT"]);
    assert!(logs.contains(&expected), "{logs}");

    dev(&world, &["restart", "db"]).succeeds();
    assert_eq!(standing(&world)["db"]["restarts"], 1);
    assert_eq!(sql(&told["DB_URL"], "select count(*) from t"), ["2"]);
    world
        .rebeam(&[&STATES[..], &["restart", "nobody"]].concat())
        .fails(1, &["there is no service `nobody`", "broker, cache, db, names"]);

    let mark = format!("port={}", told["DB_PORT"]);
    assert!(!processes(&mark).is_empty());
    let record = std::fs::read_to_string(place(&world).join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    assert!(
        Command::new("sh").args(["-c", &format!("kill -9 {process}")]).status().unwrap().success()
    );
    eventually("PostgreSQL outlived rebeam", || processes(&mark).is_empty());
    let redis = format!("--port {}", told["CACHE_PORT"]);
    eventually("Redis outlived rebeam", || processes(&redis).is_empty());

    let begun = Instant::now();
    dev(&world, &["up", "-d"]).succeeds();
    // Five seconds are promised on a machine that does nothing else.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(env(&world)["DB_URL"], told["DB_URL"]);
    assert_eq!(sql(&told["DB_URL"], "select count(*) from t"), ["2"]);
    dev(&world, &["down"]).succeeds();
    assert_eq!(processes(&mark), Vec::<String>::new());
    let said = dev(&world, &["logs", "db"]).succeeds().stdout;
    assert!(said.contains("database system is shut down"), "{said}");
}

#[test]
fn a_service_that_never_gets_ready_ends_the_start_with_its_last_lines() {
    let world = project(
        "[services.slow]\ncommand = [\"sh\", \"-c\", \"echo warming up; exec sleep 600\"]\n\
         ready = { log = \"warm\\u0021\", timeout = 1 }\n",
    );
    let started = Instant::now();
    // In the background it is as much a person's own matter.
    for arguments in [&["up"][..], &["up", "-d"]] {
        let ran = world.rebeam(&[&STATES[..], arguments].concat());
        ran.fails(1, &["`slow` was not ready within 1 s", "warming up", "rebeam dev logs slow"]);
    }
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(standing(&world).is_empty());
}

#[test]
fn a_service_that_is_started_is_ended_by_down_before_it_is_ready() {
    let world = project(
        "[services.slow]\ncommand = [\"sleep\", \"600.25\"]\nready = { log = \"never\", timeout = 60 }\n",
    );
    let mut up = world.command(&[&STATES[..], &["up"]].concat());
    let mut up = up.spawn().unwrap();
    let _end = Up(&world);
    let is_starting =
        || Path::new(&world.project().join("states")).exists() && !standing(&world).is_empty();
    eventually("it never began", is_starting);
    assert_eq!(standing(&world)["slow"]["state"], "starting");
    dev(&world, &["down"]).succeeds();
    assert!(up.wait().unwrap().success());
    assert_eq!(processes("600.25"), Vec::<String>::new());
}

#[test]
fn several_files_are_laid_over_one_another_and_each_value_names_its_origin() {
    let world = project(SERVERS);
    world.write("mine.toml", "[services.db]\nports = [5999]\n[services.names.env]\nA = \"1\"\n");
    let said = world.rebeam(&["dev", "config", "-f", "mine.toml", "--profile", "bare"]);
    let said = said.succeeds().stdout;
    for line in [
        "[services.db]",
        "ports = [5999]  # mine.toml:2",
        "kind = \"postgres\"  # rebeam.toml:8",
        "A = \"1\"  # mine.toml:4",
    ] {
        assert!(said.contains(line), "{line} is missing in:\n{said}");
    }
    let said = world.rebeam(&["dev", "config", "--profile", "emqttd"]).succeeds().stdout;
    assert!(said.contains("kind = \"postgres\"  # profile emqttd"), "{said}");
    // Where no file says anything, the defaults are shown.
    let nothing = World::of(&[("notes.txt", "")]);
    let said = nothing.rebeam(&["dev", "config"]).succeeds().stdout;
    assert!(
        said.contains("[dev.access]\n") && said.contains("release = true  # default"),
        "{said}"
    );
    world.write("bad.toml", "[image]\nname = \"x\"\n");
    world.rebeam(&["dev", "config", "-f", "bad.toml"]).fails(1, &["bad.toml:1:2", "`image`"]);
    world.rebeam(&["dev", "config", "-f", "none.toml"]).fails(1, &["`none.toml` does not exist"]);
}

#[test]
fn a_snapshot_of_a_stack_that_is_down_is_put_back() {
    let world = project("");
    let say_redis = |asked: &str, answer: &str| {
        let standings = standing(&world);
        let address = standings["redis"]["address"].as_str().unwrap();
        let said = say(address, format!("{asked}\r\n").as_bytes(), answer.len());
        assert_eq!(String::from_utf8_lossy(&said), answer);
    };
    dev(&world, &["up", "-d"]).succeeds();
    let _end = Up(&world);
    say_redis("SET kept 7", "+OK\r\n");
    world
        .rebeam(&[&STATES[..], &["snapshot", "save", "first"]].concat())
        .fails(1, &["is up already", "rebeam dev down"]);
    dev(&world, &["down"]).succeeds();
    dev(&world, &["snapshot", "save", "first"]).succeeds();
    dev(&world, &["down", "--volumes"]).succeeds();
    dev(&world, &["snapshot", "load", "first"]).succeeds();
    dev(&world, &["up", "-d"]).succeeds();
    say_redis("GET kept", "$1\r\n7\r\n");
}

#[test]
fn the_release_that_was_built_runs_with_the_addresses_of_the_stack() {
    let world = World::with("hello");
    let text = world.read("rebeam.toml");
    let service = "[services.web]\nrelease = true\nports = [18571]\nenv = { PORT = \"${PORT}\" }\nready = { http = \"/\" }\n";
    world.write("rebeam.toml", &format!("{text}\n{service}"));
    world
        .rebeam(&[&STATES[..], &["up", "-d"]].concat())
        .fails(1, &["none is built", "rebeam build"]);
    world.rebeam(&["build"]).succeeds();
    dev(&world, &["up", "-d"]).succeeds();
    let _end = Up(&world);
    let web = standing(&world).remove("web").unwrap();
    assert_eq!(web["state"], "ready");
    let answer = say(web["address"].as_str().unwrap(), b"GET / HTTP/1.0\r\n\r\n", 9);
    assert!(answer.starts_with(b"HTTP/1."));
    dev(&world, &["restart", "web"]).succeeds();
    assert_eq!(standing(&world)["web"]["restarts"], 1);
}

#[test]
fn programs_of_this_machine_are_refused_where_nothing_can_be_mounted() {
    let world = project("[services.job]\ncommand = [\"/bin/true\"]\n");
    let begun = Instant::now();
    world
        .rebeam(&["--sandbox", "chroot", "dev", "--state-dir", "states", "up"])
        .fails(1, &["`job` runs programs of this machine", "packages = [", "--sandbox userns"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
