//! `rebeam dev acl`, and what the stack makes of the rules.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::Cluster;
use super::harness::{Ran, World};
use super::mqtt::{Mqtt, text};

const MANIFEST: &str = "[project]\nname = \"shop\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n\
                        [dev.access]\nprovider = \"sql\"\n";
const DEV: [&str; 3] = ["dev", "--state-dir", "states"];

/// Takes the stack down, whatever became of the test.
struct Up<'a> {
    world: &'a World,
    address: SocketAddr,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.world.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

impl<'a> Up<'a> {
    fn new(world: &'a World) -> Self {
        let services = json(world, &["up", "-d"]);
        let mqtt = services.as_array().unwrap().iter().find(|service| service["name"] == "mqtt");
        Self { world, address: mqtt.unwrap()["address"].as_str().unwrap().parse().unwrap() }
    }

    /// Connects a client of MQTT 3.1.1 and returns what it is told.
    fn connect(&self, user: &str, password: &str) -> (Mqtt, u8) {
        Mqtt::connect(self.address, "client1", (user, password))
    }

    /// Tells whether a message that is published comes back to who subscribed to everything.
    fn is_delivered(&self, topic: &str) -> bool {
        let (mut mqtt, told) = self.connect("username", "password");
        assert_eq!(told, 0);
        if mqtt.subscribe("#") != 0 {
            return false;
        }
        mqtt.send(0x30, &[text(topic).as_slice(), b"x"].concat());
        // Answers go before messages where both are due at once, so only the second ping is answered behind all.
        (0..2).any(|_| {
            mqtt.send(0xc0, b"");
            mqtt.read().0 == 0x30
        })
    }

