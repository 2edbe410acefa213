//! Tests of the server as a whole, without sockets: commands go in, bytes come out.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tempfile::TempDir;

use super::engine::Engine;
use super::journal::Journal;
use super::outlet::Outlet;
use super::request::{Reader, Trust};
use super::session::SessionId;

/// A server whose clock stands still until it is moved.
struct World {
    root: TempDir,
    engine: Engine,
    outlets: Vec<Arc<Outlet>>,
}

const NOW_MS: u64 = 1_700_000_000_000;

fn opened(root: &Path) -> Engine {
    let (journal, keys, password) = Journal::open(&root.join("streams.sqlite")).unwrap();
    Engine::new(keys, journal, password, NOW_MS)
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let engine = opened(root.path());
        let mut world = Self { root, engine, outlets: Vec::new() };
        world.join();
        world
    }

    fn join(&mut self) -> SessionId {
        let outlet = Arc::new(Outlet::new(Arc::new(AtomicUsize::new(0)), true));
        let id = self.outlets.len() as SessionId;
        self.engine.open(id, Arc::clone(&outlet), "test".into());
        self.outlets.push(outlet);
        id
    }

    /// Ends the server as a kill would, and starts it again.
    fn restart(&mut self) {
        let (now_ms, clients) = (self.engine.now_ms, self.outlets.len());
        self.engine = opened(self.root.path());
        self.engine.now_ms = now_ms;
        self.outlets.clear();
        (0..clients).for_each(|_| drop(self.join()));
    }

    /// Says something as a client types it; returns what it is shown.
    fn say_as(&mut self, id: SessionId, line: &str) -> String {
        let mut input = BytesMut::from(format!("{line}\n").as_bytes());
        let request = Reader::default().next(&mut input, Trust::Known).unwrap().unwrap();
        self.engine.requests(id, vec![request]);
        self.engine.finish();
        self.heard(id)
    }

    fn say(&mut self, line: &str) -> String {
        self.say_as(0, line)
    }

    fn heard(&mut self, id: SessionId) -> String {
        let bytes = self.outlets[usize::try_from(id).unwrap()].take();
        String::from_utf8_lossy(&bytes).replace("\r\n", " ").trim_end().to_owned()
    }

    fn after(&mut self, ms: u64) {
        self.engine.now_ms += ms;
        self.engine.tick();
        self.engine.finish();
    }
}

