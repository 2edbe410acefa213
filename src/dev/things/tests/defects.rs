//! The defects of the original, each of which must not be one of ours.
//!
//! The fifth, an adapter that grew until it was killed, is the broker's to hold: its budget is shown by its own tests
//! (`src/dev/broker/tests.rs`), and the last one here shows that it holds for things.

use super::*;

fn configured(world: &World, channels: &[&str]) -> String {
    let body = json!({"external_id": "01", "external_key": "secret", "channels": channels});
    world.mine("POST /things/configs", Some(&body)).id()
}

fn device(world: &World) -> Value {
    world.ask("GET /things/bootstrap/01", "secret", None).json()
}

#[test]
fn a_renamed_channel_brings_nothing_down() {
    let world = World::new();
    let channel = world.channel("old");
    configured(&world, &[&channel]);
    for name in ["new", "newer"] {
        assert_eq!(
            world.mine(&format!("PUT /channels/{channel}"), Some(&json!({ "name": name }))).status,
            200
        );
        assert_eq!(device(&world)["mainflux_channels"][0]["name"], name);
    }
}

#[test]
fn a_key_of_ones_own_comes_back_as_it_was_and_lets_the_device_in() {
    let world = World::new();
    let thing = world.mine("POST /things", Some(&json!({"key": "newkey1"}))).id();
    let body = json!({"thing_id": thing, "external_id": "01", "external_key": "secret"});
    assert_eq!(world.mine("POST /things/configs", Some(&body)).status, 201);
    assert_eq!(device(&world)["mainflux_key"], "newkey1");
    assert_eq!(world.mqtt().connect("c", "", device(&world)["mainflux_key"].as_str().unwrap()), 0);
}

#[test]
fn a_changed_key_is_what_devices_get_from_then_on() {
    let mut world = World::new();
    let id = configured(&world, &[]);
    world.said("mainflux.things");
    assert_eq!(
        world.mine(&format!("PATCH /things/{id}/key"), Some(&json!({"key": "fresh"}))).status,
        200
    );
    assert_eq!(device(&world)["mainflux_key"], "fresh");
    assert_eq!(
        world.mine(&format!("GET /things/configs/{id}"), None).json()["mainflux_key"],
        "fresh"
    );
    // Still no event: a key is no news for everybody.
    assert!(world.said("mainflux.things").is_empty());
}

#[test]
fn metadata_of_a_changed_channel_reach_the_devices() {
    let world = World::new();
    let channel = world.channel("c");
    configured(&world, &[&channel]);
    let body = json!({"name": "c", "metadata": {"unit": "kiln", "deep": {"n": [1, 2]}}});
    assert_eq!(world.mine(&format!("PUT /channels/{channel}"), Some(&body)).status, 200);
    assert_eq!(device(&world)["mainflux_channels"][0]["metadata"], body["metadata"]);
    assert_eq!(world.mine(&format!("DELETE /channels/{channel}"), None).status, 204);
    assert_eq!(device(&world)["mainflux_channels"], Value::Null);
}

#[test]
fn what_waits_for_a_thing_that_is_away_stays_within_the_broker_s_budget() {
    let world = World::new();
    let (thing, key) = world.thing("a");
    let channel = world.channel("c");
    world.connect(&channel, &thing);
    let topic = format!("channels/{channel}/messages");
    let mut away = world.mqtt();
    // A session that is kept: the flags of CONNECT without "clean".
    let mut body = b"\0\x04MQTT\x04\xc0\0\0".to_vec();
    for text in ["away", "", &key] {
        put(&mut body, text);
    }
    away.say(0x10, &body);
    away.hear();
    assert_eq!(away.subscribe(&topic), 2);
    drop(away);
    let mut sender = world.mqtt();
    assert_eq!(sender.connect("sender", "", &key), 0);
    let payload = vec![b'x'; 64 << 10];
    for _ in 0..400 {
        assert!(sender.publish(&topic, &payload));
    }
    let broker = world.broker.as_ref().unwrap().handle();
    assert!(broker.memory_used() <= Limits::default().budget_bytes);
    assert!(broker.sessions(10).iter().any(|session| session.dropped > 0));
}

#[test]
fn a_message_that_cannot_be_kept_is_not_acknowledged() {
    let world = World::new();
    let (thing, key) = world.thing("kiln");
    let channel = world.channel("heat");
    world.connect(&channel, &thing);
    let topic = format!("channels/{channel}/messages");
    let pack = format!(r#"[{{"n":"t","vs":"{}"}}]"#, "x".repeat(60_000));
    let (mut ear, mut old) = (world.mqtt(), world.mqtt());
    assert_eq!((ear.connect("ear", "", &key), old.connect("old", "", &key)), (0, 0));
    assert_eq!(ear.subscribe(&topic), 2);
    let model = Arc::clone(&world.things.as_ref().unwrap().model);
    let pages = |most: u32| {
        model.database().pragma_update(None, "max_page_count", most).unwrap();
    };
    // A database that may not grow is a disk that is full.
    pages(1);
    let said = |path: &str| {
        let body = (Some("application/senml+json"), pack.as_bytes());
        world.send("gateway", &format!("POST /http/{path}"), &key, body).status
    };
    assert_eq!(said(&topic), 507);
    assert_eq!(
        world.things.as_ref().unwrap().view().trouble().as_deref(),
        Some("the disk is full")
    );
    // MQTT 3.1.1 knows no other answer than the end of the connection.
    assert!(!old.publish(&topic, pack.as_bytes()));
    assert_eq!(old.hear(), None);
    let mut new = world.mqtt();
    let mut body = b"\0\x04MQTT\x05\xc2\0\0\0".to_vec();
    ["new", "", &key].into_iter().for_each(|text| put(&mut body, text));
    new.say(0x10, &body);
    assert_eq!(new.hear().unwrap().1[1], 0);
    let mut body = Vec::new();
    put(&mut body, &topic);
    body.extend([0, 7, 0]);
    body.extend_from_slice(pack.as_bytes());
    for (first, answer) in [(0x32, 0x40), (0x34, 0x50)] {
        new.say(first, &body);
        let (kind, reason) = new.hear().unwrap();
        assert_eq!((kind, &reason[..3]), (answer, &[0, 7, 0x97][..]));
    }
    // Nobody heard what its sender will say again, and once there is room all is as it was.
    pages(1_000_000);
    new.say(0x32, &body);
    assert_eq!(new.hear().unwrap().0, 0x40);
    let (_, heard) = ear.hear().unwrap();
    assert!(heard.ends_with(pack.as_bytes()));
    assert_eq!(world.things.as_ref().unwrap().view().trouble(), None);
    ear.0.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert_eq!(ear.hear(), None);
}
