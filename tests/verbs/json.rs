//! `--json`: what scripts read on standard output is JSON and nothing else, whether a verb succeeds or fails.

use serde_json::Value;

use super::harness::{Ran, World};

/// Every line as JSON.
#[track_caller]
fn objects(ran: &Ran) -> Vec<Value> {
    let line =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    ran.stdout.lines().map(line).collect()
}

#[test]
fn what_is_asked_for_as_json_is_json() {
    let world = World::with("hello");
    world.rebeam(&["build", "--json"]).succeeds();
    for arguments in [
        &["lock"][..],
        &["lock", "--check"],
        &["tree"],
        &["why", "words"],
        &["outdated"],
        &["build", "--why"],
        &["image", "inspect"],
        &["image", "size"],
        &["image", "history"],
        &["image", "ls"],
        &["image", "check"],
        &["explain", "/app/releases/1.0.0/start.boot"],
        &["diff", "hello-1.0.0.tar", "hello-1.0.0.tar"],
        &["vendor", "vendored"],
        &["bundle", "export", "hello.bundle"],
        &["bundle", "import", "hello.bundle"],
        &["hash", "src"],
        &["store", "path"],
        &["store", "gc", "--dry-run"],
        &["doctor"],
        &["dev", "ps"],
        &["dev", "config"],
        &["dev", "events"],
        &["dev", "logs"],
        &["dev", "snapshot", "ls"],
        &["dev", "acl", "ls"],
    ] {
        let ran = world.rebeam(&[arguments, &["--json"]].concat());
        // A fresh lock has nothing that is stale, and a stack that never ran has no events.
        let may_be_empty = arguments[0] == "dev" || arguments == ["lock", "--check"];
        assert!(!objects(&ran).is_empty() || may_be_empty, "{arguments:?} says nothing");
    }
}

#[test]
fn an_error_is_one_object_with_message_hint_and_exit_code() {
    let world = World::with("hello");
    for (arguments, exit) in [
        (&["why", "nobody"][..], 1),
        (&["build", "-C", "/nowhere"], 1),
        (&["image", "inspect", "no.tar"], 1),
        (&["dev", "logs", "nobody"], 1),
    ] {
        let ran = world.rebeam(&[arguments, &["--json"]].concat());
        let failed = objects(&ran).pop().unwrap();
        assert_eq!(failed["event"], "failed", "{failed}");
        assert_eq!((ran.code, &failed["exit"]), (exit, &Value::from(exit)), "{arguments:?}");
        assert!(failed["message"].is_string() && failed["causes"].is_array(), "{failed}");
        assert_eq!(ran.stderr, "", "{arguments:?}");
    }
}

#[test]
fn a_tree_names_who_needs_whom_and_a_new_manifest_what_was_found() {
    let world = World::with("hello");
    let tree = objects(&world.rebeam(&["tree", "--json"]).succeeds());
    let words = tree.iter().find(|source| source["app"] == "words").unwrap();
    assert_eq!(words["wanted"], "tag v0.2.0");
    assert!(words["needed_by"].as_array().unwrap().contains(&Value::from("tinyhttp")), "{words}");
    let why = objects(&world.rebeam(&["why", "words", "--json"]).succeeds());
    assert!(why.iter().any(|way| way["apps"][0] == "hello"), "{why:?}");

    std::fs::remove_file(world.project().join("rebeam.toml")).unwrap();
    let quiet = world.rebeam(&["init", "--quiet"]).succeeds();
    assert_eq!(quiet.stderr + &quiet.stdout, "");
    std::fs::remove_file(world.project().join("rebeam.toml")).unwrap();
    let made = objects(&world.rebeam(&["init", "--json"]).succeeds());
    assert!(!made[0]["found"].as_array().unwrap().is_empty(), "{made:?}");
}
