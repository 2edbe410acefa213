//! `rebeam dev broker`, with clients that others wrote.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
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

/// Where `scripts/clients` laid the clients that come from registries; `None` on a desk where nobody asked for them.
pub(super) fn clients() -> Option<PathBuf> {
    let wanted = std::env::var("REBEAM_CLIENTS").is_ok_and(|wanted| wanted == "required");
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    let is_there = clients.join("packages").exists();
    assert!(is_there || !wanted, "the clients are missing: `scripts/clients`");
    is_there.then_some(clients)
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
    let Some(python) = clients().map(|clients| clients.join("python/bin/python3")) else {
        return;
    };
    let world = World::of(&[]);
    let websocket = free_port().to_string();
    let broker = Broker::start(&world, &["--ws-port", &websocket]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs/python_client.py");
    for (transport, port) in [("tcp", broker.port.to_string()), ("websockets", websocket)] {
        let ran = Command::new(&python).arg(&script).args([transport, &port]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn mosquittos_clients_speak_through_tls_and_a_wrong_key_is_named() {
    if !has("mosquitto_pub") || !has("openssl") {
        return;
    }
    let world = World::of(&[]);
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    for name in ["one", "other"] {
        let (key, cert) = (path(&format!("{name}.key")), path(&format!("{name}.pem")));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost", "-keyout", &key, "-out", &cert])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let (cert, key, tls) = (path("one.pem"), path("one.key"), free_port().to_string());
    let broker = Broker::start(&world, &["--tls-port", &tls, "--cert", &cert, "--key", &key]);
    let through = ["--cafile", &cert, "-h", "localhost", "-p", &tls, "-t", "t", "-q", "1"];
    for (name, more) in [
        ("mosquitto_pub", &["-r", "-m", "inside"][..]),
        ("mosquitto_sub", &["-C", "1", "-W", "10"]),
    ] {
        let ran = Command::new(name).args(through).args(more).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        if name == "mosquitto_sub" {
            assert_eq!(String::from_utf8_lossy(&ran.stdout), "inside\n");
        }
    }
    drop(broker);
    let (port, other) = (free_port().to_string(), path("other.key"));
    let arguments =
        ["dev", "broker", "--port", &port, "--tls-port", &tls, "--cert", &cert, "--key", &other];
    world.rebeam(&arguments).fails(1, &["one.pem", "the key is another's"]);
}

#[test]
fn a_javascript_client_speaks_over_tcp_and_websockets() {
    let modules = clients().map(|clients| clients.join("node_modules"));
    let Some(modules) = modules.filter(|modules| modules.exists()) else {
        return;
    };
    let world = World::of(&[]);
    let websocket = free_port().to_string();
    let broker = Broker::start(&world, &["--ws-port", &websocket]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verbs/mqtt_js_client.js");
    let urls =
        [format!("mqtt://127.0.0.1:{}", broker.port), format!("ws://127.0.0.1:{websocket}/mqtt")];
    let ran =
        Command::new("node").env("NODE_PATH", modules).arg(script).args(urls).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// Connects by hand with a will below `will/`, delayed by `delay_s`, in a session that lives an hour.
fn leave_a_will(broker: &Broker, name: u8, delay_s: u8) -> TcpStream {
    let mut body = b"\0\x04MQTT\x05\x0e\0\0\x05\x11\0\0\x0e\x10\0\x01".to_vec();
    body.push(name);
    body.extend([5, 0x18, 0, 0, 0, delay_s]);
    body.extend(b"\0\x06will/");
    body.push(name);
    body.extend(b"\0\x04gone");
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
    stream.write_all(&packet).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((answer[0], answer[3]), (0x20, 0), "{answer:?}");
    stream
}

#[test]
fn wills_of_clients_that_were_connected_come_after_the_broker_was_killed() {
    if !has("mosquitto_pub") {
        return;
    }
    let world = World::of(&[]);
    let state = world.path("state");
    let state = state.to_str().unwrap();
    let broker = Broker::start(&world, &["--state", state]);
    let away = ["-i", "away", "-c", "-q", "1", "-t", "will/#", "-F", "%t %p"];
    drop(said(broker.client("mosquitto_sub", &[&away[..], &["-E"]].concat()).spawn().unwrap()));
    let now = leave_a_will(&broker, b'n', 0);
    let later = leave_a_will(&broker, b'l', 2);
    let mut withdrawn = leave_a_will(&broker, b'w', 0);
    withdrawn.write_all(&[0xe0, 0]).unwrap();
    withdrawn.read_to_end(&mut Vec::new()).unwrap();
    // What is acknowledged is on the disk, and with it what came before.
    broker.publish(&["-q", "1", "-t", "will/marked", "-m", "here"]);
    broker.kill();
    drop((now, later));

    let broker = Broker::start(&world, &["--state", state]);
    let back = [&away[..], &["-C", "3", "-W", "20"]].concat();
    let heard = said(broker.client("mosquitto_sub", &back).spawn().unwrap());
    assert_eq!(heard, "will/marked here\nwill/n gone\nwill/l gone\n");
}
