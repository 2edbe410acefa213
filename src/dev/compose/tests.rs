//! What stands in the file; tests/consumers.rs gives one to Docker.

use super::*;
use crate::dev::{standard, things};
use crate::explain::Explain as _;
use crate::manifest::{Profile, StackWish};

/// What a file over no manifest says.
fn wish(text: &str, profile: Option<Profile>) -> StackWish {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    crate::disk::write_atomic(&file, text.as_bytes()).unwrap();
    crate::manifest::stack(home.path(), &[file], profile).unwrap()
}

fn export(wish: &StackWish) -> Export<'_> {
    let lists = wish.services.values().map(|wish| wish.runs.packages());
    let named =
        lists.filter(|list| !list.is_empty()).map(|list| (list.clone(), format!("{}:1", list[0])));
    Export {
        name: "Shop",
        project: ".",
        dev: &wish.dev,
        values: &wish.values,
        services: &wish.services,
        embedded: standard(&things::Setup::default()),
        things: false,
        release: Some(ReleaseImage {
            reference: "shop:1".into(),
            has_registry: false,
            has_busybox: true,
            has_health: false,
            volumes: vec!["/var/shop".into()],
            user: (65_532, 65_532),
            command: vec!["/app/bin/shop".into(), "foreground".into()],
        }),
        desk: "desk:1".into(),
        packages: named.collect(),
    }
}

fn written(wish: &StackWish) -> String {
    write(&export(wish)).unwrap().text
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}

/// The lines of one service.
fn service<'a>(text: &'a str, name: &str) -> &'a str {
    let begin = text.find(&format!("\n  {name}:\n")).unwrap() + 1;
    let rest = &text[begin..];
    let end =
        rest.match_indices("\n  ").find(|(at, _)| *at > 0 && !rest[at + 3..].starts_with(' '));
    let top = rest.find("\nvolumes:").unwrap_or(rest.len());
    &rest[..end.map_or(top, |(at, _)| at.min(top))]
}

const SHOP: &str = r#"
[services.app]
release = true
ports = [8080, 9000]
env = { CACHE = "${CACHE_URL}/0", PLAIN = "$HOME" }
ready = { http = "/health" }
depends-on = ["cache"]
volumes = ["conf:/etc/shop"]
[services.cache]
kind = "redis"
seed = ["dev/cache.txt"]
restart = "always"
"#;

#[test]
fn ports_variables_volumes_seeds_and_what_is_waited_for_are_carried_over() {
    let text = written(&wish(SHOP, None));
    has(
        &text,
        &[
            "name: \"shop\"\n",
            "CACHE_URL: \"redis://cache:6379\"",
            "MQTT_URL: \"mqtt://mqtt:1883\"",
        ],
    );
    has(
        service(&text, "app"),
        &[
            "image: \"shop:1\"",
            "<<: *addresses",
            "CACHE: \"redis://cache:6379/0\"",
            "PLAIN: \"$$HOME\"",
            "- \"127.0.0.1:${APP_PORT:-8080}:8080\"",
            "- \"127.0.0.1:${APP_9000_PORT:-9000}:9000\"",
            "source: \"./conf\"",
            "target: \"/var/shop\"",
            "\"http://127.0.0.1:8080/health\"",
            "cache:\n        condition: \"service_healthy\"",
            "rebeam:\n        condition: \"service_healthy\"",
            "restart: \"on-failure\"",
        ],
    );
    // A real Redis gets what ours gets.
    has(&text, &["[dev.events]\n      forward = [\"redis://cache:6379\"]"]);
    has(
        service(&text, "cache"),
        &["source: \"./dev/cache.txt\"", "target: \"/seed/00-cache.txt\"", "restart: \"always\""],
    );
}

#[test]
fn a_port_or_name_of_a_service_is_its_own_and_ours_gives_way() {
    let text = written(&wish("[services.redis]\nkind = \"redis\"\n", None));
    let desk = service(&text, "rebeam");
    has(desk, &["- \"127.0.0.1:${EMBEDDED_REDIS_PORT:-16379}:6379\"", "\"embedded-redis\""]);
    has(
        &text,
        &[
            "EMBEDDED_REDIS_URL: \"redis://embedded-redis:6379\"",
            "REDIS_URL: \"redis://redis:6379\"",
        ],
    );
}

#[test]
fn the_desk_waits_for_the_database_of_its_rules_and_no_password_stands_in_the_file() {
    let text = written(&wish("", Some(Profile::Emqttd)));
    let desk = service(&text, "rebeam");
    has(desk, &["\"--profile\", \"emqttd\"", "postgres:\n        condition: \"service_healthy\""]);
    let database = service(&text, "postgres");
    has(
        database,
        &[
            "POSTGRES_PASSWORD: \"${POSTGRES_PASSWORD:-rebeam}\"",
            "POSTGRES_DB: \"mqtt\"",
            "/seed/00-rules.sql",
        ],
    );
    assert!(!database.contains("depends_on"), "{database}");
    has(&text, &["url = \"postgres://postgres:${POSTGRES_PASSWORD:-rebeam}@postgres:5432/mqtt\""]);
    // The rules speak of `$SYS`, which is no variable of Compose's.
    assert!(text.contains("'$$SYS/#'") && !text.contains("'$SYS"), "{text}");
}

