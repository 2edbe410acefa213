//! `rebeam dev broker`, with clients that others wrote.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::harness::World;

/// A broker of its own, ended with the test.
struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start(world: &World, more: &[&str]) -> Self {
        let port = free_port();
        let text = port.to_string();
        let mut arguments = vec!["dev", "broker", "--port", &text];
        arguments.extend(more);
        let mut child =
            world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
        Self { child, port }
    }

    fn client(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(["-p", &self.port.to_string()]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn publish(&self, arguments: &[&str]) {
        let ran = self.client("mosquitto_pub", arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Kills it without a word.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Starts a subscriber that writes line by line, and waits until the broker knows it.
fn subscriber(broker: &Broker, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let port = broker.port.to_string();
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub", "-d", "-p", &port]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut talk = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("received SUBACK") {
        line.clear();
        assert!(talk.read_line(&mut line).unwrap() > 0, "the subscriber ended");
    }
    (child, talk)
}

fn said(mut child: Child) -> String {
    let mut text = String::new();
    child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}

#[test]
fn mosquittos_clients_speak_every_version_and_quality_through_the_broker() {
    if !has("mosquitto_pub") {
        return;
    }
    let world = World::of(&[]);
    let broker = Broker::start(&world, &[]);
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let wishes = ["-V", version, "-t", "öl/#", "-q", qos, "-C", "1", "-W", "10"];
            let (mut listener, mut talk) = subscriber(&broker, &wishes);
            broker.publish(&["-V", version, "-t", "öl/temp", "-q", qos, "-m", "warm"]);
            let mut heard = String::new();
            talk.read_to_string(&mut heard).unwrap();
            listener.wait().unwrap();
            assert!(heard.lines().any(|line| line == "warm"), "{version} {qos}: {heard}");
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_the_broker_was_killed() {
    if !has("mosquitto_pub") {
        return;
    }
    let world = World::of(&[]);
    let state = world.path("state");
    let state = state.to_str().unwrap();
    let broker = Broker::start(&world, &["--state", state]);
    let away = ["-i", "away", "-c", "-q", "1", "-t", "t"];
    drop(said(broker.client("mosquitto_sub", &[&away[..], &["-E"]].concat()).spawn().unwrap()));
    for number in 0..20 {
        // The client ends with success once the broker acknowledged.
        broker.publish(&["-q", "1", "-t", "t", "-m", &format!("message {number}")]);
    }
    broker.publish(&["-q", "1", "-r", "-t", "kept", "-m", "value"]);
    broker.kill();

    let broker = Broker::start(&world, &["--state", state]);
    let back = [&away[..], &["-C", "20", "-W", "10"]].concat();
    let heard = said(broker.client("mosquitto_sub", &back).spawn().unwrap());
    let wanted: Vec<String> = (0..20).map(|number| format!("message {number}")).collect();
    assert_eq!(heard.lines().collect::<Vec<_>>(), wanted);
    let kept = ["-t", "kept", "-C", "1", "-W", "10"];
    assert_eq!(said(broker.client("mosquitto_sub", &kept).spawn().unwrap()), "value\n");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_broker_is_killed_mid_flow() {
    if !has("mosquitto_pub") {
        return;
    }
    let world = World::of(&[]);
    let state = world.path("state");
    let state = state.to_str().unwrap();
    let broker = Broker::start(&world, &["--state", state]);
    let away = ["-i", "away", "-c", "-q", "1", "-t", "t"];
    drop(said(broker.client("mosquitto_sub", &[&away[..], &["-E"]].concat()).spawn().unwrap()));
    let port = broker.port.to_string();
    let mut flow = Command::new("stdbuf");
    flow.args(["-oL", "mosquitto_pub", "-d", "-p", &port, "-q", "1", "-t", "t", "-l"]);
    let mut flow = flow.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = flow.stdin.take().unwrap();
    let speaker = std::thread::spawn(move || {
        use std::io::Write as _;
        for number in 0..900 {
            // The client may end before all is said.
            if writeln!(lines, "{number}").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    std::thread::sleep(Duration::from_millis(150));
    broker.kill();
    std::thread::sleep(Duration::from_millis(300));
    drop(flow.kill());
    let talk = said(flow);
    speaker.join().unwrap();
    let acknowledged = talk.lines().filter(|line| line.contains("received PUBACK")).count();
    assert!(acknowledged > 10, "the broker was killed before it said anything:\n{talk}");

    let broker = Broker::start(&world, &["--state", state]);
    let back = [&away[..], &["-W", "2"]].concat();
    let heard = said(broker.client("mosquitto_sub", &back).spawn().unwrap());
    assert!(heard.lines().count() >= acknowledged, "{acknowledged} acknowledged, then:\n{heard}");
    for (number, line) in heard.lines().enumerate() {
        assert_eq!(line, number.to_string());
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_its_holder() {
    let world = World::of(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = world.rebeam(&["dev", "broker", "--port", &port]);
    ran.fails(3, &[&format!("port {port} for mqtt is taken by"), "process"]);
}

#[test]
fn a_python_client_speaks_mqtt_5_over_tcp_and_websockets() {
    let python = Path::new("/usr/bin/env");
    let probe = Command::new(python).args(["python3", "-c", "import paho.mqtt.client"]).output();
    if !probe.is_ok_and(|ran| ran.status.success()) {
        return;
    }
    let world = World::of(&[]);
    let websocket = free_port().to_string();
    let broker = Broker::start(&world, &["--ws-port", &websocket]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs/python_client.py");
    for (transport, port) in [("tcp", broker.port.to_string()), ("websockets", websocket)] {
        let mut client = Command::new(python);
        let ran = client.arg("python3").arg(&script).args([transport, &port]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}
