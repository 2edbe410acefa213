//! Bootstrap: configurations, their devices, and what is said of them.

use super::*;
use crate::dev::things::cipher;

const KEY: &[u8] = b"12345678910111213141516171819202";

fn config(id: &str, channels: &[&str]) -> Value {
    json!({"external_id": id, "external_key": "secret", "channels": channels, "name": "Kiln", "content": "hot"})
}

/// Asks each as the user, as nobody, and with a body that is not said to be JSON.
fn all(world: &World, cases: &[(String, Option<Value>, u16)]) {
    for (asked, body, status) in cases {
        assert_eq!(world.mine(asked, body.as_ref()).status, *status, "{asked} {body:?}");
        if *status != 400 {
            assert_eq!(world.ask(asked, "wrong", body.as_ref()).status, 403, "{asked}");
        }
        if body.is_some() {
            let reply = world.send("bootstrap", asked, &world.token, (Some("text/plain"), b"{}"));
            assert_eq!(reply.status, 415, "{asked}");
        }
    }
}

#[test]
fn a_configuration_is_made_seen_changed_and_removed() {
    let world = World::new();
    let channel = world.channel("c");
    let made = world.mine("POST /things/configs", Some(&config("01", &[&channel])));
    let id = made.id();
    let at = format!("/things/configs/{id}");
    assert_eq!(made.header("location"), Some(&*at));
    let key =
        world.mine(&format!("GET /things/{id}"), None).json()["key"].as_str().unwrap().to_owned();
    let wanted = format!(
        "{{\"mainflux_id\":\"{id}\",\"mainflux_key\":\"{key}\",\"mainflux_channels\":[{{\"id\":\"{channel}\",\"name\":\"c\"}}],\
         \"external_id\":\"01\",\"external_key\":\"secret\",\"content\":\"hot\",\"name\":\"Kiln\",\"state\":0}}\n"
    );
    assert_eq!(world.mine(&format!("GET {at}"), None).text(), wanted);
    let (thing, _) = world.thing("own");
    let nobody = "2f6a1f2e-0000-4000-8000-000000000000";
    let with = |thing: &str, id: &str| {
        Some(json!({"thing_id": thing, "external_id": id, "external_key": "k"}))
    };
    let post = "POST /things/configs".to_owned();
    let cases = [
        (post.clone(), Some(config("01", &[])), 409),
        (post.clone(), Some(config("02", &[nobody])), 400),
        (post.clone(), with(&thing, "03"), 201),
        (post.clone(), with(&thing, "04"), 409),
        (post.clone(), with(nobody, "05"), 404),
        (post.clone(), Some(json!({"external_id": "06"})), 400),
        (post.clone(), Some(json!({"external_key": "06"})), 400),
        (post, Some(json!({"external_id": "06", "external_key": "k", "channels": "x"})), 400),
        (format!("PUT {at}"), Some(json!({"name": "n", "content": "c"})), 200),
        (format!("PUT /things/configs/{nobody}"), Some(json!({})), 404),
        (
            format!("PATCH /things/configs/certs/{id}"),
            Some(json!({"client_cert": "C", "client_key": "K", "ca_cert": "A"})),
            200,
        ),
        (format!("PATCH /things/configs/certs/{nobody}"), Some(json!({})), 404),
        (
            format!("PUT /things/configs/connections/{id}"),
            Some(json!({"channels": [channel]})),
            200,
        ),
        (format!("PUT /things/configs/connections/{id}"), Some(json!({"channels": [nobody]})), 400),
        (format!("PUT /things/configs/connections/{nobody}"), Some(json!({"channels": []})), 404),
        (format!("PUT /things/state/{id}"), Some(json!({"state": 1})), 200),
        (format!("PUT /things/state/{id}"), Some(json!({"state": 1})), 200),
        (format!("PUT /things/state/{id}"), Some(json!({"state": 2})), 400),
        (format!("PUT /things/state/{id}"), Some(json!({"state": -1})), 400),
        (format!("PUT /things/state/{nobody}"), Some(json!({"state": 1})), 404),
        (format!("GET /things/configs/{nobody}"), None, 404),
    ];
    all(&world, &cases);
    let device = world.ask("GET /things/bootstrap/01", "secret", None);
    let wanted = format!(
        "{{\"mainflux_id\":\"{id}\",\"mainflux_key\":\"{key}\",\"mainflux_channels\":[{{\"id\":\"{channel}\",\"name\":\"c\"}}],\
         \"content\":\"c\",\"client_cert\":\"C\",\"client_key\":\"K\",\"ca_cert\":\"A\"}}\n"
    );
    assert_eq!(device.text(), wanted);
    for _ in 0..2 {
        assert_eq!(world.mine(&format!("DELETE {at}"), None).status, 204);
    }
    assert_eq!(world.mine(&format!("GET {at}"), None).status, 404);
    assert_eq!(world.mine(&format!("GET /things/{id}"), None).status, 200);
}