    fn settles(&self, topic: &str, is_delivered: bool) {
        let begin = Instant::now();
        while self.is_delivered(topic) != is_delivered {
            assert!(begin.elapsed() < Duration::from_secs(2), "{topic} stays {}", !is_delivered);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn json(world: &World, arguments: &[&str]) -> Value {
    let all = [&["--json"], &DEV[..], arguments].concat();
    serde_json::from_str(&world.rebeam(&all).succeeds().stdout).unwrap()
}

fn acl(world: &World, arguments: &[&str]) -> Ran {
    world.rebeam(&[&DEV[..], &["acl"], arguments].concat())
}

/// Says all of these, on either of its outputs.
#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    for words in words {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
}

#[test]
fn the_readmes_user_is_let_in_and_a_changed_row_counts_while_the_stack_is_up() {
    let world = World::of(&[("rebeam.toml", MANIFEST)]);
    // The rules are there before the stack was ever up.
    assert_eq!(json(&world, &["acl", "ls"]).as_array().unwrap().len(), 4);
    let up = Up::new(&world);
    assert_eq!(up.connect("username", "wrong").1, 4);
    assert_eq!(up.connect("nobody", "password").1, 4);
    assert!(up.is_delivered("a/b") && up.is_delivered("secret/a"));
    // What was added last decides; what no longer does because of it is said at once.
    let added = acl(&world, &["add", "deny", "secret/#", "--user", "username", "--publish"]);
    says(&added.succeeds(), &["row 5 of mqtt_acl", "deny"]);
    up.settles("secret/a", false);
    assert!(up.is_delivered("a/b"));
    let added = acl(&world, &["add", "allow", "#"]).succeeds();
    says(&added, &["row 6 of mqtt_acl", "row 5", "it never decides: row 6 of mqtt_acl"]);
    acl(&world, &["lint"]).fails(1, &[]);
    acl(&world, &["rm", "6"]).succeeds();
    acl(&world, &["rm", "1"]).succeeds();
    up.settles("a/b", false);
    let explain = ["acl", "explain", "--client", "c", "--user", "username", "--topic", "secret/a"];
    let explained = json(&world, &explain);
    assert_eq!(explained["allowed"], false);
    assert_eq!(explained["decided_by"], "row 5 of mqtt_acl: deny user username publish secret/#");
    let explained = acl(&world, &explain[1..]).succeeds();
    says(&explained, &["denied by row 5"]);
    acl(&world, &["lint"]).succeeds();
    acl(&world, &["rm", "99"]).fails(1, &["has no row 99", "rebeam dev acl ls"]);
}

#[test]
fn rules_in_a_real_postgresql_decide_and_its_end_is_told_and_survived() {
    let Some(mut cluster) = Cluster::start() else { return };
    let world = World::of(&[("rebeam.toml", MANIFEST)]);
    let schema = acl(&world, &["schema"]).succeeds().stdout;
    let database = cluster.database(&schema);
    world.write("rebeam.toml", &format!("{MANIFEST}url = \"{}\"\n", cluster.url(&database)));
    let up = Up::new(&world);
    assert_eq!(up.connect("username", "wrong").1, 4);
    assert!(up.is_delivered("a/b"));
    cluster.sql("update mqtt_acl set allow = 0 where topic = '#'", &database);
    up.settles("a/b", false);
    let (mut mqtt, _) = up.connect("username", "password");
    assert_eq!(mqtt.subscribe("a"), 0x80);
    says(&acl(&world, &["add", "allow", "#"]), &["row 5 of mqtt_acl"]);
    acl(&world, &["rm", "1"]).succeeds();
    up.settles("a/b", true);
    cluster.down();
    let begin = Instant::now();
    assert_eq!(up.connect("username", "password").1, 3);
    assert!(begin.elapsed() < Duration::from_secs(4));
    acl(&world, &["ls"]).fails(3, &["does not answer", "start the database"]);
    cluster.up();
    let begin = Instant::now();
    while up.connect("username", "password").1 != 0 {
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    up.settles("a/b", true);
}

#[test]
fn denials_are_told_or_silent_as_the_manifest_wants_it() {
    for (denied, codes, is_answered) in [("told", [0, 0x80], true), ("silent", [0x80, 0x80], false)]
    {
        let world = World::of(&[("rebeam.toml", &format!("{MANIFEST}denied = \"{denied}\"\n"))]);
        let up = Up::new(&world);
        acl(&world, &["add", "allow", "a"]).succeeds();
        acl(&world, &["rm", "1"]).succeeds();
        up.settles("x", false);
        // Only now: whoever connects by the same identifier ends the connection before.
        let (mut mqtt, _) = up.connect("username", "password");
        mqtt.send(0x82, &[b"\0\x01".as_slice(), &text("a"), b"\0", &text("x"), b"\0"].concat());
        assert_eq!(mqtt.read().1[2..], codes, "{denied}");
        mqtt.send(0x32, &[text("x").as_slice(), b"\0\x02x"].concat());
        mqtt.send(0xc0, b"");
        // The answer to the message, or that to the ping behind it.
        assert_eq!(mqtt.read().0, if is_answered { 0x40 } else { 0xd0 }, "{denied}");
    }
}

#[test]
fn without_a_word_access_is_open_and_words_that_are_none_are_refused() {
    let world = World::of(&[("rebeam.toml", MANIFEST)]);
    for (line, said) in [
        ("password-hash = \"plain;\"", "`plain;` is no way to keep passwords"),
        ("file = \"gone.conf\"", "gone.conf"),
        ("url = \"${GONE_URL}\"", "`[dev.access]` speaks of `${GONE_URL}`"),
        ("url = \"mysql://x\"", "no address of a PostgreSQL database"),
    ] {
        world.write("rebeam.toml", &format!("{MANIFEST}{line}\n"));
        let ran = world.rebeam(&[&DEV[..], &["up", "-d"]].concat());
        assert!(ran.code != 0 && ran.stderr.contains(said), "{line}: {}", ran.stderr);
    }
    world.write("rebeam.toml", &MANIFEST.replace("sql", "opne"));
    acl(&world, &["ls"]).fails(1, &["must be one of `open`, `sql`, `acl.conf`"]);
    world.write("rebeam.toml", &MANIFEST.replace("sql", "open"));
    let listed = acl(&world, &["ls"]).succeeds();
    assert!(listed.stderr.contains("access is open"), "{}", listed.stderr);
    acl(&world, &["add", "allow", "#"]).fails(1, &["there are no rules", "provider = \"sql\""]);
}
