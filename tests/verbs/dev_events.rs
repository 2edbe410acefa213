//! `rebeam dev events`, and what the stack tells those who speak Elasticsearch.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::World;

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

fn dev(world: &World, arguments: &[&str]) -> String {
    let all = [&["--json", "dev", "--state-dir", "states"], arguments].concat();
    world.rebeam(&all).succeeds().stdout
}

fn up(world: &World) -> Value {
    serde_json::from_str(&dev(world, &["up", "-d"])).unwrap()
}

fn events(world: &World, arguments: &[&str]) -> Vec<Value> {
    let text = dev(world, &[&["events", "--limit", "10000"], arguments].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Looks until there are enough; the log is written behind the traffic.
fn events_at_least(world: &World, count: usize, arguments: &[&str]) -> Vec<Value> {
    for _ in 0..100 {
        let events = events(world, arguments);
        if events.len() >= count {
            return events;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", events(world, &[]));
}

fn address(services: &Value, name: &str) -> SocketAddr {
    let services = services.as_array().unwrap();
    let service = services.iter().find(|service| service["name"] == name).unwrap();
    service["address"].as_str().unwrap().parse().unwrap()
}

/// A client of MQTT 3.1.1, packet by packet.
struct Client(TcpStream);

impl Client {
    fn connect(services: &Value, id: &str) -> Self {
        let stream = TcpStream::connect(address(services, "mqtt")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self(stream);
        let length = u8::try_from(id.len()).unwrap();
        client.send(
            &[&[0x10, 12 + length, 0, 4][..], b"MQTT\x04\x02\0\x3c\0", &[length], id.as_bytes()]
                .concat(),
        );
        client.hears(&[0x20, 2, 0, 0]);
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn hears(&mut self, bytes: &[u8]) {
        let mut seen = vec![0; bytes.len()];
        self.0.read_exact(&mut seen).unwrap();
        assert_eq!(seen, bytes);
    }

    fn publish(&mut self, topic: &str, payload: &str, id: u16) {
        let rest = topic.len() + payload.len() + 4;
        let [high, low] = id.to_be_bytes();
        let head = [0x32, u8::try_from(rest).unwrap(), 0, u8::try_from(topic.len()).unwrap()];
        self.send(&[&head[..], topic.as_bytes(), &[high, low], payload.as_bytes()].concat());
        self.hears(&[0x40, 2, high, low]);
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn each_phase_of_a_messages_way_is_an_event_also_while_nothing_runs() {
    let world = World::of(&[("README", "no release yet")]);
    let services = up(&world);
    let _end = Up(&world);
    let mut listener = Client::connect(&services, "ear");
    listener.send(b"\x82\x0b\0\x01\0\x06home/#\x01");
    listener.hears(&[0x90, 3, 0, 1, 1]);
    let mut speaker = Client::connect(&services, "mouth");
    speaker.publish("home/hall", "It is warm", 9);
    let mut message = [0; 4 + 9 + 2 + 10];
    listener.0.read_exact(&mut message).unwrap();
    listener.send(&[0x40, 2, message[13], message[14]]);
    listener.send(b"\xa2\x0a\0\x02\0\x06home/#");
    listener.hears(&[0xb0, 2, 0, 2]);
    listener.send(&[0xe0, 0]);

    events_at_least(&world, 1, &["--type", "session_terminated", "--client", "ear"]);
    let heard = events(&world, &["--client", "ear"]);
    let wanted = [
        "client_connected",
        "session_created",
        "client_subscribe",
        "session_subscribed",
        "message_delivered",
        "message_acked",
        "client_unsubscribe",
        "session_unsubscribed",
        "client_disconnected",
        "session_terminated",
    ];
    let mut seen = names(&heard);
    let mut all = wanted.to_vec();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all);
    let said = events(&world, &["--search", "WARM", "--topic", "home/+", "--since", "5m"]);
    assert_eq!(names(&said), ["message_published"]);
    assert_eq!(said[0]["from"]["client_id"], "mouth");
    assert_eq!(said[0]["qos"], 1);

    world.rebeam(&["dev", "--state-dir", "states", "down"]).succeeds();
    assert_eq!(names(&events(&world, &["--search", "warm"])), ["message_published"]);
    let line =
        world.rebeam(&["dev", "--state-dir", "states", "events", "--type", "message_published"]);
    let line = line.succeeds().stdout;
    assert!(line.contains("mouth home/hall qos=1 size=10 payload=It is warm"), "{line}");
    world
        .rebeam(&["dev", "--state-dir", "states", "events", "--since", "soon"])
        .fails(2, &["`soon` is no time", "--since 5m"]);
}

#[test]
fn what_was_published_is_read_at_once_and_followed_as_it_comes() {
    let world = World::of(&[("README", "no release yet")]);
    up(&world);
    let _end = Up(&world);
    for count in 1..4 {
        dev(&world, &["pub", "home/hall", &format!("number {count}")]);
        let seen = events(&world, &["--type", "message_published", "--topic", "home/+"]);
        assert_eq!(seen.len(), count);
    }
    let follow = ["--json", "dev", "--state-dir", "states", "events", "-f", "--search", "warm"];
    let mut follower = world.command(&follow);
    let mut follower = follower.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let output = std::io::BufReader::new(follower.stdout.take().unwrap());
    std::thread::spawn(move || {
        std::io::BufRead::lines(output).map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let next = || lines.recv_timeout(Duration::from_secs(20)).unwrap();
    dev(&world, &["pub", "home/hall", "cold"]);
    for payload in ["warm", "warmer"] {
        dev(&world, &["pub", "home/hall", payload]);
        let event: Value = serde_json::from_str(&next()).unwrap();
        assert_eq!(event["payload"], payload);
    }
    // It goes on over the end of a stack and the beginning of the next one.
    dev(&world, &["down"]);
    up(&world);
    dev(&world, &["pub", "home/hall", "warm again"]);
    let event: Value = serde_json::from_str(&next()).unwrap();
    assert_eq!(event["payload"], "warm again");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

fn http(to: SocketAddr, method: &str, target: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: elasticsearch:9200\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("x-elastic-product: elasticsearch"), "{head}");
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_stack_is_killed() {
    let world = World::of(&[("README", "no release yet")]);
    let services = up(&world);
    let _end = Up(&world);
    let elastic = address(&services, "elasticsearch");
    let mut speaker = Client::connect(&services, "mouth");
    for number in 0..50 {
        speaker.publish("t", &format!("number {number}"), number + 1);
        let (status, _) = http(
            elastic,
            "PUT",
            &format!("/kept/_doc/{number}"),
            &json!({"n": number}).to_string(),
        );
        assert_eq!(status, 201);
    }
    events_at_least(&world, 50, &["--type", "message_published"]);
    let (status, _) = http(
        elastic,
        "POST",
        "/mqtt/events/_bulk",
        "{\"index\":{}}\n{\"event\":\"theirs\",\"timestamp\":1}\n",
    );
    assert_eq!(status, 200);
    let state = std::fs::read_dir(world.project().join("states")).unwrap().next().unwrap().unwrap();
    let record = std::fs::read_to_string(state.path().join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    assert!(
        Command::new("sh").args(["-c", &format!("kill -9 {process}")]).status().unwrap().success()
    );
    drop(speaker);
    std::thread::sleep(Duration::from_millis(300));

    assert_eq!(events(&world, &["--type", "message_published"]).len(), 50);
    assert_eq!(events(&world, &["--type", "theirs"]).len(), 1);
    let services = up(&world);
    let elastic = address(&services, "elasticsearch");
    assert_eq!(http(elastic, "GET", "/kept/_count", "").1["count"], 50);
    let query = json!({"query": {"term": {"event": "message_published"}}}).to_string();
    assert_eq!(http(elastic, "POST", "/mqtt/_count", &query).1["count"], 50);
}

#[test]
fn events_are_passed_on_to_another_stack_and_to_a_file() {
    let other = World::of(&[("README", "the far side")]);
    let far = up(&other);
    let _far = Up(&other);
    let far = address(&far, "elasticsearch");
    let manifest = format!(
        "[project]\nname = \"near\"\nversion = \"1\"\n[toolchain]\notp = \"27\"\n\
         [dev.events]\nforward = [\"http://{far}\"]\nndjson = \"logs/events.ndjson\"\n"
    );
    let world = World::of(&[("rebeam.toml", &manifest)]);
    let near = up(&world);
    let _near = Up(&world);
    drop(Client::connect(&near, "passed-on"));
    let query = json!({"query": {"term": {"client_id": "passed-on"}}}).to_string();
    let arrived = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let count = http(far, "POST", "/mqtt/_count", &query).1["count"].as_u64().unwrap_or(0);
        count >= 2
    });
    assert!(arrived);
    let lines = std::fs::read_to_string(world.project().join("logs/events.ndjson")).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["client_id"], "passed-on");
    // They are events of the far side, too.
    assert!(!events(&other, &["--client", "passed-on"]).is_empty());
}

#[test]
fn the_official_clients_of_elasticsearch_8_and_9_and_opensearch_are_served() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/search-clients");
    if !home.join("packages").exists() {
        let is_wanted =
            std::env::var_os("REBEAM_VALIDATORS").is_some_and(|wish| wish == "required");
        assert!(!is_wanted, "run `scripts/search-clients`");
        return;
    }
    let world = World::of(&[("README", "no release yet")]);
    let services = up(&world);
    let _end = Up(&world);
    drop(Client::connect(&services, "searched"));
    events_at_least(&world, 1, &["--type", "client_connected"]);
    let url = format!("http://{}", address(&services, "elasticsearch"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs/search_client.py");
    for (library, name) in [
        ("elasticsearch8", "elasticsearch"),
        ("elasticsearch9", "elasticsearch"),
        ("opensearch", "opensearch"),
    ] {
        let ran = Command::new(home.join("python/bin/python3"))
            .env_clear()
            .env("PYTHONPATH", home.join(library))
            .arg(&script)
            .args([name, &url])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{library}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}
