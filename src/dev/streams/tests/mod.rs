//! Tests of the server as a whole, without sockets: commands go in, bytes come out.

mod random;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;

use super::engine::Engine;
use super::journal::Journal;
use super::outlet::Outlet;
use super::request::{Reader, Trust};
use super::rewrite::PENDING;
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
        for _ in 0..clients {
            self.join();
        }
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

#[test]
fn nobody_can_send_what_only_the_journal_writes() {
    let mut world = World::new();
    world.engine.requests(0, vec![vec![Bytes::from_static(PENDING)]]);
    world.engine.finish();
    assert!(world.heard(0).starts_with("-ERR unknown command"));
}

#[test]
fn what_redis_dumped_is_restored_with_its_groups() {
    // Two entries of three, the second was deleted; a group that has read the first.
    let dump = "\\x13\\x02\\x10\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x36\
        \\x36\\x00\\x00\\x00\\x12\\x00\\x01\\x01\\x01\\x01\\x02\\x01\\x81\\x61\\x02\\x81\\x62\\x02\\x00\\x01\
        \\x02\\x01\\x00\\x01\\x00\\x01\\x01\\x01\\x84\\x74\\x65\\x78\\x74\\x05\\x05\\x01\\x03\\x01\\x01\\x01\
        \\xdf\\xff\\x02\\xf2\\x70\\x11\\x01\\x04\\xdf\\xfb\\x02\\x05\\x01\\xff\\x10\\x00\\x00\\x00\\x00\\x00\
        \\x00\\x00\\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x21\\x21\\x00\\x00\\x00\\x0a\\x00\\x01\\x01\
        \\x00\\x01\\x01\\x01\\x85\\x6f\\x74\\x68\\x65\\x72\\x06\\x00\\x01\\x02\\x01\\x00\\x01\\x00\\x01\\x81\
        \\x78\\x02\\x04\\x01\\xff\\x02\\x03\\x00\\x01\\x01\\x02\\x00\\x03\\x01\\x01\\x67\\x01\\x01\\x81\\xff\
        \\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\
        \\x00\\x00\\x00\\x01\\xca\\xb7\\xc9\\x01\\xa2\\x01\\x00\\x00\\x01\\x01\\x01\\x63\\xca\\xb7\\xc9\\x01\
        \\xa2\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\
        \\x01\\x0a\\x00\\xe5\\xd2\\x63\\x2e\\x95\\x6a\\xfa\\x56";
    let mut world = World::new();
    assert_eq!(world.say(&format!("RESTORE d 0 \"{dump}\"")), "+OK");
    let entries = "*2 *2 $3 1-1 *4 $1 a $1 1 $1 b $4 text *2 $3 3-0 *2 $5 other $1 x";
    assert_eq!(world.say("XRANGE d - +"), entries);
    assert_eq!(world.say("XPENDING d g"), "*4 :1 $3 1-1 $3 1-1 *1 *2 $1 c $1 1");
    assert!(world.say("XINFO STREAM d").contains("max-deleted-entry-id $3 2-0"));
    let torn = dump.replacen("\\x", "\\x7", 1);
    let refusal = "-ERR DUMP payload version or checksum are wrong";
    assert_eq!(world.say(&format!("RESTORE e 0 \"{torn}\"")), refusal);
    assert!(world.say(&format!("RESTORE d 0 \"{dump}\"")).starts_with("-BUSYKEY"));
}

#[test]
fn a_stream_that_is_named_ten_thousand_times_is_answered_within_a_bound() {
    let mut world = World::new();
    let value = "x".repeat(60_000);
    for _ in 0..100 {
        world.say(&format!("XADD s * field {value}"));
    }
    let many = 10_000;
    let names = " s".repeat(many);
    let command = format!("XREAD STREAMS{names}{}", " 0".repeat(many));
    let bytes = world.say(&command).len();
    assert!((30 << 20..40 << 20).contains(&bytes), "{bytes}");
    // The one who waits is noted once for each stream, however often it is named.
    let missing = " m".repeat(many);
    let waiting = world.join();
    world.say_as(waiting, &format!("XREAD BLOCK 1 STREAMS{missing}{}", " 0".repeat(many)));
    let calm = world.join();
    world.say_as(calm, "XGROUP CREATE s g 0");
    let read = format!("XREADGROUP GROUP g c STREAMS{names}");
    // Who has that much to read is not answered further: each asks on a connection of its own.
    let (new, again) = (world.join(), world.join());
    let bytes = world.say_as(new, &format!("{read}{}", " >".repeat(many))).len();
    assert!((5 << 20..8 << 20).contains(&bytes), "{bytes}");
    let bytes = world.say_as(again, &format!("{read}{}", " 0".repeat(many))).len();
    assert!((30 << 20..40 << 20).contains(&bytes), "{bytes}");
}
