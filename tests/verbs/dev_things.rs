//! `rebeam dev thing`, `channel`, `config` and `user`, and the whole way of a message: from a thing over MQTT and HTTP
//! to the streams and back out of the reader.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Ran, World};

/// Takes the stack down, whatever became of the test.
struct Up<'a> {
    world: &'a World,
    services: Value,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.world.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

impl<'a> Up<'a> {
    fn new(world: &'a World, more: &[&str]) -> Self {
        let arguments = [&["--json", "dev", "--state-dir", "states", "up", "-d"], more].concat();
        let services = serde_json::from_str(&world.rebeam(&arguments).succeeds().stdout).unwrap();
        Self { world, services }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.world.rebeam(&[&["dev", "--state-dir", "states"], arguments].concat())
    }

    fn text(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeds().stdout.trim().to_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json", "dev", "--state-dir", "states"], arguments].concat();
        serde_json::from_str(&self.world.rebeam(&arguments).succeeds().stdout).unwrap()
    }

    fn connect(&self, name: &str) -> TcpStream {
        let services = self.services.as_array().unwrap();
        let service = services.iter().find(|service| service["name"] == name).unwrap();
        let address: SocketAddr = service["address"].as_str().unwrap().parse().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Asks a service of things, with a key or a token.
    fn ask(&self, service: &str, asked: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect(service);
        let length = body.len();
        let text = format!(
            "{asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {token}\r\n\
             Content-Type: application/senml+json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// What a stream holds, as the server writes it, once it holds all of `wanted`.
    fn stream(&self, name: &str, wanted: &[&str]) -> String {
        for _ in 0..100 {
            let mut stream = self.connect("redis");
            write!(stream, "XREAD COUNT 100 STREAMS {name} 0\r\nQUIT\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            if wanted.iter().all(|wanted| answer.contains(wanted)) {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} never held all of {wanted:?}");
    }

    /// Publishes at quality 1 as whoever has a key; tells whether that was acknowledged.
    fn publish(&self, key: &str, topic: &str, payload: &str) -> bool {
        let mut stream = self.connect("mqtt");
        let text = |text: &str| {
            [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
        };
        let packet = |first: u8, body: Vec<u8>| {
            let mut packet = vec![first];
            let mut rest = body.len();
            while rest > 0x7f {
                packet.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            packet.push(u8::try_from(rest).unwrap());
            [packet, body].concat()
        };
        let hello =
            [b"\0\x04MQTT\x04\xc2\0\0".to_vec(), text("kiln-1"), text("anybody"), text(key)]
                .concat();
        stream.write_all(&packet(0x10, hello)).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        if answer[3] != 0 {
            assert_eq!(answer[3], 4);
            return false;
        }
        let body = [text(topic), vec![0, 5], payload.as_bytes().to_vec()].concat();
        stream.write_all(&packet(0x32, body)).unwrap();
        stream.read_exact(&mut answer).is_ok() && answer == [0x40, 2, 0, 5]
    }
}

#[test]
fn a_message_goes_from_a_thing_over_its_channel_into_streams_and_out_of_the_reader() {
    let world = World::of(&[("README", "no release yet")]);
    let up = Up::new(&world, &["--things"]);
    let thing = up.text(&["thing", "create", "--name", "kiln", "--metadata", r#"{"room": 7}"#]);
    let channel = up.text(&["channel", "create", "--name", "heat"]);
    up.run(&["thing", "connect", "kiln", "heat"]).succeeds();
    let key = up.text(&["thing", "key", "kiln"]);

    let asked = up.run(&["acl", "ls"]).succeeds();
    assert!(asked.stderr.contains("things decide here"), "{}", asked.stderr);
    let topic = format!("channels/{channel}/messages");
    assert!(up.publish(&key, &topic, r#"[{"bn":"k:","n":"t","u":"Cel","t":1000,"v":21.5}]"#));
    assert!(!up.publish("wrong", &topic, "[]"));
    let asked = format!("POST /channels/{channel}/messages/low");
    assert_eq!(up.ask("things-http", &asked, &key, r#"[{"n":"h","t":2000,"vs":"wet"}]"#).0, 202);
    let asked = format!("GET /channels/{channel}/messages");
    let (status, body) = up.ask("things-reader", &asked, &key, "");
    assert_eq!(status, 200);
    let wanted = json!({"total": 2, "offset": 0, "limit": 10, "messages": [
        {"channel": channel, "subtopic": "low", "publisher": thing, "protocol": "http", "name": "h", "time": 2000, "stringValue": "wet"},
        {"channel": channel, "publisher": thing, "protocol": "mqtt", "name": "k:t", "unit": "Cel", "time": 1000, "value": 21.5},
    ]});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), wanted);

    let things = up.stream("mainflux.things", &["thing.create", "channel.create", "thing.connect"]);
    assert!(
        things.contains("dev@rebeam.localhost") && things.contains(r#"{"room":7}"#),
        "{things}"
    );
    assert!(!things.contains(&key), "a key is no news for everybody");
    // The client is known by its thing and not by the name that it made up.
    let mqtt = up.stream("mainflux.mqtt", &["disconnect"]);
    assert!(mqtt.contains(&thing) && !mqtt.contains("anybody"), "{mqtt}");
    up.run(&["config", "create", "00:11", "--external-key", "secret", "--channel", "heat"])
        .succeeds();
    up.run(&["config", "activate", "00:11"]).succeeds();
    let (status, body) = up.ask("things-bootstrap", "GET /things/bootstrap/00:11", "secret", "");
    assert_eq!((status, body.contains(&channel)), (200, true), "{body}");
    up.stream(
        "mainflux.bootstrap",
        &["config.create", "external_id", "externalID", "thing.state_change", "thing.bootstrap"],
    );
}

#[test]
fn what_was_acknowledged_before_a_kill_is_read_back_after_it() {
    let world = World::of(&[("README", "no release yet")]);
    let up = Up::new(&world, &["--things"]);
    up.text(&["thing", "create", "--name", "kiln"]);
    let channel = up.text(&["channel", "create", "--name", "heat"]);
    up.run(&["thing", "connect", "kiln", "heat"]).succeeds();
    let key = up.text(&["thing", "key", "kiln"]);
    let topic = format!("channels/{channel}/messages");
    for number in 0..20 {
        let pack = format!(r#"[{{"n":"t","t":{},"v":{number}}}]"#, 1000 + number);
        assert!(up.publish(&key, &topic, &pack));
    }
    let record = std::fs::read_dir(world.project().join("states")).unwrap().next().unwrap();
    let record = std::fs::read_to_string(record.unwrap().path().join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    let kill = format!("kill -9 {process}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ended = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        up.json(&["ps"]) == json!([])
    });
    assert!(ended);
    let up = Up::new(&world, &["--things"]);
    let asked = format!("GET /channels/{channel}/messages?limit=100");
    let body: Value = serde_json::from_str(&up.ask("things", &asked, &key, "").1).unwrap();
    assert_eq!((&body["total"], &body["messages"][0]["value"]), (&json!(20), &json!(19)));
}

#[test]
fn the_verbs_of_things_need_no_login_and_say_what_is_wrong() {
    let world = World::of(&[("README", "no release yet")]);
    let down = ["dev", "--state-dir", "states", "thing", "ls"];
    world.rebeam(&down).fails(1, &["the stack of this project is not up", "rebeam dev up -d"]);
    let up = Up::new(&world, &[]);
    // By themselves things are there, and nobody has to be one: the broker is open.
    assert!(up.publish("any", "a/b", "x"));
    let id = up.json(&["thing", "create", "--name", "kiln", "--key", "mine"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    up.run(&["thing", "create", "--key", "mine"]).fails(1, &["this key is another thing's"]);
    up.run(&["thing", "update", "kiln", "--metadata", r#"{"a": 1}"#]).succeeds();
    assert_eq!(
        up.json(&["thing", "show", &id]),
        json!({"id": id, "name": "kiln", "key": "mine", "metadata": {"a": 1}})
    );
    assert_eq!(up.text(&["thing", "key", "kiln", "--set", "other"]), "other");
    up.run(&["thing", "create", "--name", "kiln"]).succeeds();
    up.run(&["thing", "show", "kiln"])
        .fails(1, &["2 things are called `kiln`", "rebeam dev thing ls"]);
    up.run(&["thing", "show", "oven"]).fails(1, &["0 things are called `oven`"]);
    up.run(&["channel", "create", "--metadata", "[]"]).fails(2, &["this is no JSON object"]);
    up.run(&["channel", "create", "--name", "heat"]).succeeds();
    up.run(&["thing", "connect", &id, "heat"]).succeeds();
    assert_eq!(up.json(&["channel", "ls", "--thing", &id]).as_array().unwrap().len(), 1);
    assert_eq!(up.json(&["thing", "ls", "--channel", "heat"])[0]["id"], id);
    up.run(&["thing", "disconnect", &id, "heat"]).succeeds();
    up.run(&["thing", "disconnect", &id, "heat"])
        .fails(1, &["the thing is not connected to the channel"]);
    up.run(&["thing", "rm", &id]).succeeds();
    assert_eq!(up.json(&["thing", "ls"]).as_array().unwrap().len(), 1);
    assert_eq!(up.json(&["user", "show"]), json!({"email": "dev@rebeam.localhost"}));
    assert_eq!(up.text(&["user", "token"]).split('.').count(), 3);
    world.write("password", "secret\n");
    up.run(&["user", "create", "a@example.com", "--password-file", "password"]).succeeds();
    up.run(&["user", "create", "a@example.com", "--password-file", "password"])
        .fails(1, &["is there already"]);
    up.run(&["thing", "ls", "--as", "a@example.com"])
        .fails(1, &["the user's password is not known"]);
    let as_other = ["thing", "ls", "--as", "a@example.com", "--password-file", "password"];
    assert_eq!(up.json(&as_other), json!([]));
    up.run(&["config", "create", "01", "--external-key", "k", "--name", "first"]).succeeds();
    up.run(&["config", "update", "01", "--content", "c"]).succeeds();
    let config = up.json(&["config", "show", "01"]);
    assert_eq!(
        (&config["name"], &config["content"], &config["state"]),
        (&json!("first"), &json!("c"), &json!(0))
    );
    up.run(&["config", "connect", "01", "heat"]).succeeds();
    up.run(&["config", "deactivate", "01"]).succeeds();
    up.run(&["config", "rm", "01"]).succeeds();
    assert_eq!(up.json(&["config", "ls"]), json!([]));
    assert_eq!(up.json(&["config", "ls", "--unknown"]), json!([]));
    // Nothing of all this is in the log.
    let states =
        std::fs::read_dir(world.project().join("states")).unwrap().next().unwrap().unwrap();
    let log = std::fs::read_to_string(states.path().join("log")).unwrap();
    assert!(!log.contains("mine") && !log.contains("secret"), "{log}");
}
