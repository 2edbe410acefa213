//! `rebeam dev pub` and `rebeam dev sub`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use super::harness::World;

const DEV: [&str; 3] = ["dev", "--state-dir", "states"];

/// Takes the stack down, whatever became of the test.
struct Up<'a>(&'a World);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.0.command(&[&DEV[..], &["down"]].concat()).output());
    }
}

fn listen(world: &World, more: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let all = [&["--json"], &DEV[..], &["sub", "-n", "3", "$SYS/broker/version", "a/#"], more];
    let mut child = world.command(&all.concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // A kept message of the broker's own says that the subscriptions count.
    assert_eq!(message(&mut lines)["retain"], true);
    (child, lines)
}

fn message(lines: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn what_one_publishes_the_other_gets_and_a_denial_says_why() {
    let world = World::of(&[("README", "no release yet")]);
    let dev = |arguments: &[&str]| world.rebeam(&[&DEV[..], arguments].concat());
    dev(&["pub", "a/b", "x"]).fails(1, &["the stack of this project is not up", "dev up -d"]);
    let mut up = world.command(&[&DEV[..], &["up", "-d"]].concat());
    let up = up.env("REBEAM_DEV_PASSWORD", "correct-horse-7").output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let _end = Up(&world);

    // The stack's own password is known to whoever may read its env file.
    let (mut listener, mut lines) = listen(&world, &["--qos", "2"]);
    dev(&["pub", "a/b", "21.5", "--qos", "2", "--retain"]).succeeds();
    let heard = message(&mut lines);
    assert_eq!(
        (&heard["topic"], &heard["payload"], &heard["qos"]),
        (&"a/b".into(), &"21.5".into(), &2.into())
    );
    let mut publish = world.command(&[&DEV[..], &["pub", "a/bytes", "-"]].concat());
    let mut publish = publish.stdin(Stdio::piped()).spawn().unwrap();
    publish.stdin.take().unwrap().write_all(b"\xff\x00").unwrap();
    assert!(publish.wait().unwrap().success());
    assert_eq!(message(&mut lines)["payload_base64"], "/wA=");
    assert!(listener.wait().unwrap().success());
    let kept = dev(&["sub", "-n", "1", "a/+"]).succeeds().stdout;
    assert_eq!(kept, "a/b 21.5\n");

    dev(&["pub", "$SYS/x", "x"])
        .fails(1, &["to publish to `$SYS/x` is denied", "(`$SYS` is the broker's own)"]);
    dev(&["pub", "a/+", "x"]).fails(1, &["`a/+` is no topic"]);
    dev(&["sub", "a/#/b"]).fails(1, &["`a/#/b` is no filter"]);
    let url = |services: &Value, name: &str| {
        let one = services.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        one["url"].as_str().unwrap().to_owned()
    };
    let services = world.rebeam(&[&["--json"], &DEV[..], &["ps"]].concat()).succeeds().stdout;
    let services: Value = serde_json::from_str(&services).unwrap();
    let (plain, tls) = (url(&services, "mqtt"), url(&services, "mqtts"));
    dev(&["pub", "--url", &plain, "a", "x"])
        .fails(1, &["refuses the connection", "the stack's password", "--password-env"]);
    let mut through_tls = world.command(
        &[&DEV[..], &["pub", "--url", &tls, "--password-env", "SECRET", "a", "x"]].concat(),
    );
    assert!(through_tls.env("SECRET", "correct-horse-7").status().unwrap().success());
    dev(&["pub", "--url", "mqtt://127.0.0.1:1", "a", "x"]).fails(3, &["cannot be reached"]);
}
