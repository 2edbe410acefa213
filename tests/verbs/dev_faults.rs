//! What becomes of the stack, and what it says, where the machine lets it down: a kill amid the traffic, a full disk, a
//! store that is swept.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dev_services::{dev, place, standing};
use super::harness::World;
use super::mqtt::Mqtt;

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

impl<'a> Up<'a> {
    fn new(world: &'a World, more: &[&str]) -> Self {
        dev(world, &[&["up", "-d"], more].concat()).succeeds();
        Self(world)
    }

    fn address(&self, service: &str) -> SocketAddr {
        standing(self.0)[service]["address"].as_str().unwrap().parse().unwrap()
    }

    /// Says something to the streams and returns the first line of the answer.
    fn redis(&self, asked: &str) -> String {
        let mut stream = BufReader::new(TcpStream::connect(self.address("redis")).unwrap());
        stream.get_mut().write_all(format!("{asked}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Messages that one client may send: fewer than its queue has places.
const MOST: usize = 800;

#[test]
fn nothing_acknowledged_is_lost_by_a_kill_amid_the_traffic() {
    let world = World::of(&[("README", "no release yet")]);
    let up = Up::new(&world, &["--things"]);
    let text = |arguments: &[&str]| {
        let all = [&["dev", "--state-dir", "states"], arguments].concat();
        world.rebeam(&all).succeeds().stdout.trim().to_owned()
    };
    text(&["thing", "create", "--name", "kiln"]);
    let channel = text(&["channel", "create", "--name", "heat"]);
    text(&["thing", "connect", "kiln", "heat"]);
    let key = text(&["thing", "key", "kiln"]);
    let topic = format!("channels/{channel}/messages");
    let who = ("", &*key);
    let (mqtt, redis) = (up.address("mqtt"), up.address("redis"));
    let (mut ear, _) = Mqtt::resume(mqtt, "ear", who);
    assert_eq!(ear.subscribe_at(&topic, 1), 1);
    drop(ear);

    let record = std::fs::read_to_string(place(&world).join("stack.json")).unwrap();
    let process = serde_json::from_str::<Value>(&record).unwrap()["process"].to_string();
    let (published, added) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let (mut mouth, _) = Mqtt::connect(mqtt, "mouth", who);
            let pack = |number| format!(r#"[{{"n":"t","t":{},"v":{number}}}]"#, 1000 + number);
            while published.load(Ordering::SeqCst) < MOST
                && mouth.tries_to_publish(&topic, &pack(published.load(Ordering::SeqCst)))
            {
                published.fetch_add(1, Ordering::SeqCst);
            }
        });
        threads.spawn(|| {
            let mut stream = BufReader::new(TcpStream::connect(redis).unwrap());
            let mut line = String::new();
            // Far more than the time until the kill allows.
            for number in 0..MOST * 100 {
                line.clear();
                if stream
                    .get_mut()
                    .write_all(format!("RPUSH flow {number}\r\n").as_bytes())
                    .is_err()
                    || stream.read_line(&mut line).is_err()
                    || !line.ends_with("\r\n")
                {
                    return;
                }
                added.fetch_add(1, Ordering::SeqCst);
            }
        });
        until("both flow", || {
            published.load(Ordering::SeqCst) > 50 && added.load(Ordering::SeqCst) > 50
        });
        let kill = format!("kill -9 {process}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    });
    let (published, added) = (published.into_inner(), added.into_inner());
    until("its end is seen", || standing(&world).is_empty());

    let up = Up::new(&world, &["--things"]);
    // What was on its way when the end came may be there too, and more than once for the listener.
    let is_whole = |count: usize, known: usize| (known..=known + 1).contains(&count);
    let length: usize = up.redis("LLEN flow").trim()[1..].parse().unwrap();
    assert!(is_whole(length, added), "{length} of {added}");
    let mut stream = TcpStream::connect(up.address("things")).unwrap();
    let asked = format!("GET /{}?limit=1", topic);
    write!(stream, "{asked} HTTP/1.0\r\nHost: localhost\r\nAuthorization: {key}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let page: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let total = usize::try_from(page["total"].as_u64().unwrap()).unwrap();
    assert!(is_whole(total, published), "{total} of {published}");
    let (mut ear, _) = Mqtt::resume(up.address("mqtt"), "ear", who);
    for number in 0..published {
        let (kind, body) = ear.read();
        assert_eq!(kind, 0x30);
        let text = String::from_utf8_lossy(&body);
        assert!(text.ends_with(&format!("\"v\":{number}}}]")), "{number}: {text}");
        let at = 2 + topic.len();
        ear.send(0x40, &body[at..at + 2]);
    }
}

/// What is done on a disk of so few bytes that it is soon full.
const ON_A_SMALL_DISK: &str = r#"
set -eu
mkdir -p states
mount -t tmpfs -o size=24m none states
dev() { "$REBEAM" dev --state-dir states "$@"; }
trap 'dev down >/dev/null 2>&1' EXIT
trap 'exit 1' TERM
dev up -d >/dev/null 2>&1
head -c 24m /dev/zero > states/filler 2>/dev/null || true
# The answer to this waits for the disk.
dev pub --retain --qos 1 kept/a "$(head -c 100000 /dev/zero | tr '\0' x)" &
publisher=$!
until dev ps | grep -q 'mqtt .*troubled.*full'; do sleep 0.1; done
echo "--- ps"; dev ps
echo "--- log"; grep -h 'cannot write' states/*/log
echo "--- new"; dev up 2>&1 >/dev/null && exit 1 || true
kill -0 $publisher
rm states/filler
wait $publisher
until dev ps | grep 'mqtt ' | grep -q ready; do sleep 0.1; done
grep -h 'writes to its disk again' states/*/log
dev down
head -c 24m /dev/zero > states/filler 2>/dev/null || true
echo "--- full"; dev up -d 2>&1 && exit 1 || true
rm states/filler
dev up -d >/dev/null 2>&1
test "$(dev sub -n 1 kept/a | wc -c)" -gt 100000
"#;

#[test]
fn a_full_disk_is_told_where_one_looks_and_is_survived() {
    let world = World::of(&[("README", "no release yet")]);
    let mut script = Command::new("timeout");
    script.args(["180", "unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK]);
    script.current_dir(world.project());
    script.env("REBEAM", env!("CARGO_BIN_EXE_rebeam")).env("HOME", world.path("home"));
    let ran = script.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    let (_, full) = said.split_once("--- full").unwrap();
    assert!(full.contains("disk is full") || full.contains("No space left"), "{said}");
    assert!(!full.contains("damaged"), "{said}");
}

#[test]
fn what_services_run_from_is_not_swept_away_before_their_state_is() {
    const MANIFEST: &str = r#"
[project]
name = "desk"
version = "1"
[toolchain]
otp = "27"
[services.idle]
command = ["/bin/busybox", "sh", "-c", "echo up; exec busybox sleep 600"]
packages = ["busybox-static"]
ready = { log = "up" }
"#;
    let world = World::of(&[("rebeam.toml", MANIFEST)]).with_own_store();
    world.rebeam(&["lock"]).succeeds();
    let _up = Up::new(&world, &[]);
    // Twice: a sweep keeps nothing only because it was used lately.
    for _ in 0..2 {
        world.rebeam(&["store", "gc"]).succeeds();
        assert_eq!(standing(&world)["idle"]["state"], "ready");
        dev(&world, &["restart", "idle"]).succeeds();
    }
    dev(&world, &["down"]).succeeds();
    world.rebeam(&["store", "gc"]).succeeds();
    world.rebeam(&["--offline", "dev", "--state-dir", "states", "up", "-d"]).succeeds();
    dev(&world, &["down", "--volumes"]).succeeds();
    let swept = world.rebeam(&["store", "gc"]).succeeds().stdout;
    assert!(!swept.contains(" 0 removed"), "{swept}");
}