#[test]
fn a_device_gets_its_configuration_for_its_key_alone_and_is_remembered_without_one() {
    let mut world = World::new();
    let cases = [("stranger", "k1", 404), ("stranger", "k2", 404), ("stranger", "", 403)];
    for (id, key, status) in cases {
        let asked = format!("GET /things/bootstrap/{id}");
        assert_eq!(world.ask(&asked, key, None).status, status, "{key}");
    }
    let unknown = "GET /things/unknown/configs";
    let wanted = "{\"configs\":[{\"external_id\":\"stranger\",\"external_key\":\"k1\"}]}\n";
    assert_eq!(world.mine(unknown, None).text(), wanted);
    assert_eq!(world.ask(unknown, "wrong", None).status, 403);
    let body = json!({"external_id": "stranger", "external_key": "k1"});
    let id = world.mine("POST /things/configs", Some(&body)).id();
    assert_eq!(world.mine(unknown, None).text(), "{\"configs\":null}\n");
    world.said("mainflux.bootstrap");
    assert_eq!(world.ask("GET /things/bootstrap/stranger", "k2", None).status, 404);
    let device = world.ask("GET /things/bootstrap/stranger", "k1", None);
    assert_eq!(device.json()["mainflux_id"], id);
    assert_eq!(device.json()["mainflux_channels"], Value::Null);
    let said = |success| json!({"external_id": "stranger", "externalID": "stranger", "success": success, "operation": "thing.bootstrap"});
    assert_eq!(world.said("mainflux.bootstrap"), [said("0"), said("1")]);
}

#[test]
fn a_device_may_close_its_key_and_gets_its_configuration_closed() {
    let world = World::new();
    let id = world.mine("POST /things/configs", Some(&config("01", &[]))).id();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = hex(&cipher::seal(KEY, b"secret").unwrap());
    let asked = "GET /things/bootstrap/secure/01";
    let reply = world.ask(asked, &key, None);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let open: Value = serde_json::from_slice(&cipher::open(KEY, &reply.body).unwrap()).unwrap();
    assert_eq!(open["mainflux_id"], id);
    let other = hex(&cipher::seal(KEY, b"other").unwrap());
    for (key, status) in [(&*other, 404), ("secret", 404), ("zz", 404), ("00", 400), ("", 403)] {
        assert_eq!(world.ask(asked, key, None).status, status, "{key}");
    }
}

#[test]
fn configurations_are_listed_and_filtered() {
    let world = World::new();
    let ids: Vec<String> = (0..12)
        .map(|number| {
            world.mine("POST /things/configs", Some(&config(&format!("d{number}"), &[]))).id()
        })
        .collect();
    world.mine(&format!("PUT /things/state/{}", ids[0]), Some(&json!({"state": 1})));
    world.mine(&format!("PUT /things/configs/{}", ids[1]), Some(&json!({"name": "Oven"})));
    let key = world.mine(&format!("GET /things/{}", ids[2]), None).json()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let list = |query: &str| world.mine(&format!("GET /things/configs{query}"), None);
    let first = list("").json();
    assert_eq!(
        (&first["total"], &first["limit"], first["configs"].as_array().unwrap().len()),
        (&json!(12), &json!(10), 10)
    );
    assert!(first["configs"][0].get("mainflux_channels").is_none());
    for (query, total) in [
        ("?state=1", 1),
        ("?state=0", 11),
        ("?state=x", 0),
        ("?external_id=d3", 1),
        ("?external_id=d", 0),
        (&format!("?mainflux_id={}", ids[4]), 1),
        (&format!("?mainflux_key={key}"), 1),
        ("?name=OVE", 1),
        ("?name=kiln&state=1", 1),
        ("?name=%25", 0),
    ] {
        assert_eq!(list(query).json()["total"], total, "{query}");
    }
    for (query, limit, status) in [
        ("?limit=1000", 100, 200),
        ("?limit=0", 10, 200),
        ("?limit=5&limit=6", 5, 200),
        ("?limit=x", 0, 400),
        ("?offset=-1", 0, 400),
    ] {
        let reply = list(query);
        assert_eq!(reply.status, status, "{query}");
        if status == 200 {
            assert_eq!(reply.json()["limit"], limit, "{query}");
        }
    }
    assert_eq!(
        list("?offset=99").text(),
        "{\"total\":12,\"offset\":99,\"limit\":10,\"configs\":[]}\n"
    );
}

