use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::dev::events::log::Bounds;
use crate::dev::events::{Forwarded, Reader, Wish};

/// A log that forwards, and what came of it.
struct Sending {
    state: tempfile::TempDir,
    log: Option<Arc<Log>>,
    threads: Vec<JoinHandle<()>>,
    forwards: Forwards,
    bounds: Bounds,
}

impl Sending {
    fn new(forwards: Forwards) -> Self {
        Self::within(forwards, Bounds::default())
    }

    fn within(forwards: Forwards, bounds: Bounds) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut sending = Self { state, log: None, threads: Vec::new(), forwards, bounds };
        sending.start();
        sending
    }

    fn to(target: &str) -> Forwards {
        Forwards { targets: vec![target.parse().unwrap()], ..Forwards::default() }
    }

    fn start(&mut self) {
        let log = Arc::new(Log::open(self.state.path(), self.bounds).unwrap());
        self.threads = start(&log, &self.forwards).unwrap();
        self.log = Some(log);
    }

    fn stop(&mut self) {
        self.log.take().unwrap().close();
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }

    fn happen(&self, numbers: std::ops::Range<i64>) {
        let entry = |n: i64| Entry::said(json!({"event": "numbered", "timestamp": n, "n": n}), n);
        self.log.as_ref().unwrap().append(&numbers.map(entry).collect::<Vec<_>>()).unwrap();
    }

    fn forwarded(&self) -> Forwarded {
        let reader = Reader::open(self.state.path()).unwrap().unwrap();
        eventually(|| reader.forwarded().unwrap().pop())
    }

    /// Waits until nothing waits any more.
    fn settle(&self) -> Forwarded {
        eventually(|| {
            Some(self.forwarded())
                .filter(|forwarded| forwarded.waiting == 0 && forwarded.trouble.is_none())
        })
    }

    fn says(&self, kind: &str) -> usize {
        let reader = Reader::open(self.state.path()).unwrap().unwrap();
        reader
            .search(&Wish { kind: Some(kind.into()), limit: 100, ..Wish::default() })
            .unwrap()
            .len()
    }
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not come to that");
}

/// An Elasticsearch that does as it is told for some requests, and well from then on.
struct Fake {
    address: SocketAddr,
    documents: Arc<Mutex<std::collections::BTreeMap<String, serde_json::Value>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Fault {
    Status(u16),
    /// Every other document is refused for now, every seventh for good.
    Partial,
    /// All is taken, and the connection ends before that is said.
    Cut,
}

impl Fake {
    fn start(faults: &'static [Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            documents: Arc::default(),
            heads: Arc::default(),
        };
        let (documents, heads) = (Arc::clone(&fake.documents), Arc::clone(&fake.heads));
        std::thread::spawn(move || {
            let mut faults = faults.iter().copied();
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                    if line.trim().is_empty() {
                        break;
                    }
                }
                heads.lock().unwrap().push(head);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                if let Some((status, answer)) = answer(&body, faults.next(), &documents) {
                    let text = format!(
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                        answer.len()
                    );
                    drop(stream.get_mut().write_all(text.as_bytes()));
                }
            }
        });
        fake
    }

    fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<i64> = self
            .documents
            .lock()
            .unwrap()
            .values()
            .filter_map(|document| document["n"].as_i64())
            .collect();
        numbers.sort_unstable();
        numbers
    }
}

fn answer(
    body: &[u8],
    fault: Option<Fault>,
    documents: &Mutex<std::collections::BTreeMap<String, serde_json::Value>>,
) -> Option<(u16, String)> {
    if let Some(Fault::Status(status)) = fault {
        return Some((status, r#"{"error":{"reason":"not now"}}"#.into()));
    }
    let lines: Vec<serde_json::Value> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let mut items = Vec::new();
    for (place, pair) in lines.chunks(2).enumerate() {
        let status = match fault {
            Some(Fault::Partial) if place % 7 == 6 => 400,
            Some(Fault::Partial) if place % 2 == 1 => 429,
            _ => 201,
        };
        if status == 201 {
            let id = pair[0]["index"]["_id"].as_str().unwrap().to_owned();
            documents.lock().unwrap().insert(id, pair[1].clone());
        }
        items.push(json!({"index": {"status": status}}));
    }
    (!matches!(fault, Some(Fault::Cut)))
        .then(|| (200, json!({"errors": true, "items": items}).to_string()))
}

#[test]
fn an_elasticsearch_that_is_busy_cut_off_or_half_willing_gets_each_event_once() {
    let fake = Fake::start(&[
        Fault::Status(429),
        Fault::Status(503),
        Fault::Cut,
        Fault::Partial,
        Fault::Partial,
    ]);
    let mut forwards = Sending::to(&format!("http://{}", fake.address));
    forwards.credentials.authorization = Some(crate::dev::Secret::new("ApiKey hidden"));
    let mut sending = Sending::new(forwards);
    sending.happen(0..50);
    let forwarded = eventually(|| Some(sending.settle()).filter(|forwarded| forwarded.sent > 40));
    assert!(forwarded.refused > 0 && forwarded.dropped == 0, "{forwarded:?}");
    // Those that were said to be refused for good had arrived before the cut.
    assert_eq!(fake.numbers(), (0..50).collect::<Vec<_>>());
    assert!(sending.says("forward_failed") >= 2 && sending.says("forward_resumed") == 1);
    assert!(fake.heads.lock().unwrap()[0].contains("ApiKey hidden"));
    let reader = Reader::open(sending.state.path()).unwrap().unwrap();
    let all = reader.search(&Wish { limit: 1000, ..Wish::default() }).unwrap();
    assert!(!format!("{all:?}{forwarded:?}").contains("hidden"));
    sending.stop();
}

#[test]
fn what_happens_while_the_far_side_is_down_arrives_later_also_across_a_restart_of_ours() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sending = Sending::new(Sending::to(&format!("http://{address}")));
    sending.happen(0..30);
    eventually(|| sending.forwarded().trouble);
    sending.stop();
    sending.start();
    sending.happen(30..60);
    let served = TcpListener::bind(address);
    // Another process may have taken the port meanwhile.
    let Ok(listener) = served else { return };
    drop(listener);
    let elastic = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Arc::new(Log::open(elastic.path(), Bounds::default()).unwrap());
        let router = crate::dev::events::elastic::router(Arc::clone(&log));
        let web = crate::dev::web::Web::serve("test", TcpListener::bind(address).unwrap(), router)
            .unwrap();
        tokio::task::block_in_place(|| sending.settle());
        let reader = Reader::open(elastic.path()).unwrap().unwrap();
        let wish = Wish { kind: Some("numbered".into()), limit: 1000, ..Wish::default() };
        let numbers: Vec<_> = reader
            .search(&wish)
            .unwrap()
            .iter()
            .rev()
            .map(|line| line.document["n"].as_i64().unwrap())
            .collect();
        assert_eq!(numbers, (0..60).collect::<Vec<_>>());
        web.stop().await;
    });
    sending.stop();
}