#[test]
fn what_this_machine_runs_is_refused_with_the_next_step() {
    let wish = wish("[services.job]\ncommand = [\"make\"]\n", None);
    let error = write(&export(&wish)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`[services.job]` runs this machine's programs, which no container has"
    );
    assert!(error.hint().unwrap().contains("--without job"));
}

#[test]
fn a_line_of_the_output_is_heard_by_a_shell_of_the_image() {
    let teller = "[services.teller]\ncommand = [\"serve\", \"$X\"]\npackages = [\"bash\"]\nready = { log = \"$ is up\" }\n\
                  [services.after]\nkind = \"redis\"\ndepends-on = [\"teller\"]\n";
    let text = written(&wish(teller, None));
    has(
        service(&text, "teller"),
        &[
            "entrypoint: [\"bash\", \"/etc/rebeam/listen.sh\", \"command\", \"$$ is up\"]",
            "command: [\"serve\", \"$$X\"]",
            "test: [\"CMD\", \"test\", \"-e\", \"/tmp/rebeam-heard/ready\"]",
        ],
    );
    has(service(&text, "after"), &["teller:\n        condition: \"service_healthy\""]);
    has(&text, &["tool=$$1 text=$$2"]);
    let app = SHOP.replace("ready = { http = \"/health\" }", "ready = { log = \"up\" }");
    has(
        service(&written(&wish(&app, None)), "app"),
        &[
            "entrypoint: [\"/usr/bin/busybox\", \"sh\", \"/etc/rebeam/listen.sh\", \"/usr/bin/busybox\", \"up\"]",
            "command: [\"/app/bin/shop\", \"foreground\"]",
        ],
    );
}

#[test]
fn what_compose_cannot_do_stands_in_the_file() {
    let wish = wish(
        &format!(
            "{SHOP}[services.job]\ncommand = [\"true\"]\npackages = [\"bash\"]\nrestart = \"no\"\n"
        ),
        None,
    );
    let mut export = export(&wish);
    export.release.as_mut().unwrap().has_busybox = false;
    let Written { text, notes } = write(&export).unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    for note in notes {
        has(&text, &[&format!("\n# NOTE: {note}\n")]);
    }
    has(
        &text,
        &[
            "# NOTE: `[services.app]` counts as ready once it runs",
            "# NOTE: `[services.job]` is a job",
        ],
    );
}

#[test]
fn volumes_that_the_image_of_the_release_has_no_place_for_are_handed_to_its_user() {
    let app = SHOP.replace("\"conf:/etc/shop\"", "\"conf:/etc/shop\", \"/var/shop\", \"/kept\"");
    let wish = wish(&app, None);
    let text = written(&wish);
    has(
        service(&text, "app-volumes"),
        &[
            "user: \"0:0\"",
            "command: [\"dev\", \"own\", \"65532:65532\", \"/volumes/kept\"]",
            "source: \"app-kept\"",
            "network_mode: \"none\"",
        ],
    );
    let ended = "app-volumes:\n        condition: \"service_completed_successfully\"";
    has(service(&text, "app"), &[ended, "source: \"app-kept\""]);
    // Root writes everywhere, and what the image names is its user's already.
    let mut export = export(&wish);
    export.release.as_mut().unwrap().user = (0, 0);
    assert!(!write(&export).unwrap().text.contains("dev\", \"own"));
    assert!(!written(&self::wish(SHOP, None)).contains("dev\", \"own"));
}

#[test]
fn programs_are_told_whom_to_trust_and_things_decide_where_that_was_asked_for() {
    let wish = wish(SHOP, None);
    let mut export = export(&wish);
    export.things = true;
    let text = write(&export).unwrap().text;
    has(&text, &["MQTTS_CA: \"/etc/rebeam/tls/ca.pem\""]);
    let desk = service(&text, "rebeam");
    has(
        desk,
        &["\"--things\"", "\"--authority\", \"/etc/rebeam/tls/ca.pem\"", "hostname: \"rebeam\""],
    );
    let source = "source: \"rebeam-authority\"\n        target: \"/etc/rebeam/tls\"";
    has(desk, &[source]);
    has(service(&text, "app"), &[&format!("{source}\n        read_only: true")]);
    assert!(!service(&text, "cache").contains("authority"));
}

#[test]
fn the_same_stack_is_the_same_text_wherever_it_is_written() {
    assert_eq!(written(&wish(SHOP, None)), written(&wish(SHOP, None)));
}

#[test]
fn volumes_of_one_slug_have_names_of_their_own() {
    let mut beside = Beside::default();
    let names = ["/a/b", "/a-b", "/a.b"].map(|inside| beside.volume("app", inside));
    assert_eq!(names, ["app-a-b", "app-a-b-2", "app-a-b-3"]);
}