#[test]
fn an_active_configuration_connects_its_thing_to_its_channels() {
    let mut world = World::new();
    let (one, two) = (world.channel("one"), world.channel("two"));
    let id = world.mine("POST /things/configs", Some(&config("01", &[&one]))).id();
    let joined = |world: &World| {
        let page = world.mine(&format!("GET /things/{id}/channels"), None).json();
        page["channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(joined(&world).is_empty());
    let state = |world: &World, state: i64| {
        assert_eq!(
            world.mine(&format!("PUT /things/state/{id}"), Some(&json!({ "state": state }))).status,
            200
        );
    };
    world.said("mainflux.things");
    state(&world, 1);
    assert_eq!(joined(&world), std::slice::from_ref(&one));
    let body = json!({"channels": [two]});
    assert_eq!(
        world.mine(&format!("PUT /things/configs/connections/{id}"), Some(&body)).status,
        200
    );
    assert_eq!(joined(&world), std::slice::from_ref(&two));
    let on = |operation: &str, channel: &str| json!({"chan_id": channel, "thing_id": id, "operation": operation});
    let wanted =
        [on("thing.connect", &one), on("thing.disconnect", &one), on("thing.connect", &two)];
    assert_eq!(world.said("mainflux.things"), wanted);
    state(&world, 0);
    assert!(joined(&world).is_empty());
    state(&world, 1);
    // Whoever takes the thing off a channel makes its configuration inactive, and no other.
    let other = world.mine("POST /things/configs", Some(&config("02", &[&two]))).id();
    world.mine(&format!("PUT /things/state/{other}"), Some(&json!({"state": 1})));
    assert_eq!(world.mine(&format!("DELETE /channels/{two}/things/{id}"), None).status, 204);
    assert_eq!(world.mine(&format!("GET /things/configs/{id}"), None).json()["state"], 0);
    assert_eq!(world.mine(&format!("GET /things/configs/{other}"), None).json()["state"], 1);
}

#[test]
fn what_happens_to_a_configuration_is_said_in_mainflux_s_fields() {
    let mut world = World::new();
    let (one, two) = (world.channel("one"), world.channel("two"));
    world.said("mainflux.bootstrap");
    let id = world.mine("POST /things/configs", Some(&config("01", &[&one, &two]))).id();
    world.mine(&format!("PUT /things/configs/{id}"), Some(&json!({"name": "n", "content": "c"})));
    world.mine(&format!("PUT /things/state/{id}"), Some(&json!({"state": 1})));
    world.mine(&format!("PUT /things/configs/connections/{id}"), Some(&json!({"channels": [one]})));
    world.mine(&format!("DELETE /things/configs/{id}"), None);
    let wanted = [
        json!({
            "thing_id": id, "owner": "user@example.com", "name": "Kiln", "channels": format!("{one}, {two}"),
            "external_id": "01", "externalID": "01", "content": "hot", "operation": "config.create",
        }),
        json!({"thing_id": id, "name": "n", "content": "c", "operation": "config.update"}),
        json!({"thing_id": id, "state": "1", "operation": "thing.state_change"}),
        json!({"thing_id": id, "channels": one, "operation": "thing.update_connections"}),
        json!({"thing_id": id, "operation": "config.remove"}),
    ];
    assert_eq!(world.said("mainflux.bootstrap"), wanted);
}
