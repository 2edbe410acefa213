//! Large: what takes too long for every day. `scripts/check --large` runs it; without its word the tests say that they
//! were skipped.

use std::io::Write as _;

use super::erlang_mk::RABBITMQ;
use super::harness::{World, built_alike};

/// Debian's rabbitmq-server: an erlang.mk monorepo of 73 directories in one tarball, of which the broker and its MQTT plug-in
/// are built. Its command line tool is mix's, and so are the modules that the plug-in brings along for that.
const MANIFEST: &str = r#"
[project]
name = "rabbitmq"
version = "3.10.8"

[toolchain]
otp = "25"
packages = ["libpython3-stdlib", "perl", "python3-minimal"]

[build]
tool = "make"
steps = [
  ["sh", "-c", "rm deps/*/src/Elixir.*.erl"],
  ["make", "-C", "deps/rabbitmq_mqtt", "BUILD_DEPS=", "RABBITMQ_VERSION=3.10.8"],
  ["env", "ERL_LIBS=deps:deps/rabbit/apps", "relx", "-c", "relx.config", "-o", "_rel"],
]

[release]
boot-timeout = 120
smoke-eval = """
true = rabbit:is_running(),
{ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, 1883, [binary, {active, false}]),
ok = gen_tcp:send(Socket, <<16, 18, 0, 4, "MQTT", 4, 2, 0, 60, 0, 6, "rebeam">>),
{ok, <<32, 2, 0, 0>>} = gen_tcp:recv(Socket, 4, 10000)"""

[image]
env = { RABBITMQ_NODENAME = "rabbitmq" }
ports = [1883, 5672]
volumes = ["/var/lib/rabbitmq", "/var/log/rabbitmq"]
epmd = true
"#;

const RELX: &str = r#"{release, {rabbitmq, "3.10.8"}, [sasl, {mnesia, load}, rabbit, amqp_client, rabbitmq_mqtt]}.
{extended_start_script, true}.
{include_src, false}.
"#;

/// The project; `None` where nobody asked for what takes long.
fn project() -> Option<World> {
    if std::env::var_os("REBEAM_LARGE").is_none() {
        // Not by a macro, whose output a passing test keeps for itself.
        std::io::stderr().write_all(b"skipped: `scripts/check --large` builds it\n").unwrap();
        return None;
    }
    let world = World::of(&[("rebeam.toml", MANIFEST), ("relx.config", RELX)]);
    RABBITMQ.unpack(&world.project()).expect("what is asked for is not skipped");
    Some(world)
}

#[test]
fn a_monorepo_of_erlang_mks_answers_over_mqtt_and_has_the_same_bytes_twice() {
    let (Some(one), Some(two)) = (project(), project()) else { return };
    built_alike([one, two], "rabbitmq-3.10.8.tar");
}
