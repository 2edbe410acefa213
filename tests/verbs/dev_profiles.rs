//! `rebeam dev up --profile`: stacks by name, whole.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dev_services::{dev, env, place, sql, standing};
use super::harness::World;
use super::mqtt::{Mqtt, text};

/// Takes the stack down, whatever became of the test.
struct Up<'a> {
    world: &'a World,
    standings: BTreeMap<String, Value>,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.world.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

impl<'a> Up<'a> {
    fn new(world: &'a World, profile: &str) -> Self {
        dev(world, &["up", "-d", "--profile", profile]).succeeds();
        Self { world, standings: standing(world) }
    }

    fn address(&self, service: &str) -> SocketAddr {
        let standing = &self.standings[service];
        assert_eq!(standing["state"], "ready", "{service}");
        standing["address"].as_str().unwrap().parse().unwrap()
    }

    fn connect(&self, client: &str, password: &str) -> (Mqtt, u8) {
        Mqtt::connect(self.address("mqtt"), client, ("username", password))
    }

    fn get(&self, service: &str, path: &str) -> Value {
        let address = self.address(service);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }
}

fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const EMQTTD: &str = r#"
[project]
name = "desk"
version = "1"
[toolchain]
otp = "25"
[services.names]
command = ["sh", "-c", "getent hosts postgres && getent hosts elasticsearch && echo found; exec sleep 600"]
ready = { log = "found" }
"#;

#[test]
fn emqttds_stack_asks_a_real_postgresql_and_says_what_it_denied() {
    let world = World::of(&[("rebeam.toml", EMQTTD)]);
    let up = Up::new(&world, "emqttd");
    let url = &env(&world)["POSTGRES_URL"];
    assert_eq!(sql(url, "select username from mqtt_user"), ["username"]);
    // Nobody has to wait for a database that was started after the broker.
    let (mut mqtt, told) = up.connect("one", "password");
    assert_eq!(told, 0);
    assert_eq!(up.connect("two", "wrong").1, 4);
    assert_eq!((mqtt.subscribe("a/#"), mqtt.subscribe("a/b")), (0, 0));
    // A copy for each filter, and then the answer to the message.
    mqtt.send(0x32, &[text("a/b").as_slice(), b"\0\x07x"].concat());
    let mut kinds: Vec<u8> = (0..3).map(|_| mqtt.read().0).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [0x30, 0x30, 0x40]);

    sql(url, "update mqtt_acl set allow = 0 where topic = '#'");
    within(Duration::from_secs(2), "the changed row counts", || {
        // emqttd answers a denied message with nothing; the ping behind it is answered.
        mqtt.send(0x32, &[text("secret/x").as_slice(), b"\0\x08x"].concat());
        mqtt.send(0xc0, b"");
        let is_denied = mqtt.read().0 == 0xd0;
        assert!(is_denied || mqtt.read().0 == 0xd0);
        is_denied
    });
    within(Duration::from_secs(5), "the denial is an event", || {
        let found = up.get("elasticsearch", "/_search?q=event:acl_denied");
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter().any(|hit| {
            let event = &hit["_source"];
            event["topic"] == "secret/x" && event["client_id"] == "one"
        })
    });
    // Verbs that ask about the rules know which profile is up.
    let rules = dev(&world, &["acl", "ls"]).succeeds().stdout;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&rules).unwrap().len(), 4, "{rules}");

    let overview = up.get("page", "/overview.json");
    let shown = overview["services"].as_array().unwrap();
    let shown = shown.iter().find(|service| service["name"] == "postgres").unwrap();
    assert_eq!((&shown["state"], &shown["restarts"]), (&"ready".into(), &0.into()));
    assert!(!overview.to_string().contains(&env(&world)["POSTGRES_PASSWORD"]));
    let log = std::fs::read_to_string(place(&world).join("log")).unwrap();
    assert!(!log.contains(&env(&world)["POSTGRES_PASSWORD"]), "{log}");

    // What a person changed in the database stays, and is not filled again.
    dev(&world, &["down"]).succeeds();
    let up = Up::new(&world, "emqttd");
    assert_eq!(sql(url, "select count(*) from mqtt_acl where allow = 0"), ["2"]);
    let (mut mqtt, told) = up.connect("one", "password");
    assert_eq!((told, mqtt.subscribe("a/b")), (0, 0x80));
}

#[test]
fn a_real_redis_in_the_place_of_ours_has_mainfluxs_streams() {
    let manifest = "[project]\nname = \"desk\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n\
                    [services.redis]\nkind = \"redis\"\n";
    let world = World::of(&[("rebeam.toml", manifest)]);
    world.rebeam(&["lock"]).succeeds();
    let up = Up::new(&world, "mainflux");
    let thing = dev(&world, &["thing", "create", "--name", "kiln", "--key", "mine"]).succeeds();
    let thing: Value = serde_json::from_str(&thing.stdout).unwrap();
    let thing = thing["id"].as_str().unwrap();
    dev(&world, &["config", "create", "00:11", "--external-key", "k"]).succeeds();
    assert_eq!(up.connect("c", "mine").1, 0);
    let stream = |name: &str| {
        let mut stream = TcpStream::connect(up.address("redis")).unwrap();
        write!(stream, "XRANGE {name} - +\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for (name, wanted) in [
        ("mainflux.things", vec!["thing.create", "operation", "kiln", thing]),
        ("mainflux.bootstrap", vec!["config.create", "external_id", "externalID", "timestamp"]),
        ("mainflux.mqtt", vec![thing, "disconnect", "timestamp", "instance"]),
        ("rebeam.events", vec!["client_connected"]),
    ] {
        within(Duration::from_secs(20), name, || {
            let held = stream(name);
            wanted.iter().all(|wanted| held.contains(wanted))
        });
    }
    assert!(!stream("mainflux.things").contains("mine"), "a key is no news for everybody");
}

#[test]
fn mainfluxs_stack_serves_each_of_its_services_and_knows_things_by_their_keys() {
    let world = World::of(&[("README", "no release yet")]);
    let up = Up::new(&world, "mainflux");
    for service in ["things", "things-users", "things-api", "things-http", "things-reader"] {
        let version = up.get(service, "/version");
        assert!(version["service"].is_string(), "{service}: {version}");
    }
    TcpStream::connect(up.address("things-auth")).unwrap();
    TcpStream::connect(up.address("things-bootstrap")).unwrap();
    assert_eq!(up.connect("kiln", "wrong").1, 4);
    let access = up.get("page", "/access.json");
    assert!(access["order"][0].as_str().unwrap().starts_with("Things decide here"), "{access}");
}