#[test]
fn errors_are_worded_as_redis_words_them() {
    let mut world = World::new();
    world.say("XADD s 5-1 a 1");
    world.say("XGROUP CREATE s g $");
    world.say("SET text t");
    for (line, answer) in [
        ("FOO bar 'a b'", "-ERR unknown command 'FOO', with args beginning with: 'bar' 'a b'"),
        ("XINFO foo s", "-ERR unknown subcommand 'foo'. Try XINFO HELP."),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("XGROUP CREATE s", "-ERR wrong number of arguments for 'xgroup|create' command"),
        ("XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists"),
        ("XLEN text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        (
            "XADD s 5-1 a 1",
            "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ),
        ("XADD s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("XADD s * a", "-ERR wrong number of arguments for 'xadd' command"),
        (
            "XREADGROUP GROUP no c STREAMS s >",
            "-NOGROUP No such key 's' or consumer group 'no' in XREADGROUP with GROUP option",
        ),
        ("XPENDING s no", "-NOGROUP No such key 's' or consumer group 'no'"),
        ("XINFO CONSUMERS s no", "-NOGROUP No such consumer group 'no' for key name 's'"),
        ("XACK s g x", "-ERR Invalid stream ID specified as stream command argument"),
        ("INCR text", "-ERR value is not an integer or out of range"),
        ("SET a b EX 0", "-ERR invalid expire time in 'set' command"),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("SELECT 99", "-ERR DB index is out of range"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
    ] {
        assert_eq!(world.say(line), answer, "{line}");
    }
}

#[test]
fn an_unacknowledged_entry_is_seen_again_by_its_consumer_alone() {
    let mut world = World::new();
    world.say("XGROUP CREATE s g $ MKSTREAM");
    world.say("XADD s 1-1 a 1");
    let entry = "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1";
    assert_eq!(world.say("XREADGROUP GROUP g one STREAMS s >"), entry);
    assert_eq!(world.say("XREADGROUP GROUP g two STREAMS s >"), "*-1");
    assert_eq!(world.say("XREADGROUP GROUP g one STREAMS s 0"), entry);
    assert_eq!(world.say("XREADGROUP GROUP g two STREAMS s 0"), "*1 *2 $1 s *0");
    assert_eq!(world.say("XACK s g 1-1 1-1"), ":1");
    assert_eq!(world.say("XREADGROUP GROUP g one STREAMS s 0"), "*1 *2 $1 s *0");
}

#[test]
fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let mut world = World::new();
    let (first, second) = (world.join(), world.join());
    world.say("XGROUP CREATE s g $ MKSTREAM");
    assert_eq!(world.say_as(second, "XREADGROUP GROUP g b COUNT 1 BLOCK 0 STREAMS s >"), "");
    assert_eq!(world.say_as(first, "XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >"), "");
    world.say("XADD s 1-1 n 1");
    assert!(world.heard(second).contains("1-1"));
    assert_eq!(world.heard(first), "");
    world.say("XADD s 2-1 n 2");
    assert!(world.heard(first).contains("2-1"));
}

#[test]
fn a_wait_ends_with_its_time_and_with_its_group() {
    let mut world = World::new();
    let other = world.join();
    world.say("XGROUP CREATE s g $ MKSTREAM");
    world.say_as(other, "XREAD BLOCK 50 STREAMS s $");
    world.after(49);
    assert_eq!(world.heard(other), "");
    world.after(1);
    assert_eq!(world.heard(other), "*-1");
    world.say_as(other, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    world.say("DEL s");
    assert_eq!(world.heard(other), "-UNBLOCKED the stream key no longer exists");
}

#[test]
fn a_transaction_runs_whole_or_not_at_all() {
    let mut world = World::new();
    let other = world.join();
    world.say("WATCH a");
    world.say("MULTI");
    assert_eq!(world.say("INCR a"), "+QUEUED");
    world.say_as(other, "SET a 5");
    assert_eq!(world.say("EXEC"), "*-1");
    world.say("MULTI");
    assert!(world.say("NOSUCH").starts_with("-ERR unknown command"));
    assert!(world.say("EXEC").starts_with("-EXECABORT"));
    world.say("MULTI");
    world.say("INCR a");
    world.say("XADD a * f v");
    assert!(world.say("EXEC").starts_with("*2 :6 -WRONGTYPE"));
}

#[test]
fn a_key_ends_when_its_time_has_come_whether_or_not_anybody_looks() {
    let mut world = World::new();
    world.say("SET a 1 PX 100");
    world.say("SET b 1 PX 100");
    world.engine.now_ms += 100;
    assert_eq!(world.say("GET a"), "$-1");
    world.after(0);
    assert_eq!(world.say("DBSIZE"), ":0");
    world.restart();
    assert_eq!(world.say("DBSIZE"), ":0");
}

#[test]
fn strangers_are_let_in_by_the_password_alone_and_it_outlives_a_restart() {
    let mut world = World::new();
    world.say("CONFIG SET requirepass hunter2");
    world.restart();
    assert_eq!(world.say("GET a"), "-NOAUTH Authentication required.");
    assert!(world.say("AUTH wrong").starts_with("-WRONGPASS"));
    assert!(world.say("HELLO 3").starts_with("-NOAUTH"));
    assert_eq!(world.say("AUTH hunter2"), "+OK");
    assert_eq!(world.say("GET a"), "$-1");
    let file = std::fs::read(world.root.path().join("streams.sqlite")).unwrap();
    assert!(!file.windows(7).any(|window| window == b"hunter2"));
}

#[test]
fn who_guesses_passwords_is_left() {
    let mut world = World::new();
    world.say("CONFIG SET requirepass hunter2");
    let stranger = world.join();
    (0..10).for_each(|_| drop(world.say_as(stranger, "AUTH guess")));
    assert!(world.outlets[1].is_ending());
}

#[test]
fn a_full_state_refuses_what_would_grow_it_and_nothing_else() {
    let mut world = World::new();
    world.engine.keys.bytes += crate::limits::STREAMS_STATE_BYTES_MAX;
    world.say("SADD s a");
    world.engine.keys.bytes += 1;
    let refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(world.say("XADD x * a 1"), refusal);
    assert_eq!(world.say("SET a 1"), refusal);
    assert_eq!(world.say("DEL s"), ":1");
}

#[test]
fn a_listener_that_does_not_read_is_left_and_the_others_hear_all() {
    let mut world = World::new();
    let (slow, quick) = (world.join(), world.join());
    world.say_as(slow, "SUBSCRIBE c");
    world.say_as(quick, "SUBSCRIBE c");
    let message = "x".repeat(60_000);
    for _ in 0..200 {
        world.say(&format!("PUBLISH c {message}"));
        let heard = world.outlets[2].take();
        world.outlets[2].sent(heard.len());
    }
    assert!(world.outlets[1].is_ending());
    assert!(!world.outlets[2].is_ending());
    assert!(world.outlets[1].waiting_bytes() <= crate::limits::STREAMS_LISTENER_BYTES_MAX);
}

#[test]
fn an_answer_larger_than_a_client_may_have_ends_it_instead_of_taking_the_memory() {
    let mut world = World::new();
    world.say(&format!("SET a {}", "x".repeat(60_000)));
    let many = "a ".repeat(2000);
    world.say(&format!("MGET {many}"));
    assert!(world.outlets[0].is_ending());
}

#[test]
fn whoever_watches_sees_commands_but_no_passwords() {
    let mut world = World::new();
    let watcher = world.join();
    world.say_as(watcher, "MONITOR");
    world.say("AUTH secret");
    world.say("CONFIG SET requirepass secret");
    world.say("SET a \"b\\n\"");
    let seen = world.heard(watcher);
    assert!(seen.ends_with("\"SET\" \"a\" \"b\\n\""), "{seen}");
    assert!(!seen.contains("secret"));
}

#[test]
fn a_cursor_shows_each_key_once_whatever_comes_and_goes() {
    let mut world = World::new();
    (0..50).for_each(|n| drop(world.say(&format!("SET stays{n} 1"))));
    let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
    for round in 0.. {
        world.say(&format!("SET new{round} 1"));
        let page = world.say(&format!("SCAN {cursor} MATCH stays*"));
        let words: Vec<&str> = page.split(' ').collect();
        cursor = words[2].to_owned();
        seen.extend(words.iter().filter(|word| word.starts_with("stays")).map(|w| (*w).to_owned()));
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

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
        for node in ["CONFIG SET stream-node-max-entries 3"] {
            redis.say(node);
            world.say(node);
        }
        for line in &lines {
            let (ours, theirs) = (world.say(line), redis.say(line));
            prop_assert_eq!(comparable(ours), comparable(theirs), "{}", line);
        }
    });
}

#[test]
fn nobody_can_send_what_only_the_journal_writes() {
    let mut world = World::new();
    world.engine.requests(0, vec![vec![Bytes::from_static(super::rewrite::PENDING)]]);
    world.engine.finish();
    assert!(world.heard(0).starts_with("-ERR unknown command"));
}
