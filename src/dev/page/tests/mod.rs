mod browser;
mod seen;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::dev::access::{NewRow, Open, Settings};
use crate::dev::broker::{Broker, Dress, Limits, Listener};
use crate::dev::events::{Events, Forwards};
use crate::dev::services::{Logs, Services};
use crate::dev::streams::Streams;
use crate::dev::things::Things;
use crate::dev::{Ports, Troubles};
use crate::manifest::{AccessProvider, AccessWish};

/// Names and values that would be markup if they were not text.
const TOPIC: &str = "evil/<script>alert(1)</script>";
const PAYLOAD: &str = "</script><img src=x onerror=alert(2)>'\"";
const CLIENT: &str = "\"><svg onload=alert(3)>";
const KEY: &str = "key<b onclick='alert(4)'>";
/// What must be in no answer.
const MARKUP: [&str; 6] =
    ["<script>al", "</script><img", "<img", "<svg onload", "<b onclick", "\"><svg"];

const PAGES: [&str; 14] = [
    "/",
    "/clients",
    "/client?id=%22%3E%3Csvg%20onload%3Dalert(3)%3E",
    "/topics",
    "/topic?name=evil%2F%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "/messages?q=%3Cscript%3Ealert",
    "/message?n=2",
    "/diff?a=1&b=2",
    "/events?q=%3Cscript%3Ealert",
    "/streams",
    "/stream?db=0&key=key%3Cb%20onclick%3D%27alert(4)%27%3E",
    "/things?q=%3Cscript%3Ealert",
    "/logs?q=%3Cscript%3Ealert",
    "/access?client=%22%3E%3Csvg%20onload%3Dalert(3)%3E&topic=%3Cimg%20src%3Dx%3E&lint=1",
];

struct Stand {
    page: Page,
    broker: Broker,
    streams: Streams,
    things: Things,
    events: Events,
    bus: Bus,
    logs: Logs,
    _state: tempfile::TempDir,
}

impl Stand {
    fn start() -> Self {
        let bus = Bus::default();
        Self::with(bus.clone(), &bus)
    }

    /// A stand whose event log hears of what is said on `logged`.
    fn with(bus: Bus, logged: &Bus) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let state = tempfile::tempdir().unwrap();
        let events =
            Events::start(logged, state.path(), bind(), &Guard::default(), &Forwards::default())
                .unwrap();
        let streams = Streams::start(bind(), state.path(), None).unwrap();
        let listener = Listener { socket: bind(), dress: Dress::Bare };
        let limits = Limits { sys_interval: Duration::ZERO, ..Limits::default() };
        let access = Arc::new(Open::default());
        let broker = broker::serve(vec![listener], access, bus.clone(), limits, None).unwrap();
        let services = vec![Service::new("mqtt", broker.addresses()[0], "mqtt", "")];
        let (handle, inlet) = (broker.handle(), streams.inlet());
        let setup = things::Setup::default();
        let ports = Ports::new(std::net::Ipv4Addr::LOCALHOST.into(), state.path());
        let sockets = things::Sockets::take(&ports, &setup).unwrap();
        let opened = things::Opened::open(state.path(), bus.clone(), setup, sockets).unwrap();
        let things = opened.serve(broker.handle(), &Guard::default()).unwrap();
        let logs = Logs::of(state.path());
        let supervised = Supervised::default();
        supervised.set(Arc::new(Services::start(Vec::new(), &logs).unwrap())).unwrap();
        let parts = Parts {
            services,
            troubles: Troubles::default(),
            broker: handle,
            streams: inlet,
            log: events.reader().unwrap(),
            things: things.view(),
            book: Book::open(&rules(), state.path()).unwrap(),
            supervised,
            bus: bus.clone(),
        };
        let page = Page::start(bind(), parts, &Guard::default()).unwrap();
        Self { page, broker, streams, things, events, bus, logs, _state: state }
    }

    /// Sends a request and reads until the other side ends, or has sent `until`.
    async fn ask(&self, method: &str, path: &str, more: &str, until: Option<&str>) -> String {
        let address = self.page.address();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}");
        let until = until.map(str::to_owned);
        let asked = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            if !request.contains("\r\n\r\n") {
                stream.write_all(b"\r\n").unwrap();
            }
            let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                answer.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&answer);
                if until.as_ref().is_some_and(|until| text.contains(until)) {
                    break;
                }
            }
            String::from_utf8(answer).unwrap()
        });
        asked.await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "", None).await
    }

    /// Reads the frames of a live view until one contains `until`.
    async fn live(&self, path: &str, until: &str) -> String {
        self.ask("GET", path, "Accept: text/event-stream\r\n", Some(until)).await
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(body(&self.get(&json_of(path)).await)).unwrap()
    }

    fn publish(&self, topic: &str, payload: &str) {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.broker.handle().publish(topic, payload, 1, true);
    }

    /// Waits until the page of messages shows as many.
    async fn until_seen(&self, count: usize) {
        for _ in 0..200 {
            if self.json("/messages").await["watch"]["messages"] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} messages were never seen");
    }

    /// Begins to watch messages.
    async fn watch(&self) {
        for _ in 0..200 {
            if !self.json("/messages").await["watch"]["since"].is_null() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody watches");
    }

    async fn stop(self) {
        self.page.stop().await;
        self.things.stop().await;
        self.broker.stop().await;
        self.streams.stop().await;
        drop(self.bus);
        self.events.stop().await;
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("an answer has a head").1
}

fn json_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = if path == "/" { "/overview" } else { path };
    format!("{path}.json?{query}").trim_end_matches('?').to_owned()
}

