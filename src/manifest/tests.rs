use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::keys::{Key, Kind, TOP};
use super::rebar::WishSource;
use super::{
    AccessProvider, Anonymous, HealthCheck, HexWish, Manifest, ManifestError, Platform, Probe,
    Profile, Restart, Runs, Server, Shell, Shown, Tool, json_schema,
};
use crate::digest::Digest;
use crate::disk;
use crate::explain::Explain as _;

const SHORT: &str = r#"
[project]
name = "shop"
version = "1.0.0"

[toolchain]
otp = "25"
"#;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, Path::new("rebeam.toml"))
}

/// The message of `SHORT` with `more` behind it; its first line is line 9.
fn message(more: &str) -> (String, String) {
    let error = parse(&format!("{SHORT}\n{more}")).expect_err(more);
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn a_short_manifest_has_sensible_defaults() {
    let manifest = parse(SHORT).unwrap();
    assert_eq!(manifest.project.name, "shop");
    assert_eq!(manifest.project.version, "1.0.0");
    assert_eq!(manifest.toolchain.otp, "25");
    assert_eq!(manifest.build.tool, Tool::Rebar3);
    assert_eq!(manifest.build.profile, "prod");
    assert_eq!(manifest.release.boot_timeout_s, Some(30));
    assert_eq!(manifest.image.name, "shop");
    assert_eq!(manifest.image.user, (65532, 65532));
    assert_eq!(manifest.image.shell, None);
    assert_eq!(manifest.image.ca_certificates, None);
    assert!(manifest.deps.is_empty() && manifest.mirrors.is_empty());
}

#[test]
fn every_key_of_the_stack_is_read() {
    let text = FULL.replace("SHA256", &Digest::of(b"").hex());
    let manifest = Manifest::parse(&text, Path::new("rebeam.toml")).unwrap();
    assert_eq!((manifest.dev.profile, manifest.dev.release), (Some(Profile::Emqttd), false));
    assert_eq!(manifest.dev.env["D"], "4");
    let access = &manifest.dev.access;
    assert_eq!((access.provider, access.anonymous), (AccessProvider::Sql, Anonymous::Emqttd));
    assert_eq!(access.url.as_deref(), Some("postgres://127.0.0.1/mqtt"));
    assert_eq!(access.file.as_deref(), Some("dev/acl.conf"));
    let queries = [&access.auth_query, &access.super_query, &access.acl_query];
    assert_eq!(
        queries.map(|query| query.as_deref().unwrap()),
        ["select 1", "select 2", "select 3"]
    );
    assert_eq!(access.password_hash.as_deref(), Some("salt,md5"));
    assert!(access.nomatch_allows && access.denies_as_emqttd);
    assert_eq!(manifest.dev.events.forward.len(), 2);
    assert!(manifest.dev.events.is_daily);
    assert_eq!(manifest.dev.events.ndjson.as_deref(), Some("dev/events.ndjson"));
    let things = &manifest.dev.things;
    assert_eq!((things.decide, things.username_is_thing), (Some(true), true));
    assert_eq!(things.bootstrap_key_env.as_deref(), Some("KEY"));
    let postgres = &manifest.services["postgres"];
    assert_eq!(postgres.runs, Runs::Server(Server::Postgres));
    assert_eq!((&*postgres.ports, postgres.restart), (&[5433][..], Restart::Always));
    assert_eq!(postgres.seed, ["dev/schema.sql"]);
    let front = &manifest.services["front"];
    let command = ["./serve", "--port", "${PORT}"].map(str::to_owned).to_vec();
    let packages = ["curl", "python3"].map(str::to_owned).to_vec();
    assert_eq!(front.runs, Runs::Command { command, packages });
    assert_eq!(front.volumes[0], Shown { project: None, inside: "/data".into() });
    assert_eq!(front.volumes[1].project.as_deref(), Some("dev/conf"));
    assert_eq!((front.depends_on.len(), front.restart), (1, Restart::OnFailure));
    assert_eq!((&front.ready, front.ready_timeout_s), (&Some(Probe::Http("/health".into())), 9));
    assert_eq!(manifest.services["app"].runs, Runs::Release);
    assert_eq!(manifest.services["app"].ready, Some(Probe::Log("started".into())));
    assert_eq!(manifest.services["other"].ready, Some(Probe::Exec(vec!["./is-ready".into()])));
}

#[test]
fn every_key_is_read() {
    let digest = Digest::of(b"");
    let text = FULL.replace("SHA256", &digest.hex());
    let manifest = Manifest::parse(&text, Path::new("/home/me/shop/rebeam.toml")).unwrap();
    assert_eq!(manifest.lock.vendor.as_deref(), Some("third_party"));
    assert_eq!(manifest.lock.minimum_age_s, 14 * 24 * 60 * 60);
    assert_eq!(manifest.toolchain.packages, ["libsnappy-dev", "zlib1g-dev"]);
    assert_eq!(manifest.build.profile, "docker");
    assert_eq!(manifest.build.env["A"], "1");
    let dep = &manifest.deps["snappyer"];
    assert_eq!(dep.use_source.as_deref(), Some("brod"));
    assert_eq!(dep.env["B"], "2");
    assert_eq!(dep.patches.len(), 2);
    assert_eq!(dep.patches[1].file, "patches/b.patch");
    assert_eq!(dep.patches[1].sha256, digest);
    assert_eq!(dep.source, Some(WishSource::Path { path: "libs/snappyer".into() }));
    assert_eq!(manifest.tools.keys().collect::<Vec<_>>(), ["rebar"]);
    assert_eq!(dep.files[0].path, "rebar.config.script");
    assert_eq!((dep.files[0].file.as_str(), dep.files[0].sha256), ("overrides/script", digest));
    assert_eq!(dep.vsn.as_deref(), Some("1.2.9"));
    assert_eq!(dep.ignore_plugins, ["coveralls", "rebar3_lint"]);
    assert_eq!(dep.tool, Some(Tool::Rebar3));
    assert_eq!(dep.needs, ["ranch"]);
    assert_eq!(dep.at.as_deref(), Some("vendor/cowboy"));
    assert_eq!(dep.steps, [["make"]]);
    assert_eq!(manifest.build.dir.as_deref(), Some("examples/hello"));
    assert_eq!(manifest.build.steps, [vec!["./configure", "--all"], vec!["make", "rel"]]);
    assert_eq!(manifest.build.output.as_deref(), Some("_rel/hello"));
    assert_eq!(manifest.deps["ranch"].patches[0].file, "c.patch");
    assert_eq!(manifest.release.name.as_deref(), Some("shop_web"));
    assert!(manifest.release.keep_debug_info);
    assert_eq!(manifest.release.boot_timeout_s, Some(90));
    assert_eq!(manifest.release.smoke, ["busybox", "true"]);
    assert_eq!(manifest.release.smoke_eval.as_deref(), Some("ok = shop:health()"));
    let image = &manifest.image;
    assert_eq!(image.name, "registry.example:5000/team/shop");
    assert_eq!(image.platforms, [Platform::Amd64, Platform::Arm64]);
    assert_eq!(image.base.as_deref(), Some("debian:12-slim"));
    assert_eq!(image.ports, ["443/tcp", "53/udp", "8080/tcp"]);
    assert_eq!(image.env["C"], "3");
    assert_eq!(image.user, (1000, 100));
    assert_eq!(image.volumes, ["/data", "/var/log/shop"]);
    assert_eq!(image.labels["org.opencontainers.image.source"], "https://x");
    assert_eq!(image.entrypoint, Some(vec!["/app/start".to_owned()]));
    assert_eq!(image.cmd, ["b", "a"], "the order of arguments is kept");
    assert_eq!(image.shell, Some(Shell::Busybox));
    assert_eq!(image.epmd, Some(true));
    assert!(image.tzdata);
    assert_eq!(image.ca_certificates, Some(false));
    let health = HealthCheck {
        command: vec!["/app/check".to_owned(), "-q".to_owned()],
        interval_s: 10,
        timeout_s: 2,
        retries: 5,
    };
    assert_eq!(image.health, Some(health));
    assert_eq!(manifest.services["last"].ready, Some(Probe::Tcp(7001)));
    let acme = HexWish {
        url: Some("https://hex.acme.test".into()),
        public_key: Some("keys/acme.pem".into()),
        auth_key_env: Some("ACME_KEY".into()),
    };
    assert_eq!(manifest.hex["acme"], acme);
    assert_eq!(
        manifest.mirrors.values().collect::<Vec<_>>(),
        ["file:///home/me/mirrors/git/", "file:///home/me/shop/pool", "http://localhost/hex/"]
    );
}

const FULL: &str = r#"
[project]
name = "shop"
version = "1.0.0-rc.1"
[toolchain]
otp = "27"
packages = ["zlib1g-dev", "libsnappy-dev"]
[build]
tool = "make"
profile = "docker"
dir = "examples/hello"
steps = [["./configure", "--all"], ["make", "rel"]]
output = "_rel/hello"
env = { A = "1" }
[tools]
rebar = "git+https://x.test/rebar#791db716"
[lock]
minimum-age = "2w"
vendor = "third_party"

[deps.snappyer]
use = "brod"
source = "./libs/snappyer"
env.B = "2"
patches = [
  { file = "patches/a.patch", sha256 = "SHA256" },
  { file = "patches/b.patch", sha256 = "sha256:SHA256" },
]
files = [{ path = "rebar.config.script", file = "overrides/script", sha256 = "SHA256" }]
vsn = "1.2.9"
ignore-plugins = ["rebar3_lint", "coveralls"]
tool = "rebar3"
needs = ["ranch"]
at = "vendor/cowboy"
steps = [["make"]]
[[deps.ranch.patches]]
file = "c.patch"
sha256 = "SHA256"
[release]
name = "shop_web"
keep-debug-info = true
boot-timeout = 90
smoke = ["busybox", "true"]
smoke-eval = "ok = shop:health()"
[image]
name = "registry.example:5000/team/shop"
base = "debian:12-slim"
platforms = ["linux/arm64", "linux/amd64", "linux/arm64"]
ports = [8080, "53/udp", "443/tcp", "8080/tcp"]
user = "1000:100"
volumes = ["/var/log/shop", "/data"]
entrypoint = ["/app/start"]
cmd = ["b", "a"]
shell = "busybox"
tzdata = true
ca-certificates = false
epmd = true
[image.env]
C = "3"
[image.labels]
"org.opencontainers.image.source" = "https://x"
[image.health]
command = ["/app/check", "-q"]
interval = 10
timeout = 2
retries = 5
[dev]
profile = "emqttd"
release = false
env = { D = "4" }
[dev.access]
provider = "sql"
url = "postgres://127.0.0.1/mqtt"
url-env = "MQTT_DB"
file = "dev/acl.conf"
auth-query = "select 1"
super-query = "select 2"
acl-query = "select 3"
password-hash = "salt,md5"
nomatch = "allow"
anonymous = "emqttd"
denied = "silent"
[dev.events]
forward = ["http://search:9200", "redis://queue:6379"]
index = "<event>-YYYY.MM.DD"
ndjson = "dev/events.ndjson"
[dev.things]
decide = true
username-is-thing = true
bootstrap-key-env = "KEY"
[services.postgres]
kind = "postgres"
ports = [5433]
seed = ["dev/schema.sql"]
restart = "always"
[services.front]
command = ["./serve", "--port", "${PORT}"]
packages = ["python3", "curl"]
env = { E = "5" }
ports = [8090]
volumes = ["/data", "dev/conf:/etc/front"]
depends-on = ["postgres"]
ready = { http = "/health", timeout = 9 }
[services.app]
release = true
ready = { log = "started" }
[services.other]
command = ["./other"]
ready = { exec = ["./is-ready"] }
[services.last]
command = ["./last"]
ready = { tcp = 7001 }
[hex.acme]
url = "https://hex.acme.test"
public-key = "keys/acme.pem"
auth-key-env = "ACME_KEY"
[mirrors]
"https://github.com/" = "../mirrors/git/"
"https://repo.hex.pm/" = "http://localhost/hex/"
"https://mirror/pool" = "./pool"
"#;

#[test]
fn a_key_that_the_build_tool_does_not_heed_is_refused() {
    for (more, refused) in [
        ("[build]\nsteps = [[\"make\"]]", Some("build.steps` has no effect where rebar3 builds")),
        (
            "[build]\ntool = \"mix\"\noutput = \"x\"",
            Some("build.output` has no effect where mix builds"),
        ),
        (
            "[deps.a]\nenv = { A = \"1\" }\nat = \"x\"",
            Some("rebeam.toml:11:1: `deps.a.at` has no effect"),
        ),
        ("[deps]\na = { needs = [\"b\"] }", Some("`deps.a.needs` has no effect")),
        ("[deps.a]\ntool = \"make\"", Some("`deps.a.tool` has no effect")),
        ("[deps.a]\ntool = \"rebar3\"", None),
        ("[build]\ntool = \"mix\"\n[deps.a]\ntool = \"make\"", None),
        ("[build]\ntool = \"make\"\nsteps = [[\"make\"]]\n[deps.a]\nat = \"x\"", None),
    ] {
        let parsed = parse(&format!("{SHORT}\n{more}\n"));
        match refused {
            None => drop(parsed.unwrap()),
            Some(words) => {
                let error = parsed.unwrap_err();
                assert!(error.to_string().contains(words), "{more}: {error}");
                assert!(error.hint().unwrap().contains("tool = \"make\""));
            }
        }
    }
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest() {
    for (more, expected, hint) in [
        (
            "[image]\n  prots = [1]",
            "rebeam.toml:10:3: `[image]` has no key `prots`; the nearest is `ports`",
            "the keys of `[image]` are name, platforms, base, ports, env, user, volumes, labels, health, entrypoint, cmd, shell, epmd, tzdata, ca-certificates",
        ),
        (
            "[release]\nkeep_debug_info = true",
            "rebeam.toml:10:1: `[release]` has no key `keep_debug_info`; the nearest is `keep-debug-info`",
            "the keys of `[release]` are name, keep-debug-info, boot-timeout, smoke, smoke-eval",
        ),
        (
            "[imagee]",
            "rebeam.toml:9:2: the file has no key `imagee`; the nearest is `image`",
            "the keys of the file are project, toolchain, build, lock, deps, tools, release, image, dev, services, hex, mirrors",
        ),
        (
            "[deps.cowboy]\nqqqq = 1",
            "rebeam.toml:10:1: `[deps.cowboy]` has no key `qqqq`",
            "the keys of `[deps.cowboy]` are use, source, env, patches, files, vsn, ignore-plugins, tool, needs, at, steps",
        ),
        (
            "[deps.a]\npatches = [{ file = \"x\", sha265 = \"\" }]",
            "rebeam.toml:10:26: `[deps.a.patches]` has no key `sha265`; the nearest is `sha256`",
            "the keys of `[deps.a.patches]` are file, sha256",
        ),
        (
            "[image.health]\ncommand = [\"a\"]\nretry = 1",
            "rebeam.toml:11:1: `[image.health]` has no key `retry`; the nearest is `retries`",
            "the keys of `[image.health]` are command, interval, timeout, retries",
        ),
    ] {
        assert_eq!(message(more), (expected.to_owned(), hint.to_owned()));
    }
}

const WRONG_TYPES: &[(&str, &str, &str)] = &[
    (
        "[image]\nports = 8080",
        "rebeam.toml:10:9: `image.ports` must be a list of strings or numbers, and here it is an integer",
        "write `ports = [8080]`",
    ),
    (
        "[image]\ncmd = \"foreground\"",
        "rebeam.toml:10:7: `image.cmd` must be a list of strings, and here it is a string",
        "write `cmd = [\"foreground\"]`",
    ),
    (
        "[image]\ncmd = [\"a\", 5]",
        "rebeam.toml:10:13: `image.cmd` must be a list of strings, and here it is an integer",
        "",
    ),
    (
        "[image]\ntzdata = \"true\"",
        "rebeam.toml:10:10: `image.tzdata` must be `true` or `false`, and here it is a string",
        "write `tzdata = true`",
    ),
    (
        "[image.env]\nPORT = 8080",
        "rebeam.toml:10:8: `image.env.PORT` must be a string, and here it is an integer",
        "write `PORT = \"8080\"`",
    ),
    (
        "[release]\nboot-timeout = \"30\"",
        "rebeam.toml:10:16: `release.boot-timeout` must be a number, and here it is a string",
        "write `boot-timeout = 30`",
    ),
    (
        "[deps]\ncowboy = \"2.12\"",
        "rebeam.toml:10:10: `deps.cowboy` must be a table, and here it is a string",
        "",
    ),
    ("[[image]]", "rebeam.toml:9:1: `image` must be a table, and here it is a list of tables", ""),
    (
        "[deps.a]\npatches = [\"a.patch\"]",
        "rebeam.toml:10:12: `deps.a.patches` must be a list of tables, and here it is a string",
        "",
    ),
];

#[test]
fn a_wrong_type_is_named_with_what_was_meant() {
    for &(more, expected, hint) in WRONG_TYPES {
        assert_eq!(message(more), (expected.to_owned(), hint.to_owned()));
    }
    let text = SHORT.replace("\"1.0.0\"", "1.0");
    let error = parse(&text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rebeam.toml:4:11: `project.version` must be a string, and here it is a float"
    );
    assert_eq!(error.hint().unwrap(), "write `version = \"1.0\"`");
}

#[test]
fn a_service_that_contradicts_itself_is_named() {
    for (more, expected) in [
        ("[services.a]", "rebeam.toml: `[services.a]` says nothing of what runs"),
        (
            "[services.a]\nkind = \"redis\"\ncommand = [\"x\"]",
            "rebeam.toml: `[services.a]` says more than one of `kind`, `command` and `release`",
        ),
        (
            "[services.a]\nkind = \"redis\"\nready = { tcp = 1, log = \"x\" }",
            "rebeam.toml: `[services.a.ready]` wants one of `tcp`, `http`, `log` and `exec`, and has 2",
        ),
        (
            "[services.a]\nkind = \"redis\"\ndepends-on = [\"b\"]",
            "rebeam.toml: `[services.a]` depends on `b`, which is no service",
        ),
        (
            "[services.a]\nkind = \"redis\"\ndepends-on = [\"b\"]\n[services.b]\nkind = \"redis\"\ndepends-on = [\"a\"]",
            "rebeam.toml: `[services.a]` waits for itself: a, b, a",
        ),
        (
            "[services.a]\ncommand = [\"x\"]\nseed = [\"x.sql\"]",
            "rebeam.toml: `[services.a]` has a `seed`, which only `postgres` and `redis` read",
        ),
        (
            "[services.a]\ncommand = [\"x\"]\nready = { http = \"/up\" }",
            "rebeam.toml: `[services.a.ready]` asks for a path, and the service has no port",
        ),
        (
            "[services.a]\nkind = \"redis\"\npackages = [\"curl\"]",
            "rebeam.toml: `[services.a]` has `packages`, which only a `command` takes",
        ),
        (
            "[services.a]\nrelease = true\n[services.b]\nrelease = true",
            "rebeam.toml: `[services.b]` is the release a second time, after `[services.a]`",
        ),
        (
            "[services.a]\ncommand = [\"x\"]\nports = [\"53/udp\"]",
            "rebeam.toml: `[services.a]` has the port `53/udp`, and only TCP ports are looked after",
        ),
    ] {
        assert_eq!(message(more).0, expected);
    }
}

const BAD_VALUES: &[(&str, &str)] = &[
    (
        "[services.Data]\nkind = \"redis\"",
        "rebeam.toml:9:11: `services` must be a table whose keys are each a name that a host can have: lower-case letters, digits and `-`, at most 63, and here it is `Data`",
    ),
    (
        "[services.a]\nkind = \"mysql\"",
        "rebeam.toml:10:8: `services.a.kind` must be one of `postgres`, `redis`, `mosquitto`, and here it is `mysql`",
    ),
    (
        "[services.a]\nvolumes = [\"../x:/y\"]",
        "rebeam.toml:10:12: `services.a.volumes` must be an absolute path like `/data`, or one of the project and where it is seen, like `conf:/etc/app`, and here it is `../x:/y`",
    ),
    (
        "[image]\nplatforms = [\"linux/mips\"]",
        "rebeam.toml:10:14: `image.platforms` must be one of `linux/amd64`, `linux/arm64`, `linux/arm/v7`, and here it is `linux/mips`",
    ),
    (
        "[image]\nports = [\"80\", \"70000\"]",
        "rebeam.toml:10:16: `image.ports` must be a port like `8080` or `53/udp`, and here it is `70000`",
    ),
    (
        "[image]\nports = [0]",
        "rebeam.toml:10:10: `image.ports` must be a port like `8080` or `53/udp`, and here it is `0`",
    ),
    (
        "[image]\nuser = \"root\"",
        "rebeam.toml:10:8: `image.user` must be a user id like `65532`, or user and group like `65532:65532`, and here it is `root`",
    ),
    (
        "[image]\nname = \"Shop:latest\"",
        "rebeam.toml:10:8: `image.name` must be a repository like `shop` or `registry.example/team/shop`, without a tag, and here it is `Shop:latest`",
    ),
    (
        "[image]\nvolumes = [\"/data/../etc\"]",
        "rebeam.toml:10:12: `image.volumes` must be an absolute path like `/data`, without `.` and `..`, and here it is `/data/../etc`",
    ),
    (
        "[image]\nshell = \"bash\"",
        "rebeam.toml:10:9: `image.shell` must be one of `none`, `busybox`, and here it is `bash`",
    ),
    (
        "[build]\ntool = \"cmake\"",
        "rebeam.toml:10:8: `build.tool` must be one of `rebar3`, `mix`, `erlang.mk`, `rebar`, `make`, and here it is `cmake`",
    ),
    (
        "[build.env]\n\"A-B\" = \"\"",
        "rebeam.toml:10:1: `build.env` must be a table whose keys are each the name of a variable: letters, digits and `_`, no digit first, and here it is `A-B`",
    ),
    (
        "[deps.\"../x\"]",
        "rebeam.toml:9:7: `deps` must be a table whose keys are each an Erlang name like `cowboy`, and here it is `../x`",
    ),
    (
        "[deps.a]\npatches = [{ file = \"../x\", sha256 = \"\" }]",
        "rebeam.toml:10:21: `deps.a.patches.file` must be a path inside the project, without `.` and `..`, and here it is `../x`",
    ),
    (
        "[deps.a]\npatches = [{ file = \"x\", sha256 = \"12ab\" }]",
        "rebeam.toml:10:35: `deps.a.patches.sha256` must be a SHA-256: 64 hex digits, or `sha256-` and base64, and here it is `12ab`",
    ),
    (
        "[release]\nboot-timeout = 0",
        "rebeam.toml:10:16: `release.boot-timeout` must be a number from 1 to 3600, and here it is `0`",
    ),
    (
        "[image]\nentrypoint = []",
        "rebeam.toml:10:14: `image.entrypoint` must be a command and its arguments, and here it is `[]`",
    ),
    (
        "[mirrors]\n\"https://x\" = \"a b\"",
        "rebeam.toml:10:15: `mirrors.https://x` must be an address without blanks, and here it is `a b`",
    ),
];

#[test]
fn a_bad_value_is_named_with_what_it_must_be() {
    for &(more, expected) in BAD_VALUES {
        assert_eq!(message(more).0, expected);
    }
}

#[test]
fn the_top_values_are_checked_too() {
    for (from, to, expected) in [
        (
            "\"25\"",
            "\"26\"",
            "rebeam.toml:7:7: `toolchain.otp` must be one of `23`, `25`, `27`, `29`, and here it is `26`",
        ),
        (
            "\"shop\"",
            "\"Shop\"",
            "rebeam.toml:3:8: `project.name` must be a name of lower-case letters and digits, parted by `.`, `_`, `__` or dashes, and here it is `Shop`",
        ),
        (
            "\"1.0.0\"",
            "\"1.0+git\"",
            "rebeam.toml:4:11: `project.version` must be a version that can be a tag: letters, digits, `.`, `_` and `-`, at most 128, and here it is `1.0+git`",
        ),
        ("version = \"1.0.0\"", "", "rebeam.toml:2:1: `[project]` lacks `version`"),
        ("[toolchain]\notp = \"25\"", "", "rebeam.toml:1:1: the file lacks `toolchain`"),
    ] {
        let error = parse(&SHORT.replace(from, to)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let hint = |text: &str| parse(text).unwrap_err().hint().unwrap();
    assert_eq!(hint(""), "write `[project]` with `name` and `version`");
    assert_eq!(hint("[project]"), "write `name = \"shop\"` under `[project]`");
}

#[test]
fn text_that_is_no_toml_names_the_place() {
    for (more, expected) in [
        ("[image", "rebeam.toml:9:7: unclosed table, expected `]`"),
        (
            "[image]\nname = shop",
            "rebeam.toml:10:8: string values must be quoted, expected literal string",
        ),
        ("[project]", "rebeam.toml:9:2: duplicate key"),
        ("[image]\nname = \"a\"\nname = \"b\"", "rebeam.toml:11:1: duplicate key"),
    ] {
        assert_eq!(message(more).0, expected);
    }
    let deep = format!("[image]\ncmd = {}", "[".repeat(100_000));
    assert!(message(&deep).0.starts_with("rebeam.toml:10:"));
}

#[test]
fn merge_markers_are_named_as_such() {
    let (text, hint) = message("<<<<<<< HEAD\n[image]\n=======\n[build]\n>>>>>>> theirs\n");
    assert_eq!(
        text,
        "rebeam.toml:9:1: a merge conflict is unresolved: this line begins with `<<<<<<<`"
    );
    assert_eq!(hint, "settle the merge (`git diff` shows it), then run again");
}

#[test]
fn a_missing_manifest_points_to_init() {
    let dir = tempfile::tempdir().unwrap();
    let error = Manifest::read(dir.path()).unwrap_err();
    assert!(matches!(error, ManifestError::Missing { .. }));
    assert_eq!(error.hint().unwrap(), "write one with `rebeam init`");
}

#[test]
fn a_manifest_is_read_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{SHORT}\n[mirrors]\n\"https://x/\" = \"./m/\"\n");
    disk::write_atomic(&dir.path().join("rebeam.toml"), text.as_bytes()).unwrap();
    let manifest = Manifest::read(dir.path()).unwrap();
    let place = disk::canonical(dir.path()).unwrap().join("m");
    assert_eq!(manifest.mirrors["https://x/"], format!("file://{}/", place.display()));
}

#[test]
fn image_names_are_those_of_the_distribution_specification() {
    use super::form::Form;
    for name in ["a", "a/b", "a__b", "a--b", "a.b_c-d/e", "localhost:5000/a", "X.example/a"] {
        assert!(Form::ImageName.fits(name), "{name}");
    }
    for name in ["", "A", "a/", "/a", "a//b", "a___b", "-a", "a-", "a..b", "a:1", "x:y/a", "é"] {
        assert!(!Form::ImageName.fits(name), "{name}");
    }
}

/// Every key by its path, from the table of keys.
fn keys_of_table(keys: &[Key], path: &str, found: &mut Vec<String>) {
    for key in keys {
        let path = format!("{path}.{}", key.name);
        match key.kind {
            Kind::Table(keys) | Kind::TableMap(_, keys) | Kind::Tables(keys) => {
                keys_of_table(keys, &path, found);
            }
            _ => {}
        }
        found.push(path);
    }
}

/// Every key by its path, from the schema.
fn keys_of_schema(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        for inner in [below, &below["items"], &below["additionalProperties"]] {
            keys_of_schema(inner, &path, found);
        }
        assert!(below["description"].as_str().unwrap().ends_with('.'));
        found.push(path);
    }
}

#[test]
fn the_schema_and_the_strict_reader_know_the_same_keys() {
    let (mut strict, mut schema) = (Vec::new(), Vec::new());
    keys_of_table(TOP, "", &mut strict);
    keys_of_schema(&json_schema(), "", &mut schema);
    strict.sort();
    schema.sort();
    assert_eq!(strict, schema);
    for key in strict {
        let name = key.rsplit('.').next().unwrap();
        assert!(FULL.contains(name), "`every_key_is_read` lacks {key}");
    }
}

#[test]
fn the_schema_says_what_a_value_may_be() {
    let schema = json_schema();
    let at = |pointer: &str| schema.pointer(pointer).unwrap().clone();
    assert_eq!(at("/required"), serde_json::json!(["project", "toolchain"]));
    assert_eq!(
        at("/properties/toolchain/properties/otp/enum"),
        serde_json::json!(["23", "25", "27", "29"])
    );
    assert_eq!(at("/properties/image/additionalProperties"), false);
    assert_eq!(at("/properties/release/properties/boot-timeout/maximum"), 3600);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_change_of_one_piece_makes_the_reader_panic(
        at in 0..FULL.len(),
        length in 0..12usize,
        piece in r#"([\[\]{}"'=.,#\n a-z0-9é-]|true|-1|\[\[|1\.5|2020-01-01){0,4}"#,
    ) {
        let text = FULL.replace("SHA256", &Digest::of(b"").hex());
        let end = (at + length).min(text.len());
        let _ = parse(&format!("{}{piece}{}", &text[..at], &text[end..]));
    }
}
