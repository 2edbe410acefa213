//! Each route with its success and its refusals.

use super::*;

const NOBODY: &str = "2f6a1f2e-0000-4000-8000-000000000000";

#[test]
fn users_register_once_log_in_and_see_themselves() {
    let world = World::new();
    let user = |email: &str, password: &str| Some(json!({"email": email, "password": password}));
    let (post, json) = ("POST /users", Some("application/json"));
    let cases = [
        (post, user("new@example.com", "x"), 201),
        (post, user("new@example.com", "y"), 409),
        (post, user("invalid", "x"), 400),
        (post, user("a@example.com", ""), 400),
        ("POST /tokens", user("user@example.com", "secret"), 201),
        ("POST /tokens", user("user@example.com", "other"), 403),
        ("POST /tokens", user("nobody@example.com", "secret"), 403),
        ("POST /tokens", user("user@example.com", ""), 400),
    ];
    for (asked, body, status) in cases {
        let reply = world.ask(asked, "", body.as_ref());
        assert_eq!(reply.status, status, "{asked} {body:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{asked} {body:?}");
        let is_token = asked == "POST /tokens" && status == 201;
        assert_eq!(reply.body.is_empty(), !is_token, "{asked} {body:?}");
    }
    for asked in [post, "POST /tokens"] {
        for (kind, body, status) in [
            (None, "{}", 415),
            (Some("text/plain"), "{}", 415),
            (json, "", 400),
            (json, "{", 400),
            (json, "[]", 400),
            (json, r#"{"email":1}"#, 400),
        ] {
            let reply = world.send("users", asked, "", (kind, body.as_bytes()));
            assert_eq!(reply.status, status, "{asked} {kind:?} {body}");
        }
    }
    assert_eq!(world.mine("GET /users", None).text(), "{\"email\":\"user@example.com\"}\n");
    assert_eq!(world.ask("GET /users", "", None).status, 403);
    assert_eq!(world.ask("GET /users", "wrong", None).status, 403);
}

#[test]
fn things_and_channels_are_made_seen_changed_and_removed() {
    let world = World::new();
    for (table, other) in [("things", "channels"), ("channels", "things")] {
        let made = world.mine(
            &format!("POST /{table}"),
            Some(&json!({"name": "a", "metadata": {"b": 1.0, "a": "<"}})),
        );
        assert!(made.body.is_empty());
        let id = made.id();
        let at = format!("/{table}/{id}");
        assert_eq!(made.header("location"), Some(&*at));
        let seen = world.mine(&format!("GET {at}"), None);
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let key = seen.json()["key"].as_str().map(|key| format!(r#","key":"{key}""#));
        assert_eq!(key.is_some(), table == "things");
        let key = key.unwrap_or_default();
        let wanted = format!(
            "{{\"id\":\"{id}\",\"name\":\"a\"{key},\"metadata\":{{\"a\":\"\\u003c\",\"b\":1}}}}\n"
        );
        assert_eq!(seen.text(), wanted);
        let long = json!({"name": "x".repeat(1025)});
        let exact = json!({"name": "x".repeat(1024)});
        let cases = [
            (format!("PUT {at}"), Some(exact.clone()), 200),
            (format!("PUT {at}"), Some(long.clone()), 400),
            (format!("PUT /{table}/{NOBODY}"), Some(json!({})), 404),
            (format!("PUT /{table}/none"), Some(json!({})), 400),
            (format!("POST /{table}"), Some(long), 400),
            (format!("POST /{table}"), Some(json!({"name": 5})), 400),
            (format!("POST /{table}"), Some(json!({"metadata": []})), 400),
            (format!("GET /{table}/{NOBODY}"), None, 404),
            (format!("GET /{table}/none"), None, 404),
            (format!("GET {at}/{other}"), None, 200),
            (format!("GET /{table}/{NOBODY}/{other}"), None, 200),
            (format!("GET /{table}/none/{other}"), None, 404),
            (format!("GET {at}/{other}?limit=0"), None, 400),
            (format!("DELETE {at}"), None, 204),
            (format!("DELETE {at}"), None, 204),
            (format!("DELETE /{table}/none"), None, 204),
            (format!("GET {at}"), None, 404),
        ];
        for (asked, body, status) in &cases {
            assert_eq!(world.mine(asked, body.as_ref()).status, *status, "{asked}");
            // What cannot be read is told to everybody; all else only to who may know.
            let is_unreadable = |body: &Value| body["name"] == 5 || body["metadata"].is_array();
            let is_told = body.as_ref().is_some_and(is_unreadable) || asked.ends_with("limit=0");
            let wanted = if is_told { 400 } else { 403 };
            assert_eq!(world.ask(asked, "wrong", body.as_ref()).status, wanted, "{asked}");
        }
        let asked = format!("POST /{table}");
        for (kind, body, status) in [
            (None, "{}", 415),
            (Some("application/json"), "", 400),
            (Some("application/json"), "{", 400),
        ] {
            let reply = world.send("things", &asked, &world.token, (kind, body.as_bytes()));
            assert_eq!(reply.status, status, "{asked} {kind:?} {body}");
        }
        assert_eq!(world.ask(&asked, "", Some(&json!({}))).status, 403);
    }
}

#[test]
fn a_key_is_one_things_alone() {
    let world = World::new();
    let (id, _) = world.thing("a");
    let cases = [
        ("POST /things".to_owned(), json!({"key": "mine"}), 201),
        ("POST /things".to_owned(), json!({"key": "mine"}), 422),
        (format!("PATCH /things/{id}/key"), json!({"key": "mine"}), 422),
        (format!("PATCH /things/{id}/key"), json!({"key": "other"}), 200),
        (format!("PATCH /things/{id}/key"), json!({"key": ""}), 400),
        (format!("PATCH /things/{NOBODY}/key"), json!({"key": "x"}), 404),
        ("PATCH /things/none/key".to_owned(), json!({"key": "x"}), 400),
        ("POST /things".to_owned(), json!({"key": "k".repeat(4097)}), 400),
    ];
    for (asked, body, status) in cases {
        assert_eq!(world.mine(&asked, Some(&body)).status, status, "{asked} {body}");
    }
    assert_eq!(world.mine(&format!("GET /things/{id}"), None).json()["key"], "other");
    let wrong = world.ask(&format!("PATCH /things/{id}/key"), "wrong", Some(&json!({"key": "x"})));
    assert_eq!(wrong.status, 403);
}

#[test]
fn lists_come_in_pages_and_filtered() {
    let world = World::new();
    for table in ["things", "channels"] {
        let mut ids: Vec<String> = (0..12)
            .map(|number| {
                let body = json!({"name": format!("Name{number}"), "metadata": {"n": number % 2, "in": {"x": number}}});
                world.mine(&format!("POST /{table}"), Some(&body)).id()
            })
            .collect();
        ids.sort();
        let list = |query: &str| world.mine(&format!("GET /{table}{query}"), None);
        let page = list("").json();
        assert_eq!(
            (&page["total"], &page["offset"], &page["limit"]),
            (&json!(12), &json!(0), &json!(10))
        );
        let seen: Vec<&str> = page[table]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        assert_eq!(seen, ids[..10]);
        assert_eq!(list("?offset=10&limit=5").json()[table].as_array().unwrap().len(), 2);
        assert_eq!(
            list("?offset=99").text(),
            format!("{{\"total\":12,\"offset\":99,\"limit\":10,\"{table}\":[]}}\n")
        );
        let named = list("?name=NAME1").json();
        assert_eq!((&named["total"], named[table].as_array().unwrap().len()), (&json!(3), 3));
        // The total counts what has the name, and passes the metadata over.
        let meta = list("?metadata=%7B%22in%22%3A%7B%22x%22%3A3%7D%7D").json();
        assert_eq!((&meta["total"], meta[table].as_array().unwrap().len()), (&json!(12), 1));
        for (query, status) in [
            ("?limit=100", 200),
            ("?limit=101", 400),
            ("?limit=0", 400),
            ("?limit=-1", 400),
            ("?limit=x", 400),
            ("?limit=", 400),
            ("?offset=x", 400),
            ("?offset=1&offset=2", 400),
            ("?limit=1&limit=1", 400),
            ("?name=a&name=b", 400),
            ("?metadata=x", 400),
            ("?metadata=[]", 400),
            ("?unknown=1", 200),
            ("?offset=18446744073709551615", 200),
        ] {
            assert_eq!(list(query).status, status, "{table} {query}");
        }
        assert_eq!(list(&format!("?name={}", "x".repeat(1025))).status, 400);
        assert_eq!(world.ask(&format!("GET /{table}"), "", None).status, 403);
    }
}

#[test]
fn nobody_sees_what_another_owns() {
    let world = World::new();
    let (thing, _) = world.thing("a");
    let channel = world.channel("b");
    world.connect(&channel, &thing);
    let user = json!({"email": "other@example.com", "password": "secret"});
    world.ask("POST /users", "", Some(&user));
    let token =
        world.ask("POST /tokens", "", Some(&user)).json()["token"].as_str().unwrap().to_owned();
    let cases = [
        (format!("GET /things/{thing}"), None, 404),
        (format!("PUT /channels/{channel}"), Some(json!({"name": "x"})), 404),
        (format!("PATCH /things/{thing}/key"), Some(json!({"key": "x"})), 404),
        (format!("DELETE /channels/{channel}/things/{thing}"), None, 404),
        (format!("PUT /channels/{channel}/things/{thing}"), None, 404),
        (format!("DELETE /things/{thing}"), None, 204),
    ];
    for (asked, body, status) in cases {
        assert_eq!(world.ask(&asked, &token, body.as_ref()).status, status, "{asked}");
    }
    let lists =
        ["/things".to_owned(), "/channels".to_owned(), format!("/channels/{channel}/things")];
    for at in lists {
        assert_eq!(world.ask(&format!("GET {at}"), &token, None).json()["total"], 0, "{at}");
    }
    assert_eq!(world.mine(&format!("GET /things/{thing}"), None).status, 200);
}

#[test]
fn things_are_connected_to_channels_and_taken_off_them() {
    let world = World::new();
    let (thing, key) = world.thing("a");
    let channel = world.channel("b");
    let on = format!("/channels/{channel}/things/{thing}");
    let cases = [
        (format!("DELETE {on}"), 404),
        (format!("PUT {on}"), 200),
        (format!("PUT {on}"), 200),
        (format!("PUT /channels/{NOBODY}/things/{thing}"), 404),
        (format!("PUT /channels/{channel}/things/{NOBODY}"), 404),
        (format!("PUT /channels/{channel}/things/none"), 404),
    ];
    for (asked, status) in cases {
        assert_eq!(world.mine(&asked, None).status, status, "{asked}");
        assert_eq!(world.ask(&asked, "wrong", None).status, 403, "{asked}");
    }
    for (at, table, id) in [
        (format!("/things/{thing}/channels"), "channels", &channel),
        (format!("/channels/{channel}/things"), "things", &thing),
    ] {
        let page = world.mine(&format!("GET {at}"), None).json();
        assert_eq!((&page["total"], &page[table][0]["id"]), (&json!(1), &json!(id)));
    }
    let (access, by_id) = (
        format!("POST /channels/{channel}/access"),
        format!("POST /channels/{channel}/access-by-id"),
    );
    let none = format!("POST /channels/{NOBODY}/access");
    let cases = [
        ("POST /identify", json!({"token": key}), 200),
        ("POST /identify", json!({"token": "wrong"}), 403),
        ("POST /identify", json!({}), 403),
        (&access, json!({"token": key}), 200),
        (&access, json!({"token": "wrong"}), 403),
        (&access, json!({}), 403),
        (&none, json!({"token": key}), 403),
        (&by_id, json!({"thing_id": thing}), 200),
        (&by_id, json!({"thing_id": NOBODY}), 403),
        (&by_id, json!({}), 403),
    ];
    for (asked, body, status) in cases {
        let reply =
            world.send("auth", asked, "", (Some("application/json"), body.to_string().as_bytes()));
        assert_eq!(reply.status, status, "{asked} {body}");
        let is_told = status == 200 && asked != by_id;
        assert_eq!(
            reply.text(),
            if is_told { format!("{{\"id\":\"{thing}\"}}\n") } else { String::new() }
        );
        assert_eq!(world.send("auth", asked, "", (None, b"{}")).status, 415, "{asked}");
    }
    assert_eq!(world.mine(&format!("DELETE {on}"), None).status, 204);
    assert_eq!(world.mine(&format!("DELETE {on}"), None).status, 404);
}

#[test]
fn every_service_says_what_it_is() {
    let world = World::bare();
    for (part, name) in [
        ("gateway", "things"),
        ("users", "users"),
        ("things", "things"),
        ("adapter", "http"),
        ("bootstrap", "bootstrap"),
        ("reader", "postgres-reader"),
    ] {
        let version = world.send(part, "GET /version", "", (None, b"")).text();
        assert_eq!(version, format!(r#"{{"service":"{name}","version":"0.9.0"}}"#));
        let metrics = world.send(part, "GET /metrics", "", (None, b"")).text();
        assert!(metrics.contains("\nmainflux_things 0\n"), "{metrics}");
    }
}

#[test]
fn a_service_by_itself_has_its_own_routes_alone() {
    let world = World::new();
    for (part, asked, is_there) in [
        ("users", "GET /users", true),
        ("users", "GET /things", false),
        ("things", "GET /things", true),
        ("things", "GET /users", false),
        ("bootstrap", "GET /things/configs", true),
        ("bootstrap", "GET /channels", false),
        ("reader", "GET /things", false),
        ("adapter", "GET /things", false),
    ] {
        let status = world.send(part, asked, &world.token, (None, b"")).status;
        assert_eq!(status, if is_there { 200 } else { 404 }, "{part} {asked}");
    }
}

#[test]
fn the_first_user_is_known_to_its_owner_alone_and_stays() {
    let mut world = World::bare();
    let path = super::super::running::credentials_file(world.state.path());
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file) & 0o777, 0o600);
    let database = std::fs::metadata(world.state.path().join("things.sqlite")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&database) & 0o777, 0o600);
    let user: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let token =
        world.ask("POST /tokens", "", Some(&user)).json()["token"].as_str().unwrap().to_owned();
    world.token = token;
    let (id, key) = world.thing("kept");
    world.restart();
    // A token stays good, for the secret that signed it was kept.
    assert_eq!(world.mine(&format!("GET /things/{id}"), None).json()["key"], key.as_str());
    assert_eq!(world.ask("POST /tokens", "", Some(&user)).status, 201);
}
