//! Random commands: what they leave survives a kill, and what they are answered is what Redis answers.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::World;

/// Commands with a choice at each `/`.
const TEMPLATES: &[&str] = &[
    "XADD s/t 1-1/2-1/3-*/4/4-5/9-9 a/b 1/2",
    "XADD s/t 5-*/6-*/7-* a 1 b 2",
    "XADD s NOMKSTREAM MAXLEN =/~ 2/0 8-*/9-* a 1",
    "XADD s MINID 3/4-0 7-*/9-* a 1",
    "XADD s/t MAXLEN ~ 1 LIMIT 1/0 9-*/8-* a b",
    "XTRIM s/t MAXLEN/MINID =/~ 1/3/2",
    "XDEL s/t 1-1/2-1/3-0/4-0 4-5",
    "XLEN s/t/x",
    "XRANGE s/t -/(1-1/2/+ +/(4-5/4/-",
    "XREVRANGE s/t +/4 -/2 COUNT 1/2/0/-1",
    "XREAD COUNT 1/2 STREAMS s t 0/1-1/$/9 0/3/bad",
    "XGROUP CREATE s/t g/h 0/$/2-1/bad",
    "XGROUP CREATE s/t/x g/h $/0 MKSTREAM",
    "XGROUP CREATE s h 1-1 ENTRIESREAD 1/-1/-2/x",
    "XGROUP SETID s/t/x g/h 0/$/2/-",
    "XGROUP DESTROY s/t h/x",
    "XGROUP CREATECONSUMER s/t g/h c/d",
    "XGROUP DELCONSUMER s/t g/h c/d",
    "XREADGROUP GROUP g/h c/d COUNT 1/2 STREAMS s/t >/0/2/bad",
    "XREADGROUP GROUP g/h c/d NOACK STREAMS s/t >",
    "XREADGROUP GROUP g c STREAMS s t > >",
    "XACK s/t g/h 1-1/2-1/3-0/bad 4-0",
    "XPENDING s/t/x g/h",
    "XCLAIM s/t g/h c/d 0 1-1/2-1/4-0 3-0 FORCE/JUSTID/IDLE/bad",
    "XAUTOCLAIM s/t g/h c/d 0 0/2/bad COUNT 1/2/0 JUSTID",
    "XINFO GROUPS s/t/x",
    "XINFO STREAM s/t/x",
    "XSETID s/t 9-9/3-3/bad ENTRIESADDED 9/1 MAXDELETEDID 2-0/9-10",
    "DEL s/k/x t/k",
    "RENAME s/t/k t/s/k",
    "EXISTS s/t/k x/k",
    "TYPE s/t/k/x",
    "SET s/k/l a/5",
    "SET k/l 1/x NX/XX/GET/KEEPTTL",
    "GET s/k/l",
    "GETDEL k/l/s",
    "INCRBY k/l/s 3/-1/x/9223372036854775807",
    "INCRBYFLOAT m/e 1.5/2/3.0e3/x",
    "APPEND k/l ab",
    "GETRANGE k/l 0/-2/1 -1/1/0",
    "SETRANGE k/l 1/3/-1 xy",
    "STRLEN k/l/s",
    "MSETNX k/l 1 l/m 2",
    "EXPIRE k/l/x 100/-1/x",
    "EXPIRE k/l 100/200 NX/XX/GT/LT",
    "TTL k/l/x",
    "PERSIST k/l",
    "SADD e/k a/b b/c",
    "SREM e/k a/b/c",
    "SISMEMBER e/k/x a/b",
    "SMOVE e/k f/e a/b",
    "SINTERSTORE f e f/e/k",
    "SCARD e/f",
    "HSET h/k a/b 1/x b/c 2",
    "HGET h/k a/b/z",
    "HDEL h/k a/b c",
    "HINCRBY h/k a/b 1/x",
    "HLEN h",
    "HSETNX h/k a/z 1",
    "RPUSH q/k a b/c",
    "LPUSH q/r x/y",
    "LPOP q/r/k",
    "RPOP q/r 2/0/-1",
    "LRANGE q/r/k 0/1/-2 -1/1",
    "LREM q/r 0/1/-1 a/b",
    "LSET q/r 0/5/-1 z",
    "LINDEX q/r 0/-1/7",
    "LTRIM q/r 0/1 1/-2",
    "LINSERT q/r BEFORE/AFTER/x a/b n",
    "LMOVE q/r r/q LEFT/RIGHT LEFT/RIGHT/x",
    "GETEX k/l EX/PERSIST 100",
    "OBJECT ENCODING x",
    "NOSUCH command/a b",
    "XADD s",
    "DBSIZE",
];

