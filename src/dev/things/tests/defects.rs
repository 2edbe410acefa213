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
