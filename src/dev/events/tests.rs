use super::*;
use crate::dev::{Client, Message, What};

fn client(id: &str) -> Arc<Client> {
    Arc::new(Client { id: id.into(), username: None, address: "127.0.0.1".into(), port: 7 })
}

fn published(from: &str, topic: &str, payload: &str) -> What {
    let message = Message {
        id: 1,
        topic: topic.into(),
        payload: payload.to_owned().into(),
        qos: 1,
        retain: false,
        dup: false,
        from: Some(client(from)),
        at_ms: 5,
    };
    What::MessagePublished { message }
}

/// Says everything and waits until it is in the log.
async fn written(state: &Path, all: Vec<What>) -> Reader {
    let bus = Bus::default();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let events =
        Events::start(&bus, state, socket, &Guard::default(), &Forwards::default()).unwrap();
    for (at_ms, what) in (1000..).zip(all) {
        bus.say(at_ms, what);
    }
    drop(bus);
    let Events { log, sink, web, .. } = events;
    // However busy the machine is: `stop` would wait only for so long.
    sink.await.unwrap();
    web.stop().await;
    log.close();
    Reader::open(state).unwrap().unwrap()
}

fn kinds(reader: &Reader, wish: Wish) -> Vec<String> {
    let lines = reader.search(&Wish { limit: 100, ..wish }).unwrap();
    lines.into_iter().map(|line| line.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_found_by_what_a_person_remembers_of_it() {
    let state = tempfile::tempdir().unwrap();
    let reader = written(
        state.path(),
        vec![
            What::SessionCreated { client: client("c1") },
            What::ClientSubscribe {
                client: client("c1"),
                topics: vec![("demo/#".into(), 1), ("b".into(), 0)],
            },
            published("c2", "demo/öl", "It is 21.5 \"warm\""),
            What::AclDenied {
                client: client("c2"),
                action: "publish",
                topic: "x".into(),
                rule: "row 7".into(),
                count: 1,
            },
        ],
    )
    .await;
    let all = ["acl_denied", "message_published", "client_subscribe", "session_created"];
    assert_eq!(kinds(&reader, Wish::default()), all);
    let text = |text: &str| kinds(&reader, Wish { text: Some(text.into()), ..Wish::default() });
    assert_eq!(text("5 \"WARM"), ["message_published"]);
    assert_eq!(text("row 7"), ["acl_denied"]);
    assert_eq!(text("öl"), ["message_published"]);
    assert_eq!(text("c1"), ["client_subscribe", "session_created"]);
    assert_eq!(text("nothing"), Vec::<String>::new());
    let topic = |topic: &str| kinds(&reader, Wish { topic: Some(topic.into()), ..Wish::default() });
    assert_eq!(topic("demo/+"), ["message_published", "client_subscribe"]);
    assert_eq!(topic("b"), ["client_subscribe"]);
    let client = Wish { client: Some("c2".into()), since_ms: Some(1003), ..Wish::default() };
    assert_eq!(kinds(&reader, client), ["acl_denied"]);
    assert_eq!(kinds(&reader, Wish { before: Some(2), ..Wish::default() }), ["session_created"]);
    let new = Wish { after: Some(2), ..Wish::default() };
    assert_eq!(kinds(&reader, new), ["message_published", "acl_denied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_what_is_rare_is_kept_and_the_rest_is_counted() {
    let state = tempfile::tempdir().unwrap();
    let load = (0..20_000).map(|_| published("c", "t", ""));
    let rare = (0..3).map(|_| What::SessionCreated { client: client("c") });
    let reader = written(state.path(), load.chain(rare).collect()).await;
    assert_eq!(
        kinds(&reader, Wish { kind: Some("session_created".into()), ..Wish::default() }).len(),
        3
    );
    let gaps =
        reader.search(&Wish { kind: Some(entry::GAP.into()), limit: 100, ..Wish::default() });
    let left_out: i64 =
        gaps.unwrap().iter().map(|gap| gap.document["count"].as_i64().unwrap()).sum();
    assert!(left_out > 10_000, "{left_out}");
    let kept = reader.search(&Wish {
        kind: Some("message_published".into()),
        limit: 10_000,
        ..Wish::default()
    });
    assert!(left_out + i64::try_from(kept.unwrap().len()).unwrap() >= 20_000 - 1);
}

#[test]
fn the_oldest_go_first_by_count_and_by_bytes() {
    let entries = |range: std::ops::Range<i64>| -> Vec<_> {
        let entry = |at_ms| entry::Entry::gap(1, "test", at_ms);
        range.map(entry).collect()
    };
    for bounds in [Bounds { rows: 100, bytes: 1 << 20 }, Bounds { rows: 1 << 20, bytes: 8_000 }] {
        let state = tempfile::tempdir().unwrap();
        let log = Log::open(state.path(), bounds).unwrap();
        for start in 0..30 {
            log.append(&entries(start * 10..start * 10 + 10)).unwrap();
        }
        let reader = Reader::open(state.path()).unwrap().unwrap();
        let totals = reader.totals().unwrap();
        assert!(totals.rows <= bounds.rows && totals.bytes <= bounds.bytes, "{totals:?}");
        assert!(totals.rows >= 50, "{totals:?}");
        let lines = reader.search(&Wish { limit: 1000, ..Wish::default() }).unwrap();
        assert_eq!(lines.len() as i64, totals.rows);
        assert_eq!(lines[0].at_ms, 299);
        let found = Wish { text: Some("test".into()), limit: 1000, ..Wish::default() };
        assert_eq!(reader.search(&found).unwrap().len() as i64, totals.rows);
        assert_eq!(reader.newest().unwrap(), 300);
    }
}

#[test]
fn there_is_nothing_to_read_where_no_stack_ever_was() {
    let state = tempfile::tempdir().unwrap();
    assert!(Reader::open(state.path()).unwrap().is_none());
}
