use serde_json::{Value, json};

use super::*;
use crate::dev::events::log::Bounds;

mod plain;

struct World {
    _state: tempfile::TempDir,
    log: Log,
    database: Connection,
}

const NOW_MS: i64 = 1_795_292_505_535;

impl World {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let log = Log::open(state.path(), Bounds::default()).unwrap();
        let database = schema::open(log.path()).unwrap();
        Self { _state: state, log, database }
    }

    fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        let request = Request::new(method, target, body.as_bytes().to_vec(), NOW_MS);
        let desk = Desk { log: &self.log, database: &self.database };
        let refused =
            |error: Error| Answer { status: error.status, body: Body::Json(error.body()) };
        desk.answer(&request).unwrap_or_else(refused)
    }

    fn json(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let Answer { status, body } = self.ask(method, target, &body);
        match body {
            Body::Json(value) => (status, value),
            Body::Text(text) => (status, text.into()),
        }
    }

    fn ids(&self, index: &str, query: Value) -> Vec<String> {
        let body = json!({"query": query, "size": 1000, "sort": "_doc"});
        let (status, answer) = self.json("POST", &format!("/{index}/_search"), body);
        assert_eq!(status, 200, "{answer}");
        let hits = answer["hits"]["hits"].as_array().unwrap();
        assert_eq!(answer["hits"]["total"]["value"], hits.len());
        hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// What emqttd's logger sent, as it stood on the wire.
const SAMPLE: &str = concat!(
    r#"{"index":{"_id":"2b83d4a0-e5e9-11f1-bb60-2bbe3b64e6cc","_index":"mqtt","_type":"events"}}"#,
    "\n",
    r#"{"client_id":"client4","event":"session_created","timestamp":1795292504539,"username":"username"}"#,
    "\n",
    r#"{"index":{"_id":"2b83f642-e5e9-11f1-af2a-c9e824a766b6","_index":"mqtt","_type":"events"}}"#,
    "\n",
    r#"{"clean_sess":true,"client_id":"client4","connack":0,"event":"client_connected","peername":{"address":[49,50,55,46,48,46,48,46,49],"port":32850},"timestamp":1795292504540,"username":"username","will_topic":"undefined"}"#,
    "\n",
    r#"{"index":{"_id":"2b844b1a-e5e9-11f1-97f7-4f625c302c40","_index":"mqtt","_type":"events"}}"#,
    "\n",
    r#"{"client_id":"client4","event":"client_subscribe","timestamp":1795292504542,"topics":{"demo/#":{"qos":0}},"username":"username"}"#,
    "\n",
    r#"{"index":{"_id":"2c1bd412-e5e9-11f1-b3bd-1537b7ccfd6a","_index":"mqtt","_type":"events"}}"#,
    "\n",
    r#"{"event":"message_published","from":{"client_id":"client1","username":"username"},"id":"AAZgzxwPdA1uKwAABbQAAA==","msg_timestamp":179792505535,"qos":1,"retain":false,"timestamp":1795292505535,"topic":"demo/a"}"#,
    "\n",
);

#[test]
fn what_emqttds_logger_sends_is_taken_and_is_part_of_the_log() {
    let world = World::new();
    let answer = world.ask("PUT", "/_bulk", SAMPLE);
    let Body::Json(told) = answer.body else { panic!() };
    assert_eq!((answer.status, &told["errors"]), (200, &json!(false)), "{told}");
    assert_eq!(told["items"][0]["index"]["_type"], "events");
    assert_eq!(told["items"][0]["index"]["status"], 201);
    let ask = |query: Value| world.ids("mqtt", query).len();
    assert_eq!(ask(json!({"term": {"topics.demo/#.qos": 0}})), 1);
    assert_eq!(ask(json!({"prefix": {"topic.keyword": "demo/"}})), 1);
    assert_eq!(ask(json!({"match_phrase_prefix": {"topic": "demo a"}})), 1);
    let reader = crate::dev::events::Reader::open(world._state.path()).unwrap().unwrap();
    let wish =
        crate::dev::events::Wish { client: Some("client1".into()), limit: 9, ..Default::default() };
    assert_eq!(reader.search(&wish).unwrap()[0].kind, "message_published");
    // The same once more replaces, and the paths of the time of types are known.
    world.ask("PUT", "/_bulk", SAMPLE);
    let body = "{\"index\":{}}\n{\"event\":\"x\",\"timestamp\":1}\n";
    let Body::Json(told) = world.ask("POST", "/mqtt/events/_bulk", body).body else { panic!() };
    assert_eq!(told["errors"], false);
    let (status, _) = world.json("PUT", "/mqtt/events/some-id", json!({"event": "y"}));
    assert_eq!(status, 201);
    assert_eq!(world.json("GET", "/mqtt/_count", Value::Null).1["count"], 6);
}

#[test]
fn the_dashboard_gets_its_counts_by_the_indices_of_a_day() {
    let world = World::new();
    world.ask("PUT", "/_bulk", SAMPLE);
    let header = json!({"index": "<message_published-{now/d}>,<message_published-{now/d-1d}>", "ignoreUnavailable": true});
    let search = json!({
        "size": 0,
        "query": {"bool": {"must": [{"range": {"timestamp": {"gte": 1_795_292_505_000_i64, "lt": "now+1d"}}}],
            "must_not": [{"prefix": {"topic.keyword": "$SYS"}}], "filter": [{"term": {"qos": 1}}]}},
        "aggs": {
            "over": {"date_histogram": {"field": "timestamp", "interval": "minute"},
                "aggs": {"who": {"cardinality": {"field": "from.client_id.keyword"}}, "bytes": {"sum": {"field": "size"}}}},
            "topics": {"terms": {"field": "topic.keyword", "size": 300}},
            "kinds": {"filters": {"filters": {"demo": {"prefix": {"topic.keyword": "demo"}}, "other": {"match_none": {}}}}},
            "one": {"filter": {"term": {"qos": 1}}}
        }
    });
    let (status, answer) = world.json("POST", "/_msearch", Value::Null);
    assert_eq!((status, &answer["responses"]), (200, &json!([])));
    let Body::Json(answer) = world
        .ask("POST", "/_msearch", &format!("{header}\n{search}\n{{\"index\":\"no\"}}\n{{}}\n"))
        .body
    else {
        panic!()
    };
    let [found, missing] = answer["responses"].as_array().unwrap().as_slice() else {
        panic!("{answer}")
    };
    let aggs = &found["aggregations"];
    assert_eq!(found["hits"]["total"]["value"], 1);
    assert_eq!(
        aggs["over"]["buckets"],
        json!([{"key": 1_795_292_460_000_i64, "key_as_string": "2026-11-21T20:21:00.000Z",
        "doc_count": 1, "who": {"value": 1}, "bytes": {"value": 0.0}}])
    );
    assert_eq!(aggs["topics"]["buckets"], json!([{"key": "demo/a", "doc_count": 1}]));
    assert_eq!(aggs["kinds"]["buckets"]["demo"]["doc_count"], 1);
    assert_eq!(
        (&aggs["kinds"]["buckets"]["other"]["doc_count"], &aggs["one"]["doc_count"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&missing["status"], &missing["error"]["type"]),
        (&json!(404), &json!("index_not_found_exception"))
    );
    let hits = world.json("GET", "/message_published-2026.11.21/_search?size=1", Value::Null).1;
    assert_eq!(hits["hits"]["hits"][0]["_index"], "message_published-2026.11.21");
}

#[test]
fn documents_are_made_changed_read_and_removed() {
    let world = World::new();
    assert_eq!(world.json("PUT", "/a/_doc/1", json!({"n": 1})).0, 201);
    let (status, told) = world.json("PUT", "/a/_doc/1?refresh=true", json!({"n": {"x": 2}}));
    assert_eq!((status, &told["_version"], &told["result"]), (200, &json!(2), &json!("updated")));
    assert_eq!(world.json("PUT", "/a/_create/1", json!({})).0, 409);
    assert_eq!(world.json("POST", "/a/_update/1", json!({"doc": {"n": {"y": 3}}})).0, 200);
    assert_eq!(
        world.json("GET", "/a/_doc/1", Value::Null).1["_source"],
        json!({"n": {"x": 2, "y": 3}})
    );
    assert_eq!(world.json("POST", "/a/_update/2", json!({"doc": {}})).0, 404);
    assert_eq!(world.json("HEAD", "/a/_doc/2", Value::Null).0, 404);
    assert_eq!(
        world.json("GET", "/nowhere/_doc/2", Value::Null).1["error"]["type"],
        "index_not_found_exception"
    );
    assert_eq!(world.json("DELETE", "/a/_doc/1", Value::Null).1["result"], "deleted");
    assert_eq!(world.json("DELETE", "/a/_doc/1", Value::Null).0, 404);
    let (status, told) = world.json("PUT", "/A/_doc/1", json!({}));
    assert_eq!(
        (status, &told["error"]["root_cause"][0]["type"]),
        (400, &json!("invalid_index_name_exception"))
    );
    assert_eq!(
        world.json("PUT", "/b", json!({"mappings": {"properties": {"k": {"type": "keyword"}}}})).0,
        200
    );
    assert_eq!(
        world.json("PUT", "/b", Value::Null).1["error"]["type"],
        "resource_already_exists_exception"
    );
    let mapping = world.json("GET", "/b/_mapping", Value::Null).1;
    assert_eq!(mapping["b"]["mappings"]["properties"]["k"]["type"], "keyword");
    assert_eq!(world.json("DELETE", "/a,b", Value::Null).0, 200);
    assert_eq!(world.json("HEAD", "/a", Value::Null).0, 404);
}

#[test]
fn a_line_that_fails_takes_no_other_with_it() {
    let world = World::new();
    let body = "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":1}\n{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"n\":2}\n\
        {\"index\":{\"_index\":\"a\"}}\n{broken\n{\"delete\":{\"_index\":\"a\",\"_id\":\"9\"}}\n{\"index\":{\"_index\":\"a\"}}\n{\"n\":3}\n";
    let Body::Json(told) = world.ask("POST", "/_bulk", body).body else { panic!() };
    let statuses: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap())
        .collect();
    assert_eq!((statuses, &told["errors"]), (vec![201, 409, 400, 404, 201], &json!(true)));
    assert_eq!(world.json("GET", "/a/_count", Value::Null).1["count"], 2);
    for bad in [
        "",
        "x\n",
        "{\"index\":{}}\n{}\n",
        "{\"fly\":{\"_index\":\"a\"}}\n{}\n",
        "{\"index\":{\"_index\":\"a\"}}\n",
    ] {
        assert_eq!(world.ask("POST", "/_bulk", bad).status, 400, "{bad}");
    }
}

#[test]
fn hits_come_in_the_order_that_was_asked_for_and_go_on_where_they_ended() {
    let world = World::new();
    for (id, n) in [
        ("a", json!(3)),
        ("b", json!(1)),
        ("c", Value::Null),
        ("d", json!(3)),
        ("e", json!("2026-11-21")),
    ] {
        world.json("PUT", &format!("/s/_doc/{id}"), json!({"n": n}));
    }
    let page = |sort: Value, after: Value| {
        let mut body = json!({"sort": sort, "size": 2});
        if !after.is_null() {
            body["search_after"] = after;
        }
        let hits = world.json("POST", "/s/_search", body).1["hits"]["hits"].clone();
        let hits = hits.as_array().unwrap().clone();
        let ids: String = hits.iter().map(|hit| hit["_id"].as_str().unwrap()).collect();
        (ids, hits.last().map_or(Value::Null, |hit| hit["sort"].clone()))
    };
    let (first, after) = page(json!([{"n": "asc"}, "_doc"]), Value::Null);
    assert_eq!(first, "ba");
    let (second, after) = page(json!([{"n": "asc"}, "_doc"]), after);
    assert_eq!((second.as_str(), &after[0]), ("de", &json!(1_795_219_200_000_i64)));
    assert_eq!(page(json!([{"n": "asc"}, "_doc"]), after).0, "c");
    let (down, after) = page(json!([{"n": {"order": "desc"}}, "_doc"]), Value::Null);
    assert_eq!(down, "ea");
    let (more, after) = page(json!([{"n": {"order": "desc"}}, "_doc"]), after);
    assert_eq!(
        (more.as_str(), page(json!([{"n": {"order": "desc"}}, "_doc"]), after).0.as_str()),
        ("db", "c")
    );

    // A scroll shows what was there when it began.
    let (_, mut answer) =
        world.json("POST", "/s/_search?scroll=1m&size=2", json!({"sort": ["_doc"]}));
    world.json("PUT", "/s/_doc/late", json!({"n": 0}));
    let mut seen = String::new();
    while let Some(hits) = answer["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
        seen.extend(hits.iter().map(|hit| hit["_id"].as_str().unwrap()));
        let id = answer["_scroll_id"].clone();
        answer = world.json("POST", "/_search/scroll", json!({"scroll": "1m", "scroll_id": id})).1;
    }
    assert_eq!(seen, "abcde");
    let pit = world.json("POST", "/s/_pit?keep_alive=1m", Value::Null).1["id"].clone();
    world.json("PUT", "/s/_doc/later", json!({"n": 0}));
    let found = world
        .json("POST", "/_search", json!({"pit": {"id": pit}, "sort": [{"n": "desc"}], "size": 10}))
        .1;
    assert_eq!(found["hits"]["total"]["value"], 6);
    assert_eq!(found["hits"]["hits"][0]["sort"].as_array().unwrap().len(), 2);
    assert_eq!(world.json("POST", "/_search/scroll", json!({"scroll_id": "x"})).0, 400);
}

#[test]
fn what_is_outside_of_the_subset_is_refused_by_name() {
    let world = World::new();
    for (body, reason) in [
        (json!({"query": {"geo_shape": {}}}), "unknown query [geo_shape]"),
        (
            json!({"query": {"match": {"a": {"query": "b", "fuzziness": 1}}}}),
            "[match] query does not support [fuzziness] here",
        ),
        (
            json!({"aggs": {"a": {"significant_text": {"field": "b"}}}}),
            "Unknown aggregation type [significant_text]",
        ),
        (json!({"highlight": {}}), "Unknown key for a search in [highlight]."),
    ] {
        let (status, answer) = world.json("POST", "/mqtt/_search", body);
        assert_eq!((status, &answer["error"]["type"]), (400, &json!("parsing_exception")));
        assert_eq!(answer["error"]["reason"], reason);
    }
    assert_eq!(world.json("GET", "/_fly", Value::Null).0, 400);
    assert_eq!(world.json("GET", "/mqtt/_search?size=10001", Value::Null).0, 400);
    let deep = (0..30).fold(json!({"match_all": {}}), |inner, _| json!({"bool": {"must": inner}}));
    assert_eq!(world.json("POST", "/mqtt/_search", json!({"query": deep})).0, 400);
    let many = vec![json!({"term": {"a": 1}}); 1025];
    assert_eq!(
        world.json("POST", "/mqtt/_search", json!({"query": {"bool": {"should": many}}})).0,
        400
    );
    let most = vec![json!({"term": {"a": 1}}); 1000];
    assert_eq!(
        world.json("POST", "/mqtt/_search", json!({"query": {"bool": {"should": most}}})).0,
        200
    );
    let values: Vec<usize> = (0..60_000).collect();
    assert_eq!(
        world.json("POST", "/mqtt/_search", json!({"query": {"terms": {"a": values}}})).0,
        200
    );
}

#[test]
fn people_type_queries() {
    let world = World::new();
    world.ask("PUT", "/_bulk", SAMPLE);
    for (text, count) in [
        ("event:message_published", 1),
        ("client4", 3),
        ("client4 AND NOT event:client_connected", 2),
        ("topic:\"demo a\" OR connack:0", 2),
        ("+client_id:client4 -event:session_*", 2),
        ("qos:[1 TO 5]", 1),
        ("timestamp:>=1795292505000", 1),
        ("_exists_:peername.port", 1),
        ("*", 4),
        ("(client4 OR client1) AND event:(session_created message_published)", 2),
    ] {
        let found = world.ids("mqtt", json!({"query_string": {"query": text}}));
        assert_eq!(found.len(), count, "{text}: {found:?}");
    }
    for bad in ["(a", "a)", "\"a", "AND a", "a:[1 2]"] {
        let body = json!({"query": {"query_string": {"query": bad}}});
        assert_eq!(world.json("POST", "/mqtt/_search", body).0, 400, "{bad}");
    }
}

#[test]
fn templates_and_the_list_of_indices_are_what_clients_read() {
    let world = World::new();
    assert_eq!(world.json("PUT", "/_index_template/t", json!({"index_patterns": ["x-*"]})).0, 200);
    assert_eq!(
        world.json("GET", "/_index_template/t", Value::Null).1["index_templates"][0]["name"],
        "t"
    );
    assert_eq!(world.json("HEAD", "/_index_template/u", Value::Null).0, 404);
    assert_eq!(world.json("PUT", "/_template/old", json!({"template": "x-*"})).0, 200);
    assert_eq!(world.json("GET", "/_template/old", Value::Null).1["old"]["template"], "x-*");
    assert_eq!(world.json("DELETE", "/_template/old", Value::Null).0, 200);
    world.ask("PUT", "/_bulk", SAMPLE);
    let list = world.json("GET", "/_cat/indices?format=json&h=index,docs.count", Value::Null).1;
    assert_eq!(list, json!([{"index": "mqtt", "docs.count": "4"}]));
    let lines = world.json("GET", "/_cat/indices?v&h=index,health", Value::Null).1;
    assert_eq!(lines, "index health\nmqtt green\n");
}
