//! Messages: who may send them, where they go, and what is read back.

use super::*;
use crate::dev::access::{Access as _, Admission, Attempt};
use crate::dev::things::{ThingAccess, Username};

const SEED: &str = r#"[{"bn":"some-base-name:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
    {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"#;

struct Joined {
    world: World,
    thing: String,
    key: String,
    channel: String,
}

fn joined() -> Joined {
    let world = World::new();
    let (thing, key) = world.thing("a");
    let channel = world.channel("c");
    world.connect(&channel, &thing);
    Joined { world, thing, key, channel }
}

impl Joined {
    fn read(&self, query: &str) -> Value {
        let asked = format!("GET /channels/{}/messages{query}", self.channel);
        self.world.ask(&asked, &self.key, None).json()
    }

    fn post(&self, below: &str, key: &str, (kind, body): (Option<&str>, &[u8])) -> u16 {
        let asked = format!("POST /http/channels/{}/messages{below}", self.channel);
        self.world.send("gateway", &asked, key, (kind, body)).status
    }

    fn topic(&self, below: &str) -> String {
        format!("channels/{}/messages{below}", self.channel)
    }
}

#[test]
fn what_a_thing_publishes_is_normalised_and_read_back() {
    let it = joined();
    let mut client = it.world.mqtt();
    assert_eq!(client.connect("c", "", &it.key), 0);
    assert!(client.publish(&it.topic(""), SEED.as_bytes()));
    let message = |name: &str, unit: &str, time: &str, value: &str| {
        let Joined { channel, thing, .. } = &it;
        format!(
            "{{\"channel\":\"{channel}\",\"publisher\":\"{thing}\",\"protocol\":\"mqtt\",\"name\":\"some-base-name:{name}\",\
             \"unit\":\"{unit}\",\"time\":{time},\"value\":{value}}}"
        )
    };
    let wanted = format!(
        "{{\"total\":3,\"offset\":0,\"limit\":10,\"messages\":[{},{},{}]}}\n",
        message("voltage", "V", "1276020076.001", "120.1"),
        message("current", "A", "1276020072.001", "1.3"),
        message("current", "A", "1276020071.001", "1.2"),
    );
    let asked = format!("GET /channels/{}/messages", it.channel);
    assert_eq!(it.world.send("reader", &asked, &it.key, (None, b"")).text(), wanted);
    // What is no pack goes its way and is not kept.
    assert!(client.publish(&it.topic(""), b"hello"));
    assert!(client.publish(&it.topic(""), br#"[{"n":"a","v":1},{"n":"b"}]"#));
    assert_eq!(it.read("")["total"], 3);
}

#[test]
fn a_will_is_normalised_and_kept_as_its_things_also_over_a_restart() {
    let mut it = joined();
    let lost = |it: &Joined, record: &str| {
        let mut body = b"\0\x04MQTT\x04\xc6\0\0".to_vec();
        for text in ["c", &it.topic("/end"), record, "", &it.key] {
            put(&mut body, text);
        }
        let mut client = it.world.mqtt();
        client.say(0x10, &body);
        assert_eq!(client.hear().unwrap().1[1], 0);
        client
    };
    let kept = |it: &Joined, count: usize| {
        for _ in 0..200 {
            let page = it.read("?subtopic=end");
            if page["total"] == count {
                return page["messages"].as_array().unwrap().clone();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", it.read(""));
    };
    drop(lost(&it, r#"[{"n":"off","t":1000,"vb":true}]"#));
    assert_eq!(kept(&it, 1)[0]["publisher"], json!(it.thing));
    // A client that is lost with the broker has its will published by the next one.
    let client = lost(&it, r#"[{"n":"off","t":2000,"vb":true}]"#);
    it.world.restart();
    let all = kept(&it, 2);
    assert_eq!((&all[0]["publisher"], &all[0]["time"]), (&json!(it.thing), &json!(2000)));
    drop(client);
}

#[test]
fn a_message_of_http_reaches_the_things_that_listen_over_mqtt() {
    let it = joined();
    let mut client = it.world.mqtt();
    assert_eq!(client.connect("c", "", &it.key), 0);
    assert_eq!(client.subscribe(&it.topic("/#")), 2);
    assert_eq!(it.post("/a/b", &it.key, (Some("application/senml+json"), SEED.as_bytes())), 202);
    let (first, body) = client.hear().unwrap();
    assert_eq!(first, 0x34, "quality 2, not retained");
    let topic = it.topic("/a/b/ct/application_senml-json");
    assert_eq!(&body[2..2 + topic.len()], topic.as_bytes());
    assert_eq!(&body[4 + topic.len()..], SEED.as_bytes());
    let page = it.read("?subtopic=a.b");
    assert_eq!(page["total"], 3);
    let kept = &page["messages"][0];
    assert_eq!(
        (&kept["protocol"], &kept["subtopic"], &kept["publisher"]),
        (&json!("http"), &json!("a.b"), &json!(it.thing))
    );
}

#[test]
fn a_message_of_http_is_taken_from_connected_things_alone() {
    let it = joined();
    let (_, stranger) = it.world.thing("b");
    let json = Some("application/senml+json");
    for (below, key, kind, status) in [
        ("", &*it.key, json, 202),
        ("", &it.key, None, 202),
        ("/", &it.key, json, 202),
        ("/a.b/c", &it.key, json, 202),
        ("", "wrong", json, 403),
        ("", &stranger, json, 403),
        ("", "", json, 403),
        ("/a*", &it.key, json, 400),
        ("/%3Ex", &it.key, json, 400),
        ("/%zz", &it.key, json, 400),
        ("/*", &it.key, json, 202),
        ("", &it.key, Some("a/b+c+d"), 202),
    ] {
        assert_eq!(it.post(below, key, (kind, b"[]")), status, "{below} {kind:?}");
    }
    let other = "POST /http/channels/a.b/messages";
    assert_eq!(it.world.send("gateway", other, &it.key, (None, b"")).status, 400);
    let direct = format!("POST /channels/{}/messages/x", it.channel);
    assert_eq!(it.world.send("adapter", &direct, &it.key, (None, b"")).status, 202);
}

#[test]
fn messages_are_read_in_pages_by_connected_things_alone() {
    let it = joined();
    for number in 0..12 {
        let body = format!(r#"[{{"n":"n{}","t":{},"v":{number}}}]"#, number % 2, 1000 + number);
        assert_eq!(
            it.post(if number < 4 { "/low" } else { "" }, &it.key, (None, body.as_bytes())),
            202
        );
    }
    let values = |query: &str| {
        let page = it.read(query);
        let values: Vec<i64> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kept| kept["value"].as_i64().unwrap())
            .collect();
        (page["total"].as_i64().unwrap(), values)
    };
    assert_eq!(values(""), (12, (2..12).rev().collect()));
    assert_eq!(values("?offset=10&limit=5"), (12, vec![1, 0]));
    assert_eq!(values("?subtopic=low&limit=2"), (4, vec![3, 2]));
    // The total knows channel and subtopic, and nothing else.
    assert_eq!(values("?name=n1&limit=3"), (12, vec![11, 9, 7]));
    assert_eq!(values("?protocol=mqtt"), (12, vec![]));
    assert_eq!(values(&format!("?publisher={}&limit=1", it.thing)), (12, vec![11]));
    let asked = |query: &str| format!("GET /channels/{}/messages{query}", it.channel);
    for (query, status) in [
        ("?limit=0", 400),
        ("?limit=x", 400),
        ("?offset=-1", 400),
        ("?limit=1&limit=2", 400),
        ("?limit=500", 200),
    ] {
        assert_eq!(it.world.ask(&asked(query), &it.key, None).status, status, "{query}");
    }
    let (_, stranger) = it.world.thing("b");
    for key in ["", "wrong", &stranger] {
        assert_eq!(it.world.ask(&asked(""), key, None).status, 403);
    }
}

#[test]
fn every_kind_of_value_comes_back_as_such() {
    let it = joined();
    let pack = br#"[{"n":"a","t":5,"vs":"x"},{"n":"b","t":4,"vb":false},{"n":"c","t":3,"vd":"AQ"},{"n":"d","t":2,"v":1.5,"s":7,"ut":9,"l":"k"}]"#;
    assert_eq!(it.post("", &it.key, (None, pack)), 202);
    let page = it.read("");
    let kept = page["messages"].as_array().unwrap();
    assert_eq!(kept[0]["stringValue"], "x");
    assert_eq!(kept[1]["boolValue"], false);
    assert_eq!(kept[2]["dataValue"], "AQ");
    let last = &kept[3];
    assert_eq!(
        (&last["value"], &last["valueSum"], &last["updateTime"], &last["link"]),
        (&json!(1.5), &json!(7), &json!(9), &json!("k"))
    );
}

#[test]
fn cbor_is_read_where_the_topic_says_so() {
    let it = joined();
    let mut client = it.world.mqtt();
    assert_eq!(client.connect("c", "", &it.key), 0);
    let pack = b"\x81\xa3\x00\x61t\x06\x05\x02\x18\x2a";
    assert!(client.publish(&it.topic("/x/ct/application_senml-cbor"), pack));
    assert!(client.publish(&it.topic("/x"), pack));
    let page = it.read("?subtopic=x");
    assert_eq!((&page["total"], &page["messages"][0]["value"]), (&json!(1), &json!(42)));
}

#[test]
fn only_a_thing_s_key_lets_a_client_in_whatever_its_name() {
    let it = joined();
    for (username, key, code) in [
        ("", &*it.key, 0),
        (&it.thing, &it.key, 0),
        ("anybody", &it.key, 0),
        (&it.thing, "wrong", 4),
        ("", "", 4),
    ] {
        assert_eq!(it.world.mqtt().connect("c", username, key), code, "{username} {key}");
    }
}

#[test]
fn where_it_is_asked_for_the_user_name_has_to_be_the_thing_s() {
    let it = joined();
    let model = Arc::clone(&it.world.things.as_ref().unwrap().view().model);
    let access = ThingAccess::new(model, Username::ThingId);
    let admits = |username: Option<&str>, password: &str| {
        let peer = "127.0.0.1:1".parse().unwrap();
        let password = Some(password.as_bytes());
        let attempt = Attempt { client_id: "c", username, password, peer };
        let admission = it.world.runtime.block_on(access.connect(&attempt));
        matches!(admission, Admission::Allowed { .. })
    };
    assert!(admits(Some(&it.thing), &it.key));
    for username in [None, Some("other")] {
        assert!(!admits(username, &it.key));
    }
    assert!(!admits(Some(&it.thing), "wrong"));
}

#[test]
fn a_thing_publishes_and_subscribes_to_its_own_channels_alone() {
    let it = joined();
    let other = it.world.channel("other");
    let client = || {
        let mut client = it.world.mqtt();
        assert_eq!(client.connect("", "", &it.key), 0);
        client
    };
    for below in ["", "/", "/a/b", "/ct/text_plain"] {
        assert!(client().publish(&it.topic(below), b"x"), "{below}");
    }
    let bad = [
        format!("channels/{other}/messages"),
        "a/b".to_owned(),
        it.topic("/a*b"),
        "$SYS/x".to_owned(),
    ];
    for topic in bad {
        // The connection is closed, as Mainflux's adapter did.
        assert!(!client().publish(&topic, b"x"), "{topic}");
    }
    for (filter, code) in [
        (it.topic(""), 2),
        (it.topic("/#"), 2),
        (it.topic("/+/x"), 2),
        (format!("channels/{other}/messages"), 0x80),
        ("channels/+/messages".to_owned(), 0x80),
        ("#".to_owned(), 0x80),
        ("$SYS/#".to_owned(), 0x80),
    ] {
        assert_eq!(client().subscribe(&filter), code, "{filter}");
    }
}

#[test]
fn what_changes_who_may_publish_counts_for_the_next_message() {
    let it = joined();
    let topic = it.topic("");
    let client = || {
        let mut client = it.world.mqtt();
        assert_eq!(client.connect("c", "", &it.key), 0);
        assert!(client.publish(&topic, b"x"));
        client
    };
    let on = format!("/channels/{}/things/{}", it.channel, it.thing);
    let mut connected = client();
    assert_eq!(it.world.mine(&format!("DELETE {on}"), None).status, 204);
    assert!(!connected.publish(&topic, b"x"));
    assert_eq!(it.world.mine(&format!("PUT {on}"), None).status, 200);
    let mut connected = client();
    let body = json!({"key": "another"});
    assert_eq!(it.world.mine(&format!("PATCH /things/{}/key", it.thing), Some(&body)).status, 200);
    assert!(!connected.publish(&topic, b"x"));
}

#[test]
fn what_happens_to_things_and_channels_is_said_in_mainflux_s_fields() {
    let mut world = World::new();
    world.said("mainflux.things");
    let owner = "user@example.com";
    let bare = world.mine("POST /things", Some(&json!({}))).id();
    let full = world
        .mine("POST /channels", Some(&json!({"name": "c", "metadata": {"b": 1, "a": 2}})))
        .id();
    world.mine(&format!("PUT /things/{bare}"), Some(&json!({"name": "n", "metadata": {}})));
    world.mine(&format!("PUT /channels/{full}"), Some(&json!({})));
    world.connect(&full, &bare);
    world.connect(&full, &bare);
    world.mine(&format!("DELETE /channels/{full}/things/{bare}"), None);
    world.mine(&format!("DELETE /things/{bare}"), None);
    world.mine("DELETE /channels/unknown", None);
    let on = |operation: &str| json!({"chan_id": full, "thing_id": bare, "operation": operation});
    let wanted = [
        json!({"id": bare, "owner": owner, "operation": "thing.create"}),
        json!({"id": full, "owner": owner, "name": "c", "metadata": r#"{"a":2,"b":1}"#, "operation": "channel.create"}),
        json!({"id": bare, "name": "n", "metadata": "{}", "operation": "thing.update"}),
        json!({"id": full, "operation": "channel.update"}),
        on("thing.connect"),
        on("thing.connect"),
        on("thing.disconnect"),
        json!({"id": bare, "operation": "thing.remove"}),
        json!({"id": "unknown", "operation": "channel.remove"}),
    ];
    assert_eq!(world.said("mainflux.things"), wanted);
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let mut it = joined();
    let mut client = it.world.mqtt();
    assert_eq!(client.connect("c", "", &it.key), 0);
    assert!(client.publish(&it.topic(""), SEED.as_bytes()));
    it.world.restart();
    assert_eq!(it.read("")["total"], 3);
    let things = it.world.things.as_ref().unwrap().view();
    let seen = (things.things(10), things.channels(10), things.configs(10));
    let (channel, thing) = (&seen.0[0].channels[0], &seen.1[0].things[0]);
    assert_eq!((&channel.id, &thing.id), (&it.channel, &it.thing));
    assert_eq!((&channel.name, &thing.name), (&seen.1[0].name, &seen.0[0].name));
    assert_eq!(seen.2, vec![]);
}

#[test]
fn a_key_for_bootstrap_that_aes_has_no_use_for_is_refused_at_once() {
    let wish = crate::manifest::ThingsWish { decide: Some(false), ..Default::default() };
    assert!(!Setup::new(&wish, true, None).unwrap().is_mainflux);
    let refused = Setup::new(&wish, true, Some("short".into())).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the key for secure bootstrap has 5 bytes, and not 16, 24 or 32"
    );
    let debug = format!("{:?}", Setup::default());
    assert!(!debug.contains("1234"), "{debug}");
}

#[test]
fn who_names_things_while_the_stack_ends_keeps_nothing_of_it_alive() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = tempfile::tempdir().unwrap();
    let bus = crate::dev::Bus::default();
    let mut watch = bus.watch(crate::dev::Interest::Rare, 1000);
    let setup = Setup { is_mainflux: true, ..Setup::default() };
    let opened = Opened::open(state.path(), bus, setup, Sockets(Vec::new())).unwrap();
    let names = opened.names();
    drop(opened);
    let ended = async {
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, async { while watch.next().await.is_some() {} }).await
    };
    // The log and the streams wait for the end of the bus, and have such a function each.
    runtime.block_on(ended).expect("the bus ends with the things");
    drop(names);
}
