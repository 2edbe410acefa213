//! `rebeam dev up`: TLS, WebSockets, and what is asked of those who are not on this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::harness::World;

const DEV: [&str; 3] = ["dev", "--state-dir", "states"];
const PASSWORD: &str = "correct-horse-7";

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&[&DEV[..], &["down"]].concat()).output());
    }
}

fn up(world: &World, arguments: &[&str], password: Option<&str>) -> Value {
    let mut command = world.command(&[&["--json"], &DEV[..], &["up", "-d"], arguments].concat());
    command.envs(password.map(|password| ("REBEAM_DEV_PASSWORD", password)));
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn port(services: &Value, name: &str) -> u16 {
    let service = services.as_array().unwrap().iter().find(|one| one["name"] == name);
    let address = service.unwrap()["address"].as_str().unwrap();
    address.parse::<SocketAddr>().unwrap().port()
}

fn state(world: &World) -> PathBuf {
    let states = world.project().join("states");
    std::fs::read_dir(states).unwrap().next().unwrap().unwrap().path()
}

/// Sends bytes and reads what comes back within a moment.
fn say(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).unwrap();
    answer[..count].escape_ascii().to_string()
}

fn upgrade(port: u16, origin: &str) -> String {
    let head = format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n{origin}\r\n"
    );
    say(port, head.as_bytes())
}

#[test]
fn a_page_of_another_origin_gets_no_websocket_until_it_is_allowed_by_name() {
    let world = World::of(&[("README", "no release yet")]);
    let services = up(&world, &["--allow-origin", "http://localhost:3000"], None);
    let _end = Up(&world);
    let port = port(&services, "mqtt-ws");
    let own = format!("Origin: http://localhost:{port}\r\n");
    for near in ["", &own, "Origin: http://localhost:3000\r\n"] {
        assert!(upgrade(port, near).starts_with("HTTP/1.1 101 "), "{near}");
    }
    for far in ["Origin: http://localhost:3001\r\n", "Origin: https://attacker.example\r\n"] {
        let answer = upgrade(port, far);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains("a page of another site may not ask here"), "{answer}");
    }
    let bad = [&DEV[..], &["up", "--allow-origin", "localhost:3000"]].concat();
    world.rebeam(&bad).fails(1, &["`localhost:3000` is no origin", "--allow-origin http://"]);
}

#[test]
fn tls_is_trusted_by_the_authority_that_the_env_file_names_and_by_nothing_else() {
    let is_there = |name: &str| {
        let silent = Command::new(name).arg("--help").stdout(Stdio::null()).status();
        silent.is_ok()
    };
    let world = World::of(&[("README", "no release yet")]);
    let services = up(&world, &[], None);
    let _end = Up(&world);
    let env = std::fs::read_to_string(state(&world).join("env")).unwrap();
    let authority = env.lines().find_map(|line| line.strip_prefix("MQTTS_CA=")).unwrap();
    assert!(std::fs::read_to_string(authority).unwrap().contains("BEGIN CERTIFICATE"));
    assert!(env.contains(&format!("MQTTS_URL=mqtts://127.0.0.1:{}", port(&services, "mqtts"))));
    assert!(
        env.contains(&format!("MQTT_WS_URL=ws://127.0.0.1:{}/mqtt", port(&services, "mqtt-ws")))
    );
    if !is_there("mosquitto_pub") {
        return;
    }
    let port = port(&services, "mqtts").to_string();
    let publish = |trusted: &[&str], host: &str| {
        let ran = Command::new("mosquitto_pub")
            .args(["-h", host, "-p", &port, "-q", "1", "-t", "t", "-m", "m"])
            .args(trusted)
            .stderr(Stdio::null())
            .status();
        ran.unwrap().success()
    };
    for host in ["localhost", "127.0.0.1"] {
        assert!(publish(&["--cafile", authority], host), "{host}");
    }
    assert!(!publish(&["--capath", "/etc/ssl/certs"], "localhost"));
}

#[test]
fn an_address_that_others_reach_needs_a_password_or_a_word_and_the_password_is_everyones() {
    let world = World::of(&[("README", "no release yet")]);
    let open = [&DEV[..], &["up", "-d", "--listen", "0.0.0.0"]].concat();
    world.rebeam(&open).fails(1, &["on `0.0.0.0` others than this machine", "--insecure"]);
    let elsewhere = [&DEV[..], &["up", "--insecure", "--listen", "203.0.113.9"]].concat();
    world.rebeam(&elsewhere).fails(1, &["`203.0.113.9` is no address of this machine"]);

    let services = up(&world, &["--listen", "0.0.0.0"], Some(PASSWORD));
    let _end = Up(&world);
    let redis = port(&services, "redis");
    assert!(say(redis, b"PING\r\n").starts_with("-NOAUTH"));
    let auth = format!("AUTH {PASSWORD}\r\n");
    assert_eq!(say(redis, auth.as_bytes()), "+OK\\r\\n");
    // MQTT 3.1.1 with no password, a wrong one and the right one.
    let connect = |password: Option<&str>| {
        let mut body = b"\0\x04MQTT\x04\x02\0\0\0\x01c".to_vec();
        if let Some(password) = password {
            body[7] = 0xc2;
            body.extend_from_slice(b"\0\x01u\0");
            body.push(password.len().try_into().unwrap());
            body.extend_from_slice(password.as_bytes());
        }
        let mut packet = vec![0x10, body.len().try_into().unwrap()];
        packet.extend(body);
        say(port(&services, "mqtt"), &packet)
    };
    assert_eq!(connect(None), " \\x02\\x00\\x04");
    assert_eq!(connect(Some("wrong")), " \\x02\\x00\\x04");
    assert_eq!(connect(Some(PASSWORD)), " \\x02\\x00\\x00");

    // It stands in the env file, which is its owner's, and nowhere else: not in a process's words either.
    let directory = state(&world);
    let mut files = vec![directory.clone()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // A socket holds nothing.
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let has_it = bytes.windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes());
        assert_eq!(has_it, path.file_name().unwrap() == "env", "{}", path.display());
    }
    let record = std::fs::read_to_string(directory.join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    for of in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{process}/{of}")).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(PASSWORD), "{of}");
    }
}