#[test]
fn what_the_log_lets_go_before_it_was_sent_is_counted_and_said() {
    let forwards = Sending::to("http://127.0.0.1:1");
    let mut sending = Sending::within(forwards, Bounds { rows: 100, bytes: 1 << 30 });
    eventually(|| Reader::open(sending.state.path()).unwrap().unwrap().forwarded().unwrap().pop());
    for start in 0..20 {
        sending.happen(start * 20..start * 20 + 20);
    }
    let forwarded = sending.forwarded();
    assert!(forwarded.dropped >= 300, "{forwarded:?}");
    assert!(forwarded.dropped + forwarded.waiting >= 400, "{forwarded:?}");
    assert!(sending.says("forward_dropped") > 0);
    sending.stop();
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_file_gets_a_line_for_each_event_and_gives_way_before_it_grows_large() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs/events.ndjson");
    let mut sending = Sending::new(Forwards { ndjson: Some(path.clone()), ..Forwards::default() });
    sending.happen(0..5);
    eventually(|| (lines(&path).len() == 5).then_some(()));
    sending.stop();
    sending.start();
    sending.happen(5..8);
    sending.stop();
    let numbers: Vec<_> = lines(&path).iter().map(|line| line["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    assert_eq!(lines(&path)[0]["_id"], 1);

    let mut small = file::Lines::with_bytes_max(path.clone(), 300);
    let parcel = |id| Parcel {
        id,
        at_ms: 0,
        kind: "x".into(),
        source: json!({"n": "x".repeat(100)}).to_string(),
    };
    for id in 0..40 {
        small.send(&[parcel(id)]).unwrap();
    }
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 5);
    let newest = path.with_extension("ndjson.1");
    assert_eq!(
        lines(&newest).last().unwrap()["_id"].as_i64().unwrap() + 1,
        lines(&path)[0]["_id"].as_i64().unwrap()
    );
}

#[test]
fn a_real_redis_gets_each_event_once_though_it_is_cut_off() {
    let is_there = std::process::Command::new("redis-server").arg("--version").output().is_ok();
    if !is_there {
        assert!(std::env::var_os("REBEAM_REDIS").is_none(), "redis-server is missing");
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let serve = || {
        std::process::Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--requirepass",
                "hidden",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ])
            .current_dir(directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let ask = |words: &[&str]| {
        let ran = std::process::Command::new("redis-cli")
            .args(["-p", &port.to_string(), "-a", "hidden", "--no-auth-warning"])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let mut server = serve();
    let mut forwards = Sending::to(&format!("redis://127.0.0.1:{port}"));
    forwards.credentials.redis_password = Some(crate::dev::Secret::new("hidden"));
    let mut sending = Sending::new(forwards);
    sending.happen(0..20);
    sending.settle();
    server.kill().unwrap();
    server.wait().unwrap();
    sending.happen(20..40);
    eventually(|| sending.forwarded().trouble);
    let mut server = serve();
    sending.settle();
    // As if we had been killed after the last was sent and before that was written down.
    sending.stop();
    let database = schema::open(&schema::path(sending.state.path())).unwrap();
    database.execute("update forward set cursor = 5", []).unwrap();
    drop(database);
    sending.start();
    sending.settle();
    let seen: Vec<i64> = ask(&["--json", "XRANGE", "rebeam.events", "-", "+"])
        .split("\"n\",\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    sending.stop();
    server.kill().unwrap();
    server.wait().unwrap();
}