/// Connects a client of MQTT 3.1.1 that stays.
fn connect(broker: &Broker, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(broker.addresses()[0]).unwrap();
    let length = u8::try_from(12 + id.len()).unwrap();
    let head = [&[0x10, length][..], b"\0\x04MQTT\x04\x02\0\0\0", &[length - 12]].concat();
    stream.write_all(&[&head, id.as_bytes()].concat()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    stream
}

/// Rules in a database of the stack's own.
fn rules() -> Settings {
    let wish = AccessWish { provider: AccessProvider::Sql, ..AccessWish::default() };
    Settings::new(&wish, std::path::Path::new("/none"), None).unwrap()
}

/// A stand where strangers wrote whatever they could think of.
async fn evil() -> (Stand, TcpStream) {
    let stand = Stand::start();
    stand.watch().await;
    let client = connect(&stand.broker, CLIENT);
    stand.logs.writer("db").unwrap().line(&format!("{PAYLOAD}<script>alert(6)</script>"));
    stand.publish(TOPIC, PAYLOAD);
    stand.publish(TOPIC, &format!("{PAYLOAD}\n<script>alert(5)</script>"));
    let words = ["XADD", KEY, "*", TOPIC, PAYLOAD];
    let words = words.map(|word| Bytes::from_static(word.as_bytes()));
    assert!(stand.streams.inlet().run(vec![words.into()]).await);
    stand.until_seen(2).await;
    (stand, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_strangers_wrote_is_text_on_every_page_in_json_and_live() {
    let (stand, _client) = evil().await;
    for page in PAGES {
        let html = stand.get(page).await;
        assert!(html.starts_with("HTTP/1.1 200 "), "{page}: {html}");
        assert_eq!(html.matches("<script").count(), 1, "{page}: {html}");
        let json = stand.get(&json_of(page)).await;
        assert!(json.starts_with("HTTP/1.1 200 "), "{page}: {json}");
        let after = if page.contains('?') { "&after=0" } else { "?after=0" };
        let live = stand.live(&format!("{page}{after}"), "\n\n").await;
        for (answer, way) in [(html, "html"), (json, "json"), (live, "live")] {
            for markup in MARKUP {
                assert!(!body(&answer).contains(markup), "{page} as {way}: {markup}\n{answer}");
            }
        }
    }
    let clients = stand.json("/clients").await;
    assert_eq!(clients["clients"][0]["client_id"], CLIENT);
    let topic = stand.json(PAGES[4]).await;
    assert_eq!(topic["messages"][1]["payload"]["text"], PAYLOAD);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_load_from_the_page_alone_whatever_the_answer() {
    let stand = Stand::start();
    for path in
        ["/", "/overview.json", "/page.css", "/page.js", "/icon.svg", "/none", "/client?id=x"]
    {
        let answer = stand.get(path).await.to_lowercase();
        for line in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(line), "{path}: {line}\n{answer}");
        }
        assert!(answer.contains("frame-ancestors 'none'"), "{path}");
    }
    // What the policy would keep from working must not be there.
    let html = stand.get("/").await;
    assert!(
        !html.contains(" style=") && !html.contains(" onclick=") && !html.contains("http-equiv")
    );
    let assets = [include_str!("../page.css"), include_str!("../page.js")].concat();
    assert!(!assets.contains("://") && !assets.contains("@import"));
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_json_by_its_address_and_by_what_is_accepted() {
    let (stand, _client) = evil().await;
    for page in PAGES.into_iter().filter(|page| *page != "/") {
        let by_address = stand.json(page).await;
        let accept = "Accept: application/json\r\n";
        let answer = stand.ask("GET", page, accept, None).await;
        let by_header: Value = serde_json::from_str(body(&answer)).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&by_address), keys(&by_header), "{page}");
        let html = stand.get(page).await;
        assert!(html.contains(&json_of(page).replace('&', "&amp;")), "{page}: {html}");
    }
    let none = stand.get("/client.json?id=nobody").await;
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    assert!(body(&none).starts_with("{\"error\":\"no session of a client `nobody`"), "{none}");
    let missing = stand.get("/client").await;
    assert!(missing.starts_with("HTTP/1.1 400 ") && missing.contains("?id="), "{missing}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_looking_no_message_is_watched() {
    let stand = Stand::with(Bus::default(), &Bus::default());
    for page in ["/", "/clients", "/events", "/streams", "/things", "/access"] {
        stand.get(page).await;
    }
    stand.publish("t", "unseen");
    assert!(!stand.bus.is_watched_closely());
    stand.watch().await;
    stand.publish("t", "seen");
    stand.until_seen(1).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_log_sends_new_rows_alone_and_says_how_many_it_left_out() {
    let stand = Stand::start();
    stand.watch().await;
    for number in 0..250 {
        stand.publish("t", &format!("n{number}"));
    }
    stand.until_seen(250).await;
    let frames = stand.live("/messages.json?after=245", "\n\n").await;
    assert!(frames.contains("event: rows\nid: 250\n"), "{frames}");
    assert!(frames.contains("\"lost\":0") && frames.contains("\"n249\""), "{frames}");
    assert!(frames.contains("\"n245\"") && !frames.contains("\"n244\""), "{frames}");
    let frames = stand.live("/messages.json?after=10", "\n\n").await;
    assert!(frames.contains("\"lost\":40"), "{frames}");
    // A reader that lost its connection says what it has.
    let again = "Accept: text/event-stream\r\nLast-Event-ID: 248\r\n";
    let frames = stand.ask("GET", "/messages.json?after=10", again, Some("\n\n")).await;
    assert!(frames.contains("\"n248\"") && !frames.contains("\"n247\""), "{frames}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_page_comes_whole_and_ends_with_the_stack() {
    let stand = Stand::start();
    let address = stand.page.address();
    let live = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!(
            "GET /clients HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut frames = String::new();
        stream.read_to_string(&mut frames).unwrap();
        frames
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _client = connect(&stand.broker, "later");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    tokio::time::timeout(Duration::from_secs(8), stand.stop()).await.unwrap();
    let frames = live.await.unwrap();
    assert_eq!(frames.matches("event: state\n").count(), 2, "{frames}");
    assert!(frames.contains("later"), "{frames}");
    assert!(frames.contains("event: end\ndata: {\"reason\":\"the stack ended\"}"), "{frames}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_live_views_than_there_are_places_are_told_so() {
    let stand = Stand::start();
    let address = stand.page.address();
    let open = move |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        stream
    };
    let open =
        tokio::task::spawn_blocking(move || (0..PAGE_LIVES_MAX).map(open).collect::<Vec<_>>());
    let open = open.await.unwrap();
    let refused = stand.live("/", "close some").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(open);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_disconnected_from_its_page_and_by_no_other_site() {
    let stand = Stand::start();
    let mut client = connect(&stand.broker, "c 1");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n";
    let foreign = format!("{form}Origin: http://a.example\r\n\r\nid=c+1");
    let answer = stand.ask("POST", "/client/disconnect", &foreign, None).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(stand.json("/client?id=c%201").await["is_connected"], true);
    let own = format!("{form}Origin: http://{}\r\n\r\nid=c+1", stand.page.address());
    let answer = stand.ask("POST", "/client/disconnect", &own, None).await;
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    let ended = tokio::task::spawn_blocking(move || client.read(&mut [0; 8]));
    assert_eq!(ended.await.unwrap().unwrap(), 0);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_stream_is_shown_with_what_it_has_not_acknowledged() {
    let stand = Stand::start();
    let words = |text: &str| text.split(' ').map(|word| word.to_owned().into()).collect();
    let commands = [
        "XADD s 1-1 f v",
        "XADD s 1-2 f w",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
        "SET other 1",
    ];
    // Commands with a subcommand are for clients: the stack's own go in by the socket as well.
    let address = stand.streams.address();
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        for command in commands {
            stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
            assert!(stream.read(&mut [0; 512]).unwrap() > 0);
        }
    });
    said.await.unwrap();
    let stream = stand.json("/stream?db=0&key=s").await;
    assert_eq!(stream["length"], 2);
    assert_eq!(stream["entries"][0]["id"], "1-2");
    assert_eq!(stream["entries"][0]["fields"][0][1]["text"], "w");
    let group = &stream["groups"][0];
    assert_eq!(
        (&group["name"], &group["pending"], &group["lag"]),
        (&"g".into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&group["consumers"][0]["name"], &group["consumers"][0]["pending"]),
        (&"c".into(), &1.into())
    );
    let streams = stand.json("/streams").await;
    assert_eq!(
        (&streams["keys"][0]["kind"], &streams["keys"][1]["kind"]),
        (&"stream".into(), &"string".into())
    );
    assert!(stand.streams.inlet().run(vec![words("DEL s")]).await);
    assert!(stand.get("/stream?db=0&key=s").await.starts_with("HTTP/1.1 404 "));
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_searched_and_come_live_as_the_log_has_them() {
    let stand = Stand::start();
    let _one = connect(&stand.broker, "one");
    let _other = connect(&stand.broker, "other");
    let mut found = Value::Null;
    for _ in 0..200 {
        found = stand.json("/events?event=client_connected&client=one").await;
        if found["events"][0]["client_id"] == "one" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(found["events"].as_array().unwrap().len(), 1, "{found}");
    let frames = stand.live("/events.json?client=other&after=0", "client_connected").await;
    assert!(frames.contains("event: rows\n") && !frames.contains("\"one\""), "{frames}");
    let client = stand.json("/client?id=one").await;
    assert!(client["events"].to_string().contains("client_connected"), "{client}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_services_are_searched_and_come_live_one_by_one() {
    let stand = Stand::start();
    let (mut db, mut web) = (stand.logs.writer("db").unwrap(), stand.logs.writer("web").unwrap());
    for number in 0..310 {
        db.line(&format!("row {number}"));
    }
    web.line("GET /\u{202e}x?a=<b>");
    let all = stand.json("/logs").await;
    assert_eq!(all["services"], serde_json::json!(["db", "web"]));
    assert_eq!(all["lines"].as_array().unwrap().len(), 300);
    let found = stand.json("/logs?service=db&q=ROW%2030").await;
    let texts: Vec<&str> = found["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["text"].as_str().unwrap())
        .collect();
    let wanted: Vec<String> = (300..310).rev().map(|n| format!("row {n}")).collect();
    assert_eq!(
        texts,
        [&wanted.iter().map(String::as_str).collect::<Vec<_>>()[..], &["row 30"]].concat()
    );
    let html = stand.get("/logs?service=web").await;
    assert!(html.contains("GET /\\u{202e}x?a=&lt;b&gt;") && !html.contains("row 3"), "{html}");
    // Who follows gets each line once, from where the page ended.
    db.line("later");
    web.line("not wanted");
    let after = &found["newest"];
    let frames = stand.live(&format!("/logs.json?service=db&after={after}"), "\n\n").await;
    assert!(frames.contains("\"later\"") && !frames.contains("row 309"), "{frames}");
    assert!(!frames.contains("not wanted") && frames.contains("\"lost\":0"), "{frames}");
    let none = stand.get("/logs?service=nobody").await;
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_restarted_by_no_other_site() {
    let stand = Stand::start();
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n";
    let foreign = format!("{form}Origin: http://a.example\r\n\r\nname=db");
    let answer = stand.ask("POST", "/service/restart", &foreign, None).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let own = format!("{form}Origin: http://{}\r\n\r\nname=db", stand.page.address());
    let answer = stand.ask("POST", "/service/restart", &own, None).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("no service `db`"), "{answer}");
    let answer = stand.get("/service/restart").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_explained_by_the_rule_that_decides() {
    let stand = Stand::start();
    let book = Book::open(&rules(), stand._state.path()).unwrap();
    let row = NewRow {
        client: Some("c1".to_owned()),
        publish: true,
        topic: "secret/#".to_owned(),
        ..NewRow::default()
    };
    let added = book.add(&row).await.unwrap();
    let asked = "/access?client=c1&user=u&action=publish&topic=secret/x";
    let view = stand.json(asked).await;
    assert_eq!(view["answer"]["allowed"], false, "{view}");
    let by = view["answer"]["decided_by"].as_str().unwrap();
    assert!(by.contains(&added.rule), "{by}");
    let html = stand.get(asked).await;
    assert!(html.contains(&added.rule) && !html.contains("data-live"), "{html}");
    assert!(html.contains("The newest row that speaks of a client and a topic decides"), "{html}");
    assert!(html.contains("What no rule speaks of is denied") && !html.contains("Things decide"));
    assert_eq!(view["order"].as_array().unwrap().len(), 2, "{view}");
    let wrong = stand.get("/access.json?topic=t&address=nowhere").await;
    assert!(wrong.starts_with("HTTP/1.1 400 "), "{wrong}");
    stand.stop().await;
}
