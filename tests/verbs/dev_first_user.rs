//! `rebeam dev up --profile emqttd` beside a release that asks the stack as emqttd's plug-ins do.

use serde_json::Value;

use super::dev_services::{dev, env, place, sql, standing};
use super::harness::World;

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&["dev", "--state-dir", "states", "down"]).output());
    }
}

/// Asks PostgreSQL whether it speaks TLS, and says an event as emqttd's plug-in for Elasticsearch does: both by the names
/// that the release's configuration has for them.
const DESK: &str = r#"-module(hello_desk).
-export([told/0]).

told() ->
    Tls = speak("postgres", os:getenv("POSTGRES_PORT"), <<8:32, 80877103:32>>),
    Port = lists:last(string:split(os:getenv("ELASTICSEARCH_URL"), ":", trailing)),
    Said = speak("elasticsearch", Port, bulk()),
    [binary:part(Tls, 0, 1), " ", hd(binary:split(Said, <<"\r\n">>)), "\n"].

speak(Host, Port, Bytes) ->
    {ok, Socket} = gen_tcp:connect(Host, list_to_integer(Port), [binary, {active, false}]),
    ok = gen_tcp:send(Socket, Bytes),
    {ok, Answer} = gen_tcp:recv(Socket, 0, 10000),
    Answer.

bulk() ->
    Event = [
        "{\"index\":{\"_id\":\"2b83f642-e5e9-11f1-af2a-c9e824a766b6\",\"_index\":\"mqtt\",\"_type\":\"events\"}}\n",
        "{\"clean_sess\":true,\"client_id\":\"kiln\",\"connack\":0,\"event\":\"client_connected\",",
        "\"peername\":{\"address\":[49,50,55,46,48,46,48,46,49],\"port\":32850},\"timestamp\":1795292504540,",
        "\"username\":\"username\",\"will_topic\":\"undefined\"}\n"
    ],
    [
        "PUT /_bulk HTTP/1.1\r\nHost: elasticsearch:9200\r\nContent-Type: application/json\r\n",
        "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        integer_to_list(iolist_size(Event), 16), "\r\n", Event, "\r\n0\r\n\r\n"
    ].
"#;

const STACK: &str = r#"
[image]
ports = ["8080/tcp"]
# Without what the image has there, the release could not start.
volumes = ["/app/releases"]

[dev]
profile = "emqttd"
[services.postgres]
env = { POSTGRES_PASSWORD = "as in/etc" }
[services.hello]
release = true
depends-on = ["postgres"]
ports = [18573, 18574]
env = { PORT = "${PORT}" }
ready = { http = "/" }
"#;

fn get(world: &World, service: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let address = standing(world)[service]["address"].as_str().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_release_finds_postgresql_and_elasticsearch_by_their_names_and_its_events_are_ours() {
    let world = World::with("hello");
    world.edit("rebeam.toml", "\n[image]\nports = [\"8080/tcp\"]\n", STACK);
    world.write("src/hello_desk.erl", DESK);
    let page = "answer('GET', <<\"/desk\">>) ->\n    {200, iolist_to_binary(hello_desk:told())};\nanswer(_Method";
    world.edit("src/hello_page.erl", "answer(_Method", page);
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["build"]).succeeds();
    dev(&world, &["up", "-d"]).succeeds();
    let _end = Up(&world);

    let answer = get(&world, "hello", "/desk");
    assert!(answer.ends_with("N HTTP/1.1 200 OK\n"), "{answer}");
    let said = dev(&world, &["events", "--type", "client_connected", "--client", "kiln"]);
    let said = said.succeeds().stdout;
    let event: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(event["username"], "username", "{said}");

    // emqttd's driver knows neither a database of another name nor SCRAM.
    let url = &env(&world)["POSTGRES_URL"];
    assert!(url.contains("as%20in%2Fetc"), "{url}");
    let found = sql(
        url,
        "select current_database() || ' ' || left(rolpassword, 3) from pg_authid where rolname = 'postgres'",
    );
    assert_eq!(found, ["mqtt md5"]);
    // emqttd's own HTTP interface is on 8080.
    let standings = standing(&world);
    assert!(!standings["things"]["url"].as_str().unwrap().ends_with(":8080"));
    assert_eq!(standings["hello"]["others"].as_array().unwrap().len(), 1);

    let kept = place(&world).join("services/hello/volumes/app%2Freleases/kept");
    std::fs::write(&kept, "").unwrap();
    dev(&world, &["restart", "hello"]).succeeds();
    assert!(kept.exists());
    dev(&world, &["down", "--volumes"]).succeeds();
    assert!(!kept.exists());
}

#[test]
fn what_a_person_wrote_wrong_is_said_to_be_theirs_and_with_the_next_step() {
    let world = World::of(&[
        ("rebeam.toml", "[project]\nname = \"desk\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n"),
        (
            "unknown.toml",
            "[services.a]\ncommand = [\"sleep\", \"9\"]\nenv = { A = \"${NOPE_URL}\" }\n",
        ),
    ]);
    let _end = Up(&world);
    let up = |arguments: &[&str]| {
        world.rebeam(&[&["dev", "--state-dir", "states", "up", "-d"], arguments].concat())
    };
    // The stack in the background says whose fault it is.
    up(&["-f", "unknown.toml"]).fails(1, &["${NOPE_URL}", "the variables are", "MQTT_URL"]);
    let missing = up(&["-f", "missing.toml"]);
    assert!(!missing.stderr.contains("rebeam init"), "{}", missing.stderr);
    missing.fails(1, &["`missing.toml` does not exist", "correct the name"]);
    up(&["-C", "rebeam.toml"]).fails(1, &["is no directory", "-C DIR"]);
    let quiet = |arguments: &[&str]| {
        world.rebeam(&[&["dev", "--state-dir", "states"], arguments].concat()).succeeds().stderr
    };
    assert!(quiet(&["logs"]).contains("no service ran yet"));
    assert!(quiet(&["snapshot", "ls"]).contains("rebeam dev snapshot save NAME"));
}

#[test]
fn a_database_of_rules_that_is_away_is_told_where_the_broker_is_told() {
    let access = "[dev.access]\nprovider = \"sql\"\nurl = \"postgres://127.0.0.1:1/mqtt\"\n";
    let project = "[project]\nname = \"desk\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n";
    let world = World::of(&[("rebeam.toml", &format!("{project}{access}"))]);
    let _end = Up(&world);
    dev(&world, &["up", "-d"]).succeeds();
    let mqtt = standing(&world).remove("mqtt").unwrap();
    assert!(mqtt["why"].as_str().unwrap().starts_with("nobody is let in, as "), "{mqtt}");
}