/// Fills a template's choices in.
fn filled(template: &str, mut choice: u32) -> String {
    let pick = |token: &str| {
        let options: Vec<&str> = token.split('/').collect();
        let count = u32::try_from(options.len()).unwrap();
        let picked = options[usize::try_from(choice % count).unwrap()].to_owned();
        choice /= count;
        picked
    };
    template.split(' ').map(pick).collect::<Vec<_>>().join(" ")
}

fn sequences() -> impl Strategy<Value = Vec<String>> {
    let one = (0..TEMPLATES.len(), any::<u32>());
    let one = one.prop_map(|(at, choice)| filled(TEMPLATES[at], choice));
    prop::collection::vec(one, 1..80)
}

/// Everything that can be seen of the keys.
fn portrait(world: &mut World) -> Vec<String> {
    let mut seen = vec![world.say("KEYS *")];
    for key in ["s", "t", "k", "l", "m", "e", "f", "h", "q", "r"] {
        for command in
            ["TYPE {}", "PTTL {}", "XINFO STREAM {} FULL COUNT 0", "GET {}", "SMEMBERS {}"]
        {
            seen.push(world.say(&command.replace("{}", key)));
        }
        for command in ["HGETALL {}", "LRANGE {} 0 -1"] {
            seen.push(world.say(&command.replace("{}", key)));
        }
    }
    seen
}

/// Nodes are packed anew by a restart, and only a rough cut can see that.
fn without_nodes(seen: Vec<String>) -> Vec<String> {
    let cut = |text: String| match (text.find("radix-tree-keys"), text.find("last-generated-id")) {
        (Some(from), Some(to)) => format!("{}{}", &text[..from - 5], &text[to..]),
        _ => text,
    };
    seen.into_iter().map(cut).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_kill_after_any_commands_takes_nothing(lines in sequences()) {
        let mut world = World::new();
        for (number, line) in lines.iter().enumerate() {
            world.say(line);
            if number % 7 == 0 {
                world.after(1);
            }
        }
        let before = portrait(&mut world);
        world.restart();
        prop_assert_eq!(without_nodes(portrait(&mut world)), without_nodes(before));
        // What was written anew must be the same again.
        let keys: Vec<_> = world.engine.keys.keys(0).map(|(key, _)| (0, key.clone())).collect();
        keys.into_iter().for_each(|place| world.engine.journal.rewrite(place));
        world.engine.finish();
        let before = portrait(&mut world);
        world.restart();
        prop_assert_eq!(without_nodes(portrait(&mut world)), without_nodes(before));
    }
}

/// A real Redis, where one is installed.
struct Redis {
    process: Child,
    socket: std::os::unix::net::UnixStream,
    _root: TempDir,
}

impl Redis {
    fn start() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&path);
        let process = command.current_dir(root.path()).stdout(Stdio::null()).spawn();
        let Ok(process) = process else {
            let is_required = std::env::var("REBEAM_REDIS").is_ok_and(|value| value == "required");
            assert!(!is_required, "redis-server is not installed");
            return None;
        };
        let start = Instant::now();
        let socket = loop {
            match std::os::unix::net::UnixStream::connect(&path) {
                Ok(socket) => break socket,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Self { process, socket, _root: root })
    }

    /// Says something; an echo behind it tells where the answer ends.
    fn say(&mut self, line: &str) -> String {
        const END: &[u8] = b"$9\r\n--rebeam-\r\n";
        self.socket.write_all(format!("{line}\r\nECHO --rebeam-\r\n").as_bytes()).unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(END) {
            let mut buffer = [0; 4096];
            let count = self.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "redis-server left");
            seen.extend_from_slice(&buffer[..count]);
        }
        seen.truncate(seen.len() - END.len());
        String::from_utf8_lossy(&seen).replace("\r\n", " ").trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// How many nodes Redis's tree has beside its leaves is its own affair.
fn comparable(answer: String) -> String {
    match answer.split_once("radix-tree-nodes :") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => answer,
    }
}

#[test]
fn any_commands_are_answered_as_redis_answers_them() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let redis = std::cell::RefCell::new(redis);
    let config = ProptestConfig { cases: 200, ..ProptestConfig::default() };
    proptest!(config, |(lines in sequences())| {
        let mut world = World::new();
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        world.engine.now_ms = u64::try_from(now_ms.as_millis()).unwrap();
        let mut redis = redis.borrow_mut();
        redis.say("FLUSHALL");
        let small_nodes = "CONFIG SET stream-node-max-entries 3";
        redis.say(small_nodes);
        world.say(small_nodes);
        for line in &lines {
            let (ours, theirs) = (world.say(line), redis.say(line));
            if line.starts_with("EXPIRE") && line.ends_with('T') {
                // Redis' clock goes on between two equal times, so one of them may be the greater there.
                continue;
            }
            prop_assert_eq!(comparable(ours), comparable(theirs), "{}", line);
        }
    });
}
